"""What a design takes of its device, without any tool and in milliseconds.

RAMs and multipliers are exact: ``memories`` and ``multipliers`` decide as synthesis does. Logic is
estimated from what the modules are made of (``structure``); what each part takes is fitted to
designs that were synthesized (``estimate.toml``, written by ``benchmarks/fpga_estimate.py``, which
also measures how far off it is).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import import_module, resources
from typing import Any

from neurocompile.ir.target import Fpga
from neurocompile_backends.rtl.emit.board import GROUP
from neurocompile_backends.rtl.emit.files import LOG2_HOST_FIFO, word_bits
from neurocompile_backends.rtl.estimate.memories import (
    RAMS,
    Mapped,
    link_memories,
    map_memory,
    memories_of,
    shared_memories,
)
from neurocompile_backends.rtl.estimate.multipliers import Product, blocks_of, products_of
from neurocompile_backends.rtl.estimate.structure import Parts, core_parts, link_parts, shared_parts
from neurocompile_backends.rtl.plan.design import ChipPlan, CorePlan
from neurocompile_backends.rtl.synthesize.contents import levels_of
from neurocompile_backends.rtl.synthesize.flow import FAMILIES
from neurocompile_backends.rtl.synthesize.parts import whole

tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

LARGE_RAM_BITS = 16 * 16384
"""Of a large RAM of an UP5K."""


@dataclass(frozen=True)
class Resources:
    """luts: logic cells of a 4-input LUT, with the flip-flops and carries that share them (iCE40),
    or LUTs and those that are carries and RAM (ECP5, Gowin). ``ffs``: flip-flops. ``brams``,
    ``dsps``, ``sprams``: RAMs and multipliers, exact; a 9 x 9 multiplier of a Gowin is half of
    one."""

    luts: int = 0
    ffs: int = 0
    brams: int = 0
    dsps: float = 0
    sprams: int = 0

    def __add__(self, other: Resources) -> Resources:
        sums: list[Any] = [whole(getattr(self, f.name) + getattr(other, f.name))
                           for f in fields(self)]
        return Resources(*sums)

    def over(self, limit: Resources) -> dict[str, tuple[float, int]]:
        """What is more than ``limit``: by name, (how much, limit)."""
        pairs = {f.name: (getattr(self, f.name), getattr(limit, f.name)) for f in fields(self)}
        return {name: pair for name, pair in pairs.items() if pair[0] > pair[1]}


@dataclass(frozen=True)
class Estimate:
    """Of each core, of bus and control together, and of the host's link where there is one."""

    cores: tuple[Resources, ...]
    shared: Resources
    link: Resources | None
    available: Resources

    @property
    def total(self) -> Resources:
        return sum(self.cores, self.shared + (self.link or Resources()))


def is_estimated(fpga: Fpga | None) -> bool:
    """Is there an estimate for the family? Where this project builds bitstreams."""
    return fpga is not None and fpga.family in RAMS


def available(fpga: Fpga) -> Resources:
    """What the device has. Flip-flops: one in each logic cell."""
    return Resources(fpga.luts, fpga.luts, fpga.brams, fpga.dsps, fpga.spram_bits // LARGE_RAM_BITS)


def estimate(plan: ChipPlan, fpga: Fpga, *, link: bool = False) -> Estimate:
    """What the design takes of a device of a family that :func:`is_estimated`; ``link``: with the
    host's UART, as for a board. It is always there where nothing can be built without a board."""
    link = link or FAMILIES[fpga.family].needs_pins
    found = _estimate(plan, fpga, link, exchanged_levels(fpga))
    if exchanged_levels(fpga) and found.total.brams > fpga.brams:
        # Synthesis has no room for stand-ins in whole blocks, and does without them.
        return _estimate(plan, fpga, link, 0)
    return found


def exchanged_levels(fpga: Fpga) -> int:
    """Memories below this level are synthesized with stand-ins; 0: none are."""
    return levels_of(fpga.patchable) if FAMILIES[fpga.family].block else 0


def _estimate(plan: ChipPlan, fpga: Fpga, link: bool, levels: int) -> Estimate:
    cores = tuple(core_resources(core, fpga, levels) for core in plan.cores)
    return Estimate(cores, shared_resources(plan, fpga),
                    link_resources(plan, fpga, levels) if link else None, available(fpga))


def core_resources(core: CorePlan, fpga: Fpga, levels: int = 0) -> Resources:
    """Of one core; ``levels`` as in ``memories_of``."""
    return _resources(core_modules(core, fpga, levels), mapped_memories(core, fpga, levels),
                      products_of(core), fpga)


def shared_resources(plan: ChipPlan, fpga: Fpga) -> Resources:
    """Of bus and control. Depends on the number of cores and their widths, not on their lanes."""
    memories = [map_memory(m, fpga.family) for m in shared_memories(plan, LOG2_HOST_FIFO)]
    return _resources(shared_modules(plan, fpga), memories, (), fpga)


def link_resources(plan: ChipPlan, fpga: Fpga, levels: int = 0) -> Resources:
    """Of the host's UART and the link behind it; ``levels`` as in ``memories_of``."""
    memories = [map_memory(m, fpga.family) for m in link_memories(levels)]
    return _resources(link_modules(plan), memories, (), fpga)


def core_modules(core: CorePlan, fpga: Fpga, levels: int = 0) -> dict[str, Parts]:
    """The parts of each module of a core; ``levels`` as in ``memories_of``."""
    without = fpga.family if fpga.dsps else None
    return core_parts(core, mapped_memories(core, fpga, levels), products_of(core), without)


def shared_modules(plan: ChipPlan, fpga: Fpga) -> dict[str, Parts]:
    """The parts of bus and control."""
    return shared_parts(plan, [map_memory(m, fpga.family)
                               for m in shared_memories(plan, LOG2_HOST_FIFO)])


def link_modules(plan: ChipPlan) -> dict[str, Parts]:
    """The parts of the host's link."""
    return link_parts(max(2, -(-word_bits(plan) // GROUP)))


def mapped_memories(core: CorePlan, fpga: Fpga, levels: int = 0) -> list[Mapped]:
    """What each memory of a core becomes; ``levels`` as in ``memories_of``."""
    return [map_memory(memory, fpga.family) for memory in memories_of(core, levels)]


def _resources(modules: Mapping[str, Parts], memories: Iterable[Mapped],
               products: Iterable[Product], fpga: Fpga) -> Resources:
    luts = ffs = 0.0
    table = coefficients().get(fpga.family, {})
    for module, parts in modules.items():
        for name, amount in parts.items():
            lut, ff = table.get(module, {}).get(name, (0.0, 0.0))
            luts += lut * amount
            ffs += ff * amount
    counts = {"block": 0, "large": 0}
    for mapped in memories:
        if mapped.kind in counts:
            counts[mapped.kind] += mapped.count
    dsps = sum(blocks_of(product, fpga.family) for product in products) if fpga.dsps else 0
    return Resources(round(luts), round(ffs), counts["block"], whole(dsps), counts["large"])


@cache
def coefficients() -> dict[str, dict[str, dict[str, tuple[float, float]]]]:
    """Family -> module -> part -> (logic cells, flip-flops) of one of it."""
    file = resources.files("neurocompile_backends.rtl.estimate") / "estimate.toml"
    found: dict[str, dict[str, dict[str, tuple[float, float]]]] = tomllib.loads(
        file.read_text("utf-8"))
    return found
