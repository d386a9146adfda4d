"""Reads the images of a ``Program``: the inverse of ``neurocompile.passes.assemble``.

Whoever runs, lists or checks a program reads it here, from the images alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.bits import MAX_FIELD, Bits, Bytes, Ints, take, to_bits
from neurocompile.ir.base import n_elements
from neurocompile.ir.program import (
    COLUMNS,
    COMPARES,
    ENCODINGS,
    KINDS,
    RESETS,
    SIGNED,
    SIGNS,
    TABLES,
    Geometry,
    HostTable,
    Layout,
    Program,
)

Columns = dict[str, Ints]

_ENTRY = 64  # synapses
_HEADER = 7  # bits: synapses of an entry less one, and whether it is the last of its axon
_MAX_WIDTH = 32  # bits of a field of a synapse
_MAX_EXTENT = 1 << 20  # of a convolution along an axis
_MAX_COUNT = 1 << 40


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
    delay_max: int
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

    def shared(self, format_: int) -> tuple[Ints, Ints]:
        """Input axons of a format that have synapses of their own, and for each of
        :meth:`axons` the one of them whose synapses it has: parallel axons share theirs.

        Raises ``ValueError`` where axons that share synapses differ in anything else.
        """
        axons = self.axons(format_)
        _, first, which = np.unique(self.inputs["address"][axons], return_index=True,
                                    return_inverse=True)
        own = axons[np.sort(first)]
        of = axons[first[which.reshape(-1)]]
        for column in ("synapses", "delay"):
            if np.any(self.inputs[column][axons] != self.inputs[column][of]):
                raise ValueError(f"inputs.{column}: axons of the same synapses differ in it")
        return own, of

    def late(self, format_: int) -> Ints:
        """What each neuron of the section adds to the delay of a convolution's axons."""
        first, stop = self.span(format_)
        pointer = int(self.formats["delays"][format_])
        if not pointer:
            return np.full(stop - first, self.formats["delay"][format_], np.int64)
        return self.delays["delay"][pointer - 1:pointer - 1 + stop - first]

    def entries(self, format_: int) -> Synapses:
        """Synapses of a dense or sparse format, read from its entries; those of axons that share
        them under the first. Raises ``ValueError`` for what no assembler wrote."""
        f = {name: int(column[format_]) for name, column in self.formats.items()}
        widths = f["weight_bits"], f["delay_bits"], f["index_bits"]
        each, word = sum(widths), self.word_bits
        axons = self.shared(format_)[0]
        counts, begin = self.inputs["synapses"][axons], self.inputs["address"][axons] * word
        neurons = self.span(format_)[1] - self.span(format_)[0]
        sparse = ENCODINGS[f["encoding"]] == "sparse"
        if np.any((counts < 1) | (counts > neurons) | (not sparse and counts < neurons)):
            raise ValueError("inputs.synapses: not as many as the section has neurons for")
        if int(counts.sum()) * each > len(self.memory):
            raise ValueError("synapses lie beyond the synaptic memory")
        full = -(-(_ENTRY * each + self.overhead_bits) // word) * word
        nth = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        entry = np.repeat(begin, counts) + nth // _ENTRY * full
        at = entry + self.overhead_bits + nth % _ENTRY * each
        if len(at) and int(at.max()) + each > len(self.memory):
            raise ValueError("synapses lie beyond the synaptic memory")
        self._check_headers(entry, nth, np.repeat(counts, counts) - nth)
        weight = take(self.memory, at, widths[0], SIGNS[f["sign"]] == "mixed")
        delay = take(self.memory, at + widths[0], widths[1])
        if len(delay) and int(delay.max()) > self.delay_max:
            raise ValueError(f"a delay of {int(delay.max())} steps")
        local = take(self.memory, at + widths[0] + widths[1], widths[2]) if sparse else nth
        if len(local) and int(local.max()) >= neurons:
            raise ValueError("a synapse goes to a neuron outside its section")
        return Synapses(np.repeat(axons, counts), self.span(format_)[0] + local,
                        signed(weight, f["sign"]), delay)

    def _check_headers(self, entry: Ints, nth: Ints, left: Ints) -> None:
        """Does each entry say how many synapses it has, and whether it is the last?"""
        if self.overhead_bits < _HEADER:
            return
        begins = nth % _ENTRY == 0
        number = take(self.memory, entry[begins], _HEADER - 1)
        last = take(self.memory, entry[begins] + _HEADER - 1, 1)
        if np.any(number != np.minimum(left[begins], _ENTRY) - 1) or np.any(
                last != (left[begins] <= _ENTRY)):
            raise ValueError("an entry of another size than its axon says")

    def kernels(self, format_: int) -> tuple[Ints, Ints]:
        """Output channels of a convolution that are here, ascending, and their kernels: shape
        (channels, input channels of a group, kernel height, kernel width)."""
        geometry = self.geometry(format_)
        c_in, (c_out, out_h, out_w) = geometry.in_chw[0], geometry.out_chw
        first, stop = self.span(format_)
        element = self.neurons["element"][first:stop]
        if np.any(element >= c_out * out_h * out_w):
            raise ValueError("a neuron lies outside the convolution it belongs to")
        channels = np.unique(element // (out_h * out_w))
        shape = (len(channels), c_in // geometry.groups, *geometry.kernel)
        width = int(self.formats["weight_bits"][format_])
        begin = int(self.formats["address"][format_]) * self.word_bits
        if begin + n_elements(shape) * width > len(self.memory):
            raise ValueError("kernels lie beyond the synaptic memory")
        sign = int(self.formats["sign"][format_])
        weight = take(self.memory, begin + np.arange(n_elements(shape)) * width, width,
                      SIGNS[sign] == "mixed")
        return channels, signed(weight, sign).reshape(shape)

    def geometry(self, format_: int) -> Geometry:
        return self.geometries[int(self.formats["geometry"][format_]) - 1]

    def unfolded(self, format_: int) -> Synapses:
        """Synapses of all axons of a format, a convolution's by its geometry; those of axons that
        share them under the first. Raises ``ValueError`` for what no assembler wrote."""
        if self.encoding(format_) != "conv":
            return self.entries(format_)
        found = self._convolved(format_)
        axons = self.shared(format_)[0]
        counts = np.bincount(found.axon, minlength=len(self.inputs["format"]))
        if np.any(counts[axons] != self.inputs["synapses"][axons]):
            raise ValueError("inputs.synapses: not as many as the convolution has")
        return found

    def _convolved(self, format_: int) -> Synapses:
        g = self.geometry(format_)
        channels, kernels = self.kernels(format_)
        (c_in, height, width), (c_out, out_h, out_w) = g.in_chw, g.out_chw
        begin, stop = self.span(format_)
        channel, place = np.divmod(self.neurons["element"][begin:stop], out_h * out_w)
        per_group = c_in // g.groups
        y = (place // out_w * g.stride[0] - g.padding[0])[:, None] + (
            np.arange(g.kernel[0]) * g.dilation[0])
        x = (place % out_w * g.stride[1] - g.padding[1])[:, None] + (
            np.arange(g.kernel[1]) * g.dilation[1])
        axons = self.shared(format_)[0]
        axons = axons[np.argsort(self.inputs["address"][axons])]
        address, late = self.inputs["address"][axons], self.late(format_)
        which = np.searchsorted(channels, channel)
        rows: list[Ints] = [np.zeros((4, 0), np.int64)]
        for c in range(per_group):  # one input channel of each group at a time bounds memory
            ci = (channel // (c_out // g.groups) * per_group + c)[:, None, None]
            inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
            source = ((ci * height + y[:, :, None]) * width + x[:, None, :])[inside]
            neuron = np.broadcast_to(np.arange(len(channel))[:, None, None], inside.shape)[inside]
            at = np.minimum(np.searchsorted(address, source), len(address) - 1)
            if len(source) and (not len(address) or np.any(address[at] != source)):
                raise ValueError("a convolution reads an element that has no axon")
            rows.append(np.stack([axons[at], begin + neuron, kernels[which, c][inside],
                                  self.inputs["delay"][axons[at]] + late[neuron]]))
        joined = np.concatenate(rows, axis=1)
        if int(joined[3].max(initial=0)) > self.delay_max:
            raise ValueError(f"a delay of {int(joined[3].max())} steps")
        return Synapses(*joined[:, np.lexsort((joined[1], joined[0]))])


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
    _check_description(program)
    image, target = program.cores[index], program.target
    tables = {table: unpack(program.layout(table), getattr(image, table)) for table in TABLES}
    core = CoreContents(
        image.core, **tables, memory=to_bits(image.synapses),
        word_bits=target.core.synapse_word_bits, overhead_bits=target.core.synapse_overhead_bits,
        delay_max=target.synapse.delay_max, geometries=program.geometries)
    _check_signs(tables)
    _check_neurons(program, core)
    _check_synapses(program, core)
    return core


def read_host(program: Program, table: HostTable) -> Columns:
    """The output axons of an input. Raises ``ValueError`` for what no assembler wrote."""
    _check_description(program)
    columns = unpack(program.layout("outputs"), table.outputs)
    number = program.symbols.populations.index(table.population)
    counts = np.diff(table.first)
    if table.first.shape != (program.symbols.sizes[number] + 1,) or table.first[0] != 0 or (
            np.any(counts < 0) or table.first[-1] != len(columns["core"])):
        raise ValueError(f"host axons of {table.population} begin where none are")
    if table.parallel < 1 or np.any(counts % table.parallel):
        raise ValueError(f"host axons of {table.population} are not {table.parallel} equal parts")
    _check_signs({"outputs": columns})
    _inside("outputs", "core", columns["core"], len(program.cores))
    return columns


def _check_description(program: Program) -> None:
    """Can what describes the images be true? It is small, and read with every core."""
    symbols, core = program.symbols, program.target.core
    if len(symbols.populations) != len(symbols.sizes):
        raise ValueError("symbols: not every population has a size")
    if any(place.shape != (len(program.cores),) for place in (program.chip, program.x, program.y)):
        raise ValueError("not every core has a place")
    word, overhead = core.synapse_word_bits, core.synapse_overhead_bits
    if not 1 <= word < _MAX_EXTENT or word % 8 or not 0 <= overhead < _MAX_EXTENT:
        raise ValueError(f"words of {word} bits, and {overhead} bits before an entry")
    counts = (*symbols.sizes, *(t.parallel for t in program.host), program.target.synapse.delay_max)
    if not all(0 <= n < _MAX_COUNT for n in counts):
        raise ValueError("a size that nothing has")
    if sorted(layout.table for layout in program.layouts) != sorted(COLUMNS):
        raise ValueError("not every table has a layout")
    for table, names in COLUMNS.items():
        fields = program.layout(table).fields
        if tuple(f.name for f in fields) != names:
            raise ValueError(f"{table}: its records have other fields")
        if not all(1 <= f.bits <= MAX_FIELD for f in fields):
            raise ValueError(f"{table}: a field of a width that is none")
    for g in program.geometries:
        extents = (*g.in_chw, *g.out_chw, *g.kernel, *g.stride, *g.dilation, g.groups)
        if not (all(1 <= n <= _MAX_EXTENT for n in extents)
                and all(0 <= n <= _MAX_EXTENT for n in g.padding)
                and g.in_chw[0] % g.groups == 0 == g.out_chw[0] % g.groups
                and max(n_elements(g.in_chw), n_elements(g.out_chw)) < _MAX_COUNT):
            raise ValueError("a geometry that no convolution has")


def _check_signs(tables: dict[str, Columns]) -> None:
    for table, columns in tables.items():
        for name, values in columns.items():
            if name not in SIGNED and len(values) and int(values.min()) < 0:
                raise ValueError(f"{table}.{name}: {int(values.min())} is negative")


def _check_neurons(program: Program, core: CoreContents) -> None:
    """Sections hold all neurons, and what neurons point to is there."""
    sections, neurons = core.sections, core.neurons
    n = core.n_neurons
    ends = sections["first"] + sections["count"]
    if (n and not len(ends)) or (len(ends) and (
            sections["first"][0] != 0 or ends[-1] != n
            or np.any(sections["first"][1:] != ends[:-1]))):
        raise ValueError("sections: they do not cover the neurons one after the other")
    _inside("sections", "population", sections["population"], len(program.symbols.sizes))
    _inside("sections", "kind", sections["kind"], len(KINDS))
    sizes = np.array(program.symbols.sizes, np.int64)
    if np.any(neurons["element"] >= np.repeat(sizes[sections["population"]], sections["count"])):
        raise ValueError("neurons: an element lies outside its population")
    inside = np.ones(n, bool)
    inside[sections["first"][sections["count"] > 0]] = False
    if np.any(np.diff(neurons["element"])[inside[1:]] <= 0):
        raise ValueError("neurons: elements of a section do not ascend")
    _inside("neurons", "configuration", neurons["configuration"],
            len(core.configurations["reset"]))
    _inside("neurons", "threshold", neurons["threshold"], len(core.thresholds["threshold"]))
    _inside("neurons", "bias_exponent", neurons["bias_exponent"], _MAX_WIDTH)
    _inside("configurations", "reset", core.configurations["reset"], len(RESETS))
    _inside("configurations", "compare", core.configurations["compare"], len(COMPARES))
    total = len(core.outputs["core"])
    _inside("neurons", "outputs", neurons["outputs"], total + 1)
    begins = np.cumsum(neurons["outputs"]) - neurons["outputs"]
    if int(neurons["outputs"].sum()) != total or np.any(neurons["output"] != begins):
        raise ValueError("neurons: they do not have the output axons one after the other")
    _inside("outputs", "core", core.outputs["core"], len(program.cores))


def _check_synapses(program: Program, core: CoreContents) -> None:
    """Formats and axons point to what is there."""
    formats, inputs = core.formats, core.inputs
    for column, limit in (
            ("projection", len(program.symbols.projections)),
            ("section", len(core.sections["count"])), ("encoding", len(ENCODINGS)),
            ("sign", len(SIGNS)), ("exponent", _MAX_WIDTH),
            ("geometry", len(program.geometries) + 1),
            *((f"{name}_bits", _MAX_WIDTH + 1) for name in ("weight", "delay", "index"))):
        _inside("formats", column, formats[column], limit)
    if len(formats["weight_bits"]) and int(formats["weight_bits"].min()) < 1:
        raise ValueError("formats: weights without bits")
    _inside("inputs", "format", inputs["format"], len(formats["section"]))
    words = len(core.memory) // core.word_bits + 1
    conv = formats["encoding"] == ENCODINGS.index("conv")
    if np.any(conv & (formats["geometry"] == 0)):
        raise ValueError("formats: a convolution without a geometry")
    _inside("formats", "address", formats["address"][conv], words)
    spans = np.where(formats["delays"] > 0, formats["delays"] - 1
                     + core.sections["count"][formats["section"]], 0)
    _inside("formats", "delays", spans, len(core.delays["delay"]) + 1)
    of_conv = conv[inputs["format"]]
    _inside("inputs", "address", inputs["address"][~of_conv], words)
    for f in np.flatnonzero(conv).tolist():
        mine = core.axons(f)
        _inside("inputs", "address", inputs["address"][mine],
                n_elements(core.geometry(f).in_chw))
        latest = int(inputs["delay"][mine].max(initial=0)) + int(core.late(f).max(initial=0))
        if latest > core.delay_max:
            raise ValueError(f"a delay of {latest} steps")


def _inside(table: str, column: str, values: Ints, limit: int) -> None:
    if len(values) and int(values.max()) >= limit:
        raise ValueError(f"{table}.{column}: {int(values.max())} where there are {limit}")
