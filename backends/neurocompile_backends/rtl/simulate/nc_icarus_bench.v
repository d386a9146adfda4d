// Simulation only: the host of a design under Icarus Verilog, word for word and cycle for cycle
// what harness.cpp is under Verilator.
//
// The words of all samples are in one file for $readmemh: first LOADING words that nothing answers,
// then samples, each up to its END. Of every 256 cycles the host offers nothing in STALL_IN and
// takes nothing in STALL_OUT, drawn anew in each cycle; sample n begins with the seed SEED + n.
// What comes out is printed as "sample end axon value"; "done" is printed last, or "hangs".
module nc_icarus_bench;
    parameter WORD = 32;
    parameter AXON = 8;
    parameter WORDS = 1;
    parameter LOADING = 0;
    parameter SAMPLES = 1;
    parameter STEPS = 1;
    parameter SETTLE = 8;
    parameter STALL_IN = 0;
    parameter STALL_OUT = 0;
    parameter SEED = 1;
    parameter LIMIT = 1000000;

    localparam [2:0] END = 3'd2;

    reg             clk;
    reg             rst;
    reg             host_valid;
    wire            host_ready;
    reg  [WORD-1:0] host_word;
    wire            out_valid;
    reg             out_ready;
    wire            out_end;
    wire [AXON-1:0] out_axon;
    wire [31:0]     out_value;

    nc_top top (
        .clk(clk), .rst(rst),
        .host_valid(host_valid), .host_ready(host_ready), .host_word(host_word),
        .out_valid(out_valid), .out_ready(out_ready), .out_end(out_end),
        .out_axon(out_axon), .out_value(out_value)
    );

    reg [WORD-1:0] words[0:WORDS-1];
    reg [63:0] random;
    reg complete;  // all words of the sample are taken
    integer at, sample, ended, cycle;
    integer for_in, for_out;  // what was drawn for stalls, 0 to 255

    task tick;
        begin
            clk = 1'b1;
            #1 clk = 1'b0;
            #1;
        end
    endtask

    // The sums of the sample before are cleared.
    task settle;
        begin
            host_valid = 1'b0;
            out_ready = 1'b0;
            #1;
            repeat (SETTLE) tick;
        end
    endtask

    // xorshift64 (Marsaglia 2003)
    task draw;
        begin
            random = random ^ (random << 13);
            random = random ^ (random >> 7);
            random = random ^ (random << 17);
            for_in = {24'd0, random[7:0]};
            for_out = {24'd0, random[15:8]};
        end
    endtask

    // A cycle: inputs change while the clock is low, what is exchanged is seen before it rises.
    task exchange(input offers, input takes);
        begin
            host_valid = offers;
            host_word = words[at < WORDS ? at : 0];
            out_ready = takes;
            #1;
            if (out_valid && takes) begin
                $display("%0d %b %0d %0d", sample, out_end, out_axon, $signed(out_value));
                if (out_end) ended = ended + 1;
            end
            if (offers && host_ready) begin
                complete = words[at][2:0] == END;
                at = at + 1;
            end
            tick;
            cycle = cycle + 1;
        end
    endtask

    initial begin
        $readmemh("words.hex", words);
        clk = 1'b0;
        rst = 1'b1;
        host_valid = 1'b0;
        host_word = {WORD{1'b0}};
        out_ready = 1'b0;
        complete = 1'b0;
        at = 0;
        cycle = 0;
        ended = 0;
        sample = -1;
        #1 repeat (4) tick;
        rst = 1'b0;
        #1;
        if (LOADING != 0) settle;
        while (at < LOADING && cycle < LIMIT) exchange(1'b1, 1'b1);
        for (sample = 0; sample < SAMPLES; sample = sample + 1) begin
            settle;
            random = {32'd0, SEED + sample};
            complete = 1'b0;
            ended = 0;
            while (!(complete && ended == STEPS) && cycle < LIMIT) begin
                draw;
                exchange(!complete && at < WORDS && for_in >= STALL_IN, for_out >= STALL_OUT);
            end
        end
        if (cycle < LIMIT) $display("done");
        else $display("hangs");
        $finish(0);
    end
endmodule
