"""Codes of the RTL backend: code -> (title, what it means)."""

from __future__ import annotations

CODES: dict[str, tuple[str, str]] = {
    "E860": ("tool that is missing", "The RTL is simulated by Verilator, which needs a C++ "
             "compiler. The message has the command that installs what is missing."),
    "E861": ("design that does not compile", "A tool finds fault with the generated design, "
             "warnings included; this would be a mistake of this project."),
    "E862": ("design that hangs", "A step of the simulated hardware did not end; this would be a "
             "mistake of this project."),
    "E863": ("network that this hardware cannot run", "The cores of the RTL saturate, and add "
             "in at most 32 bits, and number at most 8 million accumulators a lane."),
    "E865": ("tool or library that is missing", "Yosys, nextpnr, a packer, a reader of "
             "bitstreams, Icarus Verilog or Jinja2, which Verilog is written with, is not "
             "installed; the message has the command that installs it."),
    "E866": ("network that does not fit the device", "Place and route found too little of "
             "something. Fewer lanes need less logic, a larger device has more."),
    "E867": ("synthesis tool that fails", "Its own words are in the message; this would be a "
             "mistake of this project. Where a signal stopped it the machine did: memory that ran "
             "out, or a limit."),
    "E868": ("family without tools", "No tools are called for this family; the design "
             "is written all the same."),
    "E869": ("target that is no FPGA", "Only targets with a table `fpga` have a bitstream."),
    "E864": ("spikes cannot be given", "The hardware runs whole networks: layers cannot be run on "
             "the spikes of another executor."),
    "E880": ("design larger than its device", "Found before any tool runs. RAMs and multipliers "
             "are counted as synthesis makes them; logic cells are estimated, and refused where "
             "they are 15 % above. The message says what would fit."),
    "E881": ("impossible lanes", "The option --lanes takes numbers from 1 to 256, for targets that "
             "are FPGAs; or auto, where there is an estimate of what the device has room for."),
    "E874": ("no such board", "The option --board names a board that this project has pins of, "
             "with the device that the network was compiled for."),
    "E870": ("board that does not answer", "Nothing came over the serial port for longer than "
             "5 s (`timeout_s` of BoardHost)."),
    "E871": ("board with another network", "The bitstream on the board was made from another "
             "network or mapping than the program."),
    "E872": ("bytes lost between host and board", "The link found a word that is incomplete or "
             "does not exist. The run has no result; the next one begins with a reset."),
    "E876": ("target without this level", "A netlist can be simulated for iCE40 and ECP5, a "
             "bitstream where a tool reads it back: icebox_vlog, for iCE40. A board is for the "
             "targets of those that this project has pins of."),
    "E873": ("library for serial ports that is missing", "Boards are driven through pyserial, "
             "which is not installed by default."),
    "E885": ("no board where one is needed", "Place and route of some families chooses no pins "
             "itself. The option --board names a board that has them."),
    "E886": ("impossible clock or seed", "Place and route aims at a clock above 0 and at most "
             "1000 MHz, and its seed is a whole number from 0 on."),
    "E877": ("serial port that fails", "It does not exist, is used by another program, may not be "
             "opened, or went away; the message has the ports that are there."),
    "E887": ("design slower than its board", "`build --board` wrote the bitstream and its reports, "
             "but place and route did not reach the board's clock: it would compute something "
             "else."),
    "E878": ("folder of no board", "What `build --board` made tells the host how to speak to it; "
             "this folder has none of that, or its files are damaged."),
    "E879": ("bitstream that is not read whole", "At the sides of an UP5K something is set or "
             "connected that is neither SPRAM nor a multiplier, or one of these works in a way "
             "that is not read. A bitstream is not simulated without a part of it."),
    "E890": ("device whose bitstreams are not patched", "`patch-weights` exchanges what block RAM "
             "holds, which the open tools do for iCE40 only. Build again."),
    "E891": ("network of another design", "`patch-weights` exchanges what memories hold. Widths, "
             "constants in the logic and the shape of the network must be those of the bitstream; "
             "all that differ are listed. `compile --patchable` makes the hardware for any weights "
             "of a network's shape."),
    "E892": ("bitstream that cannot be patched", "There is none in the build, its memories did not "
             "fit block RAM, or its files are damaged."),
    "E893": ("bitstream with other contents", "What was read back from a bitstream is not what its "
             "memories were to hold; this would be a mistake of this project or of a tool."),
    "E894": ("option without an FPGA", "`--patchable` is about the hardware of an FPGA."),
}
