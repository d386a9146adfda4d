"""Which methods of partitioning are tried; Mt-KaHyPar, which is tried only where it is named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from partition_factory import dense, network, neurons, project, source, target_with, unlimited
from test_portfolio import clusters, convolutional

from neurocompile.diagnostics import CompileError
from neurocompile.ir.constraints import METHODS, Constraints
from neurocompile.ir.mapping import Mapping
from neurocompile.passes.partition import Partition
from neurocompile.passes.portfolio import Portfolio, choose, cuts, search
from neurocompile.passes.portfolio.hypergraph import hypergraph
from neurocompile.verification.mapping import check_mapping

TESTS = Path(__file__).parents[1]
ONLY = Constraints(methods=("mtkahypar",))


def small(seed: int = 2) -> Any:
    return clusters(target_with(neurons=60, input_axons=200, output_axons=200,
                                synapse_memory_bits=20_000), 5, 80, seed)


def test_mtkahypar_is_not_tried_where_it_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> cuts.Cut:
        raise AssertionError

    monkeypatch.setattr(cuts, "mtkahypar", never)
    assert Portfolio().run_with_notes(small())[1] == ()


@pytest.mark.parametrize("methods", [("blocks",), ("tiles",), ("growth",), ("metis", "growth"),
                                     ("mtkahypar", "blocks"), METHODS])
@pytest.mark.parametrize("structured", [False, True])
def test_only_the_methods_that_are_named_are_tried(
        methods: tuple[str, ...], structured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def record(module: Any, name: str, method: str) -> None:
        original = getattr(module, name)

        def called(*args: Any, **named: Any) -> Any:
            tried.append(method)
            return original(*args, **named)

        monkeypatch.setattr(module, name, called)

    record(Partition, "run", "blocks")
    record(choose, "tiled", "tiles")
    record(search, "grown", "growth")
    for method, package in (("metis", "pymetis"), ("mtkahypar", "mtkahypar")):
        if method in methods:
            pytest.importorskip(package)
        record(cuts, method, method)
    quantized = convolutional(target_with(synapse_memory_bits=100_000)) if structured else small()
    possible = [m for m in METHODS if m in methods and (structured or m != "tiles")]
    portfolio = Portfolio(constraints=Constraints(methods=methods))
    if not possible:
        with pytest.raises(CompileError, match="E549"):
            portfolio.run(quantized)
        return
    mapping = portfolio.run(quantized)
    assert tried == possible
    assert check_mapping(mapping) == []
    assert mapping.constraints.methods == methods


def test_mtkahypar_keeps_what_is_pinned() -> None:
    pytest.importorskip("mtkahypar")
    target = unlimited(neurons=90, input_axons=600, output_axons=400)
    quantized = clusters(target, 5, 80, 2)
    both = network(target, [*quantized.populations, source("in", 3), neurons("c", 30)],
                   [*quantized.projections, project("in-c", "in", "c", dense(30, 3)),
                    project("p-c", "p", "c", dense(30, 400)),
                    project("c-p", "c", "p", dense(400, 30))])
    mapping = Portfolio(constraints=replace(ONLY, cores={"c": (4,)})).run(both)
    assert check_mapping(mapping) == []
    assert {s.population for s in mapping.slices if s.core == 0} == {"c"}


@pytest.mark.parametrize("seed", [0, 5, 1 << 40])
def test_mtkahypar_gives_the_same_mapping_for_a_seed(seed: int) -> None:
    pytest.importorskip("mtkahypar")
    portfolio = Portfolio(seed=seed, constraints=ONLY)
    assert portfolio.run(small()).digest() == portfolio.run(small()).digest()


SCRIPT = """
import os, sys
import mtkahypar
from test_methods import ONLY, small
from neurocompile.passes.portfolio import Portfolio
if sys.argv[1] != "0":
    mtkahypar.initialize(int(sys.argv[1]), print_warnings=False)
Portfolio().run(small())
tasks = "/proc/self/task"
before = os.listdir(tasks) if os.path.isdir(tasks) else []
digest = Portfolio(seed=3, constraints=ONLY).run(small()).digest()
after = os.listdir(tasks) if os.path.isdir(tasks) else []
print(digest, len(after) - len(before))
"""


def test_threads_do_not_change_what_mtkahypar_finds_and_none_are_started() -> None:
    """A process that initialised it for itself, with other threads, keeps that."""
    pytest.importorskip("mtkahypar")
    path = os.pathsep.join([*map(str, (TESTS, TESTS / "unit")), *sys.path])
    ran = [subprocess.run([sys.executable, "-c", SCRIPT, threads], check=True, text=True,
                          capture_output=True, env={**os.environ, "PYTHONPATH": path})
           for threads in ("0", "2")]
    (digest, started), (other, _) = (run.stdout.split() for run in ran)
    assert digest == other == Portfolio(seed=3, constraints=ONLY).run(small()).digest()
    assert started == "0"
    assert [run.stderr for run in ran] == ["", ""]


def test_without_mtkahypar_the_rest_is_tried_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "has_mtkahypar", lambda: False)
    wanted = Constraints(methods=("growth", "mtkahypar"))
    mapping, notes = Portfolio(constraints=wanted).run_with_notes(small())
    assert [str(d) for d in notes] == [
        "I528 network: Mt-KaHyPar was not tried (got mtkahypar is not installed); "
        "pip install 'neurocompile[mtkahypar]'"]
    assert check_mapping(mapping) == []


def test_a_network_with_too_many_synapses_for_mtkahypar_says_so(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "MOST_PARTED", 10_000)
    wanted = Constraints(methods=METHODS)
    mapping, notes = Portfolio(constraints=wanted).run_with_notes(small())
    assert "I528 network: Mt-KaHyPar was not tried" in str(notes[-1])
    assert check_mapping(mapping) == []


def test_where_no_method_gives_a_mapping_it_is_said_which_were_not_tried(
        monkeypatch: pytest.MonkeyPatch, golden: Callable[[str, str], None]) -> None:
    monkeypatch.setattr(cuts, "has_mtkahypar", lambda: False)
    monkeypatch.setattr(cuts, "has_metis", lambda: False)
    with pytest.raises(CompileError) as caught:
        Portfolio(constraints=Constraints(methods=("metis", "mtkahypar", "tiles"))).run(small())
    golden("methods_without_a_mapping.txt", "".join(f"{d}\n" for d in caught.value.diagnostics))


def test_hyperedges_weigh_what_a_partition_sends() -> None:
    """The sum over axons of rate times (parts - 1) is the number of messages, those of the host
    less one for each of its axons."""
    rng = np.random.default_rng(0)
    base = clusters(unlimited(), 4, 30, 1)
    quantized = network(base.target, [*base.populations, source("in", 9)],
                        [*base.projections, project("in-p", "in", "p", dense(120, 9))])
    graph = hypergraph(quantized, {}, 0)
    pinned = np.full(120, -1)
    edges, rates = cuts._hyperedges(graph, pinned)
    home = rng.integers(0, 5, 120)
    cost = sum(rate * (len(set(home[edge])) - 1) for edge, rate in zip(edges, rates, strict=True))
    state = search.empty_state(graph, 5)
    search.load(graph, state, home)
    assert cost == 10 * (search.messages_of(graph, state) - 9)
    assert sum(rates) <= 10 * len(graph.net_home)


def test_pinned_neurons_are_in_no_hyperedge() -> None:
    graph = hypergraph(small(), {}, 0)
    pinned = np.where(np.arange(400) < 100, 0, -1)
    edges, _ = cuts._hyperedges(graph, pinned)
    assert {v for edge in edges for v in edge} <= set(range(300))
    assert all(len(edge) > 1 for edge in edges)


def test_weights_of_many_neurons_stay_within_the_library() -> None:
    weights = np.full(5000, 1_000_000)
    assert cuts._fitting(weights).sum() <= cuts.MOST_WEIGHT
    assert (cuts._fitting(weights[:5]) == weights[:5]).all()


def test_rates_of_many_synapses_stay_within_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, nowhere = hypergraph(small(), {}, 0), np.full(400, -1)
    edges, rates = cuts._hyperedges(graph, nowhere)
    assert set(rates) == {10}
    monkeypatch.setattr(cuts, "MOST_WEIGHT", 5 * sum(map(len, edges)))
    assert set(cuts._hyperedges(graph, nowhere)[1]) == {5}


def test_methods_are_stored_with_the_mapping() -> None:
    wanted = Constraints(methods=("growth", "blocks"))
    mapping: Mapping = Portfolio(constraints=wanted).run(small())
    assert mapping.constraints == wanted
