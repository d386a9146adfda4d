"""What Lava's neurons compute, as recorded: docs/lava.md names these tests beside its claims.

The recordings are kept (tests/golden/lava); test_lava_archive.py proves that Lava still gives
them. Here they are compared with plain statements of the rules. Rows are steps.
"""

from __future__ import annotations

import lava_statements as rules
import numpy as np
import pytest
from lava_runs import Arrays, primitives

NEURONS = [name for name in primitives()
           if name.startswith(("lif_", "reset_", "per_neuron_", "ternary_"))]
NOT_STATED = {"lif_bias_of_floats"}  # registers hold no fractions; it has a test of its own


def recorded(name: str) -> Arrays:
    return primitives()[name]


@pytest.mark.parametrize("name", [n for n in NEURONS if n not in NOT_STATED])
def test_neurons_follow_the_stated_rules_in_every_state(name: str) -> None:
    r = recorded(name)
    given = {key: values for key, values in r.items() if key not in "suv"}
    for kind, expected in rules.neurons(given).items():
        assert np.array_equal(r[kind], expected), kind


def test_the_large_experiments_fire_fold_and_saturate() -> None:
    """Otherwise their agreement would say little."""
    assert recorded("lif_at_large")["s"].sum() > 100
    near = recorded("lif_at_large_near_the_limits")
    assert near["s"].sum() > 50
    assert np.any(np.abs(near["v"]) == rules.LIMIT - 1)
    assert recorded("per_neuron_at_large")["s"].sum() > 50
    ternary = recorded("ternary_at_large")["s"]
    assert (ternary > 0).sum() > 50
    assert (ternary < 0).sum() > 50


def test_decays_round_toward_zero() -> None:
    r = recorded("lif_halving")
    assert r["u"][:8, 0].tolist() == [64, 32, 16, 8, 4, 2, 1, 0]
    assert np.array_equal(r["u"][:, 0], -r["u"][:, 1])
    assert r["u"][:9, 2].tolist() == [192, 96, 48, 24, 12, 6, 3, 1, 0]
    assert np.array_equal(r["v"][:, ::2], -r["v"][:, 1::2])


def test_a_current_loses_at_least_1_in_4096_with_du_0() -> None:
    u = recorded("lif_slowest_current")["u"]
    assert u[:3, 0].tolist() == [64, 63, 62]
    assert np.array_equal(u[:, 0], -u[:, 1])
    assert u[63:66, 0].tolist() == [1, 0, 0]


def test_du_of_minus_1_does_not_leak() -> None:
    u = recorded("lif_without_leak")["u"]
    assert np.all(u[:, 0] == 64)
    assert np.all(u[:, 1] == -64)


def test_du_4095_keeps_the_input_of_the_step_only() -> None:
    r = recorded("lif_current_of_one_step")
    assert np.array_equal(r["u"], r["a"].T << 6)


def test_a_membrane_has_no_decay_offset() -> None:
    """dv 4096 forgets everything; dv 4095 keeps 1 in 4096."""
    forgets = recorded("lif_decay_of_everything")
    assert np.array_equal(forgets["v"], forgets["u"])
    v = recorded("lif_input_beyond_32_bits")["v"]
    assert v[:2, 0].tolist() == [-8388607, -2047]


def test_decays_are_not_held_to_12_bits() -> None:
    """5001 of 4096 taken off: the current changes sign at every step."""
    u = recorded("lif_decay_beyond_12_bits")["u"]
    assert u[:4, 0].tolist() == [64000, -14140, 3124, -690]


@pytest.mark.parametrize(("a", "u"), [
    (131071, 131071 << 6), (131072, 1 << 23), (131073, (131073 << 6) - (1 << 24)),
    (-131071, -131071 << 6), (-131072, 1 << 23), (-131073, (1 << 24) - (131073 << 6)),
    (262144, 0), (-262144, 0),
    (393216, 1 << 23), (393217, 8388672), (-393216, -(1 << 23)), (-393217, -8388672),
    (33554431, (33554431 << 6) - (1 << 24)),
])
def test_a_current_folds_once_above_2_23_and_at_minus_2_23(a: int, u: int) -> None:
    """(-2^23, 2^23] stays, 2^24 is taken off or added once, whatever is left."""
    r = recorded("lif_folds")
    assert r["u"][0, r["a"][:, 0].tolist().index(a)] == u


def test_input_wraps_at_32_bits_before_the_fold() -> None:
    r = recorded("lif_input_beyond_32_bits")
    by_input = dict(zip(r["a"][:, 0].tolist(), r["u"][0].tolist(), strict=True))
    assert by_input[1 << 25] == -(1 << 31) + (1 << 24)
    assert by_input[1 << 26] == by_input[1 << 30] == 0


def test_a_membrane_saturates_at_2_23_minus_1_both_ways() -> None:
    v = recorded("lif_saturates")["v"]
    assert v.max() == (1 << 23) - 1
    assert v.min() == -((1 << 23) - 1)
    assert np.all(np.abs(v[7:, :2]) < (1 << 23) - 1)  # and comes back


def test_the_comparison_is_strict() -> None:
    r = recorded("lif_threshold_is_strict")
    assert r["bias_mant"].tolist() == [639, 640, 641]
    assert int(r["vth"]) << 6 == 640
    assert r["s"].tolist() == [[0, 0, 1]] * 3


def test_the_largest_threshold_can_still_be_passed() -> None:
    r = recorded("lif_largest_threshold")
    assert r["u"][0, 0] == 8388544 == 131071 << 6
    assert r["s"][:, 0].tolist() == [0, 1, 0]


def test_a_threshold_is_not_held_to_17_bits() -> None:
    """131072 << 6 lies above the saturated membrane, so that nothing fires."""
    r = recorded("lif_threshold_beyond_17_bits")
    assert int(r["vth"]) == 131072
    assert r["v"].max() == (1 << 23) - 1
    assert not r["s"].any()


def test_a_negative_threshold_fires_at_rest() -> None:
    r = recorded("lif_threshold_below_zero")
    assert r["s"][0].tolist() == [1, 1, 0, 0]
    assert r["u"][0].tolist() == [0, -64, -128, -192]


def test_a_bias_shifts_down_by_flooring() -> None:
    assert _bias(-3, -1) == -2
    assert _bias(-1, -3) == -1
    assert _bias(-3, -2) == -1


def test_a_bias_mantissa_wraps_at_16_bits_and_is_not_held_to_13() -> None:
    assert _bias(40000, 0) == -25536
    assert _bias(-40000, 0) == 25536
    assert _bias(32767, 0) == 32767
    assert _bias(5000, 0) == 5000


def test_a_bias_exponent_is_not_held_to_3_bits() -> None:
    assert _bias(4095, 7) == 4095 << 7
    assert _bias(3, 10) == 3 << 10


def _bias(mantissa: int, exponent: int) -> int:
    """v after the first step without input: the bias alone."""
    r = recorded("lif_bias")
    pairs = list(zip(r["bias_mant"].tolist(), r["bias_exp"].tolist(), strict=True))
    assert not r["u"].any(), "a bias enters v, not u"
    return int(r["v"][0, pairs.index((mantissa, exponent))])


def test_fractions_of_a_bias_are_cut_off() -> None:
    assert recorded("lif_bias_of_floats")["v"][0].tolist() == [1, -1, 2, 0]


def test_a_process_may_start_with_states_and_loses_v_only_at_a_spike() -> None:
    r = recorded("lif_starts_with_state")
    assert r["u0"].tolist() == [640, -640, 0]
    assert r["u"][0].tolist() == [(640 * 3095) >> 12, -((640 * 3095) >> 12), 0]
    left = recorded("lif_spikes_leave_the_current")
    at = np.argwhere(left["s"] > 0)
    assert len(at) > 20
    assert all(left["v"][tuple(i)] == 0 for i in at)
    assert all(left["u"][tuple(i)] > 0 for i in at)


def test_an_array_is_taken_where_a_process_declares_one_value() -> None:
    """LIF declares du of shape (1,), and uses two values as they are: one for each neuron."""
    u = recorded("lif_array_of_decays")["u"]
    assert u[:3, 0].tolist() == [64000, 32000, 16000]
    assert u[:3, 1].tolist() == [64000, 62421, 60881]


@pytest.mark.parametrize(("name", "first"), [
    ("reset_every_8_at_3", [3, 11, 19]), ("reset_offset_beyond_interval", [2, 7, 12, 17, 22]),
    ("reset_without_offset", [4, 8, 12, 16, 20, 24]), ("reset_at_interval", [6, 12, 18, 24]),
    ("reset_every_step", list(range(1, 25))), ("reset_later_than_the_run", []),
])
def test_lifreset_clears_before_the_update_of_steps_equal_to_the_offset_modulo_the_interval(
        name: str, first: list[int]) -> None:
    """u is then the input of that step alone; without a reset something is left of the former."""
    r = recorded(name)
    alone = np.all(r["u"] == r["a"].T << 6, axis=1)
    expected = {1, *first}  # at step 1 there is nothing before
    assert set((np.flatnonzero(alone) + 1).tolist()) == expected
    assert r["s"].sum() > 10


def test_ternary_compares_strictly_on_both_sides_and_resets_on_both() -> None:
    r = recorded("ternary_thresholds_are_strict")
    assert r["bias_mant"].tolist() == [-641, -640, -639, 0, 1279, 1280, 1281]
    assert r["s"][0].tolist() == [-1, 0, 0, 0, 0, 0, 1]
    assert r["v"][0].tolist() == [0, -640, -639, 0, 1279, 1280, 0]


@pytest.mark.parametrize("name", [n for n in primitives() if n.startswith("sigma_delta_")
                                  and n != "sigma_delta_threshold_is_reached"])
def test_sigma_delta_follows_its_equation(name: str) -> None:
    r = recorded(name)
    for kind, expected in rules.sigma_delta(r).items():
        assert np.array_equal(r[kind], expected), kind
    assert np.count_nonzero(r["s"]) > 30


def test_sigma_delta_sends_at_the_threshold_itself() -> None:
    """Its documentation says above."""
    r = recorded("sigma_delta_threshold_is_reached")
    assert r["s"][:2].T.tolist() == [[5, 5], [0, 8], [6, 0]]
    assert r["residue"][:2].T.tolist() == [[0, 0], [4, 0], [0, 0]]


@pytest.mark.parametrize("name", ["resonate_and_fire", "resonate_and_fire_negative_cosine"])
def test_resonate_and_fire_rounds_each_product_toward_zero(name: str) -> None:
    r = recorded(name)
    for kind, expected in rules.resonate_and_fire(r).items():
        assert np.array_equal(r[kind], expected), kind
    assert r["s"].sum() > 20


def test_rf_zero_floors_its_products_and_sends_u() -> None:
    r = recorded("resonate_and_fire_zero")
    for kind, expected in rules.resonate_and_fire_zero(r).items():
        assert np.array_equal(r[kind], expected), kind
    assert np.count_nonzero(r["s"]) > 20
