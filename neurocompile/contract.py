"""Reads and writes discretization contracts: a preset's name or a TOML file.

The file has one table, ``[contract]``, with the fields of :class:`Contract`, optionally
``preset`` to start from, and ``[contract.inputs.NAME]`` and ``[contract.populations.NAME]``
tables. Everything is checked and every problem reported at once; see docs/contract.md.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from neurocompile.diagnostics import Diagnostics, fail
from neurocompile.ir.base import Node
from neurocompile.ir.contract import Contract, InputBinding, PopulationChoices
from neurocompile.presets import PRESETS, TABLES, Preset, preset_table_markdown, stated_fields

__all__ = ["CODES", "PRESETS", "Preset", "contract_to_toml", "load_contract",
           "preset_table_markdown"]

MAX_BYTES = 1 << 20
"""A contract file is a few hundred bytes; larger than this it is something else."""

MAX_REFRACTORY = (1 << 16) - 1
"""Steps: more than any target could have (``neuron.refractory_max``)."""

CODES: dict[str, tuple[str, str]] = {
    "E210": ("neither a preset nor a file", "name a preset, or the path of a TOML file"),
    "E211": ("the contract file cannot be read", "check the path and its permissions"),
    "E212": ("the contract file is too large", "a contract is a few lines of TOML"),
    "E213": ("the contract file is not TOML", "see the example in docs/contract.md"),
    "E214": ("unknown key", "only the keys of docs/contract.md are read"),
    "E215": ("wrong type", "write the value as docs/contract.md shows"),
    "E216": ("not one of the options", "use one of the options listed"),
    "E217": ("a number outside its range", "use a finite number inside the range"),
    "E218": ("fields that contradict each other", "change one of them"),
    "E219": ("unknown preset", "use one of the presets listed"),
    "E220": ("no [contract] table", "begin the file with [contract]"),
    "E221": ("an input without a mode", "state how the input reaches the chip"),
    "E222": ("a name that TOML cannot hold", "rename the input or population"),
}
"""What each code of this module means, and what to do."""


def load_contract(name_or_path: str | Path | Contract, *, dt_s: float | None = None) -> Contract:
    """A contract from a preset's name, a TOML file or an existing contract.

    A preset's name wins over a file of that name (write ``./norse`` for the file). ``dt_s``
    (seconds a step) replaces what the contract says. Raises :class:`CompileError` with every
    problem found (E210 to E221); fields nobody stated stay ``None``.
    """
    diagnostics = Diagnostics()
    if isinstance(name_or_path, Contract):
        contract = name_or_path
    elif str(name_or_path) in PRESETS:
        contract = PRESETS[str(name_or_path)].contract
    else:
        subject = str(name_or_path)
        contract = _from_table(_read_table(Path(name_or_path), subject), subject, diagnostics)
    if dt_s is not None:
        step = _positive(dt_s, "dt_s", diagnostics)
        contract = dataclasses.replace(contract, dt_s=step)
    diagnostics.raise_if_errors()
    return contract


def contract_to_toml(contract: Contract) -> str:
    """A contract as TOML that :func:`load_contract` reads back to the same digest.

    Raises E222 for a name that holds a lone surrogate, which TOML cannot express.
    """
    lines = ["[contract]"]
    lines += [f"{name} = {_toml_value(value)}" for name, value in stated_fields(contract).items()]
    tables: tuple[tuple[str, Mapping[str, Node]], ...] = (
        ("inputs", contract.inputs), ("populations", contract.populations))
    for table, stated in tables:
        for name, body in stated.items():
            lines += ["", f"[contract.{table}.{_toml_string(name)}]"]
            lines += [f"{f.name} = {_toml_value(getattr(body, f.name))}"
                      for f in dataclasses.fields(body)  # type: ignore[arg-type]
                      if getattr(body, f.name) is not None]
    return "\n".join(lines) + "\n"


def _toml_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    return _toml_string(str(value))


def _toml_string(text: str) -> str:
    if any(0xD800 <= ord(c) < 0xE000 for c in text):
        raise fail("E222", ascii(text), "this name cannot be written to a contract file",
                   got="a lone surrogate", hint="rename the input or population")
    escaped = {"\\": "\\\\", '"': '\\"'}
    return '"' + "".join(
        escaped.get(c) or (f"\\u{ord(c):04x}" if ord(c) < 0x20 or ord(c) == 0x7F else c)
        for c in text) + '"'


def _read_table(path: Path, subject: str) -> dict[str, Any]:
    """The parsed file; E210 to E213 where there is none to parse."""
    try:
        if not path.exists():
            raise fail("E210", subject, "is neither a preset nor a file",
                       limit="presets " + ", ".join(PRESETS),
                       hint="name a preset, or the path of a TOML file")
        if not path.is_file():
            raise fail("E211", subject, "is not a regular file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise fail("E211", subject, "cannot be read", got=_reason(error)) from error
    if len(raw) > MAX_BYTES:
        raise fail("E212", subject, "is too large for a contract file",
                   got=f"more than {MAX_BYTES} bytes", limit=f"{MAX_BYTES} bytes")
    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        table: dict[str, Any] = toml.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise fail("E213", subject, "is not TOML", got=_reason(error),
                   hint="see the example in docs/contract.md") from error
    return table


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _from_table(table: dict[str, Any], subject: str, diagnostics: Diagnostics) -> Contract:
    _refuse_unknown(table, ["contract"], subject, diagnostics)
    body = table.get("contract")
    if not isinstance(body, dict):
        diagnostics.add("E220", subject, "has no [contract] table",
                        hint="begin the file with [contract]")
        return Contract()
    base = _preset(body.get("preset"), subject, diagnostics)
    hints = {k: v for k, v in get_type_hints(Contract).items() if k not in TABLES}
    _refuse_unknown(body, ["preset", *hints, *TABLES], f"{subject}: contract", diagnostics)
    stated = {name: _value(body[name], name, hint, f"{subject}: contract.{name}", diagnostics)
              for name, hint in hints.items() if name in body}
    inputs = _inputs(body.get("inputs", {}), f"{subject}: contract.inputs", diagnostics)
    populations = _populations(body.get("populations", {}), f"{subject}: contract.populations",
                               diagnostics)
    contract = dataclasses.replace(base, **stated, inputs={**base.inputs, **inputs},
                                   populations={**base.populations, **populations})
    _check_together(contract, subject, diagnostics)
    return contract


def _preset(name: object, subject: str, diagnostics: Diagnostics) -> Contract:
    if name is None:
        return Contract()
    if isinstance(name, str) and name in PRESETS:
        return PRESETS[name].contract
    diagnostics.add("E219", f"{subject}: contract.preset", "is not a preset", got=repr(name),
                    limit="one of " + ", ".join(PRESETS))
    return Contract()


def _check_together(contract: Contract, subject: str, diagnostics: Diagnostics) -> None:
    several = contract.max_spikes_per_step is not None and contract.max_spikes_per_step > 1
    if several and contract.reset not in (None, "subtract"):
        diagnostics.add(
            "E218", f"{subject}: contract.max_spikes_per_step",
            "several spikes a step need a reset that subtracts a threshold for each",
            got=f"max_spikes_per_step = {contract.max_spikes_per_step} and "
                f"reset = \"{contract.reset}\"",
            hint="set max_spikes_per_step = 1, or reset = \"subtract\"")


def _refuse_unknown(table: dict[str, Any], known: Iterable[str], subject: str,
                    diagnostics: Diagnostics) -> None:
    known = list(known)
    for key in table:
        if key in known:
            continue
        close = difflib.get_close_matches(key, known, 1)
        diagnostics.add("E214", subject, "unknown key", got=repr(key),
                        limit="one of " + ", ".join(known),
                        hint=f"did you mean {close[0]}?" if close else "")


def _value(value: object, name: str, hint: Any, subject: str, diagnostics: Diagnostics) -> Any:
    """A checked field value, or None after a diagnostic. ``hint``: the field's annotation."""
    inner = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(inner) is Literal:
        return _option(value, get_args(inner), subject, diagnostics)
    if inner is bool:
        return _typed(value, bool, "true or false", subject, diagnostics)
    if inner is int:
        return _whole(value, name, 1, (1 << 31) - 1, subject, diagnostics)
    return _positive(value, subject, diagnostics)


def _whole(value: object, name: str, low: int, high: int, subject: str,
           diagnostics: Diagnostics) -> int | None:
    number: int | None = _typed(value, int, "a whole number", subject, diagnostics)
    if number is not None and not low <= number <= high:
        diagnostics.add("E217", subject, f"{name} is out of range", got=value,
                        limit=f"{low} to {high}")
        return None
    return number


def _typed(value: object, kind: type, expected: str, subject: str,
           diagnostics: Diagnostics) -> Any:
    if type(value) is kind:
        return value
    diagnostics.add("E215", subject, "has the wrong type", got=_described(value), limit=expected)
    return None


def _option(value: object, options: tuple[Any, ...], subject: str,
            diagnostics: Diagnostics) -> Any:
    expected = "one of " + ", ".join(str(option) for option in options)
    if type(value) is not type(options[0]):  # exact, so that `true` is not the latency 1
        diagnostics.add("E215", subject, "has the wrong type", got=_described(value),
                        limit=expected)
        return None
    if value not in options:
        diagnostics.add("E216", subject, "is not one of the options", got=repr(value),
                        limit=expected)
        return None
    return value


def _described(value: object) -> str:
    names = {bool: "boolean", int: "integer", float: "float", str: "string", list: "array",
             dict: "table"}
    text = repr(value)
    return f"{names.get(type(value), 'date or time')} {text if len(text) <= 60 else text[:57]}" \
        + ("..." if len(text) > 60 else "")


def _number(value: object, subject: str, diagnostics: Diagnostics) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        diagnostics.add("E215", subject, "has the wrong type", got=_described(value),
                        limit="a number")
        return None
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        diagnostics.add("E217", subject, "is not finite", got=_described(value),
                        limit="a finite number")
        return None
    return number


def _positive(value: object, subject: str, diagnostics: Diagnostics) -> float | None:
    number = _number(value, subject, diagnostics)
    if number is not None and number <= 0:
        diagnostics.add("E217", subject, "is not positive", got=_described(value),
                        limit="more than 0")
        return None
    return number


def _inputs(table: object, subject: str, diagnostics: Diagnostics) -> dict[str, InputBinding]:
    if not isinstance(table, dict):
        diagnostics.add("E215", subject, "has the wrong type", got=_described(table),
                        limit="one table an input, [contract.inputs.NAME]")
        return {}
    found = {name: _binding(body, f"{subject}.{name}", diagnostics)
             for name, body in table.items()}
    return {name: binding for name, binding in found.items() if binding is not None}


def _binding(body: object, subject: str, diagnostics: Diagnostics) -> InputBinding | None:
    if not isinstance(body, dict):
        diagnostics.add("E215", subject, "has the wrong type", got=_described(body),
                        limit="a table")
        return None
    _refuse_unknown(body, [f.name for f in dataclasses.fields(InputBinding)], subject, diagnostics)
    modes = get_args(get_type_hints(InputBinding)["mode"])
    if "mode" not in body:
        diagnostics.add("E221", subject, "does not say how the input reaches the chip",
                        limit="one of " + ", ".join(modes), hint="state mode")
    mode = _option(body["mode"], modes, f"{subject}.mode", diagnostics) if "mode" in body else None
    scale = _positive(body["scale"], f"{subject}.scale", diagnostics) if "scale" in body else None
    low, high = (_number(body[key], f"{subject}.{key}", diagnostics) if key in body else None
                 for key in ("minimum", "maximum"))
    if low is not None and high is not None and high < low:
        diagnostics.add("E218", subject, "maximum is below minimum",
                        got=f"minimum {low!r}, maximum {high!r}", hint="swap them")
    return None if mode is None else InputBinding(mode, scale, high, low)


def _populations(table: object, subject: str,
                 diagnostics: Diagnostics) -> dict[str, PopulationChoices]:
    if not isinstance(table, dict):
        diagnostics.add("E215", subject, "has the wrong type", got=_described(table),
                        limit="one table a population, [contract.populations.NAME]")
        return {}
    found = {}
    for name, body in table.items():
        if not isinstance(body, dict):
            diagnostics.add("E215", f"{subject}.{name}", "has the wrong type",
                            got=_described(body), limit="a table")
            continue
        _refuse_unknown(body, [f.name for f in dataclasses.fields(PopulationChoices)],
                        f"{subject}.{name}", diagnostics)
        key = "refractory_steps"
        steps = _whole(body[key], key, 0, MAX_REFRACTORY, f"{subject}.{name}.{key}",
                       diagnostics) if key in body else None
        found[name] = PopulationChoices(steps)
    return found
