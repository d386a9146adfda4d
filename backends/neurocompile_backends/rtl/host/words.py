"""What the host sends: the words of a sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from neurocompile.bits import Ints
from neurocompile.images import read_core, read_host
from neurocompile.ir.program import Program
from neurocompile.reference.encode import EncodedInput
from neurocompile_backends.rtl.emit.files import KIND_BITS

FLIT, STEP, END, LOAD, WRITE = range(5)
"""Kinds of words (``nc_control``)."""


class Lines(Protocol):
    """A memory, a word a line."""

    def lines(self) -> str: ...


class HostCore(Protocol):
    """What a host has to know of a core; a ``CorePlan`` has it."""

    @property
    def index(self) -> int: ...
    @property
    def parameters(self) -> Mapping[str, int]: ...
    @property
    def images(self) -> Mapping[str, Lines]: ...
    @property
    def slot(self) -> Ints: ...


class HostPlan(Protocol):
    """What a host has to know of a chip; a ``ChipPlan`` has it, and so has what
    ``host.driver`` reads from a design's files."""

    @property
    def program(self) -> Program: ...
    @property
    def cores(self) -> Sequence[HostCore]: ...
    @property
    def place_bits(self) -> int: ...
    @property
    def number_bits(self) -> int: ...
    @property
    def payload_bits(self) -> int: ...
    @property
    def value_bits(self) -> int: ...


def words_of(plan: HostPlan, encoded: EncodedInput, sample: int,
             steps: int) -> npt.NDArray[np.uint64]:
    """STEP and the flits of each step, then END: inputs in the order of the program, elements
    ascending; where an input has parallel axons, k spikes take the first k."""
    step, core, axon, payload = flits_of(plan, encoded, sample)
    keep = step < steps
    at_core = KIND_BITS
    at_axon = at_core + plan.place_bits
    at_payload = at_axon + plan.number_bits
    mask = (1 << plan.payload_bits) - 1
    flits = (core << at_core) | (axon << at_axon) | ((payload & mask) << at_payload)
    begins = np.arange(steps)
    # A step's word comes before its flits: ordered by step, then by what came first here.
    order = np.argsort(np.concatenate([2 * begins, 2 * step[keep] + 1]), kind="stable")
    words = np.concatenate([np.full(steps, STEP), flits[keep]])[order]
    biases = [LOAD | (core << at_core) | (slot << at_axon) | (
        (bias & ((1 << plan.value_bits) - 1)) << at_payload)
        for core, slot, bias in biases_of(plan, encoded, sample)]
    return np.concatenate([*biases, words, [END]]).astype(np.uint64)


def loading_words(plan: HostPlan) -> npt.NDArray[np.uint64]:
    """What the host sends once, before the first sample: synaptic memories that nobody else fills.
    """
    parts = [np.zeros(0, np.uint64)]
    for core in plan.cores:
        if core.parameters["SPRAM"]:
            lines = core.images["DENSE_INIT"].lines().split()
            halves = np.array([[int(line[i:i + 4], 16) for i in range(len(line) - 4, -1, -4)]
                               for line in lines], np.int64).reshape(-1)
            words = WRITE | (core.index << KIND_BITS) | (
                halves << (KIND_BITS + plan.place_bits + plan.number_bits))
            parts.append(words.astype(np.uint64))
    return np.concatenate(parts)


def biases_of(plan: HostPlan, encoded: EncodedInput,
              sample: int) -> Iterator[tuple[int, Ints, Ints]]:
    """For each core that takes biases: its number, and the bias of each of its neurons."""
    for core in plan.cores:
        if not core.parameters["LOADED"]:
            continue
        c = read_core(plan.program, core.index)
        bias = np.left_shift(c.neurons["bias_mantissa"], c.neurons["bias_exponent"])
        for s, population in enumerate(c.sections["population"].tolist()):
            extra = encoded.biases.get(plan.program.symbols.populations[population])
            if extra is not None:
                first, count = int(c.sections["first"][s]), int(c.sections["count"][s])
                span = slice(first, first + count)
                bias[span] += extra[sample][c.neurons["element"][span]]
        yield core.index, core.slot, bias


def flits_of(plan: HostPlan, encoded: EncodedInput, sample: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Step, core, axon and payload of every flit that the host sends, by step."""
    parts: list[tuple[Ints, Ints, Ints, Ints]] = []
    for table in plan.program.host:
        records = read_host(plan.program, table)
        values = encoded.payloads[table.population][sample].astype(np.int64)
        if len(values) == 1 and encoded.n_steps != 1:  # constant over the sample
            values = np.repeat(values, encoded.n_steps, axis=0)
        step, element = np.nonzero(values)
        payload = values[step, element]
        first = table.first[element]
        count = table.first[element + 1] - first
        if table.parallel > 1:
            count = count // table.parallel * payload
            payload = np.ones_like(payload)
        nth = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        record = np.repeat(first, count) + nth
        parts.append((np.repeat(step, count), records["core"][record], records["axon"][record],
                      np.repeat(payload, count)))
    joined = [np.concatenate([np.zeros(0, np.int64), *column]) for column in zip(*parts,
                                                                               strict=True)]
    if not joined:
        joined = [np.zeros(0, np.int64)] * 4
    order = np.argsort(joined[0], kind="stable")
    step, core, axon, payload = (column[order] for column in joined)
    return step, core, axon, payload
