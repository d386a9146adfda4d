"""A contract that states ``integer_scale``: compiled without any rounding, or refused."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import numpy.typing as npt
import pytest

import neurocompile as nc
from neurocompile import flow
from neurocompile.flow import Options
from neurocompile.ir.contract import InputBinding

SCALE = 64
BASE = replace(nc.load_contract("lava-dl", dt_s=1e-3), compare="gt", integer_scale=SCALE,
               inputs={"*": InputBinding("spikes")})
Floats = npt.NDArray[np.float64]


def graph(weight: object, threshold: object = 6.0, i_decay: float = 1024, v_decay: float = 128,
          delay: float = 0.0, v_leak: float = 0.0) -> nir.NIRGraph:
    """Whole weights and thresholds, decays in 1/4096."""
    w = np.asarray(weight, np.float64)
    one = np.ones(len(w))
    neuron = nir.CubaLIF(tau_mem=one * 1e-3 * 4096 / v_decay, tau_syn=one * 1e-3 * 4096 / i_decay,
                         r=one, v_leak=one * v_leak, v_threshold=one * np.asarray(threshold),
                         v_reset=0 * one, w_in=one)
    nodes = {"input": nir.Input(np.array([w.shape[1]])), "w": nir.Linear(w),
             "d": nir.Delay(one * delay), "n": neuron, "output": nir.Output(np.array([len(w)]))}
    return nir.NIRGraph(nodes, [("input", "w"), ("w", "d"), ("d", "n"), ("n", "output")])


def compiled(network: nir.NIRGraph, target: str = "loihi1", **changes: object) -> nc.Build:
    return nc.compile(network, target, contract=replace(BASE, **changes))


def refused(network: nir.NIRGraph, target: str = "loihi1", **changes: object) -> list[str]:
    with pytest.raises(nc.CompileError) as raised:
        compiled(network, target, **changes)
    return [str(d) for d in raised.value.diagnostics if d.is_error]


def weights(build: nc.Build) -> npt.NDArray[np.int64]:
    q = build.quantized.projections[0]
    return np.asarray(q.transform.weight, np.int64) << q.format.exponent


@pytest.mark.parametrize("target", ["loihi1", "loihi2", "generic"])
def test_whole_numbers_are_the_registers(target: str) -> None:
    w = np.array([[2, -254, 0], [100, 8, -6]])
    build = compiled(graph(w), target)
    q = build.quantized
    neuron = q.population("n")
    m = build.target.machine
    assert np.array_equal(weights(build), w)
    assert set(neuron.threshold << m.threshold_shift) == {6 * SCALE}
    assert set(neuron.current_decay + m.current_decay_offset) == {1024}
    assert set(neuron.membrane_decay) == {128}
    assert max(e.worst for e in q.errors) < 1e-12


def test_search_would_have_taken_a_larger_scale() -> None:
    searched = compiled(graph([[2, -4]]), integer_scale=None)
    assert int(searched.quantized.population("n").threshold[0]) > 6


@pytest.mark.parametrize("target", ["loihi1", "loihi2", "generic"])
def test_full_negative_range_of_a_signed_mantissa_is_used(target: str) -> None:
    w = np.array([[-256, 254], [2, 0]])
    assert np.array_equal(weights(compiled(graph(w), target)), w)


def test_weight_between_two_integers_is_refused() -> None:
    [only] = refused(graph([[2.5, -4]]), "generic")
    assert only.startswith("E416 input->n: a weight is not an integer")


def test_odd_weights_of_mixed_sign_fit_generic_and_are_refused_for_loihi() -> None:
    odd = graph([[3, -5]])
    assert np.array_equal(weights(compiled(odd, "generic")), [[3, -5]])
    assert [text[:5] for text in refused(odd, "loihi1")] == ["E416 "]


def test_check_reports_what_compile_does_and_nothing_more() -> None:
    odd = graph([[3, -5]])
    found = flow.check(nc.load(odd), BASE, nc.load_target("loihi1"), Options())
    assert [str(d) for d in found if d.is_error] == refused(odd)


def test_decay_beyond_the_register_is_refused() -> None:
    never = graph([[2, -4]], v_decay=4096)  # loihi's registers end at 4095
    assert refused(never)[0].startswith("E416 n: a membrane decay")
    assert int(compiled(never, "generic").quantized.population("n").membrane_decay[0]) == 4096


def test_comparison_the_target_lacks_is_refused_with_its_name() -> None:
    [only] = refused(graph([[2, -4]]), compare="ge")
    assert "a threshold is not an integer" in only
    assert 'compare = "ge" is not on loihi1' in only
    compiled(graph([[2, -4]]), "generic", compare="ge")


def test_threshold_above_the_register_is_refused() -> None:
    assert any(text.startswith("E411 n") for text in refused(graph([[2, -4]], 200_000)))


def test_weight_above_the_format_is_refused() -> None:
    texts = refused(graph([[1 << 16, -4]]))
    assert any(text.startswith("E416 input->n") for text in texts)


def test_neurons_of_different_thresholds_are_refused() -> None:
    [only] = refused(graph([[2], [4]], threshold=[6, 8]))
    assert only.startswith("E416 n: its neurons have different thresholds")


def test_bias_is_exact_or_refused() -> None:
    decay = 128 / 4096
    build = compiled(graph([[2, -4]], v_leak=10 / decay))
    n = build.quantized.population("n")
    assert int(n.bias[0]) == 10 * SCALE
    assert refused(graph([[2, -4]], v_leak=0.3 / decay))[0].startswith("E416 n: a bias")


def test_relays_of_long_delays_keep_a_scale_of_their_own() -> None:
    long = graph([[2, -4], [6, 8]], delay=100)
    build = compiled(long)
    assert np.array_equal(weights_into(build, "n"), [[2, -4], [6, 8]])


def weights_into(build: nc.Build, name: str) -> npt.NDArray[np.int64]:
    [q] = [q for q in build.quantized.projections if q.target == name]
    return np.asarray(q.transform.weight, np.int64) << q.format.exponent


def test_threshold_option_may_only_repeat_what_the_scale_says() -> None:
    nc.compile(graph([[2, -4]]), "loihi1", contract=BASE, options=Options(thresholds={"n": 6}))
    with pytest.raises(nc.CompileError, match="E407 n: the threshold contradicts"):
        nc.compile(graph([[2, -4]]), "loihi1", contract=BASE, options=Options(thresholds={"n": 7}))
