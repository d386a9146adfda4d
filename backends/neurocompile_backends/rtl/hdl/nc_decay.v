// x * keep / 4096, toward zero, for 0 <= keep <= 4096; two cycles.
module nc_decay #(
    parameter WIDTH = 24
) (
    input              clk,
    input  [WIDTH-1:0] x,
    input  [12:0]      keep,
    output [WIDTH-1:0] y
);
    reg             sign3;
    reg [WIDTH-1:0] size3;  // |x| fits: the sign bit of x becomes the highest of its magnitude
    reg [12:0]      keep3;

    always @(posedge clk) begin
        sign3 <= x[WIDTH-1];
        size3 <= x[WIDTH-1] ? -x : x;
        keep3 <= keep;
    end

    wire [WIDTH+12:0] product = {13'd0, size3} * {{WIDTH{1'b0}}, keep3};

    reg             sign4;
    reg [WIDTH-1:0] size4;

    always @(posedge clk) begin
        sign4 <= sign3;
        size4 <= product[WIDTH+11:12];
    end

    assign y = sign4 ? -size4 : size4;
    wire unused = &{1'b0, product[WIDTH+12], product[11:0]};
endmodule
