"""The command line as its user meets it: every verb, its JSON, its files, its exit status."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_tools import (
    DIGITS,
    DIGITS_CONTRACT,
    FAULT,
    compile_digits,
    facts,
    run,
    succeed,
    tree,
    write_data,
)
from datasets import digits
from rich.console import Console
from typer.main import get_command

import neurocompile
from neurocompile import api, backend
from neurocompile.cli import app
from neurocompile.facts import to_json
from neurocompile.report import tables

N, STEPS = 40, 20
RECORDING = digits(N)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the digits network compiled for loihi1, and the first samples."""
    folder = tmp_path_factory.mktemp("cli")
    compile_digits(folder / "build")
    write_data(folder / "data.npz", RECORDING)
    write_data(folder / "all.npz", digits())
    return folder


@pytest.fixture(autouse=True)
def in_folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test starts in an empty folder with links to what was made once."""
    for name in ("build", "data.npz", "all.npz"):
        (tmp_path / name).symlink_to(made / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)


def python(*args: object, **more: Any) -> subprocess.CompletedProcess[str]:
    """``neurocompile ARGS`` as a process of its own."""
    return subprocess.run([sys.executable, "-m", "neurocompile.cli", *map(str, args)],
                          capture_output=True, text=True, timeout=120, check=False, **more)


VERBS: dict[str, tuple[str, ...]] = {
    "demo": ("demo",),
    "check": ("check", DIGITS, "--target", "loihi1", "--contract", DIGITS_CONTRACT),
    "inspect MODEL": ("inspect", DIGITS),
    "inspect BUILD": ("inspect", "build"),
    "compile": ("compile", DIGITS, "--target", "loihi1", "-o", "new", "-c", DIGITS_CONTRACT),
    "simulate MODEL": ("simulate", DIGITS, "--input", "data.npz", "-c", DIGITS_CONTRACT,
                       "-o", "run.npz"),
    "simulate BUILD": ("simulate", "build", "--input", "data.npz", "-o", "run.npz"),
    "verify": ("verify", "build", "--input", "data.npz", "--samples", "5"),
    "evaluate": ("evaluate", "build", "--data", "data.npz"),
    "targets": ("targets",),
    "targets show": ("targets", "show", "loihi1"),
    "contract": ("contract",),
    "contract show": ("contract", "show", "norse"),
}
KEYS = {
    "demo": "evaluate", "check": "diagnostics", "inspect MODEL": "populations",
    "inspect BUILD": "latency_steps", "compile": "path", "simulate MODEL": "arrays",
    "simulate BUILD": "arrays", "verify": "reports", "evaluate": "accuracy_quantized",
    "targets": "targets", "targets show": "core", "contract": "presets",
    "contract show": "integrator",
}
SAYS = {
    "demo": "PASS", "check": "fits loihi1", "inspect MODEL": "4,736 weights",
    "inspect BUILD": "build for loihi1", "compile": "build for loihi1",
    "simulate MODEL": "latency 0 steps", "simulate BUILD": "latency 1 step", "verify": "PASS",
    "evaluate": "accuracy: float", "targets": "loihi2", "targets show": "[1]",
    "contract": "rockpool", "contract show": "[contract]",
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_its_facts_to_people(verb: str) -> None:
    assert SAYS[verb] in succeed(*VERBS[verb]).stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_prints_one_json_document_and_nothing_else(verb: str) -> None:
    assert KEYS[verb] in facts(*VERBS[verb])


def test_a_refractory_period_goes_from_the_contract_to_the_spikes() -> None:
    """Every executor that the build has, and the build itself, keep what the file states."""
    stated = Path(DIGITS_CONTRACT).read_text()
    spikes = {}
    for steps in (0, 4):
        Path("own.toml").write_text(
            f'{stated}\n[contract.populations."3"]\nrefractory_steps = {steps}\n')
        succeed("compile", DIGITS, "-t", "generic", "-o", f"new{steps}", "-c", "own.toml",
                "--backend", "chip")
        built = facts("inspect", f"new{steps}")
        assert built["contract"]["populations"] == {"3": {"refractory_steps": steps}}
        assert {p["name"]: p["refractory_steps"] for p in built["populations"]}["3"] == steps
        reports = facts("verify", f"new{steps}", "-i", "data.npz", "--samples", "5",
                        "--backends", "reference,simulator,chip")["reports"]
        assert [report["passed"] for report in reports] == [True, True]
        succeed("simulate", f"new{steps}", "-i", "data.npz", "-o", f"run{steps}.npz",
                "--samples", "5", "--probe", "3:s")
        listed = succeed("disassemble", f"new{steps}").stdout
        assert (f" refractory {steps} ->" in listed) == (steps > 0)
        with np.load(f"run{steps}.npz") as run_of:
            spikes[steps] = run_of["3:s"]
    assert np.any(spikes[0][:, :-1] * spikes[0][:, 1:])
    for later in range(1, 5):
        assert not np.any(spikes[4][:, :-later] * spikes[4][:, later:])


@pytest.mark.parametrize("verb", ["inspect BUILD", "targets show", "evaluate"])
def test_a_process_of_its_own_prints_the_same_json(verb: str) -> None:
    process = python(*VERBS[verb], "--json")
    assert (process.returncode, process.stderr) == (0, "")
    assert json.loads(process.stdout) == facts(*VERBS[verb])


def test_findings_are_json_too_with_exit_status_1() -> None:
    result = run("check", DIGITS, "-t", "loihi1", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["ok"], result.stderr) == (1, False, "")
    assert "E201" in {d["code"] for d in document["diagnostics"]}
    assert set(document["diagnostics"][0]) == {"code", "subject", "message", "got", "limit", "hint"}


@pytest.mark.parametrize("args", [
    ("check",), ("check", DIGITS), ("nonsense",), ("targets", "nonsense"),
    ("targets", "--json", "show", "loihi1"), ("contract", "--json", "show", "norse"),
    ("compile", DIGITS, "-t", "loihi1"), ("simulate", "build", "-o", "run.npz"),
    ("verify", "build", "--input", "data.npz", "--nonsense"),
    ("compile", DIGITS, "-t", "loihi1", "-o", "new", "--dt", "soon"),
    ("compile", DIGITS, "-t", "loihi1", "-o", "new", "--max-steps", "0"),
    ("evaluate", "build", "--data", "data.npz", "--explain", "-1"),
    ("simulate", "build", "--input", "data.npz", "-o", "run.npz", "--contract", "norse"),
    ("simulate", "build", "--input", "data.npz", "-o", "run.npz", "--dt", "1e-4"),
    ("simulate", DIGITS, "--input", "data.npz", "-o", "run.npz", "--backend", "reference"),
])
def test_wrong_usage_is_exit_status_2(args: tuple[str, ...]) -> None:
    result = run(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage: " in result.stderr
    assert not Path("new").exists()
    assert not Path("run.npz").exists()


def test_nothing_but_the_name_prints_the_verbs() -> None:
    assert {"demo", "check", "inspect", "compile", "simulate", "verify", "evaluate", "targets",
            "contract"} <= set(run().output.split())


def test_version_is_printed() -> None:
    assert succeed("--version").stdout.split() == [neurocompile.__version__]


# ---------------------------------------------------------------- simulate

def test_float_run_of_digits_is_the_frameworks_raster() -> None:
    succeed("simulate", DIGITS, "--input", "data.npz", "-c", DIGITS_CONTRACT, "-o", "run.npz",
            "--probe", "1:v", "--probe", "3:s")
    with np.load("run.npz") as made:
        assert sorted(made.files) == ["1:v", "1:v:latency", "3:s", "3:s:latency", "contract", "dt",
                                      "latency", "output", "output:latency"]
        np.testing.assert_array_equal(made["output"], RECORDING.rasters["output"])
        np.testing.assert_array_equal(made["3:s"], RECORDING.rasters["output"])
        assert made["1:v"].shape == (N, STEPS, 64)
        assert (int(made["latency"]), float(made["dt"])) == (0, 1e-4)
        assert 'reset = "zero"' in str(made["contract"])


def test_run_of_a_build_lasts_latency_steps_longer_and_aligns_with_the_float_raster() -> None:
    succeed("simulate", "build", "--input", "data.npz", "-o", "run.npz", "--probe", "3:v",
            "--probe", "1:s")
    layers = facts("evaluate", "build", "--data", "data.npz")["layers"]
    with np.load("run.npz") as made:
        start = int(made["output:latency"])
        assert int(made["latency"]) == start == 1
        assert made["output"].shape == made["3:v"].shape == (N, STEPS + 1, 10)
        assert (int(made["1:s:latency"]), made["1:s"].shape) == (0, (N, STEPS + 1, 64))
        assert np.issubdtype(made["3:v"].dtype, np.integer)
        aligned = made["output"][:, start:]
        unaligned = made["output"][:, :STEPS]
    expected = RECORDING.rasters["output"]
    mismatch = float(np.mean(aligned != expected))
    assert mismatch == pytest.approx(next(r["mismatch"] for r in layers
                                          if r["population"] == "3"), abs=1e-12)
    assert mismatch < 0.01 < float(np.mean(unaligned != expected))


def test_python_aligns_as_the_file_does() -> None:
    succeed("simulate", "build", "--input", "data.npz", "-o", "run.npz")
    result = api.simulate(api.load_build("build"), RECORDING.x)
    with np.load("run.npz") as made:
        np.testing.assert_array_equal(made["output"][:, 1:], result.aligned("output"))


def test_backends_write_the_same_run() -> None:
    for name in ("reference", "simulator"):
        succeed("simulate", "build", "-i", "data.npz", "--samples", 5, "-o", f"{name}.npz",
                "--backend", name, "--probe", "3:v", "--probe", "1:u")
    with np.load("reference.npz") as ours, np.load("simulator.npz") as theirs:
        assert ours.files == theirs.files
        for name in ours.files:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_data_without_a_step_axis_are_held_for_the_stated_steps() -> None:
    np.savez("still.npz", x=RECORDING.x[:, 0])
    succeed("simulate", "build", "-i", "data.npz", "-o", "grid.npz")
    succeed("simulate", "build", "-i", "still.npz", "--steps", STEPS, "--encode", "constant",
            "-o", "held.npz")
    with np.load("grid.npz") as grid, np.load("held.npz") as held:
        np.testing.assert_array_equal(grid["output"], held["output"])


# ---------------------------------------------------------------- compile

def test_same_compile_gives_the_same_bytes() -> None:
    compile_digits("one")
    process = python("compile", DIGITS, "-t", "loihi1", "-o", "two", "-c", DIGITS_CONTRACT)
    assert process.returncode == 0, process.stderr
    assert tree("one") == tree("two") == tree("build")


def test_compiling_over_a_build_replaces_it() -> None:
    compile_digits("new", "--weight-bits", 4)
    other = tree("new")
    compile_digits("new")
    assert other != tree("new") == tree("build")


@pytest.mark.parametrize("wrong", [
    ("-c", "sinabs", "--dt", "1e-4", "--input-mode", "bias", "--input-max", "1"),
    ("-c", DIGITS_CONTRACT, "--weight-bits", "7"), ("-c", "nonsense"), (),
    ("-c", DIGITS_CONTRACT, "--calibrate", "nonsense.npz"),
    ("-c", DIGITS_CONTRACT, "--threshold", "nobody=7"),
])
def test_failed_compile_leaves_the_old_build_whole_and_makes_none(wrong: tuple[str, ...]) -> None:
    compile_digits("old")
    before = tree("old")
    assert run("compile", DIGITS, "-t", "loihi1", "-o", "old", *wrong).exit_code == 1
    assert run("compile", DIGITS, "-t", "loihi1", "-o", "new", *wrong).exit_code == 1
    assert tree("old") == before
    assert not Path("new").exists()


def test_directory_with_other_files_is_refused_and_left_alone() -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    result = run("compile", DIGITS, "-t", "loihi1", "-o", "mine", "-c", DIGITS_CONTRACT)
    assert (result.exit_code, result.stderr[:4]) == (1, "E702")
    assert [p.name for p in Path("mine").iterdir()] == ["thesis.txt"]


def test_calibration_and_thresholds_reach_the_build() -> None:
    known = facts("compile", DIGITS, "-t", "loihi1", "-o", "new", "-c", "snntorch-zero",
                  "--input-mode", "bias", "--calibrate", "data.npz", "--threshold", "3=3000")
    assert known["inputs"][0]["maximum"] == float(RECORDING.x.max())
    assert [p["threshold"] for p in known["populations"] if p["name"] == "3"] == [[3000, 3000]]


# ---------------------------------------------------------------- verify and evaluate

def test_quantized_digits_stay_within_a_point_of_float() -> None:
    known = facts("evaluate", "build", "--data", "all.npz")
    assert known["accuracy_float"] == pytest.approx(0.9778, abs=5e-5)
    assert abs(known["accuracy_quantized"] - known["accuracy_float"]) <= 0.01
    shown = succeed("evaluate", "build", "--data", "all.npz").stdout
    assert f"float 97.78%, quantized {known['accuracy_quantized']:.2%}" in shown


def test_data_without_labels_are_evaluated_without_accuracy() -> None:
    np.savez("blind.npz", x=RECORDING.x)
    known = facts("evaluate", "build", "--data", "blind.npz")
    assert known["accuracy_float"] is known["accuracy_quantized"] is None
    assert "no labels" in succeed("evaluate", "build", "--data", "blind.npz").stdout


def test_verify_names_a_backend_that_does_not_exist() -> None:
    result = run("verify", "build", "-i", "data.npz", "--backends", "reference,nonsense")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("E801 nonsense: there is no such backend (limit one of "
                                    "reference, chip, lava, rtl, simulator)")


def _with_faulty_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("faulty", "cli_tools:faulty", backend.GROUP)
    installed = tuple(backend.entry_points(group=backend.GROUP))
    monkeypatch.setattr(backend, "entry_points", lambda group: (*installed, point))  # noqa: ARG005


def test_one_wrong_membrane_fails_and_is_the_first_divergence(
        monkeypatch: pytest.MonkeyPatch) -> None:
    _with_faulty_backend(monkeypatch)
    args = ("verify", "build", "-i", "data.npz", "--backends", "reference,simulator,faulty")
    result = run(*args, "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["ok"]) == (1, False)
    good, bad = document["reports"]
    assert (good["passed"], bad["passed"]) == (True, False)
    first = bad["first_divergence"]
    population, sample, step, neuron = FAULT
    assert (first["population"], first["sample"], first["step"], first["neuron"],
            first["quantity"]) == (population, sample, step, [neuron], "v")
    assert first["candidate"]["v"] == first["reference"]["v"] + 1
    assert first["network_step"] == step - 1
    assert [c["measured"] for c in bad["checks"] if c["status"] == "FAIL"] == [1]

    text = run(*args).stdout
    assert "PASS simulator against reference" in text
    assert "FAIL faulty against reference" in text
    assert ("first divergence: population 3, neuron [7], sample 1, chip step 5 (network step 4), "
            "first in v") in " ".join(text.split())  # however wide the terminal is
    for state in (first["reference"], first["candidate"]):
        assert f"{state['v']:,}" in text


# ---------------------------------------------------------------- terminals and pipes

@pytest.mark.parametrize("verb", ["targets show", "contract show", "evaluate", "inspect BUILD"])
def test_a_reader_that_goes_away_makes_no_traceback(verb: str) -> None:
    """Nor where Python keeps what is printed until the end, as it does for a pipe."""
    reader, writer = os.pipe()
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with subprocess.Popen([sys.executable, "-m", "neurocompile.cli", *VERBS[verb]], stdout=writer,
                          stderr=subprocess.PIPE, text=True, env=buffered) as process:
        os.close(reader)
        os.close(writer)
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert stderr == ""


def test_names_with_markup_and_control_characters_are_shown_escaped() -> None:
    Path("[").mkdir()  # so that a path can hold [/red], which closes nothing
    name = "[/red][bold]:v:\x1b[31m.nir"
    Path(name).write_bytes(Path(DIGITS).read_bytes())
    for args in (("inspect", name), ("check", name, "-t", "loihi1", "-c", DIGITS_CONTRACT),
                 ("simulate", name, "-c", DIGITS_CONTRACT, "-i", "data.npz", "-o", name + ".npz")):
        text = succeed(*args).stdout
        assert r"red][bold]:v:\x1b[31m.nir" in text
        assert "\x1b" not in text
    error = run("inspect", "\x1b]0;owned\x07.nir")
    assert error.exit_code == 1
    assert r"\x1b]0;owned\x07.nir" in error.stderr
    assert "\x1b" not in error.stderr


def test_probe_of_a_finding_is_not_read_as_an_emoji() -> None:
    result = run("simulate", "build", "-i", "data.npz", "-o", "run.npz", "--probe", "nope:v")
    assert "E643 nope:v: there is no such probe" in result.stderr


def test_a_locale_without_the_names_letters_is_no_crash() -> None:
    Path("ödland.nir").write_bytes(Path(DIGITS).read_bytes())
    process = python("inspect", "ödland.nir", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (process.returncode, process.stderr) == (0, "")
    assert r"\xf6dland.nir" in process.stdout


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("verb", ["demo", "inspect BUILD", "inspect MODEL", "evaluate", "targets",
                                  "targets show", "verify"])
def test_tables_fit_the_terminal_without_folding_numbers(verb: str, width: int,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(width=width, file=io.StringIO(), emoji=False)
    for module in ("compiling", "running", "known"):
        monkeypatch.setattr(f"neurocompile.cli.{module}.out", console)
    succeed(*VERBS[verb])
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(len(line) for line in text.splitlines()) <= width
    if verb in ("demo", "inspect BUILD"):
        assert "-8,388,607 .. 903,653            10  yes" in text
        assert "synapse_memory_bits       8,192  1,048,576" in text


def test_folded_cells_keep_every_character() -> None:
    console = Console(width=40, file=io.StringIO())
    name = "population_" + "x" * 60
    tables.show_table(console, "a title that is wider than the table is", ("name", "n"),
                      [(name, 1234567)])
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "a title that is wider than the table is\n" in text
    assert "1,234,567" in text
    assert sum(line.count("x") for line in text.splitlines()) == 60


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for verb, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {verb}".strip())


def test_help_explains_every_verb_argument_and_option() -> None:
    every = dict(commands(get_command(app), ""))
    assert {"compile", "targets show", "contract show"} <= set(every)
    assert [f"{name} {p.name}" for name, command in every.items() for p in command.params
            if not p.help] == []
    for name in every:
        text = succeed(*name.split(), "--help").stdout
        assert max(len(line) for line in text.splitlines()) <= 80, name
        assert "..." not in text.partition("Commands:")[2], f"{name}: a verb's help is cut off"


# ---------------------------------------------------------------- JSON

def test_numbers_that_json_lacks_become_null() -> None:
    text = to_json({"a": float("nan"), "b": [np.float64("inf"), np.int64(3)], "c": (np.bool_(1),)})
    assert json.loads(text) == {"a": None, "b": [None, 3], "c": [True]}


@pytest.mark.parametrize("place", ["data.npz", "model.nir", "build/run.npz"])
def test_simulate_does_not_overwrite_what_it_reads(place: str) -> None:
    shutil.copy(DIGITS, "model.nir")
    before = {name: Path(name).read_bytes() for name in ("data.npz", "model.nir")}
    model = "build" if place.startswith("build") else "model.nir"
    contract = () if model == "build" else ("-c", DIGITS_CONTRACT)
    result = run("simulate", model, "--input", "data.npz", *contract, "-o", place)
    assert result.exit_code == 1
    assert "E625" in result.stderr
    assert {name: Path(name).read_bytes() for name in before} == before
    assert not Path("build/run.npz").exists()


def test_check_takes_the_options_its_hints_name() -> None:
    succeed("check", DIGITS, "--target", "loihi1", "-c", DIGITS_CONTRACT, "--max-steps", "100",
            "--accept-bounds", "--threshold", "3=900")
