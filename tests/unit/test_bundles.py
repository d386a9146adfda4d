"""Bundles in a build directory: plain names, replaced whole, never over somebody's work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_tools import tree
from small_build import CONTRACT, TARGET, small_mapping

from neurocompile import bundles, store
from neurocompile.backend import Bundle
from neurocompile.diagnostics import CompileError

ONE = Bundle("toy", {"program.py": b"one", "support/__init__.py": b"s"})
TWO = Bundle("toy", {"program.py": b"two"})


def write(path: Path, *emitted: Bundle) -> None:
    store.write_build(path, mapping=small_mapping(), contract=CONTRACT, target=TARGET,
                      bundles=emitted)


def refused(path: Path, *emitted: Bundle) -> str:
    before = tree(path)
    with pytest.raises(CompileError) as caught:
        write(path, *emitted)
    assert tree(path) == before
    return str(caught.value)


def test_a_bundle_lies_under_its_own_names_with_its_digests(tmp_path: Path) -> None:
    write(tmp_path / "b", ONE)
    assert (tmp_path / "b/toy/program.py").read_bytes() == b"one"
    assert (tmp_path / "b/toy/support/__init__.py").read_bytes() == b"s"
    said = json.loads((tmp_path / "b/toy/manifest.json").read_text())
    assert said["backend"] == "toy"
    assert sorted(said["files"]) == ["program.py", "support/__init__.py"]
    manifest = json.loads((tmp_path / "b/manifest.json").read_text())
    assert said["network"] == manifest["phases"]["quantized"]
    assert list(manifest["bundles"]) == ["toy"]
    assert bundles.changes(tmp_path / "b/toy") == []
    assert store.read_build(tmp_path / "b").mapping is not None


def test_the_same_bundle_gives_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "one", ONE)
    write(tmp_path / "two", TWO)
    write(tmp_path / "two", ONE)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_compiling_without_the_backend_removes_its_bundle(tmp_path: Path) -> None:
    write(tmp_path / "b", ONE)
    write(tmp_path / "b")
    assert not (tmp_path / "b/toy").exists()


@pytest.mark.parametrize("spoil", [
    lambda b: (b / "program.py").write_bytes(b"mine"),
    lambda b: (b / "run.npz").write_bytes(b"results"),
    lambda b: (b / "program.py").unlink(),
    lambda b: (b / "manifest.json").write_bytes(b"{}"),
    lambda b: (b / "manifest.json").unlink(),
    lambda b: (b / "link").symlink_to("/etc/hostname"),
], ids=["changed", "added", "removed", "manifest", "no_manifest", "link"])
def test_what_somebody_else_did_in_a_bundle_is_never_lost(
        spoil: Callable[[Path], object], tmp_path: Path) -> None:
    write(tmp_path / "b", ONE)
    spoil(tmp_path / "b/toy")
    for emitted in ((TWO,), ()):
        assert refused(tmp_path / "b", *emitted).startswith(f"E718 {tmp_path / 'b/toy'}: holds "
                                                            "what a compilation did not write")


def test_a_folder_of_the_users_in_a_bundles_place_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "b")
    (tmp_path / "b/toy").mkdir()
    (tmp_path / "b/toy/notes").write_text("mine")
    assert refused(tmp_path / "b", ONE).startswith("E718")


def test_what_python_leaves_beside_modules_is_nobodys_work(tmp_path: Path) -> None:
    write(tmp_path / "b", ONE)
    (tmp_path / "b/toy/support/__pycache__").mkdir()
    (tmp_path / "b/toy/support/__pycache__/x.pyc").write_bytes(b"c")
    write(tmp_path / "b", TWO)
    assert sorted(tree(tmp_path / "b/toy")) == ["manifest.json", "program.py"]


def failing_commit(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def commit(*_: object) -> None:
        raise error

    monkeypatch.setattr(store, "_commit", commit)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_build_that_fails_leaves_the_old_bundle(
        error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "b", ONE)
    before = tree(tmp_path / "b")
    failing_commit(monkeypatch, error)
    with pytest.raises((CompileError, KeyboardInterrupt)):
        write(tmp_path / "b", TWO)
    assert tree(tmp_path / "b") == before


def test_a_first_build_that_fails_leaves_no_bundle(tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        failing_commit(patch, OSError(28, "No space left on device"))
        with pytest.raises(CompileError):
            write(tmp_path / "b", ONE)
    assert not (tmp_path / "b/toy").exists()
    write(tmp_path / "b", ONE)


def test_what_a_killed_first_compilation_leaves_does_not_block_the_next(tmp_path: Path) -> None:
    write(tmp_path / "b", ONE)
    (tmp_path / "b/manifest.json").unlink()
    (tmp_path / "b/.neurocompile-1-toy.new.part").mkdir()
    write(tmp_path / "b", TWO)
    assert (tmp_path / "b/toy/program.py").read_bytes() == b"two"
    assert not list((tmp_path / "b").glob("*.part"))


def test_a_backend_cannot_write_outside_its_bundle(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="outside its bundle"):
        write(tmp_path / "b", Bundle("toy", {"../../escaped": b""}))
    assert not (tmp_path / "escaped").exists()
