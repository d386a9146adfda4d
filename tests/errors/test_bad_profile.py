"""``profile`` and ``disassemble`` at the command line, where they cannot go on."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_tools import DIGITS, DIGITS_CONTRACT, compile_digits, facts, run, succeed, tree, write_data
from datasets import digits
from program_factory import with_field

from neurocompile import api, backend
from neurocompile.diagnostics import CompileError
from neurocompile.ir.mapping import Mapping
from neurocompile.ir.program import Program
from neurocompile.npz import write_npz
from neurocompile.passes.assemble import Assemble
from neurocompile_backends.chip import backend as chip_backend
from neurocompile_backends.chip import trace as trace_module

Golden = Callable[[str, str], None]
PROFILE = ("profile", "build", "-i", "d.npz")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a build and its program, a build without one, data, and a checkpoint."""
    folder = tmp_path_factory.mktemp("bad_profile")
    compile_digits(folder / "build", "--backend", "chip")
    compile_digits(folder / "plain")
    write_data(folder / "d.npz", digits(3))
    succeed("profile", folder / "build", "-i", folder / "d.npz", "--checkpoint",
            folder / "c.npz", "--every", 25)
    return folder


@pytest.fixture(autouse=True)
def in_folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As for other commands: nothing new may be left behind."""
    for name in ("build", "plain"):
        shutil.copytree(made / name, tmp_path / name)
    for name in ("d.npz", "c.npz"):
        shutil.copy(made / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.rglob("new*"))
    assert not list(tmp_path.rglob("*.part"))


def fails(*args: object, printed: bool = False) -> str:
    result = run(*args)
    assert result.exit_code == 1
    assert bool(result.stdout) is printed
    assert "Traceback" not in result.stderr
    return result.stderr


# ---------------------------------------------------------------- programs in a build

def reseal() -> None:
    """What an attacker can do: make the digests of the bundle's manifest fit its files."""
    path = Path("build/chip/manifest.json")
    manifest = json.loads(path.read_text())
    for name, entry in manifest["files"].items():
        raw = Path("build/chip", name).read_bytes()
        entry |= {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
    path.write_text(json.dumps(manifest))


def document(change: Callable[[Any], Any]) -> Callable[[], None]:
    def apply() -> None:
        path = Path("build/chip/program.json")
        value = json.loads(path.read_text())
        changed = change(value)
        path.write_text(json.dumps(value if changed is None else changed))
    return apply


def text(content: str) -> Callable[[], None]:
    return lambda: Path("build/chip/program.json").write_text(content) and None


def images(change: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
    def apply() -> None:
        path = Path("build/chip/images.npz")
        with np.load(path) as file:
            arrays = dict(file)
        change(arrays)
        raw = io.BytesIO()
        write_npz(raw, arrays)
        path.write_bytes(raw.getvalue())
    return apply


def compressed() -> None:
    """An archive that is small, and large once it is read."""
    with np.load("build/chip/images.npz") as file:
        arrays = dict(file) | {"more": np.zeros(1 << 24, np.uint8)}
    np.savez_compressed("build/chip/images.npz", **arrays)


def at(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value
    return change


DAMAGE: dict[str, Callable[[], None]] = {
    "document_empty": text(""),
    "document_no_json": text("{"),
    "document_deep": text("[" * 100_000),
    "document_other": text('{"is": "Layout", "table": "x", "fields": []}'),
    "document_number": text("3"),
    "document_unknown_class": text('{"is": "System"}'),
    "document_missing_field": document(lambda d: d.pop("latency") and None),
    "document_wrong_type": document(at("latency", value="1")),
    "document_array": document(at("x", value={"array": "i8", "shape": [1 << 40], "fill": 0})),
    "document_packed_array": document(at("x", value={"array": "i8", "shape": [1], "zlib": "eJw="})),
    "document_no_layouts": document(at("layouts", value=[])),
    "document_layout_of_63_bits": document(at("layouts", 0, "fields", 0, "bits", value=63)),
    "document_size_beyond_all_integers": document(at("symbols", "sizes", 0, value=10 ** 40)),
    "document_fewer_populations": document(at("symbols", "populations", value=["1"])),
    "document_words_of_no_bits": document(at("target", "core", "synapse_word_bits", value=0)),
    "document_one_core_more": document(lambda d: d["cores"].append(d["cores"][0])),
    "images_no_npz": lambda: Path("build/chip/images.npz").write_bytes(b"PK\x03\x04") and None,
    "images_without_a_table": images(lambda a: a.pop("neurons") is None),
    "images_shorter": images(lambda a: a.update(neurons=a["neurons"][:-1])),
    "images_of_floats": images(lambda a: a.update(neurons=a["neurons"].astype(float))),
    "images_begin_elsewhere": images(lambda a: a.update({"inputs:first": np.array([5, 3])})),
    "images_end_in_a_record": images(lambda a: a.update({
        "neurons": a["neurons"][:-1], "neurons:first": np.array([0, len(a["neurons"]) - 1])})),
    "images_point_nowhere": images(lambda a: a.update(outputs=a["outputs"] | 1)),
    "images_without_places": images(lambda a: a.pop("chip") is None),
    "images_larger_than_their_file": compressed,
}


WORDS_OF_PYTHON = {
    "document_empty", "document_no_json", "document_deep", "document_number",
    "document_missing_field", "document_fewer_populations"}
"""Refused with a message that changes from version to version."""


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_programs_are_refused_with_consistent_digests_too(name: str,
                                                                  golden: Golden) -> None:
    DAMAGE[name]()
    changed = fails("disassemble", "build")
    assert changed.startswith("E841 build/chip: was changed after it was written")
    reseal()
    said = run("disassemble", "build")
    assert said.exit_code == 1
    assert "Traceback" not in said.stderr
    assert said.stderr.startswith("E842 build/chip: does not describe a program (got ") or (
        name not in WORDS_OF_PYTHON)
    if name not in WORDS_OF_PYTHON:
        golden(f"program_{name}.txt", said.stderr)


def test_a_build_without_a_program(golden: Golden) -> None:
    Path("file").write_text("mine")
    golden("program_none.txt", "".join(fails("disassemble", name) for name in (
        "plain", "nothing", "file")))


def test_a_changed_file_of_the_program_is_named(golden: Golden) -> None:
    with Path("build/chip/images.npz").open("ab") as file:
        file.write(b"more")
    Path("build/chip/notes.txt").write_text("mine")
    golden("program_changed.txt", fails("disassemble", "build"))


@pytest.mark.parametrize("core", [-1, 1, 10 ** 30])
def test_a_core_that_the_program_has_not(core: int) -> None:
    assert fails("disassemble", "build", "--core", core) == (
        f"E844 core {core}: the program has no such core (limit 0 to 0)\n")


# ---------------------------------------------------------------- options and data of profile

OPTIONS: dict[str, tuple[object, ...]] = {
    "timing_unknown": ("--timing", "guess"),
    "timing_functional": ("--timing", "functional"),  # a mode of the kernel, and no timing
    "every_0": ("--checkpoint", "new.npz", "--every", 0),
    "same_file_twice": ("-o", "new.npz", "--trace", "./new.npz"),
    "output_over_resume": ("-o", "c.npz", "--resume", "c.npz"),
    "output_over_data": ("-o", "d.npz"),
    "output_into_build": ("-o", "build/new.npz"),
    "output_is_folder": ("-o", "."),
    "output_in_no_folder": ("-o", "nowhere/new.npz"),
    "trace_is_folder": ("--trace", "plain"),
    "trace_in_no_folder": ("--trace", "nowhere/new.json"),
    "trace_is_device": ("--trace", "/dev/null"),
    "checkpoint_is_folder": ("--checkpoint", "plain"),
    "resume_of_nothing": ("--resume", "nothing.npz"),
    "resume_of_folder": ("--resume", "plain"),
    "resume_of_data": ("--resume", "d.npz"),
    "resume_of_other_samples": ("--resume", "c.npz", "--samples", 2),
    "resume_of_other_timing": ("--resume", "c.npz", "--timing", "analytic"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_profile_that_are_impossible(name: str, golden: Golden) -> None:
    before = tree(".")
    golden(f"profile_{name}.txt", fails(*PROFILE, *OPTIONS[name]))
    assert tree(".") == before


def test_a_build_that_is_none_and_data_that_are_wrong(golden: Golden) -> None:
    np.savez("wide.npz", x=np.zeros((2, 20, 8, 9)))
    x = digits(2).x.astype(float)
    np.savez("high.npz", x=x * 3)
    x[0, 3, 2] = np.nan
    np.savez("nan.npz", x=x)
    np.savez("still.npz", x=x[:, 0])
    golden("profile_data.txt", "".join(fails("profile", *args, "-o", "new.npz") for args in (
        ("nothing", "-i", "d.npz"), ("build", "-i", "nothing.npz"), ("build", "-i", "wide.npz"),
        ("build", "-i", "high.npz"), ("build", "-i", "nan.npz"), ("build", "-i", "still.npz"),
        ("build", "-i", "d.npz", "--samples", 0))))


def test_findings_of_profile_are_json_too() -> None:
    result = run(*PROFILE, "--timing", "guess", "--json")
    known = json.loads(result.stdout)
    assert (result.exit_code, known["ok"], result.stderr) == (1, False, "")
    assert [d["code"] for d in known["diagnostics"]] == ["E848"]


@pytest.mark.parametrize(("wrong", "code"), [
    ({"timing": "functional"}, "E848"), ({"every": 0}, "E848"), ({"every": -5}, "E848"),
    ({"save": "new", "trace": "new"}, "E848"), ({"resume": "nothing.npz"}, "E846"),
    ({"save": "nowhere/new.npz"}, "E625"), ({"trace": "nowhere/new.json"}, "E625"),
    ({"checkpoint": "nowhere/new.npz", "every": 5}, "E625")])
def test_python_refuses_what_the_command_refuses(wrong: dict[str, Any], code: str) -> None:
    with pytest.raises(CompileError) as caught:
        api.profile(api.load_build("build"), digits(1).x, **wrong)
    assert [d.code for d in caught.value.diagnostics] == [code]


# ---------------------------------------------------------------- checkpoints

def checkpoint(change: Callable[[dict[str, Any]], object]) -> None:
    with np.load("c.npz") as file:
        arrays = dict(file)
    change(arrays)
    with Path("c.npz").open("wb") as out:
        write_npz(out, arrays)


CHECKPOINTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "without_step": lambda a: a.pop("t"),
    "without_state": lambda a: a.pop("state:ring"),
    "without_sample": lambda a: a.pop("0:step:ticks"),
    "step_0": lambda a: a.update(t=np.array(0)),
    "step_beyond": lambda a: a.update(t=np.array(22)),
    "step_negative": lambda a: a.update(t=np.array(-3)),
    "steps_many": lambda a: a.update(t=np.array([3, 4])),
    "samples_negative": lambda a: a.update(done=np.array(-1)),
    "samples_huge": lambda a: a.update(done=np.array(1 << 62)),
    "samples_not_a_number": lambda a: a.update(done=np.array(np.nan)),
    "state_of_another_size": lambda a: a.update({"state:u": a["state:u"][1:]}),
    "state_of_another_type": lambda a: a.update({"state:u": a["state:u"].astype(np.int64)}),
    "sums_of_another_size": lambda a: a.update({"0:synapses": a["0:synapses"][:0]}),
    "series_of_other_steps": lambda a: a.update({"0:step:ticks": a["0:step:ticks"][:5]}),
    "series_of_another_type": lambda a: a.update({"0:step:unit": a["0:step:unit"].astype(float)}),
    "too_many_samples": lambda a: a.update(
        {key.replace("0:", f"{i}:", 1): a[key] for key in list(a) if key.startswith("0:")
         for i in (1, 2, 3)} | {"done": np.array(3)}),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_damaged_checkpoints_are_refused(name: str, golden: Golden) -> None:
    checkpoint(CHECKPOINTS[name])
    shown = fails(*PROFILE, "--resume", "c.npz", "-o", "new.npz")
    assert shown.startswith("E846 c.npz: is no checkpoint that can be read (got ")
    if name not in ("steps_many", "samples_not_a_number"):  # numpy's and Python's words
        golden(f"checkpoint_{name}.txt", shown)


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04 nothing", b"\0" * 4096])
def test_garbage_is_no_checkpoint(raw: bytes) -> None:
    Path("c.npz").write_bytes(raw)
    assert fails(*PROFILE, "--resume", "c.npz").startswith("E846 c.npz: is no checkpoint")


def test_a_checkpoint_of_another_network_or_other_data_is_refused(golden: Golden) -> None:
    np.savez("other.npz", x=digits(4).x[1:])
    compile_digits("other", "--weight-bits", 6)
    golden("checkpoint_of_another_run.txt", "".join(fails(*args, "--resume", "c.npz") for args in (
        ("profile", "build", "-i", "other.npz"), ("profile", "other", "-i", "d.npz"))))


# ---------------------------------------------------------------- failures half way

class Wrong:
    """An assembler that gets the threshold of the first layer wrong."""

    def run(self, mapping: Mapping) -> Program:
        program = Assemble().run(mapping)
        return with_field(program, 0, "thresholds", 0, "threshold", 5)


def test_a_wrong_program_is_stopped_at_its_first_wrong_step(
        monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr("neurocompile.passes.assemble.Assemble", Wrong)
    shown = fails(*PROFILE, "-o", "new.npz", "--trace", "new.json")
    golden("profile_wrong_program.txt", shown)
    assert shown.startswith("E845 chip: the program sends something else than the network (got "
                            "sample 0, step ")
    for more in ((), ("--timing", "analytic"), ("--checkpoint", "new.npz", "--every", 1000)):
        assert fails(*PROFILE, *more) == shown


def test_a_wrong_program_is_not_written(monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr("neurocompile.passes.assemble.Assemble", Wrong)
    golden("program_wrong.txt", fails("compile", DIGITS, "-t", "loihi1", "-o", "new", "-c",
                                      DIGITS_CONTRACT, "--backend", "chip"))


def test_a_failed_run_leaves_an_old_trace_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    succeed(*PROFILE, "--trace", "old.json", "-o", "old.npz", "--samples", 1)
    before = {name: Path(name).read_bytes() for name in ("old.json", "old.npz")}
    monkeypatch.setattr("neurocompile.passes.assemble.Assemble", Wrong)
    fails(*PROFILE, "--trace", "old.json", "-o", "old.npz")
    assert {name: Path(name).read_bytes() for name in before} == before


def test_a_full_disk_is_a_finding_and_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    put, left = trace_module.Trace._put, [40]

    def full(self: trace_module.Trace, content: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise self._failed(OSError(28, os.strerror(28)))
        put(self, content)

    monkeypatch.setattr(trace_module.Trace, "_put", full)
    assert fails(*PROFILE, "--trace", "new.json", "-o", "new.npz") == (
        "E625 new.json: cannot be written (got No space left on device)\n")


def test_words_of_parts_of_bytes_are_refused_before_anything_is_assembled() -> None:
    mapping = api.load_build("build").mapping
    core = replace(mapping.target.core, synapse_word_bits=36)
    odd = replace(mapping, target=replace(mapping.target, core=core))
    chip = backend.load_backend("chip")
    assert [d.code for d in chip.check(odd)] == ["E849"]
    for attempt in (chip_backend.backend.emit, chip_backend.assembled):
        with pytest.raises(CompileError, match="E849 loihi1: images hold words of whole bytes"):
            attempt(odd)
    assert facts(*PROFILE)["cores"] == 1
