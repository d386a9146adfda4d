"""``nc_axi_top`` under Verilator, with what a Zynq has around it: a DMA and registers, as pynq
shows them."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile_backends.rtl.emit.axi import AXI_MODULES, OUT_BYTES
from neurocompile_backends.rtl.simulate.verilator import compile_model, working_in

POLL = 64
"""Cycles that pass while a program asks whether a transfer is over."""

RECEIVED, OVERRUN = 1, 2
"""What became of a packet (``axi.cpp``)."""


@dataclass(frozen=True, eq=False)
class BuiltAxi:
    """A compiled design. It holds its folder until it is dropped."""

    in_bytes: int
    folder: tempfile.TemporaryDirectory[str]
    library: ctypes.CDLL


def build_axi(files: Mapping[str, bytes], in_bytes: int) -> BuiltAxi:
    """Verilate and compile ``axi.axi_files``. Raises ``CompileError``: E860 (no Verilator), E861
    (it finds fault with the design: warnings are errors)."""
    folder = tempfile.TemporaryDirectory(prefix="neurocompile-axi-")
    compiled = compile_model(Path(folder.name), files, "nc_axi_top", AXI_MODULES, ("nc_probe",),
                             "axi.cpp", ("-O2", f"-DNC_IN_BYTES={in_bytes}"))
    loaded = ctypes.CDLL(str(compiled))
    pointer, i64, u32 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint32
    for name, result, arguments in (
            ("new", pointer, [u32, ctypes.c_uint64]), ("free", None, [pointer]),
            ("run", None, [pointer, i64]), ("cycles", i64, [pointer]),
            ("send", None, [pointer, pointer, i64]), ("sending", i64, [pointer]),
            ("stop", None, [pointer]), ("receive", None, [pointer, i64]),
            ("received", ctypes.c_int, [pointer]), ("take", i64, [pointer, pointer]),
            ("read", ctypes.c_int, [pointer, u32, pointer]),
            ("write", ctypes.c_int, [pointer, u32, u32])):
        function = getattr(loaded, f"nc_axi_{name}")
        function.restype, function.argtypes = result, arguments
    return BuiltAxi(in_bytes, folder, loaded)


class Buffer(np.ndarray[Any, np.dtype[Any]]):
    """A ``pynq.buffer.PynqBuffer``. What a program writes reaches the DMA when it is flushed, what
    the DMA writes reaches the program when it is invalidated: ``memory`` is the DMA's side."""

    memory: npt.NDArray[Any]
    freed: bool

    def flush(self) -> None:
        self.memory[:] = np.asarray(self)

    def invalidate(self) -> None:
        np.asarray(self)[:] = self.memory

    def freebuffer(self) -> None:
        self.freed = True


def allocate(shape: tuple[int, ...], dtype: Any) -> Buffer:
    """As ``pynq.allocate``."""
    buffer = np.zeros(shape, dtype).view(Buffer)
    buffer.memory = np.full(shape, -1, np.int64).astype(dtype)  # whatever was there
    buffer.freed = False
    return buffer


class SimulatedAxi:
    """A design that was reset: its registers, with the interface of ``pynq.DefaultIP``, and in
    ``dma`` the DMA beside it. Time passes in accesses, and while transfers are asked about.

    ``stall``: of 256 cycles, how many the streams rest.
    """

    def __init__(self, built: BuiltAxi, *, stall: int = 0, seed: int = 1):
        self.built = built
        with working_in(built.folder.name):
            self.handle = built.library.nc_axi_new(stall, seed)
        self.dma = SimulatedDma(self)

    def read(self, offset: int) -> int:
        """Raises ``RuntimeError`` for a response that is not OKAY, as a processor's bus does."""
        value = ctypes.c_uint32()
        if self.built.library.nc_axi_read(self.handle, offset, ctypes.byref(value)):
            raise RuntimeError(f"bus error at {offset:#x}")
        return value.value

    def write(self, offset: int, value: int) -> None:
        """Raises ``RuntimeError`` for a response that is not OKAY."""
        if self.built.library.nc_axi_write(self.handle, offset, value):
            raise RuntimeError(f"bus error at {offset:#x}")

    def wait(self, cycles: int) -> None:
        """Let time pass."""
        self.built.library.nc_axi_run(self.handle, cycles)

    def close(self) -> None:
        if self.handle is not None:
            self.built.library.nc_axi_free(self.handle)
            self.handle = None


class SimulatedDma:
    """An AXI DMA in direct register mode, with the interface of ``pynq.lib.DMA``."""

    def __init__(self, axi: SimulatedAxi):
        self.axi = axi
        self.sendchannel = SendChannel(axi)
        self.recvchannel = ReceiveChannel(axi)

    def write(self, offset: int, value: int) -> None:
        """The control register, and of it the reset; nothing else is simulated."""
        if (offset, value) != (0, 4):
            raise NotImplementedError(f"DMA register {offset:#x}")
        self.axi.built.library.nc_axi_stop(self.axi.handle)
        for channel in (self.sendchannel, self.recvchannel):
            channel.running = channel.busy = False

    def read(self, offset: int) -> int:
        """The control register: a reset is over at once."""
        if offset:
            raise NotImplementedError(f"DMA register {offset:#x}")
        return 0


class Channel:
    """What both channels do. A channel that is not running takes no transfer."""

    def __init__(self, axi: SimulatedAxi):
        self.axi = axi
        self.running = True
        self.busy = False
        self.buffer: Buffer | None = None

    def start(self) -> None:
        self.running = True

    @property
    def idle(self) -> bool:
        self.axi.wait(POLL)
        return self.running and not (self.busy and self._goes_on())

    def wait(self) -> None:
        if not self.running:
            raise RuntimeError("DMA channel not started")
        while not self.idle:
            if not self.running:
                raise RuntimeError("DMA channel stopped")
        self.busy = False

    def _begin(self, buffer: Buffer) -> None:
        if not self.running:
            raise RuntimeError("DMA channel not started")
        if self.busy and self._goes_on():
            raise RuntimeError("DMA channel not idle")
        if buffer.freed:
            raise RuntimeError("the memory of this buffer was given back")
        self.buffer, self.busy = buffer, True

    def _goes_on(self) -> bool:
        raise NotImplementedError


class SendChannel(Channel):
    """From memory to the stream; TLAST comes with the last beat of a transfer."""

    def transfer(self, buffer: Buffer, start: int = 0, nbytes: int = 0) -> None:
        self._begin(buffer)
        buffer.flush()
        beats = buffer.memory.view(f"<u{self.axi.built.in_bytes}")
        size = self.axi.built.in_bytes
        end = (start + nbytes if nbytes else buffer.nbytes) // size
        chosen = np.ascontiguousarray(beats[start // size:end], np.uint64)
        self.axi.built.library.nc_axi_send(self.axi.handle, chosen.ctypes.data, len(chosen))

    def _goes_on(self) -> bool:
        return bool(self.axi.built.library.nc_axi_sending(self.axi.handle))


class ReceiveChannel(Channel):
    """From the stream to memory, until TLAST. A packet that is longer than its transfer stops the
    channel."""

    def transfer(self, buffer: Buffer, start: int = 0, nbytes: int = 0) -> None:
        self._begin(buffer)
        size = (nbytes or buffer.nbytes - start) // OUT_BYTES
        self.axi.built.library.nc_axi_receive(self.axi.handle, size)

    def wait(self) -> None:
        super().wait()
        place = ctypes.c_void_p()
        n = self.axi.built.library.nc_axi_take(self.axi.handle, ctypes.byref(place))
        assert self.buffer is not None
        if n:
            self.buffer.memory.view("<u8")[:n] = np.frombuffer(
                ctypes.string_at(place, OUT_BYTES * n), "<u8")
        self.buffer.invalidate()

    def _goes_on(self) -> bool:
        state = int(self.axi.built.library.nc_axi_received(self.axi.handle))
        if state == OVERRUN:
            self.running = False
        return state != RECEIVED
