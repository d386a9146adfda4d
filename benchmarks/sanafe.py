"""Timing and energy against SANA-FE: the same integers, the same mapping, SANA-FE's own chip file.

    python benchmarks/sanafe.py [--neurons N] [--fan-in S] [--rate R] [--spread] ...

Spikes are compared one by one with our simulator, energy and time step by step with
``tests/sanafe_rules.py`` and ``run_ours``. SANA-FE (GPL) runs in a process and an environment of
its own: that of ``$NEUROCOMPILE_SANAFE_PYTHON``, else one made in ``$NEUROCOMPILE_HOME``.
Processor time is of stepping alone, one thread, nothing recorded.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from _common import write_result

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from sanafe_detailed import detailed_ns
from sanafe_network import Scenario, mapped
from sanafe_rules import Placed, congestion_free, placed, predict, updated

from neurocompile.ir.mapping import Mapping
from neurocompile.ir.target import EVENTS
from neurocompile.ir.transforms import to_sparse
from neurocompile.passes.assemble import Assemble
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.integer import Probes
from neurocompile_backends.chip.kernel import S_SREC
from neurocompile_backends.chip.load import load
from neurocompile_backends.chip.run import Chip
from neurocompile_backends.home import home
from neurocompile_backends.simulator.run import run_simulator

VERSION = "2.2.9"
PINS = (f"sanafe=={VERSION}", "numpy==2.2.6")
INTERPRETER = "NEUROCOMPILE_SANAFE_PYTHON"
WORKER = Path(__file__).parent / "_sanafe_worker.py"
STEPS, WARM_UP, ROUNDS = 300, 100, 5
TIMINGS = ("analytic", "cycle")
CHECKS = tuple(Scenario(n, fan_in, rate, silent, per_core, spread, seed)
               for seed in (1, 2, 3) for n, fan_in, rate, silent, per_core, spread in (
                   (64, 8, 0.05, 0.2, 16, False), (500, 20, 0.1, 0.5, 40, True),
                   (2000, 50, 0.02, 0.0, 16, False)))
LARGE = (Scenario(10_000, 100), Scenario(10_000, 100, neurons_per_core=79))
"""On as few cores as hold the neurons, and on all of the chip."""
RECORDED = Scenario(64, 8, 0.1, 0.5, 4, True, seed=1)
RECORD = Path(__file__).parent.parent / "tests" / "data" / "sanafe.json"
PARTS = ("soma", "synapse", "network")

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Ours:
    """What ``run_ours`` returns, of the same steps of the same mapping.

    spikes
        [step, neuron], the flat order of the population.
    energy_pj
        [step] for each cause, named as in ``neurocompile.ir.target.EVENTS``.
    time_ns
        [step], the barrier included.
    cpu_s
        Processor seconds a step of stepping alone, one thread, timing and energy on.
    bytes
        Of tables, state and timing in memory; without the images that the tables are decoded from
        (``images``).
    """

    spikes: Bools
    energy_pj: dict[str, Floats]
    time_ns: Floats
    cpu_s: float
    bytes: int


def run_ours(mapping: Mapping, steps: int, warm_up: int, timing: str) -> Ours:
    """The chip simulator: ``mapping`` as a program, from cleared state, no input, no host.
    ``cpu_s`` is of ``steps`` after ``warm_up`` steps; spikes are recorded in a run of their own."""
    program = Assemble().run(mapping)
    loaded = load(program)
    encoded = EncodedInput(1, steps, {}, {})
    n = mapping.quantized.population("p").n
    spikes = np.zeros((steps, n), np.int32)
    recorded = Chip(loaded, encoded, 0, timing)
    recorded.record("p", S_SREC, spikes)
    series = recorded.advance(steps)
    chip = Chip(loaded, encoded, 0, timing)
    chip.advance(warm_up)
    start = time.process_time()
    chip.advance(steps)
    cpu_s = (time.process_time() - start) / (steps - warm_up)
    kept = [chip.state, chip.step, chip.network, chip.scratch, chip.result, chip.mesh]
    held = sum(v.nbytes for part in kept for v in part if isinstance(v, np.ndarray))
    pj = [mapping.target.costs[event][0] for event in EVENTS]
    return Ours(
        spikes != 0, {event: series.events[:, i] * pj[i] for i, event in enumerate(EVENTS)},
        series.ticks * (mapping.target.timing.tick_ps / 1e3), cpu_s, loaded.nbytes + held)


@dataclass(frozen=True, eq=False)
class Theirs:
    """What SANA-FE said of a run: [step, neuron], [step] and, if asked for, [message]."""

    spikes: Bools
    energy_pj: dict[str, Floats]
    time_ns: Floats
    updated: npt.NDArray[np.int64]
    messages: dict[str, npt.NDArray[Any]]


class SanaFe:
    """SANA-FE with a network loaded, in its own process; ``loaded`` says what that took."""

    def __init__(self, mapping: Mapping, python: Path):
        self.folder = tempfile.TemporaryDirectory(prefix="neurocompile-sanafe-")
        arrays = export(mapping)
        self.n = len(arrays["core"])
        np.savez(Path(self.folder.name) / "network.npz", **arrays)
        self.process = subprocess.Popen(
            [str(python), "-I", str(WORKER), self.folder.name], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        self.loaded: dict[str, Any] = self._answer()

    def __enter__(self) -> SanaFe:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.process.communicate()  # ends at the end of its input
        self.folder.cleanup()

    def cpu_s(self, timing_model: str, steps: int, warm_up: int) -> float:
        """Processor seconds a step, after ``warm_up`` steps, nothing recorded."""
        answer = self._ask(do="time", timing_model=timing_model, steps=steps, warm_up=warm_up)
        return float(answer["cpu_s_a_step"])

    def run(self, timing_model: str, steps: int, *, skip: int = 0,
            messages: bool = False) -> Theirs:
        """``steps`` after the first ``skip``, from the start."""
        self._ask(do="trace", timing_model=timing_model, steps=steps, skip=skip,
                  messages=messages)
        with np.load(Path(self.folder.name) / "run.npz") as data:
            spikes = np.zeros((steps, self.n), bool)
            spikes[tuple(data["raster"].T)] = True
            energy = {part: 1e12 * data[f"{part}_energy"] for part in (*PARTS, "total")}
            sent = {k.removeprefix("message_"): data[k] for k in data if k.startswith("message_")}
            return Theirs(spikes, energy, 1e9 * data["sim_time"], data["updated"], sent)

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("SANA-FE ended; what it said is above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def export(mapping: Mapping) -> dict[str, npt.NDArray[Any]]:
    """A mapping of one population in SANA-FE's units, a 64th of Loihi's, and its core numbers.

    Tiles are numbered along the columns of the mesh, cores of a tile in the order of ours.
    """
    at = placed(mapping)  # checks that it is one population on one chip
    p = mapping.quantized.populations[0]
    chip, machine = mapping.target.chip, mapping.target.machine
    tile = at.x * chip.mesh_height + at.y
    within = np.array([np.sum(tile[:c] == tile[c]) for c in range(len(tile))])
    unit = float(1 << machine.input_shift)
    rows = [(flat.indices, np.repeat(np.arange(p.n), np.diff(flat.indptr)),
             flat.values.astype(np.float64) * 2.0 ** q.format.exponent)
            for q in mapping.quantized.projections for flat in (to_sparse(q.transform),)]
    source, target, weight = (np.concatenate(part) for part in zip(*rows, strict=True))
    by_source = np.argsort(source, kind="stable")
    return {"core": (tile * chip.cores_per_tile + within)[at.core],
            "order": np.argsort(at.core, kind="stable"),
            "threshold": p.threshold * 2.0 ** machine.threshold_shift / unit,
            "bias": p.bias / unit, "leak_decay": (4096 - p.membrane_decay) / 4096,
            "source": source[by_source], "target": target[by_source],
            "weight": weight[by_source]}


def interpreter() -> Path:
    """One that imports SANA-FE; makes its environment at the first call."""
    stated = os.environ.get(INTERPRETER)
    if stated:
        return Path(stated).absolute()
    folder = home() / f"sanafe-{VERSION}"
    python = folder / "bin" / "python"
    done = folder / ".installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet",
                        "--disable-pip-version-check", *PINS], check=True)
        done.touch()
    return python


def functional(mapping: Mapping, steps: int) -> tuple[Bools, npt.NDArray[np.int32]]:
    """Spikes and membranes after reset of our simulator, [step, neuron]."""
    name = mapping.quantized.populations[0].name
    run = run_simulator(mapping.quantized, EncodedInput(1, steps, {}, {}),
                        Probes(s=(name,), v=(name,)), workers=1)
    return run.s[name][0] > 0, run.v[name][0]


def worst(a: Floats, b: Floats) -> float:
    """Largest relative difference of two series."""
    return float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 1e-30), initial=0.0))


def measure(scenario: Scenario, steps: int, warm_up: int, rounds: int) -> dict[str, Any]:
    mapping = mapped(scenario)
    at = placed(mapping)
    spikes, v = functional(mapping, steps)
    bound = congestion_free(at, spikes, updated(at, spikes, v))
    n_messages = spikes[warm_up:] @ np.diff(at.synapses.indptr)
    cpu: dict[str, list[float]] = {name: [] for name in ("simple", "detailed", *TIMINGS)}
    ours: dict[str, Ours] = {}
    with SanaFe(mapping, interpreter()) as sanafe:
        simple, detailed = sanafe.run("simple", steps), sanafe.run("detailed", steps)
        for _ in range(rounds):  # interleaved, so that a change of the machine's speed meets all
            for model in ("simple", "detailed"):
                cpu[model].append(sanafe.cpu_s(model, steps - warm_up, warm_up))
            for timing in TIMINGS:
                ours[timing] = run_ours(mapping, steps, warm_up, timing)
                cpu[timing].append(ours[timing].cpu_s)
    loaded = sanafe.loaded
    result = {
        **asdict(scenario), "cores": mapping.n_cores, "steps": steps, "warm_up": warm_up,
        "synapses": loaded["synapses"], "firing": float(spikes[warm_up:].mean()),
        "messages_a_step": float(n_messages.mean()),
        "spikes": int(spikes.sum()), "spikes_different": int((spikes != detailed.spikes).sum()),
        "energy_pj_a_step": {part: float(detailed.energy_pj[part].mean())
                             for part in (*PARTS, "total")},
        "time_ns_a_step": {"simple": float(simple.time_ns.mean()),
                           "detailed": float(detailed.time_ns.mean())},
        "rules": deviations(at, spikes, v, simple),
        "simple_to_detailed": ratio(simple.time_ns, detailed.time_ns),
        "congestion_free_to_detailed": ratio(bound, detailed.time_ns),
        "cpu_ms_a_step": {model: 1e3 * median(cpu[model]) for model in ("simple", "detailed")
                          if cpu[model]},
        "bytes_a_synapse": loaded["bytes"] / loaded["synapses"],
        "bytes_a_synapse_with_network": loaded["bytes_with_network"] / loaded["synapses"],
        "chip_bytes": loaded["chip_bytes"], "process_peak_bytes": loaded["peak_bytes"],
        "load_cpu_s": loaded["load_cpu_s"],
    }
    result["ours"] = {timing: compared(run, detailed, loaded, cpu["detailed"], cpu[timing])
                      for timing, run in ours.items()}
    return result


STUDY = tuple(Scenario(4096, 64, rate, 0.0, per_core, spread)
              for per_core, spread in ((1024, False), (1024, True), (128, True), (32, False))
              for rate in (0.01, 0.05, 0.25))
"""Few cores and many, near each other and far, from few messages to more than the NoC can hold."""


RESTATED: dict[str, dict[str, bool]] = {
    "restated": {}, "restated_without_blocking": {"blocking": False},
    "restated_without_congestion": {"congestion": False},
    "restated_without_both": {"blocking": False, "congestion": False}}


def study(scenario: Scenario, skip: int = 40, steps: int = 16, cycle: int = 4) -> dict[str, Any]:
    """Where the "detailed" model differs from ``congestion_free`` and by which of its terms, and
    both from SANA-FE's cycle-accurate network on chip (``cycle`` steps of it)."""
    mapping = mapped(scenario)
    at = placed(mapping)
    spikes, v = functional(mapping, skip + steps)
    paid = updated(at, spikes, v)
    bound, in_order = (congestion_free(at, spikes, paid, served=served)[skip:]
                       for served in ("arrived", "sent"))
    with SanaFe(mapping, interpreter()) as sanafe:
        simple = sanafe.run("simple", steps, skip=skip).time_ns
        exact = sanafe.run("cycle", cycle, skip=skip).time_ns
        run = sanafe.run("detailed", steps, skip=skip, messages=True)
    time, first = run.time_ns, slice(0, cycle)
    restated = {name: np.array([detailed_ns(at, spikes[t], paid[t], **terms)
                                for t in range(skip, skip + cycle)])
                for name, terms in RESTATED.items()}
    return {
        **asdict(scenario), "cores": mapping.n_cores, "firing": float(spikes[skip:].mean()),
        "spikes_different": int((spikes[skip:] != run.spikes).sum()),
        "time_ns_a_step": float(time.mean()), "simple_to_detailed": ratio(simple, time),
        "congestion_free_to_detailed": ratio(bound, time),
        "served_as_sent_to_detailed": ratio(in_order, time),
        **{f"{name}_to_detailed": ratio(r, time[first]) for name, r in restated.items()},
        "restated_worst_step": worst(restated["restated"], time[first]),
        "detailed_to_cycle": ratio(time[first], exact),
        "congestion_free_to_cycle": ratio(bound[first], exact),
        **of_messages(run.messages, mapping, steps)}


def ratio(a: Floats, b: Floats) -> float:
    return float(a.sum() / b.sum())


def of_messages(messages: dict[str, npt.NDArray[Any]], mapping: Mapping,
                steps: int) -> dict[str, float]:
    m = {k: v[~messages["placeholder"]] for k, v in messages.items()}
    tiles = (m[f"{end}_core_id"] // mapping.target.chip.cores_per_tile for end in ("src", "dest"))
    (x, y), (to_x, to_y) = (np.divmod(tile, mapping.target.chip.mesh_height) for tile in tiles)
    costs = mapping.target.costs
    least = 1e-9 * (abs(x - to_x) * costs["hop_east_west"][1]
                    + abs(y - to_y) * costs["hop_north_south"][1])
    waited = m["received_timestamp"] - m["send_timestamp"] - m["network_delay"]
    return {"messages_a_step": len(least) / steps, "hops_a_message": float(m["hops"].mean()),
            "messages_slowed": float((m["network_delay"] > least * (1 + 1e-9)).mean()),
            "messages_blocked": float((m["blocking_delay"] > 0).mean()),
            "blocked_ns_a_message": float(1e9 * m["blocking_delay"].mean()),
            "network_ns_a_message": float(1e9 * m["network_delay"].mean()),
            "hops_ns_a_message": float(1e9 * least.mean()),
            "waited_at_core_ns_a_message": float(1e9 * waited.mean())}


def compared(ours: Ours, theirs: Theirs, loaded: dict[str, Any], their_cpu: list[float],
             cpu: list[float]) -> dict[str, Any]:
    total = np.sum(list(ours.energy_pj.values()), axis=0)
    return {
        "spikes_different": int((ours.spikes != theirs.spikes).sum()),
        "energy_to_sanafe": float(total.sum() / theirs.energy_pj["total"].sum()),
        "energy_worst_step": worst(total, theirs.energy_pj["total"]),
        "time_to_detailed": float(ours.time_ns.sum() / theirs.time_ns.sum()),
        "time_worst_step": worst(ours.time_ns, theirs.time_ns),
        "cpu_ms_a_step": 1e3 * median(cpu),
        "detailed_to_ours": median(a / b for a, b in zip(their_cpu, cpu, strict=True)),
        "bytes_a_synapse": ours.bytes / loaded["synapses"],
        # Its loaded chip alone; with the network it was loaded from; with the empty chip too.
        "memory_to_sanafe": {"least": ours.bytes / loaded["bytes"],
                             "with_network": ours.bytes / loaded["bytes_with_network"],
                             "with_chip": ours.bytes / (loaded["bytes_with_network"]
                                                        + loaded["chip_bytes"])}}


def check(scenario: Scenario, steps: int) -> dict[str, Any]:
    """Equality alone: spikes, and what the rules predict."""
    mapping = mapped(scenario)
    spikes, v = functional(mapping, steps)
    with SanaFe(mapping, interpreter()) as sanafe:
        simple = sanafe.run("simple", steps)
    return {**asdict(scenario), "steps": steps, "states": spikes.size, "spikes": int(spikes.sum()),
            "spikes_different": int((spikes != simple.spikes).sum()),
            "rules": deviations(placed(mapping), spikes, v, simple)}


def deviations(at: Placed, spikes: Bools, v: npt.NDArray[np.int32], simple: Theirs,
               ) -> dict[str, float]:
    """Of ``predict`` from a run with the "simple" model: the worst of any step."""
    paid = updated(at, spikes, v)
    rules = predict(at, spikes, paid)
    return {"updates_different": int(np.abs(paid.sum(axis=1) - simple.updated).sum()),
            "energy_worst": max(worst(rules.part_pj(part), simple.energy_pj[part])
                                for part in PARTS),
            "time_worst": worst(rules.simple_ns, simple.time_ns)}


def record() -> None:
    """What SANA-FE says of a small network, for tests that do without it."""
    mapping, steps = mapped(RECORDED), 60
    with SanaFe(mapping, interpreter()) as sanafe:
        simple, detailed = sanafe.run("simple", steps), sanafe.run("detailed", steps)
    said = {"sanafe": VERSION, "scenario": asdict(RECORDED), "steps": steps,
            "spikes": np.argwhere(detailed.spikes).tolist(), "updated": detailed.updated.tolist(),
            "energy_pj": {part: detailed.energy_pj[part].tolist() for part in PARTS},
            "time_ns": {"simple": simple.time_ns.tolist(), "detailed": detailed.time_ns.tolist()}}
    lines = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in said.items())
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def images(scenario: Scenario) -> dict[str, Any]:
    """What our program keeps besides its tables: the images these were decoded from."""
    mapping = mapped(scenario)
    program = Assemble().run(mapping)
    synapses = sum(q.transform.n_synapses for q in mapping.quantized.projections)
    return {**asdict(scenario), "cores": mapping.n_cores, "synapses": synapses,
            "image_bytes_a_synapse": program.n_bytes / synapses,
            "table_bytes_a_synapse": load(program).nbytes / synapses}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, default=10_000)
    parser.add_argument("--fan-in", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0.007)
    parser.add_argument("--silent", type=float, default=0.0)
    parser.add_argument("--neurons-per-core", type=int, default=1024)
    parser.add_argument("--spread", action="store_true")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--warm-up", type=int, default=WARM_UP)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--study", action="store_true", help="the detailed model alone, and why")
    parser.add_argument("--record", action="store_true", help="rewrite what the tests compare to")
    parser.add_argument("--images", action="store_true", help="what our images take, without it")
    given = vars(parser.parse_args())
    recording, studying, imaging = given.pop("record"), given.pop("study"), given.pop("images")
    if recording:
        record()
    elif imaging:
        write_result("sanafe_images", {"networks": [images(s) for s in LARGE]})
    elif studying:
        write_result("sanafe_detailed", {"sanafe": VERSION, "networks": [study(s) for s in STUDY]})
    elif len(sys.argv) > 1:
        how = {name: given.pop(name) for name in ("steps", "warm_up", "rounds")}
        print(json.dumps(measure(Scenario(**given), **how), indent=2))
    else:
        write_result("sanafe", {
            "sanafe": VERSION, "checks": [check(s, 200) for s in CHECKS],
            "networks": [measure(s, STEPS, WARM_UP, ROUNDS) for s in LARGE]})


if __name__ == "__main__":
    main()
