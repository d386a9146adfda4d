"""Contents of block RAM in the text of an iCE40's bitstream: found, put in, compared."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from neurocompile_backends.rtl.synthesize.contents import (
    Column,
    Layout,
    Unfound,
    differing,
    exchangeable,
    fill,
    find,
    level_of,
    stand_ins,
)
from neurocompile_backends.rtl.synthesize.icestorm import Bits, Tile, read_rams, write_rams

MODES = (1, 2, 4, 8)
REVERSED = {1: (0,), 2: (0, 1), 4: (0, 2, 1, 3), 8: (0, 4, 2, 6, 1, 5, 3, 7)}
"""In which column of a row the words lie that share it, as icebram has it (its ``subidx_map``)."""


def blocks(bits: npt.NDArray[np.uint8], stride: int) -> list[Bits]:
    """A memory [word, bit] as the block RAMs of a mode hold it, here written out by the rule."""
    made: list[Bits] = []
    width = 16 // stride
    for base in range(0, len(bits), 256 * stride):
        for low in range(0, bits.shape[1], width):
            ram = np.zeros((256, 16), np.uint8)
            for word in range(base, min(base + 256 * stride, len(bits))):
                row, part = divmod(word - base, stride)
                for bit in range(low, min(low + width, bits.shape[1])):
                    ram[row, (bit - low) * stride + REVERSED[stride][part]] = bits[word, bit]
            made.append(ram)
    return made


def text_of(rams: dict[Tile, Bits]) -> str:
    """A bitstream's text with these block RAMs between other things."""
    empty = "".join(f".ram_data {x} {y}\n" + ("0" * 64 + "\n") * 16 for x, y in rams)
    modes = "".join(f".ramt_tile {x} {y + 1}\n" + ("0" * 42 + "\n") * 16 for x, y in rams)
    return write_rams(f".comment made by hand\n.device 8k\n{modes}{empty}.sym 3 clk\n", rams)


def memory(bits: npt.NDArray[np.uint8]) -> bytes:
    digits = -(-bits.shape[1] // 4)
    return "".join(f"{sum(int(b) << i for i, b in enumerate(word)):0{digits}x}\n"
                   for word in bits).encode()


def parsed(content: bytes) -> npt.NDArray[np.uint8]:
    lines = content.split()
    return np.array([[int(line, 16) >> i & 1 for i in range(4 * len(lines[0]))]
                     for line in lines], np.uint8)


def placed(memories: dict[str, tuple[bytes, int]]) -> str:
    """A design as place and route leaves it: stand-ins in block RAM of each memory's mode."""
    rams: dict[Tile, Bits] = {}
    for content, (_, stride) in zip(stand_ins({path: m for path, (m, _) in memories.items()})
                                    .values(), memories.values(), strict=True):
        for ram in blocks(parsed(content), stride):
            rams[8 + 17 * (len(rams) % 2), 1 + 2 * len(rams)] = ram
    return text_of(rams)


def random_memory(words: int, width: int, rng: np.random.Generator) -> bytes:
    return memory(rng.integers(0, 2, (words, width)).astype(np.uint8))


@pytest.mark.parametrize("stride", MODES)
@pytest.mark.parametrize("words", [1, 10, 255, 256, 257, 700, 2048, 2049])
def test_what_is_put_into_block_ram_is_found_there(stride: int, words: int) -> None:
    """Through rules written out twice: by columns of a stride, and word for word."""
    rng = np.random.default_rng(words)
    memories = {"mem/a.hex": random_memory(words, 12, rng), "mem/b.hex": random_memory(90, 4, rng)}
    asc = placed({"mem/a.hex": (memories["mem/a.hex"], stride), "mem/b.hex": (
        memories["mem/b.hex"], 2)})
    layout = find(asc, memories)
    assert {c.stride for c in layout.columns if c.file == "mem/a.hex"} == {stride}
    assert set(differing(asc, layout, memories)) == set(memories)
    filled = fill(asc, layout, memories)
    assert differing(filled, layout, memories) == {}
    held = list(read_rams(filled).values())
    expected = [*blocks(parsed(memories["mem/a.hex"]), stride),
                *blocks(parsed(memories["mem/b.hex"]), 2)]
    assert any(ram.any() for ram in expected)
    for ram in expected:
        assert any(np.array_equal(ram, other) for other in held)


def test_one_bit_that_differs_is_found() -> None:
    rng = np.random.default_rng(0)
    memories = {"mem/a.hex": random_memory(300, 8, rng)}
    asc = placed({"mem/a.hex": (memories["mem/a.hex"], 1)})
    layout = find(asc, memories)
    filled = fill(asc, layout, memories)
    rams = read_rams(filled)
    tile = layout.columns[5].tile
    rams[tile][7, layout.columns[5].column] ^= 1
    assert differing(write_rams(filled, rams), layout, memories) == {"mem/a.hex": 1}


def test_a_block_ram_that_went_missing_is_zeros() -> None:
    memories = {"mem/a.hex": b"f\n" * 20}
    asc = placed({"mem/a.hex": (memories["mem/a.hex"], 1)})
    layout = find(asc, memories)
    assert differing(".device 8k\n", layout, memories) == {"mem/a.hex": 80}


def test_a_bit_that_nothing_reads_may_be_missing_and_part_of_one_may_not() -> None:
    memories = {"mem/a.hex": random_memory(512, 4, np.random.default_rng(2))}
    asc = placed({"mem/a.hex": (memories["mem/a.hex"], 1)})
    layout = find(asc, memories)
    assert {c.bit for c in layout.columns} == {0, 1, 2, 3}
    rams = read_rams(asc)
    unread = [c for c in layout.columns if c.bit == 2]
    for c in unread:
        rams[c.tile][:, c.column] = 0
    assert {c.bit for c in find(write_rams(asc, rams), memories).columns} == {0, 1, 3}
    broken = next(c for c in layout.columns if c.bit == 1)
    rams[broken.tile][0, broken.column] ^= 1
    with pytest.raises(Unfound, match=f"bit 1 from word {broken.first} on"):
        find(write_rams(asc, rams), memories)
    with pytest.raises(Unfound, match=r"mem/a\.hex"):
        find(".device 8k\n", memories)


def test_a_memory_that_synthesis_made_twice_is_filled_twice() -> None:
    memories = {"mem/a.hex": random_memory(256, 4, np.random.default_rng(3))}
    (ram,) = blocks(parsed(stand_ins(memories)["mem/a.hex"]), 1)
    layout = find(text_of({(8, 1): ram, (25, 3): ram}), memories)
    assert {c.tile for c in layout.columns} == {(8, 1), (25, 3)}
    filled = read_rams(fill(text_of({(8, 1): ram, (25, 3): ram}), layout, memories))
    assert np.array_equal(filled[8, 1], filled[25, 3])
    assert np.array_equal(filled[8, 1][:, :4], parsed(memories["mem/a.hex"]))


def test_a_layout_survives_its_document() -> None:
    layout = Layout({"mem/b.hex": (3, 2), "mem/a.hex": (10, 1)},
                    (Column("mem/b.hex", 3, 1, 2, (8, 5), 15), Column("mem/a.hex", 0, 0, 1,
                                                                      (25, 1), 0)))
    assert Layout.from_dict(layout.to_dict()) == layout
    for wrong in ({**layout.to_dict(), "format": 1}, {"format": 2}):
        with pytest.raises((KeyError, ValueError)):
            Layout.from_dict(wrong)


def test_which_memories_are_exchanged() -> None:
    files = {"hdl/nc_top.v": b'.A("mem/core0_dense_init.hex"), .B("mem/core0_late_records.hex"),'
                             b' .C("mem/core0_out_axons.hex")',
             "mem/core0_dense_init.hex": b"0\n", "mem/core0_late_records.hex": b"0\n",
             "mem/core0_out_axons.hex": b"0\n", "mem/core1_dense_init.hex": b"0\n"}
    assert list(exchangeable(files, 1)) == ["mem/core0_dense_init.hex"]
    assert list(exchangeable(files, 2)) == ["mem/core0_dense_init.hex",
                                            "mem/core0_late_records.hex"]
    assert level_of("mem/board_id.hex") == 0


def test_stand_ins_have_columns_like_no_others() -> None:
    memories = {f"mem/{i}.hex": b"0" * 16 + b"\n" for i in range(8)}
    columns = {parsed(made)[:, bit].tobytes() for made in stand_ins(memories).values()
               for bit in range(64)}
    assert len(columns) == 8 * 64
    assert stand_ins(memories) == stand_ins(dict(memories))


@pytest.mark.skipif(shutil.which("icebram") is None, reason="icebram is not installed")
def test_icebram_puts_the_same_contents_in(tmp_path: Path) -> None:
    """Project IceStorm's own tool, which knows of memories of 256 words in the first mode."""
    memories = {"mem/a.hex": random_memory(256, 16, np.random.default_rng(4))}
    asc = placed({"mem/a.hex": (memories["mem/a.hex"], 1)})
    (tmp_path / "from.hex").write_bytes(stand_ins(memories)["mem/a.hex"])
    (tmp_path / "to.hex").write_bytes(memories["mem/a.hex"])
    done = subprocess.run(["icebram", "from.hex", "to.hex"], input=asc, cwd=tmp_path,
                          capture_output=True, text=True, check=True)
    assert done.stdout == fill(asc, find(asc, memories), memories)
