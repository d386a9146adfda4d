"""Codes of the chip simulator: code -> (title, what it means)."""

from __future__ import annotations

CODES: dict[str, tuple[str, str]] = {
    "E840": ("no program", "A build holds a program after `compile --backend chip`."),
    "E841": ("changed program", "A file of the program is not the one that was written."),
    "E842": ("damaged program", "The files do not describe a program."),
    "E843": ("spikes cannot be given", "The chip simulator runs whole programs: layers cannot be "
             "run on the spikes of another executor."),
    "E844": ("no such core", "The program has fewer cores."),
}
