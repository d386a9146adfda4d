"""Options and arguments that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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

SerialPort = Annotated[str | None, typer.Option(
    "--port", metavar="PORT", help="Of the backend rtl: a board at this serial port, with the "
    "bitstream of BUILD on it.")]

MappingFile = Annotated[Path | None, typer.Option(
    "--mapping", metavar="FILE", help="Where populations and cores are to be: a .toml file.")]

Emit = Annotated[list[str] | None, typer.Option(
    "--backend", "-b", metavar="NAME",
    help="Also what NAME writes to deploy the network: chip (memory images), lava (a program) or "
    "rtl (Verilog); may be repeated.")]
