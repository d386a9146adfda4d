"""From a design to a bitstream, and other contents for it."""
