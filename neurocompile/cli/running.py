"""Commands that run a network or a build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neurocompile.cli.arguments import check_writable, contract_of, data_of, is_build
from neurocompile.cli.console import emit, out, progress, reporting
from neurocompile.cli.options import (
    BuildPath,
    ContractOption,
    Dt,
    Encode,
    Input,
    Json,
    ModelOrBuild,
    Samples,
    Seed,
    SerialPort,
    Steps,
    Target,
)
from neurocompile.diagnostics import fail


def demo(target: Target = "loihi1", as_json: Json = False) -> None:
    """Compile, verify and evaluate an embedded network."""
    with reporting(as_json):
        from neurocompile.demo.run import run_demo

        if not run_demo(target, as_json, out, progress):
            raise typer.Exit(1)


def simulate(path: ModelOrBuild, data: Input,
             output: Annotated[Path, typer.Option(
                 "--output", "-o", metavar="RUN.npz", help="The file to write.")],
             steps: Steps = None, encode: Encode = None, seed: Seed = 0, samples: Samples = None,
             probe: Annotated[list[str] | None, typer.Option(
                 metavar="POP:v", help="Also record s, u or v of POP; may be repeated.")] = None,
             contract: ContractOption = None, dt: Dt = None,
             backend: Annotated[str | None, typer.Option(
                 metavar="NAME", help="What runs a BUILD; simulator if not stated.")] = None,
             port: SerialPort = None, as_json: Json = False) -> None:
    """Run a MODEL in float, or a BUILD in integers."""
    _check_simulate(is_build(path), contract, dt, port if backend is None else backend)
    with reporting(as_json):
        from neurocompile import api, facts, flow
        from neurocompile.report import tables

        model: Any
        check_writable(output, path, data)
        if is_build(path):
            model = api.load_build(path)
            dt_s = model.discrete.dt_s
        else:
            model = flow.discretize(api.load(path), contract_of(contract, dt, None, None))
            dt_s = model.dt_s
        loaded = data_of(data, model.inputs, steps, encode, seed, dt_s, samples)
        in_samples = is_build(path) and backend != "reference"
        with progress("simulating", loaded.n_samples if in_samples else loaded.n_steps) as tick:
            run = api.simulate(model, loaded, probes=probe or (), port=port,
                               backend=backend or ("simulator" if port is None else "rtl"),
                               progress=tick)
        run.save(output)
        known = facts.run_facts(run)
        emit({"path": str(output), **known}, as_json,
             lambda: tables.show_run(out, str(output), known))


def _check_simulate(is_build: bool, contract: str | None, dt: float | None,
                    backend: str | None) -> None:
    """Options that would have no effect are refused, not ignored."""
    if is_build and (contract is not None or dt is not None):
        raise typer.BadParameter("a BUILD has its own contract: leave out --contract and --dt")
    if not is_build and backend is not None:
        raise typer.BadParameter(
            "--backend and --port are for a BUILD: a MODEL runs as the float reference")


def verify(build: BuildPath, data: Input,
           backends: Annotated[str, typer.Option(
               metavar="A,B", help="What is compared, of reference, simulator, chip, lava and rtl; "
               "the first is the reference.")
               ] = "reference,simulator",
           level: Annotated[str | None, typer.Option(
               metavar="LEVEL", help="Of the backend rtl: rtl (if not stated), netlist (after "
               "synthesis), bitstream (read back) or board.")] = None,
           bitstream: Annotated[Path | None, typer.Option(
               metavar="FOLDER", help="Of a board, for --level bitstream; else BUILD/bitstream if "
               "it is there, else one is built for the check.")] = None,
           port: SerialPort = None,
           steps: Steps = None, encode: Encode = None, seed: Seed = 0, samples: Samples = None,
           as_json: Json = False) -> None:
    """Compare backends in every state at every step."""
    with reporting(as_json):
        from neurocompile import api
        from neurocompile.facts import to_json
        from neurocompile.report.tables import show_verification

        built = api.load_build(build)
        loaded = data_of(data, built.inputs, steps, encode, seed, built.discrete.dt_s, samples)
        names = [name.strip() for name in backends.split(",") if name.strip()]
        with progress("verifying", loaded.n_samples) as tick:
            made = bitstream
            if made is None and level == "bitstream" and (build / "bitstream").is_dir():
                made = build / "bitstream"
            reports = api.verify(built, loaded, backends=names, level=level, bitstream=made,
                                 port=port, progress=tick)
        passed = all(report.passed for report in reports)
        if as_json:
            print(to_json({"ok": passed, "reports": [r.to_dict() for r in reports]}))
        else:
            for report in reports:
                show_verification(out, report.to_dict())
        if not passed:
            raise typer.Exit(1)


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
        loaded = data_of(data, built.inputs, steps, encode, seed, built.discrete.dt_s, samples)
        with progress("evaluating", loaded.n_samples) as tick:
            result = api.evaluate(built, loaded, output=output, decode=decode,
                                  explain_samples=explain, backend=backend, progress=tick)
        known = result.to_dict()
        emit(known, as_json, lambda: show_evaluation(out, known))


def profile(build: BuildPath, data: Input,
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
    """Run a BUILD on its cores: cycles, and energy of a chip."""
    with reporting(as_json):
        from neurocompile import api
        from neurocompile.report.profile import show_cycles, show_profile

        api.check_profile(timing or "cycle", every, output, trace, checkpoint, resume)
        for path in (output, trace, checkpoint):
            if path is not None:
                check_writable(path, build, data, example="profile.npz")
        built = api.load_build(build)
        loaded = data_of(data, built.inputs, steps, encode, seed, built.discrete.dt_s, samples)
        total = loaded.n_samples * (loaded.n_steps + built.latency)
        with progress("profiling", total) as tick:
            known = api.profile(built, loaded, timing=timing, save=output, trace=trace,
                                checkpoint=checkpoint, every=every, resume=resume, progress=tick)
        show = show_cycles if known["timing"] == "rtl" else show_profile
        emit(known, as_json, lambda: show(out, known))
