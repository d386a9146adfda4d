"""Running a packed network on encoded inputs."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.floating import Progress
from neurocompile.reference.integer import IntegerRun, Probes
from neurocompile_backends.simulator import kernel as k
from neurocompile_backends.simulator.pack import Packed, pack, pack_events

_CHUNK_BYTES = 256 << 20  # of events a chunk of samples may hold
_NO_MARKS = np.zeros((0, 0), np.uint64)


def run_simulator(network: QuantizedNetwork, encoded: EncodedInput, probes: Probes, *,
                  teacher: Mapping[str, npt.NDArray[np.integer]] | None = None,
                  workers: int | None = None, packed: Packed | None = None,
                  progress: Progress | None = None) -> IntegerRun:
    """As ``neurocompile.reference.integer.run_integer``, event-driven and in parallel over samples.

    ``workers``: threads (default: one a processor). ``progress`` is called with the samples done.
    """
    packed = packed or pack(network)
    total = encoded.n_steps + network.latency
    run = IntegerRun(total)
    for names, store in ((probes.s, run.s), (probes.u, run.u), (probes.v, run.v)):
        for name in names:
            store[name] = np.zeros((encoded.n_samples, total, network.population(name).n),
                                   np.int32)
    inputs = [name for name in probes.s if name in encoded.payloads]
    for name in inputs:  # what an input sends is what it was given
        run.s[name][:, :encoded.n_steps] = encoded.payloads[name]
    probes = replace(probes, s=tuple(name for name in probes.s if name not in inputs))
    threads = workers or available_cpus()
    chunk = max(threads, _CHUNK_BYTES // max(1, total * sum(
        p.n for p in network.populations if p.role == "source")))
    for start in range(0, encoded.n_samples, chunk):
        part = encoded.samples(start, start + chunk)
        given = {name: (values, encoded.n_steps) for name, values in part.payloads.items()}
        for name, values in (teacher or {}).items():
            given[name] = (values[start:start + part.n_samples], total)
        _run_chunk(packed, part, total, given, probes, run, start, threads, _NO_MARKS)
        if progress is not None:
            progress(min(encoded.n_samples, start + chunk))
    return run


def fingerprints(network: QuantizedNetwork, encoded: EncodedInput,
                 workers: int | None = None) -> npt.NDArray[np.uint64]:
    """A number for everything that is sent in each step, shape (samples, steps): equal to that of
    another run only if it sends the same. Memory does not grow with neurons times steps."""
    total = encoded.n_steps + network.latency
    marks = np.zeros((encoded.n_samples, total), np.uint64)
    given = {name: (values, encoded.n_steps) for name, values in encoded.payloads.items()}
    _run_chunk(pack(network), encoded, total, given, Probes(), IntegerRun(total), 0,
               workers or available_cpus(), marks)
    return marks


def available_cpus() -> int:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _run_chunk(packed: Packed, part: EncodedInput, total: int, given: dict[str, Any],
               probes: Probes, run: IntegerRun, start: int, threads: int,
               marks: npt.NDArray[np.uint64]) -> None:
    pops, events = pack_events(packed, given)
    stop = start + part.n_samples
    recorded = []
    for names, store, column in ((probes.s, run.s, k.P_SREC), (probes.u, run.u, k.P_UREC),
                                 (probes.v, run.v, k.P_VREC)):
        size = 0
        for name in names:
            pops[packed.order[name], column] = size
            size += store[name][start:stop].size
        recorded.append(np.zeros(size, np.int32))
    loaded = np.zeros(0, np.int64)
    for name, values in sorted(part.biases.items()):
        i = packed.order[name]
        first, n = pops[i, k.P_STATE], pops[i, k.P_N]
        pops[i, k.P_BIAS] = len(loaded)
        stored = values[:, packed.logical[first:first + n]]
        loaded = np.concatenate([loaded, stored.reshape(-1)])
    arguments: tuple[Any, ...] = (
        total, packed.machine, pops, packed.projs, packed.outgoing, packed.keep_u, packed.keep_v,
        packed.threshold, packed.bias, packed.initial, loaded, packed.weights, packed.indptr,
        packed.index, packed.delays, packed.logical, packed.place, events.steps, events.ptr,
        events.ptr_at, events.neuron, events.payload, *recorded, marks, packed.ring_size)
    # A few ranges a thread even out samples of different activity.
    edges = np.linspace(0, part.n_samples, min(part.n_samples, 4 * threads) + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        runs = [pool.submit(k.run_samples, int(a), int(b), *arguments)
                for a, b in itertools.pairwise(edges)]
        for finished in runs:
            finished.result()
    for names, store, column, flat in (
            (probes.s, run.s, k.P_SREC, recorded[0]), (probes.u, run.u, k.P_UREC, recorded[1]),
            (probes.v, run.v, k.P_VREC, recorded[2])):
        for name in names:
            at = int(pops[packed.order[name], column])
            piece = store[name][start:stop]
            piece[...] = flat[at:at + piece.size].reshape(piece.shape)
