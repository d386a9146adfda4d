"""What Lava cannot say, named before anything is written (golden/lava_*.txt)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small_build import TARGET, small_mapping, small_quantized

from neurocompile.diagnostics import CompileError
from neurocompile.ir.base import Node
from neurocompile.ir.mapping import Mapping
from neurocompile.ir.quantized import QuantizedDrive, QuantizedNetwork
from neurocompile.ir.transforms import Dense
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.integer import Probes
from neurocompile_backends.lava.backend import backend
from neurocompile_backends.lava.check import check
from neurocompile_backends.lava.codes import CODES

Golden = Callable[[str, str], None]


def changed(neurons: dict[str, Any] | None = None, synapses: dict[str, Any] | None = None,
            machine: dict[str, Any] | None = None, **bounds: Any) -> QuantizedNetwork:
    """The small network with other registers, another connection, machine or bounds."""
    network = small_quantized()
    source, hidden = network.populations
    (projection,) = network.projections
    target = replace(TARGET, machine=replace(TARGET.machine, **(machine or {})))
    return replace(
        network, scheduled=replace(network.scheduled, target=target),
        populations=(source, replace(hidden, **(neurons or {}))),
        projections=(replace(projection, **(synapses or {})),),
        bounds=(replace(network.bounds[0], **bounds),))


def mapped(network: QuantizedNetwork) -> Mapping:
    return replace(small_mapping(), quantized=network)


def fmt(network: QuantizedNetwork, **values: Any) -> Node:
    return replace(network.projections[0].format, **values)


EIGHT = {"bits": 8, "signed": True, "exponent": 1}
"""What the small network's format has to be for Lava: nine bits of it are not."""
GOOD = changed(synapses={"format": fmt(small_quantized(), **EIGHT)})
CASES: dict[str, QuantizedNetwork] = {
    "machine": changed(machine={"overflow": "saturate", "input_shift": 3},
                       synapses={"format": GOOD.projections[0].format}),
    "neurons": changed({"compare": "ge", "reset": "subtract", "max_spikes": 3,
                        "initial_v": np.array([0, 5]), "bias_exponent": np.array([9, 0]),
                        "bias_mantissa": np.array([0, 40000]), "current_decay": np.array([-1, 0]),
                        "threshold": np.array([1 << 17, 5])},
                       synapses={"format": GOOD.projections[0].format}),
    "refractory": changed({"refractory_steps": 2}, {"format": GOOD.projections[0].format}),
    "weights": changed(synapses={"format": fmt(GOOD, bits=9)}),
    "exponent": changed(synapses={"format": fmt(GOOD, exponent=0)}),
    "delay": changed(synapses={"format": GOOD.projections[0].format,
                               "source_delay": np.array([60]), "target_delay": np.array([4])}),
    "readout": changed({"role": "analog", "reset": "none", "threshold": np.array([131071] * 2)},
                       synapses={"format": GOOD.projections[0].format},
                       v_high=np.array([0, (131071 << 6) + 1])),
    "empty": replace(GOOD, populations=GOOD.populations[:1], projections=(), bounds=()),
    "payload": replace(GOOD, inputs=(replace(GOOD.inputs[0], low=-1 << 31, high=1 << 31),)),
    "wrap": changed(synapses={"format": GOOD.projections[0].format},
                    a_low=np.array([0, -(1 << 25)]), a_high=np.array([1 << 25, 0])),
    "drive": replace(GOOD, drives=(QuantizedDrive(
        "in", "hidden", Dense(np.ones((2, 3)), (3,), (2,)), np.ones(2), np.zeros(2), 0.0, 1.0,
        8191, 7),)),
    "per_neuron": changed({"threshold": np.array([5, 6])},
                          synapses={"format": GOOD.projections[0].format}),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_lava_does_not_have_is_named(name: str, golden: Golden) -> None:
    found = check(CASES[name])
    assert {d.code for d in found} <= set(CODES)
    golden(f"lava_{name}.txt", "".join(f"{d}\n" for d in found))


def test_a_network_that_lava_has_gives_no_finding() -> None:
    assert check(GOOD) == []


def test_everything_is_named_at_once() -> None:
    found = check(changed({"compare": "ge"}, {"format": fmt(GOOD, bits=9),
                                              "source_delay": np.array([64])},
                          {"input_shift": 3}))
    assert [d.code for d in found] == ["E810", "E811", "E812", "E813"]


@pytest.mark.parametrize("name", [
    n for n, network in sorted(CASES.items()) if any(d.is_error for d in check(network))])
def test_neither_emit_nor_run_begins_with_such_a_network(
        name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROCOMPILE_LAVA_PYTHON", "/does/not/exist")
    network = CASES[name]
    wanted = {d.code for d in check(network)}
    with pytest.raises(CompileError) as caught:
        backend.emit(mapped(network))
    assert {d.code for d in caught.value.diagnostics} == wanted
    with pytest.raises(CompileError) as caught:
        backend.run(mapped(network), EncodedInput(1, 1, {}, {}), Probes())
    assert {d.code for d in caught.value.diagnostics} == wanted


def test_a_teacher_is_refused() -> None:
    with pytest.raises(CompileError, match="E815 lava: Lava runs whole networks"):
        backend.run(mapped(GOOD), EncodedInput(1, 1, {}, {}), Probes(),
                    teacher={"hidden": np.zeros((1, 2, 2), np.int64)})
