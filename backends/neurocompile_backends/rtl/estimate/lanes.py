"""How many lanes each core has, and whether a design fits its device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from neurocompile.diagnostics import Diagnostic, Diagnostics
from neurocompile.ir.mapping import Mapping
from neurocompile.ir.program import Program
from neurocompile.ir.target import Fpga
from neurocompile.targets import available as targets
from neurocompile.targets import load_target
from neurocompile_backends.rtl.emit.board import board_with
from neurocompile_backends.rtl.estimate.memories import constant_bits
from neurocompile_backends.rtl.estimate.multipliers import outlives
from neurocompile_backends.rtl.estimate.resources import Estimate, Resources, estimate, is_estimated
from neurocompile_backends.rtl.plan.chip import plan_chip
from neurocompile_backends.rtl.plan.design import ChipPlan, CorePlan, Unsupported

TOLERANCE = 1.15
"""Logic is an estimate: a design is refused for it where it is so much above the device, and lanes
are added where it would be as much below."""

WIDEST = 32
"""Lanes that the compiler adds up to. More lower the clock further than was measured."""

WORTH = 0.9
"""How long a step has to become at most for twice the lanes: from 8 to 32 of them the clock fell
from 114 to 97 MHz (docs/rtl.md), 8 % for each doubling."""

LUT_BITS = 16
"""Of a table of four inputs."""

NAMES = {"luts": "logic cells", "brams": "block RAMs", "dsps": "multipliers",
         "sprams": "large RAMs"}


def planned(program: Program, mapping: Mapping) -> ChipPlan:
    """The hardware of a mapping: with the lanes that the user wants, else those that the device
    has room for; with the host's link where a board has the device, if it all fits. Raises
    ``Unsupported``."""
    wanted = mapping.constraints.lanes
    if wanted:
        return plan_chip(program, mapping.quantized, spread(wanted, len(program.cores)))
    plan = plan_chip(program, mapping.quantized)
    fpga = program.target.fpga
    if fpga is None or not is_estimated(fpga) or not excess(estimate(plan, fpga, link=True)):
        return plan
    if not _may_hold(fpga, plan):
        return plan
    for link in (True, False) if board_with(fpga) else (False,):
        if not excess(estimate(plan, fpga, link=link)):
            return plan
        narrower = _narrower(_Variants(program, mapping), plan, fpga, link)
        if narrower is not None:
            return narrower
    return plan


def widest_lanes(program: Program, mapping: Mapping) -> tuple[int, ...]:
    """Lanes of each core: from those that the compiler chooses otherwise, the lanes of the core
    whose step is longest are doubled, as long as that shortens it (``WORTH``), up to ``WIDEST``,
    and the device has room for it beside the host's link. The family must be estimated. Raises
    ``Unsupported``."""
    fpga = program.target.fpga
    assert fpga is not None
    free = replace(mapping, constraints=replace(mapping.constraints, lanes=()))
    plan, variants = planned(program, free), _Variants(program, free)
    link = board_with(fpga) is not None
    while True:
        slowest = max(plan.cores, key=lambda core: (step_cycles(free, core), -core.index))
        lanes = 2 * slowest.parameters["LANES"]
        if lanes > WIDEST:
            break
        wider = variants.core(plan, slowest.index, lanes)
        if step_cycles(free, wider) > WORTH * step_cycles(free, slowest):
            break
        exchanged = _exchanged(plan, wider)
        if not _has_room(estimate(exchanged, fpga, link=link)):
            break
        plan = exchanged
    return tuple(core.parameters["LANES"] for core in plan.cores)


def spread(wanted: Sequence[int], cores: int) -> tuple[int, ...]:
    """Lanes of each core: the last that is stated for all others. Raises ``Unsupported`` where more
    are stated than there are cores."""
    if len(wanted) > cores:
        raise Unsupported("--lanes", "lanes are stated for more cores than the network has",
                          got=",".join(map(str, wanted)), limit=f"{cores} on this target",
                          hint="the last that is stated is for all others")
    return tuple(wanted[min(i, len(wanted) - 1)] for i in range(cores))


def excess(estimated: Estimate) -> dict[str, tuple[float, int]]:
    """What is more than the device has: by name, (how much, of how many). Empty: it fits."""
    return _above(estimated, TOLERANCE)


def _has_room(estimated: Estimate) -> bool:
    """Does it fit even where the estimate is low?"""
    return not _above(estimated, 1 / TOLERANCE)


def _above(estimated: Estimate, logic: float) -> dict[str, tuple[float, int]]:
    """What is more than the device has, of logic cells than ``logic`` times as many."""
    there = estimated.available
    limit = replace(there, luts=int(there.luts * logic), ffs=estimated.total.ffs)
    return {name: (amount, getattr(there, name))
            for name, (amount, _) in estimated.total.over(limit).items()}


def _may_hold(fpga: Fpga, plan: ChipPlan) -> bool:
    """Could a device hold the network with any number of lanes? Counted is only what no lanes
    change: weights, sums, membranes; against all of its memory, a LUT being 16 bits. To plan a
    large network with other lanes, only to refuse it, takes minutes."""
    there = fpga.brams * fpga.bram_bits + fpga.spram_bits + fpga.luts * LUT_BITS
    return sum(_least_bits(core) for core in plan.cores) <= there


def _least_bits(core: CorePlan) -> int:
    p, images = core.parameters, core.images
    states = p["ACC"] * p["SLOTS"] + (p["V"] if outlives(p, "V") else 0)
    weights = 0.0
    if "DENSE_INIT" in images:  # without those of places that hold no neuron
        weights += len(core.slot) / core.neurons * sum(
            np.count_nonzero(~constant_bits(values, bits)) * len(values)
            for values, bits in images["DENSE_INIT"].fields)
    if "SPARSE_INIT" in images:  # where an accumulator and its weight are by turns
        weights += sum(np.count_nonzero(~constant_bits(values, bits)) * np.count_nonzero(values)
                       for values, bits in images["SPARSE_INIT"].fields[1::2])
    return states * len(core.slot) + int(weights)


class _Variants:
    """The cores of a network with other lanes, each planned once."""

    def __init__(self, program: Program, mapping: Mapping) -> None:
        self.program, self.mapping = program, mapping
        self._known: dict[tuple[int, int], CorePlan] = {}

    def core(self, plan: ChipPlan, index: int, lanes: int) -> CorePlan:
        """A core with these lanes, beside the others of ``plan``. Raises ``Unsupported``."""
        if (index, lanes) not in self._known:
            each = tuple(lanes if core.index == index else core.parameters["LANES"]
                         for core in plan.cores)
            for core in plan_chip(self.program, self.mapping.quantized, each).cores:
                self._known[core.index, core.parameters["LANES"]] = core
        return self._known[index, lanes]


def _exchanged(plan: ChipPlan, other: CorePlan) -> ChipPlan:
    return replace(plan, cores=tuple(other if core.index == other.index else core
                                     for core in plan.cores))


def _narrower(variants: _Variants, plan: ChipPlan, fpga: Fpga, link: bool) -> ChipPlan | None:
    """Halve the lanes of the core whose step becomes least longer, until all fit; None where they
    do not even with one lane each."""
    while any(core.parameters["LANES"] > 1 for core in plan.cores):
        halved = [variants.core(plan, core.index, core.parameters["LANES"] // 2)
                  for core in plan.cores if core.parameters["LANES"] > 1]
        plan = _exchanged(plan, min(halved, key=lambda core: (
            step_cycles(variants.mapping, core), core.index)))
        if not excess(estimate(plan, fpga, link=link)):
            return plan
    return None


def step_cycles(mapping: Mapping, core: CorePlan) -> float:
    """About how long a step of a core is if every axon has a spike, or as many as calibration
    data has on the average."""
    rates = [float(np.mean(rate)) for rate in mapping.rates.values() if len(rate)]
    rate = float(np.mean(rates)) if rates else 1.0
    return core.neurons + rate * float((core.walk.issues + core.walk.pad).sum())


def too_large(mapping: Mapping, plan: ChipPlan, *, link: bool = False) -> list[Diagnostic]:
    """E880 for everything of which the device has too little, with what would fit. Of families
    without an estimate only the synapses are held against the block RAM."""
    found = Diagnostics()
    fpga = plan.program.target.fpga
    if fpga is None:
        return []
    if not is_estimated(fpga):
        bits, there = _synapse_bits(plan), fpga.brams * fpga.bram_bits
        if bits > there:
            found.add("E880", fpga.device, "the synapses do not fit the block RAM of this device",
                      got=f"{bits:,} bits", limit=f"{there:,} bits",
                      hint=_what_fits(plan, mapping, link))
        return list(found)
    over = excess(estimate(plan, fpga, link=link))
    hint = _what_fits(plan, mapping, link) if over else ""
    for name, (amount, limit) in over.items():
        found.add("E880", fpga.device, f"this device has too few {NAMES[name]}",
                  got=f"{'about ' if name == 'luts' else ''}{amount:,}", limit=f"{limit:,}",
                  hint=hint)
    return list(found)


def _synapse_bits(plan: ChipPlan) -> int:
    return sum(image.width * image.depth for core in plan.cores
               for name, image in core.images.items()
               if name == "SPARSE_INIT" or (name == "DENSE_INIT" and not core.parameters["SPRAM"]))


def _what_fits(plan: ChipPlan, mapping: Mapping, link: bool) -> str:
    program = plan.program
    fpga = program.target.fpga
    assert fpga is not None
    lanes = max(core.parameters["LANES"] for core in plan.cores) // 2
    while lanes and is_estimated(fpga) and _may_hold(fpga, plan):
        if _fits(program, mapping, lanes, fpga, link):
            return f"--lanes {lanes} fits"
        lanes //= 2
    others = [name for name in targets() if name != program.target.name]
    holding = []
    for name in others:
        other = load_target(name).fpga
        if other is not None and is_estimated(other) and _may_hold(other, plan) and _fits(
                program, mapping, program.target.timing.lanes, other, link):
            holding.append((other.luts, name))
    if holding:
        return "it fits " + ", ".join(name for _, name in sorted(holding))
    return "no device that this project has tools for holds it: a smaller network, or narrower " \
           "weights (--weight-bits)"


def _fits(program: Program, mapping: Mapping, lanes: int, fpga: Fpga, link: bool) -> bool:
    there = replace(program, target=replace(program.target, fpga=fpga))
    try:
        plan = plan_chip(there, mapping.quantized, (lanes,) * len(program.cores))
    except Unsupported:
        return False
    return not excess(estimate(plan, fpga, link=link))


def resource_facts(plan: ChipPlan, *, link: bool = False) -> dict[str, object] | None:
    """What ``compile`` prints: by core, shared, of the host's link where it is there, in all, and
    of how many. None for devices without an estimate."""
    fpga = plan.program.target.fpga
    if fpga is None or not is_estimated(fpga):
        return None
    found = estimate(plan, fpga, link=link)

    def plain(part: Resources) -> dict[str, int]:
        return asdict(part)

    return {"device": f"{fpga.family} {fpga.device}", "estimated": ["luts", "ffs"],
            "cores": [{"core": core.index, "lanes": core.parameters["LANES"], **plain(part)}
                      for core, part in zip(plan.cores, found.cores, strict=True)],
            "shared": plain(found.shared),
            "link": None if found.link is None else plain(found.link), "total": plain(found.total),
            "available": plain(found.available)}
