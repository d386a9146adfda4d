// Spikes of a core wait here, and leave as flits: a spike for each output axon of its neuron.
//
//   cycle 0   the oldest spike is read
//   cycle 1   the neuron's first output axon and their number are read
//   cycle 2   its first output axon is read
//   cycle 3   it moves into a register, from where the bus takes it, and the next is read
//   cycle 4   the flit is offered until it is taken; in the cycle after that the next is there, or,
//             after the last, cycle 0 again
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
    output reg [FLIT-1:0] out_flit,
    output [SENT-1:0]  out_sent,
    output             idle
);
    localparam [2:0] WAIT = 3'd0, ENTRY = 3'd1, FETCH = 3'd2, LATCH = 3'd3, OFFER = 3'd4;
    localparam LAST = NEURONS - 1;

    reg [INDEX-1:0] tail;
    reg [INDEX-1:0] head;
    reg [INDEX:0]   count;
    reg [2:0]       state;
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

    // What is under way goes through the bus to a FIFO in one cycle, which leaves no time to read a
    // memory: the axon that is offered is in a register, the one after it was read ahead.
    wire taken = state == OFFER && out_ready;
    wire more = left != {FAN{1'b0}};  // axons after the one that is, or will be, in the register
    wire ahead = more && (state == LATCH || taken);
    wire [OUT-1:0] axon = state == FETCH ? first_axon : next;
    wire [FLIT-1:0] flit;

    nc_rom #(
        .WIDTH(FLIT), .DEPTH(OUTS), .ADDR(OUT), .INIT(AXONS), .LEVEL(2)
    ) axons (
        .clk(clk), .read(state == FETCH || ahead), .read_addr(axon), .read_data(flit)
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
                FETCH: state <= number == {FAN{1'b0}} ? WAIT : LATCH;
                LATCH: state <= OFFER;
                OFFER: if (out_ready && !more) state <= WAIT;
                default: state <= WAIT;
            endcase
        end
        if (state == FETCH || ahead) next <= axon + 1'b1;
        if (state == FETCH) left <= number - 1'b1;
        else if (taken) left <= left - 1'b1;
        if (state == LATCH || taken) out_flit <= flit;
    end
endmodule
