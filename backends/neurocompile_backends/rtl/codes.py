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
             "in at most 32 bits."),
    "E864": ("spikes cannot be given", "The hardware runs whole networks: layers cannot be run on "
             "the spikes of another executor."),
}
