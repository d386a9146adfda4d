"""Which part of a design its cells belong to, from the names that synthesis gave them.

Yosys names a cell after the wire it drives, with the path of the module that the wire is in. Logic
that was merged over the border of two modules is counted where its wire is; what has no path is of
the top module, or was added by place and route.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

TOP, PLACER = "top", "place and route"
"""Parts without a module: glue between modules, and what place and route adds (carries' feeds)."""

_CELL = re.compile(r"_(?:SB|TRELLIS|LUT[1-7]|PFUMX|L6MUX21|CCU2C|DP16KD|MULT18X18D|ALU54B"
                   r"|DFF[RSE]*|ALU|MUX2|MULT\d+X\d+)(?=_|$)|\$_")
"""Where Yosys appends kinds of cells and their ports to the name of a wire, or nextpnr its own."""

_BOARD = {"chip": "", "host": "host link", "id_halves": "host link"}
"""Instances of ``nc_board``: the network is what it is without one, and its ID goes to the host."""


@dataclass
class Part:
    """What a part takes: luts, ffs, brams, dsps, sprams. ``modules``: the same within it."""

    used: dict[str, float] = field(default_factory=dict)
    modules: dict[str, dict[str, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {**self.used, "modules": dict(sorted(self.modules.items()))}


def path_of(cell: str) -> tuple[str, ...]:
    """The path of a cell: instances from the top, then its signal. Empty for what place and route
    added."""
    if cell.startswith("$"):
        return ()
    name = _CELL.split(cell, maxsplit=1)[0]
    parts = [re.sub(r"(?:_(?:LC|DFFLC|RAM|COMB|FF|DFF))+$", "", part) for part in name.split(".")]
    parts = [part for part in parts if part and not part.startswith("$")]
    head = _BOARD.get(parts[0], parts[0]) if len(parts) > 1 else None
    return tuple(parts if head is None else [*([head] if head else []), *parts[1:]])


def part_of(cell: str) -> tuple[str, str]:
    """(part, module within it or "") of a cell."""
    path = path_of(cell)
    if not path:
        return PLACER, ""
    if len(path) == 1:
        return TOP, ""
    return path[0], path[1] if len(path) > 2 else ""


def parts_of(placed: Mapping[str, Any], cells: Mapping[str, Mapping[str, float]],
             kinds: Mapping[str, str]) -> dict[str, Part]:
    """The parts of a placed design (nextpnr's ``--write``), sorted by name, cores by number.

    ``cells``, ``kinds``: as a family has them (``flow.Family``). A flip-flop within a logic
    cell of an iCE40 is counted as one, too. The sum over all parts is what the whole design takes.
    """
    counts = {cell: (what, size) for what, sizes in cells.items() for cell, size in sizes.items()}
    found: dict[str, Part] = {}
    for module in placed["modules"].values():
        for name, cell in module["cells"].items():
            count = counts.get(kinds.get(cell["type"], cell["type"]))
            if count is None:
                continue
            where, inner = part_of(name)
            part = found.setdefault(where, Part())
            counted = [count]
            if cell["type"] == "ICESTORM_LC" and _is_set(cell["parameters"].get("DFF_ENABLE", "0")):
                counted.append(("ffs", 1))
            for what, size in counted:
                part.used[what] = whole(part.used.get(what, 0) + size)
                if inner:
                    within = part.modules.setdefault(inner, {})
                    within[what] = whole(within.get(what, 0) + size)
    return {name: found[name] for name in sorted(found, key=_order)}


def whole(amount: float) -> float:
    """An ``int`` where it is one: half a multiplier is an amount, too."""
    return int(amount) if amount == int(amount) else amount


def critical_path(hops: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, float], ...]:
    """A path of nextpnr's report as (module and signal, ns from its beginning to behind it); what
    lies in one signal is one row."""
    found: list[tuple[str, float]] = []
    at = 0.0
    for hop in hops:
        at += float(hop["delay"])
        path = path_of(hop["to"]["cell"])
        name = ".".join(path) if len(path) > 1 else f"{TOP}.{path[0]}" if path else PLACER
        if found and found[-1][0] == name:
            found.pop()
        found.append((name, round(at, 2)))
    return tuple(found)


def _is_set(value: object) -> bool:
    return str(value).strip("0") == "1"


def _order(name: str) -> tuple[int, int, str]:
    core = re.fullmatch(r"core(\d+)", name)
    rank = 0 if core else {PLACER: 3, TOP: 2}.get(name, 1)
    return rank, int(core[1]) if core else 0, name
