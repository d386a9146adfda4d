"""Recordings of real Lava runs: where they are kept, how they are read, how they are made again.

An archive is an .npz as ``neurocompile.npz`` writes it, the same bytes for the same arrays, in an
.xz file. Reading one needs no Lava.
"""

from __future__ import annotations

import io
import lzma
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile.npz import write_npz
from neurocompile_backends.lava.environment import interpreter

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

TESTS = Path(__file__).parent
ARCHIVE = TESTS / "golden" / "lava"
PRIMITIVES = ARCHIVE / "primitives.npz.xz"
SCRIPTS = TESTS / "lava_scripts"
BUNDLE = TESTS.parent / "backends" / "neurocompile_backends" / "lava" / "bundle"
LONGEST_S = 600
"""A recording of everything takes less than a minute on two cores."""


def packed(arrays: Arrays) -> bytes:
    """The same bytes for the same arrays, before compression."""
    file = io.BytesIO()
    write_npz(file, arrays)
    return file.getvalue()


def write(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(packed(arrays), preset=9 | lzma.PRESET_EXTREME))


def read_bytes(path: Path) -> bytes:
    """What :func:`packed` gave. Compressors differ between versions, this does not."""
    return lzma.decompress(path.read_bytes())


def read(path: Path) -> Arrays:
    with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as file:
        return dict(file)


@cache
def primitives() -> dict[str, Arrays]:
    """The archived experiments on Lava's processes: {experiment: {array: values}}."""
    found: dict[str, Arrays] = {}
    for key, values in read(PRIMITIVES).items():
        experiment, _, name = key.partition("/")
        found.setdefault(experiment, {})[name] = values
    return found


def record_primitives() -> Arrays:
    """The same experiments in Lava now. Raises ``CompileError``: E820 (no interpreter)."""
    with tempfile.TemporaryDirectory(prefix="lava-primitives-") as name:
        out = Path(name) / "out.npz"
        script = SCRIPTS / "primitives" / "record.py"
        with started([str(script), str(out), str(BUNDLE)], Path(name)) as process:
            said, _ = process.communicate(timeout=LONGEST_S)
        if process.returncode:
            raise RuntimeError(f"record.py failed: {said[-2000:]}")
        with np.load(out, allow_pickle=False) as file:
            return dict(file)


@contextmanager
def started(arguments: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Lava's interpreter in a process group of its own, all of which has ended afterwards.

    Lava leaves its processes behind when it hangs, and when it is ended.
    """
    environment = {**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1",
                   "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("PYTHONPATH", "PYTHONHOME"):
        environment.pop(name, None)
    process = subprocess.Popen([str(interpreter()), *arguments], cwd=folder, env=environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
