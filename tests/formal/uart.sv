// nc_uart_tx into nc_uart_rx: every byte that is taken arrives once, as it was, and nothing else does.
// Bounded: the first 14 bits after reset, so a byte after a pause of any length and the beginning of
// the next.
module uart #(
    parameter CYCLES = 4
) (
    input       clk,
    input       valid,
    input [7:0] data
);
    reg       begun = 1'b0;
    wire      rst = !begun;
    wire      ready, line, got, broken;
    wire [7:0] byte_;

    nc_uart_tx #(.CYCLES(CYCLES)) tx (
        .clk(clk), .rst(rst), .valid(valid), .ready(ready), .data(data), .tx(line)
    );
    // The line was at rest before reset.
    wire rx = begun ? line : 1'b1;
    nc_uart_rx #(.CYCLES(CYCLES)) rx_ (
        .clk(clk), .rst(rst), .rx(rx), .valid(got), .data(byte_), .broken(broken)
    );
    (* hierconn *) wire [1:0] \rx_.sync ;

    // The next byte may be taken in the last cycles of the one before, whose stop bit is still read.
    reg [1:0]  flying = 2'd0;
    reg [7:0]  sent;
    reg [7:0]  before;
    reg [7:0]  since = 8'd0;  // cycles that the last one is on its way
    wire [1:0] left = flying - (got && begun);
    wire [7:0] oldest = flying == 2 ? before : sent;
    always @(posedge clk) begin
        begun <= 1'b1;
        since <= since + 1'b1;
        flying <= left;
        if (begun && valid && ready) begin
            flying <= left + 1'b1;
            sent <= data;
            before <= sent;
            since <= 8'd0;
        end
        if (!begun) assume (\rx_.sync == 2'b11);
        if (begun) begin
            assert (!broken);
            if (got) assert (flying != 0 && byte_ == oldest);
            if (flying == 2) assert (since <= 2);
            if (flying != 0) assert (since <= 10 * CYCLES + 2);
            if (since > 10 * CYCLES + 1) assert (ready);
        end
    end
endmodule
