"""Runs a network on the programmable logic of a Zynq, under PYNQ.

UNTESTED ON A BOARD: it was run against the same hardware under Verilator, with a simulated DMA.

This file needs NumPy and, for ``PynqHost.open``, pynq; nothing else of neurocompile. It lies in a
folder with ``rtl.json`` and ``network.npz``, which ``neurocompile build`` writes. ``run`` takes
what ``neurocompile.reference.encode.encode_inputs`` gives; ``save_encoded`` and ``Encoded.load``
bring it to the board::

    from pynq_driver import Encoded, PynqHost
    with PynqHost.open("network.bit") as board:
        run = board.run(Encoded.load("data.npz"))
    run.s    # by output [sample, step, neuron]; run.cycles [sample, step]
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Of nc_axil.
ID, VERSION, NETWORK, WIDTHS, CONTROL, STATUS, FAULT = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18
COUNTERS = {"cycles": 0x20, "steps": 0x28, "samples": 0x30, "flits": 0x38, "sent": 0x40,
            "starved": 0x48, "blocked": 0x50}
MAGIC = 0x4E434158
ENABLE, RESET, ZERO = 1, 2, 4
BUSY, DRAINING = 2, 8
FAULTS = ("a packet ended within a sample", "a word came when it could not be taken",
          "a word was for a core that does not exist", "a beat was not whole")

# Of nc_control and nc_axis.
FLIT, STEP, END, LOAD = range(4)
KIND_BITS = 3
END_BIT, ABORTED_BIT = 63, 62
NUMBER_MASK = (1 << 30) - 1

# Of the AXI DMA (AMD PG021): the control register of its first channel resets both.
DMACR, DMA_RESET = 0x00, 0x04

Array = Any
"""Of NumPy; old versions, as boards have them, have no types for it."""


class BoardError(RuntimeError):
    """The board does not do what it should."""


@dataclass(frozen=True)
class Encoded:
    """Integers for a batch of samples, as ``neurocompile.reference.encode.EncodedInput``:
    ``payloads[input]`` [sample, step, n], one step long where constant; ``biases[population]``
    [sample, n]."""

    n_samples: int
    n_steps: int
    payloads: Mapping[str, Array]
    biases: Mapping[str, Array]

    @staticmethod
    def load(path: str | Path) -> Encoded:
        """Of a file of :func:`save_encoded`."""
        parts: dict[str, dict[str, Array]] = {"payload": {}, "bias": {}}
        with np.load(path, allow_pickle=False) as file:
            samples, steps = (int(n) for n in file["shape"])
            for key in file.files:
                kind, colon, name = key.partition(":")
                if colon:
                    parts[kind][name] = file[key]
        return Encoded(samples, steps, parts["payload"], parts["bias"])


def save_encoded(encoded: Any, path: str | Path) -> None:
    """Write an ``EncodedInput`` for a board."""
    np.savez(path, shape=np.array([encoded.n_samples, encoded.n_steps]),
             **{f"payload:{name}": values for name, values in encoded.payloads.items()},
             **{f"bias:{name}": values for name, values in encoded.biases.items()})


@dataclass(frozen=True)
class BoardRun:
    """What a board did.

    s
        By output population: what each neuron sent, [sample, chip step, neuron].
    cycles
        Of the chip's clock, [sample, chip step], from a step's start to the next's: those of the
        network, longer where the DMA was slower than it.
    """

    s: dict[str, Array]
    cycles: Array


class Network:
    """What the host knows of a network: ``rtl.json`` and ``network.npz`` of a folder."""

    def __init__(self, folder: str | Path):
        root = Path(folder)
        rtl = json.loads((root / "rtl.json").read_text("utf-8"))
        word, host = rtl["word"], rtl["host"]
        self.id: int = rtl["axi"]["network"]
        self.in_bytes: int = rtl["axi"]["in_bytes"]
        self.at_axon: int = KIND_BITS + word["core"]
        self.at_value: int = self.at_axon + word["number"]
        self.value_mask: int = (1 << word["value"]) - 1
        self.payload_mask: int = (1 << host["payload"]) - 1
        self.latency: int = host["latency"]
        self.inputs: list[dict[str, Any]] = host["inputs"]
        self.outputs: list[dict[str, Any]] = host["outputs"]
        self.loaded: list[int] = host["loaded"]
        self.populations: list[str] = host["populations"]
        with np.load(root / "network.npz", allow_pickle=False) as file:
            self.tables: dict[str, Array] = {key: file[key] for key in file.files}

    @property
    def loading(self) -> Array:
        """Words that fill memories which the bitstream does not, once."""
        return self.tables["loading"]

    @property
    def numbers(self) -> int:
        """Of output neurons."""
        return sum(output["size"] for output in self.outputs)

    def words_of(self, encoded: Any, sample: int) -> Array:
        """Of a sample, [word] uint64: biases, then STEP and the flits of each step, then END."""
        steps = encoded.n_steps + self.latency
        step, flits = self._flits(encoded, sample)
        begins = np.arange(steps)
        # A step's word comes before its flits: ordered by step, then by what came first here.
        order = np.argsort(np.concatenate([2 * begins, 2 * step + 1]), kind="stable")
        words = np.concatenate([np.full(steps, STEP, np.int64), flits])[order]
        return np.concatenate([*self._biases(encoded, sample), words,
                               np.array([END], np.int64)]).astype(np.uint64)

    def _flits(self, encoded: Any, sample: int) -> tuple[Array, Array]:
        """Step and word of every flit, inputs one after another."""
        steps, words = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for i, port in enumerate(self.inputs):
            first, core, axon = (self.tables[f"{name}_{i}"] for name in ("first", "core", "axon"))
            values = np.asarray(encoded.payloads[port["name"]][sample], np.int64)
            if len(values) == 1 and encoded.n_steps != 1:  # constant over the sample
                values = np.repeat(values, encoded.n_steps, axis=0)
            step, element = np.nonzero(values)
            payload = values[step, element]
            count = first[element + 1] - first[element]
            if port["parallel"] > 1:  # k spikes take the first k of an element's equal parts
                count = count // port["parallel"] * payload
                payload = np.ones_like(payload)
            nth = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
            record = np.repeat(first[element], count) + nth
            steps.append(np.repeat(step, count))
            words.append(FLIT | core[record] << KIND_BITS | axon[record] << self.at_axon
                         | (np.repeat(payload, count) & self.payload_mask) << self.at_value)
        return np.concatenate(steps), np.concatenate(words)

    def _biases(self, encoded: Any, sample: int) -> list[Array]:
        """The words that load the biases of each core that takes them."""
        found = []
        for core in self.loaded:
            slot, bias, population, element = (self.tables[f"{name}_{core}"] for name in (
                "slot", "bias", "population", "element"))
            bias = bias.copy()
            for name, extra in encoded.biases.items():
                if name in self.populations:
                    own = population == self.populations.index(name)
                    bias[own] += np.asarray(extra[sample], np.int64)[element[own]]
            found.append(LOAD | core << KIND_BITS | slot << self.at_axon
                         | (bias & self.value_mask) << self.at_value)
        return found


class PynqHost:
    """A host of a network behind ``nc_axi_top``.

    ``registers``: ``read(offset)`` and ``write(offset, value)`` of its AXI4-Lite bus; ``dma``: a
    ``pynq.lib.DMA``; ``allocate``: ``pynq.allocate``. ``timeout_s``: how long a sample may take.
    """

    def __init__(self, registers: Any, dma: Any, allocate: Callable[..., Any],
                 folder: str | Path, *, timeout_s: float = 10.0):
        self.registers, self.dma, self.allocate = registers, dma, allocate
        self.network = Network(folder)
        self.timeout_s = timeout_s
        self._loaded = False
        self._buffers: dict[str, Any] = {}

    @classmethod
    def open(cls, bitstream: str, folder: str | Path | None = None) -> PynqHost:
        """Load a bitstream of ``block_design.tcl``; ``folder``: where ``network.npz`` is, beside
        this file if not stated."""
        from pynq import Overlay, allocate  # type: ignore[import-not-found,unused-ignore]

        overlay = Overlay(bitstream)
        return cls(overlay.network, overlay.dma, allocate, folder or Path(__file__).parent)

    def __enter__(self) -> PynqHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the memory of the DMA's buffers."""
        for buffer in self._buffers.values():
            buffer.freebuffer()
        self._buffers = {}

    def run(self, encoded: Any, *, progress: Callable[[int], None] | None = None) -> BoardRun:
        """All samples one after another, on a chip that is reset first; ``encoded``: an
        :class:`Encoded`, or neurocompile's own. Raises :class:`BoardError`."""
        network = self.network
        steps = encoded.n_steps + network.latency
        s = {output["name"]: np.zeros((encoded.n_samples, steps, output["size"]), np.int32)
             for output in network.outputs}
        cycles = np.zeros((encoded.n_samples, steps), np.int64)
        self.connect()
        for sample in range(encoded.n_samples):
            beats = self._exchange(network.words_of(encoded, sample), steps)
            numbers, cycles[sample] = decode(beats, steps, network.numbers)
            for output in network.outputs:
                first = output["first"]
                s[output["name"]][sample] = numbers[:, first:first + output["size"]]
            if progress is not None:
                progress(sample + 1)
        return BoardRun(s, cycles)

    def counters(self) -> dict[str, int]:
        """Since the last :meth:`run` began: ``cycles``, ``steps``, ``samples``, ``flits`` (from the
        host), ``sent`` (beats to it), ``starved`` and ``blocked`` (cycles that the host let the
        streams wait)."""
        found = {}
        for name, at in COUNTERS.items():
            low = self.registers.read(at)  # keeps the upper half
            found[name] = low | self.registers.read(at + 4) << 32
        return found

    def connect(self) -> None:
        """Reset the chip, see that it is this network, and fill the memories that its bitstream
        does not. Raises :class:`BoardError`."""
        if self.registers.read(ID) != MAGIC:
            raise BoardError(f"no network at this address: its ID reads "
                             f"{self.registers.read(ID):08x} and not {MAGIC:08x}")
        got = self.registers.read(NETWORK)
        if got != self.network.id:
            raise BoardError(f"another network is on the board: {got:08x} and not "
                             f"{self.network.id:08x}; load the bitstream of this build")
        self._reset()
        if not self._loaded and len(self.network.loading):
            self._send(self.network.loading)
            self._wait(self.dma.sendchannel, "loading")
        self._loaded = True

    def _reset(self) -> None:
        """The network, the DMA, and whatever an earlier run left between them."""
        registers = self.registers
        registers.write(CONTROL, ENABLE | RESET | ZERO)
        self._until(lambda: not registers.read(CONTROL) & RESET, "the reset does not end")
        self.dma.write(DMACR, DMA_RESET)
        self._until(lambda: not self.dma.read(DMACR) & DMA_RESET, "the DMA's reset does not end")
        self.dma.sendchannel.start()
        self.dma.recvchannel.start()
        if registers.read(STATUS) & DRAINING:  # for the end of a packet that the DMA has forgotten
            registers.write(CONTROL, ENABLE | RESET | ZERO)
            self._until(lambda: not registers.read(CONTROL) & RESET, "the reset does not end")
        while registers.read(STATUS) & BUSY:  # the rest of a packet that nobody took
            self._receive(4)
            self._wait(self.dma.recvchannel, "what was left of an earlier run")
        registers.write(FAULT, (1 << len(FAULTS)) - 1)

    def _exchange(self, words: Array, steps: int) -> Array:
        """Send a sample; the packet that answers it, padded with zeros."""
        received = self._receive(steps * (self.network.numbers + 1))
        self._send(words)
        self._wait(self.dma.recvchannel, "receiving")  # first: where it stops, sending never ends
        self._wait(self.dma.sendchannel, "sending")
        fault = self.registers.read(FAULT)
        if fault:
            said = [text for i, text in enumerate(FAULTS) if fault >> i & 1]
            raise BoardError("the chip found fault with what it was sent: " + "; ".join(said))
        return np.array(received)

    def _send(self, words: Array) -> None:
        beats = words.astype(f"<u{self.network.in_bytes}")
        buffer = self._buffer("send", len(beats), beats.dtype)
        buffer[:len(beats)] = beats
        self.dma.sendchannel.transfer(buffer, nbytes=beats.nbytes)

    def _receive(self, beats: int) -> Any:
        """A transfer of at most so many beats; a packet may be shorter, and zeros tell."""
        buffer = self._buffer("receive", beats, np.dtype("<u8"))
        buffer[:] = 0
        buffer.flush()  # or the cache writes the zeros over what the DMA brings
        self.dma.recvchannel.transfer(buffer)
        return buffer

    def _buffer(self, name: str, size: int, dtype: Any) -> Any:
        """One for all samples, made anew where it is too small."""
        kept = self._buffers.get(name)
        if kept is None or len(kept) < size:
            if kept is not None:
                kept.freebuffer()
            kept = self._buffers[name] = self.allocate(shape=(size,), dtype=dtype)
        return kept

    def _wait(self, channel: Any, what: str) -> None:
        self._until(lambda: channel.idle or not channel.running, f"{what} does not end")
        if not channel.running:
            raise BoardError(f"{what}: the DMA stopped with an error")
        channel.wait()  # it is over; this makes the processor see what the DMA wrote

    def _until(self, met: Callable[[], bool], otherwise: str) -> None:
        end = time.monotonic() + self.timeout_s
        while not met():
            if time.monotonic() > end:
                raise BoardError(f"{otherwise} ({self.timeout_s:g} s)")


def decode(beats: Array, steps: int, numbers: int) -> tuple[Array, Array]:
    """A packet: what each output neuron sent [step, number], and cycles [step].

    Raises :class:`BoardError` where it does not end so many steps.
    """
    ends = np.flatnonzero(beats >> np.uint64(END_BIT))
    if np.any(beats >> np.uint64(ABORTED_BIT) & np.uint64(1)):
        raise BoardError("the chip was reset within this sample")
    if len(ends) != steps:
        raise BoardError(f"the answer to a sample has {len(ends)} steps and not {steps}")
    beats = beats[:ends[-1] + 1]
    value = (beats & np.uint64(0xFFFFFFFF)).astype(np.uint32).view(np.int32)
    number = (beats >> np.uint64(32) & np.uint64(NUMBER_MASK)).astype(np.int64)
    step = np.cumsum(beats >> np.uint64(END_BIT)).astype(np.int64)
    flit = np.ones(len(beats), bool)
    flit[ends] = False
    if np.any(number[flit] >= numbers):
        raise BoardError("a beat is from an output that this network does not have")
    sent = np.zeros((steps, numbers), np.int32)
    np.add.at(sent, (step[flit], number[flit]), value[flit])
    return sent, value[ends].view(np.uint32).astype(np.int64)
