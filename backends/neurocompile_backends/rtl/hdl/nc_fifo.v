// A small FIFO whose head is visible without asking for it.
//
// A word written in cycle t is at the head from t + 1 on. ready says that there is room now; it
// does not look at whether the head is taken in this cycle, which keeps the paths of both sides
// apart.
module nc_fifo #(
    parameter WIDTH = 8,
    parameter LOG2_DEPTH = 2
) (
    input              clk,
    input              rst,
    input              in_valid,
    output             in_ready,
    input  [WIDTH-1:0] in_data,
    output             out_valid,
    input              out_ready,
    output [WIDTH-1:0] out_data
);
    localparam [LOG2_DEPTH:0] DEPTH = {1'b1, {LOG2_DEPTH{1'b0}}};

    reg [WIDTH-1:0] mem[0:(1 << LOG2_DEPTH)-1];
    reg [LOG2_DEPTH-1:0] head;
    reg [LOG2_DEPTH-1:0] tail;
    reg [LOG2_DEPTH:0] count;

    wire put = in_valid && in_ready;
    wire take = out_valid && out_ready;

    assign in_ready = count != DEPTH;
    assign out_valid = count != {(LOG2_DEPTH + 1) {1'b0}};
    assign out_data = mem[head];

    always @(posedge clk) begin
        if (put) mem[tail] <= in_data;
        if (rst) begin
            head <= {LOG2_DEPTH{1'b0}};
            tail <= {LOG2_DEPTH{1'b0}};
            count <= {(LOG2_DEPTH + 1) {1'b0}};
        end else begin
            if (put) tail <= tail + 1'b1;
            if (take) head <= head + 1'b1;
            if (put && !take) count <= count + 1'b1;
            if (take && !put) count <= count - 1'b1;
        end
    end
endmodule
