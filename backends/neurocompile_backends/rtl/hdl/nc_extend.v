// Two's complement of another width: widened, or narrowed where the value is known to fit.
module nc_extend #(
    parameter IN = 8,
    parameter OUT = 8
) (
    input  [IN-1:0]  in,
    output [OUT-1:0] out
);
    generate
        if (OUT > IN) begin : g_wider
            assign out = {{OUT - IN{in[IN-1]}}, in};
        end else begin : g_narrower
            assign out = in[OUT-1:0];
            wire unused = &{1'b0, in};
        end
    endgenerate
endmodule
