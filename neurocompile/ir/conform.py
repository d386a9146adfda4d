"""Does an IR value have the types its class declares? For values read from files."""

from __future__ import annotations

import dataclasses
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from neurocompile.ir.base import Node


def misfit(value: object, hint: Any, where: str = "") -> str:
    """Where ``value`` differs from the annotation ``hint``, as a path and a reason; '' if it fits.

    Follows dataclass fields, tuples, dicts, unions, literals and the dtype kind of arrays. An
    integer fits a float field, a bool fits neither.
    """
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _union(value, get_args(hint), where)
    if origin is Literal:
        fits = any(type(value) is type(option) and value == option for option in get_args(hint))
        return "" if fits else f"{where}: {_short(value)} is none of {get_args(hint)}"
    if origin is tuple:
        return _tuple(value, get_args(hint), where)
    if origin is dict:
        return _dict(value, get_args(hint), where)
    if origin is npt.NDArray:  # an alias of its own from numpy 2.5 on
        return _array(value, get_args(hint)[0], where)
    if origin is np.ndarray:
        return _array(value, get_args(get_args(hint)[1])[0], where)
    if hint is float:
        return "" if type(value) in (float, int) else f"{where}: {_short(value)} is no number"
    if hint is Any:
        return ""
    if type(value) is not hint:
        return f"{where}: {_short(value)} is no {hint.__name__}"
    return _fields(value, where) if isinstance(value, Node) else ""


def _short(value: object) -> str:
    text = type(value).__name__ if isinstance(value, (Node, np.ndarray)) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


_HINTS: dict[str, dict[str, Any]] = {}


def _hints(cls: type[Any]) -> dict[str, Any]:
    if cls.__name__ not in _HINTS:  # IR class names are unique
        _HINTS[cls.__name__] = get_type_hints(cls)
    return _HINTS[cls.__name__]


def _fields(value: Node, where: str) -> str:
    hints = _hints(type(value))
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        found = misfit(getattr(value, field.name), hints[field.name], f"{where}.{field.name}")
        if found:
            return found
    return ""


def _union(value: object, options: tuple[Any, ...], where: str) -> str:
    # A class of the union is checked on its own, so that the reason names the field at fault.
    if isinstance(value, Node) and type(value) in options:
        return _fields(value, where)
    reasons = [misfit(value, option, where) for option in options]
    return "" if "" in reasons else f"{where}: {_short(value)} is none of what it may be"


def _tuple(value: object, args: tuple[Any, ...], where: str) -> str:
    if not isinstance(value, tuple):
        return f"{where}: {_short(value)} is no list"
    if len(args) == 2 and args[1] is Ellipsis:
        args = (args[0],) * len(value)
    if len(args) != len(value):
        return f"{where}: {len(value)} elements instead of {len(args)}"
    for index, (element, hint) in enumerate(zip(value, args, strict=True)):
        found = misfit(element, hint, f"{where}[{index}]")
        if found:
            return found
    return ""


def _dict(value: object, args: tuple[Any, ...], where: str) -> str:
    if not isinstance(value, dict):
        return f"{where}: {_short(value)} is no map"
    for key, element in value.items():
        found = misfit(key, args[0], f"{where} key") or \
            misfit(element, args[1], f"{where}[{_short(key)}]")
        if found:
            return found
    return ""


def _array(value: object, scalar: Any, where: str) -> str:
    if not isinstance(value, np.ndarray):
        return f"{where}: {_short(value)} is no array"
    kind = get_origin(scalar) or scalar
    if kind is not Any and not np.issubdtype(value.dtype, kind):
        return f"{where}: an array of {value.dtype}"
    return ""
