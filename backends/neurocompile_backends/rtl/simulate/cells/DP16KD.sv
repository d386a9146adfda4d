// Simulation only: block RAM of the ECP5, of which Yosys has no model. Written from Yosys's own
// files, which map memories to this cell (techlibs/ecp5: brams.txt, brams_map.v, cells_bb.v), and
// not from Lattice's documents: it does what Yosys takes the cell to do, and a mistake that Yosys
// makes about the device would be made here too. It has not been compared with a device, nor with
// Lattice's model. What Yosys does not make of this library is refused.
//
// 16 Kbit: 1,024 words of 18 bits, with two ports of 1 to 18 bits each; or a port A that writes and
// a port B that reads up to 36, over the data pins of both. Addresses are of single bits; below 9
// bits, the ninth of each byte is unused. Where a port has 18 bits or more, the lowest pins of its
// address say which bytes are written.
module DP16KD #(
    parameter DATA_WIDTH_A = 18,
    parameter DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG",
    parameter REGMODE_B = "NOREG",
    parameter RESETMODE = "SYNC",
    parameter ASYNC_RESET_RELEASE = "SYNC",
    parameter CSDECODE_A = "0b000",
    parameter CSDECODE_B = "0b000",
    parameter WRITEMODE_A = "NORMAL",
    parameter WRITEMODE_B = "NORMAL",
    parameter CLKAMUX = "CLKA",
    parameter CLKBMUX = "CLKB",
    parameter GSR = "AUTO",
    parameter [319:0] INITVAL_00 = 320'd0, INITVAL_01 = 320'd0, INITVAL_02 = 320'd0,
        INITVAL_03 = 320'd0, INITVAL_04 = 320'd0, INITVAL_05 = 320'd0,
        INITVAL_06 = 320'd0, INITVAL_07 = 320'd0, INITVAL_08 = 320'd0,
        INITVAL_09 = 320'd0, INITVAL_0A = 320'd0, INITVAL_0B = 320'd0,
        INITVAL_0C = 320'd0, INITVAL_0D = 320'd0, INITVAL_0E = 320'd0,
        INITVAL_0F = 320'd0, INITVAL_10 = 320'd0, INITVAL_11 = 320'd0,
        INITVAL_12 = 320'd0, INITVAL_13 = 320'd0, INITVAL_14 = 320'd0,
        INITVAL_15 = 320'd0, INITVAL_16 = 320'd0, INITVAL_17 = 320'd0,
        INITVAL_18 = 320'd0, INITVAL_19 = 320'd0, INITVAL_1A = 320'd0,
        INITVAL_1B = 320'd0, INITVAL_1C = 320'd0, INITVAL_1D = 320'd0,
        INITVAL_1E = 320'd0, INITVAL_1F = 320'd0, INITVAL_20 = 320'd0,
        INITVAL_21 = 320'd0, INITVAL_22 = 320'd0, INITVAL_23 = 320'd0,
        INITVAL_24 = 320'd0, INITVAL_25 = 320'd0, INITVAL_26 = 320'd0,
        INITVAL_27 = 320'd0, INITVAL_28 = 320'd0, INITVAL_29 = 320'd0,
        INITVAL_2A = 320'd0, INITVAL_2B = 320'd0, INITVAL_2C = 320'd0,
        INITVAL_2D = 320'd0, INITVAL_2E = 320'd0, INITVAL_2F = 320'd0,
        INITVAL_30 = 320'd0, INITVAL_31 = 320'd0, INITVAL_32 = 320'd0,
        INITVAL_33 = 320'd0, INITVAL_34 = 320'd0, INITVAL_35 = 320'd0,
        INITVAL_36 = 320'd0, INITVAL_37 = 320'd0, INITVAL_38 = 320'd0,
        INITVAL_39 = 320'd0, INITVAL_3A = 320'd0, INITVAL_3B = 320'd0,
        INITVAL_3C = 320'd0, INITVAL_3D = 320'd0, INITVAL_3E = 320'd0,
        INITVAL_3F = 320'd0
) (
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
        DIA4, DIA3, DIA2, DIA1, DIA0,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6,
        DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
        DIB4, DIB3, DIB2, DIB1, DIB0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6,
        DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
);
    generate
        if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG" || CSDECODE_A != "0b000"
                || CSDECODE_B != "0b000" || CLKAMUX != "CLKA" || CLKBMUX != "CLKB"
                || RESETMODE != ASYNC_RESET_RELEASE) begin : g_refused
            $error("a DP16KD with parameters that this model does not have");
        end
    endgenerate

    localparam [20479:0] INIT = {INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B,
        INITVAL_3A, INITVAL_39, INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34,
        INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D,
        INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26,
        INITVAL_25, INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F,
        INITVAL_1E, INITVAL_1D, INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18,
        INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11,
        INITVAL_10, INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A,
        INITVAL_09, INITVAL_08, INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03,
        INITVAL_02, INITVAL_01, INITVAL_00};
    wire [17:0] in_a = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8,
        DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
    wire [17:0] in_b = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8,
        DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
    wire [13:0] addr_a = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3,
        ADA2, ADA1, ADA0};
    wire [13:0] addr_b = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3,
        ADB2, ADB1, ADB0};

    reg [17:0] mem[0:1023];
    integer i;
    initial for (i = 0; i < 1024; i = i + 1) mem[i] = INIT[i*20+:18];

    // Of a word, the bits at a port's address.
    function [17:0] part(input integer width, input [3:0] at, input [17:0] word);
        reg [8:0] octet;
        begin
            octet = at[3] ? word[17:9] : word[8:0];
            case (width)
                1: part = {17'd0, octet[{1'b0, at[2:0]}]};
                2: part = {16'd0, octet[{1'b0, at[2:1], 1'b0}+:2]};
                4: part = {14'd0, octet[{1'b0, at[2], 2'b00}+:4]};
                9: part = {9'd0, octet};
                default: part = word;
            endcase
        end
    endfunction

    // The word with them replaced.
    function [17:0] changed(input integer width, input [3:0] at, input [17:0] word,
                            input [17:0] data);
        begin
            changed = word;
            case (width)
                1: changed[(at[3] ? 9 : 0) + {29'd0, at[2:0]}+:1] = data[0];
                2: changed[(at[3] ? 9 : 0) + {29'd0, at[2:1], 1'b0}+:2] = data[1:0];
                4: changed[(at[3] ? 9 : 0) + {29'd0, at[2], 2'b00}+:4] = data[3:0];
                9: changed[(at[3] ? 9 : 0)+:9] = data[8:0];
                default: begin
                    if (at[0]) changed[8:0] = data[8:0];
                    if (at[1]) changed[17:9] = data[17:9];
                end
            endcase
        end
    endfunction

    // Two ports write: never the same word in one cycle.
    /* verilator lint_off MULTIDRIVEN */
    generate
        if (DATA_WIDTH_A == 36) begin : g_wide_write
            always @(posedge CLKA)
                if (CEA && WEA) begin
                    mem[{addr_a[13:5], 1'b0}] <= changed(18, {2'd0, addr_a[1:0]},
                                                         mem[{addr_a[13:5], 1'b0}], in_a);
                    mem[{addr_a[13:5], 1'b1}] <= changed(18, {2'd0, addr_a[3:2]},
                                                         mem[{addr_a[13:5], 1'b1}], in_b);
                end
        end else begin : g_write
            always @(posedge CLKA)
                if (CEA && WEA)
                    mem[addr_a[13:4]] <= changed(DATA_WIDTH_A, addr_a[3:0], mem[addr_a[13:4]],
                                                 in_a);
            always @(posedge CLKB)
                if (CEB && WEB)
                    mem[addr_b[13:4]] <= changed(DATA_WIDTH_B, addr_b[3:0], mem[addr_b[13:4]],
                                                 in_b);
        end
    endgenerate
    /* verilator lint_on MULTIDRIVEN */

    // What a port reads while it writes: nothing, what it writes, or what was there.
    wire [17:0] word_a = mem[addr_a[13:4]];
    wire [17:0] word_b = mem[addr_b[13:4]];
    /* verilator lint_off WIDTHEXPAND */  // strings of several lengths
    wire [17:0] seen_a = WEA && WRITEMODE_A == "WRITETHROUGH"
                       ? changed(DATA_WIDTH_A, addr_a[3:0], word_a, in_a) : word_a;
    wire [17:0] seen_b = WEB && WRITEMODE_B == "WRITETHROUGH"
                       ? changed(DATA_WIDTH_B, addr_b[3:0], word_b, in_b) : word_b;
    /* verilator lint_on WIDTHEXPAND */
    wire [35:0] read_a = {18'd0, part(DATA_WIDTH_A, addr_a[3:0], seen_a)};
    wire [35:0] read_b = DATA_WIDTH_B == 36
                       ? {mem[{addr_b[13:5], 1'b1}], mem[{addr_b[13:5], 1'b0}]}
                       : {part(DATA_WIDTH_B, addr_b[3:0], seen_b), 18'd0};
    wire load_a = CEA && !(WEA && WRITEMODE_A == "NORMAL");
    wire load_b = CEB && !(WEB && WRITEMODE_B == "NORMAL");
    wire [35:0] held_a;
    wire [35:0] held_b;

    ecp5_read_latch #(.ASYNC(RESETMODE == "ASYNC")) latch_a (
        .clk(CLKA), .rst(RSTA), .load(load_a), .data(read_a), .held(held_a)
    );
    ecp5_read_latch #(.ASYNC(RESETMODE == "ASYNC")) latch_b (
        .clk(CLKB), .rst(RSTB), .load(load_b), .data(read_b), .held(held_b)
    );

    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6,
        DOA5, DOA4, DOA3, DOA2, DOA1, DOA0}
        = DATA_WIDTH_B == 36 ? held_b[17:0] : held_a[17:0];
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6,
        DOB5, DOB4, DOB3, DOB2, DOB1, DOB0}
        = held_b[35:18];

    wire unused = &{1'b0, GSR, OCEA, OCEB, CSA2, CSA1, CSA0, CSB2, CSB1, CSB0, held_a[35:18]};
endmodule
