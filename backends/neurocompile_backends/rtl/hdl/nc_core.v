// A core: the synapses and neurons of some populations.
//
// A step has two halves that overlap with those of other cores. First the neurons are updated, one
// a cycle, from the sums of this step; their spikes are queued. Then flits, its own among them, add
// to the sums of later steps. start begins a step; the core is idle when nothing of it is left.
module nc_core #(
    parameter CORE = 0,  // its number, for those who watch it
    parameter LANES = 8,
    parameter LANE = 3,
    parameter ROWS = 2,
    parameter SLOTS = 1,       // of the delay ring
    parameter INDEX = 4,
    parameter ADDR = 1,
    parameter ACC = 16,
    parameter AXON = 10,
    parameter AXONS = 1024,
    parameter PAYLOAD = 1,
    parameter LOG2_FIFO = 2,
    // Synapses: as in nc_synapses.
    parameter LEVELS = 1,
    parameter COUNTER = 5,
    parameter WORD = 14,
    parameter AXON_RECORD = 15,
    parameter FORMAT_BITS = 1,
    parameter ROW_BITS = 0,
    parameter X_BITS = 0,
    parameter Y_BITS = 0,
    parameter LATE_BITS = 0,
    parameter AXON_RECORDS = "",
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
    parameter [FORMATS*24-1:0] F_SHIFT = 0,
    parameter SHIFTS = 0,
    parameter [FORMATS-1:0] F_SPARSE = 0,
    parameter [FORMATS-1:0] F_PAD = 0,
    parameter DENSE_WORDS = 1,
    parameter DENSE_BITS = 8,
    parameter DENSE_INIT = "",
    parameter SPRAM = 0,
    parameter LOG2_BANK = 0,
    parameter SPARSE_WORDS = 0,
    parameter SPARSE_BITS = 8,
    parameter SPARSE_INIT = "",
    parameter WEIGHT = 8,
    parameter PRODUCT = 8,
    // Neurons: as in nc_neurons.
    parameter SHIFT = 6,
    parameter U = 24,
    parameter V = 24,
    parameter SUM = 26,
    parameter U_LIMIT = 0,
    parameter V_LIMIT = 0,
    parameter FILTER = 1,
    parameter DELAYED = 0,
    parameter REFRACTORY = 0,
    parameter COUNT = 1,
    parameter SENT = 1,
    parameter CARRIED = 1,     // bits of what any flit of the chip carries
    parameter STEP = 1,
    parameter LOADED = 0,
    parameter BIASES = "",
    parameter VALUE = 1,
    parameter NEURON_RECORD = 1,
    parameter NEURON_RECORDS = "",
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
    parameter START_BITS = 0, parameter START_AT = 0, parameter START = 0,
    // Sending: as in nc_sender.
    parameter OUT = 4,
    parameter OUTS = 16,
    parameter FAN = 1,
    parameter FLIT = 8,
    parameter OUT_FIRSTS = "",
    parameter OUT_AXONS = ""
) (
    input                clk,
    input                rst,
    input                start,
    input                restart,     // forget everything: the next step is the first
    input  [STEP-1:0]    step,
    input                load,        // a bias, between samples
    input                write,       // 16 bits of synaptic memory, before the first step
    input  [15:0]        write_data,
    input  [INDEX-1:0]   load_index,
    input  [VALUE-1:0]   load_value,
    input                in_valid,
    output               in_ready,
    input  [AXON-1:0]    in_axon,
    input  [PAYLOAD-1:0] in_payload,
    output               out_valid,
    input                out_ready,
    output [FLIT-1:0]    out_flit,
    output [CARRIED-1:0] out_sent,
    output               busy
);
    localparam SIZE = SLOTS * ROWS;
    localparam LAST = SIZE - 1;
    localparam LAST_SLOT = SIZE - ROWS;

    // ---- The slot of the ring that this step reads.

    reg [ADDR-1:0] now;
    always @(posedge clk) begin
        if (rst || restart) now <= LAST_SLOT[ADDR-1:0];
        else if (start) now <= next;
    end
    wire [ADDR-1:0] next = now == LAST_SLOT[ADDR-1:0] ? {ADDR{1'b0}} : now + ROWS[ADDR-1:0];

    // Neurons see the new slot when they begin, one cycle after start.
    reg begin_;
    always @(posedge clk) begin_ <= start && !rst;

    // ---- After reset and between samples all sums are cleared.

    reg            wiping;
    reg [ADDR-1:0] wipe;
    always @(posedge clk) begin
        if (rst || restart) begin
            wiping <= 1'b1;
            wipe <= {ADDR{1'b0}};
        end else if (wiping) begin
            wiping <= wipe != LAST[ADDR-1:0];
            wipe <= wipe + 1'b1;
        end
    end

    // ---- Flits in.

    wire               head_valid;
    wire               head_ready;
    wire [AXON-1:0]    head_axon;
    wire [PAYLOAD-1:0] head_payload;

    nc_fifo #(
        .WIDTH(AXON + PAYLOAD), .LOG2_DEPTH(LOG2_FIFO)
    ) fifo (
        .clk(clk), .rst(rst),
        .in_valid(in_valid), .in_ready(in_ready), .in_data({in_payload, in_axon}),
        .out_valid(head_valid), .out_ready(head_ready), .out_data({head_payload, head_axon})
    );

    wire [LANES-1:0]         read;
    wire [LANES*ADDR-1:0]    read_addr;
    wire [LANES-1:0]         add;
    wire [LANES*ADDR-1:0]    add_addr;
    wire [LANES*PRODUCT-1:0] add_value;
    wire                     hold;
    wire                     synapses_idle;

    nc_synapses #(
        .LANES(LANES), .AXON(AXON), .AXONS(AXONS), .PAYLOAD(PAYLOAD), .ADDR(ADDR), .SIZE(SIZE),
        .LATE(SLOTS > 1), .LEVELS(LEVELS), .COUNT(COUNTER), .WORD(WORD), .RECORD(AXON_RECORD),
        .FORMAT_BITS(FORMAT_BITS), .ROW_BITS(ROW_BITS), .X_BITS(X_BITS), .Y_BITS(Y_BITS),
        .LATE_BITS(LATE_BITS), .RECORDS(AXON_RECORDS), .FORMATS(FORMATS), .F_ROW(F_ROW),
        .F_X(F_X), .F_Y(F_Y), .F_B(F_B), .F_LATE(F_LATE), .F_WORD_X(F_WORD_X),
        .F_WORD_Y(F_WORD_Y), .F_WORD_B(F_WORD_B), .F_ROW_X(F_ROW_X), .F_ROW_Y(F_ROW_Y),
        .F_ROW_B(F_ROW_B), .F_SHIFT(F_SHIFT), .SHIFTS(SHIFTS),
        .F_SPARSE(F_SPARSE), .F_PAD(F_PAD), .DENSE_WORDS(DENSE_WORDS),
        .DENSE_BITS(DENSE_BITS), .DENSE_INIT(DENSE_INIT), .SPRAM(SPRAM), .LOG2_BANK(LOG2_BANK),
        .SPARSE_WORDS(SPARSE_WORDS),
        .SPARSE_BITS(SPARSE_BITS), .SPARSE_INIT(SPARSE_INIT), .WEIGHT(WEIGHT), .PRODUCT(PRODUCT)
    ) synapses (
        .clk(clk), .rst(rst),
        .in_valid(head_valid), .in_ready(head_ready), .in_axon(head_axon),
        .in_payload(head_payload),
        .hold(hold || start || wiping), .now(now),
        .read(read), .read_addr(read_addr),
        .add(add), .add_addr(add_addr), .add_value(add_value),
        .idle(synapses_idle), .write(write), .write_data(write_data)
    );

    // ---- Sums.

    wire                  scan;
    wire [ADDR-1:0]       scan_addr;
    wire                  clear;
    wire [ADDR-1:0]       clear_addr;
    wire [LANES*ACC-1:0]  sums;

    nc_accumulators #(
        .LANES(LANES), .ADDR(ADDR), .SIZE(SIZE), .ACC(ACC), .PRODUCT(PRODUCT)
    ) accumulators (
        .clk(clk),
        .read(read), .read_addr(read_addr),
        .add(add), .add_addr(add_addr), .add_value(add_value),
        .scan(scan), .scan_addr(scan_addr),
        .clear(clear || wiping), .clear_addr(wiping ? wipe : clear_addr),
        .sums(sums)
    );

    // ---- Neurons.

    wire             neurons_busy;
    wire             done;
    wire [INDEX-1:0] done_index;
    wire [SUM-1:0]   done_u;
    wire [V-1:0]     done_v;
    wire [SUM-1:0]   done_sent;
    wire             sends;
    wire [SENT-1:0]  sent;

    nc_neurons #(
        .LANES(LANES), .LANE(LANE), .ROWS(ROWS), .INDEX(INDEX), .ADDR(ADDR), .ACC(ACC),
        .SHIFT(SHIFT), .U(U), .V(V), .SUM(SUM), .U_LIMIT(U_LIMIT), .V_LIMIT(V_LIMIT),
        .FILTER(FILTER), .DELAYED(DELAYED), .REFRACTORY(REFRACTORY), .COUNT(COUNT), .SENT(SENT),
        .STEP(STEP),
        .LOADED(LOADED), .BIASES(BIASES), .VALUE(VALUE),
        .RECORD(NEURON_RECORD), .RECORDS(NEURON_RECORDS), .LATE_RECORD(LATE_RECORD),
        .LATE_RECORDS(LATE_RECORDS),
        .VALID_BITS(VALID_BITS), .VALID_AT(VALID_AT),
        .KEEP_U_BITS(KEEP_U_BITS), .KEEP_U_AT(KEEP_U_AT), .KEEP_U(KEEP_U),
        .KEEP_V_BITS(KEEP_V_BITS), .KEEP_V_AT(KEEP_V_AT), .KEEP_V(KEEP_V),
        .THRESHOLD_BITS(THRESHOLD_BITS), .THRESHOLD_AT(THRESHOLD_AT), .THRESHOLD(THRESHOLD),
        .BIAS_BITS(BIAS_BITS), .BIAS_AT(BIAS_AT), .BIAS(BIAS),
        .INITIAL_BITS(INITIAL_BITS), .INITIAL_AT(INITIAL_AT), .INITIAL(INITIAL),
        .RESET_BITS(RESET_BITS), .RESET_AT(RESET_AT), .RESET(RESET),
        .GE_BITS(GE_BITS), .GE_AT(GE_AT), .GE(GE),
        .MOST_BITS(MOST_BITS), .MOST_AT(MOST_AT), .MOST(MOST),
        .ANALOG_BITS(ANALOG_BITS), .ANALOG_AT(ANALOG_AT), .ANALOG(ANALOG),
        .PERIOD_BITS(PERIOD_BITS), .PERIOD_AT(PERIOD_AT), .PERIOD(PERIOD),
        .START_BITS(START_BITS), .START_AT(START_AT), .START(START)
    ) neurons (
        .clk(clk), .rst(rst), .start(begin_), .step(step), .now(now),
        .load(load), .load_index(load_index), .load_value(load_value),
        .hold(hold), .busy(neurons_busy),
        .read(scan), .read_addr(scan_addr), .sums(sums),
        .clear(clear), .clear_addr(clear_addr),
        .done(done), .done_index(done_index), .done_u(done_u), .done_v(done_v),
        .done_sent(done_sent),
        .sends(sends), .sent(sent)
    );

    // ---- Flits out.

    wire            sender_idle;
    wire [SENT-1:0] queued;

    nc_sender #(
        .INDEX(INDEX), .NEURONS(ROWS * LANES), .SENT(SENT), .OUT(OUT), .OUTS(OUTS), .FAN(FAN),
        .FLIT(FLIT), .FIRSTS(OUT_FIRSTS), .AXONS(OUT_AXONS)
    ) sender (
        .clk(clk), .rst(rst),
        .in_valid(sends), .in_index(done_index), .in_sent(sent),
        .out_valid(out_valid), .out_ready(out_ready), .out_flit(out_flit), .out_sent(queued),
        .idle(sender_idle)
    );

    generate
        if (SENT == 1) begin : g_once  // no sign
            assign out_sent = {{CARRIED - 1{1'b0}}, queued};
        end else begin : g_signed
            nc_extend #(.IN(SENT), .OUT(CARRIED)) extend (.in(queued), .out(out_sent));
        end
    endgenerate

    assign busy = start || begin_ || wiping || neurons_busy || !synapses_idle || !sender_idle;

`ifdef NC_PROBE
    // Simulation only: every neuron of every step is shown to whoever verifies.
    nc_probe #(
        .CORE(CORE), .INDEX(INDEX), .SUM(SUM), .V(V)
    ) probe (
        .clk(clk), .done(done), .index(done_index), .u(done_u), .v(done_v),
        .sent(done_sent)
    );
`else
    wire unused = &{1'b0, done, done_u, done_v, done_sent};
`endif
endmodule
