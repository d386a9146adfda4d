// In place of nc_rom: a table of any contents, which a proof can see.
module nc_rom #(
    parameter WIDTH = 8,
    parameter DEPTH = 256,
    parameter ADDR = 8,
    parameter INIT = "",
    parameter LEVEL = 0
) (
    input                  clk,
    input                  read,
    input      [ADDR-1:0]  read_addr,
    output reg [WIDTH-1:0] read_data
);
    (* anyconst *) wire [(1<<ADDR)*WIDTH-1:0] contents;
    always @(posedge clk) if (read) read_data <= contents[read_addr*WIDTH+:WIDTH];
endmodule
