"""What the memories of a design hold, put into a bitstream after place and route (iCE40).

A design is synthesized with *stand-ins*: random words in place of what training changes. So
nothing depends on it, neither which column of a memory is a constant nor which two memories are
equal, and every 256 words of a bit are found again in the block RAMs that place and route chose,
because no others are like them. Where they are is kept beside the bitstream: it takes other
contents without synthesis, placing or routing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurocompile_backends.rtl.synthesize.icestorm import (
    COLUMNS,
    ROWS,
    Bits,
    Tile,
    read_rams,
    write_rams,
)

STRIDES = (1, 2, 4, 8)
"""Words that share a row of a block RAM: its modes of 256 x 16, 512 x 8, 1024 x 4, 2048 x 2."""

LEVELS = {"neuron_records": 1, "late_records": 1, "axon_records": 2, "out_firsts": 2,
          "out_axons": 2}
"""What else than weights has to be another for a memory of a core to be: 1 thresholds, decays and
biases, 2 the shape of the network (``LEVEL`` of ``nc_rom``). Logic depends on what these hold, if
they are not exchanged; 0: all other memories."""

FORMAT = 2


@dataclass(frozen=True)
class Column:
    """Where 256 words of a bit of a memory are: word ``first + stride * r`` of ``file`` has its
    ``bit`` in row r of a column of a block RAM."""

    file: str
    bit: int
    first: int
    stride: int
    tile: Tile
    column: int


@dataclass(frozen=True)
class Layout:
    """Where the memories of a placed design are.

    shapes
        Of each file: words, and hexadecimal digits of a word.
    columns
        Of all bits that the design reads.
    digests
        SHA-256 of the files that a patch starts from, by path.
    """

    shapes: dict[str, tuple[int, int]]
    columns: tuple[Column, ...]
    digests: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        files = sorted(self.shapes)
        return {"format": FORMAT, "shapes": {f: list(self.shapes[f]) for f in files},
                "columns": [[files.index(c.file), c.bit, c.first, c.stride, *c.tile, c.column]
                            for c in self.columns],
                "sha256": dict(sorted(self.digests.items()))}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Layout:
        """Raises ``KeyError``, ``TypeError``, ``ValueError``, ``IndexError`` or ``AttributeError``
        for what ``to_dict`` did not make."""
        if document["format"] != FORMAT:
            raise ValueError("another format")
        shapes = {str(f): (int(words), int(digits))
                  for f, (words, digits) in document["shapes"].items()}
        files = sorted(shapes)
        return cls(shapes, tuple(
            Column(files[file], int(bit), int(first), int(stride), (int(x), int(y)), int(column))
            for file, bit, first, stride, x, y, column in document["columns"]),
            {str(path): str(digest) for path, digest in document["sha256"].items()})


class Unfound(ValueError):
    """A memory that is not in the block RAMs as it was expected; the message names it."""


def levels_of(patchable: bool) -> int:
    """Memories below this level can be exchanged: those of weights, or all that training changes
    where the hardware is made for it (``Fpga.patchable``)."""
    return 2 if patchable else 1


def level_of(path: str) -> int:
    """Of the file of a memory."""
    return next((level for name, level in LEVELS.items()
                 if path.removesuffix(".hex").endswith(name)), 0)


def exchangeable(files: Mapping[str, bytes], levels: int) -> dict[str, bytes]:
    """The memories of a design below a level whose contents are in its bitstream, by path. A file
    that no Verilog of the design names is for the host to load."""
    named = b"\n".join(content for path, content in files.items() if path.endswith(".v"))
    return {path: content for path, content in sorted(files.items())
            if path.startswith("mem/") and level_of(path) < levels
            and f'"{path}"'.encode() in named}


def shape_of(content: bytes) -> tuple[int, int]:
    """Words and digits of a ``$readmemh`` file, a word a line."""
    lines = content.split()
    return len(lines), len(lines[0])


def stand_ins(memories: Mapping[str, bytes]) -> dict[str, bytes]:
    """Random words for each memory, whole blocks of 256 (``nc_rom``); the same ones each time, so
    that the same design is built the same."""
    made = {}
    for path, content in memories.items():
        words, digits = shape_of(content)
        rng = np.random.default_rng(zlib.crc32(path.encode()))
        drawn = rng.integers(0, 16, (_whole(words), digits), np.uint8)
        made[path] = b"".join(bytes(b"0123456789abcdef"[d] for d in row) + b"\n" for row in drawn)
    return made


def find(asc: str, memories: Mapping[str, bytes]) -> Layout:
    """Where the memories of a design are that was placed with their stand-ins.

    A bit that is found nowhere is one that nothing reads. Raises :class:`Unfound` where part of a
    bit is missing, or a whole memory.
    """
    places: dict[bytes, list[tuple[Tile, int]]] = {}
    for tile, bits in sorted(read_rams(asc).items()):
        for column in range(COLUMNS):
            if bits[:, column].any():
                places.setdefault(bits[:, column].tobytes(), []).append((tile, column))
    found: list[Column] = []
    for path, content in stand_ins(memories).items():
        bits = _bits(content)
        of_memory = [part for bit in range(bits.shape[1])
                     for part in _find_bit(path, bits[:, bit], bit, places)]
        if not of_memory:
            raise Unfound(path)
        found += of_memory
    return Layout({path: shape_of(content) for path, content in memories.items()}, tuple(found))


def _find_bit(path: str, bits: Bits, bit: int,
              places: Mapping[bytes, list[tuple[Tile, int]]]) -> Iterable[Column]:
    for stride in STRIDES:
        firsts = [base + offset for base in range(0, len(bits), stride * ROWS)
                  for offset in range(stride)]
        hits = {first: places.get(_part(bits, first, stride).tobytes(), []) for first in firsts}
        if all(hits.values()):
            return [Column(path, bit, first, stride, tile, column)
                    for first in firsts for tile, column in hits[first]]
        if any(hits.values()):
            missing = next(first for first, there in hits.items() if not there)
            raise Unfound(f"{path}: bit {bit} from word {missing} on")
    return []


def fill(asc: str, layout: Layout, memories: Mapping[str, bytes]) -> str:
    """The bitstream's text with these contents; shapes are those of the layout."""
    rams = read_rams(asc)
    bits = {path: _bits(memories[path]) for path in layout.shapes}
    touched: dict[Tile, Bits] = {}
    for c in layout.columns:
        ram = touched.setdefault(c.tile, rams[c.tile].copy())
        ram[:, c.column] = _part(bits[c.file], c.first, c.stride)[:, c.bit]
    return write_rams(asc, touched)


def differing(asc: str, layout: Layout, memories: Mapping[str, bytes]) -> dict[str, int]:
    """By memory, how many of its bits in a bitstream's text are not those of ``memories``; only
    memories with some. A block RAM that is not there is all zeros."""
    rams = read_rams(asc)
    bits = {path: _bits(memories[path]) for path in layout.shapes}
    none = np.zeros((ROWS, COLUMNS), np.uint8)
    wrong: dict[str, int] = {}
    for c in layout.columns:
        expected = _part(bits[c.file], c.first, c.stride)[:, c.bit]
        count = int(np.count_nonzero(rams.get(c.tile, none)[:, c.column] != expected))
        if count:
            wrong[c.file] = wrong.get(c.file, 0) + count
    return wrong


def _whole(words: int) -> int:
    return -(-words // ROWS) * ROWS


def _part(bits: Bits, first: int, stride: int) -> Bits:
    """Words ``first + stride * r`` for r below 256; zeros beyond the last word."""
    taken = bits[first:first + stride * ROWS:stride]
    padding = [(0, ROWS - len(taken))] + [(0, 0)] * (bits.ndim - 1)
    return np.ascontiguousarray(np.pad(taken, padding))


def _bits(content: bytes) -> Bits:
    """[word, bit] of a ``$readmemh`` file."""
    lines = content.split()
    digits = len(lines[0]) + len(lines[0]) % 2
    raw = np.frombuffer(bytes.fromhex(b"".join(line.rjust(digits, b"0") for line in lines)
                                      .decode()), np.uint8).reshape(len(lines), digits // 2)
    return np.unpackbits(raw[:, ::-1], axis=1, bitorder="little")
