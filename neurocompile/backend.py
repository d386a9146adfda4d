"""What a backend is, and how one is found.

A backend is an object named by an entry point of the group ``neurocompile.backends``. It runs
mapped networks bit for bit as the integer reference does; ``verify`` compares them. One that
also writes something to deploy is an :class:`Emitter`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from neurocompile.diagnostics import Diagnostic, fail
from neurocompile.ir.mapping import Mapping as CoreMapping
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.floating import Progress
from neurocompile.reference.integer import IntegerRun, Probes, run_integer

GROUP = "neurocompile.backends"
BOARD = "board"
"""The level of a design on a board."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """What a backend writes for the user: files by name, the same bytes for the same network."""

    backend: str
    files: dict[str, bytes]


@runtime_checkable
class Backend(Protocol):
    """``run`` must record exactly what ``probes`` asks for, [sample, chip step, neuron].

    ``takes_teacher``: can ``run`` deliver given spikes in place of a population's own?
    """

    name: str
    takes_teacher: bool

    def check(self, mapping: CoreMapping) -> list[Diagnostic]:
        """Everything this backend cannot do with the network; empty if it can run it."""
        ...

    def run(self, mapping: CoreMapping, encoded: EncodedInput, probes: Probes, *,
            teacher: Mapping[str, npt.NDArray[np.integer[Any]]] | None = None,
            progress: Progress | None = None) -> IntegerRun:
        """Run all samples from cleared state."""
        ...


@runtime_checkable
class Emitter(Backend, Protocol):
    """A backend that also writes something to deploy."""

    def emit(self, mapping: CoreMapping) -> Bundle:
        """The files to deploy. Raises ``CompileError`` with what ``check`` finds."""
        ...


@dataclass(frozen=True)
class Level:
    """How far on its way to hardware a design is run: ``name`` is one of a backend's levels.
    ``folder``: of its bitstream; None: one is made for the run. ``port``: the serial port of a
    board."""

    name: str
    folder: Path | None = None
    port: str | None = None


@runtime_checkable
class Leveled(Backend, Protocol):
    """A backend that can run what was made of its design later on, in the design's place."""

    levels: tuple[str, ...]

    def at_level(self, level: Level) -> Backend:
        """The backend at one of ``levels``. Raises ``CompileError`` (E875)."""
        ...


class ReferenceBackend:
    """The integer reference, built in: what the others are compared with."""

    name = "reference"
    takes_teacher = True

    def check(self, mapping: CoreMapping) -> list[Diagnostic]:  # noqa: ARG002
        return []

    def run(self, mapping: CoreMapping, encoded: EncodedInput, probes: Probes, *,
            teacher: Mapping[str, npt.NDArray[np.integer[Any]]] | None = None,
            progress: Progress | None = None) -> IntegerRun:
        return run_integer(mapping.quantized, encoded, probes, teacher=teacher, progress=progress)


def available() -> tuple[str, ...]:
    """Names of all backends that are installed, the reference first."""
    return ("reference", *sorted({point.name for point in entry_points(group=GROUP)}))


def load_backend(name: str) -> Backend:
    """A backend by name. Raises ``CompileError``: E801 (no such backend), E802 (it does not
    load: its distribution is named)."""
    if name == "reference":
        return ReferenceBackend()
    points = [point for point in entry_points(group=GROUP) if point.name == name]
    if not points:
        raise fail("E801", name, "there is no such backend", limit="one of " +
                   ", ".join(available()), hint="install the package that provides it")
    try:
        backend = points[0].load()
    except Exception as error:  # whatever a broken plug-in raises, its user must learn whose it is
        raise fail("E802", name, "this backend does not load", got=f"{type(error).__name__}: "
                   f"{error}", hint=f"reinstall {_distribution(points[0])}") from error
    if not isinstance(backend, Backend):
        raise fail("E802", name, "this entry point is no backend", got=type(backend).__name__,
                   hint=f"report it to the authors of {_distribution(points[0])}")
    return backend


def stated_level(name: str | None, folder: str | Path | None = None,
                 port: str | None = None) -> Level | None:
    """The level that a user states; a serial port says that it is a board. None: the design
    itself."""
    if name is None and port is not None:
        name = BOARD
    if name is None and folder is None:
        return None
    return Level(name or "rtl", None if folder is None else Path(folder), port)


def at_level(backends: Sequence[Backend], level: Level | None) -> list[Backend]:
    """Those that have levels at this one, the others as they are. Raises ``CompileError``: E875
    (none has any)."""
    if level is None:
        return list(backends)
    if not any(isinstance(backend, Leveled) for backend in backends):
        option, got = ("--port", level.port) if level.port is not None else (
            "--bitstream", str(level.folder)) if level.folder is not None else (
            "--level", level.name)
        raise fail("E875", option, "it is for the backend rtl, which is not among these", got=got,
                   limit=", ".join(backend.name for backend in backends),
                   hint="verify with --backends reference,rtl; simulate with --backend rtl")
    return [b.at_level(level) if isinstance(b, Leveled) else b for b in backends]


def load_emitter(name: str) -> Emitter:
    """As :func:`load_backend`, for one that writes something to deploy. Raises ``CompileError``:
    E804 (it does not), E801, E802."""
    backend = load_backend(name)
    if not isinstance(backend, Emitter):
        raise fail("E804", name, "this backend runs networks and writes nothing to deploy",
                   hint=f"compile without it; `simulate` and `verify` take {name}")
    return backend


def runner(backend: Backend, mapping: CoreMapping) -> Callable[..., IntegerRun]:
    """``backend.run`` of ``mapping``; where it takes no teacher, the simulator's for runs with
    one."""
    other = backend if backend.takes_teacher else load_backend("simulator")

    def run(encoded: EncodedInput, probes: Probes, *,
            teacher: Mapping[str, npt.NDArray[np.integer[Any]]] | None = None,
            progress: Progress | None = None) -> IntegerRun:
        chosen = backend if teacher is None else other
        return chosen.run(mapping, encoded, probes, teacher=teacher, progress=progress)

    return run


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
