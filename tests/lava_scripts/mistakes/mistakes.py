"""One mistake in the use of Lava: mistakes.py NAME. Says how far it came, so that a run that hangs
can be told from one that is slow."""

from __future__ import annotations

import sys

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.conv.process import Conv
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIF, LIFRefractory, LIFReset
from lava.proc.monitor.process import Monitor
from lava.proc.sparse.process import DelaySparse
from scipy.sparse import csr_matrix


def say(text):
    print(text, flush=True)


def go(process):
    say("run")
    process.run(condition=RunSteps(num_steps=2), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    say("ran")
    process.stop()
    say("stopped")


def lif(process=LIF, **parameters):
    node = process(shape=(2,), **parameters)
    RingBuffer(data=np.ones((2, 2), np.int32)).s_out.connect(node.a_in)
    return node


def link(process=Dense, **parameters):
    node = process(**{"weights": np.full((2, 2), 4), **parameters})
    RingBuffer(data=np.ones((2, 2), np.int32)).s_out.connect(node.s_in)
    node.a_out.connect(LIF(shape=(2,)).a_in)
    return node


def sparse(delay, kind=int):
    return link(DelaySparse, weights=csr_matrix(np.full((2, 2), 4)),
                delays=csr_matrix(np.full((2, 2), delay, kind)))


def conv(**parameters):
    shape = parameters.pop("input_shape", (200, 1, 1))
    node = Conv(**{"weight": np.ones((1, 1, 1, 1), int), "input_shape": shape, **parameters})
    RingBuffer(data=np.ones((*shape, 2), np.int32)).s_out.connect(node.s_in)
    return node


def set_before_run():
    node = lif()
    say("set")
    node.v.set(np.array([1, 2]))


def set_of_wrong_shape():
    node = lif()
    config = Loihi2SimCfg(select_tag="fixed_pt")
    node.run(condition=RunSteps(num_steps=1), run_cfg=config)
    node.v.set(np.array([1, 2, 3]))
    go(node)


def float_du_with_a_listener():
    """Another process waits for what the one that failed would have sent."""
    node = lif(du=0.5)
    sink = link()
    node.s_out.connect(sink.s_in)
    go(node)


def monitor_of_two():
    node, monitor = lif(), Monitor()
    monitor.probe(node.u, 2)
    monitor.probe(node.v, 2)
    go(node)


def connect_of_wrong_shape():
    source = RingBuffer(data=np.ones((3, 2), np.int32))
    source.s_out.connect(LIF(shape=(2,)).a_in)


MISTAKES = {
    "nothing": lambda: go(lif()),
    "float_du": lambda: go(lif(du=0.5)),
    "float_du_with_a_listener": float_du_with_a_listener,
    "float_vth": lambda: go(lif(vth=1.5)),
    "bias_of_wrong_shape": lambda: go(lif(bias_mant=np.array([1, 2, 3]))),
    "refractory": lambda: go(lif(LIFRefractory, refractory_period=2)),
    "interval_0": lambda: go(lif(LIFReset, reset_interval=0)),
    "flat_weights": lambda: go(link(weights=np.full(4, 4))),
    "delay_64": lambda: go(link(DelayDense, delays=np.full((2, 2), 64))),
    "delay_64_sparse": lambda: go(sparse(64)),
    "delay_63": lambda: go(link(DelayDense, delays=np.full((2, 2), 63))),
    "delay_63_sparse": lambda: go(sparse(63)),
    "delay_negative": lambda: go(link(DelayDense, delays=np.full((2, 2), -1))),
    "delays_int32": lambda: go(link(DelayDense, delays=np.full((2, 2), 1, np.int32))),
    "delays_int32_sparse": lambda: go(sparse(1, np.int32)),
    "conv_geometry_127": lambda: go(conv(stride=127, padding=127)),
    "conv_stride_128": lambda: go(conv(stride=128)),
    "conv_padding_128": lambda: go(conv(padding=128)),
    "conv_kernel_128": lambda: go(conv(weight=np.ones((1, 128, 1, 1), int))),
    "conv_dilation_128": lambda: go(conv(dilation=128, weight=np.ones((1, 2, 1, 1), int))),
    "set_before_run": set_before_run,
    "set_of_wrong_shape": set_of_wrong_shape,
    "monitor_of_two": monitor_of_two,
    "connect_of_wrong_shape": connect_of_wrong_shape,
}

if __name__ == "__main__":
    MISTAKES[sys.argv[1]]()
