"""What tests of the command line share: calls in process, small networks, data files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
from datasets import DATA, Recording
from typer.testing import CliRunner, Result

import neurocompile
from neurocompile.backend import ReferenceBackend
from neurocompile.cli import app
from neurocompile.ir.mapping import Mapping as CoreMapping
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.floating import Progress
from neurocompile.reference.integer import IntegerRun, Probes, run_integer

Array = npt.NDArray[Any]

DIGITS = str(DATA / "digits_mlp_lif_snntorch.nir")
DIGITS_CONTRACT = str(Path(neurocompile.__file__).parent / "demo" / "digits.toml")


def run(*args: object) -> Result:
    """``neurocompile ARGS`` in this process; an exception that escapes it fails the test."""
    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)


def succeed(*args: object) -> Result:
    result = run(*args)
    assert result.exit_code == 0, result.output
    return result


def facts(*args: object) -> dict[str, Any]:
    """What ``--json`` prints: standard output has to be that document and nothing else."""
    document = json.loads(succeed(*args, "--json").stdout)
    assert document["ok"] is True
    return dict(document)


def compile_digits(build: str | Path, *more: object) -> Result:
    return succeed("compile", DIGITS, "-t", "loihi1", "-o", build, "-c", DIGITS_CONTRACT, *more)


def write_data(path: str | Path, recording: Recording) -> None:
    np.savez(path, x=recording.x, y=recording.y, dt=recording.dt_s)


def tree(folder: str | Path) -> dict[str, str]:
    """Name and digest of every file in a folder."""
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(Path(folder).rglob("*")) if p.is_file()}


# ---------------------------------------------------------------- networks

def weights(*shape: int) -> Array:
    return np.random.default_rng(0).normal(0, 0.3, shape)


def lif(n: int) -> nir.LIF:
    one = np.ones(n)
    return nir.LIF(tau=one * 1e-3, r=one, v_leak=one * 0, v_threshold=one * 0.1, v_reset=one * 0)


def li(n: int) -> nir.LI:
    one = np.ones(n)
    return nir.LI(tau=one * 1e-3, r=one, v_leak=one * 0)


def write_network(path: str, n_in: int, n_out: int, nodes: Mapping[str, Any],
                  edges: list[tuple[str, str]]) -> None:
    ends = {"input": nir.Input(input_type={"input": np.array([n_in])}),
            "output": nir.Output(output_type={"output": np.array([n_out])})}
    nir.write(path, nir.NIRGraph(nodes={**ends, **nodes}, edges=edges))


def write_analog_between(path: str) -> None:
    """An LI whose membrane goes on into a LIF: no chip sends it."""
    write_network(
        path, 3, 2,
        {"w": nir.Linear(weights(4, 3)), "a": li(4), "w2": nir.Linear(weights(2, 4)), "b": lif(2)},
        [("input", "w"), ("w", "a"), ("a", "w2"), ("w2", "b"), ("b", "output")])


def write_loop(path: str) -> None:
    """Two populations in a loop of one step of delay: two steps on a chip."""
    write_network(
        path, 3, 4,
        {"w": nir.Linear(weights(4, 3)), "a": lif(4), "w2": nir.Linear(weights(4, 4)),
         "b": lif(4), "w3": nir.Linear(weights(4, 4))},
        [("input", "w"), ("w", "a"), ("a", "w2"), ("w2", "b"), ("b", "w3"), ("w3", "a"),
         ("b", "output")])


# ---------------------------------------------------------------- a backend with a fault

FAULT = ("3", 1, 5, 7)
"""Population, sample, chip step and neuron whose membrane ``FaultyBackend`` gets wrong by one."""


class FaultyBackend(ReferenceBackend):
    """The integer reference, but for one membrane at one step."""

    name = "faulty"

    def run(self, mapping: CoreMapping, encoded: EncodedInput, probes: Probes, *,
            teacher: Mapping[str, npt.NDArray[np.integer[Any]]] | None = None,
            progress: Progress | None = None) -> IntegerRun:
        result = run_integer(mapping.quantized, encoded, probes, teacher=teacher, progress=progress)
        population, *place = FAULT
        wrong = {name: values.copy() for name, values in result.v.items()}
        wrong[population][tuple(place)] += 1
        return replace(result, v=wrong)


faulty = FaultyBackend()
