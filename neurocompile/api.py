"""The Python API: ``load``, ``convert``, ``compile``, ``simulate``, ``verify``, ``evaluate``,
``profile``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from neurocompile.constraints import load_constraints
from neurocompile.contract import contract_to_toml, load_contract
from neurocompile.data import Dataset, Signal
from neurocompile.data import load_data as _load_data
from neurocompile.diagnostics import Diagnostic, Diagnostics, fail
from neurocompile.flow import Options, discretize, lower, options_from
from neurocompile.ir.constraints import Constraints
from neurocompile.ir.contract import Contract
from neurocompile.ir.discrete import DiscreteNetwork
from neurocompile.ir.mapping import Mapping as CoreMapping
from neurocompile.ir.network import Network, Port
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import TargetSpec
from neurocompile.targets import load_target
from neurocompile.verification.evaluate import Evaluation, grids
from neurocompile.verification.evaluate import evaluate as _evaluate
from neurocompile.verification.report import VerificationReport

if TYPE_CHECKING:
    import nir

    from neurocompile.backend import Bundle
    from neurocompile.frontends.lava_dl.convert import Conversion

Progress = Callable[[int], None]
OPTIONS = "options.json"
"""The file of a build that holds ``Options``."""

__all__ = ["Build", "Run", "compile", "convert", "evaluate", "load", "load_build",
           "load_constraints", "load_contract", "load_data", "load_target", "profile",
           "simulate", "verify"]


@dataclass(frozen=True, eq=False)
class Build:
    """A compiled network: every phase down to the mapping, and the notes made on the way.
    ``options``: what the user chose, where it was compiled by ``compile``."""

    mapping: CoreMapping
    diagnostics: tuple[Diagnostic, ...] = ()
    options: Options = field(default_factory=Options)

    @property
    def quantized(self) -> QuantizedNetwork:
        return self.mapping.quantized

    @property
    def discrete(self) -> DiscreteNetwork:
        return self.quantized.scheduled.discrete

    @property
    def contract(self) -> Contract:
        return self.discrete.contract

    @property
    def target(self) -> TargetSpec:
        return self.quantized.target

    @property
    def inputs(self) -> tuple[Port, ...]:
        return self.discrete.inputs

    @property
    def latency(self) -> int:
        """Steps a run is longer than its input."""
        return self.quantized.latency

    def emit(self, backend: str) -> Bundle:
        """What a backend writes to deploy the network: files by name. Raises ``CompileError``:
        E801, E802 (no such backend), E804 (it writes nothing), and what its check finds."""
        from neurocompile.backend import load_emitter

        return load_emitter(backend).emit(self.mapping)

    def save(self, path: str | Path, bundles: Sequence[Bundle] = ()) -> None:
        """Write the build directory, with what backends emitted, atomically. Raises
        ``CompileError`` (E701 to E705, E718)."""
        from neurocompile.store import write_build

        chosen = json.dumps(self.options.to_dict(), sort_keys=True) + "\n"
        write_build(path, mapping=self.mapping, contract=self.contract, target=self.target,
                    diagnostics=self.diagnostics, bundles=bundles,
                    extra_files={OPTIONS: chosen.encode()})


@dataclass(frozen=True, eq=False)
class Run:
    """What a simulation recorded.

    ``outputs[node]``: [sample, step, *shape]; spikes of a step, or membranes of outputs that do
    not spike (integers on a chip). ``probes["POP:v"]``: the same layout. A run of a build lasts
    the input's steps and ``latency`` more; population p's step 0 is at ``latencies[p]``.
    """

    outputs: dict[str, npt.NDArray[Any]]
    probes: dict[str, npt.NDArray[Any]]
    latency: int
    latencies: dict[str, int] = field(default_factory=dict)
    contract: Contract = field(default_factory=Contract)

    @property
    def dt_s(self) -> float:
        """Seconds a step."""
        return self.contract.dt_s or 0.0

    def aligned(self, name: str) -> npt.NDArray[Any]:
        """An output or probe in the network's own steps, the latency taken off."""
        values = self.outputs[name] if name in self.outputs else self.probes[name]
        start = self.latencies.get(name, 0)
        stop = values.shape[1] - (self.latency - start)
        return values[:, start:stop]

    def save(self, path: str | Path) -> None:
        """Write ``RUN.npz``: outputs and probes under their names, ``latency`` in steps, the
        latency of each array as ``NAME:latency``, ``dt`` and the ``contract`` as TOML text. Written
        whole or not at all; raises E625 where it cannot be, or where a node has one of these
        names."""
        from neurocompile.data.rasters import write_arrays

        arrays: dict[str, npt.NDArray[Any]] = {**self.outputs, **self.probes}
        facts = {f"{name}:latency": np.array(steps) for name, steps in self.latencies.items()}
        facts |= {"latency": np.array(self.latency), "dt": np.array(self.dt_s),
                  "contract": np.array(contract_to_toml(self.contract))}
        taken = sorted(set(arrays) & set(facts))
        if taken:
            raise fail("E625", str(path), "cannot be written: a node has a name that the file "
                       "uses itself", got=", ".join(taken), hint="rename the node")
        write_arrays(path, {**arrays, **facts})


def load(source: str | Path | nir.NIRGraph) -> Network:
    """Read a network: a ``.nir`` file or a ``nir.NIRGraph``. Raises ``CompileError``."""
    network, _ = load_with_notes(source)
    return network


def load_with_notes(source: str | Path | nir.NIRGraph) -> tuple[Network, tuple[Diagnostic, ...]]:
    """As ``load``, with the warnings."""
    from neurocompile.frontends.nir import load_nir

    return load_nir(source)


def load_build(path: str | Path) -> Build:
    """Read a build directory; verifies every digest. Raises ``CompileError`` (E7xx)."""
    from neurocompile.store import read_build

    stored = read_build(path)
    if stored.mapping is None:
        raise fail("E717", str(path), "the build holds no mapping onto cores",
                   hint="compile again")
    try:
        document = json.loads(stored.extra_files.get(OPTIONS, b"null"))
        options = Options() if document is None else options_from(document, stored.mapping)
    except (ValueError, TypeError, KeyError) as error:
        raise fail("E714", f"{path}: {OPTIONS}", "the options of the build are damaged",
                   hint="compile again") from error
    return Build(stored.mapping, stored.diagnostics, options)


def load_data(path: str | Path, network: Network | Build, *, steps: int | None = None,
              encode: str | None = None, dt_s: float | None = None, seed: int = 0) -> Dataset:
    """Read a data file for the inputs of a network. Raises ``CompileError`` (E6xx)."""
    return _load_data(path, inputs=network.inputs, steps=steps, encode=encode, dt_s=dt_s,
                      seed=seed)


def convert(source: str | Path, *, compare: Literal["gt", "ge"] | None = None,
            dt_s: float | None = None, input_shape: tuple[int, ...] | None = None,
            average: bool = True) -> Conversion:
    """Convert a lava-dl ``.net`` file: its ``graph`` and ``contract`` compile to exactly the
    integers of the file. Arguments: see ``frontends.lava_dl.convert.convert``. Raises
    ``CompileError`` (E1xx)."""
    from neurocompile.frontends.lava_dl.convert import convert as _convert

    return _convert(source, compare=compare, dt_s=dt_s, input_shape=input_shape,
                    average=average)


def compile(
        source: str | Path | nir.NIRGraph | Network, target: str | Path | TargetSpec, *,
        contract: str | Path | Contract | None = None, dt_s: float | None = None,
        calibrate: Dataset | None = None, options: Options | None = None,
        mapping: str | Path | Constraints | None = None) -> Build:
    """Compile a network for a target.

    ``contract``: a preset, a TOML file or a ``Contract``. ``calibrate``: data whose ranges and
    firing rates guide quantization. ``mapping``: where populations and cores are to be, a TOML
    file or ``Constraints`` (docs/mapping.md); replaces those of ``options``. Raises
    ``CompileError`` with every finding.
    """
    options = options or Options()
    if mapping is not None:
        wanted = mapping if isinstance(mapping, Constraints) else load_constraints(mapping)
        options = replace(options, constraints=wanted)
    notes: tuple[Diagnostic, ...] = ()
    if not isinstance(source, Network):
        source, notes = load_with_notes(source)
    if not isinstance(target, TargetSpec):
        target = load_target(target)
    agreed = load_contract(contract if contract is not None else Contract(), dt_s=dt_s)
    mapped, more = lower(source, agreed, target, options, calibrate)
    return Build(mapped, (*notes, *more), options)


def simulate(model: Network | DiscreteNetwork | Build, inputs: Any, *, steps: int | None = None,
             contract: str | Path | Contract | None = None, dt_s: float | None = None,
             probes: Sequence[str] = (), backend: str = "simulator", port: str | None = None,
             progress: Progress | None = None) -> Run:
    """Run a network: a ``Build`` in integers, anything else as the float reference.

    ``inputs``: a ``Dataset``, a data file, an array [sample, step, *shape] (single input) or a
    dict of them. ``probes``: "POP:v", "POP:u" or "POP:s". ``port``: with the backend rtl, the
    serial port of a board that has the build's bitstream; it runs the samples (docs/fpga.md).
    Raises ``CompileError``.
    """
    if port is not None and not isinstance(model, Build):
        raise fail("E875", "port", "a board runs a build, not a network", got=port,
                   hint="compile it first")
    if isinstance(model, Network):
        model = discretize(model, load_contract(contract if contract is not None else Contract(),
                                                dt_s=dt_s))
    if isinstance(model, Build):
        data = as_dataset(inputs, model.inputs, steps, model.discrete.dt_s)
        return _simulate_build(model, data, probes, backend, port, progress)
    data = as_dataset(inputs, model.inputs, steps, model.dt_s)
    return _simulate_float(model, data, probes, progress)


def verify(build: Build, inputs: Any, *, steps: int | None = None,
           backends: Sequence[str] = ("reference", "simulator"), level: str | None = None,
           bitstream: str | Path | None = None, port: str | None = None,
           progress: Progress | None = None) -> tuple[VerificationReport, ...]:
    """Compare backends with the first one in u, v and s of every population at every step.

    ``level``: "netlist", "bitstream" or "board" in the place of the RTL, for the backend rtl
    (docs/rtl.md); compared is then what the host gets, and every cycle but a board's.
    ``bitstream``: the folder that `build` or `patch-weights` made; None: one is built for the
    check. ``port``: the serial port of a board that has it. Raises ``CompileError``: E875, E876,
    E860 to E867, E870 to E873, E877, E879.
    """
    from neurocompile.backend import stated_level
    from neurocompile.verification.run import verify as run_verify

    loaded = as_dataset(inputs, build.inputs, steps, build.discrete.dt_s)
    return run_verify(build.mapping, loaded, backends, progress,
                      stated_level(level, bitstream, port))


def profile(build: Build, inputs: Any, *, steps: int | None = None, timing: str | None = None,
            save: str | Path | None = None, trace: str | Path | None = None,
            checkpoint: str | Path | None = None, every: int = 10_000,
            resume: str | Path | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Run a build on the cores and mesh of its chip: cycles, energy, and where they go.

    ``timing``: "cycle" (every flit on a mesh), "analytic" (counters and bounds), or "rtl" (the
    cycles of the hardware that the backend of this name writes, exactly; no trace, no checkpoint).
    Where None, "rtl" for a target that is an FPGA, else "cycle". ``save`` (.npz) gets
    every step, core and link; ``trace`` (.json) what Perfetto shows; ``checkpoint`` (.npz), every
    ``every`` steps, what ``resume`` goes on from; docs/program.md describes them. Every file
    appears whole or not at all. Raises ``CompileError``: E845 (the program sends something else
    than the network), E625, E846, E847 (files), E848 (options), E849 (target).
    """
    from neurocompile_backends.chip.command import run_profile
    from neurocompile_backends.rtl.profile import profile_cycles

    timing = profile_timing(build, timing)
    files = {"save": save, "trace": trace, "checkpoint": checkpoint, "resume": resume}
    paths = {name: None if path is None else Path(path) for name, path in files.items()}
    check_profile(timing, every, *paths.values())
    loaded = as_dataset(inputs, build.inputs, steps, build.discrete.dt_s)
    if timing == "rtl":
        return profile_cycles(build.mapping, loaded, save=paths["save"], progress=progress)
    return run_profile(build.mapping, loaded, timing=timing, every=every, progress=progress,
                       **paths)


def profile_timing(build: Build, timing: str | None) -> str:
    """The timing of a profile where none is stated."""
    if timing is not None:
        return timing
    return "cycle" if build.mapping.target.fpga is None else "rtl"


def check_profile(timing: str, every: int, save: Path | None, trace: Path | None,
                  checkpoint: Path | None, resume: Path | None) -> None:
    """Are the options of a profile possible? Raises ``CompileError`` (E848)."""
    if timing not in ("cycle", "analytic", "rtl"):
        raise fail("E848", "--timing", "there is no such timing", got=timing,
                   limit="cycle, analytic or rtl")
    if timing == "rtl":
        for option, path in (("--trace", trace), ("--checkpoint", checkpoint),
                             ("--resume", resume)):
            if path is not None:
                raise fail("E848", option, "cycles of an FPGA are counted without it",
                           got=path, hint="leave it out, or state --timing cycle for the mesh")
    if every < 1:
        raise fail("E848", "--every", "not a number of steps", got=every, limit="at least 1")
    taken: dict[Path, str] = {}
    if resume is not None and not (checkpoint and checkpoint.resolve() == resume.resolve()):
        taken[resume.resolve()] = "--resume"  # only a new checkpoint may take its place
    for option, path in (("--output", save), ("--trace", trace), ("--checkpoint", checkpoint)):
        other = taken.setdefault(path.resolve(), option) if path else option
        if other != option:
            raise fail("E848", option, "names the same file as another option", got=path,
                       limit=f"another than that of {other}")


def evaluate(build: Build, data: Any, *, steps: int | None = None, output: str | None = None,
             decode: str = "count", explain_samples: int = 8, backend: str = "simulator",
             progress: Progress | None = None) -> Evaluation:
    """Accuracy and spike trains of the float against the quantized network.

    A backend that cannot run layers on given spikes (``takes_teacher``) leaves that part to the
    simulator, which has the same integers.
    """
    from neurocompile.backend import load_backend, runner

    loaded = as_dataset(data, build.inputs, steps, build.discrete.dt_s)
    return _evaluate(build.quantized, loaded, runner(load_backend(backend), build.mapping),
                     output=output, decode=decode, explain_samples=explain_samples,
                     progress=progress)


def as_dataset(inputs: Any, ports: tuple[Port, ...], steps: int | None = None,
               dt_s: float | None = None) -> Dataset:
    """Whatever a caller holds as a ``Dataset``: arrays are [sample, step, *shape].

    ``dt_s`` (seconds a step) must be that of a file. Raises ``CompileError``: E640 (arrays), E6xx
    (files).
    """
    if isinstance(inputs, Dataset):
        return inputs
    if isinstance(inputs, (str, Path)):
        return _load_data(inputs, inputs=ports, steps=steps, dt_s=dt_s)
    if not isinstance(inputs, Mapping):
        inputs = {ports[0].name: inputs} if len(ports) == 1 else {"": inputs}
    missing = sorted({p.name for p in ports} - set(inputs))
    unknown = sorted(set(inputs) - {p.name for p in ports})
    if missing or unknown:
        raise fail("E640", "inputs", "arrays do not match the network's inputs",
                   got=", ".join(map(repr, sorted(inputs))),
                   limit=", ".join(repr(p.name) for p in ports),
                   hint="pass a dict with one array for each input")
    arrays = {port.name: np.asarray(inputs[port.name]) for port in ports}
    found = Diagnostics()
    for port in ports:
        _check_array(port, arrays[port.name], steps, found)
    if len({a.shape[:2] for a in arrays.values()}) > 1:
        found.add("E640", "inputs", "the arrays differ in samples or steps",
                  got=", ".join(f"{name} {list(a.shape[:2])}" for name, a in arrays.items()))
    found.raise_if_errors()
    return Dataset({name: Signal(values) for name, values in arrays.items()}, None, None)


def _check_array(port: Port, values: npt.NDArray[Any], steps: int | None,
                 found: Diagnostics) -> None:
    if values.dtype.kind not in "biuf":
        found.add("E640", port.name, "the array holds no numbers", got=values.dtype,
                  limit="bool, integers or floats")
    elif not bool(np.isfinite(values).all()):
        found.add("E640", port.name, "the array holds NaN or infinity")
    if values.ndim < 2 or values.shape[2:] != port.shape or 0 in values.shape[:2]:
        found.add("E640", port.name, "the array has another shape than the input",
                  got=list(values.shape), limit=["sample", "step", *port.shape],
                  hint="arrays are [sample, step, *shape], with at least one of each")
    elif steps is not None and values.shape[1] != steps:
        found.add("E640", port.name, "the array has another number of steps than stated",
                  got=values.shape[1], limit=steps, hint="leave steps out to use all of them")


def parse_probe(text: str, names: Sequence[str]) -> tuple[str, str]:
    """("POP", "v") from "POP:v". Raises ``CompileError`` (E643)."""
    population, _, quantity = text.rpartition(":")
    if population in names and quantity in ("s", "u", "v"):
        return population, quantity
    raise fail("E643", text, "there is no such probe", limit="POP:s, POP:u or POP:v with POP one "
               "of " + ", ".join(sorted(names)), hint="neurocompile inspect lists populations")


def _simulate_float(network: DiscreteNetwork, data: Dataset, probes: Sequence[str],
                    progress: Progress | None) -> Run:
    from neurocompile.reference.floating import run_float

    wanted = [parse_probe(p, [q.name for q in network.populations if q.role != "source"])
              for p in probes]
    run = run_float(network, grids(data), data.n_steps, progress=progress,
                    record=tuple(p for p, q in wanted if q == "s"),
                    probe_u=tuple(p for p, q in wanted if q == "u"),
                    probe_v=tuple(p for p, q in wanted if q == "v"))
    shapes = {p.name: p.shape for p in network.populations}
    stores = {"s": run.output, "u": run.u, "v": run.v}
    outputs = {port.name: _reshaped(run.output[port.population], port.shape)
               for port in network.outputs}
    probed = {f"{p}:{q}": _reshaped(stores[q][p], shapes[p]) for p, q in wanted}
    return Run(outputs, probed, 0, dict.fromkeys([*outputs, *probed], 0),
               network.contract)


def _simulate_build(build: Build, data: Dataset, probes: Sequence[str], backend: str,
                    port: str | None, progress: Progress | None) -> Run:
    from neurocompile.backend import at_level, load_backend, stated_level
    from neurocompile.reference.encode import encode_inputs
    from neurocompile.reference.integer import Probes

    network = build.quantized
    wanted = [parse_probe(p, [q.name for q in network.populations if q.role != "source"])
              for p in probes]
    outputs = [port.population for port in build.discrete.outputs]
    asked = Probes(tuple(sorted({*outputs, *(p for p, q in wanted if q == "s")})),
                   tuple(p for p, q in wanted if q == "u"), tuple(p for p, q in wanted if q == "v"))
    (executor,) = at_level([load_backend(backend)], stated_level(None, port=port))
    found = Diagnostics()
    found.extend(executor.check(build.mapping))
    if port is not None:
        for p, q in wanted:
            if q != "s" or p not in outputs:
                found.add("E643", f"{p}:{q}", "a board shows only what it sends",
                          limit=", ".join(f"{name}:s" for name in sorted(outputs)),
                          hint="leave out --port, and the RTL is simulated")
    found.raise_if_errors()
    encoded = encode_inputs(network, grids(data), data.n_steps)
    run = executor.run(build.mapping, encoded, asked, progress=progress)
    stores = {"s": run.s, "u": run.u, "v": run.v}
    latency = {p.name: p.latency for p in network.populations}
    shapes = {p.name: p.shape for p in network.populations}
    arrays = {port.name: _reshaped(run.s[port.population], port.shape)
              for port in build.discrete.outputs}
    probed = {f"{p}:{q}": _reshaped(stores[q][p], shapes[p]) for p, q in wanted}
    latencies = {port.name: latency[port.population] for port in build.discrete.outputs}
    latencies |= {f"{p}:{q}": latency[p] for p, q in wanted}
    return Run(arrays, probed, build.latency, latencies, build.contract)


def _reshaped(values: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    return values.reshape(*values.shape[:2], *shape)
