"""What a bitstream takes of its device, as a table. Takes plain data, computes nothing."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from neurocompile.report.tables import plain, show_table

NAMES = {"luts": "logic cells", "ffs": "flip-flops", "brams": "block RAMs", "dsps": "multipliers",
         "sprams": "large RAMs"}


def show_bitstream(console: Console, known: dict[str, Any]) -> None:
    """Resources, clock and slowest path."""
    show_table(console, known["device"], ("", "used", "of", "%"), [
        (NAMES[name], used, known["available"][name],
         round(100 * used / max(1, known["available"][name])))
        for name, used in known["used"].items()])
    verdict = "reached" if known["mhz"] >= known["wanted_mhz"] else "missed"
    console.print(plain(
        f"clock: {known['mhz']:.1f} MHz; {known['wanted_mhz']:g} wanted, {verdict}"))
    if known["critical"]:
        (first, _), (last, ns) = known["critical"][0], known["critical"][-1]
        console.print(plain(f"slowest path: {ns:.1f} ns from {first} to {last}"), soft_wrap=True)
    console.print(plain(f"{known['output']}/{known['bitstream']}"), soft_wrap=True)
    if known["load"]:
        console.print(plain("load it: " + " ".join(known["load"])), soft_wrap=True)


def show_resources(console: Console, known: dict[str, Any]) -> None:
    """What a network takes of its FPGA by the estimate: by core, and of the device."""
    names = [name for name in NAMES if name != "ffs" and known["available"][name]]
    total, there = known["total"], known["available"]
    show_table(console, f"{known['device']}, logic cells estimated",
               ("", "lanes", *(NAMES[name] for name in names)), [
        *((f"core {c['core']}", c["lanes"], *(c[name] for name in names))
          for c in known["cores"]),
        ("bus and control", None, *(known["shared"][name] for name in names)),
        ("all", None, *(total[name] for name in names)),
        ("of", None, *(there[name] for name in names))])
