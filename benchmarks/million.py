"""A million neurons and a hundred million synapses, from network to a run of its program.

Two convolutional layers of 8 x 256 x 256 LIF neurons, 100 synapses each in the middle of an
image, on ``loihi2``. Weights are random, 2 % of the input fires in a step. Each phase is timed;
every step of the program is compared with the functional simulator's. Energy and time of the chip
are those of the target file.

    OPENBLAS_NUM_THREADS=1 python benchmarks/million.py

On a machine that others use, OpenBLAS waits for its own threads: compiling takes twice as long.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from _common import write_result

import neurocompile as nc
from neurocompile.ir.contract import Contract, InputBinding
from neurocompile.ir.network import Network, Population, Port, Projection
from neurocompile.ir.transforms import Conv
from neurocompile.models import LIF, Source
from neurocompile.passes.assemble import Assemble
from neurocompile.reference.encode import encode_inputs
from neurocompile.verification.mapping import check_mapping
from neurocompile_backends.chip.load import load
from neurocompile_backends.chip.profile import profile, summary

SIDE, CHANNELS, KERNEL = 256, (4, 8, 8), 5
_T = TypeVar("_T")


def network(side: int) -> Network:
    """Input 4 x side x side, then two layers of 8 channels; the second in two groups."""
    rng = np.random.default_rng(5)
    shapes = [(c, side, side) for c in CHANNELS]
    populations = [Population("input", shapes[0], Source(CHANNELS[0] * side * side))]
    projections = []
    for i, (before, after) in enumerate(itertools.pairwise(shapes)):
        name, n = f"layer{i + 1}", int(np.prod(after))
        groups = before[0] // 4
        weight = rng.normal(0.05, 0.25, (after[0], before[0] // groups, KERNEL, KERNEL))
        conv = Conv(weight, (1, 1), (KERNEL // 2, KERNEL // 2), (1, 1), groups, before, after,
                    before, after)
        ones = np.ones(n)
        populations.append(Population(name, after, LIF(ones * 5e-3, ones * 5, ones * 0, ones,
                                                       ones * 0)))
        source = populations[-2].name
        projections.append(Projection(f"{source}->{name}", source, name, (conv,), False,
                                      (str(i),)))
    return Network(tuple(populations), tuple(projections), (),
                   (Port("input", "input", shapes[0]),), (Port("output", "layer2", shapes[2]),),
                   (("tool", "benchmark"),))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--steps", type=int, default=20)
    asked = parser.parse_args()
    figures: dict[str, Any] = {}

    def timed(name: str, run: Callable[[], _T]) -> _T:
        start = time.perf_counter()
        result = run()
        figures[f"{name}_s"] = round(time.perf_counter() - start, 3)
        figures[f"{name}_peak_MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        return result

    made = network(asked.side)
    contract = Contract(dt_s=1e-3, integrator="euler", input_gain="nir", compare="gt",
                        reset="zero", max_spikes_per_step=1, layer_latency=0,
                        inputs={"*": InputBinding("spikes")})
    build = timed("compile", lambda: nc.compile(made, "loihi2", contract=contract))
    found = timed("check_mapping", lambda: check_mapping(build.mapping))
    assert found == [], found
    program = timed("assemble", lambda: Assemble().run(build.mapping))
    loaded = timed("load", lambda: load(program))
    rng = np.random.default_rng(6)
    x = (rng.random((1, asked.steps, *made.inputs[0].shape)) < 0.02).astype(np.uint8)
    encoded = encode_inputs(build.quantized, {"input": x}, asked.steps)
    for timing in ("analytic", "cycle"):  # once before, so that no time is a compilation's
        profile(load(program), build.quantized, encoded, timing=timing, workers=1)
    runs = {timing: timed(timing, lambda timing=timing: profile(  # type: ignore[misc]
        load(program), build.quantized, encoded, timing=timing, workers=1))
        for timing in ("analytic", "cycle")}
    known = summary(runs["cycle"], rows=0)
    synapses = sum(q.transform.n_synapses for q in build.quantized.projections)
    ratio = runs["analytic"].series.ticks / runs["cycle"].series.ticks
    write_result("million", {
        "neurons": loaded.n, "synapses": synapses, "cores": len(program.cores),
        "program_bytes": program.n_bytes, "loaded_bytes": loaded.nbytes,
        "loaded_bytes_a_synapse": loaded.nbytes / synapses, "steps": asked.steps, **figures,
        "chip_time_us_a_step": known["time_us"]["step"],
        "chip_energy_nj_a_step": known["energy_nj"]["total"] / runs["cycle"].series.ticks.size,
        "events": known["events"], "waited_for": known["waited_for"],
        "analytic_to_cycle": [float(ratio.min()), float(ratio.max())],
        "spikes_compared_with": "the functional simulator, every step"})


if __name__ == "__main__":
    main()
