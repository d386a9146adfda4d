"""Timing and energy against SANA-FE: the same integers, the same mapping, SANA-FE's own chip file.

    python benchmarks/sanafe.py [--neurons N] [--fan-in S] [--rate R] [--spread] ...

Spikes are compared one by one with our simulator, energy and time step by step with the rules of
``_sanafe_model.py`` and with ``run_ours``. SANA-FE (GPL) runs in a process and an environment of
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
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from _common import write_result
from _sanafe_model import congestion_free, placed, predict, updated
from _sanafe_network import Scenario, mapped

from neurocompile.ir.mapping import Mapping
from neurocompile.ir.transforms import to_sparse
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.integer import Probes
from neurocompile_backends.lava.environment import home
from neurocompile_backends.simulator.run import run_simulator

VERSION = "2.2.9"
PINS = (f"sanafe=={VERSION}", "numpy==2.2.6")
INTERPRETER = "NEUROCOMPILE_SANAFE_PYTHON"
WORKER = Path(__file__).parent / "_sanafe_worker.py"
ROUNDS = 5
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
        Of network, mapping and state in memory, after packing.
    """

    spikes: Bools
    energy_pj: dict[str, Floats]
    time_ns: Floats
    cpu_s: float
    bytes: int


def run_ours(mapping: Mapping, steps: int, warm_up: int) -> Ours | None:
    """To be filled with the simulator of the chip: ``mapping.quantized`` on its cores, from
    cleared state, no input, no host. ``cpu_s`` is of ``steps`` after ``warm_up`` steps, the rest of
    steps 0 to ``steps - 1``. Called once a round. None: there is no such simulator yet."""
    del mapping, steps, warm_up
    return None


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

    def run(self, timing_model: str, steps: int, *, messages: bool = False) -> Theirs:
        self._ask(do="trace", timing_model=timing_model, steps=steps, messages=messages)
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
    paid = updated(at, spikes, v)
    rules, bound = predict(at, spikes, paid), congestion_free(at, spikes, paid)
    cpu: dict[str, list[float]] = {"simple": [], "detailed": [], "ours": []}
    ours = None
    with SanaFe(mapping, interpreter()) as sanafe:
        simple, detailed = sanafe.run("simple", steps), sanafe.run("detailed", steps)
        for _ in range(rounds):  # interleaved, so that a change of the machine's speed meets all
            for model in ("simple", "detailed"):
                cpu[model].append(sanafe.cpu_s(model, steps - warm_up, warm_up))
            ours = run_ours(mapping, steps, warm_up)
            if ours is not None:
                cpu["ours"].append(ours.cpu_s)
    loaded = sanafe.loaded
    result = {
        **asdict(scenario), "cores": mapping.n_cores, "steps": steps, "warm_up": warm_up,
        "synapses": loaded["synapses"], "firing": float(spikes[warm_up:].mean()),
        "messages_a_step": float(rules.energy_pj["axon_out"][warm_up:].mean()
                                 / at.target.costs["axon_out"][0]),
        "spikes": int(spikes.sum()), "spikes_different": int((spikes != detailed.spikes).sum()),
        "energy_pj_a_step": {part: float(detailed.energy_pj[part].mean())
                             for part in (*PARTS, "total")},
        "time_ns_a_step": {"simple": float(simple.time_ns.mean()),
                           "detailed": float(detailed.time_ns.mean())},
        "rules": {
            "updates_different": int(np.abs(paid.sum(axis=1) - detailed.updated).sum()),
            "energy_worst": max(worst(rules.part_pj(part), detailed.energy_pj[part])
                                for part in PARTS),
            "simple_time_worst": worst(rules.simple_ns, simple.time_ns),
            "congestion_free_to_detailed": float(bound.sum() / detailed.time_ns.sum())},
        "cpu_ms_a_step": {model: 1e3 * median(cpu[model]) for model in ("simple", "detailed")
                          if cpu[model]},
        "bytes_a_synapse": loaded["bytes"] / loaded["synapses"],
        "bytes_a_synapse_with_network": loaded["bytes_with_network"] / loaded["synapses"],
        "chip_bytes": loaded["chip_bytes"], "process_peak_bytes": loaded["peak_bytes"],
        "load_cpu_s": loaded["load_cpu_s"],
    }
    if ours is not None:
        result["ours"] = compared(ours, detailed, loaded, cpu)
    return result


STUDY = tuple(Scenario(4096, 64, rate, 0.0, per_core, spread)
              for per_core, spread in ((1024, False), (1024, True), (128, True), (32, False))
              for rate in (0.01, 0.05, 0.25))
"""Few cores and many, near each other and far, from few messages to more than the NoC can hold."""


def study(scenario: Scenario, steps: int = 120, skip: int = 40) -> dict[str, Any]:
    """Where the "detailed" model differs from ``congestion_free``, and by which of its terms."""
    mapping = mapped(scenario)
    at = placed(mapping)
    spikes, v = functional(mapping, steps)
    paid = updated(at, spikes, v)
    with SanaFe(mapping, interpreter()) as sanafe:
        simple, run = sanafe.run("simple", steps), sanafe.run("detailed", steps, messages=True)
    bound = {served: congestion_free(at, spikes, paid, served=served)[skip:].sum()
             for served in ("arrived", "sent")}
    m = {k: v[~run.messages["placeholder"] & (run.messages["step"] >= skip)]
         for k, v in run.messages.items()}
    tiles = (m[f"{end}_core_id"] // mapping.target.chip.cores_per_tile for end in ("src", "dest"))
    (x, y), (to_x, to_y) = (np.divmod(tile, mapping.target.chip.mesh_height) for tile in tiles)
    costs = mapping.target.costs
    least = 1e-9 * (abs(x - to_x) * costs["hop_east_west"][1]
                    + abs(y - to_y) * costs["hop_north_south"][1])
    waited = m["received_timestamp"] - m["send_timestamp"] - m["network_delay"]
    time = run.time_ns[skip:].sum()
    return {
        **asdict(scenario), "cores": mapping.n_cores, "firing": float(spikes[skip:].mean()),
        "spikes_different": int((spikes != run.spikes).sum()),
        "messages_a_step": len(least) / (steps - skip), "hops": float(m["hops"].mean()),
        "time_ns_a_step": float(time / (steps - skip)),
        "simple_to_detailed": float(simple.time_ns[skip:].sum() / time),
        "congestion_free_to_detailed": float(bound["arrived"] / time),
        "congestion_free_in_order_of_sending_to_detailed": float(bound["sent"] / time),
        "messages_slowed": float((m["network_delay"] > least * (1 + 1e-9)).mean()),
        "messages_blocked": float((m["blocking_delay"] > 0).mean()),
        "blocked_ns_a_step": float(1e9 * m["blocking_delay"].sum() / (steps - skip)),
        "network_ns_a_message": float(1e9 * m["network_delay"].mean()),
        "hops_ns_a_message": float(1e9 * least.mean()),
        "waited_at_core_ns_a_message": float(1e9 * waited.mean())}


def compared(ours: Ours, theirs: Theirs, loaded: dict[str, Any],
             cpu: dict[str, list[float]]) -> dict[str, Any]:
    total = np.sum(list(ours.energy_pj.values()), axis=0)
    return {
        "spikes_different": int((ours.spikes != theirs.spikes).sum()),
        "energy_to_sanafe": float(total.sum() / theirs.energy_pj["total"].sum()),
        "energy_worst_step": worst(total, theirs.energy_pj["total"]),
        "time_to_detailed": float(ours.time_ns.sum() / theirs.time_ns.sum()),
        "time_worst_step": worst(ours.time_ns, theirs.time_ns),
        "cpu_ms_a_step": 1e3 * median(cpu["ours"]),
        "detailed_to_ours": median(a / b for a, b in zip(cpu["detailed"], cpu["ours"],
                                                         strict=True)),
        "bytes_a_synapse": ours.bytes / loaded["synapses"],
        "memory_to_sanafe": ours.bytes / loaded["bytes"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, default=10_000)
    parser.add_argument("--fan-in", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0.007)
    parser.add_argument("--silent", type=float, default=0.0)
    parser.add_argument("--neurons-per-core", type=int, default=1024)
    parser.add_argument("--spread", action="store_true")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--warm-up", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--study", action="store_true", help="the detailed model alone, and why")
    given = vars(parser.parse_args())
    if given.pop("study"):
        write_result("sanafe_detailed", {"sanafe": VERSION, "networks": [study(s) for s in STUDY]})
        return
    how = {name: given.pop(name) for name in ("steps", "warm_up", "rounds")}
    result = measure(Scenario(**given), **how)
    if len(sys.argv) == 1:
        write_result("sanafe", {"sanafe": VERSION, **result})
    else:
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
