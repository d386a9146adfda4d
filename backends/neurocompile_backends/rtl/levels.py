"""What runs in the place of the RTL: the netlist of synthesis, a bitstream read back, a board."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from neurocompile.backend import BOARD, Backend, Level
from neurocompile.diagnostics import Diagnostic, Diagnostics, fail
from neurocompile.ir.mapping import Mapping as CoreMapping
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import Fpga
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.floating import Progress
from neurocompile.reference.integer import IntegerRun, Probes
from neurocompile_backends.rtl.plan.design import ChipPlan

LEVELS = ("rtl", "netlist", "bitstream", BOARD)
STALLED_OF_256 = 64
"""How often the host makes the hardware wait, in a run with stalls."""


class Planner(Protocol):
    """The RTL backend, as far as its levels need it."""

    def check(self, mapping: CoreMapping) -> list[Diagnostic]: ...
    def plan(self, mapping: CoreMapping) -> ChipPlan: ...


def refuse_teacher(name: str, teacher: Mapping[str, Any] | None) -> None:
    """Raises ``CompileError`` (E864)."""
    if teacher:
        raise fail("E864", name, "hardware runs networks whole, not layer by layer on given "
                   "spikes", got=", ".join(sorted(teacher)), hint="use the simulator for that")


def at_level(rtl: Backend, planner: Planner, level: Level) -> Backend:
    """The backend ``rtl`` at one of ``LEVELS``. Raises ``CompileError``: E875."""
    if level.name not in LEVELS:
        raise fail("E875", "--level", "there is no such level", got=level.name,
                   limit=", ".join(LEVELS), hint="leave it out for the RTL")
    if level.folder is not None and level.name != "bitstream":
        raise fail("E875", "--bitstream", "this level reads no bitstream", got=level.name,
                   limit="bitstream", hint="say --level bitstream, or leave it out")
    if (level.port is not None) != (level.name == BOARD):
        raise fail("E875", "--port", "a board, and nothing else, is at a serial port",
                   got=f"--level {level.name}" + (f" --port {level.port}" if level.port else ""),
                   hint="for a board: --port /dev/ttyUSB1")
    if level.port is not None:
        return OnBoard(planner, level.port)
    if level.name == "netlist":
        return Netlist(planner)
    return rtl if level.name == "rtl" else Bitstream(planner, level.folder)


class Later(ABC):
    """What a design has become, without probes. It is made once for a mapping, and kept as long as
    this lives: a verification."""

    takes_teacher = False
    limit: str
    """The targets that have it."""

    def __init__(self, planner: Planner, level: str):
        self.level = level
        self.name = f"rtl ({level})"
        self._planner = planner
        self._made: tuple[str, Any] | None = None

    def check(self, mapping: CoreMapping) -> list[Diagnostic]:
        """E863: what the hardware cannot do. E876: a target without this level."""
        found = Diagnostics()
        found.extend(self._planner.check(mapping))
        fpga = mapping.target.fpga
        reason = "the target is no FPGA" if fpga is None else self._missing(fpga)
        if reason:
            found.add("E876", mapping.target.name, f"there is no {self.level} to run: {reason}",
                      limit=self.limit, hint="compile for such a target, or leave "
                      f"{'--port' if self.level == BOARD else '--level'} out")
        return list(found)

    def run(self, mapping: CoreMapping, encoded: EncodedInput, probes: Probes, *,
            teacher: Mapping[str, npt.NDArray[np.integer[Any]]] | None = None,
            progress: Progress | None = None) -> IntegerRun:
        """What the host gets is recorded; ``checked``: the cycles of each step, but for a board.
        Raises ``CompileError``: E860 to E867, E870 to E873, E879."""
        refuse_teacher(self.name, teacher)
        key = mapping.digest()
        if self._made is None or self._made[0] != key:
            fpga = mapping.target.fpga
            assert fpga is not None, "check has found it"
            self._made = key, self._make(self._planner.plan(mapping), fpga)
        run = self._run(self._made[1], mapping.quantized, encoded, probes, progress)
        run.unseen = self._unseen()
        return run

    def _unseen(self) -> str:
        return f"no probes in a {self.level}: compared is what reaches the host"

    @abstractmethod
    def _missing(self, fpga: Fpga) -> str:
        """Why a device has no such level; empty where it has."""

    @abstractmethod
    def _make(self, plan: ChipPlan, fpga: Fpga) -> Any:
        """What :meth:`_run` gets."""

    @abstractmethod
    def _run(self, made: Any, network: QuantizedNetwork, encoded: EncodedInput, probes: Probes,
             progress: Progress | None) -> IntegerRun:
        """All samples, what the host gets."""


class Netlist(Later):
    limit = "a target of the families ice40 and ecp5"

    def __init__(self, planner: Planner):
        super().__init__(planner, "netlist")

    def _missing(self, fpga: Fpga) -> str:
        return _without_models(fpga)

    def _make(self, plan: ChipPlan, fpga: Fpga) -> Any:
        from neurocompile_backends.rtl.simulate.netlist import build_netlist, netlist_of

        return build_netlist(plan, fpga, netlist_of(plan, fpga))

    def _run(self, made: Any, network: QuantizedNetwork, encoded: EncodedInput, probes: Probes,
             progress: Progress | None) -> IntegerRun:
        from neurocompile_backends.rtl.simulate.netlist import run_netlist
        from neurocompile_backends.rtl.simulate.run import Stalls, compare_stalled

        run = run_netlist(made, network, encoded, probes, progress=progress)
        compare_stalled(run, run_netlist(made, network, encoded, probes, stalls=Stalls(
            STALLED_OF_256, STALLED_OF_256)))
        return run


class Bitstream(Later):
    """``folder``: of the bitstream; None: one is built."""

    limit = "a target of the family ice40"

    def __init__(self, planner: Planner, folder: Path | None):
        super().__init__(planner, "bitstream")
        self.folder = folder

    def _missing(self, fpga: Fpga) -> str:
        if reason := _without_models(fpga):
            return reason
        if fpga.family != "ice40":
            return f"no tool turns bitstreams of the family {fpga.family} into Verilog"
        return ""

    def _unseen(self) -> str:
        return f"{super()._unseen()} ({self.folder or 'built for this check'})"

    def _make(self, plan: ChipPlan, fpga: Fpga) -> Any:
        from neurocompile_backends.rtl.simulate.bitstream import (
            bitstream_in,
            bitstream_of,
            read_back,
        )

        bits = bitstream_of(plan, fpga) if self.folder is None else bitstream_in(self.folder, fpga)
        return read_back(plan, fpga, bits)

    def _run(self, made: Any, network: QuantizedNetwork, encoded: EncodedInput, probes: Probes,
             progress: Progress | None) -> IntegerRun:
        from neurocompile_backends.rtl.simulate.bitstream import run_bitstream

        return run_bitstream(made, network, encoded, probes, progress=progress)


class OnBoard(Later):
    """A board at a serial port, with the bitstream of the mapping on it. Its cycles are those of
    the wire as much as of the network, and are not compared."""

    limit = "a target of one of the boards"

    def __init__(self, planner: Planner, port: str):
        super().__init__(planner, BOARD)
        self.port = port

    def _missing(self, fpga: Fpga) -> str:
        from neurocompile_backends.rtl.emit.board import board_with

        return "" if board_with(fpga) else "no board of this project has the device"

    def _unseen(self) -> str:
        return f"{super()._unseen()} ({self.port})"

    def _make(self, plan: ChipPlan, fpga: Fpga) -> Any:
        from neurocompile_backends.rtl.emit.board import board_files, board_with
        from neurocompile_backends.rtl.host.driver import Description

        board = board_with(fpga)
        assert board is not None, "check has found it"
        return plan, Description.of(board_files(plan, board), plan.program)

    def _run(self, made: Any, network: QuantizedNetwork, encoded: EncodedInput, probes: Probes,
             progress: Progress | None) -> IntegerRun:
        from neurocompile_backends.rtl.host.driver import BoardHost
        from neurocompile_backends.rtl.simulate.netlist import outputs_of, record_outputs

        plan, description = made
        run = outputs_of(plan, encoded, probes, encoded.n_steps + network.latency)
        with BoardHost.open(self.port, description) as board:
            done = board.run(encoded, progress=progress)
        record_outputs(run, done.s)
        return run


def _without_models(fpga: Fpga) -> str:
    if fpga.family in ("ice40", "ecp5"):
        return ""
    return f"there are no models of the cells of the family {fpga.family} here"
