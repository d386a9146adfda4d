// A parameter of a neuron: a field of its record, or where all neurons of the core share it, a
// constant, which synthesis folds into the logic.
module nc_parameter #(
    parameter OUT = 8,
    parameter BITS = 0,    // of the field in the record; 0: there is none
    parameter AT = 0,
    parameter SIGNED = 0,
    parameter RECORD = 8,
    parameter [31:0] CONSTANT = 0
) (
    input  [RECORD-1:0] record,
    output [OUT-1:0]    value
);
    generate
        if (BITS == 0) begin : g_constant
            assign value = CONSTANT[OUT-1:0];
        end else if (BITS < OUT) begin : g_short
            wire fill = SIGNED ? record[AT+BITS-1] : 1'b0;
            assign value = {{OUT - BITS{fill}}, record[AT+:BITS]};
        end else begin : g_field
            assign value = record[AT+:OUT];
        end
    endgenerate

    wire unused = &{1'b0, record, CONSTANT};
endmodule
