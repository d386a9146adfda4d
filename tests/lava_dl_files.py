"""Writes ``.net`` files as lava-dl's export_hdf5 does, and runs them by the rules of slayer's
blocks in plain numpy integers: nothing here is shared with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

Layer = dict[str, Any]
Ints = npt.NDArray[np.int64]
V_LIMIT = (1 << 23) - 1


def cuba(i_decay: Any = 1024, v_decay: Any = 128, threshold: int = 80, **more: Any) -> Layer:
    return {"neuron/type": "CUBA", "neuron/iDecay": i_decay, "neuron/vDecay": v_decay,
            "neuron/vThMant": threshold, "neuron/refDelay": 1, "neuron/gradedSpike": False, **more}


def dense(weight: Any, **more: Any) -> Layer:
    w = np.asarray(weight, np.float32)
    return {"type": "dense", "shape": [len(w)], "inFeatures": w.shape[1], "outFeatures": len(w),
            "weight": w, **cuba(), **more}


def conv(weight: Any, shape: Any, **more: Any) -> Layer:
    """``shape``: (channels, height, width) of the layer."""
    w = np.asarray(weight, np.float32)
    base = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1, **cuba(), **more}
    return {"type": "conv", "shape": list(shape), "inChannels": w.shape[1] * int(base["groups"]),
            "outChannels": len(w), "kernelSize": list(w.shape[2:]), "weight": w, **base}


def pool(weight: int, kernel: tuple[int, int], shape: Any, **more: Any) -> Layer:
    return {"type": "pool", "shape": list(shape), "kernelSize": list(kernel),
            "stride": list(kernel), "padding": [0, 0], "dilation": [1, 1],
            "weight": np.full((1, 1, *kernel), weight, np.float32), **cuba(), **more}


def write_net(path: Path, layers: list[Layer]) -> Path:
    with h5py.File(path, "w") as file:
        for i, layer in enumerate(layers):
            for key, value in layer.items():
                if key == "type":
                    file.create_dataset(f"layer/{i}/type", (1,), "S10", [value.encode("ascii")])
                else:
                    file[f"layer/{i}/{key}"] = value
    return path


def run_net(layers: list[Layer], x: Ints, ge: bool = False) -> list[Ints]:
    """``x``: [step, *input shape]. Spikes of each layer with neurons, [step, *shape], with the
    step that every block adds and its axon delays; a final average gives sums."""
    outputs = []
    for layer in layers:
        kind = layer["type"]
        if kind == "input":
            continue
        if kind == "flatten":
            x = x.reshape(len(x), -1)
        elif kind == "average":
            x = shifted(x.reshape(len(x), int(np.prod(layer["shape"])), -1).sum(axis=2), 1)
            outputs.append(x)
        else:
            x = _block(layer, x, ge)
            outputs.append(x)
    return outputs


def shifted(x: Ints, steps: int) -> Ints:
    """Later by ``steps``; what leaves the end is lost."""
    out = np.zeros_like(x)
    out[steps:] = x[:len(x) - steps]
    return out


def _block(layer: Layer, x: Ints, ge: bool) -> Ints:
    delay = np.asarray(layer.get("delay", 0), int).reshape(-1)
    n_out = layer["shape"][0]
    if len(delay) not in (1, n_out):  # delays of the inputs
        x = np.stack([shifted(x[:, i], d) for i, d in enumerate(delay)], axis=1)
        delay = np.zeros(1, int)
    z = np.stack([_synapses(layer, frame) for frame in x])
    spikes = shifted(_neurons(layer, z, ge), 1)
    return np.stack([shifted(spikes[:, c], int(delay[c % len(delay)]))
                     for c in range(n_out)], axis=1)


def _neurons(layer: Layer, z: Ints, ge: bool) -> Ints:
    def column(key: str) -> Ints:
        value = np.asarray(layer[f"neuron/{key}"], np.int64).reshape(-1)
        return value.reshape(-1, *[1] * (z.ndim - 2))

    keep_u, keep_v = 4096 - column("iDecay"), 4096 - column("vDecay")
    threshold = int(layer["neuron/vThMant"]) << 6
    again = np.asarray(layer["weight_rec"], np.int64) if "weight_rec" in layer else None
    u, v, s = (np.zeros(z.shape[1:], np.int64) for _ in range(3))
    out = np.zeros_like(z)
    for t, arriving in enumerate(z):
        a = arriving if again is None else arriving + again @ s
        u = _decayed(u, keep_u) + (a << 6)
        v = np.clip(_decayed(v, keep_v) + u, -V_LIMIT, V_LIMIT)
        s = (v >= threshold if ge else v > threshold).astype(np.int64)
        v = np.where(s == 1, 0, v)
        out[t] = s
    return out


def _decayed(x: Ints, keep: Ints) -> Ints:
    product = x * keep
    return np.sign(product) * (np.abs(product) >> 12)


def _synapses(layer: Layer, frame: Ints) -> Ints:
    w = np.asarray(layer["weight"], np.int64)
    if layer["type"] in ("dense", "dense_rec"):
        return w @ frame
    if layer["type"] == "pool":
        return _pooled(w[0, 0], frame)
    groups, stride = int(layer["groups"]), layer["stride"]
    padding, dilation = layer["padding"], layer["dilation"]
    c_out, c_group, k_h, k_w = w.shape[:4]
    w = w.reshape(w.shape[:4])
    padded = np.pad(frame, ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    out = np.zeros(layer["shape"], np.int64)
    for o, y, x in np.ndindex(*out.shape):
        first = o // (c_out // groups) * c_group
        for c, i, j in np.ndindex(c_group, k_h, k_w):
            out[o, y, x] += w[o, c, i, j] * padded[
                first + c, y * stride[0] + i * dilation[0], x * stride[1] + j * dilation[1]]
    return out


def _pooled(kernel: Ints, frame: Ints) -> Ints:
    """As slayer: zeros behind until (size % kernel) more, then one long column of all channels."""
    k_h, k_w = kernel.shape
    c, h, w = frame.shape
    full = np.pad(frame, ((0, 0), (0, h % k_h), (0, w % k_w)))
    column = full.reshape(c * full.shape[1], full.shape[2])
    rows, columns = column.shape[0] // k_h, column.shape[1] // k_w
    out = np.array([[(kernel * column[y * k_h:(y + 1) * k_h, x * k_w:(x + 1) * k_w]).sum()
                     for x in range(columns)] for y in range(rows)])
    return out.reshape(c, -1, columns)
