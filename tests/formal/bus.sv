// nc_bus: every flit that is taken reaches the one core it is for, as it was, in the same cycle; the
// turn is exactly the one that docs/rtl.md states (C3), so nobody waits for more than one flit of
// each other sender.
module bus #(
    parameter CORES = 3,
    parameter PLACE = 2,
    parameter AXON = 2,
    parameter PAYLOAD = 2
) (
    input                          clk,
    input                          rst,
    input  [CORES:0]               in_valid,
    input  [(CORES+1)*PLACE-1:0]   in_place,
    input  [(CORES+1)*AXON-1:0]    in_axon,
    input  [(CORES+1)*PAYLOAD-1:0] in_payload,
    input  [CORES:0]               out_ready
);
    localparam SENDERS = CORES + 1;

    wire [CORES:0]     in_ready;
    wire [CORES:0]     out_valid;
    wire [AXON-1:0]    out_axon;
    wire [PAYLOAD-1:0] out_payload;

    nc_bus #(.CORES(CORES), .PLACE(PLACE), .AXON(AXON), .PAYLOAD(PAYLOAD)) dut (
        .clk(clk), .rst(rst), .in_valid(in_valid), .in_ready(in_ready), .in_place(in_place),
        .in_axon(in_axon), .in_payload(in_payload), .out_valid(out_valid), .out_ready(out_ready),
        .out_axon(out_axon), .out_payload(out_payload)
    );

    // Any sender and any receiver, the same in all of a trace.
    (* anyconst *) wire [PLACE:0] i;
    (* anyconst *) wire [PLACE:0] r;
    always @* assume (i < SENDERS && r < SENDERS);

    wire [PLACE-1:0] place = in_place[i*PLACE+:PLACE];
    wire             able = in_valid[i] && place < SENDERS && out_ready[place];

    // The first that is able, after the last that sent.
    reg              begun = 1'b0;
    reg  [PLACE:0]   last;
    reg  [PLACE:0]   waits;  // flits that went by while sender i was able
    reg  [PLACE:0]   turn;
    reg              any;
    reg  [PLACE-1:0] to;
    integer k;
    integer s;
    always @* begin
        any = 1'b0;
        turn = 0;
        for (k = SENDERS; k >= 1; k = k - 1) begin
            s = last + k >= SENDERS ? last + k - SENDERS : last + k;
            to = in_place[s*PLACE+:PLACE];
            if (in_valid[s] && to < SENDERS && out_ready[to]) begin
                any = 1'b1;
                turn = s;
            end
        end
    end

    always @(posedge clk) begin
        begun <= 1'b1;
        if (rst) last <= CORES;
        else if (any) last <= turn;
        waits <= able && !in_ready[i] && !rst ? waits + 1'b1 : 0;
        if (!begun) assume (rst);
    end

    // The claims.
    always @(posedge clk) if (begun) begin
        assert (in_ready[i] == (any && turn == i));
        assert ((in_ready & (in_ready - 1'b1)) == 0 && (out_valid & (out_valid - 1'b1)) == 0);
        if (in_ready[i]) begin
            assert (in_valid[i] && out_ready[place]);
            assert (out_valid == 1 << place);
            assert (out_axon == in_axon[i*AXON+:AXON]);
            assert (out_payload == in_payload[i*PAYLOAD+:PAYLOAD]);
        end
        if (out_valid[r]) assert (out_ready[r] && in_ready != 0);
        if (in_ready == 0) assert (out_valid == 0);
        assert (waits <= CORES);
    end

`ifndef CLAIMS
    // Why they hold: each flit brings the turn nearer to a sender that waits.
    (* hierconn *) wire [CORES:0] \dut.above ;
    wire [CORES:0] after_last = {SENDERS{1'b1}} << (last + 1'b1);
    wire [PLACE:0] between = i > last ? i - last - 1'b1 : i + SENDERS - last - 1'b1;
    always @(posedge clk) if (begun) begin
        assert (last < SENDERS);
        assert (\dut.above == after_last || (last == CORES && \dut.above == {SENDERS{1'b1}}));
        assert (waits + between <= CORES);
    end
`endif
endmodule
