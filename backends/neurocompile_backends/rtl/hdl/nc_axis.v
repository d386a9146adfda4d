// The host's words over two AXI4-Streams: one word a beat, one sample a packet.
//
// In: a beat is a word of nc_top, TDATA padded to whole bytes. TLAST ends a packet and comes with the
// END of a sample, or with the last LOAD or WRITE of a packet that holds no sample. Several samples
// may share a packet. A packet that ends within a sample ends that sample too, as if an END followed:
// nothing of it reaches the next one, and its results still come, with TLAST.
//
// Out: a beat is 64 bits, from bit 0 the value (32), axon (30), aborted, end; TLAST comes with the end
// of the last step of a sample, so that a packet is the answer to one sample.
//
// The chip would wait forever at a word for which it is not the time, and for a core that does not
// exist. Such words are dropped, and so is a beat of which TKEEP leaves bytes out: each is a fault, of
// which whoever reads fault is told. Faults stop nothing.
//
// clear resets the chip, at any time, and keeps both streams whole. Of a packet that was coming in
// the rest is dropped, up to its TLAST (draining); if that will never come a second clear ends this.
// A packet that was going out is closed by a beat that says aborted. What is offered stays offered.
module nc_axis #(
    parameter WORD = 20,        // bits of a word in nc_top
    parameter IN_BYTES = 4,
    parameter CORES = 1,
    parameter PLACE = 1,
    parameter AXON = 10,
    parameter LOG2_FIFO = 1     // of nc_control, towards the host
) (
    input                   clk,
    input                   rst,
    // Streams.
    input                   s_axis_tvalid,
    output                  s_axis_tready,
    input  [IN_BYTES*8-1:0] s_axis_tdata,
    input  [IN_BYTES-1:0]   s_axis_tkeep,
    input                   s_axis_tlast,
    output                  m_axis_tvalid,
    input                   m_axis_tready,
    output [63:0]           m_axis_tdata,
    output [7:0]            m_axis_tkeep,
    output                  m_axis_tlast,
    // nc_top.
    output                  chip_rst,
    output                  host_valid,
    input                   host_ready,
    output [WORD-1:0]       host_word,
    input                   out_valid,
    output                  out_ready,
    input                   out_end,
    input  [AXON-1:0]       out_axon,
    input  [31:0]           out_value,
    // Control, and what goes on.
    input                   enable,     // take beats
    input                   clear,      // for a cycle
    output reg              running,    // a sample is open: from its first STEP to its END
    output                  busy,       // something that came has not gone out yet
    output reg              draining,
    output [3:0]            fault,      // for a cycle: cut off, misplaced, no such core, TKEEP
    // For a cycle each: what is counted.
    output                  did_step,   // a step ended
    output                  did_sample,
    output                  did_flit,
    output                  did_send,   // a beat went out
    output                  starved,    // a sample is open, and there is no word for the chip
    output                  blocked     // a beat is offered, and not taken
);
    localparam [2:0] FLIT = 3'd0, STEP = 3'd1, END = 3'd2, LOAD = 3'd3, WRITE = 3'd4;
    localparam LAST_CORE = CORES - 1;

    // ---- Reset, for as long as the pipelines of the cores are deep.

    reg [3:0] resetting;
    assign chip_rst = resetting != 4'd0;
    always @(posedge clk) begin
        if (rst || clear) resetting <= 4'd15;
        else if (chip_rst) resetting <= resetting - 1'b1;
    end

    // ---- Beats in.

    reg             packet;  // is coming in: its TLAST has not come
    wire            room;
    wire            beat = s_axis_tvalid && s_axis_tready;
    wire            packet_next = beat ? !s_axis_tlast : packet;
    wire            head_valid;
    wire            head_ready;
    wire            head_last;
    wire            head_whole;
    wire [WORD-1:0] head;

    assign s_axis_tready = draining || (enable && room && !chip_rst);

    always @(posedge clk) begin
        packet <= packet_next && !(clear && draining);
        if (clear) draining <= packet_next && !draining;
        else if (beat && s_axis_tlast) draining <= 1'b0;
        if (rst) begin
            packet <= 1'b0;
            draining <= 1'b0;
        end
    end

    nc_fifo #(
        .WIDTH(2 + WORD), .LOG2_DEPTH(1)
    ) beats_in (
        .clk(clk), .rst(chip_rst),
        .in_valid(beat && !draining), .in_ready(room),
        .in_data({s_axis_tlast, &s_axis_tkeep, s_axis_tdata[WORD-1:0]}),
        .out_valid(head_valid), .out_ready(head_ready), .out_data({head_last, head_whole, head})
    );

    // ---- Words for the chip.

    reg              closing;  // an END is owed
    wire [2:0]       kind = head[2:0];
    wire [PLACE-1:0] place = head[3+:PLACE];
    wire             mark = kind == STEP || kind == END;
    wire             early = kind == LOAD || kind == WRITE;
    wire             misplaced = !mark && !(early && !running) && !(kind == FLIT && running);
    wire             nowhere = !mark && place > LAST_CORE[PLACE-1:0];
    wire             good = head_whole && !misplaced && !nowhere;
    wire             take = head_valid && head_ready;

    assign head_ready = !chip_rst && !closing && (host_ready || !good);
    assign host_valid = !chip_rst && (closing || (head_valid && good));
    assign host_word = closing ? {{WORD - 3{1'b0}}, END} : head;

    wire given = host_valid && host_ready;
    wire step = given && host_word[2:0] == STEP;
    wire finish = given && host_word[2:0] == END;
    wire running_next = step || (running && !finish);
    wire cut = take && head_last && running_next;

    always @(posedge clk) begin
        running <= running_next;
        if (cut) closing <= 1'b1;
        else if (finish) closing <= 1'b0;
        if (rst || clear) begin
            running <= 1'b0;
            closing <= 1'b0;
        end
    end

    assign fault = {take && !head_whole, take && head_whole && !misplaced && nowhere,
                    take && head_whole && misplaced, cut};

    // ---- Beats out. The chip's word for the end of a step does not say whether it is the last of a
    // sample: that is what made the step end, STEP or END, and waits here until the word comes.

    wire turn = running && (step || finish);
    wire last;
    wire unused_room;
    wire unused_valid;
    wire put = out_valid && out_ready;

    nc_fifo #(
        .WIDTH(1), .LOG2_DEPTH(LOG2_FIFO)
    ) ends (
        .clk(clk), .rst(chip_rst),
        .in_valid(turn), .in_ready(unused_room), .in_data(finish),
        .out_valid(unused_valid), .out_ready(put && out_end), .out_data(last)
    );

    reg  aborting;  // a beat is owed that closes the packet
    wire out_room;
    wire out_last = aborting || (out_end && last);

    assign out_ready = out_room && !aborting && !chip_rst;

    nc_fifo #(
        .WIDTH(35 + AXON), .LOG2_DEPTH(1)
    ) beats_out (
        .clk(clk), .rst(rst),
        .in_valid(put || aborting), .in_ready(out_room),
        .in_data({out_last, aborting || out_end, aborting, aborting ? {AXON{1'b0}} : out_axon,
                  aborting ? 32'd0 : out_value}),
        .out_valid(m_axis_tvalid), .out_ready(m_axis_tready),
        .out_data({m_axis_tlast, m_axis_tdata[63:62], m_axis_tdata[32+:AXON], m_axis_tdata[31:0]})
    );
    generate
        if (AXON < 30) begin : g_pad
            assign m_axis_tdata[61:32+AXON] = {30 - AXON{1'b0}};
        end
    endgenerate
    assign m_axis_tkeep = 8'hff;

    // A packet is open from its first beat to its last.
    reg  sending;
    wire closed = aborting && out_room;
    wire sending_next = put ? !out_last : sending && !closed;

    always @(posedge clk) begin
        sending <= sending_next;
        aborting <= (clear && sending_next) || (aborting && !closed);
        if (rst) begin
            sending <= 1'b0;
            aborting <= 1'b0;
        end
    end

    // ---- What goes on.

    assign busy = chip_rst || running || head_valid || out_valid || aborting || m_axis_tvalid;
    assign did_step = turn;
    assign did_sample = turn && finish;
    assign did_flit = given && host_word[2:0] == FLIT;
    assign did_send = m_axis_tvalid && m_axis_tready;
    assign starved = running && !host_valid;
    assign blocked = m_axis_tvalid && !m_axis_tready;

    wire unused = &{1'b0, unused_room, unused_valid, s_axis_tdata};
endmodule
