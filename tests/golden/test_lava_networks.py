"""Whole networks as Lava ran them: our executors give the same, and so does Lava today.

The first kind needs no Lava. Whatever becomes of the compiler, these networks and their integers
stay as they were recorded.
"""

from __future__ import annotations

from collections import Counter

import contracts
import lava_recordings as recordings
import numpy as np
import pytest
from lava_runs import Arrays, packed, read_bytes

from neurocompile import fixedpoint
from neurocompile.models import machine
from neurocompile.reference.integer import Probes, run_integer
from neurocompile_backends.simulator.run import run_simulator

EXECUTORS = {"reference": run_integer, "simulator": run_simulator}
DRAWN = {"random": 2 * recordings.RANDOM_PER_TARGET, "integers": recordings.INTEGERS}


def states(arrays: Arrays) -> Arrays:
    """What was recorded, without what was given."""
    return {key: values for key, values in arrays.items() if recordings.is_state(key)}


def test_the_archive_holds_every_network_and_all_random_cases() -> None:
    assert recordings.files() == sorted([*contracts.NETWORKS, *DRAWN])
    for file in contracts.NETWORKS:
        assert sorted(recordings.archived(file)) == list(recordings.TARGETS)
    for file, count in DRAWN.items():
        assert len(recordings.archived(file)) == count


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("file", recordings.files())
def test_our_executors_give_what_lava_gave_in_every_state(file: str, executor: str) -> None:
    for name, arrays in recordings.archived(file).items():
        network, encoded = recordings.case_of(arrays)
        run = EXECUTORS[executor](network, encoded, Probes.everything(network))
        ours, lavas = recordings.states_of(run), states(arrays)
        assert sorted(ours) == sorted(lavas)
        for key, values in lavas.items():
            assert np.array_equal(ours[key], values), f"{name}: {key}"


@pytest.mark.parametrize("file", recordings.files())
def test_lava_still_gives_the_archived_bytes(file: str) -> None:
    again = packed(recordings.flat(recordings.recorded_again(file)))
    assert again == read_bytes(recordings.NETWORKS / f"{file}.npz.xz")


def test_the_archive_shows_spikes_saturation_folds_delays_and_all_kinds_of_synapses(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """What an archive does not hold it cannot keep in place."""
    seen: Counter[str] = Counter()

    def fold(x: np.ndarray, bits: int) -> np.ndarray:
        seen["folded"] += bool(np.any(np.abs(x) > 1 << (bits - 1)))
        return fixedpoint.fold(x, bits)

    monkeypatch.setattr(machine, "fold", fold)
    for file in recordings.files():
        for arrays in recordings.archived(file).values():
            network, encoded = recordings.case_of(arrays)
            run = run_integer(network, encoded, Probes.everything(network))
            seen["spikes"] += all(run.s[p.name].any() for p in network.populations
                                  if p.role == "spiking")
            seen["saturated"] += any((np.abs(v) == recordings.SATURATED).any()
                                     for v in run.v.values())
            seen["read"] += any(p.role == "analog" for p in network.populations)
            seen["drives"] += bool(network.drives)
            for q in network.projections:
                seen[type(q.transform).__name__] += 1
                seen[q.sign_mode] += 1
                seen["delays"] += bool((q.source_delay.max() + q.target_delay.max()) > 0)
                seen["loops"] += q.source == q.target
    wanted = ("spikes", "saturated", "folded", "read", "drives", "Dense", "Sparse", "Conv",
              "mixed", "excitatory", "inhibitory", "delays", "loops")
    assert {name for name in wanted if seen[name] < 3} == set(), seen
