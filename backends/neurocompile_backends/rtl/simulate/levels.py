"""What is simulated in the place of the RTL: the netlist of synthesis, or a bitstream read back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from neurocompile.backend import Backend
from neurocompile.diagnostics import Diagnostic, Diagnostics, fail
from neurocompile.ir.mapping import Mapping as CoreMapping
from neurocompile.ir.target import Fpga
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.floating import Progress
from neurocompile.reference.integer import IntegerRun, Probes
from neurocompile_backends.rtl.plan.design import ChipPlan

LEVELS = ("rtl", "netlist", "bitstream")
NO_PROBES = "no probes in a {level}: compared is what reaches the host"
STALLED_OF_256 = 64
"""How often the host makes the hardware wait, in a run with stalls."""


class Planner(Protocol):
    """The RTL backend, as far as its levels need it."""

    def check(self, mapping: CoreMapping) -> list[Diagnostic]: ...
    def plan(self, mapping: CoreMapping) -> ChipPlan: ...


def at_level(rtl: Backend, planner: Planner, level: str, made: Path | None = None) -> Backend:
    """The backend ``rtl`` at one of ``LEVELS``; ``made``: the folder of a bitstream. Raises
    ``CompileError``: E875."""
    if made is not None and level != "bitstream":
        raise fail("E875", "--bitstream", "this level has no bitstream", got=level,
                   limit="bitstream")
    if level not in LEVELS:
        raise fail("E875", "--level", "there is no such level", got=level,
                   limit=", ".join(LEVELS), hint="leave it out for the RTL")
    return rtl if level == "rtl" else LevelBackend(planner, level, made)


class LevelBackend:
    """Builds its model once for a mapping, and keeps it as long as it lives: a verification."""

    takes_teacher = False

    def __init__(self, planner: Planner, level: str, made: Path | None = None):
        self.name = f"rtl ({level})"
        self.made = made
        self.level = level
        self._planner = planner
        self._built: tuple[str, Any] | None = None

    def check(self, mapping: CoreMapping) -> list[Diagnostic]:
        """E863: what the hardware cannot do. E876: a target without this level."""
        found = Diagnostics()
        found.extend(self._planner.check(mapping))
        reason = without(mapping.target.fpga, self.level)
        if reason:
            found.add("E876", mapping.target.name,
                      f"there is no {self.level} to simulate: {reason}",
                      limit={"netlist": "a target of the families ice40 and ecp5",
                             "bitstream": "ice40-hx8k"}[self.level],
                      hint="compile for such a target, or leave --level out")
        return list(found)

    def run(self, mapping: CoreMapping, encoded: EncodedInput, probes: Probes, *,
            teacher: Mapping[str, npt.NDArray[np.integer[Any]]] | None = None,
            progress: Progress | None = None) -> IntegerRun:
        """Simulate. What the host gets is recorded; ``checked``: the cycles of each step. Raises
        ``CompileError``: E860 to E867."""
        if teacher:
            raise fail("E864", self.name, "hardware runs networks whole, not layer by layer on "
                       "given spikes", got=", ".join(sorted(teacher)),
                       hint="use the simulator for that")
        run = (self._netlist if self.level == "netlist" else self._bitstream)(
            mapping, encoded, probes, progress)
        run.unseen = NO_PROBES.format(level=self.level)
        if self.level == "bitstream":
            run.unseen += f" ({self.made or 'built for this check'})"
        return run

    def _netlist(self, mapping: CoreMapping, encoded: EncodedInput, probes: Probes,
                 progress: Progress | None) -> IntegerRun:
        from neurocompile_backends.rtl.simulate.netlist import (
            build_netlist,
            netlist_of,
            run_netlist,
        )
        from neurocompile_backends.rtl.simulate.run import Stalls, compare_stalled

        fpga = mapping.target.fpga
        assert fpga is not None, "check has found it"
        key = mapping.digest()
        if self._built is None or self._built[0] != key:
            plan = self._planner.plan(mapping)
            self._built = key, build_netlist(plan, fpga, netlist_of(plan, fpga))
        built, network = self._built[1], mapping.quantized
        run = run_netlist(built, network, encoded, probes, progress=progress)
        compare_stalled(run, run_netlist(built, network, encoded, probes, stalls=Stalls(
            STALLED_OF_256, STALLED_OF_256)))
        return run

    def _bitstream(self, mapping: CoreMapping, encoded: EncodedInput, probes: Probes,
                   progress: Progress | None) -> IntegerRun:
        from neurocompile_backends.rtl.simulate.bitstream import (
            bitstream_in,
            bitstream_of,
            read_back,
            run_bitstream,
        )

        fpga = mapping.target.fpga
        assert fpga is not None, "check has found it"
        key = mapping.digest()
        if self._built is None or self._built[0] != key:
            plan = self._planner.plan(mapping)
            bits = bitstream_of(plan, fpga) if self.made is None else bitstream_in(self.made, fpga)
            self._built = key, read_back(plan, fpga, bits)
        return run_bitstream(self._built[1], mapping.quantized, encoded, probes, progress=progress)


def without(fpga: Fpga | None, level: str) -> str:
    """Why a device has no such level; empty where it has."""
    if fpga is None:
        return "the target is no FPGA"
    if fpga.family not in ("ice40", "ecp5"):
        return f"this project calls no tools for the family {fpga.family}"
    if level == "netlist":
        return ""
    if fpga.family != "ice40":
        return f"no tool turns bitstreams of the family {fpga.family} into Verilog"
    if fpga.spram_bits or fpga.dsps:
        return "icebox_vlog reads no SPRAM and no multipliers, which this device has"
    return ""
