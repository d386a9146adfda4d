"""``Constraints``: what a user wants of a mapping, whatever the passes would choose."""

from __future__ import annotations

from dataclasses import dataclass, field

from neurocompile.ir.base import Node, register

METHODS = ("blocks", "tiles", "growth", "metis", "mtkahypar")


@register
@dataclass(frozen=True)
class MeshTile(Node):
    """A tile of the mesh of a chip."""

    chip: int
    x: int
    y: int


@register
@dataclass(frozen=True)
class Fault(Node):
    """A tile with cores that do not work. ``cores``: how many of them; None for all."""

    tile: MeshTile
    cores: int | None = None


@register
@dataclass(frozen=True)
class Constraints(Node):
    """See docs/mapping.md.

    neurons_per_core
        At most so many neurons a core, below the target's own limit.
    share_cores
        False: a core holds neurons of one population only, but where several are pinned to it.
    cores
        Population -> the pinned cores that hold all of it, by numbers that the user chose. A
        pinned core holds nothing else.
    weights
        What a mapping is chosen by: the sum of weight times ``cores``, ``messages``,
        ``operations`` (of the worst core), ``hops`` and ``links`` (messages over the fullest link
        between chips). Empty: fewest cores, then messages.
    faults
        Tiles, or cores of tiles, that nothing may be on.
    tiles
        Pinned core -> its tile.
    chips
        Population -> the chip that all of its cores are on.
    methods
        Methods of partitioning to try and no others, of ``METHODS``. Empty: all but Mt-KaHyPar,
        whose cost is seldom worth it.
    lanes
        Of each core of an FPGA, the last for all others. Empty: the compiler chooses.
    """

    neurons_per_core: int | None = None
    share_cores: bool = True
    cores: dict[str, tuple[int, ...]] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    tiles: dict[int, MeshTile] = field(default_factory=dict)
    chips: dict[str, int] = field(default_factory=dict)
    methods: tuple[str, ...] = ()
    lanes: tuple[int, ...] = ()

    @property
    def pinned(self) -> tuple[int, ...]:
        """The numbers of the pinned cores, ascending. Core i of a mapping is the i-th of them."""
        return tuple(sorted({number for numbers in self.cores.values() for number in numbers}))
