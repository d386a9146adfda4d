"""Looks at the text heaps of an HDF5 file before the HDF5 library does.

Texts of variable length lie in global heaps ("GCOL"), lists of objects that state their own size.
The library walks such a list for ever if a damaged object states a size of zero.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_HEADER = struct.Struct("<4sB3sQ")  # signature, version 1, reserved, bytes of the whole heap
_OBJECT = struct.Struct("<HHIQ")  # index (0: the free rest), references, reserved, bytes


def has_endless_heap(path: Path) -> bool:
    """Whether a global heap of a non-empty file holds an object that does not advance."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(b"GCOL")
        while at >= 0:
            if _is_endless(data, at):
                return True
            at = data.find(b"GCOL", at + 4)
    return False


def _is_endless(data: mmap.mmap, start: int) -> bool:
    if start + _HEADER.size > len(data):
        return False
    _, version, _, size = _HEADER.unpack_from(data, start)
    if version != 1:
        return False  # the library refuses it, or these are the bytes of an array
    at, end = start + _HEADER.size, min(start + size, len(data))
    while at + _OBJECT.size <= end:
        index, _, _, n_bytes = _OBJECT.unpack_from(data, at)
        # The library computes in 64 bits, where a huge size comes round to zero.
        step = n_bytes if index == 0 else (_OBJECT.size + (n_bytes + 7) // 8 * 8) % (1 << 64)
        if step == 0:
            return True
        at += step
    return False
