"""``check_network`` finds each broken invariant of a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurocompile.frontends.nir import load_nir
from neurocompile.ir.check import check_network
from neurocompile.ir.network import Network, Port
from neurocompile.ir.transforms import Dense


@pytest.fixture
def network(data_dir: Path) -> Network:
    return load_nir(data_dir / "digits_mlp_lif_snntorch.nir")[0]


def messages(network: Network) -> list[str]:
    return [str(d) for d in check_network(network)]


def test_a_sound_network_has_no_findings(network: Network) -> None:
    assert messages(network) == []


def test_a_name_used_twice_is_found(network: Network) -> None:
    twice = replace(network, populations=(*network.populations, network.populations[0]))
    assert messages(twice) == ["E140 1: 2 populations have this name"]


def test_a_missing_end_is_found(network: Network) -> None:
    lost = replace(network, populations=network.populations[1:])
    found = messages(lost)
    assert "E140 1->3: its source '1' is missing" in found
    assert "E140 input->1: its target '1' is missing" in found


def test_a_weight_that_does_not_fit_or_is_not_finite_is_found(network: Network) -> None:
    bad = Dense(np.full((10, 63), np.nan), (64,), (10,))
    first = replace(network.projections[0], ops=(bad,))
    assert messages(replace(network, projections=(first, network.projections[1]))) == [
        "E140 1->3: Dense.weight is not finite",
        "E140 1->3: Dense.weight (10, 63) does not map 64 to 10 elements"]


def test_a_port_of_another_size_is_found(network: Network) -> None:
    assert messages(replace(network, outputs=(Port("output", "3", (11,)),))) == [
        "E140 output: shape (11,) does not fit its population's (10,)"]


def test_an_input_that_is_no_source_is_found(network: Network) -> None:
    assert messages(replace(network, inputs=(Port("input", "1", (64,)),))) == [
        "E140 input: an input must be a population of the model Source"]
