"""Reads the images of a ``Program``: the inverse of ``neurocompile.passes.assemble``.

Whoever runs, lists or checks a program reads it here, from the images alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.bits import Bits, Bytes, Ints, take, to_bits
from neurocompile.ir.program import (
    COMPARES,
    ENCODINGS,
    KINDS,
    RESETS,
    SIGNS,
    TABLES,
    Geometry,
    Layout,
    Program,
)

Columns = dict[str, Ints]

_ENTRY = 64  # synapses
_MAX_WIDTH = 32  # bits of a field of a synapse


@dataclass(frozen=True, eq=False)
class Synapses:
    """Synapses of a core, one a row: of input axon ``axon`` to local neuron ``neuron``.
    ``weight`` is the mantissa with its sign, ``delay`` in steps beyond the one of every edge."""

    axon: Ints
    neuron: Ints
    weight: Ints
    delay: Ints


@dataclass(frozen=True, eq=False)
class CoreContents:
    """The tables of a core as columns, and its synaptic memory as bits."""

    core: int
    sections: Columns
    neurons: Columns
    configurations: Columns
    thresholds: Columns
    formats: Columns
    inputs: Columns
    outputs: Columns
    delays: Columns
    memory: Bits
    word_bits: int
    overhead_bits: int
    geometries: tuple[Geometry, ...]

    @property
    def n_neurons(self) -> int:
        return len(self.neurons["element"])

    def span(self, format_: int) -> tuple[int, int]:
        """The local neurons that the synapses of a format go to, as a range."""
        section = int(self.formats["section"][format_])
        first = int(self.sections["first"][section])
        return first, first + int(self.sections["count"][section])

    def encoding(self, format_: int) -> str:
        return ENCODINGS[int(self.formats["encoding"][format_])]

    def axons(self, format_: int) -> Ints:
        """Input axons whose synapses have this format."""
        return np.flatnonzero(self.inputs["format"] == format_)

    def late(self, format_: int) -> Ints:
        """What each neuron of the section adds to the delay of a convolution's axons."""
        first, stop = self.span(format_)
        pointer = int(self.formats["delays"][format_])
        if not pointer:
            return np.full(stop - first, self.formats["delay"][format_], np.int64)
        return self.delays["delay"][pointer - 1:pointer - 1 + stop - first]

    def entries(self, format_: int, axons: Ints) -> Synapses:
        """Synapses of ``axons``, read from the entries of a dense or sparse format."""
        f = {name: int(column[format_]) for name, column in self.formats.items()}
        widths = f["weight_bits"], f["delay_bits"], f["index_bits"]
        each = sum(widths)
        counts, word = self.inputs["synapses"][axons], self.word_bits
        full = -(-(_ENTRY * each + self.overhead_bits) // word) * word
        first = np.cumsum(counts) - counts
        nth = np.arange(int(counts.sum())) - np.repeat(first, counts)
        at = (np.repeat(self.inputs["address"][axons] * word, counts) + nth // _ENTRY * full
              + self.overhead_bits + nth % _ENTRY * each)
        if len(at) and int(at.max()) + each > len(self.memory):
            raise ValueError("synapses lie beyond the synaptic memory")
        weight = take(self.memory, at, widths[0], SIGNS[f["sign"]] == "mixed")
        delay = take(self.memory, at + widths[0], widths[1])
        local: Ints = nth
        if ENCODINGS[f["encoding"]] == "sparse":
            local = take(self.memory, at + widths[0] + widths[1], widths[2])
        begin, stop = self.span(format_)
        if len(local) and int(local.max()) >= stop - begin:
            raise ValueError("a synapse goes to a neuron outside its section")
        return Synapses(np.repeat(axons, counts), begin + local, signed(weight, f["sign"]), delay)

    def kernels(self, format_: int) -> tuple[Ints, Ints]:
        """Output channels of a convolution that are here, ascending, and their kernels: shape
        (channels, input channels of a group, kernel height, kernel width)."""
        geometry = self.geometry(format_)
        c_in, (c_out, out_h, out_w) = geometry.in_chw[0], geometry.out_chw
        first, stop = self.span(format_)
        channels = np.unique(self.neurons["element"][first:stop] // (out_h * out_w))
        if len(channels) and int(channels[-1]) >= c_out:
            raise ValueError("a neuron lies outside the convolution it belongs to")
        shape = (len(channels), c_in // geometry.groups, *geometry.kernel)
        width = int(self.formats["weight_bits"][format_])
        at = int(self.formats["address"][format_]) * self.word_bits + np.arange(
            int(np.prod(shape))) * width
        if len(at) and int(at[-1]) + width > len(self.memory):
            raise ValueError("kernels lie beyond the synaptic memory")
        sign = int(self.formats["sign"][format_])
        weight = take(self.memory, at, width, SIGNS[sign] == "mixed")
        return channels, signed(weight, sign).reshape(shape)

    def geometry(self, format_: int) -> Geometry:
        return self.geometries[int(self.formats["geometry"][format_]) - 1]

    def unfolded(self, format_: int) -> Synapses:
        """Synapses of all axons of a format, a convolution's by its geometry; those of parallel
        axons of a convolution under the first of them."""
        axons = self.axons(format_)
        if self.encoding(format_) != "conv":
            return self.entries(format_, axons)
        g = self.geometry(format_)
        channels, kernels = self.kernels(format_)
        (c_in, height, width), (c_out, out_h, out_w) = g.in_chw, g.out_chw
        begin, stop = self.span(format_)
        element = self.neurons["element"][begin:stop]
        channel, place = np.divmod(element, out_h * out_w)
        per_group = c_in // g.groups
        taps = np.arange(g.kernel[0]), np.arange(g.kernel[1])
        y = (place // out_w * g.stride[0] - g.padding[0])[:, None] + taps[0] * g.dilation[0]
        x = (place % out_w * g.stride[1] - g.padding[1])[:, None] + taps[1] * g.dilation[1]
        parts = []
        lookup = np.full(c_in * height * width, -1, np.int64)
        lookup[self.inputs["address"][axons[::-1]]] = axons[::-1]
        which = np.searchsorted(channels, channel)
        for c in range(per_group):  # one input channel of each group at a time bounds memory
            ci = (channel // (c_out // g.groups) * per_group + c)[:, None, None]
            inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
            source = ((ci * height + y[:, :, None]) * width + x[:, None, :])[inside]
            neuron = np.broadcast_to(np.arange(len(element))[:, None, None], inside.shape)[inside]
            weight = kernels[which, c][inside]
            axon = lookup[source]
            if np.any(axon < 0):
                raise ValueError("a convolution reads an element that has no axon")
            delay = self.inputs["delay"][axon] + self.late(format_)[neuron]
            parts.append(np.stack([axon, begin + neuron, weight, delay]))
        rows = np.concatenate(parts, axis=1) if parts else np.zeros((4, 0), np.int64)
        order = np.lexsort((rows[1], rows[0]))
        return Synapses(*rows[:, order])


def signed(magnitude: Ints, sign: int) -> Ints:
    """Weights as they act, from what a format of this sign mode stores."""
    return -magnitude if SIGNS[sign] == "inhibitory" else magnitude


def unpack(layout: Layout, image: Bytes) -> Columns:
    """The columns of a table. Raises ``ValueError`` where it is no whole number of records."""
    width = layout.record_bits
    if image.size * 8 % width:
        raise ValueError(f"{layout.table}: {image.size} bytes are no whole number of records")
    at = np.arange(image.size * 8 // width) * width
    bits, columns = to_bits(image), {}
    for f in layout.fields:
        columns[f.name] = take(bits, at, f.bits, f.signed)
        at = at + f.bits
    return columns


def read_core(program: Program, index: int) -> CoreContents:
    """The contents of a core. Raises ``ValueError`` for images that no assembler wrote."""
    image, limits = program.cores[index], program.target.core
    tables = {table: unpack(program.layout(table), getattr(image, table)) for table in TABLES}
    _check(program, tables)
    return CoreContents(image.core, **tables, memory=to_bits(image.synapses),
                        word_bits=limits.synapse_word_bits,
                        overhead_bits=limits.synapse_overhead_bits, geometries=program.geometries)


def _check(program: Program, tables: dict[str, Columns]) -> None:
    """Every number that points somewhere points into what there is."""
    sections, neurons, formats = tables["sections"], tables["neurons"], tables["formats"]
    n = len(neurons["element"])
    ends = sections["first"] + sections["count"]
    if len(ends) and (sections["first"][0] != 0 or ends[-1] != n
                      or np.any(sections["first"][1:] != ends[:-1])):
        raise ValueError("sections: they do not cover the neurons one after the other")
    if n and not len(ends):
        raise ValueError("sections: there are neurons in none")
    sizes = np.array(program.symbols.sizes, np.int64)
    _inside("sections", "population", sections["population"], len(sizes))
    if np.any(neurons["element"] >= np.repeat(sizes[sections["population"]], sections["count"])):
        raise ValueError("neurons: an element lies outside its population")
    for table, column, limit in (
            ("sections", "kind", len(KINDS)),
            ("neurons", "configuration", len(tables["configurations"]["reset"])),
            ("neurons", "threshold", len(tables["thresholds"]["threshold"])),
            ("configurations", "reset", len(RESETS)), ("configurations", "compare", len(COMPARES)),
            ("formats", "projection", len(program.symbols.projections)),
            ("formats", "section", len(ends)), ("formats", "encoding", len(ENCODINGS)),
            ("formats", "sign", len(SIGNS)), ("formats", "geometry", len(program.geometries) + 1),
            *(("formats", f"{name}_bits", _MAX_WIDTH + 1) for name in ("weight", "delay", "index")),
            ("inputs", "format", len(formats["section"])),
            ("outputs", "core", len(program.cores))):
        _inside(table, column, tables[table][column], limit)
    conv = formats["encoding"] == ENCODINGS.index("conv")
    if np.any(conv & (formats["geometry"] == 0)):
        raise ValueError("formats: a convolution without a geometry")
    spans = np.where(formats["delays"] > 0, formats["delays"] - 1
                     + sections["count"][formats["section"]], 0)
    _inside("formats", "delays", spans, len(tables["delays"]["delay"]) + 1)
    _inside("neurons", "output", neurons["output"] + neurons["outputs"],
            len(tables["outputs"]["core"]) + 1)
    is_conv = conv[tables["inputs"]["format"]]
    for i in np.unique(tables["inputs"]["format"][is_conv]):
        g = program.geometries[int(formats["geometry"][i]) - 1]
        mine = tables["inputs"]["address"][tables["inputs"]["format"] == i]
        _inside("inputs", "address", mine, int(np.prod(g.in_chw)))


def _inside(table: str, column: str, values: Ints, limit: int) -> None:
    if len(values) and (int(values.max()) >= limit or int(values.min()) < 0):
        raise ValueError(f"{table}.{column}: {int(values.max())} where there are {limit}")
