// Synaptic memory in RAM that the bitstream cannot fill: the host writes it before the first step,
// 16 bits at a time, lowest first, word after word. One port, as the large RAMs of an UP5K have.
module nc_spram #(
    parameter WIDTH = 64,   // a multiple of 16
    parameter DEPTH = 16384,
    parameter ADDR = 14
) (
    input              clk,
    input              rst,
    input              read,
    input  [ADDR-1:0]  read_addr,
    output [WIDTH-1:0] read_data,
    input              write,
    input  [15:0]      write_data
);
    localparam PARTS = WIDTH / 16;

    reg [ADDR-1:0]  write_addr;
    reg [PARTS-1:0] part;  // which is written next

    always @(posedge clk) begin
        if (rst) begin
            write_addr <= {ADDR{1'b0}};
            part <= {{PARTS - 1{1'b0}}, 1'b1};
        end else if (write) begin
            part <= (part << 1) | {{PARTS - 1{1'b0}}, part[PARTS-1]};
            if (part[PARTS-1]) write_addr <= write_addr + 1'b1;
        end
    end

    wire [ADDR-1:0] addr = write ? write_addr : read_addr;

    genvar i;
    generate
        for (i = 0; i < PARTS; i = i + 1) begin : g_part
            // Never block RAM, however little it is: that is what the compiler counted on.
            (* ram_style = "huge" *) reg [15:0] mem[0:DEPTH-1];
            reg [15:0] data;
            always @(posedge clk) begin
                if (write && part[i]) mem[addr] <= write_data;
                else if (read) data <= mem[addr];
            end
            assign read_data[i*16+:16] = data;
        end
    endgenerate
endmodule
