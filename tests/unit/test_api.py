"""The Python API: what its calls take, what they refuse, what a run and a build hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from cli_tools import DIGITS, DIGITS_CONTRACT, tree
from datasets import digits

import neurocompile as nc
from neurocompile.api import Run
from neurocompile.ir.contract import Contract

RECORDING = digits(6)


@pytest.fixture(scope="module")
def build() -> nc.Build:
    return nc.compile(nc.load(DIGITS), target="loihi1", contract=DIGITS_CONTRACT)


def codes(call: Any, *args: Any, **more: Any) -> list[str]:
    with pytest.raises(nc.CompileError) as caught:
        call(*args, **more)
    return [d.code for d in caught.value.diagnostics]


def test_every_public_name_exists_and_is_listed() -> None:
    assert sorted(nc.__all__) == dir(nc)
    assert all(getattr(nc, name) is not None for name in nc.__all__)
    with pytest.raises(AttributeError, match="no attribute 'transmogrify'"):
        getattr(nc, "transmogrify")  # noqa: B009


def test_calls_stay_calls_after_every_module_was_imported() -> None:
    import neurocompile.cli
    import neurocompile.verification.run  # noqa: F401

    for name in ("load", "compile", "simulate", "verify", "evaluate"):
        assert callable(getattr(nc, name)), name


def test_the_way_in_the_readme(tmp_path: Path) -> None:
    network = nc.load(DIGITS)
    build = nc.compile(network, target="loihi1", contract=DIGITS_CONTRACT, dt_s=1e-4)
    data = tmp_path / "data.npz"
    np.savez(data, x=RECORDING.x, y=RECORDING.y, dt=RECORDING.dt_s)
    assert all(report.passed for report in nc.verify(build, data))
    assert nc.evaluate(build, data).accuracy_float is not None
    assert nc.simulate(build, data).outputs["output"].shape == (6, 21, 10)


def test_a_graph_of_nir_and_its_file_give_the_same_network() -> None:
    assert nc.load(nir.read(DIGITS)).populations[0].name == nc.load(DIGITS).populations[0].name
    ours, theirs = nc.load(nir.read(DIGITS)), nc.load(DIGITS)
    assert replace(ours, provenance=()).digest() == replace(theirs, provenance=()).digest()


def test_a_build_comes_back_from_its_directory(build: nc.Build, tmp_path: Path) -> None:
    build.save(tmp_path / "one")
    back = nc.load_build(tmp_path / "one")
    assert back.mapping.digest() == build.mapping.digest()
    assert (back.latency, back.target.name, back.contract.reset) == (1, "loihi1", "zero")
    back.save(tmp_path / "two")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_float_network_runs_as_the_framework_did() -> None:
    run = nc.simulate(nc.load(DIGITS), RECORDING.x, contract=DIGITS_CONTRACT)
    np.testing.assert_array_equal(run.aligned("output"), RECORDING.rasters["output"])
    assert (run.latency, run.dt_s) == (0, 1e-4)


def test_arrays_files_and_dictionaries_are_the_same_input(build: nc.Build, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=RECORDING.x)
    runs = [nc.simulate(build, inputs).outputs["output"] for inputs in (
        RECORDING.x, {"input": RECORDING.x}, tmp_path / "d.npz", str(tmp_path / "d.npz"),
        nc.load_data(tmp_path / "d.npz", build))]
    for run in runs[1:]:
        np.testing.assert_array_equal(run, runs[0])


@pytest.mark.parametrize("wrong", [
    np.full((2, 5, 64), np.nan), np.full((2, 5, 64), np.inf), np.zeros((2, 5, 63)),
    np.zeros((2, 64)), np.zeros((0, 5, 64)), np.zeros((2, 0, 64)), np.zeros(64), np.array(1.0),
    np.full((2, 5, 64), "x"), np.full((2, 5, 64), None), np.zeros((2, 5, 64), complex),
    {"other": np.zeros((2, 5, 64))}, {"input": np.zeros((2, 5, 64)), "more": np.zeros(3)}, {},
], ids=repr)
def test_arrays_that_are_no_input_are_refused(build: nc.Build, wrong: Any) -> None:
    for call in (nc.simulate, nc.verify, nc.evaluate):
        assert set(codes(call, build, wrong)) == {"E640"}


def test_stated_steps_must_be_those_of_the_array(build: nc.Build) -> None:
    assert codes(nc.simulate, build, RECORDING.x, steps=19) == ["E640"]
    assert nc.simulate(build, RECORDING.x, steps=20).outputs["output"].shape[1] == 21


def test_data_file_of_another_dt_is_refused(build: nc.Build, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=RECORDING.x, dt=1e-3)
    for call in (nc.simulate, nc.verify, nc.evaluate):
        assert codes(call, build, tmp_path / "d.npz") == ["E616"]
    assert codes(nc.simulate, nc.load(DIGITS), tmp_path / "d.npz",
                 contract=DIGITS_CONTRACT) == ["E616"]


@pytest.mark.parametrize("probe", ["nobody:v", "3", "3:x", ":v", "", "input:v"])
def test_probe_of_nothing_is_refused_before_the_run(build: nc.Build, probe: str) -> None:
    assert codes(nc.simulate, build, RECORDING.x, probes=[probe]) == ["E643"]


def test_choices_nobody_stated_are_all_named_at_once() -> None:
    with pytest.raises(nc.CompileError) as caught:
        nc.compile(DIGITS, "loihi1", contract=Contract(dt_s=1e-4))
    found = caught.value.diagnostics
    assert {d.code for d in found} == {"E201"}
    assert sorted(d.subject for d in found) == ["compare", "input_gain", "integrator",
                                                "layer_latency", "reset"]


@pytest.mark.parametrize("name", ["latency", "dt", "contract", "output:latency"])
def test_a_node_named_as_a_fact_of_the_run_is_not_overwritten(name: str, tmp_path: Path) -> None:
    zeros = np.zeros((1, 2, 3))
    run = Run({name: zeros, "output": zeros}, {}, 0, {"output": 0}, Contract(dt_s=1e-4))
    assert codes(run.save, tmp_path / "run.npz") == ["E625"]
    assert list(tmp_path.iterdir()) == []


def test_causes_are_looked_for_where_the_networks_differ_most() -> None:
    recorded = digits(60)
    build = nc.compile(DIGITS, "loihi1", contract=DIGITS_CONTRACT)
    every = nc.evaluate(build, recorded.x, explain_samples=60)
    some = nc.evaluate(build, recorded.x, explain_samples=2)
    assert every.explained_samples == tuple(range(60))
    assert len(some.explained_samples) == 2
    by_cause = {c.cause: c.mismatch for c in every.causes}
    assert list(by_cause) == ["weights", "decays", "biases", "all", "inputs", "integers"]
    # Over all samples the whole difference is what the layers' table says.
    for layer in every.layers:
        assert by_cause["integers"][layer.population] == pytest.approx(layer.mismatch)

    def different(causes: dict[str, float]) -> float:
        return sum(causes[layer.population] * layer.n_neurons for layer in every.layers)

    worst = {c.cause: c.mismatch for c in some.causes}["integers"]
    assert different(worst) > different(by_cause["integers"]) > 0
