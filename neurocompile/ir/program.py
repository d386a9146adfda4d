"""``Program``: what a chip loads. Memory images of every core, and the tables to read them by.

docs/program.md describes every record. Numbers that a chip does not see, such as names, are kept
apart in ``Symbols``: with them a Program says all of the placed network and is read back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from neurocompile.ir.base import Array, IntArray, Node, register
from neurocompile.ir.mapping import Placement
from neurocompile.ir.target import TargetSpec

ENCODINGS = ("dense", "sparse", "conv")
SIGNS = ("mixed", "excitatory", "inhibitory")
KINDS = ("spiking", "analog")
RESETS = ("none", "zero", "subtract", "subtract_delayed")
COMPARES = ("gt", "ge")


@register
@dataclass(frozen=True, eq=False)
class Field(Node):
    """A field of a record: ``bits`` wide, two's complement if ``signed``."""

    name: str
    bits: int
    signed: bool = False


@register
@dataclass(frozen=True, eq=False)
class Layout(Node):
    """The record of a table: its fields from bit 0 up, filled to whole bytes."""

    table: str
    fields: tuple[Field, ...]

    @property
    def record_bits(self) -> int:
        return -(-sum(f.bits for f in self.fields) // 8) * 8


@register
@dataclass(frozen=True, eq=False)
class Geometry(Node):
    """A convolution as address generators see it; see ``neurocompile.ir.transforms.Conv``."""

    in_chw: tuple[int, int, int]
    out_chw: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


@register
@dataclass(frozen=True, eq=False)
class CoreImage(Node):
    """The memories of one core, as bytes (uint8).

    sections
        Runs of neurons of one population, in ascending order of their elements.
    neurons, configurations, thresholds
        A record a neuron; what several of them share.
    formats
        How the synapses of a projection are stored here, and which section they go to.
    inputs
        A record an input axon: its format and where its synapses are.
    outputs
        A record an output axon: a core and an input axon of it.
    delays
        Delays of neurons of a convolution, where they differ.
    synapses
        Synaptic memory, whole words.
    """

    core: int
    sections: Array
    neurons: Array
    configurations: Array
    thresholds: Array
    formats: Array
    inputs: Array
    outputs: Array
    delays: Array
    synapses: Array


COLUMNS: dict[str, tuple[str, ...]] = {
    "sections": ("population", "first", "count", "kind", "start"),
    "neurons": ("element", "configuration", "threshold", "bias_mantissa", "bias_exponent",
                "initial_v", "output", "outputs"),
    "configurations": ("current_decay", "membrane_decay", "reset", "compare", "max_spikes",
                       "refractory_steps"),
    "thresholds": ("threshold",),
    "formats": ("projection", "section", "encoding", "weight_bits", "sign", "exponent",
                "delay_bits", "index_bits", "geometry", "address", "delay", "delays"),
    "inputs": ("format", "synapses", "address", "delay"),
    "outputs": ("core", "axon"),
    "delays": ("delay",),
}
"""The fields of every record, from bit 0 up."""

TABLES = tuple(COLUMNS)
"""The tables of a core, which are records of a :class:`Layout` each; synapses are no records."""

SIGNED = ("bias_mantissa", "initial_v")
"""Fields that may be negative."""


@register
@dataclass(frozen=True, eq=False)
class HostTable(Node):
    """Axons of an input, held by the host: those of element j are records ``first[j]`` to
    ``first[j + 1]`` of ``outputs``, which is packed as the cores' tables of that name are.

    ``parallel``: how many spikes of one step an element may have. Its records are as many equal
    parts, and k spikes take the first k of them.
    """

    population: str
    parallel: int
    first: IntArray
    outputs: Array


@register
@dataclass(frozen=True, eq=False)
class Symbols(Node):
    """Names of what images hold as numbers: population and projection by index, and the shape of
    each population flattened."""

    populations: tuple[str, ...]
    sizes: tuple[int, ...]
    projections: tuple[str, ...]


@register
@dataclass(frozen=True, eq=False)
class Program(Node):
    """Everything a chip of ``target`` loads.

    network
        Digest of the ``QuantizedNetwork`` this is assembled from.
    proved
        No sum can leave the ranges that the target's arithmetic was checked for.
    chip, x, y
        Where core i is, shape (n_cores,) each.
    """

    target: TargetSpec
    network: str
    proved: bool
    latency: int
    symbols: Symbols
    layouts: tuple[Layout, ...]
    geometries: tuple[Geometry, ...]
    chip: IntArray
    x: IntArray
    y: IntArray
    cores: tuple[CoreImage, ...]
    host: tuple[HostTable, ...]

    def layout(self, table: str) -> Layout:
        return next(layout for layout in self.layouts if layout.table == table)

    @property
    def placement(self) -> Placement:
        """Where each core is."""
        return Placement(self.chip, self.x, self.y)

    def without_images(self) -> Program:
        """What is known of the program beside its images: where cores are, names, the target."""
        none = np.zeros(0, np.uint8)
        return replace(self, cores=tuple(
            CoreImage(core.core, **dict.fromkeys((*TABLES, "synapses"), none))
            for core in self.cores), host=tuple(replace(t, outputs=none) for t in self.host))

    @property
    def n_bytes(self) -> int:
        """Bytes of all images of all cores."""
        return sum(int(getattr(core, name).nbytes) for core in self.cores
                   for name in (*TABLES, "synapses"))
