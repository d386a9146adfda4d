"""The timing of a chip's network: every flit simulated, and estimated.

    python benchmarks/noc.py [--quick]

The mesh of Loihi 1 (8 x 4 tiles of 4 cores) with its times, all 128 cores in use, flits to random
cores. ``sparse``: each core works 400 to 1200 ticks on a flit before it sends the next and 160 to
320 ticks on what it gets, as a layer that fires does. ``busy``: flits wait for each other in
buffers. ``flood``: senders stall. Times are processor time of one thread, medians of interleaved
rounds; a flit-hop is a flit over a link or out to its core.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _common import write_result

from neurocompile.targets import load_target
from neurocompile.verification.mesh import places_of
from neurocompile_backends.chip.timing.estimate import estimate, new_estimate_state
from neurocompile_backends.chip.timing.layout import (
    R_LAG,
    R_REASON,
    R_TICKS,
    REASONS,
    Mesh,
    Result,
    Step,
    build_mesh,
    new_result,
)
from neurocompile_backends.chip.timing.network import new_state, simulate

SEED = 7
CASES = {"sparse, 1k flits": (1_000, 400, 160), "sparse, 10k flits": (10_000, 400, 160),
         "sparse, 100k flits": (100_000, 400, 160), "busy, 100k flits": (100_000, 60, 30),
         "flood, 100k flits": (100_000, 1, 1)}
"""Flits, least ticks of a sender, least ticks of a receiver on one."""


def random_step(mesh: Mesh, n_flits: int, gap: int, work: int, rng: np.random.Generator) -> Step:
    """Each flit from a random core to a random one."""
    counts = np.bincount(rng.integers(0, mesh.n_cores, n_flits), minlength=mesh.n_senders)
    return Step(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
                rng.integers(gap, 3 * gap, n_flits).astype(np.int32),
                np.arange(n_flits + 1, dtype=np.int32),
                rng.integers(0, mesh.n_cores, n_flits, dtype=np.int32),
                rng.integers(work, 2 * work, n_flits).astype(np.int32),
                np.zeros(mesh.n_senders, np.int64))


def measure(mesh: Mesh, step: Step, rounds: int) -> dict[str, Any]:
    """Figures of one step."""
    n_flits = len(step.gap)
    exact, low = new_result(mesh), new_result(mesh)
    state, cheap = new_state(mesh, n_flits, n_flits), new_estimate_state(mesh, n_flits)
    calls: dict[str, Callable[[], int]] = {
        "simulate": lambda: simulate(mesh, step, exact, state),
        "estimate": lambda: estimate(mesh, step, low, cheap)}
    repeat = {name: _repeats(call) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.process_time()
            for _ in range(repeat[name]):
                call()
            times[name].append((time.process_time() - begin) / repeat[name])
    simulated, estimated = (statistics.median(times[name]) for name in calls)
    flit_hops = int(exact.link_flits.sum()) + n_flits
    return {"flits": n_flits, "flit_hops": flit_hops, **_shape(exact, low),
            "simulate_us": simulated * 1e6, "estimate_us": estimated * 1e6,
            "simulate_ns_per_flit_hop": simulated * 1e9 / flit_hops,
            "simulate_ns_per_flit": simulated * 1e9 / n_flits,
            "estimate_ns_per_flit": estimated * 1e9 / n_flits}


def _repeats(call: Callable[[], int]) -> int:
    """Calls that together take a tenth of a second, after one that compiles."""
    call()
    begin = time.process_time()
    call()
    return max(1, int(0.1 / max(time.process_time() - begin, 1e-6)))


def _shape(exact: Result, low: Result) -> dict[str, Any]:
    ticks = int(exact.summary[R_TICKS])
    return {"ticks": ticks, "longest_delay_ticks": int(exact.summary[R_LAG]),
            "stalled_ticks": int(exact.stalled.sum()),
            "fullest_buffer": int(exact.buffer_peak.max()),
            "reason": REASONS[exact.summary[R_REASON]],
            "estimate_ratio": int(low.summary[R_TICKS]) / ticks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="3 rounds instead of 15")
    rounds = 3 if parser.parse_args().quick else 15
    target = load_target("loihi1")
    places = places_of(target.chip, target.chip.cores)
    mesh = build_mesh(target, places)
    rng = np.random.default_rng(SEED)
    result = {name: measure(mesh, random_step(mesh, *case, rng), rounds)
              for name, case in CASES.items()}
    write_result("noc", {"seed": SEED, "rounds": rounds, "cases": result})
    print(f"{'':20}{'ns a flit-hop':>15}{'ns a flit, est.':>17}{'est. / sim.':>13}")
    for name, row in result.items():
        print(f"{name:20}{row['simulate_ns_per_flit_hop']:15.1f}"
              f"{row['estimate_ns_per_flit']:17.2f}{row['estimate_ratio']:13.3f}")


if __name__ == "__main__":
    main()
