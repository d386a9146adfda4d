"""The Makefile beside a bitstream: how it is made again, without this project."""

from __future__ import annotations

from collections.abc import Sequence


def makefile(bitstream: str, commands: Sequence[Sequence[str]],
             load: Sequence[str] | None = None) -> str:
    """``make bit`` runs ``commands`` in the folder, ``make load`` brings the bitstream to a board.

    A tool is a variable with the name of the ``fpga`` extra's: ``make bit YOSYS=yosys`` takes
    another.
    """
    tools = {_variable(command[0]): f"yowasp-{command[0]}" for command in commands}
    # Apycula's packer is its own program.
    tools = {name: tool.replace("yowasp-gowin_pack", "gowin_pack")
             for name, tool in tools.items()}
    lines = [f"{name} ?= {tool}" for name, tool in tools.items()]
    lines += ["", ".PHONY: bit" + (" load" if load else ""), "", f"bit: {bitstream}", "",
              f"{bitstream}: synthesis.ys $(wildcard hdl/*.v mem/*)"]
    lines += ["\t" + " ".join([f"$({_variable(tool)})", *map(_quoted, arguments)])
              for tool, *arguments in commands]
    if load:
        lines += ["", f"load: {bitstream}", "\t" + " ".join(map(_quoted, load))]
    return "\n".join(lines) + "\n"


def _variable(tool: str) -> str:
    return tool.upper().replace("-", "_")


def _quoted(word: str) -> str:
    """For the shell, and for make."""
    plain = all(c.isalnum() or c in "-_./=+:" for c in word)
    return (word if plain else "'" + word.replace("'", "'\\''") + "'").replace("$", "$$")
