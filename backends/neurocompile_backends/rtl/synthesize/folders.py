"""Folders that tools fill: they appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neurocompile.diagnostics import fail

NEW = "name a new directory with -o"


def check_place(output: Path, hint: str = NEW) -> None:
    """Can this folder be made? Raises ``CompileError``: E625."""
    if os.path.lexists(output):
        raise fail("E625", str(output), "cannot be written", got="something is there",
                   hint=hint)
    if not output.parent.is_dir():
        raise fail("E625", str(output), "cannot be written",
                   got=f"{output.parent} is not a directory", hint="make that directory first")


@contextmanager
def folder_beside(output: Path) -> Iterator[Path]:
    """A folder to work in, removed at the end. It is beside ``output``, because renaming works
    within a file system only, and YoWASP's tools see the folder that they run in and not the
    system's temporary one. Raises ``CompileError``: E625, also for the block's ``OSError``."""
    try:
        with tempfile.TemporaryDirectory(prefix=".neurocompile-", dir=output.parent) as name:
            yield Path(name)
    except OSError as error:
        raise fail("E625", str(output), "cannot be written", got=error.strerror or str(error),
                   hint="check space and permissions; " + NEW) from error


@contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """A folder to fill, which becomes ``output`` at the end and only then. Raises
    ``CompileError``: E625."""
    with folder_beside(output) as name:
        work = name / "made"  # tempfile's own is for nobody else to read
        work.mkdir()
        yield work
        work.replace(output)


@contextmanager
def exchanged(there: Path, made: Path, old: Path) -> Iterator[None]:
    """The folder ``made`` in the place of ``there``, which waits in ``old``, for as long as the
    block goes well; else both are where they were. Raises ``OSError``."""
    there.replace(old)
    try:
        made.replace(there)
        yield
    except BaseException:
        if there.exists():
            there.replace(made)
        old.replace(there)
        raise
