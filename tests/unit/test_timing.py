"""The rules of docs/timing.md, each in a case small enough to count by hand.

Links take 3 ticks east and west, 5 north and south and 20 between chips, and a flit after 3 and
between chips 20 ticks, unless stated; buffers have two slots; a chip has 4 x 3 tiles and its host
at (0, 0) (``noc_factory.small``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pytest
from conftest import ROOT
from noc_factory import Case, flit, mesh_of, ordered, sending, small, step_of
from noc_reference import Flit, run

from neurocompile.ir.mapping import Placement
from neurocompile.targets import available, load_target
from neurocompile_backends.chip.timing.estimate import estimate, new_estimate_state
from neurocompile_backends.chip.timing.layout import (
    DELIVERED,
    FINISHED,
    HOPS,
    P_INTERVAL,
    P_TICKS,
    R_LAG,
    R_NETWORK,
    R_REASON,
    R_RECEIVING,
    R_SENDING,
    R_STALLED,
    R_TICKS,
    R_UNIT,
    REASONS,
    TAKEN,
    Result,
    barrier_ticks,
    build_mesh,
    hop_counts,
    hop_energy_pj,
    new_result,
    ticks_of,
    tiles_in_use,
)
from neurocompile_backends.chip.timing.network import new_state, simulate


def times(result: Result, column: int) -> list[int]:
    return [int(t) for t in result.trace[:, column]]


def traced(case: Case) -> Result:
    """The simulated step, after the reference agreed on every time."""
    _, result = case.simulated()
    expected = run(case.chips, case.sends, case.tails)
    assert result.handed.tolist() == [expected.handed[f] for f in range(len(result.handed))]
    for column, expected_times in ((DELIVERED, expected.delivered), (TAKEN, expected.taken),
                                   (FINISHED, expected.finished)):
        assert times(result, column) == [expected_times[d] for d in case.destinations()]
    return result


@pytest.mark.parametrize(("start", "end", "hops", "ticks"), [
    ((0, 0), (3, 0), 3, 9), ((3, 0), (0, 0), 3, 9),
    ((0, 0), (0, 2), 2, 10), ((0, 2), (0, 0), 2, 10),
    ((3, 0), (4, 0), 1, 20), ((4, 0), (3, 0), 1, 20),
    ((2, 1), (5, 2), 4, 31), ((2, 2), (2, 2), 0, 0)])
def test_one_flit_takes_the_ticks_of_its_links(start: tuple[int, int], end: tuple[int, int],
                                               hops: int, ticks: int) -> None:
    result = traced(sending(small([start, end]), {0: [flit(7, 1, 10)]}))
    assert result.handed.tolist() == [7]
    assert result.trace.tolist() == [[7 + ticks, 7 + ticks, 17 + ticks]]
    assert result.summary[R_TICKS] == 17 + ticks
    assert result.link_flits.sum() == hops
    assert result.summary[R_LAG] == 0


def test_a_flit_goes_along_x_before_y() -> None:
    mesh, result = sending(small([(1, 0), (2, 2)]), {0: [flit(0, 1, 1)]}).simulated()
    used = [(i % mesh.columns, i // mesh.columns, way) for i, links in enumerate(mesh.links)
            for way, link in enumerate(links) if link >= 0 and result.link_flits[link]]
    assert used == [(1, 0, 0), (2, 0, 2), (2, 1, 2)]


def test_the_sender_works_on_a_flit_after_the_one_before() -> None:
    result = traced(sending(small([(0, 0), (1, 0)]),
                            {0: [flit(4, 1, 1), flit(6, 1, 1), flit(0, 1, 1)]}, {0: 5}))
    assert result.handed.tolist() == [4, 10, 10]
    assert result.done.tolist() == [15, 0, 0]
    assert result.stalled.tolist() == [0, 0, 0]


def test_a_sender_without_flits_is_done_after_its_tail() -> None:
    result = traced(sending(small([(0, 0), (1, 0)]), {}, {1: 9}))
    assert result.done.tolist() == [0, 9, 0]
    assert result.summary[R_TICKS] == 9


def test_nothing_sent_takes_no_time() -> None:
    result = traced(sending(small([(0, 0)]), {}))
    assert result.summary[R_TICKS] == 0
    assert result.summary[R_UNIT] == -1
    assert REASONS[result.summary[R_REASON]] == "nothing"


def test_two_flits_for_one_link_go_one_after_the_other() -> None:
    result = traced(sending(small([(0, 0), (0, 0), (1, 0), (1, 0)]),
                            {0: [flit(0, 2, 1)], 1: [flit(0, 3, 1)]}))
    assert result.handed.tolist() == [0, 0]
    assert times(result, DELIVERED) == [3, 6]
    assert result.summary[R_LAG] == 3


@pytest.mark.parametrize(("interval", "delivered"), [
    (1, [3, 4]), (2, [3, 5]), (3, [3, 6]), (7, [3, 10])])
def test_flits_of_a_link_are_its_interval_apart(interval: int, delivered: list[int]) -> None:
    """Each is on its way for 3 ticks, whether others are or not."""
    chips = small([(0, 0), (0, 0), (1, 0), (1, 0)], interval=interval)
    result = traced(sending(chips, {0: [flit(0, 2, 1)], 1: [flit(0, 3, 1)]}))
    assert times(result, DELIVERED) == delivered
    assert result.summary[R_LAG] == interval


def test_a_flit_that_comes_within_the_interval_waits_for_its_end() -> None:
    """The link is idle again in tick 7, long after the first flit arrived."""
    chips = small([(0, 0), (1, 0)], interval=7)
    result = traced(sending(chips, {0: [flit(0, 1, 1), flit(5, 1, 1), flit(7, 1, 1)]}))
    assert times(result, DELIVERED) == [3, 10, 17]


def test_links_between_chips_have_an_interval_of_their_own() -> None:
    """Ticks 0 and 6 over the border; and both take 5 ticks north, an interval of 3 apart."""
    chips = small([(3, 0), (3, 0), (4, 0), (4, 1)], border_interval=6)
    result = traced(sending(chips, {0: [flit(0, 2, 1)], 1: [flit(0, 2, 1)]}))
    assert times(result, DELIVERED) == [20, 26]
    chips = small([(0, 0), (0, 0), (0, 1)], border_interval=6)
    result = traced(sending(chips, {0: [flit(0, 2, 1)], 1: [flit(0, 2, 1)]}))
    assert times(result, DELIVERED) == [5, 8]


def test_several_flits_are_on_a_link_at_once() -> None:
    """Four within the 20 ticks of the first, each in a slot of its own behind the link."""
    chips = small([(3, 0), (4, 0)], border_interval=2, router_buffer=4)
    mesh, result = sending(chips, {0: [flit(0, 1, 1)] * 4}).simulated()
    assert traced(sending(chips, {0: [flit(0, 1, 1)] * 4})).handed.tolist() == [0, 0, 0, 0]
    assert times(result, DELIVERED) == [20, 22, 24, 26]
    assert result.buffer_peak[mesh.links[3, 0]] == 1  # what is on its way is not in the buffer


def test_a_flit_on_a_link_holds_a_slot_behind_it() -> None:
    """Flits leave at 0 and 2, and both slots are promised. The first arrives at 20 and goes on; its
    slot is free from 21, when the third leaves. The second frees its own from 23."""
    chips = small([(3, 0), (4, 0)], border_interval=2, router_buffer=2)
    result = traced(sending(chips, {0: [flit(0, 1, 1)] * 4}))
    assert times(result, DELIVERED) == [20, 22, 41, 43]


def test_inputs_take_turns() -> None:
    """Cores 0, 1 and 2 of a tile: 0 has three flits ready, yet each of the others goes before its
    second."""
    chips = small([(0, 0)] * 3 + [(1, 0)], router_buffer=3)
    result = traced(sending(chips, {0: [flit(0, 3, 1)] * 3, 1: [flit(0, 3, 1)],
                                    2: [flit(2, 3, 1)]}))
    assert times(result, DELIVERED) == [3, 12, 15, 6, 9]


def test_neighbours_come_before_cores_and_cores_before_the_host() -> None:
    """All arrive at tile (1, 0) in tick 3 for one core there."""
    chips = small([(2, 0), (0, 0), (1, 0), (1, 0)], host=(1, 0))
    result = traced(sending(chips, {0: [flit(0, 2, 1)], 1: [flit(0, 2, 1)], 3: [flit(3, 2, 1)],
                                    4: [flit(3, 2, 1)]}))
    assert times(result, DELIVERED) == [3, 4, 5, 6]


def test_a_head_that_waits_blocks_the_flit_behind_it() -> None:
    """The third flit's link west is idle all the time; it is head from tick 4 on."""
    chips = small([(1, 0), (2, 0), (0, 0)], router_buffer=3)
    result = traced(sending(chips, {0: [flit(0, 1, 1), flit(0, 1, 1), flit(0, 2, 1)]}))
    assert result.handed.tolist() == [0, 0, 0]
    assert times(result, DELIVERED) == [3, 6, 7]


def test_a_buffer_gives_one_flit_a_tick() -> None:
    """Two flits for two links that are both idle."""
    result = traced(sending(small([(1, 0), (2, 0), (0, 0)]),
                            {0: [flit(0, 1, 1), flit(0, 2, 1)]}))
    assert times(result, DELIVERED) == [3, 4]


def test_full_buffers_stop_the_sender() -> None:
    """One slot everywhere, a link of 3 ticks, a core that takes 100 a flit.

    Flit 0 leaves at 0, its slot is free from 1. At 3 it arrives and goes on at once; its slot there
    is free from 4, when flit 1 leaves. Flit 2 waits in the last router from 11 to 104, the tick
    after the core took flit 1; flit 3 waits for that slot, and the sender for flit 3.
    """
    chips = small([(0, 0), (1, 0)], router_buffer=1, core_buffer=1)
    result = traced(sending(chips, {0: [flit(0, 1, 100)] * 6}, {0: 2}))
    assert result.handed.tolist() == [0, 1, 5, 9, 106, 206]
    assert times(result, DELIVERED) == [3, 7, 104, 204, 304, 404]
    assert times(result, TAKEN) == [3, 103, 203, 303, 403, 503]
    assert result.stalled.tolist() == [206, 0, 0]
    assert result.done[0] == 208
    assert result.summary[R_TICKS] == 603
    assert result.core_peak.tolist() == [0, 1]
    assert result.buffer_peak.max() == 1


def test_a_slot_freed_now_is_used_in_the_next_tick() -> None:
    """Two flits with gap 0 through one slot."""
    result = traced(sending(small([(0, 0), (1, 0), (0, 1)], router_buffer=1),
                            {0: [flit(0, 1, 1), flit(0, 2, 1)]}))
    assert result.handed.tolist() == [0, 1]
    assert times(result, DELIVERED) == [3, 6]


def test_a_core_works_on_one_flit_after_the_other() -> None:
    """Exits give one flit a tick; the third waits in the entrance with the fourth."""
    chips = small([(0, 0)] * 5, core_buffer=2)
    result = traced(sending(chips, {i: [flit(0, 4, 10)] for i in range(4)}))
    assert times(result, DELIVERED) == [0, 1, 2, 11]
    assert times(result, TAKEN) == [0, 10, 20, 30]
    assert result.core_peak.tolist() == [0, 0, 0, 0, 2]
    assert result.busy.tolist() == [0, 0, 0, 0, 40]
    assert result.finish.tolist() == [0, 0, 0, 0, 40]


def test_work_below_a_tick_is_a_tick() -> None:
    result = traced(sending(small([(0, 0), (1, 0)]), {0: [flit(0, 1, 0)]}))
    assert result.trace.tolist() == [[3, 3, 4]]


def test_a_core_sends_to_itself_through_its_router() -> None:
    result = traced(sending(small([(2, 1)]), {0: [flit(4, 0, 3), flit(0, 0, 3)]}))
    assert result.handed.tolist() == [4, 4]
    assert result.trace.tolist() == [[4, 4, 7], [5, 7, 10]]
    assert result.link_flits.sum() == 0


def test_hosts_send_from_their_own_tile_of_each_chip() -> None:
    """The host of chip 1 is at (1 + 4, 2); that of chip 0 reaches chip 1 over the border."""
    chips = small([(5, 0), (6, 2)], host=(1, 2))
    result = traced(sending(chips, {2: [flit(1, 1, 1)], 3: [flit(2, 0, 1), flit(0, 1, 1)]}))
    assert times(result, DELIVERED) == [1 + 2 * 3 + 20 + 2 * 3, 2 + 2 * 5, 3 + 3]


def test_a_tile_of_many_cores_keeps_their_turns() -> None:
    """More inputs than a word has bits: 70 cores, then a second round of every other one."""
    chips = small([(0, 0)] * 70, core_buffer=3)
    sends = {i: [flit(0, 69, 1)] * (2 - i % 2) for i in range(70)}
    result = traced(sending(chips, sends))
    firsts = result.trace[np.r_[True, np.diff(_senders(sends)) > 0], DELIVERED]
    assert firsts.tolist() == list(range(70))
    assert sorted(times(result, DELIVERED)) == list(range(105))


def _senders(sends: dict[int, list[Flit]]) -> Iterable[int]:
    return np.repeat(list(sends), [len(own) for own in sends.values()])


def test_a_flit_for_several_cores_is_copied_where_routes_part() -> None:
    """From (1, 0) for (0, 0), (3, 0), (3, 2) and a core beside the sender: 1 + 2 + 2 links, not
    1 + 2 + 4, and every copy is as early as if it were alone."""
    chips = small([(1, 0), (1, 0), (0, 0), (3, 0), (3, 2)])
    case = sending(chips, {0: [ordered(chips, 7, {1: 1, 2: 1, 3: 1, 4: 1})]})
    result = traced(case)
    assert dict(zip(case.sends[0][0].dests, times(result, DELIVERED), strict=True)) == {
        1: 7, 2: 10, 3: 13, 4: 23}
    assert result.link_flits.sum() == 5
    assert result.summary[R_LAG] == 0
    estimated = new_result(mesh_of(chips))
    estimate(mesh_of(chips), step_of(case.sends, case.tails), estimated,
             new_estimate_state(mesh_of(chips), 4))
    assert estimated.summary.tolist() == result.summary.tolist()
    assert estimated.link_flits.tolist() == result.link_flits.tolist()


def test_a_flit_leaves_its_buffer_with_its_last_copy() -> None:
    """One slot a buffer. The link east is taken by core 1's flit until 3, and the slot behind it is
    free from 4: core 0's flit for both sides leaves west at 1, east at 4; its slot is free from 5.
    """
    chips = small([(1, 0), (1, 0), (0, 0), (2, 0)], router_buffer=1)
    case = sending(chips, {0: [ordered(chips, 1, {2: 1, 3: 1}), flit(0, 2, 1)],
                           1: [flit(0, 3, 1)]})
    result = traced(case)
    assert result.handed.tolist() == [1, 5, 0]
    assert times(result, DELIVERED) == [4, 7, 8, 3]
    assert result.stalled.tolist() == [4, 0, 0, 0, 0]


def summary(case: Case) -> tuple[int, str, list[int]]:
    """Critical unit, reason and parts."""
    result = traced(case)
    parts = result.summary[[R_SENDING, R_STALLED, R_NETWORK, R_RECEIVING]]
    return int(result.summary[R_UNIT]), REASONS[result.summary[R_REASON]], parts.tolist()


def test_a_step_that_ends_with_a_sender_waits_for_sending() -> None:
    case = sending(small([(0, 0), (1, 0)]), {0: [flit(5, 1, 2)]}, {0: 60})
    assert summary(case) == (0, "sending", [65, 0, 0, 0])


def test_a_step_that_ends_with_a_core_begins_with_the_flit_that_woke_it() -> None:
    """Core 1 works from 8 to 28 without a pause; before that, 5 ticks of sending and 3 of link."""
    case = sending(small([(0, 0), (1, 0)]), {0: [flit(5, 1, 10), flit(1, 1, 10)]})
    assert summary(case) == (1, "receiving", [5, 0, 3, 20])


def test_a_long_way_is_waiting_for_the_network() -> None:
    case = sending(small([(0, 0), (4, 0)]), {0: [flit(5, 1, 2)]})
    assert summary(case) == (1, "waiting for the network", [5, 0, 29, 2])


def test_a_sender_that_stood_still_longest_was_stalled() -> None:
    """As in ``test_full_buffers_stop_the_sender``: from the fifth on a flit is handed over every
    100 ticks, the tenth at 606, and the core ends at 1003."""
    chips = small([(0, 0), (1, 0)], router_buffer=1, core_buffer=1)
    case = sending(chips, {0: [flit(0, 1, 100)] * 10}, {0: 400})
    assert summary(case) == (0, "stalled", [400, 606, 0, 0])
    case = sending(chips, {0: [flit(0, 1, 100)] * 5 + [flit(0, 0, 350)]})
    assert summary(case) == (0, "receiving", [0, 206, 0, 350])


def test_of_units_that_end_together_the_first_is_critical() -> None:
    case = sending(small([(0, 0), (1, 0)]), {0: [flit(5, 1, 2)]}, {0: 5, 1: 10})
    assert summary(case) == (0, "sending", [10, 0, 0, 0])


def test_the_estimate_is_exact_for_one_flit() -> None:
    case = sending(small([(2, 1), (5, 2)]), {0: [flit(7, 1, 10)]})
    mesh, exact = case.simulated()
    result = new_result(mesh)
    estimate(mesh, step_of(case.sends, case.tails), result, new_estimate_state(mesh, 1))
    assert result.summary.tolist() == exact.summary.tolist()
    assert result.link_flits.tolist() == exact.link_flits.tolist()
    assert result.busy.tolist() == exact.busy.tolist()


@pytest.mark.parametrize(("interval", "ticks"), [(20, 801), (4, 39 * 4 + 21), (25, 39 * 25 + 21)])
def test_the_estimate_knows_a_link_that_is_too_slow(interval: int, ticks: int) -> None:
    """Four cores of a tile send ten flits each over one link of 20 ticks to two of the next chip.

    The last of 40 enters the link after 39 intervals, and is worked on for a tick at its end.
    """
    chips = small([(3, 0)] * 4 + [(4, 0)] * 2, border_interval=interval, router_buffer=8)
    case = sending(chips, {i: [flit(0, 4 + i % 2, 1)] * 10 for i in range(4)})
    mesh, exact = case.simulated()
    result = new_result(mesh)
    estimate(mesh, step_of(case.sends, case.tails), result, new_estimate_state(mesh, 40))
    assert exact.summary[R_TICKS] == ticks
    assert result.summary[R_TICKS] == ticks
    assert result.summary[R_UNIT] == -1
    assert REASONS[result.summary[R_REASON]] == "waiting for the network"


@pytest.mark.parametrize(("tiles", "ticks"), [
    (0, 0), (1, 6000), (2, 10000), (3, 10000), (4, 14000), (28, 14000), (29, 18000), (128, 18000)])
def test_the_barrier_grows_with_the_tiles(tiles: int, ticks: int) -> None:
    assert barrier_ticks(load_target("loihi1").timing, tiles) == ticks


def test_tiles_of_two_chips_are_two_tiles() -> None:
    placement = Placement(np.array([0, 0, 0, 1]), np.array([2, 2, 3, 2]), np.array([1, 1, 1, 1]))
    assert tiles_in_use(placement) == 3


def test_hops_have_the_times_and_energies_of_the_target() -> None:
    """Core at (7, 0) of chip 0 to (1, 2) of chip 1: a border, a tile east, two north."""
    target = load_target("loihi1")
    mesh = build_mesh(target, Placement(np.array([0, 1]), np.array([7, 1]), np.array([0, 2])))
    case = sending(small([(7, 0), (9, 2)]), {0: [flit(51, 1, 160)]})
    step = step_of(case.sends[:4], case.tails[:4])
    result = new_result(mesh)
    estimate(mesh, step, result, new_estimate_state(mesh, 1))
    assert result.summary[R_TICKS] == 51 + 650 + 41 + 2 * 65 + 160
    assert hop_counts(mesh, result.link_flits) == {
        "hop_east_west": 1, "hop_north_south": 2, "hop_chip": 1}
    assert hop_energy_pj(mesh, result.link_flits) == pytest.approx(42.0 + 3.0 + 2 * 4.2)


@pytest.mark.parametrize("name", available())
def test_every_shipped_target_has_a_mesh(name: str) -> None:
    target = load_target(name)
    one = np.zeros(1, np.int64)
    mesh = build_mesh(target, Placement(one, one, one))
    width, height = target.chip.mesh_width, target.chip.mesh_height
    assert mesh.n_links == 2 * (width * (height - 1) + height * (width - 1))
    ticks = {ticks_of(target, "hop_east_west"), ticks_of(target, "hop_north_south")}
    assert set(mesh.ports[:mesh.n_links, P_TICKS].tolist()) == ticks
    assert set(mesh.ports[:mesh.n_links, P_INTERVAL].tolist()) == {
        target.timing.link_interval_ticks}


def test_links_have_the_intervals_of_the_target() -> None:
    target = load_target("loihi1")
    mesh = build_mesh(target, Placement(np.array([0, 1]), np.array([7, 0]), np.array([0, 0])))
    between = mesh.link_kind == HOPS.index("hop_chip")
    assert between.sum() == 2 * target.chip.mesh_height
    assert set(mesh.ports[:mesh.n_links, P_INTERVAL][between].tolist()) == {100}
    assert set(mesh.ports[:mesh.n_links, P_INTERVAL][~between].tolist()) == {10}


def test_a_mesh_of_one_tile_has_no_links() -> None:
    mesh = mesh_of(small([(0, 0)], width=1, height=1, chips=1))
    assert mesh.n_links == 0
    assert mesh.inputs.tolist() == [[-1, -1, -1, -1, 0, 1]]


def test_the_example_of_the_page() -> None:
    """docs/timing.md: three neurons, the second fires; ten synapses at (2, 1)."""
    target = load_target("loihi1")
    cost = {event: ticks_of(target, event) for event in target.costs}
    neuron = cost["neuron_access"] + cost["neuron_update"]
    placement = Placement(np.array([0, 0]), np.array([0, 2]), np.array([0, 1]))
    mesh = build_mesh(target, placement)
    spike = flit(2 * neuron + cost["neuron_spike"] + cost["axon_out"], 1,
                 cost["axon_in"] + 10 * cost["synapse_dense"])
    step = step_of([[spike], [], []], [neuron, 5 * neuron, 0])
    result = new_result(mesh, 1, 1)
    ticks = simulate(mesh, step, result, new_state(mesh, 1, 1))
    assert result.handed.tolist() == [545]
    assert result.done.tolist() == [642, 485, 0]
    assert result.trace.tolist() == [[692, 692, 1232]]
    assert ticks + barrier_ticks(target.timing, tiles_in_use(placement)) == 11232
    assert result.summary.tolist() == [1232, 0, 1, 1, 545, 0, 147, 540]


def test_the_page_names_tests_that_exist_and_all_rules() -> None:
    page = (ROOT / "docs" / "timing.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    defined = {name for path in (ROOT / "tests").glob("*/test_timing*.py")
               for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}
    assert named - defined == set()
    rules = re.findall(r"^\| \*\*(N\d) .*\| `test_", page, re.MULTILINE)
    assert rules == [f"N{i}" for i in range(1, 9)]
