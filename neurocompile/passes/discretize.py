"""From seconds to steps, under an explicit contract. The only place that reads ``tau`` and dt."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurocompile.diagnostics import Diagnostics
from neurocompile.ir.base import FloatArray, IntArray, n_elements
from neurocompile.ir.contract import Contract
from neurocompile.ir.discrete import (
    DelayError,
    DiscreteBias,
    DiscreteNetwork,
    DiscretePopulation,
    DiscreteProjection,
    ResetRule,
)
from neurocompile.ir.network import Bias, Network, Population, Projection
from neurocompile.ir.transforms import Conv, Delay, Dense, Linear, Sparse, Transform
from neurocompile.models import CubaLI, CubaLIF
from neurocompile.models.dynamics import Choices, Dynamics

_UNIT_S = {"s": 1.0, "ms": 1e-3}
_WHOLE = 1e-6  # steps: closer than this to a whole number counts as whole (float32 seconds)


@dataclass(frozen=True)
class Discretize:
    """``max_delay_steps`` bounds memory for delay lines; longer delays are E304."""

    contract: Contract
    max_delay_steps: int = 1 << 16

    def run(self, network: Network) -> DiscreteNetwork:
        """Raises ``CompileError``: E200 (no dt), E201 (a choice that matters is not stated),
        E203 (dt > tau), E223 (a refractory period of what does not spike), E304 (delay too
        long)."""
        found = Diagnostics()
        dt_s = self.contract.dt_s
        if dt_s is None:
            found.add("E200", "contract", "the step length is not stated: NIR files carry no dt",
                      hint="pass --dt SECONDS, or set dt_s in [contract]")
        elif not (math.isfinite(dt_s) and dt_s > 0):
            found.add("E200", "contract", "the step length is no positive number", got=dt_s,
                      hint="pass --dt SECONDS")
        choices = Choices(self.contract, found)
        populations = tuple(_population(p, choices) for p in network.populations)
        _check_choices(self.contract, populations, found)
        cuba_late = {p.name for p in network.populations
                     if isinstance(p.model, (CubaLI, CubaLIF))
                     and self.contract.current_order == "membrane_first"}
        timed = [self._projection(p, p.target in cuba_late, choices) for p in network.projections]
        biases = [self._bias(b, b.target in cuba_late, choices) for b in network.biases]
        choices.report()
        found.raise_if_errors()
        return DiscreteNetwork(
            network, self.contract, populations, tuple(projection for projection, _ in timed),
            tuple(biases), tuple(error for _, error in timed if error is not None))

    def _projection(self, projection: Projection, late: bool, choices: Choices,
                    ) -> tuple[DiscreteProjection, DelayError | None]:
        before, linear, after = split(projection.ops)
        source_s, target_s = self._steps(before, projection.name, choices), self._steps(
            after, projection.name, choices)
        source, target = source_s[1], target_s[1]
        base = self._base_steps(projection, bool(source.any() or target.any()), choices)
        if base is None:
            if source.any():
                source = np.maximum(source, 1 - target.min())
            else:
                target = np.maximum(target, 1)
        else:
            source = source + base
        source = source + int(late)
        error = _delay_error(projection.name, (source_s, target_s), choices.dt_s())
        return (DiscreteProjection(projection.name, projection.source, projection.target, linear,
                                   _shortest(source), _shortest(target), projection.recurrent),
                error)

    def _base_steps(self, projection: Projection, delayed: bool,
                    choices: Choices) -> int | None:
        """Steps on top of the Delay nodes; None where a loop's one step is part of them."""
        latency = choices.need("layer_latency", projection.name, "it is a connection")
        if not projection.recurrent:
            return int(latency)
        if not delayed:
            return 1
        rule = choices.need("recurrent_delay", projection.name,
                            "a Delay lies on a recurrent connection")
        return 1 if rule == "added" else None

    def _steps(self, delay: Delay | None, name: str,
               choices: Choices) -> tuple[FloatArray, IntArray]:
        """Delays in steps before and after rounding, flat."""
        if delay is None:
            return np.zeros(1), np.zeros(1, np.int64)
        values = np.asarray(delay.delay, np.float64).reshape(-1)
        unit = choices.need("delay_unit", name, "it has a Delay, whose unit NIR does not fix")
        steps = values if unit == "steps" else values * _UNIT_S[unit] / choices.dt_s()
        if float(steps.max()) > self.max_delay_steps:
            choices.diagnostics.add(
                "E304", name, "a delay is longer than the longest that is supported",
                got=f"{float(steps.max()):.0f} steps", limit=f"{self.max_delay_steps} steps",
                hint=f"check delay_unit (it is {unit!r}) and dt")
            steps = np.minimum(steps, self.max_delay_steps)
        return steps, np.rint(steps).astype(np.int64)

    def _bias(self, bias: Bias, late: bool, choices: Choices) -> DiscreteBias:
        delay = bias.ops[0] if bias.ops else None
        assert delay is None or isinstance(delay, Delay)
        _, steps = self._steps(delay, bias.name, choices)
        onset = int(steps.max()) + int(late)
        if bias.recurrent and not choices.need(
                "recurrent_bias_at_start", bias.name,
                "a bias sits on a node that only recurrent connections feed"):
            onset += 1
        values = np.asarray(bias.value, np.float64).reshape(-1)
        return DiscreteBias(bias.name, bias.target, values,
                            np.full(values.shape, onset, np.int64))


def split(ops: tuple[Transform, ...]) -> tuple[Delay | None, Linear, Delay | None]:
    """The canonical form (Delay?, linear, Delay?); ``TypeError`` if it was not canonicalized."""
    kinds = ["d" if isinstance(op, Delay) else "l" if isinstance(op, (Dense, Conv, Sparse)) else "?"
             for op in ops]
    form = "".join(kinds)
    if form not in ("l", "dl", "ld", "dld"):
        raise TypeError("the network is not canonical: run Canonicalize before Discretize")
    linear = ops[form.index("l")]
    before = ops[0] if form.startswith("d") else None
    after = ops[-1] if form.endswith("d") else None
    assert isinstance(linear, (Dense, Conv, Sparse))
    assert before is None or isinstance(before, Delay)
    assert after is None or isinstance(after, Delay)
    return before, linear, after


def _population(population: Population, choices: Choices) -> DiscretePopulation:
    d = population.model.dynamics(population.name, choices)
    n = n_elements(population.shape)
    reset, max_spikes = _reset(population.name, d, choices)

    def flat(values: FloatArray | None) -> npt.NDArray[np.float64]:
        if values is None or d.role == "source":
            return np.zeros(0)
        filled: npt.NDArray[np.float64] = np.empty(n)
        filled[:] = np.asarray(values, np.float64).reshape(-1)
        return filled

    return DiscretePopulation(
        population.name, population.shape, d.role, d.syn_decay is not None, flat(d.syn_decay),
        flat(d.gain_syn), flat(d.mem_decay), flat(d.gain_mem), flat(d.bias_mem),
        flat(d.threshold), flat(d.reset_value), flat(d.initial_v), reset, max_spikes,
        flat(d.floor), choices.contract.refractory_steps(population.name)
        if d.role == "spiking" else 0)


def _check_choices(contract: Contract, populations: tuple[DiscretePopulation, ...],
                   found: Diagnostics) -> None:
    """What the contract says of a population must be of one that is there and spikes."""
    spiking = [p.name for p in populations if p.role == "spiking"]
    for name, stated in sorted(contract.populations.items()):
        if name != "*" and name not in spiking and stated.refractory_steps is not None:
            there = any(p.name == name for p in populations)
            found.add("E223", f"contract.populations.{name}",
                      "a refractory period is stated for what does not spike",
                      got="an input or a population that is read" if there
                      else "no population of this name",
                      limit="one of " + ", ".join(spiking) if spiking else "",
                      hint="name a population that spikes, or * for all of them")


def _reset(name: str, d: Dynamics, choices: Choices) -> tuple[ResetRule, int]:
    """What a spike does, and how many a neuron may send in a step."""
    if d.role != "spiking":
        return "none", 1
    rule = choices.contract.reset
    if not d.can_subtract or (rule != "subtract" and rule != "subtract_delayed"):
        return "value", 1
    spikes = choices.need("max_spikes_per_step", name,
                          "it may exceed its threshold several times in a step")
    if spikes < 1:
        choices.diagnostics.add("E202", "contract", "max_spikes_per_step must be at least 1",
                                got=spikes, limit=">= 1")
    return rule, max(1, int(spikes))


def _shortest(steps: IntArray) -> IntArray:
    """Length 1 where all are equal: most projections have no individual delays."""
    return steps[:1].copy() if np.all(steps == steps[0]) else steps


def _delay_error(name: str, parts: tuple[tuple[FloatArray, IntArray], ...],
                 dt_s: float) -> DelayError | None:
    exact = np.concatenate([p[0] for p in parts])
    whole = np.concatenate([p[1] for p in parts])
    if not np.any(exact != 0):
        return None
    off = np.abs(exact - whole)
    off[off < _WHOLE] = 0.0
    collisions = sum(len(np.unique(p[0])) - len(np.unique(p[1])) for p in parts)
    return DelayError(name, int(np.count_nonzero(exact)), int(np.count_nonzero(off)),
                      float(off.max()) * dt_s, float(np.sqrt(np.mean(off * off))) * dt_s,
                      collisions)
