"""Holds a mapping against its slices: each neuron on one core, each core within each limit.

Nothing here is shared with the pass that makes mappings. ``arrivals`` asks for every synapse which
core its target neuron is on and collects the axons that arrive there; ``recount`` adds up.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurocompile.diagnostics import Diagnostic, Diagnostics
from neurocompile.ir.base import IntArray
from neurocompile.ir.mapping import CoreUse, Mapping
from neurocompile.verification.recount import latest_delay, recount
from neurocompile.verification.routes import check_links
from neurocompile.verification.wanted import check_wanted

LIMITED = ("neurons", "input_axons", "output_axons", "synapse_memory_bits",
           "neuron_configurations", "threshold_configurations")

UNCOUNTED = ("E524", "E535", "E536", "E537", "E538", "E539")
"""Findings that do not keep a mapping from being recounted."""
_Ints = npt.NDArray[np.int64]


def check_mapping(mapping: Mapping) -> list[Diagnostic]:
    """Everything wrong with ``mapping``: E524, E525, E529 to E539. Empty if it is right.

    Limits and accounting are recounted only if every neuron is on exactly one core; links between
    chips only if these and the places are right.
    """
    found = Diagnostics()
    homes = _homes(mapping, found)
    _check_delays(mapping, found)
    _check_placement(mapping, found)
    check_wanted(mapping, homes, found)
    if not any(d.is_error for d in found if d.code not in UNCOUNTED):
        use = recount(mapping, homes)
        _check_limits(mapping, use, found)
        _check_accounting(mapping, use, found)
    if mapping.placement is not None and not any(d.is_error for d in found):
        check_links(mapping, found)
    return list(found)


def _homes(mapping: Mapping, found: Diagnostics) -> dict[str, _Ints]:
    """The core of each neuron, by population; reports slices and neurons that are wrong."""
    on_chip = {p.name: p.n for p in mapping.quantized.populations if p.role != "source"}
    homes = {name: np.full(n, -1, np.int64) for name, n in on_chip.items()}
    times = {name: np.zeros(n, np.int64) for name, n in on_chip.items()}
    n_cores = mapping.target.chip.cores * mapping.target.chip.chips
    for part in mapping.slices:
        problem = _slice_problem(part.population, part.neurons, on_chip)
        if problem:
            found.add("E532", part.population, problem, got=f"slice on core {part.core}")
            continue
        if not 0 <= part.core < n_cores:
            found.add("E525", part.population, "a slice is on a core the target does not have",
                      got=f"core {part.core}", limit=f"{n_cores} cores")
        homes[part.population][part.neurons] = part.core
        times[part.population][part.neurons] += 1
    for name, count in times.items():
        for code, wrong, where in (("E530", count == 0, "no core"),
                                   ("E531", count > 1, "more than one core")):
            if wrong.any():
                found.add(code, name, f"neurons are on {where}", got=int(wrong.sum()), limit="0",
                          hint=f"the first is neuron {int(np.flatnonzero(wrong)[0])}")
    return homes


def _slice_problem(name: str, neurons: IntArray, on_chip: dict[str, int]) -> str:
    if name not in on_chip:
        return "no population of this name is on the chip"
    if neurons.ndim != 1 or neurons.size == 0 or neurons.dtype.kind not in "iu":
        return "a slice is a list of neuron indices"
    if neurons.min() < 0 or neurons.max() >= on_chip[name]:
        return "a slice has neurons outside its population"
    if np.any(np.diff(neurons) <= 0):
        return "the neurons of a slice are not in ascending order"
    return ""


def _check_delays(mapping: Mapping, found: Diagnostics) -> None:
    limit = mapping.target.synapse.delay_max
    for projection in mapping.quantized.projections:
        delay = latest_delay(projection)
        if delay > limit:
            found.add("E524", projection.name, "synapses are later than the target allows",
                      got=f"{delay} steps", limit=f"{mapping.target.name}.delay_max = {limit}")


def _check_placement(mapping: Mapping, found: Diagnostics) -> None:
    """Each core on a tile that exists, and no tile or chip with more cores than it has."""
    placement, chip = mapping.placement, mapping.target.chip
    if placement is None:
        return
    columns = (placement.chip, placement.x, placement.y)
    if any(c.shape != (mapping.n_cores,) or c.dtype.kind not in "iu" for c in columns) or (
            sorted(use.core for use in mapping.use) != list(range(mapping.n_cores))):
        found.add("E535", "mapping", "the placement does not name one tile for each core",
                  got=f"{len(placement.chip)} places", limit=f"{mapping.n_cores} cores")
        return
    where = np.stack(columns, axis=1).astype(np.int64)
    sizes = np.array([chip.chips, chip.mesh_width, chip.mesh_height])
    for core in np.flatnonzero(((where < 0) | (where >= sizes)).any(axis=1)).tolist():
        found.add("E535", f"core {core}", "it is on a tile the target does not have",
                  got="chip {}, x {}, y {}".format(*where[core].tolist()),
                  limit="{} chips of {} x {} tiles".format(*sizes.tolist()))
    for name, key, limit in (("tile", where, chip.cores_per_tile),
                             ("chip", where[:, :1], chip.cores)):
        places, count = np.unique(key, axis=0, return_counts=True)
        for place, n in zip(places[count > limit].tolist(), count[count > limit], strict=True):
            found.add("E536", f"{name} {tuple(place)}", "more cores are on it than it has",
                      got=int(n), limit=limit)


def _check_limits(mapping: Mapping, use: dict[int, CoreUse], found: Diagnostics) -> None:
    target = mapping.target
    for core in sorted(use):
        for name, used in ((name, getattr(use[core], name)) for name in LIMITED):
            limit = getattr(target.core, name)
            if limit and used > limit:
                found.add("E533", f"core {core}", f"it uses more {name} than it has", got=used,
                          limit=f"{target.name}.{name} = {limit}")
        if target.core.fan_out and use[core].max_fan_out > target.core.fan_out:
            found.add("E533", f"core {core}", "a neuron has more fan_out than it may",
                      got=use[core].max_fan_out,
                      limit=f"{target.name}.fan_out = {target.core.fan_out}")


def _check_accounting(mapping: Mapping, use: dict[int, CoreUse], found: Diagnostics) -> None:
    said = {u.core: u for u in mapping.use}
    if len(said) < len(mapping.use):
        found.add("E534", "mapping", "a core is accounted for twice")
    for core in sorted(said.keys() | use.keys()):
        if core not in said or core not in use:
            where = "has no neurons" if core in said else "is not accounted for"
            found.add("E534", f"core {core}", f"it {where}")
            continue
        for name in (*LIMITED, "max_fan_out"):
            says, counted = getattr(said[core], name), getattr(use[core], name)
            if says != counted:
                found.add("E534", f"core {core}", f"{name} is not what the slices need",
                          got=says, limit=f"{counted} by recount")
