// nc_decay: y is x * keep / 4096 rounded toward zero, exactly, for every x and every keep.
//
// That is: |y| is the largest integer with 4096 * |y| <= |x| * keep, and y has the sign of x.
// LATENCY 0: of the function that the pipeline computes, its registers taken for wires; how many it
// has does not matter. Otherwise: of the pipeline, cycle by cycle.
module decay #(
    parameter WIDTH = 24,
    parameter LATENCY = 0
) (
    input             clk,
    input [WIDTH-1:0] x,
    input [12:0]      keep
);
    wire [WIDTH-1:0] y;
    nc_decay #(.WIDTH(WIDTH)) dut (.clk(clk), .x(x), .keep(keep), .y(y));

    wire [WIDTH-1:0] was_x;
    wire [12:0]      was_keep;
    wire             there;
    generate
        if (LATENCY == 0) begin : g_function
            assign was_x = x;
            assign was_keep = keep;
            assign there = 1'b1;
        end else begin : g_pipeline
            reg [(LATENCY+1)*WIDTH-1:0] xs;
            reg [(LATENCY+1)*13-1:0]    keeps;
            reg [LATENCY:0]             since = 0;
            always @(posedge clk) begin
                xs <= {xs[LATENCY*WIDTH-1:0], x};
                keeps <= {keeps[LATENCY*13-1:0], keep};
                since <= {since[LATENCY-1:0], 1'b1};
            end
            assign was_x = xs[(LATENCY-1)*WIDTH+:WIDTH];
            assign was_keep = keeps[(LATENCY-1)*13+:13];
            assign there = since[LATENCY-1];
        end
    endgenerate

    wire [WIDTH-1:0]  size_x = was_x[WIDTH-1] ? -was_x : was_x;
    wire [WIDTH-1:0]  size_y = y[WIDTH-1] ? -y : y;
    wire [WIDTH+12:0] product = {13'd0, size_x} * {{WIDTH{1'b0}}, was_keep};
    wire [WIDTH+12:0] back = {1'b0, size_y, 12'd0};

    always @* if (there && was_keep <= 4096) begin
        assert (back <= product && product - back < 4096);
        if (y != 0) assert (y[WIDTH-1] == was_x[WIDTH-1]);
    end
endmodule
