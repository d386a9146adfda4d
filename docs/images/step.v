// Watches one step of a network of one core: a line for each cycle, with what its signals are in it.
//
// The host's words are in words.hex and are offered one after the other, as soon as each is taken.
module step (
    input clk
);
    reg [`WORD-1:0] words[0:`WORDS-1];
    initial $readmemh("words.hex", words);

    reg [15:0] cycle = 16'd0;
    reg [15:0] at = 16'd0;
    wire       rst = cycle < 16'd4;
    // After reset the sums are cleared; the host waits for that.
    wire       host_valid = cycle >= 16'd32 && at < `WORDS;
    wire       host_ready;
    wire       out_valid;
    wire       out_end;
    wire [`AXON-1:0] out_axon;
    wire [31:0]      out_value;

    nc_top chip (
        .clk(clk), .rst(rst),
        .host_valid(host_valid), .host_ready(host_ready), .host_word(words[at]),
        .out_valid(out_valid), .out_ready(1'b1), .out_end(out_end),
        .out_axon(out_axon), .out_value(out_value)
    );

    always @(posedge clk) begin
        cycle <= cycle + 16'd1;
        if (host_valid && host_ready) at <= at + 16'd1;
        $display("cycle=%0d start=%0d host=%0d taken=%0d kind=%0d number=%0d asked=%0d index=%0d done=%0d done_index=%0d sends=%0d sender=%0d granted=%0d to_host=%0d waiting=%0d record=%0d walking=%0d word=%0d add=%0d busy=%0d out=%0d out_end=%0d out_axon=%0d out_value=%0d",
                 cycle, chip.start, host_valid, host_valid && host_ready, chip.kind,
                 chip.host_number, chip.core0.neurons.scanning, chip.core0.neurons.index,
                 chip.core0.neurons.done, chip.core0.neurons.done_index, chip.core0.neurons.sends,
                 chip.core0.sender.state, chip.bus.granted, chip.in_valid[1],
                 chip.core0.fifo.count, {1'b0, chip.core0.synapses.record_valid}
                     + {1'b0, chip.core0.synapses.read_valid},
                 chip.core0.synapses.issue, chip.core0.synapses.word, chip.core0.synapses.add,
                 chip.core0.busy, out_valid, out_end, out_axon, out_value);
        if (cycle == 16'd400) $finish;
    end
endmodule
