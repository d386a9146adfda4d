"""What the command line prints on, and how it says what went wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import typer
from rich.console import Console

from neurocompile.diagnostics import CompileError, Diagnostic


def _console(stream: TextIO, stderr: bool) -> Console:
    """A terminal's own width, or COLUMNS; files and pipes need no folding to 80 columns.

    Without emoji: rich takes the ``:v:`` of a probe for one.
    """
    free = stream.isatty() or "COLUMNS" in os.environ
    return Console(stderr=stderr, width=None if free else 120, emoji=False)


out = _console(sys.stdout, False)
err = _console(sys.stderr, True)


@contextmanager
def reporting(as_json: bool) -> Iterator[None]:
    """Turns a CompileError into its findings and exit status 1."""
    try:
        yield
    except CompileError as error:
        _print_findings(error.diagnostics, as_json)
        raise typer.Exit(1) from None
    except MemoryError:
        found = Diagnostic("E901", "memory", "the machine has too little memory for this",
                           hint="fewer --samples, or fewer probes")
        _print_findings([found], as_json)
        raise typer.Exit(1) from None


def _print_findings(diagnostics: Any, as_json: bool) -> None:
    from neurocompile.facts import to_json
    from neurocompile.report.tables import show_diagnostics

    if as_json:
        print(to_json({"ok": False, "diagnostics": [d.to_dict() for d in diagnostics]}))
    else:
        show_diagnostics(err, diagnostics)


def emit(facts: dict[str, Any], as_json: bool, show: Callable[[], None], *,
         ok: bool = True) -> None:
    """Print facts: as a document, or as ``show`` does."""
    from neurocompile.facts import to_json

    if as_json:
        print(to_json({"ok": ok, **facts}))
    else:
        show()


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, on terminals only."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)
