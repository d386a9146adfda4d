"""docs/fpga.md: its commands print what is below them, its picture is what the RTL does."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from neurocompile.diagnostics import CompileError
from neurocompile.reference.integer import Probes, run_integer
from neurocompile_backends.rtl.host.words import words_of
from neurocompile_backends.rtl.plan.cycles import NEURON_STAGES, count_cycles
from neurocompile_backends.rtl.simulate.run import places_of
from neurocompile_backends.rtl.simulate.verilator import find_verilator

DOCS = ROOT / "docs"


@pytest.fixture
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script of the documentation."""
    folder, name = request.param
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return __import__(name)


STEP = pytest.mark.parametrize("module", [(DOCS / "images", "step")], indirect=True)


def lane(wave: dict[str, Any], name: str) -> dict[str, Any]:
    lanes = [x for entry in wave["signal"] for x in (
        [entry] if isinstance(entry, dict) else entry[1:])]
    (found,) = [x for x in lanes if x["name"] == name]
    return found


@STEP
def test_the_diagram_is_what_the_rtl_does(module: ModuleType) -> None:
    try:
        find_verilator()
    except CompileError:
        pytest.skip("Verilator is not installed")
    assert json.loads((DOCS / "images" / "step.json").read_text("utf-8")) == module.drawn()


@STEP
def test_the_picture_is_drawn_from_its_source(module: ModuleType) -> None:
    pytest.importorskip("wavedrom", reason="draws the picture")
    wave = json.loads((DOCS / "images" / "step.json").read_text("utf-8"))
    assert (DOCS / "images" / "step.svg").read_text("utf-8") == module.svg_of(wave)


@STEP
def test_the_diagrams_cycles_are_those_of_the_model(module: ModuleType) -> None:
    wave = json.loads((DOCS / "images" / "step.json").read_text("utf-8"))
    ex = module.example()
    expected = run_integer(ex.quantized, ex.data, Probes.everything(ex.quantized)).s["h"][0]
    steps = len(expected)
    (core,) = ex.plan.cores
    ((_, element, slot),) = places_of(ex.plan)
    spikes = np.zeros((steps, core.neurons), np.int32)
    spikes[:, slot] = expected[:, element]
    counted = count_cycles(ex.plan, words_of(ex.plan, ex.data, 0, steps), spikes).cycles
    starts = [i for i, c in enumerate(lane(wave, "start")["wave"]) if c == "1"]
    assert starts[1] - starts[0] == counted[module.SHOWN]
    assert lane(wave, "to the host")["data"][-1] == str(counted[module.SHOWN])
    asked, done = (lane(wave, name)["wave"].index("4") for name in ("asked for", "done"))
    assert asked - starts[0] == 2
    assert done - asked == NEURON_STAGES + core.parameters["COUNT"]
    assert lane(wave, "asked for")["data"] == ["h0", "h1", "h2", "\u2013"]


@pytest.mark.parametrize("module", [(DOCS, "walkthrough")], indirect=True)
def test_the_pages_commands_print_what_is_shown(module: ModuleType, tmp_path: Path) -> None:
    """All but the last, which places and routes: other versions of the tools give other numbers."""
    try:
        find_verilator()
    except CompileError:
        pytest.skip("Verilator is not installed")
    module.prepare(tmp_path)
    shown = "".join(m[2] for m in module.BLOCK.finditer(module.PAGE.read_text("utf-8")))
    commands = module.commands(shown)
    assert [c.split()[1] for c in commands] == ["compile", "verify", "profile", "build"]
    for command in commands[:-1]:
        assert f"$ {command}\n{module.run(command, tmp_path)}" in shown
    assert "load it: openFPGALoader -b ice40_generic" in shown
