"""Which chip each core is on, so that the links between chips carry little.

Chips stand in a row: a message to a chip farther on goes over every link on its way. What is best
is decided in this order: as little as possible beyond what links carry, few messages over all links
together, and few over the fullest. Cores move to chips with room, or change places with a core of
another chip, until nothing helps, from one start and from shaken ones; each change is counted
exactly, on all links.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SHAKES = 30
"""Restarts from the best assignment with some cores exchanged, of up to 20 cores."""
SHAKEN_CORES = 600
"""The same counted in cores: a descent takes as long as there are cores. Never below 3 restarts."""
WORK = 300_000_000
"""Loads of a link that may be computed while changes are tried."""

Cost = tuple[float, float, float]
"""Messages beyond the limit of their link, over all links, and over the fullest; a step."""


def relieve(between: Floats, chips: Ints, start: Ints, allowed: Bools, limit: float,
            rng: np.random.Generator) -> Ints:
    """The place of each core, never worse than ``start``. Which place of its chip it is has no
    meaning here.

    between
        Messages from core to core, shape (n, n), its diagonal 0.
    chips
        The chip of each place, shape (s,), ascending.
    start
        The place of each core, shape (n,), all different.
    allowed
        May core i be at place p? Shape (n, s); the same for all places of a chip, but for cores
        that have one tile only.
    limit
        Messages a step that a link carries in each direction; 0: no limit.
    """
    search = _Search(between, chips, start, allowed, limit)
    search.descend()
    best: Ints = search.place.copy()
    least = search.cost()
    for _ in range(max(3, min(SHAKES, SHAKEN_CORES // max(1, len(start))))):
        if search.work <= 0:
            break
        search.shake(rng)
        search.descend()
        if search.less(search.cost(), least):
            best, least = search.place.copy(), search.cost()
        else:
            search.put(best)
    return best


@dataclass(frozen=True, eq=False)
class _Changes:
    """What may be done with a core, each as a place to go to: its loads then, shape
    (changes, 2 * links)."""

    to: Ints
    loads: Floats


class _Search:
    """Link c is between chips c and c + 1; loads are of all links to the right, then to the left.

    ``crossing[i]``: what each has more when core i goes from the left side of its link to the
    right: what it gets from cores on the left crosses to the right then, what it sends to cores on
    the right no longer does, and the other way about.
    """

    def __init__(self, between: Floats, chips: Ints, start: Ints, allowed: Bools, limit: float):
        self.between, self.chips, self.allowed = between, chips, allowed
        self.limit = limit or np.inf
        self.n_chips = int(chips.max()) + 1
        # right[k, c]: 1 where chip k is to the right of link c, else 0.
        chip, link = np.arange(self.n_chips), np.arange(self.n_chips - 1)
        self.right = (chip[:, None] > link).astype(float)
        self.tolerance = 1e-9 * max(1.0, float(between.sum()))
        self.work = WORK
        self.put(start)

    def put(self, place: Ints) -> None:
        """Every core at its place, and everything counted."""
        n = len(place)
        self.place: Ints = place.copy()
        self.holder = np.full(len(self.chips), -1, np.int64)
        self.holder[place] = np.arange(n)
        on = np.zeros((n, self.n_chips))
        on[np.arange(n), self.chips[place]] = 1.0
        self.sent, self.got = self.between @ on, self.between.T @ on  # to and from chips, by core
        from_chip = on.T @ self.sent
        links = range(1, self.n_chips)
        self.loads = np.array([*(from_chip[:c, c:].sum() for c in links),
                               *(from_chip[c:, :c].sum() for c in links)])
        self._count_crossing()

    def descend(self) -> None:
        """Change until nothing helps or the work is done."""
        improved = True
        while improved and self.work > 0:
            improved = False
            for core in range(len(self.place)):
                improved |= self.improve(core)

    def shake(self, rng: np.random.Generator) -> None:
        """Some cores take each other's places, if they may."""
        n = len(self.place)
        chosen = rng.permutation(n)[:rng.integers(2, max(3, min(9, n)))]
        shaken: Ints = self.place.copy()
        shaken[chosen] = shaken[np.roll(chosen, 1)]
        if self.allowed[np.arange(n), shaken].all():
            self.put(shaken)

    def _count_crossing(self) -> None:
        sent, got = np.cumsum(self.sent, axis=1), np.cumsum(self.got, axis=1)
        self.crossing = np.concatenate([got[:, :-1] - (sent[:, -1:] - sent[:, :-1]),
                                        sent[:, :-1] - (got[:, -1:] - got[:, :-1])], axis=1)

    def improve(self, core: int) -> bool:
        """Make the best change of a core, if one helps."""
        changes = self._changes(core)
        if not len(changes.to):
            return False
        best = self._best(changes)
        if not self.less(self._cost(changes.loads[best]), self.cost()):
            return False
        self._change(core, int(changes.to[best]), changes.loads[best])
        return True

    def _changes(self, core: int) -> _Changes:
        here = int(self.place[core])
        chip = int(self.chips[here])
        # One free place of a chip is as good as another.
        free = np.flatnonzero(self.allowed[core] & (self.holder < 0) & (self.chips != chip))
        free = free[np.unique(self.chips[free], return_index=True)[1]]
        taken = np.flatnonzero(self.allowed[core] & (self.holder >= 0) & (self.chips != chip))
        other = self.holder[taken]
        taken, other = (part[self.allowed[other, here]] for part in (taken, other))
        to = np.concatenate([free, taken])
        # 1 for the links that the core comes to the right of, -1 for those it comes to the left of.
        away = np.tile(self.right[self.chips[to]] - self.right[chip], 2)
        more = away * self.crossing[core]
        # Who comes here in turn goes the other way; what the two send each other still crosses.
        both = self.between[core, other] + self.between[other, core]
        back = away[len(free):]
        more[len(free):] += np.abs(back) * both[:, None] - back * self.crossing[other]
        self.work -= more.size
        return _Changes(to, self.loads + more)

    def _best(self, changes: _Changes) -> int:
        left = np.arange(len(changes.to))
        for part in self._costs(changes.loads):
            left = left[part[left] <= part[left].min() + self.tolerance]
        return int(left[0])

    def _costs(self, loads: Floats) -> tuple[Floats, Floats, Floats]:
        return (np.maximum(loads - self.limit, 0.0).sum(axis=-1), loads.sum(axis=-1),
                loads.max(axis=-1))

    def _cost(self, loads: Floats) -> Cost:
        over, together, fullest = self._costs(loads)
        return float(over), float(together), float(fullest)

    def cost(self) -> Cost:
        return self._cost(self.loads)

    def less(self, a: Cost, b: Cost) -> bool:
        for x, y in zip(a, b, strict=True):
            if abs(x - y) > self.tolerance:
                return x < y
        return False

    def _change(self, core: int, to: int, loads: Floats) -> None:
        here, other = int(self.place[core]), int(self.holder[to])
        self.holder[here], self.holder[to] = other, core
        self._move(core, here, to)
        if other >= 0:
            self._move(other, to, here)
        self.loads = loads
        self._count_crossing()

    def _move(self, core: int, here: int, to: int) -> None:
        old, new = self.chips[here], self.chips[to]
        self.place[core] = to
        for at, sign in ((old, -1.0), (new, 1.0)):
            self.sent[:, at] += sign * self.between[:, core]
            self.got[:, at] += sign * self.between[core]
