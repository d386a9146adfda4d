"""A core of hardware: where each neuron lies, what each memory holds.

Neuron n of a core is in lane ``n % lanes`` of row ``n // lanes``; each population begins a row of
its own. Where a convolution ends in it, and the core has a box of its output, the lanes are
channels, so that one weight a lane serves ``lanes`` output channels at once; elsewhere neurons
follow one another.

An axon is walked by three nested loops (``nc_synapses``): columns, rows, blocks of channels. Dense
connections are the case of one loop. Whatever these loops cannot walk, synapses with delays of
their own or parts of a convolution, is unfolded: a list in which each lane names its accumulator.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurocompile.bits import Ints
from neurocompile.images import CoreContents, Synapses
from neurocompile.ir.program import COMPARES, KINDS, RESETS, Program
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile_backends.rtl.design import (
    CorePlan,
    Image,
    Unsupported,
    Walk,
    bits_for,
    signed_bits,
)
from neurocompile_backends.rtl.taps import Box, box_of, taps_of
from neurocompile_backends.rtl.widths import Payloads, membrane_bits, patchable

FORMAT_FIELD = 24
"""Bits of a constant of a format."""

SPRAM_WORDS, SPRAM_BITS = 16384, 16 * 16384
"""Of one of the large RAMs of an iCE40 UP5K: 16 bits wide."""

MOST_SYNAPSES = 1 << 25
"""Of a connection that is stored synapse by synapse: more than the block RAM of any FPGA."""

EARLY = ("KEEP_U", "KEEP_V", "INITIAL", "START")
"""Parameters of a neuron that ``nc_neurons`` needs first."""

LOG2_BANK, BANKS_FROM = 10, 2
"""Words of a bank of synaptic memory, and more banks than which are worth another cycle: reading
a block RAM of an ECP5 takes 5.6 ns before anything is chosen."""

KEEP_BITS = 13
"""Of what a decay keeps, in 1/4096: 0 to 4096."""

HAZARD = 2
"""Cycles from reading an accumulator to when it may be read again."""


@dataclass
class _Format:
    """A way to walk axons: constants of 24 bits."""

    sparse: int = 0
    pad: int = 0
    row: int = 0
    x: int = 0
    y: int = 0
    b: int = 0
    late: int = 0
    word_x: int = 1
    word_y: int = 0
    word_b: int = 0
    row_x: int = 1
    row_y: int = 0
    row_b: int = 0
    shift: int = 0
    section: int = 0


@dataclass
class _Axons:
    """Records of input axons while they are found; -1 in ``format`` where there is none yet."""

    format: Ints
    word: Ints
    row: Ints
    x: Ints
    y: Ints
    late: Ints


@dataclass
class _Place:
    """Where a section lies: first row, rows, and for each of its neurons lane and row in it.
    ``box``: of a convolution's output, lanes are channels; None: neurons follow one another."""

    first: int
    rows: int
    lane: Ints
    row: Ints
    box: Box | None


@dataclass
class CorePlanner:
    """Plans one core. ``lanes``: neurons that a spike reaches at once."""

    program: Program
    network: QuantizedNetwork
    c: CoreContents
    index: int
    outputs: dict[str, int]
    payloads: Payloads
    lanes: int
    formats: list[_Format] = field(default_factory=list)
    dense: list[Ints] = field(default_factory=list)   # words of synaptic memory, [word, lane]
    dense_words: int = 0
    sparse: list[tuple[Ints, Ints]] = field(default_factory=list)  # offset and weight, alike
    sparse_words: int = 0

    def plan(self, place_bits: int, axon_bits: int, carried: int, step_bits: int,
             log2_fifo: int) -> CorePlan:
        self._place()
        n = len(self.c.inputs["format"])
        self.axons = _Axons(np.full(n, -1, np.int64), *(np.zeros(n, np.int64) for _ in range(5)))
        unfolded = {f: self._unfolds(f) for f in range(len(self.c.formats["section"]))}
        self.base = min((int(e) for e in self.c.formats["exponent"]), default=0)
        self._ring(unfolded)
        for f in unfolded:
            self._format(f, unfolded[f])
        self._pads()
        parameters = self._widths(carried, step_bits, log2_fifo)
        images: dict[str, Image] = {}
        self._axon_records(parameters, images)
        self._synaptic_memory(parameters, images)
        self._neuron_records(parameters, images)
        first, place, axon = self._out_axons(parameters, images, place_bits, axon_bits)
        formats = self.axons.format
        walk = Walk(
            (self.axons.x + 1) * (self.axons.y + 1) * (
                np.array([f.b for f in self.formats], np.int64)[formats] + 1 if n else 1),
            np.array([f.pad for f in self.formats], np.int64)[formats] if n else formats)
        return CorePlan(self.index, parameters, images, self.slot, walk, first, place, axon)

    # ---- Where neurons are.

    def _place(self) -> None:
        c, lanes = self.c, self.lanes
        self.places: list[_Place] = []
        self.slot = np.zeros(c.n_neurons, np.int64)
        row = 0
        for s in range(len(c.sections["count"])):
            first, count = int(c.sections["first"][s]), int(c.sections["count"][s])
            found = self._box(s)
            if found is not None:
                box, shape = found
                at = np.unravel_index(c.neurons["element"][first:first + count], shape)
                channel, y, x = (axis - begin for axis, begin in zip(at, box.first, strict=True))
                lane = channel % lanes
                within = channel // lanes * box.places + y * box.size[2] + x
                rows = -(-box.size[0] // lanes) * box.places
            else:
                box = None
                local = np.arange(count)
                lane, within = local % lanes, local // lanes
                rows = -(-count // lanes)
            self.places.append(_Place(row, rows, lane, within, box))
            self.slot[first:first + count] = (row + within) * lanes + lane
            row += rows
        self.rows = max(row, 1)

    def _box(self, section: int) -> tuple[Box, tuple[int, int, int]] | None:
        """Which part of its output a section is, and the shape of all of it, where a convolution
        ends in it."""
        c = self.c
        shapes = {c.geometry(f).out_chw for f in range(len(c.formats["section"]))
                  if c.formats["section"][f] == section and c.encoding(f) == "conv"}
        if len(shapes) != 1:
            return None
        (shape,) = shapes
        first, count = int(c.sections["first"][section]), int(c.sections["count"][section])
        box = box_of(c.neurons["element"][first:first + count], shape)
        return None if box is None else (box, shape)

    # ---- Synapses.

    def _unfolds(self, f: int) -> Synapses | None:
        """The synapses of a format; None for a convolution that stays one."""
        c = self.c
        if c.encoding(f) == "conv" and self.places[int(c.formats["section"][f])].box:
            late = c.late(f)
            if not np.any(late != late[0]):
                return None
        count = int(c.inputs["synapses"][c.axons(f)].sum())
        if count > MOST_SYNAPSES:
            raise Unsupported(self.program.symbols.projections[int(c.formats["projection"][f])],
                              "it has more synapses than an FPGA holds one by one",
                              got=f"{count:,}", limit=f"{MOST_SYNAPSES:,}")
        return c.unfolded(f)

    def _ring(self, unfolded: dict[int, Synapses | None]) -> None:
        """Slots of the delay ring: one for each delay, 0 among them."""
        latest = 0
        for f, synapses in unfolded.items():
            if synapses is not None:
                latest = max(latest, int(synapses.delay.max(initial=0)))
            else:
                delay = self.c.inputs["delay"][self.c.axons(f)]
                latest = max(latest, int(delay.max(initial=0)) + int(self.c.late(f)[0]))
        self.slots = latest + 1
        self.size = self.slots * self.rows

    def _offset(self, delay: Any) -> Any:
        """From this step's slot of the ring to that of a spike with a delay."""
        return (1 + delay) % self.slots * self.rows

    def _format(self, f: int, synapses: Synapses | None) -> None:
        section = int(self.c.formats["section"][f])
        own, of = self.c.shared(f)
        if synapses is None:
            self._conv(f, section)
            return
        place = self.places[section]
        first, _ = self.c.span(f)
        count = int(self.c.sections["count"][section])
        shift = int(self.c.formats["exponent"][f]) - self.base
        weight = synapses.weight
        local = synapses.neuron - first
        order = np.argsort(synapses.axon, kind="stable")
        begins = np.searchsorted(synapses.axon[order], own)
        ends = np.searchsorted(synapses.axon[order], own, side="right")
        dense_format = sparse_format = -1
        for axon, begin, end in zip(own.tolist(), begins.tolist(), ends.tolist(), strict=True):
            mine = order[begin:end]
            w, to, delay = weight[mine], local[mine], synapses.delay[mine]
            if self._is_dense(len(mine), count, delay, to, place):
                if dense_format < 0:
                    dense_format = len(self.formats)
                    self.formats.append(_Format(row=place.first, x=place.rows - 1,
                                                shift=shift, section=section))
                words = np.zeros((place.rows, self.lanes), np.int64)
                words[place.row[to], place.lane[to]] = w
                self._set(axon, dense_format, self._add_dense(words), place.first,
                          place.rows - 1, 0, int(self._offset(int(delay[0]))))
            else:
                if sparse_format < 0:
                    sparse_format = len(self.formats)
                    self.formats.append(_Format(sparse=1, shift=shift, section=section))
                offset = self._offset(delay) + place.first + place.row[to]
                word, n = self._add_sparse(offset, place.lane[to], w)
                self._set(axon, sparse_format, word, 0, n - 1, 0, 0)
        self._share(f, of)

    def _is_dense(self, n: int, count: int, delay: Ints, to: Ints, place: _Place) -> bool:
        """Is walking all rows of the section cheaper than a list? One delay is needed for it."""
        if not n or np.any(delay != delay[0]) or len(np.unique(to)) < n:
            return False
        most = int(np.bincount(place.lane[to], minlength=self.lanes).max())
        # A word of a list is as wide again for the accumulators it names.
        return n == count or 2 * most >= place.rows

    def _share(self, f: int, of: Ints) -> None:
        """Parallel axons have the record of the one whose synapses they share."""
        a, axons = self.axons, self.c.axons(f)
        for column in (a.format, a.word, a.row, a.x, a.y, a.late):
            column[axons] = column[of]

    def _set(self, axon: int, format_: int, word: int, row: int, x: int, y: int,
             late: int) -> None:
        a = self.axons
        a.format[axon], a.word[axon], a.row[axon] = format_, word, row
        a.x[axon], a.y[axon], a.late[axon] = x, y, late

    def _add_dense(self, words: Ints) -> int:
        start = self.dense_words
        self.dense.append(words)
        self.dense_words += len(words)
        return start

    def _add_sparse(self, offset: Ints, lane: Ints, weight: Ints) -> tuple[int, int]:
        """A list of synapses, [word, lane]; its first word and how many. Two for one accumulator
        are one; lanes are sorted, so none comes twice within ``HAZARD``."""
        key = lane * self.size + offset
        keys, which = np.unique(key, return_inverse=True)
        sums = np.zeros(len(keys), np.int64)
        np.add.at(sums, which, weight)
        if not patchable(self.program):  # there, a weight of zero may become another
            keys, sums = keys[sums != 0], sums[sums != 0]
        lane, offset = np.divmod(keys, self.size)
        nth = np.arange(len(keys)) - np.searchsorted(lane, lane)
        n = max(1, int(nth.max(initial=-1)) + 1)
        offsets, weights = np.zeros((2, n, self.lanes), np.int64)
        offsets[nth, lane], weights[nth, lane] = offset, sums
        start = self.sparse_words
        self.sparse.append((offsets, weights))
        self.sparse_words += n
        return start, n

    def _conv(self, f: int, section: int) -> None:
        """Words: [input channel, block of lanes, row, column of the kernel]."""
        c, g, place, lanes = self.c, self.c.geometry(f), self.places[section], self.lanes
        box = place.box
        assert box is not None
        channels, kernels = c.kernels(f)
        (first_out, _, _), (c_out, out_h, out_w) = box.first, box.size
        per_in, per_out = g.in_chw[0] // g.groups, g.out_chw[0] // g.groups
        # The output channels of the box that belong to the group of an input channel: at least
        # one, so that groups that do not reach the box, and have no axons, lie in it too.
        group = np.arange(g.in_chw[0]) // per_in
        low = np.clip(group * per_out - first_out, 0, c_out - 1)
        high = np.clip((group + 1) * per_out - 1 - first_out, low, c_out - 1)
        first_block = low // lanes
        blocks = int((high // lanes - first_block).max()) + 1
        first_block = np.minimum(first_block, -(-c_out // lanes) - blocks)
        k_h, k_w = g.kernel
        words = np.zeros((g.in_chw[0], blocks, k_h, k_w, lanes), np.int64)
        to = channels[:, None] - first_out
        ci = channels[:, None] // per_out * per_in + np.arange(per_in)
        words[ci, to // lanes - first_block[ci], :, :, to % lanes] = kernels
        start = self._add_dense(words.reshape(-1, lanes))
        y, x = taps_of(g, box, 0), taps_of(g, box, 1)
        taps = blocks * k_h * k_w
        self.formats.append(_Format(
            row=place.first, b=blocks - 1, word_x=-x.tap, word_y=-y.tap * k_w, word_b=k_h * k_w,
            row_x=x.step, row_y=y.step * out_w, row_b=out_h * out_w,
            shift=int(c.formats["exponent"][f]) - self.base, section=section))
        axons = c.axons(f)
        channel, at = np.divmod(c.inputs["address"][axons], g.in_chw[1] * g.in_chw[2])
        iy, ix = np.divmod(at, g.in_chw[2])
        a = self.axons
        a.format[axons] = len(self.formats) - 1
        a.word[axons] = start + channel * taps + y.first_tap[iy] * k_w + x.first_tap[ix]
        a.row[axons] = (place.first + first_block[channel] * out_h * out_w
                        + y.first[iy] * out_w + x.first[ix])
        a.x[axons], a.y[axons] = x.count[ix] - 1, y.count[iy] - 1
        a.late[axons] = self._offset(c.inputs["delay"][axons] + int(c.late(f)[0]))

    def _pads(self) -> None:
        """Which formats are followed by an idle cycle: where an axon could begin with the
        accumulator that the one before it ended with."""
        for f in self.formats:
            others = [o for o in self.formats if o.section == f.section]
            lines = all(not o.sparse and o.b == o.y == 0 and o.row_y == 0 for o in others)
            f.pad = 0 if lines and self.places[f.section].rows >= HAZARD else HAZARD - 1

    # ---- Widths and records.

    def _widths(self, carried: int, step_bits: int, log2_fifo: int) -> dict[str, int]:
        machine, limits = self.program.target.machine, {b.population: b for b in
                                                        self.network.bounds}
        populations = [self.network.population(self.program.symbols.populations[int(p)])
                       for p in self.c.sections["population"]]
        bounds = [limits.get(p.name) for p in populations]
        proved = all(b is not None and b.proved for b in bounds)
        membranes = [membrane_bits(self.program, b, p.name)
                     for b, p in zip(bounds, populations, strict=True)]
        delayed = any(p.reset == "subtract_delayed" for p in populations)
        v_limit = machine.v_limit if delayed or any(limit for _, limit in membranes) else 0
        v = machine.v_bits if v_limit else max(bits for bits, _ in membranes)
        # What no proof narrows is as wide as quantization may make it.
        widest = self.program.target.synapse.accumulator_max
        acc, u = signed_bits(-widest, widest) - self.base, machine.u_bits
        u_limit = machine.u_limit
        if proved:
            highest = max(signed_bits(int(b.u_low.min(initial=0)), int(b.u_high.max(initial=0)))
                          for b in bounds if b is not None)
            u_limit = 0 if highest <= machine.u_bits else machine.u_limit
            if not patchable(self.program):
                low = min(int(b.a_low.min(initial=0)) for b in bounds if b is not None)
                high = max(int(b.a_high.max(initial=0)) for b in bounds if b is not None)
                acc, u = signed_bits(-(-low >> self.base), high >> self.base), highest
        u = min(u, machine.u_bits)
        acc = max(acc, 2)
        initial = self.c.neurons["initial_v"]
        v = max(v, signed_bits(int(initial.min(initial=0)), int(initial.max(initial=0))))
        count = max((p.max_spikes for p in populations if p.role != "analog"),
                    default=1).bit_length()
        self.bias = np.left_shift(self.c.neurons["bias_mantissa"],
                                  self.c.neurons["bias_exponent"])
        loaded = [d for d in self.network.drives if d.target in {p.name for p in populations}]
        limit, open_ = self.program.target.neuron, patchable(self.program)
        # Any network of this shape has biases where this one has some, and only there.
        self.biased = bool(np.any(self.bias)) or any(
            self.network.scheduled.register_biases.get(p.name) for p in populations)
        most_bias = limit.bias_mantissa_max << limit.bias_exponent_max if (
            open_ and self.biased) else int(np.abs(self.bias).max(initial=0))
        # What the host loads comes on top of what a neuron has.
        self.most_bias = most_bias + max(
            (d.mantissa_max << d.exponent_max for d in loaded), default=0)
        self.threshold = np.left_shift(
            self.c.thresholds["threshold"][self.c.neurons["threshold"]], machine.threshold_shift)
        keep_u = 4096 - machine.current_decay_offset - (
            self.c.configurations["current_decay"][self.c.neurons["configuration"]])
        self.keep_u = keep_u
        shift = machine.input_shift + self.base
        self.most_threshold = limit.threshold_max << machine.threshold_shift if open_ else int(
            self.threshold.max(initial=0))
        most = ((1 << (u - 1)) + (1 << (acc - 1 + shift)), (1 << (v - 1)) + (1 << (u - 1)) + (
            self.most_bias), self.most_threshold)
        total = max(signed_bits(-m, m) for m in most) + (count if delayed else 0)
        sent = max(self.payloads.population[p.name] for p in populations)
        if total > 32 or self.size > 1 << 23:
            raise Unsupported(f"core {self.index}", "its sums are wider than this hardware has",
                              got=f"{total} bits", limit="32 bits")
        return {
            "LANES": self.lanes, "LANE": bits_for(self.lanes), "ROWS": self.rows,
            "SLOTS": self.slots, "INDEX": bits_for(self.rows * self.lanes),
            "ADDR": bits_for(self.size), "ACC": acc,
            "AXON": bits_for(len(self.c.inputs["format"])),
            "AXONS": max(1, len(self.c.inputs["format"])),
            "PAYLOAD": self.payloads.core[self.index], "LOG2_FIFO": log2_fifo,
            "SHIFT": shift, "U": u, "V": v, "SUM": max(total, u + 1, v + 1, sent, count + 1),
            "U_LIMIT": u_limit, "V_LIMIT": v_limit, "FILTER": int(np.any(keep_u > 0)),
            "DELAYED": int(delayed),
            "REFRACTORY": max(p.refractory_steps for p in populations).bit_length(),
            "COUNT": count, "SENT": sent, "CARRIED": carried, "STEP": step_bits,
            "LOADED": signed_bits(-self.most_bias, self.most_bias) if loaded else 0,
        }

    def _axon_records(self, p: dict[str, int], images: dict[str, Image]) -> None:
        a = self.axons
        if not self.formats:
            self.formats.append(_Format())
        formats = self.formats
        n = max(1, len(a.format))
        none = np.zeros(n, np.int64)
        box = any(not f.sparse and (f.word_y or f.b or f.word_x != 1 or f.row_x != 1)
                  for f in formats)
        p["FORMATS"], p["FORMAT_BITS"] = len(formats), bits_for(len(formats))
        p["LEVELS"] = 3 if box else 1
        words = max(self.dense_words, self.sparse_words, 1)
        p["WORD"] = bits_for(words)
        fields: list[tuple[Ints, int]] = [
            (a.format if len(a.format) else none, p["FORMAT_BITS"]),
            (a.word if len(a.word) else none, p["WORD"])]
        largest = 1
        for name, bits_name in (("row", "ROW_BITS"), ("x", "X_BITS"), ("y", "Y_BITS"),
                                ("late", "LATE_BITS")):
            values: Ints = getattr(a, name)
            constant = True
            for i, f in enumerate(formats):
                mine = values[a.format == i]
                used = not (f.sparse and name in ("row", "late"))
                if used and len(mine):
                    setattr(f, name, int(mine[0]))
                    constant = constant and not np.any(mine != mine[0])
            p[bits_name] = 0 if constant else int(values.max()).bit_length()
            if not constant:
                fields.append((values, p[bits_name]))
            if name in ("x", "y"):
                largest = max(largest, int(values.max(initial=0)))
        largest = max(largest, *(max(f.x, f.y, f.b) for f in formats))
        p["COUNTER"] = largest.bit_length()
        for name in ("row", "x", "y", "b", "late", "word_x", "word_y", "word_b", "row_x", "row_y",
                     "row_b", "shift"):
            p["F_" + name.upper()] = sum(
                (getattr(f, name) & ((1 << FORMAT_FIELD) - 1)) << (FORMAT_FIELD * i)
                for i, f in enumerate(formats))
        p["SHIFTS"] = int(any(f.shift for f in formats))
        p["F_SPARSE"] = sum(f.sparse << i for i, f in enumerate(formats))
        p["F_PAD"] = sum(f.pad << i for i, f in enumerate(formats))
        image = Image(n, tuple(fields))
        p["AXON_RECORD"] = image.width
        images["AXON_RECORDS"] = image

    def _synaptic_memory(self, p: dict[str, int], images: dict[str, Image]) -> None:
        p["DENSE_WORDS"], p["SPARSE_WORDS"] = self.dense_words, self.sparse_words
        dense_bits = sparse_bits = least = self._format_bits()
        if self.dense:
            words = np.concatenate(self.dense)
            dense_bits = max(least, signed_bits(int(words.min()), int(words.max())))
            images["DENSE_INIT"] = Image(len(words), tuple(
                (words[:, i], dense_bits) for i in range(self.lanes)))
        if self.sparse:
            offsets = np.concatenate([o for o, _ in self.sparse])
            weights = np.concatenate([w for _, w in self.sparse])
            sparse_bits = max(least, signed_bits(int(weights.min()), int(weights.max())))
            images["SPARSE_INIT"] = Image(len(weights), tuple(
                part for i in range(self.lanes)
                for part in ((offsets[:, i], p["ADDR"]), (weights[:, i], sparse_bits))))
        p["LOG2_BANK"] = self._bank(p)
        p["SPRAM"] = int(self._in_spram(dense_bits))
        p["DENSE_BITS"], p["SPARSE_BITS"] = dense_bits, sparse_bits
        p["WEIGHT"] = max((sparse_bits if f.sparse else dense_bits) + f.shift
                          for f in self.formats)
        p["PRODUCT"] = p["WEIGHT"] + (p["PAYLOAD"] if p["PAYLOAD"] > 1 else 0)

    def _format_bits(self) -> int:
        """Bits that any weight of a core's formats has room in, where others may come; else 2."""
        if not patchable(self.program):
            return 2
        names = {self.program.symbols.projections[int(i)] for i in self.c.formats["projection"]}
        return max([2, *(q.format.bits + (not q.format.signed)
                         for q in self.network.projections if q.name in names)])

    def _bank(self, p: dict[str, int]) -> int:
        """Block RAMs of 1,024 words: where a memory has many of them they are banks."""
        fpga = self.program.target.fpga
        deep = max(p["DENSE_WORDS"], p["SPARSE_WORDS"]) > BANKS_FROM << LOG2_BANK
        return LOG2_BANK if fpga is not None and fpga.family != "ice40" and deep else 0

    def _in_spram(self, bits: int) -> bool:
        """Does the dense memory go where the bitstream cannot fill it? Where the device has such
        RAM and it fits: block RAM is scarce there."""
        fpga = self.program.target.fpga
        return (fpga is not None and self.index == 0 and self.dense_words > 0
                and self.lanes * bits % 16 == 0
                and self.lanes * bits // 16 * -(-self.dense_words // SPRAM_WORDS) * SPRAM_BITS
                <= fpga.spram_bits)

    def _neuron_records(self, p: dict[str, int], images: dict[str, Image]) -> None:
        c, n = self.c, self.rows * self.lanes
        section = np.repeat(np.arange(len(c.sections["count"])), c.sections["count"])
        shared = {name: column[c.neurons["configuration"]]
                  for name, column in c.configurations.items()}
        assert RESETS == ("none", "zero", "subtract", "subtract_delayed")  # as nc_neurons has it
        assert COMPARES == ("gt", "ge")
        analog = c.sections["kind"][section] == KINDS.index("analog")
        values = {
            "KEEP_U": self.keep_u, "KEEP_V": 4096 - shared["membrane_decay"],
            "THRESHOLD": self.threshold, "BIAS": self.bias,
            "INITIAL": c.neurons["initial_v"], "RESET": shared["reset"],
            "GE": shared["compare"], "MOST": np.where(analog, 1, shared["max_spikes"]),
            "ANALOG": analog.astype(np.int64), "START": c.sections["start"][section],
            "PERIOD": np.where(analog, 0, shared["refractory_steps"])}
        early: list[tuple[Ints, int]] = []
        late: list[tuple[Ints, int]] = []
        if c.n_neurons < n:
            valid = np.zeros(n, np.int64)
            valid[self.slot] = 1
            late.append((valid, 1))
            p["VALID_BITS"], p["VALID_AT"] = 1, 0
        if p["LOADED"]:
            biases = np.zeros(n, np.int64)
            biases[self.slot] = values.pop("BIAS")
            images["BIASES"] = Image(n, ((biases, p["LOADED"]),))
        fields = self._open_fields(p) if patchable(self.program) else {}
        for name, column in values.items():
            column = np.asarray(column, np.int64)
            low, high = int(column.min()), int(column.max())
            if low == high and name not in fields:
                p[name] = low & 0xFFFFFFFF
                continue
            signed = name in ("BIAS", "INITIAL")
            width = fields.get(name) or (signed_bits(low, high) if signed else high.bit_length())
            whole = np.full(n, column[0])
            whole[self.slot] = column
            part = early if name in EARLY else late
            p[name + "_BITS"], p[name + "_AT"] = width, sum(bits for _, bits in part)
            part.append((whole, width))
        for name, part in (("NEURON", early), ("LATE", late)):
            p[name + "_RECORD"] = max(1, sum(bits for _, bits in part))
            if part:
                images[name + "_RECORDS"] = Image(n, tuple(part))

    def _open_fields(self, p: dict[str, int]) -> dict[str, int]:
        """Bits of what depends on a network's training: fields, even where all neurons share it.
        Resets, comparisons and starts do not."""
        fields = {"KEEP_V": KEEP_BITS, "THRESHOLD": self.most_threshold.bit_length()}
        if p["FILTER"]:
            fields["KEEP_U"] = KEEP_BITS
        if self.biased:
            fields["BIAS"] = signed_bits(-self.most_bias, self.most_bias)
        if np.any(self.c.neurons["initial_v"]):
            fields["INITIAL"] = p["V"]
        return fields

    # ---- Output axons.

    def _out_axons(self, p: dict[str, int], images: dict[str, Image], place_bits: int,
                   axon_bits: int) -> tuple[Ints, Ints, Ints]:
        c, n = self.c, self.rows * self.lanes
        begin, count = c.neurons["output"], c.neurons["outputs"]
        host = np.full(c.n_neurons, -1, np.int64)
        for s in range(len(c.sections["count"])):
            name = self.program.symbols.populations[int(c.sections["population"][s])]
            if name in self.outputs:
                span = slice(int(c.sections["first"][s]),
                             int(c.sections["first"][s]) + int(c.sections["count"][s]))
                host[span] = self.outputs[name] + c.neurons["element"][span]
        by_slot = np.full(n, -1, np.int64)
        by_slot[self.slot] = np.arange(c.n_neurons)
        place: list[Ints] = [np.zeros(0, np.int64)]
        axon: list[Ints] = [np.zeros(0, np.int64)]
        counts = np.zeros(n, np.int64)
        for slot, neuron in enumerate(by_slot.tolist()):
            if neuron < 0:
                continue
            mine = slice(int(begin[neuron]), int(begin[neuron] + count[neuron]))
            place.append(c.outputs["core"][mine])
            axon.append(c.outputs["axon"][mine])
            counts[slot] = count[neuron]
            if host[neuron] >= 0:
                place.append(np.array([len(self.program.cores)], np.int64))
                axon.append(host[neuron:neuron + 1])
                counts[slot] += 1
        places, axons = np.concatenate(place), np.concatenate(axon)
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        total = max(1, len(places))
        p["OUTS"], p["OUT"] = total, bits_for(total)
        p["FAN"] = max(1, int(counts.max(initial=0)).bit_length())
        p["FLIT"] = place_bits + axon_bits
        images["OUT_FIRSTS"] = Image(n, ((np.minimum(first[:-1], total - 1), p["OUT"]),
                                         (counts, p["FAN"])))
        none = np.zeros(1, np.int64)
        images["OUT_AXONS"] = Image(total, ((axons if len(axons) else none, axon_bits),
                                            (places if len(places) else none, place_bits)))
        return first, places, axons
