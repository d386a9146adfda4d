"""What SANA-FE charges, from spikes and mapping alone: its rules restated in numpy.

Energy by cause and the time of its "simple" model are predicted to the last digits;
``congestion_free`` is what its "detailed" model comes to where the network on chip never blocks.
Figures are those of the target (``costs``, ``timing``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from neurocompile.ir.mapping import Mapping
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import to_sparse

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PART = {"neuron_access": "soma", "neuron_update": "soma", "neuron_spike": "soma",
        "synapse_sparse": "synapse", "axon_out": "network", "hop_east_west": "network",
        "hop_north_south": "network"}
"""Which of the parts that SANA-FE reports each cause of energy belongs to."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A mapping of one population, flat.

    ``core[i]`` of a neuron, ``x[c]`` and ``y[c]`` of a core; ``synapses[i, c]`` of neuron i on
    core c (sparse; a stored element is a message), ``adjacency[i, j]`` 1 where i reaches j.
    Neurons of a core are processed in the order of their index.
    """

    target: TargetSpec
    core: Ints
    x: Ints
    y: Ints
    synapses: sp.csr_array
    adjacency: sp.csr_array
    bias: npt.NDArray[np.integer]

    @property
    def hops(self) -> tuple[Ints, Ints]:
        """Hops along x and along y from core to core."""
        return abs(self.x[:, None] - self.x), abs(self.y[:, None] - self.y)


def placed(mapping: Mapping) -> Placed:
    """Raises ``ValueError`` for several populations or cores of several chips."""
    network, placement = mapping.quantized, mapping.placement
    if len(network.populations) != 1 or placement is None or placement.chip.any():
        raise ValueError("one population, placed on one chip")
    n = network.populations[0].n
    core = np.empty(n, np.int64)
    for part in mapping.slices:
        core[part.neurons] = part.core
    reach = sp.csr_array((n, n), dtype=np.int64)
    for projection in network.projections:
        flat = to_sparse(projection.transform)
        ones = np.ones(len(flat.indices), np.int64)
        reach = reach + sp.csr_array((ones, flat.indices, flat.indptr), shape=(n, n))
    to_core = sp.csr_array((np.ones(n, np.int64), (np.arange(n), core)),
                           shape=(n, mapping.n_cores))
    adjacency = sp.csr_array(reach.T)
    synapses = sp.csr_array(adjacency @ to_core)
    synapses.sort_indices()
    return Placed(mapping.target, core, np.asarray(placement.x), np.asarray(placement.y),
                  synapses, adjacency, network.populations[0].bias)


def updated(p: Placed, spikes: Bools, v: npt.NDArray[np.integer]) -> Bools:
    """Who pays for an update: neurons with a bias, with a membrane that was not 0 before the
    step, with anything delivered (a sum of 0 too), or that fire. ``spikes`` and ``v`` (after
    reset) are [step, neuron]."""
    reached = (spikes.astype(np.int64) @ p.adjacency) > 0
    result: Bools = (p.bias != 0) | spikes
    result[1:] |= (v[:-1] != 0) | reached[:-1]
    return result


@dataclass(frozen=True, eq=False)
class Prediction:
    """``energy_pj[cause]`` and ``simple_ns``, each [step]."""

    energy_pj: dict[str, Floats]
    simple_ns: Floats

    def part_pj(self, part: str) -> Floats:
        """``soma``, ``synapse`` or ``network``."""
        causes = [e for cause, e in self.energy_pj.items() if PART[cause] == part]
        return np.asarray(np.sum(causes, axis=0))


def predict(p: Placed, spikes: Bools, paid: Bools) -> Prediction:
    """``paid``: neurons ``updated``. The time is that of the busiest core, at sending or at
    receiving, and of the barrier; no message takes time on its way."""
    n_cores = len(p.x)
    s = spikes.astype(np.int64)
    energy = {cause: pj for cause, (pj, _) in p.target.costs.items()}
    time = {cause: ns for cause, (_, ns) in p.target.costs.items()}
    on = sp.csr_array((np.ones(len(p.core), np.int64), (np.arange(len(p.core)), p.core)),
                      shape=(len(p.core), n_cores))
    is_message = sp.csr_array((np.ones(p.synapses.nnz, np.int64), p.synapses.indices,
                               p.synapses.indptr), shape=p.synapses.shape)
    per_neuron = np.diff(p.synapses.indptr)
    hops = [(is_message.multiply(h[p.core])).sum(axis=1) for h in p.hops]
    events = {"neuron_access": np.full(len(s), len(p.core)), "neuron_update": paid.sum(axis=1),
              "neuron_spike": s.sum(axis=1), "axon_out": s @ per_neuron,
              "synapse_sparse": s @ p.synapses.sum(axis=1),
              "hop_east_west": s @ hops[0], "hop_north_south": s @ hops[1]}
    sending = (time["neuron_access"] * (np.ones_like(s) @ on)
               + time["neuron_update"] * (paid.astype(np.int64) @ on)
               + time["neuron_spike"] * (s @ on) + time["axon_out"] * ((s * per_neuron) @ on))
    receiving = time["axon_in"] * (s @ is_message) + time["synapse_sparse"] * (s @ p.synapses)
    busiest = np.maximum(sending.max(axis=1), receiving.max(axis=1))
    return Prediction({cause: energy[cause] * n for cause, n in events.items()},
                      busiest + barrier_ns(p))


def barrier_ns(p: Placed) -> float:
    """By the number of tiles that have neurons, whether they do anything or not."""
    timing = p.target.timing
    tiles = len(np.unique(p.x * p.target.chip.mesh_height + p.y))
    found = int(np.searchsorted(timing.barrier_tiles, tiles, side="right")) - 1
    return timing.barrier_ticks[max(found, 0)] * timing.tick_ps / 1000


def congestion_free(p: Placed, spikes: Bools, paid: Bools, *, served: str = "arrived") -> Floats:
    """Time of each step in ns where a message takes its hops and no more; nothing is faster.

    A core takes its neurons in turn and sends as it goes, a neuron's messages by rising core; it
    handles what it gets one after another, in the order ``served``: ``arrived``, or ``sent`` as
    SANA-FE does, which leaves the core idle while a message that was sent earlier travels.
    """
    time = {cause: ns for cause, (_, ns) in p.target.costs.items()}
    travel = time["hop_east_west"] * p.hops[0] + time["hop_north_south"] * p.hops[1]
    by_core = np.argsort(p.core, kind="stable")
    first = np.searchsorted(p.core[by_core], np.arange(len(p.x)))
    result = np.empty(len(spikes))
    for t in range(len(spikes)):
        latency = (time["neuron_access"] + time["neuron_update"] * paid[t]
                   + time["neuron_spike"] * spikes[t]
                   + time["axon_out"] * spikes[t] * np.diff(p.synapses.indptr))[by_core]
        total = np.cumsum(latency)
        start = np.concatenate([[0.0], total])[first]
        done = np.empty(len(latency))
        done[by_core] = total - start[p.core[by_core]]
        ends = [float(done.max(initial=0.0))]
        fired = np.flatnonzero(spikes[t])
        n_sent = np.diff(p.synapses.indptr)[fired]
        if n_sent.sum():
            source = np.repeat(fired, n_sent)
            at = np.concatenate([np.arange(p.synapses.indptr[i], p.synapses.indptr[i + 1])
                                 for i in fired])
            to = p.synapses.indices[at]
            after = p.synapses.indptr[source + 1] - at - 1  # messages the neuron still sends then
            sent = done[source] - time["axon_out"] * after
            arrived = sent + travel[p.core[source], to]
            work = time["axon_in"] + time["synapse_sparse"] * p.synapses.data[at]
            ends += _ends(to, sent if served == "sent" else arrived, arrived, work)
        result[t] = max(ends) + barrier_ns(p)
    return result


def _ends(core: Ints, rank: Floats, arrived: Floats, work: Floats) -> list[float]:
    """When each core that gets messages is done with them, taken in the order of ``rank``."""
    ends = []
    for c in np.unique(core):
        mine = np.flatnonzero(core == c)
        mine = mine[np.argsort(rank[mine], kind="stable")]
        total = np.cumsum(work[mine])
        # The core is busy without a pause from the arrival that maximizes this on.
        ends.append(float(np.max(arrived[mine] - total + work[mine]) + total[-1]))
    return ends
