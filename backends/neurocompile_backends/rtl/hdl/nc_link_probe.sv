// Simulation only: shows the harness in which cycles the link offers and takes words.
module nc_link_probe (
    input clk,
    input rst,
    input host_valid,
    input host_ready,
    input out_ready
);
    import "DPI-C" context function void nc_probe_link(
        input bit rst, input bit host_valid, input bit host_ready, input bit out_ready);

    always @(posedge clk) nc_probe_link(rst, host_valid, host_ready, out_ready);
endmodule
