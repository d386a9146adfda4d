// nc_accumulators: a sum is exact as long as it fits, and no addition is lost, under what others
// promise it:
//
//   nc_synapses   what is read in a cycle is added to DISTANCE cycles later, and is not read again
//                 before (docs/rtl.md, C5; HAZARD in rtl/core.py)
//   nc_neurons    rows are read and cleared while no spike is under way
//   the planner   no sum leaves its range, whatever the order of its parts
//
// One accumulator, any of any lane, is followed with a sum that has bits to spare.
module accumulators #(
    parameter LANES = 2,
    parameter SIZE = 4,
    parameter ADDR = 2,
    parameter ACC = 6,
    parameter PRODUCT = 4,
    parameter PROMISED = 1  // 0: an accumulator may be read again at once
) (
    input                     clk,
    input [LANES-1:0]         read,
    input [LANES*ADDR-1:0]    read_addr,
    input [LANES*PRODUCT-1:0] add_value,
    input                     scan,
    input [ADDR-1:0]          scan_addr,
    input                     clear,
    input [ADDR-1:0]          clear_addr
);
    // Reading is one cycle, adding the next.
    reg  [LANES-1:0]      add = 0;
    reg  [LANES*ADDR-1:0] add_addr;
    wire [LANES*ACC-1:0]  sums;
    always @(posedge clk) begin
        add <= read;
        add_addr <= read_addr;
    end

    nc_accumulators #(
        .LANES(LANES), .ADDR(ADDR), .SIZE(SIZE), .ACC(ACC), .PRODUCT(PRODUCT)
    ) dut (
        .clk(clk), .read(read), .read_addr(read_addr), .add(add), .add_addr(add_addr),
        .add_value(add_value), .scan(scan), .scan_addr(scan_addr), .clear(clear),
        .clear_addr(clear_addr), .sums(sums)
    );

    (* anyconst *) wire            lane;
    (* anyconst *) wire [ADDR-1:0] at;

    wire reads = read[lane] && read_addr[lane*ADDR+:ADDR] == at;
    wire adds = add[lane] && add_addr[lane*ADDR+:ADDR] == at;
    wire signed [PRODUCT-1:0] value = add_value[lane*PRODUCT+:PRODUCT];
    wire [ACC-1:0]            sum = sums[lane*ACC+:ACC];

    reg signed [ACC+7:0] exact = 0;  // since it was cleared
    reg                  cleared = 1'b0;
    reg                  shown = 1'b0;   // its row is read for the neurons
    wire signed [ACC+7:0] more = exact + value;
    always @(posedge clk) begin
        shown <= scan && scan_addr == at;
        if (clear && clear_addr == at) begin
            exact <= 0;
            cleared <= 1'b1;
        end else if (adds) exact <= more;
    end

    integer i;
    always @(posedge clk) begin
        if (scan || clear) assume (read == 0 && add == 0);
        if (scan && clear) assume (scan_addr != clear_addr);
        for (i = 0; i < LANES; i = i + 1)
            if (PROMISED && read[i] && add[i])
                assume (read_addr[i*ADDR+:ADDR] != add_addr[i*ADDR+:ADDR]);
        if (!cleared) assume (!reads);
        // The bound of the planner.
        if (adds) assume (more >= -(1 << (ACC - 1)) && more < 1 << (ACC - 1));
    end

    // The claim.
    always @(posedge clk) if (shown && cleared) assert ($signed(sum) == exact);

`ifndef CLAIMS
    // Why it holds.
    (* hierconn *) wire [ACC-1:0] \dut.g_lane[0].bank.mem[0] ;
    (* hierconn *) wire [ACC-1:0] \dut.g_lane[0].bank.mem[1] ;
    (* hierconn *) wire [ACC-1:0] \dut.g_lane[0].bank.mem[2] ;
    (* hierconn *) wire [ACC-1:0] \dut.g_lane[0].bank.mem[3] ;
    (* hierconn *) wire [ACC-1:0] \dut.g_lane[1].bank.mem[0] ;
    (* hierconn *) wire [ACC-1:0] \dut.g_lane[1].bank.mem[1] ;
    (* hierconn *) wire [ACC-1:0] \dut.g_lane[1].bank.mem[2] ;
    (* hierconn *) wire [ACC-1:0] \dut.g_lane[1].bank.mem[3] ;
    wire [8*ACC-1:0] mem = {
        \dut.g_lane[1].bank.mem[3] , \dut.g_lane[1].bank.mem[2] , \dut.g_lane[1].bank.mem[1] ,
        \dut.g_lane[1].bank.mem[0] , \dut.g_lane[0].bank.mem[3] , \dut.g_lane[0].bank.mem[2] ,
        \dut.g_lane[0].bank.mem[1] , \dut.g_lane[0].bank.mem[0] };
    wire [ACC-1:0] stored = mem[{lane, at}*ACC+:ACC];
    always @(posedge clk) begin
        if (cleared) begin
            assert ($signed(stored) == exact);
            if (adds) assert (sum == stored);
        end else assert (!adds);
    end
`endif
endmodule
