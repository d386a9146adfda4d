"""Experiments on when things happen: every watch is [step, element], row 0 of it step 1."""

from __future__ import annotations

import numpy as np
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIF
from lava.utils.weightutils import SignMode
from workbench import Experiment, Watch

STEPS = 12


def source(columns, steps=STEPS):
    """Spikes at the given columns."""
    s = np.zeros((1, steps), np.int32)
    s[0, list(columns)] = 1
    return RingBuffer(data=s)


def relay(n=1):
    """Repeats what it gets at the same step: fires on any input and keeps nothing."""
    return LIF(shape=(n,), du=4095, dv=4095, vth=0)


def link(start, end, process=Dense, n=1, **parameters):
    node = process(weights=np.full((n, n), 4, np.int32), sign_mode=SignMode.EXCITATORY,
                   **parameters)
    start.s_out.connect(node.s_in)
    node.a_out.connect(end.a_in)


def times_of_a_source():
    ring = source([0, 3])
    return Experiment({}, [Watch("s", ring.s_out)], STEPS)


def times_of_a_short_source():
    """Four columns, twelve steps."""
    ring = source([1], 4)
    return Experiment({}, [Watch("s", ring.s_out)], STEPS)


def times_without_a_connection():
    ring, lif = source([2]), relay()
    ring.s_out.connect(lif.a_in)
    return Experiment({}, [Watch("s", lif.s_out)], STEPS)


def times_along_a_chain():
    ring, first, second = source([1]), relay(), relay()
    link(ring, first)
    link(first, second)
    return Experiment({}, [Watch("source", ring.s_out), Watch("first", first.s_out),
                           Watch("second", second.s_out)], STEPS)


def times_of_a_self_loop():
    ring, lif = source([1]), relay()
    link(ring, lif)
    link(lif, lif)
    return Experiment({}, [Watch("s", lif.s_out)], STEPS)


def times_of_a_loop_of_two():
    ring, first, second = source([1]), relay(), relay()
    link(ring, first)
    link(first, second)
    link(second, first)
    return Experiment({}, [Watch("first", first.s_out), Watch("second", second.s_out)], STEPS)


def times_of_a_delay():
    ring, lif = source([1]), relay()
    link(ring, lif, DelayDense, delays=np.array([[3]]))
    return Experiment({}, [Watch("s", lif.s_out)], STEPS)


def fan_in_is_a_sum():
    """Two connections and a port that is connected directly."""
    one, two, three = source([1]), source([1]), source([2])
    lif = LIF(shape=(1,), du=4095, dv=4095, vth=1000)
    link(one, lif)
    link(two, lif)
    three.s_out.connect(lif.a_in)
    return Experiment({}, [Watch("s", lif.s_out, {"u": lif.u})], STEPS)


EXPERIMENTS = {name: value for name, value in sorted(globals().items())
               if name.startswith(("times_", "fan_"))}
