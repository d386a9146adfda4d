"""Commands that go on from a build to hardware."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from neurocompile.cli.arguments import data_of
from neurocompile.cli.console import emit, err, out, reporting
from neurocompile.cli.options import BuildPath, Encode, Json, Samples, Steps
from neurocompile.diagnostics import Diagnostic, fail


def build(build: BuildPath,
          output: Annotated[Path | None, typer.Option(
              "--output", "-o", metavar="DIR", help="A new directory; BUILD/bitstream if not "
              "stated.")] = None,
          board: Annotated[str | None, typer.Option(
              metavar="NAME", help="With a UART, on the pins of this board: colorlight-i5, "
              "ice40-hx8k-b-evn, icebreaker, tangnano9k or ulx3s-85f.")] = None,
          clock: Annotated[float, typer.Option(
              metavar="MHZ", help="What place and route aims at; at least the board's clock.",
              )] = 30.0,
          seed: Annotated[int, typer.Option(
              metavar="N", help="Of place and route; another may reach another clock.")] = 1,
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
        loaded = None if data is None else data_of(
            data, built.inputs, steps, encode, encode_seed, built.discrete.dt_s, samples)
        with err.status("synthesis") as status:
            known = build_bitstream_of(built.mapping, place, board=board, clock_mhz=clock,
                                       seed=seed, data=loaded, report=status.update)
        _emit_built(known, as_json, lambda: show_bitstream(out, known))


def _emit_built(known: dict[str, Any], as_json: bool, show: Callable[[], None]) -> None:
    """Facts of what was written, and what is wrong with it all the same."""
    from neurocompile.report.tables import show_diagnostics

    found = [Diagnostic(**d) for d in known["diagnostics"]]
    failed = any(d.is_error for d in found)
    emit(known, as_json, show, ok=not failed)
    if not as_json:
        show_diagnostics(err, found)
    if failed:
        raise typer.Exit(1)


def patch_weights(build: BuildPath, model: Annotated[Path, typer.Argument(
                      metavar="NEW_MODEL", help="A .nir file: the same network with other "
                      "weights. Contract and options are the BUILD's.")],
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
        _emit_built(known, as_json, lambda: show_patched(out, known))


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
