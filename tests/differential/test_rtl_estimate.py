"""What a design takes of an FPGA, and how its lanes are chosen, without any tool."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_tools import DIGITS, DIGITS_CONTRACT, run
from contracts import contract_of, recording

import neurocompile as nc
from neurocompile.api import Build
from neurocompile.diagnostics import CompileError
from neurocompile.flow import Options
from neurocompile.ir.constraints import Constraints
from neurocompile.ir.target import Fpga
from neurocompile_backends.rtl.backend import backend, plan_of
from neurocompile_backends.rtl.command import resources_of
from neurocompile_backends.rtl.estimate.memories import Memory, map_memory
from neurocompile_backends.rtl.estimate.multipliers import Product, blocks_of
from neurocompile_backends.rtl.estimate.resources import estimate

MEASURED = json.loads((Path(__file__).parents[2] / "benchmarks" / "results" / "fpga_estimate.json")
                      .read_text())["measured"]


def compiled(name: str, target: str, lanes: tuple[int, ...] = ()) -> Build:
    recorded = recording(name, 1)
    return nc.compile(recorded.network, target, contract=contract_of(name, recorded),
                      options=Options(constraints=Constraints(lanes=lanes)))


def fpga_of(built: Build) -> Fpga:
    assert built.mapping.target.fpga is not None
    return built.mapping.target.fpga


def memory(width: int, depth: int, **more: Any) -> Memory:
    none = np.zeros(width, np.bool_)
    return Memory("m", width, depth, none, none, **more)


@pytest.mark.parametrize(("name", "target", "lanes"), [
    ("digits", "ice40-hx8k", 1), ("digits", "ice40-hx8k", 8), ("digits", "ecp5-85f", 4),
    ("mnist_mlp", "ice40-up5k", 4), ("mnist_mlp", "ecp5-85f", 16),
    ("fsdd_delay", "ecp5-85f", 16), ("fsdd_rcubalif", "ice40-up5k", 8)])
def test_an_estimate_is_what_synthesis_found(name: str, target: str, lanes: int) -> None:
    """RAMs and multipliers exactly; logic cells within 15 %."""
    built = compiled(name, target, (lanes,))
    total = estimate(plan_of(built.mapping), fpga_of(built)).total
    used = MEASURED[f"{name} {target} lanes {lanes}"]["used"]
    for kind in ("brams", "dsps", "sprams"):
        assert getattr(total, kind) == used.get(kind, 0), kind
    assert abs(total.luts / used["luts"] - 1) <= 0.15


@pytest.mark.parametrize(("width", "depth", "family", "kind", "count"), [
    (16, 256, "ice40", "block", 1), (17, 256, "ice40", "block", 2), (2, 2048, "ice40", "block", 1),
    (8, 8, "ice40", "logic", 0), (8, 8, "ecp5", "distributed", 2), (18, 1024, "ecp5", "block", 1),
    (36, 512, "ecp5", "block", 1), (1, 16384, "ecp5", "block", 1)])
def test_memories_take_the_shape_of_their_device(width: int, depth: int, family: str, kind: str,
                                                 count: int) -> None:
    mapped = map_memory(memory(width, depth), family)
    assert (mapped.kind, mapped.count) == (kind, count)


def test_constant_columns_of_a_table_take_no_ram() -> None:
    constant = np.array([False] * 16 + [True] * 16)
    table = Memory("m", 32, 256, constant, np.zeros(32, np.bool_), writes=False)
    assert map_memory(table, "ice40").count == 1
    everything = Memory("m", 2, 256, np.ones(2, np.bool_), np.zeros(2, np.bool_), writes=False)
    assert map_memory(everything, "ice40").kind == "none"


@pytest.mark.parametrize(("a", "b", "product", "family", "blocks"), [
    (24, 13, 36, "ecp5", 2), (18, 13, 30, "ecp5", 1), (24, 13, 36, "ice40", 2),
    (8, 1, 9, "ecp5", 0), (4, 4, 8, "ice40", 0)])
def test_multipliers_are_cut_as_synthesis_cuts_them(a: int, b: int, product: int, family: str,
                                                    blocks: int) -> None:
    assert blocks_of(Product("neurons", a, b, product, b), family) == blocks


def test_a_design_too_large_says_what_would_fit() -> None:
    built = compiled("mnist_mlp", "ice40-hx8k")
    with pytest.raises(CompileError) as error:
        backend.emit(built.mapping)
    (found,) = error.value.diagnostics
    assert (found.code, found.subject, found.limit) == ("E880", "hx8k", "32")
    assert found.hint == "it fits ice40-up5k, ecp5-25f, ecp5-85f"


def test_lanes_are_fewer_where_the_device_is_small() -> None:
    built = compiled("digits", "ice40-hx8k")
    whole = plan_of(built.mapping)
    assert [c.parameters["LANES"] for c in whole.cores] == [8]
    blocks = estimate(whole, fpga_of(built)).total.brams
    small = replace(built.mapping.target, fpga=replace(fpga_of(built), brams=blocks - 1))
    plan = plan_of(replace(built.mapping, target=small))
    assert [c.parameters["LANES"] for c in plan.cores] == [4]


def test_lanes_of_the_user_are_kept_in_the_build(tmp_path: Path) -> None:
    built = compiled("digits", "ice40-hx8k", (2,))
    built.save(tmp_path / "build")
    again = nc.load_build(tmp_path / "build")
    assert [c.parameters["LANES"] for c in plan_of(again.mapping).cores] == [2]
    facts = resources_of(again.mapping)
    assert facts is not None
    assert [c["lanes"] for c in facts["cores"]] == [2]  # type: ignore[attr-defined]


def test_targets_without_open_tools_have_no_estimate() -> None:
    assert resources_of(compiled("digits", "zynq").mapping) is None
    assert resources_of(compiled("digits", "generic").mapping) is None


def test_a_lane_too_many_or_none_is_refused() -> None:
    (found,) = backend.check(compiled("digits", "ecp5-25f", (0,)).mapping)
    assert (found.code, found.limit) == ("E863", "1 to 256")



@pytest.mark.parametrize(("lanes", "target"), [("0", "ecp5-25f"), ("8,x", "ecp5-25f"),
                                               ("257", "ecp5-25f"), ("8", "loihi1")])
def test_impossible_lanes_are_refused_and_nothing_is_written(lanes: str, target: str,
                                                             tmp_path: Path) -> None:
    done = run("compile", str(DIGITS), "-t", target, "-c", str(DIGITS_CONTRACT), "--lanes", lanes,
               "-o", str(tmp_path / "build"))
    assert done.exit_code == 1
    assert "E881" in done.stderr
    assert not (tmp_path / "build").exists()
