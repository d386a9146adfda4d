"""The common float form every model is brought to, and how a model asks the contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

import numpy as np

from neurocompile.diagnostics import Diagnostics
from neurocompile.ir.base import FloatArray
from neurocompile.ir.contract import Contract


@dataclass(frozen=True, eq=False)
class Dynamics:
    """Per-neuron constants of one step, shape of the population; see ``ir.discrete``."""

    role: Literal["source", "spiking", "analog"]
    mem_decay: FloatArray
    gain_mem: FloatArray
    bias_mem: FloatArray
    initial_v: FloatArray
    threshold: FloatArray | None = None
    reset_value: FloatArray | None = None
    syn_decay: FloatArray | None = None
    gain_syn: FloatArray | None = None
    memoryless: bool = False
    floor: FloatArray | None = None


    @property
    def can_subtract(self) -> bool:
        """Neurons without memory are cleared by themselves, whatever the contract's reset."""
        return self.role == "spiking" and not self.memoryless


class Choices:
    """Reads a contract; choices that were needed and not stated become E201 in ``report``."""

    def __init__(self, contract: Contract, diagnostics: Diagnostics):
        self.contract = contract
        self.diagnostics = diagnostics
        self._missing: dict[str, dict[str, list[str]]] = {}  # field -> why -> subjects

    def need(self, field: str, subject: str, why: str) -> Any:
        """The value of ``field``; where it is not stated, its first option to go on with."""
        value = getattr(self.contract, field)
        if value is not None:
            return value
        subjects = self._missing.setdefault(field, {}).setdefault(why, [])
        if subject not in subjects:
            subjects.append(subject)
        options = options_of(field)
        return options[0] if options else (1 if field == "max_spikes_per_step" else 1.0)

    def report(self) -> None:
        """One E201 for each field that was needed, naming who needed it and why."""
        for field, reasons in self._missing.items():
            options = options_of(field)
            needed = "; ".join(f"{why} ({_listed(subjects)})" for why, subjects in reasons.items())
            self.diagnostics.add(
                "E201", field, f"the contract does not state it: {needed}",
                limit="one of " + ", ".join(str(o) for o in options) if options else "",
                hint=f"set {field} in [contract], or name a preset that does "
                     "(neurocompile contract shows them)")
        self._missing.clear()

    def dt_s(self) -> float:
        value = self.contract.dt_s
        return 1.0 if value is None else value  # E200 is raised by discretize


def _listed(subjects: list[str], most: int = 6) -> str:
    rest = len(subjects) - most
    return ", ".join(subjects[:most]) + (f" and {rest} more" if rest > 0 else "")


def options_of(field: str) -> tuple[Any, ...]:
    """The values a field of the contract may have; empty for numbers."""
    hint = get_type_hints(Contract)[field]
    for part in get_args(hint):
        if get_args(part):
            return get_args(part)
    return (True, False) if bool in get_args(hint) else ()


def decay_per_step(tau_s: FloatArray, name: str, choices: Choices) -> FloatArray:
    """The factor that is left after a step: euler 1 - dt/tau, exact exp(-dt/tau).

    A forward-Euler step longer than tau (k > 1) would oscillate: E203.
    """
    k = choices.dt_s() / np.asarray(tau_s, np.float64)
    if choices.need("integrator", name, "it has time constants") == "exact":
        return np.exp(-k)
    if choices.contract.dt_s is not None and k.size and float(k.max()) > 1.0:
        choices.diagnostics.add(
            "E203", name, "dt is longer than a time constant, where forward Euler oscillates",
            got=f"dt {choices.dt_s():g} s, tau {float(np.min(tau_s)):g} s", limit="dt <= tau",
            hint="use a smaller dt, or integrator = \"exact\"")
    return 1.0 - k


def spike_constants(name: str, threshold: FloatArray, v_reset: FloatArray,
                    choices: Choices) -> tuple[FloatArray, FloatArray]:
    """Threshold and the value after a reset, as the contract's ``reset`` says."""
    choices.need("compare", name, "it spikes")
    reset = choices.need("reset", name, "it spikes")
    if reset == "to_value":
        return threshold, np.broadcast_to(v_reset, threshold.shape).astype(np.float64)
    if reset == "zero" and bool(np.any(v_reset != 0)):
        choices.diagnostics.add(
            "W204", name, "v_reset of the file is not used: the contract resets to zero",
            got=f"v_reset up to {float(np.abs(v_reset).max()):g}",
            hint="reset = \"to_value\" uses it")
    return threshold, np.zeros(threshold.shape)


def initial_membrane(name: str, v_reset: FloatArray, v_leak: FloatArray,
                     choices: Choices) -> FloatArray:
    """The membrane before the first step; asked for only where it makes a difference."""
    if not (np.any(v_reset != 0) or np.any(v_leak != 0)):
        return np.zeros(v_reset.shape)
    start = choices.need("initial_v", name, "it has a v_reset or v_leak other than 0")
    if start == "zero":
        return np.zeros(v_reset.shape)
    return np.asarray(v_reset if start == "v_reset" else v_leak, np.float64)
