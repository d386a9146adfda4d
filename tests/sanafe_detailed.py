"""SANA-FE's "detailed" time restated, so that each of its terms can be left out.

One queue of sends in order of time. A message is on the network on chip from its sending until
its core begins with it, and is spread evenly over its links and its core: hops + 2 parts, of which
the last is on none. With m parts of other messages on its own links:

    stalled = (m - 16 (hops + 1)) * mean    if positive; its core sends all later ones later too
    travel  = max(its hops, m * mean / (hops + 1))

where mean is the mean time that messages on the network take their cores. Sends at the same time
are taken by rising core here, by the order of a heap in SANA-FE: on a full chip, where many
coincide, a step may differ by a few per cent.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field

from sanafe_rules import Bools, Placed, barrier_ns

Link = tuple[int, int, str]
Send = tuple[float, int, float]  # after what time since the last one, to which core, its work there


def detailed_ns(p: Placed, spikes: Bools, paid: Bools, *, blocking: bool = True,
                congestion: bool = True) -> float:
    """Time of one step; ``spikes`` and ``paid`` (``sanafe_rules.updated``) are of that step."""
    noc = _Noc(p)
    queues = _sends(p, spikes, paid)
    turns = [(queue[0][0], core) for core, queue in enumerate(queues) if queue]
    heapq.heapify(turns)
    taken, free = [0] * len(queues), [0.0] * len(queues)
    last = 0.0
    while turns:
        now, core = heapq.heappop(turns)
        _, to, work = queues[core][taken[core]]
        taken[core] += 1
        noc.release(now)
        if to >= 0:
            route = noc.route(core, to)
            others = noc.on(route)
            if blocking:
                room = p.target.timing.router_buffer * len(route)
                now += max(others - room, 0.0) * noc.mean
            travel = noc.hops_ns(core, to)
            if congestion:
                travel = max(travel, others * noc.mean / len(route))
            begin = max(free[to], now + travel)
            free[to] = begin + work
            noc.enter(route, begin, work)
            last = max(last, free[to])
        last = max(last, now)
        if taken[core] < len(queues[core]):
            heapq.heappush(turns, (now + queues[core][taken[core]][0], core))
    return last + barrier_ns(p)


def _sends(p: Placed, spikes: Bools, paid: Bools) -> list[list[Send]]:
    """What each core sends, in turn; the time after its last message is a send to core -1."""
    ns = {cause: time for cause, (_, time) in p.target.costs.items()}
    queues: list[list[Send]] = [[] for _ in p.x]
    since = [0.0] * len(p.x)
    for i, core in enumerate(p.core.tolist()):
        since[core] += (ns["neuron_access"] + ns["neuron_update"] * float(paid[i])
                        + ns["neuron_spike"] * float(spikes[i]))
        if spikes[i]:
            for a in range(p.synapses.indptr[i], p.synapses.indptr[i + 1]):
                work = ns["axon_in"] + ns["synapse_sparse"] * float(p.synapses.data[a])
                queues[core].append((since[core] + ns["axon_out"], int(p.synapses.indices[a]),
                                     work))
                since[core] = 0.0
    for core, rest in enumerate(since):
        if rest:
            queues[core].append((rest, -1, 0.0))
    return queues


@dataclass(eq=False)
class _Noc:
    p: Placed
    density: defaultdict[Link, float] = field(default_factory=lambda: defaultdict(float))
    inside: list[tuple[float, int, float, list[Link]]] = field(default_factory=list)
    mean: float = 0.0
    entered: int = 0
    routes: dict[tuple[int, int], list[Link]] = field(default_factory=dict)

    def hops_ns(self, core: int, to: int) -> float:
        costs = self.p.target.costs
        return float(abs(self.p.x[core] - self.p.x[to]) * costs["hop_east_west"][1]
                     + abs(self.p.y[core] - self.p.y[to]) * costs["hop_north_south"][1])

    def route(self, core: int, to: int) -> list[Link]:
        """The way into the tile it starts from, then into each next one: along x, then along y."""
        if (core, to) not in self.routes:
            x, y = int(self.p.x[core]), int(self.p.y[core])
            links = [(x, y, f"core {core}")]
            while x != self.p.x[to]:
                way = 1 if self.p.x[to] > x else -1
                x += way
                links.append((x, y, f"x {way}"))
            while y != self.p.y[to]:
                way = 1 if self.p.y[to] > y else -1
                y += way
                links.append((x, y, f"y {way}"))
            self.routes[core, to] = links
        return self.routes[core, to]

    def on(self, route: list[Link]) -> float:
        return sum(self.density[link] for link in route)

    def enter(self, route: list[Link], until: float, work: float) -> None:
        self.mean += (work - self.mean) / (len(self.inside) + 1)
        self.entered += 1
        heapq.heappush(self.inside, (until, self.entered, work, route))
        self._add(route, 1.0)

    def release(self, now: float) -> None:
        while self.inside and self.inside[0][0] <= now:
            n = len(self.inside)
            _, _, work, route = heapq.heappop(self.inside)
            self.mean = self.mean + (self.mean - work) / (n - 1) if n > 1 else 0.0
            self._add(route, -1.0)

    def _add(self, route: list[Link], message: float) -> None:
        for link in route:
            self.density[link] += message / (len(route) + 1)
