"""Runs a network in Lava: in its simulation of the chip's integers, or on a chip."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg
from lava.proc.io.sink import RingBuffer

from .data import DataError, registers
from .processes import PerNeuronLIFReset, Recorder
from .supervisor import watch

STEPS_AT_ONCE = 50  # between two signs of life
SIGNAL_ELEMENTS = 1 << 25  # of a RingBuffer: more samples than fit take another start of Lava


def run(program, arrays, payloads, biases, samples, steps, probes, tell=None):
    """Run all samples. Returns {(population, kind): [sample, chip step, n]}.

    ``probes``: pairs of population and "s", "u" or "v". Lava is started once for as many samples
    as its source holds; between two samples the states are cleared, which a start would do too.
    """
    period = steps + program.LATENCY
    widest = max((p.shape[2] for p in payloads.values()), default=1)
    at_once = max(1, SIGNAL_ELEMENTS // (period * widest))
    parts = []
    for start in range(0, samples, at_once):
        stop = min(samples, start + at_once)
        parts.append(_start(program, arrays, {k: p[start:stop] for k, p in payloads.items()},
                            {k: b[start:stop] for k, b in biases.items()}, stop - start, steps,
                            probes, tell or (lambda _: None), start))
    return {probe: np.concatenate([part[probe] for part in parts]) for probe in probes}


def _signal(payload, steps, period):
    """[sample, step, n] as a RingBuffer wants it: [n, all chip steps]; silence after the data."""
    whole = np.zeros((len(payload), period, payload.shape[2]), np.int32)
    whole[:, :steps] = payload
    return np.ascontiguousarray(whole.reshape(-1, payload.shape[2]).T)


def _start(program, arrays, payloads, biases, samples, steps, probes, tell, first_sample):
    """One start of Lava, for some samples one after another."""
    period = steps + program.LATENCY
    loaded = {name: [registers(row) for row in rows] for name, rows in biases.items()}
    signals = {name: _signal(payload, steps, period) for name, payload in payloads.items()}
    network = program.build(arrays, signals, period, {name: rows[0] for name, rows in
                                                      loaded.items()})
    folder = Path(tempfile.mkdtemp(prefix="rec-"))
    try:
        files = _record(network, probes, folder, samples * period)
        process = next(iter(network.populations.values()))
        config = Loihi2SimCfg(select_tag="fixed_pt")
        stop = threading.Event()
        try:
            watch(stop)
            for sample in range(samples):
                tell(f"sample {first_sample + sample + 1}")
                if sample:
                    _clear(network, {name: rows[sample] for name, rows in loaded.items()})
                left = period
                while left:
                    now = min(left, STEPS_AT_ONCE)
                    process.run(condition=RunSteps(num_steps=now), run_cfg=config)
                    left -= now
                    tell(f"step {period - left} of {period}")
        finally:
            stop.set()
            process.stop()
        return {probe: np.load(path).reshape(samples, period, -1)
                for probe, path in files.items()}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _record(network, probes, folder, rows):
    files = {}
    for index, (name, process) in enumerate(network.populations.items()):
        wanted = {kind: folder / f"{index}-{kind}.npy" for kind in "suv"
                  if (name, kind) in probes}
        for kind, path in wanted.items():
            _reserve(path, (rows, process.s_out.shape[0]))
            files[name, kind] = path
        if wanted:
            Recorder(lif=process, files=wanted)
    return files


def _reserve(path, shape):
    """An .npy file with all its bytes: a full disk is met here, and not in a process of Lava,
    which a write into a hole of its memory would kill."""
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=shape)
    with path.open("rb+") as file:
        size = path.stat().st_size
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            rows[:] = 0
    rows.flush()


def _clear(network, loaded):
    """As after a start: no state, nothing under way; and the biases of the next sample.

    LIFReset clears u and v by itself at its population's step 0, but lives from chip step 0 on.
    """
    for process in network.populations.values():
        for var in (process.u, process.v):
            var.set(np.zeros(var.shape, np.int32))
    for process in network.connections.values():
        buffer = process.a_buf if hasattr(process, "a_buf") else process.a_buff
        buffer.set(np.zeros(buffer.shape, np.int32))
    for name, (mantissa, exponent) in loaded.items():
        network.populations[name].bias_mant.set(mantissa)
        network.populations[name].bias_exp.set(exponent)


# --- the chip itself ----------------------------------------------------------------------------


def run_on_chip(program, arrays, payloads, biases, samples, steps, tell=None):
    """As :func:`run` on Loihi 2 through Intel's lava-loihi: spikes of the outputs only.

    Never run on a chip. A start for each sample: what is under way on a chip cannot be cleared.
    """
    try:
        from lava.proc.embedded_io.spike import NxToPyAdapter, PyToNxAdapter
    except ImportError as error:
        raise DataError("--hardware needs Intel's lava-loihi, which this Python does not have "
                        f"({error})") from error
    names = sorted({o.population for o in program.OUTPUTS.values()})
    recorded = []
    for sample in range(samples):
        if tell:
            tell(f"sample {sample + 1}")
        signals = {name: _signal(p[sample:sample + 1], steps, steps + program.LATENCY)
                   for name, p in payloads.items()}
        loaded = {name: registers(rows[sample]) for name, rows in biases.items()}
        network = program.build(arrays, signals, steps + program.LATENCY, loaded,
                                adapter=PyToNxAdapter)
        recorded.append(_start_on_chip(network, names, steps + program.LATENCY, NxToPyAdapter))
    return {(name, "s"): np.stack([spikes[name] for spikes in recorded]) for name in names}


def _start_on_chip(network, names, period, adapter):
    """Spikes of the named populations, [chip step, n]."""
    for name, lif in network.populations.items():
        if isinstance(lif, PerNeuronLIFReset):
            raise DataError(f"population {name!r} has decays or thresholds for each neuron, which "
                            "no process of Lava has on the chip")
    sinks = {}
    for name in names:
        lif = network.populations[name]
        bridge = adapter(shape=lif.s_out.shape)
        sinks[name] = RingBuffer(shape=lif.s_out.shape, buffer=period)
        lif.s_out.connect(bridge.inp)
        bridge.out.connect(sinks[name].a_in)
    process = next(iter(network.populations.values()))
    try:
        process.run(condition=RunSteps(num_steps=period), run_cfg=Loihi2HwCfg())
        return {name: sink.data.get().T.astype(np.int32) for name, sink in sinks.items()}
    finally:
        process.stop()
