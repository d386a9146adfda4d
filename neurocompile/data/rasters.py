"""Writing what a run gave: rasters as ``.npz`` and as NIRData."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from neurocompile.data.problems import from_npz_error, reason
from neurocompile.diagnostics import fail
from neurocompile.ir.base import Array, n_elements
from neurocompile.ir.raster import Raster
from neurocompile.npz import NpzError, NpzReader, write_npz

_COLUMNS = ("step", "population", "neuron", "payload")


def write_nir_data(path: str | Path, outputs: Mapping[str, Array], *, dt_s: float,
                   observable: str = "spikes") -> None:
    """Write rasters [sample, step, *shape] as NIRData, one node an output (nir 1.0.8's format).

    Arrays of zeros and ones are stored as bool, others as they are. ``dt_s``: seconds a step.
    The file appears whole or not at all. Raises E624 for a name HDF5 cannot hold, E625 where
    the file cannot be written.
    """
    import nir

    for name in (*outputs, observable):
        if not name or "/" in name or "\0" in name or name in (".", ".."):
            raise fail("E624", ascii(name), "is not a name NIRData can hold",
                       limit="no slash, no NUL, not . or ..")
    nodes = {}
    for name, values in outputs.items():
        flat = values.reshape(*values.shape[:2], n_elements(values.shape[2:]))
        if flat.dtype.kind != "b" and bool(((flat == 0) | (flat == 1)).all()):
            flat = flat.astype(bool)
        nodes[name] = nir.NIRNodeData({observable: nir.TimeGriddedData(flat, dt_s)})
    data = nir.NIRGraphData(nodes)
    write_whole(Path(path), lambda part: nir.write_data(str(part), data))


def write_raster(path: str | Path, raster: Raster) -> None:
    """Write a raster as ``.npz``: its four columns, ``n_steps``, ``dt`` and the size of each
    population under ``n_INDEX_NAME``. Equal rasters give equal bytes. Raises E625."""
    arrays: dict[str, Array] = {name: getattr(raster, name) for name in _COLUMNS}
    arrays["n_steps"], arrays["dt"] = np.array(raster.n_steps), np.array(raster.dt_s)
    for index, (name, size) in enumerate(zip(raster.populations, raster.sizes, strict=True)):
        arrays[f"n_{index:06d}_{name}"] = np.array(size)

    write_arrays(path, arrays)


def write_arrays(path: str | Path, arrays: Mapping[str, Array]) -> None:
    """Write an ``.npz``, whole or not at all. Equal arrays give equal bytes. Raises E625."""
    def write(part: Path) -> None:
        with part.open("wb") as file:
            write_npz(file, arrays)

    write_whole(Path(path), write)


def read_raster(path: str | Path, *, limit_bytes: int = 8 << 30) -> Raster:
    """Read what :func:`write_raster` wrote. Raises E601 to E605 or E626 for anything else."""
    subject = str(path)
    try:
        with Path(path).open("rb") as file, NpzReader(file) as reader:
            arrays = reader.read(reader.names, limit_bytes)
    except NpzError as error:
        raise from_npz_error(error, subject) from error
    except (OSError, ValueError) as error:
        raise fail("E601", subject, "cannot be read", got=reason(error)) from error
    sizes = {key[9:]: int(value) for key, value in sorted(arrays.items())
             if key.startswith("n_") and key != "n_steps" and value.size == 1}
    try:
        columns = [arrays[name] for name in _COLUMNS]
        return Raster(tuple(sizes), tuple(sizes.values()), columns[0], columns[1], columns[2],
                      columns[3], int(arrays["n_steps"]), float(arrays["dt"]))
    except (KeyError, ValueError, TypeError) as error:
        raise fail("E626", subject, "is not a raster", got=reason(error)) from error


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside ``path`` and rename, so that an old file stays whole until then."""
    if path.exists() and not path.is_file():  # a rename would put a file in a device's place
        raise fail("E625", str(path), "cannot be written", got="not a regular file",
                   hint="name a file, for example run.npz")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        part.replace(path)
    except OSError as error:
        raise fail("E625", str(path), "cannot be written", got=reason(error)) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
