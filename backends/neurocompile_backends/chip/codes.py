"""Codes of the chip simulator: code -> (title, what it means)."""

from __future__ import annotations

CODES: dict[str, tuple[str, str]] = {
    "E840": ("no program", "A build holds a program after `compile --backend chip`."),
    "E841": ("changed program", "A file of the program is not the one that was written."),
    "E842": ("damaged program", "The files do not describe a program."),
    "E843": ("spikes cannot be given", "The chip simulator runs whole programs: layers cannot be "
             "run on the spikes of another executor."),
    "E844": ("no such core", "The program has fewer cores."),
    "E845": ("program that computes something else", "What it sends differs from the functional "
             "simulator in a step; this would be a mistake of this project."),
    "E846": ("no checkpoint", "The file cannot be read as a checkpoint."),
    "E847": ("checkpoint of another run", "Program, data, samples or timing differ from the run "
             "that the checkpoint is of."),
    "E848": ("impossible option of profile", "--timing is cycle, analytic or rtl; --every counts "
             "steps and is at least 1. Each file it writes has a name of its own. Cycles of an "
             "FPGA have no trace and no checkpoint."),
    "E849": ("words of parts of bytes", "The images of synaptic memory hold words of whole bytes; "
             "the target's core.synapse_word_bits is no multiple of 8."),
}
