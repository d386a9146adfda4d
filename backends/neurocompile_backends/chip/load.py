"""A ``Program`` as the flat arrays the kernel runs on, decoded from its images alone.

Neurons of all cores stand one after the other in the cores' own order. Axons do not stay: what a
spike sends, and the synapses it meets, are listed by its source. Convolutions stay kernels: for
each there is a table of the rows of output neurons that a core has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile.images import CoreContents, read_core, read_host
from neurocompile.ir.program import COMPARES, KINDS, RESETS, Program
from neurocompile.ir.target import EVENTS
from neurocompile_backends.chip import kernel as k
from neurocompile_backends.chip.timing.layout import Mesh, build_mesh, destination_rank, ticks_of
from neurocompile_backends.neurons import machine_row

Ints = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Loaded:
    """A program ready to run, kept without its images: they are decoded. Elements of input p are
    sources from ``host_base[p]`` on, each as many as ``host_parallel[p]``, as
    ``HostTable.parallel``. All samples share the ``mesh``."""

    program: Program
    mesh: Mesh
    tables: k.Tables
    host_base: dict[str, int]
    host_parallel: dict[str, int]

    @property
    def n(self) -> int:
        return len(self.tables.initial)

    @property
    def n_cores(self) -> int:
        return len(self.tables.core_chip)

    @property
    def most_flits(self) -> int:
        """Flits of a step in which everything fires."""
        return len(self.tables.messages)

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        return sum(v.nbytes for v in self.tables if isinstance(v, np.ndarray))


def load(program: Program) -> Loaded:
    """Decode a program. Raises ``ValueError`` for images that no assembler wrote."""
    return _Loader(program).loaded()


# The head of an input axon: as in ``deliveries``, but how many synapses instead of their end and,
# until all are read, places of synapses in the order they were read in; the last neuron's number
# plus 1, a convolution's number; its core and the ticks it works on a flit.
(A_KIND, A_SYNAPSES, A_ADDRESS, A_FIRST, A_END, A_SHIFT, A_CONV, A_WORK, A_CORE,
 A_HEAD) = range(10)

_NEURONS = ("keep_u", "keep_v", "threshold", "bias", "initial_v", "element")


class _Loader:
    def __init__(self, program: Program):
        self.program = program
        self.target = program.target
        self.event = {e: ticks_of(self.target, e) for e in EVENTS}
        self.weights: list[Ints] = []
        self.locals: list[Ints] = []
        self.convs: list[Ints] = []
        self.kernel_sizes: list[int] = []
        self.lates: list[Ints] = []
        self.n_synapses = 0
        self.rows: list[Ints] = []
        self.n_rows = 0
        self.conv_late: list[Ints] = []
        self.n_late = 0
        self.groups: list[Ints] = []
        self.n_groups = 0
        self.latest = 0

    def loaded(self) -> Loaded:
        # Empty rows first: there may be no cores.
        sections: list[Ints] = [np.zeros((0, k.S_COLUMNS), np.int64)]
        axons: list[Ints] = [np.zeros((0, A_HEAD), np.int64)]
        neurons: list[dict[str, Ints]] = [dict.fromkeys(_NEURONS, np.zeros(0, np.int64))]
        outputs: list[Ints] = [np.zeros((2, 0), np.int64)]
        counts: list[Ints] = [np.zeros(0, np.int64)]
        core_sections, axon_base = [0], [0]
        conv_x: list[Ints] = [np.zeros(0, np.int32)]
        base = 0
        for index in range(len(self.program.cores)):
            core = read_core(self.program, index)
            sections.append(self._sections(core, index, base))
            conv_x.append(np.zeros(core.n_neurons, np.int32))
            axons.append(self._axons(core, index, base, conv_x[-1]))
            neurons.append(self._neurons(core))
            counts.append(core.neurons["outputs"])
            outputs.append(np.stack([core.outputs["core"], core.outputs["axon"]]))
            base += core.n_neurons
            core_sections.append(core_sections[-1] + len(sections[-1]))
            axon_base.append(axon_base[-1] + len(axons[-1]))
        bases, p = np.array(axon_base, np.int64), self.program
        layout = self.target.chip
        if any(np.any((at < 0) | (at >= limit)) for at, limit in (
                (p.chip, layout.chips), (p.x, layout.mesh_width), (p.y, layout.mesh_height))):
            raise ValueError("a core has a place outside the mesh")
        mesh = build_mesh(self.target, p.placement)
        column = {name: np.concatenate([part[name] for part in neurons]) for name in _NEURONS}
        sent = np.concatenate(outputs, axis=1)
        host_first, host_axon, host_base, parallel = self._host(bases, len(column["element"]))
        out_first = _starts(np.concatenate(counts))
        first = np.concatenate([out_first, out_first[-1] + host_first[1:]])
        axon = np.concatenate([_axons(bases, sent[0], sent[1]), host_axon])
        table = np.concatenate(axons)
        if max(len(axon), int(table.max(initial=0)), self._most_ticks(
                max((part.size for part in counts), default=0))) >= 1 << 31:
            raise ValueError("more synapses or ticks than 31 bits count")
        source = _owners(first)
        synapses = _by_kind(source, table[axon], len(first) - 1)
        core_bits = max(1, len(self.program.cores).bit_length())
        messages, shapes = self._messages(source, axon, table, core_bits, mesh)
        source_deliveries, deliveries, memory, late, shift = self._deliveries(first, axon, table)
        tables = k.Tables(
            machine_row(self.target.machine),
            np.concatenate(sections), np.array(core_sections, np.int64),
            np.array(self.convs, np.int64).reshape(-1, k.F_COLUMNS),
            column["keep_u"].astype(np.int32), column["keep_v"].astype(np.int32),
            column["threshold"].astype(np.int32),
            column["bias"].astype(np.int32), column["initial_v"].astype(np.int32),
            column["element"].astype(np.int32),
            first.astype(np.int32), messages, shapes, synapses, source_deliveries,
            deliveries, memory, late,
            _joined(self.rows, np.int32), _joined(self.groups, np.int32),
            np.concatenate(conv_x), _joined(self.conv_late, np.int32),
            np.asarray(self.program.chip, np.int64), int(self.program.chip.max(initial=0)) + 1,
            self.latest + 2, shift, core_bits)
        return Loaded(self.program.without_images(), mesh, tables, host_base, parallel)

    def _most_ticks(self, neurons: int) -> int:
        """More than a sender of so many neurons ever works before a flit."""
        each = ("neuron_access", "neuron_update", "neuron_spike")
        return (neurons + 1) * sum(self.event[e] for e in each) + max(
            self.event["axon_out"], self.event["host_message"])

    # Neurons.

    def _sections(self, core: CoreContents, index: int, base: int) -> Ints:
        rows = np.zeros((len(core.sections["count"]), k.S_COLUMNS), np.int64)
        offset = self.target.machine.current_decay_offset
        for i, row in enumerate(rows):
            first, count = int(core.sections["first"][i]), int(core.sections["count"][i])
            shared = core.neurons["configuration"][first:first + count]
            one = {name: int(column[shared[0]]) if count else 0
                   for name, column in core.configurations.items()}
            for name in ("reset", "compare", "max_spikes", "refractory_steps"):
                if len(np.unique(core.configurations[name][shared])) > 1:
                    raise ValueError(f"a section with several kinds of {name}")
            row[k.S_CORE], row[k.S_FIRST], row[k.S_COUNT] = index, base + first, count
            row[k.S_POPULATION] = core.sections["population"][i]
            row[k.S_SIZE] = self.program.symbols.sizes[row[k.S_POPULATION]]
            row[k.S_BASE] = sum(self.program.symbols.sizes[:row[k.S_POPULATION]])
            row[k.S_START] = core.sections["start"][i]
            row[k.S_ANALOG] = KINDS[int(core.sections["kind"][i])] == "analog"
            row[k.S_RESET] = one["reset"]
            row[k.S_GE] = COMPARES[one["compare"]] == "ge"
            row[k.S_MAX] = one["max_spikes"]
            row[k.S_REFRACTORY] = 0 if row[k.S_ANALOG] else one["refractory_steps"]
            row[k.S_FILTER] = np.any(core.configurations["current_decay"][shared] + offset < 4096)
            row[k.S_LEAK] = np.any(core.configurations["membrane_decay"][shared] > 0)
            row[k.S_NARROW] = self._is_narrow(one, core, first, count)
        return rows

    def _is_narrow(self, shared: dict[str, int], core: CoreContents, first: int,
                   count: int) -> bool:
        """Do the target's own limits keep every intermediate sum of the fast update in 32 bits?"""
        m, neuron = self.target.machine, self.target.neuron
        if not self.program.proved or shared["max_spikes"] > 1 or shared["refractory_steps"] or (
                RESETS[shared["reset"]] not in ("none", "zero")):
            return False
        a = self.target.synapse.accumulator_max << m.input_shift
        u = 1 << (m.u_bits - 1)
        # What the host loads on top of a neuron's own bias is bounded alike.
        bias = 2 * (neuron.bias_mantissa_max << neuron.bias_exponent_max)
        which = core.neurons["threshold"][first:first + count]
        threshold = int(core.thresholds["threshold"][which].max(initial=0)) << m.threshold_shift
        return max(u + a, m.v_limit + u + bias, 2 * u, threshold) < 1 << 31

    def _neurons(self, core: CoreContents) -> dict[str, Ints]:
        m = self.target.machine
        shared, own = core.neurons["configuration"], core.neurons
        du = core.configurations["current_decay"][shared] + m.current_decay_offset
        return {"keep_u": 4096 - du,
                "keep_v": 4096 - core.configurations["membrane_decay"][shared],
                "threshold": core.thresholds["threshold"][own["threshold"]] << m.threshold_shift,
                "bias": own["bias_mantissa"] << own["bias_exponent"],
                "initial_v": own["initial_v"], "element": own["element"]}

    # Synapses.

    def _axons(self, core: CoreContents, index: int, base: int, conv_x: Ints) -> Ints:
        """The rows of a core's input axons. ``base``: the first of its neurons."""
        axons = np.zeros((len(core.inputs["format"]), A_HEAD), np.int64)
        axons[:, A_SYNAPSES] = core.inputs["synapses"]
        axons[:, A_CORE] = index
        lanes = self.target.timing.lanes
        for i in range(len(core.formats["section"])):
            mine = core.axons(i)
            axons[mine, A_KIND] = core.formats["encoding"][i]
            axons[mine, A_SHIFT] = core.formats["exponent"][i]
            if core.encoding(i) == "conv":
                axons[mine, A_CONV] = len(self.convs)
                axons[mine, A_ADDRESS] = core.inputs["address"][mine]
                axons[mine, A_FIRST] = core.inputs["delay"][mine]
                self.convs.append(self._conv(core, i, base, conv_x))
            else:
                self._entries(core, i, base, mine, axons)
            each = self.event["synapse_" + core.encoding(i)]
            axons[mine, A_WORK] = (self.event["axon_in"]
                                     + -(-core.inputs["synapses"][mine] // lanes) * each)
        return axons

    def _entries(self, core: CoreContents, i: int, base: int, mine: Ints, axons: Ints) -> None:
        """Synapses of a format; axons that share theirs (parallel ones) share them here too."""
        synapses = core.entries(i)
        own, of = core.shared(i)
        counts = core.inputs["synapses"][own]
        start = self.n_synapses + np.cumsum(counts) - counts
        axons[mine, A_ADDRESS] = start[np.searchsorted(own, of)]
        begin, end = core.span(i)
        axons[mine, A_FIRST], axons[mine, A_END] = base + begin, base + end
        self._add(synapses.weight, synapses.neuron - begin, synapses.delay)
        if np.any(synapses.delay):
            axons[mine, A_KIND] += k.DENSE_LATE
        self.latest = max(self.latest, int(synapses.delay.max(initial=0)))

    def _deliveries(self, first: Ints, axon: Ints, axons: Ints) -> tuple[
            Ints, Ints, Ints, Ints, int]:
        """The synapses that each source reaches: where its deliveries begin, deliveries, memory,
        delays, shift.

        ``first`` and ``axon``: the input axons that each source sends to. ``A_ADDRESS`` of
        ``axons`` and ``F_WEIGHT`` of convolutions count synapses as they were read; synapses are
        put into the order of the sources that first send to them, and messages that go on where
        the one before ends, to neurons near its own, become one delivery.
        """
        # 15 bits leave 17 for a weight with its sign, which is what targets have. Others than these
        # types would be another kernel to compile: for wide numbers alone. Where a delivery counts
        # neurons from is a multiple of half of what the bits hold.
        counted = axons[np.isin(axons[:, A_KIND], (k.SPARSE, k.SPARSE_LATE))]
        widest = int((counted[:, A_END] - counted[:, A_FIRST]).max(initial=0))
        shift, dtype = (15, np.int32) if widest <= 1 << 14 and not any(
            np.any(np.abs(w) > 0xFFFF) for w in self.weights) else (32, np.int64)
        source, sent = _owners(first), axons[axon]
        base = np.where(sent[:, A_KIND] == k.SPARSE,
                        sent[:, A_FIRST] >> (shift - 1) << (shift - 1), sent[:, A_FIRST])
        # Messages that may become one are neighbours in this order.
        order = np.lexsort((sent[:, A_FIRST], sent[:, A_SHIFT], base, sent[:, A_KIND], source))
        source, sent, base = source[order], sent[order], base[order]
        listed = np.flatnonzero(sent[:, A_KIND] != k.CONV)
        _, reached, which = np.unique(sent[listed, A_ADDRESS], return_index=True,
                                      return_inverse=True)
        owners = np.sort(listed[reached])
        count, place = sent[owners, A_SYNAPSES], np.zeros(len(sent), np.int64)
        place[owners] = np.cumsum(count) - count
        place[listed] = place[listed[reached]][which.reshape(-1)]
        memory, late = self._memory(sent[owners, A_ADDRESS], count,
                                    sent[owners, A_FIRST] - base[owners], shift, dtype)

        alike = np.zeros(len(sent), bool)
        alike[owners] = sent[owners, A_KIND] == k.SPARSE
        new = ~alike | ~np.append(False, alike[:-1])
        for values in (source, base, sent[:, A_SHIFT]):
            new |= _changes(values)
        begins, last = np.flatnonzero(new), np.flatnonzero(np.append(new, True)[1:])
        deliveries = np.empty((len(begins), k.D_COLUMNS), np.int32)
        deliveries[:, k.D_KIND] = sent[begins, A_KIND]
        deliveries[:, k.D_SHIFT] = sent[begins, A_SHIFT]
        deliveries[:, k.D_BEGIN] = place[begins]
        deliveries[:, k.D_END] = place[last] + sent[last, A_SYNAPSES]
        deliveries[:, k.D_FIRST] = base[begins]
        conv = sent[begins, A_KIND] == k.CONV
        for column, value in ((k.D_CONV, A_CONV), (k.D_ELEMENT, A_ADDRESS), (k.D_DELAY, A_FIRST)):
            deliveries[conv, column] = sent[begins[conv], value]
        each = np.bincount(source[begins], minlength=len(first) - 1)
        return _starts(each).astype(np.int32), deliveries, memory, late, shift

    def _memory(self, address: Ints, count: Ints, offset: Ints, shift: int,
                dtype: Any) -> tuple[Ints, Ints]:
        """Memory and delays: of synapses those of ``count`` from each ``address`` on, ``offset``
        added to their neurons; then the kernels."""
        listed = int(count.sum())
        kernels = np.array([row[k.F_WEIGHT] for row in self.convs], np.int64)
        for row, end, size in zip(self.convs, np.cumsum(self.kernel_sizes).tolist(),
                                  self.kernel_sizes, strict=True):
            row[k.F_WEIGHT] = listed + end - size
        count = np.append(count, self.kernel_sizes).astype(np.int64)
        total = int(count.sum())
        if total >= 1 << 31:
            raise ValueError("more synapses or ticks than 31 bits count")
        read = np.arange(total) + np.repeat(np.append(address, kernels) - np.cumsum(count) + count,
                                            count)
        memory = _joined(self.weights, dtype)[read] << shift
        memory[:listed] |= (_joined(self.locals, dtype)[read[:listed]] + np.repeat(
            offset, count[:len(offset)]).astype(dtype)) & ((1 << shift) - 1)
        late = _joined(self.lates, np.uint8 if self.latest < 256 else np.uint32)
        return memory, late[read] if self.latest else late[:0]

    def _add(self, weight: Ints, local: Ints, late: Ints) -> None:
        self.weights.append(weight.astype(np.int64 if np.any(np.abs(weight) >> 31) else np.int32))
        self.locals.append(local.astype(np.int32))
        self.lates.append(late.astype(np.uint8 if int(late.max(initial=0)) < 256 else np.uint32))
        self.n_synapses += len(weight)

    def _conv(self, core: CoreContents, i: int, base: int, conv_x: Ints) -> Ints:
        """A convolution's kernels, and where the neurons of each output row are; its row."""
        row = np.zeros(k.F_COLUMNS, np.int64)
        g = core.geometry(i)
        channels, kernels = core.kernels(i)
        first, stop = core.span(i)
        element = core.neurons["element"][first:stop]
        c_out, out_h, out_w = g.out_chw
        corner = (channels[:, None] * out_h + np.arange(out_h)).reshape(-1) * out_w
        table = np.append(np.searchsorted(element, corner), len(element))
        conv_x[first:stop] = element % out_w
        group = np.searchsorted(channels, np.arange(g.groups + 1) * (c_out // g.groups))
        row[k.F_FIRST] = base + first
        row[k.F_WEIGHT], row[k.F_ROWS], row[k.F_GROUP] = (self.n_synapses, self.n_rows,
                                                          self.n_groups)
        row[k.F_CIN:k.F_CIN + 3], row[k.F_OH], row[k.F_OW] = g.in_chw, out_h, out_w
        row[k.F_KH:k.F_KH + 8] = (*g.kernel, *g.stride, *g.padding, *g.dilation)
        row[k.F_GROUPS] = g.groups
        none = np.zeros(kernels.size, np.int64)
        self._add(kernels.reshape(-1), none, none)
        self.kernel_sizes.append(kernels.size)
        self.rows.append(table)
        self.n_rows += len(table)
        self.groups.append(group)
        self.n_groups += len(group)
        late = core.late(i)
        row[k.F_LATE], row[k.F_LATES] = int(late[0]) if len(late) else 0, -1
        if len(late) and np.any(late != late[0]):
            row[k.F_LATE], row[k.F_LATES] = 0, self.n_late
            self.conv_late.append(late)
            self.n_late += len(late)
        delay = core.inputs["delay"][core.axons(i)]
        self.latest = max(self.latest, int(late.max(initial=0)) + int(delay.max(initial=0)))
        return row

    # Flits and inputs.

    def _messages(self, source: Ints, axon: Ints, axons: Ints, core_bits: int,
                  mesh: Mesh) -> tuple[Ints, Ints]:
        """Messages and their shapes. Each travels in a flit of its own, or (multicast) with others
        of its source, in as few flits as name no core twice. ``source``, ascending, and ``axon`` of
        each message."""
        sent, n = axons[axon], len(axon)
        to, starts = sent[:, A_CORE], np.ones(n, bool)
        if self.target.chip.router != "unicast":
            order = np.lexsort((np.arange(n), to, source))
            new = _changes(source[order]) | _changes(to[order])
            again = np.zeros(n, np.int64)  # how often the core was named before
            again[order] = np.arange(n) - np.maximum.accumulate(np.where(new, np.arange(n), 0))
            order = np.lexsort((destination_rank(mesh)[to], again, source))
            starts = _changes(source[order]) | _changes(again[order])
            sent, to = sent[order], to[order]
        key, shape = np.unique(sent[:, A_SYNAPSES] << 31 | sent[:, A_WORK], return_inverse=True)
        shapes = np.stack([key >> 31, key & ((1 << 31) - 1)], axis=1)
        messages = shape.reshape(-1) << (core_bits + 1) | to << 1 | starts
        # Each is another kernel to compile; but messages are most of what sparse programs keep.
        dtype = np.min_scalar_type(max(int(messages.max(initial=0)), 0x100))
        return messages.astype(dtype), shapes.astype(np.int32)

    def _host(self, bases: Ints, base: int) -> tuple[Ints, Ints, dict[str, int], dict[str, int]]:
        """Where the axons of each of the host's sources begin, the axons, and the first source
        (from ``base`` on) of each input and how many its elements are."""
        counts: list[Ints] = [np.zeros(0, np.int64)]
        axon: list[Ints] = [np.zeros(0, np.int64)]
        first: dict[str, int] = {}
        parallel: dict[str, int] = {}
        for table in self.program.host:
            records = read_host(self.program, table)
            first[table.population] = base
            parallel[table.population] = table.parallel
            # Parallel axons of an element are as many equal parts: each part is sent by itself.
            counts.append(np.repeat(np.diff(table.first) // table.parallel, table.parallel))
            axon.append(_axons(bases, records["core"], records["axon"]))
            base += len(counts[-1])
        return _starts(np.concatenate(counts)), np.concatenate(axon), first, parallel


def _axons(bases: Ints, core: Ints, axon: Ints) -> Ints:
    """Axons numbered over all cores, of which core i has those from ``bases[i]`` on."""
    if np.any(axon >= np.diff(bases)[core]):
        raise ValueError("an output axon to an input axon that is not there")
    return np.asarray(bases[core] + axon, np.int64)


def _by_kind(source: Ints, sent: Ints, sources: int) -> Ints:
    """Dense, sparse and convolved synapses that each source reaches; ``sent``: the axons."""
    kind = np.where(sent[:, A_KIND] < k.DENSE_LATE, sent[:, A_KIND],
                    sent[:, A_KIND] - k.DENSE_LATE)
    # Exact: below 2**53.
    sums = np.bincount(3 * source + kind, sent[:, A_SYNAPSES], 3 * sources).reshape(-1, 3)
    if int(sums.max(initial=0)) >= 1 << 31:
        raise ValueError("more synapses or ticks than 31 bits count")
    return sums.astype(np.int32)


def _joined(parts: list[Ints], dtype: Any) -> Ints:
    return np.concatenate([np.zeros(0, dtype), *(part.astype(dtype) for part in parts)])


def _starts(counts: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _owners(first: Ints) -> Ints:
    """Which range each element of ranges that begin at ``first`` is in."""
    return np.repeat(np.arange(len(first) - 1), np.diff(first))


def _changes(values: Ints) -> npt.NDArray[np.bool_]:
    """Where a value differs from the one before; the first does."""
    return np.concatenate([np.ones(min(len(values), 1), bool), values[1:] != values[:-1]])
