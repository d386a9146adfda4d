"""The build directory: what a compilation leaves, safe to load and written all or nothing.

    manifest.json                  format, versions, digests of every file and phase
    network-<12 hex>.json          the phases, without their arrays
    arrays-<12 hex>.npz            the arrays, each once
    contract-<12 hex>.toml         the discretization contract
    NAME-<12 hex>.EXT              whatever else the compilation wrote
    BACKEND/                       what a backend wrote to deploy (neurocompile.bundles)

Content files carry a digest of their content in their name, so a new build never overwrites a
file of the old one: it adds its own, then replaces ``manifest.json`` (the moment the new build
becomes the build), then removes what only the old manifest names. Interrupted anywhere, the
directory holds one whole build. Nothing in it depends on time or place.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import neurocompile
from neurocompile.backend import Bundle
from neurocompile.bundles import NAME as BUNDLE_NAME
from neurocompile.bundles import Placement, changes, check_place, is_part
from neurocompile.contract import contract_to_toml
from neurocompile.diagnostics import CompileError, Diagnostic, Diagnostics, fail
from neurocompile.ir.base import Array, digest, from_document, to_document
from neurocompile.ir.conform import misfit
from neurocompile.ir.contract import Contract
from neurocompile.ir.mapping import Mapping as CoreMapping
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import TargetSpec
from neurocompile.npz import NpzError, NpzReader, write_npz

FORMAT = "neurocompile-build"
SCHEMA = 6
MANIFEST = "manifest.json"
DEFAULT_LIMIT_BYTES = 8 << 30
MAX_MANIFEST_BYTES = 16 << 20
MAX_DOCUMENT_BYTES = 256 << 20

CODES: dict[str, tuple[str, str]] = {
    "E701": ("the build path is not a directory", "choose another path"),
    "E702": ("the directory holds something else", "choose an empty or new directory"),
    "E703": ("a file of the build is not a regular file", "choose another directory"),
    "E704": ("the build cannot be written", "check space and permissions"),
    "E705": ("a name that no build file may have", "use letters, digits, dot, dash, underscore"),
    "E706": ("no build", "compile into this directory first"),
    "E707": ("the manifest is damaged", "compile again"),
    "E708": ("another version of the build format", "compile again with this version"),
    "E709": ("the manifest names a file outside the build", "do not use this build"),
    "E710": ("a file of the build is missing", "compile again"),
    "E711": ("a file of the build was changed", "compile again"),
    "E712": ("larger than the limit", "raise limit_bytes if the build is yours"),
    "E713": ("the arrays of the build are damaged", "compile again"),
    "E714": ("the phases of the build are damaged", "compile again"),
    "E715": ("a phase is not the one the manifest names", "compile again"),
    "E716": ("a file of the build cannot be read", "check permissions"),
    "E718": ("a bundle holds what was not written there", "move it away, or compile elsewhere"),
}
"""What each code of this module means, and what to do."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_CONTENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*-([0-9a-f]{12})(\.[A-Za-z0-9]+)?")
_PART = re.compile(r"\.neurocompile-.*\.part")
_OWN_FILES = ("network.json", "arrays.npz", "contract.toml")


@dataclass(frozen=True, eq=False)
class StoredBuild:
    """A build read back. ``mapping`` is None where the network was not mapped onto cores."""

    quantized: QuantizedNetwork
    mapping: CoreMapping | None
    contract: Contract
    target: TargetSpec
    diagnostics: tuple[Diagnostic, ...]
    extra_files: dict[str, bytes]
    manifest: dict[str, Any] = field(repr=False)


def write_build(path: str | Path, *, mapping: CoreMapping | QuantizedNetwork, contract: Contract,
                target: TargetSpec, diagnostics: Iterable[Diagnostic] = (),
                extra_files: Mapping[str, bytes] | None = None,
                bundles: Sequence[Bundle] = ()) -> None:
    """Write a build directory atomically; an existing build there is replaced, with its bundles.

    ``mapping``: the last phase reached (the earlier ones are part of it). Same arguments, same
    bytes. Raises E701 to E703 where the path is not free or a build, E704 where writing fails
    (the old build stays), E705 for a bad name in ``extra_files``, E718 where a bundle there was
    changed by somebody else.
    """
    folder, extra = Path(path), dict(extra_files or {})
    _check_names(extra)
    contents = _contents(mapping, contract, target, extra)
    old, old_bundles = _check_place(folder)
    check_place(folder, [*old_bundles, *(bundle.backend for bundle in bundles)])
    placement = Placement(folder, old_bundles, bundles)
    created = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = {name: _place(folder, name, write) for name, write in contents.items()}
        manifest = _manifest(files, mapping, contract, target, diagnostics)
        manifest["bundles"] = placement.stage(manifest["phases"]["quantized"])
        placement.swap()
        _commit(folder, manifest)
    except OSError as error:
        placement.undo()
        _clean(folder, created)
        raise fail("E704", str(path), "the build cannot be written", got=_reason(error),
                   hint="check space and permissions; an earlier build there is unchanged"
                   ) from error
    except BaseException:
        placement.undo()
        _clean(folder, created)
        raise
    placement.finish()
    _remove(folder, old - {entry["name"] for entry in files.values()})


def read_build(path: str | Path, *, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> StoredBuild:
    """Read a build directory without trusting it.

    Verifies the digest of every file and phase and the types of every field; constructs IR
    classes only. Raises :class:`CompileError` (E701, E703, E706 to E716), with every file that
    is missing or changed.
    """
    folder = Path(path)
    manifest = _read_manifest(folder)
    raw = _read_files(folder, manifest["files"], limit_bytes)
    document = _json(raw.pop("network.json"), f"{path}: network.json", "E714")
    arrays = _read_arrays(raw.pop("arrays.npz"), f"{path}: arrays.npz", limit_bytes)
    raw.pop("contract.toml")  # written for people; the digest covers it
    phase, contract, target = _rebuild(document, arrays, f"{path}: network.json")
    _check_phases(manifest, _phases(phase, contract, target), str(path))
    core = phase if isinstance(phase, CoreMapping) else None
    quantized = phase.quantized if isinstance(phase, CoreMapping) else phase
    found = tuple(Diagnostic(**item) for item in manifest["diagnostics"])
    return StoredBuild(quantized, core, contract, target, found, raw, manifest)


# ---------------------------------------------------------------- writing

def _check_names(extra: Iterable[str]) -> None:
    diagnostics = Diagnostics()
    for name in extra:
        if not _NAME.fullmatch(name) or name in (*_OWN_FILES, MANIFEST):
            diagnostics.add("E705", ascii(name), "is no name for a file of a build",
                            limit="letters, digits, dot, dash and underscore, up to 100",
                            hint="choose another name")
    diagnostics.raise_if_errors()


def _contents(phase: CoreMapping | QuantizedNetwork, contract: Contract, target: TargetSpec,
              extra: dict[str, bytes]) -> dict[str, Callable[[IO[bytes]], None]]:
    """What goes into each file, as functions that write it."""
    document, arrays = to_document((phase, contract, target))
    text = json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n"
    toml = contract_to_toml(contract)

    def bytes_of(data: bytes) -> Callable[[IO[bytes]], None]:
        return lambda file: _write_all(file, data)

    writers = {"network.json": bytes_of(text.encode()),
               "arrays.npz": lambda file: write_npz(file, arrays),
               "contract.toml": bytes_of(toml.encode())}
    return {**writers, **{name: bytes_of(data) for name, data in sorted(extra.items())}}


def _write_all(file: IO[bytes], data: bytes) -> None:
    file.write(data)


def _check_place(folder: Path) -> tuple[set[str], set[str]]:
    """May a build be written here? Returns the content files and the bundles that are there."""
    if not (folder.exists() or folder.is_symlink()):
        return set(), set()
    if not folder.is_dir():
        raise fail("E701", str(folder), "is not a directory", hint="choose another path")
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise fail("E704", str(folder), "the directory cannot be read", got=_reason(error)
                   ) from error
    if not entries:
        return set(), set()
    if os.path.lexists(folder / MANIFEST):
        return _names_of_old(folder)
    foreign = [entry.name for entry in entries if not _is_leftover(entry)]
    if foreign:
        raise fail("E702", str(folder), "is not empty and holds no build",
                   got=", ".join(ascii(name) for name in foreign[:5]),
                   hint="choose an empty or new directory")
    return set(), {entry.name for entry in entries if _is_left_bundle(entry)}


def _names_of_old(folder: Path) -> tuple[set[str], set[str]]:
    """Content files and bundles of an existing build, as far as its manifest can be believed."""
    try:
        manifest = _read_manifest(folder)
    except CompileError as error:
        if any(item.code == "E708" for item in error.diagnostics):
            return set(), set()  # a build of another version: replaced, its files stay
        if any(item.code == "E703" for item in error.diagnostics):
            raise
        raise fail("E702", str(folder), "holds a manifest that is not one of ours",
                   hint="choose an empty or new directory") from error
    return {entry["name"] for entry in manifest["files"].values()}, set(manifest["bundles"])


def _is_left_bundle(entry: Path) -> bool:
    """A whole bundle, put in its place just before a first compilation was interrupted."""
    return bool(BUNDLE_NAME.fullmatch(entry.name)) and entry.is_dir() and not changes(entry)


def _is_leftover(entry: Path) -> bool:
    """Is this what an interrupted first compilation leaves? Its own digest is in its name."""
    if is_part(entry) or _is_left_bundle(entry):
        return True
    if entry.is_symlink() or not entry.is_file():
        return False
    if _PART.fullmatch(entry.name):
        return True
    match = _CONTENT.fullmatch(entry.name)
    if match is None:
        return False
    with entry.open("rb") as file:
        return _sha256(file).startswith(match[1])


def _sha256(file: IO[bytes]) -> str:
    sha = hashlib.sha256()
    while chunk := file.read(1 << 20):
        sha.update(chunk)
    return sha.hexdigest()


def _place(folder: Path, name: str, write: Callable[[IO[bytes]], None]) -> dict[str, Any]:
    """Write one content file under its digest's name; returns its manifest entry."""
    part = folder / f".neurocompile-{os.getpid()}-{name}.part"
    _write_synced(part, write)
    with part.open("rb") as file:
        sha = _sha256(file)
        size = file.tell()
    stem, dot, suffix = name.rpartition(".")
    final = f"{stem}-{sha[:12]}.{suffix}" if dot and suffix.isalnum() and stem \
        else f"{name}-{sha[:12]}"
    os.replace(part, folder / final)  # noqa: PTH105 - tests interrupt os.replace
    return {"name": final, "sha256": sha, "bytes": size}


def _write_synced(part: Path, write: Callable[[IO[bytes]], None]) -> None:
    part.unlink(missing_ok=True)
    with part.open("xb") as file:  # x: never through a link that is there already
        write(file)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make renames durable, where the file system can; the files themselves were synced."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _manifest(files: dict[str, dict[str, Any]], phase: CoreMapping | QuantizedNetwork,
              contract: Contract, target: TargetSpec, diagnostics: Iterable[Diagnostic]
              ) -> dict[str, Any]:
    return {"format": FORMAT, "schema": SCHEMA, "neurocompile": neurocompile.__version__,
            "files": files, "phases": _phases(phase, contract, target),
            "target": {"name": target.name, "revision": target.revision},
            "diagnostics": [item.to_dict() for item in diagnostics]}


def _phases(phase: CoreMapping | QuantizedNetwork, contract: Contract, target: TargetSpec
            ) -> dict[str, str]:
    quantized = phase.quantized if isinstance(phase, CoreMapping) else phase
    scheduled = quantized.scheduled
    found: dict[str, Any] = {
        "contract": contract, "target": target, "network": scheduled.discrete.network,
        "discrete": scheduled.discrete, "scheduled": scheduled, "quantized": quantized}
    if isinstance(phase, CoreMapping):
        found["mapping"] = phase
    return {name: digest(value) for name, value in found.items()}


def _commit(folder: Path, manifest: dict[str, Any]) -> None:
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    part = folder / f".neurocompile-{os.getpid()}-{MANIFEST}.part"
    _sync_folder(folder)
    _write_synced(part, lambda file: _write_all(file, text.encode()))
    os.replace(part, folder / MANIFEST)  # noqa: PTH105 - the commit point
    _sync_folder(folder)


def _clean(folder: Path, created: bool) -> None:
    """After a failure: no temporary files, no empty folder. Content files that were placed stay:
    another compilation may be about to name them."""
    with suppress(OSError):  # the failure that led here is what the user must see
        for entry in folder.glob(f".neurocompile-{os.getpid()}-*.part"):
            entry.unlink(missing_ok=True)
        if created:
            folder.rmdir()


def _remove(folder: Path, names: Iterable[str]) -> None:
    """Delete files the new build does not need: only ours, as the digest in the name proves."""
    with suppress(OSError):  # the new build is whole; a file too many does no harm
        stale = {*(folder / name for name in names),
                 *(entry for entry in folder.iterdir() if _PART.fullmatch(entry.name))}
        for entry in sorted(stale):
            if entry.is_file() and _is_leftover(entry):
                entry.unlink(missing_ok=True)


# ---------------------------------------------------------------- reading

def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [""])[0][:120] or type(error).__name__


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        is_folder, is_there = folder.is_dir(), folder.exists()
    except (OSError, ValueError) as error:
        raise fail("E706", ascii(str(folder)), "is no build", got=_reason(error)) from error
    if not is_folder:
        code, text = ("E701", "is not a directory") if is_there else ("E706", "does not exist")
        raise fail(code, str(folder), text, hint="name the directory given to compile -o")
    if not os.path.lexists(folder / MANIFEST):
        raise fail("E706", str(folder), f"holds no {MANIFEST}",
                   hint="compile into this directory first")
    subject = f"{folder}: {MANIFEST}"
    manifest = _json(_read_regular(folder / MANIFEST, subject, MAX_MANIFEST_BYTES), subject, "E707")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise fail("E707", subject, "is not the manifest of a build")
    if manifest.get("schema") != SCHEMA:
        raise fail("E708", subject, "is of another version of the build format",
                   got=str(manifest.get("schema"))[:20], limit=SCHEMA,
                   hint="compile again with this version of neurocompile")
    _check_manifest(manifest, subject)
    return manifest


def _check_manifest(manifest: dict[str, Any], subject: str) -> None:
    diagnostics = Diagnostics()
    if not _is_texts(manifest.get("phases")):
        diagnostics.add("E707", subject, "has no digests of its phases")
    listed = manifest.get("diagnostics")
    keys = set(Diagnostic.__dataclass_fields__)
    if not isinstance(listed, list) or not all(
            _is_texts(item) and set(item) == keys for item in listed):
        diagnostics.add("E707", subject, "has no list of diagnostics")
    bundles = manifest.get("bundles")
    if not _is_texts(bundles) or not all(BUNDLE_NAME.fullmatch(name) for name in bundles or ()):
        diagnostics.add("E707", subject, "does not say what bundles there are")
    files = manifest.get("files")
    if not isinstance(files, dict) or not set(_OWN_FILES) <= set(files):
        diagnostics.add("E707", subject, "does not name the files of a build",
                        limit=", ".join(_OWN_FILES))
        files = {}
    for logical, entry in files.items():
        _check_entry(logical, entry, subject, diagnostics)
    diagnostics.raise_if_errors()


def _is_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _check_entry(logical: str, entry: object, subject: str, diagnostics: Diagnostics) -> None:
    if not isinstance(entry, dict) or set(entry) != {"name", "sha256", "bytes"} or not (
            isinstance(entry["name"], str) and isinstance(entry["sha256"], str)
            and type(entry["bytes"]) is int and entry["bytes"] >= 0):
        diagnostics.add("E707", subject, "describes a file in an unknown way",
                        got=ascii(logical)[:60])
        return
    match = _CONTENT.fullmatch(entry["name"])
    if not _NAME.fullmatch(logical) or match is None:
        diagnostics.add("E709", subject, "names a file that no build has",
                        got=ascii(entry["name"])[:80], limit="NAME-<12 hex>.EXT in the directory")
    elif not entry["sha256"].startswith(match[1]):
        diagnostics.add("E707", subject, "names a file by another digest than it states",
                        got=entry["name"])


def _read_regular(path: Path, subject: str, limit: int) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes; links are not followed."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise fail("E703", subject, "is a link or no regular file",
                       hint="a build holds plain files only")
        if status.st_size > limit:
            raise fail("E712", subject, "is larger than the limit", got=f"{status.st_size} bytes",
                       limit=f"{limit} bytes")
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
                         | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            return file.read(limit + 1)
    except FileNotFoundError as error:
        raise fail("E710", subject, "is missing", hint="compile again") from error
    except OSError as error:
        raise fail("E716", subject, "cannot be read", got=_reason(error)) from error


def _read_files(folder: Path, files: dict[str, dict[str, Any]], limit_bytes: int
                ) -> dict[str, bytes]:
    """Every file of the build by its logical name, its digest verified."""
    total = sum(entry["bytes"] for entry in files.values())
    if total > limit_bytes:
        raise fail("E712", str(folder), "the build is larger than the limit",
                   got=f"{total} bytes", limit=f"{limit_bytes} bytes",
                   hint="raise limit_bytes if the build is yours")
    diagnostics, found = Diagnostics(), {}
    for logical, entry in sorted(files.items()):
        subject = f"{folder}: {entry['name']}"
        limit = min(limit_bytes, MAX_DOCUMENT_BYTES if logical == "network.json" else limit_bytes)
        try:
            data = _read_regular(folder / entry["name"], subject, limit)
        except CompileError as error:
            diagnostics.extend(error.diagnostics)
            continue
        if hashlib.sha256(data).hexdigest() != entry["sha256"] or len(data) != entry["bytes"]:
            diagnostics.add("E711", subject, "was changed after it was written",
                            got=f"{len(data)} bytes", limit=f"{entry['bytes']} bytes",
                            hint="compile again")
        found[logical] = data
    diagnostics.raise_if_errors()
    return found


def _json(raw: bytes, subject: str, code: str) -> Any:
    try:
        return json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise fail(code, subject, "is not JSON", got=_reason(error)) from error


def _read_arrays(raw: bytes, subject: str, limit_bytes: int) -> dict[str, Array]:
    try:
        with NpzReader(io.BytesIO(raw)) as reader:
            return reader.read(reader.names, limit_bytes)
    except NpzError as error:
        where = f"{subject}: {error.subject[:80]}" if error.subject else subject
        raise fail("E712" if error.kind == "limit" else "E713", where, error.message,
                   got=error.got, limit=error.limit) from error


def _rebuild(document: Any, arrays: dict[str, Array], subject: str
             ) -> tuple[CoreMapping | QuantizedNetwork, Contract, TargetSpec]:
    try:
        value = from_document(document, arrays)
    except KeyError as error:
        raise fail("E714", subject, "refers to something the build does not have",
                   got=ascii(error.args[0] if error.args else "")[:80]) from error
    except (ValueError, TypeError, AttributeError, IndexError, ArithmeticError,
            RecursionError) as error:
        raise fail("E714", subject, "does not describe a network", got=_reason(error)) from error
    wrong = misfit(value, tuple[CoreMapping | QuantizedNetwork, Contract, TargetSpec], "phases")
    if wrong:
        raise fail("E714", subject, "holds a value of the wrong type", got=wrong[:200])
    phase, contract, target = value
    return phase, contract, target


def _check_phases(manifest: dict[str, Any], found: dict[str, str], subject: str) -> None:
    diagnostics = Diagnostics()
    stated = manifest["phases"]
    for name in sorted({*stated, *found}):
        if stated.get(name) != found.get(name):
            diagnostics.add("E715", f"{subject}: {name}", "is not what the manifest names",
                            got=found.get(name, "nothing")[:12],
                            limit=ascii(stated.get(name, "nothing"))[:14], hint="compile again")
    diagnostics.raise_if_errors()
