"""Networks behind a UART: a board under Verilator, every bit on its wire, and the host's driver."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from contracts import contract_of, recording
from partition_factory import counts_input, network, neurons, project, source
from program_factory import given, placed

import neurocompile as nc
from neurocompile.api import as_dataset
from neurocompile.diagnostics import CompileError
from neurocompile.ir.network import Port
from neurocompile.ir.program import Program
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.transforms import Dense
from neurocompile.passes.assemble import Assemble
from neurocompile.reference.encode import EncodedInput, encode_inputs
from neurocompile.reference.integer import Probes, run_integer
from neurocompile.targets import load_target
from neurocompile.verification.evaluate import grids
from neurocompile_backends.rtl.emit.board import (
    BOARD_MODULES,
    LINK_MODULES,
    Board,
    board_files,
    boards,
    constraints,
    load_board,
    loading_command,
)
from neurocompile_backends.rtl.emit.files import library
from neurocompile_backends.rtl.host import driver as host_driver
from neurocompile_backends.rtl.host.driver import BoardHost, BoardRun, Description, open_port
from neurocompile_backends.rtl.host.link import FAULT, SEND_STATUS, Decoder, Link, bytes_of
from neurocompile_backends.rtl.host.words import words_of
from neurocompile_backends.rtl.plan.chip import plan_chip
from neurocompile_backends.rtl.plan.cycles import count_cycles
from neurocompile_backends.rtl.plan.design import ChipPlan
from neurocompile_backends.rtl.simulate.simulated_port import (
    OFFERS,
    TAKEN,
    TAKES,
    BuiltBoard,
    SimulatedPort,
    build_board,
)
from neurocompile_backends.rtl.synthesize.flow import find_tool

N_STEPS = 8
TIMEOUT_S = 0.02
BOARD = Board("simulated", "a board for tests", "generic", 12_000_000, 1_000_000, "",
              {"clk": "1", "rx": "2", "tx": "3"})


SPI_PINS = {"clk": "1", "sck": "2", "cs_n": "3", "mosi": "4", "miso": "5"}


@dataclass(frozen=True, eq=False)
class Case:
    quantized: QuantizedNetwork
    plan: ChipPlan
    built: BuiltBoard

    def host(self, **changed: Any) -> BoardHost:
        """Of a board that has just been switched on."""
        description = Description.load(self.built.root, self.plan.program)
        if changed:
            description = replace(description, link=replace(description.link, **changed))
        return BoardHost(SimulatedPort(self.built), description, timeout_s=TIMEOUT_S)

    def expect(self, run: BoardRun, data: EncodedInput) -> None:
        expected = run_integer(self.quantized, data, Probes.outputs(self.quantized)).s
        assert run.s.keys() == expected.keys()
        for name, values in expected.items():
            assert values.any(), f"{name} is silent: nothing is compared"
            np.testing.assert_array_equal(run.s[name], values)


def random_network(seed: int, n_hidden: int = 20) -> QuantizedNetwork:
    """Counts into ``h``, which feeds ``o`` and itself; both are read."""
    rng = np.random.default_rng(seed)

    def weights(n_out: int, n_in: int) -> Dense:
        return Dense(rng.integers(-60, 90, (n_out, n_in)).astype(np.int8), (n_in,), (n_out,))

    h = neurons("h", n_hidden, threshold=rng.integers(40, 200, n_hidden),
                membrane_decay=np.full(n_hidden, 700))
    o = neurons("o", 6, threshold=rng.integers(60, 200, 6), initial_v=rng.integers(-50, 50, 6))
    built = network(
        load_target("generic"), [source("x", 12), h, o],
        [project("x->h", "x", "h", weights(n_hidden, 12)),
         project("h->h", "h", "h", weights(n_hidden, n_hidden)),
         project("h->o", "h", "o", weights(6, n_hidden), source_delay=[1] * n_hidden)],
        (counts_input("x", 2),))
    discrete = built.scheduled.discrete
    outputs = (Port("h", "h", (n_hidden,)), Port("o", "o", (6,)))
    floats = replace(discrete.network, outputs=outputs)
    scheduled = replace(built.scheduled, discrete=replace(discrete, network=floats))
    return replace(built, scheduled=scheduled)


def case_of(quantized: QuantizedNetwork, program: Program, *, board: Board = BOARD,
            lanes: int | None = None, log2_buffer: int = 9) -> Case:
    plan = plan_chip(program, quantized,
                     None if lanes is None else (lanes,) * len(program.cores))
    files = board_files(plan, board, log2_buffer=log2_buffer)
    return Case(quantized, plan, build_board(files, board))


@pytest.fixture(scope="module")
def small() -> Case:
    """Three cores."""
    quantized = random_network(1)
    return case_of(quantized, Assemble().run(placed(quantized, 10)), lanes=4)


@pytest.fixture(scope="module")
def slow() -> Case:
    """Steps that take longer than their words on the wire, and a link with room for 16 bytes."""
    quantized = random_network(2, n_hidden=150)
    return case_of(quantized, Assemble().run(placed(quantized, 150)), lanes=1, log2_buffer=4,
                   board=replace(BOARD, baud=3_000_000))


def refused(run: Callable[[], object]) -> str:
    with pytest.raises(CompileError) as caught:
        run()
    (diagnostic,) = caught.value.diagnostics
    return diagnostic.code


# ---- Samples over the wire.


def test_samples_over_the_wire_equal_the_reference(small: Case) -> None:
    data = given(small.quantized, 3, N_STEPS)
    host = small.host()
    small.expect(host.run(data), data)
    small.expect(host.run(data), data)  # again, from whatever state that left
    assert host.port.broken == 0  # type: ignore[attr-defined]


def test_every_cycle_is_that_of_the_model_given_when_the_wire_has_words(small: Case) -> None:
    """The chip's own count of every step, against the model of the RTL fed with the cycles in which
    the link offered and took words: nothing but the host differs from a run without a wire."""
    data = given(small.quantized, 2, N_STEPS)
    host = small.host()
    assert isinstance(host.port, SimulatedPort)
    host.connect()
    host.port.record()
    run = host.run(data)
    link, sent = host.port.recorded()
    total = run.cycles.shape[1]
    taken = np.flatnonzero(link & TAKEN)
    spikes = sent_by_step(small.plan, sent, data.n_samples * total)
    at = 0
    for sample in range(data.n_samples):
        words = words_of(small.plan, data, sample, total)
        begin = taken[at]
        at += len(words)
        assert not link[begin - 1] & OFFERS  # the chip had nothing left to do
        own = spikes[sample * total:(sample + 1) * total]
        counted = count_cycles(small.plan, words, own, offered=link[begin:] & OFFERS != 0,
                               taking=link[begin:] & TAKES != 0)
        np.testing.assert_array_equal(counted.cycles, run.cycles[sample])
        free = count_cycles(small.plan, words, own).cycles  # as if all words were there at once
        assert np.all(free <= run.cycles[sample])
        assert np.any(free < run.cycles[sample])
    assert at == len(taken)


def sent_by_step(plan: ChipPlan, sent: npt.NDArray[np.int32],
                 steps: int) -> npt.NDArray[np.int32]:
    """[step, neuron of all cores]: every neuron is shown once a step."""
    columns = []
    for core in plan.cores:
        own = sent[sent[:, 0] == core.index]
        assert len(own) == steps * core.neurons
        values = np.zeros((steps, core.neurons), np.int32)
        values[np.repeat(np.arange(steps), core.neurons), own[:, 1]] = own[:, 2]
        columns.append(values)
    return np.concatenate(columns, axis=1)


@pytest.mark.parametrize(("name", "target"), [("digits", "generic"), ("mnist_mlp", "ice40-up5k")])
def test_biases_and_memories_that_the_host_fills_come_over_the_wire(name: str,
                                                                    target: str) -> None:
    recorded = recording(name, 1)
    built = nc.compile(recorded.network, target, contract=contract_of(name, recorded))
    data = encode_inputs(built.quantized, grids(as_dataset(recorded.x, built.inputs)),
                         recorded.x.shape[1])
    case = case_of(built.quantized, Assemble().run(built.mapping),
                   board=replace(BOARD, baud=3_000_000))
    parameters = [core.parameters for core in case.plan.cores]
    assert any(p["LOADED"] for p in parameters) or any(p["SPRAM"] for p in parameters)
    case.expect(case.host().run(data), data)


@pytest.mark.parametrize("cycles", [6, 7, 16])
def test_the_same_words_go_over_spi(cycles: int) -> None:
    """``cycles`` of the chip's clock for a bit; six is the fewest."""
    quantized = random_network(3)
    case = case_of(quantized, Assemble().run(placed(quantized, 150)), log2_buffer=4,
                   board=replace(BOARD, baud=BOARD.clock_hz // cycles, pins=SPI_PINS))
    data = given(quantized, 3, N_STEPS)
    host = case.host()
    case.expect(host.run(data), data)
    assert isinstance(host.port, SimulatedPort)
    host.port.write(b"\x85")
    with pytest.raises(CompileError, match="E872"):
        host._exchange(b"\x81", np.zeros(1, np.int64), np.zeros((1, 26), np.int32))
    case.expect(host.run(data), data)


# ---- Nothing is lost.


def test_credits_lose_no_word_where_steps_are_slower_than_the_wire(slow: Case) -> None:
    data = given(slow.quantized, 2, N_STEPS)
    host = slow.host()
    run = host.run(data)
    slow.expect(run, data)
    again = given(slow.quantized, 2, N_STEPS - 1, seed=3)  # the first run left half a credit
    slow.expect(host.run(again), again)
    # They are slower: in the busiest steps all words would have come in a part of the time.
    words = words_of(slow.plan, data, 0, run.cycles.shape[1])
    on_wire = len(bytes_of(host.description.link, words)) * 10 * slow.built.board.cycles
    assert on_wire < 0.5 * run.cycles[0].sum()


def test_a_host_without_regard_for_credits_is_told_that_bytes_were_lost(slow: Case) -> None:
    """The buffer of that network does fill: this is what credits are for."""
    data = given(slow.quantized, 2, N_STEPS)
    assert refused(lambda: slow.host(buffer=1 << 16).run(data)) == "E872"
    slow.expect(slow.host(buffer=16).run(data), data)


# ---- Noise, and what is lost on the wire.


class Damaging:
    """A port that changes what the host writes: ``change(bytes so far, data)``."""

    def __init__(self, port: SimulatedPort, change: Callable[[int, bytes], Iterator[bytes]]):
        self.port, self.change, self.count = port, change, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.port, name)

    @property
    def timeout(self) -> float | None:
        return self.port.timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self.port.timeout = seconds

    def write(self, data: bytes) -> int:
        before, self.count = self.count, self.count + len(data)
        for part in self.change(before, data):
            self.port.write(part)
        return len(data)


def without(at: int) -> Callable[[int, bytes], Iterator[bytes]]:
    def change(before: int, data: bytes) -> Iterator[bytes]:
        i = at - before
        yield data[:i] + data[i + 1:] if 0 <= i < len(data) else data
    return change


def inserting(at: int, extra: bytes) -> Callable[[int, bytes], Iterator[bytes]]:
    def change(before: int, data: bytes) -> Iterator[bytes]:
        i = at - before
        yield data[:i] + extra + data[i:] if 0 <= i < len(data) else data
    return change


@pytest.mark.parametrize("at", [*range(1, 14), 40, 41, 42, 43])
def test_a_byte_lost_anywhere_is_found_and_the_next_run_is_right(small: Case, at: int) -> None:
    data = given(small.quantized, 1, 4)
    host = small.host()
    assert isinstance(host.port, SimulatedPort)
    port = host.port
    host.port = Damaging(port, without(at))  # type: ignore[assignment]
    # A lost STEP leaves a step that never ends; anything else is a fault of the link.
    assert refused(lambda: host.run(data)) in {"E870", "E872"}
    host.port = port
    small.expect(host.run(data), data)


class Deaf(Damaging):
    """A port that loses one of the bytes that come."""

    def __init__(self, port: SimulatedPort, at: int):
        super().__init__(port, without(-1))
        self.at = at

    def read(self, size: int = 1) -> bytes:
        data = self.port.read(size)
        before, self.at = self.at, self.at - len(data)
        if not 0 <= before < len(data):
            return data
        return data[:before] + data[before + 1:] or self.read(size)


@pytest.mark.parametrize("at", [6, 7, 8, 9, 10, 11, 30, 31, 32, 33])
def test_a_byte_lost_on_the_way_back_is_found(small: Case, at: int) -> None:
    data = given(small.quantized, 1, 4)
    host = small.host()
    assert isinstance(host.port, SimulatedPort)
    host.port = Deaf(host.port, at)  # type: ignore[assignment]
    assert refused(lambda: host.run(data)) in {"E870", "E872"}


def test_a_greeting_that_is_late_is_not_taken_for_this_one(small: Case) -> None:
    data = given(small.quantized, 1, 4)
    host = small.host()
    port = host.port
    assert isinstance(port, SimulatedPort)
    port.write(b"\x87")
    port.wait(100 * BOARD.cycles)
    assert port.in_waiting == 6
    host.port = Damaging(port, without(-1))  # type: ignore[assignment]
    host.port.reset_input_buffer = lambda: None  # type: ignore[method-assign]
    small.expect(host.run(data), data)


def test_all_bytes_of_a_run_could_be_lost_and_each_is_found(small: Case) -> None:
    """As above without hardware: no word of the host, cut by a byte, is a word."""
    link = small.host().description.link
    words = words_of(small.plan, given(small.quantized, 1, 4), 0, 6)
    whole = bytes_of(link, words)
    assert len(words_in(link, whole) or ()) == len(words)
    for at in range(len(whole)):
        found = words_in(link, whole[:at] + whole[at + 1:])
        assert found is None or len(found) < len(words)


def words_in(link: Link, data: bytes) -> list[bytes] | None:
    """The words of the host in bytes, None at a fault: ``nc_host_link`` in Python."""
    found: list[bytes] = []
    left = 0
    for byte in data:
        if byte & 0x80:
            if left:
                return None
            kind = byte & 7
            left = {0: link.flit_bytes, 1: 1, 2: 1}.get(kind, link.word_bytes)
            found.append(b"")
        elif not left:
            return None
        found[-1] += bytes([byte])
        left -= 1
    return found[:-1] if left else found


@pytest.mark.parametrize("extra", [b"\x05", b"\x85", b"\x80"])
def test_a_stray_byte_a_kind_that_is_none_and_a_word_cut_short_are_faults(small: Case,
                                                                         extra: bytes) -> None:
    data = given(small.quantized, 1, 4)
    host = small.host()
    assert isinstance(host.port, SimulatedPort)
    host.port = Damaging(host.port, inserting(2, extra))  # type: ignore[assignment]
    assert refused(lambda: host.run(data)) == "E872"


def test_a_break_within_a_word_is_a_fault_and_reset_resynchronises(small: Case) -> None:
    data = given(small.quantized, 1, 4)
    host = small.host()
    port = host.port
    assert isinstance(port, SimulatedPort)

    def change(before: int, sent: bytes) -> Iterator[bytes]:
        if not before <= 3 < before + len(sent):
            yield sent
            return
        yield sent[:3 - before]
        port.hold_low(15 * BOARD.cycles)
        yield sent[3 - before:]

    host.port = Damaging(port, change)  # type: ignore[assignment]
    assert refused(lambda: host.run(data)) == "E872"
    host.port = port
    small.expect(host.run(data), data)


@pytest.mark.parametrize("fault", [b"\x85", b"\x05"])
def test_after_a_fault_the_chip_says_so_once_and_hears_nothing_but_a_reset(small: Case,
                                                                           fault: bytes) -> None:
    host = small.host()
    assert isinstance(host.port, SimulatedPort)
    host.connect()
    data = given(small.quantized, 1, 4)
    words = bytes_of(host.description.link, words_of(small.plan, data, 0, 4))
    host.port.write(fault + words)
    host.port.wait(len(words) * 20 * BOARD.cycles)
    assert host.port.read(host.port.in_waiting) == bytes([0x80 | FAULT << 2 | SEND_STATUS])
    host.connect()
    host.port.write(words)
    host.port.wait(len(words) * 20 * BOARD.cycles)
    assert host.port.in_waiting > 0


def test_a_glitch_shorter_than_half_a_bit_is_no_byte(small: Case) -> None:
    data = given(small.quantized, 1, 4)
    host = small.host()
    port = host.port
    assert isinstance(port, SimulatedPort)

    def change(_: int, sent: bytes) -> Iterator[bytes]:
        yield sent
        port.hold_low(BOARD.cycles // 2 - 2)

    host.port = Damaging(port, change)  # type: ignore[assignment]
    small.expect(host.run(data), data)


@pytest.mark.parametrize("seed", range(3))
def test_garbage_before_the_first_word_is_answered_with_nothing(small: Case, seed: int) -> None:
    """Among it whole words. Resets are no garbage, and left out here."""
    rng = np.random.default_rng(seed)
    data = given(small.quantized, 1, 4)
    host = small.host()
    assert isinstance(host.port, SimulatedPort)
    garbage = rng.integers(0, 256, 200).astype(np.uint8)
    garbage = garbage[(garbage & 0x87) != 0x87]
    words = bytes_of(host.description.link, words_of(small.plan, data, 0, 6))
    host.port.write(garbage.tobytes() + words + b"\x80")
    host.port.hold_low(40 * BOARD.cycles)
    host.port.wait(50_000)
    assert host.port.in_waiting == 0
    small.expect(host.run(data), data)


def test_a_reset_that_noise_eats_is_sent_again(small: Case) -> None:
    data = given(small.quantized, 1, 4)
    host = small.host()
    assert isinstance(host.port, SimulatedPort)
    host.port = Damaging(host.port, without(0))  # type: ignore[assignment]
    small.expect(host.run(data), data)


@pytest.mark.parametrize("wait", [3.0, 3.3, 3.7, 4.1, 4.2, 4.9, 6.0])
def test_a_run_that_is_given_up_leaves_nothing_to_the_next(small: Case, wait: float) -> None:
    """A host that dies within a sample, and within a word; its answers are still on their way."""
    data = given(small.quantized, 1, N_STEPS)
    host = small.host()
    assert isinstance(host.port, SimulatedPort)
    host.connect()
    words = bytes_of(host.description.link, words_of(small.plan, data, 0, N_STEPS))
    host.port.write(words[:len(words) * 2 // 3])
    host.port.wait(round(len(words) * wait * BOARD.cycles))
    again = BoardHost(host.port, host.description, timeout_s=TIMEOUT_S)
    small.expect(again.run(data), data)


@pytest.mark.parametrize("speed", [0.97, 1.03])
def test_clocks_may_differ_by_three_percent(small: Case, speed: float) -> None:
    data = given(small.quantized, 1, N_STEPS)
    host = small.host()
    host.port = SimulatedPort(small.built, speed=speed)
    small.expect(host.run(data), data)


def test_clocks_that_differ_by_ten_percent_do_not_understand_each_other(small: Case) -> None:
    host = small.host()
    host.port = SimulatedPort(small.built, speed=1.1)
    assert refused(lambda: host.run(given(small.quantized, 1, 4))) == "E870"


def test_a_greeting_that_noise_made_up_is_asked_for_again(small: Case) -> None:
    host = small.host()
    heard = iter([0xBAD])
    greet = host._greet

    def once(self: BoardHost) -> int | None:  # noqa: ARG001
        return next(heard, None) or greet()

    host._greet = once.__get__(host)  # type: ignore[method-assign]
    host.connect()
    heard = iter([0xBAD, 0xBAD])
    assert refused(host.connect) == "E871"


def test_another_network_on_the_board_is_refused(small: Case) -> None:
    assert refused(small.host(id=1).connect) == "E871"


def test_without_pyserial_a_port_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(host_driver, "import_module", missing)
    with pytest.raises(CompileError, match=r"E873 pyserial.*pip install pyserial"):
        open_port("/dev/ttyUSB1", 1_000_000)


# ---- The words on the wire.


def test_words_on_the_wire_are_what_nc_host_link_states() -> None:
    link = Link(id=0xDEADBEEF, buffer=512, axon=10, payload=3, flit_bytes=3, word_bytes=4)
    words = np.array([1, 0b1_0000000_0000101 << 3, 2, (0x3FFFFFF << 3 | 3) & (1 << 28) - 1], "u8")
    assert bytes_of(link, words).hex() == "81" "a80008" "82" "fb7f7f7f"
    decoder = Decoder(link)
    flit = 0 | 5 << 2 | 0b111 << 12  # axon 5, payload -1
    end = 1 | 0xFFFFFFFF << 2
    hello = 3 | 9 << 2 | 0xDEADBEEF << 6

    def wire(word: int, n: int) -> bytes:
        return bytes([0x80 | word & 0x7F, *(word >> 7 * i & 0x7F for i in range(1, n))])

    data = b"\x01" + wire(flit, 3) + wire(end, 5) + wire(2 | 1 << 2, 1) + wire(hello, 6)
    assert list(decoder.feed(data)) == [(0, 5, -1), (1, 0xFFFFFFFF, 0), (2, 1, 0),
                                        (3, 9, 0xDEADBEEF)]
    assert decoder.damaged == 1  # the byte before all words
    assert list(decoder.feed(wire(flit, 3)[:2] + wire(flit, 3))) == [(0, 5, -1)]
    assert decoder.damaged == 2


# ---- Boards.


@pytest.mark.parametrize("name", boards())
def test_a_board_has_its_pins_a_rate_it_can_keep_and_a_device_of_ours(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    target = load_target(board.target)
    assert target.fpga is not None
    assert {"clk", "rx", "tx"} <= board.pins.keys() <= {"clk", "rx", "tx", "led"}
    assert len(set(board.pins.values())) == len(board.pins)
    assert abs(board.cycles * board.baud / board.clock_hz - 1) < 0.01
    text = constraints(board, target.fpga.family)
    assert all(pin in text for pin in board.pins.values())
    assert loading_command(board, "design.bin")[:2] == ["openFPGALoader", "-b"]


def test_constraints_are_those_of_each_family() -> None:
    board = load_board("icebreaker")
    assert constraints(board, "ice40") == (
        "set_io clk 35\nset_io led 37\nset_io -pullup yes rx 6\nset_io tx 9\n"
        "set_frequency clk 12\n")
    assert 'LOCATE COMP "rx" SITE "6";\nIOBUF PORT "rx" IO_TYPE=LVCMOS33 PULLMODE=UP;' in (
        constraints(board, "ecp5"))
    assert 'IO_LOC "tx" 9;\nIO_PORT "tx" IO_TYPE=LVCMOS33;\n' in constraints(board, "gowin")


@pytest.mark.parametrize("top", ["nc_host_uart", "nc_host_spi"])
def test_yosys_takes_the_link_and_puts_its_buffer_into_one_block_ram(tmp_path: Path,
                                                                             top: str) -> None:
    for name in ("nc_ram", *LINK_MODULES):
        (tmp_path / f"{name}.v").write_bytes(library(f"{name}.v"))
    script = (f"read_verilog {' '.join(f'{m}.v' for m in ('nc_ram', *LINK_MODULES))}; "
              f"synth_ice40 -top {top}; check -assert; select -assert-count 1 t:SB_RAM40_4K")
    done = subprocess.run([*find_tool("yosys"), "-q", "-p", script], cwd=tmp_path, check=False,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert BOARD_MODULES[-1] == "nc_board"
