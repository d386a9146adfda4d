"""The passes in order. Each line takes one phase to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from neurocompile.backend import Backend
from neurocompile.data import Dataset
from neurocompile.diagnostics import CompileError, Diagnostic, Diagnostics
from neurocompile.fixedpoint import Rounding
from neurocompile.ir.base import FloatArray
from neurocompile.ir.check import check_quantized
from neurocompile.ir.constraints import Constraints
from neurocompile.ir.contract import Contract, InputBinding
from neurocompile.ir.discrete import DiscreteNetwork
from neurocompile.ir.mapping import Mapping
from neurocompile.ir.network import Network
from neurocompile.ir.target import TargetSpec
from neurocompile.models.dynamics import options_of
from neurocompile.passes.canonicalize import Canonicalize
from neurocompile.passes.discretize import Discretize
from neurocompile.passes.place import Place
from neurocompile.passes.portfolio import Portfolio
from neurocompile.passes.quantize import Quantize
from neurocompile.passes.schedule import Schedule
from neurocompile.reference.floating import run_float
from neurocompile.verification.evaluate import grids
from neurocompile.verification.mapping import check_mapping

CALIBRATION_SAMPLES = 64
"""Samples of the calibration data that are run to learn firing rates."""
_SAMPLES_AT_ONCE = 8


@dataclass(frozen=True)
class Options:
    """What a user may choose of the passes; see ``Quantize`` and ``Portfolio``.
    ``neurons_per_core`` replaces that of ``constraints`` (``neurocompile.load_constraints``),
    calibration data replaces ``rates``."""

    weight_bits: int = 8
    decay_rounding: Rounding = Rounding.NEAREST
    thresholds: dict[str, int] = field(default_factory=dict)
    max_steps: int | None = None
    accept_bounds: bool = False
    neurons_per_core: int | None = None
    constraints: Constraints = field(default_factory=Constraints)
    exponents: dict[str, int] = field(default_factory=dict)
    rates: dict[str, FloatArray] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """What a build does not hold otherwise (``store``): its mapping has the constraints and
        rates, its quantized network the longest run and exponents."""
        return {"weight_bits": self.weight_bits, "decay_rounding": self.decay_rounding.value,
                "thresholds": self.thresholds, "accept_bounds": self.accept_bounds,
                "neurons_per_core": self.neurons_per_core}


def options_from(document: dict[str, Any], mapping: Mapping) -> Options:
    """The options that a mapping was compiled with. Raises ``TypeError`` or ``ValueError`` for
    what ``Options.to_dict`` did not make."""
    names = {p.name for p in mapping.quantized.scheduled.discrete.populations}
    return Options(**{**document, "decay_rounding": Rounding(document["decay_rounding"])},
                   max_steps=mapping.quantized.max_steps, constraints=mapping.constraints,
                   rates={name: r for name, r in mapping.rates.items() if name in names})


def discretize(network: Network, contract: Contract) -> DiscreteNetwork:
    """From a network to its float reference."""
    return Discretize(contract).run(Canonicalize().run(network))


def lower(network: Network, contract: Contract, target: TargetSpec, options: Options,
          calibration: Dataset | None = None) -> tuple[Mapping, tuple[Diagnostic, ...]]:
    """The whole flow; returns the mapped network and every note on the way.

    Raises ``CompileError`` with all findings of the first phase that fails.
    """
    discrete = discretize(network, contract)
    scheduled, notes = Schedule(target, _observed(calibration)).run_with_notes(discrete)
    rates = _rates(discrete, calibration) or options.rates
    quantize = Quantize(options.weight_bits, options.decay_rounding, options.thresholds,
                        options.max_steps, options.accept_bounds, rates, options.exponents)
    quantized, more = quantize.run_with_notes(scheduled)
    found = Diagnostics()
    found.extend(check_quantized(quantized))
    found.raise_if_errors()
    on_chip = {p.name: rates[p.of] for p in scheduled.populations if p.of in rates}
    portfolio = Portfolio(options.neurons_per_core, rates=on_chip,
                          constraints=options.constraints)
    mapping, tried = portfolio.run_with_notes(quantized)
    mapping = Place().run(mapping)
    found.extend(check_mapping(mapping))
    found.raise_if_errors()
    return mapping, (*notes, *more, *tried)


def check(network: Network, contract: Contract, target: TargetSpec, options: Options,
          backends: Sequence[Backend] = ()) -> tuple[Diagnostic, ...]:
    """Everything that stands between a network and a target, from all phases at once, and what
    each of ``backends`` cannot do with it.

    A phase that fails hides what later ones would find. So the flow is tried again with what was
    refused replaced by something possible, see :func:`_relaxed`.
    """
    found = Diagnostics()
    for relaxed in _relaxed(contract, network, target):
        try:
            mapping, notes = lower(network, relaxed, target, options)
        except CompileError as error:
            # Without a dt, time constants were compared with a placeholder. Notes on a contract
            # that is not the user's would mislead.
            found.extend(d for d in error.diagnostics
                         if (d.code != "E203" or contract.dt_s is not None)
                         and (d.is_error or relaxed is contract))
            continue
        if relaxed is contract:
            found.extend(notes)
        for backend in backends:
            found.extend(d for d in backend.check(mapping) if d.is_error or relaxed is contract)
        break
    return tuple(found)


def _relaxed(contract: Contract, network: Network, target: TargetSpec) -> Iterator[Contract]:
    """The contract as stated; with open choices set to their first option; with the decay that
    any dt allows; with inputs, a reset and loops that the target takes, without what is said of
    single populations."""
    yield contract
    assumed = _assume(contract)
    yield assumed
    # Other decays are no integers: the scale of the contract does not hold for them.
    exact = replace(assumed, integrator="exact", integer_scale=None)
    yield exact
    mode = _first_mode(target)
    bindings = {port.name: contract.binding(port.name) or InputBinding(mode, maximum=1.0)
                for port in network.inputs}
    inputs = {name: b if b.mode in target.input.modes else
              InputBinding(mode, None, b.maximum or 1.0, b.minimum)
              for name, b in bindings.items()}
    # "to_value" resets to zero on the chip, with an offset.
    has = assumed.reset == "to_value" or assumed.reset in target.neuron.resets
    yield replace(exact, inputs=inputs, reset=assumed.reset if has else _first_reset(target),
                  max_spikes_per_step=assumed.max_spikes_per_step if has else 1,
                  feedback="late", if_floor="none", populations={})


def _assume(contract: Contract) -> Contract:
    """The contract with every open choice set to its first option; inputs stay open."""
    values: dict[str, Any] = {}
    for f in fields(contract):
        # A scale that is not stated is searched: nothing is open there.
        if f.name not in ("inputs", "integer_scale") and getattr(contract, f.name) is None:
            choices = options_of(f.name)
            values[f.name] = choices[0] if choices else 1
    if contract.dt_s is None:
        values["dt_s"] = 1e-4
    return replace(contract, **values)


def _first_reset(target: TargetSpec) -> Any:
    return target.neuron.resets[0]


def _first_mode(target: TargetSpec) -> Any:
    return "spikes" if "spikes" in target.input.modes else target.input.modes[0]


def _observed(calibration: Dataset | None) -> dict[str, InputBinding]:
    """The range of each input, and "spikes" where there is nothing but 0 and 1."""
    observed = {}
    for name, signal in (calibration.inputs if calibration else {}).items():
        low, high = float(signal.values.min()), float(signal.values.max())
        binary = bool(np.all((signal.values == 0) | (signal.values == 1)))
        mode = "spikes" if binary and not signal.is_constant else "graded"
        observed[name] = InputBinding(mode, None, high, min(low, 0.0))  # type: ignore[arg-type]
    return observed


def _rates(discrete: DiscreteNetwork, calibration: Dataset | None) -> dict[str, FloatArray]:
    """Mean output a step of every element, from the float reference."""
    if calibration is None:
        return {}
    names = tuple(p.name for p in discrete.populations)
    total = min(CALIBRATION_SAMPLES, calibration.n_samples)
    sums: dict[str, FloatArray] = {}
    for start in range(0, total, _SAMPLES_AT_ONCE):  # rasters of all populations are large
        part = calibration.samples(start, min(total, start + _SAMPLES_AT_ONCE))
        run = run_float(discrete, grids(part), part.n_steps, record=names)
        for name in names:
            sent = np.abs(run.output[name]).mean(axis=1).sum(axis=0)
            sums[name] = sums.get(name, 0.0) + sent
    return {name: sent / total for name, sent in sums.items()}
