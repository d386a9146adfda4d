"""The program: its commands in the order of ``--help``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated

import typer

from neurocompile import __version__
from neurocompile.cli.compiling import check, compile_, convert, inspect
from neurocompile.cli.deploying import build, disassemble, patch_weights
from neurocompile.cli.known import contract_app, targets_app
from neurocompile.cli.running import demo, evaluate, profile, simulate, verify
from neurocompile_backends.lava.cli import app as lava_app

COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo, "convert": convert, "check": check, "inspect": inspect, "compile": compile_,
    "simulate": simulate, "verify": verify, "evaluate": evaluate, "profile": profile,
    "build": build, "patch-weights": patch_weights, "disassemble": disassemble}
"""In the order of ``--help``."""

app = typer.Typer(name="neurocompile", no_args_is_help=True, add_completion=False,
                  pretty_exceptions_enable=False, rich_markup_mode=None,
                  help="Compile trained spiking neural networks to chips.")
for name, command in COMMANDS.items():
    app.command(name)(command)
for name, group in {"targets": targets_app, "contract": contract_app, "lava": lava_app}.items():
    app.add_typer(group, name=name)


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
          ) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def _ended(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    """Entry point of the ``neurocompile`` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # names may hold what the locale cannot print
            stream.reconfigure(errors="backslashreplace")
    for name in ("SIGTERM", "SIGHUP"):  # so that what is under way is ended and cleaned up
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores it
            signal.signal(number, _ended)
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here, where it can be caught, and not when the interpreter ends
    except BrokenPipeError:  # the reader of a pipe went away; what is still buffered is for nobody
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
