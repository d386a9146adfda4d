"""Cores, messages, hops and bounds of generated networks: the portfolio and placement against
sequential blocks on the mesh in row order.

    python benchmarks/mapping.py [NAME ...] [--large]

Every network is made for Loihi 1 with 8-bit weights, the ids of its neurons shuffled (layers of
structured networks keep their order: they have no ids to shuffle). Every mapping is recounted by
the independent checker. Times are processor seconds of this process, compiled kernels excluded.
All neurons fire once a step; messages are spikes times the other cores that get them, and
``link_messages`` those over links between chips, once for each link.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from _common import write_result

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from partition_factory import conv, dense, network, neurons, project, source, target_with

from neurocompile.ir.mapping import Mapping
from neurocompile.ir.quantized import QuantizedNetwork, QuantizedPopulation
from neurocompile.ir.target import ChipLayout
from neurocompile.ir.transforms import Sparse, to_sparse
from neurocompile.passes.partition import Partition, core_lower_bound
from neurocompile.passes.place import Place
from neurocompile.passes.portfolio import Portfolio
from neurocompile.verification.hop_bound import hop_bound
from neurocompile.verification.mapping import check_mapping
from neurocompile.verification.mesh import at, places_of, total_hops
from neurocompile.verification.routes import hops_of, links_of
from neurocompile.verification.traffic import message_bound, traffic

SEED = 7
Ints = Any


def mlp() -> QuantizedNetwork:
    sizes = (784, 512, 512, 10)
    populations: list[QuantizedPopulation] = [source("in", sizes[0])]
    projections = []
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        populations.append(neurons(f"p{i}", n_out))
        projections.append(project(f"w{i}", populations[-2].name, f"p{i}", dense(n_out, n_in)))
    return network(target_with(), populations, projections)


def nmnist() -> QuantizedNetwork:
    """The shapes of the NIR paper's N-MNIST network: 8,970 neurons."""
    layers = [conv((2, 34, 34), 16, (5, 5), (2, 2), (1, 1)), conv((16, 16, 16), 16, padding=(1, 1)),
              conv((16, 16, 16), 16, (2, 2), (2, 2), groups=16),
              conv((16, 8, 8), 8, padding=(1, 1)), conv((8, 8, 8), 8, (2, 2), (2, 2), groups=8)]
    populations: list[QuantizedPopulation] = [source("in", (2, 34, 34))]
    projections = []
    for i, layer in enumerate(layers):
        populations.append(neurons(f"p{i}", layer.out_chw))
        projections.append(project(f"w{i}", populations[-2].name, f"p{i}", layer))
    for i, (n_in, n_out) in enumerate(((128, 256), (256, 10)), len(layers)):
        populations.append(neurons(f"p{i}", n_out))
        projections.append(project(f"w{i}", populations[-2].name, f"p{i}", dense(n_out, n_in)))
    return network(target_with(), populations, projections)


def unfolded(quantized: QuantizedNetwork, rng: np.random.Generator) -> QuantizedNetwork:
    """Every projection as a list of synapses, the neurons of each population shuffled."""
    order = {p.name: rng.permutation(p.n) for p in quantized.populations}
    n_of = {p.name: p.n for p in quantized.populations}
    projections = []
    for p in quantized.projections:
        flat = to_sparse(p.transform)
        target = np.repeat(np.arange(n_of[p.target]), np.diff(flat.indptr))
        projections.append(replace(p, transform=sparse_of(
            order[p.target][target], order[p.source][flat.indices], n_of[p.target],
            n_of[p.source])))
    populations = [replace(p, shape=(p.n,)) if p.role != "source" else source(p.name, p.n)
                   for p in quantized.populations]
    return network(quantized.target, populations, projections)


def sparse_of(target: Ints, origin: Ints, n_target: int, n_source: int) -> Sparse:
    """Synapses from pairs, each pair once."""
    keys = np.unique(target * n_source + origin)
    indptr = np.zeros(n_target + 1, np.int64)
    np.cumsum(np.bincount(keys // n_source, minlength=n_target), out=indptr[1:])
    return Sparse(indptr, keys % n_source, np.ones(len(keys), np.int8), (n_source,), (n_target,))


def recurrent(n: int, target: Ints, origin: Ints, rng: np.random.Generator) -> QuantizedNetwork:
    """One population with ids shuffled."""
    order = rng.permutation(n)
    synapses = sparse_of(order[target], order[origin], n, n)
    return network(target_with(), [neurons("p", n)], [project("w", "p", "p", synapses)])


def small_world(n: int, rng: np.random.Generator, fan_in: int = 100) -> QuantizedNetwork:
    """Watts and Strogatz: a ring of 100 neighbours, a tenth of them rewired."""
    target = np.repeat(np.arange(n), fan_in)
    near = np.concatenate([np.arange(-(fan_in // 2), 0), np.arange(1, fan_in // 2 + 1)])
    origin = (target + np.tile(near, n)) % n
    return recurrent(n, target, rewired(origin, n, 0.1, rng), rng)


def sheet(side: int, rng: np.random.Generator, fan_in: int = 100) -> QuantizedNetwork:
    """A torus, sources a Gaussian of 4 neurons around, a tenth of them anywhere."""
    n = side * side
    target = np.repeat(np.arange(n), fan_in)
    y, x = (np.round(at + rng.normal(0, 4.0, len(target))).astype(np.int64) % side
            for at in np.divmod(target, side))
    return recurrent(n, target, rewired(y * side + x, n, 0.1, rng), rng)


def anywhere(n: int, rng: np.random.Generator, fan_in: int = 100) -> QuantizedNetwork:
    target = np.repeat(np.arange(n), fan_in)
    return recurrent(n, target, rng.integers(0, n, len(target)), rng)


def planted_synapses(clusters: int, size: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Clusters that each fill a core; 25 synapses a neuron from its own, 1 from anywhere."""
    n = clusters * size
    target = np.repeat(np.arange(n), 26)
    origin = target // size * size + rng.integers(0, size, len(target))
    far = np.tile(np.arange(26) >= 25, n)
    origin[far] = rng.integers(0, n, int(far.sum()))
    return target, origin


def planted(clusters: int, size: int, rng: np.random.Generator) -> QuantizedNetwork:
    return recurrent(clusters * size, *planted_synapses(clusters, size, rng), rng)


def planted_messages(clusters: int, size: int) -> float:
    """Messages of the partition that was planted: each (neuron, other cluster) once."""
    target, origin = planted_synapses(clusters, size, np.random.default_rng(SEED))
    pairs = np.unique(origin * clusters + target // size)
    return float(np.sum(pairs // clusters // size != pairs % clusters))


def rewired(origin: Ints, n: int, part: float, rng: np.random.Generator) -> Ints:
    moved = rng.random(len(origin)) < part
    return np.where(moved, rng.integers(0, n, len(origin)), origin)


NETWORKS: dict[str, Callable[[np.random.Generator], QuantizedNetwork]] = {
    "MLP 784-512-512-10": lambda _: mlp(),
    "N-MNIST, structured": lambda _: nmnist(),
    "N-MNIST, unfolded": lambda rng: unfolded(nmnist(), rng),
    "small-world 10k": lambda rng: small_world(10_000, rng),
    "sheet 10k": lambda rng: sheet(100, rng),
    "random 10k x 100": lambda rng: anywhere(10_000, rng),
    "planted 10 x 1000": lambda rng: planted(10, 1000, rng),
}
LARGE: dict[str, Callable[[np.random.Generator], QuantizedNetwork]] = {
    "sheet 100k": lambda rng: sheet(316, rng, 83),
    "small-world 100k x 100": lambda rng: small_world(100_000, rng),
    "random 100k x 100": lambda rng: anywhere(100_000, rng),
}


def timed(run: Callable[[], Mapping]) -> tuple[Mapping, float]:
    start = time.process_time()
    mapping = run()
    return mapping, time.process_time() - start


def by_rows(mapping: Mapping) -> Mapping:
    """Core after core along the rows of the mesh."""
    places = places_of(mapping.target.chip, mapping.n_cores)
    order = np.lexsort((places.x, places.y, places.chip))[:mapping.n_cores]
    return replace(mapping, placement=at(places, order))


def placed(mapping: Mapping) -> tuple[Mapping, float]:
    return timed(lambda: Place().run(mapping))


def figures(mapping: Mapping, seconds: float, place_seconds: float) -> dict[str, Any]:
    problems = check_mapping(mapping)
    assert not problems, problems
    measured = traffic(mapping)
    assert mapping.placement is not None
    layout = mapping.target.chip
    hops = total_hops(measured.between, mapping.placement, layout)
    bound = hop_bound(measured.between, layout)
    return {"cores": mapping.n_cores, "messages": measured.messages,
            "input_messages": float(measured.from_host.sum()), "hops": hops,
            "hops_bound": bound, "hops_to_bound": hops / bound if bound else None,
            "chips": int(mapping.placement.chip.max()) + 1,
            "link_messages": sum(n for _, _, n in links_of(mapping)),
            "worst_core_operations": float(measured.operations.max()),
            "partition_processor_s": round(seconds, 2),
            "place_processor_s": round(place_seconds, 2)}


def measure(name: str, make: Callable[[np.random.Generator], QuantizedNetwork]) -> dict[str, Any]:
    quantized = make(np.random.default_rng(SEED))
    bound = core_lower_bound(quantized)
    row: dict[str, Any] = {
        "network": name, "neurons": sum(p.n for p in quantized.populations if p.role != "source"),
        "synapses": sum(p.transform.n_synapses for p in quantized.projections),
        "cores_bound": bound, "messages_bound": message_bound(quantized)}
    sequential, seconds = timed(lambda: Partition().run(quantized))
    row["sequential"] = figures(by_rows(sequential), seconds, 0.0)
    mapping, seconds = timed(lambda: Portfolio().run(quantized))
    mapping, place_seconds = placed(mapping)
    row["portfolio"] = figures(mapping, seconds, place_seconds)
    row["cores_to_bound"] = row["portfolio"]["cores"] / bound
    row["hops_below_sequential"] = row["sequential"]["hops"] / max(row["portfolio"]["hops"], 1.0)
    # The mesh of the figures in the literature: 16 x 8 tiles of one core.
    mesh = replace(quantized.target, chip=ChipLayout(128, 16, 8, 1, 32))
    wide = [replace(m, target=mesh, placement=None) for m in (sequential, mapping)]
    before, after = (figures(m, 0.0, 0.0)["hops"] for m in (by_rows(wide[0]), placed(wide[1])[0]))
    bound = hop_bound(traffic(wide[1]).between, mesh.chip)
    row["mesh_16x8"] = {"sequential_hops": before, "hops": after, "hops_bound": bound,
                        "hops_below_sequential": before / max(after, 1.0),
                        "hops_to_bound": after / bound if bound else None}
    tree = replace(mesh, chip=replace(mesh.chip, router="multicast"))
    row["mesh_16x8_multicast"] = {"hops": hops_of(placed(replace(
        mapping, target=tree, placement=None))[0])}
    if name.startswith("planted"):
        row["planted"] = {"cores": 10, "messages": planted_messages(10, 1000)}
    row["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(name, {k: v for k, v in row.items() if k not in ("network", "portfolio")}, flush=True)
    print("  ", row["portfolio"], flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only networks whose name starts so")
    parser.add_argument("--large", action="store_true", help="those of 100,000 neurons instead")
    chosen = parser.parse_args()
    networks = LARGE if chosen.large else NETWORKS
    Portfolio().run(small_world(3000, np.random.default_rng(0)))  # compiles the kernels
    rows = [measure(name, make) for name, make in networks.items()
            if not chosen.names or name.startswith(tuple(chosen.names))]
    if not chosen.names:
        write_result("mapping_large" if chosen.large else "mapping",
                     {"target": "loihi1", "seed": SEED, "networks": rows})


if __name__ == "__main__":
    main()
