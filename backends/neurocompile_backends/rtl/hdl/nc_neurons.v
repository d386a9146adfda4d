// The neurons of a core take their step, one a cycle:
//
//   u = SAT(u * keep_u / 4096 + (a << SHIFT))         division toward zero
//   v = SAT(v * keep_v / 4096 + u + bias)
//   n = how often the threshold fits into v           0 or 1 where COUNT is 1
//   v = 0, v - n * threshold, or v                    by the neuron's reset
//
// Where REFRACTORY is not 0, a neuron that fires then pauses for its PERIOD of steps: v is kept, n is
// 0, and a threshold that is subtracted in the next step is so in the first one after the pause.
//
// Neuron n is in lane n % LANES of row n / LANES. A scan takes ROWS * LANES cycles from the cycle
// after start; each row is cleared as its last lane is read. Results leave the pipeline
// 8 + COUNT + DELAYED cycles after their neuron was asked for.
module nc_neurons #(
    parameter LANES = 8,
    parameter LANE = 3,        // bits of a lane's number
    parameter ROWS = 2,
    parameter INDEX = 4,       // bits of a neuron's number
    parameter ADDR = 1,        // bits of an accumulator's address in its lane
    parameter ACC = 16,        // bits of an accumulator
    parameter SHIFT = 6,       // what it counts when it enters u
    parameter U = 24,          // bits of u
    parameter V = 24,          // bits of v
    parameter SUM = 26,        // bits in which neither sum of u or v can overflow
    parameter U_LIMIT = 0,     // where u saturates; 0: it is proved never to
    parameter V_LIMIT = 0,
    parameter FILTER = 1,      // u is remembered
    parameter DELAYED = 0,     // some neuron subtracts its threshold in the next step
    parameter REFRACTORY = 0,  // bits of the steps that are left of a pause; 0: no neuron pauses
    parameter COUNT = 1,       // bits of a number of spikes
    parameter SENT = 1,        // bits of what is sent, with its sign where there is one
    parameter STEP = 1,        // bits of the number of a step; the last one stays
    parameter LOADED = 0,      // bits of a bias that the host loads; 0: biases are parameters
    parameter BIASES = "",     // where it loads none
    parameter VALUE = 1,       // bits of what the host loads
    // The record of a neuron has two parts, so that little of it moves along the pipeline: what the
    // decay needs is read first, the rest (LATE_...) when it is needed. "": all are constants.
    parameter RECORD = 1,
    parameter RECORDS = "",
    parameter LATE_RECORD = 1,
    parameter LATE_RECORDS = "",
    parameter VALID_BITS = 0, parameter VALID_AT = 0,
    parameter KEEP_U_BITS = 0, parameter KEEP_U_AT = 0, parameter KEEP_U = 0,
    parameter KEEP_V_BITS = 0, parameter KEEP_V_AT = 0, parameter KEEP_V = 4096,
    parameter THRESHOLD_BITS = 0, parameter THRESHOLD_AT = 0, parameter THRESHOLD = 1,
    parameter BIAS_BITS = 0, parameter BIAS_AT = 0, parameter BIAS = 0,
    parameter INITIAL_BITS = 0, parameter INITIAL_AT = 0, parameter INITIAL = 0,
    parameter RESET_BITS = 0, parameter RESET_AT = 0, parameter RESET = 1,
    parameter GE_BITS = 0, parameter GE_AT = 0, parameter GE = 0,
    parameter MOST_BITS = 0, parameter MOST_AT = 0, parameter MOST = 1,
    parameter ANALOG_BITS = 0, parameter ANALOG_AT = 0, parameter ANALOG = 0,
    parameter PERIOD_BITS = 0, parameter PERIOD_AT = 0, parameter PERIOD = 0,
    parameter START_BITS = 0, parameter START_AT = 0, parameter START = 0
) (
    input                  clk,
    input                  rst,
    input                  start,
    input  [STEP-1:0]      step,
    input  [ADDR-1:0]      now,          // where this step's slot of the ring begins
    output                 hold,         // the accumulators are read or cleared here
    output                 busy,
    // A bias from the host, between samples.
    input                  load,
    input  [INDEX-1:0]     load_index,
    input  [VALUE-1:0]     load_value,
    // Accumulators.
    output                 read,
    output [ADDR-1:0]      read_addr,
    input  [LANES*ACC-1:0] sums,
    output                 clear,
    output [ADDR-1:0]      clear_addr,
    // What a neuron has become.
    output                 done,
    output [INDEX-1:0]     done_index,
    output [SUM-1:0]       done_u,
    output [V-1:0]         done_v,
    output [SUM-1:0]       done_sent,    // how often it fires, or its membrane if that is read
    output                 sends,
    output [SENT-1:0]      sent
);
    localparam STAGES = COUNT + DELAYED;  // after the membrane is summed
    localparam STATE = (FILTER ? U : 0) + V + (DELAYED ? COUNT : 0) + REFRACTORY;
    localparam STATE_U = V;
    localparam STATE_SENT = V + (FILTER ? U : 0);
    localparam STATE_PAUSE = STATE - REFRACTORY;
    localparam PAUSE = REFRACTORY > 0 ? REFRACTORY : 1;
    localparam LAST = ROWS * LANES - 1;
    localparam LAST_LANE = LANES - 1;

    // ---- Scan: one neuron a cycle is asked for.

    reg              scanning;
    reg [INDEX-1:0]  index;
    reg [LANE-1:0]   lane;
    reg [ADDR-1:0]   row;

    always @(posedge clk) begin
        if (rst) scanning <= 1'b0;
        else if (start) scanning <= 1'b1;
        else if (index == LAST[INDEX-1:0]) scanning <= 1'b0;
        if (start) begin
            index <= {INDEX{1'b0}};
            lane <= {LANE{1'b0}};
            row <= now;
        end else begin
            index <= index + 1'b1;
            lane <= lane == LAST_LANE[LANE-1:0] ? {LANE{1'b0}} : lane + 1'b1;
            if (lane == LAST_LANE[LANE-1:0]) row <= row + 1'b1;
        end
    end

    assign read = scanning;
    assign read_addr = row;

    // ---- Stage 1: its sum, state and parameters are there.

    reg             valid1;
    reg [INDEX-1:0] index1;
    reg [LANE-1:0]  lane1;
    reg [ADDR-1:0]  row1;

    always @(posedge clk) begin
        valid1 <= scanning && !rst;
        index1 <= index;
        lane1 <= lane;
        row1 <= row;
    end

    assign hold = start || scanning || valid1;
    assign clear = valid1 && lane1 == LAST_LANE[LANE-1:0];
    assign clear_addr = row1;

    wire [RECORD-1:0] record;
    wire [STATE-1:0]  state;
    wire [STATE-1:0]  new_state;

    generate
        if (RECORDS != "") begin : g_records
            nc_rom #(
                .WIDTH(RECORD), .DEPTH(ROWS * LANES), .ADDR(INDEX), .INIT(RECORDS), .LEVEL(1)
            ) records (
                .clk(clk), .read(scanning), .read_addr(index), .read_data(record)
            );
        end else begin : g_constants
            assign record = {RECORD{1'b0}};
        end
    endgenerate

    nc_ram #(
        .WIDTH(STATE), .DEPTH(ROWS * LANES), .ADDR(INDEX)
    ) states (
        .clk(clk), .read(scanning), .read_addr(index), .read_data(state),
        .write(done), .write_addr(done_index), .write_data(new_state)
    );

    wire [12:0]      p_keep_u;
    wire [12:0]      p_keep_v;
    wire [V-1:0]     p_initial;
    wire [STEP-1:0]  p_start;

    nc_parameter #(.OUT(13), .BITS(KEEP_U_BITS), .AT(KEEP_U_AT), .RECORD(RECORD),
                   .CONSTANT(KEEP_U)) f_keep_u (.record(record), .value(p_keep_u));
    nc_parameter #(.OUT(13), .BITS(KEEP_V_BITS), .AT(KEEP_V_AT), .RECORD(RECORD),
                   .CONSTANT(KEEP_V)) f_keep_v (.record(record), .value(p_keep_v));
    nc_parameter #(.OUT(V), .BITS(INITIAL_BITS), .AT(INITIAL_AT), .SIGNED(1), .RECORD(RECORD),
                   .CONSTANT(INITIAL)) f_initial (.record(record), .value(p_initial));
    nc_parameter #(.OUT(STEP), .BITS(START_BITS), .AT(START_AT), .RECORD(RECORD),
                   .CONSTANT(START)) f_start (.record(record), .value(p_start));

    // State is what it was at the beginning in the first step and where the neuron starts.
    wire             fresh = step == {STEP{1'b0}} || step == p_start;
    wire [U-1:0]     u1;
    wire [V-1:0]     v1 = fresh ? p_initial : state[V-1:0];
    wire [COUNT-1:0] sent1;
    wire [PAUSE-1:0] pause1;

    generate
        if (FILTER) begin : g_u
            assign u1 = fresh ? {U{1'b0}} : state[STATE_U+:U];
        end else begin : g_no_u
            assign u1 = {U{1'b0}};
        end
        if (DELAYED) begin : g_sent
            assign sent1 = fresh ? {COUNT{1'b0}} : state[STATE_SENT+:COUNT];
        end else begin : g_no_sent
            assign sent1 = {COUNT{1'b0}};
        end
        if (REFRACTORY > 0) begin : g_pause
            assign pause1 = fresh ? {PAUSE{1'b0}} : state[STATE_PAUSE+:PAUSE];
        end else begin : g_no_pause
            assign pause1 = {PAUSE{1'b0}};
        end
    endgenerate

    // ---- Stage 2: signs and magnitudes.

    reg             valid2;
    reg [INDEX-1:0] index2;
    reg [COUNT-1:0] sent2;
    reg [ACC-1:0]   sum2;
    reg [U-1:0]     u2;
    reg [V-1:0]     v2;
    reg [12:0]      keep_u2;
    reg [12:0]      keep_v2;

    always @(posedge clk) begin
        valid2 <= valid1 && !rst;
        index2 <= index1;
        sent2 <= sent1;
        sum2 <= sums[lane1*ACC+:ACC];
        u2 <= u1;
        v2 <= v1;
        keep_u2 <= p_keep_u;
        keep_v2 <= p_keep_v;
    end

    // ---- Stages 3 and 4: decay.

    reg             valid3, valid4;
    reg [INDEX-1:0] index3, index4;
    reg [COUNT-1:0] sent3, sent4;
    reg [ACC-1:0]   sum3, sum4;
    wire [U-1:0]    u4;
    wire [V-1:0]    v4;

    always @(posedge clk) begin
        valid3 <= valid2 && !rst;
        valid4 <= valid3 && !rst;
        index3 <= index2;
        index4 <= index3;
        sent3 <= sent2;
        sent4 <= sent3;
        sum3 <= sum2;
        sum4 <= sum3;
    end

    // The steps that are left of its pause move along. In a pause all of v is kept, nothing is added
    // to it, and no spike is one too many.
    wire [PAUSE-1:0] pause4;
    wire             paused2, paused4, paused5;

    generate
        if (REFRACTORY > 0) begin : g_paused
            reg [PAUSE-1:0] word2, word3, word4;
            reg             flag5;
            always @(posedge clk) begin
                word2 <= pause1;
                word3 <= word2;
                word4 <= word3;
                flag5 <= paused4;
            end
            assign pause4 = word4;
            assign paused2 = word2 != {PAUSE{1'b0}};
            assign paused4 = word4 != {PAUSE{1'b0}};
            assign paused5 = flag5;
        end else begin : g_never_paused
            assign pause4 = pause1;
            assign {paused2, paused4, paused5} = 3'd0;
        end
    endgenerate

    wire [12:0] kept_v2 = paused2 ? 13'd4096 : keep_v2;
    nc_decay #(.WIDTH(V)) decay_v (.clk(clk), .x(v2), .keep(kept_v2), .y(v4));
    generate
        if (FILTER) begin : g_filter
            nc_decay #(.WIDTH(U)) decay_u (.clk(clk), .x(u2), .keep(keep_u2), .y(u4));
        end else begin : g_no_filter
            assign u4 = {U{1'b0}};
            wire unused = &{1'b0, u2, keep_u2};
        end
    endgenerate

    // ---- Stage 4, too: the rest of the record is there.

    wire [LATE_RECORD-1:0] late;

    generate
        if (LATE_RECORDS != "") begin : g_late_records
            nc_rom #(
                .WIDTH(LATE_RECORD), .DEPTH(ROWS * LANES), .ADDR(INDEX), .INIT(LATE_RECORDS),
                .LEVEL(1)
            ) records (
                .clk(clk), .read(valid3), .read_addr(index3), .read_data(late)
            );
        end else begin : g_late_constants
            assign late = {LATE_RECORD{1'b0}};
        end
    endgenerate

    wire             p_valid;
    wire [SUM-1:0]   p_threshold;
    wire [SUM-1:0]   p_bias;
    wire [1:0]       p_reset;
    wire             p_ge;
    wire [COUNT-1:0] p_most;
    wire             p_analog;
    wire [PAUSE-1:0] p_period;

    nc_parameter #(.OUT(1), .BITS(VALID_BITS), .AT(VALID_AT), .RECORD(LATE_RECORD), .CONSTANT(1))
        f_valid (.record(late), .value(p_valid));
    nc_parameter #(.OUT(SUM), .BITS(THRESHOLD_BITS), .AT(THRESHOLD_AT), .RECORD(LATE_RECORD),
                   .CONSTANT(THRESHOLD)) f_threshold (.record(late), .value(p_threshold));
    nc_parameter #(.OUT(2), .BITS(RESET_BITS), .AT(RESET_AT), .RECORD(LATE_RECORD), .CONSTANT(RESET))
        f_reset (.record(late), .value(p_reset));
    nc_parameter #(.OUT(1), .BITS(GE_BITS), .AT(GE_AT), .RECORD(LATE_RECORD), .CONSTANT(GE))
        f_ge (.record(late), .value(p_ge));
    nc_parameter #(.OUT(COUNT), .BITS(MOST_BITS), .AT(MOST_AT), .RECORD(LATE_RECORD),
                   .CONSTANT(MOST)) f_most (.record(late), .value(p_most));
    nc_parameter #(.OUT(1), .BITS(ANALOG_BITS), .AT(ANALOG_AT), .RECORD(LATE_RECORD),
                   .CONSTANT(ANALOG)) f_analog (.record(late), .value(p_analog));
    nc_parameter #(.OUT(PAUSE), .BITS(PERIOD_BITS), .AT(PERIOD_AT), .RECORD(LATE_RECORD),
                   .CONSTANT(PERIOD)) f_period (.record(late), .value(p_period));

    generate
        if (LOADED > 0) begin : g_loaded
            wire [LOADED-1:0] bias;
            nc_ram #(
                .WIDTH(LOADED), .DEPTH(ROWS * LANES), .ADDR(INDEX), .INIT(BIASES)
            ) biases (
                .clk(clk), .read(valid3), .read_addr(index3), .read_data(bias),
                .write(load), .write_addr(load_index), .write_data(load_value[LOADED-1:0])
            );
            nc_extend #(.IN(LOADED), .OUT(SUM)) extend (.in(bias), .out(p_bias));
        end else begin : g_bias
            nc_parameter #(.OUT(SUM), .BITS(BIAS_BITS), .AT(BIAS_AT), .SIGNED(1), .RECORD(LATE_RECORD),
                           .CONSTANT(BIAS)) f_bias (.record(late), .value(p_bias));
        end
    endgenerate
    wire unused_load = &{1'b0, load, load_index, load_value};

    wire [COUNT-1:0] most4 = paused4 ? {COUNT{1'b0}} : p_most;
    wire [SUM-1:0]   bias4 = paused4 ? {SUM{1'b0}} : p_bias;

    // What later stages need of it, in one word that moves along.
    localparam WITH = INDEX + 1 + 2 + 1 + COUNT + 1 + SUM + COUNT + 2 * PAUSE;
    wire [WITH-1:0] with4 = {
        p_period, pause4, sent4, p_threshold, p_analog, most4, p_ge, p_reset, p_valid, index4
    };

    // ---- Stage 5: the new current.

    reg            valid5;
    reg [WITH-1:0] with5;
    reg [SUM-1:0]  current5;
    reg [SUM-1:0]  rest5;

    wire [SUM-1:0] a4;
    wire [SUM-1:0] u4_wide;
    wire [SUM-1:0] v4_wide;
    nc_extend #(.IN(ACC), .OUT(SUM)) wide_a (.in(sum4), .out(a4));
    nc_extend #(.IN(U), .OUT(SUM)) wide_u (.in(u4), .out(u4_wide));
    nc_extend #(.IN(V), .OUT(SUM)) wide_v (.in(v4), .out(v4_wide));

    always @(posedge clk) begin
        valid5 <= valid4 && !rst;
        with5 <= with4;
        current5 <= u4_wide + (a4 << SHIFT);
        rest5 <= v4_wide + bias4;
    end

    wire [SUM-1:0] u5;
    nc_saturate #(.WIDTH(SUM), .LIMIT(U_LIMIT)) saturate_u (.in(current5), .out(u5));

    // ---- Stage 6: the new membrane.

    reg            valid6;
    reg [WITH-1:0] with6;
    reg [SUM-1:0]  u6;
    reg [SUM-1:0]  membrane6;

    always @(posedge clk) begin
        valid6 <= valid5 && !rst;
        with6 <= with5;
        u6 <= u5;
        membrane6 <= rest5 + (paused5 ? {SUM{1'b0}} : u5);
    end

    // ---- From stage 7 on: delayed reset, then the bits of the number of spikes, highest first.
    // Stage 7 + k has its part of each of these words: word k.

    wire [STAGES:0]               valids;
    wire [(STAGES+1)*WITH-1:0]    withs;
    wire [(STAGES+1)*SUM-1:0]     us;
    wire [(STAGES+1)*SUM-1:0]     vs;      // the membrane before reset
    wire [(STAGES+1)*SUM-1:0]     lefts;   // of it, after the thresholds that were found to fit
    wire [(STAGES+1)*COUNT-1:0]   counts;

    wire [SUM-1:0] v6;
    nc_saturate #(.WIDTH(SUM), .LIMIT(V_LIMIT)) saturate_v (.in(membrane6), .out(v6));

    reg            valid7;
    reg [WITH-1:0] with7;
    reg [SUM-1:0]  u7;
    reg [SUM-1:0]  v7;

    always @(posedge clk) begin
        valid7 <= valid6 && !rst;
        with7 <= with6;
        u7 <= u6;
        v7 <= v6;
    end

    assign valids[0] = valid7;
    assign withs[0+:WITH] = with7;
    assign us[0+:SUM] = u7;
    assign vs[0+:SUM] = v7;
    assign lefts[0+:SUM] = v7;
    assign counts[0+:COUNT] = {COUNT{1'b0}};

    localparam RESET_PLACE = INDEX + 1;
    localparam GE_PLACE = RESET_PLACE + 2;
    localparam MOST_PLACE = GE_PLACE + 1;
    localparam ANALOG_PLACE = MOST_PLACE + COUNT;
    localparam THRESHOLD_PLACE = ANALOG_PLACE + 1;
    localparam SENT_PLACE = THRESHOLD_PLACE + SUM;
    localparam PAUSE_PLACE = SENT_PLACE + COUNT;
    localparam PERIOD_PLACE = PAUSE_PLACE + PAUSE;

    genvar i;
    generate
        if (DELAYED) begin : g_delayed
            wire [SUM-1:0]   threshold = with7[THRESHOLD_PLACE+:SUM];
            wire [COUNT-1:0] had = with7[SENT_PLACE+:COUNT];
            wire             paused = with7[PAUSE_PLACE+:PAUSE] != {PAUSE{1'b0}};
            wire             applies = with7[RESET_PLACE+:2] == 2'd3 && !with7[ANALOG_PLACE]
                                     && !paused;
            wire [SUM-1:0]   times = {{SUM - COUNT{1'b0}}, had} * threshold;
            wire [SUM-1:0]   less;
            nc_saturate #(.WIDTH(SUM), .LIMIT(V_LIMIT)) saturate (
                .in(v7 - (applies ? times : {SUM{1'b0}})), .out(less)
            );

            reg            valid;
            reg [WITH-1:0] with_;
            reg [SUM-1:0]  u;
            reg [SUM-1:0]  v;
            always @(posedge clk) begin
                valid <= valid7 && !rst;
                with_ <= with7;
                u <= u7;
                v <= less;
            end

            assign valids[1] = valid;
            assign withs[WITH+:WITH] = with_;
            assign us[SUM+:SUM] = u;
            assign vs[SUM+:SUM] = v;
            assign lefts[SUM+:SUM] = v;
            assign counts[COUNT+:COUNT] = {COUNT{1'b0}};
        end

        for (i = 0; i < COUNT; i = i + 1) begin : g_bit
            localparam AT = DELAYED + i;
            localparam BIT = COUNT - 1 - i;
            localparam [COUNT-1:0] MORE = 1 << BIT;

            wire [WITH-1:0]      given = withs[AT*WITH+:WITH];
            wire [SUM-1:0]       over = lefts[AT*SUM+:SUM];
            wire [COUNT-1:0]     found = counts[AT*COUNT+:COUNT];
            wire [SUM+COUNT-1:0] times = {{COUNT{1'b0}}, given[THRESHOLD_PLACE+:SUM]} << BIT;
            wire [SUM+COUNT-1:0] rest = {{COUNT{over[SUM-1]}}, over} - times;
            wire                 negative = rest[SUM+COUNT-1];
            wire                 zero = rest == {SUM + COUNT{1'b0}};
            wire [COUNT:0]       total = {1'b0, found} + {1'b0, MORE};
            wire                 fits = !negative && (given[GE_PLACE] || !zero)
                                     && total <= {1'b0, given[MOST_PLACE+:COUNT]};

            reg             valid;
            reg [WITH-1:0]  with_;
            reg [SUM-1:0]   u;
            reg [SUM-1:0]   v;
            reg [SUM-1:0]   left;
            reg [COUNT-1:0] count;
            always @(posedge clk) begin
                valid <= valids[AT] && !rst;
                with_ <= given;
                u <= us[AT*SUM+:SUM];
                v <= vs[AT*SUM+:SUM];
                left <= fits ? rest[SUM-1:0] : over;
                count <= fits ? total[COUNT-1:0] : found;
            end

            assign valids[AT+1] = valid;
            assign withs[(AT+1)*WITH+:WITH] = with_;
            assign us[(AT+1)*SUM+:SUM] = u;
            assign vs[(AT+1)*SUM+:SUM] = v;
            assign lefts[(AT+1)*SUM+:SUM] = left;
            assign counts[(AT+1)*COUNT+:COUNT] = count;
        end
    endgenerate

    // ---- The end: reset, and what is sent.

    wire             last_valid = valids[STAGES];
    wire [WITH-1:0]  last_with = withs[STAGES*WITH+:WITH];
    wire [SUM-1:0]   last_u = us[STAGES*SUM+:SUM];
    wire [SUM-1:0]   last_v = vs[STAGES*SUM+:SUM];
    wire [SUM-1:0]   last_left = lefts[STAGES*SUM+:SUM];
    wire [COUNT-1:0] last_count = counts[STAGES*COUNT+:COUNT];
    wire             analog = last_with[ANALOG_PLACE];
    wire [1:0]       reset = last_with[RESET_PLACE+:2];
    wire             fires = !analog && last_count != {COUNT{1'b0}};
    wire [SUM-1:0]   after = !fires ? last_v
                             : reset == 2'd1 ? {SUM{1'b0}}
                             : reset == 2'd2 ? last_left
                             : last_v;
    wire [SUM-1:0]   amount = {{SUM - COUNT{1'b0}}, last_count};
    wire [PAUSE-1:0] pause = last_with[PAUSE_PLACE+:PAUSE];
    wire             paused = pause != {PAUSE{1'b0}};

    assign done = last_valid;
    assign done_index = last_with[0+:INDEX];
    assign done_u = last_u;
    assign done_v = after[V-1:0];
    assign sends = last_valid && last_with[INDEX] && (analog || fires);
    assign done_sent = analog ? last_v : amount;
    assign sent = done_sent[SENT-1:0];

    wire unused = &{1'b0, after, withs, us, vs, lefts, counts, paused};

    assign new_state[V-1:0] = after[V-1:0];
    generate
        if (FILTER) begin : g_keep_u
            assign new_state[STATE_U+:U] = last_u[U-1:0];
        end
        if (DELAYED) begin : g_keep_sent
            assign new_state[STATE_SENT+:COUNT] = paused ? last_with[SENT_PLACE+:COUNT]
                                                         : last_count;
        end
        if (REFRACTORY > 0) begin : g_keep_pause
            assign new_state[STATE_PAUSE+:PAUSE] = fires ? last_with[PERIOD_PLACE+:PAUSE]
                                                   : paused ? pause - 1'b1
                                                   : {PAUSE{1'b0}};
        end
    endgenerate

    assign busy = scanning || valid1 || valid2 || valid3 || valid4 || valid5 || valid6
        || valids != {STAGES + 1{1'b0}};
endmodule
