"""The N-MNIST network of the NIR paper in integers: 100 recordings of 300 steps.

Measures the simulator on all processors and on one, the integer reference on a few recordings in
the same run, and memory: what the packed network and a sample's state take, against what the
synapses would take unfolded (6 bytes each: weight and target).
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from _common import write_result

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import datasets

import neurocompile as nc
from neurocompile.contract import load_contract
from neurocompile.ir.contract import InputBinding
from neurocompile.reference.encode import encode_inputs
from neurocompile.reference.integer import Probes, run_integer
from neurocompile_backends.simulator.pack import pack
from neurocompile_backends.simulator.run import available_cpus, run_simulator

ROUNDS = 5
REFERENCE_SAMPLES = 4


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """(wall seconds, processor seconds) of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    recorded = datasets.nmnist()
    contract = replace(load_contract("snntorch-zero", dt_s=recorded.dt_s),
                       inputs={"*": InputBinding("counts", maximum=3.0)})
    compile_s, _ = timed(lambda: nc.compile(recorded.network, "loihi1", contract=contract))
    network = nc.compile(recorded.network, "loihi1", contract=contract).quantized
    encoded = encode_inputs(network, {"input": recorded.x}, recorded.n_steps)
    probes = Probes.outputs(network)
    few = encoded.samples(0, REFERENCE_SAMPLES)
    first_s, _ = timed(lambda: run_simulator(network, encoded.samples(0, 1), probes))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = []
    for _ in range(ROUNDS):  # interleaved, so that a change of the machine's speed meets all
        rows.append((timed(lambda: run_simulator(network, encoded, probes)),
                     timed(lambda: run_simulator(network, few, probes, workers=1)),
                     timed(lambda: run_integer(network, few, probes))))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    output = run_simulator(network, encoded, probes).s["12"]
    synapses = sum(q.transform.n_synapses for q in network.projections)
    packed = pack(network)
    one = [r[1][1] / REFERENCE_SAMPLES for r in rows]
    reference = [r[2][1] / REFERENCE_SAMPLES for r in rows]
    write_result("nmnist_simulate", {
        "recordings": encoded.n_samples, "steps": recorded.n_steps,
        "threads": available_cpus(),
        "correct": int((output.sum(axis=1).argmax(axis=1) == recorded.y).sum()),
        "compile_s": compile_s, "first_run_s": first_s,
        "all_wall_s": median(r[0][0] for r in rows),
        "one_recording_cpu_ms": 1e3 * median(one),
        "reference_one_recording_cpu_ms": 1e3 * median(reference),
        "reference_to_simulator": median(b / a for a, b in zip(one, reference, strict=True)),
        "packed_and_state_bytes": packed.nbytes,
        "unfolded_synapses": synapses, "unfolded_bytes": 6 * synapses,
        "peak_memory_growth_MiB": (after - before) / 1024,
    })


if __name__ == "__main__":
    main()
