"""Running a loaded program on encoded inputs: samples one after another, in threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile.ir.program import Program
from neurocompile.ir.target import EVENTS
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.floating import Progress
from neurocompile.reference.integer import IntegerRun, Probes
from neurocompile_backends.chip import kernel as k
from neurocompile_backends.chip.intrinsics import BLOCK
from neurocompile_backends.chip.load import Loaded
from neurocompile_backends.chip.timing.estimate import new_estimate_state
from neurocompile_backends.chip.timing.layout import (
    Mesh,
    Result,
    Step,
    barrier_ticks,
    new_result,
    ticks_of,
    tiles_in_use,
)
from neurocompile_backends.chip.timing.network import new_state
from neurocompile_backends.simulator.run import available_cpus

Ints = npt.NDArray[Any]

FLITS = 4096
"""Messages of a step that there is room for from the start; more is made when a step needs it."""

MODES = {"functional": k.FUNCTIONAL, "analytic": k.ANALYTIC, "cycle": k.CYCLE}


def run_program(loaded: Loaded, encoded: EncodedInput, probes: Probes, *,
                workers: int | None = None, progress: Progress | None = None) -> IntegerRun:
    """What the program computes, without timing. ``progress`` is called with the samples done."""
    program = loaded.program
    total = encoded.n_steps + program.latency
    sizes = dict(zip(program.symbols.populations, program.symbols.sizes, strict=True))
    run = IntegerRun(total)
    for names, store in ((probes.s, run.s), (probes.u, run.u), (probes.v, run.v)):
        for name in names:
            store[name] = np.zeros((encoded.n_samples, total, sizes[name]), np.int32)
    inputs = {table.population for table in program.host}
    for name in inputs & run.s.keys():  # what an input sends is what it was given
        run.s[name][:, :encoded.n_steps] = encoded.payloads[name]
    done = 0

    def one(sample: int) -> None:
        machine = Chip(loaded, encoded, sample, "functional")
        for names, store, column in ((probes.s, run.s, k.S_SREC), (probes.u, run.u, k.S_UREC),
                                     (probes.v, run.v, k.S_VREC)):
            for name in (n for n in names if n not in inputs):
                machine.record(name, column, store[name][sample])
        machine.advance(total)

    threads = min(workers or available_cpus(), max(1, encoded.n_samples))
    with ThreadPoolExecutor(threads) as pool:
        for finished in [pool.submit(one, sample) for sample in range(encoded.n_samples)]:
            finished.result()
            done += 1
            if progress is not None:
                progress(done)
    return run


@dataclass
class Chip:
    """One chip that runs one sample step by step: its state, and what it has cost so far."""

    loaded: Loaded
    encoded: EncodedInput
    sample: int
    timing: str
    traced: bool = False
    t: int = 0
    sections: Ints = field(init=False)
    state: k.State = field(init=False)
    totals: k.Totals = field(init=False)
    step: Step = field(init=False)
    result: Result = field(init=False)

    def __post_init__(self) -> None:
        loaded, tables = self.loaded, self.loaded.tables
        program, n = loaded.program, loaded.n
        self.mode = MODES[self.timing]
        timed = self.mode != k.FUNCTIONAL
        self.sections = tables.sections.copy()
        self.records: dict[int, list[tuple[int, Ints]]] = {}
        bias = tables.bias.copy()
        for name, values in self.encoded.biases.items():
            for s in self._sections_of(name):
                span = slice(s[k.S_FIRST], s[k.S_FIRST] + s[k.S_COUNT])
                bias[span] += values[self.sample][tables.element[span]].astype(np.int32)
        waits = n if np.any(tables.sections[:, k.S_REFRACTORY]) else 0
        self.state = k.State(
            np.zeros(tables.slots * n, np.int32), np.zeros(n, np.int32), tables.initial.copy(),
            np.zeros(n, np.int32), np.zeros(waits, np.int32), np.zeros(waits, np.int32),
            np.zeros(n + BLOCK, np.int8), bias, np.zeros(n, np.int32),
            np.zeros(n, np.int32), np.zeros(len(tables.source_messages) - 1, np.int32))
        self.given = _given(loaded, self.encoded, self.sample)
        self.ticks = np.array([ticks_of(program.target, event) for event in EVENTS], np.int64)
        self.barrier = barrier_of(program)
        self._make_room(min(loaded.most_flits, FLITS) if timed else 0)
        self.totals = new_totals(self.mesh)

    def _make_room(self, flits: int) -> None:
        """For steps of so many messages. Scratch: nothing in it outlives a step."""
        senders = self.mesh.n_senders
        self.step = Step(np.zeros(senders + 1, np.int64), np.zeros(flits, np.int32),
                         np.zeros(flits + 1, np.int32), np.zeros(flits, np.int32),
                         np.zeros(flits, np.int32), np.zeros(senders, np.int64))
        traced = flits if self.traced else 0
        self.result = new_result(self.mesh, traced, traced)
        simulated = flits if self.mode == k.CYCLE else 0
        self.network = new_state(self.mesh, simulated, simulated)
        self.scratch = new_estimate_state(self.mesh, flits if self.mode == k.ANALYTIC else 0)

    @property
    def mesh(self) -> Mesh:
        return self.loaded.mesh

    def _sections_of(self, population: str) -> Ints:
        number = self.loaded.program.symbols.populations.index(population)
        found: Ints = self.sections[self.sections[:, k.S_POPULATION] == number]
        return found

    def record(self, population: str, column: int, to: Ints) -> None:
        """Write s, u or v (``k.S_SREC``, ``S_UREC``, ``S_VREC``) of a population into ``to``,
        shape (steps, n), from step 0 on."""
        self.records.setdefault(column, []).append(
            (self.loaded.program.symbols.populations.index(population), to))

    def advance(self, stop: int) -> k.Series:
        """Run to step ``stop`` (exclusive); events and ticks of each of these steps."""
        series = new_series(stop - self.t)
        sections = self.sections.copy()
        flat: list[Ints] = []
        for column in (k.S_SREC, k.S_UREC, k.S_VREC):
            wanted = self.records.get(column, [])
            base, parts = 0, []
            for number, to in wanted:
                sections[sections[:, k.S_POPULATION] == number, column] = base + 1
                parts.append(to[self.t:stop])
                base += parts[-1].size
            flat.append(np.zeros(base, np.int32))
        recorded = k.Recorded(self.t, *flat)
        tables = self.loaded.tables._replace(sections=sections)
        if self.mode == k.FUNCTIONAL:
            k.run_untimed(self.t, stop, tables, self.state, self.given, recorded, series)
        else:
            reached, missing = self.t, 0
            while reached < stop:
                reached, missing = k.run_steps(
                    reached, stop, missing > 0, self.mode, tables, self.state, self.given,
                    recorded, self.mesh, self.step, self.ticks, self.barrier, self.result,
                    self.network, self.scratch, series, self.totals)
                if missing:  # some more than that, lest every new peak costs an allocation
                    self._make_room(missing + missing // 8)
        for column, values in zip((k.S_SREC, k.S_UREC, k.S_VREC), flat, strict=True):
            base = 0
            for _, to in self.records.get(column, []):
                part = to[self.t:stop]
                part[...] = values[base:base + part.size].reshape(part.shape)
                base += part.size
        self.t = stop
        return series


def barrier_of(program: Program) -> int:
    """Ticks of the barrier that ends each step."""
    return barrier_ticks(program.target.timing, tiles_in_use(program.placement))


def new_series(steps: int) -> k.Series:
    """Zeros for so many steps."""
    return k.Series(np.zeros(steps, np.uint64), np.zeros((steps, k.E_COLUMNS), np.int64),
                    np.zeros(steps, np.int64), np.zeros(steps, np.int32),
                    np.zeros(steps, np.int8))


def new_totals(mesh: Mesh) -> k.Totals:
    cores = np.zeros((6, mesh.n_cores), np.int64)
    senders = np.zeros((3, mesh.n_senders), np.int64)
    return k.Totals(
        synapses=cores[0], received=cores[1], sent=cores[2], spikes=cores[3], sending=senders[0],
        receiving=cores[4], stalled=senders[1], critical=senders[2], core_peak=cores[5],
        buffer_peak=np.zeros(mesh.n_links + mesh.n_senders, np.int64),
        link_flits=np.zeros(mesh.n_links, np.int64))


def _given(loaded: Loaded, encoded: EncodedInput, sample: int) -> k.Given:
    """The spikes of one sample by step, those of all inputs together."""
    steps, sources, payloads = [], [], []
    for name, base in loaded.host_base.items():
        values = encoded.payloads[name][sample]
        step, element = np.nonzero(values)
        payload = values[step, element].astype(np.int32)
        if len(values) == 1 and encoded.n_steps != 1:  # constant over the sample
            step = np.repeat(np.arange(encoded.n_steps), len(element))
            element = np.tile(element, encoded.n_steps)
            payload = np.tile(payload, encoded.n_steps)
        source = base + element * loaded.host_parallel[name]
        if loaded.host_parallel[name] > 1:  # as many of the parallel sources as there are spikes
            nth = np.arange(int(payload.sum())) - np.repeat(np.cumsum(payload) - payload, payload)
            step, source = np.repeat(step, payload), np.repeat(source, payload) + nth
            payload = np.ones(len(nth), np.int32)
        steps.append(step)
        sources.append(source)
        payloads.append(payload)
    none = np.zeros(0, np.int64)
    step = np.concatenate([none, *steps])
    order = np.argsort(step, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(step, minlength=encoded.n_steps))])
    return k.Given(first.astype(np.int64),
                   np.concatenate([none, *sources])[order].astype(np.int32),
                   np.concatenate([np.zeros(0, np.int32), *payloads])[order].astype(np.int32))
