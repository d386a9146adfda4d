"""The program a user gets, as text that a person can read (golden/lava_*)."""

from __future__ import annotations

import ast
import keyword
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lava_networks import IntegerCase, integer_cases
from small_build import small_quantized
from test_passes import contract, cuba, delay, dense, lif

import neurocompile as nc
from neurocompile.ir.base import Shape
from neurocompile.ir.network import Bias, Network, Population, Port, Projection
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.transforms import Transform
from neurocompile.models import LI, Model, Source
from neurocompile_backends.lava.emit import emit
from neurocompile_backends.lava.plan import plan, weights_key

Golden = Callable[[str, str], None]


def program(network: QuantizedNetwork) -> str:
    """Without the network's digest, which every new field of the IR changes."""
    text = emit(network).files["program.py"].decode()
    ast.parse(text)
    assert network.digest() in text
    return text.replace(network.digest(), "DIGEST")


def compiled(layers: list[tuple[str, Shape, Model, tuple[Transform, ...]]], biases: bool,
             target: str = "loihi1") -> QuantizedNetwork:
    """A chain of layers behind one input "x"; the last one is the output."""
    first = layers[0][3][0]
    populations = [Population("x", first.in_shape, Source(int(np.prod(first.in_shape))))]
    projections, own = [], []
    for name, shape, model, ops in layers:
        before = populations[-1].name
        populations.append(Population(name, shape, model))
        projections.append(Projection(f"{before}->{name}", before, name, ops, False, (name,)))
        if biases:
            own.append(Bias(f"{name}.bias", np.linspace(0.1, 0.2, int(np.prod(shape))), name, (),
                            False, (name,)))
    network = Network(tuple(populations), tuple(projections), tuple(own),
                      (Port("x", "x", first.in_shape),),
                      (Port("y", populations[-1].name, populations[-1].shape),), ())
    return nc.compile(network, target, contract=contract()).quantized


def test_a_chain_with_delays_biases_and_a_readout(golden: Golden) -> None:
    network = compiled([
        ("hidden", (2,), lif(2), (delay(0.0, 3e-3, 70e-3),
                                  dense([0.5, 0.25, -0.5], [0.125, 1.0, 0.5]))),
        ("read", (1,), LI(np.full(1, 4e-3), np.ones(1), np.zeros(1)), (dense([0.5, -0.25]),))],
        biases=True)
    golden("lava_chain.py.txt", program(network))
    golden("lava_chain.README.md", emit(network).files["README.md"].decode())


def test_current_filters_get_their_bias_from_a_neuron(golden: Golden) -> None:
    network = compiled([("filtered", (2,), cuba(2), (dense([0.5, 0.25], [1.0, -1.0]),))], True)
    golden("lava_cuba.py.txt", program(network))


def test_neurons_that_differ_get_a_process_of_their_own(golden: Golden) -> None:
    network = small_quantized()
    hidden = network.populations[1]
    differ = replace(hidden, membrane_decay=np.array([410, 2047]))
    golden("lava_per_neuron.py.txt",
           program(replace(network, populations=(network.populations[0], differ))))


def test_a_population_may_be_named_as_a_matrix_would_be() -> None:
    network = small_quantized()
    source, hidden = network.populations
    populations = [replace(source, name="a"), replace(hidden, name="b"),
                   replace(hidden, name="a_to_b_weights")]
    projection = replace(network.projections[0], name="q", source="a", target="b")
    planned = plan(replace(network, populations=tuple(populations), projections=(projection,),
                           inputs=(replace(network.inputs[0], name="a"),)))
    used = [n.key for n in planned.neurons]
    assert not {c.key for c in planned.connections} & set(used)
    assert not {weights_key(c.key) for c in planned.connections} & set(used)


@given(integer_cases())
def test_the_same_network_gives_the_same_bytes(case: IntegerCase) -> None:
    assert emit(case.network).files == emit(case.network).files


@given(st.lists(st.text(max_size=12), min_size=2, max_size=5, unique=True))
def test_any_names_become_distinct_identifiers(names: list[str]) -> None:
    network = small_quantized()
    source, hidden = network.populations
    populations = (replace(source, name=names[0]),
                   *(replace(hidden, name=name) for name in names[1:]))
    connections = tuple(replace(network.projections[0], name=name, source=names[0], target=name)
                        for name in names[1:])
    given_names = replace(network, populations=populations, projections=connections,
                          inputs=(replace(network.inputs[0], name=names[0]),))
    planned = plan(given_names)
    keys = [*planned.inputs, *(n.key for n in planned.neurons),
            *(c.key for c in planned.connections)]
    assert len(set(keys)) == len(keys) == 2 * len(names) - 1
    assert all(key.isidentifier() and key.isascii() and not keyword.iskeyword(key)
               for key in keys)


@pytest.mark.parametrize("name", ["support", "np", "build", "lambda", "période", "", "1", "a b"])
def test_names_of_the_program_itself_are_left_to_it(name: str) -> None:
    network = small_quantized()
    renamed = replace(network.populations[1], name=name)
    (neurons,) = plan(replace(network, populations=(network.populations[0], renamed), projections=(
        replace(network.projections[0], target=name),))).neurons
    assert neurons.key not in {"support", "np", "build", "lambda"}
    assert neurons.key.isidentifier()
