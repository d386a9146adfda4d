"""A run as a trace in Chrome's JSON format, which Perfetto (ui.perfetto.dev) opens.

A process a chip, and in it two threads a core, what it sends and what it receives, and one of the
host. Steps of all samples follow one another; a process of its own shows steps and barriers. With
``--timing cycle`` each flit is a slice where it is worked on, with the arrow of its way; with
``analytic`` a core's work of a step is one slice. Written as it comes: memory does not grow with
the run.

Viewers count whole nanoseconds. Both ends of a slice are rounded down to one, so that slices of a
thread never overlap; what is exact is in their arguments, in ticks.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from neurocompile.diagnostics import CompileError, fail
from neurocompile.ir.program import Program
from neurocompile.ir.target import EVENTS
from neurocompile_backends.chip import kernel as k
from neurocompile_backends.chip.profile import CAUSES, energies_pj
from neurocompile_backends.chip.run import Chip
from neurocompile_backends.chip.timing.layout import DELIVERED, FINISHED, REASONS, TAKEN

# Processes and threads are numbered from 1: viewers keep 0 for themselves.
MACHINE, STEPS, BARRIER = 1, 1, 2


class Trace:
    """Writes while a profile runs; use as a context manager. The file appears whole, after it."""

    def __init__(self, path: Path, program: Program, timing: str):
        self.path = path
        self.part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self.program = program
        self.tick_ps = program.target.timing.tick_ps
        self.energy = energies_pj(program.target)
        self.traced_flits = timing == "cycle"
        self.every = 1
        self.now = 0
        self.flits = 0
        self.file: IO[str] | None = None
        self.empty = True
        chips = program.chip.tolist()
        hosts = range(max(chips, default=-1) + 1)
        # Process and thread of each sender: the cores, then the host of each chip.
        self.sends = [(MACHINE + 1 + chip, 2 * i + 11) for i, chip in enumerate(chips)] + [
            (MACHINE + 1 + chip, 2 * len(chips) + 11 + chip) for chip in hosts]
        self.receives = [(pid, tid + 1) for pid, tid in self.sends[:len(chips)]]

    def __enter__(self) -> Trace:
        """Raises ``CompileError`` E625 where the file cannot be written, as ``step`` does."""
        try:
            self.file = self.part.open("w", encoding="utf-8")
        except OSError as error:
            raise self._failed(error) from error
        self._put('{"displayTimeUnit": "ns", "traceEvents": [\n')
        self._process(MACHINE, f"{self.program.target.name}: the machine")
        self._thread((MACHINE, STEPS), "steps")
        self._thread((MACHINE, BARRIER), "barriers")
        for chip in np.unique(self.program.chip).tolist():
            self._process(MACHINE + 1 + chip, f"chip {chip}")
            self._thread(self.sends[len(self.receives) + chip], "host: sends")
        for i, core in enumerate(self.program.cores):
            place = f"core {core.core} at {self.program.x[i]}, {self.program.y[i]}"
            self._thread(self.sends[i], f"{place}: sends")
            self._thread(self.receives[i], f"{place}: receives")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        assert self.file is not None
        try:
            if error is None:
                self._energy(dict.fromkeys(EVENTS, 0.0))  # where the last step's ends
                self._put("\n]}\n")
                self.file.close()
                self.part.replace(self.path)
        except OSError as problem:
            raise self._failed(problem) from problem
        finally:
            with suppress(OSError):
                self.file.close()
            with suppress(OSError):
                self.part.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> CompileError:
        return fail("E625", str(self.path), "cannot be written", got=error.strerror or str(error))

    def _put(self, text: str) -> None:
        assert self.file is not None
        try:
            self.file.write(text)
        except OSError as error:  # the disk is full
            raise self._failed(error) from error

    def _write(self, **event: Any) -> None:
        self._put(("" if self.empty else ",\n") + json.dumps(event, separators=(",", ":")))
        self.empty = False

    def _process(self, pid: int, name: str) -> None:
        self._write(ph="M", name="process_name", pid=pid, tid=0, args={"name": name})
        self._write(ph="M", name="process_sort_index", pid=pid, tid=0, args={"sort_index": pid})

    def _thread(self, thread: tuple[int, int], name: str) -> None:
        pid, tid = thread
        self._write(ph="M", name="thread_name", pid=pid, tid=tid, args={"name": name})
        self._write(ph="M", name="thread_sort_index", pid=pid, tid=tid, args={"sort_index": tid})

    def _ns(self, ticks: int) -> int:
        """Of a step's tick, since the run began."""
        return (self.now + ticks) * self.tick_ps // 1000

    def _slice(self, name: str, thread: tuple[int, int], start: int, ticks: int,
               **args: Any) -> None:
        begin, end = self._ns(start), self._ns(start + ticks)
        self._write(ph="X", name=name, pid=thread[0], tid=thread[1], ts=begin / 1000,
                    dur=(end - begin) / 1000, args={"ticks": ticks, **args})

    def _energy(self, spent: dict[str, float]) -> None:
        """From now on."""
        self._write(ph="C", name="energy (pJ a step)", pid=MACHINE, tid=STEPS,
                    ts=self._ns(0) / 1000,
                    args={cause: sum(spent[e] for e in group) for cause, group in CAUSES.items()})

    def step(self, chip: Chip, series: k.Series, row: int) -> None:
        """Write the step that ``chip`` has just run."""
        ticks = int(series.ticks[row])
        whole = int(chip.result.summary[0])
        energy = series.events[row] * self.energy
        self._slice(f"sample {chip.sample} step {row}", (MACHINE, STEPS), 0, ticks,
                    waited_for=REASONS[int(series.reason[row])], unit=int(series.unit[row]),
                    energy_pj=float(energy.sum()))
        self._slice("barrier", (MACHINE, BARRIER), whole, ticks - whole)
        self._energy(dict(zip(EVENTS, energy.tolist(), strict=True)))
        done, busy = chip.result.done.tolist(), chip.result.busy.tolist()
        cores = len(self.receives)
        for sender, thread in enumerate(self.sends):
            if done[sender]:
                self._slice("neurons" if sender < cores else "spikes of inputs", thread, 0,
                            done[sender], stalled_ticks=int(chip.result.stalled[sender]))
        if self.traced_flits:
            self._flits(chip, done)
        else:
            for core, thread in enumerate(self.receives):
                if busy[core]:
                    finish = int(chip.result.finish[core])
                    self._slice("synapses", thread, finish - busy[core], busy[core])
        self.now += ticks

    def _flits(self, chip: Chip, done: list[int]) -> None:
        """Where each copy of a flit leaves, then where they are worked on, in the order they are
        taken."""
        first = chip.step.first
        flits = int(first[-1])
        fan, dest = chip.step.fan[:flits + 1], chip.step.dest
        copies = np.diff(fan)
        times = chip.result.trace[:int(fan[-1])].tolist()
        handed = np.repeat(chip.result.handed[:flits], copies).tolist()
        sender = np.repeat(np.repeat(np.arange(len(first) - 1), np.diff(first)), copies).tolist()
        for d, (s, at) in enumerate(zip(sender, handed, strict=True)):
            # An arrow starts inside the slice it comes from, so not at its very end.
            leaves = max(self._ns(0), min(self._ns(at), self._ns(done[s]) - 1))
            self._arrow("s", self.sends[s], d, leaves)
        for d in sorted(range(len(times)), key=lambda d: (times[d][TAKEN], d)):
            at, to = times[d], self.receives[int(dest[d])]
            source = "the host" if sender[d] >= len(self.receives) else (
                f"core {self.program.cores[sender[d]].core}")
            self._slice(f"from {source}", to, at[TAKEN], at[FINISHED] - at[TAKEN],
                        on_the_way_ticks=at[DELIVERED] - handed[d],
                        waited_ticks=at[TAKEN] - at[DELIVERED])
            self._arrow("f", to, d, self._ns(at[TAKEN]), bp="e")
        self.flits += len(times)

    def _arrow(self, end: str, thread: tuple[int, int], flit: int, ns: int, **more: str) -> None:
        self._write(ph=end, name="flit", cat="flit", id=self.flits + flit + 1, pid=thread[0],
                    tid=thread[1], ts=ns / 1000, **more)
