"""What Lava's connections compute, as recorded: docs/lava.md names these tests beside its claims.

Rows are steps. Where an experiment is a ladder of weights, row i + 1 shows weight i alone.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import lava_statements as rules
import numpy as np
import pytest
from lava_runs import Arrays, primitives

from neurocompile.ir.quantized import FixedPoint
from neurocompile_backends.lava.plan import weight_shift

LINEAR = [name for name in primitives()
          if name.startswith(("dense_", "sparse_", "delay_dense_", "delay_sparse_"))
          and name != "dense_weights_of_floats"]
NUMBERLESS = {"dense_null_mode", "dense_mode_as_a_number"}  # modes that Lava does not mean
CONVOLUTIONS = [name for name in primitives() if name.startswith("conv_")]


def recorded(name: str) -> Arrays:
    return primitives()[name]


def ladder(name: str) -> dict[int, int]:
    """What became of each weight."""
    r = recorded(name)
    return dict(zip(r["weights"][0].tolist(), r["a"][1:, 0].tolist(), strict=True))


@pytest.mark.parametrize("name", [n for n in LINEAR if n not in NUMBERLESS])
def test_connections_follow_the_stated_rules_at_every_step(name: str) -> None:
    r = recorded(name)
    assert np.array_equal(r["a"], rules.connection(r))
    assert r["a"].any()


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_mixed_weights_are_clipped_to_minus_256_and_255_and_lose_their_lowest_bit(
        kind: str) -> None:
    found = ladder(f"{kind}_mixed_8")
    assert (found[-300], found[-257], found[-256], found[-255]) == (-256, -256, -256, -256)
    assert (found[300], found[256], found[255], found[254]) == (254, 254, 254, 254)
    assert (found[-3], found[-1], found[1], found[3]) == (-4, -2, 0, 2)  # floors


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_weights_of_one_sign_are_clipped_to_255_and_those_of_the_other_to_0(kind: str) -> None:
    excitatory, inhibitory = ladder(f"{kind}_excitatory_8"), ladder(f"{kind}_inhibitory_8")
    assert (excitatory[300], excitatory[255], excitatory[3], excitatory[-3]) == (255, 255, 3, 0)
    mirrored = [w for w in inhibitory if -w in excitatory]
    assert len(mirrored) > 20
    assert all(inhibitory[w] == -excitatory[-w] for w in mirrored)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_missing_weight_bits_are_floored_off_the_bottom_of_eight(kind: str) -> None:
    assert ladder(f"{kind}_excitatory_6")[129] == 128
    assert ladder(f"{kind}_excitatory_6")[3] == 0
    assert ladder(f"{kind}_inhibitory_6")[-129] == -128  # negated before and after: toward zero
    assert ladder(f"{kind}_mixed_6")[-9] == -16
    assert ladder(f"{kind}_mixed_1") == {
        w: -256 if w < 0 else 0 for w in ladder(f"{kind}_mixed_1")}


def test_the_automatic_mode_looks_at_the_signs_of_the_whole_matrix() -> None:
    assert ladder("dense_automatic_mixed") == ladder("dense_mixed_8")
    assert ladder("dense_automatic_excitatory")[3] == 3
    assert ladder("dense_automatic_inhibitory")[-3] == -3
    r = recorded("dense_automatic_is_of_the_whole_matrix")
    assert r["weights"].tolist() == [[3, 5, 7], [9, -11, 13]]
    assert r["a"][1:].T.tolist() == [[2, 4, 6], [8, -12, 12]]


@pytest.mark.parametrize("name", sorted(NUMBERLESS))
def test_a_mode_that_is_none_of_the_three_acts_as_excitatory(name: str) -> None:
    """SignMode.NULL, and also the number 1, although SignMode.MIXED has that value."""
    assert ladder(name) == ladder("dense_excitatory_8")


def test_fractions_of_a_weight_are_cut_off() -> None:
    r = recorded("dense_weights_of_floats")
    assert r["weights"].tolist() == [[1.5, -1.5, 2.999, -0.999]]
    assert r["excitatory"][1:, 0].tolist() == [1, 0, 2, 0]
    assert r["inhibitory"][1:, 0].tolist() == [0, -1, 0, 0]


def test_the_exponent_shifts_the_sum_and_not_the_weights() -> None:
    r = recorded("dense_exponents_down")
    assert r["weights"][0, :2].tolist() == [3, 3]
    assert int(r["weight_exp"]) == -2
    assert r["a"][1:4, 0].tolist() == [0, 0, 1]  # 3 >> 2, 3 >> 2, 6 >> 2


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_a_negative_exponent_floors_the_sum(kind: str) -> None:
    r = recorded(f"{kind}_exponent_down_of_negative_sum")
    assert r["a"][1:, 0].tolist() == [-6 >> 2, -2 >> 2] == [-2, -1]


def test_a_positive_exponent_shifts_up() -> None:
    r = recorded("dense_exponents_up")
    assert int(r["weight_exp"]) == 3
    assert r["a"][1, 0] == 3 << 3


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_without_message_bits_any_payload_is_a_spike(kind: str) -> None:
    r = recorded(f"{kind}_bool_messages")
    assert r["spikes"][:, :4].T.tolist() == [[5, 0], [-3, 1], [1000, -70000], [0, 7]]
    assert r["a"][1:5].tolist() == [[2, 6], [6, 14], [6, 14], [4, 8]]


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_with_message_bits_payloads_multiply_and_are_not_held_to_the_bits(kind: str) -> None:
    r = recorded(f"{kind}_graded_messages")
    assert int(r["num_message_bits"]) == 8
    assert r["a"][1:5, 0].tolist() == [10, -2, 2 * 1000 - 4 * 70000, 28]


def test_a_sum_is_not_held_to_16_bits_and_wraps_at_32() -> None:
    assert recorded("dense_sums_beyond_16_bits")["a"][1, 0] == 300 * 255
    r = recorded("dense_sums_beyond_32_bits")
    assert (8 * 255) << int(r["weight_exp"]) == (1 << 32) - (1 << 24)
    assert r["a"][1, 0] == -(1 << 24)


@pytest.mark.parametrize("kind", ["delay_dense", "delay_sparse"])
def test_a_spike_arrives_one_step_and_its_delay_later(kind: str) -> None:
    """Also with the longest delay of 63."""
    r = recorded(f"{kind}_arrivals")
    first = r["a"][:, 0]  # delays 0, 1, 5 of sources that send at steps 1 and 5, 2, 4
    assert {int(t): int(first[t]) for t in np.flatnonzero(first)} == {1: 2, 3: 4, 5: 2, 9: 6}
    second = r["a"][:, 1]  # delays 63, 2, 0
    assert {int(t): int(second[t]) for t in np.flatnonzero(second)} == {
        4: 10 + 12, 64: 8, 68: 8}


@pytest.mark.parametrize("kind", ["delay_dense", "delay_sparse"])
def test_the_shift_is_of_each_sum_of_one_delay_and_one_target(kind: str) -> None:
    """What arrives at the same step by another delay is shifted by itself."""
    r = recorded(f"{kind}_shift")
    assert (r["weights"].tolist(), r["delays"].tolist()) == ([[3, 3, 3]], [[1, 1, 0]])
    # Step 1: two of delay 1. Steps 3 and 4: one of delay 1, one of delay 0, arriving at 5.
    assert r["a"][:, 0].tolist() == [0, 0, (3 + 3) >> 2, 0, 0, 0, 0]


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_follows_the_stated_rules(name: str) -> None:
    r = recorded(name)
    assert np.array_equal(r["a"], rules.convolution(r))
    assert r["a"].any()


def test_conv_adds_its_kernel_around_a_spike_as_it_is() -> None:
    """A true convolution: the impulse response is the kernel. A correlation would flip it."""
    r = recorded("conv_of_one_spike")
    around = r["a"][1, 2:5, 1:3, 0]
    assert np.array_equal(around, r["weight"][0, :, :, 0])
    assert np.count_nonzero(r["a"]) == 6


def test_conv_pads_both_ends_of_an_axis_alike() -> None:
    r = recorded("conv_of_one_spike")
    assert r["spikes"].shape[:2] == (4, 3)
    assert r["padding"].tolist() == [2, 1]
    assert r["a"].shape[1:3] == (4 + 2 * 2 - 2, 3 + 2 * 1 - 1)


def test_conv_ignores_its_exponent_and_bits_and_does_not_clip() -> None:
    up, bits = recorded("conv_ignores_its_exponent"), recorded("conv_ignores_its_bits")
    assert int(up["weight_exp"]) == 3
    assert up["a"][1, 0, 0].tolist() == [3, -1, 255, 1000]
    assert int(bits["num_weight_bits"]) == 4
    assert bits["a"][1, 0, 0].tolist() == [3, -1, 255, -1000]


def test_conv_wraps_at_24_bits() -> None:
    r = recorded("conv_wraps_at_24_bits")
    limit = 1 << 23
    assert r["a"][1, 0, 0].tolist() == [limit - 1, -limit, -limit, limit - 1, (3 << 22) - (1 << 24),
                                        5]


FORMATS = [(mode, bits) for mode in ("mixed", "excitatory", "inhibitory")
           for bits in range(2 if mode == "mixed" else 1, 9)]


@pytest.mark.parametrize(("mode", "bits"), FORMATS)
def test_what_neurocompile_stores_is_kept_whole_by_these_rules(mode: str, bits: int) -> None:
    """A mantissa at the top of the field, as plan.weights writes it, loses nothing to clipping
    and flooring, and with weight_exp comes out as mantissa << format.exponent."""
    form = FixedPoint(bits, signed=mode == "mixed", exponent=9)
    projection: Any = SimpleNamespace(format=form)
    shift = weight_shift(projection)
    sign = -1 if mode == "inhibitory" else 1
    mantissas = sign * np.arange(form.low, form.high + 1)
    kept = rules.stored_weights(mantissas << shift, mode.upper(), bits)
    assert np.array_equal(kept << (form.exponent - shift), mantissas << form.exponent)
