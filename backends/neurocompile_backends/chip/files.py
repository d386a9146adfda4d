"""A program as files, and back: what ``compile --backend chip`` writes.

    program.json    everything but the images: target, layouts of the records, symbols, places
    images.npz      for each table of the cores, the images of all cores one after the other
                    (uint8), and where each begins (TABLE:first, int64); HOST:... for the inputs
    README.md       how to read them
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurocompile.bundles import MANIFEST, changes
from neurocompile.diagnostics import CompileError, fail
from neurocompile.ir.base import Array, from_text, to_text
from neurocompile.ir.conform import misfit
from neurocompile.ir.program import TABLES, CoreImage, HostTable, Program
from neurocompile.npz import NpzError, NpzReader, write_npz

DOCUMENT, IMAGES = "program.json", "images.npz"
MAX_DOCUMENT_BYTES = 256 << 20
MAX_IMAGE_BYTES = 16 << 30
_IMAGES = (*TABLES, "synapses")

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
    images = io.BytesIO()
    write_npz(images, arrays)
    none = np.zeros(0, np.uint8)
    bare = replace(program, cores=tuple(
        CoreImage(core.core, *(none for _ in _IMAGES)) for core in program.cores), host=tuple(
            HostTable(t.population, t.parallel, np.zeros(0, np.int64), none)
            for t in program.host))
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
            arrays = reader.read(reader.names, MAX_IMAGE_BYTES)
        return replace(program, cores=_cores(program, arrays), host=_host(program, arrays))
    except NpzError as error:
        raise fail("E842", f"{folder}: {IMAGES}", error.message, got=error.got) from error
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, OSError) as error:
        if isinstance(error, CompileError):
            raise
        raise fail("E842", str(folder), "does not describe a program",
                   got=str(error)[:100] or type(error).__name__) from error


def _bare(folder: Path) -> Program:
    path = folder / DOCUMENT
    if path.stat().st_size > MAX_DOCUMENT_BYTES:
        raise ValueError(f"{DOCUMENT} is larger than {MAX_DOCUMENT_BYTES} bytes")
    program = from_text(path.read_text("utf-8"))
    wrong = misfit(program, Program, "program")
    if wrong:
        raise ValueError(wrong)
    assert isinstance(program, Program)
    if {layout.table for layout in program.layouts} != set(TABLES):
        raise ValueError("not every table has a layout")
    n = len(program.cores)
    if any(column.shape != (n,) for column in (program.chip, program.x, program.y)):
        raise ValueError("not every core has a place")
    return program


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
