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
from neurocompile.api import Build, as_dataset
from neurocompile.diagnostics import CompileError
from neurocompile.flow import Options
from neurocompile.ir.constraints import Constraints
from neurocompile.ir.target import Fpga
from neurocompile.reference.encode import encode_inputs
from neurocompile.reference.integer import Probes, run_integer
from neurocompile.verification.evaluate import grids
from neurocompile_backends.rtl.backend import backend, plan_of
from neurocompile_backends.rtl.command import resources_of, with_widest_lanes
from neurocompile_backends.rtl.estimate import lanes as lane_choice
from neurocompile_backends.rtl.estimate.lanes import excess
from neurocompile_backends.rtl.estimate.memories import Memory, map_memory
from neurocompile_backends.rtl.estimate.multipliers import (
    Product,
    blocks_of,
    outlives,
    products_of,
)
from neurocompile_backends.rtl.estimate.resources import estimate
from neurocompile_backends.rtl.plan.chip import plan_chip
from neurocompile_backends.rtl.plan.design import ChipPlan
from neurocompile_backends.rtl.profile import counted_sample
from neurocompile_backends.rtl.simulate.run import places_of

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
    ("fsdd_delay", "ecp5-85f", 16), ("fsdd_rcubalif", "ice40-up5k", 8),
    ("digits", "gowin-gw1nr9", 8), ("fsdd_rcubalif", "gowin-gw1nr9", 8)])
def test_an_estimate_is_what_synthesis_found(name: str, target: str, lanes: int) -> None:
    """RAMs and multipliers exactly; logic cells within 15 %."""
    built = compiled(name, target, (lanes,))
    plan = plan_of(built.mapping)
    assert lane_choice._may_hold(fpga_of(built), plan)
    total = estimate(plan, fpga_of(built)).total
    board = " with board" if target.startswith("gowin") else ""  # nothing is built without
    used = MEASURED[f"{name} {target} lanes {lanes}{board}"]["used"]
    for kind in ("brams", "dsps", "sprams"):
        assert getattr(total, kind) == used.get(kind, 0), kind
    assert abs(total.luts / used["luts"] - 1) <= 0.15


@pytest.mark.parametrize(("width", "depth", "family", "kind", "count"), [
    (16, 256, "ice40", "block", 1), (17, 256, "ice40", "block", 2), (2, 2048, "ice40", "block", 1),
    (8, 8, "ice40", "logic", 0), (8, 8, "ecp5", "distributed", 2), (18, 1024, "ecp5", "block", 1),
    (36, 512, "ecp5", "block", 1), (1, 16384, "ecp5", "block", 1),
    (12, 16, "gowin", "distributed", 3), (36, 512, "gowin", "block", 1),
    (37, 512, "gowin", "block", 2)])
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
    (8, 1, 9, "ecp5", 0), (4, 4, 8, "ice40", 0), (8, 4, 12, "ice40", 1), (8, 4, 9, "ice40", 0),
    (24, 12, 36, "gowin", 1.5), (8, 4, 12, "gowin", 0.5), (8, 3, 11, "gowin", 0),
    (24, 13, 36, "gowin", 2), (24, 22, 46, "gowin", 4)])
def test_multipliers_are_cut_as_synthesis_cuts_them(a: int, b: int, product: int, family: str,
                                                    blocks: float) -> None:
    assert blocks_of(Product("neurons", a, b, product, b), family) == blocks


def test_a_product_is_no_wider_than_the_accumulator_that_takes_it() -> None:
    """8 by 4 bits are a multiplier of an UP5K; of their 12 bits an accumulator of 9 reads too
    few."""
    core = plan_of(compiled("digits", "ice40-up5k").mapping).cores[0]
    wide = {"PAYLOAD": 4, "WEIGHT": 8, "PRODUCT": 12}
    for accumulator, blocks in ((12, 1), (9, 0)):
        parameters = {**core.parameters, **wide, "ACC": accumulator}
        product = products_of(replace(core, parameters=parameters))[-1]
        assert blocks_of(product, "ice40") == blocks


@pytest.mark.parametrize(("state", "parameters", "left"), [
    ("U", {"U": 12, "KEEP_U": 1}, False), ("U", {"U": 13, "KEEP_U": 1}, True),
    ("U", {"U": 10, "KEEP_U": 3}, False), ("U", {"U": 4, "KEEP_U_BITS": 8}, False),
    ("V", {"V": 24, "KEEP_V": 0, "REFRACTORY": 0}, False),
    ("V", {"V": 24, "KEEP_V": 0, "REFRACTORY": 2}, True)])  # a pause keeps all of it
def test_a_state_of_which_nothing_is_left_takes_no_ram(state: str, parameters: dict[str, int],
                                                       left: bool) -> None:
    assert outlives(parameters, state) == left


def test_a_design_too_large_says_what_would_fit() -> None:
    built = compiled("mnist_mlp", "ice40-hx8k")
    with pytest.raises(CompileError) as error:
        backend.emit(built.mapping)
    (found,) = error.value.diagnostics
    assert (found.code, found.subject, found.limit) == ("E880", "hx8k", "32")
    assert found.hint == "it fits ice40-up5k, ecp5-25f, ecp5-85f"


def test_a_network_that_no_lanes_make_fit_is_planned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others would be planned for every number of lanes and every device, for minutes."""
    built = compiled("mnist_mlp", "ice40-hx8k")
    planned = []

    def plan(*args: Any) -> ChipPlan:
        planned.append(args)
        return plan_chip(*args)

    monkeypatch.setattr(lane_choice, "plan_chip", plan)
    plan_of(built.mapping)
    assert len(planned) == 1


def test_lanes_that_the_hardware_cannot_have_are_refused_by_every_compile(tmp_path: Path) -> None:
    """Also by one that writes no Verilog: others would refuse the build later."""
    done = run("compile", DIGITS, "-t", "ice40-hx8k", "-c", DIGITS_CONTRACT, "--lanes", "8,4",
               "-o", tmp_path / "build")
    assert done.exit_code == 1
    assert done.stderr.startswith("E863 --lanes")
    assert not (tmp_path / "build").exists()


def test_lanes_for_cores_that_are_not_there_are_refused() -> None:
    (found,) = backend.check(compiled("digits", "ice40-hx8k", (8, 4)).mapping)
    assert (found.code, found.subject, found.got) == ("E863", "--lanes", "8,4")


def test_lanes_are_fewer_where_the_device_is_small() -> None:
    built = compiled("digits", "ice40-hx8k")
    whole = plan_of(built.mapping)
    assert [c.parameters["LANES"] for c in whole.cores] == [8]
    blocks = estimate(whole, fpga_of(built)).total.brams
    small = replace(built.mapping.target, fpga=replace(fpga_of(built), brams=blocks - 1))
    plan = plan_of(replace(built.mapping, target=small))
    assert [c.parameters["LANES"] for c in plan.cores] == [4]


def test_the_link_of_a_board_is_reserved_where_lanes_are_chosen() -> None:
    """With it the device has a block too few for 8 lanes; a device on no board needs no link."""
    built = compiled("digits", "ice40-hx8k")
    fpga = fpga_of(built)
    plan = plan_of(built.mapping)
    there = estimate(plan, fpga).total.brams
    assert estimate(plan, fpga, link=True).total.brams > there
    lanes = {}
    for device in (fpga.device, "lp8k"):
        small = replace(built.mapping.target, fpga=replace(fpga, brams=there, device=device))
        chosen = plan_of(replace(built.mapping, target=small))
        lanes[device] = [c.parameters["LANES"] for c in chosen.cores]
    assert lanes == {fpga.device: [4], "lp8k": [8]}


def test_lanes_auto_are_as_many_as_shorten_a_step_and_fit() -> None:
    """Two cores of an ECP5: the slowest are widened, and the cycles of a real sample fall."""
    recorded = recording("mnist_cnn", 1)
    built = nc.compile(recorded.network, "ecp5-85f", contract=contract_of("mnist_cnn", recorded))
    wide = with_widest_lanes(built)
    before, after = (plan_of(b.mapping) for b in (built, wide))
    assert [c.parameters["LANES"] for c in before.cores] == [8, 8]
    assert [c.parameters["LANES"] for c in after.cores] == list(
        wide.options.constraints.lanes) == [16, 8]
    assert not excess(estimate(after, fpga_of(wide), link=True))
    assert steps_of(wide, after, recorded.x) < 0.9 * steps_of(built, before, recorded.x)


def steps_of(built: Build, plan: ChipPlan, x: np.ndarray[Any, Any]) -> int:
    """The cycles of all steps of the first sample."""
    given = encode_inputs(built.quantized, grids(as_dataset(x, built.inputs)), x.shape[1])
    run = run_integer(built.quantized, given, Probes.everything(built.quantized))
    return int(counted_sample(plan, places_of(plan), given, 0, run, 0).cycles.sum())


@pytest.mark.parametrize(("name", "target", "lanes"), [
    ("mnist_mlp", "ecp5-85f", (32,)),  # the widest that the compiler takes
    ("mnist_mlp", "ice40-up5k", (8,)),  # its large RAMs have no room for words of 16 weights
    ("digits", "ice40-hx8k", (8,))])  # 16 would not be faster
def test_lanes_auto_stop_where_more_do_not_help_or_fit(name: str, target: str,
                                                       lanes: tuple[int, ...]) -> None:
    assert with_widest_lanes(compiled(name, target)).mapping.constraints.lanes == lanes


def test_lanes_auto_are_numbers_in_the_build(tmp_path: Path) -> None:
    done = run("compile", str(DIGITS), "-t", "ecp5-25f", "-c", str(DIGITS_CONTRACT), "--lanes",
               "auto", "-o", str(tmp_path / "build"))
    assert done.exit_code == 0, done.stderr
    again = nc.load_build(tmp_path / "build")
    assert again.mapping.constraints.lanes == again.options.constraints.lanes == (8,)


def test_lanes_auto_need_an_estimate() -> None:
    for target in ("zynq", "generic"):
        with pytest.raises(CompileError) as error:
            with_widest_lanes(compiled("digits", target))
        (found,) = error.value.diagnostics
        assert (found.code, found.got) == ("E881", target)


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
