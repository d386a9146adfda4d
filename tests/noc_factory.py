"""Small meshes and steps in the forms of both the reference and the compiled simulator."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from noc_reference import Chips, Flit

from neurocompile.ir.mapping import Placement
from neurocompile.targets import load_target
from neurocompile_backends.chip.timing.layout import (
    R_TICKS,
    Mesh,
    Result,
    Step,
    build_mesh,
    new_result,
)
from neurocompile_backends.chip.timing.network import new_state, simulate


def mesh_of(chips: Chips) -> Mesh:
    """The tables of a mesh, by way of a target and a placement; a tick is 1 ns."""
    target = load_target("loihi1")
    costs = {event: (energy, 1.0) for event, (energy, _) in target.costs.items()}
    for event, ticks in (("hop_east_west", chips.east_west),
                         ("hop_north_south", chips.north_south), ("hop_chip", chips.border)):
        costs[event] = costs[event][0], float(ticks)
    # A core on the last chip makes the mesh as wide as it is meant to be.
    target = replace(
        target, costs=costs,
        chip=replace(target.chip, mesh_width=chips.width, mesh_height=chips.height),
        timing=replace(target.timing, tick_ps=1000, router_buffer=chips.router_buffer,
                       core_buffer=chips.core_buffer, link_interval_ticks=chips.interval,
                       chip_link_interval_ticks=chips.border_interval, host_x=chips.host[0],
                       host_y=chips.host[1]))
    x, y = np.array(chips.cores, np.int64).reshape(-1, 2).T
    mesh = build_mesh(target, Placement(x // chips.width, x % chips.width, y))
    assert mesh.columns == chips.chips * chips.width
    return mesh


def flit(gap: int, dest: int, work: int) -> Flit:
    """A flit for one core."""
    return Flit(gap, (dest,), (work,))


def ordered(chips: Chips, gap: int, works: dict[int, int]) -> Flit:
    """A flit for several cores, these in the order that ``Step`` asks for."""
    dests = tuple(sorted(works, key=lambda core: (*chips.cores[core], core)))
    return Flit(gap, dests, tuple(works[core] for core in dests))


def step_of(sends: list[list[Flit]], tails: list[int]) -> Step:
    flat = [flit for own in sends for flit in own]
    return Step(np.cumsum([0, *map(len, sends)]).astype(np.int64),
                _ticks([f.gap for f in flat]),
                np.cumsum([0, *(len(f.dests) for f in flat)]).astype(np.int32),
                np.array([dest for f in flat for dest in f.dests], np.int32),
                _ticks([work for f in flat for work in f.works]),
                np.array(tails, np.int64))


def _ticks(values: list[int]) -> npt.NDArray[np.int32] | npt.NDArray[np.int64]:
    """As programs have them, or, for what no program holds, wide."""
    return np.array(values, np.int64 if max(values, default=0) >= 1 << 31 else np.int32)


@dataclass(frozen=True)
class Case:
    """A mesh and what is sent on it in a step."""

    chips: Chips
    sends: list[list[Flit]]
    tails: list[int]

    def simulated(self) -> tuple[Mesh, Result]:
        mesh = mesh_of(self.chips)
        step = step_of(self.sends, self.tails)
        sizes = len(step.gap), len(step.dest)
        result = new_result(mesh, *sizes)
        assert simulate(mesh, step, result, new_state(mesh, *sizes)) == result.summary[R_TICKS]
        return mesh, result

    def destinations(self) -> list[tuple[int, int]]:
        """(flit, core) of each."""
        flat = [flit for own in self.sends for flit in own]
        return [(i, core) for i, flit in enumerate(flat) for core in flit.dests]


def small(cores: list[tuple[int, int]], **changes: object) -> Chips:
    """Four by three tiles a chip, links of 3, 5 and 20 ticks with 3 and 20 from flit to flit,
    buffers of 2, the host at (0, 0)."""
    base = Chips(4, 3, 1 + max(x for x, _ in cores) // 4, 3, 5, 20, 3, 20, 2, 2, (0, 0),
                 tuple(cores))
    return replace(base, **changes)


def sending(chips: Chips, by_sender: dict[int, list[Flit]],
            tails: dict[int, int] | None = None) -> Case:
    """The lists of some senders, by number; the others send nothing."""
    numbers = range(len(chips.senders()))
    return Case(chips, [by_sender.get(s, []) for s in numbers],
                [(tails or {}).get(s, 0) for s in numbers])
