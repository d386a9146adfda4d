// The cores' network: one flit a cycle, from one of the cores or the host to one of them.
//
// Of those that want to send to a receiver with room the first after the one that sent last is
// served, in the order of the cores, the host last. A sender whose receiver is full is passed over.
// A sample begins as if the host had sent last, whatever was before it.
module nc_bus #(
    parameter CORES = 1,
    parameter PLACE = 1,    // bits of a core's number; number CORES is the host
    parameter AXON = 10,
    parameter PAYLOAD = 1
) (
    input                            clk,
    input                            rst,
    input  [CORES:0]                 in_valid,    // the host highest
    output [CORES:0]                 in_ready,
    input  [(CORES+1)*PLACE-1:0]     in_place,
    input  [(CORES+1)*AXON-1:0]      in_axon,
    input  [(CORES+1)*PAYLOAD-1:0]   in_payload,
    output [CORES:0]                 out_valid,
    input  [CORES:0]                 out_ready,
    output [AXON-1:0]                out_axon,
    output [PAYLOAD-1:0]             out_payload
);
    // Who is able to send; above[i]: i comes after the one that sent last.
    reg  [CORES:0] above;
    reg  [CORES:0] able;
    wire [CORES:0] first = able & above;
    wire [CORES:0] turn = first != {CORES + 1{1'b0}} ? first : able;
    wire [CORES:0] granted = turn & (~turn + 1'b1);  // the lowest

    reg [PLACE-1:0]   place;
    reg [AXON-1:0]    axon;
    reg [PAYLOAD-1:0] payload;
    reg [CORES:0]     to;

    integer i;
    integer r;
    always @* begin
        for (i = 0; i <= CORES; i = i + 1) begin
            able[i] = 1'b0;
            for (r = 0; r <= CORES; r = r + 1)
                if (in_place[i*PLACE+:PLACE] == r[PLACE-1:0])
                    able[i] = in_valid[i] && out_ready[r];
        end
        place = {PLACE{1'b0}};
        axon = {AXON{1'b0}};
        payload = {PAYLOAD{1'b0}};
        for (i = 0; i <= CORES; i = i + 1) begin
            place = place | (in_place[i*PLACE+:PLACE] & {PLACE{granted[i]}});
            axon = axon | (in_axon[i*AXON+:AXON] & {AXON{granted[i]}});
            payload = payload | (in_payload[i*PAYLOAD+:PAYLOAD] & {PAYLOAD{granted[i]}});
        end
        for (r = 0; r <= CORES; r = r + 1)
            to[r] = granted != {CORES + 1{1'b0}} && place == r[PLACE-1:0];
    end

    assign in_ready = granted;
    assign out_valid = to;
    assign out_axon = axon;
    assign out_payload = payload;

    always @(posedge clk) begin
        if (rst) above <= {CORES + 1{1'b1}};
        else if (granted != {CORES + 1{1'b0}}) above <= ~(granted | (granted - 1'b1));
    end
endmodule
