"""What a bitstream takes of its device, as a table. Takes plain data, computes nothing."""

from __future__ import annotations

import shlex
from typing import Any

from rich.console import Console

from neurocompile.report.tables import plain, show_table

NAMES = {"luts": "logic cells", "ffs": "flip-flops", "brams": "block RAMs", "dsps": "multipliers",
         "sprams": "large RAMs"}


def show_bitstream(console: Console, known: dict[str, Any]) -> None:
    """Resources, by core and shared part too; clock and slowest path; latency of samples. Or what
    a package is for."""
    if "package" in known:
        _show_package(console, known)
        return
    show_table(console, known["device"], ("", "used", "of", "%"), [
        (NAMES[name], used, known["available"][name],
         round(100 * used / max(1, known["available"][name])))
        for name, used in known["used"].items()])
    columns = [name for name in NAMES if any(name in part for part in known["parts"].values())]
    show_table(console, "by core and shared part", ("", *(NAMES[name] for name in columns)), [
        (part, *(used.get(name, 0) for name in columns))
        for part, used in known["parts"].items()])
    verdict = "reached" if known["mhz"] >= known["wanted_mhz"] else "missed"
    console.print(plain(
        f"clock: {known['mhz']:.1f} MHz; {known['wanted_mhz']:g} wanted, {verdict}"))
    if known["critical"]:
        console.print(plain(f"slowest path: {known['critical'][-1][1]:.1f} ns through "
                            + _through([name for name, _ in known["critical"]])), soft_wrap=True)
    if not known["patchable"]:
        console.print(plain(f"patch-weights has no use of it: {known['why_not']}"), soft_wrap=True)
    if "samples" in known:
        _show_samples(console, known["samples"])
    console.print(plain(f"{known['output']}/{known['bitstream']}"), soft_wrap=True)
    _show_loading(console, known)


def _show_loading(console: Console, known: dict[str, Any]) -> None:
    """As a shell takes it."""
    if known["load"]:
        console.print(plain("load it: " + shlex.join(known["load"])), soft_wrap=True)


def _show_package(console: Console, known: dict[str, Any]) -> None:
    console.print(plain(
        f"{known['output']}: {len(known['files'])} files for Vivado ({known['package']}, "
        f"{known['wanted_mhz']:g} MHz) and PYNQ; no bitstream, which only Vivado makes"),
        soft_wrap=True)
    console.print(plain("not tried in Vivado or on a board. Next:"))
    for line in known["next"]:
        console.print(plain(f"  {line}"), soft_wrap=True)


def _through(names: list[str]) -> str:
    """First and last signal of a path, and the modules between them."""
    modules: list[str] = []
    for name in names:
        module = name.rpartition(".")[0] or name
        if not modules or modules[-1] != module:
            modules.append(module)
    inner = " > ".join(modules[1:-1])
    return f"{names[0]} > {inner} > {names[-1]}" if inner else f"{names[0]} > {names[-1]}"


def _show_samples(console: Console, known: dict[str, Any]) -> None:
    """How long samples take, and what cores do with all of them."""
    spread = ("mean", "median", "p99", "max")
    show_table(console, f"{known['samples']:,} samples of {known['steps']:,} steps at "
               f"{known['mhz']:.1f} MHz", ("", *spread), [
        (f"{unit} a {what}", *(known[what][unit][name] for name in spread))
        for what in ("step", "sample") for unit in ("cycles", "us")])
    show_table(console, "in all of them, by core", (
        "core", "neurons updated", "spikes", "flits in", "flits out", "words of synapses read",
        "lanes"), [
        (row["core"], row["neuron_updates"], row["spikes"], row["flits_in"], row["flits_out"],
         row["synapse_words"], row["lanes"]) for row in known["cores"]])


def show_patched(console: Console, known: dict[str, Any]) -> None:
    """What was exchanged, what was read back, and how long each part took."""
    show_table(console, "words that are others now", ("memory", "words", ""), [
        (path, words, "the host loads it" if path in known["loaded"] else "")
        for path, words in known["changed"].items()])
    seconds = known["seconds"]
    console.print(plain(
        f"patched in {seconds['contents'] + seconds['packing']:.2f} s (contents "
        f"{seconds['contents']:.2f}, packing {seconds['packing']:.2f}), after "
        f"{seconds['compiling']:.2f} s of compiling"), soft_wrap=True)
    console.print(plain(f"read back from the bitstream in {seconds['check']:.2f} s: "
                        f"{known['bits']:,} bits, all as they are to be"), soft_wrap=True)
    console.print(plain(f"{known['output']}/{known['bitstream']}"), soft_wrap=True)
    _show_loading(console, known)


def show_resources(console: Console, known: dict[str, Any]) -> None:
    """What a network takes of its FPGA by the estimate: by core, and of the device."""
    names = [name for name in NAMES if name != "ffs" and known["available"][name]]
    total, there = known["total"], known["available"]
    show_table(console, f"{known['device']}, logic cells estimated",
               ("", "lanes", *(NAMES[name] for name in names)), [
        *((f"core {c['core']}", c["lanes"], *(c[name] for name in names))
          for c in known["cores"]),
        ("bus and control", None, *(known["shared"][name] for name in names)),
        *([("host link", None, *(known["link"][name] for name in names))]
          if known["link"] else []),
        ("all", None, *(total[name] for name in names)),
        ("of", None, *(there[name] for name in names))])
