"""Post-training quantization: float rows onto the target's integer formats.

Per population one integer threshold is searched (``passes.scale``); it fixes how many integer units
make one float unit (``scale``, per neuron, because thresholds and gains differ), and with it every
weight, bias and exponent. Method and error bounds: docs/numerics.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from neurocompile.diagnostics import Diagnostics
from neurocompile.fixedpoint import Rounding, to_registers
from neurocompile.ir.base import FloatArray, IntArray
from neurocompile.ir.discrete import DiscreteBias
from neurocompile.ir.quantized import (
    FixedPoint,
    QuantizationError,
    QuantizedDrive,
    QuantizedInput,
    QuantizedNetwork,
    QuantizedPopulation,
    QuantizedProjection,
    ScheduledNetwork,
    ScheduledPopulation,
    ScheduledProjection,
)
from neurocompile.ir.ranges import linear_range
from neurocompile.ir.transforms import Conv, Dense, Linear, Sparse, as_float64, to_sparse
from neurocompile.passes.bounds import prove_bounds
from neurocompile.passes.compose import scale_rows
from neurocompile.passes.scale import Incoming, Scale, weight_grid
from neurocompile.passes.schedule import register_bias

Float64 = npt.NDArray[np.float64]

_COARSE = 0.1  # relative error from which a decay or a projection's weights are worth a warning
_SAMPLED_WEIGHTS = 1 << 19  # weights looked at for each candidate
_MAX_UNFOLDED = 1 << 24
_EXACT = 1e-9  # of the RMS of what is compared; see _require_integers


@dataclass(frozen=True)
class Quantize:
    """Options of the pass.

    weight_bits
        Width of weight mantissas, sign included.
    decay_rounding
        How decays become multiples of 1/4096.
    thresholds
        Population -> threshold register, where it is not to be searched.
    max_steps
        The longest run, for neurons whose state has no bound otherwise (integrators without
        a leak that are read).
    accept_bounds
        Accept populations whose range cannot be proved (reported as W402 instead of E402).
    rates
        Population -> mean spikes (or payload) a step of each element, from calibration; weights
        of busy elements then count more. Missing: all count the same.
    exponents
        Projection -> exponent of its weights, where it is not to be searched: hardware that
        shifts by constants is reused so (``patch-weights``). The scale is then the largest that
        it allows; a threshold or scale that is stated goes before.
    """

    weight_bits: int = 8
    decay_rounding: Rounding = Rounding.NEAREST
    thresholds: dict[str, int] = field(default_factory=dict)
    max_steps: int | None = None
    accept_bounds: bool = False
    rates: dict[str, FloatArray] = field(default_factory=dict)
    exponents: dict[str, int] = field(default_factory=dict)

    def run(self, scheduled: ScheduledNetwork) -> QuantizedNetwork:
        """Raises ``CompileError``: E401 (threshold not above reset), E402 (range not provable),
        E403 (no legal scale), E404 (bits), E405 (initial membrane), E406 (unfolding)."""
        network, _ = self.run_with_notes(scheduled)
        return network

    def run_with_notes(self, scheduled: ScheduledNetwork) -> tuple[QuantizedNetwork, Diagnostics]:
        """As ``run``, with the warnings found on the way."""
        found = Diagnostics()
        target = scheduled.target
        if self.weight_bits not in target.synapse.weight_bits:
            found.add("E404", target.name, "the chip has no weights of this width",
                      got=f"{self.weight_bits} bits", limit="one of " + ", ".join(
                          map(str, target.synapse.weight_bits)), hint="choose --weight-bits")
            found.raise_if_errors()
        self._check_thresholds(scheduled, found)
        if self.max_steps is not None and self.max_steps < 1:
            found.add("E402", "max_steps", "no run has this length", got=self.max_steps,
                      limit=">= 1", hint="state the longest run with --max-steps")
            found.raise_if_errors()
        inputs = _inputs(scheduled)
        populations, projections, drives = [], [], []
        errors: list[QuantizationError] = []
        for p in scheduled.populations:
            if p.role == "source":
                populations.append(_source(p))
                continue
            part = _PopulationQuantizer(self, scheduled, p, inputs, found)
            result = part.run()
            if result is None:
                continue
            populations.append(result)
            projections += part.projections
            drives += part.drives
            errors += part.errors
        found.raise_if_errors()
        order = {q.name: i for i, q in enumerate(scheduled.projections)}
        projections.sort(key=lambda q: order[q.name])
        network = QuantizedNetwork(scheduled, tuple(populations), tuple(projections),
                                   tuple(inputs.values()), tuple(drives), (), tuple(errors),
                                   self.max_steps)
        bounds = prove_bounds(network, self.max_steps, self.accept_bounds, found)
        found.raise_if_errors()
        return replace(network, bounds=bounds), found

    def _check_thresholds(self, scheduled: ScheduledNetwork, found: Diagnostics) -> None:
        spiking = [p.name for p in scheduled.populations if p.role == "spiking"]
        most = scheduled.target.neuron.threshold_max
        for name, threshold in sorted(self.thresholds.items()):
            if name not in spiking:
                found.add("E407", name, "a threshold is given for what has none", got=threshold,
                          limit="one of " + ", ".join(spiking), hint="name a spiking population")
            elif not 1 <= threshold <= most:
                found.add("E407", name, "the threshold does not fit the chip's register",
                          got=threshold, limit=f"1 to {most}")


def _inputs(scheduled: ScheduledNetwork) -> dict[str, QuantizedInput]:
    inputs = {}
    on_chip = {p.name for p in scheduled.populations if p.origin == "input"}
    for name, binding in sorted(scheduled.bindings.items()):
        if name not in on_chip:
            continue
        assert binding.mode in ("spikes", "counts", "graded")
        assert binding.scale is not None
        assert binding.maximum is not None
        assert binding.minimum is not None
        # Silence (0) is always part of the range: before and after the data nothing is sent.
        inputs[name] = QuantizedInput(
            name, binding.mode, binding.scale,
            min(0, int(np.rint(binding.minimum / binding.scale))),
            max(0, int(np.rint(binding.maximum / binding.scale))))
    return inputs


def _source(p: ScheduledPopulation) -> QuantizedPopulation:
    none = np.zeros(0, np.int64)
    return QuantizedPopulation(p.name, p.shape, "source", p.latency, none, none, none, none, none,
                               none, "gt", "none", p.max_spikes, np.zeros(0), np.zeros(0))


class _PopulationQuantizer:
    """Everything about one population: its registers, and the weights that reach it."""

    def __init__(self, options: Quantize, scheduled: ScheduledNetwork, p: ScheduledPopulation,
                 inputs: dict[str, QuantizedInput], found: Diagnostics):
        self.options = options
        self.scheduled = scheduled
        self.p = p
        self.inputs = inputs
        self.found = found
        self.target = scheduled.target
        self.dynamics = p.dynamics
        self.projections: list[QuantizedProjection] = []
        self.drives: list[QuantizedDrive] = []
        self.errors: list[QuantizationError] = []
        d = self.dynamics
        self.spiking = p.role == "spiking"
        self.gain = np.asarray(d.gain_mem * (d.gain_syn if d.has_synapse else 1.0), np.float64)
        self.offset = np.asarray(d.reset_value if self.spiking else np.zeros(d.n), np.float64)
        self.bias = self._bias()
        self.incoming = [q for q in scheduled.projections if q.target == p.name]
        self.driven = [h for h in scheduled.host_drives if h.target == p.name]
        # Relays and encoders are the compiler's own: their scale is not part of the network.
        self.stated = scheduled.discrete.contract.integer_scale if p.origin == "network" else None

    def run(self) -> QuantizedPopulation | None:
        """The population, or None after an error was noted."""
        registers = self._decays()
        span = self._span()
        if span is None or not self._initial_is_legal():
            return None
        normalized = [self._normalized(q, span) for q in self.incoming]
        if any(t is None for t in normalized):
            return None
        rows = [self._incoming(q, t) for q, t in zip(self.incoming, normalized, strict=True)
                if t is not None]
        choice = self._scale(rows, span, registers)
        unit = self._unit(choice, span)
        if unit is None:
            return None
        for q, row in zip(self.incoming, rows, strict=True):
            self._quantize_projection(q, row, unit)
        scale = unit / span
        self._drive(scale)
        population = self._assemble(registers, choice, scale)
        if self.stated is not None:
            self._require_integers(choice)
        return population

    def _unit(self, choice: Scale, span: Float64) -> float | None:
        """Integer units of a span: stated, set by a threshold, or searched."""
        fixed = self.options.thresholds.get(self.p.name) if self.spiking else None
        if self.stated is None:
            return choice.search() if fixed is None else choice.unit(fixed)
        unit = float(self.stated * span[0]) if len(span) else float(self.stated)
        if np.any(span != span[:1]):
            self.found.add("E416", self.p.name, "its neurons have different thresholds, and a "
                           "population has one register",
                           got=f"{span.min():g} to {span.max():g}",
                           hint="split the population by threshold")
            return None
        if fixed is not None and choice.unit(fixed) != unit:
            self.found.add("E407", self.p.name, "the threshold contradicts the contract's "
                           "integer_scale", got=fixed,
                           limit=f"{(unit - choice.margin) / choice.step:g}",
                           hint="state one of them")
        return unit

    # --- float side ---------------------------------------------------------------------------

    def _bias(self) -> Float64:
        names = self.scheduled.register_biases.get(self.p.name, ())
        held: list[DiscreteBias] = [b for b in self.scheduled.discrete.biases if b.name in names]
        total = register_bias(self.dynamics, held)
        # Around the reset value: x = v - v_reset decays towards v_leak - v_reset.
        shifted = total - (1.0 - self.dynamics.mem_decay) * self.offset
        return np.asarray(shifted, np.float64)

    def _span(self) -> Float64 | None:
        """Float distance from reset to threshold, per neuron (1 for neurons that are read)."""
        if not self.spiking:
            return np.ones(self.dynamics.n)
        span = np.asarray(self.dynamics.threshold - self.offset, np.float64)
        bad = np.flatnonzero(span <= 0)
        if len(bad):
            self.found.add("E401", f"{self.p.name}[{bad[0]}]", "the threshold does not lie above "
                           "the reset value: the neuron would fire at every step",
                           got=f"threshold {self.dynamics.threshold[bad[0]]:g}, reset "
                               f"{self.offset[bad[0]]:g} ({len(bad)} neurons)",
                           hint="no chip has such a neuron: correct the network")
            return None
        return span

    def _initial_is_legal(self) -> bool:
        moved = np.any(self.dynamics.initial_v != self.offset)
        if self.p.role == "analog":
            moved = np.any(self.dynamics.initial_v != 0)
        if moved and not self.target.neuron.initial_v:
            self.found.add("E405", self.p.name, f"{self.target.name} starts every membrane at its "
                           "reset value", got=f"initial_v = "
                           f"{self.scheduled.discrete.contract.initial_v}",
                           hint='set initial_v = "v_reset" if the network allows, or choose '
                                'another target')
            return False
        return True

    def _normalized(self, q: ScheduledProjection, span: Float64) -> Linear | None:
        """Weights in thresholds: what a spike (payload unit) adds to v / span. Rows scaled."""
        factor = self.gain / span * q.source_value
        scaled = scale_rows(as_float64(q.transform), factor, q.transform.out_shape)
        if scaled is not None:
            return scaled
        if q.transform.n_synapses > _MAX_UNFOLDED:
            self.found.add("E406", q.name, "neurons of a channel differ, so the kernel cannot be "
                           "shared, and it is too large to be written out",
                           got=f"{q.transform.n_synapses} synapses", limit=_MAX_UNFOLDED,
                           hint="give the neurons of a channel equal r, tau and threshold")
            return None
        self.found.add("I406", q.name, "neurons of a channel differ: the kernel is written out",
                       got=f"{q.transform.n_synapses} synapses")
        return scale_rows(to_sparse(as_float64(q.transform)), factor, q.transform.out_shape)

    # --- registers ----------------------------------------------------------------------------

    def _decays(self) -> tuple[IntArray, IntArray]:
        """(current register, membrane register)."""
        n, m = self.dynamics.n, self.target.machine
        top = self.target.neuron.decay_max
        dv = self._round(4096.0 * (1.0 - self.dynamics.mem_decay))
        if self.dynamics.has_synapse:
            du = self._round(4096.0 * (1.0 - self.dynamics.syn_decay)) - m.current_decay_offset
        else:
            du = np.full(n, 4096 - m.current_decay_offset)
        dv, du = np.clip(dv, 0, top), np.clip(du, 0, top)
        self._note_decay("membrane_decay", 1.0 - self.dynamics.mem_decay, dv / 4096)
        if self.dynamics.has_synapse:
            self._note_decay("current_decay", 1.0 - self.dynamics.syn_decay,
                             (du + m.current_decay_offset) / 4096)
        return du, dv

    def _round(self, x: FloatArray) -> IntArray:
        rounded = np.floor(x) if self.options.decay_rounding is Rounding.FLOOR else np.rint(x)
        return rounded.astype(np.int64)

    def _note_decay(self, quantity: str, wanted: FloatArray, got: FloatArray) -> None:
        coarse = np.flatnonzero(np.abs(got - wanted) > _COARSE * wanted)
        if len(coarse):
            # A decay of 0 is missed by more than any other.
            relative = np.abs(got - wanted)[coarse] / np.maximum(wanted[coarse], 1e-300)
            worst = coarse[np.argmax(relative)]
            self.found.add("W409", f"{self.p.name}[{worst}]",
                           f"a {quantity.replace('_', ' ')} is too slow or too fast for the "
                           "chip's register", got=f"{wanted[worst]:.2g} a step becomes "
                           f"{got[worst]:.2g} ({len(coarse)} neurons)", limit="steps of 1/4096",
                           hint="choose another dt, or other time constants")
        self.errors.append(_error(self.p.name, quantity, wanted, got))

    def _incoming(self, q: ScheduledProjection, weights: Linear) -> Incoming:
        grid = weight_grid(self.target, self.options.weight_bits, _is_signed(weights),
                           symmetric=self.stated is None)
        low, high = self._source_range(q)
        sample, busy = self._sampled(q, weights)
        return Incoming(weights, grid, float(weights.weight.min(initial=0.0)),
                        float(weights.weight.max(initial=0.0)), low, high, sample, busy,
                        self.options.exponents.get(q.name))

    def _scale(self, incoming: list[Incoming], span: Float64,
               registers: tuple[IntArray, IntArray]) -> Scale:
        du, dv = registers
        idle = not self.dynamics.has_synapse and not np.any(dv) and not np.any(self.bias)
        return Scale(
            self.target, self.p, tuple(incoming), du, dv,
            np.abs(self.bias / span) + self._drive_span(span),
            np.abs(self.dynamics.initial_v - self.offset) / span, idle and not self.driven,
            self.scheduled.latency, self.options.max_steps, self.options.accept_bounds,
            self.found)

    def _drive_span(self, span: Float64) -> Float64:
        """The largest |bias| the host may load, in spans."""
        reach = np.zeros(self.dynamics.n)
        for h in self.driven:
            low, high = self._drive_limits(h.input)
            shape = h.transform.in_shape
            least, most = linear_range(as_float64(h.transform), np.full(shape, low),
                                       np.full(shape, high))
            reach += np.abs(self.gain) / span * np.maximum(np.abs(least), np.abs(most))
        return reach

    def _drive_limits(self, name: str) -> tuple[float, float]:
        binding = self.scheduled.bindings[name]
        assert binding.maximum is not None
        assert binding.minimum is not None
        return binding.minimum, binding.maximum

    def _source_range(self, q: ScheduledProjection) -> tuple[Float64, Float64]:
        shape = q.transform.in_shape
        if q.source in self.inputs:
            i = self.inputs[q.source]
            return np.full(shape, float(i.low)), np.full(shape, float(i.high))
        source = next(p for p in self.scheduled.populations if p.name == q.source)
        return np.zeros(shape), np.full(shape, float(source.max_spikes))

    def _sampled(self, q: ScheduledProjection, t: Linear) -> tuple[Float64, Float64]:
        """Weights looked at in the search, and how often their source is active."""
        weight = np.asarray(t.weight, np.float64).reshape(-1)
        stride = max(1, len(weight) // _SAMPLED_WEIGHTS)
        rates = self.options.rates.get(q.source)
        if rates is None or isinstance(t, Conv):
            return weight[::stride], np.ones(1)
        columns = t.indices if isinstance(t, Sparse) else np.arange(len(weight)) % len(rates)
        # Rates of graded inputs are in the file's unit, weights in payload units.
        busy = np.asarray(rates, np.float64) / q.source_value
        return weight[::stride], busy[columns[::stride]]

    # --- integers -----------------------------------------------------------------------------

    def _quantize_projection(self, q: ScheduledProjection, row: Incoming, unit: float) -> None:
        t, grid = row.weights, row.grid
        exact, exponent, step = row.mantissas(unit, self.target.machine.input_shift)
        clipped = int(np.count_nonzero((exact > grid.high) | (exact < grid.low)))
        if clipped:
            self.found.add("E403", q.name, "weights do not fit at the threshold that was set",
                           got=f"{clipped} weights above {grid.high} << {grid.exponent_max}",
                           limit=grid.high, hint="set a lower threshold")
        narrow = grid.high <= np.iinfo(np.int16).max  # not 16 bits without a sign
        mantissa = np.clip(exact, grid.low, grid.high).astype(np.int16 if narrow else np.int32)
        mode = "mixed" if grid.signed else (
            "inhibitory" if t.weight.size and float(t.weight.min()) < 0 else "excitatory")
        if not mantissa.any() and np.any(t.weight != 0):
            self.found.add("E415", q.name, "every weight rounds to zero: nothing would be sent",
                           got=f"largest weight {row.peak / step:.2g} of a step", limit=">= 0.5",
                           hint="a shorter --max-steps, fewer payload levels, or weights of more "
                                "similar size")
        error = _error(q.name, "weight", np.asarray(t.weight, np.float64), mantissa * step)
        self.errors.append(error)
        if error.relative_rms > _COARSE:
            self.found.add("W410", q.name, "the integer weights are far from the float ones",
                           got=f"relative RMS error {error.relative_rms:.1%}",
                           limit=f"{_COARSE:.0%}",
                           hint="more --weight-bits; or its sums leave little room (fan-in, "
                                "payload levels, other projections with larger weights)")
        self.projections.append(QuantizedProjection(
            q.name, q.source, q.target, t.with_weight(mantissa),
            FixedPoint(grid.bits, grid.signed, exponent),
            mode, q.source_delay, q.target_delay))  # type: ignore[arg-type]

    def _require_integers(self, choice: Scale) -> None:
        """E416 for everything of this population that was rounded.

        Whole numbers in float64 differ by far more than the bound; the decays of a contract are
        within some 1e-13 of theirs, because they come from dt / tau.
        """
        for e in self.errors:
            if e.worst <= _EXACT:
                continue
            hint = f"another target ({self.target.name} was asked for), or leave integer_scale out"
            if e.quantity == "threshold" and choice.margin:
                hint = f"compare = \"{self.p.compare}\" is not on {self.target.name}: take a " \
                       "target that has it, or the chip's comparison"
            self.found.add("E416", e.subject, f"a {e.quantity.replace('_', ' ')} is not an integer "
                           "of the target's format at the scale the contract states",
                           got=f"off by up to {e.worst:.2g} of the RMS {e.quantity}", limit="exact",
                           hint=hint)

    def _bias_registers(self, scale: Float64) -> tuple[IntArray, IntArray]:
        """The least exponent that holds each bias, and its mantissa."""
        if self.driven:  # the host loads these registers, constant part included
            zero = np.zeros(self.dynamics.n, np.int64)
            return zero, zero.copy()
        neuron = self.target.neuron
        mantissa, exponent = to_registers(scale * self.bias, neuron.bias_mantissa_max,
                                          neuron.bias_exponent_max)
        self.errors.append(_error(self.p.name, "bias", scale * self.bias,
                                  np.left_shift(mantissa, exponent)))
        return mantissa, exponent

    def _drive(self, scale: Float64) -> None:
        for h in self.driven:
            low, high = self._drive_limits(h.input)
            neuron = self.target.neuron
            self.drives.append(QuantizedDrive(
                h.input, self.p.name, h.transform, scale * self.gain,
                scale * self.bias if h is self.driven[0] else np.zeros(self.dynamics.n),
                low, high, neuron.bias_mantissa_max, neuron.bias_exponent_max))

    def _assemble(self, registers: tuple[IntArray, IntArray], choice: Scale,
                  scale: Float64) -> QuantizedPopulation:
        d = self.dynamics
        mantissa, exponent = self._bias_registers(scale)
        if self.spiking:
            span = d.threshold - self.offset
            threshold = np.rint((scale * span - choice.margin) / choice.step)
            # Every neuron's scale was derived from one register value: this is exact.
            self.errors.append(_error(self.p.name, "threshold", scale * span,
                                      threshold * choice.step + choice.margin))
        else:
            threshold = np.full(d.n, float(self.target.neuron.threshold_max))
        start = np.rint(scale * (d.initial_v - self.offset)).astype(np.int64)
        other: Literal["gt", "ge"] = "gt" if self.p.compare == "ge" else "ge"
        compare = self.p.compare if self.p.compare in self.target.neuron.compares else other
        return QuantizedPopulation(
            self.p.name, self.p.shape, self.p.role, self.p.latency, registers[0], registers[1],
            threshold.astype(np.int64), mantissa, exponent, start, compare, self.p.reset,
            self.p.max_spikes, scale, self.offset, d.refractory_steps)


def _is_signed(transform: Dense | Conv | Sparse) -> bool:
    """Mixed signs need a sign bit; weights of one sign (or none) take the whole mantissa."""
    weight = transform.weight
    return bool(weight.size and float(weight.min()) < 0 < float(weight.max()))


def _error(subject: str, quantity: str, wanted: FloatArray,
           got: FloatArray | IntArray) -> QuantizationError:
    wrong = np.asarray(got, np.float64) - wanted
    size = float(np.sqrt(np.mean(np.square(wanted)))) if wanted.size else 0.0
    rms = float(np.sqrt(np.mean(np.square(wrong)))) if wanted.size else 0.0
    worst = float(np.max(np.abs(wrong), initial=0.0))
    return QuantizationError(subject, quantity, rms / size if size else rms,  # type: ignore[arg-type]
                             worst / size if size else worst)
