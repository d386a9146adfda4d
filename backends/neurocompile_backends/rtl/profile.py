"""Cycles on real samples, without the hardware: what ``profile`` says of an FPGA."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile.bits import Ints
from neurocompile.data import Dataset
from neurocompile.data.rasters import write_arrays
from neurocompile.ir.mapping import Mapping
from neurocompile.reference.encode import EncodedInput, encode_inputs
from neurocompile.reference.integer import IntegerRun, Probes
from neurocompile.verification.evaluate import grids
from neurocompile_backends.rtl.backend import backend
from neurocompile_backends.rtl.cycles import Counted, count_cycles
from neurocompile_backends.rtl.design import ChipPlan
from neurocompile_backends.rtl.host import words_of
from neurocompile_backends.rtl.run import places_of
from neurocompile_backends.simulator.run import run_simulator

TIMING = "rtl"


def profile_cycles(mapping: Mapping, data: Dataset, *, save: Path | None = None,
                   progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """The functional simulator says what is sent, ``rtl.cycles`` how long it takes.

    ``save`` gets ``cycles`` [sample, step], and by core, over all samples, ``walking``,
    ``offering`` (cycles) and ``peak`` (flits). Raises ``CompileError``: E863.
    """
    plan = backend.plan(mapping)
    encoded = encode_inputs(mapping.quantized, grids(data), data.n_steps)
    places = places_of(plan)
    names = Probes(tuple(p.name for p in mapping.quantized.populations if p.role != "source"))
    counted = []
    for sample in range(encoded.n_samples):  # one at a time: spikes of all neurons take room
        run = run_simulator(mapping.quantized, encoded.samples(sample, sample + 1), names)
        counted.append(counted_sample(plan, places, encoded, sample, run, 0))
        if progress is not None:
            progress((sample + 1) * (encoded.n_steps + mapping.quantized.latency))
    cycles = np.stack([c.cycles for c in counted])
    walking = np.sum([c.walking for c in counted], axis=0)
    offering = np.sum([c.offering for c in counted], axis=0)
    peak = np.max([c.peak for c in counted], axis=0)
    if save is not None:
        write_arrays(save, {"cycles": cycles, "walking": walking, "offering": offering,
                            "peak": peak})
    total = int(cycles.sum())
    return {
        "target": mapping.target.name, "timing": TIMING, "samples": len(cycles),
        "steps": int(cycles.shape[1]),
        "cycles": {"mean": float(cycles.mean()), "median": float(np.median(cycles)),
                   "max": int(cycles.max()), "sample": float(cycles.sum(1).mean()),
                   "total": total},
        "cores": [{"core": core.index, "neurons": len(core.slot),
                   "lanes": core.parameters["LANES"],
                   "neurons_share": core.neurons * cycles.size / total,
                   "synapses_share": int(walking[i]) / total,
                   "offering_share": int(offering[i]) / total, "queue_peak": int(peak[i])}
                  for i, core in enumerate(plan.cores)]}


def counted_sample(plan: ChipPlan, places: list[tuple[str, Ints, Ints]], encoded: EncodedInput,
                   sample: int, run: IntegerRun, recorded: int) -> Counted:
    """What a sample takes whose spikes of all populations are ``run.s[...][recorded]``; ``places``
    as :func:`places_of` gives them."""
    return count_cycles(plan, words_of(plan, encoded, sample, run.n_steps),
                        sent_by(plan, places, run, recorded))


def sent_by(plan: ChipPlan, places: list[tuple[str, Ints, Ints]], run: IntegerRun,
            recorded: int) -> npt.NDArray[np.int32]:
    """What each place for a neuron sent in each step, [step, place of all cores]; ``recorded``:
    the sample's number in ``run``."""
    spikes = np.zeros((run.n_steps, sum(core.neurons for core in plan.cores)), np.int32)
    for population, element, slot in places:
        spikes[:, slot] = run.s[population][recorded][:, element]
    return spikes
