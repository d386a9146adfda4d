// Simulation only: hands every neuron's new state to the harness.
module nc_probe #(
    parameter CORE = 0,
    parameter INDEX = 4,
    parameter SUM = 26,
    parameter V = 24
) (
    input             clk,
    input             done,
    input [INDEX-1:0] index,
    input [SUM-1:0]   u,
    input [V-1:0]     v,
    input [SUM-1:0]   sent
);
    import "DPI-C" context function void nc_probe_neuron(
        input int core, input int index, input int u, input int v, input int sent);

    wire [31:0] wide_u;
    wire [31:0] wide_v;
    wire [31:0] wide_sent;

    nc_extend #(.IN(SUM), .OUT(32)) extend_u (.in(u), .out(wide_u));
    nc_extend #(.IN(V), .OUT(32)) extend_v (.in(v), .out(wide_v));
    nc_extend #(.IN(SUM), .OUT(32)) extend_sent (.in(sent), .out(wide_sent));

    always @(posedge clk)
        if (done) nc_probe_neuron(CORE, {{32 - INDEX{1'b0}}, index}, wide_u, wide_v, wide_sent);
endmodule
