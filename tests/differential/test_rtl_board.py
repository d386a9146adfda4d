"""A board at a serial port of the machine, as its user has it: pyserial, a pty, and at its other
end the RTL of the board under Verilator."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import threading
import tty
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_tools import DIGITS, DIGITS_CONTRACT, facts, run, succeed, write_data
from datasets import digits

import neurocompile as nc
from neurocompile.diagnostics import CompileError
from neurocompile_backends.rtl.backend import plan_of
from neurocompile_backends.rtl.emit.board import board_files, load_board
from neurocompile_backends.rtl.simulate.simulated_port import (
    BuiltBoard,
    SimulatedPort,
    build_board,
)

BOARD = load_board("ice40-hx8k-b-evn")
SAMPLES = 3
MEMORY = "mem/core0_dense_init.hex"


class Wire(threading.Thread):
    """Carries bytes between a pty and a simulated board. ``cut_after``: bytes to the host after
    which the cable is pulled."""

    def __init__(self, built: BuiltBoard, cut_after: int | None = None):
        super().__init__(daemon=True)
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.name = os.ttyname(slave)
        self.board = SimulatedPort(built)
        self.board.timeout = 1e-4  # of the chip's time
        self.cut_after = cut_after
        self.ends = threading.Event()
        self._slave = slave

    def run(self) -> None:
        sent = 0
        while not self.ends.is_set():
            if select.select([self.master], [], [], 0)[0]:
                self.board.write(os.read(self.master, 4096))
            got = self.board.read(4096)
            os.write(self.master, got)
            sent += len(got)
            if self.cut_after is not None and sent > self.cut_after:
                break
        os.close(self._slave)
        os.close(self.master)
        self.board.close()


@contextmanager
def plugged_in(built: BuiltBoard, cut_after: int | None = None) -> Iterator[str]:
    """The name of the serial port."""
    wire = Wire(built, cut_after)
    wire.start()
    try:
        yield wire.name
    finally:
        wire.ends.set()
        wire.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a build for the board, and data."""
    root = tmp_path_factory.mktemp("board")
    write_data(root / "data.npz", digits(SAMPLES))
    succeed("compile", DIGITS, "-t", "ice40-hx8k", "-c", DIGITS_CONTRACT, "-o", root / "build")
    return root


def files_of(folder: Path) -> dict[str, bytes]:
    return board_files(plan_of(nc.load_build(folder / "build").mapping), BOARD)


@pytest.fixture(scope="module")
def board(folder: Path) -> BuiltBoard:
    return build_board(files_of(folder), BOARD)


def verified(folder: Path, port: str) -> Any:
    return run("verify", folder / "build", "-i", folder / "data.npz", "--backends",
               "reference,rtl", "--port", port, "--json")


def checks(report: Mapping[str, Any]) -> dict[str, Any]:
    return {check["name"]: check for check in report["checks"]}


def test_a_board_is_verified_spike_for_spike(folder: Path, board: BuiltBoard) -> None:
    with plugged_in(board) as port:
        result = verified(folder, port)
    assert result.exit_code == 0, result.output
    (report,) = json.loads(result.stdout)["reports"]
    found = checks(report)
    assert found["3:s"]["status"] == "PASS"
    compared = re.search(r"0 of \d+ integers differ, (\d+) are not 0", found["3:s"]["reason"])
    assert compared
    assert int(compared[1]) > 10
    skipped = [check for check in found.values() if check["status"] == "SKIPPED"]
    assert {check["name"] for check in skipped} == {"1:s", "1:u", "1:v", "3:u", "3:v"}
    assert all(port in check["reason"] for check in skipped)


def test_a_board_runs_what_the_simulator_runs(folder: Path, board: BuiltBoard,
                                              tmp_path: Path) -> None:
    common = ("simulate", folder / "build", "-i", folder / "data.npz", "-o")
    succeed(*common, tmp_path / "simulator.npz")
    with plugged_in(board) as port:
        succeed(*common, tmp_path / "board.npz", "--port", port)
    ours, theirs = np.load(tmp_path / "board.npz"), np.load(tmp_path / "simulator.npz")
    assert ours.files == theirs.files
    for name in theirs.files:
        np.testing.assert_array_equal(ours[name], theirs[name])
    assert theirs["output"].sum() > 10


def test_a_board_with_other_weights_under_the_same_id_fails(folder: Path) -> None:
    files = files_of(folder)
    words = files[MEMORY].decode().split()
    other = build_board({**files, MEMORY: "".join(
        f"{int(word, 16) ^ 0x40:0{len(word)}x}\n" for word in words).encode()}, BOARD)
    with plugged_in(other) as port:
        result = verified(folder, port)
    assert result.exit_code == 1
    (report,) = json.loads(result.stdout)["reports"]
    assert checks(report)["3:s"]["status"] == "FAIL"


def test_the_bitstream_of_another_build_is_refused(folder: Path, board: BuiltBoard,
                                                   tmp_path: Path) -> None:
    succeed("compile", DIGITS, "-t", "ice40-hx8k", "-c", DIGITS_CONTRACT, "-o", tmp_path / "other",
            "--weight-bits", 6)
    with plugged_in(board) as port:
        result = run("verify", tmp_path / "other", "-i", folder / "data.npz", "--backends",
                     "reference,rtl", "--port", port)
    assert result.exit_code == 1
    assert "E871" in result.stderr


def test_a_cable_that_is_pulled_is_said(folder: Path, board: BuiltBoard) -> None:
    with plugged_in(board, cut_after=300) as port:
        result = verified(folder, port)
    assert result.exit_code == 1
    (found,) = json.loads(result.stdout)["diagnostics"]
    assert (found["code"], found["message"]) == ("E877", "the serial port went away")


def refused(*args: object) -> list[tuple[str, str]]:
    """Code and subject of all that is found."""
    result = run(*args, "--json")
    assert result.exit_code == 1, result.output
    return [(d["code"], d["subject"]) for d in json.loads(result.stdout)["diagnostics"]]


def test_a_port_that_is_not_there_is_said(folder: Path) -> None:
    result = verified(folder, str(folder / "ttyUSB7"))
    assert result.exit_code == 1
    (found,) = json.loads(result.stdout)["diagnostics"]
    assert (found["code"], found["subject"]) == ("E877", str(folder / "ttyUSB7"))


@pytest.mark.parametrize(("options", "subject"), [
    (("--level", "netlist", "--port", "x"), "--port"), (("--level", "board"), "--port"),
    (("--level", "rtl", "--port", "x"), "--port"), (("--bitstream", "x"), "--bitstream"),
    (("--bitstream", "x", "--port", "x"), "--bitstream")])
def test_a_port_is_for_a_board_and_a_bitstream_to_be_read(folder: Path, options: tuple[str, ...],
                                                          subject: str) -> None:
    assert refused("verify", folder / "build", "-i", folder / "data.npz", "--backends",
                   "reference,rtl", *options) == [("E875", subject)]


@pytest.mark.parametrize("option", ["--port", "--bitstream", "--level"])
def test_without_the_backend_rtl_the_option_is_named_that_was_stated(folder: Path,
                                                                     option: str) -> None:
    assert refused("verify", folder / "build", "-i", folder / "data.npz", option, "netlist"
                   ) == [("E875", option)]


def test_what_a_board_cannot_run_is_refused_before_its_port_is_opened(folder: Path,
                                                                      tmp_path: Path) -> None:
    data, out = folder / "data.npz", tmp_path / "run.npz"
    common = ("-i", data, "-o", out, "--port", "nowhere")
    assert refused("simulate", folder / "build", *common, "--backend", "simulator"
                   ) == [("E875", "--port")]
    assert refused("simulate", folder / "build", "-i", data, "-o", out, "--port", ""
                   ) == [("E877", "")]
    succeed("compile", DIGITS, "-t", "loihi1", "-c", DIGITS_CONTRACT, "-o", tmp_path / "loihi")
    assert "E876" in dict(refused("simulate", tmp_path / "loihi", *common))
    with pytest.raises(CompileError, match="E875 port: a board runs a build"):
        nc.simulate(nc.load(DIGITS), data, port="nowhere")
    result = run("simulate", DIGITS, *common)
    assert result.exit_code == 2
    assert not out.exists()


def test_states_inside_of_a_board_are_refused_before_its_port_is_opened(folder: Path,
                                                                        tmp_path: Path) -> None:
    assert refused("simulate", folder / "build", "-i", folder / "data.npz", "-o",
                   tmp_path / "run.npz", "--port", "nowhere", "--probe", "1:v", "--probe", "3:s",
                   "--probe", "3:u") == [("E643", "1:v"), ("E643", "3:u")]
    assert not (tmp_path / "run.npz").exists()


def test_python_runs_a_board_as_it_runs_the_simulator(folder: Path, board: BuiltBoard) -> None:
    build = nc.load_build(folder / "build")
    with plugged_in(board) as port:
        ran = nc.simulate(build, folder / "data.npz", backend="rtl", port=port)
    expected = nc.simulate(build, folder / "data.npz")
    assert ran.outputs.keys() == expected.outputs.keys()
    for name, values in expected.outputs.items():
        np.testing.assert_array_equal(ran.outputs[name], values)


def test_the_facts_of_a_run_on_a_board_are_those_of_any_run(folder: Path, board: BuiltBoard,
                                                            tmp_path: Path) -> None:
    common = ("simulate", folder / "build", "-i", folder / "data.npz", "-o", tmp_path / "run.npz")
    expected = facts(*common)
    with plugged_in(board) as port:
        assert facts(*common, "--port", port) == expected
