"""Runs an emitted program in a process of its own, which is ended if it hangs.

Lava waits for ever after some mistakes, and a process model that dies leaves the others waiting.
The program therefore says how far it is, and one that says nothing for too long is stopped with
everything it started.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from neurocompile.backend import Bundle
from neurocompile.diagnostics import fail
from neurocompile.ir.base import Array
from neurocompile.npz import NpzError, NpzReader, write_npz
from neurocompile.reference.encode import EncodedInput

TIMEOUT = "NEUROCOMPILE_LAVA_TIMEOUT"
DEFAULT_SECONDS = 120.0
_GRACE_SECONDS = 5.0
_LAST_LINES = 12
_LIMIT_BYTES = 16 << 30


def seconds_without_a_sign() -> float:
    """How long a program may say nothing. Raises ``CompileError``: E825."""
    stated = os.environ.get(TIMEOUT)
    if not stated:
        return DEFAULT_SECONDS
    try:
        seconds = float(stated)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e9:
        raise fail("E825", TIMEOUT, "is not a number of seconds", got=stated, limit="above 0",
                   hint=f"unset it for {DEFAULT_SECONDS:g} s")
    return seconds


def run_program(python: Path, bundle: Bundle, encoded: EncodedInput, probes: list[str],
                progress: Callable[[int], None] | None = None) -> dict[str, npt.NDArray[np.int32]]:
    """What the program recorded: {"POP:s": [sample, chip step, n]}. Raises ``CompileError``: E823
    (it failed), E824 (it hung), E826 (no place for its files)."""
    limit = seconds_without_a_sign()
    try:
        with tempfile.TemporaryDirectory(prefix="ncl-", dir=_short_folder(),
                                         ignore_cleanup_errors=True) as name:
            return _run_in(Path(name), python, bundle, encoded, probes, limit, progress)
    except (OSError, NpzError) as error:
        raise fail("E826", "lava", "the files of the run cannot be written or read",
                   got=str(error)[:200], hint="space and permissions of $TMPDIR") from error


def _run_in(folder: Path, python: Path, bundle: Bundle, encoded: EncodedInput,
            probes: list[str], limit: float, progress: Callable[[int], None] | None,
            ) -> dict[str, npt.NDArray[np.int32]]:
    for file, content in bundle.files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    with (folder / "job.npz").open("wb") as job:
        write_npz(job, _job(encoded))
    command = [str(python), str(folder / "program.py"), "--encoded", "--progress",
               "--input", str(folder / "job.npz"), "--output", str(folder / "run.npz")]
    for probe in probes:
        command += ["--probe", probe]
    _watch(command, folder, limit, progress)
    with (folder / "run.npz").open("rb") as recorded, NpzReader(recorded) as reader:
        return {name: values.astype(np.int32, copy=False)
                for name, values in reader.read(probes, _LIMIT_BYTES).items()}


def _short_folder() -> str:
    """The temporary folder, or /tmp where its path leaves no room for those of Lava's sockets in
    it, which have 108 bytes."""
    usual = tempfile.gettempdir()
    return "/tmp" if len(usual) > 60 and Path("/tmp").is_dir() else usual


def _job(encoded: EncodedInput) -> dict[str, Array]:
    arrays: dict[str, Array] = {"steps": np.array(encoded.n_steps),
                                "samples": np.array(encoded.n_samples)}
    arrays |= {f"payload:{name}": values for name, values in encoded.payloads.items()}
    return {**arrays, **{f"bias:{name}": values for name, values in encoded.biases.items()}}


def _watch(command: list[str], folder: Path, limit: float,
           progress: Callable[[int], None] | None) -> None:
    """Run to the end, as long as a line comes now and then."""
    lines: list[str] = []
    with _started(command, folder) as process:
        said: queue.Queue[str | None] = queue.Queue()
        assert process.stdout is not None
        threading.Thread(target=_read, args=(process.stdout, said), daemon=True).start()
        while True:
            try:
                line = said.get(timeout=limit)
            except queue.Empty:
                raise fail("E824", "lava", "the program gave no sign of life and was ended",
                           got=_shown(lines), limit=f"{limit:g} s",
                           hint=f"a larger ${TIMEOUT}, if the network is large") from None
            if line is None:
                break
            if line.startswith("sample ") and progress is not None:
                progress(int(line.split()[1]) - 1)
            lines = [*lines[-_LAST_LINES:], line]
        try:
            status = process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            raise fail("E824", "lava", "the program closed its output and did not end",
                       got=_shown(lines), limit=f"{limit:g} s") from None
    if status:
        raise fail("E823", "lava", f"the program ended with status {status}", got=_shown(lines))


def _read(stream: IO[str], said: queue.Queue[str | None]) -> None:
    with suppress(ValueError, OSError):
        for line in stream:
            said.put(line.rstrip())
    said.put(None)


def _shown(lines: list[str]) -> str:
    kept = [line for line in lines if line and not line.startswith(("sample ", "step "))]
    return " / ".join((kept or lines[-1:])[-_LAST_LINES:])[-1200:] or "nothing was printed"


@contextmanager
def _started(command: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, which has ended, with all of its group, afterwards."""
    # Lava's temporary files go with the folder; its threads would only fight for the cores.
    environment = {**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1",
                   "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONPATH", None)
    environment.pop("PYTHONHOME", None)
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", start_new_session=True)
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """First a request: Python's resource tracker, which ignores it, then frees shared memory."""
    if not hasattr(os, "killpg"):
        process.kill()
        return
    if process.poll() == 0:  # Lava has ended its own; this is for what it forgot
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        return
    for number, patience in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, 1.0)):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        end = time.monotonic() + patience
        while time.monotonic() < end:
            process.poll()
            if not _group_lives(process.pid):
                return
            time.sleep(0.05)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
