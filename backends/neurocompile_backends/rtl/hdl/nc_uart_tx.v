// Bytes to a UART line: 8 data bits, no parity, one stop bit.
//
// The pin is the lowest bit of a shift register: nothing that could glitch is between them.
module nc_uart_tx #(
    parameter CYCLES = 12  // of a bit
) (
    input       clk,
    input       rst,
    input       valid,
    output      ready,
    input [7:0] data,
    output      tx
);
    localparam COUNT = $clog2(CYCLES);
    localparam WHOLE = CYCLES - 1;

    reg [9:0]       frame;  // ones follow: the line rests high
    reg [3:0]       left;   // bits, with the one on the line
    reg [COUNT-1:0] timer;

    initial frame = 10'h3ff;

    assign tx = frame[0];
    assign ready = left == 4'd0;

    always @(posedge clk) begin
        if (rst) begin
            frame <= 10'h3ff;
            left <= 4'd0;
        end else if (ready) begin
            timer <= WHOLE[COUNT-1:0];
            if (valid) begin
                frame <= {1'b1, data, 1'b0};
                left <= 4'd10;
            end
        end else if (timer != {COUNT{1'b0}}) begin
            timer <= timer - 1'b1;
        end else begin
            timer <= WHOLE[COUNT-1:0];
            frame <= {1'b1, frame[9:1]};
            left <= left - 1'b1;
        end
    end
endmodule
