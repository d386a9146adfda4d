// nc_control: a step begins when nothing is left of the one before, its end follows all of its flits
// to the host and comes before any of the next, and no word in or out is lost, whoever stalls.
module control #(
    parameter STEP = 2,
    parameter AXON = 2,
    parameter PAYLOAD = 2,
    parameter LOG2_FIFO = 1
) (
    input               clk,
    input               rst,
    input               host_valid,
    input [2:0]         host_kind,
    input               flit_ready,
    input               busy,
    input               in_valid,
    input [AXON-1:0]    in_axon,
    input [PAYLOAD-1:0] in_payload,
    input               out_ready,
    input               follow
);
    localparam DEPTH = 1 << LOG2_FIFO;
    localparam [2:0] FLIT = 0, STEP_WORD = 1, END = 2, LOAD = 3, WRITE = 4;

    wire            host_ready, flit_valid, load, write, start, restart, in_ready, out_valid, out_end;
    wire [STEP-1:0] step;
    wire [AXON-1:0] out_axon;
    wire [31:0]     out_value;

    nc_control #(.STEP(STEP), .AXON(AXON), .PAYLOAD(PAYLOAD), .LOG2_FIFO(LOG2_FIFO)) dut (
        .clk(clk), .rst(rst), .host_valid(host_valid), .host_ready(host_ready),
        .host_kind(host_kind), .flit_valid(flit_valid), .flit_ready(flit_ready), .load(load),
        .write(write), .busy(busy), .start(start), .restart(restart), .step(step),
        .in_valid(in_valid), .in_ready(in_ready), .in_axon(in_axon), .in_payload(in_payload),
        .out_valid(out_valid), .out_ready(out_ready), .out_end(out_end), .out_axon(out_axon),
        .out_value(out_value)
    );

    // ---- What the host's words mean.

    reg            begun = 1'b0;
    reg            in_step;      // a STEP was taken, and no END since
    reg            sample_new;   // the next step is the first
    reg [STEP-1:0] number;
    reg [31:0]     age;          // cycles since start
    reg            step_taken;   // in the cycle before
    reg            end_taken;
    reg            was_busy;

    wire taken = host_valid && host_ready;
    wire turn = taken && (host_kind == STEP_WORD || host_kind == END);
    wire closes = turn && in_step;  // the step is over
    wire arrives = in_valid && in_ready;

    always @(posedge clk) begin
        begun <= 1'b1;
        step_taken <= taken && host_kind == STEP_WORD && !rst;
        end_taken <= taken && host_kind == END && !rst;
        was_busy <= busy || in_valid;
        age <= start ? 1 : age + 1;
        if (turn) in_step <= host_kind == STEP_WORD;
        if (start) begin
            number <= sample_new ? 0 : number == {STEP{1'b1}} ? number : number + 1'b1;
            sample_new <= 1'b0;
        end
        if (restart) sample_new <= 1'b1;
        if (rst) begin
            in_step <= 1'b0;
            sample_new <= 1'b1;
        end
    end

    // ---- Words to the host: one is followed; ends that came before it are counted on both sides.

    wire put = arrives || closes;
    wire take = out_valid && out_ready;
    wire [AXON+32:0] what = closes ? {1'b1, {AXON{1'b0}}, age + 32'd1}
        : {1'b0, in_axon, {{32 - PAYLOAD{PAYLOAD > 1 && in_payload[PAYLOAD-1]}}, in_payload}};

    reg [LOG2_FIFO:0] held;
    reg               following;
    reg [LOG2_FIFO:0] ahead;
    reg [AXON+32:0]   followed;
    reg [2:0]         step_in;   // ends that went in, and came out, modulo 8
    reg [2:0]         step_out;
    reg [2:0]         step_of;   // the followed word's
    reg               waited;
    reg [AXON+32:0]   offered;

    always @(posedge clk) begin
        held <= held + put - take;
        waited <= out_valid && !out_ready;
        offered <= {out_end, out_axon, out_value};
        if (closes) step_in <= step_in + 1'b1;
        if (take && out_end) step_out <= step_out + 1'b1;
        if (following && take) begin
            ahead <= ahead - 1'b1;
            if (ahead == 0) following <= 1'b0;
        end
        if (put && follow && !following) begin
            following <= 1'b1;
            ahead <= held - take;
            followed <= what;
            step_of <= step_in;
        end
        if (rst) begin
            held <= 0;
            following <= 1'b0;
            step_in <= 0;
            step_out <= 0;
            waited <= 1'b0;
        end
    end

    always @(posedge clk) if (!begun) assume (rst);

    // The claims.
    always @(posedge clk) if (begun) begin
        // A step begins exactly where its word was taken, when nothing was left to do.
        assert (start == step_taken && restart == end_taken);
        if (start || restart) assert (!was_busy);
        if (start || restart) assert (!turn);
        if (turn) assert (!busy && !in_valid && !start && !restart);
        // Every word has its one effect, and none is taken without.
        assert (flit_valid == (host_valid && host_kind == FLIT && in_step));
        assert (load == (host_valid && host_kind == LOAD && !in_step));
        assert (write == (host_valid && host_kind == WRITE && !in_step));
        if (host_valid) assert (host_ready == ((flit_valid && flit_ready) || load || write || turn));
        if (host_valid && host_kind > WRITE) assert (!host_ready);
        // It waits no longer than that: nothing is left, and there is room for the end.
        if (host_valid && (host_kind == STEP_WORD || host_kind == END) && !busy && !in_valid
            && !start && !restart && held < DEPTH) assert (turn);
        // The number of the step, from the cycle after start on.
        if (!start && !sample_new) assert (step == number);
        // Nothing is lost on its way to the host, and it comes in order.
        assert (in_ready == (held < DEPTH));
        assert (out_valid == (held != 0));
        if (put) assert (held < DEPTH);
        assert (!(arrives && closes));
        if (waited) assert (out_valid && {out_end, out_axon, out_value} == offered);
        if (following && take && ahead == 0) begin
            assert (out_end == followed[AXON+32]);
            assert (out_value == followed[31:0]);
            if (!out_end) assert (out_axon == followed[32+:AXON]);
            assert (step_out == step_of);  // as many ends are before it as there were
        end
    end

`ifndef CLAIMS
    // Why they hold.
    (* hierconn *) wire                 \dut.running ;
    (* hierconn *) wire                 \dut.first ;
    (* hierconn *) wire [31:0]          \dut.cycles ;
    (* hierconn *) wire [LOG2_FIFO:0]   \dut.fifo.count ;
    (* hierconn *) wire [LOG2_FIFO-1:0] \dut.fifo.head ;
    (* hierconn *) wire [LOG2_FIFO-1:0] \dut.fifo.tail ;
    (* hierconn *) wire [AXON+32:0]     \dut.fifo.mem[0] ;
    (* hierconn *) wire [AXON+32:0]     \dut.fifo.mem[1] ;
    wire [AXON+32:0] at_head = \dut.fifo.head ? \dut.fifo.mem[1] : \dut.fifo.mem[0] ;
    wire [AXON+32:0] behind = \dut.fifo.head ? \dut.fifo.mem[0] : \dut.fifo.mem[1] ;
    wire [AXON+32:0] stored = ahead == 0 ? at_head : behind;
    wire             head_ends = held != 0 && at_head[AXON+32];
    wire             next_ends = held == 2 && behind[AXON+32];
    reg              counting = 1'b0;  // since the first start
    always @(posedge clk) begin
        if (start) counting <= 1'b1;
        if (rst) counting <= 1'b0;
        if (begun) begin
            assert (\dut.running == in_step && \dut.first == sample_new);
            if (counting) assert (\dut.cycles == age + 1);
            if (in_step && !start) assert (counting && !sample_new);
            if (sample_new && !start) assert (!in_step);
            if (start) assert (in_step);
            assert (\dut.fifo.count == held && held <= DEPTH);
            assert (\dut.fifo.tail == \dut.fifo.head + held[LOG2_FIFO-1:0]);
            assert (step_in == step_out + head_ends + next_ends);
            if (following) begin
                assert (ahead < held);
                assert (stored[AXON+32] == followed[AXON+32] && stored[31:0] == followed[31:0]);
                if (!stored[AXON+32]) assert (stored[32+:AXON] == followed[32+:AXON]);
                assert (step_of == step_out + (ahead == 1 && head_ends));
            end
        end
    end
`endif
endmodule
