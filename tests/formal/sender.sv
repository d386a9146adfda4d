// nc_sender: no spike is lost and none is invented. Each leaves as one flit for each output axon of
// its neuron, in the order of axons and of spikes, with its payload, whatever the bus makes it wait
// for; the tables may have any contents. Its flits follow one another without a gap. The queue cannot
// overflow where a neuron fires at most once a step and a step begins when the sender is idle.
module sender #(
    parameter NEURONS = 3,
    parameter INDEX = 2,
    parameter SENT = 2,
    parameter OUT = 2,
    parameter FAN = 2,
    parameter FLIT = 3
) (
    input             clk,
    input             rst,
    input             in_valid,
    input [INDEX-1:0] in_index,
    input [SENT-1:0]  in_sent,
    input             out_ready,
    input             begins,     // a step
    input             follow
);
    wire            out_valid;
    wire [FLIT-1:0] out_flit;
    wire [SENT-1:0] out_sent;
    wire            idle;

    nc_sender #(
        .INDEX(INDEX), .NEURONS(NEURONS), .SENT(SENT), .OUT(OUT), .OUTS(1 << OUT), .FAN(FAN),
        .FLIT(FLIT)
    ) dut (
        .clk(clk), .rst(rst), .in_valid(in_valid), .in_index(in_index), .in_sent(in_sent),
        .out_valid(out_valid), .out_ready(out_ready), .out_flit(out_flit), .out_sent(out_sent),
        .idle(idle)
    );

    localparam FIRST = FAN + OUT;
    localparam [2:0] WAIT = 0, ENTRY = 1, FETCH = 2, LATCH = 3, OFFER = 4;
    (* hierconn *) wire                              \dut.pop ;
    (* hierconn *) wire [(1<<INDEX)*FIRST-1:0]       \dut.firsts.contents ;
    (* hierconn *) wire [(1<<OUT)*FLIT-1:0]          \dut.axons.contents ;

    // ---- Spikes: one is followed from when it goes in to when the sender turns to it.

    reg                  begun = 1'b0;
    reg [INDEX:0]        fired;      // in this step
    reg [INDEX:0]        held;       // spikes that wait
    reg                  following;
    reg [INDEX:0]        ahead;
    reg [SENT+INDEX-1:0] followed;
    reg                  working;    // at a spike
    reg                  is_followed;
    reg [SENT+INDEX-1:0] spike;      // the one it works at, if it is the followed one
    reg [FAN-1:0]        sent;       // flits of it
    reg [1:0]            silent;     // cycles at it without an offer
    reg                  waited;
    reg [FLIT+SENT-1:0]  offered;

    wire             take = out_valid && out_ready;
    wire [INDEX-1:0] neuron = spike[INDEX-1:0];
    wire [FIRST-1:0] entry = \dut.firsts.contents [neuron*FIRST+:FIRST];
    wire [FAN-1:0]   number = entry[OUT+:FAN];
    wire [OUT-1:0]   axon = entry[OUT-1:0] + sent;
    (* hierconn *) wire [2:0] \dut.state ;
    wire             waits = \dut.state == WAIT;

    always @(posedge clk) begin
        begun <= 1'b1;
        fired <= (begins ? 0 : fired) + in_valid;
        held <= held + in_valid - \dut.pop ;
        waited <= out_valid && !out_ready;
        offered <= {out_flit, out_sent};
        if (take) sent <= sent + 1'b1;
        silent <= take || out_valid ? 0 : silent + 1'b1;
        if (following && \dut.pop ) begin
            ahead <= ahead - 1'b1;
            if (ahead == 0) following <= 1'b0;
        end
        if (in_valid && follow && !following) begin
            following <= 1'b1;
            ahead <= held - \dut.pop ;
            followed <= {in_sent, in_index};
        end
        if (\dut.pop ) begin
            working <= 1'b1;
            is_followed <= following && ahead == 0;
            spike <= followed;
            sent <= 0;
            silent <= 0;
        end else if (waits) begin
            working <= 1'b0;
            is_followed <= 1'b0;
        end
        if (rst) begin
            fired <= 0;
            held <= 0;
            following <= 1'b0;
            working <= 1'b0;
            is_followed <= 1'b0;
            waited <= 1'b0;
            silent <= 0;
        end
    end

    // What nc_neurons and nc_control promise.
    always @(posedge clk) begin
        if (!begun) assume (rst);
        if (in_valid) assume (in_index < NEURONS && fired < NEURONS);
        if (begins) assume (idle && !in_valid);
    end

    // The claims.
    always @(posedge clk) if (begun) begin
        assert (held <= NEURONS);                       // there is room for all
        assert (idle == (held == 0 && waits));
        if (\dut.pop ) assert (held != 0);
        if (held != 0 && waits) assert (\dut.pop );     // none is left lying
        if (out_valid) assert (working);
        if (is_followed) begin
            if (out_valid) begin
                assert (sent < number);
                assert (out_flit == \dut.axons.contents [axon*FLIT+:FLIT]);
                assert (out_sent == spike[INDEX+:SENT]);
            end
            if (waits) assert (sent == number);         // all of its flits, no more
        end
        if (working && !waits && !out_valid) assert (silent < 3);
        if (is_followed && sent != 0 && sent < number) assert (out_valid);  // no gap
        if (waited) assert (out_valid && {out_flit, out_sent} == offered);
    end

`ifndef CLAIMS
    // Why they hold.
    (* hierconn *) wire [INDEX:0]        \dut.count ;
    (* hierconn *) wire [INDEX-1:0]      \dut.head ;
    (* hierconn *) wire [INDEX-1:0]      \dut.tail ;
    (* hierconn *) wire [OUT-1:0]        \dut.next ;
    (* hierconn *) wire [FAN-1:0]        \dut.left ;
    (* hierconn *) wire [SENT+INDEX-1:0] \dut.entry ;
    (* hierconn *) wire [FIRST-1:0]      \dut.first ;
    (* hierconn *) wire [FLIT-1:0]       \dut.flit ;
    wire [OUT-1:0] after = axon + 1'b1;
    (* hierconn *) wire [SENT+INDEX-1:0] \dut.queue.mem[0] ;
    (* hierconn *) wire [SENT+INDEX-1:0] \dut.queue.mem[1] ;
    (* hierconn *) wire [SENT+INDEX-1:0] \dut.queue.mem[2] ;
    wire [3*(SENT+INDEX)-1:0] mem =
        {\dut.queue.mem[2] , \dut.queue.mem[1] , \dut.queue.mem[0] };
    wire [INDEX:0] at = \dut.head + ahead;
    wire [INDEX:0] place = at >= NEURONS ? at - NEURONS : at;
    wire [INDEX:0] end_ = \dut.head + held;

    always @(posedge clk) if (begun) begin
        assert (\dut.count == held && held <= fired && fired <= NEURONS);
        assert (\dut.head < NEURONS);
        assert (\dut.tail == (end_ >= NEURONS ? end_ - NEURONS : end_));
        if (following) begin
            assert (ahead < held);
            assert (mem[place*(SENT+INDEX)+:SENT+INDEX] == followed && followed[INDEX-1:0] < NEURONS);
        end
        if (!waits) assert (working);
        if (!working) assert (!is_followed);
        if (is_followed) begin
            assert (\dut.entry == spike && neuron < NEURONS);
            case (\dut.state )
                ENTRY: assert (sent == 0);
                FETCH: assert (sent == 0 && \dut.first == entry);
                LATCH: assert (sent == 0 && number != 0 && \dut.left == number - 1'b1
                               && \dut.next == after
                               && \dut.flit == \dut.axons.contents [axon*FLIT+:FLIT]);
                OFFER: begin
                    assert (sent < number && \dut.left == number - 1'b1 - sent);
                    assert (out_flit == \dut.axons.contents [axon*FLIT+:FLIT]);
                    // The one after it was read ahead.
                    if (\dut.left != 0)
                        assert (\dut.next == after + 1'b1
                                && \dut.flit == \dut.axons.contents [after*FLIT+:FLIT]);
                end
                default: ;
            endcase
        end
        assert (\dut.state <= OFFER);
        if (\dut.state == ENTRY) assert (silent == 0);
        if (\dut.state == FETCH) assert (silent == 1);
        if (\dut.state == LATCH) assert (silent == 2);
    end
`endif
endmodule
