"""A design run by Verilator and Icarus: as written, as a netlist, as a bitstream."""
