// Steps: what the host sends is dealt out, and the next step waits for the one before.
//
// The host's words, in order: STEP, the flits of that step, STEP, ..., END. STEP begins the next
// step once the one before is over: no core has anything left to do. END does so too, and then
// the cores forget everything, so that the next STEP begins a new sample. Before it the host may
// load biases, a LOAD for each neuron: they stay until they are loaded again. Before the very first
// it writes those synaptic memories that the bitstream does not fill, a WRITE for every 16 bits.
//
// To the host go the flits that cores address to it, and after the last one of a step, its end:
// a word whose value is how many cycles the step took, from its start to the start of the next.
module nc_control #(
    parameter STEP = 1,      // bits of the number of a step; the last one stays
    parameter AXON = 10,
    parameter PAYLOAD = 1,
    parameter LOG2_FIFO = 1
) (
    input                clk,
    input                rst,
    // From the host.
    input                host_valid,
    output               host_ready,
    input  [2:0]         host_kind,
    output               flit_valid,   // the word is a flit: to the bus
    input                flit_ready,
    output               load,         // the word is a bias
    output               write,        // the word is for synaptic memory
    // The cores.
    input                busy,
    output reg           start,
    output reg           restart,
    output reg [STEP-1:0] step,
    // Flits for the host, from the bus.
    input                in_valid,
    output               in_ready,
    input  [AXON-1:0]    in_axon,
    input  [PAYLOAD-1:0] in_payload,
    // To the host.
    output               out_valid,
    input                out_ready,
    output               out_end,
    output [AXON-1:0]    out_axon,
    output [31:0]        out_value
);
    localparam [2:0] FLIT = 3'd0, STEP_WORD = 3'd1, END_WORD = 3'd2, LOAD_WORD = 3'd3,
                     WRITE_WORD = 3'd4;

    reg        running;
    reg        first;
    reg [31:0] cycles;

    wire room;
    wire quiet = !busy && !start && !restart && !in_valid;
    wire word = host_valid && (host_kind == STEP_WORD || host_kind == END_WORD);
    wire turn = word && quiet && (room || !running);

    assign flit_valid = host_valid && host_kind == FLIT && running;
    assign load = host_valid && host_kind == LOAD_WORD && !running;
    assign write = host_valid && host_kind == WRITE_WORD && !running;
    assign host_ready = turn || load || write || (flit_valid && flit_ready);

    always @(posedge clk) begin
        start <= turn && host_kind == STEP_WORD && !rst;
        restart <= turn && host_kind == END_WORD && !rst;
        if (rst || restart) first <= 1'b1;
        else if (start) first <= 1'b0;
        if (start) step <= first ? {STEP{1'b0}} : &step ? step : step + 1'b1;
        if (rst) running <= 1'b0;
        else if (turn) running <= host_kind == STEP_WORD;
        cycles <= start ? 32'd2 : cycles + 32'd1;
    end

    wire put_end = turn && running;
    wire [31:0] value;
    generate
        if (PAYLOAD == 1) begin : g_once
            assign value = {31'd0, in_payload};
        end else begin : g_signed
            nc_extend #(.IN(PAYLOAD), .OUT(32)) extend (.in(in_payload), .out(value));
        end
    endgenerate

    assign in_ready = room;

    nc_fifo #(
        .WIDTH(1 + AXON + 32), .LOG2_DEPTH(LOG2_FIFO)
    ) fifo (
        .clk(clk), .rst(rst),
        .in_valid(put_end || in_valid), .in_ready(room),
        .in_data({put_end, in_axon, put_end ? cycles : value}),
        .out_valid(out_valid), .out_ready(out_ready), .out_data({out_end, out_axon, out_value})
    );
endmodule
