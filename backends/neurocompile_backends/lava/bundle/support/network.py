"""What program.py says of its network, and how it is wired."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from lava.proc.dense.process import Dense
from lava.proc.io.source import RingBuffer
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class Input:
    """An input that is sent: payload integers in [low, high], value = payload * scale."""

    mode: str
    scale: float
    low: int
    high: int


@dataclass(frozen=True)
class Drive:
    """An input that the host turns into bias registers, once a sample.

    bias = gain * (weights @ x) + constant, rounded to mantissa << exponent. ``weights``, ``gain``
    and ``constant`` are arrays of network.npz; several drives of a population add up first.
    """

    input: str
    population: str
    low: float
    high: float
    mantissa_max: int
    exponent_max: int
    arrays: str


@dataclass(frozen=True)
class Output:
    """An output: what is read of which population. ``latency``: the chip step of its step 0."""

    population: str
    shape: tuple
    latency: int


@dataclass
class Network:
    """The processes of a network, by the names its author gave them."""

    populations: dict = field(default_factory=dict)
    connections: dict = field(default_factory=dict)


def csr(arrays, name, shape):
    """A sparse matrix of network.npz."""
    parts = (arrays[f"{name}.{part}"] for part in ("values", "indices", "indptr"))
    values, indices, indptr = parts
    return csr_matrix((values.astype(np.int32), indices, indptr), shape=shape)


def delays_of(arrays, name, shape):
    """Delay of each synapse in steps [target, source]: what its source and its target have."""
    source = np.broadcast_to(arrays[f"{name}.source_delay"], (shape[1],))
    target = np.broadcast_to(arrays[f"{name}.target_delay"], (shape[0],))
    return (target[:, None] + source[None, :]).astype(int)  # DelayDense insists on it


def csr_delays_of(arrays, name, weights):
    """The same for the synapses of a sparse matrix only."""
    rows = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    source = np.broadcast_to(arrays[f"{name}.source_delay"], (weights.shape[1],))
    target = np.broadcast_to(arrays[f"{name}.target_delay"], (weights.shape[0],))
    values = (target[rows] + source[weights.indices]).astype(int)  # DelaySparse insists on it
    return csr_matrix((values, weights.indices.copy(), weights.indptr.copy()),
                      shape=weights.shape)


def planes(port, channels_first):
    """A flat port in (channel, row, column) order as Lava's Conv takes it: (row, column,
    channel)."""
    return port.reshape(channels_first).transpose((1, 2, 0))


def flat(port):
    """The other way round."""
    return port.transpose((2, 0, 1)).flatten()


def into_chip(port, adapter, num_message_bits):
    """A source's port; on a chip, behind what takes spikes onto it."""
    if adapter is None:
        return port
    bridge = adapter(shape=port.shape, num_message_bits=num_message_bits)
    port.connect(bridge.inp)
    return bridge.out


def join(populations):
    """Connects parts of a network with a source that never says anything: Lava runs what is
    connected with the process that is run."""
    silence = RingBuffer(data=np.zeros((1, 1), np.int32))
    for lif in populations:
        link = Dense(weights=np.zeros((lif.a_in.shape[0], 1), np.int32),
                     sign_mode=SignMode.EXCITATORY)
        silence.s_out.connect(link.s_in)
        link.a_out.connect(lif.a_in)
