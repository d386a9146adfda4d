"""Reads a target from TOML, strictly: everything wrong with a file is reported at once.

The form of a file follows :class:`neurocompile.ir.target.TargetSpec`: a table for each of its
parts, every number with its source. Which types and keys exist is read from those classes; what
values are possible is stated in ``neurocompile.targets.rules``.
"""

from __future__ import annotations

import dataclasses
import math
import re
import sys
from collections.abc import Callable, Iterable
from importlib import import_module, resources
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from neurocompile.diagnostics import Diagnostics, fail
from neurocompile.ir.base import Node
from neurocompile.ir.target import (
    EVENTS,
    ChipLayout,
    Citation,
    CoreLimits,
    Fpga,
    InputLimits,
    Machine,
    NeuronLimits,
    SynapseLimits,
    TargetSpec,
    Timing,
)
from neurocompile.targets.rules import CONTRADICTIONS, NAMES, RANGES, Rule, Values

tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

MAX_FILE_BYTES = 1 << 20

PARTS: dict[str, type[Node]] = {
    "machine": Machine, "neuron": NeuronLimits, "synapse": SynapseLimits, "input": InputLimits,
    "core": CoreLimits, "chip": ChipLayout, "timing": Timing,
}
OPTIONAL: dict[str, type[Node]] = {"fpga": Fpga}
TOP_KEYS = ("name", "revision", "description", "base", "phases", "edge_latency", "citations",
            "costs", *PARTS, *OPTIONAL)


def available() -> tuple[str, ...]:
    """The names of the shipped targets, sorted."""
    names = (entry.name for entry in resources.files("neurocompile.targets").iterdir())
    return tuple(sorted(name[:-5] for name in names if name.endswith(".toml")))


def load_target(name_or_path: str | Path) -> TargetSpec:
    """The target of a shipped name (``"loihi1"``) or of a ``.toml`` file anywhere.

    A ``Path``, or a string that ends in ``.toml`` or has a folder in it, is a file; anything else
    is a name. Raises :class:`CompileError` with E501 to E513, all that is wrong at once.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".toml") or "/" in text or "\\" in text:
        path = Path(name_or_path)
        return parse_target(_read(path, _printable(path.name or text)),
                            _printable(path.name or text))
    if text not in available():
        raise fail("E501", _printable(text), "there is no target of this name",
                   limit="one of " + ", ".join(available()),
                   hint="name one of these, or give the path of a .toml file of your own")
    file = resources.files("neurocompile.targets") / f"{text}.toml"
    return parse_target(_text(file.name, file.read_bytes()), file.name)


def parse_target(text: str, file: str) -> TargetSpec:
    """The target that TOML ``text`` describes. ``file`` is the name that diagnostics use."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also integers beyond all size
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise fail("E505", file, f"not valid TOML: {_printable(reason, 200)}") from None
    return _Reader(file, on_base(file, document)).target()


def on_base(file: str, document: dict[str, Any]) -> dict[str, Any]:
    """What a file does not state is that of the shipped target it names as its ``base``, which may
    have one itself."""
    if "base" not in document:
        return document
    name = document["base"]
    stated = {key: value for key, value in document.items() if key != "base"}
    others = [n for n in available() if f"{n}.toml" != file]
    if name not in others:
        raise fail("E511", f"{file}: base", "there is no target of this name", got=_show(name),
                   limit="one of " + ", ".join(others))
    text = (resources.files("neurocompile.targets") / f"{name}.toml").read_text("utf-8")
    whole = on_base(f"{name}.toml", tomllib.loads(text))
    for key, value in stated.items():
        both = isinstance(value, dict) and isinstance(whole.get(key), dict)
        whole[key] = {**whole[key], **value} if both else value
    return whole


def _read(path: Path, file: str) -> str:
    try:
        if not path.exists():
            raise fail("E502", file, "there is no such file",
                       hint="the shipped targets are " + ", ".join(available()))
        if not path.is_file():
            raise fail("E502", file, "this is not a regular file",
                       got="a directory" if path.is_dir() else "",
                       hint="give the path of a .toml file")
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise fail("E502", file, f"the file cannot be read: {reason}") from None
    if len(data) > MAX_FILE_BYTES:
        raise fail("E503", file, "this is too large for a target file",
                   got="more than 1 MiB", limit="1 MiB")
    return _text(file, data)


def _text(file: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise fail("E504", file, "the file is not UTF-8 text",
                   got=f"byte 0x{data[error.start]:02x} at {error.start}") from None


class _Reader:
    """One file: walks its tables, collects what is wrong, keeps what is right by dotted key."""

    def __init__(self, file: str, document: dict[str, Any]):
        self.file = file
        self.document = document
        self.found = Diagnostics()
        self.values: Values = {}
        self.citations: list[Citation] = []
        self.sources: dict[str, str] = {}

    def target(self) -> TargetSpec:
        self._known(self.document, TOP_KEYS, "")
        self._read_citations()
        self._read_head()
        stated = {part: cls for part, cls in OPTIONAL.items() if part in self.document}
        for part, cls in (PARTS | stated).items():
            self._read_part(part, cls)
        costs = self._read_costs()
        for rule in CONTRADICTIONS:
            self._contradiction(rule)
        self.found.raise_if_errors()
        v = self.values
        parts: dict[str, Any] = {
            part: cls(**{f: v[f"{part}.{f}"] for f in _fields(cls)})
            for part, cls in (PARTS | stated).items()}
        return TargetSpec(
            name=v["name"], revision=v["revision"], description=v["description"], **parts,
            phases=v["phases"], edge_latency=v["edge_latency"], costs=costs,
            citations=tuple(self.citations))

    def _add(self, code: str, key: str, message: str, *, got: object = "", limit: str = "",
             hint: str = "") -> None:
        self.found.add(code, f"{self.file}: {_printable(key)}" if key else self.file, message,
                       got=got, limit=limit, hint=hint)

    def _known(self, table: dict[str, Any], allowed: Iterable[str], where: str) -> None:
        allowed = tuple(allowed)
        for key in table:
            if key not in allowed:
                kind = "table" if isinstance(table[key], dict) else "key"
                self._add("E506", where + key, f"unknown {kind}",
                          limit="one of " + ", ".join(allowed))

    def _table(self, key: str) -> dict[str, Any] | None:
        if key not in self.document:
            self._add("E507", key, "this table is missing")
            return None
        table = self.document[key]
        if not isinstance(table, dict):
            self._add("E508", key, "this must be a table", got=_show(table), limit=f"[{key}]")
            return None
        return table

    def _read_citations(self) -> None:
        for key, text in (self._table("citations") or {}).items():
            if not isinstance(text, str) or not text.strip():
                self._add("E508", f"citations.{key}", "a citation is a text", got=_show(text))
                text = ""
            self.sources[key] = text

    def _read_head(self) -> None:
        for key in ("name", "revision", "description"):
            self._leaf(self.document, key, key, str)
        name = self.values.get("name", "ok")
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,63}", name):
            self._add("E510", "name", "a target's name becomes part of file names",
                      got=_show(name), limit="a-z, then up to 63 of a-z 0-9 _ -")
        self._leaf(self.document, "phases", "phases", tuple[str, ...])
        self._leaf(self.document, "edge_latency", "edge_latency", int)

    def _read_part(self, part: str, cls: type[Node]) -> None:
        table = self._table(part)
        if table is None:
            return
        fields = _fields(cls)
        self._known(table, fields, f"{part}.")
        for field, hint in fields.items():
            self._leaf(table, field, f"{part}.{field}", hint)

    def _leaf(self, table: dict[str, Any], field: str, key: str, hint: Any) -> None:
        """Read one value, with its source, into ``self.values[key]`` if it is right."""
        if field not in table:
            self._add("E507", key, "this key is missing")
            return
        needs_source = hint in (int, bool) or hint == tuple[int, ...]
        value = self._sourced(table[field], key, needs_source)
        if value is None:
            return
        kind = _KINDS.get(hint, _KINDS[str])
        if not kind.fits(value):
            self._add("E508", key, f"this must be {kind.title}", got=_show(value))
            return
        value = tuple(value) if isinstance(value, list) else value
        if self._possible(key, value):
            self.values[key] = value

    def _sourced(self, entry: Any, key: str, needs_source: bool) -> Any:
        """The value of ``{ value, source | assumed }``, or None after saying what is wrong."""
        if not isinstance(entry, dict):
            if needs_source:
                self._add("E509", key, "this value does not say where it comes from",
                          got=_show(entry),
                          hint=f"write {key.rpartition('.')[2]} = {{ value = ..., source = "
                               f"\"key of [citations]\" }}, or assumed = \"why\"")
                return None
            return entry
        self._known(entry, ("value", "source", "assumed"), f"{key}.")
        self._cite(entry, key)
        if "value" not in entry:
            self._add("E507", f"{key}.value", "this key is missing")
        return entry.get("value")

    def _cite(self, entry: dict[str, Any], key: str) -> None:
        given = [k for k in ("source", "assumed") if k in entry]
        if len(given) != 1:
            self._add("E509", key, "a value has either a source or is assumed",
                      got=" and ".join(given) or "neither",
                      hint="write source = \"key of [citations]\", or assumed = \"why\"")
            return
        text = entry[given[0]]
        if not isinstance(text, str) or not text.strip():
            self._add("E508", f"{key}.{given[0]}", "this must be a text", got=_show(text))
        elif given[0] == "assumed":
            self.citations.append(Citation(key, text, True))
        elif text not in self.sources:
            if "citations" in self.document:  # its absence is reported once, not per number
                self._add("E513", key, "the source is not a key of [citations]",
                          got=_show(text),
                          limit="one of " + ", ".join(map(_printable, self.sources)))
        else:
            self.citations.append(Citation(key, self.sources[text], False))

    def _possible(self, key: str, value: Any) -> bool:
        """Is the value one that a chip can have; says so if not."""
        items = value if isinstance(value, tuple) else (value,)
        before = len(self.found)
        if not items:
            self._add("E510", key, "this list is empty")
        if len(set(items)) < len(items):
            self._add("E510", key, "this list names something twice")
        if key in NAMES:
            for item in items:
                if item not in NAMES[key]:
                    self._add("E511", key, "unknown name", got=_show(item),
                              limit="one of " + ", ".join(NAMES[key]))
        if key in RANGES:
            low, high = RANGES[key]
            for item in items:
                if not low <= item <= high:
                    self._add("E510", key, "no target can have this value", got=_show(item),
                              limit=f"{low} to {high}")
        return len(self.found) == before

    def _read_costs(self) -> dict[str, tuple[float, float]]:
        costs: dict[str, tuple[float, float]] = {}
        table = self._table("costs")
        if table is None:
            return costs
        self._known(table, EVENTS, "costs.")
        for event in EVENTS:
            if event not in table:
                self._add("E507", f"costs.{event}", "this key is missing")
                continue
            entry = table[event]
            key = f"costs.{event}"
            if not isinstance(entry, dict):
                self._add("E508", key, "this must be an inline table", got=_show(entry),
                          hint="write { energy_pj = ..., time_ns = ..., source = ... }")
                continue
            self._known(entry, ("energy_pj", "time_ns", "source", "assumed"), f"{key}.")
            self._cite(entry, key)
            energy, time = (self._cost(entry, key, field) for field in ("energy_pj", "time_ns"))
            costs[event] = (energy, time)
            self._in_ticks(key, time)
        return costs

    def _in_ticks(self, key: str, time_ns: float) -> None:
        tick = self.values.get("timing.tick_ps")
        if tick and not math.isclose(time_ns * 1000 / tick, round(time_ns * 1000 / tick),
                                     rel_tol=1e-9):
            self._add("E512", f"{key}.time_ns", "this is not a whole number of ticks",
                      got=_show(time_ns), limit=f"multiples of timing.tick_ps = {tick}")

    def _cost(self, entry: dict[str, Any], key: str, field: str) -> float:
        if field not in entry:
            self._add("E507", f"{key}.{field}", "this key is missing")
            return 0.0
        value = entry[field]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self._add("E508", f"{key}.{field}", "this must be a number", got=_show(value))
            return 0.0
        if not 0 <= value <= 1e12:  # also false for nan
            self._add("E510", f"{key}.{field}", "no target can have this value",
                      got=_show(value), limit="0 to 1e12")
            return 0.0
        return float(value)

    def _contradiction(self, rule: Rule) -> None:
        keys, holds, message, limit = rule
        if any(key not in self.values for key in keys) or holds(self.values):
            return
        got = ", ".join(f"{key.rpartition('.')[2]} = {_show(self.values[key])}" for key in keys)
        self._add("E512", keys[0], message, got=got,
                  limit=limit if isinstance(limit, str) else limit(self.values))


@dataclasses.dataclass(frozen=True)
class _Kind:
    title: str
    fits: Callable[[Any], bool]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(fits(item) for item in value)


def _is_str(value: Any) -> bool:
    return isinstance(value, str)


_KINDS: dict[Any, _Kind] = {
    int: _Kind("an integer", _is_int),
    bool: _Kind("true or false", lambda value: isinstance(value, bool)),
    str: _Kind("a text", _is_str),
    tuple[int, ...]: _Kind("a list of integers", _is_list_of(_is_int)),
    tuple[str, ...]: _Kind("a list of texts", _is_list_of(_is_str)),
}


def _fields(cls: type[Node]) -> dict[str, Any]:
    """Field name -> type of a part of ``TargetSpec``; a choice of names counts as text."""
    hints = get_type_hints(cls)
    return {f.name: hints[f.name] if get_origin(hints[f.name]) in (None, tuple) else str
            for f in dataclasses.fields(cls)}  # type: ignore[arg-type]


def _printable(text: str, limit: int = 80) -> str:
    """Text from a file made safe to print: no control characters, not endless."""
    safe = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:limit])
    return safe + "..." if len(text) > limit else safe


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # str() of an integer beyond 4300 digits raises.
        return str(value) if value.bit_length() <= 128 else f"{value.bit_length()} bits"
    if isinstance(value, str):
        return f'"{_printable(value)}"'
    if isinstance(value, (list, tuple)) and len(value) <= 16:
        return "[" + ", ".join(_show(item) for item in value) + "]"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return "a table"
    return f"a {type(value).__name__}"
