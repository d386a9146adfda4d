"""Compares two integer runs bit for bit and finds where they first part."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.reference.integer import IntegerRun
from neurocompile.verification.report import Check, Divergence, State, VerificationReport

Quantity = Literal["s", "u", "v"]
_QUANTITIES: tuple[Quantity, ...] = ("u", "v", "s")  # the order they arise in a step


class RunComparison:
    """Accumulates the comparison of one candidate over chunks of samples."""

    def __init__(self, network: QuantizedNetwork, reference: str, candidate: str):
        self.network = network
        self.reference = reference
        self.candidate = candidate
        self.names = [p.name for p in network.populations if p.role != "source"]
        self.differences: dict[tuple[str, Quantity], int] = {}
        self.compared: dict[tuple[str, Quantity], int] = {}
        self.own: dict[str, tuple[int, int]] = {}
        self.not_zero: dict[tuple[str, Quantity], int] = {}
        self.unseen = f"{candidate} did not record it"
        self.first: Divergence | None = None
        self.n_samples = 0
        self.n_steps = 0

    def add(self, reference: IntegerRun, candidate: IntegerRun, first_sample: int) -> None:
        """Compare what both recorded of the samples from ``first_sample`` on."""
        n = 0
        for name in self.names:
            for quantity in _QUANTITIES:
                ours = getattr(reference, quantity).get(name)
                theirs = getattr(candidate, quantity).get(name)
                if ours is None or theirs is None:
                    continue
                n = len(ours)
                key = (name, quantity)
                wrong = (ours.size if ours.shape != theirs.shape
                         else int(np.count_nonzero(ours != theirs)))
                self.differences[key] = self.differences.get(key, 0) + wrong
                self.compared[key] = self.compared.get(key, 0) + ours.size
                self.not_zero[key] = self.not_zero.get(key, 0) + int(np.count_nonzero(ours))
        self.unseen = candidate.unseen or reference.unseen or self.unseen
        for what, (wrong, compared) in candidate.checked.items():
            before = self.own.get(what, (0, 0))
            self.own[what] = before[0] + wrong, before[1] + compared
        if self.first is None and any(self.differences.values()):
            self.first = self._first(reference, candidate, first_sample)
        self.n_samples += n
        self.n_steps = reference.n_steps

    def report(self) -> VerificationReport:
        checks = []
        for name in self.names:
            for quantity in ("s", "u", "v"):
                key = (name, quantity)
                if key not in self.compared:
                    checks.append(Check(f"{name}:{quantity}", None, 0, "SKIPPED",
                                        self.unseen))
                    continue
                wrong = self.differences[key]
                checks.append(Check(f"{name}:{quantity}", wrong, 0, "FAIL" if wrong else "PASS",
                                    f"{wrong} of {self.compared[key]} integers differ, "
                                    f"{self.not_zero[key]} are not 0"))
        for what, (wrong, compared) in self.own.items():
            checks.append(Check(what, wrong, 0, "FAIL" if wrong else "PASS",
                                f"{wrong} of {compared} differ from {self.candidate}'s model"))
        return VerificationReport(self.reference, self.candidate, self.n_samples, self.n_steps,
                                  tuple(checks), self.first)

    def _first(self, ours: IntegerRun, theirs: IntegerRun,
               first_sample: int) -> Divergence | None:
        best: tuple[int, int, int, int, int] | None = None  # step, order, sample, neuron, quantity
        for order, name in enumerate(self.names):
            for rank, quantity in enumerate(_QUANTITIES):
                a = getattr(ours, quantity).get(name)
                b = getattr(theirs, quantity).get(name)
                if a is None or b is None or a.shape != b.shape:
                    continue
                where = np.argwhere(a != b)
                if not len(where):
                    continue
                sample, step, neuron = min(map(tuple, where.tolist()),
                                           key=lambda w: (w[1], w[0], w[2]))
                found = (step, order, sample, neuron, rank)
                if best is None or found < best:
                    best = found
        if best is None:
            return None
        step, order, sample, neuron, rank = best
        p = self.network.population(self.names[order])
        at = (p.name, sample, neuron)
        return Divergence(
            p.name, tuple(int(i) for i in np.unravel_index(neuron, p.shape)),
            first_sample + sample, step, step - p.latency, _QUANTITIES[rank],
            _state(ours, *at, step), _state(theirs, *at, step),
            _state(ours, *at, step - 1), _state(theirs, *at, step - 1))


def _state(run: IntegerRun, name: str, sample: int, neuron: int, step: int) -> State:
    if step < 0:
        return State(0, 0, None)

    def value(store: dict[str, npt.NDArray[np.int32]]) -> int | None:
        return int(store[name][sample, step, neuron]) if name in store else None

    return State(value(run.s), value(run.u), value(run.v))
