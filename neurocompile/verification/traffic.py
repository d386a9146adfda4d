"""What a mapping costs when it runs: messages between cores, operations of a core, and bounds.

Counted from the slices alone and from mean rates, as the checker counts axons, so that every
candidate is measured by the same rule whatever made it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurocompile.ir.base import FloatArray
from neurocompile.ir.mapping import Mapping
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.verification.arrivals import arrivals

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Traffic:
    """Means a step.

    between: messages from core to core, shape (cores, cores), its diagonal 0.
    from_host: messages from inputs to each core.  operations: synapses that take a spike, by core.
    """

    between: Floats
    from_host: Floats
    operations: Floats

    @property
    def messages(self) -> float:
        """Sum over spikes of the cores that get them, the sender's own not counted."""
        return float(self.between.sum())


def traffic(mapping: Mapping, rates: dict[str, FloatArray] | None = None) -> Traffic:
    """Measure a mapping in which each neuron is on one core. ``rates`` replace the mapping's own:
    mean spikes a step of each neuron by population, 1 for those it does not name."""
    rates = mapping.rates if rates is None else rates
    homes = homes_of(mapping)
    n = mapping.n_cores
    numbers = {use.core: i for i, use in enumerate(mapping.use)}
    number = np.full(max(numbers, default=-1) + 1, -1, np.int64)
    number[list(numbers)] = list(numbers.values())
    between, from_host, operations = np.zeros((n, n)), np.zeros(n), np.zeros(n)
    for projection in mapping.quantized.projections:
        source = mapping.quantized.population(projection.source)
        rate = rate_of(source.name, source.n, rates)
        here = homes.get(source.name)
        for part in arrivals(projection, homes[projection.target]):
            core, sent = number[part.core], rate[part.source]
            operations += np.bincount(core, sent * part.synapses, n)
            if here is None:
                from_host += np.bincount(core, sent, n)
            else:
                pair = number[here[part.source]] * n + core
                between += np.bincount(pair, sent, n * n).reshape(n, n)
    np.fill_diagonal(between, 0.0)
    return Traffic(between, from_host, operations)


def homes_of(mapping: Mapping) -> dict[str, npt.NDArray[np.int64]]:
    """The core of each neuron on the chip, by population."""
    homes = {p.name: np.full(p.n, -1, np.int64) for p in mapping.quantized.populations
             if p.role != "source"}
    for part in mapping.slices:
        homes[part.population][part.neurons] = part.core
    return homes


def rate_of(name: str, n: int, rates: dict[str, FloatArray] | None) -> Floats:
    """Mean spikes a step of each neuron of a population, shape (n,)."""
    known = (rates or {}).get(name)
    if known is None or known.size != n:
        return np.ones(n)
    return np.asarray(known, np.float64).reshape(-1)


def message_bound(quantized: QuantizedNetwork, rates: dict[str, FloatArray] | None = None,
                  ) -> float:
    """No mapping sends fewer messages a step between cores: a neuron's targets of one projection
    fill at least ceil(targets / neurons that a core can hold of them) cores, of which one may be
    its own."""
    from neurocompile.passes.cores import ChipNetwork
    from neurocompile.passes.least import least_cores, most_together, targets_of

    network = ChipNetwork(quantized)
    total = 0.0
    for print_ in network.footprints:
        source = quantized.population(print_.projection.source)
        if source.role == "source":
            continue
        together = most_together(network.populations[print_.projection.target], network.limits)
        cores = np.maximum(least_cores(targets_of(print_, source.n), together) - 1, 0)
        total += float(np.sum(rate_of(source.name, source.n, rates) * cores))
    return total
