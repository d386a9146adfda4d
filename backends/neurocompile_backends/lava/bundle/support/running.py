"""Runs a network in Lava: in its simulation of the chip's integers, or on a chip."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg

from .data import DataError, registers
from .processes import PerNeuronLIFReset, Recorder

STEPS_AT_ONCE = 50  # between two signs of life
SIGNAL_ELEMENTS = 1 << 25  # of a RingBuffer: more samples than fit take another start of Lava


def run(program, arrays, payloads, biases, steps, probes, tell=None):
    """Run all samples. Returns {(population, kind): [sample, chip step, n]}.

    ``probes``: pairs of population and "s", "u" or "v". Lava is started once for as many samples
    as its source holds; between two samples the states are cleared, which a start would do too.
    """
    given = [*payloads.values(), *biases.values()]
    samples = len(given[0]) if given else 1
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
    folder = Path(tempfile.mkdtemp(prefix="lava-run-"))
    try:
        files = _record(network, probes, folder, samples * period)
        process = next(iter(network.populations.values()))
        config = Loihi2SimCfg(select_tag="fixed_pt")
        try:
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
            np.lib.format.open_memmap(path, mode="w+", dtype=np.int32,
                                      shape=(rows, process.s_out.shape[0])).flush()
            files[name, kind] = path
        if wanted:
            Recorder(lif=process, files=wanted)
    return files


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


def run_on_chip(program, arrays, payloads, biases, steps, tell=None):
    """As :func:`run` on Loihi 2 through Intel's lava-loihi: spikes of the outputs only.

    Not tested on a chip. A start for each sample: what is under way on a chip cannot be cleared.
    """
    from lava.proc.embedded_io.spike import NxToPyAdapter, PyToNxAdapter
    from lava.proc.io.sink import RingBuffer as Sink

    given = [*payloads.values(), *biases.values()]
    period = steps + program.LATENCY
    recorded = []
    for sample in range(len(given[0])):
        if tell:
            tell(f"sample {sample + 1}")
        loaded = {name: registers(rows[sample]) for name, rows in biases.items()}
        signals = {name: _signal(p[sample:sample + 1], steps, period)
                   for name, p in payloads.items()}
        network = program.build(arrays, signals, period, loaded, adapter=PyToNxAdapter)
        sinks = {}
        for name in sorted({o.population for o in program.OUTPUTS.values()}):
            lif = network.populations[name]
            if isinstance(lif, PerNeuronLIFReset):
                raise DataError(f"population {name!r} has decays or thresholds for each neuron, "
                                "which no process of Lava has on the chip")
            adapter, sinks[name] = NxToPyAdapter(shape=lif.s_out.shape), Sink(
                shape=lif.s_out.shape, buffer=period)
            lif.s_out.connect(adapter.inp)
            adapter.out.connect(sinks[name].a_in)
        process = next(iter(network.populations.values()))
        process.run(condition=RunSteps(num_steps=period), run_cfg=Loihi2HwCfg())
        recorded.append({name: sink.data.get().T for name, sink in sinks.items()})
        process.stop()
    return {(name, "s"): np.stack([r[name] for r in recorded]).astype(np.int32)
            for name in recorded[0]}
