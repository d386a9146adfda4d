// For techmap: a register becomes a wire, so that a pipeline is the function that it computes.
(* techmap_celltype = "$dff" *)
module no_register #(
    parameter WIDTH = 1,
    parameter CLK_POLARITY = 1
) (
    input              CLK,
    input  [WIDTH-1:0] D,
    output [WIDTH-1:0] Q
);
    assign Q = D;
endmodule
