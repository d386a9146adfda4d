"""How few hops any placement needs whose messages each go their own way.

Two bounds, of which the larger is taken. With one core a tile they are the same.

Gilmore and Lawler's: a core at a place sends its largest traffic nowhere closer than to the nearest
places, in turn. The least sum of that over all assignments of cores to places counts every message
at both ends.

By tiles: a message over d hops is one between two tiles, and d - 1 hops more. Messages between
tiles are at least all that are not within one, and what is within tiles has a bound (see
``_within_tiles``); of the hops more Gilmore and Lawler's bound is taken, with d - 1 for d. Their
bound alone lets every core have its largest partners on its tile, although these may be the
partners of others as well.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurocompile.ir.constraints import Constraints
from neurocompile.ir.target import ChipLayout
from neurocompile.verification.mesh import NOTHING, hops_between, places_of

Floats = npt.NDArray[np.float64]

EXACT_CORES = 200
"""Up to so many cores the bound solves an assignment; above, each core gets its best place."""
TILED_CORES = 64
"""Up to so many cores what is within tiles has a bound of its own."""
ROUNDS = 20
CUTS = 3000
"""Inequalities that a round adds."""


def hop_bound(between: Floats, layout: ChipLayout, wanted: Constraints = NOTHING) -> float:
    """No placement of these cores on the fewest chips needs fewer hops (Gilmore 1962, Lawler 1963;
    Groetschel and Wakabayashi 1989 for what is within tiles)."""
    n = len(between)
    if n < 2:
        return 0.0
    near = np.sort(hops_between(places_of(layout, n, wanted), layout), axis=1)[:, 1:n]
    both = between + between.T
    np.fill_diagonal(both, 0.0)
    traffic = -np.sort(-both, axis=1)[:, :n - 1]
    bound = _assigned(traffic, near)
    if layout.cores_per_tile == 1 or n > TILED_CORES:
        return bound
    apart = float(both.sum()) / 2 - _within_tiles(both, layout.cores_per_tile)
    return max(bound, apart + _assigned(traffic, np.maximum(near - 1, 0)))


def _assigned(traffic: Floats, near: npt.NDArray[np.int64]) -> float:
    """traffic: of each core, falling; near: hops from each place, rising."""
    from scipy.optimize import linear_sum_assignment

    cost = traffic @ near.T.astype(float)
    if len(traffic) > EXACT_CORES:
        return float(cost.min(axis=1).sum()) / 2
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].sum()) / 2


def _within_tiles(both: Floats, size: int) -> float:
    """No division of the cores into tiles of ``size`` has more traffic within tiles.

    x of a pair is 1 if it is on one tile. Then a core has at most size - 1 others, and if a is with
    b and b with c, then a is with c. The optimum over fractions is no less than that over
    divisions, and any y >= 0 of the dual program is no less than this: the result does not depend
    on the solver's tolerance.
    """
    import scipy.sparse as sp
    from scipy.optimize import linprog

    n = len(both)
    first, second = np.triu_indices(n, 1)
    weight, m = both[first, second], len(first)
    number = np.zeros((n, n), np.int64)
    number[first, second] = number[second, first] = np.arange(m)
    rows = [sp.csr_matrix((np.ones(2 * m), (np.concatenate([first, second]),
                                            np.tile(np.arange(m), 2))), (n, m))]
    limits = [np.full(n, size - 1.0)]
    best = float(weight.sum())
    for _ in range(ROUNDS):
        matrix, limit = sp.vstack(rows).tocsr(), np.concatenate(limits)
        solved = linprog(-weight, A_ub=matrix, b_ub=limit, bounds=(0, 1), method="highs")
        if solved.status != 0:
            break
        dual = np.maximum(-solved.ineqlin.marginals, 0.0)
        best = min(best, float(limit @ dual + np.maximum(weight - matrix.T @ dual, 0.0).sum()))
        cuts = _broken(solved.x[number] * (1 - np.eye(n)))
        if not len(cuts):
            break
        a, b, c = cuts.T
        columns = np.stack([number[a, b], number[b, c], number[a, c]], axis=1).reshape(-1)
        rows.append(sp.csr_matrix((np.tile([1.0, 1.0, -1.0], len(cuts)),
                                   (np.repeat(np.arange(len(cuts)), 3), columns)),
                                  (len(cuts), m)))
        limits.append(np.ones(len(cuts)))
    return best


def _broken(x: Floats) -> npt.NDArray[np.int64]:
    """The triples (a, b, c), a < c, of which x[a, b] + x[b, c] - x[a, c] is most above 1."""
    excess = x[:, :, None] + x[None, :, :] - x[:, None, :] - 1.0
    triples = np.argwhere(excess > 1e-6)
    triples = triples[(triples[:, 0] < triples[:, 2]) & (triples[:, 1] != triples[:, 0])
                      & (triples[:, 1] != triples[:, 2])]
    order = np.argsort(-excess[tuple(triples.T)], kind="stable")
    return np.asarray(triples[order[:CUTS]], np.int64)
