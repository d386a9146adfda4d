"""What a design is written as: Verilog and memories, for boards, buses and tools."""
