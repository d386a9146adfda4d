// Two's complement, kept within -LIMIT to LIMIT; LIMIT 0 leaves it as it is.
module nc_saturate #(
    parameter WIDTH = 26,
    parameter LIMIT = 0
) (
    input  [WIDTH-1:0] in,
    output [WIDTH-1:0] out
);
    generate
        if (LIMIT == 0) begin : g_same
            assign out = in;
        end else begin : g_limit
            localparam signed [WIDTH-1:0] HIGH = LIMIT;
            localparam signed [WIDTH-1:0] LOW = -LIMIT;
            assign out = $signed(in) > HIGH ? HIGH : $signed(in) < LOW ? LOW : in;
        end
    endgenerate
endmodule
