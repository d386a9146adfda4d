"""The recordings of Lava that are kept: still what Lava gives, and what our own models give.

Only the tests of the first kind need Lava; when nobody can install it any more, the others hold
the machine model in place.
"""

from __future__ import annotations

import lava_runs
import numpy as np
import pytest
from lava_runs import Arrays, primitives

from neurocompile.ir.quantized import QuantizedPopulation
from neurocompile.models.machine import initial_state, step
from neurocompile.targets import load_target

MODELLED = [name for name in primitives() if name.startswith(("lif_", "reset_", "per_neuron_"))
            and name not in {
                # Inputs that the legality gate refuses, as a << 6 would wrap at 32 bits.
                "lif_input_beyond_32_bits",
                # Decays above 4096, which no register holds.
                "lif_decay_beyond_12_bits",
                # Lava cuts fractions off; a QuantizedPopulation has none.
                "lif_bias_of_floats"}]


def test_lava_still_gives_the_archived_primitives_array_by_array() -> None:
    archived, now = lava_runs.read(lava_runs.PRIMITIVES), lava_runs.record_primitives()
    assert sorted(archived) == sorted(now)
    for name, values in archived.items():
        assert values.dtype == now[name].dtype, name
        assert np.array_equal(values, now[name]), name
    assert lava_runs.packed(now) == lava_runs.read_bytes(lava_runs.PRIMITIVES)


@pytest.mark.parametrize("name", MODELLED)
@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
def test_the_machine_model_gives_the_archived_states(name: str, target: str) -> None:
    r = primitives()[name]
    n, n_steps = r["a"].shape
    machine = load_target(target).machine
    population = _population(r, n)
    bias = _bias(r, n)
    u, v = (np.broadcast_to(r.get(key, np.array(0)), n).astype(np.int64) for key in ("u0", "v0"))
    state = initial_state(population, (n,))._replace(u=u, v=v)
    for t in range(n_steps):
        if "reset_interval" in r and (t + 1 - r["reset_offset"]) % r["reset_interval"] == 0:
            state = state._replace(u=np.zeros_like(u), v=np.zeros_like(v))
        state, s = step(machine, population, r["a"][:, t].astype(np.int64), bias, state)
        for kind, values in (("u", state.u), ("v", state.v), ("s", s)):
            assert np.array_equal(values, r[kind][t]), f"{kind} at step {t + 1}"


def _population(r: Arrays, n: int) -> QuantizedPopulation:
    def register(name: str) -> np.ndarray:
        return np.broadcast_to(r.get(name, np.array(0)), n).astype(np.int64)

    zeros = np.zeros(n, np.int64)
    return QuantizedPopulation(
        name="n", shape=(n,), role="spiking", latency=0, current_decay=register("du"),
        membrane_decay=register("dv"), threshold=register("vth"), bias_mantissa=zeros,
        bias_exponent=zeros, initial_v=zeros, compare="gt", reset="zero", max_spikes=1,
        scale=np.ones(n), offset=np.zeros(n))


def _bias(r: Arrays, n: int) -> np.ndarray:
    """What the registers stand for in Lava (test_lava_neurons.py), which is ours where the
    exponent is not negative."""
    mantissa, exponent = (np.broadcast_to(r.get(name, np.array(0)), n).astype(np.int64)
                          for name in ("bias_mant", "bias_exp"))
    mantissa = mantissa.astype(np.int16).astype(np.int64)
    return np.where(exponent >= 0, mantissa << np.maximum(exponent, 0),
                    mantissa >> np.maximum(-exponent, 0))
