"""The command line of a program."""

from __future__ import annotations

import argparse
import sys
import zipfile
from pathlib import Path

import numpy as np

from .data import DataError, encode
from .running import run, run_on_chip

HERE = Path(__file__).resolve().parent.parent


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
    probes = {(o.population, program.POPULATIONS[o.population][0])
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
        values = recorded[o.population, program.POPULATIONS[o.population][0]]
        result[name] = values.reshape(*values.shape[:2], *o.shape)
        result[f"{name}:latency"] = np.array(o.latency)
    for (name, kind), values in recorded.items():
        if arguments.probe and (f"{name}:{kind}" in arguments.probe or "all" in arguments.probe):
            result[f"{name}:{kind}"] = values
            result[f"{name}:{kind}:latency"] = np.array(program.POPULATIONS[name][1])
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
