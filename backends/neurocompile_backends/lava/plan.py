"""Which Lava processes a QuantizedNetwork becomes, before any of it is written.

Lava's own names and conventions are used from here on (docs/lava.md): a stored weight is the
mantissa at the top of an 8-bit field, so that ``num_weight_bits`` and ``sign_mode`` take nothing
off it, and ``weight_exp`` what remains of the exponent.
"""

from __future__ import annotations

import itertools
import keyword
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from neurocompile.ir.base import Array, n_elements
from neurocompile.ir.quantized import (
    QuantizedDrive,
    QuantizedInput,
    QuantizedNetwork,
    QuantizedPopulation,
    QuantizedProjection,
)
from neurocompile.ir.transforms import Conv, Dense, Sparse, to_sparse

ALIGNED_BITS = 8
"""Lava clips weights to 8 bits, and a sign where signs are mixed."""
INT8_MAX = 127
"""Lava's Conv holds kernel size, stride, padding and dilation in int8."""
DENSE_DELAYS = 1 << 18
"""Synapses times delay slots up to which delays of a sparse projection are held as a matrix.

In each step DelaySparse builds a sparse matrix for every delay, which costs the same however small
it is; DelayDense masks one array, which is faster until that array is large."""

RESERVED = frozenset({
    *keyword.kwlist, *keyword.softkwlist, "adapter", "arrays", "biases", "build", "csr",
    "csr_delays_of", "delays_of", "flat", "into_chip", "join", "main", "network", "np", "period",
    "planes", "signals", "support", "sys"})
"""Names that program.py uses itself."""

ProcessName = Literal["Dense", "DelayDense", "Sparse", "DelaySparse", "Conv"]


@dataclass(frozen=True, eq=False)
class Neurons:
    """A population as LIFReset; ``per_neuron`` where decays or thresholds differ."""

    key: str
    population: QuantizedPopulation
    per_neuron: bool


@dataclass(frozen=True, eq=False)
class Connection:
    """A projection. ``weight_exp`` and ``num_weight_bits`` as Lava's processes take them."""

    key: str
    source: str
    target: str
    projection: QuantizedProjection
    process: ProcessName
    weight_exp: int
    num_weight_bits: int
    num_message_bits: int

    @property
    def weight_shift(self) -> int:
        """Bits a mantissa is shifted by to lie at the top of Lava's field."""
        return weight_shift(self.projection)


@dataclass(frozen=True, eq=False)
class Plan:
    """``islands``: keys of one population of each part of the network that nothing connects with
    the first one. Lava runs what is connected."""

    network: QuantizedNetwork
    inputs: dict[str, QuantizedInput]
    neurons: tuple[Neurons, ...]
    connections: tuple[Connection, ...]
    drives: tuple[tuple[str, QuantizedDrive], ...]
    islands: tuple[str, ...]


def plan(network: QuantizedNetwork) -> Plan:
    """The processes of a network that :func:`~.check.check` has accepted."""
    populations = {p.name: p for p in network.populations}
    used = {q.source for q in network.projections}
    # An input that nothing on the chip listens to (the host reads it, or nobody) has no process.
    inputs = {i.name: i for i in network.inputs if i.name in used}
    keys = _keys([*inputs, *(p.name for p in network.populations if p.role != "source")])
    neurons = tuple(Neurons(keys[p.name], p, is_per_neuron(p))
                    for p in network.populations if p.role != "source")
    used_keys = {*RESERVED, *keys.values()}
    connections = []
    for q in network.projections:
        key = _free(f"{keys[q.source]}_to_{keys[q.target]}", used_keys)
        used_keys |= {key, weights_key(key)}
        connections.append(_connection(key, keys, q, populations[q.source],
                                       inputs.get(q.source)))
    drives = tuple((f"drive_{i}", d) for i, d in enumerate(network.drives))
    return Plan(network, {keys[name]: i for name, i in inputs.items()}, neurons,
                tuple(connections), drives, _islands([n.key for n in neurons], connections))


def weights_key(key: str) -> str:
    """The variable of program.py that holds a connection's sparse matrix."""
    return f"{key}_weights"


def is_per_neuron(p: QuantizedPopulation) -> bool:
    """Lava's LIF has one du, dv and vth a process."""
    return not all(map(uniform, (p.current_decay, p.membrane_decay, p.threshold)))


def uniform(values: Array) -> bool:
    """Are all values the first one?"""
    return bool(np.all(values == values[0]))


def weight_shift(q: QuantizedProjection) -> int:
    """Low bits of Lava's weight field that a mantissa of this format does not reach."""
    return ALIGNED_BITS - q.format.bits + int(q.format.signed)


def delays(q: QuantizedProjection) -> tuple[int, int]:
    """The shortest and the longest delay in steps."""
    return (int(q.source_delay.min() + q.target_delay.min()),
            int(q.source_delay.max() + q.target_delay.max()))


def fits_conv(q: QuantizedProjection) -> bool:
    """Is Lava's Conv exact? It ignores weight_exp, has no delays, and pads alike at both ends."""
    t = q.transform
    if not isinstance(t, Conv) or delays(q)[1] or q.format.exponent != weight_shift(q):
        return False
    if max(*t.weight.shape[2:], *t.stride, *t.padding, *t.dilation, t.groups) > INT8_MAX:
        return False
    sizes = []
    for axis in (0, 1):
        reach = t.dilation[axis] * (t.weight.shape[2 + axis] - 1) + 1
        sizes.append((t.in_chw[1 + axis] + 2 * t.padding[axis] - reach) // t.stride[axis] + 1)
    return sizes == list(t.out_chw[1:])


def weights(c: Connection) -> npt.NDArray[np.int16]:
    """Stored weights of a Dense [target, source] or a Conv (c_out, x, y, c_in): Lava convolves,
    NIR correlates, so that kernels are flipped; x is the row and y the column."""
    t = c.projection.transform
    values = np.left_shift(t.weight.astype(np.int16), c.weight_shift)
    if isinstance(t, Conv) and c.process == "Conv":
        return np.ascontiguousarray(values[:, :, ::-1, ::-1].transpose(0, 2, 3, 1))
    if isinstance(t, Dense):
        return values.reshape(n_elements(t.out_shape), n_elements(t.in_shape))
    sparse = unfolded(c)
    matrix = np.zeros((n_elements(t.out_shape), n_elements(t.in_shape)), np.int16)
    rows = np.repeat(np.arange(len(sparse.indptr) - 1), np.diff(sparse.indptr))
    np.add.at(matrix, (rows, sparse.indices), sparse.values)
    return matrix


def unfolded(c: Connection) -> Sparse:
    """Stored weights of a Sparse, a convolution written out."""
    sparse = to_sparse(c.projection.transform)
    return sparse.with_weight(np.left_shift(sparse.values.astype(np.int16), c.weight_shift))


def _connection(key: str, keys: dict[str, str], q: QuantizedProjection,
                source: QuantizedPopulation, sent: QuantizedInput | None) -> Connection:
    low, high = (0, source.max_spikes) if sent is None else (sent.low, sent.high)
    return Connection(
        key, keys[q.source], keys[q.target], q, _process(q), q.format.exponent - weight_shift(q),
        q.format.bits, message_bits(low, high))


def _process(q: QuantizedProjection) -> ProcessName:
    longest = delays(q)[1]
    if isinstance(q.transform, Dense):
        return "DelayDense" if longest else "Dense"
    if fits_conv(q):
        return "Conv"
    if not longest:
        return "Sparse"
    size = n_elements(q.transform.in_shape) * n_elements(q.transform.out_shape)
    return "DelayDense" if size * (longest + 1) <= DENSE_DELAYS else "DelaySparse"


def message_bits(low: int, high: int) -> int:
    """0 for spikes; else 8, 16, 24 or 32, whichever holds the payload and its sign."""
    if low >= 0 and high <= 1:
        return 0
    needed = max(high.bit_length(), (-low).bit_length()) + int(low < 0)
    return next(bits for bits in (8, 16, 24, 32) if needed <= bits)


def _keys(names: Iterable[str]) -> dict[str, str]:
    """Identifiers for names that may hold anything; distinct, and the same for the same names."""
    keys: dict[str, str] = {}
    used = set(RESERVED)
    for name in names:
        stem = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40] or "n"
        if stem[0].isdigit():
            stem = f"n{stem}"
        keys[name] = _free(stem, used)
        used.add(keys[name])
    return keys


def _free(stem: str, used: set[str]) -> str:
    return next(key for number in itertools.count(1)
                if not {key := stem if number == 1 else f"{stem}_{number}",
                        weights_key(key)} & used)


def _islands(keys: list[str], connections: Sequence[Connection]) -> tuple[str, ...]:
    """One population of each part that is not connected with the first."""
    root = {key: key for key in keys}

    def find(key: str) -> str:
        root.setdefault(key, key)
        while root[key] != key:
            root[key] = root[root[key]]
            key = root[key]
        return key

    for c in connections:
        root[find(c.source)] = find(c.target)
    first: dict[str, str] = {}
    for key in keys:
        first.setdefault(find(key), key)
    return tuple(first.values())[1:]
