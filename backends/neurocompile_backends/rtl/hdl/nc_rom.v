// A table that is only read: block RAM with a file of its contents.
//
// A table below the level NC_BLOCK is block RAM however small it is, and whole blocks of it are in
// the file, so that a bitstream can be given other contents later (docs/rtl.md).
module nc_rom #(
    parameter WIDTH = 8,
    parameter DEPTH = 256,
    parameter ADDR = 8,
    parameter INIT = "",
    // What else than weights has to be another for its contents to be: 0 nothing, 1 thresholds,
    // decays and biases, 2 the shape of the network.
    parameter LEVEL = 0
) (
    input                  clk,
    input                  read,
    input      [ADDR-1:0]  read_addr,
    output reg [WIDTH-1:0] read_data
);
`ifdef NC_BLOCK
    localparam BLOCK = LEVEL < `NC_BLOCK;
`else
    localparam BLOCK = 0;
`endif

    generate
        if (BLOCK) begin : g_block
            localparam WORDS = (DEPTH + 255) / 256 * 256;
            (* rom_style = "block", ram_style = "block" *)
            reg [WIDTH-1:0] mem[0:WORDS-1];
            if (INIT != "") begin : g_file
                initial $readmemh(INIT, mem);
            end
            always @(posedge clk) if (read) read_data <= mem[read_addr];
        end else begin : g_any
            reg [WIDTH-1:0] mem[0:DEPTH-1];
            if (INIT != "") begin : g_file
                initial $readmemh(INIT, mem);
            end
            always @(posedge clk) if (read) read_data <= mem[read_addr];
        end
    endgenerate

    wire unused = LEVEL != 0;
endmodule
