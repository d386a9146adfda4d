"""Random networks in hardware: RTL, reference and the model of its cycles agree."""

from __future__ import annotations

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from networks import Case, cases, hardware_targets
from test_chip import mapped
from test_random_networks import compiled, encoded, first_difference

from neurocompile.passes.assemble import Assemble
from neurocompile.reference.integer import Probes, run_integer
from neurocompile_backends.rtl.plan.chip import plan_chip
from neurocompile_backends.rtl.plan.design import ChipPlan, Unsupported
from neurocompile_backends.rtl.simulate.run import Stalls, run_design
from neurocompile_backends.rtl.simulate.verilator import build

NETWORKS = 200
MOST_CORES = 8  # a design of many takes long to compile


@settings(max_examples=max(NETWORKS, settings.default.max_examples))
@given(cases(hardware_targets()), st.sampled_from([2, 3, 7, 100]),
       st.lists(st.sampled_from([1, 2, 3, 4, 8, 16]), min_size=MOST_CORES, max_size=MOST_CORES),
       st.sampled_from([0, 0, 60, 200]))
def test_rtl_equals_reference_and_takes_the_cycles_it_is_said_to_take(
        case: Case, per_core: int, lanes: list[int], stalls: int) -> None:
    mapping = mapped(compiled(case)[3], per_core)
    assume(len(mapping.use) <= MOST_CORES)
    try:
        plan = plan_chip(Assemble().run(mapping), mapping.quantized,
                         tuple(lanes[:len(mapping.use)]))
    except Unsupported as error:
        event(str(error))
        assume(False)
        raise
    for what in _features(plan):
        event(what)
    given_input = encoded(case, mapping.quantized, 3)
    everything = Probes.everything(mapping.quantized)
    expected = run_integer(mapping.quantized, given_input, everything)
    run = run_design(build(plan, optimize="-O0"), given_input, everything,
                     stalls=Stalls(stalls, stalls, case.seed % 1000 + 1))
    assert first_difference(expected, run) == ""
    assert all(wrong == 0 for wrong, _ in run.checked.values()), run.checked


def _features(plan: ChipPlan) -> list[str]:
    """What of the hardware a plan uses, for ``--hypothesis-show-statistics``."""
    p = [core.parameters for core in plan.cores]
    return [name for name, used in (
        ("several cores", len(p) > 1), ("delays", any(q["SLOTS"] > 1 for q in p)),
        ("several spikes a step", any(q["COUNT"] > 1 for q in p)),
        ("payloads", any(q["PAYLOAD"] > 1 for q in p)),
        ("three loops", any(q["LEVELS"] == 3 for q in p)),
        ("lists", any(q["SPARSE_WORDS"] > 0 for q in p)),
        ("delayed reset", any(q["DELAYED"] for q in p)),
        ("refractory", any(q["REFRACTORY"] for q in p)),
        ("refractory, delayed reset", any(q["REFRACTORY"] and q["DELAYED"] for q in p)),
        ("filter", any(q["FILTER"] for q in p)),
        ("biases of the host", any(q["LOADED"] for q in p)),
        ("SPRAM", any(q["SPRAM"] for q in p))) if used]
