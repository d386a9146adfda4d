"""Other weights for a shipped network: the same shape, trained again where it can be without a
framework."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
from datasets import Recording, digits

import neurocompile as nc
from neurocompile.ir.contract import Contract

Array = npt.NDArray[Any]


def permuted_digits(path: Path, rng: np.random.Generator) -> Path:
    """digits with its hidden neurons in another order: every weight moves, no class changes."""
    graph = nir.read(digits(1).network)
    order = rng.permutation(len(graph.nodes["0"].bias))
    graph.nodes["0"].weight = graph.nodes["0"].weight[order]
    graph.nodes["0"].bias = graph.nodes["0"].bias[order]
    for name in ("tau", "r", "v_leak", "v_threshold", "v_reset"):
        hidden = getattr(graph.nodes["1"], name)
        setattr(graph.nodes["1"], name, hidden[order])
    graph.nodes["2"].weight = graph.nodes["2"].weight[:, order]
    nir.write(path, graph)
    return path


def retrained_digits(path: Path, contract: Contract, recorded: Recording) -> Path:
    """digits with a new readout: weights by ridge regression from the hidden spikes of the samples
    to their classes, other membrane constants, another threshold and a bias."""
    graph = nir.read(recorded.network)
    run = nc.simulate(nc.load(recorded.network), recorded.x, contract=contract, probes=["1:s"])
    counts = run.probes["1:s"].sum(1).astype(np.float64)
    wanted = 2.0 * np.eye(10)[recorded.y] - 1
    gram = counts.T @ counts + 10.0 * np.eye(counts.shape[1])
    weight = np.linalg.solve(gram, counts.T @ wanted).T
    readout = graph.nodes["3"]
    graph.nodes["2"].weight = (weight / np.abs(weight).max()).astype(np.float32)
    graph.nodes["2"].bias = np.linspace(-0.01, 0.02, 10).astype(np.float32)
    readout.tau = readout.tau * 1.7
    readout.v_threshold = readout.v_threshold * 0.6
    nir.write(path, graph)
    return path
