"""Placement for routers that send a spike once along a tree: exchanges of two cores, or moves to a
free place, that make the trees smaller (Numba).

A tree has no cost between pairs of cores, so that every exchange is counted on the trees that have
one of the two cores.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from neurocompile.ir.mapping import Placement
from neurocompile.ir.target import ChipLayout
from neurocompile.verification.routes import Trees

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

WORK = 2_000_000_000
"""Cores of trees that may be visited while exchanges are tried."""


class _Mesh(NamedTuple):
    """Where each place is, and which trees each core is part of."""

    x: Ints
    y: Ints
    source: Ints
    rate: npt.NDArray[np.float64]
    indptr: Ints
    cores: Ints
    of_indptr: Ints
    of: Ints
    width: int


def descend(trees: Trees, places: Placement, layout: ChipLayout, place: Ints,
            allowed: Bools) -> Ints:
    """Exchange from ``place`` (place of each core) until nothing helps or the work is done."""
    x = np.asarray(places.chip, np.int64) * layout.mesh_width + places.x
    groups = np.arange(len(trees.source))
    member = np.concatenate([trees.source, trees.cores])
    group = np.concatenate([groups, np.repeat(groups, np.diff(trees.indptr))])
    order = np.argsort(member, kind="stable")
    of_indptr = np.searchsorted(member[order], np.arange(len(place) + 1))
    mesh = _Mesh(x, np.asarray(places.y, np.int64), trees.source, trees.rate, trees.indptr,
                 trees.cores, of_indptr.astype(np.int64), group[order], int(x.max()) + 1)
    found: Ints = _descend(mesh, place.astype(np.int64), allowed, WORK)
    return found


@njit(cache=True)
def _links(mesh, group, place, low, high):
    """Links of a tree. ``low``, ``high``: of each column, -1 where it has none yet."""
    at = place[mesh.source[group]]
    left = right = mesh.x[at]
    row = mesh.y[at]
    for i in range(mesh.indptr[group], mesh.indptr[group + 1]):
        p = place[mesh.cores[i]]
        x, y = mesh.x[p], mesh.y[p]
        left, right = min(left, x), max(right, x)
        if low[x] < 0:
            low[x], high[x] = min(row, y), max(row, y)
        else:
            low[x], high[x] = min(low[x], y), max(high[x], y)
    total = right - left
    for x in range(left, right + 1):
        if low[x] >= 0:
            total += high[x] - low[x]
            low[x] = -1
    return total


@njit(cache=True)
def _change(mesh, core, other, place, links, seen, stamp, low, high):
    """(links more, cores visited) of the trees of two cores (``other`` -1: of one) as placed now,
    against ``links``."""
    change, visited = 0.0, 0
    for which in range(2):
        member = core if which == 0 else other
        if member < 0:
            continue
        for at in range(mesh.of_indptr[member], mesh.of_indptr[member + 1]):
            group = mesh.of[at]
            if seen[group] == stamp:
                continue
            seen[group] = stamp
            change += mesh.rate[group] * (_links(mesh, group, place, low, high) - links[group])
            visited += mesh.indptr[group + 1] - mesh.indptr[group] + 1
    return change, visited


@njit(cache=True)
def _descend(mesh, place, allowed, work):
    n, n_places = len(place), len(mesh.x)
    low, high = np.full(mesh.width, -1, np.int64), np.zeros(mesh.width, np.int64)
    holder = np.full(n_places, -1, np.int64)
    links = np.zeros(len(mesh.source), np.int64)
    seen = np.zeros(len(mesh.source), np.int64)
    for core in range(n):
        holder[place[core]] = core
    for group in range(len(links)):
        links[group] = _links(mesh, group, place, low, high)
    stamp = 0
    tolerance = 1e-9 * (1.0 + float((mesh.rate * links).sum()))
    improved = True
    while improved and work > 0:
        improved = False
        for core in range(n):
            here = place[core]
            best, best_to = -tolerance, -1
            for to in range(n_places):
                other = holder[to]
                if to == here or not allowed[core, to] or (
                        mesh.x[to] == mesh.x[here] and mesh.y[to] == mesh.y[here]) or (
                        other >= 0 and not allowed[other, here]):
                    continue
                place[core] = to
                if other >= 0:
                    place[other] = here
                stamp += 1
                change, visited = _change(mesh, core, other, place, links, seen, stamp, low, high)
                work -= visited
                place[core] = here
                if other >= 0:
                    place[other] = to
                if change < best:
                    best, best_to = change, to
            if best_to >= 0:
                other = holder[best_to]
                place[core], holder[best_to], holder[here] = best_to, core, other
                if other >= 0:
                    place[other] = here
                for which in range(2):
                    member = core if which == 0 else other
                    if member >= 0:
                        for at in range(mesh.of_indptr[member], mesh.of_indptr[member + 1]):
                            group = mesh.of[at]
                            links[group] = _links(mesh, group, place, low, high)
                improved = True
            if work <= 0:
                break
    return place
