"""From a build to a bitstream: the whole flow with real tools, and what goes wrong."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import nir
import pytest
from contracts import contract_of, recording

import neurocompile as nc
from neurocompile.api import Build
from neurocompile.diagnostics import CompileError
from neurocompile_backends.rtl.backend import RtlBackend, backend, plan_of
from neurocompile_backends.rtl.command import build_bitstream_of, compiled_as
from neurocompile_backends.rtl.emit.board import board_files, load_board
from neurocompile_backends.rtl.emit.files import design_files
from neurocompile_backends.rtl.estimate.resources import estimate
from neurocompile_backends.rtl.plan import core, neurons, synapses
from neurocompile_backends.rtl.synthesize import flow as synthesis
from neurocompile_backends.rtl.synthesize.patch import check_same, patch_bitstream, read_design


def compiled(name: str, target: str) -> Build:
    recorded = recording(name, 1)
    return nc.compile(recorded.network, target, contract=contract_of(name, recorded))


def assert_estimated(built: Build, known: dict[str, Any], *, link: bool) -> None:
    """RAMs and multipliers exactly, logic cells within 15 %."""
    fpga = built.mapping.target.fpga
    assert fpga is not None
    total = estimate(plan_of(built.mapping), fpga, link=link).total
    for name in ("brams", "dsps", "sprams"):
        assert getattr(total, name) == known["used"].get(name, 0), name
    assert abs(total.luts / known["used"]["luts"] - 1) <= 0.15


def codes(error: pytest.ExceptionInfo[CompileError]) -> list[str]:
    return [d.code for d in error.value.diagnostics]


def test_a_build_becomes_a_bitstream_of_an_hx8k(tmp_path: Path) -> None:
    said: list[str] = []
    built = compiled("digits", "ice40-hx8k")
    known = build_bitstream_of(built.mapping, tmp_path / "bit", clock_mhz=50, report=said.append)
    assert said == ["synthesis", "place and route", "packing"]
    assert known["used"]["luts"] <= 2400
    assert known["used"]["brams"] <= known["available"]["brams"] == 32
    assert known["mhz"] >= known["wanted_mhz"] == 50
    assert_estimated(built, known, link=False)
    bits = (tmp_path / "bit" / "design.bin").read_bytes()
    assert bits[:2] == b"\xff\x00"  # how icepack begins
    assert len(bits) == 135_100
    assert json.loads((tmp_path / "bit" / "resources.json").read_text())["used"] == known["used"]
    files = design_files(plan_of(built.mapping))
    assert all((tmp_path / "bit" / path).read_bytes() == files[path] for path in files)
    with pytest.raises(CompileError) as error:
        build_bitstream_of(built.mapping, tmp_path / "bit")
    assert codes(error) == ["E625"]
    assert (tmp_path / "bit" / "design.bin").read_bytes() == bits


def test_a_network_too_large_for_its_device_is_refused(tmp_path: Path) -> None:
    """784 x 100 weights are 162 block RAMs, of which an HX8K has 32."""
    with pytest.raises(CompileError) as error:
        build_bitstream_of(compiled("mnist_mlp", "ice40-hx8k").mapping, tmp_path / "bit")
    assert codes(error) == ["E880"]
    assert "ecp5" in error.value.diagnostics[0].hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["loihi2", "generic"])
def test_targets_that_are_no_fpga_say_so(target: str, tmp_path: Path) -> None:
    with pytest.raises(CompileError) as error:
        build_bitstream_of(compiled("digits", target).mapping, tmp_path / "bit")
    assert codes(error) == ["E869"]
    assert list(tmp_path.iterdir()) == []


def test_a_family_without_tools_says_so(tmp_path: Path) -> None:
    mapping = compiled("digits", "ice40-hx8k").mapping
    assert mapping.target.fpga is not None
    target = replace(mapping.target, fpga=replace(mapping.target.fpga, family="nexus"))
    with pytest.raises(CompileError) as error:
        build_bitstream_of(replace(mapping, target=target), tmp_path / "bit")
    assert codes(error) == ["E868"]
    assert list(tmp_path.iterdir()) == []


def test_a_family_whose_tools_choose_no_pins_asks_for_a_board(tmp_path: Path) -> None:
    with pytest.raises(CompileError) as error:
        build_bitstream_of(compiled("digits", "gowin-gw1nr9").mapping, tmp_path / "bit")
    assert codes(error) == ["E885"]
    assert list(tmp_path.iterdir()) == []


def test_a_build_becomes_a_bitstream_of_a_tang_nano_9k(tmp_path: Path) -> None:
    built = compiled("digits", "gowin-gw1nr9")
    known = build_bitstream_of(built.mapping, tmp_path / "bit", board="tangnano9k", clock_mhz=27)
    assert known["used"]["luts"] <= 2400
    assert known["used"]["brams"] <= known["available"]["brams"] == 26
    assert_estimated(built, known, link=True)
    assert known["used"] == {name: sum(part.get(name, 0) for part in known["parts"].values())
                             for name in known["used"]}
    assert known["mhz"] >= known["wanted_mhz"] == 27
    assert known["load"] == ["openFPGALoader", "-b", "tangnano9k",
                             str(tmp_path / "bit" / "design.fs")]
    rows = (tmp_path / "bit" / "design.fs").read_text().splitlines()
    assert set("".join(rows)) == {"0", "1"}  # how gowin_pack writes it
    assert len(rows) > 700


def test_missing_tools_are_named_with_the_command_that_installs_them(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis.shutil, "which", lambda *_, **__: None)
    with pytest.raises(CompileError) as error:
        build_bitstream_of(compiled("digits", "ice40-hx8k").mapping, tmp_path / "bit")
    assert [(d.code, d.subject) for d in error.value.diagnostics] == [
        ("E865", name) for name in ("yosys", "nextpnr-ice40", "icepack", "iceunpack")]
    assert all("pip install" in d.hint for d in error.value.diagnostics)


def test_a_tool_that_fails_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    mapping = compiled("digits", "ice40-hx8k").mapping
    files = dict(design_files(plan_of(mapping)))
    files["hdl/nc_top.v"] = b"module nc_top (input clk; endmodule\n"
    assert mapping.target.fpga is not None
    with pytest.raises(CompileError) as error:
        synthesis.build_bitstream(files, mapping.target.fpga, tmp_path / "bit")
    assert codes(error) == ["E867"]
    assert "syntax error" in error.value.diagnostics[0].got
    assert list(tmp_path.iterdir()) == []


def test_a_tool_that_is_stopped_is_told_by_the_signal_and_not_by_its_log(tmp_path: Path) -> None:
    dies = "import os, signal; print('mapping', flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(CompileError) as error:
        synthesis.run_tool([sys.executable, "-c", dies], tmp_path)
    (found,) = error.value.diagnostics
    assert (found.code, found.got) == ("E867", "SIGKILL")


@pytest.mark.parametrize(("board", "target"), [("nonsense", "ice40-hx8k"),
                                               ("icebreaker", "ice40-hx8k"),
                                               ("../boards/icebreaker", "ice40-up5k")])
def test_a_board_is_one_of_ours_with_the_device_compiled_for(board: str, target: str,
                                                            tmp_path: Path) -> None:
    with pytest.raises(CompileError) as error:
        build_bitstream_of(compiled("digits", target).mapping, tmp_path / "bit", board=board)
    assert codes(error) == ["E874"]


def test_784_100_10_fits_an_up5k_with_its_uart(tmp_path: Path) -> None:
    """The goal: at most 2,000 logic cells, at least 30 MHz, at most 1,800 cycles a step."""
    built = compiled("mnist_mlp", "ice40-up5k")
    known = build_bitstream_of(built.mapping, tmp_path / "bit", board="icebreaker", clock_mhz=30)
    assert_estimated(built, known, link=True)
    assert known["used"]["luts"] <= 2000
    assert known["used"]["sprams"] == 4
    assert known["mhz"] >= 30
    assert known["load"] == ["openFPGALoader", "-b", "ice40_generic", str(
        tmp_path / "bit" / "design.bin")] or known["load"][:2] == ["openFPGALoader", "-b"]
    assert (tmp_path / "bit" / "design.bin").stat().st_size > 100_000
    made_again = (tmp_path / "bit" / "Makefile").read_text()
    assert "--asc design.asc" in made_again  # with contents from the beginning
    assert "openFPGALoader -b ice40_generic design.bin" in made_again
    assert known["parts"]["host link"]["luts"] > 0
    for what, used in known["used"].items():
        assert sum(part.get(what, 0) for part in known["parts"].values()) == used
    mirrored_weights_are_loaded_by_the_host(built, tmp_path)


def mirrored_weights_are_loaded_by_the_host(built: Build, folder: Path) -> None:
    """Synapses are in RAM that no bitstream fills: of a patch only the ID of the network is."""
    graph = nir.read(recording("mnist_mlp", 1).network)
    first = next(node for node in graph.nodes.values()
                 if isinstance(node, nir.Affine) and node.weight.shape[1] == 784)
    first.weight = first.weight[:, ::-1].copy()
    nir.write(folder / "mirrored.nir", graph)
    new = compiled_as(built, folder / "mirrored.nir")
    fpga = built.target.fpga
    assert fpga is not None
    old = read_design(folder / "bit", fpga)
    files = board_files(plan_of(new.mapping), load_board("icebreaker"))
    check_same(old, files, fpga.patchable)
    patched = patch_bitstream(folder / "bit", old, files, fpga, folder / "new")
    assert set(patched.changed) == {"mem/core0_dense_init.hex", "mem/board_id.hex"}
    assert patched.loaded == ("mem/core0_dense_init.hex",)
    assert (folder / "new" / "design.bin").read_bytes() != (
        folder / "bit" / "design.bin").read_bytes()
    ids = [json.loads((folder / name / "rtl.json").read_text())["link"]["id"]
           for name in ("bit", "new")]
    assert ids[0] != ids[1]


@pytest.mark.parametrize("mhz", [0.0, -1.0, float("nan"), float("inf")])
def test_a_clock_is_a_frequency(mhz: float, tmp_path: Path) -> None:
    with pytest.raises(CompileError):
        build_bitstream_of(compiled("digits", "ice40-hx8k").mapping, tmp_path / "bit",
                           clock_mhz=mhz)


def test_hardware_that_saturates_refuses_a_chip_that_folds() -> None:
    with pytest.raises(CompileError) as error:
        nc.verify(compiled("digits", "loihi1"), recording("digits", 1).x,
                  backends=("reference", "rtl"))
    assert codes(error) == ["E863"]


@pytest.mark.parametrize("lanes", [257, 65536])
def test_more_lanes_than_a_core_has_are_refused(lanes: int) -> None:
    built = compiled("digits", "generic")
    target = replace(built.mapping.target,
                     timing=replace(built.mapping.target.timing, lanes=lanes))
    (found,) = backend.check(replace(built.mapping, target=target))
    assert (found.code, found.limit) == ("E863", "1 to 256")


@pytest.mark.parametrize(("module", "limit", "said"), [
    (core, "MOST_ACCUMULATORS", "it has more accumulators than this hardware numbers"),
    (neurons, "MOST_SUM", "its sums are wider than this hardware has"),
    (synapses, "MOST_SYNAPSES", "it has more synapses than an FPGA holds one by one")])
def test_each_limit_of_a_core_is_named(module: ModuleType, limit: str, said: str,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    mapping = compiled("digits", "generic").mapping
    assert RtlBackend().check(mapping) == []
    monkeypatch.setattr(module, limit, 1)
    (found,) = RtlBackend().check(mapping)
    assert (found.code, found.message) == ("E863", said)


def test_names_of_users_are_no_verilog() -> None:
    built = compiled("digits", "generic")
    target = replace(built.mapping.target, name="x */ endmodule `include \"/etc/passwd\" \n y")
    mapping = replace(built.mapping, target=target)
    top = design_files(plan_of(mapping))["hdl/nc_top.v"].decode()
    assert top.splitlines()[0] == ("// A network on 1 cores for x ?? endmodule ?include "
                                   "??etc?passwd? ? y")
