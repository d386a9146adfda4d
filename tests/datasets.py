"""The shipped networks with their inputs and what the training framework made of them.

Each function gives a :class:`Recording`; ``n`` takes the first n samples only. Where the data
come from is in tests/data/README.md.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

DATA = Path(__file__).parent / "data"
PAPER = DATA / "nir_paper"


@dataclass(frozen=True, eq=False)
class Recording:
    """``x`` is [sample, step, *input shape]; ``y`` [sample]. ``rasters`` maps a node's name to
    its spikes, uint8 [sample, step, *shape] (of the first samples, where not all were stored), and
    ``counts`` to its spikes summed over the run, [sample, *shape]. "output" is the Output node.
    """

    network: Path
    x: Array
    y: Array
    dt_s: float
    rasters: dict[str, Array] = field(default_factory=dict)
    counts: dict[str, Array] = field(default_factory=dict)

    @property
    def n_steps(self) -> int:
        return int(self.x.shape[1])


def digits(n: int | None = None) -> Recording:
    """UCI digits, 64-64-10 LIF: pixels in [0, 1] as a constant current over 20 steps."""
    data = np.load(DATA / "digits_mlp_lif_snntorch.npz")
    return _recording("digits_mlp_lif_snntorch", data, _hold(data["x"][:n], int(data["T"])), n)


def mnist_mlp(n: int | None = None) -> Recording:
    """MNIST, 784-100-10 LIF: Bernoulli spikes over 16 steps."""
    data = np.load(DATA / "mnist_mlp_lif_snntorch.npz")
    return _recording("mnist_mlp_lif_snntorch", data, _unpack_last(data["x_spk"][:n], 784), n)


def mnist_cnn(n: int | None = None) -> Recording:
    """MNIST, convolutional LIF: pixels in [0, 1], [1, 28, 28], constant over 8 steps."""
    data = np.load(DATA / "mnist_cnn_lif_snntorch.npz")
    # Divided in float32, as the framework did: the quotient in float64 is another number.
    pixels = data["x"][:n, np.newaxis].astype(np.float32) / np.float32(255)
    return _recording("mnist_cnn_lif_snntorch", data, _hold(pixels, int(data["T"])), n)


def fsdd_rcubalif(n: int | None = None) -> Recording:
    """Spoken digits, 40 channels of spikes over 64 frames, recurrent CubaLIF 96 + CubaLIF 10."""
    data = np.load(DATA / "fsdd_rcubalif_snntorch.npz")
    return _recording("fsdd_rcubalif_snntorch", data, _unpack_last(data["x_spk"][:n], 40), n)


def fsdd_delay(n: int | None = None) -> Recording:
    """The same spikes into a feed-forward LIF network with learned axonal delays.

    The raster of ``lif0`` holds the first 50 samples.
    """
    data = np.load(DATA / "fsdd_delay_lif_torch.npz")
    hidden = {"lif0": _unpack_last(data["hid0_spk_first50"][:n], 64)}
    x = _unpack_last(data["x_spk"][:n], 40)
    return _recording("fsdd_delay_lif_torch", data, x, n, hidden)


def braille(n: int | None = None, tool: str = "snntorch") -> Recording:
    """One touched Braille letter: 12 channels, 256 steps; the hidden raster as ``tool`` gave it.

    ``tool`` is one of nengo, spyx, snntorch, norse, s2, lava.
    """
    data = np.load(PAPER / "braille_noDelay_bias_zero_sample0.npz")
    return Recording(
        network=PAPER / "braille_noDelay_bias_zero.nir",
        x=data["x"][np.newaxis][:n], y=np.atleast_1d(data["label"])[:n], dt_s=float(data["dt"]),
        rasters={"lif1.lif": data[f"hidden_{tool}"][np.newaxis][:n]})


def nmnist(n: int | None = None) -> Recording:
    """N-MNIST events counted in 1 ms bins: uint8 [sample, 300, polarity (1 = ON), y, x].

    Counts are not clipped to 1; events after the last bin are left out. ``counts`` are of the
    output ("output") and of the first IF layer ("1"), with a reset to zero.
    """
    data = np.load(PAPER / "nmnist100_cnn_sinabs.npz")
    n_samples = len(data["label"][:n])
    n_steps = int(data["T"])
    offsets = data["offsets"]
    end = int(offsets[n_samples])
    sample = np.repeat(np.arange(n_samples), np.diff(offsets[:n_samples + 1]))
    step = (data["t_us"][:end] // 1000).astype(np.int64)
    kept = step < n_steps
    index = (sample, step, data["p"][:end], data["y"][:end], data["x"][:end])
    x = np.zeros((n_samples, n_steps, 2, 34, 34), np.uint8)
    np.add.at(x, tuple(part[kept] for part in index), np.uint8(1))
    return Recording(
        network=PAPER / "cnn_sinabs.nir", x=x, y=data["label"][:n], dt_s=1e-3,
        counts={"output": data["out_counts"][:n], "1": data["layer0_counts"][:n]})


def lif_trace(tool: str) -> tuple[Array, Array, Array]:
    """The published trace of one LIF neuron: input, voltage and spikes, float64 [step] each.

    ``tool`` names a file of nir_paper/lif_traces, "norse" or "lava_loihi_fixed" for example.
    """
    path = PAPER / "lif_traces" / f"lif_{tool}.csv"
    with path.open(newline="") as file:
        rows = np.array([[float(cell) for cell in row] for row in csv.reader(file)])
    return rows[:, 0], rows[:, 1], rows[:, 2]


ALL: tuple[Callable[..., Recording], ...] = (
    digits, mnist_mlp, mnist_cnn, fsdd_rcubalif, fsdd_delay, braille, nmnist)


def _recording(name: str, data: Any, x: Array, n: int | None,
               hidden: dict[str, Array] | None = None) -> Recording:
    spikes = np.unpackbits(data["out_spk"][:n], axis=1, count=int(data["T"]))
    return Recording(network=DATA / f"{name}.nir", x=x, y=data["y"][:n], dt_s=float(data["dt"]),
                     rasters={"output": spikes, **(hidden or {})},
                     counts={"output": data["out_counts"][:n]})


def _unpack_last(packed: Array, count: int) -> Array:
    return np.unpackbits(packed, axis=-1, count=count)


def _hold(values: Array, n_steps: int) -> Array:
    """The same values at every step: [sample, *shape] to [sample, step, *shape]."""
    return np.repeat(values[:, np.newaxis], n_steps, axis=1)
