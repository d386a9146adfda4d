"""Models without memory: NIR Threshold (a step function), sums that are read, and inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.ir.base import FloatArray, Node, register
from neurocompile.models.dynamics import Choices, Dynamics


@register
@dataclass(frozen=True, eq=False)
class Threshold(Node):
    """Spike where the summed input of the step exceeds ``threshold``; nothing is remembered."""

    threshold: FloatArray

    def dynamics(self, name: str, choices: Choices) -> Dynamics:
        choices.need("compare", name, "it spikes")
        zeros = np.zeros(self.threshold.shape)
        return Dynamics(role="spiking", mem_decay=zeros, gain_mem=np.ones(zeros.shape),
                        bias_mem=zeros, threshold=self.threshold, reset_value=zeros,
                        initial_v=zeros, memoryless=True)


@register
@dataclass(frozen=True, eq=False)
class Sum(Node):
    """The summed input of the step, read as it is: an output fed by a layer without neurons."""

    n: int

    def dynamics(self, name: str, choices: Choices) -> Dynamics:  # noqa: ARG002
        zeros = np.zeros(self.n)
        return Dynamics(role="analog", mem_decay=zeros, gain_mem=np.ones(self.n),
                        bias_mem=zeros, initial_v=zeros)


@register
@dataclass(frozen=True, eq=False)
class Source(Node):
    """Values from outside."""

    n: int

    def dynamics(self, name: str, choices: Choices) -> Dynamics:  # noqa: ARG002
        none = np.zeros(0)
        return Dynamics(role="source", mem_decay=none, gain_mem=none, bias_mem=none,
                        initial_v=none)
