"""The interpreter that has lava-nc, and the environment made for it by ``lava setup``.

lava-nc 0.10.0 is the last release and imports on Python 3.10 only, so it gets an environment of
its own, beside whatever Python runs neurocompile.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from neurocompile.diagnostics import fail
from neurocompile_backends.home import HOME, home

LAVA_VERSION = "0.10.0"
PYTHON = "3.10"
PINS = (f"lava-nc=={LAVA_VERSION}", "asteval==0.9.33", "networkx==2.8.7", "numpy==1.26.4",
        "scikit-learn==1.7.2", "scipy==1.15.3")
"""lava-nc with the versions of its dependencies it was tested with."""
INTERPRETER = "NEUROCOMPILE_LAVA_PYTHON"
SETUP = "neurocompile lava setup"
_PROBE = "import sys, importlib.metadata as m; print(*sys.version_info[:2], m.version('lava-nc'))"
_WANTED = f"3 10 {LAVA_VERSION}"  # what _PROBE prints
_SETUP_SECONDS = 1800


def own_environment() -> Path:
    """The folder of the environment that ``lava setup`` makes."""
    return home() / f"lava-{LAVA_VERSION}"


def interpreter() -> Path:
    """An interpreter that imports lava-nc: this one, else $NEUROCOMPILE_LAVA_PYTHON, else that of
    ``lava setup``. Raises ``CompileError``: E820 (none)."""
    if has_lava_here():
        return Path(sys.executable)
    stated = os.environ.get(INTERPRETER)
    if stated:
        # Absolute, because the program runs elsewhere; not resolved, which would leave a venv.
        found = shutil.which(Path(stated).expanduser())
        if found is None or not _has_lava(Path(found).absolute()):
            raise fail("E820", INTERPRETER, "this interpreter does not run or has no lava-nc",
                       got=stated, limit=f"Python {PYTHON} with lava-nc {LAVA_VERSION}",
                       hint=f"correct it, or unset it and run `{SETUP}`")
        return Path(found).absolute()
    own = _python_of(own_environment())
    if not _has_lava(own):
        raise fail("E820", "lava", f"no interpreter with lava-nc, which needs Python {PYTHON}",
                   got=f"Python {sys.version_info[0]}.{sys.version_info[1]} without it here",
                   hint=f"run `{SETUP}`, or name an interpreter in ${INTERPRETER}")
    return own


def _has_lava(python: Path) -> bool:
    return _runs([str(python), "-c", _PROBE]) == _WANTED


def has_lava_here() -> bool:
    """Can this process's interpreter import lava-nc? It is looked for, not imported."""
    if sys.version_info[:2] != (3, 10):
        return False
    try:
        return importlib.util.find_spec("lava.magma") is not None
    except (ImportError, ValueError):
        return False


def setup(*, force: bool = False) -> tuple[Path, bool]:
    """Make the environment. Returns its interpreter, and whether it was made now.

    Raises ``CompileError``: E821 (no Python 3.10), E822 (a tool failed). A half-made environment
    is removed.
    """
    folder = own_environment()
    python = _python_of(folder)
    if not force and _has_lava(python):
        return python, False
    base = find_python()
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        _call([base, "-m", "venv", str(part)])
        _call([str(_python_of(part)), "-m", "pip", "install", "--quiet",
               "--disable-pip-version-check", *PINS])
        _call([str(_python_of(part)), "-c", "import lava.magma"])
        if not force and _has_lava(python):  # somebody else was faster
            return python, False
        # A venv holds its own path only in its scripts, which nothing here uses.
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    except OSError as error:
        raise fail("E822", str(folder), "the environment cannot be made",
                   got=error.strerror or type(error).__name__,
                   hint=f"name another place in ${HOME}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return python, True


def find_python() -> str:
    """A Python 3.10 that runs: by uv, on PATH, under pyenv. Raises ``CompileError``: E821."""
    tried = []
    for candidate in _candidates():
        tried.append(candidate)
        if _runs([candidate, "-c", "import sys, venv; print(*sys.version_info[:2])"]) == "3 10":
            return candidate
    raise fail("E821", "lava setup", f"no Python {PYTHON} was found; lava-nc runs on no other",
               got=f"tried {', '.join(tried)}" if tried else "uv, PATH and pyenv have none",
               hint="install uv (`pip install uv`) and run `uv python install 3.10`, then "
                    f"`{SETUP}` again")


def _candidates() -> Iterator[str]:
    """What may be one, the cheapest to get first."""
    # uv may be installed beside this interpreter, in an environment that is not activated.
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    found = _runs([uv, "python", "find", PYTHON]) if uv else None
    if found:
        yield found
    on_path = shutil.which(f"python{PYTHON}")
    if on_path:
        yield on_path
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    with suppress(OSError):
        yield from (str(p) for p in sorted(root.glob(f"versions/{PYTHON}*/bin/python"),
                                           reverse=True))
    if uv and _runs([uv, "python", "install", PYTHON], _SETUP_SECONDS) is not None:
        fetched = _runs([uv, "python", "find", PYTHON])
        if fetched:
            yield fetched


def _python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _runs(command: list[str], seconds: float = 60) -> str | None:
    """What a command printed, or None if it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds,
                              stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _call(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SETUP_SECONDS,
                              stdin=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired as error:
        raise fail("E822", Path(command[0]).name, "did not end", got=" ".join(command[1:]),
                   limit=f"{_SETUP_SECONDS} s", hint="run the command by hand") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise fail("E822", Path(command[0]).name, "failed", got=" / ".join(said)[:400],
                   hint=f"run it by hand: {' '.join(command)}")
