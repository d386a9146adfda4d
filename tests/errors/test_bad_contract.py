"""Every way a contract can be wrong is a diagnostic, and all of them come at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from neurocompile.contract import CODES, MAX_BYTES, contract_to_toml, load_contract
from neurocompile.diagnostics import CompileError
from neurocompile.ir.contract import Contract, InputBinding

Golden = Callable[[str, str], None]

EVERYTHING_WRONG = """
speed = 1
[contract]
preset = "brian"
integratr = "euler"
integrator = "rk4"
compare = 1
dt_s = -1e-4
layer_latency = true
recurrent_bias_at_start = "yes"
max_spikes_per_step = 0
reset = 2020-01-01
[contract.inputs."*"]
mode = "spike"
scale = 0
colour = "red"
[contract.inputs.b]
minimum = 2
maximum = 1
[contract.inputs.c]
mode = "graded"
scale = nan
maximum = "high"
[contract.populations]
d = 3
[contract.populations.e]
refractory_steps = -1
[contract.populations.f]
refractory_steps = 1.5
refractory = 2
[contract.populations.g]
refractory_steps = 65536
"""


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def failure(source: str | Path | Contract, **options: float) -> CompileError:
    with pytest.raises(CompileError) as caught:
        load_contract(source, **options)
    assert {item.code for item in caught.value.diagnostics} <= set(CODES)
    return caught.value


def codes(error: CompileError) -> list[str]:
    return [item.code for item in error.diagnostics]


def file(text: str | bytes) -> Path:
    path = Path("my.toml")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_all_problems_of_a_file_are_reported_at_once(golden: Golden) -> None:
    golden("bad_contract.txt", str(failure(file(EVERYTHING_WRONG))) + "\n")


def test_several_spikes_a_step_need_subtraction(golden: Golden) -> None:
    text = '[contract]\npreset = "sinabs"\nreset = "zero"\n[contract.inputs]\nd = 4\n'
    golden("bad_contract_together.txt", str(failure(file(text))) + "\n")


def test_a_name_that_is_no_preset_lists_the_presets(golden: Golden) -> None:
    golden("bad_contract_name.txt", str(failure("pytorch")) + "\n")


@pytest.mark.parametrize(("raw", "code"), [
    (b"", "E220"), (b"contract = 3", "E220"), (b"[contract", "E213"), (b"\xff\xfe", "E213"),
    (b"a = " + b"[" * 100_000, "E213"), (b"a = 1" + b"0" * 10_000, "E213"),
    (b"# " + b"x" * MAX_BYTES, "E212"), (b"[contract]\ndt_s = 1" + b"0" * 400, "E217"),
    (b"[contract]\ndt_s = inf", "E217"), (b"[contract]\ndt_s = nan", "E217"),
    (b"[contract]\ndt_s = 0", "E217"), (b"[contract]\ndt_s = true", "E215"),
    (b"[contract]\nlayer_latency = 2", "E216"), (b"[contract]\nlayer_latency = 1.0", "E215"),
    (b"[contract]\nmax_spikes_per_step = 1" + b"0" * 30, "E217"),
    (b"[contract]\ninputs = 3", "E215"), (b"[contract]\npopulations = 3", "E215"),
    (b"[contract]\npreset = 3", "E219"),
])
def test_a_broken_file_is_one_diagnostic(raw: bytes, code: str) -> None:
    assert codes(failure(file(raw))) == [code]


def test_what_is_no_file_cannot_be_read() -> None:
    Path("folder").mkdir()
    assert codes(failure("folder")) == ["E211"]
    # Whether such a path "does not exist" or "cannot be read" differs between Python versions.
    assert codes(failure("nul\0byte"))[0] in ("E210", "E211")
    assert codes(failure("x" * 5000))[0] in ("E210", "E211")


@pytest.mark.parametrize("dt_s", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_dt_argument_is_refused(dt_s: float) -> None:
    assert codes(failure("norse", dt_s=dt_s)) == ["E217"]


def test_a_name_toml_cannot_hold_is_refused_when_writing() -> None:
    with pytest.raises(CompileError) as caught:
        contract_to_toml(Contract(inputs={"\ud800": InputBinding("spikes")}))
    assert codes(caught.value) == ["E222"]
