"""How the axons of a core are walked, and what its synaptic memories hold.

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
from neurocompile.ir.program import Program
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile_backends.rtl.plan.design import (
    Image,
    Unsupported,
    Walk,
    bits_for,
    signed_bits,
)
from neurocompile_backends.rtl.plan.placement import Place, Placement
from neurocompile_backends.rtl.plan.taps import taps_of
from neurocompile_backends.rtl.plan.widths import patchable

FORMAT_FIELD = 24
"""Bits of a constant of a format."""

MOST_SYNAPSES = 1 << 25
"""Of a connection that is stored synapse by synapse: more than the block RAM of any FPGA."""

LOG2_BANK, BANKS_FROM = 10, 2
"""Words of a bank of synaptic memory, and more banks than which are worth another cycle: reading
a block RAM of an ECP5 takes 5.6 ns before anything is chosen."""

SPRAM_WORDS, SPRAM_BITS = 16384, 16 * 16384
"""Of one of the large RAMs of an iCE40 UP5K: 16 bits wide."""

HAZARD = 2
"""Cycles from reading an accumulator to when it may be read again."""

FIELDS = (("row", "ROW_BITS"), ("x", "X_BITS"), ("y", "Y_BITS"), ("late", "LATE_BITS"))
"""Of an axon's record, where they are no constants of its format, and their widths."""


@dataclass
class Format:
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

    @property
    def walks_box(self) -> bool:
        return not self.sparse and bool(
            self.word_y or self.b or self.word_x != 1 or self.row_x != 1)


CONSTANTS = ("row", "x", "y", "b", "late", "word_x", "word_y", "word_b", "row_x", "row_y", "row_b",
             "shift")


class Axons:
    """Records of ``n`` input axons while they are found; -1 in ``format``: there is none yet."""

    def __init__(self, n: int):
        self.format = np.full(n, -1, np.int64)
        self.word, self.row, self.x, self.y, self.late = np.zeros((5, n), np.int64)

    def __len__(self) -> int:
        return len(self.format)

    def share(self, axons: Ints, of: Ints) -> None:
        """Parallel axons have the record of the one whose synapses they share."""
        for column in (self.format, self.word, self.row, self.x, self.y, self.late):
            column[axons] = column[of]


@dataclass(frozen=True)
class Ring:
    """The accumulators of a core: ``rows`` for each of ``slots`` delays, 0 among them."""

    slots: int
    rows: int

    @property
    def size(self) -> int:
        return self.slots * self.rows

    def offset(self, delay: Any) -> Any:
        """From this step's slot to that of a spike with a delay."""
        return (1 + delay) % self.slots * self.rows


@dataclass
class SynapsePlan:
    """Walks and memories of a core's synapses. ``base``: the exponent that all of them share."""

    program: Program
    c: CoreContents
    placement: Placement
    base: int
    ring: Ring
    axons: Axons
    formats: list[Format] = field(default_factory=list)
    dense: list[Ints] = field(default_factory=list)  # [word, lane] each
    dense_words: int = 0
    sparse: list[tuple[Ints, Ints]] = field(default_factory=list)  # offset and weight, alike
    sparse_words: int = 0

    def walk(self) -> Walk:
        """What each axon takes."""
        a, of = self.axons, self.axons.format
        if not len(a):
            return Walk((a.x + 1) * (a.y + 1), of)
        blocks, pads = (np.array(constants, np.int64)[of] for constants in (
            [f.b for f in self.formats], [f.pad for f in self.formats]))
        return Walk((a.x + 1) * (a.y + 1) * (blocks + 1), pads)

    # ---- Formats.

    def add_unfolded(self, f: int, synapses: Synapses) -> None:
        """Formats of axons whose synapses are stored one by one."""
        section = int(self.c.formats["section"][f])
        place, count = self.placement.places[section], int(self.c.sections["count"][section])
        own, of = self.c.shared(f)
        constants = {"shift": int(self.c.formats["exponent"][f]) - self.base, "section": section}
        local = synapses.neuron - self.c.span(f)[0]
        order = np.argsort(synapses.axon, kind="stable")
        begins = np.searchsorted(synapses.axon[order], own)
        ends = np.searchsorted(synapses.axon[order], own, side="right")
        dense_format = sparse_format = -1
        for axon, begin, end in zip(own.tolist(), begins.tolist(), ends.tolist(), strict=True):
            mine = order[begin:end]
            weight, to, delay = synapses.weight[mine], local[mine], synapses.delay[mine]
            if self._is_dense(len(mine), count, delay, to, place):
                if dense_format < 0:
                    dense_format = self._add_format(
                        Format(row=place.first, x=place.rows - 1, **constants))
                words = np.zeros((place.rows, self.placement.lanes), np.int64)
                words[place.row[to], place.lane[to]] = weight
                self._set(axon, dense_format, self._add_dense(words), place.first,
                          place.rows - 1, int(self.ring.offset(int(delay[0]))))
            else:
                if sparse_format < 0:
                    sparse_format = self._add_format(Format(sparse=1, **constants))
                offset = self.ring.offset(delay) + place.first + place.row[to]
                word, n = self._add_sparse(offset, place.lane[to], weight)
                self._set(axon, sparse_format, word, 0, n - 1, 0)
        self.axons.share(self.c.axons(f), of)

    def _is_dense(self, n: int, count: int, delay: Ints, to: Ints, place: Place) -> bool:
        """Is walking all rows of the section cheaper than a list? One delay is needed for it."""
        if not n or np.any(delay != delay[0]) or len(np.unique(to)) < n:
            return False
        most = int(np.bincount(place.lane[to], minlength=self.placement.lanes).max())
        # A word of a list is as wide again for the accumulators it names.
        return n == count or 2 * most >= place.rows

    def add_convolution(self, f: int) -> None:
        """Words: [input channel, block of lanes, row, column of the kernel]."""
        c, g, lanes = self.c, self.c.geometry(f), self.placement.lanes
        section = int(c.formats["section"][f])
        place = self.placement.places[section]
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
        number = self._add_format(Format(
            row=place.first, b=blocks - 1, word_x=-x.tap, word_y=-y.tap * k_w, word_b=k_h * k_w,
            row_x=x.step, row_y=y.step * out_w, row_b=out_h * out_w,
            shift=int(c.formats["exponent"][f]) - self.base, section=section))
        axons = c.axons(f)
        channel, at = np.divmod(c.inputs["address"][axons], g.in_chw[1] * g.in_chw[2])
        iy, ix = np.divmod(at, g.in_chw[2])
        a = self.axons
        a.format[axons] = number
        a.word[axons] = start + channel * taps + y.first_tap[iy] * k_w + x.first_tap[ix]
        a.row[axons] = (place.first + first_block[channel] * out_h * out_w
                        + y.first[iy] * out_w + x.first[ix])
        a.x[axons], a.y[axons] = x.count[ix] - 1, y.count[iy] - 1
        a.late[axons] = self.ring.offset(c.inputs["delay"][axons] + int(c.late(f)[0]))

    def _add_format(self, added: Format) -> int:
        """Its number."""
        self.formats.append(added)
        return len(self.formats) - 1

    def _set(self, axon: int, format_: int, word: int, row: int, x: int, late: int) -> None:
        a = self.axons
        a.format[axon], a.word[axon], a.row[axon] = format_, word, row
        a.x[axon], a.late[axon] = x, late

    def add_pads(self) -> None:
        """Which formats are followed by an idle cycle: where an axon could begin with the
        accumulator that the one before it ended with."""
        for f in self.formats:
            others = [o for o in self.formats if o.section == f.section]
            lines = all(not o.sparse and o.b == o.y == 0 and o.row_y == 0 for o in others)
            rows = self.placement.places[f.section].rows
            f.pad = 0 if lines and rows >= HAZARD else HAZARD - 1

    # ---- Words of the memories.

    def _add_dense(self, words: Ints) -> int:
        """The first of their addresses."""
        start = self.dense_words
        self.dense.append(words)
        self.dense_words += len(words)
        return start

    def _add_sparse(self, offset: Ints, lane: Ints, weight: Ints) -> tuple[int, int]:
        """A list of synapses, [word, lane]; its first word and how many. Two for one accumulator
        are one; lanes are sorted, so none comes twice within ``HAZARD``."""
        key = lane * self.ring.size + offset
        keys, which = np.unique(key, return_inverse=True)
        sums = np.zeros(len(keys), np.int64)
        np.add.at(sums, which, weight)
        if not patchable(self.program):  # there, a weight of zero may become another
            keys, sums = keys[sums != 0], sums[sums != 0]
        lane, offset = np.divmod(keys, self.ring.size)
        nth = np.arange(len(keys)) - np.searchsorted(lane, lane)
        n = max(1, int(nth.max(initial=-1)) + 1)
        offsets, weights = np.zeros((2, n, self.placement.lanes), np.int64)
        offsets[nth, lane], weights[nth, lane] = offset, sums
        start = self.sparse_words
        self.sparse.append((offsets, weights))
        self.sparse_words += n
        return start, n


def plan_synapses(program: Program, c: CoreContents, placement: Placement) -> SynapsePlan:
    """Raises ``Unsupported`` for connections that no FPGA holds."""
    unfolded = {f: _unfolds(program, c, placement, f) for f in range(len(c.formats["section"]))}
    plan = SynapsePlan(
        program, c, placement, min((int(e) for e in c.formats["exponent"]), default=0),
        _ring(c, unfolded, placement.rows), Axons(len(c.inputs["format"])))
    for f, synapses in unfolded.items():
        if synapses is None:
            plan.add_convolution(f)
        else:
            plan.add_unfolded(f, synapses)
    plan.add_pads()
    return plan


def _unfolds(program: Program, c: CoreContents, placement: Placement, f: int) -> Synapses | None:
    """The synapses of a format; None for a convolution that stays one."""
    if c.encoding(f) == "conv" and placement.places[int(c.formats["section"][f])].box:
        late = c.late(f)
        if not np.any(late != late[0]):
            return None
    count = int(c.inputs["synapses"][c.axons(f)].sum())
    if count > MOST_SYNAPSES:
        raise Unsupported(program.symbols.projections[int(c.formats["projection"][f])],
                          "it has more synapses than an FPGA holds one by one",
                          got=f"{count:,}", limit=f"{MOST_SYNAPSES:,}")
    return c.unfolded(f)


def _ring(c: CoreContents, unfolded: dict[int, Synapses | None], rows: int) -> Ring:
    latest = 0
    for f, synapses in unfolded.items():
        if synapses is not None:
            latest = max(latest, int(synapses.delay.max(initial=0)))
        else:
            delay = c.inputs["delay"][c.axons(f)]
            latest = max(latest, int(delay.max(initial=0)) + int(c.late(f)[0]))
    return Ring(latest + 1, rows)


# ---- What the hardware gets.


def axon_records(plan: SynapsePlan, p: dict[str, int], images: dict[str, Image]) -> None:
    """Adds the records of axons to a core's parameters ``p`` and its ``images``."""
    a, formats = plan.axons, plan.formats or [Format()]
    none = np.zeros(1, np.int64)
    p["FORMATS"], p["FORMAT_BITS"] = len(formats), bits_for(len(formats))
    p["LEVELS"] = 3 if any(f.walks_box for f in formats) else 1
    p["WORD"] = bits_for(max(plan.dense_words, plan.sparse_words, 1))
    fields: list[tuple[Ints, int]] = [(a.format if len(a) else none, p["FORMAT_BITS"]),
                                      (a.word if len(a) else none, p["WORD"])]
    largest = 1
    for name, bits_name in FIELDS:
        values: Ints = getattr(a, name)
        constant = _fold(formats, a.format, name, values)
        p[bits_name] = 0 if constant else int(values.max()).bit_length()
        if not constant:
            fields.append((values, p[bits_name]))
        if name in ("x", "y"):
            largest = max(largest, int(values.max(initial=0)))
    p["COUNTER"] = max(largest, *(max(f.x, f.y, f.b) for f in formats)).bit_length()
    for name in CONSTANTS:
        p["F_" + name.upper()] = sum(
            (getattr(f, name) & ((1 << FORMAT_FIELD) - 1)) << (FORMAT_FIELD * i)
            for i, f in enumerate(formats))
    p["SHIFTS"] = int(any(f.shift for f in formats))
    p["F_SPARSE"] = sum(f.sparse << i for i, f in enumerate(formats))
    p["F_PAD"] = sum(f.pad << i for i, f in enumerate(formats))
    image = Image(max(1, len(a)), tuple(fields))
    p["AXON_RECORD"] = image.width
    images["AXON_RECORDS"] = image


def _fold(formats: list[Format], of: Ints, name: str, values: Ints) -> bool:
    """Is a field the same for all axons of a format, in each? Then it is a constant of it."""
    constant = True
    for i, f in enumerate(formats):
        mine = values[of == i]
        used = not (f.sparse and name in ("row", "late"))
        if used and len(mine):
            setattr(f, name, int(mine[0]))
            constant = constant and not np.any(mine != mine[0])
    return constant


def synaptic_memory(plan: SynapsePlan, network: QuantizedNetwork, index: int, p: dict[str, int],
                    images: dict[str, Image]) -> None:
    """Adds the synaptic memories of core ``index`` to its parameters ``p`` and ``images``."""
    p["DENSE_WORDS"], p["SPARSE_WORDS"] = plan.dense_words, plan.sparse_words
    lanes = plan.placement.lanes
    dense_bits = sparse_bits = least = _weight_bits(plan, network)
    if plan.dense:
        words = np.concatenate(plan.dense)
        dense_bits = max(least, signed_bits(int(words.min()), int(words.max())))
        images["DENSE_INIT"] = Image(len(words), tuple(
            (words[:, i], dense_bits) for i in range(lanes)))
    if plan.sparse:
        offsets = np.concatenate([o for o, _ in plan.sparse])
        weights = np.concatenate([w for _, w in plan.sparse])
        sparse_bits = max(least, signed_bits(int(weights.min()), int(weights.max())))
        images["SPARSE_INIT"] = Image(len(weights), tuple(
            part for i in range(lanes)
            for part in ((offsets[:, i], p["ADDR"]), (weights[:, i], sparse_bits))))
    p["LOG2_BANK"] = _bank(plan)
    p["SPRAM"] = int(index == 0 and _in_spram(plan, dense_bits))
    p["DENSE_BITS"], p["SPARSE_BITS"] = dense_bits, sparse_bits
    p["WEIGHT"] = max((sparse_bits if f.sparse else dense_bits) + f.shift
                      for f in plan.formats or [Format()])
    p["PRODUCT"] = p["WEIGHT"] + (p["PAYLOAD"] if p["PAYLOAD"] > 1 else 0)


def _weight_bits(plan: SynapsePlan, network: QuantizedNetwork) -> int:
    """Bits that any weight of a core's formats has room in, where others may come; else 2."""
    if not patchable(plan.program):
        return 2
    names = {plan.program.symbols.projections[int(i)] for i in plan.c.formats["projection"]}
    return max([2, *(q.format.bits + (not q.format.signed)
                     for q in network.projections if q.name in names)])


def _bank(plan: SynapsePlan) -> int:
    """Block RAMs of 1,024 words: where a memory has many of them they are banks."""
    fpga = plan.program.target.fpga
    deep = max(plan.dense_words, plan.sparse_words) > BANKS_FROM << LOG2_BANK
    return LOG2_BANK if fpga is not None and fpga.family != "ice40" and deep else 0


def _in_spram(plan: SynapsePlan, bits: int) -> bool:
    """Does the dense memory go where the bitstream cannot fill it? Where the device has such RAM
    and it fits: block RAM is scarce there."""
    fpga, lanes = plan.program.target.fpga, plan.placement.lanes
    return (fpga is not None and plan.dense_words > 0 and lanes * bits % 16 == 0
            and lanes * bits // 16 * -(-plan.dense_words // SPRAM_WORDS) * SPRAM_BITS
            <= fpga.spram_bits)
