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
from neurocompile.diagnostics import fail
from neurocompile.ir.base import Array, array_digest
from neurocompile.ir.program import Program
from neurocompile.npz import NpzError, NpzReader
from neurocompile.reference.encode import EncodedInput
from neurocompile_backends.chip import kernel as k
from neurocompile_backends.chip.run import Chip

MAX_BYTES = 16 << 30
_STATE = ("ring", "u", "v", "sent", "bias")

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

    done: list[Part]
    t: int
    state: dict[str, Array]
    running: Part

    def restore(self, chip: Chip) -> k.Series:
        """Put ``chip`` where the run was; the series so far."""
        chip.t = self.t
        for name, values in self.state.items():
            into = getattr(chip.state, name)
            _same(name, values, into)
            into[:] = values
        for name, values in zip(k.Totals._fields, self.running[0], strict=True):
            _same(name, values, getattr(chip.totals, name))
            getattr(chip.totals, name)[:] = values
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
            "identity": np.array(self.identity), "t": np.array(chip.t),
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
            arrays = reader.read(reader.names, MAX_BYTES)
        if str(arrays["identity"]) != expected:
            raise fail("E847", str(path), "belongs to another run",
                       hint="resume with the build, data, samples and timing it was made with")
        n = int(arrays["done"])
        parts = [_part(arrays, i) for i in range(n + 1)]
        state = {name: arrays[f"state:{name}"] for name in _STATE}
        return Saved(parts[:n], int(arrays["t"]), state, parts[n])
    except (NpzError, KeyError, ValueError, TypeError, OSError) as error:
        raise fail("E846", str(path), "is no checkpoint that can be read",
                   got=str(error)[:100] or type(error).__name__,
                   hint="start without --resume") from error


def _part(arrays: dict[str, Array], i: int) -> Part:
    totals = k.Totals(*(arrays[f"{i}:{name}"] for name in k.Totals._fields))
    return totals, k.Series(*(arrays[f"{i}:step:{name}"] for name in k.Series._fields))


def _same(name: str, values: npt.NDArray[Any], into: npt.NDArray[Any]) -> None:
    if values.shape != into.shape or values.dtype != into.dtype:
        raise ValueError(f"{name} has another shape")
