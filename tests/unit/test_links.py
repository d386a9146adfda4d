"""Links between chips: what goes over them, which chip each core is on, and what a link carries."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from itertools import permutations

import numpy as np
import numpy.typing as npt
import pytest
from partition_factory import dense, network, neurons, project, unlimited
from rich.console import Console

from neurocompile.diagnostics import CompileError
from neurocompile.facts import cost_facts
from neurocompile.ir.constraints import Constraints, MeshTile
from neurocompile.ir.mapping import Mapping, Placement
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import ChipLayout, TargetSpec
from neurocompile.ir.transforms import Sparse
from neurocompile.passes.links import _Search, relieve
from neurocompile.passes.partition import Partition
from neurocompile.passes.place import Place
from neurocompile.passes.portfolio import Portfolio
from neurocompile.report.tables import _show_costs
from neurocompile.verification.mapping import check_mapping
from neurocompile.verification.routes import links_of
from neurocompile.verification.traffic import homes_of, traffic

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

N = 64
"""Neurons of a community: as many as a chip of four cores holds."""
CROSSING = 6
"""Neurons of each community that send to one of the other."""


def row_of_chips(chips: int, width: int = 2, height: int = 2, link_messages: int = 0,
                 **core: int) -> TargetSpec:
    layout = ChipLayout(width * height, width, height, 1, chips, link_messages=link_messages)
    return replace(unlimited(**core), chip=layout)


def communities(target: TargetSpec) -> tuple[QuantizedNetwork, Ints]:
    """Two of N neurons in which all send to all, and a few that send to one neuron of the other;
    neurons are in no order. Also the community of each."""
    rng = np.random.default_rng(5)
    of = rng.permutation(np.repeat([0, 1], N))
    reached = of[:, None] == of  # [target, source]
    for here in (0, 1):
        source = rng.choice(np.flatnonzero(of == here), CROSSING, replace=False)
        reached[rng.choice(np.flatnonzero(of != here), CROSSING, replace=False), source] = True
    indptr = np.concatenate([[0], np.cumsum(reached.sum(axis=1))])
    indices = np.nonzero(reached)[1]
    weights = Sparse(indptr, indices, np.ones(len(indices), np.int8), (2 * N,), (2 * N,))
    return network(target, [neurons("p", 2 * N)], [project("w", "p", "p", weights)]), of


def chips_of_neurons(mapping: Mapping) -> Ints:
    assert mapping.placement is not None
    return np.asarray(mapping.placement.chip)[homes_of(mapping)["p"]]


def star(target: TargetSpec, n_receivers: int) -> Mapping:
    """Core 0 has one neuron, which sends to every other core, of two neurons each."""
    return Partition().run(network(target, [neurons("a", 1), neurons("b", 2 * n_receivers)], [
        project("a-b", "a", "b", dense(2 * n_receivers, 1))]))


def on_chips(mapping: Mapping, *chip: int) -> Mapping:
    """Core i on chip ``chip[i]``, all on different tiles of a row."""
    n = mapping.n_cores
    return replace(mapping, placement=Placement(np.array(chip), np.arange(n), np.zeros(n, int)))


def recounted(between: Floats, chip: Ints, n_chips: int) -> list[float]:
    """Loads of the links to the right, then to the left, message by message."""
    loads = np.zeros((2, n_chips - 1))
    for (i, j), n in np.ndenumerate(between):
        for link in range(min(chip[i], chip[j]), max(chip[i], chip[j])):
            loads[int(chip[i] > chip[j]), link] += n
    return loads.reshape(-1).tolist()


def random_traffic(n: int, seed: int) -> Floats:
    between = np.random.default_rng(seed).integers(0, 9, (n, n)).astype(float)
    np.fill_diagonal(between, 0.0)
    return between


def test_a_message_to_a_chip_farther_on_goes_over_every_link_on_its_way() -> None:
    target = row_of_chips(4, width=8, neurons=2)
    mapping = on_chips(star(target, 3), 1, 0, 3, 3)
    assert links_of(mapping) == [(0, 1, 0.0), (1, 0, 1.0), (1, 2, 2.0), (2, 1, 0.0),
                                 (2, 3, 2.0), (3, 2, 0.0)]
    tree = replace(target, chip=replace(target.chip, router="multicast"))
    assert links_of(replace(mapping, target=tree)) == [
        (0, 1, 0.0), (1, 0, 1.0), (1, 2, 1.0), (2, 1, 0.0), (2, 3, 1.0), (3, 2, 0.0)]


def test_cores_of_one_chip_use_no_link() -> None:
    mapping = star(row_of_chips(3, width=8, neurons=2), 3)
    assert links_of(on_chips(mapping, 0, 0, 0, 0)) == []
    assert {n for _, _, n in links_of(on_chips(mapping, 2, 2, 2, 2))} == {0.0}


@pytest.mark.parametrize("seed", range(6))
def test_changes_count_links_as_the_measure_does(seed: int) -> None:
    """Every move and every exchange of a start of nine cores on four chips of three places."""
    rng = np.random.default_rng(seed)
    between, chips = random_traffic(9, seed), np.repeat(np.arange(4), 3)
    start = rng.permutation(12)[:9]
    search = _Search(between, chips, start, np.ones((9, 12), bool), 0)
    assert search.loads.tolist() == recounted(between, chips[start], 4)
    seen = 0
    for core in range(9):
        changes = search._changes(core)
        for to, loads in zip(changes.to, changes.loads, strict=True):
            place = start.copy()
            place[place == to] = start[core]
            place[core] = to
            assert loads.tolist() == recounted(between, chips[place], 4)
            seen += 1
    assert seen > 9 * 6
    for core in (3, 7, 3):  # also after changes
        search.improve(core)
        assert search.loads.tolist() == pytest.approx(
            recounted(between, chips[search.place], 4), abs=1e-9)
    assert sorted(search.place[search.holder[search.holder >= 0]].tolist()) == np.flatnonzero(
        search.holder >= 0).tolist()


@pytest.mark.parametrize("limit", [0, 25])
@pytest.mark.parametrize("seed", range(4))
def test_no_change_of_what_was_found_is_better(seed: int, limit: int) -> None:
    between, chips = random_traffic(6, seed), np.repeat(np.arange(3), 3)

    def cost(place: Ints) -> tuple[float, ...]:
        loads = np.array(recounted(between, chips[place], 3))
        over = np.maximum(loads - (limit or np.inf), 0.0).sum()
        return float(over), float(loads.sum()), float(loads.max())

    start = np.arange(6)
    found = relieve(between, chips, start, np.ones((6, 9), bool), limit,
                    np.random.default_rng(0))
    assert len(set(found.tolist())) == 6
    assert cost(found) <= cost(start)
    for a in range(6):
        for to in range(9):
            other = found.copy()
            other[other == to] = found[a]
            other[a] = to
            assert cost(found) <= cost(other)


def test_a_limit_comes_before_few_messages() -> None:
    """Cores 0 and 1 against 2 and 3: one link has 10. Cores 0 and 2 against 1 and 3: 6 each way,
    12 together."""
    between = np.zeros((4, 4))
    between[0, 2], between[0, 1], between[3, 2] = 10, 6, 6
    chips, everywhere = np.array([0, 0, 1, 1]), np.ones((4, 4), bool)
    for limit, loads in ((0, {0.0, 10.0}), (11, {0.0, 10.0}), (8, {6.0})):
        for start in permutations(range(4)):
            place = relieve(between, chips, np.array(start), everywhere, limit,
                            np.random.default_rng(0))
            assert set(recounted(between, chips[place], 2)) == loads


@pytest.mark.parametrize("method", ["growth", "metis"])
def test_two_loosely_coupled_communities_are_on_a_chip_each(method: str) -> None:
    """No assignment sends less over links. A chip holds N neurons, so that both are in use and hold
    N each. If one has neurons of both communities, each is split, and all 2 N neurons send
    something to the other chip. Else every neuron that sends to the other community does."""
    if method == "metis":
        pytest.importorskip("pymetis")
    quantized, of = communities(row_of_chips(3, neurons=16))
    least = min(2 * N, 2 * CROSSING)
    mapping = Place().run(Portfolio(constraints=Constraints(methods=(method,))).run(quantized))
    assert check_mapping(mapping) == []
    chip = chips_of_neurons(mapping)
    assert {len(set(chip[of == c].tolist())) for c in (0, 1)} == {1}
    assert set(chip.tolist()) == {0, 1}
    assert [n for _, _, n in links_of(mapping)] == [CROSSING, CROSSING]
    assert sum(n for _, _, n in links_of(mapping)) == least
    again = Place().run(Portfolio(constraints=Constraints(methods=(method,))).run(quantized))
    assert again.digest() == mapping.digest()


def mapped(target: TargetSpec, between: Floats) -> Mapping:
    """A core for each row, with a neuron for each that it sends to, at their messages as rate."""
    n = len(between)
    flat = between.reshape(-1)
    source = np.flatnonzero(flat)
    to = np.zeros((n * n, n * n), bool)
    to[source % n * n, source] = True
    indptr = np.concatenate([[0], np.cumsum(to.sum(axis=1))])
    weights = Sparse(indptr, np.nonzero(to)[1], np.ones(len(source), np.int8), (n * n,), (n * n,))
    found = Partition(neurons_per_core=n).run(network(
        target, [neurons("p", n * n)], [project("w", "p", "p", weights)]))
    found = replace(found, rates={"p": flat})
    assert traffic(found).between.tolist() == between.tolist()
    return found


@pytest.mark.parametrize("seed", range(8))
def test_no_assignment_to_two_chips_has_fewer_messages(seed: int) -> None:
    """All 35 ways to give eight cores two chips; most cores send nothing to each other."""
    between = random_traffic(8, seed) * (np.random.default_rng(seed).random((8, 8)) < 0.4)
    found = Place().run(mapped(row_of_chips(2), between))
    least = min(sum(recounted(between, np.array(chip), 2))
                for chip in set(permutations([0] * 4 + [1] * 4)) if chip[0] == 0)
    assert sum(n for _, _, n in links_of(found)) == least > 0


@pytest.mark.parametrize("seed", range(4))
def test_no_assignment_to_three_chips_has_fewer_messages(seed: int) -> None:
    """All ways to give nine cores three chips of three."""
    between = random_traffic(9, seed) * (np.random.default_rng(seed).random((9, 9)) < 0.4)
    found = Place().run(mapped(row_of_chips(3, 3, 1), between))
    chip = np.array(list(set(permutations([0, 0, 0, 1, 1, 1, 2, 2, 2]))))
    cost = np.einsum("ij,aij->a", between, np.abs(chip[:, :, None] - chip[:, None, :]))
    assert sum(n for _, _, n in links_of(found)) == cost.min() > 0


def test_a_placement_keeps_the_limit_with_more_messages_where_it_has_to() -> None:
    """As in ``test_a_limit_comes_before_few_messages``, by a mapping on two tiles a chip."""
    between = np.zeros((4, 4))
    between[0, 2], between[0, 1], between[3, 2] = 10, 6, 6
    for limit, loads in ((0, [0, 10]), (10, [0, 10]), (8, [6, 6]), (6, [6, 6])):
        found = Place().run(mapped(row_of_chips(2, 2, 1, limit), between))
        assert sorted(n for _, _, n in links_of(found)) == loads


def test_a_spike_that_is_copied_counts_once() -> None:
    """Core 0 has a spike for cores 2 and 3 and, at a rate of 0.8, one for core 1. As two messages
    the first is better split; as one it is not."""
    for router, loads in (("multicast", [0.0, 1.0]), ("unicast", [0.0, 1.8])):
        target = row_of_chips(2, 2, 1, neurons=2)
        target = replace(target, chip=replace(target.chip, router=router))
        to = Sparse(np.array([0, 0, 0, 1, 1, 2, 2, 3, 3]), np.array([1, 0, 0]),
                    np.ones(3, np.int8), (8,), (8,))
        mapping = Partition().run(network(target, [neurons("p", 8)], [
            project("w", "p", "p", to)]))
        found = Place().run(replace(mapping, rates={"p": np.array([1, 0.8, 1, 1, 1, 1, 1, 1])}))
        assert sorted(n for _, _, n in links_of(found)) == loads


def test_links_are_weighted_with_rates() -> None:
    """Four cores in a ring; it is cut where few spikes go."""
    target = row_of_chips(2, width=2, height=1, neurons=1)
    ring = Sparse(np.arange(5), np.array([3, 0, 1, 2]), np.ones(4, np.int8), (4,), (4,))
    mapping = Partition().run(network(target, [neurons("p", 4)], [project("w", "p", "p", ring)]))
    for quiet in ((0, 2), (1, 3)):
        rates = np.ones(4)
        rates[list(quiet)] = 0.25
        found = Place().run(replace(mapping, rates={"p": rates}))
        assert [n for _, _, n in links_of(found)] == [0.25, 0.25]


def test_what_the_user_wants_of_chips_holds() -> None:
    quantized, _ = communities(row_of_chips(3, neurons=16))
    wanted = Constraints(cores={"p": tuple(range(8))}, tiles={0: MeshTile(2, 1, 1),
                                                              5: MeshTile(0, 0, 1)})
    mapping = Place().run(Partition(constraints=wanted).run(quantized))
    assert check_mapping(mapping) == []


def limited(limit: int) -> Mapping:
    """Two communities, not yet placed, on chips whose links carry ``limit``."""
    quantized, _ = communities(row_of_chips(3, neurons=16, link_messages=limit))
    return Portfolio(constraints=Constraints(methods=("growth",))).run(quantized)


def test_a_link_that_carries_what_is_asked_is_no_error() -> None:
    assert check_mapping(Place().run(limited(CROSSING))) == []


def test_a_link_that_carries_less_is_refused_with_both_numbers_and_the_next_step() -> None:
    mapping = limited(CROSSING - 1)
    with pytest.raises(CompileError) as caught:
        Place().run(mapping)
    assert [str(d) for d in caught.value.diagnostics] == [
        f"E529 link from chip {a} to chip {b}: more messages a step go over it than it carries "
        "(got 6, limit loihi1.link_messages = 5); state calibration data (--calibrate): without, "
        "every neuron counts as always firing" for a, b in ((0, 1), (1, 0))]
    quiet = replace(mapping, rates={"p": np.full(2 * N, 0.5)})
    assert check_mapping(Place().run(quiet)) == []
    loud = replace(mapping, rates={"p": np.full(2 * N, 0.9)})
    with pytest.raises(CompileError, match="pin populations"):
        Place().run(loud)


def test_the_checker_recounts_links_from_the_slices() -> None:
    mapping = Place().run(limited(CROSSING))
    assert mapping.placement is not None
    place = mapping.placement
    first, last = (int(np.flatnonzero(place.chip == chip)[0]) for chip in (0, 1))
    order = np.arange(mapping.n_cores)
    order[[first, last]] = last, first
    moved = replace(mapping, placement=Placement(place.chip[order], place.x[order],
                                                 place.y[order]))
    assert [d.code for d in check_mapping(moved)] == ["E529", "E529"]
    without = replace(mapping.target, chip=replace(mapping.target.chip, link_messages=0))
    assert check_mapping(replace(moved, target=without)) == []


def test_of_two_partitions_the_one_whose_links_keep_their_limit_is_taken() -> None:
    """Both have eight cores, which the weight is of; blocks of neurons in no order break the limit
    and are tried first."""
    apart = []
    for limit in (0, CROSSING):
        quantized, of = communities(row_of_chips(3, neurons=16, link_messages=limit))
        wanted = Constraints(methods=("blocks", "growth"), weights={"cores": 1.0})
        chip = chips_of_neurons(Place().run(Portfolio(constraints=wanted).run(quantized)))
        apart.append({len(set(chip[of == c].tolist())) for c in (0, 1)} == {1})
    assert apart == [False, True]


def test_a_weight_on_links_counts_the_fullest() -> None:
    quantized, _ = communities(row_of_chips(3, neurons=16))
    portfolio = Portfolio(constraints=Constraints(weights={"links": 1.0}))
    assert [n for _, _, n in links_of(Place().run(portfolio.run(quantized)))] == [CROSSING] * 2


def test_the_report_has_load_capacity_and_share_of_each_link() -> None:
    facts = cost_facts(Place().run(limited(8)))
    assert facts["links"] == [
        {"from": a, "to": b, "messages": 6.0, "capacity": 8, "share": 0.75}
        for a, b in ((0, 1), (1, 0))]
    out = StringIO()
    _show_costs(Console(file=out, width=80), {
        **facts, "used": 8, "lower_bound": 8, "ratio_to_bound": 1.0})
    table = out.getvalue().split("links between chips, a step\n")[1]
    assert [line.split() for line in table.splitlines()] == [
        ["from", "to", "messages", "carries", "share"],
        ["0", "1", "6", "8", "0.75"], ["1", "0", "6", "8", "0.75"]]
    facts = cost_facts(Place().run(limited(0)))
    assert {(link["capacity"], link["share"]) for link in facts["links"]} == {(None, None)}
