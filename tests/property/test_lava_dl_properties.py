"""Random lava-dl networks: written, converted, compiled and run, against plain numpy integers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, note
from hypothesis import strategies as st
from lava_dl_files import Ints, Layer, conv, cuba, dense, pool, run_net, write_net

import neurocompile as nc

STEPS = 24
REACH = 6000  # keeps the worst sum of a step's input, and with it the current, provable


def weights(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, sign: int) -> Ints:
    """Even whole numbers, of both signs (0) or of one."""
    top = min(254, REACH // fan_in) // 2
    low, high = {0: (-top - (top == 127), top), 1: (0, top), -1: (-top, 0)}[sign]
    return 2 * rng.integers(low, high + 1, shape)


@st.composite
def neurons(draw: Any, channels: int, fan_in: int) -> Layer:
    def decay(low: int) -> Any:
        return draw(st.one_of(st.integers(low, 4095),
                              st.lists(st.integers(low, 4095), min_size=channels,
                                       max_size=channels)))

    # Thresholds that the layer reaches: somewhere below a few weights.
    top = max(2, min(254, REACH // fan_in))
    return cuba(decay(300), decay(0), draw(st.integers(1, 2 * top)))


@st.composite
def axon_delays(draw: Any, n_out: int, n_in: int) -> Layer:
    sizes = st.sampled_from([0, 0, 1, n_out, n_in])
    size = draw(sizes)
    if size == 0:
        return {}
    values = draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
    return {"delay": np.array(values, np.float32)}


@st.composite
def convolution(draw: Any, rng: np.random.Generator, shape: tuple[int, ...]) -> Layer | None:
    groups = draw(st.sampled_from([g for g in (1, 2, 3) if shape[0] % g == 0]))
    kernel, stride, padding, dilation = (
        [draw(st.integers(low, high)) for _ in range(2)]
        for low, high in ((1, 3), (1, 2), (0, 2), (1, 2)))
    c_out = groups * draw(st.integers(1, 2))
    size = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(
        shape[1:], kernel, stride, padding, dilation, strict=True)]
    if min(size) < 1:
        return None
    fan_in = shape[0] // groups * kernel[0] * kernel[1]
    w = weights(rng, (c_out, shape[0] // groups, *kernel), fan_in, draw(st.integers(-1, 1)))
    if draw(st.booleans()):
        w = w[..., None]  # slayer's time axis
    more = draw(neurons(c_out, fan_in)) | draw(axon_delays(c_out, c_out))
    layer = conv(w.reshape(w.shape[:4]), (c_out, *size), stride=stride, padding=padding,
                 dilation=dilation, groups=groups, **more)
    return layer | {"weight": w.astype(np.float32)}


@st.composite
def pooling(draw: Any, shape: tuple[int, ...]) -> Layer | None:
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    full = [n + n % k for n, k in zip(shape[1:], kernel, strict=True)]
    if any(n % k for n, k in zip(full, kernel, strict=True)):
        return None  # slayer mixes channels there, and convert refuses it
    out = (shape[0], full[0] // kernel[0], full[1] // kernel[1])
    more = draw(neurons(shape[0], kernel[0] * kernel[1])) | draw(axon_delays(shape[0], shape[0]))
    return pool(2 * draw(st.integers(1, 64)), kernel, out, **more)


@st.composite
def matrix(draw: Any, rng: np.random.Generator, n_in: int) -> Layer:
    n_out = draw(st.integers(1, 5))
    recurrent = draw(st.booleans())
    fan_in = n_in + (n_out if recurrent else 0)
    w = weights(rng, (n_out, n_in), fan_in, draw(st.integers(-1, 1)))
    layer = dense(w, **draw(neurons(n_out, fan_in)))
    if recurrent:
        again = weights(rng, (n_out, n_out), fan_in, 0)
        return layer | {"type": "dense_rec", "weight_rec": again.astype(np.float32)}
    return layer | draw(axon_delays(n_out, n_in))


@st.composite
def networks(draw: Any) -> tuple[list[Layer], tuple[int, ...], int]:
    """(layers, shape of the input, a seed)."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    spatial = draw(st.booleans())
    first = (draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 6))) if spatial \
        else (draw(st.integers(1, 6)),)
    shape = first
    if spatial:
        layers.append({"type": "input", "shape": list(first)})
        for _ in range(draw(st.integers(0, 2))):
            layer = draw(convolution(rng, shape) if draw(st.booleans()) else pooling(shape))
            if layer is not None:
                layers.append(layer)
                shape = tuple(layer["shape"])
        if len(layers) == 1 or draw(st.booleans()):
            shape = (int(np.prod(shape)),)
            layers.append({"type": "flatten", "shape": [shape[0], 1, 1]})
    if len(shape) == 1:
        for _ in range(draw(st.integers(1, 2))):
            layers.append(draw(matrix(rng, shape[0])))
            shape = tuple(layers[-1]["shape"])
    n = int(np.prod(shape))
    if draw(st.integers(0, 3)) == 0:
        layers.append({"type": "average", "shape": [
            draw(st.sampled_from([k for k in range(1, n + 1) if n % k == 0])), 1, 1]})
    return layers, first, seed


def check(layers: list[Layer], first: tuple[int, ...], seed: int, target: str, ge: bool) -> int:
    """Compares every layer at every step; the number of spikes there were."""
    x = (np.random.default_rng(seed).random((STEPS, *first)) < 0.4).astype(np.int64)
    with tempfile.TemporaryDirectory() as folder:
        path = write_net(Path(folder) / "random.net", layers)
        made = nc.convert(path, compare="ge" if ge else "gt", dt_s=1e-3)
        beside = made.save(Path(folder) / "random.nir")
        build = nc.compile(Path(folder) / "random.nir", target, contract=beside)
    expected = run_net(layers, x, ge)
    names = [name for name, kind, _ in made.layers if kind != "average"]
    run = nc.simulate(build, x[None], probes=[f"{name}:s" for name in names])
    for name, spikes in zip(names, expected, strict=False):
        assert np.array_equal(run.aligned(f"{name}:s")[0], spikes), name
    ours = run.outputs["output"][0].reshape(STEPS, -1)
    if made.layers[-1][1] == "average":
        ours = ours // 64  # one spike is 64 units of a membrane
    assert np.array_equal(ours, expected[-1].reshape(STEPS, -1))
    return int(sum(spikes.sum() for spikes in expected))


@given(network=networks(), target=st.sampled_from(["loihi1", "loihi2", "generic"]),
       ge=st.booleans())
def test_converted_networks_spike_as_the_rules_of_the_file_say(
        network: tuple[list[Layer], tuple[int, ...], int], target: str, ge: bool) -> None:
    layers, first, seed = network
    average = layers[-1]["type"] == "average"
    note([{k: (v if np.size(v) < 40 else np.shape(v)) for k, v in la.items()} for la in layers])
    check(layers, first, seed, "generic" if ge or average else target, ge)
