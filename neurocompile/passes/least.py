"""What no partition can go below: memory, neurons on one core, cores that targets fill."""

from __future__ import annotations

import numpy as np

from neurocompile.ir.target import CoreLimits
from neurocompile.ir.transforms import Dense, Sparse
from neurocompile.passes.cores import ChipPopulation
from neurocompile.passes.footprint import (
    SYNAPSES_PER_ENTRY,
    Block,
    Counts,
    Footprint,
    index_bits,
    packed_bits,
)


def most_together(population: ChipPopulation, core: CoreLimits) -> int:
    """No core holds more neurons of ``population``: by the number of neurons, and by the memory
    that those with the fewest synapses take at the least. At least 1."""
    most = min(population.n, core.neurons) if core.neurons else population.n
    if not core.synapse_memory_bits or most < 1:
        return max(most, 1)
    memories = [LeastMemory(print_) for print_ in population.inputs]
    low, high = 1, most
    while low < high:  # the least memory of n neurons grows with n
        middle = (low + high + 1) // 2
        if sum(memory.of_smallest(middle) for memory in memories) <= core.synapse_memory_bits:
            low = middle
        else:
            high = middle - 1
    return low


def targets_of(print_: Footprint, n_source: int) -> Counts:
    """How many neurons each source neuron reaches, shape (n_source,)."""
    transform = print_.transform
    if not isinstance(transform, Sparse):
        return print_.fan_out(n_source)
    first = np.ones(len(transform.indices), bool)  # of synapses between the same two
    first[1:] = transform.indices[1:] != transform.indices[:-1]
    first[transform.indptr[:-1][np.diff(transform.indptr) > 0]] = True
    return np.bincount(transform.indices[first], minlength=n_source).astype(np.int64)


def least_cores(targets: Counts, together: int) -> Counts:
    """Cores that each neuron with so many targets reaches, at most ``together`` of them on each."""
    return np.asarray(-(-targets // together), np.int64)


class LeastMemory:
    """The synaptic memory a projection takes on any so many cores together, at the least.

    A core with up to 2^j neurons of the target has indices of j bits. On k cores at most k * 2^j
    neurons can have no more than that: those with the most synapses. Entries are filled in the
    way that wastes least.
    """

    def __init__(self, print_: Footprint):
        self.print_ = print_
        n = print_.n_target
        fan_in = np.broadcast_to(print_.lone_axons(), (n,))
        self.largest = np.concatenate([[0], np.cumsum(-np.sort(-fan_in))])

    def bits(self, n_cores: int) -> float:
        print_ = self.print_
        if print_.encoding == "conv":
            return print_.transform.n_parameters * print_.weight_bits
        n, total = len(self.largest) - 1, int(self.largest[-1])
        before = self._bits_a_synapse(0)
        bits, held = total * before, n_cores
        while print_.encoding == "sparse" and held < n:
            now = self._bits_a_synapse(index_bits(held // n_cores + 1))
            bits += (total - int(self.largest[held])) * (now - before)
            before, held = now, max(2 * held, 64 * n_cores)
        return bits

    def of_smallest(self, n: int) -> float:
        """The least for n neurons of the target on one core: those with the fewest synapses."""
        print_ = self.print_
        if isinstance(print_.transform, Dense):
            return float(print_.demand(Block(0, n))[1])  # any n are alike
        if print_.encoding != "sparse":
            return 0.0  # a kernel is shared by all; lists of all neurons by any number of axons
        total = int(self.largest[-1]) - int(self.largest[len(self.largest) - 1 - n])
        return total * self._bits_a_synapse(index_bits(n))

    def _bits_a_synapse(self, index: int) -> float:
        counts = np.arange(1, SYNAPSES_PER_ENTRY + 1)
        return float(np.min(packed_bits(counts, self.print_.synapse_bits + index,
                                        self.print_.core) / counts))
