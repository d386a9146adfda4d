"""A run as a trace in Chrome's JSON format, which Perfetto (ui.perfetto.dev) opens.

A process a chip, and in it two threads a core: what it sends and what it receives. Steps of all
samples follow one another; a track of its own shows steps and barriers. With ``--timing cycle``
each flit is a slice where it is worked on, with the arrow of its way; with ``analytic`` a core's
work of a step is one slice. Written as it comes: memory does not grow with the run.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from neurocompile.ir.program import Program
from neurocompile.ir.target import EVENTS
from neurocompile_backends.chip import kernel as k
from neurocompile_backends.chip.profile import CAUSES
from neurocompile_backends.chip.run import Chip
from neurocompile_backends.chip.timing.layout import DELIVERED, FINISHED, REASONS, TAKEN

CHIP = -1  # the process of what concerns the whole machine


class Trace:
    """Writes while a profile runs; use as a context manager. The file is whole only after it."""

    def __init__(self, path: Path, program: Program, timing: str):
        self.path = path
        self.program = program
        self.us = program.target.timing.tick_ps / 1e6
        self.energy = np.array([program.target.costs[event][0] for event in EVENTS])
        self.traced_flits = timing == "cycle"
        self.every = 1
        self.now = 0
        self.flits = 0
        self.file: IO[str] | None = None
        self.empty = True

    def __enter__(self) -> Trace:
        self.file = self.path.open("w", encoding="utf-8")
        self.file.write('{"displayTimeUnit": "ns", "traceEvents": [\n')
        self._name(CHIP, 0, "process_name", f"{self.program.target.name}: steps")
        for chip in np.unique(self.program.chip).tolist():
            self._name(chip, 0, "process_name", f"chip {chip}")
        for i, (core, chip) in enumerate(zip(self.program.cores, self.program.chip.tolist(),
                                             strict=True)):
            place = f"core {core.core} at {self.program.x[i]}, {self.program.y[i]}"
            self._name(chip, 2 * i + 2, "thread_name", f"{place}: sends")
            self._name(chip, 2 * i + 3, "thread_name", f"{place}: receives")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        assert self.file is not None
        self.file.write("\n]}\n")
        self.file.close()

    def _write(self, **event: Any) -> None:
        assert self.file is not None
        self.file.write(("" if self.empty else ",\n") + json.dumps(event, separators=(",", ":")))
        self.empty = False

    def _name(self, pid: int, tid: int, kind: str, name: str) -> None:
        self._write(ph="M", name=kind, pid=pid, tid=tid, args={"name": name})

    def _slice(self, name: str, pid: int, tid: int, start: int, ticks: int,
               **args: Any) -> None:
        self._write(ph="X", name=name, pid=pid, tid=tid, ts=(self.now + start) * self.us,
                    dur=ticks * self.us, args=args)

    def step(self, chip: Chip, series: k.Series, row: int) -> None:
        """Write the step that ``chip`` has just run."""
        ticks = int(series.ticks[row])
        whole = int(chip.result.summary[0])
        energy = series.events[row] * self.energy
        self._slice(f"sample {chip.sample} step {row}", CHIP, 1, 0, ticks,
                    waited_for=REASONS[int(series.reason[row])], unit=int(series.unit[row]),
                    energy_pj=float(energy.sum()))
        self._slice("barrier", CHIP, 2, whole, ticks - whole)
        spent = dict(zip(EVENTS, energy.tolist(), strict=True))
        self._write(ph="C", name="energy (pJ a step)", pid=CHIP, tid=0, ts=self.now * self.us,
                    args={cause: sum(spent[e] for e in group) for cause, group in CAUSES.items()})
        done, busy = chip.result.done.tolist(), chip.result.busy.tolist()
        places = self.program.chip.tolist()
        for i, pid in enumerate(places):
            if done[i]:
                self._slice("neurons", pid, 2 * i + 2, 0, done[i],
                            stalled_ticks=int(chip.result.stalled[i]))
            if busy[i] and not self.traced_flits:
                finish = int(chip.result.finish[i])
                self._slice("synapses", pid, 2 * i + 3, finish - busy[i], busy[i])
        if self.traced_flits:
            self._flits(chip, places)
        self.now += ticks

    def _flits(self, chip: Chip, places: list[int]) -> None:
        first, fan = chip.step.first.tolist(), chip.step.fan
        cores = len(places)
        for sender in range(len(first) - 1):
            for f in range(first[sender], first[sender + 1]):
                for d in range(int(fan[f]), int(fan[f + 1])):
                    self._flit(chip, places, sender if sender < cores else -1, f, d)

    def _flit(self, chip: Chip, places: list[int], sender: int, flit: int, copy: int) -> None:
        """A copy of a flit; ``sender`` -1 is the host."""
        handed, times = int(chip.result.handed[flit]), chip.result.trace[copy].tolist()
        to = int(chip.step.dest[copy])
        pid, tid = places[to], 2 * to + 3
        source = f"core {sender}" if sender >= 0 else "host"
        self._slice(f"from {source}", pid, tid, times[TAKEN], times[FINISHED] - times[TAKEN],
                    on_the_way_ticks=times[DELIVERED] - handed,
                    waited_ticks=times[TAKEN] - times[DELIVERED])
        if sender >= 0:
            self._write(ph="s", name="flit", cat="flit", id=self.flits, pid=places[sender],
                        tid=2 * sender + 2, ts=(self.now + handed) * self.us)
            self._write(ph="f", bp="e", name="flit", cat="flit", id=self.flits, pid=pid, tid=tid,
                        ts=(self.now + times[TAKEN]) * self.us)
            self.flits += 1
