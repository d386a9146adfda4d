"""The backend: plans the hardware of a mapping, writes it, and runs it under Verilator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurocompile.backend import Backend, Bundle, Level
from neurocompile.diagnostics import Diagnostic, Diagnostics
from neurocompile.ir.mapping import Mapping as CoreMapping
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.floating import Progress
from neurocompile.reference.integer import IntegerRun, Probes
from neurocompile_backends.rtl.levels import LEVELS, STALLED_OF_256, at_level, refuse_teacher
from neurocompile_backends.rtl.plan.design import ChipPlan, Unsupported

if TYPE_CHECKING:
    from neurocompile_backends.rtl.simulate.verilator import Built


class RtlBackend:
    """Event-driven cores in Verilog. A run holds the cycles of every step against
    ``rtl.plan.cycles``, and repeats every sample with a host that stalls."""

    name = "rtl"
    takes_teacher = False
    levels = LEVELS

    def __init__(self) -> None:
        self._planned: tuple[str, ChipPlan] | None = None
        self._built: tuple[str, Built] | None = None

    def check(self, mapping: CoreMapping) -> list[Diagnostic]:
        """E863: what the hardware cannot do."""
        found = Diagnostics()
        key = mapping.digest()
        if self._planned is not None and self._planned[0] == key:
            return []
        try:
            self._planned = key, plan_of(mapping)
        except Unsupported as error:
            subject, message, got, limit, hint = error.parts
            found.add("E863", subject, message, got=got, limit=limit, hint=hint)
        return list(found)

    def emit(self, mapping: CoreMapping) -> Bundle:
        """The design: hdl/, mem/, rtl.json. Raises ``CompileError``: E863, E880 (the device has
        too little of something)."""
        from neurocompile_backends.rtl.emit.files import design_files
        from neurocompile_backends.rtl.estimate.lanes import too_large

        found = Diagnostics()
        found.extend(too_large(mapping, self.plan(mapping)))
        found.raise_if_errors()
        return Bundle(self.name, design_files(self.plan(mapping)))

    def run(self, mapping: CoreMapping, encoded: EncodedInput, probes: Probes, *,
            teacher: Mapping[str, npt.NDArray[np.integer[Any]]] | None = None,
            progress: Progress | None = None) -> IntegerRun:
        """Simulate the design. ``checked`` of the run: cycles of each step, and what a host that
        stalls sees. Raises ``CompileError``: E860 to E864."""
        from neurocompile_backends.rtl.simulate.run import Stalls, compare_stalled, run_design
        from neurocompile_backends.rtl.simulate.verilator import build

        refuse_teacher(self.name, teacher)
        key = mapping.digest()
        if self._built is None or self._built[0] != key:
            self._built = key, build(self.plan(mapping))
        built = self._built[1]
        run = run_design(built, encoded, probes, progress=progress)
        compare_stalled(run, run_design(built, encoded, probes, stalls=Stalls(
            STALLED_OF_256, STALLED_OF_256)))
        return run

    def at_level(self, level: Level) -> Backend:
        """With the netlist, the bitstream or a board in the RTL's place. Raises ``CompileError``:
        E875."""
        return at_level(self, self, level)

    def plan(self, mapping: CoreMapping) -> ChipPlan:
        """The hardware of a mapping; the last one is kept. Raises ``CompileError`` (E863)."""
        found = Diagnostics()
        found.extend(self.check(mapping))
        found.raise_if_errors()
        assert self._planned is not None
        return self._planned[1]


backend = RtlBackend()


def plan_of(mapping: CoreMapping) -> ChipPlan:
    """The hardware of a mapping. Raises ``rtl.plan.design.Unsupported``."""
    from neurocompile.passes.assemble import Assemble
    from neurocompile_backends.rtl.estimate.lanes import planned

    return planned(Assemble().run(mapping), mapping)
