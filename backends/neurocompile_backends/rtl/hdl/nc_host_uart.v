// The host at a UART: two wires, no handshake. What keeps words from being lost are the credits of
// nc_host_link.
module nc_host_uart #(
    parameter CYCLES = 12,      // of a bit
    parameter WORD = 20,
    parameter FLIT_BYTES = 3,
    parameter WORD_BYTES = 3,
    parameter AXON = 10,
    parameter PAYLOAD = 1,
    parameter LOG2_BUFFER = 9
) (
    input             clk,
    input             rst,
    input  [31:0]     id,           // of the network, so that the host knows whom it talks to
    input             rx,
    output            tx,
    // nc_top, as in nc_host_link.
    output            chip_rst,
    output            host_valid,
    input             host_ready,
    output [WORD-1:0] host_word,
    input             out_valid,
    output            out_ready,
    input             out_end,
    input  [AXON-1:0] out_axon,
    input  [31:0]     out_value,
    output            listening
);
    wire       byte_valid;
    wire [7:0] byte_data;
    wire       byte_broken;
    wire       send_valid;
    wire       send_ready;
    wire [7:0] send_data;

    nc_uart_rx #(
        .CYCLES(CYCLES)
    ) receiver (
        .clk(clk), .rst(rst), .rx(rx),
        .valid(byte_valid), .data(byte_data), .broken(byte_broken)
    );

    nc_uart_tx #(
        .CYCLES(CYCLES)
    ) sender (
        .clk(clk), .rst(rst), .valid(send_valid), .ready(send_ready), .data(send_data), .tx(tx)
    );

    nc_host_link #(
        .WORD(WORD), .FLIT_BYTES(FLIT_BYTES), .WORD_BYTES(WORD_BYTES), .AXON(AXON),
        .PAYLOAD(PAYLOAD), .LOG2_BUFFER(LOG2_BUFFER)
    ) link (
        .clk(clk), .rst(rst), .id(id),
        .byte_valid(byte_valid), .byte_data(byte_data), .byte_broken(byte_broken),
        .send_valid(send_valid), .send_ready(send_ready), .send_data(send_data),
        .chip_rst(chip_rst),
        .host_valid(host_valid), .host_ready(host_ready), .host_word(host_word),
        .out_valid(out_valid), .out_ready(out_ready), .out_end(out_end),
        .out_axon(out_axon), .out_value(out_value), .listening(listening)
    );
endmodule
