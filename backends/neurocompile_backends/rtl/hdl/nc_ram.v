// A block RAM: one synchronous read port, one write port.
//
// Reading and writing the same address in one cycle gives an undefined word. Nothing here does it,
// and saying so (no_rw_check) spares the logic that would otherwise imitate a defined one.
module nc_ram #(
    parameter WIDTH = 8,
    parameter DEPTH = 256,
    parameter ADDR = 8,
    parameter INIT = ""  // a $readmemh file; "" leaves the RAM at zero
) (
    input                  clk,
    input                  read,
    input      [ADDR-1:0]  read_addr,
    output reg [WIDTH-1:0] read_data,
    input                  write,
    input      [ADDR-1:0]  write_addr,
    input      [WIDTH-1:0] write_data
);
`ifdef NC_BLOCK
    // Whole blocks, where a file says what is in them: as in nc_rom.
    localparam WORDS = INIT != "" ? (DEPTH + 255) / 256 * 256 : DEPTH;
`else
    localparam WORDS = DEPTH;
`endif
    (* no_rw_check *) reg [WIDTH-1:0] mem[0:WORDS-1];

    generate
        if (INIT != "") begin : g_file
            initial $readmemh(INIT, mem);
        end else begin : g_zero
            integer i;
            initial for (i = 0; i < WORDS; i = i + 1) mem[i] = {WIDTH{1'b0}};
        end
    endgenerate

    always @(posedge clk) begin
        if (write) mem[write_addr] <= write_data;
        if (read) read_data <= mem[read_addr];
    end
endmodule
