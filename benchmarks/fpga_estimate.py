"""How far off the estimate of FPGA resources is, and the coefficients that it uses.

Synthesizes and packs designs (``_fpga_designs``), fits what each part of a module takes of logic
(``structure``), and compares. Each design is estimated with coefficients that were fitted without
it; RAMs and multipliers are not fitted, and are also counted in random networks that nothing was
fitted to. Writes ``results/fpga_estimate.json``, ``estimate.toml`` and the table of docs/rtl.md.
``--fit``: designs in the results that are the same as then are not synthesized again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from _common import RESULTS, write_result
from _fpga_designs import (
    ROOT,
    Planned,
    designs,
    digest,
    fresh_designs,
    rams_and_multipliers,
    synthesized,
)
from scipy.optimize import nnls

from neurocompile_backends.rtl.estimate import resources as estimates
from neurocompile_backends.rtl.estimate.structure import Parts

PAGE = ROOT / "docs" / "rtl.md"
TABLE = ROOT / "backends" / "neurocompile_backends" / "rtl" / "estimate" / "estimate.toml"
FAMILIES = ("ice40", "ecp5", "gowin")
KINDS = ("brams", "dsps", "sprams")
SMALL = 30
"""Cells that a module may be off by before its error counts as relative."""
RIDGE = 1e-7
FLIP_FLOPS_WITH = {"core": "accumulators"}
"""Registers between two modules are named after either of them: these are fitted together."""
Table = dict[str, dict[str, tuple[float, float]]]


@dataclass(frozen=True, eq=False)
class Point:
    """A module of a design: what it is made of, and the cells and flip-flops that it took.
    ``place``: the core that it is in, or the module itself."""

    design: str
    place: str
    module: str
    parts: Parts
    luts: float
    ffs: float


def points_of(design: Planned, row: dict[str, Any]) -> list[Point]:
    """The cells of the packer are dealt out to the modules as those of the netlist are, but for
    what LUT RAM takes beside its LUTs."""
    found = []
    counted = row["modules"]
    levels = estimates.exchanged_levels(design.fpga)
    if levels and row["used"]["brams"] > design.fpga.brams:  # no room for stand-ins
        levels = 0
    for core in design.plan.cores:
        for module, parts in estimates.core_modules(core, design.fpga, levels).items():
            place = f"core{core.index}" + ("" if module == "core" else f".{module}")
            found.append((f"core{core.index}", module, parts, counted.get(place, {})))
    shared = {key: sum(counted.get(m, {}).get(key, 0) for m in ("bus", "control", "top"))
              for key in ("luts", "ffs")}
    found += [(m, m, parts, shared) for m, parts in
              estimates.shared_modules(design.plan, design.fpga).items()]
    if design.board is not None:
        found += [(m, m, parts, counted["link"]) for m, parts in
                  estimates.link_modules(design.plan).items()]
    net = sum(m["luts"] for m in counted.values())
    ram = sum(parts.get("lutram", 0) for *_, parts, _ in found)
    # On an ECP5 a RAM's write port takes two LUTs, which synthesis does not have.
    beside = 2 if design.fpga.family == "ecp5" else 0
    factor = (row["used"]["luts"] - beside * ram) / net
    return [Point(design.name, place, m, parts,
                  factor * c.get("luts", 0) + beside * parts.get("lutram", 0), c.get("ffs", 0))
            for place, m, parts, c in found]


def fit(points: Iterable[Point]) -> Table:
    """Least squares of relative errors, no part less than nothing."""
    points = list(points)
    luts = _solved(points, [p.luts for p in points], {})
    ffs = _solved(points, [p.ffs for p in points], FLIP_FLOPS_WITH)
    table: Table = {}
    for key in sorted({**luts, **ffs}):
        module, name = key
        found = round(luts.get(key, 0.0), 3), round(ffs.get(key, 0.0), 3)
        table.setdefault(module, {})[name] = found
    return table


def _solved(points: list[Point], taken: list[float],
            together: dict[str, str]) -> dict[tuple[str, str], float]:
    """How much of ``taken`` each part of each module is, if it is any: module by module, but for
    those of a core that are ``together``."""
    rows: dict[str, dict[tuple[str, str], list[int]]] = {}
    for i, p in enumerate(points):
        group = together.get(p.module, p.module)
        rows.setdefault(group, {}).setdefault((p.design, p.place), []).append(i)
    found: dict[tuple[str, str], float] = {}
    for mine in rows.values():
        names = sorted({(points[i].module, name) for row in mine.values() for i in row
                        for name, amount in points[i].parts.items() if amount})
        amounts = np.array([[sum(points[i].parts.get(name, 0.0) for i in row
                                 if points[i].module == module) for module, name in names]
                            for row in mine.values()])
        y = np.array([sum(taken[i] for i in row) for row in mine.values()])
        scale, weight = amounts.max(axis=0), 1 / (y + SMALL)
        left = np.vstack([amounts / scale * weight[:, None], RIDGE * np.eye(len(names))])
        solved = nnls(left, np.concatenate([y * weight, np.zeros(len(names))]),
                      maxiter=50 * len(names))[0] / scale
        found |= {name: float(a) for name, a in zip(names, solved, strict=True) if a > 0}
    return found


def estimated(points: Iterable[Point], table: Table) -> tuple[int, int]:
    """(logic cells, flip-flops) of a design."""
    totals = np.zeros(2)
    for p in points:
        for name, amount in p.parts.items():
            totals += amount * np.array(table.get(p.module, {}).get(name, (0.0, 0.0)))
    return round(float(totals[0])), round(float(totals[1]))


def scaled(names: list[str], points: dict[str, list[Point]], measured: dict[str, Any]) -> Table:
    """The fit to some designs. Least squares of relative errors are low on the average; the median
    of whole designs takes that off."""
    table = fit(p for name in names for p in points[name])
    off = [np.divide(_taken(measured[name]), estimated(points[name], table)) for name in names]
    luts, ffs = np.median(off, axis=0).tolist()
    return {module: {name: (round(a * luts, 3), round(b * ffs, 3))
                     for name, (a, b) in parts.items()} for module, parts in table.items()}


def _taken(row: dict[str, Any]) -> tuple[int, int]:
    """(logic cells, flip-flops) that a design took."""
    return row["used"]["luts"], sum(m["ffs"] for m in row["modules"].values())


def write_table(tables: dict[str, Table]) -> None:
    lines = ["# What a part of a module takes: [logic cells, flip-flops].",
             "# Written by benchmarks/fpga_estimate.py, which fits it to synthesized designs."]
    for family, table in tables.items():
        for module, parts in table.items():
            lines += ["", f"[{family}.{module}]"]
            lines += [f"{name} = [{a}, {b}]" for name, (a, b) in sorted(parts.items())]
    TABLE.write_text("\n".join(lines) + "\n")


def row_of(design: Planned, row: dict[str, Any], without: tuple[int, int]) -> dict[str, Any]:
    exact = estimates.estimate(design.plan, design.fpga, link=design.board is not None).total
    used = row["used"]
    kinds = {kind: [getattr(exact, kind), used.get(kind, 0)] for kind in KINDS}
    return {"luts": [without[0], used["luts"]], "error": round(without[0] / used["luts"] - 1, 4),
            "ffs": [without[1], _taken(row)[1]], **kinds}


def fresh_row(design: Planned, found: dict[str, float]) -> dict[str, Any]:
    exact = estimates.estimate(design.plan, design.fpga, link=design.board is not None).total
    return {"family": design.fpga.family,
            **{kind: [getattr(exact, kind), found.get(kind, 0)] for kind in KINDS}}


def differing(rows: Iterable[dict[str, Any]]) -> int:
    """Kinds of RAMs and multipliers that are not as many as estimated, over all designs."""
    return sum(row[kind][0] != row[kind][1] for row in rows for kind in KINDS)


def summary(rows: dict[str, dict[str, Any]], fresh: dict[str, dict[str, Any]]) -> str:
    lines = ["| family | designs | error of logic cells: median | 9 of 10 within | largest | "
             "within 15 % | of flip-flops: median | largest | RAMs and multipliers that differ | "
             "the same of other random networks |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for family in FAMILIES:
        mine = [r for r in rows.values() if r["family"] == family]
        others = [r for r in fresh.values() if r["family"] == family]
        errors = np.abs([r["error"] for r in mine])
        ffs = np.abs([r["ffs"][0] / r["ffs"][1] - 1 for r in mine])
        lines.append(f"| {family} | {len(mine)} | {np.median(errors):.1%} | "
                     f"{np.quantile(errors, 0.9):.1%} | {errors.max():.1%} | "
                     f"{int((errors <= 0.15).sum())} | {np.median(ffs):.1%} | {ffs.max():.1%} | "
                     f"{differing(mine)} | {differing(others)} in {len(others)} |")
    return "\n".join(lines)


def again(design: Planned, known: dict[str, Any],
          measure: Callable[[Planned], dict[str, Any]]) -> dict[str, Any]:
    """What is known of a design, if it is still the same one; else it is measured."""
    row = known.get(design.name)
    here = digest(design)
    return row if row and row["design"] == here else {"design": here, **measure(design)}


def main() -> None:
    path = RESULTS / "fpga_estimate.json"
    known = json.loads(path.read_text()) if "--fit" in sys.argv else {
        "measured": {}, "counted": {}}
    every, unseen = list(designs()), list(fresh_designs())
    measured = {d.name: again(d, known["measured"], synthesized) for d in every}
    found = {d.name: again(d, known["counted"], rams_and_multipliers) for d in unseen}
    points = {d.name: points_of(d, measured[d.name]) for d in every}
    tables: dict[str, Table] = {}
    without: dict[str, tuple[int, int]] = {}
    for family in FAMILIES:
        mine = [d.name for d in every if d.fpga.family == family]
        tables[family] = scaled(mine, points, measured)
        for name in mine:
            others = [other for other in mine if other != name]
            without[name] = estimated(points[name], scaled(others, points, measured))
    write_table(tables)
    estimates.coefficients.cache_clear()
    rows = {d.name: {"family": d.fpga.family, **row_of(d, measured[d.name], without[d.name])}
            for d in every}
    fresh = {d.name: fresh_row(d, found[d.name]) for d in unseen}
    write_result("fpga_estimate", {"rows": rows, "fresh": fresh, "measured": measured,
                                   "counted": found})
    text = summary(rows, fresh)
    head, rest = PAGE.read_text().split("<!-- fpga-estimate: begin -->")
    tail = rest.split("<!-- fpga-estimate: end -->")[1]
    PAGE.write_text(f"{head}<!-- fpga-estimate: begin -->\n{text}\n<!-- fpga-estimate: end -->"
                    f"{tail}")
    print(text)


if __name__ == "__main__":
    main()
