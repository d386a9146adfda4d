"""Changed images: what matters is found, what does not matter changes nothing, and whatever the
bytes are, readers raise nothing but ``ValueError``."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from program_factory import given, records, tiny_mapping, with_field, with_image
from test_random_networks import first_difference

from neurocompile.bits import to_bits, to_bytes
from neurocompile.images import unpack
from neurocompile.ir.mapping import Mapping
from neurocompile.ir.program import COLUMNS, ENCODINGS, TABLES, Layout, Program
from neurocompile.passes.assemble import Assemble, pack
from neurocompile.reference.integer import IntegerRun, Probes, run_integer
from neurocompile.report.listing import listing
from neurocompile.targets import load_target
from neurocompile.verification.program import Reread, check_program, mapping_of
from neurocompile_backends.chip.load import load
from neurocompile_backends.chip.run import run_program

CODES = {"E550", "E551", "E552", "E553"}
CONV = ENCODINGS.index("conv")
KINDS = {"sparse": ("loihi1", False), "conv": ("loihi2", False), "late conv": ("loihi2", True),
         "late sparse": ("loihi1", True)}
"""Target, and whether the convolution has delays."""


READERS: dict[str, Callable[[Program], object]] = {
    "reread": Reread, "load": load, "listing": lambda program: list(listing(program))}


@cache
def made(kind: str) -> tuple[Mapping, Program, IntegerRun]:
    """A mapping, its program, and what the reference makes of it."""
    target, late = KINDS[kind]
    mapping = tiny_mapping(load_target(target), late)
    quantized = mapping.quantized
    expected = run_integer(quantized, given(quantized, 2, 12), Probes.everything(quantized))
    return mapping, Assemble().run(mapping), expected


def found(program: Program, mapping: Mapping) -> set[str]:
    """Codes of what is wrong with a program."""
    codes = {d.code for d in check_program(program, mapping)}
    assert codes <= CODES
    return codes


def runs_alike(program: Program, kind: str) -> bool:
    mapping, _, expected = made(kind)
    quantized = mapping.quantized
    got = run_program(load(program), given(quantized, 2, 12), Probes.everything(quantized))
    return first_difference(expected, got) == ""


# ---------------------------------------------------------------- fields of records

UNUSED: dict[tuple[str, str], Callable[[dict[str, int]], bool]] = {
    ("formats", "geometry"): lambda row: row["encoding"] != CONV,
    ("formats", "address"): lambda row: row["encoding"] != CONV,
    ("formats", "delay"): lambda row: row["encoding"] != CONV or row["delays"] > 0,
    ("formats", "delays"): lambda row: row["encoding"] != CONV,
    ("formats", "delay_bits"): lambda row: row["encoding"] == CONV,
    ("formats", "index_bits"): lambda row: row["encoding"] == CONV,
    ("inputs", "delay"): lambda row: row["encoding"] != CONV,
}
"""Fields that a record does not use, by its format: entries hold the delays of dense and sparse
synapses and their axons their addresses; kernels hold weights alone."""


def every_field(program: Program) -> Iterator[tuple[int, str, int, str, int, dict[str, int]]]:
    """Core, table, row, field, value and record of every field in the images of all cores."""
    for core in range(len(program.cores)):
        formats = records(program, core, "formats")
        for table in TABLES:
            columns = records(program, core, table)
            for row in range(len(columns[COLUMNS[table][0]])):
                record = {name: int(column[row]) for name, column in columns.items()}
                if table == "inputs":
                    record["encoding"] = int(formats["encoding"][record["format"]])
                for name in COLUMNS[table]:
                    yield core, table, row, name, record[name], record


def others(layout: Layout, name: str, value: int) -> set[int]:
    """Other values of a field: its neighbours, its ends, its lowest bit turned."""
    bits, signed = next((f.bits, f.signed) for f in layout.fields if f.name == name)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return {v for v in (value - 1, value + 1, value ^ 1, low, high) if low <= v <= high} - {value}


@pytest.mark.parametrize("kind", KINDS)
def test_any_other_value_of_a_field_that_is_used_is_found(kind: str) -> None:
    mapping, program, _ = made(kind)
    assert found(program, mapping) == set()
    silent, tried, seen = [], set(), set()
    for core, table, row, name, value, record in every_field(program):
        if UNUSED.get((table, name), lambda _: False)(record):
            continue
        for other in others(program.layout(table), name, value):
            tried.add((table, name))
            codes = found(with_field(program, core, table, row, name, other), mapping)
            seen |= codes
            if not codes:
                silent.append(f"core {core} {table}[{row}].{name}: {value} -> {other}")
    assert silent == []
    assert seen == CODES
    every = {(table, name) for table in TABLES for name in COLUMNS[table]}
    assert every - tried <= (set(UNUSED) | {("delays", "delay")})
    if kind == "late conv":
        assert every - tried == set()


@pytest.mark.parametrize("kind", KINDS)
def test_fields_that_are_not_used_change_nothing(kind: str) -> None:
    mapping, program, _ = made(kind)
    tried = 0
    for core, table, row, name, value, record in every_field(program):
        if UNUSED.get((table, name), lambda _: False)(record):
            for other in others(program.layout(table), name, value):
                changed = with_field(program, core, table, row, name, other)
                # It may still be refused: a pointer to nothing is, used or not.
                assert found(changed, mapping) == {"E550"} or runs_alike(changed, kind)
                tried += 1
    assert tried > 10


@pytest.mark.parametrize("kind", KINDS)
def test_padding_of_records_means_nothing(kind: str) -> None:
    """A program whose padding was flipped is fine: it passes, and runs alike."""
    mapping, program, _ = made(kind)
    flipped, n = program, 0
    for core in range(len(program.cores)):
        for table in TABLES:
            layout = program.layout(table)
            bits = to_bits(getattr(program.cores[core], table)).copy()
            used = sum(f.bits for f in layout.fields)
            bits.reshape(-1, layout.record_bits)[:, used:] ^= 1
            n += bits.size // layout.record_bits * (layout.record_bits - used)
            flipped = with_image(flipped, core, table, to_bytes(bits))
    assert n > 50
    assert found(flipped, mapping) == set()
    assert runs_alike(flipped, kind)


# ---------------------------------------------------------------- synaptic memory

def used_bits(program: Program, core: int) -> set[int]:
    """Bits of a core's synaptic memory that mean something, by the description in docs/program.md:
    7 of an entry's header, then its synapses; kernels without gaps. No axon here has more than 64
    synapses, so that each has one entry."""
    formats, inputs = records(program, core, "formats"), records(program, core, "inputs")
    limits, used = program.target.core, set()
    for f, encoding in enumerate(formats["encoding"].tolist()):
        each = sum(int(formats[f"{name}_bits"][f]) for name in ("weight", "delay", "index"))
        if encoding == CONV:
            begin = int(formats["address"][f]) * limits.synapse_word_bits
            used |= set(range(begin, begin + 4 * int(formats["weight_bits"][f])))  # one channel
            continue
        for axon in np.flatnonzero(inputs["format"] == f).tolist():
            begin = int(inputs["address"][axon]) * limits.synapse_word_bits
            begin_synapses = begin + limits.synapse_overhead_bits
            used |= set(range(begin, begin + 7))
            used |= set(range(begin_synapses,
                              begin_synapses + each * int(inputs["synapses"][axon])))
    return used


@pytest.mark.parametrize("kind", ["late sparse", "late conv"])
def test_every_bit_of_synaptic_memory_is_found_or_means_nothing(kind: str) -> None:
    mapping, program, _ = made(kind)
    for core in range(len(program.cores)):
        image = program.cores[core].synapses
        used = used_bits(program, core)
        assert 0 < len(used) < image.size * 8
        wrong = []
        padding = to_bits(image).copy()
        for bit in range(image.size * 8):
            if bit not in used:
                padding[bit] ^= 1
                continue
            bits = to_bits(image).copy()
            bits[bit] ^= 1
            if not found(with_image(program, core, "synapses", to_bytes(bits)), mapping):
                wrong.append(bit)
        assert wrong == [], f"core {core}"
        padded = with_image(program, core, "synapses", to_bytes(padding))
        assert found(padded, mapping) == set()
        assert runs_alike(padded, kind)


# ---------------------------------------------------------------- the host and the rest

def host(program: Program, **changes: Any) -> Program:
    return replace(program, host=(replace(program.host[0], **changes),))


def test_axons_of_the_host_are_compared() -> None:
    mapping, program, _ = made("sparse")
    table = program.host[0]
    assert found(host(program), mapping) == set()
    for bit in range(table.outputs.size * 8):
        bits = to_bits(table.outputs).copy()
        bits[bit] ^= 1
        padding = bit % 8 >= sum(f.bits for f in program.layout("outputs").fields)
        assert bool(found(host(program, outputs=to_bytes(bits)), mapping)) is not padding, bit
    for element in range(len(table.first)):
        for by in (-1, 1, 1 << 40):
            first = table.first.copy()
            first[element] += by
            assert found(host(program, first=first), mapping), element
    for parallel in (0, 1, 3, 1 << 50):
        assert found(host(program, parallel=parallel), mapping) == {"E550"}
    assert found(host(program, population="c"), mapping)
    assert found(host(program, population="nobody"), mapping)
    assert found(replace(program, host=()), mapping)
    assert found(replace(program, host=(table, table)), mapping)


def test_spikes_of_a_count_reach_everything_once_before_anything_twice() -> None:
    """x[4] has two axons on core 0 and two on core 1. With the second of core 0 before the first of
    core 1, a single spike would reach core 0 twice, and every axon would still have its sender."""
    mapping, program, _ = made("sparse")
    axons = program.host[0].outputs.copy()
    axons[[9, 10]] = axons[[10, 9]]
    assert found(host(program, outputs=axons), mapping) == {"E550"}


CHANGES: dict[str, Callable[[Program], Program]] = {
    "other network": lambda p: replace(p, network="0" * 64),
    "proved": lambda p: replace(p, proved=not p.proved),
    "latency": lambda p: replace(p, latency=p.latency + 1),
    "population": lambda p: replace(p, symbols=replace(
        p.symbols, populations=("x", "d", "c"))),
    "size": lambda p: replace(p, symbols=replace(p.symbols, sizes=(9, 4, 4))),
    "size missing": lambda p: replace(p, symbols=replace(p.symbols, sizes=(9, 4))),
    "size negative": lambda p: replace(p, symbols=replace(p.symbols, sizes=(9, 4, -3))),
    "size huge": lambda p: replace(p, symbols=replace(p.symbols, sizes=(9, 4, 1 << 90))),
    "projection": lambda p: replace(p, symbols=replace(
        p.symbols, projections=("c->d", "x->c", "d->d"))),
    "chip": lambda p: replace(p, chip=p.chip + 1),
    "tile": lambda p: replace(p, x=p.x[::-1]),
    "row": lambda p: replace(p, y=p.y + 1),
    "target": lambda p: replace(p, target=replace(p.target, name="other")),
    "overhead": lambda p: replace(p, target=replace(p.target, core=replace(
        p.target.core, synapse_overhead_bits=9))),
    "no words": lambda p: replace(p, target=replace(p.target, core=replace(
        p.target.core, synapse_word_bits=0))),
    "core missing": lambda p: replace(p, cores=p.cores[:2]),
    "core twice": lambda p: replace(p, cores=(*p.cores, p.cores[2])),
    "cores in other places": lambda p: replace(p, cores=p.cores[::-1]),
    "core number": lambda p: replace(p, cores=(replace(p.cores[0], core=7), *p.cores[1:])),
    "no layouts": lambda p: replace(p, layouts=()),
    "layout twice": lambda p: replace(p, layouts=(*p.layouts, p.layouts[0])),
    "wide field": lambda p: replace(p, layouts=(replace(p.layouts[0], fields=tuple(
        replace(f, bits=63) for f in p.layouts[0].fields)), *p.layouts[1:])),
    "field without bits": lambda p: replace(p, layouts=(replace(p.layouts[0], fields=tuple(
        replace(f, bits=0) for f in p.layouts[0].fields)), *p.layouts[1:])),
    "field of another name": lambda p: replace(p, layouts=(replace(p.layouts[0], fields=tuple(
        replace(f, name=f.name[::-1]) for f in p.layouts[0].fields)), *p.layouts[1:])),
    "signed fields": lambda p: replace(p, layouts=tuple(replace(layout, fields=tuple(
        replace(f, signed=True) for f in layout.fields)) for layout in p.layouts)),
    "no geometry": lambda p: replace(p, geometries=()),
    **{f"geometry {name} {value}": lambda p, name=name, value=value: replace(
        p, geometries=(replace(p.geometries[0], **{name: value}),))
       for name, value in (
           ("groups", 0), ("groups", 2), ("stride", (0, 1)), ("stride", (2, 1)),
           ("dilation", (1, 0)), ("padding", (-1, 0)), ("padding", (1, 0)), ("kernel", (0, 2)),
           ("kernel", (1 << 19, 1 << 19)), ("kernel", (2, 3)), ("in_chw", (1, 0, 3)),
           ("in_chw", (1, 3, 4)), ("in_chw", (1 << 19, 1 << 19, 1 << 19)),
           ("out_chw", (1, 2, 0)), ("out_chw", (1, 4, 1)), ("out_chw", (1, 1, 1)))},
}

@pytest.mark.parametrize("change", CHANGES)
def test_what_a_program_says_beside_its_images_is_compared(change: str) -> None:
    mapping, program, _ = made("conv")
    changed = CHANGES[change](program)
    assert found(changed, mapping)
    for reader in READERS.values():
        with suppress(ValueError):
            reader(changed)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mapping_is_read_back_and_of_no_other_network(kind: str) -> None:
    mapping, program, _ = made(kind)
    assert [vars(u) for u in mapping_of(program, mapping.quantized).use] == [
        vars(u) for u in mapping.use]
    other = made("conv" if kind != "conv" else "sparse")[0]
    with pytest.raises(ValueError, match="another network"):
        mapping_of(program, other.quantized)
    assert found(program, other)


# ---------------------------------------------------------------- any bytes at all

@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, Program]:
    """A program with some bytes of some images replaced, cut off or added."""
    kind = draw(st.sampled_from(list(KINDS)))
    program = made(kind)[1]
    for _ in range(draw(st.integers(1, 4))):
        core = draw(st.integers(-1, len(program.cores) - 1))
        table = draw(st.sampled_from([*TABLES, "synapses"]))
        image = program.host[0].outputs if core < 0 else getattr(program.cores[core], table)
        raw = bytearray(image.tobytes())
        how = draw(st.sampled_from(["byte", "byte", "byte", "bit", "cut", "add"]))
        if how == "add":
            raw += draw(st.binary(min_size=1, max_size=12))
        elif how == "cut":
            del raw[draw(st.integers(0, len(raw))):]
        elif raw:
            at = draw(st.integers(0, len(raw) - 1))
            raw[at] = draw(st.integers(0, 255)) if how == "byte" else (
                raw[at] ^ 1 << draw(st.integers(0, 7)))
        changed = np.frombuffer(bytes(raw), np.uint8)
        program = host(program, outputs=changed) if core < 0 else with_image(
            program, core, table, changed)
    return kind, program


@examples(damaged())
def test_readers_of_damaged_images_raise_nothing_but_value_errors(case: tuple[str, Program],
                                                                  ) -> None:
    kind, program = case
    mapping = made(kind)[0]
    tracemalloc.start()
    try:
        refused = []
        for name, reader in READERS.items():
            try:
                reader(program)
            except ValueError:
                refused.append(name)
        codes = found(program, mapping)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()
    if not codes:
        assert refused == []
        assert runs_alike(program, kind)
    elif "load" not in refused:  # it computes something else, and comes to an end
        quantized = mapping.quantized
        run_program(load(program), given(quantized, 1, 6), Probes.everything(quantized))


@pytest.mark.parametrize("table", TABLES)
def test_wide_fields_full_of_ones_make_no_reader_allocate(table: str) -> None:
    """Every field 62 bits wide: sums of numbers from images must not wrap, or be believed."""
    _, program, _ = made("late conv")
    wide = tuple(replace(layout, fields=tuple(replace(f, bits=62, signed=False)
                                              for f in layout.fields))
                 for layout in program.layouts)
    cores = []
    for i in range(len(program.cores)):
        images = {}
        for layout in wide:
            columns = {name: np.asarray(column, np.int64) & (1 << 62) - 1
                       for name, column in records(program, i, layout.table).items()}
            if layout.table == table:
                columns = {name: np.full_like(column, (1 << 62) - 1)
                           for name, column in columns.items()}
            images[layout.table] = pack(layout, columns)
        cores.append(replace(program.cores[i], **images))
    outputs = next(layout for layout in wide if layout.table == "outputs")
    sent = unpack(program.layout("outputs"), program.host[0].outputs)
    changed = replace(host(program, outputs=pack(outputs, sent)), layouts=wide, cores=tuple(cores))
    tracemalloc.start()
    try:
        for reader in READERS.values():
            # Any number is a threshold, if not of a chip that there is.
            with nullcontext() if table == "thresholds" else pytest.raises(ValueError):  # noqa: PT011
                reader(changed)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()
