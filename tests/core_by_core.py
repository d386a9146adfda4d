"""A mapped network as its cores have it: what is on a core by itself, and only what arrives there.

``split`` makes a population of every slice of a mapping, and a projection from every slice (or
input) that reaches it, with the synapses that the core would store. Run by the integer reference,
it shows whether a mapping keeps every synapse, once, with its delay.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as csr

from neurocompile.ir.base import IntArray
from neurocompile.ir.mapping import CoreUse, Mapping, Slice
from neurocompile.ir.quantized import QuantizedNetwork, QuantizedPopulation, QuantizedProjection
from neurocompile.ir.transforms import Sparse, to_sparse
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.integer import IntegerRun, Probes, run_integer
from neurocompile.verification.recount import recount
from neurocompile.verification.traffic import homes_of

ARRAYS = ("current_decay", "membrane_decay", "threshold", "bias_mantissa", "bias_exponent",
          "initial_v", "scale", "offset")


def name_of(part: Slice) -> str:
    return f"{part.population} on {part.core}"


def split(mapping: Mapping) -> QuantizedNetwork:
    """The network of slices."""
    network = mapping.quantized
    populations = [p for p in network.populations if p.role == "source"]
    populations += [_part(network.population(part.population), part) for part in mapping.slices]
    projections = [sub for q in network.projections for sub in _parts(q, network, mapping)]
    return replace(network, populations=tuple(populations), projections=tuple(projections))


def _part(population: QuantizedPopulation, part: Slice) -> QuantizedPopulation:
    arrays: dict[str, Any] = {name: getattr(population, name)[part.neurons] for name in ARRAYS}
    return replace(population, name=name_of(part), shape=(len(part.neurons),), **arrays)


def _parts(q: QuantizedProjection, network: QuantizedNetwork,
           mapping: Mapping) -> list[QuantizedProjection]:
    flat = to_sparse(q.transform)
    n_target, n_source = (network.population(name).n for name in (q.target, q.source))
    matrix = csr.csr_matrix((flat.weight.astype(np.int64), flat.indices, flat.indptr),
                            (n_target, n_source))
    sources = [(name_of(s), s.neurons) for s in mapping.slices if s.population == q.source]
    if network.population(q.source).role == "source":
        sources = [(q.source, np.arange(n_source))]
    found = []
    for target in (s for s in mapping.slices if s.population == q.target):
        for name, neurons in sources:
            block = matrix[target.neurons][:, neurons].tocsr()
            if not block.nnz:
                continue
            shape = (len(neurons),), (len(target.neurons),)
            found.append(replace(
                q, name=f"{q.name}: {name} to {target.core}", source=name, target=name_of(target),
                transform=Sparse(block.indptr.astype(np.int64), block.indices.astype(np.int64),
                                 block.data, *shape),
                source_delay=_of(q.source_delay, n_source, neurons),
                target_delay=_of(q.target_delay, n_target, target.neurons)))
    return found


def _of(delay: IntArray, n: int, neurons: IntArray) -> IntArray:
    picked: IntArray = np.broadcast_to(delay, (n,))[neurons]
    return picked


def run_split(mapping: Mapping, encoded: EncodedInput) -> IntegerRun:
    """s, u and v of every population of the network, put together from its slices."""
    network = split(mapping)
    biases = {name_of(part): encoded.biases[part.population][:, part.neurons]
              for part in mapping.slices if part.population in encoded.biases}
    run = run_integer(network, replace(encoded, biases=biases), Probes.everything(network))
    joined = IntegerRun(run.n_steps)
    for population in mapping.quantized.populations:
        if population.role == "source":
            continue
        for quantity in ("s", "u", "v"):
            store: dict[str, npt.NDArray[np.int32]] = getattr(run, quantity)
            whole = np.zeros((encoded.n_samples, run.n_steps, population.n), np.int32)
            for part in mapping.slices:
                if part.population == population.name:
                    whole[:, :, part.neurons] = store[name_of(part)]
            getattr(joined, quantity)[population.name] = whole
    return joined


def shuffled(network: QuantizedNetwork, n_cores: int, rng: np.random.Generator) -> Mapping:
    """Every neuron on a core at random, of up to ``n_cores``."""
    homes = {p.name: rng.integers(0, n_cores, p.n) for p in network.populations
             if p.role != "source"}
    used = np.unique(np.concatenate(list(homes.values())))
    slices = [Slice(name, number, np.flatnonzero(home == core))
              for number, core in enumerate(used.tolist()) for name, home in homes.items()
              if (home == core).any()]
    empty: tuple[CoreUse, ...] = ()
    mapping = Mapping(network, network.target, tuple(slices), empty)
    use = recount(mapping, homes_of(mapping))
    return replace(mapping, use=tuple(use[core] for core in sorted(use)))
