"""What a design does with real samples: how long they take, and what costs energy, counted.

Counts only: joules of an FPGA depend on its routing and voltage, and nothing here measures them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile.bits import Ints
from neurocompile.data import Dataset
from neurocompile.ir.mapping import Mapping
from neurocompile.reference.encode import encode_inputs
from neurocompile.verification.evaluate import grids
from neurocompile_backends.rtl.backend import backend
from neurocompile_backends.rtl.emit.files import KIND_BITS
from neurocompile_backends.rtl.host.words import FLIT, words_of
from neurocompile_backends.rtl.plan.cycles import count_cycles, senders_of
from neurocompile_backends.rtl.plan.design import ChipPlan
from neurocompile_backends.rtl.simulate.run import places_of, sent_by, simulated_sample


@dataclass(frozen=True)
class CoreActivity:
    """What a core did.

    neuron_updates
        Neurons that took a step.
    spikes
        Neurons that sent something in a step.
    flits_in, flits_out
        Received from cores and the host; sent to them. Each one in is a record of an axon read.
    synapse_words
        Words read of synaptic memory, of ``lanes`` weights each.
    """

    core: int
    lanes: int
    neuron_updates: int
    spikes: int
    flits_in: int
    flits_out: int
    synapse_words: int

    def __add__(self, other: CoreActivity) -> CoreActivity:
        assert (self.core, self.lanes) == (other.core, other.lanes)
        return CoreActivity(
            self.core, self.lanes, self.neuron_updates + other.neuron_updates,
            self.spikes + other.spikes, self.flits_in + other.flits_in,
            self.flits_out + other.flits_out, self.synapse_words + other.synapse_words)


@dataclass(frozen=True, eq=False)
class Samples:
    """``cycles``: [sample, step]; ``cores``: over all samples."""

    cycles: Ints
    cores: tuple[CoreActivity, ...]


def run_samples(mapping: Mapping, data: Dataset,
                progress: Callable[[int], None] | None = None) -> Samples:
    """The functional simulator says what is sent, ``rtl.plan.cycles`` how long it takes. Raises
    ``CompileError``: E863."""
    plan = backend.plan(mapping)
    encoded = encode_inputs(mapping.quantized, grids(data), data.n_steps)
    places = places_of(plan)
    cycles: list[Ints] = []
    cores: tuple[CoreActivity, ...] = ()
    for sample in range(encoded.n_samples):  # one at a time: spikes of all neurons take room
        run = simulated_sample(mapping.quantized, encoded, sample)
        words = words_of(plan, encoded, sample, run.n_steps)
        spikes = sent_by(plan, places, run, 0)
        cycles.append(count_cycles(plan, words, spikes).cycles)
        counted = count_activity(plan, words, spikes)
        cores = tuple(a + b for a, b in zip(cores, counted, strict=True)) if cores else counted
        if progress is not None:
            progress(sample + 1)
    return Samples(np.stack(cycles), cores)


def count_activity(plan: ChipPlan, words: npt.NDArray[np.uint64],
                   spikes: npt.NDArray[Any]) -> tuple[CoreActivity, ...]:
    """What each core does in a sample. ``words``: what the host sends; ``spikes``: [step, place
    for a neuron of all cores], what each sent."""
    received = [np.zeros(len(core.walk.issues), np.int64) for core in plan.cores]
    kind = words & np.uint64((1 << KIND_BITS) - 1)
    flits = words[kind == FLIT] >> np.uint64(KIND_BITS)
    place = (flits & np.uint64((1 << plan.place_bits) - 1)).astype(np.int64)
    axon = ((flits >> np.uint64(plan.place_bits))
            & np.uint64((1 << plan.axon_bits) - 1)).astype(np.int64)
    for c, counts in enumerate(received):
        counts += np.bincount(axon[place == c], minlength=len(counts))
    present, analog = senders_of(plan)
    times = (((spikes != 0) | analog) & present).sum(axis=0).astype(np.int64)
    first = np.concatenate([[0], np.cumsum([core.neurons for core in plan.cores])])
    sent: list[tuple[int, int]] = []
    for number, core in enumerate(plan.cores):
        mine = times[first[number]:first[number + 1]]
        each = np.repeat(mine, np.diff(core.out_first))
        for c, counts in enumerate(received):
            to = core.out_place == c
            np.add.at(counts, core.out_axon[to], each[to])
        sent.append((int(mine.sum()), int(each.sum())))
    return tuple(CoreActivity(
        core.index, core.parameters["LANES"], len(spikes) * len(core.slot), fired,
        int(counts.sum()), out, int((counts * core.walk.issues).sum()))
        for core, counts, (fired, out) in zip(plan.cores, received, sent, strict=True))


def latency(samples: Samples, mhz: float) -> dict[str, Any]:
    """Cycles and microseconds of steps and whole samples at a clock of ``mhz``, where the host
    keeps nothing waiting; and the counts of all samples together."""
    def spread(cycles: Ints) -> dict[str, Any]:
        of = {"mean": float(np.mean(cycles)), "median": float(np.median(cycles)),
              "p99": float(np.percentile(cycles, 99)), "max": float(np.max(cycles))}
        return {"cycles": {name: round(value, 2) for name, value in of.items()},
                "us": {name: round(value / mhz, 3) for name, value in of.items()}}

    return {"samples": len(samples.cycles), "steps": int(samples.cycles.shape[1]), "mhz": mhz,
            "step": spread(samples.cycles), "sample": spread(samples.cycles.sum(axis=1)),
            "cores": [asdict(core) for core in samples.cores]}
