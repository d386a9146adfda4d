"""Hops on the mesh of a target, and the places it has.

A message goes from tile to tile along x, then y, one hop a tile; between cores of a tile there is
none. No source says how chips are arranged: they are taken to stand in a row, the right edge of one
at the left edge of the next.
"""

from __future__ import annotations

from collections import Counter
from itertools import count

import numpy as np
import numpy.typing as npt

from neurocompile.ir.constraints import Constraints, Fault
from neurocompile.ir.mapping import Placement
from neurocompile.ir.target import ChipLayout

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NOTHING = Constraints()


def hops_between(placement: Placement, layout: ChipLayout) -> npt.NDArray[np.int64]:
    """Hops from core to core, shape (n, n)."""
    x = np.asarray(placement.chip, np.int64) * layout.mesh_width + placement.x
    y = np.asarray(placement.y, np.int64)
    return np.asarray(np.abs(x[:, None] - x) + np.abs(y[:, None] - y), np.int64)


def total_hops(between: Floats, placement: Placement, layout: ChipLayout) -> float:
    """Sum over messages of the hops each takes, a step."""
    return float(np.sum(between * hops_between(placement, layout)))


def chip_links(rate: Floats, source: Ints, lowest: Ints, highest: Ints, n_chips: int,
               ) -> list[tuple[int, int, float]]:
    """(from chip, to chip, messages a step) of every link between two chips of the row, in both
    directions. ``rate`` messages a step go from chip ``source`` to ``lowest`` and to ``highest``,
    over each link on these ways once."""
    right, left = (np.bincount(source * n_chips + end, rate, n_chips ** 2).reshape(n_chips, n_chips)
                   for end in (highest, lowest))
    # Sums of what goes over each link, not differences of sums: 0 is 0.
    return [link for c in range(n_chips - 1)
            for link in ((c, c + 1, float(right[:c + 1, c + 1:].sum())),
                         (c + 1, c, float(left[c + 1:, :c + 1].sum())))]


def places_of(layout: ChipLayout, n_cores: int, wanted: Constraints = NOTHING) -> Placement:
    """The places of the fewest chips that hold ``n_cores``, those that ``wanted`` names among them:
    each tile as often as it has working cores, along a Hilbert curve, chip after chip."""
    named = {tile.chip for tile in wanted.tiles.values()} | set(wanted.chips.values())
    found = {chip: _places_on(chip, layout, wanted) for chip in named}
    for chip in count():
        if found and sum(map(len, found.values())) >= n_cores:
            break
        found.setdefault(chip, _places_on(chip, layout, wanted))
    chips = sorted(found)
    tiles = np.concatenate([found[chip] for chip in chips])
    return Placement(np.repeat(chips, [len(found[chip]) for chip in chips]), tiles[:, 0],
                     tiles[:, 1])


def _places_on(chip: int, layout: ChipLayout, wanted: Constraints) -> npt.NDArray[np.int64]:
    """The tile of each working core of a chip, shape (n, 2); those that cores are pinned to are
    there also where the mesh has room for more cores than the chip has."""
    tiles = sorted(((x, y) for y in range(layout.mesh_height) for x in range(layout.mesh_width)),
                   key=lambda tile: _hilbert(tile, layout))
    faulty = {(f.tile.x, f.tile.y): faulty_cores(f, layout) for f in wanted.faults
              if f.tile.chip == chip}
    pinned = Counter((t.x, t.y) for t in wanted.tiles.values() if t.chip == chip)
    room = [layout.cores_per_tile - faulty.get(tile, 0) for tile in tiles]
    taken = [min(pinned[tile], n) for tile, n in zip(tiles, room, strict=True)]
    # Which places a chip has no core on is not known; those that are faulty it has.
    left = layout.cores - sum(faulty.values()) - sum(taken)
    for i, n in enumerate(room):
        more = max(min(n - taken[i], left), 0)
        taken[i], left = taken[i] + more, left - more
    return np.repeat(np.array(tiles, np.int64), taken, axis=0)


def faulty_cores(fault: Fault, layout: ChipLayout) -> int:
    """How many cores of its tile do not work."""
    return layout.cores_per_tile if fault.cores is None else fault.cores


def working_cores(layout: ChipLayout, wanted: Constraints) -> int:
    """Cores of all chips together that something may be on."""
    return layout.cores * layout.chips - sum(faulty_cores(f, layout) for f in wanted.faults)


def at(places: Placement, index: npt.NDArray[np.int64]) -> Placement:
    """Some of the places, in the order of ``index``."""
    return Placement(places.chip[index], places.x[index], places.y[index])


def _hilbert(tile: tuple[int, int], layout: ChipLayout) -> int:
    """Position of a tile on the curve through the smallest square of 2^k that holds the mesh."""
    x, y = tile
    side = 1 << max(layout.mesh_width - 1, layout.mesh_height - 1, 1).bit_length()
    position, step = 0, side // 2
    while step:
        right, up = int(x & step > 0), int(y & step > 0)
        position += step * step * ((3 * right) ^ up)
        if not up:
            if right:
                x, y = side - 1 - x, side - 1 - y
            x, y = y, x
        step //= 2
    return position
