"""``Network``: what a front end hands over. Floats in SI units, any topology."""

from __future__ import annotations

from dataclasses import dataclass

from neurocompile.ir.base import Array, Node, Shape, register
from neurocompile.ir.transforms import Transform
from neurocompile.models import Model


@register
@dataclass(frozen=True, eq=False)
class Population(Node):
    """Neurons of one model. Parameters in ``model`` have shape ``shape``."""

    name: str
    shape: Shape
    model: Model


@register
@dataclass(frozen=True, eq=False)
class Projection(Node):
    """Signals of ``source`` pass ``ops`` in order and are added to the input of ``target``.

    Several projections into one population add up. ``recurrent`` marks a connection inside a
    loop that does not lead further from the inputs; it is one step late (see
    ``docs/contract.md``). ``via`` names the nodes of the file it was made of, for messages.
    """

    name: str
    source: str
    target: str
    ops: tuple[Transform, ...]
    recurrent: bool
    via: tuple[str, ...]


@register
@dataclass(frozen=True, eq=False)
class Bias(Node):
    """A constant ``value`` that passes ``ops`` in order and is added to the input of ``target``.

    It is present from the first step, unless ``recurrent``: then the node it belongs to is fed by
    recurrent connections alone, and the contract says whether it acts at the first step.
    """

    name: str
    value: Array
    target: str
    ops: tuple[Transform, ...]
    recurrent: bool
    via: tuple[str, ...]


@register
@dataclass(frozen=True, eq=False)
class Port(Node):
    """A named end of the network. ``population`` is a source (inputs) or what is read (outputs).

    ``shape`` is the shape the file gives the node; elements correspond in order.
    """

    name: str
    population: str
    shape: Shape


@register
@dataclass(frozen=True, eq=False)
class Network(Node):
    """A flat network. Input populations have the model ``Source`` and the name of their node.

    Invariants, checked by ``neurocompile.ir.check.check_network``: unique names; endpoints exist;
    shapes agree along every projection; parameters finite.
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    biases: tuple[Bias, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    provenance: tuple[tuple[str, str], ...]

    def population(self, name: str) -> Population:
        return next(p for p in self.populations if p.name == name)
