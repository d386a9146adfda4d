"""The build directory: same input, same bytes; interrupted anywhere, one whole build."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_build import CONTRACT, TARGET, small_mapping, small_quantized

from neurocompile import store
from neurocompile.contract import load_contract
from neurocompile.diagnostics import CompileError, Diagnostic
from neurocompile.ir.base import digest
from neurocompile.ir.mapping import Mapping
from neurocompile.ir.quantized import QuantizedNetwork

WARNING = Diagnostic("W300", "in->hidden", "a delay was rounded", "0.5", "1", "fine")


def write(path: Path, phase: Mapping | QuantizedNetwork, **extra: bytes) -> None:
    store.write_build(path, mapping=phase, contract=CONTRACT, target=TARGET,
                      diagnostics=[WARNING], extra_files=extra)


def snapshot(path: Path) -> dict[str, bytes]:
    return {entry.name: entry.read_bytes() for entry in path.iterdir()}


@pytest.mark.parametrize("make", [small_quantized, small_mapping])
def test_a_build_is_read_back_as_it_was_written(
        tmp_path: Path, make: Callable[[], Mapping | QuantizedNetwork]) -> None:
    phase = make()
    write(tmp_path / "b", phase, **{"report.json": b"{}", "NOTES": b"n"})
    build = store.read_build(tmp_path / "b")
    read = build.quantized if isinstance(phase, QuantizedNetwork) else build.mapping
    assert digest(read) == phase.digest()
    assert (build.mapping is None) == isinstance(phase, QuantizedNetwork)
    assert digest((build.contract, build.target)) == digest((CONTRACT, TARGET))
    assert build.diagnostics == (WARNING,)
    assert build.extra_files == {"report.json": b"{}", "NOTES": b"n"}
    assert not build.quantized.populations[1].threshold.flags.writeable


def test_arrays_that_phases_share_are_stored_and_read_once(tmp_path: Path) -> None:
    write(tmp_path / "b", small_quantized())
    scheduled = store.read_build(tmp_path / "b").quantized.scheduled
    assert scheduled.projections[0].transform.weight.base is \
        scheduled.discrete.projections[0].transform.weight.base


def test_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, small_mapping(), **{"report.json": b"{}"})
    write(tmp_path / "two", small_mapping(), **{"report.json": b"{}"})
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two")


def test_a_build_holds_nothing_of_time_or_place(tmp_path: Path) -> None:
    write(tmp_path / "b", small_mapping())
    files = snapshot(tmp_path / "b")
    assert not any(str(tmp_path).encode() in data for data in files.values())
    assert sorted(json.loads(files["manifest.json"])) == [
        "bundles", "diagnostics", "files", "format", "neurocompile", "phases", "schema", "target"]


def test_the_manifest_names_every_file_and_phase(tmp_path: Path) -> None:
    write(tmp_path / "b", small_mapping())
    manifest = store.read_build(tmp_path / "b").manifest
    names = {entry["name"] for entry in manifest["files"].values()}
    assert names | {"manifest.json"} == set(snapshot(tmp_path / "b"))
    assert all(re.fullmatch(r"[a-z]+-[0-9a-f]{12}\.[a-z]+", name) for name in names)
    assert sorted(manifest["phases"]) == ["contract", "discrete", "mapping", "network",
                                          "quantized", "scheduled", "target"]
    assert manifest["phases"]["mapping"] == small_mapping().digest()
    assert manifest["target"] == {"name": "toy", "revision": "1"}


def test_the_stored_contract_file_loads_as_the_contract(tmp_path: Path) -> None:
    write(tmp_path / "b", small_mapping())
    stored, = (tmp_path / "b").glob("contract-*.toml")
    assert digest(load_contract(stored)) == digest(CONTRACT)


def test_a_new_build_replaces_the_old_and_leaves_nothing_of_it(tmp_path: Path) -> None:
    write(tmp_path / "b", small_mapping(0.5), **{"old.txt": b"old"})
    write(tmp_path / "b", small_mapping(0.75))
    write(tmp_path / "fresh", small_mapping(0.75))
    assert snapshot(tmp_path / "b") == snapshot(tmp_path / "fresh")


def interrupt_at(nth: int, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> list[int]:
    """Make the nth operation on files (writing, syncing, renaming) fail."""
    calls = [0]

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls[0] += 1
            if calls[0] == nth:
                raise error
            return real(*args, **kwargs)
        return call

    monkeypatch.setattr(os, "replace", failing(os.replace))
    monkeypatch.setattr(os, "fsync", failing(os.fsync))
    monkeypatch.setattr(store, "_write_all", failing(store._write_all))
    monkeypatch.setattr(store, "write_npz", failing(store.write_npz))
    return calls


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("existing", [True, False])
def test_interrupted_at_every_operation_the_directory_holds_one_whole_build(
        tmp_path: Path, existing: bool, error: BaseException) -> None:
    new_digest, outcomes = small_mapping(0.75).digest(), set()
    for nth in range(1, 40):
        path = tmp_path / f"b{nth}"
        if existing:
            write(path, small_mapping(0.5))
            old = store.read_build(path).manifest
        with pytest.MonkeyPatch.context() as patch:
            calls = interrupt_at(nth, patch, error)
            seen = []
            try:
                write(path, small_mapping(0.75))
            except CompileError as failed:
                seen = [item.code for item in failed.diagnostics]
            except KeyboardInterrupt:
                seen = ["interrupted"]
        assert seen in ([], ["E704"] if isinstance(error, OSError) else ["interrupted"])
        if existing:
            manifest = store.read_build(path).manifest
            is_new = manifest["phases"]["mapping"] == new_digest
            assert is_new or manifest == old
            outcomes.add(is_new)
        assert not list(path.glob(".neurocompile-*"))
        write(path, small_mapping(0.75))  # and the next compilation succeeds
        assert store.read_build(path).manifest["phases"]["mapping"] == new_digest
        if calls[0] < nth:
            break
    assert calls[0] < nth, "not every operation was interrupted"
    assert outcomes == ({True, False} if existing else set())


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from small_build import CONTRACT, TARGET, small_mapping
from neurocompile import store
count, real = [0], os.replace
def replace(*args):
    count[0] += 1
    if count[0] == {nth}:
        os.kill(os.getpid(), signal.SIGKILL)
    real(*args)
os.replace = replace
store.write_build(Path({path!r}), mapping=small_mapping(0.75), contract=CONTRACT, target=TARGET)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize("nth", [1, 3, 4])
@pytest.mark.parametrize("existing", [True, False])
def test_a_killed_compilation_leaves_the_old_build_and_does_not_block_the_next(
        tmp_path: Path, nth: int, existing: bool) -> None:
    path = tmp_path / "b"
    if existing:
        write(path, small_mapping(0.5))
        old = store.read_build(path).manifest
    code = KILLED.format(tests=str(Path(__file__).parents[1]), nth=nth, path=str(path))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    if existing:
        assert store.read_build(path).manifest == old
    else:
        with pytest.raises(CompileError, match="E706"):
            store.read_build(path)
    write(path, small_mapping(0.5))
    assert store.read_build(path).manifest["phases"]["mapping"] == small_mapping(0.5).digest()
    assert not list(path.glob(".neurocompile-*"))
