// Addresses of a ring of SIZE words: base + offset, both below SIZE, modulo SIZE.
module nc_wrap #(
    parameter ADDR = 5,
    parameter SIZE = 32
) (
    input  [ADDR-1:0] base,
    input  [ADDR-1:0] offset,
    output [ADDR-1:0] sum
);
        wire [ADDR:0] whole = {1'b0, base} + {1'b0, offset};
    wire [ADDR:0] less = whole - SIZE[ADDR:0];
    assign sum = less[ADDR] ? whole[ADDR-1:0] : less[ADDR-1:0];
endmodule
