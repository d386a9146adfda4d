"""Facts as tables on a terminal. Takes plain data, computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from neurocompile.diagnostics import Diagnostic

_STYLE = {"E": "bold red", "W": "yellow", "I": "cyan"}


def show_diagnostics(console: Console, diagnostics: Iterable[Diagnostic]) -> None:
    """One finding a line, errors first."""
    ordered = sorted(diagnostics, key=lambda d: "EWI".index(d.code[0]))
    for d in ordered:
        style = _STYLE[d.code[0]]
        rest = str(d)[len(d.code):]
        console.print(f"[{style}]{d.code}[/{style}]{escape(rest)}", soft_wrap=True,
                      highlight=False)


def _printable(text: str) -> str:
    """Control characters of a user's file must not reach the terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Numbers to the right, text to the left."""
    rows = [[_cell(value) for value in row] for row in rows]
    grid = Table(title=title, title_justify="left", title_style="bold", header_style="dim",
                 box=None, pad_edge=False)
    for i, column in enumerate(columns):
        numeric = bool(rows) and all(row[i][1] for row in rows)
        grid.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(text for text, _ in row))
    return grid


def _cell(value: Any) -> tuple[str, bool]:
    if value is None:
        return "-", True
    if isinstance(value, bool):
        return ("yes" if value else "no"), False
    if isinstance(value, float):
        return f"{value:.4g}", True
    if isinstance(value, int):
        return f"{value:,}", True
    if isinstance(value, (list, tuple)):
        return escape(_printable("x".join(str(v) for v in value))), False
    return escape(_printable(str(value))), False


def _span(pair: Sequence[float]) -> str:
    if not pair:
        return "-"
    low, high = pair
    return f"{low:,}" if low == high else f"{low:,} .. {high:,}"


def show_network(console: Console, facts: dict[str, Any]) -> None:
    source = ", ".join(f"{k} {v}" for k, v in facts["provenance"].items())
    console.print(f"[bold]network[/bold] {escape(_printable(source))}: {facts['neurons']:,} "
                  f"neurons, {facts['parameters']:,} weights", highlight=False)
    console.print(table("inputs and outputs", ("node", "shape", "read from"), [
        *((p["name"], p["shape"], "") for p in facts["inputs"]),
        *((p["name"], p["shape"], p["population"]) for p in facts["outputs"])]))
    console.print(table("populations", ("name", "model", "shape", "neurons"), [
        (p["name"], p["model"], p["shape"], p["neurons"]) for p in facts["populations"]]))
    console.print(table("projections", ("from", "to", "operations", "nodes", "weights", "late"), [
        (q["source"], q["target"], " ".join(q["operations"]) or "direct", " ".join(q["via"]),
         q["parameters"], "1 step" if q["recurrent"] else "") for q in facts["projections"]]))


def show_build(console: Console, facts: dict[str, Any]) -> None:
    cores = facts["cores"]
    console.print(f"[bold]build[/bold] for {facts['target']}: {cores['used']} of {cores['of']} "
                  f"cores (lower bound {cores['lower_bound']}), latency "
                  f"{facts['latency_steps']} steps, digest {facts['digest'][:12]}",
                  highlight=False)
    console.print(table("inputs", ("name", "shape", "mode", "scale", "from", "to"), [
        (i["name"], i["shape"], i["mode"], i["scale"], i["minimum"], i["maximum"])
        for i in facts["inputs"]]))
    console.print(table("populations", (
        "name", "origin", "neurons", "step 0 at", "threshold", "current bound",
        "membrane bound", "may saturate", "decay error"), [
        (p["name"], p["origin"], p["neurons"], p["latency_steps"], _span(p["threshold"]),
         _span(p["current_bound"]), _span(p["membrane_bound"]),
         p["membranes_that_may_saturate"], p["decay_error"]) for p in facts["populations"]]))
    console.print(table("projections", (
        "name", "kind", "weights", "synapses", "bits", "<<", "signs", "delay", "weight error"), [
        (q["name"], q["kind"], q["parameters"], q["synapses"], q["weight_bits"], q["exponent"],
         q["sign_mode"], _span(q["delay_steps"]), q["weight_error"])
        for q in facts["projections"]]))
    if facts["delays"]:
        console.print(table("delays rounded to steps", (
            "projection", "delays", "rounded", "max error s", "rms error s", "merged"), [
            (d["projection"], d["delays"], d["rounded"], d["max_error_s"], d["rms_error_s"],
             d["collisions"]) for d in facts["delays"]]))
    console.print(table("fullest core", ("limit", "used", "of"), [
        (name, entry["used"], entry["limit"] or "no limit")
        for name, entry in cores["fullest"].items()]))


def show_run(console: Console, path: str, facts: dict[str, Any]) -> None:
    console.print(table(
        f"{path} (latency {facts['latency_steps']} steps)", ("array", "shape", "type", "sum"),
        [(name, a["shape"], a["dtype"], a["sum"]) for name, a in facts["arrays"].items()]))


def show_verification(console: Console, report: dict[str, Any]) -> None:
    verdict = "[bold green]PASS[/]" if report["passed"] else "[bold red]FAIL[/]"
    console.print(f"{verdict} {report['candidate']} against {report['reference']}: "
                  f"{report['n_samples']} samples, {report['n_steps']} steps", highlight=False)
    console.print(table("", ("check", "differences", "status", "measured"), [
        (c["name"], c["measured"], c["status"], c["reason"]) for c in report["checks"]]))


def show_evaluation(console: Console, facts: dict[str, Any]) -> None:
    console.print(f"[bold]{facts['n_samples']} samples, {facts['n_steps']} steps[/bold], output "
                  f"{escape(facts['output'])} decoded by {facts['decode']}", highlight=False)
    if facts["accuracy_float"] is not None:
        console.print(f"accuracy: float [bold]{facts['accuracy_float']:.2%}[/bold], quantized "
                      f"[bold]{facts['accuracy_quantized']:.2%}[/bold]; {facts['changed']} "
                      "samples decoded otherwise", highlight=False)
    console.print(table("spike trains, quantized against float", (
        "population", "neurons", "spikes float", "quantized", "mismatch", "layer's own",
        "van Rossum", "rate error", "first step"), [
        (r["population"], r["n_neurons"], r["spikes_float"], r["spikes_quantized"], r["mismatch"],
         r["teacher_forced"], r["van_rossum"], r["rate_error"], r["first_step"])
        for r in facts["layers"]]))
    if facts["causes"]:
        names = [r["population"] for r in facts["layers"]]
        console.print(table(
            f"mismatch by what is quantized (first {facts['explained_samples']} samples)",
            ("quantized", *names),
            [(c["cause"], *(c["mismatch"][n] for n in names)) for c in facts["causes"]]))


def show_targets(console: Console, rows: Iterable[dict[str, Any]]) -> None:
    console.print(table("targets", ("name", "revision", "neurons a core", "cores",
                                    "weight bits", "inputs", "what"), [
        (r["name"], r["revision"], r["core"]["neurons"]["value"], r["chip"]["cores"]["value"],
         max(r["synapse"]["weight_bits"]["value"]), " ".join(r["input"]["modes"]["value"]),
         r["description"]) for r in rows]))


def show_target(console: Console, facts: dict[str, Any]) -> None:
    console.print(f"[bold]{escape(facts['name'])}[/bold] {escape(facts['revision'])}: "
                  f"{escape(facts['description'])}", highlight=False)
    rows = []
    for group in ("machine", "neuron", "synapse", "input", "core", "chip"):
        for key, entry in facts[group].items():
            value = entry["value"]
            shown = " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
            origin = entry.get("source", "")
            rows.append((f"{group}.{key}", shown,
                         f"assumed: {origin}" if entry.get("assumed") else origin))
    console.print(table("", ("number", "value", "source"), rows))
    if facts["costs"]:
        console.print(table("costs of an event", ("event", "pJ", "ns"), [
            (event, c["energy_pj"], c["time_ns"]) for event, c in facts["costs"].items()]))


def show_raster(console: Console, title: str, raster: Any, marks: str = " |") -> None:
    """A small raster [step, neuron] as text, one line a neuron."""
    console.print(f"[bold]{escape(title)}[/bold]", highlight=False)
    for neuron in range(raster.shape[1]):
        line = "".join(marks[min(int(s), len(marks) - 1)] for s in raster[:, neuron])
        console.print(f"  {neuron:>3} {line}", highlight=False)
