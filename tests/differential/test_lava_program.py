"""The emitted program by itself: no neurocompile, only its own command line."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import contracts
import datasets
import numpy as np
import pytest
from test_integers import _golden_build

import neurocompile as nc
from neurocompile.backend import Bundle
from neurocompile.contract import load_contract
from neurocompile.ir.contract import InputBinding
from neurocompile.ir.network import Network, Population, Port, Projection
from neurocompile.ir.transforms import Dense
from neurocompile.models import LI, LIF, Source
from neurocompile_backends.lava.environment import interpreter


def write(bundle: Bundle, folder: Path) -> Path:
    for name, data in bundle.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder / "program.py"


def run_alone(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Nothing of this process's environment or packages reaches it."""
    return subprocess.run([str(interpreter()), "-E", "-s", str(program), *map(str, arguments)],
                          capture_output=True, text=True, timeout=120, check=False)


def succeed(program: Path, *arguments: object) -> None:
    done = run_alone(program, *arguments)
    assert done.returncode == 0, done.stderr


def read(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def test_the_program_meets_the_published_trace_in_every_voltage_and_spike(
        data_dir: Path, tmp_path: Path) -> None:
    program = write(_golden_build(data_dir).emit("lava"), tmp_path)
    x, voltage, spikes = datasets.lif_trace("lava_cpu_fixed")
    np.savez(tmp_path / "x.npz", x=x.reshape(1, -1, 1).astype(np.uint8))
    succeed(program, "--input", tmp_path / "x.npz", "--output", tmp_path / "run.npz",
            "--steps", 1000, "--probe", "1:v")
    run = read(tmp_path / "run.npz")
    v, s = run["1:v"].reshape(-1)[:1000], run["output"].reshape(-1)[:1000]
    assert np.array_equal(v, voltage)
    assert np.array_equal(s, spikes)
    assert np.flatnonzero(s).tolist() == [461, 511, 711, 761]


@pytest.mark.parametrize("name", ["digits", "mnist_mlp", "mnist_cnn", "fsdd_delay"])
def test_the_program_gives_what_simulate_gives(name: str, tmp_path: Path) -> None:
    """From the user's own data: it encodes them itself."""
    recorded = contracts.recording(name, 3)
    build = nc.compile(recorded.network, "loihi2", contract=contracts.contract_of(name, recorded))
    np.savez(tmp_path / "x.npz", x=recorded.x)
    probe = build.quantized.populations[-1].name
    nc.simulate(build, recorded.x, probes=[f"{probe}:v"]).save(tmp_path / "expected.npz")
    program = write(build.emit("lava"), tmp_path / "program")
    succeed(program, "--input", tmp_path / "x.npz", "--output", tmp_path / "run.npz",
            "--probe", f"{probe}:v")
    same(read(tmp_path / "expected.npz"), read(tmp_path / "run.npz"))


def test_graded_inputs_hostile_names_and_a_readout_come_through(tmp_path: Path) -> None:
    names = ("in'); import os #", 'a"""\nb', "lambda", "\u00e9 \U0001f600")
    network = hostile(names)
    contract = replace(load_contract("snntorch-zero", dt_s=1e-4), inputs={
        "*": InputBinding("graded", maximum=1.0, minimum=-1.0)})
    build = nc.compile(network, "loihi2", contract=contract)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 9, 3))
    np.savez(tmp_path / "x.npz", x=x)
    nc.simulate(build, x, probes=[f"{names[1]}:u"]).save(tmp_path / "expected.npz")
    program = write(build.emit("lava"), tmp_path / "program")
    succeed(program, "--input", tmp_path / "x.npz", "--output", tmp_path / "run.npz",
            "--probe", f"{names[1]}:u")
    same(read(tmp_path / "expected.npz"), read(tmp_path / "run.npz"))


def hostile(names: tuple[str, str, str, str]) -> Network:
    """An input, two hidden populations and a readout."""
    rng = np.random.default_rng(1)
    one = np.ones(4)
    lif = LIF(one * 1e-3, one, one * 0, one * 0.1, one * 0)
    populations = (
        Population(names[0], (3,), Source(3)), Population(names[1], (4,), lif),
        Population(names[2], (4,), lif), Population(names[3], (2,), LI(
            np.full(2, 1e-3), np.ones(2), np.zeros(2))))
    sizes = (3, 4, 4, 2)
    projections = tuple(
        Projection(f"{a}->{b}", a, b, (Dense(rng.normal(0.3, 0.5, (n, m)), (m,), (n,)),), False,
                   ("w",))
        for a, b, m, n in zip(names, names[1:], sizes, sizes[1:], strict=False))
    return Network(populations, projections, (), (Port(names[0], names[0], (3,)),),
                   (Port("out", names[3], (2,)),), (("made", "by a test"),))


def same(expected: dict[str, Any], got: dict[str, Any]) -> None:
    assert sorted(expected) == sorted(got)
    for name, values in expected.items():
        assert np.array_equal(values, got[name]), name


@pytest.mark.parametrize(("data", "arguments", "said"), [
    ({"x": np.zeros((1, 4, 5))}, (), "wanted [sample, step, *(64,)]"),
    ({"x": np.zeros((1, 64))}, (), "--steps says how long it is shown"),
    ({"x": np.full((1, 4, 64), 2.0)}, (), "lies outside 0 to 1"),
    ({"x": np.full((1, 4, 64), np.nan)}, (), "something else than finite numbers"),
    ({"x": np.arange(256).reshape(1, 4, 64) / 256}, (), "changes over a sample"),
    ({"y": np.zeros((1, 4, 64))}, (), "hold no array for input 'input'"),
    ({"x": np.zeros((1, 4, 64))}, ("--steps", 5), "--steps says 5"),
    ({"x": np.zeros((1, 4, 64))}, ("--probe", "nobody:v"), "there is no such probe"),
])
def test_wrong_data_are_refused_in_one_line(data: dict[str, Any], arguments: tuple[object, ...],
                                            said: str, tmp_path: Path) -> None:
    recorded = contracts.recording("digits", 1)
    build = nc.compile(recorded.network, "loihi1",
                       contract=contracts.contract_of("digits", recorded))
    program = write(build.emit("lava"), tmp_path)
    np.savez(tmp_path / "x.npz", **data)
    done = run_alone(program, "--input", tmp_path / "x.npz", "--output", tmp_path / "run.npz",
                     *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run.npz").exists()


STAND_IN = """
import sys
import types

if __name__ == "__main__":
    sys.path.insert(0, sys.argv.pop(1))
    import program
    from bridges import NxToPyAdapter, PyToNxAdapter
    from lava.magma.core.run_configs import Loihi2SimCfg
    from support import main, running

    module = types.ModuleType("lava.proc.embedded_io.spike")
    module.NxToPyAdapter, module.PyToNxAdapter = NxToPyAdapter, PyToNxAdapter
    sys.modules["lava.proc.embedded_io"] = types.ModuleType("lava.proc.embedded_io")
    sys.modules["lava.proc.embedded_io.spike"] = module
    running.Loihi2HwCfg = lambda: Loihi2SimCfg(select_tag="fixed_pt")
    sys.exit(main(program))
"""
BRIDGES = """
import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Bridge(AbstractProcess):
    def __init__(self, *, shape, num_message_bits=0):
        super().__init__(shape=shape, num_message_bits=num_message_bits)
        self.inp, self.out = InPort(shape=shape), OutPort(shape=shape)


@implements(proc=Bridge, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyBridge(PyLoihiProcessModel):
    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def run_spk(self):
        self.out.send(self.inp.recv())


NxToPyAdapter = PyToNxAdapter = Bridge
"""


@pytest.mark.parametrize("name", ["digits", "mnist_mlp"])
def test_the_hardware_switch_wires_every_sample_through_intels_adapters(
        name: str, tmp_path: Path) -> None:
    """lava-loihi is not public: stand-ins with its adapters' ports show the wiring, no chip."""
    recorded = contracts.recording(name, 2)
    build = nc.compile(recorded.network, "loihi2", contract=contracts.contract_of(name, recorded))
    program = write(build.emit("lava"), tmp_path / "program")
    (tmp_path / "own/bridges").mkdir(parents=True)
    (tmp_path / "own/bridges/__init__.py").write_text(BRIDGES)
    (tmp_path / "own/stand_in.py").write_text(STAND_IN)
    np.savez(tmp_path / "x.npz", x=recorded.x)
    succeed(tmp_path / "own/stand_in.py", program.parent, "--hardware", "--input",
            tmp_path / "x.npz", "--output", tmp_path / "run.npz")
    expected = nc.simulate(build, recorded.x).outputs["output"]
    assert expected.any()
    assert np.array_equal(read(tmp_path / "run.npz")["output"], expected)


def test_without_lava_loihi_the_hardware_switch_says_what_is_missing(tmp_path: Path) -> None:
    recorded = contracts.recording("digits", 1)
    build = nc.compile(recorded.network, "loihi1",
                       contract=contracts.contract_of("digits", recorded))
    program = write(build.emit("lava"), tmp_path)
    np.savez(tmp_path / "x.npz", x=recorded.x)
    done = run_alone(program, "--input", tmp_path / "x.npz", "--output", tmp_path / "run.npz",
                     "--hardware")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "--hardware needs Intel's lava-loihi, which this Python does not have" in done.stderr


def broken_files(folder: Path) -> dict[str, Path]:
    """Files that are no data, by what is wrong."""
    np.savez(folder / "good.npz", x=np.zeros((1, 4, 64)))
    good = (folder / "good.npz").read_bytes()
    contents = {"empty": b"", "text": b"hello", "cut": good[:200],
                "damaged": good[:150] + bytes(64) + good[214:]}
    for name, content in contents.items():
        (folder / f"{name}.npz").write_bytes(content)
    np.save(folder / "array.npy", np.zeros((1, 4, 64)))
    with zipfile.ZipFile(folder / "member.npz", "w") as archive:
        archive.writestr("x", b"no array")
    np.savez(folder / "object.npz", x=np.array([{}], dtype=object))
    (folder / "folder.npz").mkdir()
    return {path.stem: path for path in sorted(folder.glob("*.np[yz]")) if path.stem != "good"} | {
        "missing": folder / "missing.npz"}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program, and its data beside it."""
    folder = tmp_path_factory.mktemp("digits")
    recorded = contracts.recording("digits", 300)
    build = nc.compile(recorded.network, "loihi1",
                       contract=contracts.contract_of("digits", recorded))
    np.savez(folder / "x.npz", x=recorded.x)
    return write(build.emit("lava"), folder)


def test_broken_files_are_refused_in_one_line(digits: Path, tmp_path: Path) -> None:
    for name, path in broken_files(tmp_path).items():
        done = run_alone(digits, "--input", path, "--output", tmp_path / "run.npz")
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), (name, done.stderr)


@pytest.mark.parametrize(("output", "said"), [
    ("no/such/run.npz", "is not a folder"), ("folder", "is not a regular file"),
    ("/dev/null", "is not a regular file")])
def test_a_place_that_cannot_be_written_is_refused_before_the_run(
        output: str, said: str, digits: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    done = run_alone(digits, "--input", tmp_path / "not_looked_at", "--output", tmp_path / output)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("steps", ["10000000000", "1" + "0" * 23])
def test_an_impossible_length_is_refused(steps: str, digits: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 64)))
    done = run_alone(digits, "--input", tmp_path / "x.npz", "--output", tmp_path / "run.npz",
                     "--steps", steps)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr


def test_what_does_not_fit_the_disk_is_one_line(digits: Path, tmp_path: Path) -> None:
    """A process of Lava would be killed by it, and the others would wait for it."""
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 8; exec "$@"', "bash", str(interpreter()), str(digits),
         "--input", str(digits.parent / "x.npz"), "--output", str(tmp_path / "run.npz"),
         "--probe", "all"], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "File too large" in done.stderr


@pytest.fixture
def short() -> Iterator[Path]:
    """A temporary folder whose path has room for those of sockets."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as name:
        yield Path(name)


@contextmanager
def heeding_interrupts() -> Iterator[None]:
    """Processes started meanwhile end at SIGINT, whatever this one does."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def running(digits: Path, tmp_path: Path, short: Path) -> Iterator[subprocess.Popen[str]]:
    """The program in the middle of a run, its temporary files in ``short``.

    What a shell runs in the background inherits an ignored SIGINT, which the program would keep.
    """
    with heeding_interrupts():
        program = subprocess.Popen(
            [interpreter(), digits, "--input", digits.parent / "x.npz", "--output",
             tmp_path / "run.npz", "--progress"], stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TMPDIR": str(short)}, start_new_session=True)
    with program as process:
        assert process.stderr is not None
        try:
            while process.stderr.readline() != "sample 3\n":
                assert process.poll() is None
            yield process
        finally:
            process.terminate()  # a test that failed must not wait for it


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_program_and_all_it_started(
        number: int, running: subprocess.Popen[str], tmp_path: Path, short: Path) -> None:
    started = descendants(running.pid)
    assert len(started) > 4
    running.send_signal(number)
    assert running.wait(timeout=30) == 128 + number
    assert [pid for pid in started if alive(pid)] == []
    assert list(short.iterdir()) == []
    assert not (tmp_path / "run.npz").exists()


def test_a_hang_up_that_is_ignored_does_not_end_it(digits: Path, tmp_path: Path) -> None:
    """As under nohup."""
    with subprocess.Popen(
            ["bash", "-c", 'trap "" HUP; exec "$@"', "bash", interpreter(), digits, "--input",
             digits.parent / "x.npz", "--output", tmp_path / "run.npz", "--progress",
             "--samples", "20"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "sample 1\n"
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_the_program_ends_when_a_process_of_lava_dies(running: subprocess.Popen[str],
                                                      short: Path) -> None:
    started = descendants(running.pid)
    assert running.stderr is not None
    os.kill(started[-1], signal.SIGKILL)
    assert running.wait(timeout=30) == 1
    said = running.stderr.read()
    assert "a process of Lava died with status 9" in said
    assert [pid for pid in started if alive(pid)] == []
    assert list(short.iterdir()) == []


def descendants(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob(f"{pid}/task/*/children"):
        for child in map(int, path.read_text().split()):
            found += [child, *descendants(child)]
    return found


def alive(pid: int) -> bool:
    """Is it there and not a zombie that nobody has collected yet?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_long_temporary_folder_does_not_matter(digits: Path, tmp_path: Path) -> None:
    """Lava puts sockets there, whose paths have 108 bytes."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    done = subprocess.run(
        [interpreter(), digits, "--input", digits.parent / "x.npz", "--output",
         tmp_path / "run.npz", "--samples", "2"], env={**os.environ, "TMPDIR": str(long)},
        capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(long.iterdir()) == []
