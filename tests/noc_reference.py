"""The rules of docs/timing.md once more, tick by tick, in plain Python and from the text alone.

Nothing here is shared with ``neurocompile_backends.chip.timing``: routers are positions, inputs and
outputs have names, every tick looks at everything. ``run`` is what the compiled simulator is
compared with, time by time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

Place = tuple[int, int]
Name = tuple[str, int]
E, W, N, S = ("E", 0), ("W", 0), ("N", 0), ("S", 0)
ORDER = {"E": 0, "W": 1, "N": 2, "S": 3, "core": 4, "host": 5}
STEP_OF = {E: (1, 0), W: (-1, 0), N: (0, 1), S: (0, -1)}
ACROSS = {E: W, W: E, N: S, S: N}


class Flit(NamedTuple):
    """Ticks its sender works on it, cores it is for, ticks each of these works on it."""

    gap: int
    dests: tuple[int, ...]
    works: tuple[int, ...]


@dataclass(frozen=True)
class Chips:
    """A row of chips of width x height tiles; ``cores``: global tile of each core.

    ``east_west``, ``north_south``, ``border``: ticks of a flit over a link; ``interval``,
    ``border_interval``: from one flit to the next over a link inside a chip and between chips.
    """

    width: int
    height: int
    chips: int
    east_west: int
    north_south: int
    border: int
    interval: int
    border_interval: int
    router_buffer: int
    core_buffer: int
    host: Place
    cores: tuple[Place, ...]

    def senders(self) -> list[Name]:
        """Cores, then hosts: the order of the lists that ``run`` takes."""
        return ([("core", i) for i in range(len(self.cores))]
                + [("host", i) for i in range(self.chips)])

    def place(self, sender: Name) -> Place:
        kind, number = sender
        if kind == "core":
            return self.cores[number]
        return number * self.width + self.host[0], self.host[1]

    def neighbour(self, at: Place, way: Name) -> Place | None:
        x, y = at[0] + STEP_OF[way][0], at[1] + STEP_OF[way][1]
        inside = 0 <= x < self.chips * self.width and 0 <= y < self.height
        return (x, y) if inside else None

    def ticks(self, at: Place, way: Name) -> int:
        if way in (N, S):
            return self.north_south
        x = at[0] + STEP_OF[way][0]
        return self.east_west if x // self.width == at[0] // self.width else self.border

    def ticks_between(self, at: Place, way: Name) -> int:
        x = at[0] + STEP_OF[way][0]
        return self.interval if x // self.width == at[0] // self.width else self.border_interval

    def output(self, at: Place, core: int) -> Name:
        """Rule N3."""
        x, y = self.cores[core]
        if x != at[0]:
            return E if x > at[0] else W
        if y != at[1]:
            return N if y > at[1] else S
        return "core", core

    def route_ticks(self, at: Place, core: int) -> int:
        total = 0
        while True:
            way = self.output(at, core)
            if way[0] == "core":
                return total
            total += self.ticks(at, way)
            at = self.neighbour(at, way)


@dataclass
class Outcome:
    """Times by flit in the order of the senders' lists, or by (flit, core); links by (from, to).

    ``outstanding``: copies not delivered yet that the network has to make of what it holds, at the
    end of each tick.
    """

    ticks: int = 0
    lag: int = 0
    handed: dict[int, int] = field(default_factory=dict)
    delivered: dict[tuple[int, int], int] = field(default_factory=dict)
    taken: dict[tuple[int, int], int] = field(default_factory=dict)
    finished: dict[tuple[int, int], int] = field(default_factory=dict)
    done: dict[Name, int] = field(default_factory=dict)
    stalled: dict[Name, int] = field(default_factory=dict)
    busy: dict[int, int] = field(default_factory=dict)
    core_peak: dict[int, int] = field(default_factory=dict)
    fifo_peak: dict[tuple[Place, Name], int] = field(default_factory=dict)
    link_flits: dict[tuple[Place, Place], int] = field(default_factory=dict)
    outstanding: list[int] = field(default_factory=list)


def run(chips: Chips, sends: list[list[Flit]], tails: list[int], limit: int = 100_000) -> Outcome:
    """Simulate a step; fails if it is not over after ``limit`` ticks."""
    out = Outcome()
    senders = chips.senders()
    flits, source = [], []
    queue: dict[Name, deque[int]] = {}
    for sender, own in zip(senders, sends, strict=True):
        queue[sender] = deque(range(len(flits), len(flits) + len(own)))
        flits += own
        source += [sender] * len(own)
    tail = dict(zip(senders, tails, strict=True))
    tiles = [(x, y) for x in range(chips.chips * chips.width) for y in range(chips.height)]

    # A flit on its way: its number, and the cores that this copy of it is still for.
    fifos: dict[tuple[Place, Name], deque[tuple[int, set[int]]]] = {}
    free: dict[tuple[Place, Name], int] = {}
    last: dict[tuple[Place, Name], int] = {}
    inputs: dict[Place, list[Name]] = {}
    for at in tiles:
        ways = [way for way in (E, W, N, S) if chips.neighbour(at, way)]
        local = [s for s in senders if chips.place(s) == at]
        inputs[at] = sorted(ways + local, key=lambda name: (ORDER[name[0]], name[1]))
        for name in inputs[at]:
            fifos[at, name] = deque()
            free[at, name] = chips.router_buffer
            out.fifo_peak[at, name] = 0
        for way in [*ways, *(s for s in local if s[0] == "core")]:
            last[at, way] = len(inputs[at]) - 1
    for at, way in last:
        if way[0] != "core":
            out.link_flits[at, chips.neighbour(at, way)] = 0
    entrance = {core: deque() for core in range(len(chips.cores))}
    room = dict.fromkeys(entrance, chips.core_buffer)
    out.core_peak = dict.fromkeys(entrance, 0)
    out.busy = dict.fromkeys(entrance, 0)
    working: dict[int, tuple[int, int]] = {}  # core: (flit, finished at)
    on_link: dict[tuple[Place, Name], deque[tuple[tuple[int, set[int]], int]]] = {
        link: deque() for link in last if link[1][0] != "core"}  # flits and when they arrive
    idle_from = dict.fromkeys(on_link, 0)
    began = dict.fromkeys(senders, 0)
    out.stalled = dict.fromkeys(senders, 0)
    out.done = {s: tail[s] for s in senders if not queue[s]}

    for t in range(limit):
        freed: list[tuple[Place, Name]] = []
        # 1 arrivals
        for (at, way), flying in on_link.items():
            while flying and flying[0][1] == t:
                fifos[chips.neighbour(at, way), ACROSS[way]].append(flying.popleft()[0])
        # 2 senders
        for sender in senders:
            into = chips.place(sender), sender
            while queue[sender]:
                flit = queue[sender][0]
                ready = began[sender] + flits[flit].gap
                if t < ready or free[into] == 0:
                    break
                free[into] -= 1
                fifos[into].append((queue[sender].popleft(), set(flits[flit].dests)))
                out.handed[flit] = began[sender] = t
                out.stalled[sender] += t - ready
                if not queue[sender]:
                    out.done[sender] = t + tail[sender]
        for key, fifo in fifos.items():
            out.fifo_peak[key] = max(out.fifo_peak[key], len(fifo))
        # 3 ports, all on the heads as they are now
        heads = {key: fifo[0] for key, fifo in fifos.items() if fifo}
        wishes = {(at, name): {chips.output(at, core) for core in cores}
                  for (at, name), (_, cores) in heads.items()}
        for at, way in last:
            wants = [i for i, name in enumerate(inputs[at]) if way in wishes.get((at, name), ())]
            if not wants or idle_from.get((at, way), 0) > t:
                continue
            if way[0] == "core":
                if room[way[1]] == 0:
                    continue
            elif free[chips.neighbour(at, way), ACROSS[way]] == 0:
                continue
            n = len(inputs[at])
            chosen = min(wants, key=lambda i, at=at, way=way, n=n: (i - last[at, way] - 1) % n)
            last[at, way] = chosen
            flit, cores = heads[at, inputs[at][chosen]]
            copy = {core for core in cores if chips.output(at, core) == way}
            cores -= copy
            if way[0] == "core":
                room[way[1]] -= 1
                entrance[way[1]].append(flit)
                out.delivered[flit, way[1]] = t
                out.core_peak[way[1]] = max(out.core_peak[way[1]], len(entrance[way[1]]))
            else:
                to = chips.neighbour(at, way)
                free[to, ACROSS[way]] -= 1
                on_link[at, way].append(((flit, copy), t + chips.ticks(at, way)))
                idle_from[at, way] = t + chips.ticks_between(at, way)
                out.link_flits[at, to] += 1
        for key, (_, cores) in heads.items():
            if not cores:
                fifos[key].popleft()
                freed.append(key)
        # 4 cores
        released = []
        for core, waiting in entrance.items():
            if core in working and working[core][1] == t:
                del working[core]
            if core in working or not waiting:
                continue
            flit = waiting.popleft()
            released.append(core)
            ticks = max(1, flits[flit].works[flits[flit].dests.index(core)])
            working[core] = flit, t + ticks
            out.taken[flit, core], out.finished[flit, core] = t, t + ticks
            out.busy[core] += ticks
        # Rule N2: from the next tick.
        for key in freed:
            free[key] += 1
        for core in released:
            room[core] += 1
        out.outstanding.append(sum(len(cores) for fifo in fifos.values() for _, cores in fifo)
                               + sum(len(cores) for flying in on_link.values()
                                     for (_, cores), _ in flying))
        if not (heads or any(on_link.values()) or any(queue.values()) or any(entrance.values())
                or any(fifos.values())):
            break
    else:
        raise AssertionError(f"not over after {limit} ticks")

    out.ticks = max([*out.done.values(), *out.finished.values()])
    sent: dict[Name, int] = dict.fromkeys(senders, 0)
    for flit, sender in enumerate(source):
        sent[sender] += flits[flit].gap
        for core in flits[flit].dests:
            alone = sent[sender] + chips.route_ticks(chips.place(sender), core)
            out.lag = max(out.lag, out.delivered[flit, core] - alone)
    return out
