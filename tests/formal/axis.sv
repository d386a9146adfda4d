// nc_axis: every beat that is taken goes to the chip once, as it was and in order, or is told as a
// fault, or belongs to a packet that was cleared; every word of the chip comes out as one beat, as it
// was and in order, with TLAST where the sample ends; a packet that was begun is ended, by one beat
// that says aborted where clear came into it; what is offered stays as it is until it is taken.
//
// One beat each way is followed, any of them.
module axis #(
    parameter WORD = 6,
    parameter PLACE = 1,
    parameter AXON = 2
) (
    input            clk,
    input            rst,
    input            s_valid,
    input [7:0]      s_data,
    input            s_keep,
    input            s_last,
    input            m_ready,
    input            host_ready,
    input            out_valid,
    input            out_end,
    input [AXON-1:0] out_axon,
    input [31:0]     out_value,
    input            enable,
    input            clear,
    input            follow_in,
    input            follow_out
);
    localparam [2:0] FLIT = 0, STEP = 1, END = 2, LOAD = 3, WRITE = 4;

    wire            s_ready, m_valid, m_last, chip_rst, host_valid, out_ready;
    wire            running, busy, draining, did_step, did_sample, did_flit, did_send, starved, blocked;
    wire [63:0]     m_data;
    wire [7:0]      m_keep;
    wire [WORD-1:0] host_word;
    wire [3:0]      fault;

    // One core, of two that a word could name; ends of two steps on their way.
    nc_axis #(
        .WORD(WORD), .IN_BYTES(1), .CORES(1), .PLACE(PLACE), .AXON(AXON), .LOG2_FIFO(1)
    ) dut (
        .clk(clk), .rst(rst), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready),
        .s_axis_tdata(s_data), .s_axis_tkeep(s_keep), .s_axis_tlast(s_last),
        .m_axis_tvalid(m_valid), .m_axis_tready(m_ready), .m_axis_tdata(m_data),
        .m_axis_tkeep(m_keep), .m_axis_tlast(m_last), .chip_rst(chip_rst),
        .host_valid(host_valid), .host_ready(host_ready), .host_word(host_word),
        .out_valid(out_valid), .out_ready(out_ready), .out_end(out_end), .out_axon(out_axon),
        .out_value(out_value), .enable(enable), .clear(clear), .running(running), .busy(busy),
        .draining(draining), .fault(fault), .did_step(did_step), .did_sample(did_sample),
        .did_flit(did_flit), .did_send(did_send), .starved(starved), .blocked(blocked)
    );

    reg       begun = 1'b0;
    reg [3:0] quiet;  // cycles for which the chip must be in reset
    wire      restarts = rst || clear;

    // ---- Beats in, to the chip.

    reg             drops;   // the rest of a packet
    reg             packet;
    reg             open;    // a sample: from its STEP to its END
    reg             owed;    // an END
    reg [1:0]       held;
    reg             following;
    reg [1:0]       ahead;
    reg [WORD+1:0]  followed;

    wire            beat = s_valid && s_ready;
    wire            packet_next = beat ? !s_last : packet;
    wire            comes = beat && !drops && quiet == 0;
    wire            given = host_valid && host_ready;
    wire            leaves = (given && !owed) || fault[3:1] != 0;
    wire            oldest = following && ahead == 0;

    wire [WORD-1:0] word = followed[WORD-1:0];
    wire [2:0]      kind = word[2:0];
    wire            whole = followed[WORD];
    wire            timely = kind == STEP || kind == END || (kind == FLIT && open)
                        || ((kind == LOAD || kind == WRITE) && !open);
    wire            exists = kind == STEP || kind == END || word[3+:PLACE] == 0;
    wire            good = whole && timely && exists;
    wire            open_next = given ? host_word[2:0] == STEP || (open && host_word[2:0] != END)
                                      : open;

    // ---- Ends of steps: whether each is the last of its sample.

    wire       turn = given && open && (host_word[2:0] == STEP || host_word[2:0] == END);
    wire       put = out_valid && out_ready;
    reg  [1:0] ends;
    reg        end0, end1;  // the oldest first
    wire [1:0] ends_left = ends - (put && out_end);
    wire       older = put && out_end ? end1 : end0;

    // ---- Words of the chip, to beats out.

    reg                sends;   // a packet is open
    reg                aborts;  // and is to be closed
    reg [1:0]          waiting;
    reg                watching;
    reg [1:0]          before;
    reg [34+AXON:0]    watched;
    reg                was_offered;
    reg [34+AXON:0]    offered;
    reg                was_given;
    reg [WORD-1:0]     was_word;

    wire               closes = aborts && waiting != 2;
    wire               pushes = put || closes;
    wire [34+AXON:0]   pushed = aborts ? {3'b111, {AXON{1'b0}}, 32'd0}
                                       : {out_end && end0, out_end, 1'b0, out_axon, out_value};
    wire [34+AXON:0]   shown = {m_last, m_data[63:62], m_data[32+:AXON], m_data[31:0]};
    wire               take = m_valid && m_ready;
    wire               sends_next = pushes ? !pushed[34+AXON] : sends;

    always @(posedge clk) begin
        begun <= 1'b1;
        if (restarts) quiet <= 15;
        else if (quiet != 0) quiet <= quiet - 1'b1;

        packet <= packet_next && !(clear && drops);
        if (clear) drops <= packet_next && !drops;
        else if (beat && s_last) drops <= 1'b0;

        held <= held + comes - leaves;
        if (following && leaves) begin
            ahead <= ahead - 1'b1;
            if (ahead == 0) following <= 1'b0;
        end
        if (comes && follow_in && !following) begin
            following <= 1'b1;
            ahead <= held - leaves;
            followed <= {s_last, s_keep, s_data[WORD-1:0]};
        end
        open <= open_next;
        if (fault[0]) owed <= 1'b1;
        else if (given && host_word[2:0] == END) owed <= 1'b0;

        ends <= ends_left + turn;
        end0 <= turn && ends_left == 0 ? host_word[2:0] == END : older;
        if (turn && ends_left == 1) end1 <= host_word[2:0] == END;

        sends <= sends_next;
        aborts <= (clear && sends_next) || (aborts && !closes);
        waiting <= waiting + pushes - take;
        if (watching && take) begin
            before <= before - 1'b1;
            if (before == 0) watching <= 1'b0;
        end
        if (pushes && follow_out && !watching) begin
            watching <= 1'b1;
            before <= waiting - take;
            watched <= pushed;
        end

        was_offered <= m_valid && !m_ready;
        offered <= shown;
        was_given <= host_valid && !host_ready;
        was_word <= host_word;

        if (restarts) begin
            held <= 0;
            following <= 1'b0;
            open <= 1'b0;
            owed <= 1'b0;
            ends <= 0;
            was_given <= 1'b0;
        end
        if (rst) begin
            packet <= 1'b0;
            drops <= 1'b0;
            sends <= 1'b0;
            aborts <= 1'b0;
            waiting <= 0;
            watching <= 1'b0;
            was_offered <= 1'b0;
        end
    end

    // What nc_control promises: an end for each step that a STEP or an END closed, and no such word
    // is taken while its FIFO, whose depth LOG2_FIFO is, holds the ends of two.
    always @(posedge clk) begin
        if (!begun) assume (rst);
        if (put && out_end) assume (ends != 0);
        if (turn) assume (ends != 2);
    end

    // The claims.
    always @(posedge clk) if (begun) begin
        assert (chip_rst == (quiet != 0));
        if (chip_rst) assert (!host_valid && !out_ready && (!s_ready || drops));
        // In.
        assert (draining == drops && running == open);
        assert (s_ready == (drops || (enable && held != 2 && quiet == 0)));
        if (host_valid && !owed) assert (held != 0);
        if (fault != 0) assert (held != 0 && !owed && quiet == 0);
        if (owed && quiet == 0) assert (host_valid);
        if (host_valid && owed) assert (host_word == END);     // invented where it is owed only
        if (held != 0 && !owed && quiet == 0 && host_ready) assert (leaves);
        if (was_given) assert (host_valid && host_word == was_word);
        if (given) assert (fault[3:1] == 0);
        if (oldest && !owed && quiet == 0) begin
            assert (host_valid == good);
            if (host_valid) assert (host_word == word);
            assert (fault[3] == !whole);
            assert (fault[2] == (whole && timely && !exists));
            assert (fault[1] == (whole && !timely));
            assert (fault[0] == (leaves && followed[WORD+1] && open_next));
        end
        // Out.
        assert (waiting <= 2 && m_valid == (waiting != 0));    // none lost, none invented
        assert (out_ready == (waiting != 2 && !aborts && quiet == 0));
        if (m_valid && watching && before == 0) assert (shown == watched);
        if (was_offered) assert (m_valid && shown == offered); // also where clear came
        assert (m_keep == 8'hff && m_data[61:32+AXON] == 0);
        // What is told.
        if (!busy) assert (held == 0 && waiting == 0 && !aborts && !open && quiet == 0);
        if (busy) assert (held != 0 || waiting != 0 || aborts || open || quiet != 0 || out_valid);
        assert (did_step == turn && did_sample == (turn && host_word[2:0] == END));
        assert (did_flit == (given && host_word[2:0] == FLIT) && did_send == take);
        assert (starved == (open && !host_valid) && blocked == (m_valid && !m_ready));
    end

`ifndef CLAIMS
    // Why they hold.
    (* hierconn *) wire [1:0]       \dut.beats_in.count ;
    (* hierconn *) wire             \dut.beats_in.head ;
    (* hierconn *) wire             \dut.beats_in.tail ;
    (* hierconn *) wire [WORD+1:0]  \dut.beats_in.mem[0] ;
    (* hierconn *) wire [WORD+1:0]  \dut.beats_in.mem[1] ;
    (* hierconn *) wire [1:0]       \dut.ends.count ;
    (* hierconn *) wire             \dut.ends.head ;
    (* hierconn *) wire             \dut.ends.tail ;
    (* hierconn *) wire             \dut.ends.mem[0] ;
    (* hierconn *) wire             \dut.ends.mem[1] ;
    (* hierconn *) wire [1:0]       \dut.beats_out.count ;
    (* hierconn *) wire             \dut.beats_out.head ;
    (* hierconn *) wire             \dut.beats_out.tail ;
    (* hierconn *) wire [34+AXON:0] \dut.beats_out.mem[0] ;
    (* hierconn *) wire [34+AXON:0] \dut.beats_out.mem[1] ;
    (* hierconn *) wire             \dut.packet ;
    (* hierconn *) wire             \dut.closing ;
    (* hierconn *) wire             \dut.sending ;
    (* hierconn *) wire             \dut.aborting ;
    (* hierconn *) wire [3:0]       \dut.resetting ;
    wire in_at = \dut.beats_in.head ^ ahead[0];
    wire out_at = \dut.beats_out.head ^ before[0];
    wire [WORD+1:0]  in_mem = in_at ? \dut.beats_in.mem[1] : \dut.beats_in.mem[0] ;
    wire [34+AXON:0] out_mem = out_at ? \dut.beats_out.mem[1] : \dut.beats_out.mem[0] ;
    wire first_end = \dut.ends.head ? \dut.ends.mem[1] : \dut.ends.mem[0] ;
    wire second_end = \dut.ends.head ? \dut.ends.mem[0] : \dut.ends.mem[1] ;
    always @(posedge clk) if (begun) begin
        assert (\dut.resetting == quiet && \dut.packet == packet);
        assert (\dut.sending == sends && \dut.aborting == aborts && \dut.closing == owed);
        // In the first cycle of the chip's reset its FIFOs are not yet empty.
        if (quiet != 15) begin
            assert (\dut.beats_in.count == held && held <= 2);
            assert (\dut.beats_in.tail == (\dut.beats_in.head ^ held[0]));
            assert (\dut.ends.count == ends && ends <= 2);
            assert (\dut.ends.tail == (\dut.ends.head ^ ends[0]));
        end
        if (quiet != 0) assert (held == 0 && ends == 0 && !open && !owed);
        if (owed) assert (open);
        if (following) assert (ahead < held && in_mem == followed);
        if (ends != 0) assert (first_end == end0);
        if (ends == 2) assert (second_end == end1);
        assert (\dut.beats_out.count == waiting);
        assert (\dut.beats_out.tail == (\dut.beats_out.head ^ waiting[0]));
        if (watching) assert (before < waiting && out_mem == watched);
        if (aborts) assert (sends);
    end
`endif
endmodule
