"""Runs a network on a board: the simulator's samples over a UART."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from neurocompile.diagnostics import fail
from neurocompile.ir.program import Program
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.floating import Progress
from neurocompile_backends.rtl.host.link import (
    CREDIT,
    NOTHING,
    RESET,
    SEND_END,
    SEND_FLIT,
    SEND_HELLO,
    SEND_STATUS,
    TAG_BITS,
    Decoder,
    Link,
    bytes_of,
)
from neurocompile_backends.rtl.host.words import loading_words, words_of

Ints = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]

TRIES = 3
"""How often a board is greeted: noise may have eaten the first greeting."""


BITS_OF_A_BYTE = 10
"""On the wire: start, data, stop."""

MIN_BYTES = 4096
"""Noise that is waited through in any case: what a machine may have kept of an earlier run."""


class Port(Protocol):
    """A serial port, as pyserial has it. ``read`` returns at least one byte, or none after
    ``timeout`` seconds."""

    timeout: float | None

    @property
    def in_waiting(self) -> int: ...
    def read(self, size: int = 1, /) -> bytes: ...
    def write(self, data: bytes, /) -> Any: ...
    def reset_input_buffer(self) -> None: ...
    def close(self) -> None: ...


def open_port(name: str, baud: int) -> Port:
    """The serial port of the machine. Raises ``CompileError``: E873 (pyserial is missing), E877
    (the port cannot be opened)."""
    try:
        serial = import_module("serial")
        listed = import_module("serial.tools.list_ports")
    except ImportError:
        raise fail("E873", "pyserial", "serial ports are opened by pyserial, which is not "
                   "installed", hint="pip install pyserial") from None
    try:
        return cast(Port, serial.Serial(name, baud))
    except (OSError, ValueError) as error:  # pyserial's own is an OSError
        there = sorted(port.device for port in listed.comports())
        raise fail("E877", name, "this serial port cannot be opened", got=str(error),
                   limit=", ".join(there) or "the machine has none",
                   hint="to use one, a user may have to be in the group dialout") from error


@contextmanager
def _port_there() -> Iterator[None]:
    """Raises ``CompileError``: E877, where the port goes away."""
    try:
        yield
    except OSError as error:
        raise fail("E877", "board", "the serial port went away", got=str(error),
                   hint="see that the cable is in, and open it again") from error


@dataclass(frozen=True)
class _Memory:
    content: bytes

    def lines(self) -> str:
        return self.content.decode("ascii")


@dataclass(frozen=True, eq=False)
class _Core:
    index: int
    parameters: Mapping[str, int]
    images: Mapping[str, _Memory]
    slot: Ints


@dataclass(frozen=True, eq=False)
class Description:
    """What the files of a design for a board tell its host. It serves ``host.words.words_of`` in
    place of a ``ChipPlan``."""

    program: Program
    cores: tuple[_Core, ...]
    place_bits: int
    number_bits: int
    payload_bits: int
    value_bits: int
    outputs: Mapping[str, int]
    link: Link
    baud: int

    @staticmethod
    def load(folder: str | Path, program: Program) -> Description:
        """As :meth:`of`, of files in a folder, where `build --board` put them. Raises
        ``CompileError``: E871 (another network's), E878 (the folder of no board)."""
        root = Path(folder)
        try:
            names = ("rtl.json", *(f"mem/{p.name}" for p in root.glob("mem/*_dense_init.hex")))
            files = {name: (root / name).read_bytes() for name in names}
            if json.loads(files["rtl.json"])["network"] != program.network:
                raise fail("E871", str(root), "this bitstream is of another network than the "
                           "program", hint="build again, or name the folder of this build")
            return Description.of(files, program)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise fail("E878", str(root), "the files of a board are not here, or damaged",
                       got=str(error), hint="neurocompile build BUILD --board NAME") from error

    @staticmethod
    def of(files: Mapping[str, bytes], program: Program) -> Description:
        """Of the files that ``board.board_files`` makes; ``program`` is what they were made of."""
        rtl = json.loads(files["rtl.json"])
        word = rtl["word"]
        cores = tuple(
            _Core(i, parameters,
                  {"DENSE_INIT": _Memory(files.get(f"mem/core{i}_dense_init.hex", b""))},
                  np.array(rtl["slots"].get(str(i), ()), np.int64))
            for i, parameters in enumerate(rtl["cores"]))
        return Description(program, cores, word["core"], word["number"], rtl["link"]["payload"],
                           word["value"], rtl["outputs"], Link(**rtl["link"]),
                           rtl["board"]["baud"])


@dataclass(frozen=True, eq=False)
class BoardRun:
    """What a board did.

    s
        By output population: what each neuron sent, [sample, chip step, neuron], as in the ``s`` of
        every other executor. Outputs that are inputs too are not on the chip and not in it.
    cycles
        Of the chip's clock, [sample, chip step], from a step's start to the next's. A step is not
        over before the host's next word, so this is the longer of what the network takes and what
        the wire takes.
    """

    s: dict[str, Int32s]
    cycles: Ints


class BoardHost:
    """A host of a board. ``timeout_s``: after how long without a byte a board is taken for dead;
    it has to be longer than the longest step.

    The board holds no state between runs but memories that the host fills once (SPRAM): after a
    power cycle make a new one.
    """

    def __init__(self, port: Port, description: Description, *, timeout_s: float = 5.0):
        self.port = port
        self.description = description
        self.timeout_s = timeout_s
        self._tag = 0
        self._loaded = False
        self._decoder = Decoder(description.link)
        self._owed = 0  # bytes that the chip has not given credit for

    @classmethod
    def open(cls, name: str, description: Description, *, timeout_s: float = 5.0) -> BoardHost:
        """At a serial port of the machine. Raises ``CompileError``: E873 (pyserial is missing),
        E877 (it cannot be opened)."""
        return cls(open_port(name, description.baud), description, timeout_s=timeout_s)

    def __enter__(self) -> BoardHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.port.close()

    def run(self, encoded: EncodedInput, *, progress: Progress | None = None) -> BoardRun:
        """All samples one after another, on a chip that is reset first.

        Raises ``CompileError``: E870 (no answer), E871 (another network), E872 (bytes were lost),
        E877 (the port went away).
        """
        d = self.description
        total = encoded.n_steps + d.program.latency
        sizes = dict(zip(d.program.symbols.populations, d.program.symbols.sizes, strict=True))
        s = {name: np.zeros((encoded.n_samples, total, sizes[name]), np.int32)
             for name in d.outputs}
        cycles = np.zeros((encoded.n_samples, total), np.int64)
        # Numbers of neurons at the host, in order; outputs are disjoint ranges of them.
        numbers = np.zeros((total, sum(sizes[name] for name in d.outputs)), np.int32)
        self.connect()
        for sample in range(encoded.n_samples):
            numbers[:] = 0
            with _port_there():
                self._exchange(bytes_of(d.link, words_of(d, encoded, sample, total)),
                               cycles[sample], numbers)
            for name, first in d.outputs.items():
                s[name][sample] = numbers[:, first:first + sizes[name]]
            if progress is not None:
                progress(sample + 1)
        return BoardRun(s, cycles)

    def connect(self) -> None:
        """Reset the chip, see that it is the network of the description, and fill the memories that
        its bitstream does not. Raises ``CompileError``: E870, E871, E872, E877."""
        with _port_there():
            self._connect()

    def _connect(self) -> None:
        got, before = None, None
        for _ in range(TRIES):
            got = self._greet()
            if got is not None and got in (self.description.link.id, before):
                break  # another network is believed when it says so twice: noise can say anything
            before = got
        else:
            got = None
        if got is None:
            raise fail("E870", "board", "nobody answers at this port",
                       hint="see that the bitstream is loaded, and port and baud are right")
        if got != self.description.link.id:
            raise fail("E871", "board", "the board has another network than the program",
                       got=f"{got:08x}", limit=f"{self.description.link.id:08x}",
                       hint="load the bitstream of this build")
        self.port.timeout = self.timeout_s
        if not self._loaded:
            words = loading_words(self.description)
            self._exchange(bytes_of(self.description.link, words), np.zeros(0, np.int64),
                           np.zeros((0, 0), np.int32))
            self._loaded = True

    def _greet(self) -> int | None:
        """Reset and wait for the greeting with this tag; older ones are those of older resets."""
        self._tag = self._tag % ((1 << TAG_BITS) - 1) + 1
        self._decoder = Decoder(self.description.link)
        self._owed = 0
        self.port.timeout = self.timeout_s / TRIES
        self.port.reset_input_buffer()
        self.port.write(bytes([RESET | self._tag << 3]))
        left = self._bytes_in(self.timeout_s / TRIES)
        while left > 0 and (data := self.port.read(max(1, self.port.in_waiting))):
            left -= len(data)
            for kind, tag, network in self._decoder.feed(data):
                if kind == SEND_HELLO and tag == self._tag:
                    self._decoder.damaged = 0  # the reset cut off what was being said
                    return network
        return None

    def _bytes_in(self, seconds: float) -> int:
        """What the wire brings at most in this time: more without what was waited for is noise, and
        a port that never falls silent is no reason to wait for ever."""
        return max(MIN_BYTES, int(seconds * self.description.baud / BITS_OF_A_BYTE))

    def _exchange(self, data: bytes, cycles: Ints, numbers: Int32s) -> None:
        """Send ``data`` as the chip gives credit, and receive until every step has ended."""
        buffer = self.description.link.buffer
        at = step = 0
        left = self._bytes_in(self.timeout_s)  # until a step ends or bytes are taken
        while at < len(data) or step < len(cycles):
            chunk = data[at:at + buffer - self._owed]
            if chunk:
                self.port.write(chunk)
                at += len(chunk)
                self._owed += len(chunk)
                if at == len(data) and step == len(cycles):
                    return
            got = self.port.read(max(1, self.port.in_waiting))
            if not got:
                raise fail("E870", "board", "the board stopped answering",
                           got=f"step {step} of {len(cycles)} did not end in {self.timeout_s:g} s",
                           hint="see that board and cable have power; BoardHost takes timeout_s, "
                           "where steps are that long")
            left -= len(got)
            for kind, first, second in self._decoder.feed(got):
                if kind == SEND_FLIT and step < len(cycles) and first < numbers.shape[1]:
                    numbers[step, first] += second
                elif kind == SEND_END and step < len(cycles):
                    cycles[step] = first
                    step += 1
                    left = self._bytes_in(self.timeout_s)
                elif kind == SEND_STATUS and first == CREDIT and self._owed >= buffer // 2:
                    self._owed -= buffer // 2
                    left = self._bytes_in(self.timeout_s)
                elif kind == SEND_STATUS and first == NOTHING:
                    continue  # a filler
                else:
                    raise _lost(step, len(cycles))
            if self._decoder.damaged or left <= 0:
                raise _lost(step, len(cycles))


def _lost(step: int, steps: int) -> Exception:
    return fail("E872", "board", "bytes were lost or damaged between host and board",
                got=f"in step {step} of {steps}",
                hint="run again; if it happens again, lower the baud rate or check the cable")
