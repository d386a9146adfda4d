"""Hops of a multicast router: each link of a tree once."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from partition_factory import dense, network, neurons, project, sparse, unlimited

from neurocompile.facts import cost_facts
from neurocompile.ir.constraints import Constraints, MeshTile
from neurocompile.ir.mapping import Mapping, Placement
from neurocompile.ir.target import ChipLayout, TargetSpec
from neurocompile.passes.partition import Partition
from neurocompile.passes.place import Place
from neurocompile.passes.trees import descend
from neurocompile.verification.mapping import check_mapping
from neurocompile.verification.mesh import at, places_of, total_hops
from neurocompile.verification.routes import (
    Trees,
    hops_bound_of,
    hops_of,
    links_of,
    tree_bound,
    tree_hops,
    trees_of,
)
from neurocompile.verification.traffic import traffic

RNG = np.random.default_rng


def multicast(width: int, height: int, cores_per_tile: int = 1, chips: int = 1,
              **core: int) -> TargetSpec:
    layout = ChipLayout(width * height * cores_per_tile, width, height, cores_per_tile, chips,
                        "multicast")
    return replace(unlimited(**core), chip=layout)


def star(target: TargetSpec, n_receivers: int) -> Mapping:
    """Core 0 has one neuron, which sends to every other core, of two neurons each."""
    return Partition().run(network(target, [neurons("a", 1), neurons("b", 2 * n_receivers)], [
        project("a-b", "a", "b", dense(2 * n_receivers, 1))]))


def placed(mapping: Mapping, x: list[int], y: list[int], chip: list[int] | None = None) -> Mapping:
    return replace(mapping, placement=Placement(
        np.array(chip or [0] * len(x)), np.array(x), np.array(y)))


def one_tree(*receivers: int) -> Trees:
    return Trees(np.array([0]), np.array([1.0]), np.array([0, len(receivers)]),
                 np.array(receivers))


@pytest.mark.parametrize(("x", "y", "links", "unicast"), [
    ([0, 3], [0, 0], 3, 3),              # one receiver: as unicast
    ([0, 3], [0, 2], 5, 5),
    ([1, 1, 1], [2, 0, 4], 4, 4),        # up and down the column of the sender
    ([0, 2, 2], [0, 1, 3], 5, 8),        # two in one column share the row and a part of it
    ([0, 1, 2, 3], [0, 0, 0, 0], 3, 6),  # a row
    ([2, 0, 4, 4], [1, 1, 0, 2], 6, 8),  # both ways: 4 along the row, 1 up and 1 down
    ([0, 1, 2], [0, 2, 2], 6, 7),        # routes go along x first, so the columns are apart
    ([0, 0, 0], [0, 0, 0], 0, 0),        # all on the tile of the sender
])
def test_links_of_a_tree_are_counted_once(x: list[int], y: list[int], links: int,
                                          unicast: int) -> None:
    layout = ChipLayout(75, 5, 5, 3, 1, "multicast")
    placement = Placement(np.zeros(len(x), np.int64), np.array(x), np.array(y))
    between = np.zeros((len(x), len(x)))
    between[0, 1:] = 1
    assert tree_hops(one_tree(*range(1, len(x))), placement, layout) == links
    assert total_hops(between, placement, layout) == unicast


def test_rates_weight_the_trees_and_equal_ones_are_joined() -> None:
    quantized = network(multicast(4, 1, neurons=4), [neurons("a", 4), neurons("b", 8)], [
        project("a-b", "a", "b", dense(8, 4))])
    mapping = placed(Partition().run(quantized), [0, 1, 2], [0, 0, 0])
    trees = trees_of(mapping, {"a": np.array([0.5, 1.0, 0.25, 0.0])})
    assert (len(trees.source), trees.rate[0], trees.cores.tolist()) == (1, 1.75, [1, 2])
    assert hops_of(mapping) == 4 * 2
    assert hops_of(replace(mapping, rates={"a": np.full(4, 0.5)})) == 2 * 2


def test_a_neuron_with_two_projections_sends_one_spike() -> None:
    quantized = network(multicast(3, 1, neurons=2), [neurons("a", 2), neurons("b", 2)], [
        project("first", "a", "b", dense(2, 2)), project("second", "a", "b", dense(2, 2))])
    mapping = placed(Partition().run(quantized), [0, 2], [0, 0])
    assert hops_of(mapping) == 2 * 2
    assert total_hops(traffic(mapping).between, mapping.placement,  # type: ignore[arg-type]
                      mapping.target.chip) == 2 * 2 * 2


def test_neurons_that_only_send_to_their_own_core_have_no_tree() -> None:
    quantized = network(multicast(2, 1), [neurons("a", 5)], [project("w", "a", "a", dense(5, 5))])
    mapping = Place().run(Partition().run(quantized))
    assert len(trees_of(mapping).source) == 0
    assert hops_of(mapping) == hops_bound_of(mapping) == 0


@pytest.mark.parametrize("cores_per_tile", [1, 2])
def test_the_bound_is_below_every_placement(cores_per_tile: int) -> None:
    target = multicast(3, 6 // 3 // cores_per_tile, cores_per_tile, neurons=4)
    quantized = network(target, [neurons("p", 24)],
                        [project("w", "p", "p", sparse(24, 24, 3, RNG(1)))])
    mapping = Partition().run(quantized)
    trees, places = trees_of(mapping), places_of(target.chip, 6)
    costs = [tree_hops(trees, at(places, np.array(p)), target.chip)
             for p in permutations(range(6))]
    assert 0 < tree_bound(trees, target.chip) <= min(costs)
    found = descend(trees, places, target.chip, np.arange(6), np.ones((6, 6), bool))
    ended = tree_hops(trees, at(places, found), target.chip)
    assert ended <= costs[0]
    for a in range(6):  # no exchange of two is left that helps
        for b in range(a):
            swapped = found.copy()
            swapped[[a, b]] = swapped[[b, a]]
            assert tree_hops(trees, at(places, swapped), target.chip) >= ended - 1e-9


def test_place_makes_trees_smaller_than_the_placement_for_unicast() -> None:
    def hops(target: TargetSpec) -> float:
        quantized = network(target, [neurons("p", 400)],
                            [project("w", "p", "p", sparse(400, 400, 6, RNG(2)))])
        mapping = Place().run(Partition().run(quantized))
        assert check_mapping(mapping) == []
        return hops_of(replace(mapping, target=replace(target, chip=tree.chip)))

    tree = multicast(6, 6, neurons=14)
    single = replace(tree, chip=replace(tree.chip, router="unicast"))
    assert hops(tree) < hops(single)


def test_a_star_lies_in_a_compact_tree() -> None:
    mapping = Place().run(star(multicast(5, 5, neurons=2), 8))
    assert hops_of(mapping) == hops_bound_of(mapping) == 8


def test_places_that_the_user_wants_hold_for_trees() -> None:
    wanted = Constraints(cores={"a": (0,)}, tiles={0: MeshTile(0, 4, 4)})
    quantized = star(multicast(5, 5, neurons=2), 8).quantized
    mapping = Place().run(Partition(constraints=wanted).run(quantized))
    assert check_mapping(mapping) == []
    assert hops_of(mapping) >= hops_bound_of(mapping)


def test_a_spike_goes_to_another_chip_once() -> None:
    target = multicast(2, 2, chips=3, neurons=2)
    mapping = placed(star(target, 3), [0, 0, 1, 1], [0, 0, 0, 1], [0, 1, 1, 2])
    assert links_of(mapping) == [(0, 1, 1.0), (1, 0, 0.0), (1, 2, 1.0), (2, 1, 0.0)]
    single = replace(mapping, target=replace(target, chip=replace(target.chip, router="unicast")))
    assert links_of(single) == [(0, 1, 3.0), (1, 0, 0.0), (1, 2, 1.0), (2, 1, 0.0)]


def test_facts_say_which_router_and_bound_its_hops() -> None:
    mapping = Place().run(star(multicast(5, 5, neurons=2), 8))
    facts = cost_facts(mapping)
    assert facts["router"] == "multicast"
    assert facts["hops"] == {"value": 8.0, "lower_bound": 8.0, "ratio_to_bound": 1.0}
