// nc_queue: as nc_fifo (fifo.sv), with its head in a register: room for one word more than the RAM
// has, and a word that is put into an empty queue is at the head two cycles later.
module queue #(
    parameter WIDTH = 3,
    parameter LOG2_DEPTH = 2
) (
    input             clk,
    input             rst,
    input             in_valid,
    input [WIDTH-1:0] in_data,
    input             out_ready,
    input             follow
);
    localparam DEPTH = 1 << LOG2_DEPTH;

    wire             in_ready;
    wire             out_valid;
    wire [WIDTH-1:0] out_data;

    nc_queue #(.WIDTH(WIDTH), .LOG2_DEPTH(LOG2_DEPTH)) dut (
        .clk(clk), .rst(rst), .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data),
        .out_valid(out_valid), .out_ready(out_ready), .out_data(out_data)
    );

    wire put = in_valid && in_ready;
    wire take = out_valid && out_ready;

    reg                  begun = 1'b0;
    reg [LOG2_DEPTH:0]   held;      // with the one at the head
    reg                  following;
    reg [LOG2_DEPTH:0]   ahead;
    reg [WIDTH-1:0]      followed;
    reg                  waited;
    reg [WIDTH-1:0]      offered;
    reg                  late;      // there was a word in the cycle before, and none at the head

    always @(posedge clk) begin
        begun <= 1'b1;
        held <= held + put - take;
        waited <= out_valid && !out_ready;
        offered <= out_data;
        late <= held != 0 && !out_valid;
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
            late <= 1'b0;
        end
    end

    // The claims.
    always @(posedge clk) begin
        if (!begun) assume (rst);
        else begin
            assert (held <= DEPTH + 1);
            if (held < DEPTH) assert (in_ready);
            if (held == DEPTH + 1) assert (!in_ready);
            if (out_valid) assert (held != 0);
            if (late) assert (out_valid);
            if (following && take && ahead == 0) assert (out_data == followed);
            if (waited) assert (out_valid && out_data == offered);
        end
    end

`ifndef CLAIMS
    // Why they hold.
    (* hierconn *) wire [LOG2_DEPTH:0]   \dut.count ;
    (* hierconn *) wire [LOG2_DEPTH-1:0] \dut.head ;
    (* hierconn *) wire [LOG2_DEPTH-1:0] \dut.tail ;
    (* hierconn *) wire                  \dut.read ;
    (* hierconn *) wire [WIDTH-1:0]      \dut.ram.mem[0] ;
    (* hierconn *) wire [WIDTH-1:0]      \dut.ram.mem[1] ;
    (* hierconn *) wire [WIDTH-1:0]      \dut.ram.mem[2] ;
    (* hierconn *) wire [WIDTH-1:0]      \dut.ram.mem[3] ;
    wire [4*WIDTH-1:0] mem =
        {\dut.ram.mem[3] , \dut.ram.mem[2] , \dut.ram.mem[1] , \dut.ram.mem[0] };
    wire [LOG2_DEPTH-1:0] place = \dut.head + ahead[LOG2_DEPTH-1:0] - out_valid;

    always @(posedge clk) if (begun) begin
        assert (\dut.count + out_valid == held && \dut.count <= DEPTH);
        assert (\dut.tail == \dut.head + \dut.count [LOG2_DEPTH-1:0]);
        // What nc_ram asks of those who use it.
        assert (!(put && \dut.read && \dut.head == \dut.tail ));
        if (following) begin
            assert (ahead < held);
            assert ((ahead == 0 && out_valid ? out_data : mem[place*WIDTH+:WIDTH]) == followed);
        end
    end
`endif
endmodule
