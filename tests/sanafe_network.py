"""Networks that SANA-FE and Loihi's integers step alike, and where their neurons are.

SANA-FE's membrane is a double in units of 64: it is exact as long as the current is forgotten
every step (its currents are not rounded), decays are multiples of 1/4096 (rounded toward zero as
Loihi's) and nothing overflows. Neurons are driven by their biases: no input, no host.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from partition_factory import network, neurons, project, unlimited

from neurocompile.ir.mapping import Mapping, Placement
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.transforms import Sparse
from neurocompile.passes.partition import Partition

THRESHOLD = 100  # register; 6400 units of the membrane
MEMBRANE_DECAY = 32  # of 4096


@dataclass(frozen=True)
class Scenario:
    """A recurrent network and its mapping.

    rate
        Spikes a neuron and step without its recurrent input, which is balanced but adds some:
        0.007 alone become 0.013 at 100 synapses a neuron.
    silent
        The part of the neurons that have no bias: some of them are not updated in every step.
    neurons_per_core, spread
        Blocks of the flat order; on cores one after another, or with the cores in use evenly
        spaced over the chip. Limits of axons and of synaptic memory are not kept: neither
        simulator checks them, and a random network of this size is no fit for one chip.
    """

    neurons: int
    fan_in: int
    rate: float = 0.007
    silent: float = 0.0
    neurons_per_core: int = 1024
    spread: bool = False
    seed: int = 7


def mapped(scenario: Scenario) -> Mapping:
    """The network with each neuron on its core and each core at its place."""
    return place(Partition().run(quantized(scenario)), spread=scenario.spread)


def quantized(s: Scenario) -> QuantizedNetwork:
    """LIF without synaptic current on loihi1, four of five sources excitatory. Links take a flit
    a ns, as those of SANA-FE's own network do."""
    rng = np.random.default_rng(s.seed)
    population = neurons(
        "p", s.neurons, threshold=np.full(s.neurons, THRESHOLD),
        membrane_decay=np.full(s.neurons, MEMBRANE_DECAY), bias_mantissa=_biases(s, rng))
    target = unlimited(neurons=s.neurons_per_core)
    return network(target, [population], [project("w", "p", "p", _synapses(s, rng))])


def _biases(s: Scenario, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Periods spread evenly in their logarithm over a decade, with the mean of 1 / period asked
    for: the neurons fall out of step at once. A bias reaches the threshold in its period."""
    shortest = 0.9 / np.log(10) / s.rate
    period = shortest * 10 ** rng.random(s.neurons)
    kept = 1 - MEMBRANE_DECAY / 4096
    bias = np.rint((THRESHOLD << 6) * (1 - kept) / (1 - kept ** period)).astype(np.int64)
    return np.where(rng.random(s.neurons) < s.silent, 0, np.maximum(bias, 1))


def _synapses(s: Scenario, rng: np.random.Generator) -> Sparse:
    """``fan_in`` distinct sources a neuron; even weights, as Loihi's of mixed sign are."""
    rows = [np.sort(rng.choice(s.neurons, s.fan_in, replace=False)) for _ in range(s.neurons)]
    source = np.concatenate(rows)
    sign = np.where(rng.random(s.neurons) < 0.8, 1, -4)
    values = (2 * rng.integers(1, 5, len(source)) * sign[source]).astype(np.int8)
    indptr = np.arange(0, len(source) + 1, s.fan_in)
    return Sparse(indptr, source, values, (s.neurons,), (s.neurons,))


def place(mapping: Mapping, *, spread: bool) -> Mapping:
    """Core after core along the columns of the mesh, all cores of a tile before the next.

    Raises ``ValueError`` if the mapping has more cores than one chip: SANA-FE has one.
    """
    chip, n = mapping.target.chip, mapping.n_cores
    if n > chip.cores:
        raise ValueError(f"{n} cores, SANA-FE's chip file has {chip.cores}; more neurons a core")
    core = np.arange(n) * chip.cores // n if spread else np.arange(n)
    x, y = np.divmod(core // chip.cores_per_tile, chip.mesh_height)
    return replace(mapping, placement=Placement(np.zeros(n, np.int64), x, y))
