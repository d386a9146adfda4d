"""Random networks, contracts, targets and inputs, built directly from the IR (no files)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from neurocompile.flow import Options
from neurocompile.ir.base import Shape, n_elements
from neurocompile.ir.contract import Contract, InputBinding, PopulationChoices
from neurocompile.ir.mapping import Mapping
from neurocompile.ir.network import Bias, Network, Population, Port, Projection
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import (
    Conv,
    Delay,
    Dense,
    Reshape,
    Scale,
    Sparse,
    Transform,
    identity,
)
from neurocompile.models import (
    IF,
    LI,
    LIF,
    CubaLI,
    CubaLIF,
    Integrator,
    Model,
    Source,
    Sum,
    Threshold,
)
from neurocompile.passes.canonicalize import Canonicalize
from neurocompile.passes.discretize import Discretize
from neurocompile.passes.partition import Partition
from neurocompile.passes.quantize import Quantize
from neurocompile.passes.schedule import Schedule
from neurocompile.targets import load_target

DT_S = 1e-3
Rng = np.random.Generator
Pick = Callable[[list[Any]], Any]
MODELS = ("LIF", "CubaLIF", "IF", "Threshold")
READOUTS = ("LI", "CubaLI", "Integrator", "Sum")


# --- linear maps ------------------------------------------------------------------------------


def conv_of(rng: Rng, shape: Shape, *, c_out: int, kernel: Shape, stride: Shape, padding: Shape,
            dilation: Shape, groups: int) -> Conv | None:
    """A random convolution on (c, h, w) or (c, length); None where the kernel does not fit."""
    one_d = len(shape) == 2
    chw = (shape[0], 1, shape[1]) if one_d else (shape[0], shape[1], shape[2])
    if one_d:
        kernel, stride = (1, kernel[1]), (1, stride[1])
        padding, dilation = (0, padding[1]), (1, dilation[1])
    out = [(chw[1 + a] + 2 * padding[a] - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1
           for a in (0, 1)]
    if min(out) < 1 or chw[0] % groups or c_out % groups:
        return None
    weight = rng.normal(0.2, 1.0, (c_out, chw[0] // groups, *kernel))
    out_shape = (c_out, out[1]) if one_d else (c_out, out[0], out[1])
    return Conv(weight, (stride[0], stride[1]), (padding[0], padding[1]),
                (dilation[0], dilation[1]), groups, chw, (c_out, out[0], out[1]), shape,
                out_shape)


def pool_of(shape: Shape, kernel: int, stride: int, padding: int, average: bool) -> Conv | None:
    """Sum or average pooling of (c, h, w), as a front end writes it."""
    if len(shape) != 3:
        return None
    c, h, w = shape
    out = [(n + 2 * padding - kernel) // stride + 1 for n in (h, w)]
    if min(out) < 1:
        return None
    value = 1.0 / kernel ** 2 if average else 1.0
    return Conv(np.full((c, 1, kernel, kernel), value), (stride, stride), (padding, padding),
                (1, 1), c, (c, h, w), (c, out[0], out[1]), shape, (c, out[0], out[1]))


def sparse_of(rng: Rng, in_shape: Shape, out_shape: Shape, density: float = 0.4) -> Sparse:
    """Random compressed rows, some of them empty."""
    mask = rng.random((n_elements(out_shape), n_elements(in_shape))) < density
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    indices = np.nonzero(mask)[1].astype(np.int64)
    return Sparse(indptr, indices, rng.normal(0.2, 1.0, len(indices)), in_shape, out_shape)


def dense_of(rng: Rng, in_shape: Shape, out_shape: Shape) -> Dense:
    n_in = n_elements(in_shape)
    return Dense(rng.normal(0.3, 1.0, (n_elements(out_shape), n_in)) / np.sqrt(n_in), in_shape,
                 out_shape)


@st.composite
def convs(draw: st.DrawFn, shape: Shape, rng: Rng) -> Conv | None:
    groups = draw(st.sampled_from([g for g in (1, 2, 3) if shape[0] % g == 0]))
    small, pair = st.integers(1, 2), st.tuples
    return conv_of(rng, shape, c_out=groups * draw(small),
                   kernel=draw(pair(st.integers(1, 3), st.integers(1, 3))),
                   stride=draw(pair(small, small)),
                   padding=draw(pair(st.integers(0, 2), st.integers(0, 2))),
                   dilation=draw(pair(small, small)), groups=groups)


@st.composite
def operations(draw: st.DrawFn, shape: Shape, rng: Rng, delays: bool = True) -> Transform:
    """One operation that takes ``shape``."""
    kinds = ["dense", "sparse", "scale", "reshape"] + (["delay"] if delays else [])
    if len(shape) > 1:
        kinds += ["conv", "conv", "conv"] + (["pool", "pool"] if len(shape) == 3 else [])
    kind = draw(st.sampled_from(kinds))
    n = n_elements(shape)
    op: Transform | None = None
    if kind == "conv":
        op = draw(convs(shape, rng))
    elif kind == "pool":
        op = pool_of(shape, draw(st.integers(1, 3)), draw(st.integers(1, 3)),
                     draw(st.integers(0, 1)), draw(st.booleans()))
    elif kind == "scale":
        alike = draw(st.booleans())
        factor = np.full(shape, rng.choice([0.5, 2.0])) if alike else rng.uniform(0.2, 2.0, shape)
        op = Scale(factor, shape, shape)
    elif kind == "reshape":
        op = Reshape(shape, (n,))
    elif kind == "delay":
        op = draw(delays_of(shape, rng, 4.0))
    elif kind == "sparse":
        op = sparse_of(rng, shape, draw(st.sampled_from([(2,), (3, 2), (2, 2, 3)])))
    if op is None:
        op = dense_of(rng, shape, draw(st.sampled_from([(3,), (2, 3), (2, 3, 3)])))
    return op


@st.composite
def delays_of(draw: st.DrawFn, shape: Shape, rng: Rng, longest: float) -> Delay:
    """Elementwise delays in steps of the contract's unit "steps", whole or not."""
    alike, whole = draw(st.booleans()), draw(st.booleans())
    values = np.full(shape, rng.uniform(0, longest)) if alike else rng.uniform(0, longest, shape)
    return Delay(np.rint(values) if whole else values, shape, shape)


@st.composite
def chains(draw: st.DrawFn, shape: Shape, rng: Rng, target: Shape | None = None,
           longest: float = 4.0, delays: bool = True) -> tuple[Transform, ...]:
    """Operations from ``shape`` on; to ``target`` where it is given."""
    ops: list[Transform] = []
    if delays and draw(st.integers(0, 3)) == 0:
        ops.append(draw(delays_of(shape, rng, longest)))
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        ops.append(draw(operations(shape, rng, delays=False)))
        shape = ops[-1].out_shape
    if target is not None and shape != target:
        ops.append(dense_of(rng, shape, target) if n_elements(shape) != n_elements(target)
                   else Reshape(shape, target))
        shape = target
    if delays and draw(st.integers(0, 3)) == 0:  # those of the target cannot be relayed
        ops.append(draw(delays_of(shape, rng, min(longest, 3.0))))
    return tuple(ops)


# --- populations ------------------------------------------------------------------------------


def model_of(rng: Rng, kind: str, shape: Shape, heterogeneous: bool, leaky: bool) -> Model:
    """Random parameters; one value for all neurons unless ``heterogeneous``."""
    def values(low: float, high: float) -> npt.NDArray[np.float64]:
        if heterogeneous:
            return rng.uniform(low, high, shape)
        return np.full(shape, rng.uniform(low, high))

    tau, tau_syn = values(1.5, 20.0) * DT_S, values(1.5, 10.0) * DT_S
    r, w_in = values(2.0, 8.0), values(1.0, 4.0)
    threshold = values(0.5, 2.0)
    v_leak = values(-0.2, 0.2) if leaky else np.zeros(shape)
    v_reset = values(-0.3, 0.2) if leaky else np.zeros(shape)
    match kind:
        case "LIF":
            return LIF(tau, r, v_leak, threshold, v_reset)
        case "CubaLIF":
            return CubaLIF(tau, tau_syn, r, v_leak, threshold, v_reset, w_in)
        case "IF":
            return IF(r / 4, threshold, v_reset)
        case "Threshold":
            return Threshold(threshold)
        case "LI":
            return LI(tau, r, v_leak)
        case "CubaLI":
            return CubaLI(tau, tau_syn, r, v_leak, w_in)
        case "Integrator":
            return Integrator(r / 4)
        case "Sum":
            return Sum(n_elements(shape))
    raise ValueError(kind)


@dataclass
class Sketch:
    """A network while it is being put together."""

    populations: list[Population] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)
    biases: list[Bias] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    def connect(self, source: str, target: str, ops: tuple[Transform, ...],
                recurrent: bool = False) -> None:
        name = f"{source}->{target}#{len(self.projections)}"
        self.projections.append(Projection(name, source, target, ops, recurrent, (name,)))

    def shape(self, name: str) -> Shape:
        return next(p.shape for p in self.populations if p.name == name)

    def network(self) -> Network:
        inputs = tuple(Port(p.name, p.name, p.shape) for p in self.populations
                       if isinstance(p.model, Source))
        outputs = tuple(Port(f"out_{name}", name, self.shape(name)) for name in self.outputs)
        return Network(tuple(self.populations), tuple(self.projections), tuple(self.biases),
                       inputs, outputs, (("made", "by a test"),))


INPUT_SHAPES: tuple[Shape, ...] = ((1,), (3,), (5,), (2, 6), (1, 5, 4), (2, 4, 4))


@st.composite
def networks(draw: st.DrawFn, longest: float = 8.0) -> Network:
    """Any topology: chains, skips, sums of several sources, self-recurrence, loops of two."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sketch = Sketch()
    senders: list[str] = []
    for i in range(draw(st.sampled_from([1, 1, 2]))):
        shape = draw(st.sampled_from(INPUT_SHAPES))
        sketch.populations.append(Population(f"in{i}", shape, Source(n_elements(shape))))
        senders.append(f"in{i}")
    n_inputs, n_layers = len(senders), draw(st.integers(1, 3))
    for i in range(n_layers):
        # The latest sender, so that layers form a chain, and perhaps an earlier one: a skip.
        source = senders[-1] if i else senders[0]
        ops = draw(chains(sketch.shape(source), rng, longest=longest))
        _layer(draw, sketch, rng, f"n{i}", draw(st.sampled_from(MODELS)), source, ops)
        if len(senders) > 1 and draw(st.booleans()):
            other = draw(st.sampled_from(senders))
            sketch.connect(other, f"n{i}", draw(chains(sketch.shape(other), rng,
                                                       sketch.shape(f"n{i}"), longest)))
        _loops(draw, sketch, rng, f"n{i}", senders[n_inputs:], longest)
        senders.append(f"n{i}")
    readers = [senders[-1]]
    if draw(st.booleans()):
        source = draw(st.sampled_from(senders[n_inputs:]))
        ops = draw(chains(sketch.shape(source), rng, longest=longest))
        _layer(draw, sketch, rng, "read", draw(st.sampled_from(READOUTS)), source, ops)
        readers = ["read"]
    for name in senders[n_inputs:]:
        if name not in readers and draw(st.integers(0, 2)) == 0:
            readers.append(name)
    sketch.outputs = readers
    for name in senders[:n_inputs]:
        if not any(q.source == name for q in sketch.projections):
            shape = sketch.shape(senders[-1])
            sketch.connect(name, senders[-1], (dense_of(rng, sketch.shape(name), shape),))
    return sketch.network()


def _layer(draw: st.DrawFn, sketch: Sketch, rng: Rng, name: str, kind: str, source: str,
           ops: tuple[Transform, ...]) -> None:
    shape = ops[-1].out_shape
    model = model_of(rng, kind, shape, draw(st.booleans()), draw(st.integers(0, 3)) == 0)
    sketch.populations.append(Population(name, shape, model))
    sketch.connect(source, name, ops)
    if draw(st.integers(0, 2)) == 0:
        sketch.biases.append(Bias(f"{name}.bias", rng.uniform(-0.2, 0.4, shape), name, (), False,
                                  (name,)))


def _loops(draw: st.DrawFn, sketch: Sketch, rng: Rng, name: str, earlier: list[str],
           longest: float) -> None:
    shape = sketch.shape(name)
    if draw(st.integers(0, 2)) == 0:
        self_delays = draw(st.booleans())
        sketch.connect(name, name, draw(chains(shape, rng, shape, longest, self_delays)), True)
        if draw(st.booleans()):
            sketch.biases.append(Bias(f"{name}.rec_bias", rng.uniform(-0.2, 0.3, shape), name, (),
                                      True, (name,)))
    if earlier and draw(st.integers(0, 3)) == 0:
        back = draw(st.sampled_from(earlier))
        loop = draw(chains(shape, rng, sketch.shape(back), longest, draw(st.booleans())))
        sketch.connect(name, back, loop, True)


# --- contracts, targets, cases ----------------------------------------------------------------


@st.composite
def contracts(draw: st.DrawFn, network: Network, target: TargetSpec) -> Contract:
    """Every choice stated, at random, as far as the target has it."""
    one = st.sampled_from
    resets = [r for r in ("zero", "to_value", "subtract", "subtract_delayed")
              if {"to_value": "zero"}.get(r, r) in target.neuron.resets]
    inputs = {port.name: draw(bindings(network, port.name, target)) for port in network.inputs}
    start = ("zero", "v_reset", "v_leak") if target.neuron.initial_v else ("zero",)
    reset = draw(one(resets))
    if reset == "to_value" and not target.neuron.initial_v:
        start = ("v_reset",)
    return Contract(
        dt_s=DT_S, integrator=draw(one(["euler", "exact"])), input_gain=draw(one(["nir", "unit"])),
        if_gain="r", if_floor="none", compare=draw(one(["gt", "ge"])), reset=reset,
        max_spikes_per_step=draw(one([1, 1, 3, 100])),
        current_order=draw(one(["current_first", "membrane_first"])),
        synapse_input=draw(one(["after_decay", "before_decay"])),
        recurrent_bias_at_start=draw(st.booleans()),
        recurrent_delay=draw(one(["added", "included"])),
        layer_latency=draw(one([0, 0, 1])),
        initial_v=draw(one(start)), delay_unit="steps",
        feedback=draw(one(["late", "late", "late", "exact"])), inputs=inputs,
        populations=draw(population_choices(network, target)))


@st.composite
def population_choices(draw: st.DrawFn, network: Network,
                       target: TargetSpec) -> dict[str, PopulationChoices]:
    """Refractory periods for some populations or all, as far as the target has them."""
    most = target.neuron.refractory_max
    if not most or draw(st.booleans()):
        return {}
    period = st.sampled_from(sorted({0, 1, min(2, most), min(3, most), most}))
    spiking = [p.name for p in network.populations if type(p.model).__name__ in MODELS]
    chosen = {name: PopulationChoices(draw(period)) for name in spiking if draw(st.booleans())}
    if draw(st.booleans()):
        chosen["*"] = PopulationChoices(draw(period))
    return chosen


@st.composite
def bindings(draw: st.DrawFn, network: Network, name: str, target: TargetSpec) -> InputBinding:
    modes = [m for m in target.input.modes if m != "bias" or _takes_bias(network, name)]
    mode = draw(st.sampled_from(modes))
    if mode == "spikes":
        return InputBinding("spikes")
    if mode == "counts":
        return InputBinding("counts", maximum=float(draw(st.integers(1, 3))))
    if mode == "encoder":
        return InputBinding("encoder", draw(st.sampled_from([None, 1.0])), 1.0)
    low = draw(st.sampled_from([None, 0.0, 0.25] + (
        [-1.0] if mode == "bias" or target.input.payload_signed else [])))
    return InputBinding(mode, draw(st.sampled_from([None, 0.125])) if mode == "graded" else None,
                        draw(st.sampled_from([0.5, 1.0])), low)


def _takes_bias(network: Network, name: str) -> bool:
    by_name = {p.name: p for p in network.populations}
    return all(not isinstance(by_name[q.target].model, (CubaLIF, CubaLI))
               and not any(isinstance(op, Delay) for op in q.ops)
               for q in network.projections if q.source == name)


SHIPPED = ("loihi1", "loihi2", "generic")


@st.composite
def targets(draw: st.DrawFn) -> TargetSpec:
    """A shipped target, or one with other widths, shifts, rules and limits."""
    base = load_target(draw(st.sampled_from(SHIPPED)))
    if draw(st.booleans()):
        return base
    return draw(custom_targets(base))


@st.composite
def hardware_targets(draw: st.DrawFn) -> TargetSpec:
    """What the RTL has: saturating states of 12 to 24 bits, weights of 4 to 8."""
    base = load_target(draw(st.sampled_from(["generic", "ecp5-25f", "ice40-up5k"])))
    if draw(st.booleans()):
        return base
    target = draw(custom_targets(base, (12, 16, 18, 24), (12, 16, 20, 24), ("saturate",)))
    bits = draw(st.sampled_from([(4, 8), (8,), (5, 6), (4,)]))
    return replace(target, synapse=replace(target.synapse, weight_bits=bits))


@st.composite
def custom_targets(draw: st.DrawFn, base: TargetSpec,
                   u_bits: tuple[int, ...] = (18, 24, 25, 31),
                   v_bits: tuple[int, ...] = (16, 20, 24, 31),
                   overflow: tuple[Any, ...] = ("fold_saturate", "saturate")) -> TargetSpec:
    """Legal by the rules of ``neurocompile.targets.rules``: limits follow from the widths."""
    one = st.sampled_from
    machine = replace(
        base.machine, u_bits=draw(one(u_bits)), v_bits=draw(one(v_bits)),
        overflow=draw(one(overflow)), input_shift=draw(one([0, 3, 6])),
        threshold_shift=draw(one([0, 3, 6])), current_decay_offset=draw(one([0, 1])))
    resets = draw(one([("zero",), ("subtract",), ("zero", "subtract"),
                       ("zero", "subtract", "subtract_delayed")]))
    exponent = draw(one([0, 3]))
    neuron = replace(
        base.neuron, decay_max=4096 - machine.current_decay_offset - draw(one([0, 1])),
        threshold_max=draw(one([machine.v_limit, machine.v_limit // 3])) >> machine.threshold_shift,
        bias_mantissa_max=machine.v_limit >> (exponent + draw(one([0, 4]))),
        bias_exponent_max=exponent, resets=resets,
        compares=draw(one([("gt",), ("ge",), ("gt", "ge")])),
        max_spikes_per_step=draw(one([1, 4])) if "subtract" in resets else 1,
        refractory_max=draw(one([0, 1, 5, 63])),
        initial_v=draw(st.booleans()))
    low = draw(one([0, 1]))
    synapse = replace(
        base.synapse, weight_bits=draw(one([(4, 8), (8,), (6, 12), (16,)])), exponent_min=low,
        exponent_max=low + draw(one([0, 7, 12])),
        accumulator_max=max(1, min((1 << 24) - 1, machine.u_limit >> machine.input_shift)),
        delay_max=draw(one([3, 5, 20, 62, 62])), aligned_bits=draw(one([0, 8])))
    signed = draw(st.booleans())
    return replace(base, name="custom", machine=machine, neuron=neuron, synapse=synapse,
                   input=replace(base.input, payload_bits=draw(one([9, 16])),
                                 payload_signed=signed))


@dataclass(frozen=True, repr=False)
class Case:
    """Something to compile."""

    network: Network
    contract: Contract
    target: TargetSpec
    options: Options
    seed: int

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text(repr(self))

    def __repr__(self) -> str:
        """What a person wants to see of a failing example; the blob reproduces it."""
        n = self.network
        sizes = [f"{p.name}: {type(p.model).__name__}{p.shape}" for p in n.populations]
        ways = [f"{q.name} by {[type(op).__name__ for op in q.ops]}" for q in n.projections]
        return "\n  ".join(["Case", *sizes, *ways, *(f"bias {b.name}" for b in n.biases),
                           str(self.contract), self.target.name, str(self.target.machine),
                           str(self.target.neuron), str(self.target.synapse), str(self.options),
                           f"seed {self.seed}"])


@st.composite
def cases(draw: st.DrawFn, chips: st.SearchStrategy[TargetSpec] | None = None) -> Case:
    network, target = draw(networks()), draw(targets() if chips is None else chips)
    return Case(network, draw(contracts(network, target)), target, Options(
        weight_bits=draw(st.sampled_from(target.synapse.weight_bits)), max_steps=64,
        accept_bounds=draw(st.booleans())), draw(st.integers(0, 2**32)))


def compile_phases(case: Case) -> tuple[Any, Any, Any, QuantizedNetwork, Mapping]:
    """Canonical network, discrete, scheduled, quantized, mapping. Raises ``CompileError``."""
    o = case.options
    canonical = Canonicalize().run(case.network)
    discrete = Discretize(case.contract).run(canonical)
    scheduled = Schedule(case.target).run(discrete)
    quantized = Quantize(o.weight_bits, o.decay_rounding, o.thresholds, o.max_steps,
                         o.accept_bounds).run(scheduled)
    return canonical, discrete, scheduled, quantized, Partition().run(quantized)


Inputs = dict[str, npt.NDArray[np.float64]]


def signal_of(rng: Rng, binding: InputBinding, shape: Shape, n_samples: int,
              n_steps: int) -> npt.NDArray[np.float64]:
    """Values an input may have; the first three samples are all its most, nothing, and in turn."""
    low, high = input_range(binding)
    constant = binding.mode in ("bias", "encoder")
    steps = 1 if constant else n_steps
    size = (n_samples, steps, *shape)
    whole = binding.mode in ("spikes", "counts")
    values = rng.integers(0, int(high) + 1, size).astype(float) if whole else \
        rng.uniform(low, high, size)
    if whole:
        values = values * (rng.random(size) < rng.uniform(0.2, 0.9))
    values[0] = high
    silent = max(0.0, low) if constant else 0.0
    values[1:2] = silent
    if n_samples > 2:
        values[2] = silent
        values[2, ::2] = high
        values[2, 1::3] = low if constant or low < 0 else 0.0
    return values


def input_range(binding: InputBinding) -> tuple[float, float]:
    if binding.mode == "spikes":
        return 0.0, 1.0
    assert binding.maximum is not None
    return binding.minimum or 0.0, binding.maximum


def inputs_of(case: Case, n_samples: int, n_steps: int) -> Inputs:
    rng = np.random.default_rng(case.seed)
    found = {}
    for port in case.network.inputs:
        binding = case.contract.binding(port.name)
        assert binding is not None
        found[port.name] = signal_of(rng, binding, port.shape, n_samples, n_steps)
    return found


def renamed(network: Network, names: dict[str, str]) -> Network:
    """The same network under other names of populations and ports of inputs."""
    return replace(
        network,
        populations=tuple(replace(p, name=names[p.name]) for p in network.populations),
        projections=tuple(replace(q, source=names[q.source], target=names[q.target])
                          for q in network.projections),
        biases=tuple(replace(b, target=names[b.target]) for b in network.biases),
        inputs=tuple(Port(names[p.population], names[p.population], p.shape)
                     for p in network.inputs),
        outputs=tuple(replace(p, population=names[p.population]) for p in network.outputs))


__all__ = ["DT_S", "Case", "Sketch", "cases", "chains", "compile_phases", "contracts", "conv_of",
           "convs", "custom_targets", "dense_of", "identity", "input_range", "inputs_of",
           "model_of", "networks", "operations", "pool_of", "renamed", "signal_of", "sparse_of",
           "targets"]
