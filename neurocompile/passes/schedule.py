"""Lay the network out in chip time: inputs bound, latencies balanced, long delays relayed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from neurocompile.diagnostics import Diagnostics
from neurocompile.ir.base import FloatArray, Shape, n_elements
from neurocompile.ir.contract import InputBinding
from neurocompile.ir.discrete import (
    DiscreteBias,
    DiscreteNetwork,
    DiscretePopulation,
    DiscreteProjection,
)
from neurocompile.ir.quantized import (
    BIAS_SOURCE,
    HostDrive,
    ScheduledNetwork,
    ScheduledPopulation,
    ScheduledProjection,
)
from neurocompile.ir.ranges import linear_range
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import Dense, identity
from neurocompile.models.dynamics import Choices
from neurocompile.passes.balance import Edge, ImpossibleLoop, least_latencies
from neurocompile.passes.bindings import resolve_bindings
from neurocompile.passes.relays import forgetting_reset, insert_relays

Reset = Literal["none", "zero", "subtract", "subtract_delayed"]


@dataclass(frozen=True)
class Schedule:
    """``observed``: what calibration data showed of each input (range; mode if it is certain)."""

    target: TargetSpec
    observed: dict[str, InputBinding] = field(default_factory=dict)

    def run(self, discrete: DiscreteNetwork) -> ScheduledNetwork:
        """Raises ``CompileError``: E305 to E307 (inputs), E308 (analog signal between
        populations), E309 (loop too short), E310 (delay that cannot be relayed), E311 (reset),
        E312 (early drives), E315 (floor of the membrane)."""
        network, _ = self.run_with_notes(discrete)
        return network

    def run_with_notes(self, discrete: DiscreteNetwork) -> tuple[ScheduledNetwork, Diagnostics]:
        """As ``run``, with the warnings and information found on the way."""
        found = Diagnostics()
        bindings = resolve_bindings(discrete, self.target, self.observed, found)
        _check_signals(discrete, found)
        _check_resets(discrete, self.target, found)
        _check_refractory(discrete, self.target, found)
        _check_floors(discrete, found)
        found.raise_if_errors()
        layout = _Layout(discrete, self.target, bindings, found)
        scheduled = layout.build()
        found.raise_if_errors()
        return scheduled, found


def _check_signals(discrete: DiscreteNetwork, found: Diagnostics) -> None:
    for projection in discrete.projections:
        if discrete.population(projection.source).role == "analog":
            found.add("E308", projection.name, "a membrane value would have to travel between "
                      "populations; chips send spikes", got=f"{projection.source} does not spike",
                      hint="read it through an Output, or put spiking neurons in its place")


def _check_resets(discrete: DiscreteNetwork, target: TargetSpec, found: Diagnostics) -> None:
    wrong = [p for p in discrete.populations
             if p.role == "spiking" and _chip_reset(p) not in target.neuron.resets]
    if wrong:
        found.add("E311", ", ".join(p.name for p in wrong), f"the neurons of {target.name} do not "
                  "reset as the contract says", got=discrete.contract.reset,
                  limit=f"one of {', '.join(target.neuron.resets)}",
                  hint='state reset = "zero" if the network was trained with it (files do not '
                       "say), train with a reset the chip has, or choose another target")


def _check_refractory(discrete: DiscreteNetwork, target: TargetSpec, found: Diagnostics) -> None:
    most = target.neuron.refractory_max
    for p in discrete.populations:
        if p.refractory_steps > most:
            found.add("E316", p.name, f"its refractory period is longer than {target.name} has",
                      got=f"{p.refractory_steps} steps",
                      limit=f"neuron.refractory_max = {most}",
                      hint="a larger dt makes it fewer steps; or choose another target")


def _check_floors(discrete: DiscreteNetwork, found: Diagnostics) -> None:
    stopped = [p.name for p in discrete.populations if len(p.floor)]
    if stopped:
        found.add("E315", ", ".join(stopped), "no chip stops a membrane at -threshold",
                  got=f'if_floor = "{discrete.contract.if_floor}"', limit='if_floor = "none"',
                  hint='if_floor = "none" in [contract] compiles without it; evaluate says what '
                       "that changes")


def _chip_reset(p: DiscretePopulation) -> Reset:
    """A reset to a value is one to zero around an offset."""
    return "zero" if p.reset == "value" else p.reset


class _Layout:
    """Collects the populations and connections of the chip."""

    def __init__(self, discrete: DiscreteNetwork, target: TargetSpec,
                 bindings: dict[str, InputBinding], found: Diagnostics):
        self.discrete = discrete
        self.target = target
        self.bindings = bindings
        self.found = found
        self.drives: list[HostDrive] = []
        self.encoders: dict[str, str] = {}

    def build(self) -> ScheduledNetwork:
        fixed = self._input_populations()
        on_chip = [q for q in self.discrete.projections if not self._to_host(q)]
        self.found.raise_if_errors()
        names = [p.name for p in fixed] + [p.name for p in self.discrete.populations
                                           if p.role != "source"]
        edges = [Edge(q.name, self._sender(q.source), q.target, q.min_delay, q.recurrent)
                 for q in on_chip]
        spiked = [b for b in self.discrete.biases if self._must_be_spikes(b)]
        edges += [Edge(b.name, BIAS_SOURCE, b.target, int(b.onset.min()), False) for b in spiked]
        latency = self._latencies([*names, BIAS_SOURCE], edges)
        self.found.raise_if_errors()
        early = self._early_biases(latency, spiked, on_chip)
        spiked += early
        populations = fixed + [self._population(p, latency[p.name])
                               for p in self.discrete.populations if p.role != "source"]
        projections = [self._projection(q, latency) for q in on_chip]
        if spiked:
            populations.insert(len(fixed), self._bias_population())
            projections += [self._bias_projection(b, latency) for b in spiked]
        in_registers = {p.name: tuple(b.name for b in self.discrete.biases
                                      if b.target == p.name and b not in spiked)
                        for p in self.discrete.populations if p.role != "source"}
        populations, projections = insert_relays(populations, projections, self.target,
                                                 self.bindings, self.found)
        return ScheduledNetwork(
            self.discrete, self.target, tuple(populations), tuple(projections),
            tuple(self.drives), {k: v for k, v in in_registers.items() if v}, self.bindings)

    def _input_populations(self) -> list[ScheduledPopulation]:
        fixed = []
        for p in self.discrete.populations:
            if p.role != "source":
                continue
            mode = self.bindings[p.name].mode
            if mode == "encoder":
                name = f"{p.name}.encoder"
                self.encoders[p.name] = name
                fixed.append(self._encoder(name, p))
                self.drives.append(HostDrive(p.name, name, "", identity(p.shape)))
            elif mode != "bias":
                fixed.append(ScheduledPopulation(p.name, p.shape, "source", "input", p.name, 0, p,
                                                 "gt", "none", 1))
        return fixed

    def _encoder(self, name: str, source: DiscretePopulation) -> ScheduledPopulation:
        """Integrate-and-fire: the value ``scale`` fires every step."""
        scale = self.bindings[source.name].scale
        assert scale is not None
        resets = self.target.neuron.resets
        reset: Reset = "subtract" if "subtract" in resets else forgetting_reset(self.target)
        # Registers round: a value of 1 / k still has to reach the threshold in k steps where the
        # rest is forgotten. Where it is subtracted, what exceeds would pile up instead.
        slack = 2.0 / max(4, self.target.neuron.bias_mantissa_max + 1) if reset == "zero" else 0.0
        dynamics = _simple(name, source.shape, mem_decay=1.0, gain=1.0 / scale, bias=0.0,
                           threshold=1.0 - slack)
        if reset == "zero":
            self.found.add("W314", name, "the chip's neurons forget what exceeds a threshold: the "
                           "encoder's rates are 1, 1/2, 1/3 and so on",
                           got=f"values above {scale / 2:g} fire every second step until {scale:g}",
                           hint="a larger scale leaves more rates; bias and graded inputs are "
                                "exact")
        return ScheduledPopulation(name, source.shape, "spiking", "encoder", source.name, 0,
                                   dynamics, "ge", reset, 1)

    def _bias_population(self) -> ScheduledPopulation:
        dynamics = _simple(BIAS_SOURCE, (1,), mem_decay=0.0, gain=0.0, bias=1.0, threshold=0.25)
        return ScheduledPopulation(BIAS_SOURCE, (1,), "spiking", "bias", "", 0, dynamics, "gt",
                                   forgetting_reset(self.target), 1)

    def _to_host(self, q: DiscreteProjection) -> bool:
        """Is this projection computed by the host into bias registers? E307 if it cannot be."""
        binding = self.bindings.get(q.source)
        if binding is None or binding.mode != "bias":
            return False
        target = self.discrete.population(q.target)
        delayed = bool(q.source_delay.any() or q.target_delay.any())
        if target.has_synapse or delayed:
            why = "its neurons filter their input" if target.has_synapse else "it is delayed"
            self.found.add("E307", q.source, f"a bias register cannot carry {q.name}: {why}",
                           got="bias", limit="one of " + ", ".join(self.target.input.modes),
                           hint='use mode = "encoder", or "graded" where the target has it')
        self.drives.append(HostDrive(q.source, q.target, q.name, q.transform))
        return True

    def _sender(self, name: str) -> str:
        return self.encoders.get(name, name)

    def _must_be_spikes(self, bias: DiscreteBias) -> bool:
        return bool(self.discrete.population(bias.target).has_synapse or bias.onset.max() > 0)

    def _latencies(self, names: list[str], edges: list[Edge]) -> dict[str, int]:
        """Latencies; a loop that cannot be exact loses its recurrent connections, if accepted."""
        choices = Choices(self.discrete.contract, self.found)
        while True:
            result = least_latencies(names, edges, self.target.edge_latency)
            if not isinstance(result, ImpossibleLoop):
                return result
            loop = " -> ".join(result.edges)
            rule = choices.need("feedback", loop, "on the chip every connection takes a step, "
                                f"which makes this loop {result.missing} step(s) longer than it "
                                "was trained")
            choices.report()
            if self.discrete.contract.feedback is not None and rule == "exact":
                self.found.add(
                    "E309", loop, "this feedback loop cannot be exact on a chip where every "
                    "connection takes a step", got=f"{result.missing} step(s) too long",
                    hint='train with as many steps of delay in the loop as it has connections, '
                         'or accept it with feedback = "late"')
            # Going on without its recurrent connections finds the other loops too.
            edges = [e for e in edges if not (e.recurrent and e.name in result.edges)]

    def _early_biases(self, latency: dict[str, int], spiked: list[DiscreteBias],
                      on_chip: list[DiscreteProjection]) -> list[DiscreteBias]:
        """Biases that would make a neuron fire before its inputs arrive, and be noticed.

        A bias register works from chip step 0, the population's step 0 comes ``latency`` later.
        State is cleared then, but a spike sent before could still be on its way.
        """
        early = []
        for p in self.discrete.populations:
            if p.role != "spiking" or latency[p.name] == 0:
                continue
            mine = [b for b in self.discrete.biases if b.target == p.name and b not in spiked]
            noticed = (any(q.source == p.name for q in on_chip)
                       or any(port.population == p.name for port in self.discrete.outputs))
            if noticed:
                self._refuse_early_drive(p, mine, latency[p.name])
            if noticed and _fires_alone(p, mine, latency[p.name]):
                early += mine
                if _fires_alone(p, [], latency[p.name]):
                    self.found.add(
                        "W312", p.name, "its v_leak makes it fire before its inputs arrive; "
                        "a few spikes at the start of a sample may be additional",
                        got=f"latency {latency[p.name]} steps",
                        hint="ignore outputs before the latency")
        return early

    def _refuse_early_drive(self, p: DiscretePopulation, biases: list[DiscreteBias],
                            latency: int) -> None:
        """Bias registers loaded by the host work from chip step 0 as well."""
        reach = np.zeros(p.n)
        for h in self.drives:
            if h.target == p.name:
                binding = self.bindings[h.input]
                low, high = (np.full(h.transform.in_shape, end)
                             for end in (binding.minimum, binding.maximum))
                ends = linear_range(h.transform, low, high)
                reach += np.maximum(p.gain_mem * ends[0], p.gain_mem * ends[1])
        if np.any(reach > 0) and _fires_alone(p, biases, latency, reach):
            self.found.add(
                "E312", p.name, "loaded bias registers may make it fire before its other inputs "
                "arrive", got=f"latency {latency} steps",
                hint="bind the input another way than bias, or give it to a population of its "
                     "own")

    def _population(self, p: DiscretePopulation, latency: int) -> ScheduledPopulation:
        contract = self.discrete.contract
        spiking = p.role == "spiking"
        limit = p.max_spikes
        allowed = self.target.neuron.max_spikes_per_step
        if spiking and limit > allowed:
            self.found.add("W313", p.name, "the chip sends fewer spikes a step than the contract "
                           "allows", got=limit, limit=allowed)
        return ScheduledPopulation(
            p.name, p.shape, p.role, "network", p.name, latency, p,
            (contract.compare or "gt") if spiking else "gt",
            _chip_reset(p), min(limit, allowed) if spiking else 1)

    def _projection(self, q: DiscreteProjection, latency: dict[str, int]) -> ScheduledProjection:
        sender = self._sender(q.source)
        slack = latency[q.target] - latency[sender] - self.target.edge_latency
        late = max(0, -(slack + q.min_delay))
        if late:
            self.found.add("W309", q.name, "feedback arrives later than in the float network",
                           got=f"{late} step(s)", hint='the contract accepts it: feedback = "late"')
        binding = self.bindings.get(q.source)
        value = 1.0 if binding is None or binding.scale is None else binding.scale
        # What all elements of the target share is put on the source's side: only there can a delay
        # be relayed. Then no end can be negative by itself.
        shared = int(q.target_delay.min())
        source_delay = q.source_delay + slack + late + shared
        target_delay = q.target_delay - shared
        return ScheduledProjection(q.name, sender, q.target, q.name, q.transform, source_delay,
                                   target_delay, value, late)

    def _bias_projection(self, bias: DiscreteBias,
                         latency: dict[str, int]) -> ScheduledProjection:
        shape = self.discrete.population(bias.target).shape
        delay = int(bias.onset.max()) + latency[bias.target] - self.target.edge_latency
        transform = Dense(bias.values[:, None], (1,), shape)
        return ScheduledProjection(bias.name, BIAS_SOURCE, bias.target, bias.name, transform,
                                   np.array([delay]), np.zeros(1, np.int64), 1.0, 0)


def _simple(name: str, shape: Shape, *, mem_decay: float, gain: float, bias: float,
            threshold: float) -> DiscretePopulation:
    n = n_elements(shape)
    return DiscretePopulation(
        name, shape, "spiking", False, np.zeros(0), np.zeros(0), np.full(n, mem_decay),
        np.full(n, gain), np.full(n, bias), np.full(n, threshold), np.zeros(n), np.zeros(n))


def register_bias(p: DiscretePopulation, biases: list[DiscreteBias]) -> FloatArray:
    """What the bias register adds to the membrane of each neuron in a step, float units."""
    total = np.array(p.bias_mem, np.float64)
    for bias in biases:
        total = total + p.gain_mem * bias.values
    return total


def _fires_alone(p: DiscretePopulation, biases: list[DiscreteBias], steps: int,
                 drive: FloatArray | float = 0.0) -> bool:
    """Do biases alone bring a neuron to (nearly) its threshold within ``steps``?"""
    bias = register_bias(p, biases) + drive
    v = np.array(p.initial_v, np.float64)
    for _ in range(steps):
        v = p.mem_decay * v + bias
        # A margin for rounding: quantization moves bias and threshold by well under 5 %.
        if np.any(v > p.reset_value + 0.95 * (p.threshold - p.reset_value)):
            return True
    return False
