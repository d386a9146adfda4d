"""Finding and making the interpreter that has lava-nc."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest
from cli_tools import facts, run

from neurocompile.diagnostics import CompileError
from neurocompile_backends.lava import environment


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any Python 3.10: nothing on PATH, no pyenv, no uv, an empty home."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("NEUROCOMPILE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NEUROCOMPILE_LAVA_PYTHON", raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere" / "python"))
    monkeypatch.setattr(environment, "has_lava_here", lambda: False)
    (tmp_path / "bin").mkdir()
    return tmp_path


LAVA = "echo 3 10 0.10.0"
"""What an interpreter with lava-nc answers when it is asked for its versions."""


def script(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(("#!/bin/sh", *lines)) + "\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def failure(action: object) -> str:
    with pytest.raises(CompileError) as caught:
        action()  # type: ignore[operator]
    (found,) = caught.value.diagnostics
    return str(found)


def test_the_environment_of_the_tests_has_the_pinned_lava() -> None:
    python = facts("lava", "python")["python"]
    assert environment._runs([python, "-c", environment._PROBE]) == "3 10 0.10.0"


def test_setup_leaves_a_good_environment_alone() -> None:
    if os.environ.get("NEUROCOMPILE_LAVA_PYTHON"):
        pytest.skip("another interpreter is named; there may be no environment of our own")
    known = facts("lava", "setup")
    assert known["made"] is False
    assert known["python"] == facts("lava", "python")["python"]


@pytest.mark.usefixtures("bare")
def test_no_interpreter_names_the_command_that_makes_one() -> None:
    said = failure(environment.interpreter)
    assert said.startswith("E820 lava: no interpreter with lava-nc, which needs Python 3.10")
    assert "run `neurocompile lava setup`" in said
    result = run("lava", "python")
    assert (result.exit_code, result.stderr.strip()) == (1, said)


@pytest.mark.parametrize("stated", ["/does/not/exist", "not-lava"])
def test_a_named_interpreter_without_lava_is_refused_not_passed_over(
        stated: str, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if stated == "not-lava":
        stated = str(script(bare / "python", "exit 1"))
    monkeypatch.setenv("NEUROCOMPILE_LAVA_PYTHON", stated)
    said = failure(environment.interpreter)
    assert said.startswith("E820 NEUROCOMPILE_LAVA_PYTHON: this interpreter does not run or has "
                           f"no lava-nc (got {stated}")


def test_a_named_interpreter_comes_before_our_own(bare: Path,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    script(bare / "home" / "lava-0.10.0" / "bin" / "python", LAVA)
    assert environment.interpreter() == bare / "home" / "lava-0.10.0" / "bin" / "python"
    other = script(bare / "other", LAVA)
    monkeypatch.setenv("NEUROCOMPILE_LAVA_PYTHON", str(other))
    assert environment.interpreter() == other


@pytest.mark.parametrize("stated", ["sub/python", "./sub/python", "~/sub/python", "on-path"])
def test_a_named_interpreter_is_made_absolute(stated: str, bare: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """The program runs in another folder."""
    script(bare / "sub" / "python", LAVA)
    script(bare / "bin" / "on-path", LAVA)
    monkeypatch.chdir(bare)
    monkeypatch.setenv("NEUROCOMPILE_LAVA_PYTHON", stated)
    found = environment.interpreter()
    assert found.is_absolute()
    assert found.samefile(bare / ("bin/on-path" if stated == "on-path" else "sub/python"))


def test_another_lava_than_the_tested_one_is_refused(bare: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    other = script(bare / "other", "echo 3 10 0.9.0")
    monkeypatch.setenv("NEUROCOMPILE_LAVA_PYTHON", str(other))
    assert "limit Python 3.10 with lava-nc 0.10.0" in failure(environment.interpreter)


def test_setup_without_python_3_10_says_how_to_get_it(bare: Path) -> None:
    result = run("lava", "setup")
    assert result.exit_code == 1
    assert result.stderr.strip() == (
        "E821 lava setup: no Python 3.10 was found; lava-nc runs on no other (got uv, PATH and "
        "pyenv have none); install uv (`pip install uv`) and run `uv python install 3.10`, then "
        "`neurocompile lava setup` again")
    assert not (bare / "home").exists()


def test_interpreters_that_do_not_run_are_passed_over(bare: Path) -> None:
    """As pyenv's shim on PATH where 3.10 is not chosen."""
    script(bare / "bin" / "python3.10", "echo pyenv: python3.10: command not found >&2", "exit 127")
    good = script(bare / "pyenv" / "versions" / "3.10.9" / "bin" / "python", "echo 3 10")
    assert environment.find_python() == str(good)


def test_uv_is_asked_first_and_fetches_a_python_only_as_the_last_resort(bare: Path) -> None:
    fetched = bare / "fetched"
    script(bare / "bin" / "uv",
           'if [ "$2" = install ]; then echo "$@" >> ' + str(bare / "log"),
           f"printf '#!/bin/sh\\necho 3 10\\n' > {fetched}; /bin/chmod +x {fetched}; exit 0; fi",
           f"[ -e {fetched} ] && echo {fetched} || exit 2")
    assert environment.find_python() == str(fetched)
    assert (bare / "log").read_text().strip() == "python install 3.10"
    (bare / "log").unlink()
    assert environment.find_python() == str(fetched)
    assert not (bare / "log").exists()


def test_a_failed_setup_leaves_nothing_and_keeps_an_old_environment(bare: Path) -> None:
    script(bare / "bin" / "python3.10", 'case "$*" in *venv,*|*"import sys"*) echo 3 10;; '
           "*) echo the disk is full >&2; exit 1;; esac")
    old = script(bare / "home" / "lava-0.10.0" / "bin" / "python", "exit 1")
    said = failure(environment.setup)
    assert said.startswith("E822 python3.10: failed (got the disk is full); run it by hand: ")
    assert old.exists()
    assert [p.name for p in (bare / "home").iterdir()] == ["lava-0.10.0"]


def test_a_home_that_cannot_be_written_is_named(bare: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    script(bare / "bin" / "python3.10", "echo 3 10")
    (bare / "file").write_text("")
    monkeypatch.setenv("NEUROCOMPILE_HOME", str(bare / "file"))
    assert "name another place in $NEUROCOMPILE_HOME" in failure(environment.setup)


def test_this_interpreter_is_used_where_it_has_lava(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "has_lava_here", lambda: True)
    assert environment.interpreter() == Path(sys.executable)
