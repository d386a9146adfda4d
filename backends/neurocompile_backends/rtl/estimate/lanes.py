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
from neurocompile_backends.rtl.estimate.resources import Estimate, Resources, estimate, is_estimated
from neurocompile_backends.rtl.plan.chip import plan_chip
from neurocompile_backends.rtl.plan.design import ChipPlan, CorePlan, Unsupported

TOLERANCE = 1.15
"""Logic is an estimate: a design is refused for it where it is so much above the device."""

NAMES = {"luts": "logic cells", "brams": "block RAMs", "dsps": "multipliers",
         "sprams": "large RAMs"}


def planned(program: Program, mapping: Mapping) -> ChipPlan:
    """The hardware of a mapping: with the lanes that the user wants, else those that the device
    has room for. Raises ``Unsupported``."""
    target, cores = program.target, len(program.cores)
    wanted = mapping.constraints.lanes
    if wanted:
        return plan_chip(program, mapping.quantized, spread(wanted, cores))
    plan = plan_chip(program, mapping.quantized)
    fpga = target.fpga
    if fpga is None or not is_estimated(fpga) or not excess(estimate(plan, fpga)):
        return plan
    return _narrower(program, mapping, plan, fpga) or plan


def spread(wanted: Sequence[int], cores: int) -> tuple[int, ...]:
    """Lanes of each core: the last that is stated for all others."""
    return tuple(wanted[min(i, len(wanted) - 1)] for i in range(cores))


def excess(estimated: Estimate) -> dict[str, tuple[int, int]]:
    """What is more than the device has: by name, (how much, of how many). Empty: it fits."""
    there = estimated.available
    limit = replace(there, luts=int(there.luts * TOLERANCE), ffs=estimated.total.ffs)
    return {name: (amount, getattr(there, name))
            for name, (amount, _) in estimated.total.over(limit).items()}


def _narrower(program: Program, mapping: Mapping, plan: ChipPlan, fpga: Fpga) -> ChipPlan | None:
    """Halve the lanes of the core whose step becomes least longer, until all fit; None where they
    do not even with one lane each."""
    lanes = [core.parameters["LANES"] for core in plan.cores]
    known: dict[tuple[int, int], CorePlan] = {}

    def core_of(i: int, n: int) -> CorePlan:
        if (i, n) not in known:
            each = tuple(n if j == i else lanes[j] for j in range(len(lanes)))
            for core in plan_chip(program, mapping.quantized, each).cores:
                known[core.index, core.parameters["LANES"]] = core
        return known[i, n]

    while any(n > 1 for n in lanes):
        steps = {i: core_of(i, n // 2) for i, n in enumerate(lanes) if n > 1}
        chosen = min(steps, key=lambda i: (step_cycles(mapping, steps[i]), i))
        lanes[chosen] //= 2
        cores = list(plan.cores)
        cores[chosen] = steps[chosen]
        plan = replace(plan, cores=tuple(cores))
        if not excess(estimate(plan, fpga)):
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
    while lanes and is_estimated(fpga):
        if _fits(program, mapping, lanes, fpga, link):
            return f"--lanes {lanes} fits"
        lanes //= 2
    others = [name for name in targets() if name != program.target.name]
    holding = []
    for name in others:
        other = load_target(name).fpga
        if other is not None and is_estimated(other) and _fits(
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
    """What ``compile`` prints: by core, shared, in all, and of how many. None for devices without
    an estimate."""
    fpga = plan.program.target.fpga
    if fpga is None or not is_estimated(fpga):
        return None
    found = estimate(plan, fpga, link=link)

    def plain(part: Resources) -> dict[str, int]:
        return asdict(part)

    return {"device": f"{fpga.family} {fpga.device}", "estimated": ["luts", "ffs"],
            "cores": [{"core": core.index, "lanes": core.parameters["LANES"], **plain(part)}
                      for core, part in zip(plan.cores, found.cores, strict=True)],
            "shared": plain(found.shared), "total": plain(found.total),
            "available": plain(found.available)}
