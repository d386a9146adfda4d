// A large read-only memory in banks, each with a register at its output.
//
// Many block RAMs side by side take long to choose between. Here each bank's word is registered
// first: data is there two cycles after its address, not one. The file of bank b is INIT, two
// digits, ".hex".
module nc_banks #(
    parameter WIDTH = 64,
    parameter DEPTH = 4096,
    parameter ADDR = 12,
    parameter LOG2_BANK = 10,
    parameter INIT = "memory"
) (
    input              clk,
    input              read,
    input  [ADDR-1:0]  read_addr,
    output [WIDTH-1:0] read_data
);
    localparam BANKS = (DEPTH + (1 << LOG2_BANK) - 1) >> LOG2_BANK;
    localparam NUMBER = BANKS > 1 ? $clog2(BANKS) : 1;

    wire [ADDR+LOG2_BANK:0] wide_addr = {{LOG2_BANK + 1{1'b0}}, read_addr};
    wire [NUMBER-1:0]       bank = wide_addr[LOG2_BANK+:NUMBER];
    wire [BANKS*WIDTH-1:0]  chosen;  // the word of the bank that was asked, zero of the others

    reg [NUMBER-1:0] bank1;
    reg [NUMBER-1:0] bank2;
    always @(posedge clk) begin
        bank1 <= bank;
        bank2 <= bank1;
    end

    genvar b;
    generate
        for (b = 0; b < BANKS; b = b + 1) begin : g_bank
            localparam [7:0] TENS = 48 + b / 10;
            localparam [7:0] ONES = 48 + b % 10;
            localparam WORDS = DEPTH - (b << LOG2_BANK) < (1 << LOG2_BANK)
                ? DEPTH - (b << LOG2_BANK) : (1 << LOG2_BANK);
            localparam BITS = WORDS > 1 ? $clog2(WORDS) : 1;

            wire [WIDTH-1:0] data1;
            reg  [WIDTH-1:0] data2;
            nc_rom #(
                .WIDTH(WIDTH), .DEPTH(WORDS), .ADDR(BITS), .INIT({INIT, TENS, ONES, ".hex"})
            ) rom (
                .clk(clk), .read(read && bank == b[NUMBER-1:0]),
                .read_addr(wide_addr[BITS-1:0]), .read_data(data1)
            );
            always @(posedge clk) data2 <= data1;
            assign chosen[b*WIDTH+:WIDTH] = bank2 == b[NUMBER-1:0] ? data2 : {WIDTH{1'b0}};
        end
    endgenerate

    reg [WIDTH-1:0] any;
    integer i;
    always @* begin
        any = {WIDTH{1'b0}};
        for (i = 0; i < BANKS; i = i + 1) any = any | chosen[i*WIDTH+:WIDTH];
    end
    assign read_data = any;
    wire unused = &{1'b0, wide_addr};
endmodule
