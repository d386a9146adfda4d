"""Codes of data use, backends, verification and the command line: code -> (title, meaning)."""

from __future__ import annotations

CODES: dict[str, tuple[str, str]] = {
    "E205": ("no such input mode", "--input-mode names none of the modes."),
    "E206": ("malformed threshold", "--threshold is POP=N."),
    "E207": ("no such rounding", "--decay-rounding is nearest or floor."),
    "E208": ("impossible option of convert",
             "--compare is gt or ge, --dt a length, --input-shape a shape, and -o no .toml file."),
    "E631": ("values outside the compiled range", "Overflow was proved for another range."),
    "E632": ("no whole numbers", "An input of spikes or counts was given fractions."),
    "E633": ("input changes over a sample", "Bias registers are loaded once a sample."),
    "E634": ("run longer than proved", "The network was compiled for shorter runs."),
    "E639": ("no samples", "--samples is at least 1."),
    "E640": ("arrays do not match the inputs", "A name or shape differs."),
    "E641": ("which output", "A network with several outputs needs to be told which is decoded."),
    "E642": ("labels outside the output", "A label is no index of the output's elements."),
    "E643": ("no such probe", "Probes are POP:s, POP:u or POP:v. A board shows only what it "
             "sends."),
    "E644": ("no such decoding", "--decode is count, last or max."),
    "E717": ("build without mapping", "The build was written by something else than compile."),
    "E801": ("no such backend", "No installed package provides it."),
    "E802": ("backend does not load", "Its distribution is named."),
    "E803": ("nothing to compare", "A comparison needs two different backends."),
    "E804": ("nothing to deploy", "The backend runs networks and writes no files for the user."),
    "E875": ("no such level", "--level is for backends that have levels: rtl, netlist, bitstream "
             "or board of the backend rtl. --port is for a board, --bitstream for a bitstream."),
    "E901": ("out of memory", "The machine has too little memory for what was asked."),
}
