"""From a placed mapping to what the chip loads: tables and synaptic memory of every core.

Structure is kept until here. A core's part of a convolution stays its kernels where the target has
them, and is otherwise unfolded for this core alone.

Numbering, on which the images depend: cores as in the mapping; the neurons of a core by population,
then element; its input axons by projection, then source element; the output axons of a neuron by
projection, then core. docs/program.md describes the records.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from neurocompile.bits import Bits, Bytes, Ints, put, to_bytes, width_of
from neurocompile.ir.base import IntArray
from neurocompile.ir.mapping import Mapping
from neurocompile.ir.program import (
    COLUMNS,
    COMPARES,
    ENCODINGS,
    KINDS,
    RESETS,
    SIGNS,
    TABLES,
    CoreImage,
    Field,
    Geometry,
    HostTable,
    Layout,
    Program,
    Symbols,
)
from neurocompile.ir.quantized import QuantizedPopulation, QuantizedProjection
from neurocompile.ir.target import CoreLimits
from neurocompile.ir.transforms import Conv, Dense, Linear, synapses_of
from neurocompile.passes.footprint import (
    SYNAPSES_PER_ENTRY,
    Encoding,
    axons_per_source,
    encoding_of,
    index_bits,
    max_delay,
    packed_bits,
    stored_weight_bits,
)

Columns = dict[str, Ints]


def entry_header(synapses: Ints, last: Ints) -> Ints:
    """What stands before the synapses of an entry: their number less one in 6 bits, then 1 if it
    is the last of its axon. Bits of the target's overhead beyond these 7 are 0."""
    return np.asarray((synapses - 1) | (last << 6), np.int64)


HEADER_BITS = 7


@dataclass(frozen=True)
class Assemble:
    """Writes the images of a mapping whose limits hold."""

    def run(self, mapping: Mapping) -> Program:
        """Assemble. Raises ``ValueError`` for a mapping without a placement."""
        if mapping.placement is None:
            raise ValueError("a mapping is assembled after it is placed")
        return _Assembler(mapping).program()


@dataclass
class _Core:
    """A core while its tables grow."""

    sections: dict[str, int] = field(default_factory=dict)
    neurons: dict[str, IntArray] = field(default_factory=dict)
    formats: list[dict[str, int]] = field(default_factory=list)
    inputs: list[Columns] = field(default_factory=list)
    n_inputs: int = 0
    delays: list[Ints] = field(default_factory=list)
    n_delays: int = 0
    memory: list[Bytes] = field(default_factory=list)
    words: int = 0

    def add_memory(self, image: Bytes, word_bits: int) -> int:
        """Append whole words; returns the address of the first."""
        start = self.words
        self.memory.append(image)
        self.words += image.size * 8 // word_bits
        return start


@dataclass(frozen=True)
class _Sent:
    """Axons of one projection at one core: ``source[i]`` sends to input axon ``axon[i]``."""

    projection: int
    core: int
    source: Ints
    axon: Ints
    parallel: int


class _Assembler:
    def __init__(self, mapping: Mapping):
        self.mapping = mapping
        self.quantized = mapping.quantized
        self.target = mapping.target
        self.limits: CoreLimits = mapping.target.core
        if self.limits.synapse_word_bits % 8:
            raise ValueError("synaptic memory words are whole bytes")
        self.order = {p.name: i for i, p in enumerate(self.quantized.populations)}
        self.cores = [_Core() for _ in mapping.use]
        self.number = {use.core: i for i, use in enumerate(mapping.use)}
        self.sent: dict[str, list[_Sent]] = {p.name: [] for p in self.quantized.populations}
        self.geometries: list[Geometry] = []

    def program(self) -> Program:
        for part in sorted(self.mapping.slices, key=lambda s: (s.core, self.order[s.population])):
            core = self.cores[self.number[part.core]]
            core.sections[part.population] = len(core.sections)
            core.neurons[part.population] = part.neurons
        for i, projection in enumerate(self.quantized.projections):
            self._projection(i, projection)
        tables = [self._tables(core) for core in self.cores]
        outputs = {name: _outputs(self.sent[name], self.quantized.population(name).n)
                   for name in self.sent}
        host = [p for p in self.quantized.populations if p.role == "source"]
        for core, columns in zip(self.cores, tables, strict=True):
            _attach_outputs(core, columns, outputs)
        layouts = _layouts(tables, [outputs[p.name][1] for p in host])
        by_name = {layout.table: layout for layout in layouts}
        placement = self.mapping.placement
        assert placement is not None
        place = [np.asarray(c, np.int64) for c in (placement.chip, placement.x, placement.y)]
        return Program(
            self.target, self.quantized.digest(),
            all(b.proved for b in self.quantized.bounds), self.quantized.latency,
            Symbols(tuple(p.name for p in self.quantized.populations),
                    tuple(p.n for p in self.quantized.populations),
                    tuple(q.name for q in self.quantized.projections)),
            layouts, tuple(self.geometries), place[0], place[1], place[2],
            tuple(CoreImage(use.core, **{t: pack(by_name[t], columns[t]) for t in TABLES},
                            synapses=np.concatenate([np.zeros(0, np.uint8), *core.memory]))
                  for use, core, columns in zip(self.mapping.use, self.cores, tables,
                                                strict=True)),
            tuple(HostTable(p.name, axons_per_source(p.name, self.quantized), outputs[p.name][0],
                            pack(by_name["outputs"], outputs[p.name][1])) for p in host))

    # Synapses and input axons.

    def _projection(self, number: int, q: QuantizedProjection) -> None:
        encoding = encoding_of(q.transform, self.target)
        geometry = 0
        if encoding == "conv":
            assert isinstance(q.transform, Conv)
            self.geometries.append(_geometry(q.transform))
            geometry = len(self.geometries)
        parallel = axons_per_source(q.source, self.quantized)
        delay_bits = 0 if encoding == "conv" else max_delay(q).bit_length()
        for index, core in enumerate(self.cores):
            if q.target not in core.sections:
                continue
            neurons = core.neurons[q.target]
            row = dict.fromkeys(COLUMNS["formats"], 0) | {
                "projection": number, "section": core.sections[q.target],
                "encoding": ENCODINGS.index(encoding), "sign": SIGNS.index(q.sign_mode),
                "weight_bits": stored_weight_bits(q, self.target),
                "exponent": q.format.exponent, "delay_bits": delay_bits, "geometry": geometry}
            if encoding == "conv":
                inputs = self._kernels(core, q, neurons, row)
            else:
                inputs = self._entries(core, q, neurons, row, encoding)
            source = inputs.pop("source")
            if not len(source):
                continue
            inputs["format"] = np.full(len(source), len(core.formats), np.int64)
            core.formats.append(row)
            core.inputs.append({k: np.repeat(v, parallel) for k, v in inputs.items()})
            axon = core.n_inputs + np.arange(len(source)) * parallel
            core.n_inputs += len(source) * parallel
            self.sent[q.source].append(_Sent(number, index, source, axon, parallel))

    def _entries(self, core: _Core, q: QuantizedProjection, neurons: IntArray,
                 row: dict[str, int], encoding: Encoding) -> Columns:
        """Pack the synapses of ``neurons``, axon by axon; the axons."""
        n = len(neurons)
        if encoding == "sparse":
            row["index_bits"] = index_bits(n)
        source, first, local, weight = _incoming(q.transform, neurons, encoding)
        delay = (_each(q.source_delay, np.repeat(source, np.diff(first)))
                 + _each(q.target_delay, neurons[local]))
        image, address = self._pack_entries(row, first, local, np.abs(weight) if row["sign"]
                                            else weight, delay)
        return {"source": source, "synapses": np.diff(first),
                "address": core.add_memory(image, self.limits.synapse_word_bits) + address,
                "delay": np.zeros(len(source), np.int64)}

    def _pack_entries(self, row: dict[str, int], first: Ints, local: Ints, weight: Ints,
                      delay: Ints) -> tuple[Bytes, Ints]:
        """Entries of up to 64 synapses, each in whole words; addresses of the axons in words."""
        word, overhead = self.limits.synapse_word_bits, self.limits.synapse_overhead_bits
        widths = (row["weight_bits"], row["delay_bits"], row["index_bits"])
        each = sum(widths)
        counts = np.diff(first)
        size = packed_bits(counts, each, self.limits)
        start = np.cumsum(size) - size
        entry_bits = int(packed_bits(np.array([SYNAPSES_PER_ENTRY]), each, self.limits)[0])
        bits: Bits = np.zeros(int(size.sum()), np.uint8)
        within = np.arange(first[-1]) - np.repeat(first[:-1], counts)
        entry, place = np.divmod(within, SYNAPSES_PER_ENTRY)
        at = np.repeat(start, counts) + entry * entry_bits
        if overhead >= HEADER_BITS:
            head = place == 0
            left = np.repeat(counts, counts)[head] - within[head]
            last = np.asarray(left <= SYNAPSES_PER_ENTRY, np.int64)
            put(bits, at[head], entry_header(np.minimum(left, SYNAPSES_PER_ENTRY), last),
                HEADER_BITS)
        at = at + overhead + place * each
        index = local if row["index_bits"] else np.zeros_like(local)  # a place says it
        for values, width in zip((weight, delay, index), widths, strict=True):
            put(bits, at, values, width)
            at = at + width
        return to_bytes(bits), start // word

    def _kernels(self, core: _Core, q: QuantizedProjection, neurons: IntArray,
                 row: dict[str, int]) -> Columns:
        """Store the kernels of the output channels that are here; the axons that reach them."""
        conv = q.transform
        assert isinstance(conv, Conv)
        channels = np.unique(neurons // (conv.out_chw[1] * conv.out_chw[2]))
        weight = conv.weight[channels].reshape(-1).astype(np.int64)
        width, word = row["weight_bits"], self.limits.synapse_word_bits
        bits = np.zeros(-(-weight.size * width // word) * word, np.uint8)
        put(bits, np.arange(weight.size) * width, np.abs(weight) if row["sign"] else weight, width)
        late = _each(q.target_delay, neurons)
        if np.all(late == late[0]):
            row["delay"] = int(late[0])
        else:
            row["delays"] = core.n_delays + 1
            core.delays.append(late)
            core.n_delays += len(late)
        source, counts = _reaching(conv, neurons)
        # Kernels that no axon reaches are stored all the same: the mapping counts them.
        row["address"] = core.add_memory(to_bytes(bits), word)
        return {"source": source, "synapses": counts, "address": source,
                "delay": _each(q.source_delay, source)}

    # Neurons.

    def _tables(self, core: _Core) -> dict[str, Columns]:
        parts = [(self.quantized.population(name), neurons)
                 for name, neurons in core.neurons.items()]
        count = np.array([len(neurons) for _, neurons in parts], np.int64)
        configuration, configurations = _shared(np.concatenate([
            _configuration(p, neurons) for p, neurons in parts]))
        threshold, thresholds = _shared(_gather(parts, "threshold")[:, None])
        neurons: Columns = {
            "element": np.concatenate([neurons for _, neurons in parts]).astype(np.int64),
            "configuration": configuration, "threshold": threshold,
            **{name: _gather(parts, name)
               for name in ("bias_mantissa", "bias_exponent", "initial_v")}}
        none: Ints = np.zeros(0, np.int64)
        return {
            "sections": {
                "population": np.array([self.order[p.name] for p, _ in parts], np.int64),
                "first": np.cumsum(count) - count, "count": count,
                "kind": np.array([KINDS.index(p.role) for p, _ in parts], np.int64),
                "start": np.array([p.latency for p, _ in parts], np.int64)},
            "neurons": neurons,
            "configurations": dict(zip(COLUMNS["configurations"], configurations.T, strict=True)),
            "thresholds": {"threshold": thresholds[:, 0]},
            "formats": {name: np.array([row[name] for row in core.formats], np.int64)
                        for name in COLUMNS["formats"]},
            "inputs": {name: np.concatenate([none, *(part[name] for part in core.inputs)])
                       for name in COLUMNS["inputs"]},
            "delays": {"delay": np.concatenate([none, *core.delays])}}


def pack(layout: Layout, columns: Columns) -> Bytes:
    """The image of a table."""
    n = len(columns[layout.fields[0].name])
    width = layout.record_bits
    bits = np.zeros(n * width, np.uint8)
    at = np.arange(n) * width
    for f in layout.fields:
        put(bits, at, columns[f.name], f.bits)
        at = at + f.bits
    return to_bytes(bits)


def _layouts(tables: list[dict[str, Columns]], host: list[Columns]) -> tuple[Layout, ...]:
    """Records as wide as the largest value of each field in any core."""
    layouts = []
    for table, names in COLUMNS.items():
        fields = []
        everywhere = [columns[table] for columns in tables] + (host if table == "outputs" else [])
        for name in names:
            ranges = np.array([bound for columns in everywhere if len(columns[name])
                               for bound in (columns[name].min(), columns[name].max())], np.int64)
            signed = bool(len(ranges)) and int(ranges.min()) < 0
            fields.append(Field(name, max(1, width_of(ranges)), signed))
        layouts.append(Layout(table, tuple(fields)))
    return tuple(layouts)


def _incoming(transform: Linear, neurons: IntArray, encoding: Encoding,
              ) -> tuple[IntArray, Ints, IntArray, IntArray]:
    """Synapses of ``neurons`` by source: (sources, where each begins, local target, weight)."""
    n = len(neurons)
    if isinstance(transform, Dense):
        weight = np.asarray(transform.weight[neurons], np.int64)
        n_source = weight.shape[1]
        return (np.arange(n_source), np.arange(n_source + 1) * n,
                np.tile(np.arange(n), n_source), weight.T.reshape(-1))
    source, local, value = synapses_of(transform, neurons)
    order = np.lexsort((local, source))
    source, local, value = source[order], local[order], value[order]
    distinct, counts = np.unique(source, return_counts=True)
    if encoding == "sparse":
        return distinct, np.append(0, np.cumsum(counts)).astype(np.int64), local, value
    # Rows of all the section's neurons; those without a synapse get the weight 0.
    rows = np.zeros((len(distinct), n), np.int64)
    rows[np.repeat(np.arange(len(distinct)), counts), local] = value
    return (distinct, np.arange(len(distinct) + 1) * n, np.tile(np.arange(n), len(distinct)),
            rows.reshape(-1))


def _reaching(conv: Conv, neurons: IntArray) -> tuple[Ints, Ints]:
    """Input elements with synapses to ``neurons``, and how many each; all channels of a group see
    the same positions, so that one stands for all."""
    one = Conv(np.ones((conv.out_chw[0], 1, *conv.weight.shape[2:]), np.int8), conv.stride,
               conv.padding, conv.dilation, conv.groups, (conv.groups, *conv.in_chw[1:]),
               conv.out_chw, (conv.groups, *conv.in_chw[1:]), conv.out_chw)
    places, counts = np.unique(synapses_of(one, neurons)[0], return_counts=True)
    size, per_group = conv.in_chw[1] * conv.in_chw[2], conv.in_chw[0] // conv.groups
    group, position = np.divmod(places, size)
    channel = group[:, None] * per_group + np.arange(per_group)
    source = (channel * size + position[:, None]).reshape(-1)
    order = np.argsort(source)
    return source[order], np.repeat(counts, per_group)[order].astype(np.int64)


def _each(delay: IntArray, elements: IntArray) -> Ints:
    """The delays of some elements; one delay may stand for all."""
    if delay.size == 1:
        return np.full(len(elements), delay[0], np.int64)
    return np.asarray(delay[elements], np.int64)


def _geometry(conv: Conv) -> Geometry:
    kernel = conv.weight.shape[2], conv.weight.shape[3]
    return Geometry(conv.in_chw, conv.out_chw, kernel, conv.stride, conv.padding, conv.dilation,
                    conv.groups)


def _configuration(p: QuantizedPopulation, neurons: IntArray) -> Ints:
    n = len(neurons)
    return np.stack([p.current_decay[neurons], p.membrane_decay[neurons],
                     np.full(n, RESETS.index(p.reset)), np.full(n, COMPARES.index(p.compare)),
                     np.full(n, p.max_spikes), np.full(n, p.refractory_steps)],
                    axis=1).astype(np.int64)


def _gather(parts: list[tuple[QuantizedPopulation, IntArray]], name: str) -> Ints:
    return np.concatenate([getattr(p, name)[neurons] for p, neurons in parts]).astype(np.int64)


def _shared(rows: Ints) -> tuple[Ints, Ints]:
    """The number of each row among the distinct ones, and these."""
    distinct, number = np.unique(rows, axis=0, return_inverse=True)
    return np.asarray(number, np.int64).reshape(-1), distinct


def _outputs(sent: list[_Sent], n: int) -> tuple[Ints, Columns]:
    """Output axons of a population's elements: (where each element's begin, records).

    Parallel axons of an element come in turns, so that k spikes of a step are a prefix of them.
    """
    if not sent:
        return np.zeros(n + 1, np.int64), {name: np.zeros(0, np.int64)
                                           for name in COLUMNS["outputs"]}
    parallel = sent[0].parallel  # a property of the source
    source = np.concatenate([np.repeat(s.source, parallel) for s in sent])
    turn = np.concatenate([np.tile(np.arange(parallel), len(s.source)) for s in sent])
    axon = np.concatenate([np.repeat(s.axon, parallel) for s in sent]) + turn
    core = np.concatenate([np.full(len(s.source) * parallel, s.core) for s in sent])
    projection = np.concatenate([np.full(len(s.source) * parallel, s.projection) for s in sent])
    order = np.lexsort((core, projection, turn, source))
    first = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=n))])
    return first.astype(np.int64), {"core": core[order], "axon": axon[order]}


def _attach_outputs(core: _Core, columns: dict[str, Columns],
                    outputs: dict[str, tuple[Ints, Columns]]) -> None:
    """Give the neurons of a core their output axons, one neuron's after the other's."""
    none: Ints = np.zeros(0, np.int64)
    counts: list[Ints] = [none]
    picked: dict[str, list[Ints]] = {name: [none] for name in COLUMNS["outputs"]}
    for name, neurons in core.neurons.items():
        first, records = outputs[name]
        begin, count = first[neurons], first[neurons + 1] - first[neurons]
        counts.append(count)
        where = np.repeat(begin - (np.cumsum(count) - count), count) + np.arange(count.sum())
        for column, parts in picked.items():
            parts.append(records[column][where])
    count = np.concatenate(counts)
    columns["neurons"] |= {"output": np.cumsum(count) - count, "outputs": count}
    columns["outputs"] = {name: np.concatenate(parts) for name, parts in picked.items()}
