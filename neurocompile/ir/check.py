"""The invariants of the phases, checked after each was made by something else."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np

from neurocompile.diagnostics import Diagnostic
from neurocompile.ir.base import IntArray, Shape, n_elements
from neurocompile.ir.discrete import DiscreteNetwork, DiscretePopulation, DiscreteProjection
from neurocompile.ir.network import Network, Population
from neurocompile.ir.quantized import (
    QuantizedInput,
    QuantizedNetwork,
    QuantizedPopulation,
    QuantizedProjection,
    ScheduledNetwork,
    ScheduledProjection,
)
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import Conv, Delay, Dense, Reshape, Scale, Sparse, Transform
from neurocompile.models import Source, Sum

CODE = "E140"
DISCRETE = "E320"
SCHEDULED = "E321"


def check_network(network: Network) -> list[Diagnostic]:
    """Every violated invariant, as E140: unique names, existing ends, agreeing shapes, finite
    parameters. Empty for a sound network."""
    found = [*_names(network), *_ports(network)]
    for population in network.populations:
        found += _population(population)
    shapes = {p.name: p.shape for p in network.populations}
    sources = {p.name for p in network.populations if isinstance(p.model, Source)}
    checked: dict[int, list[str]] = {}  # operations are shared: look at each once
    for projection in network.projections:
        if projection.source not in shapes:
            found.append(_bad(projection.name, f"its source {projection.source!r} is missing"))
        found += _chain(projection.name, shapes.get(projection.source), projection.ops,
                        projection.target, shapes, sources, checked)
    for bias in network.biases:
        if not np.isfinite(bias.value).all():
            found.append(_bad(bias.name, "its value is not finite"))
        found += _chain(bias.name, bias.value.shape, bias.ops, bias.target, shapes, sources,
                        checked)
    return found


def _bad(subject: str, message: str) -> Diagnostic:
    return Diagnostic(CODE, subject, message)


def _names(network: Network) -> list[Diagnostic]:
    found = []
    for kind, names in (("populations", [p.name for p in network.populations]),
                        ("projections", [p.name for p in network.projections]),
                        ("biases", [b.name for b in network.biases]),
                        ("inputs", [p.name for p in network.inputs]),
                        ("outputs", [p.name for p in network.outputs])):
        found += [_bad(name, f"{count} {kind} have this name")
                  for name, count in Counter(names).items() if count > 1]
    return found


def _ports(network: Network) -> list[Diagnostic]:
    populations = {p.name: p for p in network.populations}
    found = []
    for port in (*network.inputs, *network.outputs):
        population = populations.get(port.population)
        if population is None:
            found.append(_bad(port.name, f"its population {port.population!r} is missing"))
        elif n_elements(port.shape) != n_elements(population.shape):
            found.append(_bad(port.name, f"shape {port.shape} does not fit its population's "
                                         f"{population.shape}"))
    for port in network.inputs:
        population = populations.get(port.population)
        if population is not None and not isinstance(population.model, Source):
            found.append(_bad(port.name, "an input must be a population of the model Source"))
    return found


def _population(population: Population) -> list[Diagnostic]:
    model = population.model
    if isinstance(model, (Source, Sum)):
        fits = model.n == n_elements(population.shape)
        return [] if fits else [_bad(population.name, f"{model.n} elements do not fit its shape "
                                                      f"{population.shape}")]
    found = []
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if value.shape != population.shape:
            found.append(_bad(population.name, f"{field.name} has shape {value.shape}, the "
                                               f"population {population.shape}"))
        if not np.isfinite(value).all():
            found.append(_bad(population.name, f"{field.name} is not finite"))
    return found


def _chain(name: str, shape: Shape | None, ops: tuple[Transform, ...], target: str,
           shapes: dict[str, Shape], sources: set[str],
           checked: dict[int, list[str]]) -> list[Diagnostic]:
    """Shapes along a projection or bias; None for the start where it is unknown."""
    found = []
    for op in ops:
        if id(op) not in checked:
            checked[id(op)] = _operation(op)
        found += [_bad(name, message) for message in checked[id(op)]]
        if shape is not None and shape != op.in_shape:
            found.append(_bad(name, f"{type(op).__name__} takes {op.in_shape}, not {shape}"))
        shape = op.out_shape
    if target not in shapes:
        found.append(_bad(name, f"its target {target!r} is missing"))
    elif target in sources:
        found.append(_bad(name, f"its target {target!r} is an input"))
    elif shape is not None and shape != shapes[target]:
        found.append(_bad(name, f"it delivers {shape}, its target takes {shapes[target]}"))
    return found


def _operation(op: Transform) -> list[str]:
    kind = type(op).__name__
    found = [f"{kind}.{key} is not finite" for key in ("weight", "factor", "delay")
             if hasattr(op, key) and not np.isfinite(getattr(op, key)).all()]
    n_in, n_out = n_elements(op.in_shape), n_elements(op.out_shape)
    if isinstance(op, Dense) and op.weight.shape != (n_out, n_in):
        found.append(f"Dense.weight {op.weight.shape} does not map {n_in} to {n_out} elements")
    if isinstance(op, Reshape) and n_in != n_out:
        found.append(f"Reshape changes the number of elements from {n_in} to {n_out}")
    if isinstance(op, Scale) and not op.factor.shape == op.in_shape == op.out_shape:
        found.append(f"Scale.factor {op.factor.shape} does not fit {op.in_shape}")
    if isinstance(op, Delay) and not op.delay.shape == op.in_shape == op.out_shape:
        found.append(f"Delay.delay {op.delay.shape} does not fit {op.in_shape}")
    if isinstance(op, Delay) and bool(np.any(op.delay < 0)):
        found.append("Delay.delay is negative")
    if isinstance(op, Sparse):
        found += _sparse(op, n_in, n_out)
    if isinstance(op, Conv):
        found += _conv(op, n_in, n_out)
    return found


def _sparse(op: Sparse, n_in: int, n_out: int) -> list[str]:
    ordered = len(op.indptr) == n_out + 1 and op.indptr[0] == 0 and bool(
        np.all(np.diff(op.indptr) >= 0)) and op.indptr[-1] == len(op.indices) == len(op.values)
    if not ordered:
        return ["Sparse.indptr does not describe its rows"]
    inside = not op.indices.size or (op.indices.min() >= 0 and op.indices.max() < n_in)
    return [] if inside else ["Sparse.indices lie outside the input"]


def _conv(op: Conv, n_in: int, n_out: int) -> list[str]:
    if n_elements(op.in_chw) != n_in or n_elements(op.out_chw) != n_out:
        return ["Conv shapes do not hold the same elements as its ends"]
    weight = op.weight.shape
    if op.groups < 1 or weight[0] != op.out_chw[0] or weight[0] % op.groups or \
            weight[1] * op.groups != op.in_chw[0]:
        return [f"Conv.weight {weight} does not fit {op.in_chw} -> {op.out_chw} in {op.groups} "
                "groups"]
    if min(*op.stride, *op.dilation) < 1 or min(op.padding) < 0:
        return ["Conv has a stride or dilation below 1, or a negative padding"]
    return []


def check_discrete(network: DiscreteNetwork) -> list[Diagnostic]:
    """Every violated invariant, as E320: a canonical network, flat float64 constants of the right
    length, whole delays and onsets that are not negative, no loop without a delay."""
    found = []
    sizes = {p.name: n_elements(p.shape) for p in network.populations}
    if [p.name for p in network.network.populations] != list(sizes):
        found.append(Diagnostic(DISCRETE, "network", "its populations are not those of the file"))
    for p in network.populations:
        found += [Diagnostic(DISCRETE, p.name, text) for text in _constants(p)]
    for q in network.projections:
        found += [Diagnostic(DISCRETE, q.name, text) for text in _timed(q, sizes)]
    for bias in network.biases:
        lengths = {len(bias.values), len(bias.onset)}
        if lengths != {sizes.get(bias.target, -1)}:
            found.append(Diagnostic(DISCRETE, bias.name, "values and onsets do not fit its target",
                                    got=str(sorted(lengths))))
        elif bias.onset.size and int(bias.onset.min()) < 0:
            found.append(Diagnostic(DISCRETE, bias.name, "an onset is negative"))
    loop = _instant_loop(network)
    if loop:
        found.append(Diagnostic(DISCRETE, " -> ".join(loop), "this loop has no delay"))
    return found


def check_scheduled(network: ScheduledNetwork) -> list[Diagnostic]:
    """Every violated invariant, as E321: unique names, existing ends, delays within the target's
    range, and arrival at the step the float network has it (but for accepted lateness)."""
    found = []
    names = Counter(p.name for p in network.populations)
    found += [Diagnostic(SCHEDULED, name, f"{count} populations have this name")
              for name, count in names.items() if count > 1]
    names = Counter(q.name for q in network.projections)
    found += [Diagnostic(SCHEDULED, name, f"{count} projections have this name")
              for name, count in names.items() if count > 1]
    sizes = {p.name: n_elements(p.shape) for p in network.populations}
    for p in network.populations:
        if p.latency < 0:
            found.append(Diagnostic(SCHEDULED, p.name, "its latency is negative"))
    for q in network.projections:
        texts = _timed(q, sizes)
        found += [Diagnostic(SCHEDULED, q.name, text) for text in texts]
        if not texts:
            found += _delay_in_range(q, network.target, SCHEDULED)
            found += _on_time(q, network)
    return found


def check_quantized(network: QuantizedNetwork) -> list[Diagnostic]:
    """Every value that does not fit its declared format or the target's. Empty for a sound one.

    E408 (weights outside their format or sign mode), E410 (a format the target does not have),
    E411 (neuron registers), E412 (delays), E413 (bounds missing, wrong or broken though proved),
    E414 (reset, comparison, spikes a step or input the target does not have). Written without the
    quantizer's own code, from docs/numerics.md and the target alone.
    """
    found: list[Diagnostic] = []
    on_chip = {p.name: p for p in network.populations}
    for p in network.populations:
        if p.role != "source":
            found += _registers(p, network.target)
            found += _rules(p, network.target)
    for q in network.projections:
        if q.source not in on_chip or q.target not in on_chip:
            found.append(Diagnostic("E408", q.name, "an end of it is not on the chip"))
            continue
        found += _weights(q)
        found += _format(q, network.target)
        found += _delay_in_range(q, network.target, "E412")
    for i in network.inputs:
        found += _payload(i, network.target)
    found += _bounds(network)
    return found


# --- discrete and scheduled -------------------------------------------------------------------


def _constants(p: DiscretePopulation) -> list[str]:
    n = n_elements(p.shape)
    neuron = ("mem_decay", "gain_mem", "bias_mem", "initial_v")
    wanted = dict.fromkeys(neuron, 0 if p.role == "source" else n)
    wanted |= dict.fromkeys(("threshold", "reset_value"), n if p.role == "spiking" else 0)
    wanted |= dict.fromkeys(("syn_decay", "gain_syn"), n if p.has_synapse else 0)
    texts = []
    for name, length in wanted.items():
        values = getattr(p, name)
        if values.shape != (length,) or values.dtype != np.float64:
            texts.append(f"{name} is {values.dtype} of shape {values.shape}, not float64 of "
                         f"({length},)")
        elif not np.isfinite(values).all():
            texts.append(f"{name} is not finite")
    for name in ("mem_decay", "syn_decay"):
        decay = getattr(p, name)
        if decay.size and (float(decay.min()) < 0 or float(decay.max()) > 1):
            texts.append(f"{name} lies outside 0 to 1")
    if p.refractory_steps < 0 or (p.refractory_steps and p.role != "spiking"):
        texts.append(f"{p.refractory_steps} refractory steps")
    return texts


def _timed(q: DiscreteProjection | ScheduledProjection | QuantizedProjection,
           sizes: dict[str, int]) -> list[str]:
    """Ends, shapes and delays of a connection between populations."""
    missing = [name for name in (q.source, q.target) if name not in sizes]
    if missing:
        return [f"its end {missing[0]!r} is missing"]
    texts = _operation(q.transform)
    if n_elements(q.transform.in_shape) != sizes[q.source]:
        texts.append("its transform does not take what its source sends")
    if n_elements(q.transform.out_shape) != sizes[q.target]:
        texts.append("its transform does not give what its target takes")
    for name, delay, n in (("source_delay", q.source_delay, sizes[q.source]),
                           ("target_delay", q.target_delay, sizes[q.target])):
        if delay.ndim != 1 or len(delay) not in (1, n) or delay.dtype.kind != "i":
            texts.append(f"{name} is {delay.dtype} of shape {delay.shape}, not whole steps of "
                         f"1 or {n} elements")
        elif delay.size and int(delay.min()) < 0:
            texts.append(f"{name} is negative")
    return texts


def _instant_loop(network: DiscreteNetwork) -> list[str]:
    """Populations that remain when those without instant inputs are taken away again and again."""
    instant = [(q.source, q.target) for q in network.projections
               if q.source_delay.size and q.target_delay.size
               and int(q.source_delay.min()) + int(q.target_delay.min()) == 0]
    left = {p.name for p in network.populations}
    while True:
        fed = {target for source, target in instant if source in left}
        if left & fed == left:
            return sorted(left)
        left &= fed


def _delay_in_range(q: ScheduledProjection | QuantizedProjection, target: TargetSpec,
                    code: str) -> list[Diagnostic]:
    if not q.source_delay.size or not q.target_delay.size:
        return []
    least = min(int(q.source_delay.min()), int(q.target_delay.min()))
    longest = int(q.source_delay.max()) + int(q.target_delay.max())
    if least >= 0 and longest <= target.synapse.delay_max:
        return []
    return [Diagnostic(code, q.name, "a delay is outside what the target has",
                       got=f"{min(least, longest)} to {longest} steps",
                       limit=f"0 to {target.synapse.delay_max}")]


def _on_time(q: ScheduledProjection, network: ScheduledNetwork) -> list[Diagnostic]:
    """Delay on the chip = logical delay + difference of latencies - 1, relays included."""
    origin = next((d for d in network.discrete.projections if d.name == q.of), None)
    if origin is None:  # a bias, or the link between relays
        return []
    by_name = {p.name: p for p in network.populations}
    sender, receiver = by_name[q.source], by_name[q.target]
    wanted = (int(origin.source_delay.max()) + int(origin.target_delay.max())
              + receiver.latency - sender.latency - network.target.edge_latency + q.late)
    longest = int(q.source_delay.max()) + int(q.target_delay.max())
    # A relayed connection is split by its delays: only the whole one has the longest.
    fits = longest == wanted if sender.origin != "relay" and q.name == q.of else longest <= wanted
    if fits:
        return []
    return [Diagnostic(SCHEDULED, q.name, "it does not arrive when the float network has it",
                       got=f"{longest} steps", limit=f"{wanted} steps")]


# --- quantized --------------------------------------------------------------------------------


def _outside(values: IntArray, low: int, high: int) -> str:
    """The first value outside [low, high] as text, '' if there is none."""
    wrong = np.flatnonzero((values < low) | (values > high))
    return f"{int(values.reshape(-1)[wrong[0]])} ({len(wrong)} of them)" if len(wrong) else ""


def _registers(p: QuantizedPopulation, target: TargetSpec) -> list[Diagnostic]:
    neuron, machine = target.neuron, target.machine
    most = neuron.bias_mantissa_max
    ranges = (("current_decay", 0, neuron.decay_max), ("membrane_decay", 0, neuron.decay_max),
              ("threshold", 1, neuron.threshold_max), ("bias_mantissa", -most, most),
              ("bias_exponent", 0, neuron.bias_exponent_max),
              ("initial_v", -machine.v_limit, machine.v_limit))
    found = []
    for name, low, high in ranges:
        values = getattr(p, name)
        if values.shape != (n_elements(p.shape),) or values.dtype.kind != "i":
            found.append(Diagnostic("E411", p.name, f"{name} is {values.dtype} of shape "
                                    f"{values.shape}, not an integer a neuron"))
            continue
        wrong = _outside(values, low, high)
        if wrong:
            found.append(Diagnostic("E411", p.name, f"{name} does not fit the target's register",
                                    wrong, f"{low} to {high}", "lower the threshold register, or "
                                    "choose another target"))
    if not neuron.initial_v and np.any(p.initial_v != 0):
        found.append(Diagnostic("E411", p.name, "the target starts every membrane at zero",
                                _outside(p.initial_v, 0, 0), "0"))
    return found


def _rules(p: QuantizedPopulation, target: TargetSpec) -> list[Diagnostic]:
    if p.role != "spiking":
        return [Diagnostic("E414", p.name, "what does not spike has no refractory period",
                           str(p.refractory_steps), "0")] if p.refractory_steps else []
    checks = (("reset", p.reset, target.neuron.resets), ("compare", p.compare,
                                                         target.neuron.compares))
    found = [Diagnostic("E414", p.name, f"the target's neurons have no such {what}", got,
                        "one of " + ", ".join(options))
             for what, got, options in checks if got not in options]
    if not 1 <= p.max_spikes <= target.neuron.max_spikes_per_step:
        found.append(Diagnostic("E414", p.name, "so many spikes a step are not possible",
                                str(p.max_spikes), f"1 to {target.neuron.max_spikes_per_step}"))
    if not 0 <= p.refractory_steps <= target.neuron.refractory_max:
        found.append(Diagnostic("E414", p.name, "no refractory period is so long",
                                str(p.refractory_steps), f"0 to {target.neuron.refractory_max}"))
    return found


def _weights(q: QuantizedProjection) -> list[Diagnostic]:
    weight = q.transform.weight
    if weight.dtype.kind not in "iu":
        return [Diagnostic("E408", q.name, "weights are not integers", str(weight.dtype))]
    top = (1 << (q.format.bits - int(q.format.signed))) - 1
    low, high = {"mixed": (-top - 1, top), "excitatory": (0, top),
                 "inhibitory": (-top, 0)}[q.sign_mode]
    found = []
    if q.format.signed != (q.sign_mode == "mixed"):
        found.append(Diagnostic("E408", q.name, "the format's sign does not fit the sign mode",
                                q.sign_mode))
    wrong = _outside(weight, low, high)
    if wrong:
        found.append(Diagnostic("E408", q.name, "weights do not fit their format", wrong,
                                f"{low} to {high}"))
    return found


def _format(q: QuantizedProjection, target: TargetSpec) -> list[Diagnostic]:
    synapse = target.synapse
    found = []
    if q.format.bits not in synapse.weight_bits:
        found.append(Diagnostic("E410", q.name, "the target has no weights of this width",
                                str(q.format.bits), "one of " + ", ".join(
                                    map(str, synapse.weight_bits))))
    # Left-aligned mantissas: the bits missing below count as exponent, one more with a sign.
    missing = 0
    if synapse.aligned_bits:
        missing = max(0, synapse.aligned_bits + int(q.format.signed) - q.format.bits)
    shift = q.format.exponent - missing
    if not synapse.exponent_min <= shift <= synapse.exponent_max:
        found.append(Diagnostic("E410", q.name, "the target has no such weight exponent",
                                str(shift), f"{synapse.exponent_min} to {synapse.exponent_max}"))
    return found


def _payload(i: QuantizedInput, target: TargetSpec) -> list[Diagnostic]:
    found = []
    if i.mode not in target.input.modes:
        found.append(Diagnostic("E414", i.name, "the target has no such input", i.mode,
                                "one of " + ", ".join(target.input.modes)))
    if not i.low <= 0 <= i.high:
        found.append(Diagnostic("E414", i.name, "silence is outside the input's range",
                                f"{i.low} to {i.high}"))
    if i.mode == "graded":
        bits = target.input.payload_bits - int(target.input.payload_signed)
        least = -(1 << bits) if target.input.payload_signed else 0
        if i.low < least or i.high >= 1 << bits:
            found.append(Diagnostic("E414", i.name, "payloads do not fit the target's messages",
                                    f"{i.low} to {i.high}", f"{least} to {(1 << bits) - 1}"))
    return found


def _bounds(network: QuantizedNetwork) -> list[Diagnostic]:
    """One range a population, that holds what its weights can add up to; within the machine's
    where it is called proved (others were accepted by the user)."""
    found = []
    given = {b.population: b for b in network.bounds}
    wanted = {p.name for p in network.populations if p.role != "source"}
    if set(given) != wanted or len(network.bounds) != len(wanted):
        found.append(Diagnostic("E413", "network", "not every population has one proved range"))
    limit = network.target.synapse.accumulator_max
    for name in sorted(wanted & set(given)):
        bounds = given[name]
        low, high = _summed(network, name)
        if np.any(low < bounds.a_low) or np.any(high > bounds.a_high):
            found.append(Diagnostic("E413", name, "its inputs can add up to more than its range "
                                    "says", f"{int(low.min())} to {int(high.max())}"))
        if bounds.proved:
            found += [Diagnostic("E413", name, f"its {what} can leave the target's range", wrong,
                                 f"-{most} to {most}")
                      for what, values, most in (
                          ("input", np.stack([bounds.a_low, bounds.a_high]), limit),
                          ("current", np.stack([bounds.u_low, bounds.u_high]),
                           network.target.machine.u_limit))
                      for wrong in [_outside(values.reshape(-1), -most, most)] if wrong]
    return found


def _summed(network: QuantizedNetwork, name: str) -> tuple[IntArray, IntArray]:
    """Least and largest sum of a step's input: all excitation alone, all inhibition alone."""
    n = n_elements(network.population(name).shape)
    low, high = np.zeros(n, np.int64), np.zeros(n, np.int64)
    ranges = {i.name: (i.low, i.high) for i in network.inputs}
    for q in network.projections:
        if q.target != name:
            continue
        least, most = ranges.get(q.source, (0, network.population(q.source).max_spikes))
        ones = np.ones((1, *q.transform.in_shape))
        for sign in (1, -1):
            part = q.transform.with_weight(np.maximum(sign * q.transform.weight.astype(float), 0))
            size = (part.apply(ones).reshape(-1) * 2.0 ** q.format.exponent).astype(np.int64)
            # Excitation is largest for the largest payload, inhibition for the least.
            high += size * (most if sign > 0 else -least)
            low += size * (least if sign > 0 else -most)
    return low, high
