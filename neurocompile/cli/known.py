"""Commands that list what is known: targets and contracts."""

from __future__ import annotations

from typing import Annotated

import typer

from neurocompile.cli.console import emit, out, reporting
from neurocompile.cli.options import Json

targets_app = typer.Typer(help="The chips that are known, every number with its source.",
                          invoke_without_command=True)
contract_app = typer.Typer(help="The discretization contracts of training tools.",
                           invoke_without_command=True)


def _has_subcommand(context: typer.Context, as_json: bool) -> bool:
    if context.invoked_subcommand is None:
        return False
    if as_json:  # the subcommand would not see it
        raise typer.BadParameter(f"--json comes after {context.invoked_subcommand}")
    return True


@targets_app.callback()
def _targets(context: typer.Context, as_json: Json = False) -> None:
    if _has_subcommand(context, as_json):
        return
    with reporting(as_json):
        from neurocompile.facts import target_facts
        from neurocompile.report.tables import show_targets
        from neurocompile.targets import available, load_target

        rows = [target_facts(load_target(name)) for name in available()]
        emit({"targets": rows}, as_json, lambda: show_targets(out, rows))


@targets_app.command("show")
def show_target(target: Annotated[str, typer.Argument(
        metavar="T", help="A chip's name or a .toml file.")],
                as_json: Json = False) -> None:
    """Every number of a target with its source."""
    with reporting(as_json):
        from neurocompile.facts import target_facts
        from neurocompile.report import tables
        from neurocompile.targets import load_target

        known = target_facts(load_target(target))
        emit(known, as_json, lambda: tables.show_target(out, known))


@contract_app.callback()
def _contracts(context: typer.Context, as_json: Json = False) -> None:
    if _has_subcommand(context, as_json):
        return
    from neurocompile.facts import contract_facts
    from neurocompile.presets import PRESETS
    from neurocompile.report.tables import show_presets

    known = {name: {**contract_facts(p.contract), "note": p.note} for name, p in PRESETS.items()}
    emit({"presets": known}, as_json, lambda: show_presets(out, known))


@contract_app.command("show")
def show_contract(contract: Annotated[str, typer.Argument(
        metavar="PRESET|FILE", help="A preset's name or a .toml file.")],
                  as_json: Json = False) -> None:
    """A contract as a TOML file to start from."""
    with reporting(as_json):
        from neurocompile.contract import contract_to_toml, load_contract
        from neurocompile.facts import contract_facts

        loaded = load_contract(contract)
        emit(contract_facts(loaded), as_json,
             lambda: print(contract_to_toml(loaded), end=""))
