"""RTL: hardware that executes a ``Program``, its simulation by Verilator, and its cycle counts."""
