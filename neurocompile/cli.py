"""The command line. Exit status 0 means success and nothing else does."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.console import Console

from neurocompile import __version__
from neurocompile.diagnostics import CompileError, Diagnostic, Diagnostics, fail
from neurocompile_backends.lava.cli import app as lava_app

if TYPE_CHECKING:
    from neurocompile.data import Dataset
    from neurocompile.ir.constraints import Constraints
    from neurocompile.ir.contract import Contract
    from neurocompile.ir.network import Port
    from neurocompile.ir.target import TargetSpec

app = typer.Typer(name="neurocompile", no_args_is_help=True, add_completion=False,
                  pretty_exceptions_enable=False, rich_markup_mode=None,
                  help="Compile trained spiking neural networks to chips.")
targets_app = typer.Typer(help="The chips that are known, every number with its source.",
                          invoke_without_command=True)
app.add_typer(targets_app, name="targets")
contract_app = typer.Typer(help="The discretization contracts of training tools.",
                           invoke_without_command=True)
app.add_typer(contract_app, name="contract")
app.add_typer(lava_app, name="lava")


def _console(stream: TextIO, stderr: bool) -> Console:
    """A terminal's own width, or COLUMNS; files and pipes need no folding to 80 columns.

    Without emoji: rich takes the ``:v:`` of a probe for one.
    """
    free = stream.isatty() or "COLUMNS" in os.environ
    return Console(stderr=stderr, width=None if free else 120, emoji=False)


out = _console(sys.stdout, False)
err = _console(sys.stderr, True)

Json = Annotated[bool, typer.Option("--json", help="Print facts as one JSON document.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A .nir file.")]
ModelOrBuild = Annotated[Path, typer.Argument(
    metavar="MODEL|BUILD", help="A .nir file, or a directory that `compile` wrote.")]
BuildPath = Annotated[Path, typer.Argument(
    metavar="BUILD", help="A directory that `compile` wrote.")]
Target = Annotated[str, typer.Option(
    "--target", "-t", metavar="T", help="A chip's name (see `targets`) or a .toml file.")]
Dt = Annotated[float | None, typer.Option(
    "--dt", metavar="SECONDS", help="Length of a step; replaces the contract's.")]
ContractOption = Annotated[str | None, typer.Option(
    "--contract", "-c", metavar="PRESET|FILE",
    help="A preset's name (see `contract`) or a .toml file.")]
Input = Annotated[Path, typer.Option(
    "--input", "-i", metavar="DATA", help="A .npz with x [sample, step, ...], or NIRData.")]
Steps = Annotated[int | None, typer.Option(
    "--steps", metavar="N", help="Steps of a sample, for data without a step axis.")]
Encode = Annotated[str | None, typer.Option(
    "--encode", metavar="HOW", help="Values to steps: constant, rate, latency or delta.")]
Seed = Annotated[int, typer.Option(
    "--seed", metavar="N", help="Seed of the rate encoding.")]
Samples = Annotated[int | None, typer.Option(
    "--samples", metavar="N", help="Only the first N samples.")]
InputMode = Annotated[str | None, typer.Option(
    "--input-mode", metavar="MODE",
    help="How inputs reach the chip: spikes, counts, graded, bias or encoder.")]
InputMax = Annotated[float | None, typer.Option(
    "--input-max", metavar="X", help="The largest value an input will have.")]
WeightBits = Annotated[int, typer.Option(
    "--weight-bits", metavar="N", help="Bits of a weight.")]
MaxSteps = Annotated[int | None, typer.Option(
    metavar="N", min=1, help="The longest run: bounds of neurons without decay need it.")]
AcceptBounds = Annotated[bool, typer.Option(
    "--accept-bounds", help="Accept ranges that cannot be proved.")]
Threshold = Annotated[list[str] | None, typer.Option(
    "--threshold", metavar="POP=N",
    help="Threshold register of a population; may be repeated.")]

MappingFile = Annotated[Path | None, typer.Option(
    "--mapping", metavar="FILE", help="Where populations and cores are to be: a .toml file.")]

Emit = Annotated[list[str] | None, typer.Option(
    "--backend", "-b", metavar="NAME",
    help="Also what NAME writes to deploy the network (lava); may be repeated.")]


@contextmanager
def reporting(as_json: bool) -> Iterator[None]:
    """Turns a CompileError into its findings and exit status 1."""
    try:
        yield
    except CompileError as error:
        _print_findings(error.diagnostics, as_json)
        raise typer.Exit(1) from None
    except MemoryError:
        found = Diagnostic("E901", "memory", "the machine has too little memory for this",
                           hint="fewer --samples, or fewer probes")
        _print_findings([found], as_json)
        raise typer.Exit(1) from None


def _print_findings(diagnostics: Any, as_json: bool) -> None:
    from neurocompile.facts import to_json
    from neurocompile.report.tables import show_diagnostics

    if as_json:
        print(to_json({"ok": False, "diagnostics": [d.to_dict() for d in diagnostics]}))
    else:
        show_diagnostics(err, diagnostics)


def _emit(facts: dict[str, Any], as_json: bool, show: Callable[[], None]) -> None:
    from neurocompile.facts import to_json

    if as_json:
        print(to_json({"ok": True, **facts}))
    else:
        show()


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, on terminals only."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)


def _contract(name: str | None, dt_s: float | None, mode: str | None,
              maximum: float | None) -> Contract:
    from neurocompile.contract import load_contract
    from neurocompile.ir.contract import Contract, InputBinding

    contract = load_contract(name if name is not None else Contract(), dt_s=dt_s)
    if maximum is not None and not math.isfinite(maximum):
        raise fail("E217", "--input-max", "is not finite", got=maximum, limit="a finite number")
    if mode is None and maximum is None:
        return contract
    options = ("spikes", "counts", "graded", "bias", "encoder")
    if mode is not None and mode not in options:
        raise fail("E205", "--input-mode", "there is no such input mode", got=mode,
                   limit="one of " + ", ".join(options), hint="choose one of them")
    inputs = dict(contract.inputs)
    if mode is not None:
        inputs.setdefault("*", InputBinding(mode))  # type: ignore[arg-type]
    for key, binding in inputs.items():
        inputs[key] = InputBinding(
            mode or binding.mode, binding.scale,  # type: ignore[arg-type]
            binding.maximum if maximum is None else maximum, binding.minimum)
    return replace(contract, inputs=inputs)


def _constraints(path: Path | None) -> Constraints:
    from neurocompile.constraints import load_constraints
    from neurocompile.ir.constraints import Constraints

    return Constraints() if path is None else load_constraints(path)


def _lanes(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if all(part.isdecimal() and 1 <= int(part) <= 256 for part in parts):
        return tuple(int(part) for part in parts)
    raise fail("E881", "--lanes", "not numbers of lanes", got=text, limit="1 to 256, by core",
               hint="for example --lanes 8 or --lanes 8,4")


def _thresholds(texts: list[str] | None) -> dict[str, int]:
    parsed: dict[str, int] = {}
    found = Diagnostics()
    for text in texts or []:
        name, _, value = text.rpartition("=")
        if name and value.isdecimal() and int(value) >= 1 and name not in parsed:
            parsed[name] = int(value)
            continue
        found.add("E206", "--threshold", "stated twice for one population" if name in parsed
                  else "not of the form POP=N", got=text, limit="N a whole number of at least 1",
                  hint="for example --threshold output=1000")
    found.raise_if_errors()
    return parsed


def _patchable(target: TargetSpec) -> TargetSpec:
    """The target with hardware for any weights. Raises ``CompileError`` (E894)."""
    if target.fpga is None:
        raise fail("E894", "--patchable", "this target is no FPGA", got=target.name,
                   hint="leave it out, or compile for a target with a table [fpga]")
    return replace(target, fpga=replace(target.fpga, patchable=True))


def _is_build(path: Path) -> bool:
    return path.is_dir()


def _check_writable(path: Path, *sources: Path, example: str = "run.npz") -> None:
    """Before a long run, not after it: is there a place for its file that nothing else has?"""
    place = path.resolve()
    if any(place == source.resolve() or source.resolve() in place.parents for source in sources):
        raise fail("E625", str(path), "cannot be written", got="a file this run reads",
                   hint="choose another place with -o")
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise fail("E625", str(path), "cannot be written", got="not a regular file",
                   hint=f"name a file, for example {example}")
    if path.is_dir():
        raise fail("E625", str(path), "cannot be written", got="a directory",
                   hint=f"name a file, for example {example}")
    if not path.parent.is_dir():
        raise fail("E625", str(path), "cannot be written",
                   got=f"{path.parent} is not a directory", hint="name a file in an existing one")


def _data(path: Path, inputs: tuple[Port, ...], steps: int | None, encode: str | None,
          seed: int, dt_s: float | None, samples: int | None) -> Dataset:
    from neurocompile.data import load_data
    from neurocompile.report.tables import show_diagnostics

    if samples is not None and samples < 1:
        raise fail("E639", "--samples", "not a number of samples", got=samples, limit="at least 1",
                   hint="leave it out to use all")
    data = load_data(path, inputs=inputs, steps=steps, encode=encode, dt_s=dt_s, seed=seed)
    show_diagnostics(err, data.diagnostics)
    return data if samples is None else data.samples(0, samples)


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
          ) -> None:
    if version:
        print(__version__)
        raise typer.Exit


@app.command()
def demo(target: Target = "loihi1", as_json: Json = False) -> None:
    """Compile, verify and evaluate an embedded network."""
    with reporting(as_json):
        from neurocompile.demo.run import run_demo

        if not run_demo(target, as_json, out, progress):
            raise typer.Exit(1)


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = text.split(",")
    if all(part.strip().isdecimal() and len(part) < 10 for part in parts):
        return tuple(int(part) for part in parts)
    raise fail("E208", "--input-shape", "is not a shape of inputs", got=text,
               limit="C,H,W or N, each at least 1", hint="for example --input-shape 2,34,34")


@app.command("convert")
def convert_(
        source: Annotated[Path, typer.Argument(
            metavar="MODEL.net", help="A file that lava-dl's export_hdf5 wrote.")],
        output: Annotated[Path, typer.Option(
            "--output", "-o", metavar="MODEL.nir",
            help="The file to write; its contract goes beside it, as .toml.")],
        compare: Annotated[str | None, typer.Option(
            metavar="HOW", help="Spike at v > threshold (gt, as Lava and Loihi do) or at >= (ge). "
            "gt if not stated.")] = None,
        dt: Annotated[float | None, typer.Option(
            "--dt", metavar="SECONDS", help="Length of a step. 1e-3 if not stated.")] = None,
        input_shape: Annotated[str | None, typer.Option(
            metavar="C,H,W", help="Shape of the input, where the file does not say it.")] = None,
        average: Annotated[bool, typer.Option(
            "--average/--no-average", help="An average layer as sums, or left out.")] = True,
        as_json: Json = False) -> None:
    """A lava-dl network as MODEL.nir and MODEL.toml, exactly."""
    with reporting(as_json):
        from neurocompile.frontends.lava_dl.convert import contract_path, convert
        from neurocompile.report import tables

        for path in (output, contract_path(output)):
            _check_writable(path, source, example="model.nir")
        made = convert(source, compare=compare, dt_s=dt,  # type: ignore[arg-type]
                       input_shape=_shape(input_shape), average=average)
        beside = made.save(output)
        known = {
            "path": str(output), "contract": str(beside),
            "layers": [{"name": n, "type": t, "shape": list(s)} for n, t, s in made.layers],
            "diagnostics": [d.to_dict() for d in made.diagnostics]}
        _emit(known, as_json, lambda: tables.show_conversion(out, known))
        if not as_json:
            tables.show_diagnostics(err, made.diagnostics)


@app.command()
def check(model: Model, target: Target, contract: ContractOption = None, dt: Dt = None,
          input_mode: InputMode = None, input_max: InputMax = None,
          weight_bits: WeightBits = 8, threshold: Threshold = None, max_steps: MaxSteps = None,
          accept_bounds: AcceptBounds = False, mapping: MappingFile = None,
          backend: Emit = None, as_json: Json = False) -> None:
    """Every violation of MODEL on the target at once."""
    with reporting(as_json):
        from neurocompile import flow
        from neurocompile.api import load_with_notes
        from neurocompile.backend import load_emitter
        from neurocompile.report.tables import plain, show_diagnostics
        from neurocompile.targets import load_target

        backends = [load_emitter(name) for name in backend or ()]
        spec = load_target(target)
        agreed = _contract(contract, dt, input_mode, input_max)
        network, notes = load_with_notes(model)
        options = flow.Options(weight_bits, thresholds=_thresholds(threshold),
                               max_steps=max_steps, accept_bounds=accept_bounds,
                               constraints=_constraints(mapping))
        found = (*notes, *flow.check(network, agreed, spec, options, backends))
        if any(d.is_error for d in found):
            raise CompileError(found)
        _emit({"diagnostics": [d.to_dict() for d in found]}, as_json,
              lambda: show_diagnostics(out, found))
        if not as_json:
            out.print(plain(f"{model.name} fits {spec.name}"), soft_wrap=True)


@app.command()
def inspect(path: ModelOrBuild, as_json: Json = False) -> None:
    """What a network file or a build directory holds."""
    with reporting(as_json):
        from neurocompile import facts
        from neurocompile.api import load_build, load_with_notes
        from neurocompile.report import tables

        if _is_build(path):
            built = facts.build_facts(load_build(path))
            _emit(built, as_json, lambda: tables.show_build(out, built))
            return
        network, notes = load_with_notes(path)
        known = {**facts.network_facts(network), "diagnostics": [d.to_dict() for d in notes]}
        _emit(known, as_json, lambda: tables.show_network(out, known))
        if not as_json:
            tables.show_diagnostics(err, notes)


@app.command("compile")
def compile_(model: Model, target: Target,
             output: Annotated[Path, typer.Option(
                 "--output", "-o", metavar="BUILD", help="The directory to write.")],
             dt: Dt = None, contract: ContractOption = None,
             calibrate: Annotated[Path | None, typer.Option(
                 metavar="DATA", help="Data whose ranges and rates guide quantization.")] = None,
             steps: Steps = None, encode: Encode = None, seed: Seed = 0,
             input_mode: InputMode = None, input_max: InputMax = None,
             weight_bits: WeightBits = 8,
             decay_rounding: Annotated[str, typer.Option(
                 metavar="HOW", help="Decays to registers: nearest or floor.")] = "nearest",
             threshold: Threshold = None,
             max_steps: MaxSteps = None, accept_bounds: AcceptBounds = False,
             neurons_per_core: Annotated[int | None, typer.Option(
                 metavar="N",
                 help="At most N neurons on a core; replaces the mapping file's.")] = None,
             lanes: Annotated[str | None, typer.Option(
                 metavar="N,...", help="Lanes of the cores of an FPGA, the last for all others; "
                 "the compiler chooses where not stated.")] = None,
             patchable: Annotated[bool, typer.Option(
                 "--patchable", help="Logic of an FPGA for any weights of this shape, so that "
                 "`patch-weights` can exchange them.")] = False,
             mapping: MappingFile = None, backend: Emit = None, as_json: Json = False) -> None:
    """Compile MODEL for a target into the directory BUILD."""
    with reporting(as_json):
        from neurocompile import api, facts, flow
        from neurocompile.backend import load_emitter
        from neurocompile.fixedpoint import Rounding
        from neurocompile.report import tables
        from neurocompile.report.synthesis import show_resources
        from neurocompile.targets import load_target
        from neurocompile_backends.rtl.command import resources_of

        if decay_rounding not in ("nearest", "floor"):
            raise fail("E207", "--decay-rounding", "there is no such rounding",
                       got=decay_rounding, limit="nearest or floor")
        emitters = [load_emitter(name) for name in dict.fromkeys(backend or ())]
        spec = load_target(target)
        if lanes is not None and spec.fpga is None and "rtl" not in (backend or ()):
            raise fail("E881", "--lanes", "this target has no lanes to choose", got=spec.name,
                       hint="leave it out, or compile for an FPGA")
        if patchable:
            spec = _patchable(spec)
        agreed = _contract(contract, dt, input_mode, input_max)
        network, notes = api.load_with_notes(model)
        data = None if calibrate is None else _data(
            calibrate, network.inputs, steps, encode, seed, agreed.dt_s, None)
        options = flow.Options(weight_bits, Rounding(decay_rounding), _thresholds(threshold),
                               max_steps, accept_bounds, neurons_per_core,
                               replace(_constraints(mapping), lanes=_lanes(lanes)))
        build = api.compile(network, spec, contract=agreed, calibrate=data, options=options)
        said = [d for emitter in emitters for d in emitter.check(build.mapping)]
        build = replace(build, diagnostics=(*notes, *build.diagnostics, *said))
        bundles = [emitter.emit(build.mapping) for emitter in emitters]
        build.save(output, bundles)
        known = facts.build_facts(build)
        taken = resources_of(build.mapping)
        written = {b.backend: {"path": str(output / b.backend), "files": sorted(b.files)}
                   for b in bundles}
        _emit({**known, "path": str(output), "bundles": written, "resources": taken}, as_json,
              lambda: tables.show_build(out, known))
        if not as_json and taken is not None:
            show_resources(out, taken)
        if not as_json:
            for b in written.values():
                out.print(tables.plain(f"{b['path']}: {', '.join(b['files'])}"), soft_wrap=True)
        if not as_json:
            tables.show_diagnostics(err, build.diagnostics)


@app.command()
def simulate(path: ModelOrBuild, data: Input,
             output: Annotated[Path, typer.Option(
                 "--output", "-o", metavar="RUN.npz", help="The file to write.")],
             steps: Steps = None, encode: Encode = None, seed: Seed = 0, samples: Samples = None,
             probe: Annotated[list[str] | None, typer.Option(
                 metavar="POP:v", help="Also record s, u or v of POP; may be repeated.")] = None,
             contract: ContractOption = None, dt: Dt = None,
             backend: Annotated[str | None, typer.Option(
                 metavar="NAME", help="What runs a BUILD; simulator if not stated.")] = None,
             as_json: Json = False) -> None:
    """Run a MODEL in float, or a BUILD in integers."""
    _check_simulate(_is_build(path), contract, dt, backend)
    with reporting(as_json):
        from neurocompile import api, facts, flow
        from neurocompile.report import tables

        model: Any
        _check_writable(output, path, data)
        if _is_build(path):
            model = api.load_build(path)
            dt_s = model.discrete.dt_s
        else:
            model = flow.discretize(api.load(path), _contract(contract, dt, None, None))
            dt_s = model.dt_s
        loaded = _data(data, model.inputs, steps, encode, seed, dt_s, samples)
        in_samples = _is_build(path) and backend != "reference"
        with progress("simulating", loaded.n_samples if in_samples else loaded.n_steps) as tick:
            run = api.simulate(model, loaded, probes=probe or (), backend=backend or "simulator",
                               progress=tick)
        run.save(output)
        known = facts.run_facts(run)
        _emit({"path": str(output), **known}, as_json,
              lambda: tables.show_run(out, str(output), known))


def _check_simulate(is_build: bool, contract: str | None, dt: float | None,
                    backend: str | None) -> None:
    """Options that would have no effect are refused, not ignored."""
    if is_build and (contract is not None or dt is not None):
        raise typer.BadParameter("a BUILD has its own contract: leave out --contract and --dt")
    if not is_build and backend is not None:
        raise typer.BadParameter("--backend is for a BUILD: a MODEL runs as the float reference")


@app.command()
def verify(build: BuildPath, data: Input,
           backends: Annotated[str, typer.Option(
               metavar="A,B", help="What is compared; the first is the reference.")
               ] = "reference,simulator",
           level: Annotated[str | None, typer.Option(
               metavar="LEVEL", help="Of the backend rtl: rtl, netlist (after synthesis) or "
               "bitstream (read back).")] = None,
           bitstream: Annotated[Path | None, typer.Option(
               metavar="FOLDER", help="Of a board, for --level bitstream; else BUILD/bitstream if "
               "it is there, else one is built for the check.")] = None,
           steps: Steps = None, encode: Encode = None, seed: Seed = 0, samples: Samples = None,
           as_json: Json = False) -> None:
    """Compare backends in every state at every step."""
    with reporting(as_json):
        from neurocompile import api
        from neurocompile.facts import to_json
        from neurocompile.report.tables import show_verification

        built = api.load_build(build)
        loaded = _data(data, built.inputs, steps, encode, seed, built.discrete.dt_s, samples)
        names = [name.strip() for name in backends.split(",") if name.strip()]
        with progress("verifying", loaded.n_samples) as tick:
            made = bitstream
            if made is None and level == "bitstream" and (build / "bitstream").is_dir():
                made = build / "bitstream"
            reports = api.verify(built, loaded, backends=names, level=level, bitstream=made,
                                 progress=tick)
        passed = all(report.passed for report in reports)
        if as_json:
            print(to_json({"ok": passed, "reports": [r.to_dict() for r in reports]}))
        else:
            for report in reports:
                show_verification(out, report.to_dict())
        if not passed:
            raise typer.Exit(1)


@app.command()
def evaluate(build: BuildPath,
             data: Annotated[Path, typer.Option(
                 "--data", "-d", metavar="DATA", help="As --input of `simulate`; y are labels.")],
             steps: Steps = None, encode: Encode = None, seed: Seed = 0, samples: Samples = None,
             output: Annotated[str | None, typer.Option(
                 metavar="NODE", help="The output that is decoded, if there are several.")] = None,
             decode: Annotated[str, typer.Option(
                 metavar="HOW", help="Output to label: largest count, last or max.")] = "count",
             explain: Annotated[int, typer.Option(
                 metavar="N", min=0, help="Samples, of those that differ most, to explain.")] = 8,
             backend: Annotated[str, typer.Option(
                 metavar="NAME", help="What runs the integers.")] = "simulator",
             as_json: Json = False) -> None:
    """Accuracy and spikes, float against quantized."""
    with reporting(as_json):
        from neurocompile import api
        from neurocompile.report.tables import show_evaluation

        if decode not in ("count", "last", "max"):
            raise fail("E644", "--decode", "there is no such decoding", got=decode,
                       limit="count, last or max", hint="choose one of them")
        built = api.load_build(build)
        loaded = _data(data, built.inputs, steps, encode, seed, built.discrete.dt_s, samples)
        with progress("evaluating", loaded.n_samples) as tick:
            result = api.evaluate(built, loaded, output=output, decode=decode,
                                  explain_samples=explain, backend=backend, progress=tick)
        known = result.to_dict()
        _emit(known, as_json, lambda: show_evaluation(out, known))


@app.command("profile")
def profile_(build: BuildPath, data: Input,
             timing: Annotated[str | None, typer.Option(
                 metavar="HOW", help="cycle: every flit on the mesh. analytic: counters and "
                 "bounds, faster. rtl: the cycles of an FPGA; for these targets the default.",
                 )] = None,
             steps: Steps = None, encode: Encode = None, seed: Seed = 0, samples: Samples = None,
             output: Annotated[Path | None, typer.Option(
                 "--output", "-o", metavar="PROFILE.npz",
                 help="Also write every step, core and link.")] = None,
             trace: Annotated[Path | None, typer.Option(
                 metavar="TRACE.json", help="Also write a trace that Perfetto opens.")] = None,
             checkpoint: Annotated[Path | None, typer.Option(
                 metavar="FILE.npz", help="Write what a longer run needs to go on.")] = None,
             every: Annotated[int, typer.Option(
                 metavar="STEPS", help="How often the checkpoint is written: steps of all "
                 "samples.")] = 10_000,
             resume: Annotated[Path | None, typer.Option(
                 metavar="FILE.npz", help="Go on where this checkpoint was written.")] = None,
             as_json: Json = False) -> None:
    """Run a BUILD on its chip's cores: cycles and energy."""
    with reporting(as_json):
        from neurocompile import api
        from neurocompile.report.profile import show_cycles, show_profile

        api.check_profile(timing or "cycle", every, output, trace, checkpoint, resume)
        for path in (output, trace, checkpoint):
            if path is not None:
                _check_writable(path, build, data, example="profile.npz")
        built = api.load_build(build)
        loaded = _data(data, built.inputs, steps, encode, seed, built.discrete.dt_s, samples)
        total = loaded.n_samples * (loaded.n_steps + built.latency)
        with progress("profiling", total) as tick:
            known = api.profile(built, loaded, timing=timing, save=output, trace=trace,
                                checkpoint=checkpoint, every=every, resume=resume, progress=tick)
        show = show_cycles if known["timing"] == "rtl" else show_profile
        _emit(known, as_json, lambda: show(out, known))


@app.command("build")
def build_(build: BuildPath,
           output: Annotated[Path | None, typer.Option(
               "--output", "-o", metavar="DIR", help="A new directory; BUILD/bitstream if not "
               "stated.")] = None,
           board: Annotated[str | None, typer.Option(
               metavar="NAME", help="With a UART, on the pins of this board.")] = None,
           clock: Annotated[float, typer.Option(
               metavar="MHZ", help="What place and route aims at.")] = 30.0,
           seed: Annotated[int, typer.Option(metavar="N", help="Of place and route.")] = 1,
           data: Annotated[Path | None, typer.Option(
               "--input", "-i", metavar="DATA", help="Also how long these samples take, and what "
               "each core does with them.")] = None,
           steps: Steps = None, encode: Encode = None,
           encode_seed: Annotated[int, typer.Option(
               metavar="N", help="Seed of the rate encoding.")] = 0,
           samples: Samples = None, as_json: Json = False) -> None:
    """A bitstream of a BUILD for an FPGA; for a Zynq a package."""
    with reporting(as_json):
        from neurocompile import api
        from neurocompile.report.synthesis import show_bitstream
        from neurocompile_backends.rtl.command import build_bitstream_of

        place = output if output is not None else build / "bitstream"
        built = api.load_build(build)
        loaded = None if data is None else _data(
            data, built.inputs, steps, encode, encode_seed, built.discrete.dt_s, samples)
        with err.status("synthesis") as status:
            known = build_bitstream_of(built.mapping, place, board=board, clock_mhz=clock,
                                       seed=seed, data=loaded, report=status.update)
        _emit(known, as_json, lambda: show_bitstream(out, known))


@app.command("patch-weights")
def patch_weights_(build: BuildPath, model: Annotated[Path, typer.Argument(
                       metavar="NEW_MODEL", help="A .nir file: the same network with other "
                       "weights.")],
                   output: Annotated[Path | None, typer.Option(
                       "--output", "-o", metavar="DIR", help="The new build, or BUILD to replace "
                       "it; BUILD-patched if not stated.")] = None,
                   bitstream: Annotated[Path | None, typer.Option(
                       metavar="DIR", help="Where `build -o` wrote the bitstream; BUILD/bitstream "
                       "if not stated.")] = None,
                   as_json: Json = False) -> None:
    """Other weights in a bitstream, without place and route."""
    with reporting(as_json):
        from neurocompile.report.synthesis import show_patched
        from neurocompile_backends.rtl.command import patch_weights

        with err.status("compiling") as status:
            known = patch_weights(build, model, output, bitstream=bitstream, report=status.update)
        _emit(known, as_json, lambda: show_patched(out, known))


@app.command()
def disassemble(build: BuildPath,
                core: Annotated[list[int] | None, typer.Option(
                    metavar="N", help="Only this core; may be repeated.")] = None) -> None:
    """The program in a BUILD of `compile --backend chip`."""
    with reporting(False):
        from neurocompile.report.listing import listing
        from neurocompile_backends.chip.files import read_program

        program = read_program(build / "chip")
        numbers = {image.core: i for i, image in enumerate(program.cores)}
        wrong = [n for n in core or () if n not in numbers]
        if wrong:
            raise fail("E844", f"core {wrong[0]}", "the program has no such core",
                       limit=f"{min(numbers, default=0)} to {max(numbers, default=0)}")
        try:
            for line in listing(program, None if core is None else [numbers[n] for n in core]):
                print(line)
        except ValueError as error:
            raise fail("E842", str(build / "chip"), "holds images that no assembler wrote",
                       got=str(error), hint="compile again") from error


def _has_subcommand(context: typer.Context, as_json: bool) -> bool:
    if context.invoked_subcommand is None:
        return False
    if as_json:  # the subcommand would not see it
        raise typer.BadParameter(f"--json comes after {context.invoked_subcommand}")
    return True


@targets_app.callback()
def _targets(context: typer.Context, as_json: Json = False) -> None:
    if _has_subcommand(context, as_json):
        return
    with reporting(as_json):
        from neurocompile.facts import target_facts
        from neurocompile.report.tables import show_targets
        from neurocompile.targets import available, load_target

        rows = [target_facts(load_target(name)) for name in available()]
        _emit({"targets": rows}, as_json, lambda: show_targets(out, rows))


@targets_app.command("show")
def show_target(target: Annotated[str, typer.Argument(
        metavar="T", help="A chip's name or a .toml file.")],
                as_json: Json = False) -> None:
    """Every number of a target with its source."""
    with reporting(as_json):
        from neurocompile.facts import target_facts
        from neurocompile.report import tables
        from neurocompile.targets import load_target

        known = target_facts(load_target(target))
        _emit(known, as_json, lambda: tables.show_target(out, known))


@contract_app.callback()
def _contracts(context: typer.Context, as_json: Json = False) -> None:
    if _has_subcommand(context, as_json):
        return
    from neurocompile.facts import contract_facts
    from neurocompile.presets import PRESETS
    from neurocompile.report.tables import show_presets

    known = {name: {**contract_facts(p.contract), "note": p.note} for name, p in PRESETS.items()}
    _emit({"presets": known}, as_json, lambda: show_presets(out, known))


@contract_app.command("show")
def show_contract(contract: Annotated[str, typer.Argument(
        metavar="PRESET|FILE", help="A preset's name or a .toml file.")],
                  as_json: Json = False) -> None:
    """A contract as a TOML file to start from."""
    with reporting(as_json):
        from neurocompile.contract import contract_to_toml, load_contract
        from neurocompile.facts import contract_facts

        loaded = load_contract(contract)
        _emit(contract_facts(loaded), as_json,
              lambda: print(contract_to_toml(loaded), end=""))


def _ended(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    """Entry point of the ``neurocompile`` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # names may hold what the locale cannot print
            stream.reconfigure(errors="backslashreplace")
    for name in ("SIGTERM", "SIGHUP"):  # so that what is under way is ended and cleaned up
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores it
            signal.signal(number, _ended)
    try:
        app()
    except BrokenPipeError:  # the reader of a pipe went away
        sys.stderr.close()
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
