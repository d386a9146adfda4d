"""Float network against quantized network on data: accuracy, spike trains, causes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile.data import Dataset, Signal
from neurocompile.diagnostics import fail
from neurocompile.ir.discrete import DiscreteNetwork
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.reference.encode import encode_inputs
from neurocompile.reference.floating import run_float
from neurocompile.reference.integer import IntegerRun, Probes
from neurocompile.verification import metrics
from neurocompile.verification.dequantize import CAUSES, with_quantized

Runner = Callable[..., IntegerRun]
Trains = npt.NDArray[Any]

_CHUNK_BYTES = 256 << 20  # of rasters held at a time


@dataclass(frozen=True)
class LayerDifference:
    """How one population's spike trains differ from the float network's.

    ``mismatch``: fraction of (sample, step, neuron) with different counts. ``teacher_forced``:
    the same with every layer fed the float network's spikes, so that it shows the layer's own
    error. ``van_rossum``: mean distance a neuron (tau 10 steps). ``rate_error``: spikes a step.
    ``first_step``: of the network, at which anything differs.
    """

    population: str
    n_neurons: int
    spikes_float: int
    spikes_quantized: int
    mismatch: float
    teacher_forced: float
    van_rossum: float
    rate_error: float
    first_step: int | None


@dataclass(frozen=True)
class CauseDifference:
    """Mismatch by population if only ``cause`` is quantized and arithmetic stays float.

    ``inputs`` rounds graded inputs to payload units. ``integers`` is the whole integer network:
    what it has beyond ``all`` and ``inputs`` is the rounding of state, and where there are any,
    of bias registers loaded by the host, of encoders' rates, and late feedback.
    """

    cause: str
    mismatch: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """``changed``: samples whose decoded class differs between float and quantized network."""

    n_samples: int
    n_steps: int
    decode: str
    output: str
    accuracy_float: float | None
    accuracy_quantized: float | None
    changed: int
    layers: tuple[LayerDifference, ...]
    causes: tuple[CauseDifference, ...]
    explained_samples: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def evaluate(network: QuantizedNetwork, data: Dataset, runner: Runner, *, output: str | None = None,
             decode: str = "count", explain_samples: int = 8,
             progress: Callable[[int], None] | None = None) -> Evaluation:
    """Compare on every sample of ``data``; explain the causes on those that differ most.

    ``output``: the output node that is decoded (needed if there are several). Raises
    ``CompileError``: E641 (which output), E642 (labels outside the output's classes).
    """
    port = _output(network, output)
    names = [p.name for p in network.scheduled.discrete.populations if p.role == "spiking"]
    y = _labels(data, network, port)
    totals = {name: _Totals() for name in names}
    differing: list[npt.NDArray[np.int64]] = []
    decoded: list[Trains] = []
    decoded_float: list[Trains] = []
    for start, stop in _chunks(network, data):
        part = data.samples(start, stop)
        ours, theirs, forced, float_out = _run_part(network, part, runner, names, port)
        for name in names:
            totals[name].add(ours[name], theirs[name], forced[name])
        differing.append(_differences(ours, theirs, names, len(float_out)))
        decoded_float.append(metrics.decode(float_out, decode))
        decoded.append(metrics.decode(theirs["\0output"], decode))
        if progress is not None:
            progress(stop)
    classes, classes_float = np.concatenate(decoded), np.concatenate(decoded_float)
    # The samples that differ most tell most about why; ties in the order of the data.
    worst = np.argsort(-np.concatenate(differing), kind="stable")[:explain_samples]
    explained = tuple(sorted(worst.tolist()))
    causes = _explain(network, _picked(data, explained), runner, names) if explained else ()
    return Evaluation(
        data.n_samples, data.n_steps, decode, port[0],
        None if y is None else float(np.mean(classes_float == y)),
        None if y is None else float(np.mean(classes == y)),
        int(np.count_nonzero(classes != classes_float)),
        tuple(totals[name].row(name, network.population(name).n) for name in names), causes,
        explained)


def _differences(ours: dict[str, Trains], theirs: dict[str, Trains], names: list[str],
                 n_samples: int) -> npt.NDArray[np.int64]:
    """Positions that differ in each sample, over all populations."""
    count = np.zeros(n_samples, np.int64)
    for name in names:
        count += np.count_nonzero(ours[name] != theirs[name], axis=(1, 2))
    return count


def _picked(data: Dataset, samples: tuple[int, ...]) -> Dataset:
    rows = np.array(samples)
    inputs = {name: Signal(signal.values[rows], signal.constant_steps)
              for name, signal in data.inputs.items()}
    return Dataset(inputs, None, data.dt_s)


def _output(network: QuantizedNetwork, name: str | None) -> tuple[str, str]:
    """(output node, population)"""
    ports = {p.name: p.population for p in network.scheduled.discrete.outputs}
    if name is None and len(ports) == 1:
        name = next(iter(ports))
    if name is None or name not in ports:
        raise fail("E641", name or "output", "say which output is decoded",
                   got="no name" if name is None else "no such output",
                   limit="one of " + ", ".join(sorted(ports)), hint="--output NAME")
    return name, ports[name]


def _labels(data: Dataset, network: QuantizedNetwork,
            port: tuple[str, str]) -> npt.NDArray[Any] | None:
    if data.y is None:
        return None
    n = network.scheduled.discrete.population(port[1]).n
    if data.y.size and (int(data.y.min()) < 0 or int(data.y.max()) >= n):
        raise fail("E642", "y", "labels are no indices of the output's elements",
                   got=f"{int(data.y.min())} to {int(data.y.max())}", limit=f"0 to {n - 1}",
                   hint=f"node {port[0]!r} has {n} elements")
    return np.asarray(data.y)


def _chunks(network: QuantizedNetwork, data: Dataset) -> list[tuple[int, int]]:
    steps = data.n_steps + network.latency
    neurons = sum(p.n for p in network.populations)
    size = max(1, _CHUNK_BYTES // max(1, 24 * steps * neurons))
    return [(a, min(data.n_samples, a + size)) for a in range(0, data.n_samples, size)]


def _run_part(network: QuantizedNetwork, part: Dataset, runner: Runner, names: list[str],
              port: tuple[str, str]) -> tuple[dict[str, Trains], dict[str, Trains],
                                              dict[str, Trains], Trains]:
    """Aligned rasters of a chunk: float, quantized, teacher-forced; and the float output."""
    discrete = network.scheduled.discrete
    values = grids(part)
    steps = part.n_steps
    float_run = run_float(discrete, values, steps, record=tuple(names))
    encoded = encode_inputs(network, values, steps)
    probes = Probes(tuple(sorted({*names, port[1]})))
    free = runner(encoded, probes)
    teacher = {name: shifted(float_run.output[name], network.population(name).latency,
                             steps + network.latency) for name in names}
    forced = runner(encoded, Probes(tuple(names)), teacher=teacher)
    theirs = {name: aligned(free, network, name, steps) for name in names}
    theirs["\0output"] = aligned(free, network, port[1], steps)
    return ({name: float_run.output[name] for name in names}, theirs,
            {name: aligned(forced, network, name, steps) for name in names},
            float_run.output[port[1]])


def grids(data: Dataset) -> dict[str, Trains]:
    """Inputs as executors take them: [sample, step, *shape], one step long where constant."""
    return {name: signal.values[:, None] if signal.constant_steps is not None else signal.values
            for name, signal in data.inputs.items()}


def aligned(run: IntegerRun, network: QuantizedNetwork, name: str, n_steps: int) -> Trains:
    """A population's raster in its own steps: [sample, n_steps, n]."""
    latency = network.population(name).latency
    return run.s[name][:, latency:latency + n_steps]


def shifted(train: Trains, latency: int, n_steps: int) -> npt.NDArray[np.int32]:
    """A raster of the network's steps as chip steps, zero before and after."""
    out = np.zeros((len(train), n_steps, train.shape[2]), np.int32)
    kept = max(0, min(train.shape[1], n_steps - latency))
    out[:, latency:latency + kept] = train[:, :kept]
    return out


class _Totals:
    """Sums over chunks of one population's comparison."""

    def __init__(self) -> None:
        self.samples = 0
        self.spikes = [0, 0]
        self.sums = np.zeros(4)
        self.first: int | None = None

    def add(self, ours: Trains, theirs: Trains, forced: Trains) -> None:
        n = theirs.shape[1]
        ours = ours[:, :n]
        weight = len(ours)
        self.samples += weight
        self.spikes[0] += int(ours.sum())
        self.spikes[1] += int(theirs.sum())
        self.sums += weight * np.array([
            metrics.mismatch(ours, theirs), metrics.mismatch(ours, forced),
            metrics.van_rossum(ours, theirs), metrics.rate_error(ours, theirs)])
        step = metrics.first_difference(ours, theirs)
        if step is not None:
            self.first = step if self.first is None else min(step, self.first)

    def row(self, name: str, n: int) -> LayerDifference:
        means = self.sums / max(1, self.samples)
        return LayerDifference(name, n, self.spikes[0], self.spikes[1], float(means[0]),
                               float(means[1]), float(means[2]), float(means[3]), self.first)


def _rounded_inputs(network: QuantizedNetwork,
                    values: dict[str, Trains]) -> dict[str, Trains]:
    """Graded inputs as their payloads stand for them; all others unchanged."""
    rounded = dict(values)
    for i in network.inputs:
        if i.mode == "graded":
            rounded[i.name] = np.rint(values[i.name] / i.scale) * i.scale
    return rounded


def _explain(network: QuantizedNetwork, data: Dataset, runner: Runner,
             names: list[str]) -> tuple[CauseDifference, ...]:
    discrete = network.scheduled.discrete
    values = grids(data)
    ours = run_float(discrete, values, data.n_steps, record=tuple(names)).output
    variants: dict[str, tuple[DiscreteNetwork, dict[str, Trains]]] = {
        cause: (with_quantized(network, cause), values) for cause in CAUSES}
    variants["inputs"] = (discrete, _rounded_inputs(network, values))
    rows = []
    for cause, (variant, given) in variants.items():
        theirs = run_float(variant, given, data.n_steps, record=tuple(names)).output
        rows.append(CauseDifference(cause, {n: metrics.mismatch(ours[n], theirs[n])
                                            for n in names}))
    run = runner(encode_inputs(network, values, data.n_steps), Probes(tuple(names)))
    whole = {n: aligned(run, network, n, data.n_steps) for n in names}
    rows.append(CauseDifference("integers", {n: metrics.mismatch(ours[n][:, :whole[n].shape[1]],
                                                                 whole[n]) for n in names}))
    return tuple(rows)
