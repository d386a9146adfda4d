"""The RTL at its corners: every state, every word to the host and every cycle, with and without
stalls, sample after sample."""

from __future__ import annotations

import numpy as np
import pytest
from rtl_corners import CORNERS, Corner
from test_random_networks import first_difference

from neurocompile.reference.integer import IntegerRun, Probes, run_integer
from neurocompile_backends.rtl.host.words import words_of
from neurocompile_backends.rtl.simulate.run import Stalls, run_design
from neurocompile_backends.rtl.simulate.verilator import Built, Machine, build

STALLS = (None, Stalls(128, 200, 3))
"""As fast as it goes, and a host that seldom takes anything."""


def reference(case: Corner) -> IntegerRun:
    return run_integer(case.quantized, case.data, Probes.everything(case.quantized))


def difference(case: Corner, expected: IntegerRun, built: Built) -> str:
    """What differs first between the reference and the RTL, or its cycles and their model."""
    for stalls in STALLS:
        run = run_design(built, case.data, Probes.everything(case.quantized), stalls=stalls)
        states = first_difference(expected, run)
        wrong = [what for what, (n, _) in run.checked.items() if n]
        if states or wrong:
            return states or ", ".join(wrong)
    return ""


CUT_AT = (3, 20, 90, 333)
"""Cycles after which a sample is cut off by a reset."""


def difference_after_reset(case: Corner, built: Built) -> str:
    """What a reset within a sample leaves to the next one: what differs from a chip that was just
    switched on."""
    total = case.plan.program.latency + case.data.n_steps
    words, others = (words_of(case.plan, case.data, sample, total) for sample in (2, 0))
    with Machine(built) as machine:
        expected = machine.run(words, total)
    for cycles in CUT_AT:
        with Machine(built) as machine:
            machine.cut_off(others, cycles)
            run = machine.run(words, total)
        if expected.sent != run.sent:
            return f"words to the host, cut off after {cycles} cycles"
        for what in ("cycles", "u", "v", "spikes"):
            if not np.array_equal(getattr(expected, what), getattr(run, what)):
                return f"{what}, cut off after {cycles} cycles"
    return ""


@pytest.mark.parametrize("name", CORNERS)
def test_a_reset_within_a_sample_leaves_nothing_to_the_next(name: str) -> None:
    case = CORNERS[name]()
    assert difference_after_reset(case, build(case.plan, optimize="-O0")) == ""


@pytest.mark.parametrize("name", CORNERS)
def test_rtl_equals_reference_at_its_corners(name: str) -> None:
    case = CORNERS[name]()
    expected = reference(case)
    assert all(values.any() for values in expected.s.values()), "a population is silent"
    assert difference(case, expected, build(case.plan, optimize="-O0")) == ""


def test_the_corners_are_where_they_are_said_to_be() -> None:
    p = {name: [core.parameters for core in make().plan.cores] for name, make in CORNERS.items()}
    assert all(q["U_LIMIT"] and q["V_LIMIT"] for q in p["saturation"])
    assert any(q["COUNT"] == 3 and q["MOST_BITS"] and q["GE_BITS"] for q in p["counted"])
    assert any(q["DELAYED"] and q["COUNT"] == 2 for q in p["delayed_reset"])
    assert any(q["REFRACTORY"] and q["DELAYED"] for q in p["pauses"])
    assert any(q["SLOTS"] > 2 and q["SPARSE_WORDS"] and q["DENSE_WORDS"] for q in p["ring"])
    assert any(q["LEVELS"] == 3 and q["SHIFTS"] and q["FORMATS"] > 2 for q in p["convolved"])
    assert any(q["ROWS"] == 1 and q["F_PAD"] for q in p["one_row"])
    assert len(p["crowd"]) == 7
    assert any(q["SPRAM"] and q["LOADED"] for q in p["host_memory"])
    assert any(q["LOG2_BANK"] and q["PAYLOAD"] > 1 for q in p["banks"])
    assert any(q["START_BITS"] and q["FILTER"] and q["ANALOG_BITS"] for q in p["late_start"])
