"""Reading samples: shapes, encodings, NIRData; and writing rasters."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.data import (
    Dataset,
    Signal,
    load_data,
    read_raster,
    write_nir_data,
    write_raster,
)
from neurocompile.data import encode as encoders
from neurocompile.diagnostics import CompileError
from neurocompile.ir.base import from_text
from neurocompile.ir.network import Port
from neurocompile.ir.raster import Raster, raster_from_dense

IMAGE = (Port("image", "image", (1, 4, 5)),)
FLAT = (Port("in", "in", (3,)),)
RNG = np.random.default_rng(7)


def save(folder: Path, **arrays: object) -> Path:
    path = folder / "d.npz"
    np.savez(path, **arrays)
    return path


# ------------------------------------------------------------------ .npz

@pytest.mark.parametrize("dtype", ["bool", "u1", "i2", "f4", "f8", ">f4"])
def test_gridded_values_keep_their_type(tmp_path: Path, dtype: str) -> None:
    x = RNG.integers(0, 2, (2, 6, 3)).astype(dtype)
    data = load_data(save(tmp_path, x=x, y=np.array([1, 0]), dt=1e-3), inputs=FLAT)
    signal = data.inputs["in"]
    assert signal.dtype == np.dtype(dtype).newbyteorder("=")
    assert (signal.materialize() == x).all()
    assert (data.n_samples, data.n_steps, signal.shape) == (2, 6, (3,))
    assert data.y is not None
    assert data.y.tolist() == [1, 0]
    assert data.dt_s == 1e-3
    assert data.diagnostics == ()


@pytest.mark.parametrize("order", ["C", "F"])
def test_compressed_and_fortran_arrays_are_read_as_numpy_reads_them(
        tmp_path: Path, order: str) -> None:
    x = np.asarray(RNG.random((2, 6, 3)), order=order)
    np.savez_compressed(tmp_path / "d.npz", x=x)
    assert (load_data(tmp_path / "d.npz", inputs=FLAT).inputs["in"].materialize() == x).all()


@pytest.mark.parametrize("shape", [(2, 6, 1, 4, 5), (2, 6, 4, 5), (2, 6, 4, 5, 1)])
def test_axes_of_length_one_may_be_missing_or_added(
        tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = load_data(save(tmp_path, x=np.zeros(shape)), inputs=IMAGE)
    assert data.inputs["image"].materialize().shape == (2, 6, 1, 4, 5)


def test_a_shape_with_two_readings_is_decided_by_what_is_stated(tmp_path: Path) -> None:
    path = save(tmp_path, x=np.ones((2, 1, 4, 5)))
    assert load_data(path, inputs=IMAGE, steps=1).n_steps == 1
    assert load_data(path, inputs=IMAGE, steps=9, encode="constant").n_steps == 9
    assert load_data(path, inputs=IMAGE, encode="delta").n_steps == 1
    with pytest.raises(CompileError, match="E611"):
        load_data(path, inputs=IMAGE)


def test_several_inputs_are_found_by_name(tmp_path: Path) -> None:
    ports = (Port("a/b", "a/b", (2,)), Port("y", "y", (1,)))
    path = save(tmp_path, **{"a/b": np.ones((3, 4, 2)), "x_y": np.zeros((3, 4, 1)),
                             "y": np.arange(3)})
    data = load_data(path, inputs=ports)
    assert sorted(data.inputs) == ["a/b", "y"]
    assert data.inputs["y"].materialize().sum() == 0
    assert data.y is not None
    assert data.y.tolist() == [0, 1, 2]


def test_float32_dt_of_a_file_agrees_with_the_contract(tmp_path: Path) -> None:
    path = save(tmp_path, x=np.zeros((1, 2, 3)), dt=np.float32(1e-4))
    assert load_data(path, inputs=FLAT, dt_s=1e-4).dt_s == pytest.approx(1e-4)
    assert load_data(save(tmp_path, x=np.zeros((1, 2, 3))), inputs=FLAT, dt_s=0.5).dt_s == 0.5


# ------------------------------------------------------------------ encodings

def test_a_constant_signal_is_never_expanded(tmp_path: Path) -> None:
    x = RNG.random((2, 3))
    signal = load_data(save(tmp_path, x=x), inputs=FLAT, steps=10**9,
                       encode="constant").inputs["in"]
    assert signal.is_constant
    assert signal.values.nbytes == x.nbytes
    assert (signal.constant_values() == x).all()
    part = signal.steps(1, 2, 5, 8)
    assert part.shape == (1, 3, 3)
    assert not part.flags.writeable
    assert (part == x[1]).all()


def test_a_gridded_signal_knows_whether_it_is_constant() -> None:
    held = Signal(np.repeat(RNG.random((4, 1, 3)), 5, axis=1))
    assert held.is_constant
    assert held.constant_values().shape == (4, 3)
    changing = held.values.copy()
    changing[3, 4, 2] += 1
    assert not Signal(changing).is_constant
    with pytest.raises(ValueError, match="changes"):
        Signal(changing).constant_values()


def test_rate_encoding_repeats_for_a_seed_and_follows_the_values(tmp_path: Path) -> None:
    path = save(tmp_path, x=np.array([[0.0, 0.25, 1.0]] * 3))
    first, again, other = (load_data(path, inputs=FLAT, steps=4000, encode="rate", seed=seed)
                           .inputs["in"].materialize() for seed in (5, 5, 6))
    assert first.dtype == np.uint8
    assert (first == again).all()
    assert (first != other).any()
    # 12,000 draws of p = 0.25: five standard deviations are 0.02.
    assert first.mean(axis=(0, 1)) == pytest.approx([0, 0.25, 1], abs=0.02)


def test_fewer_samples_get_the_same_random_spikes() -> None:
    x = RNG.random((5, 3))
    all_of_it = encoders.rate(x, 20, np.random.default_rng(1))
    assert (encoders.rate(x[:2], 20, np.random.default_rng(1)) == all_of_it[:2]).all()


def test_latency_encoding_spikes_once_and_earlier_for_more(tmp_path: Path) -> None:
    x = np.array([[1.0, 0.5, 0.0]], np.float32)
    spikes = load_data(save(tmp_path, x=x), inputs=FLAT, steps=11,
                       encode="latency").inputs["in"].materialize()
    assert spikes.sum(axis=1).tolist() == [[1, 1, 0]]
    assert spikes[0].argmax(axis=0).tolist()[:2] == [0, 5]


def test_delta_encoding_sends_rises_against_the_last_change(tmp_path: Path) -> None:
    x = np.array([0.0, 0.06, 0.12, 0.13, 0.0, 0.05, 0.2])[None, :, None]
    data = load_data(save(tmp_path, x=x), inputs=(Port("in", "in", (1,)),), encode="delta")
    # Step 2 rises from 0 to 0.12, step 4 falls (reference 0 again), step 6 rises.
    assert data.inputs["in"].materialize()[0, :, 0].tolist() == [0, 0, 1, 0, 0, 0, 1]


def test_clipped_values_are_counted_in_a_warning(tmp_path: Path) -> None:
    data = load_data(save(tmp_path, x=np.array([[0, 128, 255]], np.uint8)), inputs=FLAT,
                     steps=3, encode="rate")
    assert [item.code for item in data.diagnostics] == ["W627"]
    assert "2 of 3 values" in str(data.diagnostics[0])


@given(x=st.lists(st.floats(-2, 2), min_size=1, max_size=5), steps=st.integers(1, 30))
def test_latency_gives_one_spike_to_each_positive_value(x: list[float], steps: int) -> None:
    spikes = encoders.latency(np.array([x]), steps)
    assert spikes.shape == (1, steps, len(x))
    assert spikes.sum(axis=1)[0].tolist() == [int(value > 0) for value in x]


def test_part_of_a_data_set_keeps_labels_and_samples_together() -> None:
    data = Dataset({"in": Signal(np.arange(4)[:, None], 7)}, np.arange(4), None)
    part = data.samples(1, 3)
    assert part.y is not None
    assert (part.inputs["in"].values[:, 0] == part.y).all()
    assert part.n_samples == 2


# ------------------------------------------------------------------ NIRData

def nir_file(folder: Path, observable: object, name: str = "in") -> Path:
    path = folder / "d.nir"
    nir.write_data(str(path), nir.NIRGraphData({name: nir.NIRNodeData({"spikes": observable})}))
    return path


def test_gridded_nir_data_is_reshaped_to_the_input(tmp_path: Path) -> None:
    x = RNG.random((2, 6, 20)) < 0.3
    data = load_data(nir_file(tmp_path, nir.TimeGriddedData(x, 1e-3), "image"), inputs=IMAGE)
    assert (data.inputs["image"].materialize() == x.reshape(2, 6, 1, 4, 5)).all()
    assert data.dt_s == 1e-3


@pytest.mark.parametrize("dt", [1e-4, 0.1, 1 / 3, 1e-3])
def test_events_land_in_the_step_they_were_written_at(tmp_path: Path, dt: float) -> None:
    x = RNG.random((3, 50, 3)) < 0.2
    events = nir.TimeGriddedData(x, dt).to_event(60)
    data = load_data(nir_file(tmp_path, events), inputs=FLAT, dt_s=dt)
    assert data.inputs["in"].dtype == np.uint8
    assert (data.inputs["in"].materialize() == x).all()


def test_several_events_in_a_step_add_up(tmp_path: Path) -> None:
    idx, time = np.array([[2, 2, -1]]), np.array([[0.011, 0.019, np.inf]])
    counts = load_data(nir_file(tmp_path, nir.EventData(idx, time, 3, 0.05)), inputs=FLAT,
                       dt_s=0.01)
    assert counts.inputs["in"].materialize()[0, 1].tolist() == [0, 0, 2]
    assert counts.n_steps == 5
    valued = nir.ValuedEventData(idx, time, 3, 0.05, np.array([[0.5, 0.25, 0.0]]))
    sums = load_data(nir_file(tmp_path, valued), inputs=FLAT, dt_s=0.01)
    assert sums.inputs["in"].materialize()[0, 1].tolist() == [0, 0, 0.75]


def test_written_nir_data_is_read_back_by_nir_and_by_us(tmp_path: Path) -> None:
    spikes = (RNG.random((2, 6, 3)) < 0.4).astype(np.uint8)
    volts = RNG.random((2, 6, 3))
    write_nir_data(tmp_path / "o.nir", {"in": spikes, "v": volts}, dt_s=1e-3)
    back = nir.read_data(str(tmp_path / "o.nir"))
    assert back.nodes["in"].observables["spikes"].data.dtype == bool
    assert (back.nodes["v"].observables["spikes"].data == volts).all()
    assert (load_data(tmp_path / "o.nir", inputs=FLAT).inputs["in"].materialize() == spikes).all()
    assert [p.name for p in tmp_path.iterdir()] == ["o.nir"]


# ------------------------------------------------------------------ rasters

@st.composite
def rasters(draw: st.DrawFn) -> dict[str, np.ndarray]:
    steps = draw(st.integers(0, 6))
    sizes = draw(st.dictionaries(st.text("ab/", min_size=1, max_size=3), st.integers(0, 4),
                                 max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return {name: rng.integers(-1, 3, (steps, n)) for name, n in sizes.items()}


@given(dense=rasters())
def test_rasters_round_trip_through_dense_text_and_npz(
        dense: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> None:
    raster = raster_from_dense(dense, 1e-3)
    path = tmp_path_factory.mktemp("raster") / "r.npz"
    write_raster(path, raster)
    assert read_raster(path).equals(raster)
    assert from_text(raster.to_text()).equals(raster)
    for name, values in dense.items():
        assert (raster.dense(name) == values).all()
    first = path.read_bytes()
    write_raster(path, raster)
    assert path.read_bytes() == first


@pytest.mark.parametrize(("step", "population", "neuron", "payload", "reason"), [
    ([1, 0], [0, 0], [0, 0], [1, 1], "sorted"), ([0, 0], [0, 0], [1, 1], [1, 1], "twice"),
    ([0], [0], [3], [1], "no neuron"), ([0], [1], [0], [1], "no population"),
    ([5], [0], [0], [1], "outside"), ([0], [0], [0], [0], "payload 0"),
    ([0, 1], [0, 0], [0, 0], [1], "shape"),
])
def test_a_raster_refuses_events_that_break_its_invariants(
        step: list[int], population: list[int], neuron: list[int], payload: list[int],
        reason: str) -> None:
    columns = [np.array(column, np.int64) for column in (step, population, neuron, payload)]
    with pytest.raises(ValueError, match=reason):
        Raster(("p",), (3,), *columns, 5, 1e-3)


def test_rasters_that_differ_in_one_payload_are_not_equal() -> None:
    one, two = (raster_from_dense({"p": np.array([[0, n]])}, 1.0) for n in (1, 2))
    assert not one.equals(two)
    assert one.equals(raster_from_dense({"p": np.array([[False, True]])}, 1.0))
