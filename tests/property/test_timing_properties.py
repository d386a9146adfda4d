"""The compiled network simulator against the tick-by-tick reference, and laws of its own."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from noc_factory import Case, mesh_of, ordered, step_of
from noc_reference import Chips, run

from neurocompile_backends.chip.timing.estimate import CORE_BINS, estimate, new_estimate_state
from neurocompile_backends.chip.timing.layout import (
    DELIVERED,
    FINISHED,
    R_LAG,
    R_NETWORK,
    R_RECEIVING,
    R_SENDING,
    R_STALLED,
    R_TICKS,
    TAKEN,
    new_result,
)
from neurocompile_backends.chip.timing.network import new_state, simulate

TICKS = st.one_of(st.just(0), st.integers(0, 6), st.integers(0, 150))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Up to 3 x 3 tiles on up to 3 chips, up to 8 cores, up to 60 flits, for one core each or for
    several."""
    width, height = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    count = draw(st.integers(1, 3))
    tile = st.tuples(st.integers(0, width * count - 1), st.integers(0, height - 1))
    n_cores = draw(st.integers(1, 8))
    cores = draw(st.lists(tile, min_size=n_cores, max_size=n_cores))
    used = 1 + max(x for x, _ in cores) // width
    hop = st.one_of(st.integers(1, 3), st.integers(1, 80))
    # Intervals above and below the time of a hop: flits on a link one by one, and several at once.
    chips = Chips(width, height, used, draw(hop), draw(hop), draw(hop), draw(hop), draw(hop),
                  draw(st.integers(1, 4)), draw(st.integers(1, 3)),
                  (draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))),
                  tuple(cores))
    senders = len(chips.senders())
    # One core that gets most flits makes queues; few senders make long ones.
    favourite = draw(st.integers(0, len(cores) - 1))
    dest = st.one_of(st.just(favourite), st.integers(0, len(cores) - 1))
    count = draw(st.integers(0, 60))
    ticks = draw(st.sampled_from((TICKS, st.integers(0, 2))))
    fan = draw(st.sampled_from((1, 1, 3, len(cores))))
    flits = draw(st.lists(st.tuples(st.integers(0, senders - 1), ticks,
                                    st.dictionaries(dest, ticks, min_size=1, max_size=fan)),
                          min_size=count, max_size=count))
    sends = [[ordered(chips, gap, works) for sender, gap, works in flits if sender == s]
             for s in range(senders)]
    return Case(chips, sends, draw(st.lists(TICKS, min_size=senders, max_size=senders)))


@given(cases())
def test_every_time_and_counter_equals_the_reference(case: Case) -> None:
    expected = run(case.chips, case.sends, case.tails)
    mesh, got = case.simulated()
    destinations = case.destinations()
    assert got.handed.tolist() == [expected.handed[f] for f in range(len(got.handed))]
    for column, times in ((DELIVERED, expected.delivered), (TAKEN, expected.taken),
                          (FINISHED, expected.finished)):
        assert got.trace[:, column].tolist() == [times[d] for d in destinations], column
    assert got.summary[R_TICKS] == expected.ticks
    assert got.summary[R_LAG] == expected.lag
    senders = case.chips.senders()
    assert got.done.tolist() == [expected.done[s] for s in senders]
    assert got.stalled.tolist() == [expected.stalled[s] for s in senders]
    cores = range(len(case.chips.cores))
    assert got.busy.tolist() == [expected.busy[c] for c in cores]
    assert got.core_peak.tolist() == [expected.core_peak[c] for c in cores]
    assert got.finish.tolist() == [max((expected.finished[d] for d in destinations if d[1] == c),
                                       default=0) for c in cores]
    routers = [(i % mesh.columns, i // mesh.columns) for i in range(len(mesh.links))]
    for (start, end), count in expected.link_flits.items():
        way = ((1, 0), (-1, 0), (0, 1), (0, -1)).index((end[0] - start[0], end[1] - start[1]))
        link = mesh.links[routers.index(start), way]
        assert got.link_flits[link] == count
        name = ("W", "E", "S", "N")[way], 0
        assert got.buffer_peak[link] == expected.fifo_peak[end, name]
    for s, sender in enumerate(senders):
        place = case.chips.place(sender)
        assert got.buffer_peak[mesh.n_links + s] == expected.fifo_peak[place, sender]
    assert len(expected.link_flits) == mesh.n_links

    # In = out + in flight, at the end of every tick: ours against what the reference holds.
    entered = got.handed[[flit for flit, _ in destinations]]
    for t, outstanding in enumerate(expected.outstanding):
        assert (entered <= t).sum() == (got.trace[:, DELIVERED] <= t).sum() + outstanding


@given(cases())
def test_hops_are_those_of_the_routes_and_times_are_in_order(case: Case) -> None:
    """Copies of a flit share the links that their routes have in common."""
    _, got = case.simulated()
    hops = 0
    for sender, own in zip(case.chips.senders(), case.sends, strict=True):
        x, y = case.chips.place(sender)
        for flit in own:
            links = set()
            for core in flit.dests:
                to_x, to_y = case.chips.cores[core]
                links |= {((a, y), to_x > x) for a in range(min(x, to_x), max(x, to_x))}
                links |= {((to_x, b), to_y > y, "y") for b in range(min(y, to_y), max(y, to_y))}
                if len(flit.dests) == 1:
                    assert len(links) == abs(to_x - x) + abs(to_y - y)
            hops += len(links)
    assert got.link_flits.sum() == hops
    trace = got.trace
    handed = got.handed[[flit for flit, _ in case.destinations()]]
    assert (handed <= trace[:, DELIVERED]).all()
    assert (trace[:, DELIVERED] <= trace[:, TAKEN]).all()
    assert (trace[:, TAKEN] < trace[:, FINISHED]).all()
    work = [max(1, w) for own in case.sends for flit in own for w in flit.works]
    assert got.busy.sum() == sum(work)
    assert (trace[:, FINISHED] - trace[:, TAKEN]).tolist() == work


@given(cases())
def test_the_parts_of_the_critical_path_are_the_step(case: Case) -> None:
    _, got = case.simulated()
    parts = got.summary[[R_SENDING, R_STALLED, R_NETWORK, R_RECEIVING]]
    assert (parts >= 0).all()
    assert parts.sum() == got.summary[R_TICKS]


@given(cases(), st.randoms(use_true_random=False))
def test_used_buffers_leave_no_trace_in_the_next_step(case: Case, random: Random) -> None:
    mesh = mesh_of(case.chips)
    step = step_of(case.sends, case.tails)
    mixed = [flit for own in case.sends for flit in own]
    random.shuffle(mixed)
    turns = [mixed[s::len(case.sends)] for s in range(len(case.sends))]
    between = step_of(turns, case.tails)
    # One more than needed: what is beyond a step's flits is not read.
    room = len(step.gap) + 1, len(step.dest) + 1
    state, fresh, again = new_state(mesh, *room), new_result(mesh, *room), new_result(mesh, *room)
    simulate(mesh, step, fresh, state)
    simulate(mesh, between, new_result(mesh), state)
    simulate(mesh, step, again, state)
    for name, a, b in zip(fresh._fields, fresh, again, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


@given(cases(), st.integers(0, 1 << 55))
def test_a_later_start_moves_every_time_alike(case: Case, later: int) -> None:
    """Also: times beyond what the reference can count to, through every level of the queue."""
    sends = [[flits[0]._replace(gap=flits[0].gap + later), *flits[1:]] if flits else []
             for flits in case.sends]
    _, early = case.simulated()
    _, late = Case(case.chips, sends, case.tails).simulated()
    np.testing.assert_array_equal(late.handed, early.handed + later)
    np.testing.assert_array_equal(late.trace, early.trace + later)
    np.testing.assert_array_equal(late.stalled, early.stalled)
    np.testing.assert_array_equal(late.buffer_peak, early.buffer_peak)
    np.testing.assert_array_equal(late.core_peak, early.core_peak)
    assert late.summary[R_LAG] == early.summary[R_LAG]


@given(cases())
def test_the_estimate_is_below_by_no_more_than_lag_and_bin(case: Case) -> None:
    mesh, exact = case.simulated()
    step = step_of(case.sends, case.tails)
    got, state = new_result(mesh), new_estimate_state(mesh, len(step.dest))
    assert estimate(mesh, step, got, state) == got.summary[R_TICKS]
    np.testing.assert_array_equal(got.link_flits, exact.link_flits)
    np.testing.assert_array_equal(got.busy, exact.busy)
    lag = exact.summary[R_LAG]
    allowed = lag + exact.trace[:, DELIVERED].max(initial=0) / CORE_BINS
    for low, value in ((got.summary[:1], exact.summary[:1]), (got.finish, exact.finish),
                       (got.done, exact.done)):
        assert (low <= value).all()
        assert (value - low <= allowed).all()
    ticks = exact.summary[R_TICKS]
    if lag <= ticks / 20:
        assert ticks - got.summary[R_TICKS] <= ticks / 10
    parts = got.summary[[R_SENDING, R_STALLED, R_NETWORK, R_RECEIVING]]
    assert (parts >= 0).all()
    assert parts.sum() == got.summary[R_TICKS]
    again = new_result(mesh)
    estimate(mesh, step, again, state)
    for name, a, b in zip(got._fields, got, again, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)
