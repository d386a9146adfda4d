// Spikes of a core wait here, and leave as flits: a spike for each output axon of its neuron.
//
//   cycle 0   the oldest spike is read
//   cycle 1   the neuron's first output axon and their number are read
//   cycle 2   its next output axon is read
//   cycle 3   the flit is offered until it is taken; then cycle 2 again, or 0 after the last
//
// There is room for a spike of every neuron, so the neurons never wait for the network: this is
// what keeps recurrent networks free of deadlock.
module nc_sender #(
    parameter INDEX = 4,      // bits of a neuron's number
    parameter NEURONS = 16,
    parameter SENT = 1,       // bits of what a spike carries
    parameter OUT = 4,        // bits of an output axon's number
    parameter OUTS = 16,
    parameter FAN = 1,        // bits of how many a neuron has
    parameter FLIT = 8,       // bits of an output axon: the core, and the axon there
    parameter FIRSTS = "",
    parameter AXONS = ""
) (
    input              clk,
    input              rst,
    input              in_valid,
    input  [INDEX-1:0] in_index,
    input  [SENT-1:0]  in_sent,
    output             out_valid,
    input              out_ready,
    output [FLIT-1:0]  out_flit,
    output [SENT-1:0]  out_sent,
    output             idle
);
    localparam [1:0] WAIT = 2'd0, ENTRY = 2'd1, FETCH = 2'd2, OFFER = 2'd3;
    localparam LAST = NEURONS - 1;

    reg [INDEX-1:0] tail;
    reg [INDEX-1:0] head;
    reg [INDEX:0]   count;
    reg [1:0]       state;
    reg [OUT-1:0]   next;
    reg [FAN-1:0]   left;

    wire pop = state == WAIT && count != {(INDEX + 1) {1'b0}};
    wire [SENT+INDEX-1:0] entry;
    wire [FAN+OUT-1:0] first;
    wire [OUT-1:0] first_axon = first[OUT-1:0];
    wire [FAN-1:0] number = first[OUT+:FAN];

    nc_ram #(
        .WIDTH(SENT + INDEX), .DEPTH(NEURONS), .ADDR(INDEX)
    ) queue (
        .clk(clk), .read(pop), .read_addr(head), .read_data(entry),
        .write(in_valid), .write_addr(tail), .write_data({in_sent, in_index})
    );
    nc_rom #(
        .WIDTH(FAN + OUT), .DEPTH(NEURONS), .ADDR(INDEX), .INIT(FIRSTS), .LEVEL(2)
    ) firsts (
        .clk(clk), .read(state == ENTRY), .read_addr(entry[INDEX-1:0]), .read_data(first)
    );

    // In the first FETCH of a spike the number of its axons has just been read.
    reg fresh;
    wire [OUT-1:0] axon = fresh ? first_axon : next;
    wire [FAN-1:0] remaining = fresh ? number : left;

    nc_rom #(
        .WIDTH(FLIT), .DEPTH(OUTS), .ADDR(OUT), .INIT(AXONS), .LEVEL(2)
    ) axons (
        .clk(clk), .read(state == FETCH), .read_addr(axon), .read_data(out_flit)
    );

    assign out_valid = state == OFFER;
    assign out_sent = entry[INDEX+:SENT];
    assign idle = state == WAIT && count == {(INDEX + 1) {1'b0}};

    always @(posedge clk) begin
        if (rst) begin
            tail <= {INDEX{1'b0}};
            head <= {INDEX{1'b0}};
            count <= {(INDEX + 1) {1'b0}};
            state <= WAIT;
        end else begin
            if (in_valid) tail <= tail == LAST[INDEX-1:0] ? {INDEX{1'b0}} : tail + 1'b1;
            if (pop) head <= head == LAST[INDEX-1:0] ? {INDEX{1'b0}} : head + 1'b1;
            if (in_valid && !pop) count <= count + 1'b1;
            if (pop && !in_valid) count <= count - 1'b1;
            case (state)
                WAIT: if (pop) state <= ENTRY;
                ENTRY: state <= FETCH;
                FETCH: state <= remaining == {FAN{1'b0}} ? WAIT : OFFER;
                OFFER: if (out_ready) state <= left == {FAN{1'b0}} ? WAIT : FETCH;
            endcase
        end
        fresh <= state == ENTRY;
        if (state == FETCH) begin
            next <= axon + 1'b1;
            left <= remaining - 1'b1;
        end
    end
endmodule
