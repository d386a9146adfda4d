"""A ``Program`` as the flat arrays the kernel runs on, decoded from its images alone.

Neurons of all cores stand one after the other in the cores' own order, and so do their axons.
Convolutions stay kernels: for each there is a table of the rows of output neurons that a core has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile.images import CoreContents, read_core, read_host
from neurocompile.ir.program import COMPARES, ENCODINGS, KINDS, RESETS, Program
from neurocompile.ir.target import EVENTS
from neurocompile_backends.chip import kernel as k
from neurocompile_backends.chip.timing.layout import ticks_of

Ints = npt.NDArray[Any]

_NEURONS = ("keep_u", "keep_v", "threshold", "bias", "initial_v", "element")


@dataclass(frozen=True, eq=False)
class Loaded:
    """A program ready to run. Elements of input p start at ``host_base[p]`` in the host's tables;
    ``host_parallel[p]`` as ``HostTable.parallel``."""

    program: Program
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
        return len(self.tables.out_axon) + len(self.tables.host_axon)

    @property
    def nbytes(self) -> int:
        """Bytes of all tables, which is what a loaded program keeps in memory."""
        return sum(v.nbytes for v in self.tables if isinstance(v, np.ndarray))


def load(program: Program) -> Loaded:
    """Decode a program. Raises ``ValueError`` for images that no assembler wrote."""
    return _Loader(program).loaded()


class _Loader:
    def __init__(self, program: Program):
        self.program = program
        self.target = program.target
        m = self.target.machine
        self.fold = m.overflow == "fold_saturate"
        self.half = 1 << (m.u_fold_bits - 1) if self.fold else m.u_limit
        self.event = {e: ticks_of(self.target, e) for e in EVENTS}
        self.weights: list[Ints] = []
        self.locals: list[Ints] = []
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
        sections = [np.zeros((0, k.S_COLUMNS), np.int64)]
        formats = [np.zeros((0, k.F_COLUMNS), np.int64)]
        axons = [np.zeros((0, k.A_COLUMNS), np.int64)]
        neurons: list[dict[str, Ints]] = [dict.fromkeys(_NEURONS, np.zeros(0, np.int64))]
        outputs: list[Ints] = [np.zeros((2, 0), np.int64)]
        counts: list[Ints] = [np.zeros(0, np.int64)]
        core_sections, axon_base = [0], [0]
        conv_x: list[Ints] = [np.zeros(0, np.int32)]
        base = n_formats = 0
        for index in range(len(self.program.cores)):
            core = read_core(self.program, index)
            sections.append(self._sections(core, index, base))
            conv_x.append(np.zeros(core.n_neurons, np.int32))
            rows, mine = self._formats(core, base, n_formats, conv_x[-1])
            formats.append(rows)
            axons.append(np.concatenate([mine, np.full((len(mine), 1), index)], axis=1))
            neurons.append(self._neurons(core))
            counts.append(core.neurons["outputs"])
            outputs.append(np.stack([core.outputs["core"], core.outputs["axon"]]))
            base += core.n_neurons
            n_formats += len(rows)
            core_sections.append(core_sections[-1] + len(sections[-1]))
            axon_base.append(axon_base[-1] + len(mine))
        bases = np.array(axon_base, np.int64)
        host_first, host_axon, host_base, parallel = self._host(bases)
        m = self.target.machine
        column = {name: np.concatenate([part[name] for part in neurons]) for name in _NEURONS}
        sent = np.concatenate(outputs, axis=1)
        late = self.lates if self.latest else []
        out_axon = _axons(bases, sent[0], sent[1])
        tables = k.Tables(
            np.array([self.fold, self.half, m.v_limit, m.input_shift], np.int64),
            np.concatenate(sections), np.array(core_sections, np.int64), np.concatenate(formats),
            np.concatenate(axons), column["keep_u"].astype(np.int32),
            column["keep_v"].astype(np.int32), column["threshold"],
            column["bias"].astype(np.int32), column["initial_v"].astype(np.int32),
            column["element"].astype(np.int32), _starts(np.concatenate(counts)),
            out_axon.astype(np.int32), host_first, host_axon.astype(np.int32),
            # Others than these types would be another kernel to compile: for wide numbers alone.
            _joined(self.weights, np.int16, np.int32), _joined(self.locals, np.uint16, np.uint32),
            _joined(late, np.uint8, np.uint32),
            _joined(self.rows, np.int32), _joined(self.groups, np.int32),
            np.concatenate(conv_x), _joined(self.conv_late, np.int32),
            np.asarray(self.program.chip, np.int64), int(self.program.chip.max(initial=0)) + 1,
            self.latest + 2)
        return Loaded(self.program, tables, host_base, parallel)

    # Neurons.

    def _sections(self, core: CoreContents, index: int, base: int) -> Ints:
        rows = np.zeros((len(core.sections["count"]), k.S_COLUMNS), np.int64)
        offset = self.target.machine.current_decay_offset
        for i, row in enumerate(rows):
            first, count = int(core.sections["first"][i]), int(core.sections["count"][i])
            shared = core.neurons["configuration"][first:first + count]
            one = {name: int(column[shared[0]]) if count else 0
                   for name, column in core.configurations.items()}
            for name in ("reset", "compare", "max_spikes"):
                if len(np.unique(core.configurations[name][shared])) > 1:
                    raise ValueError(f"a section with several kinds of {name}")
            row[k.S_CORE], row[k.S_FIRST], row[k.S_COUNT] = index, base + first, count
            row[k.S_POPULATION] = core.sections["population"][i]
            row[k.S_SIZE] = self.program.symbols.sizes[row[k.S_POPULATION]]
            row[k.S_BASE] = sum(self.program.symbols.sizes[:row[k.S_POPULATION]])
            row[k.S_START] = core.sections["start"][i]
            row[k.S_ANALOG] = KINDS[int(core.sections["kind"][i])] == "analog"
            row[k.S_RESET] = RESETS.index(RESETS[one["reset"]])
            row[k.S_GE] = COMPARES[one["compare"]] == "ge"
            row[k.S_MAX] = one["max_spikes"]
            row[k.S_FILTER] = np.any(core.configurations["current_decay"][shared] + offset < 4096)
            row[k.S_LEAK] = np.any(core.configurations["membrane_decay"][shared] > 0)
            row[k.S_NARROW] = self._is_narrow(one, core, first, count)
        return rows

    def _is_narrow(self, shared: dict[str, int], core: CoreContents, first: int,
                   count: int) -> bool:
        """Do the target's own limits keep every intermediate sum of the fast update in 32 bits?"""
        m, neuron = self.target.machine, self.target.neuron
        if not self.program.proved or shared["max_spikes"] > 1 or (
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

    def _formats(self, core: CoreContents, base: int, n_formats: int,
                 conv_x: Ints) -> tuple[Ints, Ints]:
        n = len(core.formats["section"])
        rows = np.zeros((n, k.F_COLUMNS), np.int64)
        axons = np.zeros((len(core.inputs["format"]), k.A_COLUMNS - 1), np.int64)
        axons[:, k.A_FORMAT] = n_formats + core.inputs["format"]
        axons[:, k.A_SYNAPSES] = core.inputs["synapses"]
        axons[:, k.A_DELAY] = core.inputs["delay"]
        self.latest = max(self.latest, int(core.inputs["delay"].max(initial=0)))
        for i, row in enumerate(rows):
            first, stop = core.span(i)
            row[k.F_ENCODING] = core.formats["encoding"][i]
            row[k.F_FIRST], row[k.F_COUNT] = base + first, stop - first
            row[k.F_SHIFT] = core.formats["exponent"][i]
            mine = core.axons(i)
            if core.encoding(i) == "conv":
                self._conv(core, i, row, conv_x)
                axons[mine, k.A_ADDRESS] = core.inputs["address"][mine]
            else:
                self._entries(core, i, row, mine, axons)
            each = self.event["synapse_" + ENCODINGS[int(row[k.F_ENCODING])]]
            lanes = self.target.timing.lanes
            axons[mine, k.A_WORK] = (self.event["axon_in"]
                                     + -(-core.inputs["synapses"][mine] // lanes) * each)
        return rows, axons

    def _entries(self, core: CoreContents, i: int, row: Ints, mine: Ints, axons: Ints) -> None:
        """Synapses of a format; axons that share theirs (parallel ones) share them here too."""
        synapses = core.entries(i)
        own, of = core.shared(i)
        counts = core.inputs["synapses"][own]
        start = self.n_synapses + np.cumsum(counts) - counts
        axons[mine, k.A_ADDRESS] = start[np.searchsorted(own, of)]
        self.weights.append(_narrow(synapses.weight, np.int16, np.int32))
        self.locals.append(_narrow(synapses.neuron - core.span(i)[0], np.uint16, np.uint32))
        self.lates.append(_narrow(synapses.delay, np.uint8, np.uint32))
        self.n_synapses += len(synapses.weight)
        row[k.F_DELAYED] = bool(np.any(synapses.delay))
        self.latest = max(self.latest, int(synapses.delay.max(initial=0)))

    def _conv(self, core: CoreContents, i: int, row: Ints, conv_x: Ints) -> None:
        """A convolution's kernels, and where the neurons of each output row are."""
        g = core.geometry(i)
        channels, kernels = core.kernels(i)
        first, stop = core.span(i)
        element = core.neurons["element"][first:stop]
        c_out, out_h, out_w = g.out_chw
        corner = (channels[:, None] * out_h + np.arange(out_h)).reshape(-1) * out_w
        table = np.append(np.searchsorted(element, corner), len(element))
        conv_x[first:stop] = element % out_w
        group = np.searchsorted(channels, np.arange(g.groups + 1) * (c_out // g.groups))
        row[k.F_WEIGHT], row[k.F_ROWS], row[k.F_GROUP] = (self.n_synapses, self.n_rows,
                                                          self.n_groups)
        row[k.F_CIN:k.F_CIN + 3], row[k.F_OH], row[k.F_OW] = g.in_chw, out_h, out_w
        row[k.F_KH:k.F_KH + 8] = (*g.kernel, *g.stride, *g.padding, *g.dilation)
        row[k.F_GROUPS] = g.groups
        self.weights.append(_narrow(kernels.reshape(-1), np.int16, np.int32))
        self.locals.append(np.zeros(kernels.size, np.uint16))
        self.lates.append(np.zeros(kernels.size, np.uint8))
        self.n_synapses += kernels.size
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

    # Inputs.

    def _host(self, bases: Ints) -> tuple[Ints, Ints, dict[str, int], dict[str, int]]:
        first: list[Ints] = [np.zeros(1, np.int64)]
        axon: list[Ints] = [np.zeros(0, np.int64)]
        base: dict[str, int] = {}
        parallel: dict[str, int] = {}
        n = 0
        for table in self.program.host:
            records = read_host(self.program, table)
            base[table.population] = n
            first.append(first[-1][-1] + table.first[1:])
            axon.append(_axons(bases, records["core"], records["axon"]))
            parallel[table.population] = table.parallel
            n += len(table.first) - 1
        return np.concatenate(first), np.concatenate(axon), base, parallel


def _axons(bases: Ints, core: Ints, axon: Ints) -> Ints:
    """Axons numbered over all cores, of which core i has those from ``bases[i]`` on."""
    if np.any(axon >= np.diff(bases)[core]):
        raise ValueError("an output axon to an input axon that is not there")
    return np.asarray(bases[core] + axon, np.int64)


def _narrow(values: Ints, narrow: Any, wide: Any) -> Ints:
    """In the narrow type where it holds all values."""
    limits = np.iinfo(narrow)
    fits = not len(values) or (values.min() >= limits.min and values.max() <= limits.max)
    return values.astype(narrow if fits else wide)


def _joined(parts: list[Ints], narrow: Any, wide: Any = None) -> Ints:
    """One array, of the narrow type unless a part is wide."""
    dtype = wide if wide and any(part.dtype == wide for part in parts) else narrow
    return np.concatenate([np.zeros(0, dtype), *(part.astype(dtype) for part in parts)])


def _starts(counts: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
