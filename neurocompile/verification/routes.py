"""What messages cost on the mesh by the router of the target, measured and bounded.

A ``unicast`` router sends a message for each core and projection that a spike is for, and each
takes all hops of its own route. A ``multicast`` router sends a spike once along the union of its XY
routes, copied where they part: along the row of the sender to every column that has a receiver, in
each of these up and down as far as needed. Each link of this tree is a hop, once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurocompile.diagnostics import Diagnostics
from neurocompile.ir.base import FloatArray
from neurocompile.ir.mapping import Mapping, Placement
from neurocompile.ir.target import ChipLayout
from neurocompile.verification.arrivals import arrivals
from neurocompile.verification.hop_bound import hop_bound
from neurocompile.verification.mesh import chip_links, total_hops
from neurocompile.verification.traffic import homes_of, rate_of, traffic

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trees:
    """Neurons of a core that send to the same other cores, together.

    source: their core.  rate: their spikes a step.  cores[indptr[i]:indptr[i + 1]]: the cores that
    group i sends to, at least one, never its own.
    """

    source: Ints
    rate: Floats
    indptr: Ints
    cores: Ints


def trees_of(mapping: Mapping, rates: dict[str, FloatArray] | None = None) -> Trees:
    """The trees of a mapping whose cores are numbered 0 to n_cores - 1; ``rates`` as in
    :func:`traffic`."""
    rates = mapping.rates if rates is None else rates
    homes, n = homes_of(mapping), mapping.n_cores
    width = -(-n // 8)
    first = np.cumsum([0, *(len(home) for home in homes.values())])
    offset = dict(zip(homes, first.tolist(), strict=False))
    # Which cores each neuron sends to, a bit each; one tree for all its projections.
    reached = np.zeros((int(first[-1]), width), np.uint8)
    for projection in mapping.quantized.projections:
        if projection.source in homes:
            for part in arrivals(projection, homes[projection.target]):
                neuron = part.source + offset[projection.source]
                np.bitwise_or.at(reached, (neuron, part.core // 8),
                                 (1 << (part.core % 8)).astype(np.uint8))
    home = np.concatenate([np.zeros(0, np.int64), *homes.values()])
    own = np.arange(len(home)), home // 8
    reached[own] &= ~(1 << (home % 8)).astype(np.uint8)
    rate = np.concatenate([np.zeros(0), *(rate_of(name, len(home), rates)
                                          for name, home in homes.items())])
    sends = reached.any(axis=1)
    keys = np.column_stack([home[sends].astype("<i8").view(np.uint8).reshape(-1, 8),
                            reached[sends]])
    groups, of = np.unique(keys, axis=0, return_inverse=True)
    bits = np.unpackbits(groups[:, 8:], axis=1, count=n, bitorder="little")
    rows, cores = np.nonzero(bits)
    return Trees(np.ascontiguousarray(groups[:, :8]).view("<i8").reshape(-1).astype(np.int64),
                 np.bincount(of.reshape(-1), rate[sends], len(groups)).astype(np.float64),
                 np.searchsorted(rows, np.arange(len(groups) + 1)).astype(np.int64),
                 cores.astype(np.int64))


def tree_hops(trees: Trees, placement: Placement, layout: ChipLayout) -> float:
    """Links of all trees, a step."""
    if not len(trees.source):
        return 0.0
    x = np.asarray(placement.chip, np.int64) * layout.mesh_width + placement.x
    y = np.asarray(placement.y, np.int64)
    start = trees.indptr[:-1]
    group = np.repeat(np.arange(len(start)), np.diff(trees.indptr))
    row = (np.maximum(np.maximum.reduceat(x[trees.cores], start), x[trees.source])
           - np.minimum(np.minimum.reduceat(x[trees.cores], start), x[trees.source]))
    # Columns of each tree: receivers with the same x, from the sender's row on.
    column = group * (int(x.max()) + 1) + x[trees.cores]
    order = np.argsort(column, kind="stable")
    begin = np.flatnonzero(np.diff(column[order], prepend=-1))
    owner, height = group[order][begin], y[trees.cores][order]
    base = y[trees.source][owner]
    up = np.maximum(np.maximum.reduceat(height, begin), base)
    down = np.minimum(np.minimum.reduceat(height, begin), base)
    return float(trees.rate @ row + trees.rate[owner] @ (up - down))


def tree_bound(trees: Trees, layout: ChipLayout) -> float:
    """No placement of these cores has fewer links: sender and receivers fill at least
    ceil(cores / cores a tile) tiles, and a tree over t tiles has at least t - 1 links."""
    tiles = -(-(np.diff(trees.indptr) + 1) // layout.cores_per_tile)
    return float(trees.rate @ (tiles - 1))


def hops_of(mapping: Mapping, rates: dict[str, FloatArray] | None = None) -> float:
    """Hops a step of a placed mapping, as the router of its target makes them."""
    placement, layout = mapping.placement, mapping.target.chip
    assert placement is not None
    if layout.router == "multicast":
        return tree_hops(trees_of(mapping, rates), placement, layout)
    return total_hops(traffic(mapping, rates).between, placement, layout)


def hops_bound_of(mapping: Mapping) -> float:
    """No placement of the mapping's cores makes fewer hops."""
    if mapping.target.chip.router == "multicast":
        return tree_bound(trees_of(mapping), mapping.target.chip)
    return hop_bound(traffic(mapping).between, mapping.target.chip, mapping.constraints)


def links_of(mapping: Mapping) -> list[tuple[int, int, float]]:
    """(from chip, to chip, messages a step) of every link between chips of a placed mapping, up to
    the last chip in use, in both directions. A message to a chip farther on goes over each link on
    its way; a multicast router sends a spike over a link once, however many cores it is for."""
    placement = mapping.placement
    assert placement is not None
    chips = np.asarray(placement.chip, np.int64)
    n_chips = int(chips.max(initial=0)) + 1
    if n_chips == 1:
        return []
    if mapping.target.chip.router == "unicast":
        between = traffic(mapping).between
        sender, receiver = np.nonzero(between)
        end = chips[receiver]
        return chip_links(between[sender, receiver], chips[sender], end, end, n_chips)
    trees = trees_of(mapping)
    ends, start = chips[trees.cores], trees.indptr[:-1]
    lowest, highest = (extreme.reduceat(ends, start) if len(start) else ends
                       for extreme in (np.minimum, np.maximum))
    return chip_links(trees.rate, chips[trees.source], lowest, highest, n_chips)


def check_links(mapping: Mapping, found: Diagnostics) -> None:
    """E529 for each link between chips of a placed mapping that carries more than it can."""
    limit = mapping.target.chip.link_messages
    if not limit:
        return
    hint = ("pin populations that send much to each other to one chip" if mapping.rates else
            "state calibration data (--calibrate): without, every neuron counts as always firing")
    for start, end, messages in links_of(mapping):
        # Means of many steps, summed: a limit that is just reached is kept.
        if messages > limit * (1 + 1e-9):
            found.add("E529", f"link from chip {start} to chip {end}",
                      "more messages a step go over it than it carries", got=f"{messages:.6g}",
                      limit=f"{mapping.target.name}.link_messages = {limit}", hint=hint)
