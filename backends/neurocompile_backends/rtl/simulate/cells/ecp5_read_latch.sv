// Simulation only: what a port of an ECP5's block RAM (DP16KD) read last. Written, as that, from
// Yosys's files and not from Lattice's documents.
module ecp5_read_latch #(
    parameter ASYNC = 0
) (
    input             clk,
    input             rst,
    input             load,
    input      [35:0] data,
    output reg [35:0] held
);
    initial held = 36'd0;

    generate
        if (ASYNC != 0) begin : g_async
            always @(posedge clk, posedge rst)
                if (rst) held <= 36'd0;
                else if (load) held <= data;
        end else begin : g_sync
            always @(posedge clk)
                if (rst) held <= 36'd0;
                else if (load) held <= data;
        end
    endgenerate
endmodule
