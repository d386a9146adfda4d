// Registers of a chip behind AXI4-Streams (nc_axis), on AXI4-Lite: 32 bits, one access at a time.
//
//   0x000 ID        RO   "NCAX"
//   0x004 VERSION   RO   of this map: major (16), minor (16)
//   0x008 NETWORK   RO   CRC of the design and all its memories
//   0x00C WIDTHS    RO   bits of a word in, bytes of a beat in, bits of an axon and a payload out (8 each)
//   0x010 CONTROL        0 enable (RW, 1 after reset): beats are taken
//                        1 reset (write 1; reads 1 while it lasts): clear of nc_axis
//                        2 zero (write 1; reads 0): all counters become 0
//   0x014 STATUS    RO   0 running, 1 busy, 2 any fault, 3 draining
//   0x018 FAULT     W1C  0 packet cut off, 1 word misplaced, 2 no such core, 3 TKEEP
//   0x01C SCRATCH   RW   nothing: for who tests the bus
//   0x020 CYCLES    RO   cycles of all steps: what their ends say, summed
//   0x028 STEPS     RO   that ended
//   0x030 SAMPLES   RO   that ended
//   0x038 FLITS     RO   that the chip took from the host
//   0x040 SENT      RO   beats that went out
//   0x048 STARVED   RO   cycles in which a sample was open and no word was there for the chip
//   0x050 BLOCKED   RO   cycles in which a beat was offered and not taken
//
// Counters have 64 bits. Reading the lower half keeps the upper half of that moment, which is read at
// the next address: in this order, and one counter after the other, both halves are of one moment.
//
// Everywhere else is nothing: reading and writing give SLVERR, and so does writing what is read-only.
// The two lowest bits of an address are not looked at. Bytes without a strobe stay as they are.
module nc_axil #(
    parameter [31:0] NETWORK = 0,
    parameter WORD = 20,
    parameter IN_BYTES = 4,
    parameter AXON = 10,
    parameter PAYLOAD = 1
) (
    input             clk,
    input             rst,
    input             s_axil_awvalid,
    output            s_axil_awready,
    input  [11:0]     s_axil_awaddr,
    input  [2:0]      s_axil_awprot,
    input             s_axil_wvalid,
    output            s_axil_wready,
    input  [31:0]     s_axil_wdata,
    input  [3:0]      s_axil_wstrb,
    output reg        s_axil_bvalid,
    input             s_axil_bready,
    output reg [1:0]  s_axil_bresp,
    input             s_axil_arvalid,
    output            s_axil_arready,
    input  [11:0]     s_axil_araddr,
    input  [2:0]      s_axil_arprot,
    output reg        s_axil_rvalid,
    input             s_axil_rready,
    output reg [31:0] s_axil_rdata,
    output reg [1:0]  s_axil_rresp,
    // nc_axis.
    output reg        enable,
    output reg        clear,
    input             resetting,
    input             running,
    input             busy,
    input             draining,
    input  [3:0]      fault,
    input  [6:0]      events     // the counters from CYCLES on, lowest first
);
    localparam [1:0] OKAY = 2'd0, SLVERR = 2'd2;
    localparam [9:0] ID = 10'h000, VERSION = 10'h001, NET = 10'h002, WIDTHS = 10'h003,
                     CONTROL = 10'h004, STATUS = 10'h005, FAULT = 10'h006, SCRATCH = 10'h007,
                     FIRST = 10'h008, AFTER = 10'h016;  // of the counters' words
    localparam COUNTERS = 7;

    // ---- A write: its address and its data come in any order, and wait for each other.

    reg        have_addr;
    reg        have_data;
    reg [9:0]  addr;
    reg [31:0] data;
    reg [3:0]  strobe;

    assign s_axil_awready = !have_addr;
    assign s_axil_wready = !have_data;

    wire write = have_addr && have_data && (!s_axil_bvalid || s_axil_bready);
    wire writable = addr == CONTROL || addr == FAULT || addr == SCRATCH;

    always @(posedge clk) begin
        if (s_axil_awvalid && s_axil_awready) begin
            have_addr <= 1'b1;
            addr <= s_axil_awaddr[11:2];
        end
        if (s_axil_wvalid && s_axil_wready) begin
            have_data <= 1'b1;
            data <= s_axil_wdata;
            strobe <= s_axil_wstrb;
        end
        if (s_axil_bready) s_axil_bvalid <= 1'b0;
        if (write) begin
            have_addr <= 1'b0;
            have_data <= 1'b0;
            s_axil_bvalid <= 1'b1;
            s_axil_bresp <= writable ? OKAY : SLVERR;
        end
        if (rst) begin
            have_addr <= 1'b0;
            have_data <= 1'b0;
            s_axil_bvalid <= 1'b0;
        end
    end

    // ---- Registers.

    reg        zero;
    reg [3:0]  faults;
    reg [31:0] scratch;

    wire control = write && addr == CONTROL && strobe[0];
    wire [3:0] forgiven = write && addr == FAULT && strobe[0] ? data[3:0] : 4'd0;

    integer b;
    always @(posedge clk) begin
        clear <= control && data[1];
        zero <= control && data[2];
        if (control) enable <= data[0];
        faults <= (faults & ~forgiven) | fault;
        if (write && addr == SCRATCH)
            for (b = 0; b < 4; b = b + 1)
                if (strobe[b]) scratch[b*8+:8] <= data[b*8+:8];
        if (rst) begin
            clear <= 1'b0;
            zero <= 1'b0;
            enable <= 1'b1;
            faults <= 4'd0;
            scratch <= 32'd0;
        end
    end

    // ---- Counters.

    reg [COUNTERS*64-1:0] counts;

    integer i;
    always @(posedge clk)
        for (i = 0; i < COUNTERS; i = i + 1)
            counts[i*64+:64] <= rst || zero ? 64'd0 : counts[i*64+:64] + {63'd0, events[i]};

    // ---- A read.

    assign s_axil_arready = !s_axil_rvalid;

    wire       read = s_axil_arvalid && s_axil_arready;
    wire [9:0] from = s_axil_araddr[11:2];
    wire       counter = from >= FIRST && from < AFTER;
    wire [9:0] nth = from - FIRST;

    reg [63:0] chosen;
    reg [31:0] upper;  // of the counter that was read last
    reg [31:0] value;

    integer c;
    always @* begin
        chosen = 64'd0;
        for (c = 0; c < COUNTERS; c = c + 1)
            if (nth[3:1] == c[2:0]) chosen = counts[c*64+:64];
        case (from)
            ID: value = 32'h4e434158;
            VERSION: value = 32'h00010000;
            NET: value = NETWORK;
            WIDTHS: value = {PAYLOAD[7:0], AXON[7:0], IN_BYTES[7:0], WORD[7:0]};
            CONTROL: value = {30'd0, resetting || clear, enable};
            STATUS: value = {28'd0, draining, faults != 4'd0, busy || clear, running};
            FAULT: value = {28'd0, faults};
            SCRATCH: value = scratch;
            default: value = !counter ? 32'd0 : nth[0] ? upper : chosen[31:0];
        endcase
    end

    always @(posedge clk) begin
        if (s_axil_rready) s_axil_rvalid <= 1'b0;
        if (read) begin
            s_axil_rvalid <= 1'b1;
            s_axil_rdata <= value;
            s_axil_rresp <= counter || from < FIRST ? OKAY : SLVERR;
            if (counter && !nth[0]) upper <= chosen[63:32];
        end
        if (rst) s_axil_rvalid <= 1'b0;
    end

    wire unused = &{1'b0, s_axil_awprot, s_axil_arprot, s_axil_awaddr[1:0], s_axil_araddr[1:0],
                    nth[9:4]};
endmodule
