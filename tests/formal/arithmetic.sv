// The combinational modules, for every input: saturation, width, rings of addresses, and fields of
// records.
module arithmetic (
    input [7:0]  x,
    input [2:0]  base,
    input [2:0]  offset,
    input [1:0]  base_of_2,
    input [1:0]  offset_of_2,
    input [11:0] record,
    input [1:0]  format
);
    // nc_saturate: the nearest value within the limits.
    wire [7:0] limited, same;
    nc_saturate #(.WIDTH(8), .LIMIT(100)) saturate (.in(x), .out(limited));
    nc_saturate #(.WIDTH(8), .LIMIT(0)) no_limit (.in(x), .out(same));
    always @* begin
        if ($signed(x) > 100) assert (limited == 8'd100);
        else if ($signed(x) < -100) assert (limited == -8'd100);
        else assert (limited == x);
        assert (same == x);
    end

    // nc_extend: the same number; narrower where it fits.
    wire [11:0] wider;
    wire [7:0]  equal;
    wire [4:0]  narrower;
    nc_extend #(.IN(8), .OUT(12)) widen (.in(x), .out(wider));
    nc_extend #(.IN(8), .OUT(8)) keep (.in(x), .out(equal));
    nc_extend #(.IN(8), .OUT(5)) narrow (.in(x), .out(narrower));
    always @* begin
        assert ($signed(wider) == $signed(x));
        assert (equal == x);
        if ($signed(x) >= -16 && $signed(x) < 16) assert ($signed(narrower) == $signed(x));
    end

    // nc_wrap: addition modulo the size, a power of two or not.
    wire [2:0] of_5, of_8;
    wire [1:0] of_2;
    nc_wrap #(.ADDR(3), .SIZE(5)) ring_5 (.base(base), .offset(offset), .sum(of_5));
    nc_wrap #(.ADDR(3), .SIZE(8)) ring_8 (.base(base), .offset(offset), .sum(of_8));
    nc_wrap #(.ADDR(2), .SIZE(2)) ring_2 (.base(base_of_2), .offset(offset_of_2), .sum(of_2));
    wire [3:0] whole = base + offset;
    always @* begin
        if (base < 5 && offset < 5) assert (of_5 == whole % 5);
        assert (of_8 == whole[2:0]);
        if (base_of_2 < 2 && offset_of_2 < 2) assert (of_2 == (base_of_2[0] ^ offset_of_2[0]));
    end

    // nc_field: the bits of the record, or the constant of its format.
    localparam [71:0] DEFAULTS = {24'd77, 24'd5, 24'd300};
    wire [8:0] constant, shorter;
    wire [3:0] whole_field, part;
    nc_field #(.OUT(9), .BITS(0), .AT(0), .RECORD(12), .SELECT(2), .FORMATS(3),
               .DEFAULTS(DEFAULTS)) f_constant (.record(record), .select(format), .value(constant));
    nc_field #(.OUT(9), .BITS(3), .AT(2), .RECORD(12), .SELECT(2)) f_shorter (
        .record(record), .select(format), .value(shorter));
    nc_field #(.OUT(4), .BITS(4), .AT(5), .RECORD(12), .SELECT(2)) f_whole (
        .record(record), .select(format), .value(whole_field));
    nc_field #(.OUT(4), .BITS(6), .AT(5), .RECORD(12), .SELECT(2)) f_part (
        .record(record), .select(format), .value(part));
    always @* begin
        if (format == 0) assert (constant == 300);
        if (format == 1) assert (constant == 5);
        if (format == 2) assert (constant == 77);
        assert (shorter == record[4:2]);
        assert (whole_field == record[8:5] && part == record[8:5]);
    end

    // nc_parameter: likewise, with its sign where it has one.
    wire [5:0] fixed, unsigned_part, signed_part;
    wire [2:0] exact;
    nc_parameter #(.OUT(6), .BITS(0), .RECORD(12), .CONSTANT(32'd39)) p_fixed (
        .record(record), .value(fixed));
    nc_parameter #(.OUT(6), .BITS(3), .AT(4), .SIGNED(0), .RECORD(12)) p_unsigned (
        .record(record), .value(unsigned_part));
    nc_parameter #(.OUT(6), .BITS(3), .AT(4), .SIGNED(1), .RECORD(12)) p_signed (
        .record(record), .value(signed_part));
    nc_parameter #(.OUT(3), .BITS(3), .AT(4), .SIGNED(1), .RECORD(12)) p_exact (
        .record(record), .value(exact));
    always @* begin
        assert (fixed == 39);
        assert (unsigned_part == record[6:4]);
        assert ($signed(signed_part) == $signed(record[6:4]));
        assert (exact == record[6:4]);
    end
endmodule
