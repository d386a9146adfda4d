"""A recorded run of a real Loihi 1 chip, reproduced spike for spike and voltage for voltage.

The recording belongs to the shared data, not to this repository (its numbers come from a project
under the GPL); the test runs where that folder lies beside the checkout.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from partition_factory import network, neurons, project, source

from neurocompile.ir.transforms import Dense
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.integer import IntegerRun, Probes, run_integer
from neurocompile.targets import load_target
from neurocompile_backends.simulator.run import run_simulator

# The chip's probe shows the decay register in a step in which the neuron spikes.
PROBE_READS = 128


def _chip_network(data: dict[str, npt.NDArray[np.integer]]):  # type: ignore[no-untyped-def]
    """Two layers of current-based LIF with integer weights, as the chip was configured."""
    v_decay, i_decay = int(data["vDecay"]), int(data["iDecay"])
    constants = {
        # The register holds one less than what the current loses a step.
        "current_decay": lambda n: np.full(n, i_decay - 1),
        "membrane_decay": lambda n: np.full(n, v_decay),
        "threshold": lambda n: np.full(n, int(data["vThMant"])),
    }

    def layer(name: str, n: int):  # type: ignore[no-untyped-def]
        return neurons(name, n, **{key: value(n) for key, value in constants.items()})

    hidden, out = (int(x) for x in data["W2"].shape[::-1])
    n_in = data["W1"].shape[1]
    return network(
        load_target("loihi1"), [source("in", n_in), layer("hidden", hidden), layer("out", out)],
        [project("in->hidden", "in", "hidden", Dense(data["W1"], (n_in,), (hidden,)), bits=9),
         project("hidden->out", "hidden", "out", Dense(data["W2"], (hidden,), (out,)), bits=9)])


def _check(run: IntegerRun, data: dict[str, npt.NDArray[np.integer]], n_steps: int) -> None:
    spikes = np.unpackbits(data["hidden_spk_chip"], axis=1)[:, :n_steps]
    assert int(spikes.sum()) > 100
    assert np.array_equal(run.s["hidden"][0, :n_steps].T, spikes)
    for neuron in (23, 24):
        _check_voltage(run.v["hidden"][0, :, neuron], run.s["hidden"][0, :, neuron],
                       data[f"v_hidden{neuron}_chip"])
    out = np.flatnonzero(run.s["out"][0, :n_steps, 0]).tolist()
    assert out == data["out_spk_chip"][:, 1].tolist()
    _check_voltage(run.v["out"][0, :, 0], run.s["out"][0, :, 0], data["v_out_chip"])


def _check_voltage(v: npt.NDArray[np.integer], s: npt.NDArray[np.integer],
                   chip: npt.NDArray[np.integer]) -> None:
    # The voltage recording starts at step 1.
    ours = np.where(s == 1, PROBE_READS, v)[1:1 + len(chip)]
    assert len(chip) == 499
    assert np.array_equal(ours, chip)


def test_loihi_1_recording_has_no_spike_and_no_voltage_error(shared_data: Path) -> None:
    with np.load(shared_data / "loihi1_chip_trace_250_25_1.npz") as file:
        data = {key: file[key] for key in file.files}
    n_steps = int(data["Ns"])
    x = np.unpackbits(data["x"], axis=1)[:, :n_steps]
    chip = _chip_network(data)
    encoded = EncodedInput(1, n_steps, {"in": x.T[None]}, {})
    probes = Probes(("hidden", "out"), (), ("hidden", "out"))
    for execute in (run_integer, run_simulator):
        _check(execute(chip, encoded, probes), data, n_steps)
