"""Block RAM in the text form of an iCE40 bitstream (``.asc``), which icepack and iceunpack know.

A block RAM is a tile with 16 lines of 256 bits: line i has words 16 i to 16 i + 15, the first in
the lowest bits (Project IceStorm, docs of the format: "ram_data").
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint8]
Tile = tuple[int, int]
"""Column and row of a tile."""

ROWS, COLUMNS = 256, 16
"""Of a block RAM, as words of 16 bits."""

_BLOCK = re.compile(r"^\.ram_data (\d+) (\d+)\n((?:[0-9a-f]{64}\n){16})", re.MULTILINE)


def read_rams(text: str) -> dict[Tile, Bits]:
    """What each block RAM holds: bits [row, column], shape (256, 16)."""
    return {(int(block[1]), int(block[2])): _bits(block[3]) for block in _BLOCK.finditer(text)}


def write_rams(text: str, rams: Mapping[Tile, Bits]) -> str:
    """The text with other contents of some block RAMs. Raises ``KeyError`` for one that is not
    there."""
    left = set(rams)

    def replaced(block: re.Match[str]) -> str:
        tile = int(block[1]), int(block[2])
        if tile not in left:
            return block[0]
        left.remove(tile)
        return f".ram_data {block[1]} {block[2]}\n{_lines(rams[tile])}"

    made = _BLOCK.sub(replaced, text)
    if left:
        raise KeyError(sorted(left))
    return made


def _bits(lines: str) -> Bits:
    # The last digit is the first word's.
    raw = b"".join(bytes.fromhex(line)[::-1] for line in lines.splitlines())
    return np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little").reshape(ROWS, COLUMNS)


def _lines(bits: Bits) -> str:
    raw = np.packbits(bits.reshape(16, ROWS * COLUMNS // 16), axis=1, bitorder="little")[:, ::-1]
    return "".join(bytes(line).hex() + "\n" for line in raw)
