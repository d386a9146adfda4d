"""What the FPGA backend says to wrong requests, damaged folders, missing tools and noise."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cli_tools import DIGITS, DIGITS_CONTRACT, run, succeed, tree, write_data
from datasets import digits
from rich.console import Console

import neurocompile as nc
from neurocompile.api import Build
from neurocompile.diagnostics import CompileError, Diagnostics, fail
from neurocompile.ir.target import Fpga
from neurocompile.passes.assemble import Assemble
from neurocompile.report.synthesis import show_bitstream
from neurocompile_backends.rtl import command
from neurocompile_backends.rtl.backend import plan_of
from neurocompile_backends.rtl.emit.board import board_files, boards, load_board
from neurocompile_backends.rtl.host import driver as host_driver
from neurocompile_backends.rtl.host.driver import BoardHost, Description, open_port
from neurocompile_backends.rtl.host.link import CREDIT, NOTHING, SEND_STATUS
from neurocompile_backends.rtl.simulate import bitstream as bitstreams
from neurocompile_backends.rtl.simulate import verilator
from neurocompile_backends.rtl.synthesize import flow as synthesis
from neurocompile_backends.rtl.synthesize import folders
from neurocompile_backends.rtl.synthesize.contents import Layout
from neurocompile_backends.rtl.synthesize.flow import (
    FAMILIES,
    PLACED,
    RESOURCES,
    Built,
    find_tools,
    run_tool,
)
from neurocompile_backends.rtl.synthesize.folders import check_place, exchanged, whole_folder
from neurocompile_backends.rtl.synthesize.patch import read_design

Golden = Callable[[str, str], None]
BOARD = "ice40-hx8k-b-evn"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``build``: digits for an HX8K."""
    folder = tmp_path_factory.mktemp("bad_fpga")
    succeed("compile", DIGITS, "-t", "ice40-hx8k", "-c", DIGITS_CONTRACT, "-o", folder / "build")
    return folder


@pytest.fixture
def build(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """The build, which is ``build`` in the current folder, too."""
    shutil.copytree(made / "build", tmp_path / "build")
    monkeypatch.chdir(tmp_path)
    return nc.load_build("build")


@pytest.fixture
def bitstream(build: Build, tmp_path: Path) -> Path:
    """What a patch reads of a bitstream on a board; its text is none."""
    files = board_files(plan_of(build.mapping), load_board(BOARD))
    folder = tmp_path / "bitstream"
    verilator.write_design({**files, PLACED: b".device 8k\n"}, folder)
    synthesis.write_layout(folder, Layout({}, ()), {**files, PLACED: b".device 8k\n"})
    (folder / RESOURCES).write_text('{"patchable": true, "why_not": "", "mhz": 50}')
    return folder


def refused(*args: object) -> str:
    """Standard error of a command that must fail, print nothing else, and write nothing."""
    before = tree(".")
    result = run(*args)
    assert (result.exit_code, result.stdout) == (1, "")
    assert tree(".") == before
    return result.stderr


def codes(call: Callable[[], object]) -> list[str]:
    with pytest.raises(CompileError) as error:
        call()
    return [d.code for d in error.value.diagnostics]


def fpga_of(build: Build) -> Fpga:
    assert build.target.fpga is not None
    return build.target.fpga


# ---- Requests.


def test_everything_against_a_bitstream_is_said_at_once(
        build: Build, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build
    monkeypatch.setattr(synthesis.shutil, "which", lambda *_, **__: None)
    golden("fpga_everything.txt", refused(
        "build", "build", "-o", "build", "--board", "../icebreaker", "--clock", "nan", "--seed",
        -1))


@pytest.mark.parametrize(("mhz", "status"), [(11.9, 1), (12.0, 0)])
def test_a_design_slower_than_its_board_is_not_to_be_loaded(
        build: Build, monkeypatch: pytest.MonkeyPatch, mhz: float, status: int) -> None:
    assert build
    made = Built("ice40 hx8k ct256", "design.bin", {"luts": 1}, {"luts": 2}, mhz, 12.0, (), {})
    monkeypatch.setattr(command, "build_bitstream", lambda *_, **__: made)
    result = run("build", "build", "--board", BOARD)
    assert result.exit_code == status
    assert ("load it" in result.stdout) == (not status)
    assert ("E887 ice40-hx8k-b-evn" in result.stderr) == bool(status)
    document = json.loads(run("build", "build", "--board", BOARD, "--json").stdout)
    assert document["ok"] == (not status)
    assert [d["code"] for d in document["diagnostics"]] == ["E887"] * status


def test_what_loads_a_bitstream_is_said_where_the_design_is_fast_enough() -> None:
    """Of `build` and of `patch-weights` alike."""
    board, found = load_board(BOARD), Diagnostics()
    assert command._loading(board, 12.0, Path("design.bin"), found)
    assert not list(found)
    assert command._loading(board, 11.9, Path("design.bin"), found) is None
    assert [d.code for d in found] == ["E887"]


def test_the_makefile_of_a_design_slower_than_its_board_loads_nothing(
        build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tools are stand-ins: what is asked is what the flow makes of a clock that they found."""
    made = Built("", "design.bin", {}, {}, 11.9, 12.0, (), {})
    monkeypatch.setattr(synthesis, "find_tools", lambda family: {
        name: ["true"] for name in family.tools})
    monkeypatch.setattr(synthesis, "synthesize_for_exchange", lambda *_, **__: ({}, "no memories"))
    monkeypatch.setattr(synthesis, "_put_contents", lambda *_: None)
    monkeypatch.setattr(synthesis, "_read", lambda *_: made)
    for name, least, loads in (("slow", 12.0, False), ("fast", 11.0, True)):
        synthesis.build_bitstream({}, fpga_of(build), tmp_path / name, load=("loader", "x"),
                                  board_mhz=least)
        assert ("loader" in (tmp_path / name / "Makefile").read_text()) == loads


@pytest.mark.parametrize("text", ["[]", "7", '{"board": 7}', '{"board": {}}', "{", ""])
def test_a_damaged_bitstream_is_not_read_back(build: Build, tmp_path: Path, text: str,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitstreams, "find_tools", lambda: ([], []))
    (tmp_path / "design.bin").write_bytes(b"")
    (tmp_path / "rtl.json").write_text(text)
    assert codes(lambda: bitstreams.bitstream_in(tmp_path, fpga_of(build))) == ["E876"]


@pytest.mark.parametrize("clock", [0, -1, "inf", 1e300])
def test_a_clock_that_no_device_has_is_refused(build: Build, clock: object) -> None:
    assert build
    assert refused("build", "build", "--clock", clock).startswith("E886 --clock")


def test_a_bitstream_without_a_level_is_not_ignored(build: Build, golden: Golden) -> None:
    assert build
    write_data("d.npz", digits(1))
    golden("fpga_bitstream_without_level.txt", refused(
        "verify", "build", "-i", "d.npz", "--backends", "reference,rtl", "--bitstream", "build"))


def test_boards_are_in_the_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    said = succeed("build", "--help").stdout
    assert [name for name in boards() if name not in said] == []


# ---- What is missing on the machine.


def test_all_tools_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis.shutil, "which", lambda *_, **__: None)
    assert codes(lambda: find_tools(FAMILIES["ice40"])) == ["E865"] * 4


def test_without_jinja2_verilog_says_how_to_install_it(
        build: Build, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build
    monkeypatch.setitem(sys.modules, "jinja2", None)
    golden("fpga_no_jinja2.txt", refused(
        "compile", DIGITS, "-t", "ice40-hx8k", "-c", DIGITS_CONTRACT, "-o", "new", "-b", "rtl"))


def test_a_tool_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("no program")
    assert codes(lambda: run_tool([str(tmp_path / "tool")], tmp_path)) == ["E867"]


def test_a_compiler_that_is_missing_is_the_one_that_was_stated(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(CompileError, match="E860 no-such-compiler"):
        verilator.find_verilator()


def test_a_home_that_cannot_be_written_is_named(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "include").mkdir()
    for name in ("verilated.cpp", "verilated_threads.cpp", "verilated_dpi.cpp", "verilated.h"):
        (tmp_path / "include" / name).touch()
    monkeypatch.setenv("NEUROCOMPILE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("CXX", sys.executable)  # any program that answers --version
    with pytest.raises(CompileError, match=r"E625 .*NEUROCOMPILE_HOME"):
        verilator._runtime(verilator.Tool(tmp_path / "bin", tmp_path))


# ---- Folders.


def test_a_folder_appears_with_the_rights_of_its_parents_files(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "new") as work:
        (work / "file").write_text("x")
        assert not (tmp_path / "new").exists()
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o777 & ~mask
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_of_two_that_make_the_same_folder_one_is_refused(tmp_path: Path) -> None:
    def second() -> None:
        with whole_folder(tmp_path / "new"):
            (tmp_path / "new").mkdir()
            (tmp_path / "new" / "first").touch()

    assert codes(second) == ["E625"]
    assert tree(tmp_path / "new").keys() == {"first"}
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_place_that_cannot_be_written_is_refused(
        build: Build, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folders.tempfile, "TemporaryDirectory", denied)
    monkeypatch.setattr(synthesis, "find_tools", lambda _: {"yosys": ["false"]})
    golden("fpga_read_only.txt", refused("build", "build", "-o", "new"))


def test_a_link_to_nothing_is_something(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert codes(lambda: check_place(tmp_path / "link")) == ["E625"]


def test_an_exchange_that_fails_leaves_both_folders(tmp_path: Path) -> None:
    for name in ("there", "made"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    before = tree(tmp_path)
    with (pytest.raises(KeyboardInterrupt),
          exchanged(tmp_path / "there", tmp_path / "made", tmp_path / "old")):
        raise KeyboardInterrupt
    assert tree(tmp_path) == before


def test_checks_that_collect_go_on() -> None:
    found = Diagnostics()
    for code in ("E1", "E2"):
        with found.collecting():
            raise fail(code, "x", "y")
    assert [d.code for d in found] == ["E1", "E2"]


def test_a_bitstream_is_loaded_by_a_line_that_a_shell_takes(
        capsys: pytest.CaptureFixture[str]) -> None:
    show_bitstream(Console(width=120), {
        "device": "x", "used": {}, "available": {}, "parts": {}, "mhz": 1.0, "wanted_mhz": 1.0,
        "critical": [], "patchable": True, "output": "a b", "bitstream": "design.bin",
        "load": ["openFPGALoader", "a b/design.bin"]})
    assert "load it: openFPGALoader 'a b/design.bin'\n" in capsys.readouterr().out


# ---- A folder of a bitstream that something happened to.


def test_a_bitstream_that_nobody_touched_is_read(bitstream: Path, build: Build) -> None:
    files = read_design(bitstream, fpga_of(build))
    assert files == board_files(plan_of(build.mapping), load_board(BOARD))


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


READ = ("placed.asc", "rtl.json", "memories.json", "resources.json", "hdl/nc_core.v",
        "mem/core0_dense_init.hex", "mem/board_id.hex")


@pytest.mark.parametrize(("happen", "path"), [
    (happen, path) for happen in (Path.unlink, shorter, longer, pipe, folder, nowhere)
    for path in READ
    # White space after a document that has no digest changes nothing.
    if happen is not longer or path not in ("memories.json", "resources.json")])
def test_a_bitstream_with_a_damaged_file_is_not_patched(
        bitstream: Path, build: Build, path: str, happen: Callable[[Path], None]) -> None:
    happen(bitstream / path)
    assert codes(lambda: read_design(bitstream, fpga_of(build))) == ["E892"]


@pytest.mark.parametrize("text", ["[]", "7", "{}", '{"patchable": true}', "\udcff"])
@pytest.mark.parametrize("path", ["memories.json", "resources.json"])
def test_a_bitstream_with_another_document_is_not_patched(
        bitstream: Path, build: Build, path: str, text: str) -> None:
    (bitstream / path).write_text(text, errors="surrogateescape")
    assert codes(lambda: read_design(bitstream, fpga_of(build))) == ["E892"]


def test_all_damaged_files_are_named(bitstream: Path, build: Build, golden: Golden) -> None:
    shorter(bitstream / PLACED)
    longer(bitstream / "hdl/nc_core.v")
    (bitstream / "mem/board_id.hex").unlink()
    assert build
    golden("fpga_damaged.txt", refused("patch-weights", "build", DIGITS, "--bitstream",
                                       "bitstream", "-o", "new"))


# ---- The host's end of the wire.


def test_a_folder_of_no_board_has_no_description(bitstream: Path, build: Build) -> None:
    program = Assemble().run(build.mapping)
    rtl = json.loads((bitstream / "rtl.json").read_text())
    for text in ("", "[]", json.dumps({**rtl, "link": {}}),
                 json.dumps({k: v for k, v in rtl.items() if k != "link"})):
        (bitstream / "rtl.json").write_text(text)
        assert codes(lambda: Description.load(bitstream, program)) == ["E878"]
    (bitstream / "rtl.json").unlink()
    assert codes(lambda: Description.load(bitstream, program)) == ["E878"]
    (bitstream / "rtl.json").write_text(json.dumps({**rtl, "network": "0" * 64}))
    assert codes(lambda: Description.load(bitstream, program)) == ["E871"]


class Wire:
    """A port that sends the same bytes for ever."""

    timeout: float | None = None
    in_waiting = 64

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, size: int = 1) -> bytes:
        return (self.data * size)[:size]

    def write(self, data: bytes) -> int:
        return len(data)

    def reset_input_buffer(self) -> None: ...
    def close(self) -> None: ...


class Gone(Wire):
    """A port whose cable is out."""

    def read(self, size: int = 1) -> bytes:  # noqa: ARG002
        raise OSError(5, "Input/output error")


def host_at(bitstream: Path, build: Build, wire: Wire) -> BoardHost:
    return BoardHost(wire, Description.load(bitstream, Assemble().run(build.mapping)))


@pytest.mark.parametrize("data", [b"\0", b"\xff", b"\x80", b"\x86", bytes(range(256)),
                                  bytes([0x80 | NOTHING << 2 | SEND_STATUS])])
def test_noise_without_end_is_no_board(bitstream: Path, build: Build, data: bytes) -> None:
    assert codes(host_at(bitstream, build, Wire(data)).connect) == ["E870"]


@pytest.mark.parametrize("data", [
    b"", b"\0", b"\xff", bytes(range(256)), bytes([0x80 | NOTHING << 2 | SEND_STATUS]),
    bytes([0x80 | CREDIT << 2 | SEND_STATUS]), bytes([0x80 | 9 << 2 | SEND_STATUS]),
    b"\x80\0\0"])
def test_noise_without_end_ends_a_run(bitstream: Path, build: Build, data: bytes) -> None:
    """A board that has answered, and from then on says the same for ever."""
    host = host_at(bitstream, build, Wire(data))
    cycles = np.zeros(3, np.int64)
    said = codes(lambda: host._exchange(b"\x81" * 5000, cycles, np.zeros((3, 74), np.int32)))
    assert said == (["E872"] if data else ["E870"])


def test_a_port_that_goes_away_is_named(bitstream: Path, build: Build) -> None:
    assert codes(host_at(bitstream, build, Gone(b"")).connect) == ["E877"]


def test_a_port_that_cannot_be_opened_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def serial(name: str, _: int) -> Any:
        raise OSError(13, f"could not open port {name}")

    there = [SimpleNamespace(device="/dev/ttyACM0")]
    monkeypatch.setattr(host_driver, "import_module", lambda _: SimpleNamespace(
        Serial=serial, comports=lambda: there))
    with pytest.raises(CompileError, match=r"E877 /dev/ttyUSB1: .*limit /dev/ttyACM0"):
        open_port("/dev/ttyUSB1", 1_000_000)
