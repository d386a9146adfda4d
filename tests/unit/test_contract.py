"""Contracts: presets, TOML files, and TOML written back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.contract import (
    MAX_REFRACTORY,
    PRESETS,
    contract_to_toml,
    load_contract,
    preset_table_markdown,
)
from neurocompile.ir.base import digest
from neurocompile.ir.contract import Contract, InputBinding, PopulationChoices
from neurocompile.presets import TABLES, stated_fields

ROOT = Path(__file__).parents[2]


def write(folder: Path, text: str) -> Path:
    path = folder / "c.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_there_is_a_preset_for_every_tool() -> None:
    assert set(PRESETS) == {"snntorch", "snntorch-zero", "norse", "sinabs", "spikingjelly",
                            "rockpool", "lava-dl"}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_field_a_preset_states_has_a_reason_and_no_other_has(name: str) -> None:
    preset = PRESETS[name]
    assert preset.name == name
    assert set(preset.reasons) == set(stated_fields(preset.contract))
    assert not preset.contract.inputs
    assert not preset.contract.populations


def test_only_snntorch_fixes_dt() -> None:
    with_dt = {name for name, preset in PRESETS.items() if preset.contract.dt_s is not None}
    assert with_dt == {"snntorch", "snntorch-zero"}


def test_snntorch_zero_differs_from_snntorch_in_the_reset_alone() -> None:
    default, zero = PRESETS["snntorch"].contract, PRESETS["snntorch-zero"].contract
    assert (default.reset, zero.reset) == ("subtract_delayed", "zero")
    assert digest(dataclasses.replace(zero, reset="subtract_delayed")) == digest(default)


def test_the_table_in_the_docs_is_the_one_the_presets_make() -> None:
    text = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    table = text.split("<!-- presets: begin -->\n")[1].split("<!-- presets: end -->")[0]
    assert table == preset_table_markdown()


def test_the_example_in_the_docs_loads(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    contract = load_contract(write(tmp_path, text.split("```toml\n")[1].split("```")[0]))
    assert contract.reset == "zero"
    binding = contract.binding("image")
    assert binding is not None
    assert (binding.mode, binding.maximum) == ("bias", 1.0)


def test_dt_argument_replaces_the_contracts_dt() -> None:
    assert load_contract("snntorch", dt_s=5e-4).dt_s == 5e-4
    assert load_contract(Contract(compare="ge"), dt_s=1.0).dt_s == 1.0
    assert load_contract("norse").dt_s is None


def test_fields_of_the_file_replace_those_of_its_preset(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, '[contract]\npreset = "norse"\ndt_s = 1\n'
                                             'compare = "ge"\nlayer_latency = 1\n'))
    assert (contract.dt_s, contract.compare, contract.layer_latency) == (1.0, "ge", 1)
    assert isinstance(contract.dt_s, float)
    assert contract.integrator == "euler"


def test_a_presets_name_wins_over_a_file_of_that_name(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("norse").write_text("[contract]\ncompare = \"ge\"\n")
    assert load_contract("norse").compare == "gt"
    assert load_contract("./norse").compare == "ge"


def test_a_populations_own_table_replaces_that_of_all(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, """
        [contract.populations."*"]
        refractory_steps = 3
        [contract.populations.hidden]
        refractory_steps = 0
        [contract.populations.silent]
    """))
    assert [contract.refractory_steps(name) for name in ("hidden", "silent", "other")] == [0, 0, 3]
    assert Contract().refractory_steps("hidden") == 0


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_round_trip_through_toml(name: str, tmp_path: Path) -> None:
    contract = PRESETS[name].contract
    assert digest(load_contract(write(tmp_path, contract_to_toml(contract)))) == digest(contract)


def options(field: str) -> st.SearchStrategy[object]:
    values = {"integrator": ["euler", "exact"], "input_gain": ["nir", "unit"],
              "if_gain": ["r", "r_dt"],
              "if_floor": ["none", "minus_threshold"], "compare": ["gt", "ge"],
              "current_order": ["current_first", "membrane_first"],
              "synapse_input": ["after_decay", "before_decay"],
              "recurrent_bias_at_start": [True, False], "recurrent_delay": ["added", "included"],
              "layer_latency": [0, 1], "initial_v": ["zero", "v_reset", "v_leak"],
              "delay_unit": ["s", "ms", "steps"], "feedback": ["exact", "late"]}
    return st.sampled_from([None, *values[field]])


positive = st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False)
bindings = st.builds(
    lambda mode, scale, ends: InputBinding(mode, scale, *((max(ends), min(ends)) if ends
                                                          else (None, None))),
    st.sampled_from(["spikes", "counts", "graded", "bias", "encoder"]), st.none() | positive,
    st.none() | st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2))
names = st.text(st.characters(exclude_categories=["Cs"]))
contracts = st.builds(
    Contract, dt_s=st.none() | positive, reset=st.sampled_from([None, "subtract"]),
    max_spikes_per_step=st.none() | st.integers(1, 2**31 - 1),
    integer_scale=st.none() | st.integers(1, 2**31 - 1),
    inputs=st.dictionaries(names, bindings, max_size=3),
    populations=st.dictionaries(names, st.builds(PopulationChoices, st.none() | st.integers(
        0, MAX_REFRACTORY)), max_size=3),
    **{f.name: options(f.name) for f in dataclasses.fields(Contract)
       if f.name not in ("dt_s", "reset", "max_spikes_per_step", "integer_scale", *TABLES)})


@given(contract=contracts)
def test_any_contract_round_trips_through_toml(
        contract: Contract, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("contract") / "c.toml"
    path.write_bytes(contract_to_toml(contract).encode())
    assert digest(load_contract(path)) == digest(contract)
