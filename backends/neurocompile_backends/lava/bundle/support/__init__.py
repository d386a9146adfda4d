"""What every program written by neurocompile shares: two processes, the encoding, the run.

``program.py`` beside this folder holds the network itself. Needs lava-nc 0.10.0 (Python 3.10),
numpy and scipy, which lava-nc brings along; nothing of neurocompile. It is a folder because Lava
executes every .py file beside the one that defines a process, in search of its models.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.dense.process import Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.models import PyLifResetModelBitAcc
from lava.proc.lif.process import LIFReset
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

HERE = Path(__file__).resolve().parent.parent
STEPS_AT_ONCE = 50  # between two signs of life
SIGNAL_ELEMENTS = 1 << 25  # of a RingBuffer: more samples than fit take another start of Lava


# --- what program.py states about its network ---------------------------------------------------


@dataclass(frozen=True)
class Input:
    """An input that is sent: payload integers in [low, high], value = payload * scale."""

    shape: tuple
    mode: str
    scale: float
    low: int
    high: int


@dataclass(frozen=True)
class Drive:
    """An input that the host turns into bias registers, once a sample.

    bias = gain * (weights @ x) + constant, rounded to mantissa << exponent. ``weights``, ``gain``
    and ``constant`` are arrays of network.npz; several drives of a population add up first.
    """

    input: str
    population: str
    shape: tuple
    low: float
    high: float
    mantissa_max: int
    exponent_max: int
    arrays: str


@dataclass(frozen=True)
class Output:
    """An output: what is read of which population. ``latency``: the chip step of its step 0."""

    population: str
    shape: tuple
    latency: int


@dataclass
class Network:
    """The processes of a network, by the names its author gave them."""

    populations: dict = field(default_factory=dict)
    connections: dict = field(default_factory=dict)


# --- two processes ------------------------------------------------------------------------------


class PerNeuronLIFReset(LIFReset):
    """LIFReset whose neurons have decays and thresholds of their own.

    Lava's LIF holds one du, dv and vth a process. This changes their shapes and nothing else: the
    arithmetic is inherited from Lava's own bit-accurate model.
    """

    def __init__(self, *, shape, du, dv, vth, **other):
        super().__init__(shape=shape, **other)
        self.du = Var(shape=shape, init=du)
        self.dv = Var(shape=shape, init=dv)
        self.vth = Var(shape=shape, init=vth)


@implements(proc=PerNeuronLIFReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("bit_accurate_loihi", "fixed_pt")
class PyPerNeuronLIFReset(PyLifResetModelBitAcc):
    implements_process = None  # that of the parent class, which Lava would not let go
    du: np.ndarray = LavaPyType(np.ndarray, np.uint16, precision=12)
    dv: np.ndarray = LavaPyType(np.ndarray, np.uint16, precision=12)
    vth: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=17)


class Recorder(AbstractProcess):
    """Writes what a population does into memory-mapped files, one row a step.

    Used in place of ``Monitor``, which takes a process for each quantity and hands its data over
    one number at a time. ``files`` maps "s", "u" and "v" to the .npy file of what is wanted.
    """

    def __init__(self, *, lif, files):
        super().__init__(files={kind: str(path) for kind, path in files.items()})
        self.s_in = InPort(shape=lif.s_out.shape)
        self.u_ref = RefPort(shape=lif.u.shape)
        self.v_ref = RefPort(shape=lif.v.shape)
        if "s" in files:
            lif.s_out.connect(self.s_in)
        if "u" in files:
            self.u_ref.connect_var(lif.u)
        if "v" in files:
            self.v_ref.connect_var(lif.v)


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyRecorder(PyLoihiProcessModel):
    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    u_ref: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    v_ref: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.rows = {kind: np.load(path, mmap_mode="r+")
                     for kind, path in proc_params["files"].items()}
        self.states = {kind: f"{kind}_ref" for kind in self.rows if kind != "s"}

    def run_spk(self):
        if "s" in self.rows:
            self.rows["s"][self.time_step - 1] = self.s_in.recv()

    def post_guard(self):
        return bool(self.states)

    def run_post_mgmt(self):
        """After all neurons took their step and were reset."""
        for kind, port in self.states.items():
            self.rows[kind][self.time_step - 1] = getattr(self, port).read()


# --- wiring -------------------------------------------------------------------------------------


def csr(arrays, name, shape):
    """A sparse matrix of network.npz."""
    parts = (arrays[f"{name}.{part}"] for part in ("values", "indices", "indptr"))
    values, indices, indptr = parts
    return csr_matrix((values.astype(np.int32), indices, indptr), shape=shape)


def delays_of(arrays, name, shape):
    """Delay of each synapse in steps [target, source]: what its source and its target have."""
    source = np.broadcast_to(arrays[f"{name}.source_delay"], (shape[1],))
    target = np.broadcast_to(arrays[f"{name}.target_delay"], (shape[0],))
    return (target[:, None] + source[None, :]).astype(int)  # DelayDense insists on it


def csr_delays_of(arrays, name, weights):
    """The same for the synapses of a sparse matrix only."""
    rows = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    source = np.broadcast_to(arrays[f"{name}.source_delay"], (weights.shape[1],))
    target = np.broadcast_to(arrays[f"{name}.target_delay"], (weights.shape[0],))
    values = (target[rows] + source[weights.indices]).astype(int)  # DelaySparse insists on it
    return csr_matrix((values, weights.indices.copy(), weights.indptr.copy()),
                      shape=weights.shape)


def planes(port, channels_first):
    """A flat port in (channel, row, column) order as Lava's Conv takes it: (row, column,
    channel)."""
    return port.reshape(channels_first).transpose((1, 2, 0))


def flat(port):
    """The other way round."""
    return port.transpose((2, 0, 1)).flatten()


def into_chip(port, adapter):
    """A source's port; on a chip, behind what takes spikes onto it."""
    if adapter is None:
        return port
    bridge = adapter(shape=port.shape)
    port.connect(bridge.inp)
    return bridge.out


def join(populations):
    """Connects parts of a network with a source that never says anything: Lava runs what is
    connected with the process that is run."""
    silence = RingBuffer(data=np.zeros((1, 1), np.int32))
    for lif in populations:
        link = Dense(weights=np.zeros((lif.a_in.shape[0], 1), np.int32),
                     sign_mode=SignMode.EXCITATORY)
        silence.s_out.connect(link.s_in)
        link.a_out.connect(lif.a_in)


# --- data ---------------------------------------------------------------------------------------


class DataError(Exception):
    """Something about the data the user gave."""


def encode(program, arrays, values, steps):
    """Data as integers: payloads {input: [sample, step, n]} and biases {population: [sample, n]}.

    ``values[input]``: [sample, step, *shape], or [sample, *shape] for ``steps`` equal steps.
    """
    shapes = {name: i.shape for name, i in program.INPUTS.items()}
    shapes.update({d.input: d.shape for d in program.DRIVES})
    found = {name: _in_steps(name, _value(values, name, len(shapes)), shape, steps)
             for name, shape in shapes.items()}
    if len({a.shape[0] for a in found.values()}) > 1:
        raise DataError("the inputs differ in their number of samples")
    lengths = {a.shape[1] for a in found.values() if a.shape[1] > 1} or {steps or 1}
    if len(lengths) > 1 or (steps and lengths != {steps}):
        raise DataError(f"the inputs have {sorted(lengths)} steps, --steps says {steps}")
    length = lengths.pop()
    if program.MAX_STEPS is not None and length > program.MAX_STEPS:
        raise DataError(f"{length} steps are more than the {program.MAX_STEPS} for which overflow "
                        "was excluded")
    payloads = {name: _payload(name, i, found[name]) for name, i in program.INPUTS.items()}
    return payloads, _biases(program, arrays, found), length


def _value(values, name, inputs):
    for key in (name, f"x_{name}", *(("x",) if inputs == 1 else ())):
        if key in values:
            return values[key]
    raise DataError(f"the data hold no array for input {name!r}, only {sorted(values)}")


def _in_steps(name, values, shape, steps):
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise DataError(f"input {name!r} holds something else than finite numbers")
    if values.ndim == len(shape) + 1 and values.shape[1:] == shape:
        if not steps:
            raise DataError(f"input {name!r} has no step axis: --steps says how long it is shown")
        values = values[:, None]
    if values.ndim != len(shape) + 2 or values.shape[2:] != shape or 0 in values.shape[:2]:
        raise DataError(f"input {name!r} is {values.shape}, wanted [sample, step, *{shape}]")
    return values.reshape(*values.shape[:2], -1)


def _payload(name, i, values):
    units = np.rint(values / i.scale) if i.mode == "graded" else values
    if np.any(units != np.rint(units)):
        raise DataError(f"input {name!r} takes {i.mode}: whole numbers a step")
    if units.min() < i.low or units.max() > i.high:
        raise DataError(f"input {name!r} lies outside {i.low * i.scale:g} to "
                        f"{i.high * i.scale:g}, for which overflow was excluded")
    return units.astype(np.int32)


def _biases(program, arrays, found):
    wanted, limits = {}, {}
    for d in program.DRIVES:
        x = found[d.input].astype(np.float64)
        if np.any(x != x[:, :1]):
            raise DataError(f"input {d.input!r} changes over a sample, but is loaded into bias "
                            "registers once a sample")
        if x.min() < d.low or x.max() > d.high:
            raise DataError(f"input {d.input!r} lies outside {d.low:g} to {d.high:g}")
        summed = _product(arrays, d.arrays, x[:, 0]) * arrays[f"{d.arrays}.gain"]
        total = summed + arrays[f"{d.arrays}.constant"]
        wanted[d.population] = wanted.get(d.population, 0.0) + total
        limits[d.population] = (d.mantissa_max, d.exponent_max)
    return {name: _rounded(total, *limits[name]) for name, total in wanted.items()}


def _product(arrays, name, x):
    if f"{name}.weights" in arrays:
        return x @ arrays[f"{name}.weights"].T.astype(np.float64)
    matrix = csr_matrix((arrays[f"{name}.values"].astype(np.float64), arrays[f"{name}.indices"],
                         arrays[f"{name}.indptr"]), shape=arrays[f"{name}.shape"])
    return (matrix @ x.T).T


def _rounded(value, mantissa_max, exponent_max):
    """The nearest mantissa << exponent with the least exponent that holds it; saturates."""
    exponent = np.zeros(value.shape, np.int64)
    for e in range(exponent_max):
        exponent = np.where(np.rint(np.abs(value) / (1 << e)) > mantissa_max, e + 1, exponent)
    mantissa = np.clip(np.rint(value / (1 << exponent)), -mantissa_max, mantissa_max)
    return mantissa.astype(np.int64) << exponent


def registers(bias):
    """(mantissas, exponents) of integers, with the least exponents that fit 13 bits and sign."""
    exponent = np.zeros(bias.shape, np.int64)
    while np.any(np.abs(bias >> exponent) > 4095):
        exponent = np.where(np.abs(bias >> exponent) > 4095, exponent + 1, exponent)
    mantissa = bias >> exponent
    if np.any(mantissa << exponent != bias):
        raise DataError("a bias is no mantissa << exponent of 13 bits")
    return mantissa, exponent


# --- running ------------------------------------------------------------------------------------


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


# --- command line -------------------------------------------------------------------------------


def main(program):
    """The command line of program.py; returns its exit status."""
    arguments = _arguments(program)
    tell = (lambda text: print(text, file=sys.stderr, flush=True)) if arguments.progress else None
    with np.load(HERE / "network.npz", allow_pickle=False) as file:
        arrays = dict(file)
    try:
        payloads, biases, steps = _given(program, arrays, arguments)
        probes = _probes(program, arguments.probe)
        if arguments.hardware:
            if probes != _probes(program, []):
                raise DataError("--probe: a chip gives the spikes of the outputs only")
            recorded = run_on_chip(program, arrays, payloads, biases, steps, tell)
        else:
            recorded = run(program, arrays, payloads, biases, steps, probes, tell)
        _write(arguments.output, _result(program, arrays, recorded, arguments))
    except (DataError, OSError) as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return 2
    return 0


def _arguments(program):
    parser = argparse.ArgumentParser(description=program.__doc__.splitlines()[0])
    parser.add_argument("--input", required=True, type=Path, metavar="X.npz",
                        help="x (or an array for each input): [sample, step, *shape]")
    parser.add_argument("--output", required=True, type=Path, metavar="RUN.npz")
    parser.add_argument("--steps", type=int, metavar="N",
                        help="steps of a sample, for data without a step axis")
    parser.add_argument("--samples", type=int, metavar="N", help="only the first N")
    parser.add_argument("--probe", action="append", default=[], metavar="POP:v",
                        help="also record s, u or v of a population; 'all' for everything")
    parser.add_argument("--hardware", action="store_true",
                        help="on Loihi 2 (needs lava-loihi and access to a chip)")
    parser.add_argument("--encoded", action="store_true",
                        help="the input holds integers that neurocompile encoded")
    parser.add_argument("--progress", action="store_true", help="say how far the run is")
    arguments = parser.parse_args()
    for name in ("steps", "samples"):
        if getattr(arguments, name) is not None and getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1")
    return arguments


def _given(program, arrays, arguments):
    """Payloads, biases and steps from the input file."""
    try:
        with np.load(arguments.input, allow_pickle=False) as file:
            values = dict(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{arguments.input} cannot be read: {error}") from error
    n = arguments.samples
    if arguments.encoded:
        payloads = {name: values[f"payload:{name}"][:n] for name in program.INPUTS}
        biases = {name: values[f"bias:{name}"][:n]
                  for name in sorted({d.population for d in program.DRIVES})}
        return payloads, biases, int(values["steps"])
    payloads, biases, steps = encode(program, arrays, values, arguments.steps)
    return ({name: p[:n] for name, p in payloads.items()},
            {name: b[:n] for name, b in biases.items()}, steps)


def _probes(program, wanted):
    probes = {(o.population, program.POPULATIONS[o.population])
              for o in program.OUTPUTS.values()}
    for text in wanted:
        name, _, kind = text.rpartition(":")
        if text == "all":
            probes |= {(name, kind) for name in program.POPULATIONS for kind in "suv"}
        elif name in program.POPULATIONS and kind in ("s", "u", "v"):
            probes.add((name, kind))
        else:
            raise DataError(f"--probe {text}: there is no such probe; populations are "
                            f"{', '.join(program.POPULATIONS)}")
    return probes


def _result(program, arrays, recorded, arguments):
    """The arrays of RUN.npz, laid out as ``neurocompile simulate`` writes them."""
    result = {"latency": np.array(program.LATENCY), "dt": np.array(program.DT_S),
              "contract": arrays["contract"]}
    for name, o in program.OUTPUTS.items():
        values = recorded[o.population, program.POPULATIONS[o.population]]
        result[name] = values.reshape(*values.shape[:2], *o.shape)
        result[f"{name}:latency"] = np.array(o.latency)
    if arguments.probe:
        result.update({f"{name}:{kind}": values for (name, kind), values in recorded.items()})
    return result


def _write(path, arrays):
    """As numpy.savez, but for any name; whole or not at all."""
    if path.exists() and not path.is_file():  # a rename would put a file in a device's place
        raise DataError(f"{path} is not a regular file")
    part = path.with_name(f".{path.name}.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(values), allow_pickle=False)
    part.replace(path)
