"""The search for a population's scale: how many integer units of v make one span.

A span is the float distance from reset to threshold (1 for neurons that are read). One unit count
fixes the threshold register, every weight and bias, and with them every bound. The largest legal
one follows from the formats; within a factor of two below it (more would only shift exponents)
the one with the least rounding error of the weights is taken. See docs/numerics.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurocompile.diagnostics import Diagnostics
from neurocompile.ir.base import FloatArray, IntArray
from neurocompile.ir.quantized import ScheduledPopulation
from neurocompile.ir.ranges import linear_range
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import Linear

Float64 = npt.NDArray[np.float64]

_CANDIDATES = 128  # thresholds tried over a factor of two below the largest legal one
_RETREATS = 100  # two percent each, where rounding up many weights at once breaks a bound
_UNSTATED_STEPS = 1024  # a run's length where bounds are accepted and none is stated


@dataclass(frozen=True)
class Grid:
    """The integers a weight may take: [low, high] << exponent.

    A search keeps to the symmetric part; integers that are stated may be -(high + 1) too.
    """

    bits: int
    signed: bool
    exponent_min: int
    exponent_max: int
    symmetric: bool = True

    @property
    def high(self) -> int:
        # One bit cannot hold both signs: such a format has room for 0 only.
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def low(self) -> int:
        return -self.high - int(self.signed and self.high > 0 and not self.symmetric)


def weight_grid(target: TargetSpec, bits: int, signed: bool, symmetric: bool = True) -> Grid:
    """Formats of a projection. On chips with left-aligned mantissas (Loihi: 8 bits, one more
    with sign) the low bits that a narrow mantissa lacks count as exponent."""
    s = target.synapse
    low_bits = max(0, s.aligned_bits - bits + int(signed)) if s.aligned_bits else 0
    return Grid(bits, signed, s.exponent_min + low_bits, s.exponent_max + low_bits,
                symmetric)


@dataclass(frozen=True, eq=False)
class Incoming:
    """A projection with its weights in spans: what a spike or payload unit adds to v / span.

    ``low`` and ``high`` bound what its source sends, ``least`` and ``most`` its weights (0
    included); ``sample`` are the weights looked at in the search and ``busy`` how active their
    sources are. ``exponent_is``: the exponent, where it is not the least possible.
    """

    weights: Linear
    grid: Grid
    least: float
    most: float
    low: Float64
    high: Float64
    sample: Float64
    busy: Float64
    exponent_is: int | None = None

    @property
    def least_exponent(self) -> int:
        return self.grid.exponent_min if self.exponent_is is None else self.exponent_is

    @property
    def peak(self) -> float:
        """The largest |weight|."""
        return max(-self.least, self.most)

    def exponent(self, unit: float, input_shift: int) -> int:
        """The least exponent with which the largest weights fit; that which is wanted, if they
        do with it."""
        for exponent in range(self.least_exponent, self.grid.exponent_max):
            step = (1 << (exponent + input_shift)) / unit
            if np.rint(self.most / step) <= self.grid.high and (
                    np.rint(self.least / step) >= self.grid.low):
                return exponent
        return self.grid.exponent_max

    def mantissas(self, unit: float, input_shift: int) -> tuple[Float64, int, float]:
        """Rounded weights before they are clipped, their exponent, and one step in spans."""
        exponent = self.exponent(unit, input_shift)
        step = (1 << (exponent + input_shift)) / unit
        return np.rint(np.asarray(self.weights.weight, np.float64) / step), exponent, step

    def loss(self, unit: float, input_shift: int) -> float:
        """Sum of squared rounding errors in spans, busy sources counting more."""
        step = (1 << (self.exponent(unit, input_shift) + input_shift)) / unit
        kept = np.clip(np.rint(self.sample / step), self.grid.low, self.grid.high)
        wrong = self.sample - kept * step
        return float(np.sum(wrong * wrong * self.busy))


@dataclass(frozen=True, eq=False)
class Scale:
    """What the search knows of a population. All arrays per neuron; biases and starts in spans.

    ``bias``: the largest |bias| of a step, register and host together. ``start``: |membrane|
    before the first step. ``on_grid``: nothing decays, so membranes are multiples of the grid of
    inputs. ``latency``: of the network, in steps a run is longer.
    """

    target: TargetSpec
    population: ScheduledPopulation
    incoming: tuple[Incoming, ...]
    current_decay: IntArray
    membrane_decay: IntArray
    bias: Float64
    start: Float64
    on_grid: bool
    latency: int
    max_steps: int | None
    accept_bounds: bool
    found: Diagnostics

    @property
    def step(self) -> int:
        """Units between two values of the threshold register."""
        return 1 << self.target.machine.threshold_shift

    @property
    def margin(self) -> int:
        """Units between the register's threshold and the float one.

        A chip that compares with > fires one unit above its threshold. Where the network
        compares with >=, the float threshold is put on that unit: on the next multiple of the
        input grid if membranes are multiples of it, else one above. The same below the register's
        threshold for > on a chip that has only >=.
        """
        p = self.population
        if p.compare in self.target.neuron.compares:
            return 0
        # A threshold that is subtracted is the register's: keep the difference small.
        wide = self.on_grid and p.reset == "zero"
        size = 1 << self.target.machine.input_shift if wide else 1
        return size if p.compare == "ge" else -size

    def unit(self, threshold: int) -> float:
        """Units of a span for a value of the threshold register."""
        return float(threshold * self.step + self.margin)

    def search(self) -> float | None:
        """Units of a span; None after an error was noted (E402, E403)."""
        cap = self._largest_unit()
        if cap is None:
            return None
        units = self._units(cap)
        shift = self.target.machine.input_shift
        wanted = [i for i in self.incoming if i.exponent_is is not None]
        if units and wanted:
            units = [unit for unit in units if all(
                i.exponent(unit, shift) == i.exponent_is for i in wanted)] or self._units(
                    min(cap, 0.99 * self._cap_of(wanted)))
        if not units:
            return None
        losses = [sum(i.loss(unit, shift) for i in self.incoming) for unit in units]
        return self._retreat(units[int(np.argmin(losses))])

    def _units(self, cap: float) -> list[float]:
        """Candidates up to ``cap``; none after an error was noted."""
        if self.population.role == "spiking":
            return self._spiking_units(cap)
        return [cap * 2.0 ** (-k / _CANDIDATES) for k in range(_CANDIDATES)]

    def _cap_of(self, wanted: list[Incoming]) -> float:
        """The largest unit at which weights fit with the exponents that are wanted."""
        step = float(1 << self.target.machine.input_shift)
        return min(_cap(i.grid.high << (i.exponent_is or 0), np.array([i.peak / step]))
                   for i in wanted)

    def _spiking_units(self, cap: float) -> list[float]:
        """Candidates, the largest first; none after E403."""
        top = min(int((cap - self.margin) / self.step), self.target.neuron.threshold_max)
        least = 1 + max(0, -self.margin) // self.step
        if top < least:
            self._no_scale(f"the largest legal threshold would be {top}")
            return []
        spread = {round(top * 2.0 ** (-k / _CANDIDATES)) for k in range(_CANDIDATES)}
        chosen = {max(least, c) for c in spread | self._exact_thresholds(top)}
        return [self.unit(c) for c in sorted(chosen, reverse=True)]

    def _exact_thresholds(self, top: int) -> set[int]:
        """Thresholds at which the smallest weight is a whole number of steps of the grid.

        Weights that are multiples of one another, as of networks trained in integers, are exact
        at one of these; the search would miss it by chance.
        """
        found: set[int] = set()
        for i in self.incoming:
            size = np.abs(i.sample)
            least = float(np.min(size, where=size > 0, initial=np.inf))
            if not np.isfinite(least):
                continue
            for whole in range(1, i.grid.high + 1):
                unit = float(whole << self.target.machine.input_shift) / least
                # Larger by powers of two while it fits: exponents take them up.
                room = (top * self.step + self.margin) / unit
                if room < 1:
                    break
                threshold = (unit * 2.0 ** int(np.log2(room)) - self.margin) / self.step
                if 1 <= threshold <= top and abs(threshold - round(threshold)) < 1e-6:
                    found.add(round(threshold))
        return found

    def _retreat(self, unit: float) -> float:
        """The unit, or the next below it whose weights still add up after they are rounded.

        If none is found the unit is returned as it is, and the legality gate says what is wrong.
        """
        tried = unit
        for _ in range(_RETREATS):
            if self._sums_fit(tried):
                return tried
            tried *= 0.98
            if self.population.role == "spiking":
                tried = self.unit(max(1, int((tried - self.margin) / self.step)))
        return unit

    def _sums_fit(self, unit: float) -> bool:
        """Do the rounded weights of all projections keep a, u and u + bias in range?"""
        m = self.target.machine
        low, high = np.zeros(len(self.bias)), np.zeros(len(self.bias))
        for i in self.incoming:
            mantissa, exponent, _ = i.mantissas(unit, m.input_shift)
            kept = np.clip(mantissa, i.grid.low, i.grid.high)
            least, most = linear_range(i.weights.with_weight(kept), i.low, i.high)
            low += least * (1 << exponent)
            high += most * (1 << exponent)
        worst = np.maximum(np.abs(low), np.abs(high))
        current = worst * (1 << m.input_shift) / self._leak()
        return bool(np.all(worst <= self.target.synapse.accumulator_max)
                    and np.all(current <= m.u_limit)
                    and np.all(current + unit * self.bias <= m.v_limit))

    def _leak(self) -> Float64:
        """The part of the current that is lost in a step."""
        lost = np.maximum(self.current_decay + self.target.machine.current_decay_offset, 1)
        return np.asarray(lost / 4096.0, np.float64)

    def _no_scale(self, got: str) -> None:
        self.found.add(
            "E403", self.population.name, "no scale keeps its weights, biases and sums within the "
            f"formats of {self.target.name}", got=got, limit=">= 1",
            hint="more --weight-bits, smaller weights or fan-in relative to the threshold, fewer "
                 "payload levels, or another target")

    def _largest_unit(self) -> float | None:
        """The largest unit that every format and bound allows (1 % is left for rounding)."""
        m, s, neuron = self.target.machine, self.target.synapse, self.target.neuron
        total = np.zeros(len(self.bias))
        for i in self.incoming:
            least, most = linear_range(i.weights, i.low, i.high)
            total += np.maximum(np.abs(least), np.abs(most))
        current = total / self._leak()
        a_step = current + self.bias
        input_step = float(1 << m.input_shift)
        caps = [float(neuron.threshold_max * self.step),
                _cap(s.accumulator_max, total / input_step), _cap(m.u_limit, current),
                _cap(m.v_limit, a_step), _cap(m.v_limit, self.start),
                _cap(neuron.bias_mantissa_max << neuron.bias_exponent_max, self.bias)]
        caps += [_cap(i.grid.high << i.grid.exponent_max, np.array([i.peak / input_step]))
                 for i in self.incoming]
        if self.population.role != "spiking":
            reach = self._membrane_reach(a_step)
            if reach is None:
                return None
            caps.append(_cap(min(m.v_limit, neuron.threshold_max * self.step - 1), reach))
        if self.population.reset in ("subtract", "subtract_delayed"):
            caps.append(_cap(m.v_limit, self._owed_reach(a_step)))
        if self.population.origin == "encoder":
            # Full scale has to reach the threshold exactly, so its bias needs an exponent of 0.
            caps.append(_cap(neuron.bias_mantissa_max, self.bias))
        if min(caps) <= 0:
            self._no_scale("a format with room for 0 only")
            return None
        return 0.99 * min(caps)

    def _membrane_reach(self, a_step: Float64) -> Float64 | None:
        """How far the membrane of a neuron that is read can get, in spans."""
        dv = self.membrane_decay
        steps = self.max_steps
        if steps is None and self.accept_bounds:
            steps = _UNSTATED_STEPS
        if steps is None and not np.all(dv > 0):
            self.found.add("E402", self.population.name, "an integrator that is read and does not "
                           "leak has no bound", hint="state the longest run with --max-steps")
            return None
        longest = 0 if steps is None else steps + self.latency
        return a_step * np.where(dv > 0, 4096.0 / np.maximum(dv, 1), longest)

    def _owed_reach(self, a_step: Float64) -> Float64:
        """How far a membrane gets, in spans, whose reset takes at most max_spikes spans a step."""
        dv = self.membrane_decay
        excess = np.maximum(a_step - self.population.max_spikes, 0)
        # Without a longest run there is no scale at which an integrator's debt is bounded: the
        # legality gate says so, and scaling it down would not help.
        longest = 0 if self.max_steps is None else self.max_steps + self.latency
        reach: Float64 = 1.0 + a_step + excess * np.where(
            dv > 0, 4096.0 / np.maximum(dv, 1), longest)
        return reach


def _cap(limit: float, per_unit: FloatArray) -> float:
    top = float(np.max(per_unit, initial=0.0))
    return float("inf") if top <= 0 else limit / top
