"""A profile: when a program does what, at what cost, and proof that it computes the same.

Memory grows with the steps by some 130 bytes each; what every flit did goes to a trace on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from neurocompile.diagnostics import fail
from neurocompile.ir.program import Program
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import EVENTS, TargetSpec
from neurocompile.reference.encode import EncodedInput
from neurocompile_backends.chip import kernel as k
from neurocompile_backends.chip.checkpoint import Checkpoint, Part, Saved
from neurocompile_backends.chip.load import Loaded
from neurocompile_backends.chip.run import Chip, barrier_of, new_series
from neurocompile_backends.chip.timing.layout import P_INTERVAL, REASONS, Mesh
from neurocompile_backends.simulator.run import available_cpus, fingerprints

Ints = npt.NDArray[Any]

CHUNK_STEPS = 256
"""Steps between two reports of progress."""

CAUSES = {
    "neurons": ("neuron_access", "neuron_update", "neuron_spike"),
    "synapses": ("synapse_dense", "synapse_sparse", "synapse_conv"),
    "axons": ("axon_in", "axon_out", "host_message"),
    "network": ("hop_east_west", "hop_north_south", "hop_chip"),
}
"""What energy is spent on: groups of the target's events."""


@dataclass(frozen=True, eq=False)
class Profile:
    """What running a program took.

    series
        A row a step, [sample, step]: ``events`` [sample, step, event] in the order of ``EVENTS``,
        ``ticks`` with the barrier, ``unit`` (the sender or core that ended last; -1: nothing did
        anything) and ``reason`` (what most of its time went to, an index into ``REASONS``).
    totals
        Sums and peaks over all samples, by core, sender, link and buffer (``kernel.Totals``).
    """

    program: Program
    timing: str
    mesh: Mesh
    series: k.Series
    totals: k.Totals

    @property
    def target(self) -> TargetSpec:
        return self.program.target

    @property
    def time_ns(self) -> npt.NDArray[np.float64]:
        """Time of each step, shape (samples, steps)."""
        return np.asarray(self.series.ticks * (self.target.timing.tick_ps / 1000), np.float64)

    @property
    def energy_pj(self) -> npt.NDArray[np.float64]:
        """Energy of each step by event, shape (samples, steps, events)."""
        return np.asarray(self.series.events * energies_pj(self.target), np.float64)


def energies_pj(target: TargetSpec) -> npt.NDArray[np.float64]:
    """Energy of one of each of ``EVENTS``."""
    return np.array([target.costs[event][0] for event in EVENTS])


class Observer(Protocol):
    """What sees a profile as it is run: ``chip.trace``, ``chip.checkpoint``.

    ``traced_flits``: does it need the times of every flit? ``every``: it sees one of so many
    steps, those of all samples counted on.
    """

    traced_flits: bool
    every: int

    def step(self, chip: Chip, series: k.Series, row: int) -> None:
        """``chip`` has just run the step of row ``row`` of ``series``."""
        ...


def profile(loaded: Loaded, network: QuantizedNetwork, encoded: EncodedInput, *,
            timing: str = "cycle", workers: int | None = None,
            trace: Observer | None = None, checkpoint: Checkpoint | None = None,
            resume: Saved | None = None,
            progress: Callable[[int], None] | None = None) -> Profile:
    """Run all samples and compare what they send with the functional simulator, step by step.

    ``timing``: "cycle" (every flit) or "analytic". ``progress`` is called with the steps done.
    With a ``trace`` or ``checkpoint``, samples run one after another; ``resume`` is what a
    checkpoint of the same run holds. Raises ``CompileError``: E845 (a step in which the program
    sends something else).
    """
    wanted = fingerprints(network, encoded, workers)
    observers = [o for o in (trace, checkpoint) if o is not None]
    run = _Run(loaded, encoded, timing, wanted, observers, progress)
    if observers or resume is not None:
        parts = run.one_by_one(checkpoint, resume)
    else:
        parts = run.side_by_side(workers or available_cpus())
    return combine(loaded.program, timing, loaded.mesh, parts)


def combine(program: Program, timing: str, mesh: Mesh, parts: list[Part]) -> Profile:
    """One profile of the samples' totals and series."""
    series = k.Series(*(np.stack(columns) for columns in zip(
        *(rows for _, rows in parts), strict=True)))
    totals = {}
    for name in k.Totals._fields:
        values = np.stack([getattr(sums, name) for sums, _ in parts])
        totals[name] = values.max(axis=0) if name.endswith("_peak") else values.sum(axis=0)
    return Profile(program, timing, mesh, series, k.Totals(**totals))


@dataclass
class _Run:
    loaded: Loaded
    encoded: EncodedInput
    timing: str
    wanted: npt.NDArray[np.uint64]
    observers: list[Observer]
    progress: Callable[[int], None] | None
    done: int = 0
    ended: bool = False

    def one_by_one(self, checkpoint: Checkpoint | None, resume: Saved | None) -> list[Part]:
        parts: list[Part] = []
        if resume is not None:
            resume.check_samples(self.encoded.n_samples)
            parts += resume.done
            if checkpoint is not None:
                checkpoint.done[:] = parts
            parts.append(self.sample(len(parts), resume))
        for sample in range(len(parts), self.encoded.n_samples):
            if checkpoint is not None:
                checkpoint.done[:] = parts
            parts.append(self.sample(sample))
        return parts

    def side_by_side(self, workers: int) -> list[Part]:
        samples = self.encoded.n_samples
        with ThreadPoolExecutor(max(1, min(workers, samples))) as pool:
            try:
                return list(pool.map(self.sample, range(samples)))
            except BaseException:
                self.ended = True  # what is running need not be waited for until it is done
                raise

    def sample(self, sample: int, resume: Saved | None = None) -> Part:
        """Run one sample, or what is left of it. What it gives after ``ended`` is of no use."""
        traced = any(o.traced_flits for o in self.observers)
        chip = Chip(self.loaded, self.encoded, sample, self.timing, traced)
        total = self.wanted.shape[1]
        before = sample * total
        series = new_series(total)
        if resume is not None:
            series = resume.restore(chip, total)
            self.done += before + chip.t
        strides = [CHUNK_STEPS, *(o.every for o in self.observers)]
        while chip.t < total and not self.ended:
            start = chip.t
            stop = min([total, *(start + every - (before + start) % every for every in strides)])
            part = chip.advance(stop)
            for whole, piece in zip(series, part, strict=True):
                whole[start:stop] = piece
            self._compare(sample, start, part.mark)
            for observer in self.observers:
                if (before + stop) % observer.every == 0:
                    observer.step(chip, series, stop - 1)
            self.done += stop - start
            if self.progress is not None:
                self.progress(self.done)
        return chip.totals, series

    def _compare(self, sample: int, start: int, marks: npt.NDArray[np.uint64]) -> None:
        wrong = np.flatnonzero(marks != self.wanted[sample, start:start + len(marks)])
        if len(wrong):
            raise fail("E845", "chip", "the program sends something else than the network",
                       got=f"sample {sample}, step {start + int(wrong[0])}",
                       hint="`verify --backends simulator,chip` names population and neuron; "
                            "please report it")


def summary(p: Profile, rows: int = 10) -> dict[str, Any]:
    """The figures of a profile: time, energy by cause, cores, links and what steps waited for."""
    ticks, target = p.series.ticks, p.target
    samples, steps = ticks.shape
    energy: dict[str, float] = dict(zip(EVENTS, p.energy_pj.sum(axis=(0, 1)).tolist(),
                                        strict=True))
    events: dict[str, int] = dict(zip(EVENTS, p.series.events.sum(axis=(0, 1)).tolist(),
                                      strict=True))
    tick_ns = target.timing.tick_ps / 1000
    elapsed = int(ticks.sum())
    barrier = barrier_of(p.program)
    return {
        "target": target.name, "timing": p.timing, "samples": samples, "steps": steps,
        "cores": len(p.program.cores), "tick_ns": tick_ns,
        "ticks": {"total": elapsed, "mean": elapsed / max(1, samples * steps),
                  "median": float(np.median(ticks)), "max": int(ticks.max(initial=0)),
                  "barrier": barrier},
        "time_us": {"total": elapsed * tick_ns / 1e3,
                    "step": elapsed * tick_ns / 1e3 / max(1, samples * steps)},
        "energy_nj": {"total": sum(energy.values()) / 1e3,
                      "sample": sum(energy.values()) / 1e3 / max(1, samples),
                      "by_cause": {cause: {e: energy[e] / 1e3 for e in group}
                                   for cause, group in CAUSES.items()}},
        "events": events,
        "waited_for": _waited(p.series),
        "busiest_cores": _cores(p, elapsed, rows), "busiest_links": _links(p, elapsed, rows),
    }


def _waited(series: k.Series) -> list[dict[str, Any]]:
    """How many steps waited last for what."""
    count = np.bincount(series.reason.reshape(-1), minlength=len(REASONS))
    return [{"reason": REASONS[i], "steps": int(n)} for i, n in enumerate(count) if n]


def _cores(p: Profile, elapsed: int, rows: int) -> list[dict[str, Any]]:
    """The cores that hold up most steps, then those that work longest."""
    t, cores = p.totals, len(p.program.cores)
    busy = np.maximum(t.sending[:cores], t.receiving)
    order = np.lexsort((-busy, -t.critical[:cores]))[:rows]
    share = 1 / max(1, elapsed)
    return [{
        "core": p.program.cores[i].core, "chip": int(p.program.chip[i]), "x": int(p.program.x[i]),
        "y": int(p.program.y[i]), "critical_steps": int(t.critical[i]),
        "sending": float(t.sending[i] * share), "receiving": float(t.receiving[i] * share),
        "stalled": float(t.stalled[i] * share), "spikes": int(t.spikes[i]),
        "messages_out": int(t.sent[i]), "messages_in": int(t.received[i]),
        "synapses": int(t.synapses[i]), "queue_peak": int(t.core_peak[i]),
    } for i in order.tolist()]


def _links(p: Profile, elapsed: int, rows: int) -> list[dict[str, Any]]:
    """The links that are busy longest, with the most flits that waited behind each."""
    mesh, flits = p.mesh, p.totals.link_flits
    ticks = link_intervals(mesh)
    order = np.argsort(-flits * ticks, kind="stable")[:rows]
    ends = link_ends(mesh)
    return [{
        "from": ends[i][:2], "to": ends[i][2:], "flits": int(flits[i]),
        "utilization": float(flits[i] * ticks[i] / max(1, elapsed)),
        "queue_peak": int(p.totals.buffer_peak[i]),
    } for i in order.tolist() if flits[i]]


def link_intervals(mesh: Mesh) -> Ints:
    """Ticks a flit keeps each link from the next, shape (L,)."""
    return mesh.ports[:mesh.n_links, P_INTERVAL]


def link_ends(mesh: Mesh) -> list[list[int]]:
    """[x, y, x, y] of the tiles a link goes from and to, in columns over all chips."""
    ends: list[list[int]] = [[] for _ in range(mesh.n_links)]
    steps = ((1, 0), (-1, 0), (0, 1), (0, -1))
    for router, links in enumerate(mesh.links.tolist()):
        x, y = router % mesh.columns, router // mesh.columns
        for link, (dx, dy) in zip(links, steps, strict=True):
            if link >= 0:
                ends[link] = [x, y, x + dx, y + dy]
    return ends


def arrays(p: Profile) -> dict[str, Ints]:
    """Everything a profile holds, by the name it has in a file."""
    found: dict[str, Ints] = {f"step:{name}": values for name, values in zip(
        k.Series._fields, p.series, strict=True) if name != "mark"}
    found |= {f"total:{name}": values for name, values in zip(
        k.Totals._fields, p.totals, strict=True)}
    found |= {"time_ns": p.time_ns, "energy_pj": p.energy_pj.sum(axis=2),
              "events": np.array(EVENTS), "reasons": np.array(REASONS),
              "core": np.array([core.core for core in p.program.cores]),
              "core_place": np.stack([p.program.chip, p.program.x, p.program.y], axis=1),
              "link_ends": np.array(link_ends(p.mesh), np.int64).reshape(-1, 4)}
    return found

