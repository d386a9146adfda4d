// A field of a record, or where the record has no bits for it, what its format says.
module nc_field #(
    parameter OUT = 8,
    parameter BITS = 0,  // of the field in the record
    parameter AT = 0,
    parameter RECORD = 8,
    parameter SELECT = 1,
    parameter FORMATS = 1,
    parameter [FORMATS*24-1:0] DEFAULTS = 0
) (
    input  [RECORD-1:0] record,
    input  [SELECT-1:0] select,
    output [OUT-1:0]    value
);
    generate
        if (BITS == 0) begin : g_format
            assign value = DEFAULTS[select*24+:OUT];
            wire unused = &{1'b0, record};
        end else if (BITS < OUT) begin : g_short
            assign value = {{OUT - BITS{1'b0}}, record[AT+:BITS]};
            wire unused = &{1'b0, record, select};
        end else begin : g_field
            assign value = record[AT+:OUT];
            wire unused = &{1'b0, record, select};
        end
    endgenerate
endmodule
