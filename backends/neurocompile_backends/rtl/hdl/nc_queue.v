// A deep FIFO in block RAM. Its head is read into a register, so there is room for one word more
// than 2**LOG2_DEPTH; a word is at the head two cycles after it was put into an empty queue.
module nc_queue #(
    parameter WIDTH = 8,
    parameter LOG2_DEPTH = 9
) (
    input              clk,
    input              rst,
    input              in_valid,
    output             in_ready,
    input  [WIDTH-1:0] in_data,
    output reg         out_valid,
    input              out_ready,
    output [WIDTH-1:0] out_data
);
    localparam [LOG2_DEPTH:0] DEPTH = {1'b1, {LOG2_DEPTH{1'b0}}};

    reg [LOG2_DEPTH-1:0] head;
    reg [LOG2_DEPTH-1:0] tail;
    reg [LOG2_DEPTH:0]   count;  // in the RAM

    wire put = in_valid && in_ready;
    wire take = out_valid && out_ready;
    wire read = count != {(LOG2_DEPTH + 1) {1'b0}} && (!out_valid || take);

    assign in_ready = count != DEPTH;

    // Never one address in one cycle: head and tail are equal only where it is empty, and then
    // nothing is read, or full, and then nothing is written.
    nc_ram #(
        .WIDTH(WIDTH), .DEPTH(1 << LOG2_DEPTH), .ADDR(LOG2_DEPTH)
    ) ram (
        .clk(clk), .read(read), .read_addr(head), .read_data(out_data),
        .write(put), .write_addr(tail), .write_data(in_data)
    );

    always @(posedge clk) begin
        if (rst) begin
            head <= {LOG2_DEPTH{1'b0}};
            tail <= {LOG2_DEPTH{1'b0}};
            count <= {(LOG2_DEPTH + 1) {1'b0}};
            out_valid <= 1'b0;
        end else begin
            if (put) tail <= tail + 1'b1;
            if (read) head <= head + 1'b1;
            if (put && !read) count <= count + 1'b1;
            if (read && !put) count <= count - 1'b1;
            out_valid <= read || (out_valid && !take);
        end
    end
endmodule
