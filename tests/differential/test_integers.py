"""The integers: equal between implementations, to published Loihi traces, and close to float."""

from __future__ import annotations

from dataclasses import replace

import contracts
import datasets
import numpy as np
import pytest

import neurocompile as nc
from neurocompile.contract import load_contract
from neurocompile.fixedpoint import Rounding
from neurocompile.flow import Options
from neurocompile.ir.contract import InputBinding

TARGETS = ("loihi1", "loihi2", "generic")


@pytest.mark.parametrize("name", contracts.NETWORKS)
@pytest.mark.parametrize("target", TARGETS)
def test_simulator_equals_the_reference_in_every_state(name: str, target: str) -> None:
    n = 2 if name == "nmnist" else 40
    recorded = contracts.recording(name, n)
    build = nc.compile(recorded.network, target, contract=contracts.contract_of(name, recorded))
    (report,) = nc.verify(build, recorded.x)
    assert report.passed, report.first_divergence
    assert {c.status for c in report.checks} == {"PASS"}
    assert len(report.checks) == 3 * sum(p.role != "source" for p in build.quantized.populations)


@pytest.mark.parametrize("name", contracts.NETWORKS)
def test_eight_bits_on_loihi1_stay_within_a_point_of_float(name: str) -> None:
    recorded = contracts.recording(name)
    build = nc.compile(recorded.network, "loihi1", contract=contracts.contract_of(name, recorded))
    data = replace(nc.api.as_dataset(recorded.x, build.inputs), y=recorded.y)
    result = nc.evaluate(build, data, explain_samples=0)
    assert result.accuracy_float is not None
    assert result.accuracy_quantized is not None
    lost = round(len(recorded.y) * (result.accuracy_float - result.accuracy_quantized))
    assert lost <= 0.01 * len(recorded.y)


def _golden_build(data_dir):  # type: ignore[no-untyped-def]
    """The parameters the published Lava run used: dv 163, threshold 25, weight 10."""
    contract = replace(load_contract("norse", dt_s=1e-4), reset="zero",
                       inputs={"*": InputBinding("spikes")})
    options = Options(decay_rounding=Rounding.FLOOR, thresholds={"1": 25})
    return nc.compile(data_dir / "nir_paper" / "lif_norse.nir", "loihi1", contract=contract,
                      options=options)


def test_the_golden_network_has_the_published_parameters(data_dir) -> None:  # type: ignore[no-untyped-def]
    build = _golden_build(data_dir)
    neuron = build.quantized.population("1")
    (projection,) = build.quantized.projections
    assert (int(neuron.current_decay[0]), int(neuron.membrane_decay[0])) == (4095, 163)
    assert int(neuron.threshold[0]) == 25
    assert int(projection.transform.weight[0, 0]) << projection.format.exponent == 10


@pytest.mark.parametrize("backend", ["reference", "simulator"])
def test_the_published_lava_trace_is_met_in_every_voltage_and_spike(data_dir, backend) -> None:  # type: ignore[no-untyped-def]
    build = _golden_build(data_dir)
    x, voltage, spikes = datasets.lif_trace("lava_cpu_fixed")
    run = nc.simulate(build, x.reshape(1, -1, 1).astype(np.uint8), probes=["1:v"],
                      backend=backend)
    assert np.array_equal(run.outputs["output"].reshape(-1)[:1000], spikes)
    assert np.array_equal(run.probes["1:v"].reshape(-1)[:1000], voltage)
    assert np.flatnonzero(spikes).tolist() == [461, 511, 711, 761]


def test_the_loihi_chips_trace_differs_only_where_its_probe_reads_the_decay(data_dir) -> None:  # type: ignore[no-untyped-def]
    build = _golden_build(data_dir)
    x, voltage, spikes = datasets.lif_trace("lava_loihi_fixed")
    run = nc.simulate(build, x.reshape(1, -1, 1).astype(np.uint8), probes=["1:v"])
    v = run.probes["1:v"].reshape(-1)[:1000]
    assert np.array_equal(run.outputs["output"].reshape(-1)[:1000], spikes)
    different = np.flatnonzero(v != voltage)
    assert different.tolist() == np.flatnonzero(spikes).tolist()
    assert voltage[different].tolist() == [128] * 4


def test_every_population_is_compared_at_its_own_latency() -> None:
    """Chip rows before a population's latency hold nothing, the rows after are the network's."""
    recorded = datasets.mnist_mlp(20)
    build = nc.compile(recorded.network, "loihi1",
                       contract=contracts.contract_of("mnist_mlp", recorded))
    run = nc.simulate(build, recorded.x, probes=["1:s"])
    assert run.latency == 2
    assert run.outputs["output"].shape == (20, 16 + 2, 10)
    assert not run.outputs["output"][:, :2].any()
    assert run.latencies == {"output": 2, "1:s": 1}
    assert run.aligned("1:s").shape == (20, 16, 100)
    expected = recorded.rasters["output"]
    assert np.mean(run.aligned("output") != expected) < 0.05
    assert np.mean(run.outputs["output"][:, :16] != expected) > 0.05
