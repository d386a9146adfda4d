// nc_host_link: a host that keeps to its credits never fills the buffer, so no byte is lost however
// long the chip takes; words are put together and cut as the head of nc_host_link.v says; a RESET is
// answered with its tag before anything else.
module link #(
    parameter LOG2_BUFFER = 2,
    parameter WORD = 17,
    parameter FLIT_BYTES = 2,
    parameter WORD_BYTES = 3,
    parameter AXON = 4,
    parameter PAYLOAD = 3
) (
    input            clk,
    input            rst,
    input            byte_valid,
    input [7:0]      byte_data,
    input            byte_broken,
    input            send_ready,
    input            host_ready,
    input            out_valid,
    input            out_end,
    input [AXON-1:0] out_axon,
    input [31:0]     out_value
);
    (* anyconst *) wire [31:0] id;  // any, the same in all of a trace
    localparam BUFFER = 1 << LOG2_BUFFER;
    localparam HALF = BUFFER / 2;

    wire            send_valid, chip_rst, host_valid, out_ready, listening;
    wire [7:0]      send_data;
    wire [WORD-1:0] host_word;

    nc_host_link #(
        .WORD(WORD), .FLIT_BYTES(FLIT_BYTES), .WORD_BYTES(WORD_BYTES), .AXON(AXON),
        .PAYLOAD(PAYLOAD), .LOG2_BUFFER(LOG2_BUFFER)
    ) dut (
        .clk(clk), .rst(rst), .id(id), .byte_valid(byte_valid), .byte_data(byte_data),
        .byte_broken(byte_broken), .send_valid(send_valid), .send_ready(send_ready),
        .send_data(send_data), .chip_rst(chip_rst), .host_valid(host_valid),
        .host_ready(host_ready), .host_word(host_word), .out_valid(out_valid),
        .out_ready(out_ready), .out_end(out_end), .out_axon(out_axon), .out_value(out_value),
        .listening(listening)
    );

    wire       marked = byte_data[7];
    wire       reset = byte_valid && marked && byte_data[2:0] == 3'd7;
    wire       costs = byte_valid && !reset && !(marked && byte_data[2:0] == 3'd6);
    wire       sent = send_valid && send_ready;

    (* hierconn *) wire       \dut.put ;
    (* hierconn *) wire       \dut.room ;
    (* hierconn *) wire       \dut.take ;
    (* hierconn *) wire [7:0] \dut.head ;
    (* hierconn *) wire [2:0] \dut.left ;
    wire       fresh = send_data[7];

    // ---- The host.

    reg                 begun = 1'b0;
    reg                 greeted;      // a RESET was sent
    reg [LOG2_BUFFER:0] credits;
    reg                 owes_hello;
    reg [3:0]           tag;
    reg [4:0]           quiet;        // cycles for which the chip must be in reset

    wire earns = sent && send_data == {1'b1, 5'd1, 2'd2};

    always @(posedge clk) begin
        begun <= 1'b1;
        credits <= credits - (costs && listening) + (earns ? HALF : 0);
        if (quiet != 0) quiet <= quiet - 1'b1;
        if (owes_hello && \dut.left == 0) owes_hello <= 1'b0;
        if (reset) begin
            greeted <= 1'b1;
            credits <= BUFFER;
            owes_hello <= 1'b1;
            tag <= byte_data[6:3];
            quiet <= 15;
        end
        if (rst) begin
            greeted <= 1'b0;
            owes_hello <= 1'b0;
            quiet <= 15;
        end
    end

    // ---- Words in, as bytes leave the buffer.

    reg [3:0]      lacks;
    reg [3:0]      place;
    reg [WORD+6:0] word;
    reg            whole;
    wire [2:0]     kind = \dut.head [2:0];
    wire           known = kind <= 3'd4;
    wire [3:0]     length = kind == 0 ? FLIT_BYTES : kind == 3 || kind == 4 ? WORD_BYTES : 1;
    wire           misplaced = \dut.take && (\dut.head [7] ? lacks != 0 || !known : lacks == 0);

    always @(posedge clk) begin
        if (host_ready) whole <= 1'b0;
        if (\dut.take && \dut.head [7]) begin
            word <= \dut.head [6:0];
            place <= 1;
            lacks <= length - 1'b1;
            whole <= length == 1;
        end else if (\dut.take ) begin
            word <= (word & ~({{WORD{1'b0}}, 7'h7f} << 7 * place))
                | ({{WORD{1'b0}}, \dut.head [6:0]} << 7 * place);
            place <= place + 1'b1;
            lacks <= lacks - 1'b1;
            whole <= lacks == 1;
        end
        if (rst || reset) begin
            lacks <= 0;
            whole <= 1'b0;
        end
    end
    wire [2:0] kind_of = word[2:0];
    wire [4:0] bits = (kind_of == 0 ? FLIT_BYTES : kind_of == 3 || kind_of == 4 ? WORD_BYTES : 1) * 7;
    wire [WORD-1:0] valid_bits = ~({WORD{1'b1}} << bits);

    // ---- Words out: bytes of the one that was taken, or of the greeting.

    localparam MOST = 42;
    reg [MOST-1:0] rest;
    reg [2:0]      left;
    reg            first;
    reg            was_ready;

    always @(posedge clk) begin
        was_ready <= 1'b0;
        if (left != 0 && send_ready) begin
            rest <= rest >> 7;
            left <= left - 1'b1;
            first <= 1'b0;
        end
        if (out_valid && out_ready) begin
            rest <= out_end ? {out_value, 2'd1} : {out_value[PAYLOAD-1:0], out_axon, 2'd0};
            left <= out_end ? 5 : 2;
            first <= 1'b1;
        end
        if (owes_hello && \dut.left == 0) begin
            rest <= {id, tag, 2'd3};
            left <= 6;
            first <= 1'b1;
        end
        if (rst || reset) left <= 0;
    end

    // What the host promises: it has as many credits as it spends.
    always @(posedge clk) begin
        if (!begun) assume (rst);
        if (costs && listening) assume (credits != 0);
    end

    // ---- The claims.
    reg was_fault, was_reset, was_listening, was_wrong, was_rst;
    always @(posedge clk) begin
        was_listening <= listening;
        was_wrong <= byte_broken || misplaced;
        was_rst <= rst;
        was_fault <= listening && (byte_broken || misplaced) && !reset;
        was_reset <= reset && !rst;
    end
    always @(posedge clk) if (begun) begin
        if (!greeted) assert (!listening);
        if (was_reset) assert (listening && chip_rst);
        if (quiet != 0) assert (chip_rst);
        if (quiet == 0) assert (!chip_rst);
        if (was_fault) assert (!listening);
        if (listening && \dut.put ) assert (\dut.room );      // no byte without room
        if (was_listening && !was_wrong && !was_rst) assert (listening);
        assert (host_valid == (listening && whole));
        if (host_valid) assert (((host_word ^ word[WORD-1:0]) & valid_bits) == 0);
        if (whole && listening) assert (!\dut.take );
        if (left != 0) begin
            assert (send_valid && send_data == {first, rest[6:0]});
            assert (!out_ready);
        end
        if (owes_hello) assert (!out_ready && !send_valid);
    end

`ifndef CLAIMS
    // Why they hold: credits, with all that is on its way, are as many as the buffer has places.
    (* hierconn *) wire [LOG2_BUFFER:0]   \dut.queue.count ;
    (* hierconn *) wire                   \dut.queue.out_valid ;
    (* hierconn *) wire [LOG2_BUFFER-2:0] \dut.taken ;
    (* hierconn *) wire [1:0]             \dut.credits ;
    (* hierconn *) wire [3:0]             \dut.more ;
    (* hierconn *) wire [3:0]             \dut.got ;
    (* hierconn *) wire                   \dut.whole ;
    (* hierconn *) wire                   \dut.hello ;
    (* hierconn *) wire                   \dut.fresh ;
    (* hierconn *) wire [3:0]             \dut.tag ;
    (* hierconn *) wire [3:0]             \dut.resetting ;
    (* hierconn *) wire [MOST-1:0]        \dut.packet ;
    (* hierconn *) wire [WORD_BYTES*7-1:0] \dut.word ;
    wire status = \dut.left != 0 && left == 0;
    wire credit = send_valid && send_data == {1'b1, 5'd1, 2'd2};
    wire [LOG2_BUFFER+2:0] total = credits + \dut.queue.count + \dut.queue.out_valid
        + \dut.taken + HALF * \dut.credits + (credit ? HALF : 0);
    always @(posedge clk) if (begun) begin
        if (listening) assert (total == BUFFER);
        assert (\dut.credits <= 2);
        assert (\dut.more == lacks && \dut.whole == whole);
        assert (\dut.hello == owes_hello);
        assert (\dut.resetting == quiet);
        if (owes_hello) assert (\dut.left == 0 && left == 0 && \dut.tag == tag);
        if (listening) assert (greeted);
        if (whole && listening) assert (lacks == 0);
        if (lacks != 0 && listening) assert (place != 0 && place == \dut.got && kind_of != 1 && kind_of != 2
            && kind_of <= 4 && place + lacks == bits / 7);
        if (whole && listening) assert (place == bits / 7);
        if (listening && (lacks != 0 || whole))
            assert (((\dut.word ^ word[WORD_BYTES*7-1:0]) & ~({WORD_BYTES*7{1'b1}} << 7 * place)) == 0);
        if (left != 0) assert (\dut.left == left && \dut.fresh == first && \dut.packet == rest);
        if (status) assert (\dut.left == 1 && \dut.fresh && (\dut.packet == {5'd1, 2'd2}
            || \dut.packet == {5'd2, 2'd2}));
        // A credit is in no packet but its own.
        if (left != 0 && first) assert (rest[1:0] != 2'd2);
    end
`endif
endmodule
