// The host's words over bytes.
//
// A word is cut into groups of 7 bits, the lowest first, one a byte. Bit 7 marks the first byte of a
// word, so where a word begins never depends on what was before it, and a byte too few or too many
// is found. How many bytes follow is known from the first, which has the kind of the word. Words
// whose number nobody knows beforehand have two or more: none can vanish with a single byte.
//
//   from the host                                       bytes
//   0 FLIT     as in nc_top, up to its payload           FLIT_BYTES
//   1 STEP, 2 END                                        1
//   3 LOAD, 4 WRITE  as in nc_top                        WORD_BYTES
//   6 NOTHING  a filler, where a link cannot rest        1
//   7 RESET    tag (4)                                   1
//
//   to the host, kind (2) first
//   0 FLIT     axon (AXON), payload (PAYLOAD)            as many as it takes, at least 2
//   1 END      cycles (32)                               5
//   2 STATUS   0 nothing, 1 credit, 2 fault (5)          1
//   3 HELLO    the tag of RESET (4), ID (32)             6
//
// Bytes wait in a queue of 2**LOG2_BUFFER. The host starts with that many credits after RESET, spends
// one for each byte but NOTHING, and gets half of them back with every credit word. It need not know
// how long a step takes, and no byte is ever without room.
//
// RESET works at once, whatever waits before it: the chip is reset, the queue emptied, and the host
// is greeted. Until the first RESET, and after a fault, everything else is thrown away. A fault is
// whatever would lose or invent a word: a broken byte, a word that is too short, bytes outside of
// words, a kind that does not exist, a byte for which there is no room.
module nc_host_link #(
    parameter WORD = 20,        // bits of a word in nc_top
    parameter FLIT_BYTES = 3,
    parameter WORD_BYTES = 3,
    parameter AXON = 10,
    parameter PAYLOAD = 1,
    parameter LOG2_BUFFER = 9
) (
    input             clk,
    input             rst,
    input  [31:0]     id,           // of the network, so that the host knows whom it talks to
    // Bytes from the host, one after the other in no less than 16 cycles.
    input             byte_valid,
    input  [7:0]      byte_data,
    input             byte_broken,
    // Bytes to the host.
    output            send_valid,
    input             send_ready,
    output [7:0]      send_data,
    // nc_top.
    output            chip_rst,
    output            host_valid,
    input             host_ready,
    output [WORD-1:0] host_word,
    input             out_valid,
    output            out_ready,
    input             out_end,
    input  [AXON-1:0] out_axon,
    input  [31:0]     out_value,
    output reg        listening
);
    localparam [2:0] FLIT = 3'd0, STEP = 3'd1, END = 3'd2, LOAD = 3'd3, WRITE = 3'd4,
                     NOTHING = 3'd6, RESET = 3'd7;
    localparam [1:0] SEND_FLIT = 2'd0, SEND_END = 2'd1, SEND_STATUS = 2'd2, SEND_HELLO = 2'd3;
    localparam [4:0] CREDIT = 5'd1, FAULT = 5'd2;

    // ---- RESET.

    wire [2:0] byte_kind = byte_data[2:0];
    wire reset = byte_valid && byte_data[7] && byte_kind == RESET;
    wire nothing = byte_data[7] && byte_kind == NOTHING;
    wire clear = rst || reset;
    reg [3:0] tag;
    reg [3:0] resetting;  // for as long as the pipelines of the cores are deep

    assign chip_rst = resetting != 4'd0;

    always @(posedge clk) begin
        if (clear) resetting <= 4'd15;
        else if (chip_rst) resetting <= resetting - 1'b1;
        if (reset) tag <= byte_data[6:3];
    end

    // ---- Bytes in.

    wire       put = byte_valid && listening && !nothing;
    wire       room;
    wire       head_valid;
    wire       head_ready;
    wire [7:0] head;

    nc_queue #(
        .WIDTH(8), .LOG2_DEPTH(LOG2_BUFFER)
    ) queue (
        .clk(clk), .rst(clear),
        .in_valid(put), .in_ready(room), .in_data(byte_data),
        .out_valid(head_valid), .out_ready(head_ready), .out_data(head)
    );

    // ---- Words of them.

    localparam GROUPS = WORD_BYTES * 7;

    reg [GROUPS-1:0] word;
    reg [3:0]        got;   // bytes of the word
    reg [3:0]        more;  // bytes that it lacks
    reg              whole;

    wire [2:0] kind = head[2:0];
    wire       take = head_valid && head_ready;
    wire       first = head[7];
    wire       known = kind == FLIT || kind == STEP || kind == END || kind == LOAD || kind == WRITE;
    wire [3:0] follow = kind == FLIT ? FLIT_BYTES[3:0] - 4'd1
                      : kind == LOAD || kind == WRITE ? WORD_BYTES[3:0] - 4'd1 : 4'd0;
    wire       misplaced = take && (first ? more != 4'd0 || !known : more == 4'd0);
    wire       fault = listening && (byte_broken || (put && !room) || misplaced);

    assign head_ready = listening && !whole;
    assign host_valid = listening && whole;
    assign host_word = word[WORD-1:0];

    integer i;
    always @(posedge clk) begin
        if (take && first) begin
            word <= {{GROUPS - 7{1'b0}}, head[6:0]};
            got <= 4'd1;
            more <= follow;
            whole <= follow == 4'd0;
        end else if (take) begin
            for (i = 1; i < WORD_BYTES; i = i + 1)
                if (got == i[3:0]) word[i*7+:7] <= head[6:0];
            got <= got + 1'b1;
            more <= more - 1'b1;
            whole <= more == 4'd1;
        end else if (host_ready) begin
            whole <= 1'b0;
        end
        if (clear) begin
            more <= 4'd0;
            whole <= 1'b0;
        end
        if (rst || fault) listening <= 1'b0;
        if (reset && !rst) listening <= 1'b1;
    end

    // ---- What the host has to be told.

    localparam FLIT_BITS = 2 + AXON + PAYLOAD;
    localparam FLIT_SENT = FLIT_BITS > 7 ? (FLIT_BITS + 6) / 7 : 2;
    localparam END_SENT = 5;
    localparam HELLO_SENT = 6;
    localparam MOST = FLIT_SENT > HELLO_SENT ? FLIT_SENT : HELLO_SENT;
    localparam PACKET = MOST * 7;

    reg [PACKET-1:0] packet;
    reg [2:0]        left;   // bytes of it
    reg              fresh;  // none of them is sent

    localparam [LOG2_BUFFER-2:0] HALF_LESS_ONE = {LOG2_BUFFER - 1{1'b1}};

    reg [LOG2_BUFFER-2:0] taken;
    reg [1:0]             credits;  // at most two: there are no more bytes
    reg                   hello;
    reg                   failed;

    wire earn = take && taken == HALF_LESS_ONE;
    wire free = left == 3'd0;
    wire spend = free && !hello && !failed && credits != 2'd0;

    always @(posedge clk) begin
        if (take) taken <= taken + 1'b1;
        credits <= credits + {1'b0, earn} - {1'b0, spend};
        if (fault) failed <= 1'b1;
        else if (free && !hello) failed <= 1'b0;
        if (free) hello <= 1'b0;
        if (clear) begin
            taken <= {LOG2_BUFFER - 1{1'b0}};
            credits <= 2'd0;
            failed <= 1'b0;
            hello <= !rst;
        end
    end

    // ---- Bytes out.

    assign send_valid = left != 3'd0;
    assign send_data = {fresh, packet[6:0]};
    assign out_ready = free && !hello && !failed && credits == 2'd0;

    always @(posedge clk) begin
        if (free) begin
            fresh <= 1'b1;
            if (hello) begin
                packet <= {{PACKET - 38{1'b0}}, id, tag, SEND_HELLO};
                left <= HELLO_SENT[2:0];
            end else if (failed || credits != 2'd0) begin
                packet <= {{PACKET - 7{1'b0}}, failed ? FAULT : CREDIT, SEND_STATUS};
                left <= 3'd1;
            end else if (out_valid && out_end) begin
                packet <= {{PACKET - 34{1'b0}}, out_value, SEND_END};
                left <= END_SENT[2:0];
            end else if (out_valid) begin
                packet <= {{PACKET - FLIT_BITS{1'b0}}, out_value[PAYLOAD-1:0], out_axon, SEND_FLIT};
                left <= FLIT_SENT[2:0];
            end
        end else if (send_ready) begin
            packet <= {7'd0, packet[PACKET-1:7]};
            left <= left - 1'b1;
            fresh <= 1'b0;
        end
        if (clear) left <= 3'd0;
    end

    wire unused = &{1'b0, word};  // the last group is not always full
endmodule
