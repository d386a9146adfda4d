"""Trees of random placements against the routes they are made of, link by link."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.ir.mapping import Placement
from neurocompile.ir.target import ChipLayout
from neurocompile.passes.trees import descend
from neurocompile.verification.mesh import at, places_of, total_hops
from neurocompile.verification.routes import Trees, tree_bound, tree_hops


@st.composite
def cases(draw: st.DrawFn) -> tuple[Trees, Placement, ChipLayout]:
    layout = ChipLayout(4 * 5 * 2, 4, 5, 2, 3, "multicast")
    n = draw(st.integers(2, 12))
    senders = draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=6))
    receivers = [sorted(draw(st.sets(st.integers(0, n - 1).filter(lambda c, s=s: c != s),
                                     min_size=1))) for s in senders]
    rate = draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=len(senders),
                         max_size=len(senders)))
    trees = Trees(np.array(senders), np.array(rate),
                  np.cumsum([0, *map(len, receivers)]), np.concatenate(receivers))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    places = places_of(layout, 3 * layout.cores)
    return trees, at(places, rng.permutation(len(places.chip))[:n]), layout


def route(a: tuple[int, int], b: tuple[int, int]) -> set[frozenset[tuple[int, int]]]:
    """Links from a to b, along x and then along y."""
    tiles = [a]
    while tiles[-1] != b:
        x, y = tiles[-1]
        if x != b[0]:
            tiles.append((x + (1 if b[0] > x else -1), y))
        else:
            tiles.append((x, y + (1 if b[1] > y else -1)))
    return {frozenset(pair) for pair in pairwise(tiles)}


@given(cases())
def test_a_tree_is_the_union_of_its_routes(case: tuple[Trees, Placement, ChipLayout]) -> None:
    trees, placement, layout = case
    x = placement.chip * layout.mesh_width + placement.x
    tile = list(zip(x.tolist(), placement.y.tolist(), strict=True))
    total = unicast = 0.0
    between = np.zeros((len(tile), len(tile)))
    for i, (sender, rate) in enumerate(zip(trees.source, trees.rate, strict=True)):
        receivers = trees.cores[trees.indptr[i]:trees.indptr[i + 1]]
        links = set().union(*(route(tile[sender], tile[r]) for r in receivers))
        total += rate * len(links)
        unicast += rate * sum(len(route(tile[sender], tile[r])) for r in receivers)
        between[sender, receivers] += rate
    measured = tree_hops(trees, placement, layout)
    assert measured == total
    assert total_hops(between, placement, layout) == unicast
    assert tree_bound(trees, layout) <= measured <= unicast
    if np.all(np.diff(trees.indptr) == 1):
        assert measured == unicast


@given(cases(), st.integers(0, 2**32))
def test_exchanges_count_links_as_the_measure_does_and_only_improve(
        case: tuple[Trees, Placement, ChipLayout], seed: int) -> None:
    trees, placement, layout = case
    n = len(placement.chip)
    places = places_of(layout, n)
    start = np.random.default_rng(seed).permutation(len(places.chip))[:n]
    found = descend(trees, places, layout, start, np.ones((n, len(places.chip)), bool))
    assert len(set(found.tolist())) == n
    before, after = (tree_hops(trees, at(places, p), layout) for p in (start, found))
    assert after <= before + 1e-9
    assert (after < before - 1e-6) or np.array_equal(found, start)
