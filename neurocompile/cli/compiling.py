"""Commands from a network to a build."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from neurocompile.cli.arguments import (
    WIDEST_LANES,
    check_writable,
    constraints_of,
    contract_of,
    data_of,
    is_build,
    lanes_of,
    patchable_target,
    shape_of,
    thresholds_of,
)
from neurocompile.cli.console import emit, err, out, reporting
from neurocompile.cli.options import (
    AcceptBounds,
    ContractOption,
    Dt,
    Emit,
    Encode,
    InputMax,
    InputMode,
    Json,
    MappingFile,
    MaxSteps,
    Model,
    ModelOrBuild,
    Seed,
    Steps,
    Target,
    Threshold,
    WeightBits,
)
from neurocompile.diagnostics import CompileError, fail


def convert(
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
            check_writable(path, source, example="model.nir")
        made = convert(source, compare=compare, dt_s=dt,  # type: ignore[arg-type]
                       input_shape=shape_of(input_shape), average=average)
        beside = made.save(output)
        known = {
            "path": str(output), "contract": str(beside),
            "layers": [{"name": n, "type": t, "shape": list(s)} for n, t, s in made.layers],
            "diagnostics": [d.to_dict() for d in made.diagnostics]}
        emit(known, as_json, lambda: tables.show_conversion(out, known))
        if not as_json:
            tables.show_diagnostics(err, made.diagnostics)


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
        agreed = contract_of(contract, dt, input_mode, input_max)
        network, notes = load_with_notes(model)
        options = flow.Options(weight_bits, thresholds=thresholds_of(threshold),
                               max_steps=max_steps, accept_bounds=accept_bounds,
                               constraints=constraints_of(mapping))
        found = (*notes, *flow.check(network, agreed, spec, options, backends))
        if any(d.is_error for d in found):
            raise CompileError(found)
        emit({"diagnostics": [d.to_dict() for d in found]}, as_json,
             lambda: show_diagnostics(out, found))
        if not as_json:
            out.print(plain(f"{model.name} fits {spec.name}"), soft_wrap=True)


def inspect(path: ModelOrBuild, as_json: Json = False) -> None:
    """What a network file or a build directory holds."""
    with reporting(as_json):
        from neurocompile import facts
        from neurocompile.api import load_build, load_with_notes
        from neurocompile.report import tables

        if is_build(path):
            built = facts.build_facts(load_build(path))
            emit(built, as_json, lambda: tables.show_build(out, built))
            return
        network, notes = load_with_notes(path)
        known = {**facts.network_facts(network), "diagnostics": [d.to_dict() for d in notes]}
        emit(known, as_json, lambda: tables.show_network(out, known))
        if not as_json:
            tables.show_diagnostics(err, notes)


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
                 "auto: as many as shorten a step and fit. The compiler chooses where not "
                 "stated.")] = None,
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
        from neurocompile_backends.rtl.backend import backend as rtl
        from neurocompile_backends.rtl.command import resources_of, with_widest_lanes

        if decay_rounding not in ("nearest", "floor"):
            raise fail("E207", "--decay-rounding", "there is no such rounding",
                       got=decay_rounding, limit="nearest or floor")
        emitters = [load_emitter(name) for name in dict.fromkeys(backend or ())]
        spec = load_target(target)
        if lanes is not None and spec.fpga is None and "rtl" not in (backend or ()):
            raise fail("E881", "--lanes", "this target has no lanes to choose", got=spec.name,
                       hint="leave it out, or compile for an FPGA")
        if patchable:
            spec = patchable_target(spec)
        agreed = contract_of(contract, dt, input_mode, input_max)
        network, notes = api.load_with_notes(model)
        data = None if calibrate is None else data_of(
            calibrate, network.inputs, steps, encode, seed, agreed.dt_s, None)
        options = flow.Options(weight_bits, Rounding(decay_rounding), thresholds_of(threshold),
                               max_steps, accept_bounds, neurons_per_core,
                               replace(constraints_of(mapping), lanes=lanes_of(lanes)))
        build = api.compile(network, spec, contract=agreed, calibrate=data, options=options)
        if lanes == WIDEST_LANES:
            build = with_widest_lanes(build)
        elif lanes is not None:
            rtl.plan(build.mapping)  # which says what the hardware cannot have
        said = [d for emitter in emitters for d in emitter.check(build.mapping)]
        build = replace(build, diagnostics=(*notes, *build.diagnostics, *said))
        bundles = [emitter.emit(build.mapping) for emitter in emitters]
        build.save(output, bundles)
        known = facts.build_facts(build)
        taken = resources_of(build.mapping)
        written = {b.backend: {"path": str(output / b.backend), "files": sorted(b.files)}
                   for b in bundles}
        emit({**known, "path": str(output), "bundles": written, "resources": taken}, as_json,
             lambda: tables.show_build(out, known))
        if not as_json and taken is not None:
            show_resources(out, taken)
        if not as_json:
            for b in written.values():
                out.print(tables.plain(f"{b['path']}: {', '.join(b['files'])}"), soft_wrap=True)
        if not as_json:
            tables.show_diagnostics(err, build.diagnostics)
