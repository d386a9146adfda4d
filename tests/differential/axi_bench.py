"""What cocotb does to ``nc_axi_top`` in Icarus: the protocols of its buses. Run by test_rtl_axi.py,
which makes the case: a network, what the host sends of each sample, and what has to come back."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import Immediate
from cocotb.triggers import RisingEdge, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

ID, VERSION, NETWORK, WIDTHS, CONTROL, STATUS, FAULT, SCRATCH = range(0, 0x20, 4)
CYCLES, STEPS, SAMPLES, FLITS, SENT, STARVED, BLOCKED = range(0x20, 0x58, 8)
ENABLE, RESET, ZERO = 1, 2, 4
RUNNING, BUSY, FAULTY, DRAINING = 1, 2, 4, 8
CUT, MISPLACED, NOWHERE, PARTIAL = 1, 2, 4, 8
FLIT, STEP, END, LOAD, WRITE = range(5)

Words = np.ndarray[Any, np.dtype[np.uint64]]
Step = tuple[list[tuple[int, int]], int]
"""What came in a step, sorted (number, value), and how many cycles it took."""

folder = Path(os.environ["NC_AXI_CASE"])
case = json.loads((folder / "case.json").read_text())
sent: list[Words] = [np.array(words, np.uint64) for words in case["words"]]
expected: list[list[Step]] = [
    [([(n, v) for n, v in beats], cycles) for beats, cycles in sample]
    for sample in case["expected"]]


def stalls(seed: int, share: float) -> Iterator[bool]:
    rng = random.Random(seed)
    while True:
        yield rng.random() < share


@dataclass
class Watch:
    """What was on the streams, cycle by cycle; that what is offered stays is asserted."""

    record: bool = False
    given: list[bool] = field(default_factory=list)
    taking: list[bool] = field(default_factory=list)
    taken: list[bool] = field(default_factory=list)
    open: int = 0
    starved: int = 0
    blocked: int = 0

    async def run(self, dut: Any) -> None:
        before: str | None = None
        while True:
            await RisingEdge(dut.aclk)
            valid, ready = str(dut.m_axis_tvalid.value) == "1", True
            if valid or before is not None:
                offered = str(dut.m_axis_tdata.value) + str(dut.m_axis_tlast.value)
                assert before is None or (valid and offered == before), "an offer was changed"
                ready = int(dut.m_axis_tready.value) == 1
                before = None if ready else offered
            if not self.record:
                continue
            word = bool(int(dut.host_valid.value))
            running = int(dut.running.value)
            self.given.append(word)
            self.taking.append(bool(int(dut.out_ready.value)))
            self.taken.append(word and bool(int(dut.host_ready.value)))
            self.open += running
            self.starved += running and not word
            self.blocked += valid and not ready

    def save(self, name: str, steps: list[list[int]]) -> None:
        np.savez(folder / name, cycles=steps, given=self.given, taking=self.taking,
                 taken=self.taken)


class Bench:
    """The chip, with a host at its three buses."""

    def __init__(self, dut: Any):
        self.dut = dut
        cocotb.start_soon(Clock(dut.aclk, 10, "ns").start())
        reset = {"reset": dut.aresetn, "reset_active_level": False}
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, **reset)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, **reset)
        self.axil = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.aclk, **reset)
        self.watch = Watch()

    @classmethod
    async def start(cls, dut: Any, *, record: bool = False) -> Bench:
        """``record``: all of ``watch``; it makes Icarus slow."""
        dut.aresetn.value = 0
        bench = cls(dut)
        bench.watch.record = record
        await bench.wait(4)
        dut.aresetn.value = 1
        cocotb.start_soon(bench.watch.run(dut))
        await bench.wait(20)  # the reset of the chip is longer
        return bench

    async def wait(self, cycles: int) -> None:
        for _ in range(cycles):
            await RisingEdge(self.dut.aclk)

    async def until(self, met: Callable[[], Awaitable[bool]], most: int = 200) -> None:
        for _ in range(most):
            if await met():
                return
        raise AssertionError("this never happens")

    def stall(self, seed: int, share: float) -> None:
        self.source.set_pause_generator(stalls(seed, share))
        self.sink.set_pause_generator(stalls(seed + 1, share))
        write, read = self.axil.write_if, self.axil.read_if
        for i, channel in enumerate((write.aw_channel, write.w_channel, write.b_channel,
                                     read.ar_channel, read.r_channel)):
            channel.set_pause_generator(stalls(seed + 2 + i, share))

    async def send(self, *words: Words) -> None:
        """A packet of these words, and TLAST with the last."""
        await self.source.send(AxiStreamFrame(beats(np.concatenate(words))))

    async def receive(self) -> list[tuple[int, int, int, bool]]:
        """A packet: (end, aborted, number, value) of each of its beats."""
        frame = await with_timeout(self.sink.recv(), 200, "us")
        data = np.frombuffer(bytes(frame.tdata), np.uint64)
        return [(int(w >> 63), int(w >> 62) & 1, int(w >> 32) & 0x3FFFFFFF,
                 int(np.uint32(w & 0xFFFFFFFF).astype(np.int32))) for w in map(int, data)]

    async def expect(self, sample: int, *, exact: bool = False, steps: int | None = None,
                     ) -> list[int]:
        """The next packet answers this sample; the cycles of its steps. ``exact``: those of the
        model."""
        got = in_steps(await self.receive())
        wanted = expected[sample][:steps]
        assert [beats for beats, _ in got] == [beats for beats, _ in wanted]
        if exact:
            assert [cycles for _, cycles in got] == [cycles for _, cycles in wanted]
        return [cycles for _, cycles in got]

    async def right(self, sample: int = 0) -> None:
        """Whatever was before, a sample gives what it should."""
        await self.send(sent[sample])
        await self.expect(sample, exact=True)

    async def read(self, address: int) -> int:
        got = await self.axil.read(address, 4)
        assert got.resp == AxiResp.OKAY
        return int.from_bytes(got.data, "little")

    async def count(self, address: int) -> int:
        low = await self.read(address)
        return low | await self.read(address + 4) << 32

    async def write(self, address: int, value: int) -> None:
        got = await self.axil.write(address, value.to_bytes(4, "little"))
        assert got.resp == AxiResp.OKAY

    async def idle(self) -> None:
        async def met() -> bool:
            return not await self.read(STATUS) & BUSY
        await self.until(met)


def beats(words: Words) -> bytes:
    return words.astype(f"<u{case['in_bytes']}").tobytes()


def in_steps(got: list[tuple[int, int, int, bool]]) -> list[Step]:
    """A packet by steps; the last beat of it is the end of a step."""
    steps: list[Step] = []
    begun: list[tuple[int, int]] = []
    for end, aborted, number, value in got:
        assert not aborted
        if end:
            steps.append((sorted(begun), value))
            begun = []
        else:
            begun.append((number, value))
    assert not begun, "TLAST is not at the end of a step"
    return steps


def kinds(words: Words) -> list[int]:
    return [int(w) & 7 for w in words]


# ---- Samples.


@cocotb.test()
async def samples_take_the_cycles_of_the_model_and_every_counter_is_right(dut: Any) -> None:
    bench = await Bench.start(dut, record=True)
    total = 0
    for words in sent:
        await bench.send(words)
    for sample in range(len(sent)):
        total += sum(await bench.expect(sample, exact=True))
    await bench.idle()
    assert total == bench.watch.open
    flits = sum(kinds(words).count(FLIT) for words in sent)
    ends = sum(len(sample) for sample in expected)
    out = ends + sum(len(beats) for sample in expected for beats, _ in sample)
    assert flits
    assert out > ends
    for address, value in ((CYCLES, total), (STEPS, ends), (SAMPLES, len(sent)), (FLITS, flits),
                           (SENT, out), (STARVED, 0), (BLOCKED, 0), (FAULT, 0), (STATUS, 0)):
        assert await bench.read(address) == value, hex(address)
    await bench.write(CONTROL, ENABLE | ZERO)
    for address in range(CYCLES, BLOCKED + 8, 4):
        assert await bench.read(address) == 0


@cocotb.test()
@cocotb.parametrize(share=[0.25, 0.7])
async def stalls_on_both_sides_change_nothing_but_cycles(dut: Any, share: float) -> None:
    bench = await Bench.start(dut, record=True)
    bench.stall(7, share)
    for words in sent:
        await bench.send(words)
    steps = [await bench.expect(sample) for sample in range(len(sent))]
    total = sum(map(sum, steps))
    await bench.idle()
    assert await bench.count(CYCLES) == total == bench.watch.open
    assert await bench.count(STARVED) == bench.watch.starved > 0
    assert await bench.count(BLOCKED) == bench.watch.blocked > 0
    assert await bench.count(SAMPLES) == len(sent)
    bench.watch.save(f"stalled-{share}.npz", steps)


@cocotb.test()
async def a_host_that_takes_nothing_stops_the_chip_and_loses_nothing(dut: Any) -> None:
    bench = await Bench.start(dut)
    bench.sink.pause = True
    for words in sent:
        await bench.send(words)
    await bench.wait(2000)
    assert int(dut.m_axis_tvalid.value) == 1, "offering waits for whoever takes"
    assert int(dut.s_axis_tready.value) == 0
    assert await bench.read(STATUS) == RUNNING | BUSY
    assert await bench.count(SENT) == 0
    assert await bench.count(STARVED) == 0
    assert await bench.count(BLOCKED) > 1000
    bench.sink.pause = False
    for sample in range(len(sent)):
        await bench.expect(sample)


@cocotb.test()
async def a_chip_that_is_not_enabled_takes_nothing(dut: Any) -> None:
    bench = await Bench.start(dut)
    await bench.write(CONTROL, 0)
    await bench.send(sent[0])
    await bench.wait(200)
    assert int(dut.s_axis_tvalid.value) == 1
    assert int(dut.s_axis_tready.value) == 0
    assert await bench.read(STATUS) == 0
    await bench.write(CONTROL, ENABLE)
    await bench.expect(0, exact=True)


# ---- Packets.


@cocotb.test()
async def several_samples_may_share_a_packet_and_each_is_answered_by_one(dut: Any) -> None:
    bench = await Bench.start(dut)
    await bench.send(*sent)
    for sample in range(len(sent)):
        await bench.expect(sample, exact=True)
    assert await bench.read(FAULT) == 0


@cocotb.test()
async def a_packet_that_ends_within_a_sample_ends_it(dut: Any) -> None:
    """After every word of a sample but its END."""
    bench = await Bench.start(dut)
    words = sent[0]
    marks = [i for i, kind in enumerate(kinds(words)) if kind == STEP]
    for steps, at in enumerate(marks[1:4], 1):
        await bench.send(words[:at])
        await bench.expect(0, exact=True, steps=steps)
        assert await bench.read(FAULT) == CUT
        assert await bench.read(STATUS) & FAULTY
        await bench.write(FAULT, CUT)
        assert await bench.read(FAULT) == 0
        await bench.right(1)
    for at in range(marks[0] + 1, marks[1]):  # after its first STEP, after each of its first flits
        await bench.send(words[:at])
        assert len(in_steps(await bench.receive())) == 1
    await bench.right()
    assert await bench.count(SAMPLES) == 3 * 2 + marks[1] - marks[0] - 1 + 1


@cocotb.test()
async def what_no_chip_can_take_is_dropped_and_said(dut: Any) -> None:
    bench = await Bench.start(dut)
    words = sent[0]
    flit = next(w for w in words if int(w) & 7 == FLIT)
    load = np.uint64(LOAD)
    first = kinds(words).index(STEP)

    async def given(fault: int, *parts: Any) -> None:
        await bench.send(*(np.atleast_1d(np.array(part, np.uint64)) for part in parts))
        await bench.expect(0)
        assert await bench.read(FAULT) == fault
        await bench.write(FAULT, 15)
        assert await bench.read(STATUS) & FAULTY == 0

    inside, after = words[:first + 1], words[first + 1:]
    await given(0, words)
    await given(MISPLACED, flit, words)
    await given(MISPLACED, inside, load, after)
    await given(MISPLACED, inside, np.uint64(WRITE), after)
    for kind in (5, 6, 7):
        await given(MISPLACED, kind, words)
    await given(MISPLACED, inside, 7, after)
    nowhere = np.uint64(case["cores"] << 3)
    await given(NOWHERE, inside, nowhere, after)
    await given(NOWHERE, load | nowhere, words)
    await given(NOWHERE | MISPLACED, flit, inside, nowhere, after)
    # Part of a word is none.
    for keep in (0, 1, (1 << case["in_bytes"]) - 2):
        lanes = [1] * len(beats(words))
        lanes[case["in_bytes"]:case["in_bytes"]] = [keep >> i & 1 for i in range(case["in_bytes"])]
        data = beats(words)
        data = data[:case["in_bytes"]] + bytes(case["in_bytes"]) + data[case["in_bytes"]:]
        await bench.source.send(AxiStreamFrame(data, tkeep=lanes))
        await bench.expect(0)
        assert await bench.read(FAULT) == PARTIAL
        await bench.write(FAULT, PARTIAL)
    await bench.right()


@cocotb.test()
async def a_packet_without_a_sample_is_not_answered(dut: Any) -> None:
    """Biases, or an END alone: what comes next is the answer to the sample after."""
    bench = await Bench.start(dut)
    await bench.send(np.array([LOAD], np.uint64))
    await bench.send(np.array([END], np.uint64))
    await bench.right()
    assert bench.sink.empty()
    assert await bench.read(FAULT) == 0
    assert await bench.count(SAMPLES) == 1


# ---- Reset.


@cocotb.test()
@cocotb.parametrize(wait=[10, 40, 90, 150, 155, 300], paused=[False, True])
async def reset_within_a_sample_keeps_both_streams_whole(dut: Any, wait: int, paused: bool) -> None:
    bench = await Bench.start(dut)
    bench.stall(wait, 0.3)
    bench.sink.clear_pause_generator()
    bench.sink.pause = paused
    await bench.send(sent[0])
    await bench.wait(wait)
    before = bench.sink.active
    await bench.write(CONTROL, ENABLE | RESET)
    bench.sink.pause = False

    async def met() -> bool:
        return not await bench.read(STATUS) & (BUSY | DRAINING)
    await bench.until(met)  # the rest of the packet is thrown away, and what was begun is closed
    assert await bench.read(CONTROL) == ENABLE
    await bench.wait(4)
    if not bench.sink.empty():
        got = await bench.receive()
        assert [aborted for _, aborted, _, _ in got] == [0] * (len(got) - 1) + [1]
        assert got[-1][0] == 1
    else:
        assert not before
    assert bench.sink.empty()
    bench.source.clear_pause_generator()
    bench.source.pause = False
    await bench.right(1)
    assert await bench.read(FAULT) == 0


@cocotb.test()
async def a_second_reset_ends_a_wait_for_a_packet_that_will_not_end(dut: Any) -> None:
    bench = await Bench.start(dut)
    words = beats(sent[0][:5])
    for i in range(0, len(words), case["in_bytes"]):  # beats by hand: no TLAST
        dut.s_axis_tvalid.value = Immediate(1)
        dut.s_axis_tlast.value = Immediate(0)
        dut.s_axis_tdata.value = Immediate(int.from_bytes(words[i:i + case["in_bytes"]], "little"))
        while True:
            await RisingEdge(dut.aclk)
            if int(dut.s_axis_tready.value):
                break
    dut.s_axis_tvalid.value = Immediate(0)
    await bench.write(CONTROL, ENABLE | RESET)
    assert await bench.read(STATUS) & DRAINING
    await bench.wait(100)
    assert await bench.read(STATUS) & DRAINING
    await bench.write(CONTROL, ENABLE | RESET)
    assert not await bench.read(STATUS) & DRAINING
    await bench.idle()
    while not bench.sink.empty():
        await bench.receive()
    await bench.right()


# ---- Registers.


@cocotb.test()
@cocotb.parametrize(share=[0.0, 0.6])
async def registers_are_where_the_map_says_and_nothing_is_anywhere_else(dut: Any,
                                                                       share: float) -> None:
    bench = await Bench.start(dut)
    bench.stall(3, share)
    assert await bench.read(ID) == 0x4E434158
    assert await bench.read(VERSION) == 0x00010000
    assert await bench.read(NETWORK) == case["network"]
    word, axon, payload = case["widths"]
    assert await bench.read(WIDTHS) == word | case["in_bytes"] << 8 | axon << 16 | payload << 24
    assert await bench.read(CONTROL) == ENABLE
    addresses = [*range(0x58, 0x100, 4), *range(0x100, 0x1000, 0x6C)]
    for address in addresses:
        got = await bench.axil.read(address, 4)
        assert (got.resp, bytes(got.data)) == (AxiResp.SLVERR, bytes(4)), hex(address)
    writable = {CONTROL, FAULT, SCRATCH}
    for address in (*range(0, 0x58, 4), *addresses[::7]):
        value = ENABLE if address == CONTROL else 0
        got = await bench.axil.write(address, value.to_bytes(4, "little"))
        assert got.resp == (AxiResp.OKAY if address in writable else AxiResp.SLVERR), hex(address)
    await bench.send(sent[0])
    await bench.expect(0, exact=share == 0)


@cocotb.test()
async def bytes_without_a_strobe_stay(dut: Any) -> None:
    bench = await Bench.start(dut)
    bench.stall(11, 0.4)
    known = 0xA1B2C3D4
    await bench.write(SCRATCH, known)
    rng = random.Random(5)
    for first in range(4):
        for n in range(1, 5 - first):
            data = rng.randbytes(n)
            await bench.axil.write(SCRATCH + first, data)  # other lanes have no strobe
            raw = bytearray(known.to_bytes(4, "little"))
            raw[first:first + n] = data
            known = int.from_bytes(raw, "little")
            assert await bench.read(SCRATCH) == known
    await bench.axil.write(CONTROL + 1, bytes(3))  # the lane of enable has no strobe
    assert await bench.read(CONTROL) == ENABLE
    await bench.send(np.array([5], np.uint64))
    await bench.axil.write(FAULT + 1, b"\xff\xff\xff")
    assert await bench.read(FAULT) == MISPLACED
    await bench.write(FAULT, ~MISPLACED & 15)  # only ones clear
    assert await bench.read(FAULT) == MISPLACED
    await bench.write(FAULT, MISPLACED)
    assert await bench.read(FAULT) == 0


@cocotb.test()
async def both_halves_of_a_counter_are_of_one_moment(dut: Any) -> None:
    """A counter that carries into its upper half between the two reads."""
    bench = await Bench.start(dut)
    bench.sink.pause = True
    await bench.send(*sent)
    await bench.wait(1000)
    assert int(dut.running.value) == 1
    dut.registers.counts.value = (1 << 64) - 1 << 64 | (1 << 32) - 40
    low = await bench.read(CYCLES)
    assert (1 << 32) - 40 <= low < 1 << 32
    await bench.wait(50)
    assert await bench.read(CYCLES + 4) == 0
    low = await bench.read(CYCLES)
    assert low < 1 << 31
    assert await bench.read(CYCLES + 4) == 1
    assert await bench.count(STEPS) in ((1 << 64) - 1, 0, 1, 2)
