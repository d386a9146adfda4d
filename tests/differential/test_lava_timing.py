"""When things happen in Lava and what lasts from one run to the next, as recorded: docs/lava.md
names these tests beside its claims. Steps count from 1."""

from __future__ import annotations

import numpy as np
import pytest
from lava_runs import Arrays, primitives


def recorded(name: str) -> Arrays:
    return primitives()[name]


def steps(values: np.ndarray) -> list[int]:
    return (np.flatnonzero(values) + 1).tolist()


def test_a_ring_buffer_sends_column_i_at_step_i_plus_1_and_starts_over() -> None:
    assert steps(recorded("times_of_a_source")["s"]) == [1, 4]  # columns 0 and 3
    assert steps(recorded("times_of_a_short_source")["s"]) == [2, 6, 10]  # column 1 of four


def test_a_port_that_is_connected_directly_is_received_at_the_same_step() -> None:
    assert steps(recorded("times_without_a_connection")["s"]) == [3]


def test_every_connection_takes_one_step() -> None:
    r = recorded("times_along_a_chain")
    assert [steps(r[name]) for name in ("source", "first", "second")] == [[2], [3], [4]]


def test_a_self_loop_takes_one_step() -> None:
    assert steps(recorded("times_of_a_self_loop")["s"]) == list(range(3, 13))


def test_a_loop_of_two_takes_two_steps() -> None:
    r = recorded("times_of_a_loop_of_two")
    assert steps(r["first"]) == [3, 5, 7, 9, 11]
    assert steps(r["second"]) == [4, 6, 8, 10, 12]


def test_a_delay_adds_to_the_step_of_the_connection() -> None:
    """Sent at step 2, delay 3."""
    assert steps(recorded("times_of_a_delay")["s"]) == [2 + 1 + 3]


def test_what_arrives_at_one_port_is_summed() -> None:
    """Two weights of 4, and a 1 by a direct connection."""
    r = recorded("fan_in_is_a_sum")
    assert {i + 1: int(r["u"][i, 0]) for i in np.flatnonzero(r["u"])} == {3: (4 + 4 + 1) << 6}


def test_monitors_give_floats_of_the_state_after_the_reset() -> None:
    r = recorded("monitors_show_the_state_after_the_reset")
    assert [r[name].dtype for name in "suv"] == [np.float64] * 3
    assert r["s"][:, 0].tolist() == [0, 1, 0, 1, 0, 1]
    assert r["v"][:, 0].tolist() == [3840, 0, 3840, 0, 3840, 0]
    assert r["u"][:, 0].tolist() == [3840] * 6


def test_a_second_run_is_the_first_again_only_if_states_and_buffers_are_cleared() -> None:
    cleared = recorded("runs_with_everything_cleared")
    assert np.array_equal(cleared["s"][:10], cleared["s"][10:])
    assert np.array_equal(cleared["u_left"], cleared["u_end"])
    assert cleared["s"].any()
    assert cleared["a_buff_left"].all()  # spikes under way
    for name in ("runs_with_states_cleared", "runs_with_nothing_cleared"):
        r = recorded(name)
        assert np.array_equal(r["s"][:10], cleared["s"][:10])
        assert not np.array_equal(r["s"][:10], r["s"][10:])


def test_time_goes_on_from_run_to_run() -> None:
    """The source does not start over, and LIFReset counts all steps: it clears at 6."""
    r = recorded("runs_continue_the_time")
    assert r["a"].tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]]
    assert (r["v"] / 64).tolist() == [1 + 2 + 3 + 4, 1 + 2 + 3 + 4 + 5, 6, 6 + 7, 6 + 7 + 8]


def test_what_is_set_between_runs_holds_from_the_next_step_but_for_the_threshold() -> None:
    """In turn: nothing, v, the bias mantissas 7 and 9, vth 1, the bias exponents 1 and -1."""
    r = recorded("sets_hold_from_the_next_step")
    assert r["v"].T.tolist() == [[1, 1000 + 1, 1008, 1015, 1015 + 14],
                                 [2, -1000 + 2, -989, -980, -980 + 4]]
    assert not r["s"].any()  # 1015 > 1 << 6: the threshold was shifted once, at step 1


def test_weights_are_clipped_at_the_first_step_only() -> None:
    r = recorded("weights_set_later_are_not_clipped")
    assert (r["weights_before"].tolist(), r["weights_after"].tolist()) == ([[254]], [[301]])
    assert r["a"][:, 0].tolist() == [0, 254, 254, 254, 301, 301]


def test_what_is_not_connected_with_the_process_that_is_run_does_not_run() -> None:
    r = recorded("parts_that_are_not_connected_do_not_run")
    assert r["ran"].tolist() == [15]
    assert r["other"].tolist() == [0]


@pytest.mark.parametrize("name", ["runs_continue_the_time", "sets_hold_from_the_next_step"])
def test_get_gives_floats(name: str) -> None:
    assert recorded(name)["v"].dtype == np.float64
