"""The host's end of ``nc_host_link``: words to bytes, and bytes to what the chip says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurocompile_backends.rtl.emit.board import GROUP
from neurocompile_backends.rtl.host.words import END, FLIT, STEP

RESET = 0x87
"""The byte that resets the chip, without its tag."""

TAG_BITS = 4
SEND_FLIT, SEND_END, SEND_STATUS, SEND_HELLO = range(4)
"""Kinds of words from the chip."""

NOTHING, CREDIT, FAULT = range(3)
"""What a status says."""

FILLER_OUT, FILLER_IN = 0x86, 0x80 | NOTHING << 2 | SEND_STATUS
"""What goes over an SPI bus, to the chip and from it, where there is nothing to say."""


@dataclass(frozen=True)
class Link:
    """The table ``link`` of ``rtl.json``: widths that both ends agree on, bytes that wait in the
    chip (``buffer``), and which network it is (``id``)."""

    id: int
    buffer: int
    axon: int
    payload: int
    flit_bytes: int
    word_bytes: int


def bytes_of(link: Link, words: npt.NDArray[np.uint64]) -> bytes:
    """Words for ``nc_top`` as they go over the wire."""
    kind = (words & np.uint64(7)).astype(np.int64)
    count = np.where(kind == FLIT, link.flit_bytes,
                     np.where((kind == STEP) | (kind == END), 1, link.word_bytes))
    at = np.arange(max(link.flit_bytes, link.word_bytes))
    groups = ((words[:, None] >> (GROUP * at).astype(np.uint64)) & np.uint64(0x7F)).astype(np.uint8)
    groups[:, 0] |= 0x80
    sent: bytes = groups[at < count[:, None]].tobytes()
    return sent


def without_fillers(data: bytes) -> bytes:
    """What an SPI bus brought. A filler is a word of its own: no other has a byte like it."""
    return data.replace(bytes([FILLER_IN]), b"")


class Decoder:
    """Bytes from the chip, as they come, to words: (kind, first, second), where a flit has its axon
    and payload, an end its cycles and 0, a status what it says and 0, a greeting its tag and ID.

    ``damaged`` counts words that the next one cut off, and bytes outside of words; both are passed
    over.
    """

    def __init__(self, link: Link):
        self.link = link
        self.damaged = 0
        flit = 2 + link.axon + link.payload
        self._bytes = {SEND_FLIT: max(2, -(-flit // GROUP)), SEND_END: -(-34 // GROUP),
                       SEND_STATUS: 1, SEND_HELLO: -(-(2 + TAG_BITS + 32) // GROUP)}
        self._word = self._got = self._left = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, int, int]]:
        for byte in data:
            if byte & 0x80:
                self.damaged += self._left > 0
                self._word, self._got, self._left = byte & 0x7F, 1, self._bytes[byte & 3] - 1
            elif self._left:
                self._word |= byte << (GROUP * self._got)
                self._got += 1
                self._left -= 1
            else:
                self.damaged += 1
                continue
            if not self._left:
                yield self._parts(self._word & 3, self._word >> 2)

    def _parts(self, kind: int, rest: int) -> tuple[int, int, int]:
        link = self.link
        if kind == SEND_FLIT:
            axon = rest & ((1 << link.axon) - 1)
            payload = (rest >> link.axon) & ((1 << link.payload) - 1)
            if link.payload > 1 and payload >> (link.payload - 1):
                payload -= 1 << link.payload
            return kind, axon, payload
        if kind == SEND_END:
            return kind, rest & 0xFFFFFFFF, 0
        if kind == SEND_STATUS:
            return kind, rest, 0
        return kind, rest & ((1 << TAG_BITS) - 1), (rest >> TAG_BITS) & 0xFFFFFFFF
