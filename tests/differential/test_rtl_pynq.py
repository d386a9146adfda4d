"""The driver for PYNQ, against the hardware under Verilator with a simulated DMA."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contracts import contract_of, recording
from program_factory import given, placed
from test_rtl_axi import Case
from test_rtl_uart import random_network

import neurocompile as nc
from neurocompile.api import as_dataset
from neurocompile.passes.assemble import Assemble
from neurocompile.reference.encode import encode_inputs
from neurocompile.verification.evaluate import grids
from neurocompile_backends.rtl.emit.axi import in_bytes
from neurocompile_backends.rtl.emit.zynq import package_files
from neurocompile_backends.rtl.host import pynq_driver
from neurocompile_backends.rtl.host.pynq_driver import BoardError, Encoded, PynqHost, save_encoded
from neurocompile_backends.rtl.host.words import loading_words
from neurocompile_backends.rtl.plan.chip import plan_chip
from neurocompile_backends.rtl.simulate.simulated_axi import (
    BuiltAxi,
    SimulatedAxi,
    allocate,
    build_axi,
)
from neurocompile_backends.rtl.simulate.verilator import write_design


@dataclass(frozen=True, eq=False)
class Board:
    """A network in a package, and its hardware compiled."""

    case: Case
    built: BuiltAxi
    package: Path

    @staticmethod
    def of(case: Case, package: Path) -> Board:
        files = package_files(case.plan, 100)
        write_design(files, package)
        # The hardware is the package's, whose memories are named without their folder.
        flat = {path.removeprefix("mem/"): content for path, content in files.items()}
        return Board(case, build_axi(flat, in_bytes(case.plan)), package)

    def host(self, **options: Any) -> PynqHost:
        axi = SimulatedAxi(self.built, **options)
        return PynqHost(axi, axi.dma, allocate, self.package, timeout_s=2)

    def expect(self, run: pynq_driver.BoardRun, *, cycles: bool = True) -> None:
        case = self.case
        assert run.s.keys() == case.plan.outputs.keys()
        for name, values in run.s.items():
            assert values.any(), f"{name} is silent: nothing is compared"
            np.testing.assert_array_equal(values, case.run.s[name])
        if cycles:
            model = [[c for _, c in case.expected(i)] for i in range(case.encoded.n_samples)]
            np.testing.assert_array_equal(run.cycles, model)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Board:
    quantized = random_network(1)
    plan = plan_chip(Assemble().run(placed(quantized, 10)), quantized)
    return Board.of(Case.of(quantized, plan, given(quantized, 3, 8)),
                    tmp_path_factory.mktemp("small"))


def recorded_case(name: str, target: str, n: int) -> Case:
    recorded = recording(name, n)
    built = nc.compile(recorded.network, target, contract=contract_of(name, recorded))
    encoded = encode_inputs(built.quantized, grids(as_dataset(recorded.x, built.inputs)),
                            recorded.x.shape[1])
    return Case.of(built.quantized, plan_chip(Assemble().run(built.mapping), built.quantized),
                   encoded)


@pytest.mark.parametrize(("name", "target", "n"), [
    ("digits", "zynq", 20), ("fsdd_rcubalif", "zynq", 3), ("mnist_mlp", "zynq", 2),
    ("mnist_mlp", "ice40-up5k", 2)])
def test_stored_samples_equal_the_reference_and_take_the_cycles_of_the_model(
        name: str, target: str, n: int, tmp_path: Path) -> None:
    """Biases; recurrence and synaptic delays; memories in banks; memories that the host fills,
    which no Zynq has."""
    case = recorded_case(name, target, n)
    board = Board.of(case, tmp_path)
    loading = len(loading_words(case.plan))
    assert (loading > 0) == (target == "ice40-up5k")
    banked = any(core.parameters["LOG2_BANK"] for core in case.plan.cores)
    assert banked == ((name, target) == ("mnist_mlp", "zynq"))
    host = board.host()
    run = host.run(case.encoded)
    board.expect(run)
    counted = host.counters()
    words = [case.words(i) for i in range(n)]
    assert counted == {
        "cycles": run.cycles.sum(), "steps": run.cycles.size, "samples": n,
        "flits": sum(int(np.count_nonzero(w & np.uint64(7) == 0)) for w in words),
        "sent": run.cycles.size + sum(len(b) for i in range(n) for b, _ in case.expected(i)),
        "starved": 0, "blocked": 0}
    host.close()


def test_the_driver_sends_the_words_that_the_library_sends(small: Board, tmp_path: Path) -> None:
    cases = [small.case, *(recorded_case(name, "zynq", 1) for name in ("digits", "mnist_mlp",
                                                                     "fsdd_delay"))]
    for i, case in enumerate(cases):
        folder = tmp_path / str(i)
        write_design(package_files(case.plan, 100), folder)
        network = pynq_driver.Network(folder)
        for sample in range(case.encoded.n_samples):
            np.testing.assert_array_equal(network.words_of(case.encoded, sample),
                                          case.words(sample))
        np.testing.assert_array_equal(network.loading, loading_words(case.plan))


@pytest.mark.parametrize("stall", [64, 200])
def test_a_slow_dma_changes_cycles_only(small: Board, stall: int) -> None:
    host = small.host(stall=stall)
    run = host.run(small.case.encoded)
    small.expect(run, cycles=False)
    counted = host.counters()
    assert counted["cycles"] == run.cycles.sum()
    assert counted["starved"] > 0
    assert counted["blocked"] > 0
    small.expect(host.run(small.case.encoded), cycles=False)


def test_encoded_data_come_to_the_board_in_a_file(small: Board, tmp_path: Path) -> None:
    case = recorded_case("digits", "zynq", 2)
    for i, encoded in enumerate((small.case.encoded, case.encoded)):
        save_encoded(encoded, tmp_path / f"{i}.npz")
        loaded = Encoded.load(tmp_path / f"{i}.npz")
        assert (loaded.n_samples, loaded.n_steps) == (encoded.n_samples, encoded.n_steps)
        for ours, theirs in ((loaded.payloads, encoded.payloads), (loaded.biases, encoded.biases)):
            assert ours.keys() == theirs.keys()
            for name in ours:
                np.testing.assert_array_equal(ours[name], theirs[name])
    assert case.encoded.biases
    small.expect(small.host().run(Encoded.load(tmp_path / "0.npz")))


# ---- What goes wrong.


def refused(run: Callable[[], object]) -> str:
    with pytest.raises(BoardError) as caught:
        run()
    return str(caught.value)


def test_another_network_and_no_network_are_refused(small: Board) -> None:
    host = small.host()
    host.network.id ^= 1
    assert "another network" in refused(lambda: host.run(small.case.encoded))
    host.registers.read = lambda _: 0
    assert "no network at this address" in refused(lambda: host.run(small.case.encoded))


def test_a_sample_cut_off_is_said_and_the_next_run_is_right(small: Board) -> None:
    host = small.host()
    words_of = host.network.words_of
    host.network.words_of = lambda *a: words_of(*a)[:-1]  # type: ignore[method-assign]
    assert "ended within a sample" in refused(lambda: host.run(small.case.encoded))
    host.network.words_of = words_of  # type: ignore[method-assign]
    small.expect(host.run(small.case.encoded))


def test_a_buffer_too_small_for_an_answer_stops_the_dma_and_the_next_run_is_right(
        small: Board) -> None:
    host = small.host()
    receive = host._receive
    host._receive = lambda _: receive(5)  # type: ignore[method-assign]
    assert "stopped with an error" in refused(lambda: host.run(small.case.encoded))
    host._receive = receive  # type: ignore[method-assign]
    small.expect(host.run(small.case.encoded))


@pytest.mark.parametrize("cycles", [*range(0, 100, 7), 200, 400, 700])
@pytest.mark.parametrize("taken", [0, 40])
def test_a_program_that_dies_leaves_nothing_to_the_next(small: Board, cycles: int,
                                                        taken: int) -> None:
    """In the middle of a sample, with a receive under way or none."""
    first = small.host()
    words = small.case.words(0)
    first.connect()
    if taken:
        first._receive(taken)
    first._send(words)
    axi = first.registers
    axi.wait(cycles)
    again = PynqHost(axi, axi.dma, allocate, small.package, timeout_s=2)
    small.expect(again.run(small.case.encoded))


def test_a_packet_that_will_not_end_is_given_up(small: Board) -> None:
    """A DMA that was reset while it sent: its TLAST does not come."""
    first = small.host(stall=128)
    first.connect()
    first._send(small.case.words(0))
    first.registers.wait(60)
    first.dma.write(0, 4)
    again = PynqHost(first.registers, first.dma, allocate, small.package, timeout_s=2)
    small.expect(again.run(small.case.encoded), cycles=False)


def test_a_dma_that_does_not_answer_is_not_waited_for_forever(small: Board) -> None:
    host = small.host()
    host.timeout_s = 0.05
    host.connect()
    host._receive(10)
    assert "receiving does not end" in refused(lambda: host._wait(host.dma.recvchannel,
                                                                  "receiving"))


def test_buffers_are_given_back(small: Board) -> None:
    with small.host() as host:
        host.run(small.case.encoded)
        buffers = list(host._buffers.values())
    assert len(buffers) == 2
    assert all(buffer.freed for buffer in buffers)


def test_numbers_and_steps_that_cannot_be_are_refused() -> None:
    end = np.uint64(1 << 63)
    with pytest.raises(BoardError, match="1 steps and not 2"):
        pynq_driver.decode(np.array([end | np.uint64(5)]), 2, 4)
    with pytest.raises(BoardError, match="does not have"):
        pynq_driver.decode(np.array([np.uint64(4 << 32 | 1), end]), 1, 4)
    with pytest.raises(BoardError, match="was reset"):
        pynq_driver.decode(np.array([np.uint64(3 << 62)]), 1, 4)
    beats = np.array([2 << 32 | 0xFFFFFFFF, 2 << 32 | 3, 1 << 63 | 0xFFFFFFFF, 0], np.uint64)
    sent, cycles = pynq_driver.decode(beats, 1, 4)
    assert sent.tolist() == [[0, 0, 2, 0]]
    assert cycles.tolist() == [0xFFFFFFFF]
