"""The command line of a program."""

from __future__ import annotations

import argparse
import os
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np

from .data import DataError, encode
from .running import run, run_on_chip
from .supervisor import supervised

HERE = Path(__file__).resolve().parent.parent


def main(program):
    """The command line of program.py; returns its exit status."""
    arguments = _arguments(program)
    if arguments.encoded:  # neurocompile drives it, and ends it if need be
        return _work(program, arguments)
    return supervised(lambda: _work(program, arguments))


def _work(program, arguments):
    tell = (lambda text: print(text, file=sys.stderr, flush=True)) if arguments.progress else None
    try:
        _check_place(arguments.output)
        with np.load(HERE / "network.npz", allow_pickle=False) as file:
            arrays = dict(file)
        given = _given(program, arrays, arguments)
        probes = _probes(program, arguments.probe)
        if arguments.hardware:
            _check_chip(program, arguments)
            recorded = run_on_chip(program, arrays, *given, tell)
        else:
            recorded = run(program, arrays, *given, probes, tell)
        _write(arguments.output, _result(program, arrays, recorded, arguments))
    except (DataError, OSError, MemoryError) as error:
        what = "not enough memory" if isinstance(error, MemoryError) else error
        print(f"{Path(sys.argv[0]).name}: {what}", file=sys.stderr)
        return 2
    return 0


def _check_place(path):
    """Before a long run, not after it."""
    if path.exists() and not path.is_file():  # a rename would put a file in a device's place
        raise DataError(f"{path} is not a regular file")
    if not path.parent.is_dir():
        raise DataError(f"{path.parent} is not a folder")
    if not os.access(path.parent, os.W_OK):
        raise DataError(f"{path.parent} cannot be written")


def _check_chip(program, arguments):
    silent = [o.population for o in program.OUTPUTS.values()
              if program.POPULATIONS[o.population][0] != "s"]
    if silent:
        raise DataError("--hardware: a chip gives the spikes of the outputs, and "
                        f"{', '.join(silent)} do not spike")
    if arguments.probe:
        raise DataError("--probe: a chip gives the spikes of the outputs only")


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
    """Payloads, biases, samples and steps from the input file."""
    values = _read(arguments.input)
    n = arguments.samples
    if arguments.encoded:
        payloads = {name: values[f"payload:{name}"] for name in program.INPUTS}
        biases = {name: values[f"bias:{name}"]
                  for name in sorted({d.population for d in program.DRIVES})}
        return payloads, biases, int(values["samples"]), int(values["steps"])
    payloads, biases, samples, steps = encode(program, arrays, values, arguments.steps)
    return ({name: p[:n] for name, p in payloads.items()},
            {name: b[:n] for name, b in biases.items()}, min(samples, n or samples), steps)


def _read(path):
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise DataError(f"{path} is no .npz archive")
        with file:
            values = dict(file)
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    broken = [name for name, value in values.items() if not isinstance(value, np.ndarray)]
    if broken:
        raise DataError(f"{path}: {', '.join(map(repr, sorted(broken)))} is no array")
    return values


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
    return sorted(probes)


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
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, values in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(values), allow_pickle=False)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
