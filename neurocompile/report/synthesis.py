"""What a bitstream takes of its device, as a table. Takes plain data, computes nothing."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from neurocompile.report.tables import plain, show_table

NAMES = {"luts": "logic cells", "ffs": "flip-flops", "brams": "block RAMs", "dsps": "multipliers",
         "sprams": "large RAMs"}


def show_bitstream(console: Console, known: dict[str, Any]) -> None:
    """Resources, clock and slowest path; or what a package is for."""
    if "package" in known:
        _show_package(console, known)
        return
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


def _show_package(console: Console, known: dict[str, Any]) -> None:
    console.print(plain(
        f"{known['output']}: {len(known['files'])} files for Vivado ({known['package']}, "
        f"{known['wanted_mhz']:g} MHz) and PYNQ; no bitstream, which only Vivado makes"),
        soft_wrap=True)
    console.print(plain("not tried in Vivado or on a board. Next:"))
    for line in known["next"]:
        console.print(plain(f"  {line}"), soft_wrap=True)
