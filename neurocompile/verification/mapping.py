"""Recounts a mapping from its slices: each neuron on one core, each core within each limit.

Nothing here is shared with the pass that makes mappings. It asks for every synapse which core its
target neuron is on, collects the axons that arrive there, and adds up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurocompile.diagnostics import Diagnostic, Diagnostics
from neurocompile.ir.base import IntArray
from neurocompile.ir.mapping import CoreUse, Mapping
from neurocompile.ir.quantized import QuantizedProjection
from neurocompile.ir.transforms import Conv, Dense, Sparse
from neurocompile.verification.wanted import check_wanted

LIMITED = ("neurons", "input_axons", "output_axons", "synapse_memory_bits",
           "neuron_configurations", "threshold_configurations")

UNCOUNTED = ("E524", "E535", "E536", "E537", "E538", "E539")
"""Findings that do not keep a mapping from being recounted."""
_CHUNK = 1 << 22
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
        from neurocompile.verification.routes import check_links  # which counts with `arrivals`

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
        delay = _latest(projection)
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


def _latest(projection: QuantizedProjection) -> int:
    source, target = projection.source_delay, projection.target_delay
    return (int(source.max()) if source.size else 0) + (int(target.max()) if target.size else 0)


def recount(mapping: Mapping, homes: dict[str, _Ints]) -> dict[int, CoreUse]:
    """What each core uses, by core. ``homes``: the core of each neuron of each population."""
    count = _Recount(mapping, homes)
    for projection in mapping.quantized.projections:
        count.add(projection)
    return count.use()


@dataclass(frozen=True)
class Arrivals:
    """Axons that arrive at cores: element k is source neuron ``source[k]`` with ``synapses[k]``
    synapses on core ``core[k]``."""

    core: _Ints
    source: _Ints
    synapses: _Ints


class _Recount:
    def __init__(self, mapping: Mapping, homes: dict[str, _Ints]):
        self.mapping = mapping
        self.homes = homes
        n_cores = 1 + max((int(h.max()) for h in homes.values() if h.size), default=-1)
        self.neurons = np.zeros(n_cores, np.int64)
        self.input_axons = np.zeros(n_cores, np.int64)
        self.output_axons = np.zeros(n_cores, np.int64)
        self.memory = np.zeros(n_cores, np.int64)
        self.fan_out = {name: np.zeros(len(home), np.int64) for name, home in homes.items()}
        for home in homes.values():
            self.neurons += np.bincount(home, minlength=n_cores)

    def add(self, projection: QuantizedProjection) -> None:
        home = self.homes[projection.target]
        here = np.bincount(home, minlength=len(self.neurons))
        parallel = _parallel_axons(projection, self.mapping)
        slots = self.mapping.target.core.axon_slots_per_connection
        source_home = self.homes.get(projection.source)
        stored_as = _stored_as(projection, self.mapping)
        for part in arrivals(projection, home):
            np.add.at(self.input_axons, part.core, parallel)
            if source_home is not None:
                np.add.at(self.output_axons, source_home[part.source], slots)
                np.add.at(self.fan_out[projection.source], part.source, part.synapses)
            if stored_as != "conv":
                bits = _axon_bits(projection, self.mapping, stored_as, part, here)
                np.add.at(self.memory, part.core, bits)
        if stored_as == "conv":
            self._add_kernels(projection, home)

    def _add_kernels(self, projection: QuantizedProjection, home: _Ints) -> None:
        conv = projection.transform
        assert isinstance(conv, Conv)
        channel = np.arange(len(home)) // (conv.out_chw[1] * conv.out_chw[2])
        present = np.unique(home * conv.out_chw[0] + channel) // conv.out_chw[0]
        kernels = np.bincount(present, minlength=len(self.memory))
        weights = kernels * (conv.weight.size // conv.out_chw[0])
        self.memory += _whole_words(weights * _field_bits(projection, self.mapping), self.mapping)

    def use(self) -> dict[int, CoreUse]:
        configurations: dict[int, set[tuple[object, ...]]] = {}
        thresholds: dict[int, set[int]] = {}
        most_out: dict[int, int] = {}
        for p in self.mapping.quantized.populations:
            home = self.homes.get(p.name)
            if home is None or not home.size:
                continue
            rows = np.stack([home, p.current_decay, p.membrane_decay], axis=1)
            for core, du, dv in _distinct_rows(rows):
                configurations.setdefault(core, set()).add(
                    (du, dv, p.reset, p.compare, p.max_spikes, p.refractory_steps))
            for core, threshold in _distinct_rows(np.stack([home, p.threshold], axis=1)):
                thresholds.setdefault(core, set()).add(threshold)
            largest = np.zeros(len(self.neurons), np.int64)
            np.maximum.at(largest, home, self.fan_out[p.name])
            for core in np.unique(home).tolist():
                most_out[core] = max(most_out.get(core, 0), int(largest[core]))
        return {core: CoreUse(
            core=core, neurons=int(self.neurons[core]), input_axons=int(self.input_axons[core]),
            output_axons=int(self.output_axons[core]),
            synapse_memory_bits=int(self.memory[core]),
            neuron_configurations=len(configurations[core]),
            threshold_configurations=len(thresholds[core]), max_fan_out=most_out[core],
        ) for core in np.flatnonzero(self.neurons).tolist()}


def _distinct_rows(rows: IntArray) -> list[list[int]]:
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    new = np.ones(len(rows), bool)
    new[1:] = np.any(ordered[1:] != ordered[:-1], axis=1)
    distinct: list[list[int]] = ordered[new].tolist()
    return distinct


def arrivals(projection: QuantizedProjection, home: _Ints) -> Iterator[Arrivals]:
    """The axons of a projection, in parts that no core spans; a convolution by its positions."""
    transform = projection.transform
    if isinstance(transform, Dense):
        n_source = transform.weight.shape[1]
        for core, n in zip(*np.unique(home, return_counts=True), strict=True):
            yield Arrivals(np.full(n_source, core), np.arange(n_source), np.full(n_source, n))
        return
    order = np.argsort(home, kind="stable")
    for targets in _chunks(order, home, _per_target(transform)):
        if isinstance(transform, Sparse):
            core, source = _sparse_pairs(transform, targets, home)
            yield _counted(core, source, max(int(np.prod(transform.in_shape)), 1))
        else:
            yield _conv_pairs(transform, targets, home)


def _per_target(transform: Conv | Sparse) -> int:
    if isinstance(transform, Conv):
        return int(np.prod(transform.weight.shape[1:]))
    return max(1, -(-transform.n_synapses // max(1, len(transform.indptr) - 1)))


def _chunks(order: _Ints, home: _Ints, per_target: int) -> Iterator[_Ints]:
    """``order`` in parts of whole cores with some millions of synapses each."""
    starts = np.flatnonzero(np.diff(home[order], prepend=-1))
    ends = np.append(starts[1:], len(order))
    begin = 0
    for i, end in enumerate(ends.tolist()):
        last = i + 1 == len(ends)
        if last or (int(ends[i + 1]) - begin) * per_target > _CHUNK:
            yield order[begin:end]
            begin = end


def _sparse_pairs(transform: Sparse, targets: _Ints, home: _Ints) -> tuple[_Ints, _Ints]:
    first = transform.indptr[targets]
    lengths = transform.indptr[targets + 1] - first
    offset = np.repeat(first - (np.cumsum(lengths) - lengths), lengths)
    where = np.arange(int(lengths.sum())) + offset
    return np.repeat(home[targets], lengths), transform.indices[where].astype(np.int64)


def _conv_pairs(conv: Conv, targets: _Ints, home: _Ints) -> Arrivals:
    (c_in, height, width), (c_out, out_h, out_w) = conv.in_chw, conv.out_chw
    channel, rest = np.divmod(targets, out_h * out_w)
    row, column = np.divmod(rest, out_w)
    taps_y = np.arange(conv.weight.shape[2]) * conv.dilation[0] - conv.padding[0]
    taps_x = np.arange(conv.weight.shape[3]) * conv.dilation[1] - conv.padding[1]
    y = (row * conv.stride[0])[:, None, None] + taps_y[None, :, None]
    x = (column * conv.stride[1])[:, None, None] + taps_x[None, None, :]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    group = (channel // (c_out // conv.groups))[:, None, None]
    place = ((group * height + y) * width + x)[inside]
    core = np.broadcast_to(home[targets][:, None, None], inside.shape)[inside]
    seen = _counted(core, place, conv.groups * height * width)
    # Every input channel of the group is read at the same positions.
    per_group = c_in // conv.groups
    group_of, position = np.divmod(seen.source, height * width)
    channels = group_of[:, None] * per_group + np.arange(per_group)
    source = channels * height * width + position[:, None]
    return Arrivals(np.repeat(seen.core, per_group), source.reshape(-1),
                     np.repeat(seen.synapses, per_group))


def _counted(core: _Ints, source: _Ints, n_source: int) -> Arrivals:
    keys, synapses = np.unique(core * n_source + source, return_counts=True)
    return Arrivals(keys // n_source, keys % n_source, synapses.astype(np.int64))


def _parallel_axons(projection: QuantizedProjection, mapping: Mapping) -> int:
    counts = [i.high for i in mapping.quantized.inputs
              if i.name == projection.source and i.mode == "counts"]
    return max([1, *counts])


def _stored_as(projection: QuantizedProjection, mapping: Mapping) -> str:
    offered = mapping.target.synapse.encodings
    if isinstance(projection.transform, Conv) and "conv" in offered:
        return "conv"
    other = {"dense": "sparse", "sparse": "dense"}
    wanted = "dense" if isinstance(projection.transform, Dense) else "sparse"
    return wanted if wanted in offered else other[wanted]


def _field_bits(projection: QuantizedProjection, mapping: Mapping) -> int:
    fitting = [b for b in mapping.target.synapse.weight_bits if b >= projection.format.bits]
    return min(fitting) if fitting else projection.format.bits


def _axon_bits(projection: QuantizedProjection, mapping: Mapping, stored_as: str,
               part: Arrivals, here: _Ints) -> _Ints:
    """Synaptic memory of each arriving axon. ``here``: neurons of the population by core."""
    synapses, neurons = part.synapses, here[part.core]
    if stored_as == "dense":
        synapses = neurons
    index = np.zeros(len(synapses), np.int64)
    if stored_as == "sparse":
        log2 = np.ceil(np.log2(np.maximum(neurons, 1))).astype(np.int64)
        index = np.where(neurons <= 1, 0, np.maximum(log2, 6))
    delay_field = _latest(projection)
    per_synapse = _field_bits(projection, mapping) + len(f"{delay_field:b}") * (delay_field > 0)
    overhead = mapping.target.core.synapse_overhead_bits
    whole_entries, left = synapses // 64, synapses % 64
    whole = _whole_words(64 * (per_synapse + index) + overhead, mapping)
    part_entry = _whole_words(left * (per_synapse + index) + overhead, mapping)
    return whole_entries * whole + np.where(left > 0, part_entry, 0)


def _whole_words(bits: _Ints, mapping: Mapping) -> _Ints:
    word = mapping.target.core.synapse_word_bits
    return (bits + word - 1) // word * word


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
