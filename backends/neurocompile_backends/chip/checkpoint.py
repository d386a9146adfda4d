"""A long profile that was interrupted goes on where it was, with the same results.

A checkpoint holds the state of the chip between two steps, what was measured so far, and a digest
of program, inputs and timing: it continues no other run. It is replaced whole or not at all.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile.data.rasters import write_arrays
from neurocompile.diagnostics import CompileError, fail
from neurocompile.ir.base import Array, array_digest
from neurocompile.ir.program import Program
from neurocompile.npz import NpzError, NpzReader
from neurocompile.reference.encode import EncodedInput
from neurocompile_backends.chip import kernel as k
from neurocompile_backends.chip.run import Chip, new_series

_STATE = ("ring", "u", "v", "sent", "rest", "owed", "bias")

Part = tuple[k.Totals, k.Series]


def identity(program: Program, encoded: EncodedInput, timing: str) -> str:
    """A digest of all that decides what a profile measures."""
    parts = [program.digest(), timing, str(encoded.n_steps)]
    for kind in (encoded.payloads, encoded.biases):
        parts += [f"{name} {array_digest(values)}" for name, values in sorted(kind.items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass
class Saved:
    """What a checkpoint holds: samples that are done, and the one that was running at step t."""

    path: Path
    done: list[Part]
    t: int
    state: dict[str, Array]
    running: Part

    def check_samples(self, samples: int) -> None:
        """Raises ``CompileError`` E846 for a checkpoint that no run of so many samples wrote."""
        if len(self.done) >= samples:
            raise _unreadable(self.path, f"sample {len(self.done)} is running")

    def restore(self, chip: Chip, steps: int) -> k.Series:
        """Put ``chip`` where the run was; the series so far. Raises ``CompileError`` E846 for a
        checkpoint that no run of samples of so many steps wrote."""
        try:
            if not 0 < self.t <= steps:
                raise ValueError(f"step {self.t} of {steps}")
            for name, values in self.state.items():
                _same(name, values, getattr(chip.state, name))
            empty = new_series(steps)
            for totals, series in (*self.done, self.running):
                for names, part, like in ((k.Totals._fields, totals, chip.totals),
                                          (k.Series._fields, series, empty)):
                    for name, values, into in zip(names, part, like, strict=True):
                        _same(name, values, into)
        except ValueError as error:
            raise _unreadable(self.path, str(error)) from error
        chip.t = self.t
        for name, values in self.state.items():
            getattr(chip.state, name)[:] = values
        for values, into in zip(self.running[0], chip.totals, strict=True):
            into[:] = values
        return self.running[1]


@dataclass
class Checkpoint:
    """Writes ``path`` every ``every`` steps of a run."""

    path: Path
    every: int
    identity: str
    done: list[Part] = field(default_factory=list)
    traced_flits: bool = False

    def step(self, chip: Chip, series: k.Series, row: int) -> None:  # noqa: ARG002
        """Write. Raises ``CompileError`` E625 where the file cannot be written."""
        arrays: dict[str, Array] = {
            "identity": _letters(self.identity), "t": np.array(chip.t),
            "done": np.array(len(self.done))}
        arrays |= {f"state:{name}": getattr(chip.state, name) for name in _STATE}
        for i, (totals, rows) in enumerate([*self.done, (chip.totals, series)]):
            arrays |= {f"{i}:{name}": v for name, v in zip(k.Totals._fields, totals, strict=True)}
            arrays |= {f"{i}:step:{name}": v for name, v in zip(k.Series._fields, rows,
                                                                strict=True)}
        write_arrays(self.path, arrays)


def read_checkpoint(path: Path, expected: str) -> Saved:
    """Raises ``CompileError``: E846 (no readable checkpoint), E847 (of another run)."""
    try:
        with path.open("rb") as file, NpzReader(file) as reader:
            # Nothing was compressed: what is larger than its file is not ours.
            arrays = reader.read(reader.names, path.stat().st_size)
        identity = arrays["identity"]
        n = int(arrays["done"])
        if n < 0:
            raise ValueError(f"{n} samples are done")
        parts = [_part(arrays, i) for i in range(n + 1)]
        state = {name: arrays[f"state:{name}"] for name in _STATE}
        saved = Saved(path, parts[:n], int(arrays["t"]), state, parts[n])
    except KeyError as error:
        raise _unreadable(path, f"no array {error}") from error
    except (NpzError, ValueError, TypeError, OverflowError) as error:
        raise _unreadable(path, str(error)) from error
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    if not np.array_equal(identity, _letters(expected)):
        raise fail("E847", str(path), "belongs to another run",
                   hint="resume with the build, data, samples and timing it was made with")
    return saved


def _unreadable(path: Path, why: str) -> CompileError:
    return fail("E846", str(path), "is no checkpoint that can be read", got=why[:100],
                hint="start without --resume")


def _letters(text: str) -> Array:
    """A text as an array of numbers: files of arrays that are read without trust hold no others."""
    return np.frombuffer(text.encode(), np.uint8)


def _part(arrays: dict[str, Array], i: int) -> Part:
    totals = k.Totals(*(arrays[f"{i}:{name}"] for name in k.Totals._fields))
    return totals, k.Series(*(arrays[f"{i}:step:{name}"] for name in k.Series._fields))


def _same(name: str, values: npt.NDArray[Any], like: npt.NDArray[Any]) -> None:
    if values.shape != like.shape or values.dtype != like.dtype:
        raise ValueError(f"{name} is {values.dtype} {list(values.shape)}, not {like.dtype} "
                         f"{list(like.shape)}")
