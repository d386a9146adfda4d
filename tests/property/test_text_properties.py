"""Any phase of any network survives printing and the split into document and arrays."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import numpy as np
from hypothesis import assume, event, given
from hypothesis import strategies as st
from networks import Case, cases, compile_phases

from neurocompile.diagnostics import CompileError
from neurocompile.ir.base import (
    digest,
    from_document,
    from_text,
    n_elements,
    to_document,
    to_text,
)
from neurocompile.ir.conform import misfit
from neurocompile.ir.contract import Contract
from neurocompile.ir.transforms import Dense


def phases_of(case: Case) -> tuple[Any, ...]:
    try:
        return (case.network, *compile_phases(case))
    except CompileError as error:
        event(f"refused with {error.diagnostics[0].code}")
        assume(False)
        raise


@given(cases())
def test_every_phase_reads_back_from_its_text_with_the_same_digest(case: Case) -> None:
    for phase in phases_of(case):
        text = to_text(phase)
        again = from_text(text)
        assert digest(again) == phase.digest(), type(phase).__name__
        assert to_text(again) == text


@given(cases())
def test_every_phase_reads_back_from_document_and_arrays(case: Case) -> None:
    for phase in phases_of(case):
        document, arrays = to_document(phase)
        stored = json.loads(json.dumps(document))
        copies = {key: np.array(values) for key, values in arrays.items()}
        assert from_document(stored, copies).digest() == phase.digest(), type(phase).__name__


@given(cases())
def test_every_phase_has_the_types_it_declares(case: Case) -> None:
    for phase in phases_of(case):
        assert misfit(phase, type(phase)) == ""
        assert misfit(from_text(to_text(phase)), type(phase)) == ""


@given(st.lists(st.floats(allow_nan=False), max_size=70),
       st.sampled_from([np.float64, np.float32, np.float16]))
def test_floats_print_losslessly_even_infinite_or_negative_zero(values: list[float],
                                                                dtype: Any) -> None:
    with np.errstate(over="ignore"):
        array = np.array(values, np.float64).astype(dtype)
    node = Dense(array.reshape(1, -1), (len(values),), (1,))
    assert from_text(to_text(node)).digest() == node.digest()


@given(st.lists(st.integers(0, 3), max_size=3).map(tuple), st.integers(0, 2**32))
def test_arrays_of_any_shape_print_losslessly(shape: tuple[int, ...], seed: int) -> None:
    values = np.random.default_rng(seed).integers(-5, 5, shape)
    for array in (values, values.astype(bool), np.asfortranarray(values), values.astype(">i4")):
        node = Dense(array, shape, (n_elements(shape),))
        again = from_text(to_text(node))
        assert again.digest() == node.digest()
        assert np.array_equal(again.weight, array)


@given(cases())
def test_equal_cases_have_equal_digests_and_a_changed_weight_another(case: Case) -> None:
    quantized = phases_of(case)[4]
    assert phases_of(case)[4].digest() == quantized.digest()
    document, arrays = to_document(quantized)
    key = document["projections"][0]["transform"]
    name = "values" if "values" in key else "weight"
    weight = arrays[key[name]["array"]]
    assume(weight.size > 0)
    changed = np.array(weight)
    changed.flat[0] += 1
    other = from_document(document, {**arrays, key[name]["array"]: changed})
    assert other.digest() != quantized.digest()


def test_contract_names_every_choice_in_its_text() -> None:
    text = to_text(Contract())
    assert [f.name for f in fields(Contract) if f'"{f.name}"' not in text] == []
