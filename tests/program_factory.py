"""Small placed networks made by hand, and what tests do to their programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from partition_factory import counts_input, network, neurons, project, source

from neurocompile.bits import put, to_bits, to_bytes
from neurocompile.images import unpack
from neurocompile.ir.mapping import Mapping, Placement
from neurocompile.ir.program import TABLES, CoreImage, Program
from neurocompile.ir.quantized import FixedPoint, QuantizedNetwork, QuantizedProjection
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import Conv, Dense, Sparse
from neurocompile.passes.partition import Partition
from neurocompile.reference.encode import EncodedInput

Ints = npt.NDArray[np.integer[Any]]

KERNEL = [[1, -2], [3, 4]]
WEIGHTS = [[1, -2, 3, 0], [-4, 5, -6, 7], [-8, 1, 2, 3]]
"""Of ``c->d``: a row for each neuron of d."""


def tiny(target: TargetSpec, late: bool = False) -> QuantizedNetwork:
    """Counts of a 3 x 3 image into a convolution ``c`` of 2 x 2 neurons; from there with delays
    at both ends into ``d``, which feeds back on itself without its first neuron. ``late``: the
    convolution has delays at both ends too."""
    conv = Conv(np.array(KERNEL, np.int8).reshape(1, 1, 2, 2), (1, 1), (0, 0), (1, 1), 1, (1, 3, 3),
                (1, 2, 2), (1, 3, 3), (1, 2, 2))
    back = Sparse(np.array([0, 1, 2, 3]), np.array([1, 2, 1]), np.array([5, -3, 2], np.int8),
                  (3,), (3,))
    c = neurons("c", (1, 2, 2), threshold=np.array([2, 2, 3, 3]),
                bias_mantissa=np.array([0, 0, -5, 9]), bias_exponent=np.array([0, 0, 1, 0]))
    d = neurons("d", 3, current_decay=np.full(3, 2047), membrane_decay=np.full(3, 300),
                threshold=np.full(3, 4), initial_v=np.array([0, 7, -7]), latency=1)
    return network(
        target, [source("x", (1, 3, 3)), c, d],
        [narrow(project("x->c", "x", "c", conv,
                        source_delay=[0, 1, 0, 0, 2, 0, 0, 0, 1] if late else [0],
                        target_delay=[0, 1, 0, 2] if late else [0]), 4, 6),
         narrow(project("c->d", "c", "d", Dense(np.array(WEIGHTS, np.int8), (4,), (3,)),
                        source_delay=[0, 1, 0, 2], target_delay=[0, 1, 0]), 4, 5),
         narrow(project("d->d", "d", "d", back, source_delay=[1, 1, 1]), 4, 5)],
        (counts_input("x", 2),))


def narrow(q: QuantizedProjection, bits: int, exponent: int) -> QuantizedProjection:
    return replace(q, format=FixedPoint(bits, True, exponent))


def placed(quantized: QuantizedNetwork, neurons_per_core: int) -> Mapping:
    """One core after the other on tiles of their own, row by row."""
    mapping = Partition(neurons_per_core).run(quantized)
    n = len(mapping.use)
    y, x = np.divmod(np.arange(n), quantized.target.chip.mesh_width)
    return replace(mapping, placement=Placement(np.zeros(n, np.int64), x, y))


def tiny_mapping(target: TargetSpec, late: bool = False) -> Mapping:
    """Three cores: c's first three neurons, its last, and d."""
    return placed(tiny(target, late), 3)


def given(quantized: QuantizedNetwork, n_samples: int, n_steps: int, seed: int = 0,
          ) -> EncodedInput:
    """Random payloads in the range of every input; those of sample 0 are the largest."""
    rng = np.random.default_rng(seed)
    payloads: dict[str, Ints] = {}
    for i in quantized.inputs:
        n = quantized.population(i.name).n
        payloads[i.name] = rng.integers(i.low, i.high + 1, (n_samples, n_steps, n))
        payloads[i.name][0] = i.high
    return EncodedInput(n_samples, n_steps, payloads, {})


def hex_of(image: npt.NDArray[np.uint8]) -> str:
    return image.tobytes().hex(" ", -8) or "nothing"


def dump(program: Program) -> Iterator[str]:
    """The bytes of every table and memory."""
    for table in program.host:
        yield f"host {table.population} first: {table.first.tolist()}"
        yield f"host {table.population} outputs: {hex_of(table.outputs)}"
    for core in program.cores:
        for name in (*TABLES, "synapses"):
            yield f"core {core.core} {name}: {hex_of(getattr(core, name))}"


def with_image(program: Program, core: int, table: str, image: npt.NDArray[np.uint8]) -> Program:
    """The program with one image of one core replaced."""
    cores: list[CoreImage] = list(program.cores)
    cores[core] = replace(cores[core], **{table: np.array(image, np.uint8)})
    return replace(program, cores=tuple(cores))


def records(program: Program, core: int, table: str) -> dict[str, Ints]:
    return unpack(program.layout(table), getattr(program.cores[core], table))


def with_field(program: Program, core: int, table: str, row: int, field: str,
               value: int) -> Program:
    """The program with one field of one record changed, and nothing else."""
    layout = program.layout(table)
    bits = to_bits(getattr(program.cores[core], table)).copy()
    at = row * layout.record_bits
    for f in layout.fields:
        if f.name == field:
            put(bits, np.array([at]), np.array([value]), f.bits)
            return with_image(program, core, table, to_bytes(bits))
        at += f.bits
    raise KeyError(field)
