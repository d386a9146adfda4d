"""Reads what a user wants of the mapping from TOML: strictly, every problem at once.

The form is in docs/mapping.md. What a file says about populations and tiles that do not exist is
found later, by ``neurocompile.passes.constrain``, which knows the network and the target.
"""

from __future__ import annotations

import difflib
import math
import re
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from neurocompile.diagnostics import Diagnostics, fail
from neurocompile.ir.constraints import METHODS, Constraints, Fault, MeshTile

MAX_BYTES = 1 << 20
WEIGHTS = ("cores", "messages", "operations", "hops", "links")
"""What ``[partition.weights]`` may weigh."""
_LARGEST = (1 << 31) - 1
_T = TypeVar("_T")


def load_constraints(path: str | Path) -> Constraints:
    """The constraints of a mapping file. Raises :class:`CompileError` with E540 to E545."""
    return parse_constraints(_text(Path(path), str(path)), str(path))


def parse_constraints(text: str, file: str) -> Constraints:
    """The constraints that TOML ``text`` states. ``file`` is the name that diagnostics use."""
    toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        document = toml.loads(text)
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise fail("E540", file, "is not TOML", got=reason,
                   hint="see the example in docs/mapping.md") from None
    return _Reader(file).read(document)


def _text(path: Path, file: str) -> str:
    try:
        if not path.is_file():
            there = "a directory" if path.is_dir() else "nothing of this name"
            raise fail("E540", file, "is not a file", got=there,
                       hint="--mapping takes a .toml file, see docs/mapping.md")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise fail("E540", file, "is too large for a mapping file",
                       got=f"more than {MAX_BYTES} bytes", limit=f"{MAX_BYTES} bytes")
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise fail("E540", file, "is not UTF-8 text") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise fail("E540", file, "cannot be read", got=reason) from None


class _Reader:
    """One file. What is wrong is collected, what is right is kept."""

    def __init__(self, file: str):
        self.file = file
        self.found = Diagnostics()

    def read(self, document: dict[str, Any]) -> Constraints:
        self._known(document, ("partition", "place"), "")
        partition = self._table(document, "partition", "partition")
        place = self._table(document, "place", "place")
        self._known(partition, ("neurons_per_core", "share_cores", "cores", "weights",
                                "methods"), "partition")
        self._known(place, ("forbidden", "cores", "populations"), "place")
        cores = self._cores(self._table(partition, "cores", "partition.cores"))
        constraints = Constraints(
            neurons_per_core=self._number(partition, "neurons_per_core", "partition", 1),
            share_cores=self._share(partition),
            cores=cores,
            weights=self._weights(partition),
            faults=self._faults(place),
            tiles=self._tiles(self._table(place, "cores", "place.cores"), cores),
            chips=self._chips(self._table(place, "populations", "place.populations")),
            methods=self._methods(partition))
        self._together(constraints)
        self.found.raise_if_errors()
        return constraints

    def _add(self, code: str, key: str, message: str, *, got: object = "", limit: object = "",
             hint: str = "") -> None:
        self.found.add(code, f"{self.file}: {key}" if key else self.file, message, got=got,
                       limit=limit, hint=hint)

    def _known(self, table: dict[str, Any], known: Iterable[str], where: str) -> None:
        known = list(known)
        for key in table:
            if key in known:
                continue
            close = difflib.get_close_matches(key, known, 1)
            self._add("E541", where, "unknown key", got=repr(key),
                      limit="one of " + ", ".join(known),
                      hint=f"did you mean {close[0]}?" if close else "")

    def _typed(self, value: object, kind: type[_T], key: str, expected: str) -> _T | None:
        """The value, or None after saying that it has another type. ``true`` is no number."""
        if type(value) is kind:
            return value
        self._add("E542", key, "has the wrong type", got=_described(value), limit=expected)
        return None

    def _table(self, parent: dict[str, Any], name: str, key: str) -> dict[str, Any]:
        if name not in parent:
            return {}
        return self._typed(parent[name], dict, key, f"a table, [{key}]") or {}

    def _number(self, table: dict[str, Any], name: str, where: str, least: int = 0) -> int | None:
        if name not in table:
            return None
        return self._whole(table[name], f"{where}.{name}", least)

    def _whole(self, value: object, key: str, least: int = 0) -> int | None:
        number = self._typed(value, int, key, "a whole number")
        if number is None or least <= number <= _LARGEST:
            return number
        self._add("E543", key, "is out of range", got=_described(number),
                  limit=f"{least} to {_LARGEST}")
        return None

    def _share(self, table: dict[str, Any]) -> bool:
        share = self._typed(table.get("share_cores", True), bool, "partition.share_cores",
                            "true or false")
        return True if share is None else share

    def _cores(self, table: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        pins: dict[str, tuple[int, ...]] = {}
        for name, value in table.items():
            key = f"partition.cores.{name}"
            numbers = [self._whole(item, key) for item in
                       (value if isinstance(value, list) else [value])]
            whole = tuple(n for n in numbers if n is not None)
            if len(whole) < len(numbers):
                continue
            if not whole or len(set(whole)) < len(whole):
                self._add("E543", key, "is no list of different cores", got=value,
                          limit="at least one core, each once")
                continue
            pins[name] = whole
        return pins

    def _weights(self, partition: dict[str, Any]) -> dict[str, float]:
        table = self._table(partition, "weights", "partition.weights")
        self._known(table, WEIGHTS, "partition.weights")
        weights: dict[str, float] = {}
        for name in WEIGHTS:
            if name not in table:
                continue
            key, value = f"partition.weights.{name}", table[name]
            if type(value) not in (int, float):
                self._add("E542", key, "has the wrong type", got=_described(value),
                          limit="a number")
            elif not (0 <= value <= 1e12 and math.isfinite(value)):
                self._add("E543", key, "is out of range", got=_described(value), limit="0 to 1e12")
            else:
                weights[name] = float(value)
        if "weights" in partition and table and len(weights) == len(table) and not any(
                weights.values()):
            self._add("E543", "partition.weights", "all weights are 0", limit="one above 0",
                      hint="leave the table out for fewest cores, then fewest messages")
        return weights

    def _methods(self, partition: dict[str, Any]) -> tuple[str, ...]:
        if "methods" not in partition:
            return ()
        key = "partition.methods"
        entries = self._typed(partition["methods"], list, key, "a list of names")
        if entries == []:
            self._add("E548", key, "names no method", limit="at least one of " + ", ".join(METHODS),
                      hint="leave the key out for the default")
        names: list[str] = []
        for i, entry in enumerate(entries or []):
            name = self._typed(entry, str, f"{key}[{i}]", "the name of a method")
            if name is None:
                continue
            if name not in METHODS:
                close = difflib.get_close_matches(name, METHODS, 1)
                self._add("E548", f"{key}[{i}]", "there is no such method", got=repr(name[:40]),
                          limit="one of " + ", ".join(METHODS),
                          hint=f"did you mean {close[0]}?" if close else "")
            elif name in names:
                self._add("E548", f"{key}[{i}]", "names a method again", got=repr(name),
                          limit=f"{key}[{names.index(name)}]")
            names.append(name)
        return tuple(names)

    def _faults(self, place: dict[str, Any]) -> tuple[Fault, ...]:
        entries = self._typed(place.get("forbidden", []), list, "place.forbidden",
                              "a list of tables")
        faults = []
        for i, entry in enumerate(entries or []):
            key = f"place.forbidden[{i}]"
            tile = self._tile(entry, key, ("cores",))
            if tile is None:
                continue
            if "cores" not in entry:
                faults.append(Fault(tile))
                continue
            cores = self._number(entry, "cores", key, 1)
            if cores is not None:
                faults.append(Fault(tile, cores))
        return tuple(faults)

    def _tile(self, entry: object, key: str, more: tuple[str, ...] = ()) -> MeshTile | None:
        table = self._typed(entry, dict, key, "a table, { chip = ..., x = ..., y = ... }")
        if table is None:
            return None
        self._known(table, ("chip", "x", "y", *more), key)
        missing = [name for name in ("chip", "x", "y") if name not in table]
        if missing:
            self._add("E542", key, "does not say which tile", got="no " + ", no ".join(missing),
                      limit="chip, x and y")
        chip, x, y = (self._number(table, name, key) for name in ("chip", "x", "y"))
        return None if chip is None or x is None or y is None else MeshTile(chip, x, y)

    def _tiles(self, table: dict[str, Any],
               cores: dict[str, tuple[int, ...]]) -> dict[int, MeshTile]:
        tiles: dict[int, MeshTile] = {}
        pinned = {number for numbers in cores.values() for number in numbers}
        for text, entry in table.items():
            key = f"place.cores.{text}"
            if not re.fullmatch(r"0|[1-9][0-9]{0,9}", text):
                self._add("E543", key, "is not the number of a core", got=text,
                          limit="a number of [partition.cores]")
                continue
            tile = self._tile(entry, key)
            if int(text) not in pinned:
                self._add("E545", key, "no population is pinned to this core", got=text,
                          limit=", ".join(map(str, sorted(pinned))) or "no pinned core",
                          hint="name it in [partition.cores]")
            elif tile is not None:
                tiles[int(text)] = tile
        return tiles

    def _chips(self, table: dict[str, Any]) -> dict[str, int]:
        chips: dict[str, int] = {}
        for name, entry in table.items():
            key = f"place.populations.{name}"
            body = self._typed(entry, dict, key, "a table, { chip = ... }")
            if body is None:
                continue
            self._known(body, ("chip",), key)
            if "chip" not in body:
                self._add("E542", key, "does not say which chip", limit="chip")
            chip = self._number(body, "chip", key)
            if chip is not None:
                chips[name] = chip
        return chips

    def _together(self, wanted: Constraints) -> None:
        """Constraints that contradict each other on any network."""
        seen: dict[tuple[int, int, int], int] = {}
        for i, fault in enumerate(wanted.faults):
            where = (fault.tile.chip, fault.tile.x, fault.tile.y)
            if where in seen:
                self._add("E545", f"place.forbidden[{i}]", "names a tile again",
                          got="chip {}, x {}, y {}".format(*where),
                          limit=f"place.forbidden[{seen[where]}]")
            seen.setdefault(where, i)
        # Everything that says which chip a pinned core is on.
        said: dict[int, list[tuple[str, int]]] = {}
        for number, tile in wanted.tiles.items():
            said.setdefault(number, []).append((f"place.cores.{number}", tile.chip))
        for name, chip in wanted.chips.items():
            for number in wanted.cores.get(name, ()):
                said.setdefault(number, []).append((f"place.populations.{name}", chip))
        for number, places in sorted(said.items()):
            for key, chip in places[1:]:
                if chip != places[0][1]:
                    self._add("E545", key, f"pinned core {number} would be on two chips",
                              got=f"chip {chip}", limit=f"chip {places[0][1]} by {places[0][0]}")


def _described(value: object) -> str:
    names: dict[type, Callable[[Any], str]] = {
        bool: lambda v: f"boolean {str(v).lower()}", float: lambda v: f"float {v!r}",
        str: lambda v: f"text {v[:40]!r}", list: lambda _: "a list", dict: lambda _: "a table",
        int: lambda v: f"integer {v}" if v.bit_length() <= 128 else f"{v.bit_length()} bits"}
    return names.get(type(value), lambda _: "a date or time")(value)
