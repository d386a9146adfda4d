"""The functional simulator: fast, event-driven, bit for bit the integer reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile.diagnostics import Diagnostic
from neurocompile.ir.mapping import Mapping as CoreMapping
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.floating import Progress
from neurocompile.reference.integer import IntegerRun, Probes


class SimulatorBackend:
    """Runs every legal QuantizedNetwork; Numba is loaded at the first run."""

    name = "simulator"
    takes_teacher = True

    def check(self, mapping: CoreMapping) -> list[Diagnostic]:  # noqa: ARG002
        return []

    def run(self, mapping: CoreMapping, encoded: EncodedInput, probes: Probes, *,
            teacher: Mapping[str, npt.NDArray[np.integer[Any]]] | None = None,
            progress: Progress | None = None) -> IntegerRun:
        from neurocompile_backends.simulator.run import run_simulator

        return run_simulator(mapping.quantized, encoded, probes, teacher=teacher, progress=progress)


backend = SimulatorBackend()
