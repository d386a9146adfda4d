"""How far off the estimate of FPGA resources is, and the coefficients that it uses.

Synthesizes and packs designs (``_fpga_designs``), fits what each part of a module takes of logic
(``structure``), and compares. Each design is estimated with coefficients that were fitted without
it; RAMs and multipliers are not fitted. Writes ``results/fpga_estimate.json``, ``estimate.toml``
and the table of docs/rtl.md. ``--fit``: designs in the results are not synthesized again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from _common import RESULTS, write_result
from _fpga_designs import ROOT, Planned, designs, synthesized
from scipy.optimize import nnls

from neurocompile_backends.rtl.estimate import resources as estimates
from neurocompile_backends.rtl.estimate.structure import Parts

PAGE = ROOT / "docs" / "rtl.md"
TABLE = ROOT / "backends" / "neurocompile_backends" / "rtl" / "estimate" / "estimate.toml"
FAMILIES = ("ice40", "ecp5")
SMALL = 30
"""Cells that a module may be off by before its error counts as relative."""
RIDGE = 1e-7
Table = dict[str, dict[str, tuple[float, float]]]


@dataclass(frozen=True, eq=False)
class Point:
    """A module of a design: what it is made of, and the cells and flip-flops that it took."""

    design: str
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
            found.append((module, parts, counted.get(place, {})))
    shared = {key: sum(counted.get(m, {}).get(key, 0) for m in ("bus", "control", "top"))
              for key in ("luts", "ffs")}
    found += [(m, parts, shared) for m, parts in
              estimates.shared_modules(design.plan, design.fpga).items()]
    if design.board is not None:
        found += [(m, parts, counted["link"]) for m, parts in
                  estimates.link_modules(design.plan).items()]
    net = sum(m["luts"] for m in counted.values())
    ram = sum(parts.get("lutram", 0) for _, parts, _ in found)
    beside = 2 if ram else 0  # a RAM's write port takes two LUTs
    factor = (row["used"]["luts"] - beside * ram) / net
    return [Point(design.name, m, parts,
                  factor * c.get("luts", 0) + beside * parts.get("lutram", 0), c.get("ffs", 0))
            for m, parts, c in found]


def fit(points: Iterable[Point]) -> Table:
    """Least squares of relative errors, no part less than nothing."""
    points = list(points)
    table: Table = {}
    for module in sorted({p.module for p in points}):
        mine = [p for p in points if p.module == module]
        names = sorted({name for p in mine for name, amount in p.parts.items() if amount})
        amounts = np.array([[p.parts.get(name, 0.0) for name in names] for p in mine])
        scale = amounts.max(axis=0)
        solved = []
        for taken in ([p.luts for p in mine], [p.ffs for p in mine]):
            y = np.array(taken, float)
            weight = 1 / (y + SMALL)
            left = np.vstack([amounts / scale * weight[:, None], RIDGE * np.eye(len(names))])
            solved.append(nnls(left, np.concatenate([y * weight, np.zeros(len(names))]),
                               maxiter=50 * len(names))[0] / scale)
        table[module] = {name: (round(float(a), 3), round(float(b), 3))
                         for name, a, b in zip(names, *solved, strict=True) if a > 0 or b > 0}
    return table


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
    factor = float(np.median([measured[name]["used"]["luts"] / estimated(points[name], table)[0]
                              for name in names]))
    return {module: {name: (round(a * factor, 3), b) for name, (a, b) in parts.items()}
            for module, parts in table.items()}


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
    kinds = {kind: [getattr(exact, kind), used.get(kind, 0)]
             for kind in ("brams", "dsps", "sprams")}
    return {"luts": [without[0], used["luts"]], "error": round(without[0] / used["luts"] - 1, 4),
            "ffs": [without[1], sum(m["ffs"] for m in row["modules"].values())], **kinds}


def summary(rows: dict[str, dict[str, Any]]) -> str:
    lines = ["| family | designs | error of logic cells: median | 9 of 10 within | largest | "
             "within 15 % | RAMs and multipliers that differ |", "|---|---|---|---|---|---|---|"]
    for family in FAMILIES:
        mine = [r for name, r in rows.items() if r["family"] == family]
        errors = np.abs([r["error"] for r in mine])
        differ = sum(r[k][0] != r[k][1] for r in mine for k in ("brams", "dsps", "sprams"))
        lines.append(f"| {family} | {len(mine)} | {np.median(errors):.1%} | "
                     f"{np.quantile(errors, 0.9):.1%} | {errors.max():.1%} | "
                     f"{int((errors <= 0.15).sum())} | {differ} |")
    return "\n".join(lines)


def main() -> None:
    path = RESULTS / "fpga_estimate.json"
    known = json.loads(path.read_text())["measured"] if "--fit" in sys.argv else {}
    every = list(designs())
    measured = {d.name: known.get(d.name) or synthesized(d) for d in every}
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
    write_result("fpga_estimate", {"rows": rows, "measured": measured})
    text = summary(rows)
    head, rest = PAGE.read_text().split("<!-- fpga-estimate: begin -->")
    tail = rest.split("<!-- fpga-estimate: end -->")[1]
    PAGE.write_text(f"{head}<!-- fpga-estimate: begin -->\n{text}\n<!-- fpga-estimate: end -->"
                    f"{tail}")
    print(text)


if __name__ == "__main__":
    main()
