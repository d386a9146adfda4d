"""Networks trained with lava-dl, converted and compiled: recorded spikes and counts come out."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt
import pytest

import neurocompile as nc

TARGETS = ("loihi1", "loihi2", "generic")
NETWORKS = ("oxford_network.net", "mnist_784_128_64_10.net")
AT_ONCE = 1000  # images


def build(path: Path, target: str, compare: Literal["gt", "ge"] = "gt") -> nc.Build:
    made = nc.convert(path, compare=compare, dt_s=1e-3)
    return nc.compile(made.graph, target, contract=made.contract)


@pytest.fixture(scope="module")
def folder(data_dir: Path) -> Path:
    return data_dir / "lava_dl"


# --- every integer of the files ---------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_build_holds_the_integers_of_the_file(folder: Path, name: str, target: str) -> None:
    quantized = build(folder / name, target).quantized
    m = quantized.target.machine
    with h5py.File(folder / name) as file:
        stored = file["layer"]
        assert len(quantized.projections) == len(stored)
        for i in range(len(stored)):
            layer, cells = stored[str(i)], quantized.population(f"layer{i}")
            [q] = [q for q in quantized.projections if q.target == f"layer{i}"]
            held = np.asarray(q.transform.weight, np.int64) << q.format.exponent
            assert np.array_equal(held, layer["weight"][()])
            of = {key: int(layer["neuron"][key][()]) for key in ("iDecay", "vDecay", "vThMant")}
            assert set(cells.current_decay + m.current_decay_offset) == {of["iDecay"]}
            assert set(cells.membrane_decay) == {of["vDecay"]}
            assert set(cells.threshold << m.threshold_shift) == {of["vThMant"] * 64}
            assert not cells.bias.any()


@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
def test_ge_is_refused_where_the_chip_compares_with_gt(folder: Path, target: str) -> None:
    with pytest.raises(nc.CompileError, match="E416 layer0: a threshold"):
        build(folder / NETWORKS[0], target, "ge")


# --- Oxford: 200-256-200, one recording of 2,000 steps ------------------------------------------


def oxford_raster(events: npt.NDArray[Any], n_steps: int) -> npt.NDArray[np.bool_]:
    """[step, neuron] of rows (neuron, 0, time); times to the nearest step, twice counts once."""
    raster = np.zeros((n_steps, 200), bool)
    step = np.rint(events[:, 2]).astype(int)
    inside = (step >= 0) & (step < n_steps)
    raster[step[inside], events[inside, 0].astype(int)] = True
    return raster


def oxford_differences(folder: Path, target: str, compare: Literal["gt", "ge"]) -> int:
    """Differing bits over 2,000 steps. Both sides count a step for each of the two layers."""
    x = oxford_raster(np.load(folder / "oxford_input.npy"), 2000)
    truth = oxford_raster(np.load(folder / "oxford_ground_truth.npy"), 2000)
    run = nc.simulate(build(folder / "oxford_network.net", target, compare), x[None])
    return int((run.outputs["output"][0].astype(bool) != truth).sum())


def test_oxford_spikes_are_the_recorded_ones_with_ge(folder: Path) -> None:
    assert len(np.load(folder / "oxford_ground_truth.npy")) == 10_178
    assert oxford_differences(folder, "generic", "ge") == 0


@pytest.mark.parametrize("target", TARGETS)
def test_oxford_with_gt_differs_where_the_membrane_meets_the_threshold(folder: Path,
                                                                        target: str) -> None:
    # The recording is older than the comparison that Lava and Loihi make.
    assert oxford_differences(folder, target, "gt") == 3_014


# --- MNIST: 784-128-64-10 on all 10,000 test images ---------------------------------------------


@pytest.fixture(scope="module")
def images(folder: Path) -> npt.NDArray[np.uint8]:
    with gzip.open(folder / "t10k-images-idx3-ubyte.gz") as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(10_000, 784)


@pytest.fixture(scope="module")
def labels(folder: Path) -> npt.NDArray[np.uint8]:
    with gzip.open(folder / "t10k-labels-idx1-ubyte.gz") as file:
        return np.frombuffer(file.read(), np.uint8, offset=8)


def spikes(images: npt.NDArray[np.uint8], n_steps: int) -> npt.NDArray[np.uint8]:
    """[image, step, pixel]: the host adds p / 255 to v, and where v > 1 a spike takes v to 0."""
    v = np.zeros(images.shape)
    out = np.zeros((len(images), n_steps, images.shape[1]), np.uint8)
    for t in range(n_steps):
        v += images / 255
        out[:, t] = v > 1
        v[v > 1] = 0
    return out


def counts(made: nc.Build, images: npt.NDArray[np.uint8], n_steps: int) -> npt.NDArray[np.int64]:
    """[image, class], spikes over the run.

    The recording gives every layer ``n_steps`` of its own; here each of the three takes a step, so
    the last spikes come out three steps after the last input.
    """
    parts = []
    for start in range(0, len(images), AT_ONCE):
        x = np.pad(spikes(images[start:start + AT_ONCE], n_steps), ((0, 0), (0, 3), (0, 0)))
        parts.append(nc.simulate(made, x).outputs["output"].astype(np.int64).sum(axis=1))
    return np.concatenate(parts)


@pytest.mark.parametrize(("target", "compare", "n_steps", "correct"), [
    ("loihi1", "gt", 20, 9532), ("loihi2", "gt", 32, 9523), ("generic", "gt", 20, 9532),
    ("generic", "ge", 20, 9532), ("generic", "ge", 32, 9526)])
def test_mnist_counts_of_10000_images_are_the_recorded_ones(
        folder: Path, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], target: str,
        compare: Literal["gt", "ge"], n_steps: int, correct: int) -> None:
    with np.load(folder / "mnist_int_counts_10k.npz") as file:
        recorded = file[f"T{n_steps}" + ("_ge" if compare == "ge" else "")]
    ours = counts(build(folder / "mnist_784_128_64_10.net", target, compare), images, n_steps)
    assert np.array_equal(ours, recorded)
    assert int((ours.argmax(axis=1) == labels).sum()) == correct


# --- by Lava itself -----------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
def test_the_first_25_images_by_lava_are_right_as_on_the_board(
        folder: Path, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8],
        target: str) -> None:
    made = build(folder / "mnist_784_128_64_10.net", target)
    x = np.pad(spikes(images[:25], 20), ((0, 0), (0, 3), (0, 0)))
    [report] = nc.verify(made, x, backends=("simulator", "lava"))
    assert report.passed, report.first_divergence
    assert report.n_samples == 25
    ours = nc.simulate(made, x, backend="lava").outputs["output"].astype(np.int64).sum(axis=1)
    with np.load(folder / "mnist_int_counts_10k.npz") as file:
        assert np.array_equal(ours, file["T20"][:25])
    assert ours.argmax(axis=1).tolist() == labels[:25].tolist()


def test_oxford_by_lava_equals_the_simulator_in_every_state_of_2000_steps(folder: Path) -> None:
    """With the comparison that Lava makes: 3,014 bits from the recording, as the simulator."""
    x = oxford_raster(np.load(folder / "oxford_input.npy"), 2000)
    [report] = nc.verify(build(folder / "oxford_network.net", "loihi1"), x[None],
                         backends=("simulator", "lava"))
    assert report.passed, report.first_divergence
    assert sum(int(c.reason.split()[2]) for c in report.checks) == 3 * 2000 * (256 + 200)
