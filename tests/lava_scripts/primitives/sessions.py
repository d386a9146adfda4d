"""Experiments that need starts of their own: several runs, Var.set and get, Monitor, and parts
that are not connected. Each gives its arrays itself."""

from __future__ import annotations

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIF, LIFReset
from lava.proc.monitor.process import Monitor
from lava.utils.weightutils import SignMode
from workbench import config, numbers


def _go(process, steps):
    process.run(condition=RunSteps(num_steps=steps), run_cfg=config())


def monitors_show_the_state_after_the_reset():
    """A neuron that fires at every second step, watched by Lava's Monitor."""
    a = np.full((1, 6), 60, np.int32)
    source, lif = RingBuffer(data=a), LIF(shape=(1,), du=4095, dv=0, vth=100)
    source.s_out.connect(lif.a_in)
    watched = {"s": lif.s_out, "u": lif.u, "v": lif.v}
    monitors = {name: Monitor() for name in watched}
    for name, target in watched.items():
        monitors[name].probe(target, 6)
    _go(lif, 6)
    found = {}
    for name, monitor in monitors.items():
        (values,) = monitor.get_data()[lif.name].values()
        found[name] = values
    lif.stop()
    return {"a": a, **found}


def _chain(steps):
    """Source, delayed connection, neuron, sink: something is under way after every run."""
    source = RingBuffer(data=numbers((3, steps), 0, 1, 50))
    link = DelayDense(weights=numbers((2, 3), 1, 200, 51), delays=numbers((2, 3), 0, 3, 52).astype(
        int), sign_mode=SignMode.EXCITATORY)
    lif = LIF(shape=(2,), du=600, dv=300, vth=400)
    sink = Sink(shape=(2,), buffer=2 * steps)
    source.s_out.connect(link.s_in)
    link.a_out.connect(lif.a_in)
    lif.s_out.connect(sink.a_in)
    return link, lif, sink


def _twice(cleared):
    """Two runs of the same ten inputs; ``cleared``: the Vars that are zeroed between them."""
    link, lif, sink = _chain(10)
    _go(lif, 10)
    states = {"u": lif.u, "v": lif.v, "a_buff": link.a_buff}
    left = {name: var.get() for name, var in states.items()}
    for name in cleared:
        states[name].set(np.zeros(states[name].shape, np.int32))
    _go(lif, 10)
    found = {"s": sink.data.get().T, "u_end": lif.u.get(), "v_end": lif.v.get(),
             **{f"{name}_left": value for name, value in left.items()}}
    lif.stop()
    return found


def runs_with_nothing_cleared():
    return _twice([])


def runs_with_states_cleared():
    return _twice(["u", "v"])


def runs_with_everything_cleared():
    return _twice(["u", "v", "a_buff"])


def runs_continue_the_time():
    """4 steps and then 4: the source goes on with column 4, and LIFReset counts on (its resets
    are at 6 and 12, not at 6 of each run)."""
    a = np.arange(1, 9, dtype=np.int32).reshape(1, 8)
    source = RingBuffer(data=a)
    lif = LIFReset(shape=(1,), du=4095, dv=0, vth=1000, reset_interval=6, reset_offset=0)
    source.s_out.connect(lif.a_in)
    v = []
    for steps in (4, 1, 1, 1, 1):
        _go(lif, steps)
        v.append(lif.v.get()[0])
    lif.stop()
    return {"a": a, "v": np.array(v)}


def sets_hold_from_the_next_step():
    """States and registers set between runs; the bias is read at every step, the threshold once.
    """
    source = RingBuffer(data=np.zeros((2, 1), np.int32))
    lif = LIF(shape=(2,), du=4095, dv=0, vth=100, bias_mant=np.array([1, 2]))
    source.s_out.connect(lif.a_in)
    sink = Sink(shape=(2,), buffer=8)
    lif.s_out.connect(sink.a_in)
    v = []

    def go():
        _go(lif, 1)
        v.append(lif.v.get().copy())

    go()
    lif.v.set(np.array([1000, -1000]))
    go()
    lif.bias_mant.set(np.array([7, 9]))
    go()
    lif.vth.set(np.array([1]))
    go()
    lif.bias_exp.set(np.array([1, -1]))
    go()
    spikes = sink.data.get().T[:5]
    lif.stop()
    return {"v": np.array(v), "s": spikes}


def weights_set_later_are_not_clipped():
    """Dense clips and truncates at its first step only."""
    source = RingBuffer(data=np.ones((1, 1), np.int32))
    node = Dense(weights=np.array([[301]]), sign_mode=SignMode.MIXED)
    sink = Sink(shape=(1,), buffer=6)
    source.s_out.connect(node.s_in)
    node.a_out.connect(sink.a_in)
    _go(node, 3)
    before = node.weights.get()
    node.weights.set(np.array([[301]]))
    _go(node, 3)
    found = {"a": sink.data.get().T, "weights_before": before, "weights_after": node.weights.get()}
    node.stop()
    return found


def parts_that_are_not_connected_do_not_run():
    """Two neurons driven by their biases; the first is run."""
    ran, other = (LIF(shape=(1,), du=4095, dv=0, vth=1000, bias_mant=5) for _ in range(2))
    sinks = [Sink(shape=(1,), buffer=4) for _ in range(2)]
    for lif, sink in zip((ran, other), sinks, strict=True):
        lif.s_out.connect(sink.a_in)
    _go(ran, 3)
    found = {"ran": np.atleast_1d(ran.v.get()), "other": np.atleast_1d(other.v.get())}
    ran.stop()
    return found


EXPERIMENTS = {name: value for name, value in sorted(globals().items())
               if name.startswith(("monitors_", "runs_", "sets_", "weights_", "parts_"))}
