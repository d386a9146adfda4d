"""The process a Lava program runs in: whatever it does, its caller gets an answer."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from neurocompile.backend import Bundle
from neurocompile.diagnostics import CompileError
from neurocompile.reference.encode import EncodedInput
from neurocompile_backends.lava import worker
from neurocompile_backends.lava.codes import CODES
from neurocompile_backends.lava.worker import run_program

ENCODED = EncodedInput(2, 3, {"in": np.ones((2, 3, 4), np.uint8)},
                       {"hidden": np.full((2, 5), 7, np.int64)})


def run(text: str, probes: list[str] | None = None) -> dict[str, np.ndarray]:
    """A program of these lines, in this interpreter, which needs no Lava for them."""
    return run_program(Path(sys.executable), Bundle("lava", {"program.py": text.encode()}),
                       ENCODED, probes or [])


def failure(text: str, code: str) -> str:
    with pytest.raises(CompileError) as caught:
        run(text)
    (found,) = caught.value.diagnostics
    assert found.code == code
    assert code in CODES
    return str(found)


def test_what_the_program_writes_comes_back_and_it_gets_the_job() -> None:
    recorded = run(
        "import sys, numpy as np\n"
        "job = np.load(sys.argv[sys.argv.index('--input') + 1])\n"
        "assert int(job['steps']) == 3 and job['bias:hidden'].tolist() == [[7] * 5] * 2\n"
        "assert job['payload:in'].shape == (2, 3, 4)\n"
        "assert '--encoded' in sys.argv and sys.argv[-2:] == ['--probe', 'a:v']\n"
        "np.savez(sys.argv[sys.argv.index('--output') + 1], **{'a:v': np.arange(4)})\n", ["a:v"])
    assert recorded["a:v"].tolist() == [0, 1, 2, 3]


def test_progress_counts_the_samples_that_are_done() -> None:
    told: list[int] = []
    run_program(Path(sys.executable), Bundle("lava", {"program.py": (
        b"import sys, numpy as np\n"
        b"for n in (1, 2): print('sample', n); print('step 1 of 4')\n"
        b"np.savez(sys.argv[sys.argv.index('--output') + 1])\n")}), ENCODED, [], told.append)
    assert told == [0, 1]


def test_a_program_that_dies_is_reported_with_its_last_lines() -> None:
    said = failure("print('sample 1')\nraise ValueError('no such process')", "E823")
    assert "status 1" in said
    assert "ValueError: no such process" in said


def test_a_program_that_is_killed_is_reported() -> None:
    assert "status -9" in failure("import os\nos.kill(os.getpid(), 9)", "E823")


def test_a_hung_program_is_ended_with_all_it_started(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROCOMPILE_LAVA_TIMEOUT", "1.5")
    note = tmp_path / "pids"
    begin = time.monotonic()
    said = failure(
        "import os, signal, time\n"
        "child = os.fork()\n"
        "if child == 0: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(note)!r}, 'a').write(f'{{os.getpid()}} ')\n"
        "print('sample 1', flush=True)\n"
        "print('waiting for a port', flush=True)\n"
        "time.sleep(600)\n", "E824")
    assert time.monotonic() - begin < 30
    assert "limit 1.5 s" in said
    assert "waiting for a port" in said
    pids = [int(pid) for pid in note.read_text().split()]
    assert len(pids) == 2
    assert [pid for pid in pids if lives(pid)] == []


def lives(pid: int) -> bool:
    """Is it there and not a zombie that nobody has collected yet?"""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def test_a_program_that_goes_on_saying_something_is_not_hung(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROCOMPILE_LAVA_TIMEOUT", "1.5")
    run("import sys, time, numpy as np\n"
        "for i in range(5): time.sleep(0.5); print('step', i, flush=True)\n"
        "np.savez(sys.argv[sys.argv.index('--output') + 1])\n")


@pytest.mark.parametrize("stated", ["soon", "-1", "0", "inf", "nan"])
def test_an_impossible_time_limit_is_refused(stated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROCOMPILE_LAVA_TIMEOUT", stated)
    assert f"got {stated}" in failure("", "E825")


def test_nothing_of_this_environment_leads_the_program_astray(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong numpy')")
    run("import sys, os, tempfile, numpy as np\n"
        "assert os.path.samefile(tempfile.gettempdir(), os.path.dirname(sys.argv[0]))\n"
        "np.savez(sys.argv[sys.argv.index('--output') + 1])\n")


def test_a_full_disk_is_one_diagnostic(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(worker, "write_npz", full)
    assert "No space left on device" in failure("", "E826")


def test_a_program_that_leaves_no_result_is_named() -> None:
    assert "run.npz" in failure("", "E826")
    assert "E826" in failure("import sys\n"
                             "open(sys.argv[sys.argv.index('--output') + 1], 'w').write('x')\n",
                             "E826")
