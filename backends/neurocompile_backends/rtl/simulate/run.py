"""Runs a built design on encoded inputs, and holds it against the model of its cycles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurocompile.bits import Ints
from neurocompile.images import read_core
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.floating import Progress
from neurocompile.reference.integer import IntegerRun, Probes
from neurocompile_backends.rtl.host.words import words_of
from neurocompile_backends.rtl.plan.cycles import count_cycles
from neurocompile_backends.rtl.plan.design import ChipPlan
from neurocompile_backends.rtl.simulate.verilator import Built, Machine, SampleRun
from neurocompile_backends.simulator.run import run_simulator

CYCLES = "cycles"
HOST = "words to the host"


@dataclass(frozen=True)
class Stalls:
    """In how many of 256 cycles the host has nothing to send, and takes nothing."""

    host_in: int = 0
    host_out: int = 0
    seed: int = 1


def run_design(built: Built, encoded: EncodedInput, probes: Probes, *,
               stalls: Stalls | None = None, progress: Progress | None = None) -> IntegerRun:
    """All samples one after another.

    ``checked`` of the run: the cycles of each step against :func:`count_cycles`, and what the host
    got of each output neuron against what that neuron sent.
    """
    plan = built.plan
    program = plan.program
    total = encoded.n_steps + program.latency
    sizes = dict(zip(program.symbols.populations, program.symbols.sizes, strict=True))
    run = IntegerRun(total)
    for names, store in ((probes.s, run.s), (probes.u, run.u), (probes.v, run.v)):
        for name in names:
            store[name] = np.zeros((encoded.n_samples, total, sizes[name]), np.int32)
    for table in program.host:
        if table.population in run.s:  # what an input sends is what it was given
            run.s[table.population][:, :encoded.n_steps] = encoded.payloads[table.population]
    places = places_of(plan)
    stalls = stalls or Stalls()
    wrong = np.zeros(2, np.int64)
    compared = np.zeros(2, np.int64)
    with Machine(built) as machine:
        for sample in range(encoded.n_samples):
            words = words_of(plan, encoded, sample, total)
            seed = stalls.seed + sample
            done = machine.run(words, total, stall_in=stalls.host_in, stall_out=stalls.host_out,
                               seed=seed)
            counted = count_cycles(plan, words, done.spikes, stall_in=stalls.host_in,
                                   stall_out=stalls.host_out, seed=seed)
            got, sent = _host_account(plan, places, done)
            wrong += np.count_nonzero(counted.cycles != done.cycles), np.count_nonzero(got != sent)
            compared += total, got.size
            for name, element, slot in places:
                for store, values in ((run.s, done.spikes), (run.u, done.u), (run.v, done.v)):
                    if name in store:
                        store[name][sample][:, element] = values[:, slot]
            if progress is not None:
                progress(sample + 1)
    run.checked = {what: (int(wrong[i]), int(compared[i])) for i, what in enumerate((CYCLES, HOST))
                   if compared[i]}
    return run


def compare_stalled(run: IntegerRun, stalled: IntegerRun) -> None:
    """Add to ``run.checked`` how a run of the same data with stalls compares: its states with
    those of ``run``, its cycles with the model's."""
    wrong = compared = 0
    for kind in ("s", "u", "v"):
        ours, theirs = getattr(run, kind), getattr(stalled, kind)
        for name in ours:
            wrong += int(np.count_nonzero(ours[name] != theirs[name]))
            compared += ours[name].size
    run.checked["states with stalls"] = wrong, compared
    for what, counts in stalled.checked.items():
        run.checked[f"{what} with stalls"] = counts


def places_of(plan: ChipPlan) -> list[tuple[str, Ints, Ints]]:
    """Population, elements, and their numbers among the places for neurons of all cores."""
    found: list[tuple[str, Ints, Ints]] = []
    base = 0
    for core in plan.cores:
        c = read_core(plan.program, core.index)
        for s, population in enumerate(c.sections["population"].tolist()):
            first, count = int(c.sections["first"][s]), int(c.sections["count"][s])
            span = slice(first, first + count)
            found.append((plan.program.symbols.populations[population],
                          np.asarray(c.neurons["element"][span], np.int64),
                          base + core.slot[span]))
        base += core.neurons
    return found


def sent_by(plan: ChipPlan, places: list[tuple[str, Ints, Ints]], run: IntegerRun,
            recorded: int) -> npt.NDArray[np.int32]:
    """What each place for a neuron sent in each step, [step, place of all cores]; ``recorded``:
    the sample's number in ``run``."""
    spikes = np.zeros((run.n_steps, sum(core.neurons for core in plan.cores)), np.int32)
    for population, element, slot in places:
        spikes[:, slot] = run.s[population][recorded][:, element]
    return spikes


def simulated_sample(network: QuantizedNetwork, encoded: EncodedInput, sample: int) -> IntegerRun:
    """What all populations send in one sample, by the functional simulator."""
    return run_simulator(network, encoded.samples(sample, sample + 1), Probes(
        tuple(p.name for p in network.populations if p.role != "source")))


def _host_account(plan: ChipPlan, places: list[tuple[str, Ints, Ints]],
                  done: SampleRun) -> tuple[Ints, Ints]:
    """What the host got of each output neuron in each step, and what these sent."""
    got = received(plan, done)
    sent = np.zeros_like(got)
    for name, element, slot in places:
        if name in plan.outputs:
            sent[:, plan.outputs[name] + element] = done.spikes[:, slot]
    return got, sent


def received(plan: ChipPlan, done: SampleRun) -> Ints:
    """What the host got of each output neuron in each step: [step, number], numbers as in
    ``plan.outputs``."""
    sizes = dict(zip(plan.program.symbols.populations, plan.program.symbols.sizes, strict=True))
    got = np.zeros((len(done.cycles), sum(sizes[name] for name in plan.outputs)), np.int64)
    for step, words in enumerate(done.sent):
        for number, value in words:
            got[step, number] += value
    return got
