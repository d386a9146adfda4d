// A table that is only read: block RAM with a file of its contents.
module nc_rom #(
    parameter WIDTH = 8,
    parameter DEPTH = 256,
    parameter ADDR = 8,
    parameter INIT = ""
) (
    input                  clk,
    input                  read,
    input      [ADDR-1:0]  read_addr,
    output reg [WIDTH-1:0] read_data
);
    reg [WIDTH-1:0] mem[0:DEPTH-1];

    generate
        if (INIT != "") begin : g_file
            initial $readmemh(INIT, mem);
        end
    endgenerate

    always @(posedge clk) if (read) read_data <= mem[read_addr];
endmodule
