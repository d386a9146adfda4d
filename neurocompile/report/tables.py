"""Facts as tables on a terminal. Takes plain data, computes nothing.

Tables are laid out for 80 columns. Text of users' files becomes :class:`rich.text.Text` by
:func:`plain`, never markup: a name like ``[red]`` stays what it is, and control characters are
escaped before they reach the terminal.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from neurocompile.diagnostics import Diagnostic

_STYLE = {"E": "bold red", "W": "yellow", "I": "cyan"}


def show_diagnostics(console: Console, diagnostics: Iterable[Diagnostic]) -> None:
    """One finding a line, errors first."""
    for d in sorted(diagnostics, key=lambda d: "EWI".index(d.code[0])):
        line = Text.assemble((d.code, _STYLE[d.code[0]]), str(d)[len(d.code):])
        console.print(line, soft_wrap=True)


def plain(text: object, style: str = "") -> Text:
    """Text as it is, control characters escaped."""
    return Text(printable(str(text)), style)


def printable(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _line(console: Console, *parts: str | tuple[str, str]) -> None:
    """One line of text and (text, style) pairs."""
    console.print(Text.assemble(*(plain(p) if isinstance(p, str) else plain(*p) for p in parts)))


@dataclass(frozen=True)
class _Span:
    """A range, or one number where both ends are the same."""

    pair: Sequence[float]

    def __str__(self) -> str:
        if not self.pair:
            return "-"
        low, high = self.pair
        return f"{low:,}" if low == high else f"{low:,} .. {high:,}"


def show_table(console: Console, title: str, columns: Sequence[str],
               rows: Iterable[Sequence[Any]]) -> None:
    """A titled table: numbers to the right, text to the left. Nothing is cut off: cells that do
    not fit are folded."""
    shown = [[_cell(value) for value in row] for row in rows]
    grid = Table(header_style="dim", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        numeric = bool(shown) and all(row[i][1] for row in shown)
        grid.add_column(Text(printable(column)), justify="right" if numeric else "left",
                        overflow="fold")
    for row in shown:
        grid.add_row(*(Text(printable(text)) for text, _ in row))
    if title:
        # Not the table's own title, which would be folded to the width of a narrow table.
        console.print(plain(title, "bold"))
    console.print(grid)


def _cell(value: Any) -> tuple[str, bool]:
    """(text, is it a number)"""
    if value is None:
        return "-", True
    if isinstance(value, bool):
        return ("yes" if value else "no"), False
    if isinstance(value, float):
        return f"{value:.4g}", True
    if isinstance(value, int):
        return f"{value:,}", True
    if isinstance(value, _Span):
        return str(value), True
    if isinstance(value, (list, tuple)):
        return "x".join(str(v) for v in value), False
    return str(value), False


def show_conversion(console: Console, facts: Any) -> None:
    """The layers, what was written, and the command that comes next."""
    show_table(console, "layers", ("name", "type", "shape"),
               [(f["name"], f["type"], "x".join(map(str, f["shape"]))) for f in facts["layers"]])
    console.print(plain(f"wrote {facts['path']} and {facts['contract']}"), soft_wrap=True)
    command = ["neurocompile", "compile", facts["path"], "--contract", facts["contract"],
               "--target", "TARGET", "-o", "BUILD"]
    console.print(plain(f"next: {shlex.join(command)}"), soft_wrap=True)


def show_network(console: Console, facts: dict[str, Any]) -> None:
    source = ", ".join(f"{k} {v}" for k, v in facts["provenance"].items())
    _line(console, ("network ", "bold"), f"{source}: {facts['neurons']:,} neurons, "
          f"{facts['parameters']:,} weights")
    show_table(console, "inputs and outputs", ("node", "shape", "read from"), [
        *((p["name"], p["shape"], "") for p in facts["inputs"]),
        *((p["name"], p["shape"], p["population"]) for p in facts["outputs"])])
    show_table(console, "populations", ("name", "model", "shape", "neurons"), [
        (p["name"], p["model"], p["shape"], p["neurons"]) for p in facts["populations"]])
    show_table(console, "projections", ("from", "to", "operations", "nodes", "weights", "late"), [
        (q["source"], q["target"], " ".join(q["operations"]) or "direct", " ".join(q["via"]),
         q["parameters"], "1 step" if q["recurrent"] else "") for q in facts["projections"]])


def show_build(console: Console, facts: dict[str, Any]) -> None:
    cores, latency = facts["cores"], facts["latency_steps"]
    _line(console, ("build ", "bold"), f"for {facts['target']}: {cores['used']} of "
          f"{cores['of']} cores (lower bound {cores['lower_bound']}), latency {latency} "
          f"step{'' if latency == 1 else 's'}, digest {facts['digest'][:12]}")
    show_table(console, "inputs", ("name", "shape", "mode", "scale", "from", "to"), [
        (i["name"], i["shape"], i["mode"], i["scale"], i["minimum"], i["maximum"])
        for i in facts["inputs"]])
    _show_populations(console, facts["populations"])
    show_table(console, "projections", (
        "name", "kind", "weights", "synapses", "bits", "<<", "signs", "delay", "weight error"), [
        (q["name"], q["kind"], q["parameters"], q["synapses"], q["weight_bits"], q["exponent"],
         q["sign_mode"], _Span(q["delay_steps"]), q["weight_error"])
        for q in facts["projections"]])
    if facts["delays"]:
        show_table(console, "delays rounded to steps", (
            "projection", "delays", "rounded", "max error s", "rms error s", "merged"), [
            (d["projection"], d["delays"], d["rounded"], d["max_error_s"], d["rms_error_s"],
             d["collisions"]) for d in facts["delays"]])
    _show_costs(console, cores)
    if cores["pinned"]:
        show_table(console, "pinned cores", ("number", "core", "populations", "chip, x, y"), [
            (p["number"], p["core"], " ".join(p["populations"]),
             "-" if p["tile"] is None else ", ".join(map(str, p["tile"])))
            for p in cores["pinned"]])
    show_table(console, "fullest core", ("limit", "used", "of"), [
        (name, entry["used"], entry["limit"] or "no limit")
        for name, entry in cores["fullest"].items()])


def _show_costs(console: Console, cores: dict[str, Any]) -> None:
    rates = "at the rates of the calibration data" if cores["profiled"] else "if every neuron fires"
    rows = [("cores", {"value": cores["used"], "lower_bound": cores["lower_bound"],
                       "ratio_to_bound": cores["ratio_to_bound"]}),
            ("messages between cores", cores["messages"]),
            (f"hops, {cores['router']}", cores["hops"]),
            ("operations of the worst core", cores["worst_core_operations"])]
    show_table(console, f"mapping, a step, {rates}", ("", "used", "at least", "ratio"), [
        (name, entry["value"], entry["lower_bound"], entry["ratio_to_bound"])
        for name, entry in rows if entry])
    if cores["links"]:
        show_table(console, "links between chips, a step",
                   ("from", "to", "messages", "carries", "share"),
                   [(link["from"], link["to"], link["messages"], link["capacity"] or "no limit",
                     link["share"]) for link in cores["links"]])


def _show_populations(console: Console, populations: Sequence[dict[str, Any]]) -> None:
    show_table(console, "populations", (
        "name", "origin", "neurons", "step 0 at", "threshold", "decay error"), [
        (p["name"], p["origin"], p["neurons"], p["latency_steps"], _Span(p["threshold"]),
         p["decay_error"]) for p in populations])
    show_table(console, "bounds", ("population", "current", "membrane", "may saturate", "proved"), [
        (p["name"], _Span(p["current_bound"]), _Span(p["membrane_bound"]),
         p["membranes_that_may_saturate"], p["proved"]) for p in populations])


def show_run(console: Console, path: str, facts: dict[str, Any]) -> None:
    latency = facts["latency_steps"]
    show_table(console, f"{path} (latency {latency} step{'' if latency == 1 else 's'})",
               ("array", "shape", "type", "step 0 at", "sum"),
               [(name, a["shape"], a["dtype"], a["latency_steps"], a["sum"])
                for name, a in facts["arrays"].items()])


def show_verification(console: Console, report: dict[str, Any]) -> None:
    verdict = ("PASS", "bold green") if report["passed"] else ("FAIL", "bold red")
    _line(console, verdict, f" {report['candidate']} against {report['reference']}: "
          f"{report['n_samples']:,} samples, {report['n_steps']:,} steps")
    show_table(console, "", ("check", "differences", "status", "measured"), [
        (c["name"], c["measured"], c["status"], c["reason"]) for c in report["checks"]])
    first = report["first_divergence"]
    if first is None:
        return
    where = ", ".join(map(str, first["neuron"]))
    _line(console, ("first divergence: ", "bold"), f"population {first['population']}, neuron "
          f"[{where}], sample {first['sample']}, chip step {first['step']} (network step "
          f"{first['network_step']}), first in {first['quantity']}")
    show_table(console, "", ("state", "s", "u", "v"), [
        (f"{name}, {when}", *(state[q] for q in "suv"))
        for when, suffix in (("the step before", "_before"), (f"step {first['step']}", ""))
        for name, state in ((report["reference"], first[f"reference{suffix}"]),
                            (report["candidate"], first[f"candidate{suffix}"]))])


def show_evaluation(console: Console, facts: dict[str, Any]) -> None:
    _line(console, (f"{facts['n_samples']:,} samples, {facts['n_steps']:,} steps", "bold"),
          f", output node {facts['output']!r} decoded by {facts['decode']}")
    if facts["accuracy_float"] is not None:
        _line(console, "accuracy: float ", (f"{facts['accuracy_float']:.2%}", "bold"),
              ", quantized ", (f"{facts['accuracy_quantized']:.2%}", "bold"),
              f"; {facts['changed']:,} samples decoded otherwise")
    else:
        _line(console, f"no labels, no accuracy; {facts['changed']:,} samples decoded otherwise")
    layers = facts["layers"]
    show_table(console, "spikes", ("population", "neurons", "float", "quantized"), [
        (r["population"], r["n_neurons"], r["spikes_float"], r["spikes_quantized"])
        for r in layers])
    show_table(console, "spike trains, quantized against float", (
        "population", "mismatch", "layer's own", "van Rossum", "rate error", "first step"), [
        (r["population"], r["mismatch"], r["teacher_forced"], r["van_rossum"], r["rate_error"],
         r["first_step"]) for r in layers])
    if facts["causes"]:
        # Causes are few and populations may be many: a row for each population.
        causes = facts["causes"]
        show_table(console, "mismatch by what is quantized (the "
                   f"{len(facts['explained_samples'])} samples that differ most)",
                   ("population", *(c["cause"] for c in causes)),
                   [(r["population"], *(c["mismatch"][r["population"]] for c in causes))
                    for r in layers])


def show_targets(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    show_table(console, "targets", ("name", "revision", "what"), [
        (r["name"], r["revision"], r["description"]) for r in rows])
    show_table(console, "what fits", ("name", "neurons a core", "cores", "weight bits", "inputs"), [
        (r["name"], r["core"]["neurons"]["value"], r["chip"]["cores"]["value"],
         max(r["synapse"]["weight_bits"]["value"]), " ".join(r["input"]["modes"]["value"]))
        for r in rows])


def show_target(console: Console, facts: dict[str, Any]) -> None:
    """Every number with the number of its source, then the sources, each once."""
    _line(console, (facts["name"], "bold"), f" revision {facts['revision']}: "
          f"{facts['description']}")
    _line(console, "phases of a step: ", ", ".join(facts["phases"]))
    sources: dict[str, int] = {}

    def reference(entry: dict[str, Any]) -> str:
        text = entry.get("source", "")
        stated = f"assumed: {text}" if entry.get("assumed") else text
        return f"[{sources.setdefault(stated, len(sources) + 1)}]" if stated else ""

    entries = {"edge_latency": facts["edge_latency"]}
    for group in ("machine", "neuron", "synapse", "input", "core", "chip", "timing"):
        entries |= {f"{group}.{key}": entry for key, entry in facts[group].items()}
    show_table(console, "", ("number", "value", "source"),
               [(key, _value(entry["value"]), reference(entry)) for key, entry in entries.items()])
    if facts["costs"]:
        show_table(console, "costs of an event", ("event", "pJ", "ns", "source"), [
            (event, c["energy_pj"], c["time_ns"], reference(c))
            for event, c in facts["costs"].items()])
    show_table(console, "sources", ("", "source"), [(f"[{n}]", s) for s, n in sources.items()])


def _value(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def show_presets(console: Console, presets: dict[str, dict[str, Any]]) -> None:
    show_table(console, "presets", ("name", "note"),
               [(name, preset["note"]) for name, preset in presets.items()])


def show_raster(console: Console, title: str, raster: Any, marks: str = " |") -> None:
    """A small raster [step, neuron] as text, one line a neuron."""
    console.print(plain(title, "bold"))
    for neuron in range(raster.shape[1]):
        line = "".join(marks[min(int(s), len(marks) - 1)] for s in raster[:, neuron])
        console.print(Text(f"  {neuron:>3} {line}"))
