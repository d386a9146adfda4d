"""What a node becomes once the shape of its input is known."""

from __future__ import annotations

from dataclasses import dataclass

from neurocompile.ir.base import Array, Shape
from neurocompile.ir.transforms import Transform
from neurocompile.models import Model


@dataclass(frozen=True, eq=False)
class Part:
    """A model (neuron nodes), an operation with an optional bias of ``out_shape`` (linear
    nodes), or neither (inputs, outputs)."""

    out_shape: Shape
    op: Transform | None = None
    bias: Array | None = None
    model: Model | None = None


class Refused(Exception):
    """The input of a node does not fit it; the shape inference names both ends."""

    def __init__(self, code: str, message: str, *, got: str = "", limit: str = "",
                 hint: str = ""):
        super().__init__(message)
        self.code, self.message = code, message
        self.got, self.limit, self.hint = got, limit, hint
