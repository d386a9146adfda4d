// nc_axil: every access is answered once and what is answered stays until it is taken; the registers
// are those of the map, at its addresses, whatever comes in which order; the halves of a counter that
// are read one after the other are of one moment; nothing happens but by a write with its strobe.
module axil (
    input        clk,
    input        rst,
    input        awvalid,
    input [11:0] awaddr,
    input        wvalid,
    input [31:0] wdata,
    input [3:0]  wstrb,
    input        bready,
    input        arvalid,
    input [11:0] araddr,
    input        rready,
    input        resetting,
    input        running,
    input        busy,
    input        draining,
    input [3:0]  fault,
    input [6:0]  events
);
    wire        awready, wready, bvalid, arready, rvalid, enable, clear;
    wire [1:0]  bresp, rresp;
    wire [31:0] rdata;

    nc_axil #(
        .NETWORK(32'hc0ffee42), .WORD(19), .IN_BYTES(4), .AXON(9), .PAYLOAD(3)
    ) dut (
        .clk(clk), .rst(rst), .s_axil_awvalid(awvalid), .s_axil_awready(awready),
        .s_axil_awaddr(awaddr), .s_axil_awprot(3'd0), .s_axil_wvalid(wvalid),
        .s_axil_wready(wready), .s_axil_wdata(wdata), .s_axil_wstrb(wstrb),
        .s_axil_bvalid(bvalid), .s_axil_bready(bready), .s_axil_bresp(bresp),
        .s_axil_arvalid(arvalid), .s_axil_arready(arready), .s_axil_araddr(araddr),
        .s_axil_arprot(3'd0), .s_axil_rvalid(rvalid), .s_axil_rready(rready),
        .s_axil_rdata(rdata), .s_axil_rresp(rresp), .enable(enable), .clear(clear),
        .resetting(resetting), .running(running), .busy(busy), .draining(draining),
        .fault(fault), .events(events)
    );

    reg        begun = 1'b0;

    // ---- Writes.

    reg        addressed;  // an address waits for its data
    reg        filled;     // data wait for their address
    reg [11:0] address;
    reg [31:0] data;
    reg [3:0]  strobe;
    reg        answers;
    reg        writable;
    reg        zeroed;
    reg [31:0] scratch;
    reg        enabled;
    reg        clears;
    reg [3:0]  faults;

    wire        writes = addressed && filled && (!answers || bready);
    wire [11:0] at = {address[11:2], 2'b00};
    wire        controls = writes && at == 12'h010 && strobe[0];
    wire        forgives = writes && at == 12'h018 && strobe[0];

    // ---- A counter, any.

    (* anyconst *) wire [2:0] which;
    always @* assume (which < 7);
    reg [63:0] count;
    reg [31:0] upper;      // when its lower half was read
    reg        kept;       // and no other counter since

    // ---- Reads.

    reg        reads;
    reg        known;      // the model knows what is to be read
    reg [31:0] value;
    reg        exists;

    wire [11:0] from = {araddr[11:2], 2'b00};
    wire        reads_now = arvalid && arready;
    wire        lower = from == 12'h020 + 8 * which;
    wire        higher = from == 12'h024 + 8 * which;
    wire        counter = from >= 12'h020 && from < 12'h058;

    integer b;
    always @(posedge clk) begin
        begun <= 1'b1;
        if (awvalid && awready) begin
            addressed <= 1'b1;
            address <= awaddr;
        end else if (writes) addressed <= 1'b0;
        if (wvalid && wready) begin
            filled <= 1'b1;
            data <= wdata;
            strobe <= wstrb;
        end else if (writes) filled <= 1'b0;
        answers <= writes || (answers && !bready);
        if (writes) writable <= at == 12'h010 || at == 12'h018 || at == 12'h01c;

        clears <= controls && data[1];
        zeroed <= controls && data[2];
        if (controls) enabled <= data[0];
        faults <= (faults & ~(forgives ? data[3:0] : 4'd0)) | fault;
        for (b = 0; b < 4; b = b + 1)
            if (writes && at == 12'h01c && strobe[b]) scratch[8*b+:8] <= data[8*b+:8];
        count <= zeroed ? 0 : count + events[which];

        reads <= reads_now || (reads && !rready);
        if (reads_now) begin
            exists <= from < 12'h058;
            known <= !counter || lower || (higher && kept);
            if (lower) upper <= count[63:32];
            if (counter && !from[2]) kept <= lower;
            case (from)
                12'h000: value <= "NCAX";
                12'h004: value <= {16'd1, 16'd0};
                12'h008: value <= 32'hc0ffee42;
                12'h00c: value <= {8'd3, 8'd9, 8'd4, 8'd19};
                12'h010: value <= {resetting || clears, enabled};
                12'h014: value <= {draining, faults != 0, busy || clears, running};
                12'h018: value <= faults;
                12'h01c: value <= scratch;
                default: value <= lower ? count[31:0] : higher ? upper : 0;
            endcase
        end
        if (rst) begin
            addressed <= 1'b0;
            filled <= 1'b0;
            answers <= 1'b0;
            clears <= 1'b0;
            zeroed <= 1'b0;
            enabled <= 1'b1;
            faults <= 0;
            scratch <= 0;
            count <= 0;
            reads <= 1'b0;
            kept <= 1'b0;
        end
        if (!begun) assume (rst);
    end

    // The claims.
    reg       b_waits, r_waits;
    reg [1:0] was_bresp, was_rresp;
    reg [31:0] was_rdata;
    always @(posedge clk) begin
        b_waits <= bvalid && !bready && !rst;
        r_waits <= rvalid && !rready && !rst;
        was_bresp <= bresp;
        was_rresp <= rresp;
        was_rdata <= rdata;
    end
    always @(posedge clk) if (begun) begin
        assert (awready == !addressed && wready == !filled && bvalid == answers);
        assert (arready == !reads && rvalid == reads);
        if (b_waits) assert (bvalid && bresp == was_bresp);
        if (r_waits) assert (rvalid && rresp == was_rresp && rdata == was_rdata);
        if (bvalid) assert (bresp == (writable ? 2'd0 : 2'd2));
        if (rvalid) assert (rresp == (exists ? 2'd0 : 2'd2));
        if (rvalid && known) assert (rdata == value);
        assert (enable == enabled && clear == clears);
    end

`ifndef CLAIMS
    // Why they hold.
    (* hierconn *) wire [9:0]   \dut.addr ;
    (* hierconn *) wire [31:0]  \dut.data ;
    (* hierconn *) wire [3:0]   \dut.strobe ;
    (* hierconn *) wire [3:0]   \dut.faults ;
    (* hierconn *) wire [31:0]  \dut.scratch ;
    (* hierconn *) wire         \dut.zero ;
    (* hierconn *) wire [447:0] \dut.counts ;
    (* hierconn *) wire [31:0]  \dut.upper ;
    always @(posedge clk) if (begun) begin
        if (addressed) assert (\dut.addr == address[11:2]);
        if (filled) assert (\dut.data == data && \dut.strobe == strobe);
        assert (\dut.faults == faults && \dut.scratch == scratch && \dut.zero == zeroed);
        assert (\dut.counts [which*64+:64] == count);
        if (kept) assert (\dut.upper == upper);
    end
`endif
endmodule
