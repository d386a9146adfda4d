// The host at an SPI bus, as its only slave: mode 0, the highest bit first, whole bytes while cs_n is
// low. The words, credits and RESET are those of nc_host_link.
//
// A slave cannot speak by itself: the host clocks fillers (NOTHING) while it waits, and gets fillers
// (STATUS 0) while there is nothing to say.
//
// The bus is sampled by clk, at most every sixth cycle of which sck may rise. Both ends look at the
// rising edge; miso changes three to four cycles after it, without waiting for the falling edge,
// which would leave half a period less.
module nc_host_spi #(
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
    input             sck,
    input             cs_n,
    input             mosi,
    output            miso,
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
    localparam [7:0] FILLER = 8'h82;

    reg [2:0] sck_sync;
    reg [1:0] cs_n_sync;
    reg [1:0] mosi_sync;
    reg [2:0] bit_;
    reg [6:0] in;
    reg [7:0] out;
    reg       byte_valid;
    reg [7:0] byte_data;
    reg       byte_broken;

    wire       selected = !cs_n_sync[1];
    wire       rise = selected && sck_sync[1] && !sck_sync[2];
    wire       last = rise && bit_ == 3'd7;
    wire       send_valid;
    wire [7:0] send_data;

    assign miso = out[7];

    always @(posedge clk) begin
        sck_sync <= {sck_sync[1:0], sck};
        cs_n_sync <= {cs_n_sync[0], cs_n};
        mosi_sync <= {mosi_sync[0], mosi};
        byte_valid <= last;
        byte_broken <= !selected && bit_ != 3'd0;
        if (last) byte_data <= {in, mosi_sync[1]};
        if (rise) begin
            in <= {in[5:0], mosi_sync[1]};
            out <= {out[6:0], 1'b0};
            bit_ <= bit_ + 1'b1;
        end
        if (!selected) bit_ <= 3'd0;
        if (last) out <= send_valid ? send_data : FILLER;
        if (rst) begin
            bit_ <= 3'd0;
            out <= FILLER;
        end
    end

    nc_host_link #(
        .WORD(WORD), .FLIT_BYTES(FLIT_BYTES), .WORD_BYTES(WORD_BYTES), .AXON(AXON),
        .PAYLOAD(PAYLOAD), .LOG2_BUFFER(LOG2_BUFFER)
    ) link (
        .clk(clk), .rst(rst), .id(id),
        .byte_valid(byte_valid), .byte_data(byte_data), .byte_broken(byte_broken),
        .send_valid(send_valid), .send_ready(last), .send_data(send_data),
        .chip_rst(chip_rst),
        .host_valid(host_valid), .host_ready(host_ready), .host_word(host_word),
        .out_valid(out_valid), .out_ready(out_ready), .out_end(out_end),
        .out_axon(out_axon), .out_value(out_value), .listening(listening)
    );
endmodule
