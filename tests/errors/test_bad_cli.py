"""What the command line says to wrong requests: golden texts, nothing written, no traceback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from cli_tools import (
    DIGITS,
    DIGITS_CONTRACT,
    compile_digits,
    run,
    succeed,
    tree,
    write_analog_between,
    write_data,
    write_loop,
)
from datasets import digits

Golden = Callable[[str, str], None]

NORSE_SPIKES = ("-c", "norse", "--dt", "1e-4", "--input-mode", "spikes")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad_cli")
    compile_digits(folder / "build")
    return folder


@pytest.fixture(autouse=True)
def in_folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands run in a folder of their own with relative paths, so that messages hold no others.
    Afterwards it must hold what the test put there and nothing else."""
    (tmp_path / "build").symlink_to(made / "build")
    (tmp_path / "digits.nir").write_bytes(Path(DIGITS).read_bytes())
    (tmp_path / "digits.toml").write_bytes(Path(DIGITS_CONTRACT).read_bytes())
    monkeypatch.chdir(tmp_path)
    build = tree("build")
    yield
    assert tree("build") == build
    assert not list(tmp_path.rglob("new*"))
    assert not list(tmp_path.rglob("*.part"))


def fails(*args: object, status: int = 1) -> str:
    """Standard error of a command that must fail, print nothing else, and not crash."""
    result = run(*args)
    assert (result.exit_code, result.stdout) == (status, "")
    assert "Traceback" not in result.stderr
    return result.stderr


def write_x(x: object, **more: object) -> None:
    np.savez("d.npz", x=x, dt=1e-4, **more)


COMPILE = ("compile", "digits.nir", "-t", "loihi1", "-o", "new")
SIMULATE = ("simulate", "build", "-i", "d.npz", "-o", "new.npz")

REQUESTS: dict[str, tuple[object, ...]] = {
    # rockpool's exact integrator, so that dt is all that is missing
    "missing_dt": (*COMPILE, "-c", "rockpool", "--input-mode", "bias", "--input-max", 1),
    "missing_choices": (*COMPILE, "--dt", "1e-4"),
    "input_mode_not_on_target": (*COMPILE, "-c", "digits.toml", "--input-mode", "graded"),
    "input_mode_not_stated": (*COMPILE, "-c", "snntorch-zero"),
    "input_mode_unknown": (*COMPILE, "-c", "digits.toml", "--input-mode", "telepathy"),
    "input_max_not_finite": (*COMPILE, "-c", "digits.toml", "--input-max", "nan"),
    "unknown_target": ("compile", "digits.nir", "-t", "loihi3", "-o", "new"),
    "unknown_preset": (*COMPILE, "-c", "snntorsch"),
    "missing_model": ("compile", "nothing.nir", "-t", "loihi1", "-o", "new", "-c", "norse"),
    "missing_data": ("simulate", "build", "-i", "nothing.npz", "-o", "new.npz"),
    "bad_dt": (*COMPILE, "-c", "digits.toml", "--dt", "-1"),
    "bad_threshold": (*COMPILE, "-c", "digits.toml", "--threshold", "3", "--threshold", "3=0",
                      "--threshold", "3=5", "--threshold", "3=6"),
    "threshold_of_nobody": (*COMPILE, "-c", "digits.toml", "--threshold", "nobody=5"),
    "bad_weight_bits": (*COMPILE, "-c", "digits.toml", "--weight-bits", 7),
    "bad_rounding": (*COMPILE, "-c", "digits.toml", "--decay-rounding", "up"),
    "subtract_on_loihi1": (*COMPILE, "-c", "sinabs", "--dt", "1e-4", "--input-mode", "bias",
                           "--input-max", 1),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_wrong_request_is_refused_with_its_options_named(name: str, golden: Golden) -> None:
    golden(f"cli_{name}.txt", fails(*REQUESTS[name]))


REFRACTORY = {"of_nobody": ("nobody", 3), "of_an_input": ("input", 3), "too_long": ("3", 64)}


@pytest.mark.parametrize("name", REFRACTORY)
def test_a_refractory_period_that_cannot_be_is_refused(name: str, golden: Golden) -> None:
    population, steps = REFRACTORY[name]
    with Path("digits.toml").open("a") as file:
        file.write(f'[contract.populations."{population}"]\nrefractory_steps = {steps}\n')
    golden(f"cli_refractory_{name}.txt", fails(*COMPILE, "-c", "digits.toml"))


DATA_REQUESTS: dict[str, tuple[object, ...]] = {
    "unknown_probe": (*SIMULATE, "--probe", "nope:v"),
    "probe_of_nothing": (*SIMULATE, "--probe", "3:w"),
    "negative_samples": (*SIMULATE, "--samples", -3),
    "unknown_backend": (*SIMULATE, "--backend", "nonsense"),
    "one_backend": ("verify", "build", "-i", "d.npz", "--backends", "reference"),
    "verify_unknown_backend": ("verify", "build", "-i", "d.npz", "--backends",
                               "reference,nonsense"),
    "unknown_decoding": ("evaluate", "build", "-d", "d.npz", "--decode", "guess"),
    "missing_folder": ("simulate", "build", "-i", "d.npz", "-o", "nowhere/new.npz"),
    "output_is_folder": ("simulate", "build", "-i", "d.npz", "-o", "."),
}


@pytest.mark.parametrize("name", DATA_REQUESTS)
def test_wrong_request_for_good_data_is_refused(name: str, golden: Golden) -> None:
    write_data("d.npz", digits(2))
    golden(f"cli_{name}.txt", fails(*DATA_REQUESTS[name]))


@pytest.mark.parametrize(("args", "says"), [
    (("compile", "digits.nir", "-o", "new"), "Missing option '--target' / '-t'."),
    ((*COMPILE, "--max-steps", "0"), "greater than or equal to 1"),
    ((*SIMULATE, "-c", "norse"), "a BUILD has its own contract: leave out --contract and --dt"),
])
def test_wrong_usage_is_exit_status_2_and_says_why(args: tuple[object, ...], says: str) -> None:
    assert fails(*args, status=2).strip().endswith(says)


def _x() -> np.ndarray:
    return np.array(digits(2).x, np.float64)


def _outside() -> None:
    x = _x()
    x[1] *= 3
    write_x(x)


def _changing() -> None:
    x = _x()
    x[1, 7] = 0
    write_x(x)


def _nan() -> None:
    x = _x()
    x[0, 3, 2] = np.nan
    write_x(x)


DATA: dict[str, Callable[[], None]] = {
    "data_wrong_shape": lambda: write_x(np.zeros((2, 20, 8, 9))),
    "data_outside_range": _outside,
    "data_changing_for_bias": _changing,
    "data_nan": _nan,
    "data_without_x": lambda: np.savez("d.npz", images=_x()),
    "data_without_steps": lambda: write_x(_x()[:, 0]),
    "data_of_another_dt": lambda: np.savez("d.npz", x=_x(), dt=1e-3),
    "data_not_npz": lambda: Path("d.npz").write_text("x = 1") and None,
}


@pytest.mark.parametrize("name", DATA)
def test_wrong_data_are_refused_by_every_verb_that_reads_them(name: str, golden: Golden) -> None:
    DATA[name]()
    golden(f"cli_{name}.txt", fails(*SIMULATE))
    fails("verify", "build", "-i", "d.npz")
    fails("evaluate", "build", "-d", "d.npz")


def test_directory_that_is_no_build(golden: Golden) -> None:
    Path("plain").mkdir()
    Path("plain/notes.txt").write_text("mine")
    write_data("d.npz", digits(1))
    golden("cli_no_build.txt", "".join(fails(*args) for args in (
        ("inspect", "plain"), ("simulate", "plain", "-i", "d.npz", "-o", "new.npz"),
        ("verify", "plain", "-i", "d.npz"), ("evaluate", "plain", "-d", "d.npz"),
        ("check", "plain", "-t", "loihi1"),
        ("compile", "digits.nir", "-t", "loihi1", "-o", "plain", "-c", "digits.toml"))))
    assert list(tree("plain")) == ["notes.txt"]


def test_output_under_a_file(golden: Golden) -> None:
    write_data("d.npz", digits(1))
    Path("file").write_text("mine")
    golden("cli_output_under_file.txt", "".join(fails(*args) for args in (
        ("simulate", "build", "-i", "d.npz", "-o", "file/new.npz"),
        ("simulate", "digits.nir", "-c", "digits.toml", "-i", "d.npz", "-o", "file/new.npz"),
        ("compile", "digits.nir", "-t", "loihi1", "-o", "file/new", "-c", "digits.toml"),
        ("compile", "digits.nir", "-t", "loihi1", "-o", "file", "-c", "digits.toml"))))
    assert Path("file").read_text() == "mine"


def test_analog_connection_between_populations(golden: Golden) -> None:
    write_analog_between("analog.nir")
    golden("cli_analog_between.txt", fails(
        "compile", "analog.nir", "-t", "loihi1", "-o", "new", *NORSE_SPIKES))


@pytest.mark.parametrize("feedback", [None, "exact"])
def test_loop_over_two_populations(feedback: str | None, golden: Golden) -> None:
    write_loop("loop.nir")
    Path("loop.toml").write_text('[contract]\npreset = "norse"\ndt_s = 1e-4\n' + (
        f'feedback = "{feedback}"\n' if feedback else "") +
        '[contract.inputs."*"]\nmode = "spikes"\n')
    golden(f"cli_loop_{feedback or 'unset'}.txt", fails(
        "compile", "loop.nir", "-t", "loihi1", "-o", "new", "-c", "loop.toml"))


def test_late_loop_is_compiled_and_stated(golden: Golden) -> None:
    write_loop("loop.nir")
    Path("loop.toml").write_text('[contract]\npreset = "norse"\ndt_s = 1e-4\nfeedback = "late"\n'
                                 '[contract.inputs."*"]\nmode = "spikes"\n')
    result = succeed("compile", "loop.nir", "-t", "loihi1", "-o", "late", "-c", "loop.toml")
    golden("cli_loop_late.txt", result.stderr)
    assert "build for loihi1" in result.stdout


def test_check_shows_violations_of_every_kind_at_once(golden: Golden) -> None:
    """Open choices, an input the chip cannot take, a reset it has not, a value it cannot send."""
    write_analog_between("analog.nir")
    Path("many.toml").write_text(
        '[contract]\ndt_s = 1e-4\nintegrator = "exact"\nreset = "subtract"\n'
        '[contract.inputs."*"]\nmode = "graded"\nmaximum = 1.0\n')
    shown = fails("check", "analog.nir", "-t", "loihi1", "-c", "many.toml")
    golden("cli_check_many.txt", shown)
    assert {"E201", "E306", "E308", "E311"} <= {line[:4] for line in shown.splitlines()}


def test_check_of_an_open_contract_names_every_choice_and_goes_on_to_the_target() -> None:
    write_analog_between("analog.nir")
    shown = fails("check", "analog.nir", "-t", "loihi1", "--dt", "1e-4").splitlines()
    for choice in ("integrator", "compare", "reset", "input_gain", "layer_latency"):
        assert sum(line.startswith(f"E201 {choice}: ") for line in shown) == 1, choice
    assert [line for line in shown if line.startswith("E308 a->b")]
