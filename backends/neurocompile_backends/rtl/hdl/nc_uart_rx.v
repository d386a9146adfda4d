// Bytes from a UART line: 8 data bits, no parity, one stop bit.
//
// The line goes through two registers before anything looks at it. A falling edge begins a byte;
// every bit, the start bit too, is taken in its middle, so that clocks may differ by some percent.
// A start bit that is over by its middle was noise. After a byte without a stop bit (broken) the
// line has to be high once before the next byte can begin: a break is one broken byte, not many.
module nc_uart_rx #(
    parameter CYCLES = 12  // of a bit, at least 4
) (
    input            clk,
    input            rst,
    input            rx,
    output reg       valid,  // for one cycle; nobody can make the line wait
    output reg [7:0] data,
    output reg       broken  // for one cycle: this was no byte
);
    localparam COUNT = $clog2(CYCLES);
    localparam WHOLE = CYCLES - 1;
    localparam HALF = CYCLES / 2 - 1;
    localparam [3:0] IDLE = 4'd0, START = 4'd1, FIRST = 4'd2, STOP = 4'd10;

    reg [1:0]       sync;
    reg             high;  // the line was high in the cycle before
    reg [3:0]       bit_;
    reg [COUNT-1:0] timer;

    wire line = sync[1];
    wire middle = timer == {COUNT{1'b0}};

    always @(posedge clk) begin
        sync <= {sync[0], rx};
        high <= line;
        valid <= 1'b0;
        broken <= 1'b0;
        timer <= middle ? WHOLE[COUNT-1:0] : timer - 1'b1;
        if (bit_ == IDLE) begin
            timer <= HALF[COUNT-1:0];
            if (high && !line) bit_ <= START;
        end else if (middle) begin
            bit_ <= bit_ + 1'b1;
            if (bit_ == START) bit_ <= line ? IDLE : FIRST;
            else if (bit_ != STOP) data <= {line, data[7:1]};
            else begin
                bit_ <= IDLE;
                valid <= line;
                broken <= !line;
            end
        end
        if (rst) begin
            bit_ <= IDLE;
            high <= 1'b0;
            valid <= 1'b0;
            broken <= 1'b0;
        end
    end
endmodule
