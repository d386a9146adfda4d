"""Small networks at the corners of the hardware: what random ones reach too seldom.

Each is a case for one compiled design, small enough to run with and without stalls in a moment.
``tests/differential/test_rtl_corners.py`` holds them against the reference, ``tests/mutation``
lets them find changes of the library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from partition_factory import conv, network, neurons, project, source, sparse
from program_factory import narrow, placed

from neurocompile.ir.network import Port
from neurocompile.ir.quantized import (
    QuantizedDrive,
    QuantizedInput,
    QuantizedNetwork,
    QuantizedPopulation,
    QuantizedProjection,
)
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import Conv, Dense
from neurocompile.passes.assemble import Assemble
from neurocompile.reference.encode import EncodedInput
from neurocompile.targets import load_target
from neurocompile_backends.rtl.plan.chip import plan_chip
from neurocompile_backends.rtl.plan.design import ChipPlan

Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Corner:
    """``plan``: its hardware; ``data``: three samples, of which the first gives every input the
    most it can, the second the least."""

    quantized: QuantizedNetwork
    plan: ChipPlan
    data: EncodedInput


def small_target(name: str = "generic", *, bits: int = 24, fifo: int = 4, shift: int = 6,
                 ) -> TargetSpec:
    """``bits`` of u and v, ``fifo`` flits that wait at a core."""
    base = load_target(name)
    machine = replace(base.machine, u_bits=bits, v_bits=bits, input_shift=shift)
    synapse = replace(base.synapse, accumulator_max=machine.u_limit >> shift)
    return replace(base, machine=machine, synapse=synapse,
                   timing=replace(base.timing, core_buffer=fifo))


def dense(rng: Rng, n_out: int, n_in: int, low: int = -60, high: int = 90) -> Dense:
    return Dense(rng.integers(low, high + 1, (n_out, n_in)).astype(np.int8), (n_in,), (n_out,))


def corner(target: TargetSpec, populations: list[QuantizedPopulation],
           projections: list[QuantizedProjection], inputs: tuple[QuantizedInput, ...],
           outputs: tuple[str, ...], *, per_core: int = 100, lanes: int = 2, steps: int = 8,
           seed: int = 0, quiet: float = 0.3, drives: tuple[QuantizedDrive, ...] = (),
           biases: dict[str, npt.NDArray[np.int64]] | None = None) -> Corner:
    built = network(target, populations, projections, inputs)
    sizes = {p.name: p.shape for p in populations}
    discrete = built.scheduled.discrete
    floats = replace(discrete.network,
                     outputs=tuple(Port(name, name, sizes[name]) for name in outputs))
    scheduled = replace(built.scheduled, discrete=replace(discrete, network=floats))
    quantized = replace(built, scheduled=scheduled, drives=drives)
    program = Assemble().run(placed(quantized, per_core))
    plan = plan_chip(program, quantized, (lanes,) * len(program.cores))
    rng = np.random.default_rng(seed)
    payloads: dict[str, npt.NDArray[Any]] = {}
    for i in inputs:
        n = quantized.population(i.name).n
        values = rng.integers(i.low, i.high + 1, (3, steps, n))
        values[rng.random(values.shape) < quiet] = 0
        values[0], values[1] = i.high, i.low
        payloads[i.name] = values
    return Corner(quantized, plan, EncodedInput(3, steps, payloads, biases or {}))


def counts(name: str, high: int = 1) -> QuantizedInput:
    return QuantizedInput(name, "counts", 1.0, 0, high)


def graded(name: str, low: int, high: int) -> QuantizedInput:
    return QuantizedInput(name, "graded", 1.0, low, high)


# ---- The corners.


def saturation() -> Corner:
    """u and v of 12 bits leave their range at both ends, payloads of both signs; currents are
    remembered, thresholds are compared in both ways, and some neurons start beyond zero."""
    rng = np.random.default_rng(1)
    h = neurons("h", 7, current_decay=rng.integers(0, 900, 7),
                membrane_decay=rng.integers(0, 200, 7), threshold=rng.integers(500, 2000, 7),
                bias_mantissa=rng.integers(-300, 300, 7), initial_v=rng.integers(-2047, 2047, 7),
                reset="subtract")
    g = neurons("g", 3, threshold=np.array([2047, 1, 100]), reset="none", compare="ge",
                current_decay=np.array([0, 4096, 2000]))
    return corner(
        small_target(bits=12, shift=2), [source("x", 5), h, g],
        [project("x->h", "x", "h", dense(rng, 7, 5, -22, 22)),
         project("x->g", "x", "g", dense(rng, 3, 5, -22, 22)),
         project("h->h", "h", "h", dense(rng, 7, 7, -22, 22)),
         project("h->g", "h", "g", dense(rng, 3, 7, -22, 22))],
        (graded("x", -3, 3),), ("h", "g"), lanes=3, steps=12)


def counted() -> Corner:
    """Up to five spikes a step, of neurons that count to different numbers and compare in both
    ways, onto themselves and into a neuron that is read."""
    rng = np.random.default_rng(2)
    a = neurons("a", 5, threshold=np.array([40, 64, 90, 33, 200]), reset="subtract", max_spikes=5)
    b = neurons("b", 3, threshold=np.array([64, 128, 32]), reset="zero", max_spikes=2,
                compare="ge", bias_mantissa=np.array([0, 64, 32]))
    read = neurons("read", 2, role="analog", reset="none", membrane_decay=np.full(2, 300),
                   initial_v=np.array([5, -9]))
    return corner(
        small_target(bits=16, shift=0), [source("x", 6), a, b, read],
        [project("x->a", "x", "a", dense(rng, 5, 6)), project("x->b", "x", "b", dense(rng, 3, 6)),
         project("a->b", "a", "b", dense(rng, 3, 5, -20, 32)),
         project("a->a", "a", "a", dense(rng, 5, 5, -20, 10)),
         project("b->read", "b", "read", dense(rng, 2, 3))],
        (counts("x", 2),), ("a", "b", "read"), lanes=3, steps=10, per_core=100)


def delayed_reset() -> Corner:
    """Thresholds are subtracted in the next step, several at once, at both limits of v, beside
    neurons that reset at once."""
    rng = np.random.default_rng(3)
    a = neurons("a", 4, threshold=np.array([100, 700, 40, 1500]), reset="subtract_delayed",
                max_spikes=3, current_decay=np.full(4, 1500), initial_v=np.array([0, 2000, -5, 9]))
    b = neurons("b", 2, threshold=np.array([50, 90]), reset="zero", compare="ge")
    read = neurons("read", 2, role="analog", reset="none")
    return corner(
        small_target(bits=12, shift=1), [source("x", 4), a, b, read],
        [project("x->a", "x", "a", dense(rng, 4, 4, -60, 80)),
         project("a->b", "a", "b", dense(rng, 2, 4)),
         project("b->a", "b", "a", dense(rng, 4, 2, -120, 20)),
         project("a->read", "a", "read", dense(rng, 2, 4))],
        (counts("x", 3),), ("a", "b", "read"), lanes=2, steps=12)


def pauses() -> Corner:
    """Neurons that pause after a spike, for different times on one core, beside some that do not:
    their v is kept whatever its decay, their bias and what comes in are not added."""
    rng = np.random.default_rng(11)
    a = neurons("a", 5, threshold=np.array([40, 90, 64, 200, 33]), reset="subtract", max_spikes=2,
                membrane_decay=rng.integers(300, 900, 5), bias_mantissa=np.array([9, -7, 0, 64, 3]),
                refractory_steps=3)
    b = neurons("b", 3, threshold=np.array([70, 150, 400]), reset="subtract_delayed",
                membrane_decay=np.full(3, 500), current_decay=np.full(3, 1500), refractory_steps=1)
    c = neurons("c", 2, bias_mantissa=np.array([5, -5]))
    return corner(
        small_target(bits=16, shift=0), [source("x", 6), a, b, c],
        [project("x->a", "x", "a", dense(rng, 5, 6)), project("x->b", "x", "b", dense(rng, 3, 6)),
         project("a->b", "a", "b", dense(rng, 3, 5)), project("b->a", "b", "a", dense(rng, 5, 3)),
         project("a->c", "a", "c", dense(rng, 2, 5))],
        (counts("x", 2),), ("a", "b", "c"), lanes=2, steps=16)


def ring() -> Corner:
    """Delays of axons and of synapses, up to one less than the ring has slots, for longer than it
    takes to go round; lists beside rows, several sections in a core."""
    rng = np.random.default_rng(4)
    a = neurons("a", 5, threshold=np.full(5, 60))
    b = neurons("b", 4, threshold=np.full(4, 50), latency=1, initial_v=np.array([30, 0, -20, 0]))
    return corner(
        small_target(shift=0), [source("x", 5), a, b],
        [project("x->a", "x", "a", dense(rng, 5, 5), source_delay=[0, 1, 2, 3, 0]),
         narrow(project("a->b", "a", "b", dense(rng, 4, 5, -30, 60), source_delay=[2, 0, 0, 1, 0],
                        target_delay=[0, 2, 1, 0]), 7, 1),
         project("b->a", "b", "a", sparse(5, 4, 2, rng), source_delay=[1, 3, 0, 0])],
        (counts("x"),), ("a", "b"), lanes=2, steps=16)


def convolved() -> Corner:
    """A convolution with stride, padding and groups, a dilated one and pooling: three loops,
    formats of other shifts, three blocks of channels, three lines of a kernel."""
    rng = np.random.default_rng(5)

    def weights(c: Conv) -> Conv:
        return replace(c, weight=rng.integers(-6, 12, c.weight.shape).astype(np.int8))

    first = weights(conv((2, 5, 4), 6, (3, 3), (2, 1), (1, 1), groups=2))
    second = weights(conv(first.out_chw, 5, (3, 2), (1, 1), (1, 0), (1, 2)))
    pool = conv(first.out_chw, 6, (1, 2), (1, 2), groups=6)
    return corner(
        small_target(shift=0), [source("x", (2, 5, 4)),
                                neurons("c", first.out_chw, threshold=np.full(
                                    int(np.prod(first.out_chw)), 14)),
                                neurons("d", second.out_chw, threshold=np.full(
                                    int(np.prod(second.out_chw)), 11)),
                                neurons("p", pool.out_chw, threshold=np.full(
                                    int(np.prod(pool.out_chw)), 1))],
        [narrow(project("x->c", "x", "c", first), 6, 0),
         narrow(project("c->d", "c", "d", second), 6, 1),
         narrow(project("c->p", "c", "p", pool), 4, 2)],
        (counts("x"),), ("c", "d", "p"), lanes=2, steps=5, quiet=0.6, per_core=1000)


def one_row() -> Corner:
    """Fewer neurons than lanes: every axon adds to the same accumulators at once, and only an idle
    cycle keeps the next from reading a sum that is not written yet."""
    rng = np.random.default_rng(6)
    a = neurons("a", 3, threshold=np.full(3, 300), reset="subtract")
    return corner(
        small_target(shift=0), [source("x", 8), a],
        [project("x->a", "x", "a", dense(rng, 3, 8, 20, 90)),
         project("a->a", "a", "a", dense(rng, 3, 3, -50, 50))],
        (counts("x"),), ("a",), lanes=4, steps=6, quiet=0.1)


def crowd() -> Corner:
    """Seven cores that all fire into one another and to the host, FIFOs of two flits: they fill,
    and senders pass over receivers that have no room. Most neurons have several output axons,
    some none."""
    rng = np.random.default_rng(7)
    names = ["a", "b", "c", "d", "e"]
    populations = [neurons(n, 2 + i, threshold=rng.integers(20, 90, 2 + i))
                   for i, n in enumerate(names)]
    lonely = neurons("z", 3, threshold=np.full(3, 10))
    projections = [project(f"x->{n}", "x", n, dense(rng, 2 + i, 4)) for i, n in enumerate(names)]
    projections += [project(f"{m}->{n}", m, n, dense(rng, 2 + i, 2 + j, -40, 60))
                    for i, n in enumerate(names) for j, m in enumerate(names) if (i + j) % 3]
    projections.append(project("x->z", "x", "z", dense(rng, 3, 4)))
    return corner(small_target(fifo=2, shift=0), [source("x", 4), *populations, lonely],
                  projections, (counts("x"),), ("a", "c", "e"), per_core=4, lanes=1, steps=6)


def host_memory() -> Corner:
    """Synaptic memory that the host writes, biases that it loads for every sample."""
    rng = np.random.default_rng(8)
    a = neurons("a", 10, threshold=rng.integers(50, 300, 10), bias_exponent=np.full(10, 2),
                bias_mantissa=rng.integers(-20, 40, 10))
    b = neurons("b", 3, threshold=np.full(3, 64))
    drive = QuantizedDrive("y", "a", Dense(np.eye(10), (10,), (10,)), np.ones(10), np.zeros(10),
                           -30.0, 30.0, 30, 2)
    return corner(
        small_target("ice40-up5k", shift=0), [source("x", 6), a, b],
        [project("x->a", "x", "a", dense(rng, 10, 6)),
         project("a->b", "a", "b", dense(rng, 3, 10, -127, 127))],
        (counts("x"),), ("a", "b"), lanes=4, steps=6, drives=(drive,),
        biases={"a": rng.integers(-30, 30, (3, 10)) << 2})


def banks() -> Corner:
    """Synaptic memories of three banks each, with a last one that is not full, and spikes that
    count once or carry payloads."""
    rng = np.random.default_rng(9)
    a = neurons("a", 3, threshold=np.array([500, 900, 1500]))
    b = neurons("b", 2, threshold=np.array([60, 5]))
    return corner(
        small_target("ecp5-25f", shift=0), [source("x", 700), source("y", 1100), a, b],
        [project("x->a", "x", "a", dense(rng, 3, 700)),
         project("y->b", "y", "b", dense(rng, 2, 1100, -20, 25), target_delay=[0, 1]),
         project("a->b", "a", "b", dense(rng, 2, 3))],
        (graded("x", -1, 2), counts("y")), ("a", "b"), lanes=1, steps=3, quiet=0.8)


def late_start() -> Corner:
    """Populations that start in different steps, from a membrane of their own, with decays and
    other parameters by neuron; a graded readout drives neurons."""
    rng = np.random.default_rng(10)
    a = neurons("a", 4, latency=0, threshold=np.array([20, 40, 60, 80]),
                membrane_decay=np.array([0, 1, 2048, 4096]), initial_v=np.array([9, -9, 15, -15]),
                current_decay=np.array([4096, 0, 1, 2048]))
    read = neurons("read", 2, latency=1, role="analog", reset="none",
                   initial_v=np.array([3, -3]), current_decay=np.array([100, 4000]))
    b = neurons("b", 3, latency=3, threshold=np.array([30, 60, 90]), reset="subtract",
                initial_v=np.array([29, -7, 91]), current_decay=np.array([7, 70, 700]))
    return corner(
        small_target(bits=16, shift=0), [source("x", 4), a, read, b],
        [project("x->a", "x", "a", dense(rng, 4, 4)),
         project("a->read", "a", "read", dense(rng, 2, 4, -9, 9)),
         project("a->b", "a", "b", dense(rng, 3, 4)),
         project("x->b", "x", "b", dense(rng, 3, 4), source_delay=[2, 2, 2, 2])],
        (counts("x"),), ("a", "read", "b"), lanes=2, steps=9)


CORNERS: dict[str, Callable[[], Corner]] = {
    make.__name__: make for make in (
        saturation, counted, delayed_reset, pauses, ring, convolved, one_row, crowd, host_memory,
        banks, late_start)}
