"""A program as files, and back: what ``compile --backend chip`` writes.

    program.json    everything but arrays: target, layouts of the records, symbols, geometries
    images.npz      for each table of the cores, the images of all cores one after the other
                    (uint8), and where each begins (TABLE:first, int64); chip, x, y of each core;
                    hostI and hostI:first, the axons of input I
    README.md       how to read them
"""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neurocompile.bundles import MANIFEST, changes
from neurocompile.diagnostics import CompileError, fail
from neurocompile.ir.base import Array, from_text, to_text
from neurocompile.ir.conform import misfit
from neurocompile.ir.program import TABLES, CoreImage, HostTable, Program
from neurocompile.npz import NpzError, NpzReader, write_npz

DOCUMENT, IMAGES = "program.json", "images.npz"
MAX_DOCUMENT_BYTES = 256 << 20
_IMAGES = (*TABLES, "synapses")
_PLACES = ("chip", "x", "y")

README = """\
# A program for {target}

`neurocompile compile --backend chip` wrote this: the memory images of {cores} cores, bit for bit,
and the tables to read them by. docs/program.md of neurocompile describes every record.

    neurocompile disassemble BUILD             the program as text
    neurocompile disassemble BUILD --core 0    one core of it
    neurocompile profile BUILD -i DATA         run it: cycles, energy, and where they go
"""


def to_files(program: Program) -> dict[str, bytes]:
    """The files of a program; the same bytes for the same program."""
    arrays: dict[str, Array] = {}
    for table in _IMAGES:
        parts = [np.asarray(getattr(core, table), np.uint8) for core in program.cores]
        arrays[table] = np.concatenate([np.zeros(0, np.uint8), *parts])
        arrays[f"{table}:first"] = np.cumsum([0, *(part.size for part in parts)])
    for i, given in enumerate(program.host):
        arrays[f"host{i}"], arrays[f"host{i}:first"] = given.outputs, given.first
    arrays |= {place: np.asarray(getattr(program, place), np.int64) for place in _PLACES}
    images = io.BytesIO()
    write_npz(images, arrays)
    none, nowhere = np.zeros(0, np.uint8), np.zeros(0, np.int64)
    bare = replace(
        program, chip=nowhere, x=nowhere, y=nowhere,
        cores=tuple(CoreImage(core.core, *(none for _ in _IMAGES)) for core in program.cores),
        host=tuple(HostTable(t.population, t.parallel, nowhere, none) for t in program.host))
    readme = README.format(target=program.target.name, cores=len(program.cores))
    return {DOCUMENT: to_text(bare).encode(), IMAGES: images.getvalue(),
            "README.md": readme.encode()}


def read_program(folder: Path) -> Program:
    """The program in the folder of a bundle. Raises ``CompileError``: E840 (there is none), E841
    (its files were changed), E842 (they hold no program)."""
    if not (folder / MANIFEST).is_file():
        raise fail("E840", str(folder), "holds no program",
                   hint="compile with --backend chip, and name the build directory")
    changed = changes(folder)
    if changed:
        raise fail("E841", str(folder), "was changed after it was written",
                   got=", ".join(ascii(name) for name in changed[:5]), hint="compile again")
    try:
        program = _bare(folder)
        with NpzReader(folder / IMAGES) as reader:
            # Nothing was compressed: what is larger than its file is not ours.
            arrays = reader.read(reader.names, (folder / IMAGES).stat().st_size)
        chip, x, y = _places(program, arrays)
        return replace(program, chip=chip, x=x, y=y, cores=_cores(program, arrays),
                       host=_host(program, arrays))
    except NpzError as error:
        raise fail("E842", f"{folder}: {IMAGES}", error.message, got=error.got) from error
    except KeyError as error:
        raise fail("E842", str(folder), "does not describe a program",
                   got=f"nothing is named {error}") from error
    except (ValueError, TypeError, AttributeError, RecursionError, OSError) as error:
        if isinstance(error, CompileError):
            raise
        raise fail("E842", str(folder), "does not describe a program",
                   got=str(error)[:100] or type(error).__name__) from error


def _bare(folder: Path) -> Program:
    path = folder / DOCUMENT
    if path.stat().st_size > MAX_DOCUMENT_BYTES:
        raise ValueError(f"{DOCUMENT} is larger than {MAX_DOCUMENT_BYTES} bytes")
    text = path.read_text("utf-8")
    _check_arrays(json.loads(text))
    program = from_text(text)
    wrong = misfit(program, Program, "program")
    if wrong:
        raise ValueError(wrong)
    assert isinstance(program, Program)
    return program


def _check_arrays(document: Any) -> None:
    """Arrays of a document are made before they are looked at, so here there must be none."""
    if isinstance(document, dict) and "array" in document and document.get("values") != []:
        raise ValueError(f"{DOCUMENT} holds an array")
    parts = document.values() if isinstance(document, dict) else document
    for part in parts:
        if isinstance(part, (dict, list)):
            _check_arrays(part)


def _places(program: Program, arrays: dict[str, Array]) -> list[Array]:
    places = [arrays[place] for place in _PLACES]
    if any(column.shape != (len(program.cores),) or column.dtype != np.int64
           for column in places):
        raise ValueError("not every core has a place")
    return places


def _cores(program: Program, arrays: dict[str, Array]) -> tuple[CoreImage, ...]:
    n = len(program.cores)
    split = {table: _split(arrays[table], arrays[f"{table}:first"], n) for table in _IMAGES}
    return tuple(CoreImage(core.core, *(split[table][i] for table in _IMAGES))
                 for i, core in enumerate(program.cores))


def _split(image: Array, first: Array, n: int) -> list[Array]:
    if image.dtype != np.uint8 or image.ndim != 1 or first.dtype != np.int64 or (
            first.shape != (n + 1,) or first[0] != 0 or first[-1] != image.size
            or np.any(np.diff(first) < 0)):
        raise ValueError("images do not begin where they should")
    return [image[a:b] for a, b in zip(first[:-1].tolist(), first[1:].tolist(), strict=True)]


def _host(program: Program, arrays: dict[str, Array]) -> tuple[HostTable, ...]:
    sizes = dict(zip(program.symbols.populations, program.symbols.sizes, strict=True))
    tables = []
    for i, table in enumerate(program.host):
        first, outputs = arrays[f"host{i}:first"], arrays[f"host{i}"]
        n = sizes[table.population]
        if first.dtype != np.int64 or first.shape != (n + 1,) or first[0] != 0 or (
                np.any(np.diff(first) < 0) or outputs.dtype != np.uint8 or outputs.ndim != 1):
            raise ValueError("axons of an input do not begin where they should")
        tables.append(HostTable(table.population, table.parallel, first, outputs))
    return tuple(tables)
