"""What each core uses, counted from a mapping's slices and nothing else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurocompile.ir.base import IntArray
from neurocompile.ir.mapping import CoreUse, Mapping
from neurocompile.ir.quantized import QuantizedProjection
from neurocompile.ir.transforms import Conv, Dense
from neurocompile.verification.arrivals import Arrivals, arrivals

_Ints = npt.NDArray[np.int64]


def recount(mapping: Mapping, homes: dict[str, _Ints]) -> dict[int, CoreUse]:
    """What each core uses, by core. ``homes``: the core of each neuron of each population."""
    count = _Recount(mapping, homes)
    for projection in mapping.quantized.projections:
        count.add(projection)
    return count.use()


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
    delay_field = latest_delay(projection)
    per_synapse = _field_bits(projection, mapping) + len(f"{delay_field:b}") * (delay_field > 0)
    overhead = mapping.target.core.synapse_overhead_bits
    whole_entries, left = synapses // 64, synapses % 64
    whole = _whole_words(64 * (per_synapse + index) + overhead, mapping)
    part_entry = _whole_words(left * (per_synapse + index) + overhead, mapping)
    return whole_entries * whole + np.where(left > 0, part_entry, 0)


def _whole_words(bits: _Ints, mapping: Mapping) -> _Ints:
    word = mapping.target.core.synapse_word_bits
    return (bits + word - 1) // word * word


def latest_delay(projection: QuantizedProjection) -> int:
    source, target = projection.source_delay, projection.target_delay
    return (int(source.max()) if source.size else 0) + (int(target.max()) if target.size else 0)
