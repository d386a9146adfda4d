"""Cycles on real samples, without the hardware: what ``profile`` says of an FPGA."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from neurocompile.bits import Ints
from neurocompile.data import Dataset
from neurocompile.data.rasters import write_arrays
from neurocompile.ir.mapping import Mapping
from neurocompile.reference.encode import EncodedInput, encode_inputs
from neurocompile.reference.integer import IntegerRun
from neurocompile.verification.evaluate import grids
from neurocompile_backends.rtl.backend import backend
from neurocompile_backends.rtl.host.words import words_of
from neurocompile_backends.rtl.plan.cycles import Counted, count_cycles
from neurocompile_backends.rtl.plan.design import ChipPlan
from neurocompile_backends.rtl.simulate.run import places_of, sent_by, simulated_sample

TIMING = "rtl"


def profile_cycles(mapping: Mapping, data: Dataset, *, save: Path | None = None,
                   progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """The functional simulator says what is sent, ``rtl.plan.cycles`` how long it takes.

    ``save`` gets ``cycles`` [sample, step], and by core, over all samples, ``walking``,
    ``offering`` (cycles) and ``peak`` (flits). Raises ``CompileError``: E863.
    """
    plan = backend.plan(mapping)
    encoded = encode_inputs(mapping.quantized, grids(data), data.n_steps)
    places = places_of(plan)
    counted = []
    for sample in range(encoded.n_samples):  # one at a time: spikes of all neurons take room
        run = simulated_sample(mapping.quantized, encoded, sample)
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
