"""Lava on the command line, end to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_tools import DIGITS, DIGITS_CONTRACT, compile_digits, facts, run, succeed, tree, write_data
from contracts import contract_of
from datasets import digits, mnist_mlp

import neurocompile as nc
from neurocompile_backends.lava.environment import interpreter


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lava_cli")
    compile_digits(path / "build", "--backend", "lava")
    write_data(path / "x.npz", digits(6))
    return path


def test_compile_writes_the_program_and_says_where(tmp_path: Path) -> None:
    result = compile_digits(tmp_path / "b", "-b", "lava")
    assert result.stdout.splitlines()[-1] == (
        f"{tmp_path / 'b' / 'lava'}: README.md, network.npz, program.py, requirements.txt, "
        "support/__init__.py, support/command.py, support/data.py, support/network.py, "
        "support/processes/__init__.py, support/running.py, support/supervisor.py")
    assert (tmp_path / "b/lava/requirements.txt").read_text().splitlines()[0] == "lava-nc==0.10.0"
    known = facts("compile", DIGITS, "-t", "loihi1", "-o", tmp_path / "b", "-c", DIGITS_CONTRACT,
                  "-b", "lava", "-b", "lava")
    assert list(known["bundles"]) == ["lava"]


def test_compiling_twice_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    compile_digits(tmp_path / "b", "--backend", "lava")
    assert tree(tmp_path / "b") == tree(folder / "build")


def test_the_bundle_holds_nothing_of_time_or_place(folder: Path) -> None:
    for path in (folder / "build/lava").rglob("*"):
        assert path.is_dir() or str(folder).encode() not in path.read_bytes()


def test_verify_compares_lava_in_every_state(folder: Path) -> None:
    known = facts("verify", folder / "build", "-i", folder / "x.npz", "--samples", 3,
                  "--backends", "reference,simulator,lava")
    lava = known["reports"][1]
    assert (lava["candidate"], lava["passed"], lava["first_divergence"]) == ("lava", True, None)
    assert [c["name"] for c in lava["checks"]] == ["1:s", "1:u", "1:v", "3:s", "3:u", "3:v"]
    assert all(c["measured"] == 0 for c in lava["checks"])


def test_simulate_by_lava_writes_what_the_simulator_writes(folder: Path, tmp_path: Path) -> None:
    for backend in ("lava", "simulator"):
        succeed("simulate", folder / "build", "-i", folder / "x.npz", "--samples", 2,
                "--backend", backend, "-o", tmp_path / f"{backend}.npz", "--probe", "3:v")
    assert (tmp_path / "lava.npz").read_bytes() == (tmp_path / "simulator.npz").read_bytes()


def test_evaluate_by_lava_agrees_with_the_simulator(folder: Path) -> None:
    by = {name: facts("evaluate", folder / "build", "-d", folder / "x.npz", "--explain", 2,
                      "--backend", name) for name in ("lava", "simulator")}
    assert by["lava"] == by["simulator"]


def test_a_hung_lava_ends_the_command_with_a_message(
        folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROCOMPILE_LAVA_TIMEOUT", "0.01")
    result = run("verify", folder / "build", "-i", folder / "x.npz", "--backends",
                 "simulator,lava")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("E824 lava: the program gave no sign of life and was ended")


def test_check_and_compile_name_what_lava_cannot_say_and_write_nothing(tmp_path: Path) -> None:
    common = (DIGITS, "-t", "generic", "-c", DIGITS_CONTRACT, "-b", "lava")
    checked, compiled = run("check", *common), run("compile", *common, "-o", tmp_path / "b")
    assert (checked.exit_code, compiled.exit_code) == (1, 1)
    assert checked.stderr == compiled.stderr
    assert checked.stderr.startswith("E810 generic: its neurons do not step as Lava's")
    assert not (tmp_path / "b").exists()


def test_a_backend_that_writes_nothing_is_refused(tmp_path: Path) -> None:
    result = run("compile", DIGITS, "-t", "loihi1", "-c", DIGITS_CONTRACT, "-b", "simulator",
                 "-o", tmp_path / "b", "--json")
    (found,) = json.loads(result.stdout)["diagnostics"]
    assert (result.exit_code, found["code"]) == (1, "E804")
    assert not (tmp_path / "b").exists()


COUNTING = """
import sys

if __name__ == "__main__":
    sys.path.insert(0, sys.argv.pop(1))
    import program
    from lava.magma.runtime.runtime import Runtime
    from support import command, main, running

    command.supervised = lambda work: work()  # here, where it can be counted
    running.SIGNAL_ELEMENTS = int(sys.argv.pop(1))
    starts, initialize = [], Runtime.initialize
    Runtime.initialize = lambda self, *a, **k: (starts.append(1), initialize(self, *a, **k))[1]
    status = main(program)
    print(len(starts))
    sys.exit(status)
"""


@pytest.mark.parametrize(("elements", "starts"), [(1 << 25, 1), (2 * 18 * 784, 3)])
def test_a_batch_starts_lava_once_for_as_many_samples_as_a_source_holds(
        elements: int, starts: int, tmp_path: Path) -> None:
    """Samples after the first cost steps and no start: their state is cleared in between."""
    recorded = mnist_mlp(6)
    build = nc.compile(recorded.network, "loihi1",
                       contract=contract_of("mnist_mlp", recorded))
    build.save(tmp_path / "build", [build.emit("lava")])
    write_data(tmp_path / "x.npz", recorded)
    (tmp_path / "own").mkdir()  # Lava executes what lies beside a process's module
    (tmp_path / "own/count.py").write_text(COUNTING)
    done = subprocess.run(
        [interpreter(), tmp_path / "own/count.py", tmp_path / "build/lava", str(elements),
         "--input", tmp_path / "x.npz", "--output", tmp_path / "run.npz"],
        capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, str(starts)), done.stderr
    expected = nc.simulate(build, recorded.x).outputs["output"]
    with np.load(tmp_path / "run.npz") as run_alone:
        assert np.array_equal(run_alone["output"], expected)


def test_a_terminated_command_ends_lava_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "many.npz", x=np.repeat(digits(6).x, 200, axis=0))
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as short, subprocess.Popen(
            [sys.executable, "-m", "neurocompile.cli", "verify", folder / "build", "-i",
             tmp_path / "many.npz", "--backends", "simulator,lava"],
            env={**os.environ, "TMPDIR": short}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True) as command:
        try:
            wait_for(lambda: list(Path(short).glob("*/rec-*")))
            time.sleep(1.0)  # Lava is up by then
            command.send_signal(signal.SIGTERM)
            said = command.communicate(timeout=60)
        finally:
            command.kill()  # a test that failed must not wait for it
        assert (command.returncode, said) == (128 + signal.SIGTERM, ("", ""))
        assert list(Path(short).iterdir()) == []
        assert not [p for p in Path("/proc").glob("[0-9]*/cmdline") if named(p, short)]


def wait_for(seen: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.05)


def named(cmdline: Path, text: str) -> bool:
    try:
        return text.encode() in cmdline.read_bytes()
    except OSError:
        return False
