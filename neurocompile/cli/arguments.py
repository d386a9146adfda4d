"""Values of options: what they mean, and what is wrong with them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from neurocompile.cli.console import err
from neurocompile.diagnostics import Diagnostics, fail

if TYPE_CHECKING:
    from neurocompile.data import Dataset
    from neurocompile.ir.constraints import Constraints
    from neurocompile.ir.contract import Contract
    from neurocompile.ir.network import Port
    from neurocompile.ir.target import TargetSpec


WIDEST_LANES = "auto"


def contract_of(name: str | None, dt_s: float | None, mode: str | None,
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


def constraints_of(path: Path | None) -> Constraints:
    from neurocompile.constraints import load_constraints
    from neurocompile.ir.constraints import Constraints

    return Constraints() if path is None else load_constraints(path)


def lanes_of(text: str | None) -> tuple[int, ...]:
    if text is None or text == WIDEST_LANES:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if all(part.isdecimal() and 1 <= int(part) <= 256 for part in parts):
        return tuple(int(part) for part in parts)
    raise fail("E881", "--lanes", "not numbers of lanes", got=text, limit="1 to 256, by core",
               hint="for example --lanes 8 or --lanes 8,4; or --lanes auto")


def thresholds_of(texts: list[str] | None) -> dict[str, int]:
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


def patchable_target(target: TargetSpec) -> TargetSpec:
    """The target with hardware for any weights. Raises ``CompileError`` (E894)."""
    if target.fpga is None:
        raise fail("E894", "--patchable", "this target is no FPGA", got=target.name,
                   hint="leave it out, or compile for a target with a table [fpga]")
    return replace(target, fpga=replace(target.fpga, patchable=True))


def shape_of(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = text.split(",")
    if all(part.strip().isdecimal() and len(part) < 10 for part in parts):
        return tuple(int(part) for part in parts)
    raise fail("E208", "--input-shape", "is not a shape of inputs", got=text,
               limit="C,H,W or N, each at least 1", hint="for example --input-shape 2,34,34")


def is_build(path: Path) -> bool:
    return path.is_dir()


def check_writable(path: Path, *sources: Path, example: str = "run.npz") -> None:
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


def data_of(path: Path, inputs: tuple[Port, ...], steps: int | None, encode: str | None,
            seed: int, dt_s: float | None, samples: int | None) -> Dataset:
    from neurocompile.data import load_data
    from neurocompile.report.tables import show_diagnostics

    if samples is not None and samples < 1:
        raise fail("E639", "--samples", "not a number of samples", got=samples, limit="at least 1",
                   hint="leave it out to use all")
    data = load_data(path, inputs=inputs, steps=steps, encode=encode, dt_s=dt_s, seed=seed)
    show_diagnostics(err, data.diagnostics)
    return data if samples is None else data.samples(0, samples)
