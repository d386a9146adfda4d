"""A board under Verilator, and the serial port that leads to it."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurocompile_backends.rtl.emit.board import BOARD_MODULES, Board
from neurocompile_backends.rtl.host.link import without_fillers
from neurocompile_backends.rtl.simulate.verilator import compile_model, working_in

OFFERS, TAKES, TAKEN, RESETS = 1, 2, 4, 8
"""Bits of a cycle of the link (``uart.cpp``)."""


@dataclass(frozen=True, eq=False)
class BuiltBoard:
    """A compiled board. It holds its folder until it is dropped."""

    board: Board
    folder: tempfile.TemporaryDirectory[str]
    library: ctypes.CDLL

    @property
    def root(self) -> Path:
        """Where the design's files are."""
        return Path(self.folder.name)


def build_board(files: Mapping[str, bytes], board: Board) -> BuiltBoard:
    """Verilate and compile ``board.board_files``. Raises ``CompileError``: E860 (no Verilator),
    E861 (it finds fault with the design: warnings are errors)."""
    folder = tempfile.TemporaryDirectory(prefix="neurocompile-board-")
    compiled = compile_model(
        Path(folder.name), files, "nc_board", [m for m in BOARD_MODULES if _used(m, board)],
        ("nc_probe", "nc_link_probe"), "uart.cpp", ("-O2", *(["-DNC_SPI"] if board.spi else [])))
    return BuiltBoard(board, folder, load_model(compiled))


def _used(module: str, board: Board) -> bool:
    """A board has one link of two; to Verilator a module that nobody uses is another top."""
    return module not in ("nc_host_spi", "nc_uart_rx", "nc_uart_tx", "nc_host_uart") or (
        (module == "nc_host_spi") == board.spi)


def load_model(path: Path) -> ctypes.CDLL:
    """A model compiled with ``uart.cpp``."""
    loaded = ctypes.CDLL(str(path))
    pointer, i64 = ctypes.c_void_p, ctypes.c_int64
    for name, result, arguments in (
            ("new", pointer, [ctypes.c_uint64]), ("free", None, [pointer]),
            ("write", None, [pointer, ctypes.c_char_p, i64]), ("low", None, [pointer, i64]),
            ("run", i64, [pointer, i64, i64]), ("take", None, [pointer, pointer, i64]),
            ("record", None, [pointer, ctypes.c_int]), ("cycles", i64, [pointer]),
            ("broken", i64, [pointer]), ("link", i64, [pointer, pointer]),
            ("sent", i64, [pointer, pointer])):
        function = getattr(loaded, f"nc_board_{name}")
        function.restype, function.argtypes = result, arguments
    return loaded


class SimulatedPort:
    """``host.driver.Port`` to a board switched on 1,000 cycles ago. Time passes while the host
    reads: what it writes waits until then, as in the buffer of a real port.

    ``speed``: the host's baud rate, as a factor of the right one. At an SPI bus ``baud`` is its
    clock, and fillers are left out of what is read.
    """

    def __init__(self, built: BuiltBoard, *, speed: float = 1.0):
        self.built = built
        self.timeout: float | None = None
        with working_in(built.folder.name):
            self._handle = built.library.nc_board_new(
                round(256 * built.board.clock_hz / (built.board.baud * speed)))
        self.wait(1000)

    @property
    def in_waiting(self) -> int:
        return int(self.built.library.nc_board_run(self._handle, 0, 0))

    @property
    def cycles(self) -> int:
        """Of the chip's clock since it was switched on."""
        return int(self.built.library.nc_board_cycles(self._handle))

    @property
    def broken(self) -> int:
        """Bytes from the chip without a stop bit."""
        return int(self.built.library.nc_board_broken(self._handle))

    def write(self, data: bytes) -> int:
        self.built.library.nc_board_write(self._handle, data, len(data))
        return len(data)

    def read(self, size: int = 1) -> bytes:
        seconds = 1.0 if self.timeout is None else self.timeout
        end = self.cycles + round(seconds * self.built.board.clock_hz)
        got = b""
        while not got and self.cycles < end:
            have = self.built.library.nc_board_run(self._handle, size, end - self.cycles)
            data = np.zeros(min(have, size), np.uint8)
            self.built.library.nc_board_take(self._handle, data.ctypes.data, len(data))
            got = data.tobytes()
            if self.built.board.spi:
                got = without_fillers(got)
        return got

    def wait(self, cycles: int) -> None:
        """Let time pass."""
        self.built.library.nc_board_run(self._handle, 1 << 62, cycles)

    def hold_low(self, cycles: int) -> None:
        """Pull the line to the chip low, once it is free: a glitch, or a break."""
        self.built.library.nc_board_low(self._handle, cycles)

    def reset_input_buffer(self) -> None:
        if self.in_waiting:
            data = np.zeros(self.in_waiting, np.uint8)
            self.built.library.nc_board_take(self._handle, data.ctypes.data, len(data))

    def close(self) -> None:
        if self._handle is not None:
            self.built.library.nc_board_free(self._handle)
            self._handle = None

    def record(self, on: bool = True) -> None:
        """Begin to record anew what the link and the neurons do, or stop."""
        self.built.library.nc_board_record(self._handle, int(on))

    def recorded(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
        """The link by cycle (OFFERS, TAKES, TAKEN, RESETS), and (core, index, sent) of every neuron
        as it was updated."""
        place = ctypes.c_void_p()
        n = self.built.library.nc_board_link(self._handle, ctypes.byref(place))
        link = np.frombuffer(ctypes.string_at(place, n), np.uint8) if n else np.zeros(0, np.uint8)
        n = self.built.library.nc_board_sent(self._handle, ctypes.byref(place))
        sent = np.frombuffer(ctypes.string_at(place, 12 * n), np.int32) if n else np.zeros(
            0, np.int32)
        return link, sent.reshape(-1, 3)
