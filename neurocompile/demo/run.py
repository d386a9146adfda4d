"""``neurocompile demo``: the whole way on a small network of real digits, in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from neurocompile import api
from neurocompile.facts import build_facts, network_facts, to_json
from neurocompile.report import tables

STEPS = 20
"""What the digits network was trained with; each digit is shown as a constant current."""


def run_demo(target: str, as_json: bool, console: Console, progress: Any) -> bool:
    """Compile, verify, evaluate; True if every backend agreed."""
    folder = Path(__file__).parent
    network, notes = api.load_with_notes(folder / "digits_mlp_lif_snntorch.nir")
    contract = api.load_contract(folder / "digits.toml")
    data = api.load_data(folder / "digits.npz", network, steps=STEPS, encode="constant")
    build = api.compile(network, target, contract=contract)
    with progress("verifying", data.n_samples) as tick:
        reports = api.verify(build, data, progress=tick)
    with progress("evaluating", data.n_samples) as tick:
        evaluation = api.evaluate(build, data, progress=tick)
    passed = all(report.passed for report in reports)
    if as_json:
        print(to_json({"ok": passed, "network": network_facts(network),
                       "build": build_facts(build), "verify": [r.to_dict() for r in reports],
                       "evaluate": evaluation.to_dict()}))
        return passed
    tables.show_network(console, network_facts(network))
    console.print()
    tables.show_build(console, build_facts(build))
    tables.show_diagnostics(console, (*notes, *build.diagnostics))
    console.print()
    for report in reports:
        tables.show_verification(console, report.to_dict())
    console.print()
    tables.show_evaluation(console, evaluation.to_dict())
    console.print()
    _show_sample(build, data, console)
    return passed


def _show_sample(build: api.Build, data: Any, console: Console) -> None:
    """One digit, and the spikes it makes in float and in integers."""
    one = data.samples(0, 1)
    image = one.inputs["input"].values[0].reshape(8, 8)
    console.print(f"[bold]a digit of the test set, label {int(one.y[0])}[/bold]",
                  highlight=False)
    for row in image:
        console.print("  " + "".join(2 * " .:+#@"[min(5, int(x * 6))] for x in row),
                      markup=False, highlight=False)
    chip = api.simulate(build, one)
    reference = api.simulate(build.discrete, one)
    for title, run in (("float reference", reference), (f"{build.target.name}, integers", chip)):
        tables.show_raster(console, f"output spikes, {title}", run.aligned("output")[0])
