// The sums that wait for the neurons: LANES banks, each read and written once a cycle.
//
// Spikes read in one cycle and add in the next. The neurons read a whole row at once and clear it.
// While they do, spikes are held (nc_synapses), so both never want the same port.
module nc_accumulators #(
    parameter LANES = 8,
    parameter ADDR = 5,
    parameter SIZE = 32,
    parameter ACC = 16,
    parameter PRODUCT = 8
) (
    input                      clk,
    // Spikes.
    input  [LANES-1:0]         read,
    input  [LANES*ADDR-1:0]    read_addr,
    input  [LANES-1:0]         add,
    input  [LANES*ADDR-1:0]    add_addr,
    input  [LANES*PRODUCT-1:0] add_value,
    // Neurons.
    input                      scan,
    input  [ADDR-1:0]          scan_addr,
    input                      clear,
    input  [ADDR-1:0]          clear_addr,
    output [LANES*ACC-1:0]     sums
);
    genvar i;
    generate
        for (i = 0; i < LANES; i = i + 1) begin : g_lane
            wire [ACC-1:0] sum;
            wire [ACC-1:0] value;

            nc_extend #(.IN(PRODUCT), .OUT(ACC)) extend (
                .in(add_value[i*PRODUCT+:PRODUCT]), .out(value)
            );
            nc_ram #(
                .WIDTH(ACC), .DEPTH(SIZE), .ADDR(ADDR)
            ) bank (
                .clk(clk),
                .read(scan || read[i]),
                .read_addr(scan ? scan_addr : read_addr[i*ADDR+:ADDR]),
                .read_data(sum),
                .write(clear || add[i]),
                .write_addr(clear ? clear_addr : add_addr[i*ADDR+:ADDR]),
                .write_data(clear ? {ACC{1'b0}} : sum + value)
            );
            assign sums[i*ACC+:ACC] = sum;
        end
    endgenerate
endmodule
