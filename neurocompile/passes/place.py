"""``place``: cores onto the tiles of a chip's mesh, so that messages take few hops.

Cores in the order of the Fiedler vector of their traffic go along a Hilbert curve; then the best
exchange of two cores, or move to a free place, is made until none helps, from this start and from
a few shaken ones. Networks larger than a chip take as few chips as they can: cores get their chips
first, by what goes over the links between these, then tiles on them. What the user wants
of a core (docs/mapping.md) holds from the start and in each exchange. For a multicast router,
exchanges that make its trees smaller follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from neurocompile.diagnostics import Diagnostics, fail
from neurocompile.ir.mapping import Mapping, Placement
from neurocompile.passes.links import relieve
from neurocompile.verification.mesh import at, hops_between, places_of
from neurocompile.verification.routes import check_links, trees_of
from neurocompile.verification.traffic import traffic

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SHAKES = 12
"""Restarts from the best placement with some cores exchanged."""
WORK = 2_000_000_000
"""Updates of (core, place) costs that the exchanges may take together."""


@dataclass(frozen=True)
class Place:
    """Give each core a tile. The same seed gives the same placement.

    seed
        Of the restarts.
    """

    seed: int = 0

    def run(self, mapping: Mapping) -> Mapping:
        """The mapping with its placement. Its cores are numbered 0 to n_cores - 1.

        Raises :class:`CompileError`: E547 where more cores are to be on a tile or a chip than it
        has, E529 where more messages go over a link between chips than it carries.
        """
        placed = self.unchecked(mapping)
        found = Diagnostics()
        check_links(placed, found)
        found.raise_if_errors()
        return placed

    def unchecked(self, mapping: Mapping) -> Mapping:
        """As :meth:`run`, whatever goes over links between chips."""
        layout, n = mapping.target.chip, mapping.n_cores
        places = places_of(layout, n, mapping.constraints)
        allowed = _allowed(mapping, places)
        if n < 2:
            start = _start(np.arange(n), allowed, places, mapping)
            return replace(mapping, placement=at(places, start))
        between = traffic(mapping).between
        both = between + between.T
        hops = hops_between(places, layout).astype(float)
        rng = np.random.default_rng(self.seed)
        place = _start(_line(both), allowed, places, mapping)
        if places.chip[0] != places.chip[-1]:
            # Few hops are a start with little over links.
            place = _Exchange(both, hops, rng, allowed).descend(place)
            chips = np.asarray(places.chip, np.int64)
            place = relieve(_between_chips(mapping, between), chips, place, allowed,
                            layout.link_messages, rng)
            allowed &= places.chip == places.chip[place][:, None]
        search = _Exchange(both, hops, rng, allowed)
        place = search.best_from(place)
        if layout.router == "multicast":
            from neurocompile.passes.trees import descend  # loads Numba

            place = descend(trees_of(mapping), places, layout, place, allowed)
        return replace(mapping, placement=at(places, place))


def _allowed(mapping: Mapping, places: Placement) -> Bools:
    """May core i be at place p? Shape (n_cores, n_places)."""
    wanted = mapping.constraints
    allowed = np.ones((mapping.n_cores, len(places.chip)), bool)
    for core, number in enumerate(wanted.pinned):
        tile = wanted.tiles.get(number)
        if tile is not None:
            allowed[core] &= ((places.chip == tile.chip) & (places.x == tile.x)
                              & (places.y == tile.y))
    for part in mapping.slices:
        if part.population in wanted.chips:
            allowed[part.core] &= places.chip == wanted.chips[part.population]
    return allowed


def _between_chips(mapping: Mapping, between: Floats) -> Floats:
    """Messages from core to core as they count on links between chips, shape (n, n). A multicast
    router sends a spike over a link once: its cores have even shares of it, which is exact where
    they are on one chip, and too little where they are not."""
    if mapping.target.chip.router == "unicast":
        return between
    trees = trees_of(mapping)
    size = np.diff(trees.indptr)
    shares = np.zeros_like(between)
    np.add.at(shares, (np.repeat(trees.source, size), trees.cores),
              np.repeat(trees.rate / size, size))
    return shares


def _start(line: Ints, allowed: Bools, places: Placement, mapping: Mapping) -> Ints:
    """The place of each core: the next free one that it may have, in the order of ``line``. Cores
    with the fewest places come first: places of a tile are places of its chip, so none is taken
    that a core with fewer would need."""
    place: Ints = np.full(len(allowed), -1, np.int64)
    free = np.ones(len(places.chip), bool)
    n_allowed = allowed.sum(axis=1)
    for core in line[np.argsort(n_allowed[line], kind="stable")].tolist():
        possible = np.flatnonzero(allowed[core] & free)
        if not possible.size:
            names = [part.population for part in mapping.slices if part.core == core]
            raise fail("E547", ", ".join(names), "more cores are needed than work on its chip",
                       got=f"{int(n_allowed[core])} cores there, all taken",
                       hint="put fewer populations on this chip")
        place[core] = possible[0]
        free[possible[0]] = False
    return place


def _line(both: Floats) -> Ints:
    """Cores in a line, those with much traffic close: by the second eigenvector of the Laplacian,
    of the traffic scaled so that busy cores do not decide alone."""
    degree = both.sum(axis=1)
    scale = 1 / np.sqrt(np.where(degree > 0, degree, 1.0))
    normal = np.diag((degree > 0).astype(float)) - both * scale[:, None] * scale
    vectors: Floats = np.linalg.eigh(normal)[1]
    second: Floats = vectors[:, min(1, len(both) - 1)] * scale
    # Signs of eigenvectors are arbitrary: fixed, so that the same network is placed alike.
    second = second * (1 if second[np.argmax(np.abs(second))] > 0 else -1)
    return np.array(np.argsort(np.round(second, 9), kind="stable"), np.int64)


class _Exchange:
    """Best exchanges. ``both``: traffic both ways (n, n); ``hops``: between places (s, s);
    ``allowed``: may core i be at place p (n, s)."""

    def __init__(self, both: Floats, hops: Floats, rng: np.random.Generator, allowed: Bools):
        self.both, self.hops, self.rng = both, hops, rng
        self.allowed = None if allowed.all() else allowed
        self.work = WORK

    def best_from(self, place: Ints) -> Ints:
        best = self.descend(place)
        least = self._cost(best)
        for _ in range(SHAKES):
            if self.work <= 0:
                break
            shaken = self._shaken(best)
            if self.allowed is not None and not self.allowed[np.arange(len(best)), shaken].all():
                continue
            shaken = self.descend(shaken)
            if self._cost(shaken) < least * (1 - 1e-9):
                best, least = shaken, self._cost(shaken)
        return best

    def _cost(self, place: Ints) -> float:
        return float(np.sum(self.both * self.hops[np.ix_(place, place)])) / 2

    def _shaken(self, place: Ints) -> Ints:
        shaken: Ints = place.copy()
        chosen = self.rng.permutation(len(place))
        if self.allowed is not None:
            # Those that may change places with the first, as the cores of its chip.
            first = chosen[0]
            chosen = chosen[self.allowed[first, place[chosen]] & self.allowed[chosen, place[first]]]
        chosen = chosen[:max(2, min(8, len(place) // 4))]
        shaken[chosen] = shaken[np.roll(chosen, 1)]
        return shaken

    def descend(self, start: Ints) -> Ints:
        """Exchange until nothing helps or the work is done."""
        place: Ints = start.copy()
        n, s = len(place), len(self.hops)
        holder = np.full(s, -1, np.int64)
        holder[place] = np.arange(n)
        cost = self.both @ self.hops[place]  # of core i at place p, the others where they are
        tolerance = 1e-9 * max(1.0, float(self.both.sum()))
        improved = True
        while improved and self.work > 0:
            improved = False
            for core in range(n):
                gain, to = self._best_move(core, place, holder, cost)
                if gain >= -tolerance:
                    continue
                self._exchange(core, to, place, holder, cost)
                self.work -= 2 * n * s
                improved = True
        return place

    def _best_move(self, core: int, place: Ints, holder: Ints, cost: Floats) -> tuple[float, int]:
        here = int(place[core])
        change = cost[core] - cost[core, here]
        taken = np.flatnonzero(holder >= 0)
        other = holder[taken]
        change[taken] += (cost[other, here] - cost[other, taken]
                          + 2 * self.both[core, other] * self.hops[here, taken])
        if self.allowed is not None:
            change[~self.allowed[core]] = np.inf
            change[taken] = np.where(self.allowed[other, here], change[taken], np.inf)
        change[here] = 0.0
        self.work -= len(change)
        to = int(np.argmin(change))
        return float(change[to]), to

    def _exchange(self, core: int, to: int, place: Ints, holder: Ints, cost: Floats) -> None:
        here, other = int(place[core]), int(holder[to])
        shift = self.hops[to] - self.hops[here]
        cost += self.both[:, core, None] * shift
        if other >= 0:
            cost -= self.both[:, other, None] * shift
            place[other] = here
        holder[here], holder[to] = other, core
        place[core] = to
