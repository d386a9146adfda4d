"""Placement on the mesh: legal, close, and above its bound."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
from partition_factory import dense, network, neurons, project, source, target_with, unlimited

from neurocompile.facts import cost_facts
from neurocompile.ir.mapping import Mapping, Placement
from neurocompile.ir.target import ChipLayout, TargetSpec
from neurocompile.passes.partition import Partition
from neurocompile.passes.place import Place
from neurocompile.verification.hop_bound import _within_tiles, hop_bound
from neurocompile.verification.mapping import check_mapping
from neurocompile.verification.mesh import (
    at,
    hops_between,
    places_of,
    total_hops,
)
from neurocompile.verification.routes import links_of
from neurocompile.verification.traffic import traffic


def chain(target: TargetSpec, *sizes: int) -> Mapping:
    populations = [source("in", 1)]
    projections = []
    for i, n in enumerate(sizes):
        populations.append(neurons(f"p{i}", n))
        n_in = populations[-2].n
        projections.append(project(f"w{i}", populations[-2].name, f"p{i}", dense(n, n_in)))
    return Partition().run(network(target, populations, projections))


def on_mesh(target: TargetSpec, width: int, height: int, cores_per_tile: int = 1,
            chips: int = 1) -> TargetSpec:
    return replace(target, chip=ChipLayout(width * height * cores_per_tile, width, height,
                                           cores_per_tile, chips))


def test_a_chain_of_cores_lies_along_the_mesh() -> None:
    mapping = Place().run(chain(on_mesh(unlimited(neurons=5), 4, 4), *([5] * 16)))
    between = traffic(mapping).between
    assert check_mapping(mapping) == []
    assert mapping.placement is not None
    assert total_hops(between, mapping.placement, mapping.target.chip) == between.sum()


def test_cores_of_a_tile_need_no_hop() -> None:
    mapping = Place().run(chain(target_with(neurons=5), 20))
    assert mapping.placement is not None
    assert len(set(mapping.placement.x.tolist())) == 1
    assert np.all(hops_between(mapping.placement, mapping.target.chip) == 0)


def test_the_hilbert_curve_goes_from_tile_to_neighbour() -> None:
    layout = ChipLayout(64, 8, 8, 1, 1)
    places = places_of(layout, 64)
    steps = hops_between(places, layout)
    assert all(steps[i, j] == 1 for i, j in pairwise(range(64)))
    assert len({(int(x), int(y)) for x, y in zip(places.x, places.y, strict=True)}) == 64


def test_more_cores_than_a_chip_go_on_the_next_and_their_links_are_said() -> None:
    mapping = Place().run(chain(on_mesh(unlimited(neurons=5), 2, 2, chips=3), *([5] * 9)))
    assert check_mapping(mapping) == []
    assert mapping.placement is not None
    assert np.bincount(mapping.placement.chip).max() <= 4
    between = traffic(mapping).between
    home = mapping.placement.chip
    apart = np.abs(home[:, None] - home)
    assert sum(n for _, _, n in links_of(mapping)) == (between * apart).sum() > 0


@pytest.mark.parametrize("layout", [
    ChipLayout(6, 3, 2, 1, 1), ChipLayout(6, 3, 1, 2, 1), ChipLayout(6, 2, 1, 3, 1)])
@pytest.mark.parametrize("seed", range(5))
def test_the_bound_is_below_the_best_of_all_placements(layout: ChipLayout, seed: int) -> None:
    between = np.random.default_rng(seed).integers(0, 9, (6, 6)).astype(float)
    np.fill_diagonal(between, 0)
    places = places_of(layout, 6)
    least = min(total_hops(between, at(places, np.array(p)), layout)
                for p in permutations(range(6)))
    assert 0 < hop_bound(between, layout) <= least


def test_exchanges_count_hops_as_the_measure_does() -> None:
    from neurocompile.passes.place import _Exchange

    layout = ChipLayout(12, 4, 3, 1, 1)
    rng = np.random.default_rng(3)
    between = rng.integers(0, 9, (10, 10)).astype(float)
    np.fill_diagonal(between, 0)
    places = places_of(layout, 10)
    search = _Exchange(between + between.T, hops_between(places, layout).astype(float), rng,
                       np.ones((10, 12), bool))
    start = np.arange(10)
    ended = search.descend(start)
    before, after = (total_hops(between, at(places, p), layout) for p in (start, ended))
    assert search._cost(ended) == pytest.approx(after)
    assert after < before
    for a in range(10):  # no exchange of two is left that helps
        for b in range(a):
            swapped = ended.copy()
            swapped[[a, b]] = swapped[[b, a]]
            assert total_hops(between, at(places, swapped), layout) >= after - 1e-9


def test_restarts_keep_cores_on_their_chips() -> None:
    """Of six cores a chip some change places, none with one of the other chip."""
    from neurocompile.passes.place import _Exchange

    layout = ChipLayout(6, 3, 2, 1, 2)
    places = places_of(layout, 12)
    allowed = places.chip == places.chip[:, None]
    search = _Exchange(np.zeros((12, 12)), hops_between(places, layout).astype(float),
                       np.random.default_rng(0), allowed)
    start = np.arange(12)
    for _ in range(20):
        shaken = search._shaken(start)
        assert sorted(shaken) == start.tolist() != shaken.tolist()
        assert allowed[start, shaken].all()


def test_facts_give_each_cost_with_its_bound_and_ratio() -> None:
    mapping = Place().run(chain(on_mesh(unlimited(neurons=5), 2, 2, chips=3), *([5] * 9)))
    facts = cost_facts(mapping)
    assert not facts["profiled"]
    for name in ("messages", "hops", "worst_core_operations"):
        entry = facts[name]
        assert entry["value"] >= entry["lower_bound"]
        assert entry["ratio_to_bound"] is None or entry["ratio_to_bound"] >= 1
    assert facts["messages"]["value"] == 8 * 5
    assert facts["worst_core_operations"]["value"] == 25
    assert facts["chips"] == 3
    assert sum(link["messages"] for link in facts["links"]) > 0
    quiet = replace(mapping, rates={f"p{i}": np.zeros(5) for i in range(9)})
    assert cost_facts(quiet)["profiled"]
    assert cost_facts(quiet)["hops"]["value"] == 0


def test_the_same_seed_places_alike() -> None:
    mapping = chain(on_mesh(unlimited(neurons=5), 4, 4), *([10] * 8))
    assert len({Place(seed=3).run(mapping).digest() for _ in range(2)}) == 1


def test_places_that_do_not_exist_or_are_taken_are_found() -> None:
    mapping = chain(on_mesh(unlimited(neurons=5), 2, 2), 15)

    def codes(*rows: list[int]) -> list[str]:
        placed = replace(mapping, placement=Placement(*(np.array(row) for row in rows)))
        return [d.code for d in check_mapping(placed)]

    assert codes([0, 0, 0], [0, 1, 0], [0, 0, 1]) == []
    assert codes([0, 0, 0], [0, 0, 1], [0, 0, 1]) == ["E536"]
    assert codes([0, 0, 0], [0, 2, 0], [0, 0, -1]) == ["E535", "E535"]
    assert codes([1, 0, 0], [0, 1, 0], [0, 0, 1]) == ["E535"]
    assert codes([0, 0], [0, 1], [0, 0]) == ["E535"]


def test_partners_that_cannot_all_be_on_one_tile_are_bounded_apart() -> None:
    # A star of three receivers on tiles of three cores: one of them is elsewhere.
    star = np.zeros((4, 4))
    star[0, 1:] = 1.0
    assert hop_bound(star, ChipLayout(12, 4, 1, 3, 1)) == pytest.approx(1.0)
    # Two groups of three that all talk to all: nothing has to leave its tile.
    groups = np.kron(np.eye(2), np.ones((3, 3)) - np.eye(3))
    assert hop_bound(groups, ChipLayout(12, 4, 1, 3, 1)) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("n", "size", "seed"), [(6, 2, 0), (6, 3, 1), (7, 3, 2), (8, 4, 3)])
def test_no_division_into_tiles_has_more_traffic_within_than_the_bound(
        n: int, size: int, seed: int) -> None:
    both = np.random.default_rng(seed).integers(0, 9, (n, n)).astype(float)
    both = np.triu(both, 1) + np.triu(both, 1).T

    def most(left: tuple[int, ...]) -> float:
        if not left:
            return 0.0
        first, rest = left[0], left[1:]
        return max(both[np.ix_((first, *others), (first, *others))].sum() / 2
                   + most(tuple(c for c in rest if c not in others))
                   for k in range(size) for others in combinations(rest, k))

    bound = _within_tiles(both, size)
    assert most(tuple(range(n))) <= bound + 1e-9
    assert bound < np.sort(both, axis=1)[:, 1 - size:].sum() / 2  # everyone's largest partners
