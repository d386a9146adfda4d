// nc_fifo: what goes in comes out, once, unchanged and in order, whatever is reset or stalls when.
//
// One word, any that goes in, is followed: how many are before it, and what it is. The memory of the
// FIFO is looked into (hierconn: a wire of that name inside of the instance) so that the proof is by
// induction, not of the first cycles only.
module fifo #(
    parameter WIDTH = 3,
    parameter LOG2_DEPTH = 2
) (
    input             clk,
    input             rst,
    input             in_valid,
    input [WIDTH-1:0] in_data,
    input             out_ready,
    input             follow      // the word that goes in now, if none is followed
);
    localparam DEPTH = 1 << LOG2_DEPTH;

    wire             in_ready;
    wire             out_valid;
    wire [WIDTH-1:0] out_data;

    nc_fifo #(.WIDTH(WIDTH), .LOG2_DEPTH(LOG2_DEPTH)) dut (
        .clk(clk), .rst(rst), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),
        .out_valid(out_valid), .out_ready(out_ready), .out_data(out_data)
    );

    wire put = in_valid && in_ready;
    wire take = out_valid && out_ready;

    reg                  begun = 1'b0;
    reg [LOG2_DEPTH:0]   held;
    reg                  following;
    reg [LOG2_DEPTH:0]   ahead;
    reg [WIDTH-1:0]      followed;
    reg                  waited;  // the head was offered and not taken
    reg [WIDTH-1:0]      offered;

    always @(posedge clk) begin
        begun <= 1'b1;
        held <= held + put - take;
        waited <= out_valid && !out_ready;
        offered <= out_data;
        if (following && take) begin
            ahead <= ahead - 1'b1;
            if (ahead == 0) following <= 1'b0;
        end
        if (put && follow && !following) begin
            following <= 1'b1;
            ahead <= held - take;
            followed <= in_data;
        end
        if (rst) begin
            held <= 0;
            following <= 1'b0;
            waited <= 1'b0;
        end
    end

    // The claims.
    always @(posedge clk) begin
        if (!begun) assume (rst);
        else begin
            assert (in_ready == (held != DEPTH));
            assert (out_valid == (held != 0));
            if (following && take && ahead == 0) assert (out_data == followed);
            if (waited) assert (out_valid && out_data == offered);
        end
    end

`ifndef CLAIMS
    // Why they hold.
    (* hierconn *) wire [LOG2_DEPTH:0]   \dut.count ;
    (* hierconn *) wire [LOG2_DEPTH-1:0] \dut.head ;
    (* hierconn *) wire [LOG2_DEPTH-1:0] \dut.tail ;
    (* hierconn *) wire [WIDTH-1:0]      \dut.mem[0] ;
    (* hierconn *) wire [WIDTH-1:0]      \dut.mem[1] ;
    (* hierconn *) wire [WIDTH-1:0]      \dut.mem[2] ;
    (* hierconn *) wire [WIDTH-1:0]      \dut.mem[3] ;
    wire [4*WIDTH-1:0] mem = {\dut.mem[3] , \dut.mem[2] , \dut.mem[1] , \dut.mem[0] };
    wire [LOG2_DEPTH-1:0] place = \dut.head + ahead[LOG2_DEPTH-1:0];

    always @(posedge clk) if (begun) begin
        assert (\dut.count == held && held <= DEPTH);
        assert (\dut.tail == \dut.head + held[LOG2_DEPTH-1:0]);
        if (following) assert (ahead < held && mem[place*WIDTH+:WIDTH] == followed);
    end
`endif
endmodule
