"""Our simulator against Lava's fixed_pt simulation: the same integers, the same spikes, one sample.

A dense LIF network 784-512-512-10, 100 steps, 5 % of the inputs firing in a step. Processor time
of Lava is that of its program with all the processes it starts. What each does before it steps is
subtracted (for Lava a run of one step, for the simulator a run of one sample beside one of many),
so that the ratio is of stepping alone; Lava's start is reported by itself. First every state of a
run is compared.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from statistics import median

import numpy as np
from _common import write_result

import neurocompile as nc
from neurocompile.contract import load_contract
from neurocompile.ir.contract import InputBinding
from neurocompile.ir.network import Network, Population, Port, Projection
from neurocompile.ir.transforms import Dense
from neurocompile.models import LIF, Source
from neurocompile.reference.encode import EncodedInput, encode_inputs
from neurocompile.reference.integer import Probes
from neurocompile_backends.lava.backend import run_lava
from neurocompile_backends.simulator.run import run_simulator

SIZES = (784, 512, 512, 10)
STEPS, DENSITY, ROUNDS, SAMPLES = 100, 0.05, 5, 257


def network() -> Network:
    rng = np.random.default_rng(0)
    populations = [Population("in", (SIZES[0],), Source(SIZES[0]))]
    projections = []
    for i, (n_in, n) in enumerate(pairwise(SIZES)):
        one = np.ones(n)
        populations.append(Population(f"lif{i}", (n,), LIF(one * 1e-2, one * 10, one * 0, one,
                                                           one * 0)))
        weight = rng.normal(0.02, 1.0, (n, n_in)) / np.sqrt(n_in)
        source = populations[-2].name
        projections.append(Projection(f"{source}->lif{i}", source, f"lif{i}",
                                      (Dense(weight, (n_in,), (n,)),), False, ("w",)))
    return Network(tuple(populations), tuple(projections), (), (Port("in", "in", (SIZES[0],)),),
                   (Port("out", populations[-1].name, (SIZES[-1],)),), ())


def cpu(run: Callable[[], object], who: int) -> tuple[float, float]:
    """(processor seconds, wall seconds) of a call, in this process or in those it started."""
    before, wall = resource.getrusage(who), time.perf_counter()
    run()
    after = resource.getrusage(who)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            time.perf_counter() - wall)


def main() -> None:
    contract = replace(load_contract("snntorch-zero", dt_s=1e-3),
                       inputs={"*": InputBinding("spikes")})
    build = nc.compile(network(), "loihi1", contract=contract)
    x = (np.random.default_rng(1).random((1, STEPS, SIZES[0])) < DENSITY).astype(np.uint8)
    (report,) = nc.verify(build, x, backends=("simulator", "lava"))
    assert report.passed, report.first_divergence
    quantized, probes = build.quantized, Probes.outputs(build.quantized)
    encoded = encode_inputs(quantized, {"in": x}, STEPS)
    # One step of input; the run is longer by the network's latency, as the long one is.
    short = EncodedInput(1, 1, {"in": encoded.payloads["in"][:, :1]}, {})
    many = EncodedInput(SAMPLES, STEPS, {"in": np.repeat(encoded.payloads["in"], SAMPLES, 0)}, {})
    run_simulator(quantized, encoded, probes, workers=1)
    rows = []
    for _ in range(ROUNDS):  # interleaved, so that a change of the machine's speed meets all
        one, _ = cpu(lambda: run_simulator(quantized, encoded, probes, workers=1),
                     resource.RUSAGE_SELF)
        all_, _ = cpu(lambda: run_simulator(quantized, many, probes, workers=1),
                      resource.RUSAGE_SELF)
        start, start_wall = cpu(lambda: run_lava(quantized, short, probes),
                                resource.RUSAGE_CHILDREN)
        whole, _ = cpu(lambda: run_lava(quantized, encoded, probes), resource.RUSAGE_CHILDREN)
        rows.append(((all_ - one) / (SAMPLES - 1), whole - start, start, start_wall))
    write_result("lava", {
        "network": list(SIZES), "steps": STEPS, "input_density": DENSITY,
        "states_compared": sum(int(c.reason.split()[2]) for c in report.checks),
        "states_different": sum(int(c.measured or 0) for c in report.checks),
        "simulator_cpu_ms": 1e3 * median(r[0] for r in rows),
        "lava_cpu_ms": 1e3 * median(r[1] for r in rows),
        "lava_to_simulator": median(r[1] / r[0] for r in rows),
        "lava_start_cpu_s": median(r[2] for r in rows),
        "lava_start_wall_s": median(r[3] for r in rows),
    })


if __name__ == "__main__":
    main()
