"""Which RAM of a device each memory of a design becomes, exactly as Yosys decides it.

Yosys's ``memory_libmap`` gives every way to build a memory a cost and takes the cheapest: block
RAMs of one of their widths, distributed RAM, or flip-flops and LUTs. The costs, and the shapes of
the RAMs, are those of its libraries ``ice40/brams.txt``, ``ice40/spram.txt``,
``lattice/brams_16kd.txt`` and ``lattice/lutrams_trellis.txt`` (Yosys 0.23 to 0.70), and
``gowin/brams.txt`` and ``gowin/lutrams.txt`` (0.70). Before, its ``opt_mem`` takes out columns
that hold the same bit in every word.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from neurocompile.bits import Ints
from neurocompile_backends.rtl.estimate.multipliers import outlives
from neurocompile_backends.rtl.plan.design import ChipPlan, CorePlan, Image
from neurocompile_backends.rtl.synthesize.contents import LEVELS
from neurocompile_backends.rtl.synthesize.icestorm import ROWS

Kind = Literal["block", "large", "distributed", "logic", "none"]

MUX = DEMUX = 0.5
EMULATION = 2
"""What Yosys counts for a bit that is chosen between RAMs, for a write enable that is, and for a
port with a register of its own."""

ROM_BIT, RAM_BIT = 1 / 16, 1.0
"""Cost of a bit in logic."""

HOST_FIFO_VALUE = 33
"""Bits beside the axon in the host's FIFO (``nc_control``)."""

LINK_BYTE, LOG2_LINK = 8, 9
"""The queue of the host's link (``nc_host_link``)."""

ID_BITS, ID_WORDS = 16, 2
"""Of a network's ID (``nc_board``)."""


@dataclass(frozen=True)
class Ram:
    """A RAM of a device, used with one write and one read port.

    widths
        Of a port, narrowest first; the RAM has ``2**address_bits`` words of the first.
    least_write, most_write, byte
        Widths of the write port, where there is one, and how many bits share a write enable
        (0: all).
    cost
        As Yosys's library states it.
    scales
        The cost is that of the bits which are used of it.
    """

    kind: Kind
    address_bits: int
    widths: tuple[int, ...]
    least_write: int
    most_write: int
    byte: int
    cost: int
    asynchronous: bool = False
    rom: bool = True
    scales: bool = False


RAMS: dict[str, tuple[Ram, ...]] = {
    "ice40": (Ram("block", 11, (2, 4, 8, 16), 2, 8, 0, 64),
              Ram("block", 11, (2, 4, 8, 16), 16, 16, 1, 64)),
    "ecp5": (Ram("distributed", 4, (4,), 4, 4, 0, 4, asynchronous=True, rom=False),
             Ram("block", 14, (1, 2, 4, 9, 18), 1, 18, 9, 128),
             Ram("block", 14, (1, 2, 4, 9, 18, 36), 36, 36, 9, 128)),
    # Of its block RAMs the one with a port for each direction is never dearer than the others.
    "gowin": (Ram("distributed", 4, (4,), 4, 4, 0, 4, asynchronous=True, rom=False, scales=True),
              Ram("block", 14, (1, 2, 4, 9, 18, 36), 1, 36, 9, 128)),
}
"""By family, in the order in which Yosys tries them."""

LARGE_WORDS, LARGE_BITS = 1 << 14, 16
"""Of the large RAMs of an UP5K (SB_SPRAM256KA), which ``nc_spram`` asks for by name."""


@dataclass(frozen=True, eq=False)
class Memory:
    """A memory of the RTL.

    name
        Its module's place in the hierarchy, without ``mem``.
    width, depth
        As the RTL states them.
    constant
        Columns that are the same bit in every word, [width], and never written.
    unread
        Columns that nothing reads, [width].
    writes, asynchronous
        It is written; it is read without a clock.
    large, block
        The RTL asks for a large RAM; for block RAM, however small the memory is.
    """

    name: str
    width: int
    depth: int
    constant: np.ndarray[tuple[int], np.dtype[np.bool_]]
    unread: np.ndarray[tuple[int], np.dtype[np.bool_]]
    writes: bool = True
    asynchronous: bool = False
    large: bool = False
    block: bool = False

    @cached_property
    def columns(self) -> int:
        """That are left."""
        return int(np.count_nonzero(~self.constant))


@dataclass(frozen=True)
class Mapped:
    """What a memory became: ``count`` of a kind of RAM, and between how many in depth its words
    are chosen (``ways``)."""

    memory: Memory
    kind: Kind
    count: int
    ways: int = 1

    @property
    def logic_bits(self) -> int:
        """Bits that are flip-flops, or a table of LUTs where it is not written."""
        return self.memory.columns * self.memory.depth if self.kind == "logic" else 0


def map_memory(memory: Memory, family: str) -> Mapped:
    """The cheapest way to build it, by Yosys's costs. ``family``: one of ``RAMS``."""
    if memory.large:
        return Mapped(memory, "large", -(-memory.width // LARGE_BITS) * -(
            -memory.depth // LARGE_WORDS))
    if not memory.columns or bool(np.all(memory.unread | memory.constant)):
        return Mapped(memory, "none", 0)
    logic = memory.columns * memory.depth * (RAM_BIT if memory.writes else ROM_BIT)
    found = Mapped(memory, "logic", 0)
    best = sys.maxsize if memory.block else int(logic)
    for ram in _candidates(memory, family):
        if memory.block and ram.kind != "block":
            continue
        cost, unit, ways = _geometry(memory, ram)
        if cost < best:
            best = int(cost)
            found = Mapped(memory, ram.kind, _used(memory, unit, ways, ram), ways)
    return found


def _candidates(memory: Memory, family: str) -> Iterator[Ram]:
    """The cheapest RAM of each kind; of those alike the first."""
    cheapest: dict[str, tuple[float, Ram]] = {}
    for ram in RAMS[family]:
        if (memory.asynchronous and not ram.asynchronous) or not (memory.writes or ram.rom):
            continue
        cost = _geometry(memory, ram)[0]
        if ram.kind not in cheapest or cost < cheapest[ram.kind][0]:
            cheapest[ram.kind] = cost, ram
    return (ram for _, ram in cheapest.values())


def _geometry(memory: Memory, ram: Ram) -> tuple[float, int, int]:
    """(cost, width of a RAM, how many in depth) of the width that costs least."""
    found: tuple[float, int, int] | None = None
    best = 0
    for i, width in enumerate(ram.widths):
        if memory.writes and width > ram.most_write:
            break
        # A write port wider than the data masks what is not meant: by bytes, where there are any.
        whole = ram.byte if ram.byte > 1 else 0
        if memory.writes and width < ram.least_write and width < whole:
            continue
        ways = -(-memory.depth // (1 << (ram.address_bits - i)))
        count = -(-ways * _padded(memory, ram, width) // width)
        units = ways * memory.columns / width if ram.scales else count
        cost = ram.cost * units + MUX * (ways - 1) * memory.columns + EMULATION
        if memory.writes and ways > 1:
            cost += DEMUX * ways
        if found is None or cost < best:
            found, best = (cost, width, ways), int(cost)  # Yosys keeps the best as an integer
    assert found is not None
    return found


def _padded(memory: Memory, ram: Ram, width: int) -> int:
    """Columns, filled to whole write enables."""
    byte = min(ram.byte or width, width) if memory.writes else 1
    return -(-memory.columns // byte) * byte


def _used(memory: Memory, width: int, ways: int, ram: Ram) -> int:
    """RAMs that somebody reads: synthesis drops the others."""
    padded = _padded(memory, ram, width)
    read = np.zeros(padded, np.bool_)
    read[:memory.columns] = ~memory.unread[~memory.constant]
    # Columns of one depth follow those of the other, packed without a gap.
    bits = np.tile(read, ways)
    return len(np.unique(np.flatnonzero(bits) // width))


# ---- The memories of a design.


def memories_of(core: CorePlan, levels: int = 0) -> list[Memory]:
    """Of ``nc_core``. ``levels``: memories below this level are synthesized with stand-ins, in
    whole blocks (``contents``); 0: all with what they hold."""
    p, images = core.parameters, core.images
    size = p["SLOTS"] * p["ROWS"]
    found = [_ram("fifo", p["AXON"] + p["PAYLOAD"], 1 << p["LOG2_FIFO"], asynchronous=True,
                  unread=range(p["AXON"], p["AXON"] + 1) if p["PAYLOAD"] == 1 else range(0)),
             _rom("synapses.records", images["AXON_RECORDS"])]
    if "DENSE_INIT" in images:
        found += _synaptic(core, "DENSE_INIT", "synapses.g_dense.genblk1", "weights", levels)
    if "SPARSE_INIT" in images:
        found += _synaptic(core, "SPARSE_INIT", "synapses.g_sparse.genblk1", "entries", levels)
    found += [_ram(f"accumulators.g_lane[{i}].bank", p["ACC"], size) for i in range(p["LANES"])]
    for name, module in (("NEURON_RECORDS", "neurons.g_records.records"),
                         ("LATE_RECORDS", "neurons.g_late_records.records")):
        if name in images:
            found.append(_stand_in(module, images[name]) if levels > LEVELS[name.lower()]
                         else _rom(module, images[name]))
    found.append(_states(p, core.neurons))
    if p["LOADED"]:
        found.append(_ram("neurons.g_loaded.biases", p["LOADED"],
                          _whole(core.neurons) if levels else core.neurons))
    found.append(_queue(p, core.neurons))
    found += [_rom("sender.firsts", images["OUT_FIRSTS"]),
              _rom("sender.axons", images["OUT_AXONS"])]
    return found


def shared_memories(plan: ChipPlan, log2_host_fifo: int) -> list[Memory]:
    """Of ``nc_control``."""
    return [_ram("control.fifo", HOST_FIFO_VALUE + plan.axon_bits, 1 << log2_host_fifo,
                 asynchronous=True)]


def link_memories(levels: int = 0) -> list[Memory]:
    """Of ``nc_host_link``, and the network's ID where it can be exchanged; else it is a constant.
    """
    found = [_ram("link.queue.ram", LINK_BYTE, 1 << LOG2_LINK)]
    if levels:
        none = np.zeros(ID_BITS, np.bool_)
        found.append(Memory("link.id", ID_BITS, _whole(ID_WORDS), none, none, writes=False,
                            block=True))
    return found


def _ram(name: str, width: int, depth: int, *, asynchronous: bool = False,
         unread: range = range(0), constant: range = range(0)) -> Memory:
    columns = np.zeros((2, width), np.bool_)
    columns[0, constant.start:constant.stop] = True
    columns[1, unread.start:unread.stop] = True
    return Memory(name, width, depth, columns[0], columns[1], True, asynchronous)


def _rom(name: str, image: Image, words: slice = slice(None)) -> Memory:
    constant = _constant(image, words)
    depth = len(range(image.depth)[words])
    return Memory(name, image.width, depth, constant, np.zeros_like(constant), writes=False)


def _stand_in(name: str, image: Image) -> Memory:
    none = np.zeros(image.width, np.bool_)
    return Memory(name, image.width, _whole(image.depth), none, none, writes=False, block=True)


def _whole(words: int) -> int:
    """Words of whole blocks."""
    return -(-words // ROWS) * ROWS


def _constant(image: Image, words: slice) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which columns are the same bit in all of these words, [width]."""
    return np.concatenate([constant_bits(values[words], bits) for values, bits in image.fields])


def constant_bits(values: Ints, bits: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which of their ``bits`` all values share, lowest first: synthesis stores none of these."""
    differ = int(np.bitwise_or.reduce(values ^ values[0])) if len(values) else 0
    shared: np.ndarray[tuple[int], np.dtype[np.bool_]] = (differ >> np.arange(bits)) & 1 == 0
    return shared


def _synaptic(core: CorePlan, name: str, place: str, inner: str, levels: int) -> list[Memory]:
    image, p = core.images[name], core.parameters
    if name == "DENSE_INIT" and p["SPRAM"]:
        none = np.zeros(image.width, np.bool_)
        return [Memory(f"{place}.g_spram.{inner}", image.width, image.depth, none, none,
                       large=True)]
    bank = p["LOG2_BANK"]
    if not bank and levels:
        return [_stand_in(f"{place}.g_rom.{inner}", image)]
    if not bank:
        return [_rom(f"{place}.g_rom.{inner}", image)]
    return [_rom(f"{place}.g_banks.{inner}.g_bank[{i >> bank}].rom", image,
                 slice(i, i + (1 << bank))) for i in range(0, image.depth, 1 << bank)]


def _states(p: dict[str, int], neurons: int) -> Memory:
    """What is gone after each step is written and never read: a membrane, or a current."""
    u = p["U"] if p["FILTER"] else 0
    width = p["V"] + u + (p["COUNT"] if p["DELAYED"] else 0) + p["REFRACTORY"]
    first = p["V"] if outlives(p, "V") else 0
    last = p["V"] if outlives(p, "U") else p["V"] + u
    return _ram("neurons.states", width, neurons, unread=range(first, last))


def _queue(p: dict[str, int], neurons: int) -> Memory:
    """Neuron and what it sends, which is a count where no membrane is read: bits above it are 0."""
    index, sent = p["INDEX"], p["SENT"]
    counts = "ANALOG_BITS" not in p and not p["ANALOG"]
    low = index + min(sent, p["COUNT"]) if counts else index + sent
    return _ram("sender.queue", index + sent, neurons, constant=range(low, index + sent))
