// What a core does with the spikes that reach it: looks up the axon, walks its synapses, and hands
// LANES weights a cycle to the accumulators.
//
//   cycle 0   a flit at the head is taken, its axon's record is read
//   cycle 1   the record is there; it is loaded when the walk before it ends
//   cycle 2   first address of synaptic memory (address generator below)
//   cycle 3   weights are there
//   cycle 4   accumulators are read
//   cycle 5   sums are written
//
// Where synaptic memory is banked, everything from cycle 3 on is a cycle later; where spikes carry
// payloads, weight times payload takes another before accumulators are read.
//
// An accumulator that was read in one cycle must not be read again in the next: its sum is not yet
// written. The compiler keeps such pairs apart within an axon, and gives formats whose axons could
// meet at their ends one idle cycle after each axon (F_PAD).
//
// Dense synapses, convolutions and poolings differ in constants only: three nested loops over
// columns, rows and blocks of LANES channels, whose strides in synaptic memory and among the
// accumulators belong to the format. Sparse synapses have a memory of their own, in which each
// lane of a word names its accumulator.
module nc_synapses #(
    parameter LANES = 8,
    parameter AXON = 10,       // bits of an axon's number
    parameter AXONS = 1024,
    parameter PAYLOAD = 1,     // bits of a payload with its sign; 1: a spike counts once
    parameter ADDR = 5,        // bits of an accumulator's address in its lane
    parameter SIZE = 32,       // accumulators of a lane, over all slots of the delay ring
    parameter LATE = 0,        // 1: there is more than one slot
    parameter LEVELS = 1,      // loops: 1 (columns) or 3
    parameter COUNT = 5,       // bits of a loop counter
    parameter WORD = 14,       // bits of an address of synaptic memory
    // The record of an axon: its format and its first word, then fields that take no bits where
    // the format says them.
    parameter RECORD = 15,
    parameter FORMAT_BITS = 1,
    parameter ROW_BITS = 0,
    parameter X_BITS = 0,
    parameter Y_BITS = 0,
    parameter LATE_BITS = 0,
    parameter RECORDS = "",
    // Formats: constants of 24 bits each, format 0 in the lowest. Counts are less one; addresses
    // among accumulators include the slot of the ring.
    parameter FORMATS = 1,
    parameter [FORMATS*24-1:0] F_ROW = 0,
    parameter [FORMATS*24-1:0] F_X = 0,
    parameter [FORMATS*24-1:0] F_Y = 0,
    parameter [FORMATS*24-1:0] F_B = 0,
    parameter [FORMATS*24-1:0] F_LATE = 0,
    parameter [FORMATS*24-1:0] F_WORD_X = 0,
    parameter [FORMATS*24-1:0] F_WORD_Y = 0,
    parameter [FORMATS*24-1:0] F_WORD_B = 0,
    parameter [FORMATS*24-1:0] F_ROW_X = 0,
    parameter [FORMATS*24-1:0] F_ROW_Y = 0,
    parameter [FORMATS*24-1:0] F_ROW_B = 0,
    parameter [FORMATS*24-1:0] F_SHIFT = 0,  // of a weight
    parameter SHIFTS = 0,                    // 1: formats differ in it
    parameter [FORMATS-1:0] F_SPARSE = 0,
    parameter [FORMATS-1:0] F_PAD = 0,
    // Synaptic memories; 0 words: there is none.
    parameter DENSE_WORDS = 1,
    parameter DENSE_BITS = 8,    // of a weight
    parameter DENSE_INIT = "",
    parameter SPRAM = 0,         // 1: the host writes the dense memory before the first step
    parameter LOG2_BANK = 0,     // words of a bank of synaptic memory; 0: it is not banked
    parameter SPARSE_WORDS = 0,
    parameter SPARSE_BITS = 8,
    parameter SPARSE_INIT = "",
    parameter WEIGHT = 8,        // the wider of both
    parameter PRODUCT = 8        // bits of weight times payload
) (
    input                       clk,
    input                       rst,
    // Flits from the FIFO.
    input                       in_valid,
    output                      in_ready,
    input  [AXON-1:0]           in_axon,
    input  [PAYLOAD-1:0]        in_payload,
    // The neurons need the accumulators: begin nothing.
    input                       hold,
    // Where this step's slot of the ring begins.
    input  [ADDR-1:0]           now,
    // To the accumulators: read in one cycle, add in the next.
    output [LANES-1:0]          read,
    output [LANES*ADDR-1:0]     read_addr,
    output [LANES-1:0]          add,
    output [LANES*ADDR-1:0]     add_addr,
    output [LANES*PRODUCT-1:0]  add_value,
    output                      idle,
    input                       write,
    input  [15:0]               write_data
);
    // ---- Records: two are prefetched while the one before is walked. One of them is in a register,
    // since reading a memory of several blocks leaves no time for anything else in its cycle.

    reg                read_valid;
    reg  [PAYLOAD-1:0] read_payload;
    wire [RECORD-1:0]  read_record;
    reg                record_valid;
    reg  [PAYLOAD-1:0] record_payload;
    reg  [RECORD-1:0]  record;
    wire               load;

    wire move = read_valid && (!record_valid || load);
    assign in_ready = !read_valid || move;
    wire take = in_valid && in_ready;

    nc_rom #(
        .WIDTH(RECORD), .DEPTH(AXONS), .ADDR(AXON), .INIT(RECORDS), .LEVEL(2)
    ) records (
        .clk(clk), .read(take), .read_addr(in_axon), .read_data(read_record)
    );

    always @(posedge clk) begin
        if (rst) begin
            read_valid <= 1'b0;
            record_valid <= 1'b0;
        end else begin
            read_valid <= take || (read_valid && !move);
            record_valid <= move || (record_valid && !load);
        end
        if (take) read_payload <= in_payload;
        if (move) begin
            record <= read_record;
            record_payload <= read_payload;
        end
    end

    // ---- Fields of the record, or constants of its format.

    localparam WORD_AT = FORMAT_BITS;
    localparam ROW_AT = WORD_AT + WORD;
    localparam X_AT = ROW_AT + ROW_BITS;
    localparam Y_AT = X_AT + X_BITS;
    localparam LATE_AT = Y_AT + Y_BITS;

    wire [FORMAT_BITS-1:0] r_format = record[0+:FORMAT_BITS];
    wire [WORD-1:0]        r_word = record[WORD_AT+:WORD];
    wire [ADDR-1:0]        r_row;
    wire [COUNT-1:0]       r_x;
    wire [COUNT-1:0]       r_y;
    wire [ADDR-1:0]        r_late;

    nc_field #(.OUT(ADDR), .BITS(ROW_BITS), .AT(ROW_AT), .RECORD(RECORD), .SELECT(FORMAT_BITS),
               .FORMATS(FORMATS), .DEFAULTS(F_ROW))
        f_row (.record(record), .select(r_format), .value(r_row));
    nc_field #(.OUT(COUNT), .BITS(X_BITS), .AT(X_AT), .RECORD(RECORD), .SELECT(FORMAT_BITS),
               .FORMATS(FORMATS), .DEFAULTS(F_X))
        f_x (.record(record), .select(r_format), .value(r_x));
    nc_field #(.OUT(COUNT), .BITS(Y_BITS), .AT(Y_AT), .RECORD(RECORD), .SELECT(FORMAT_BITS),
               .FORMATS(FORMATS), .DEFAULTS(F_Y))
        f_y (.record(record), .select(r_format), .value(r_y));
    nc_field #(.OUT(ADDR), .BITS(LATE_BITS), .AT(LATE_AT), .RECORD(RECORD), .SELECT(FORMAT_BITS),
               .FORMATS(FORMATS), .DEFAULTS(F_LATE))
        f_late (.record(record), .select(r_format), .value(r_late));

    // ---- The walk.

    reg                   active;
    reg                   padding;
    reg [FORMAT_BITS-1:0] format;
    reg [WORD-1:0]        word;
    reg [ADDR-1:0]        row;
    reg [COUNT-1:0]       x;
    reg [PAYLOAD-1:0]     payload;

    wire issue = active && !padding;
    wire sparse = F_SPARSE[format];
    wire pad = F_PAD[format];
    wire ends;  // this is the last word of the axon
    wire last = active && (padding || (ends && !pad));

    assign load = record_valid && !hold && (last || !active);

    wire [ADDR-1:0] slot;  // where the ring slot that this axon adds to begins

    generate
        if (LATE) begin : g_late
            nc_wrap #(.ADDR(ADDR), .SIZE(SIZE)) wrap (.base(now), .offset(r_late), .sum(slot));
        end else begin : g_prompt
            assign slot = {ADDR{1'b0}};
            wire unused = &{1'b0, now, r_late};
        end

        if (LEVELS == 1) begin : g_line
            assign ends = x == {COUNT{1'b0}};
            always @(posedge clk) begin
                if (load) begin
                    word <= r_word;
                    row <= slot + r_row;
                    x <= r_x;
                end else if (issue) begin
                    word <= word + 1'b1;
                    row <= row + 1'b1;
                    x <= x - 1'b1;
                end
            end
            wire unused = &{1'b0, r_y};
        end else begin : g_box
            // First word and accumulator of the line and of the block that are walked.
            reg [WORD-1:0]  line_word;
            reg [WORD-1:0]  block_word;
            reg [ADDR-1:0]  line_row;
            reg [ADDR-1:0]  block_row;
            reg [COUNT-1:0] y;
            reg [COUNT-1:0] b;
            reg [COUNT-1:0] width;
            reg [COUNT-1:0] height;

            wire end_x = x == {COUNT{1'b0}};
            wire end_y = y == {COUNT{1'b0}};
            wire [WORD-1:0] next_line_word = line_word + F_WORD_Y[format*24+:WORD];
            wire [WORD-1:0] next_block_word = block_word + F_WORD_B[format*24+:WORD];
            wire [ADDR-1:0] next_line_row = line_row + F_ROW_Y[format*24+:ADDR];
            wire [ADDR-1:0] next_block_row = block_row + F_ROW_B[format*24+:ADDR];

            assign ends = end_x && end_y && b == {COUNT{1'b0}};

            always @(posedge clk) begin
                if (load) begin
                    word <= r_word;
                    line_word <= r_word;
                    block_word <= r_word;
                    row <= slot + r_row;
                    line_row <= slot + r_row;
                    block_row <= slot + r_row;
                    x <= r_x;
                    y <= r_y;
                    b <= F_B[r_format*24+:COUNT];
                    width <= r_x;
                    height <= r_y;
                end else if (issue) begin
                    if (!end_x) begin
                        word <= word + F_WORD_X[format*24+:WORD];
                        row <= row + F_ROW_X[format*24+:ADDR];
                        x <= x - 1'b1;
                    end else if (!end_y) begin
                        word <= next_line_word;
                        line_word <= next_line_word;
                        row <= next_line_row;
                        line_row <= next_line_row;
                        x <= width;
                        y <= y - 1'b1;
                    end else begin
                        word <= next_block_word;
                        line_word <= next_block_word;
                        block_word <= next_block_word;
                        row <= next_block_row;
                        line_row <= next_block_row;
                        block_row <= next_block_row;
                        x <= width;
                        y <= height;
                        b <= b - 1'b1;
                    end
                end
            end
        end
    endgenerate

    always @(posedge clk) begin
        if (rst) active <= 1'b0;
        else active <= load || (active && !last);
        padding <= issue && ends && pad;
        if (load) begin
            format <= r_format;
            payload <= record_payload;
        end
    end

    // ---- Synaptic memory.

    localparam WITH = 1 + ADDR + PAYLOAD + FORMATS;

    reg             read1;
    reg [WITH-1:0]  with1;  // what goes along with the words: of which format they are, and so on
    always @(posedge clk) begin
        read1 <= issue && !rst;
        with1 <= {{{FORMATS - 1{1'b0}}, 1'b1} << format, payload, row, sparse};
    end

    // Stage 1: the words are there.
    wire               valid1;
    wire [WITH-1:0]    given1;
    wire               sparse1 = given1[0];
    wire [ADDR-1:0]    row1 = given1[1+:ADDR];
    wire [PAYLOAD-1:0] payload1 = given1[1+ADDR+:PAYLOAD];
    wire [FORMATS-1:0] is1 = given1[1+ADDR+PAYLOAD+:FORMATS];
    wire               on_its_way;

    generate
        if (LOG2_BANK > 0) begin : g_later
            reg            read_later;
            reg [WITH-1:0] with_later;
            always @(posedge clk) begin
                read_later <= read1 && !rst;
                with_later <= with1;
            end
            assign valid1 = read_later;
            assign given1 = with_later;
            assign on_its_way = read1;
        end else begin : g_now
            assign valid1 = read1;
            assign given1 = with1;
            assign on_its_way = 1'b0;
        end
    endgenerate

    wire [LANES*WEIGHT-1:0] dense_weights;
    wire [LANES*WEIGHT-1:0] sparse_weights;
    wire [LANES*ADDR-1:0]   sparse_offsets;

    genvar i;
    generate
        if (DENSE_WORDS > 0) begin : g_dense
            localparam BITS = DENSE_WORDS > 1 ? $clog2(DENSE_WORDS) : 1;
            wire [LANES*DENSE_BITS-1:0] data;
            if (SPRAM) begin : g_spram
                nc_spram #(
                    .WIDTH(LANES*DENSE_BITS), .DEPTH(DENSE_WORDS), .ADDR(BITS)
                ) weights (
                    .clk(clk), .rst(rst), .read(issue), .read_addr(word[BITS-1:0]),
                    .read_data(data), .write(write), .write_data(write_data)
                );
            end else if (LOG2_BANK > 0) begin : g_banks
                nc_banks #(
                    .WIDTH(LANES*DENSE_BITS), .DEPTH(DENSE_WORDS), .ADDR(BITS),
                    .LOG2_BANK(LOG2_BANK), .INIT(DENSE_INIT)
                ) weights (
                    .clk(clk), .read(issue), .read_addr(word[BITS-1:0]), .read_data(data)
                );
            end else begin : g_rom
                nc_rom #(
                    .WIDTH(LANES*DENSE_BITS), .DEPTH(DENSE_WORDS), .ADDR(BITS), .INIT(DENSE_INIT)
                ) weights (
                    .clk(clk), .read(issue), .read_addr(word[BITS-1:0]), .read_data(data)
                );
            end
            for (i = 0; i < LANES; i = i + 1) begin : g_extend
                nc_extend #(.IN(DENSE_BITS), .OUT(WEIGHT)) extend (
                    .in(data[i*DENSE_BITS+:DENSE_BITS]),
                    .out(dense_weights[i*WEIGHT+:WEIGHT])
                );
            end
        end else begin : g_no_dense
            assign dense_weights = {LANES * WEIGHT{1'b0}};
        end

        if (SPARSE_WORDS > 0) begin : g_sparse
            localparam BITS = SPARSE_WORDS > 1 ? $clog2(SPARSE_WORDS) : 1;
            localparam ENTRY = ADDR + SPARSE_BITS;
            wire [LANES*ENTRY-1:0] data;
            if (LOG2_BANK > 0) begin : g_banks
                nc_banks #(
                    .WIDTH(LANES*ENTRY), .DEPTH(SPARSE_WORDS), .ADDR(BITS), .LOG2_BANK(LOG2_BANK),
                    .INIT(SPARSE_INIT)
                ) entries (
                    .clk(clk), .read(issue), .read_addr(word[BITS-1:0]), .read_data(data)
                );
            end else begin : g_rom
                nc_rom #(
                    .WIDTH(LANES*ENTRY), .DEPTH(SPARSE_WORDS), .ADDR(BITS), .INIT(SPARSE_INIT)
                ) entries (
                    .clk(clk), .read(issue), .read_addr(word[BITS-1:0]), .read_data(data)
                );
            end
            for (i = 0; i < LANES; i = i + 1) begin : g_extend
                assign sparse_offsets[i*ADDR+:ADDR] = data[i*ENTRY+:ADDR];
                nc_extend #(.IN(SPARSE_BITS), .OUT(WEIGHT)) extend (
                    .in(data[i*ENTRY+ADDR+:SPARSE_BITS]),
                    .out(sparse_weights[i*WEIGHT+:WEIGHT])
                );
            end
        end else begin : g_no_sparse
            assign sparse_weights = {LANES * WEIGHT{1'b0}};
            assign sparse_offsets = {LANES * ADDR{1'b0}};
        end
    endgenerate

    // ---- Lanes: the stored synapse, which accumulator and how much, then their product.

    reg               valid2;
    reg               sparse2;
    reg [ADDR-1:0]    row2;
    reg [PAYLOAD-1:0] payload2;
    reg [FORMATS-1:0] is2;
    reg [PAYLOAD-1:0] payload3;

    always @(posedge clk) begin
        valid2 <= valid1 && !rst;
        sparse2 <= sparse1;
        row2 <= row1;
        payload2 <= payload1;
        payload3 <= payload2;
        is2 <= is1;
    end

    generate
        for (i = 0; i < LANES; i = i + 1) begin : g_lane
            // Memories of many blocks take most of a cycle to read: nothing else is in it.
            reg [WEIGHT-1:0] stored2;
            reg [ADDR-1:0]   offset2;
            always @(posedge clk) begin
                stored2 <= sparse1 ? sparse_weights[i*WEIGHT+:WEIGHT]
                                   : dense_weights[i*WEIGHT+:WEIGHT];
                offset2 <= sparse_offsets[i*ADDR+:ADDR];
            end

            wire [WEIGHT-1:0] weight2;
            if (SHIFTS) begin : g_shift
                // A choice between constant shifts, as many as there are formats.
                reg [WEIGHT-1:0] shifted;
                integer f;
                always @* begin
                    shifted = {WEIGHT{1'b0}};
                    for (f = 0; f < FORMATS; f = f + 1)
                        if (is2[f]) shifted = shifted | (stored2 << F_SHIFT[f*24+:5]);
                end
                assign weight2 = shifted;
            end else begin : g_no_shift
                assign weight2 = stored2;
            end

            wire [ADDR-1:0] named2;
            if (SPARSE_WORDS > 0 && LATE) begin : g_wrap
                nc_wrap #(.ADDR(ADDR), .SIZE(SIZE)) wrap (
                    .base(now), .offset(offset2), .sum(named2)
                );
            end else begin : g_direct
                assign named2 = offset2;
            end

            // A weight of zero is a lane without a synapse: it must not touch its sum.
            wire            has2 = valid2 && (!sparse2 || stored2 != {WEIGHT{1'b0}});
            wire [ADDR-1:0] addr2 = sparse2 ? named2 : row2;

            reg               has3;
            reg [WEIGHT-1:0]  weight3;
            reg [ADDR-1:0]    addr3;
            always @(posedge clk) begin
                has3 <= has2 && !rst;
                weight3 <= weight2;
                addr3 <= addr2;
            end

            if (PAYLOAD > 1) begin : g_product
                wire [PRODUCT-1:0] value3 =
                    $signed({{PRODUCT - WEIGHT{weight3[WEIGHT-1]}}, weight3})
                    * $signed({{PRODUCT - PAYLOAD{payload3[PAYLOAD-1]}}, payload3});
                reg               has4;
                reg [PRODUCT-1:0] value4;
                reg [ADDR-1:0]    addr4;
                always @(posedge clk) begin
                    has4 <= has3 && !rst;
                    value4 <= value3;
                    addr4 <= addr3;
                end
                assign read[i] = has3;
                assign read_addr[i*ADDR+:ADDR] = addr3;
                assign add[i] = has4;
                assign add_addr[i*ADDR+:ADDR] = addr4;
                assign add_value[i*PRODUCT+:PRODUCT] = value4;
            end else begin : g_same
                assign read[i] = has2;
                assign read_addr[i*ADDR+:ADDR] = addr2;
                assign add[i] = has3;
                assign add_addr[i*ADDR+:ADDR] = addr3;
                nc_extend #(.IN(WEIGHT), .OUT(PRODUCT)) extend (
                    .in(weight3), .out(add_value[i*PRODUCT+:PRODUCT])
                );
            end
        end
    endgenerate

    // Lanes without a synapse take part in nothing, so what is under way is followed apart.
    reg  valid3;
    wire multiplied;
    always @(posedge clk) valid3 <= valid2 && !rst;
    generate
        if (PAYLOAD > 1) begin : g_multiplied
            reg valid4;
            always @(posedge clk) valid4 <= valid3 && !rst;
            assign multiplied = valid4;
        end else begin : g_no_product
            assign multiplied = 1'b0;
        end
    endgenerate
    assign idle = !in_valid && !read_valid && !record_valid && !active
        && !on_its_way && !valid1 && !valid2 && !valid3 && !multiplied;

    wire unused = &{1'b0, is2, payload3, write, write_data};
endmodule
