"""What a design is: cores of hardware with their parameters and memories, and what they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.bits import Ints
from neurocompile.ir.program import Program


@dataclass(frozen=True, eq=False)
class Image:
    """Words of a memory, as fields from bit 0 up: (values, bits) each, signed values in two's
    complement."""

    depth: int
    fields: tuple[tuple[Ints, int], ...]

    @property
    def width(self) -> int:
        return sum(bits for _, bits in self.fields)

    def lines(self) -> str:
        """As ``$readmemh`` reads it: a word a line."""
        bits = np.zeros((self.depth, -(-self.width // 8) * 8), np.uint8)
        at = 0
        for values, width in self.fields:
            for i in range(width):
                bits[:, at + i] = (values >> i) & 1
            at += width
        digits = -(-self.width // 4)
        raw = np.packbits(bits, axis=1, bitorder="little")[:, ::-1]
        return "".join(bytes(word).hex()[-digits:] + "\n" for word in raw)


@dataclass(frozen=True, eq=False)
class Walk:
    """How an axon is walked: cycles that read synaptic memory, and idle ones after them."""

    issues: Ints
    pad: Ints


@dataclass(frozen=True, eq=False)
class CorePlan:
    """A core of hardware.

    parameters
        Of the module ``nc_core``, but for the names of files.
    images
        Contents of its memories, by the parameter that names their file.
    slot
        For each neuron of the program's core, its number in the hardware.
    walk
        For each input axon, what walking it takes.
    out_first, out_place, out_axon
        Output axons by hardware neuron: those of neuron n are ``out_first[n]`` to
        ``out_first[n + 1]``.
    """

    index: int
    parameters: dict[str, int]
    images: dict[str, Image]
    slot: Ints
    walk: Walk
    out_first: Ints
    out_place: Ints
    out_axon: Ints

    @property
    def neurons(self) -> int:
        """Cycles of a scan: neurons, and lanes that hold none."""
        return self.parameters["ROWS"] * self.parameters["LANES"]


@dataclass(frozen=True, eq=False)
class ChipPlan:
    """All cores, and the widths that they share. Core number ``len(cores)`` is the host.

    ``outputs``: populations that send to the host, and the number of their first neuron there.
    """

    program: Program
    cores: tuple[CorePlan, ...]
    place_bits: int
    axon_bits: int
    payload_bits: int
    step_bits: int
    log2_fifo: int
    outputs: dict[str, int]

    @property
    def number_bits(self) -> int:
        """Of an axon or neuron in a word of the host."""
        return max(self.axon_bits, *(c.parameters["INDEX"] for c in self.cores))

    @property
    def value_bits(self) -> int:
        """Of a payload or bias in a word of the host."""
        return max(self.payload_bits, *(
            max(16 * c.parameters["SPRAM"], c.parameters["LOADED"]) for c in self.cores))


class Unsupported(ValueError):
    """What this hardware cannot do: (subject, message, got, limit, hint)."""

    def __init__(self, subject: str, message: str, got: str = "", limit: str = "",
                 hint: str = ""):
        super().__init__(message)
        self.parts = (subject, message, got, limit, hint)


def bits_for(count: int) -> int:
    """Bits that number ``count`` things, at least 1."""
    return max(1, (count - 1).bit_length())


def signed_bits(low: int, high: int) -> int:
    """Bits of two's complement that hold both."""
    return max((-low - 1).bit_length() if low < 0 else 0, max(high, 0).bit_length()) + 1
