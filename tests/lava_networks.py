"""Random integer networks for Loihi, written directly in integers.

What a quantizer makes is only a corner of what the integers may be: here every register, exponent,
sign mode, delay and geometry is drawn by itself, currents fold and membranes saturate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from networks import INPUT_SHAPES, conv_of, dense_of, sparse_of

from neurocompile.ir.base import Shape, n_elements
from neurocompile.ir.contract import Contract, InputBinding
from neurocompile.ir.discrete import DiscreteNetwork, DiscretePopulation
from neurocompile.ir.network import Network, Port
from neurocompile.ir.quantized import (
    Bounds,
    FixedPoint,
    QuantizedDrive,
    QuantizedInput,
    QuantizedNetwork,
    QuantizedPopulation,
    QuantizedProjection,
    ScheduledNetwork,
    ScheduledPopulation,
)
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import Conv, Dense, Linear
from neurocompile.reference.encode import EncodedInput
from neurocompile.targets import load_target

Rng = np.random.Generator
SignMode = Literal["mixed", "excitatory", "inhibitory"]
SUM_MAX = 1 << 22
"""Of |weight << exponent| * payload of a projection: the sum of all of them << 6 then stays within
32 bits, beyond which Lava wraps."""
DRIVE = "image"
DELAYS = (0, 0, 3, 17, 62)
"""The longest delay of a projection is one of these."""


@dataclass(frozen=True, repr=False)
class IntegerCase:
    """A network and its encoded input."""

    network: QuantizedNetwork
    encoded: EncodedInput

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text(repr(self))

    def __repr__(self) -> str:
        return "\n".join(["IntegerCase", *(_shown_population(p) for p in self.network.populations),
                          *(_shown_projection(q) for q in self.network.projections)])


def _shown_population(p: QuantizedPopulation) -> str:
    return (f"  {p.name}: {p.role} {p.shape}, latency {p.latency}, du {p.current_decay[:3]}, "
            f"dv {p.membrane_decay[:3]}, vth {p.threshold[:3]}, bias {p.bias[:3]}")


def _shown_projection(q: QuantizedProjection) -> str:
    return (f"  {q.name}: {type(q.transform).__name__}, {q.format.bits} bits << "
            f"{q.format.exponent} {q.sign_mode}, delays {q.source_delay[:3]} + "
            f"{q.target_delay[:3]}")


@st.composite
def integer_cases(draw: st.DrawFn, sparse_delays: bool = False) -> IntegerCase:
    """Any topology of one to four populations, on one to three samples. ``sparse_delays``: the
    first projection is sparse and has delays."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    target = load_target(draw(st.sampled_from(["loihi1", "loihi2"])))
    inputs, sources = [], []
    for i in range(draw(st.sampled_from([1, 2]))):
        shape = draw(st.sampled_from([*INPUT_SHAPES, *INPUT_SHAPES[-3:]]))
        inputs.append(_input(draw, f"in{i}", target))
        sources.append(_source(f"in{i}", shape))
    driven = draw(st.integers(0, 3)) == 0
    neurons: list[QuantizedPopulation] = []
    projections: list[QuantizedProjection] = []
    for i in range(draw(st.integers(1, 4))):
        # Not drawn: hypothesis prefers the first, and parts without a connection are wanted too.
        before = [*sources, *(p for p in neurons if p.role == "spiking")][
            rng.integers(len(sources) + sum(p.role == "spiking" for p in neurons))]
        delayed = sparse_delays and i == 0
        transform = sparse_of(rng, before.shape, draw(st.sampled_from([(3,), (2, 3), (17,)]))) \
            if delayed else _transform(draw, rng, before.shape)
        neurons.append(_population(draw, rng, f"n{i}", transform.out_shape, driven and i == 0))
        projections.append(_projection(draw, rng, before, neurons[-1], transform, inputs,
                                       longest=DELAYS[2:] if delayed else DELAYS))
    senders = [*sources, *(p for p in neurons if p.role == "spiking")]
    for i in range(draw(st.sampled_from([0, 0, 0, 1, 2, 3]))):  # skips, loops, sums of several
        one, other = draw(st.sampled_from(senders)), draw(st.sampled_from(neurons))
        kind = dense_of if draw(st.booleans()) else sparse_of
        projections.append(_projection(draw, rng, one, other, kind(rng, one.shape, other.shape),
                                       inputs, f"more{i}"))
    network = _network(target, [*sources, *neurons], projections, inputs, driven)
    return IntegerCase(network, _encoded(draw, rng, network, driven))


def silent_case() -> IntegerCase:
    """Three neurons with biases and a loop; an input that is connected to nothing; 3 samples."""
    n, zero = 3, np.zeros(3, np.int64)
    source = _source("in0", (2,))
    neurons = QuantizedPopulation(
        "n0", (n,), "spiking", 0, zero + 1000, zero + 400, zero + 5, zero + 100, zero + 1, zero,
        "gt", "zero", 1, np.ones(n), np.zeros(n))
    one = np.zeros(1, np.int64)
    loop = QuantizedProjection(
        "loop", "n0", "n0", Dense(np.array([[3, -7, 1], [0, 2, 5], [-9, 4, 1]], np.int16), (n,),
                                  (n,)), FixedPoint(8, True, 1), "mixed", one, one + 1)
    inputs = [QuantizedInput("in0", "spikes", 1.0, 0, 1)]
    network = _network(load_target("loihi1"), [source, neurons], [loop], inputs, False)
    payload = np.random.default_rng(0).integers(0, 2, (3, 5, 2)).astype(np.uint8)
    return IntegerCase(network, EncodedInput(3, 5, {"in0": payload}, {}))


def _input(draw: st.DrawFn, name: str, target: TargetSpec) -> QuantizedInput:
    mode = draw(st.sampled_from([m for m in ("spikes", "counts", "graded")
                                 if m in target.input.modes]))
    low, high = {"spikes": (0, 1), "counts": (0, 3)}.get(mode) or draw(
        st.sampled_from([(0, 255), (-100, 100)]))
    return QuantizedInput(name, mode, 1.0, low, high)


def _source(name: str, shape: Shape) -> QuantizedPopulation:
    none = np.zeros(0, np.int64)
    return QuantizedPopulation(name, shape, "source", 0, *(none,) * 6, "gt", "none", 1,
                               np.zeros(0), np.zeros(0))


def _population(draw: st.DrawFn, rng: Rng, name: str, shape: Shape,
                driven: bool) -> QuantizedPopulation:
    n = n_elements(shape)
    alike = draw(st.integers(0, 2)) > 0

    def register(low: int, high: int, special: list[int]) -> npt.NDArray[np.int64]:
        if alike:
            return np.full(n, draw(st.one_of(st.sampled_from(special), st.integers(low, high))))
        return np.where(rng.random(n) < 0.3, rng.choice(special, n), rng.integers(low, high, n))

    decays = [0, 1, 410, 2047, 4095]
    biased = not driven and draw(st.booleans())
    mantissa = rng.integers(-4095, 4096, n) if biased else np.zeros(n, np.int64)
    exponent = rng.integers(0, 8, n) if biased else np.zeros(n, np.int64)
    spiking = draw(st.integers(0, 5)) > 0 or driven
    threshold = register(0, draw(st.sampled_from([50, 3000, 131071])), [0, 1, 131071]) if spiking \
        else np.full(n, 131071)
    return QuantizedPopulation(
        name, shape, "spiking" if spiking else "analog", draw(st.integers(0, 3)),
        register(0, 4095, decays), register(0, 4095, decays), threshold, mantissa, exponent,
        np.zeros(n, np.int64), "gt", "zero" if spiking else "none", 1, np.ones(n), np.zeros(n))


def _transform(draw: st.DrawFn, rng: Rng, shape: Shape) -> Linear:
    out = draw(st.sampled_from([(3,), (2, 3), (2, 3, 3), (17,)]))
    kind = draw(st.sampled_from(["conv", "dense", "conv", "sparse", "conv"]))
    if kind == "conv" and len(shape) > 1:
        pair = st.tuples(st.integers(1, 2), st.integers(1, 2))
        conv = conv_of(rng, shape, c_out=2 * draw(st.integers(1, 2)),
                       kernel=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
                       stride=draw(pair), padding=(draw(st.integers(0, 2)),
                                                   draw(st.integers(0, 2))),
                       dilation=draw(pair), groups=draw(st.sampled_from(
                           [g for g in (1, 2) if shape[0] % g == 0])))
        if conv is not None:
            return conv
    return dense_of(rng, shape, out) if kind != "sparse" else sparse_of(rng, shape, out)


def _projection(draw: st.DrawFn, rng: Rng, source: QuantizedPopulation,
                target: QuantizedPopulation, transform: Linear, inputs: list[QuantizedInput],
                name: str = "", longest: Sequence[int] = DELAYS) -> QuantizedProjection:
    mode: SignMode = draw(st.sampled_from(["mixed", "mixed", "excitatory", "inhibitory"]))
    bits = draw(st.sampled_from([2, 4, 6, 8, 8, 8]))
    top = (1 << (bits - 1)) - 1 if mode == "mixed" else (1 << bits) - 1
    weight = rng.integers(0, top + 1, transform.weight.shape)
    if mode == "mixed":
        weight = weight * rng.choice([-1, 1], weight.shape)
        weight = np.where(rng.random(weight.shape) < 0.05, -top - 1, weight)
    if mode == "inhibitory":
        weight = -weight
    shift = 8 - bits + (mode == "mixed")
    payload = max((max(i.high, -i.low) for i in inputs if i.name == source.name), default=1)
    reach = ((top + 1) << shift) * payload * source.n
    largest = min(7, (SUM_MAX // reach).bit_length() - 1)
    delays = _delays(draw, rng, source, target, longest)
    # What Lava's own Conv takes: no exponent, no delay.
    exact = isinstance(transform, Conv) and draw(st.integers(0, 3)) > 0
    if exact:
        delays = (np.zeros(1, np.int64), np.zeros(1, np.int64))
    exponent = 0 if exact else draw(st.integers(0, max(0, largest)))
    return QuantizedProjection(
        name or f"{source.name}->{target.name}", source.name, target.name,
        transform.with_weight(weight.astype(np.int16)),
        FixedPoint(bits, mode == "mixed", shift + exponent), mode, *delays)


def _delays(draw: st.DrawFn, rng: Rng, source: QuantizedPopulation, target: QuantizedPopulation,
            choices: Sequence[int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    longest = draw(st.sampled_from(choices))
    at_source = draw(st.integers(0, longest))

    def some(most: int, n: int) -> npt.NDArray[np.int64]:
        delay = rng.integers(0, most + 1, n if draw(st.booleans()) else 1)
        delay[rng.integers(len(delay))] = most
        return delay

    return some(at_source, source.n), some(longest - at_source, target.n)


def _network(target: TargetSpec, populations: list[QuantizedPopulation],
             projections: list[QuantizedProjection], inputs: list[QuantizedInput],
             driven: bool) -> QuantizedNetwork:
    none = np.zeros(0)

    def floats(p: QuantizedPopulation) -> DiscretePopulation:
        return DiscretePopulation(p.name, p.shape, p.role, False, *(none,) * 8)

    ports = [Port(i.name, i.name, p.shape) for i in inputs for p in populations
             if p.name == i.name]
    first = next(p for p in populations if p.role != "source")
    drives: tuple[QuantizedDrive, ...] = ()
    if driven:
        ports.append(Port(DRIVE, DRIVE, (1,)))
        drives = (QuantizedDrive(DRIVE, first.name, Dense(np.ones((first.n, 1)), (1,),
                                                          first.shape),
                                 np.ones(first.n), np.zeros(first.n), -1.0, 1.0, 4095, 7),)
    outputs = (Port("out", populations[-1].name, populations[-1].shape),)
    contract = Contract(dt_s=1e-3, inputs={"*": InputBinding("spikes")})
    network = Network((), (), (), tuple(ports), outputs, (("made", "by a test"),))
    discrete = DiscreteNetwork(network, contract, tuple(map(floats, populations)), (), (), ())
    scheduled = ScheduledNetwork(
        discrete, target, tuple(ScheduledPopulation(
            p.name, p.shape, p.role, "input" if p.role == "source" else "network", p.name,
            p.latency, floats(p), p.compare, p.reset, 1) for p in populations), (), (), {}, {})
    return QuantizedNetwork(
        scheduled, tuple(populations), tuple(projections), tuple(inputs), drives,
        tuple(map(_bounds, (p for p in populations if p.role != "source"))), ())


def _bounds(p: QuantizedPopulation) -> Bounds:
    """Nothing is proved of such networks. A membrane that is read is held below the threshold by
    the tests themselves, which discard the others."""
    wide = np.full(p.n, (1 << 25) - 1)
    v = np.full(p.n, 131071 << 6 if p.role == "analog" else (1 << 23) - 1)
    return Bounds(p.name, -wide, wide, -wide, wide, -v, v, 0, False)


def _encoded(draw: st.DrawFn, rng: Rng, network: QuantizedNetwork, driven: bool) -> EncodedInput:
    samples, steps = draw(st.integers(1, 3)), draw(st.sampled_from([1, 7, 20]))
    n = {p.name: p.n for p in network.populations}
    density = draw(st.sampled_from([0.1, 0.5, 1.0]))
    payloads: dict[str, npt.NDArray[np.integer[Any]]] = {}
    for i in network.inputs:
        size = (samples, draw(st.sampled_from([1, steps])), n[i.name])
        values = rng.integers(i.low, i.high + 1, size) * (rng.random(size) < density)
        payloads[i.name] = values.astype(np.int32)
    biases = {}
    if driven:
        name = network.drives[0].target
        size = (samples, n[name])
        biases[name] = rng.integers(-4095, 4096, size) << rng.integers(0, 8, size)
    return EncodedInput(samples, steps, payloads, biases)
