"""Damaged and hostile build directories: diagnostics, never a traceback, nothing outside read."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_build import CONTRACT, TARGET, small_mapping, small_quantized

from neurocompile import store
from neurocompile.diagnostics import CompileError
from neurocompile.npz import write_npz

Golden = Callable[[str, str], None]
BUILD = Path("build")


@pytest.fixture(autouse=True)
def build_in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write()


def write(path: Path = BUILD, **extra: bytes) -> None:
    store.write_build(path, mapping=small_mapping(), contract=CONTRACT, target=TARGET,
                      extra_files=extra)


def read_failure(**options: Any) -> CompileError:
    with pytest.raises(CompileError) as caught:
        store.read_build(BUILD, **options)
    assert {item.code for item in caught.value.diagnostics} <= set(store.CODES)
    return caught.value


def write_failure(path: Path = BUILD, **extra: bytes) -> CompileError:
    with pytest.raises(CompileError) as caught:
        write(path, **extra)
    return caught.value


def codes(error: CompileError) -> list[str]:
    return [item.code for item in error.diagnostics]


def manifest() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((BUILD / "manifest.json").read_text())
    return found


def save_manifest(changed: object) -> None:
    (BUILD / "manifest.json").write_text(json.dumps(changed))


def replace_file(logical: str, data: bytes) -> None:
    """What an attacker can do: change a file and every digest that speaks of it."""
    changed = manifest()
    sha = hashlib.sha256(data).hexdigest()
    stem, _, suffix = logical.rpartition(".")
    name = f"{stem}-{sha[:12]}.{suffix}"
    changed["files"][logical] = {"name": name, "sha256": sha, "bytes": len(data)}
    (BUILD / name).write_bytes(data)
    save_manifest(changed)


def content(logical: str) -> Path:
    return BUILD / manifest()["files"][logical]["name"]


def test_all_missing_and_changed_files_are_named_at_once(golden: Golden) -> None:
    content("contract.toml").unlink()
    content("network.json").write_bytes(b"{}")
    content("arrays.npz").unlink()
    # Digests and sizes change with the IR; the text around them must not.
    text = re.sub(r"\d{4,} bytes", "N bytes", re.sub(r"-[0-9a-f]{12}", "-DIGEST",
                                                     str(read_failure())))
    golden("bad_build_files.txt", text + "\n")


def test_a_build_of_another_version_says_so(golden: Golden) -> None:
    save_manifest({**manifest(), "schema": 99})
    golden("bad_build_version.txt", str(read_failure()) + "\n")


def test_what_is_no_build_is_refused() -> None:
    (BUILD / "manifest.json").unlink()
    assert codes(read_failure()) == ["E706"]
    for entry in BUILD.iterdir():
        entry.unlink()
    BUILD.rmdir()
    assert codes(read_failure()) == ["E706"]
    BUILD.write_text("a file")
    assert codes(read_failure()) == ["E701"]
    with pytest.raises(CompileError, match="E706"):
        store.read_build("nul\0")


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", "[" * 100_000, "1" * 10_000, '{"format": "other"}', '"\\ud800"'])
def test_a_manifest_that_is_none_is_refused(text: str) -> None:
    (BUILD / "manifest.json").write_text(text)
    assert codes(read_failure()) == ["E707"]


@pytest.mark.parametrize(("key", "value"), [
    ("files", None), ("files", {}), ("files", []), ("phases", 3), ("phases", {"network": 3}),
    ("diagnostics", {}), ("diagnostics", [{"code": "E1"}]), ("diagnostics", [3])])
def test_a_manifest_of_the_wrong_structure_is_refused(key: str, value: object) -> None:
    save_manifest({**manifest(), key: value})
    assert set(codes(read_failure())) == {"E707"}


@pytest.mark.parametrize("name", [
    "../secret-000000000000.txt", "/etc/passwd", "a/b-000000000000.txt", "..", "", "x\0",
    "manifest.json", "C:\\x-000000000000.txt", ".hidden-000000000000.txt"])
def test_names_that_leave_the_build_are_refused(name: str) -> None:
    changed = manifest()
    changed["files"]["network.json"]["name"] = name
    save_manifest(changed)
    assert codes(read_failure()) == ["E709"]


@pytest.mark.parametrize("entry", [3, {}, {"name": "x", "sha256": "", "bytes": -1},
                                   {"name": 3, "sha256": "", "bytes": 0},
                                   {"name": "x-000000000000", "sha256": "f" * 64, "bytes": 0}])
def test_file_entries_of_the_wrong_form_are_refused(entry: object) -> None:
    changed = manifest()
    changed["files"]["report.json"] = entry
    save_manifest(changed)
    assert codes(read_failure()) == ["E707"]


def test_links_and_pipes_are_not_followed() -> None:
    network = content("network.json")
    Path("outside").write_bytes(network.read_bytes())
    network.unlink()
    network.symlink_to(Path("outside").absolute())
    assert codes(read_failure()) == ["E703"]
    network.unlink()
    os.mkfifo(network)
    assert codes(read_failure()) == ["E703"]


def test_a_linked_manifest_is_neither_read_nor_written_over() -> None:
    original = (BUILD / "manifest.json").read_bytes()
    (BUILD / "manifest.json").rename("elsewhere.json")
    (BUILD / "manifest.json").symlink_to(Path("elsewhere.json").absolute())
    assert codes(read_failure()) == codes(write_failure()) == ["E703"]
    assert Path("elsewhere.json").read_bytes() == original


def test_declared_sizes_are_checked_before_reading() -> None:
    assert codes(read_failure(limit_bytes=1000)) == ["E712"]
    # Two arrays of 1 MiB of zeros, deflated to a few kB.
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.zeros(2**17), b=np.zeros(2**17))
    replace_file("arrays.npz", buffer.getvalue())
    assert codes(read_failure(limit_bytes=2**20)) == ["E712"]


def test_arrays_that_are_none_are_refused() -> None:
    replace_file("arrays.npz", b"PK no archive")
    assert codes(read_failure()) == ["E713"]
    buffer = io.BytesIO()
    np.savez(buffer, x=np.array([{}], object))
    replace_file("arrays.npz", buffer.getvalue())
    assert codes(read_failure()) == ["E713"]
    buffer = io.BytesIO()
    write_npz(buffer, {})
    replace_file("arrays.npz", buffer.getvalue())
    assert codes(read_failure()) == ["E714"]  # nothing the document refers to is there


def document() -> Any:
    return json.loads(content("network.json").read_text())


@pytest.mark.parametrize("value", [
    3, [], {}, {"is": "Path"}, {"is": "subprocess.Popen", "args": "true"}, {"is": []},
    {"map": 3}, {"map": [[1]]}, {"map": [[{"map": []}, 1]]}, {"array": "absent"}, {"array": []},
    {"is": "Slice"}, {"is": "Slice", "population": "p", "core": 0, "neurons": 3, "extra": 1}])
def test_a_document_of_anything_else_is_refused(value: object) -> None:
    replace_file("network.json", json.dumps([value, *document()[1:]]).encode())
    assert codes(read_failure()) == ["E714"]


def test_a_value_of_the_wrong_type_is_named_with_its_place(golden: Golden) -> None:
    changed = document()
    changed[0]["quantized"]["scheduled"]["discrete"]["network"]["populations"][1]["shape"] = "x"
    replace_file("network.json", json.dumps(changed).encode())
    golden("bad_build_type.txt", read_failure().diagnostics[0].got + "\n")


def test_a_changed_phase_is_named(golden: Golden) -> None:
    changed = document()
    changed[0]["quantized"]["populations"][1]["max_spikes"] = 2
    replace_file("network.json", json.dumps(changed).encode())
    golden("bad_build_phase.txt",
           "\n".join(f"{item.code} {item.subject}" for item in read_failure().diagnostics) + "\n")


def nodes(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    items = value.items() if isinstance(value, dict) else \
        enumerate(value) if isinstance(value, list) else ()
    found = []
    for key, item in items:
        found += [(value, key), *nodes(item)]
    return found


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["is", "map", "array", "name"]), inner, max_size=2),
    max_leaves=4)


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_document_changed_anywhere_never_ends_in_a_traceback(data: st.DataObject) -> None:
    write()
    changed = document()
    container, key = data.draw(st.sampled_from(nodes(changed)))
    container[key] = data.draw(json_values)
    replace_file("network.json", json.dumps(changed).encode())
    found: list[str] = []
    try:
        read = store.read_build(BUILD).quantized.digest()
    except CompileError as error:
        found = codes(error)
    assert set(found) <= {"E714", "E715"}
    assert found or read == small_quantized().digest()


def test_arrays_of_another_type_are_refused() -> None:
    with np.load(content("arrays.npz")) as file:
        arrays = {name: array.astype(np.float32) for name, array in file.items()}
    buffer = io.BytesIO()
    write_npz(buffer, arrays)
    replace_file("arrays.npz", buffer.getvalue())
    assert codes(read_failure()) == ["E714"]


# ------------------------------------------------------------------ writing

def test_a_directory_of_something_else_is_left_alone() -> None:
    other = Path("other")
    other.mkdir()
    (other / "thesis-0123456789ab.txt").write_text("precious")
    assert codes(write_failure(other)) == ["E702"]
    (other / "manifest.json").write_text('{"format": "webapp"}')
    assert codes(write_failure(other)) == ["E702"]
    assert sorted(p.name for p in other.iterdir()) == ["manifest.json", "thesis-0123456789ab.txt"]


def test_a_path_that_is_a_file_or_dangling_link_is_left_alone() -> None:
    Path("file").write_text("precious")
    Path("dangling").symlink_to("nowhere")
    assert codes(write_failure(Path("file"))) == ["E701"]
    assert codes(write_failure(Path("dangling"))) == ["E701"]
    assert codes(write_failure(Path("file") / "below")) == ["E704"]
    assert Path("file").read_text() == "precious"


def test_a_hostile_manifest_cannot_make_a_new_build_delete_other_files() -> None:
    precious = BUILD / "thesis-0123456789ab.txt"
    precious.write_text("precious")
    changed = manifest()
    changed["files"]["thesis.txt"] = {"name": precious.name, "bytes": 8,
                                      "sha256": "0123456789ab" + "0" * 52}
    save_manifest(changed)
    write()
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".x", "manifest.json", "arrays.npz",
                                  "x" * 101, "a\0", "ü"])
def test_names_no_build_file_may_have_are_refused(name: str) -> None:
    before = sorted(BUILD.iterdir())
    assert codes(write_failure(**{name: b""})) == ["E705"]
    assert sorted(BUILD.iterdir()) == before
