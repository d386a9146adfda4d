"""``neurocompile lava``: the interpreter that Lava needs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

app = typer.Typer(help="The Python that runs Lava programs: lava-nc needs its own.",
                  no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print facts as one JSON document.")]


def _tell(facts: dict[str, Any], text: str, as_json: bool) -> None:
    from neurocompile.cli.console import out
    from neurocompile.facts import to_json
    from neurocompile.report.tables import plain

    if as_json:
        print(to_json({"ok": True, **facts}))
    else:
        out.print(plain(text), soft_wrap=True)


@app.command()
def setup(force: Annotated[bool, typer.Option(
              "--force", help="Make it anew where there is one.")] = False,
          as_json: Json = False) -> None:
    """Make an environment with lava-nc from a Python 3.10 of this machine."""
    from neurocompile.cli.console import err, reporting

    with reporting(as_json):
        from neurocompile_backends.lava import environment

        with err.status(f"installing lava-nc {environment.LAVA_VERSION}"):
            python, made = environment.setup(force=force)
        what = "made" if made else "there already"
        _tell({"python": str(python), "made": made}, f"{python} ({what})", as_json)


@app.command("python")
def python_(as_json: Json = False) -> None:
    """Print the interpreter that runs Lava programs."""
    from neurocompile.cli.console import reporting

    with reporting(as_json):
        from neurocompile_backends.lava.environment import interpreter

        python = str(interpreter())
        _tell({"python": python}, python, as_json)
