"""How many cycles each step takes on the hardware, without the hardware.

The rules of ``hdl/``, cycle by cycle, for what the neurons sent: which flits are under way when,
and when the last of them is done. docs/rtl.md states them in words; ``verify`` holds every step of
the RTL against them, with and without stalls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from neurocompile.bits import Ints
from neurocompile_backends.rtl.emit.files import KIND_BITS, LOG2_HOST_FIFO
from neurocompile_backends.rtl.host.words import END, FLIT, LOAD, STEP
from neurocompile_backends.rtl.plan.design import ChipPlan

# From asking for a neuron to when it is done, without the bits of its count (nc_neurons).
NEURON_STAGES = 7
# From an address of synaptic memory to its sum being written (nc_synapses).
SUM_STAGES = 3

WAIT, ENTRY, FETCH, LATCH, OFFER = range(5)
"""States of ``nc_sender``."""


@dataclass(frozen=True, eq=False)
class Counted:
    """What a sample takes.

    cycles
        Of each step, from its start to the next.
    walking, offering, peak
        By core: cycles that synapses were read, cycles that flits waited for the bus, the most
        flits that waited in its FIFO.
    """

    cycles: Ints
    walking: Ints
    offering: Ints
    peak: Ints


def count_cycles(plan: ChipPlan, words: npt.NDArray[np.uint64], spikes: npt.NDArray[Any], *,
                 stall_in: int = 0, stall_out: int = 0, seed: int = 1,
                 offered: npt.NDArray[np.bool_] | None = None,
                 taking: npt.NDArray[np.bool_] | None = None) -> Counted:
    """``words``: what the host sends; ``spikes``: [step, neuron of all cores], what each sent.

    ``offered``, ``taking``: by cycle, whether the host's link has a word, and takes one; without
    them it always does, but for stalls.
    """
    always = np.ones(0, np.bool_)
    tables = _tables(plan)
    steps, cores = len(spikes), len(plan.cores)
    present, analog = senders_of(plan)
    sends = ((spikes != 0) | analog) & present
    step, neuron = np.nonzero(sends)
    first_of_core = tables["first"]
    core = np.searchsorted(first_of_core, neuron, side="right") - 1
    order = np.lexsort((neuron, step, core))
    sent = (neuron - first_of_core[core])[order]
    key = core * steps + step
    begin = np.searchsorted(key[order], np.arange(cores * steps + 1)).astype(np.int64)
    mask = (1 << plan.place_bits) - 1
    kind = (words & np.uint64((1 << KIND_BITS) - 1)).astype(np.int64)
    place = ((words >> np.uint64(KIND_BITS)) & np.uint64(mask)).astype(np.int64)
    axon = ((words >> np.uint64(KIND_BITS + plan.place_bits))
            & np.uint64((1 << plan.axon_bits) - 1)).astype(np.int64)
    counts = np.zeros(steps, np.int64)
    totals = np.zeros((3, cores), np.int64)
    _count(kind, place, axon, sent, begin, steps, tables["scan"], tables["stages"], tables["sums"],
           tables["out_base"], tables["out_first"], tables["out_place"], tables["out_axon"],
           tables["axon_base"], tables["issues"], tables["pads"], _rooms(plan),
           np.uint64(seed), stall_in, stall_out, always if offered is None else offered,
           always if taking is None else taking, counts, totals)
    return Counted(counts, totals[0], totals[1], totals[2])


def senders_of(plan: ChipPlan) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Of the places for neurons of all cores: which hold one, and which send in every step because
    they are read."""
    held, read = [], []
    for core in plan.cores:
        p = core.parameters
        column = np.full(core.neurons, bool(p.get("ANALOG", 0)))
        if p.get("ANALOG_BITS"):
            at = 0
            for values, bits in core.images["LATE_RECORDS"].fields:
                if at == p["ANALOG_AT"]:
                    column = values.astype(bool)
                at += bits
        present = np.zeros(core.neurons, bool)
        present[core.slot] = True
        held.append(present)
        read.append(column)
    return np.concatenate(held), np.concatenate(read)


def _rooms(plan: ChipPlan) -> Ints:
    """Words that wait in the FIFO of each core, and in the host's."""
    return np.array([1 << plan.log2_fifo] * len(plan.cores) + [1 << LOG2_HOST_FIFO], np.int64)


def _tables(plan: ChipPlan) -> dict[str, Ints]:
    cores = plan.cores

    def ranges(sizes: list[int]) -> Ints:
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    return {
        "first": ranges([c.neurons for c in cores])[:-1],
        "scan": np.array([c.neurons for c in cores], np.int64),
        "stages": np.array([NEURON_STAGES + c.parameters["COUNT"] + c.parameters["DELAYED"]
                            for c in cores], np.int64),
        "sums": np.array([SUM_STAGES + (c.parameters["LOG2_BANK"] > 0)
                          + (c.parameters["PAYLOAD"] > 1) for c in cores], np.int64),
        "out_base": ranges([len(c.out_place) for c in cores])[:-1],
        "out_first": np.concatenate([c.out_first for c in cores]),
        "out_place": np.concatenate([c.out_place for c in cores]).astype(np.int64),
        "out_axon": np.concatenate([c.out_axon for c in cores]).astype(np.int64),
        "axon_base": ranges([len(c.walk.issues) for c in cores])[:-1],
        "issues": np.concatenate([c.walk.issues for c in cores]).astype(np.int64),
        "pads": np.concatenate([c.walk.pad for c in cores]).astype(np.int64)}


@njit(cache=True)
def _count(kind: Any, place: Any, axon: Any, sent: Any, begin: Any, steps: Any, scan: Any,
           stages: Any, sums: Any, out_base: Any, out_first: Any, out_place: Any, out_axon: Any,
           axon_base: Any, issues: Any, pads: Any, room: Any, random: Any, stall_in: Any,
           stall_out: Any, offered: Any, taking: Any, counts: Any, totals: Any) -> None:
    cores = len(scan)
    # Where the lists of each core begin in out_first, which has one more than its neurons.
    listed = np.zeros(cores, np.int64)
    for c in range(1, cores):
        listed[c] = listed[c - 1] + scan[c - 1] + 1
    never = np.int64(-1) << np.int64(40)
    # Receivers: a FIFO of axons, the records that were read ahead (first the later), the walk.
    depth = room.max()
    waiting = np.zeros((cores, depth), np.int64)
    head = np.zeros(cores, np.int64)
    count = np.zeros(cores + 1, np.int64)  # the host's FIFO last
    fetched = np.full(cores, -1, np.int64)
    record = np.full(cores, -1, np.int64)
    walk = np.zeros(cores, np.int64)       # cycles left of it
    idle = np.zeros(cores, np.int64)       # of these, without an address
    added = np.full(cores, never, np.int64)  # the last cycle with an address
    # Senders.
    state = np.zeros(cores, np.int64)
    queued = np.zeros(cores, np.int64)     # spikes: done, not yet taken
    arriving = np.zeros(cores, np.int64)   # the next to be done; to be taken
    taken = np.zeros(cores, np.int64)
    next_out = np.zeros(cores, np.int64)
    last_out = np.zeros(cores, np.int64)
    last = np.int64(-1)                    # who sent last
    at = np.int64(0)
    step = np.int64(-1)
    started = never
    starting = False
    running = False
    cycle = np.int64(0)
    able = np.zeros(cores + 1, np.bool_)
    while at < len(kind):
        random ^= random << np.uint64(13)
        random ^= random >> np.uint64(7)
        random ^= random << np.uint64(17)
        offers = np.int64(random & np.uint64(255)) >= stall_in
        takes = np.int64((random >> np.uint64(8)) & np.uint64(255)) >= stall_out
        offers = offers and (cycle >= len(offered) or offered[cycle])
        takes = takes and (cycle >= len(taking) or taking[cycle])

        # What is still going on.
        busy = starting
        for c in range(cores):
            over = started + 1 + scan[c] + stages[c]
            busy = busy or (started >= 0 and cycle <= over) or state[c] != WAIT or queued[c] > 0
            busy = busy or count[c] > 0 or fetched[c] >= 0 or record[c] >= 0 or walk[c] > 0
            busy = busy or cycle <= added[c] + sums[c]

        # The bus.
        for s in range(cores + 1):
            if s < cores:
                to_whom = out_place[next_out[s]] if state[s] == OFFER else cores
                able[s] = state[s] == OFFER and count[to_whom] < room[to_whom]
            else:
                able[s] = (offers and running and kind[at] == FLIT
                           and count[place[at]] < room[place[at]])
        granted = np.int64(-1)
        for i in range(1, cores + 2):
            s = (last + i) % (cores + 1)
            if able[s]:
                granted = s
                break
        to = np.int64(-1)
        what = np.int64(0)
        if granted >= 0:
            last = granted
            to = place[at] if granted == cores else out_place[next_out[granted]]
            what = axon[at] if granted == cores else out_axon[next_out[granted]]

        # The host's word.
        ends = offers and (kind[at] == STEP or kind[at] == END)
        turn = ends and not busy and to != cores and (count[cores] < room[cores] or not running)
        put = np.int64(0)
        if turn and running:
            counts[step] = cycle - started + 1
            put = 1
        if to == cores:
            put = 1
        count[cores] += put - (1 if count[cores] > 0 and takes else 0)

        for c in range(cores):
            # Receivers. Nothing begins while the neurons need the sums.
            hold = starting or (started >= 0 and cycle <= started + 2 + scan[c])
            load = record[c] >= 0 and not hold and walk[c] <= 1
            if walk[c] > 0:
                totals[0, c] += 1
                if walk[c] > idle[c]:
                    added[c] = cycle
                walk[c] -= 1
            if load:
                idle[c] = pads[record[c]]
                walk[c] = issues[record[c]] + idle[c]
            move = fetched[c] >= 0 and (record[c] < 0 or load)
            pop = count[c] > 0 and (fetched[c] < 0 or move)
            if move:
                record[c] = fetched[c]
                fetched[c] = -1
            elif load:
                record[c] = -1
            if pop:
                fetched[c] = axon_base[c] + waiting[c, head[c]]
                head[c] = (head[c] + 1) % depth
                count[c] -= 1
            if to == c:
                waiting[c, (head[c] + count[c]) % depth] = what
                count[c] += 1
                totals[2, c] = max(totals[2, c], count[c])

            # Senders.
            took = False
            if state[c] == WAIT:
                if queued[c] > 0:
                    took = True
                    state[c] = ENTRY
            elif state[c] == ENTRY:
                n = listed[c] + sent[taken[c]]
                taken[c] += 1
                next_out[c] = out_base[c] + out_first[n]
                last_out[c] = out_base[c] + out_first[n + 1]
                state[c] = FETCH
            elif state[c] == FETCH:
                state[c] = LATCH if next_out[c] < last_out[c] else WAIT
            elif state[c] == LATCH:
                state[c] = OFFER
            elif granted == c:
                next_out[c] += 1
                state[c] = OFFER if next_out[c] < last_out[c] else WAIT
            else:
                totals[1, c] += 1
            if took:
                queued[c] -= 1
            if step >= 0 and arriving[c] < begin[c * steps + step + 1] and (
                    cycle == started + 2 + sent[arriving[c]] + stages[c]):
                queued[c] += 1
                arriving[c] += 1

        if starting:
            started = cycle
            step += 1
            for c in range(cores):
                arriving[c] = begin[c * steps + step]
                taken[c] = arriving[c]
        starting = turn and kind[at] == STEP
        if turn:
            running = kind[at] == STEP
            at += 1
        elif granted == cores or (offers and kind[at] == LOAD and not running):
            at += 1
        cycle += 1
