"""SANA-FE's rules of energy and time, restated, against what SANA-FE itself said.

``benchmarks/sanafe.py --record`` runs SANA-FE and writes ``data/sanafe.json``; here it is not
needed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sanafe_rules as rules
from sanafe_detailed import detailed_ns
from sanafe_network import Scenario, mapped, place

from neurocompile.ir.mapping import Mapping
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.integer import Probes, run_integer

Arrays = Any
SAID = json.loads((Path(__file__).parents[1] / "data" / "sanafe.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def mapping() -> Mapping:
    return mapped(Scenario(**SAID["scenario"]))


@pytest.fixture(scope="module")
def run(mapping: Mapping) -> tuple[Arrays, Arrays]:
    """(spikes, membranes) of the integer reference, [step, neuron]."""
    ran = run_integer(mapping.quantized, EncodedInput(1, SAID["steps"], {}, {}),
                      Probes(s=("p",), v=("p",)))
    return ran.s["p"][0] > 0, ran.v["p"][0]


def close(a: Arrays, b: Arrays) -> bool:
    return bool(np.allclose(a, b, rtol=1e-12, atol=0))


def predicted(mapping: Mapping, run: tuple[Arrays, Arrays]) -> rules.Prediction:
    at = rules.placed(mapping)
    return rules.predict(at, run[0], rules.updated(at, *run))


def test_a_link_takes_a_flit_a_cycle_of_sanafes_own_network(mapping: Mapping) -> None:
    timing = mapping.target.timing
    assert timing.link_interval_ticks * timing.tick_ps == 1000
    assert mapping.target.costs["hop_east_west"][1] == 4.1


def test_spikes_are_those_of_the_integer_reference(run: tuple[Arrays, Arrays]) -> None:
    assert len(SAID["spikes"]) > 100
    assert np.argwhere(run[0]).tolist() == SAID["spikes"]


def test_neurons_without_bias_are_updated_when_something_happened_to_them(
        mapping: Mapping, run: tuple[Arrays, Arrays]) -> None:
    paid = rules.updated(rules.placed(mapping), *run).sum(axis=1)
    assert paid.tolist() == SAID["updated"]
    assert len(set(SAID["updated"])) > 1


@pytest.mark.parametrize("part", ["soma", "synapse", "network"])
def test_energy_of_every_step_is_predicted(mapping: Mapping, run: tuple[Arrays, Arrays],
                                           part: str) -> None:
    assert close(predicted(mapping, run).part_pj(part), SAID["energy_pj"][part])


def test_simple_time_of_every_step_is_predicted(mapping: Mapping,
                                                run: tuple[Arrays, Arrays]) -> None:
    assert close(predicted(mapping, run).simple_ns, SAID["time_ns"]["simple"])


def test_nothing_is_faster_than_without_congestion(mapping: Mapping,
                                                   run: tuple[Arrays, Arrays]) -> None:
    at = rules.placed(mapping)
    bound = rules.congestion_free(at, run[0], rules.updated(at, *run))
    detailed = np.array(SAID["time_ns"]["detailed"])
    assert np.all(bound <= detailed * (1 + 1e-12))
    assert bound.sum() >= 0.98 * detailed.sum()
    assert np.all(bound >= np.array(SAID["time_ns"]["simple"]) * (1 - 1e-12))


def test_detailed_time_is_its_restatement(mapping: Mapping, run: tuple[Arrays, Arrays]) -> None:
    at = rules.placed(mapping)
    paid = rules.updated(at, *run)
    said = np.array(SAID["time_ns"]["detailed"])
    full, bare = (np.array([detailed_ns(at, run[0][t], paid[t], **terms) for t in range(len(said))])
                  for terms in ({}, {"blocking": False, "congestion": False}))
    assert np.max(np.abs(full - said) / said) < 0.01  # sends at equal times go by a heap there
    assert np.mean(np.isclose(full, said, rtol=1e-9, atol=0)) > 0.9
    assert close(bare, rules.congestion_free(at, run[0], paid, served="sent"))


def test_another_mapping_is_noticed(mapping: Mapping, run: tuple[Arrays, Arrays]) -> None:
    near = predicted(place(mapping, spread=False), run)
    assert close(near.part_pj("soma"), SAID["energy_pj"]["soma"])
    assert not close(near.part_pj("network"), SAID["energy_pj"]["network"])


def test_rows_and_columns_of_the_mesh_are_not_exchanged(mapping: Mapping,
                                                        run: tuple[Arrays, Arrays]) -> None:
    assert mapping.placement is not None
    turned = replace(mapping.placement, x=mapping.placement.y, y=mapping.placement.x)
    network = predicted(replace(mapping, placement=turned), run).part_pj("network")
    assert not close(network, SAID["energy_pj"]["network"])


def test_more_cores_than_one_chip_are_refused() -> None:
    with pytest.raises(ValueError, match="200 cores, SANA-FE's chip file has 128"):
        mapped(Scenario(200, 2, neurons_per_core=1))
