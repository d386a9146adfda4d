"""Bundles in a build directory: what backends wrote for the user, under names a person types.

    BUILD/lava/manifest.json     backend, digest of the network, digests of the files
    BUILD/lava/program.py        and whatever else the backend emits

The build's own files are named by their content, so that a new build never overwrites the old
one's; these are not. A bundle is staged in a folder of its own and renamed into place just before
the build's manifest is replaced. Whatever a user changed or added in one is never deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import neurocompile
from neurocompile.backend import Bundle
from neurocompile.diagnostics import Diagnostics

FORMAT = "neurocompile-bundle"
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20
PART = re.compile(r"\.neurocompile-[0-9]+-[a-z0-9_-]+\.(new|old)\.part")
NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def document(bundle: Bundle, network_digest: str) -> bytes:
    """The manifest of a bundle."""
    files = {name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
             for name, data in bundle.files.items()}
    value = {"format": FORMAT, "backend": bundle.backend, "files": files,
             "network": network_digest, "neurocompile": neurocompile.__version__}
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def check_place(folder: Path, names: Iterable[str]) -> None:
    """May the bundles of these names be replaced in the build directory ``folder``?

    Raises ``CompileError``: E718 for every one that holds something that was not written there by
    neurocompile, or was changed since.
    """
    found = Diagnostics()
    for name in sorted(set(names)):
        place = folder / name
        if not os.path.lexists(place):
            continue
        foreign = changes(place)
        if foreign:
            found.add("E718", str(place), "holds what a compilation did not write, and would be "
                      "replaced", got=", ".join(ascii(f) for f in foreign[:5]),
                      hint="move it elsewhere, or compile into another directory")
    found.raise_if_errors()


def changes(place: Path) -> list[str]:
    """Files of a bundle that are not as its manifest says: changed, missing or added. What Python
    leaves beside modules does not count."""
    if place.is_symlink() or not place.is_dir():
        return [place.name]
    stated = _stated(place)
    if stated is None:
        return [MANIFEST]
    found = []
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        if "__pycache__" in path.relative_to(place).parts or name == MANIFEST:
            continue
        if path.is_dir() and not path.is_symlink():
            continue
        if path.is_symlink() or _sha256(path) != stated.get(name):
            found.append(name)
    return found + [name for name in sorted(stated) if not (place / name).exists()]


def _stated(place: Path) -> dict[str, str] | None:
    """{file: sha256} of a bundle's manifest; None if it is none of ours."""
    path = place / MANIFEST
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_MANIFEST_BYTES:
            return None
        value: Any = json.loads(path.read_bytes())
        if value["format"] != FORMAT:
            return None
        return {str(name): str(entry["sha256"]) for name, entry in value["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


class Placement:
    """Bundles on their way into a build directory: :meth:`stage`, :meth:`swap`, and then either
    :meth:`finish` or :meth:`undo`."""

    def __init__(self, folder: Path, old: Iterable[str], new: Sequence[Bundle]):
        self.folder = folder
        self.old = sorted(set(old))
        self.new = {bundle.backend: bundle for bundle in new}
        self.done: list[tuple[Path, Path]] = []

    def stage(self, network_digest: str) -> dict[str, str]:
        """Write the new bundles beside their places. Returns {backend: digest of its manifest}."""
        digests = {}
        for name, bundle in sorted(self.new.items()):
            manifest = document(bundle, network_digest)
            _write(self._part(name, "new"), {**bundle.files, MANIFEST: manifest})
            digests[name] = hashlib.sha256(manifest).hexdigest()
        return digests

    def swap(self) -> None:
        """Rename old bundles away and new ones into their places."""
        for name in sorted({*self.old, *self.new}):
            place = self.folder / name
            if os.path.lexists(place):
                self._move(place, self._part(name, "old"))
            if name in self.new:
                self._move(self._part(name, "new"), place)

    def undo(self) -> None:
        """As before :meth:`stage`."""
        with suppress(OSError):  # the failure that led here is what the user must see
            for source, target in reversed(self.done):
                target.rename(source)
            for name in self.new:
                shutil.rmtree(self._part(name, "new"), ignore_errors=True)

    def finish(self) -> None:
        """The new build is the build: remove what is left of the old one's bundles."""
        with suppress(OSError):
            for entry in self.folder.iterdir():
                if is_part(entry):
                    shutil.rmtree(entry, ignore_errors=True)

    def _move(self, source: Path, target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)  # of an interrupted compilation
        source.rename(target)
        self.done.append((source, target))

    def _part(self, name: str, age: str) -> Path:
        return self.folder / f".neurocompile-{os.getpid()}-{name}.{age}.part"


def is_part(entry: Path) -> bool:
    """A folder that an interrupted compilation left."""
    return bool(PART.fullmatch(entry.name)) and entry.is_dir() and not entry.is_symlink()


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in sorted(files.items()):
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"a backend names a file outside its bundle: {name!r}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
