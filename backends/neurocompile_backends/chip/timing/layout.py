"""The mesh as tables: routers, links, buffers, and where cores and hosts sit (docs/timing.md).

Chips stand in a row: global x = chip * mesh_width + x. Router ``y * columns + x`` is at (x, y);
north is y + 1. Numbers of things, in this order:

* links 0 to L - 1, by router, then east, west, north, south where there is a neighbour;
* senders 0 to S - 1: core i is sender i, then the host of each chip (so S = C + chips);
* ports: port l sends over link l, port L + c is the exit to core c;
* buffers: buffer l is at the far end of link l, buffer L + s is where sender s hands over, and
  buffer L + S + c is the entrance of core c.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurocompile.ir.mapping import Placement
from neurocompile.ir.target import TargetSpec, Timing

Ints = npt.NDArray[np.int64]
SmallInts = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

EAST, WEST, NORTH, SOUTH = range(4)
HOPS = ("hop_east_west", "hop_north_south", "hop_chip")
"""The event that a hop over a link is, by ``Mesh.link_kind``."""

# The compiled modules hold these numbers, and Numba's cache does not see a change here: clear it.
# Columns of the table of buffers: flits in it, those and the slots promised to flits on their way
# (the next ones, in the order of arrival), slot of its head, first slot, slots, its router, its
# place among the inputs of the router, the most flits that were in it, and ports that its head
# still wants.
(F_HELD, F_USED, F_HEAD, F_BASE, F_SLOTS, F_ROUTER, F_INPUT, F_PEAK, F_WANTS,
 F_COLUMNS) = range(10)
# Columns of the table of ports: from when on it is idle, whether an event is ahead for that, input
# it took last, ticks of a flit over its link and between two of them, its router, heads that want
# it, flits so far, whether it is listed to decide in this tick and in the next, and from P_INPUTS
# on a bit for each input whose head wants it.
(P_IDLE, P_AHEAD, P_LAST, P_TICKS, P_INTERVAL, P_ROUTER, P_WANTED, P_COUNT, P_NOW, P_NEXT,
 P_INPUTS) = range(11)


class Mesh(NamedTuple):
    """What ``network`` and ``estimate`` know of a chip; see the module for the numbering.

    n_links, n_cores, n_senders
        L, C, S.
    columns
        Routers in a row, over all chips.
    buffers, ports
        Both tables before a step, shapes (L + S + C, F_COLUMNS) and (L + C, P_INPUTS + words of
        64 inputs).
    inputs
        Buffer of each input of each router in the order of rule N4, else -1,
        shape (routers, most inputs of one).
    links
        Link to the east, west, north, south of each router, else -1, shape (routers, 4).
    route
        Rule N3: the port that a flit for a core wants at a router, shape (C, routers). A table, and
        in this order, because it is looked up at every hop and hops are to neighbours.
    link_kind, link_energy_pj
        Index into ``HOPS`` and energy of a flit, shape (L,).
    core_x, core_y
        Global tile of each core, shape (C,).
    sender_x, sender_y
        Global tile of each sender, shape (S,).
    core_ticks_x, core_ticks_y, sender_ticks_x, sender_ticks_y
        Ticks over links from tile (0, 0) to each, along x and along y: an empty network takes
        the differences.
    """

    n_links: int
    n_cores: int
    n_senders: int
    columns: int
    buffers: Ints
    ports: Ints
    inputs: Ints
    links: Ints
    route: SmallInts
    link_kind: Ints
    link_energy_pj: Floats
    core_x: Ints
    core_y: Ints
    sender_x: Ints
    sender_y: Ints
    core_ticks_x: Ints
    core_ticks_y: Ints
    sender_ticks_x: Ints
    sender_ticks_y: Ints


class Step(NamedTuple):
    """What each sender sends in a step: F flits with D destinations together. What a program sends
    has ticks of 32 bits; 64 are another kernel to compile.

    Arrays may be longer than stated where their length is F or D; the rest is not read.

    first
        Flits of sender s are first[s] to first[s + 1] - 1, shape (S + 1,); F = first[S].
    gap
        Ticks the sender works on flit k after it handed over the one before, >= 0, shape (F,).
    fan
        Destinations of flit k are fan[k] to fan[k + 1] - 1, at least one, shape (F + 1,).
    dest
        Core of each destination, shape (D,). Those of a flit differ and are in the order of
        ``destination_rank``: then what is for one side of a router is in one piece.
    work
        Ticks that core works on the flit; less than 1 counts as 1; shape (D,).
    tail
        Ticks the sender works after its last flit, >= 0, shape (S,).
    """

    first: Ints
    gap: Ints | SmallInts
    fan: SmallInts
    dest: SmallInts
    work: Ints | SmallInts
    tail: Ints


# Entries of ``Result.summary``: ticks of the step, longest delay of a flit against an empty
# network, critical unit and why (``REASONS``), and the ticks of its four parts.
(R_TICKS, R_LAG, R_UNIT, R_REASON, R_SENDING, R_STALLED, R_NETWORK, R_RECEIVING,
 R_ENTRIES) = range(9)
REASONS = ("nothing", "sending", "stalled", "waiting for the network", "receiving")
NOTHING, SENDING, STALLED, WAITING, RECEIVING = range(5)
# Columns of ``Result.trace``.
DELIVERED, TAKEN, FINISHED = range(3)


class Result(NamedTuple):
    """What a step took; every entry is written anew each step. Times are ticks since it began.

    summary
        Shape (R_ENTRIES,).
    done, stalled
        When each sender was done, and the ticks it stood still, shape (S,).
    finish, busy
        When each core had worked on its last flit (0: it got none), and the ticks it worked on
        flits, shape (C,).
    core_peak, buffer_peak
        The most flits in the entrance of each core, shape (C,), and in the input of a router at
        the end of each link and sender, shape (L + S,).
    link_flits
        Flits over each link, shape (L,).
    handed
        When each flit was handed over, shape (F,) or longer; or (0,), and it is not written.
    trace
        When each destination's copy was delivered into the entrance of its core, taken and
        finished, shape (D, 3) or longer; or (0, 3), and it is not written.
    """

    summary: Ints
    done: Ints
    stalled: Ints
    finish: Ints
    busy: Ints
    core_peak: Ints
    buffer_peak: Ints
    link_flits: Ints
    handed: Ints
    trace: Ints


def new_result(mesh: Mesh, flits: int = 0, destinations: int = 0) -> Result:
    """Zeros; with room for the times of so many flits and destinations."""
    senders, cores = np.zeros((2, mesh.n_senders), np.int64), np.zeros((3, mesh.n_cores), np.int64)
    return Result(np.zeros(R_ENTRIES, np.int64), senders[0], senders[1], cores[0], cores[1],
                  cores[2], np.zeros(mesh.n_links + mesh.n_senders, np.int64),
                  np.zeros(mesh.n_links, np.int64), np.zeros(flits, np.int64),
                  np.zeros((destinations, 3), np.int64))


def destination_rank(mesh: Mesh) -> Ints:
    """Place of each core among the destinations of a flit: by x, y, number; shape (C,)."""
    rank = np.empty(mesh.n_cores, np.int64)
    rank[np.lexsort((mesh.core_y, mesh.core_x))] = np.arange(mesh.n_cores)
    return rank


def ticks_of(target: TargetSpec, event: str) -> int:
    """Ticks of one of the target's events; a whole number, as the target's rules demand."""
    return round(target.costs[event][1] * 1000 / target.timing.tick_ps)


def barrier_ticks(timing: Timing, tiles: int) -> int:
    """Ticks of the barrier after a step in which ``tiles`` tiles are in use; 0 below the least."""
    at = int(np.searchsorted(timing.barrier_tiles, tiles, side="right"))
    return timing.barrier_ticks[at - 1] if at else 0


def tiles_in_use(placement: Placement) -> int:
    """Tiles that hold a core."""
    return len(set(zip(*(np.asarray(a).tolist() for a in
                         (placement.chip, placement.x, placement.y)), strict=True)))


def hop_energy_pj(mesh: Mesh, link_flits: Ints) -> float:
    """Energy of the hops of ``link_flits`` flits over each link, shape (L,)."""
    return float(link_flits @ mesh.link_energy_pj)


def hop_counts(mesh: Mesh, link_flits: Ints) -> dict[str, int]:
    """How often each of ``HOPS`` happened."""
    return {hop: int(link_flits[mesh.link_kind == kind].sum()) for kind, hop in enumerate(HOPS)}


def build_mesh(target: TargetSpec, placement: Placement) -> Mesh:
    """The mesh of all chips up to the last in use, with the cores of ``placement`` and the hosts.

    A flit takes at least one tick over a link.
    """
    chip, timing = target.chip, target.timing
    chips = int(np.max(placement.chip, initial=0)) + 1
    columns, rows = chips * chip.mesh_width, chip.mesh_height
    core_x = np.asarray(placement.chip, np.int64) * chip.mesh_width + placement.x
    core_y = np.array(placement.y, np.int64)
    host_x = np.arange(chips, dtype=np.int64) * chip.mesh_width + timing.host_x
    sender_x = np.concatenate([core_x, host_x])
    sender_y = np.concatenate([core_y, np.full(chips, timing.host_y, np.int64)])
    ends, ways, link_kind = _links(columns, rows, chip.mesh_width)
    links = np.full((rows * columns, 4), -1, np.int64)
    links[ends[:, 0], ways] = np.arange(len(ends))
    ticks = np.array([max(1, ticks_of(target, hop)) for hop in HOPS], np.int64)
    energy = np.array([target.costs[hop][0] for hop in HOPS])
    into_chip = np.arange(columns) % chip.mesh_width == 0
    along = np.cumsum(np.where(into_chip, ticks[2], ticks[0])) - ticks[2]
    n_links, n_cores, n_senders = len(ends), len(core_x), len(sender_x)

    inputs = _inputs(ends, ways, rows * columns, sender_y * columns + sender_x)
    buffers = np.zeros((n_links + n_senders + n_cores, F_COLUMNS), np.int64)
    for at, input_ in np.argwhere(inputs >= 0):
        buffers[inputs[at, input_], [F_ROUTER, F_INPUT]] = at, input_
    buffers[n_links + n_senders:, F_ROUTER] = core_y * columns + core_x
    buffers[:, F_SLOTS] = timing.router_buffer
    buffers[n_links + n_senders:, F_SLOTS] = timing.core_buffer
    buffers[1:, F_BASE] = np.cumsum(buffers[:-1, F_SLOTS])

    ports = np.zeros((n_links + n_cores, P_INPUTS - (-inputs.shape[1] // 64)), np.int64)
    ports[:, P_LAST] = -1
    ports[:n_links, P_TICKS] = ticks[link_kind]
    ports[:n_links, P_INTERVAL] = np.where(HOPS.index("hop_chip") == link_kind,
                                           timing.chip_link_interval_ticks,
                                           timing.link_interval_ticks)
    ports[:n_links, P_ROUTER] = ends[:, 0]
    ports[n_links:, P_ROUTER] = core_y * columns + core_x
    return Mesh(n_links, n_cores, n_senders, columns, buffers, ports, inputs, links,
                _route(links, columns, core_x, core_y), link_kind, energy[link_kind],
                core_x, core_y, sender_x, sender_y,
                along[core_x], ticks[1] * core_y, along[sender_x], ticks[1] * sender_y)


def _route(links: Ints, columns: int, core_x: Ints, core_y: Ints) -> SmallInts:
    """Along x, then along y, then the exit to the core."""
    y, x = np.divmod(np.arange(len(links)), columns)
    east = core_x[:, None] - x
    north = core_y[:, None] - y
    exits = int(links.max(initial=-1)) + 1 + np.arange(len(core_x))[:, None]
    ports = np.select([east > 0, east < 0, north > 0, north < 0], list(links.T), exits)
    return np.asarray(ports, np.int32)


def _links(columns: int, rows: int, mesh_width: int) -> tuple[Ints, Ints, Ints]:
    """(from router, to router), direction and kind of each link."""
    ends: list[tuple[int, int]] = []
    ways: list[int] = []
    kinds: list[int] = []
    for y in range(rows):
        for x in range(columns):
            for way, to_x, to_y in ((EAST, x + 1, y), (WEST, x - 1, y), (NORTH, x, y + 1),
                                    (SOUTH, x, y - 1)):
                if not (0 <= to_x < columns and 0 <= to_y < rows):
                    continue
                ways.append(way)
                ends.append((y * columns + x, to_y * columns + to_x))
                kinds.append(1 if way in (NORTH, SOUTH) else
                             2 if x // mesh_width != to_x // mesh_width else 0)
    return (np.array(ends, np.int64).reshape(-1, 2), np.array(ways, np.int64),
            np.array(kinds, np.int64))


def _inputs(ends: Ints, ways: Ints, routers: int, sender_router: Ints) -> Ints:
    """Buffers of each router: from east, west, north, south, then of its cores, then of its host.
    """
    columns = [[-1] * 4 for _ in range(routers)]
    for link, (to, way) in enumerate(zip(ends[:, 1].tolist(), ways.tolist(), strict=True)):
        columns[to][way ^ 1] = link  # what goes east comes from the west
    for sender, router in enumerate(sender_router.tolist()):
        columns[router].append(len(ends) + sender)
    width = max(len(column) for column in columns)
    return np.array([column + [-1] * (width - len(column)) for column in columns], np.int64)
