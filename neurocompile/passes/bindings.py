"""How each input reaches the chip: resolves the contract's bindings against the target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neurocompile.diagnostics import Diagnostics
from neurocompile.ir.contract import InputBinding
from neurocompile.ir.discrete import DiscreteNetwork
from neurocompile.ir.target import TargetSpec

PAYLOAD_LEVELS = 255
"""Levels of a graded payload whose scale is not stated: eight bits."""

_MEANING = {
    "spikes": "binary events",
    "counts": "n spikes a step, at most maximum",
    "graded": "integer payloads, value = payload * scale",
    "bias": "values constant over a sample, loaded into bias registers",
    "encoder": "values constant over a sample, turned into spike rates on the chip",
}


def resolve_bindings(network: DiscreteNetwork, target: TargetSpec,
                     observed: dict[str, InputBinding], found: Diagnostics,
                     ) -> dict[str, InputBinding]:
    """A complete binding for every input that has one; E305 to E307 for those that do not.

    ``observed`` holds what calibration data showed: a mode where it is certain (only 0 and 1) and
    the range of values, used where the contract states none.
    """
    resolved: dict[str, InputBinding] = {}
    for port in network.inputs:
        stated = network.contract.binding(port.name)
        seen = observed.get(port.name)
        options = ", ".join(f"{mode} ({_MEANING[mode]})" for mode in target.input.modes)
        if stated is None and seen is not None and seen.mode == "spikes":
            found.add("I305", port.name, "calibration data hold 0 and 1 only: mode = \"spikes\"")
            stated = seen
        if stated is None:
            found.add("E305", port.name, "the contract does not say how this input reaches the "
                      "chip", limit=f"one of {options}",
                      hint=f'set mode in [contract.inputs."{port.name}"], or --input-mode')
            continue
        if stated.mode not in target.input.modes:
            found.add("E306", port.name, f"{target.name} cannot take this input",
                      got=stated.mode, limit=f"one of {options}",
                      hint="choose another mode, encode the data (--encode rate), or another "
                           "target")
            continue
        complete = _with_range(port.name, stated, seen, found)
        if complete is not None:
            _check_payload(port.name, complete, target, found)
            resolved[port.name] = complete
    return resolved


def _with_range(name: str, stated: InputBinding, seen: InputBinding | None,
                found: Diagnostics) -> InputBinding | None:
    if stated.mode == "spikes":
        return replace(stated, scale=1.0, minimum=0.0, maximum=1.0)
    maximum, minimum = stated.maximum, stated.minimum
    if maximum is None and seen is not None:
        maximum = seen.maximum
        minimum = seen.minimum if minimum is None else minimum
    if maximum is None:
        found.add("E307", name, f"mode {stated.mode} needs the largest value the input will have: "
                  "overflow is proved for it",
                  hint=f'set maximum in [contract.inputs."{name}"], or pass --calibrate DATA')
        return None
    low = 0.0 if minimum is None else minimum
    if not all(np.isfinite(x) for x in (low, maximum, stated.scale or 1.0)) or (
            stated.scale is not None and stated.scale <= 0):
        found.add("E307", name, "range and scale must be finite, the scale positive",
                  got=f"{low:g} to {maximum:g}, scale {stated.scale}",
                  hint="correct minimum, maximum and scale")
        return None
    if maximum <= low or (low < 0 and stated.mode in ("counts", "encoder")):
        found.add("E307", name, "the range of the input is empty, or negative where "
                  f"{stated.mode} has no sign", got=f"{low:g} to {maximum:g}",
                  hint="correct minimum and maximum; graded and bias take negative values")
        return None
    if stated.mode == "counts":
        return replace(stated, scale=1.0, minimum=0.0, maximum=float(round(maximum)))
    scale = stated.scale
    if scale is None and stated.mode == "graded":
        scale = max(maximum, -low) / PAYLOAD_LEVELS
        found.add("I306", name, f"scale of the payload not stated: {PAYLOAD_LEVELS} levels",
                  got=f"scale {scale:g}", hint="set scale to choose other levels")
    if scale is None:
        scale = maximum if stated.mode == "encoder" else 1.0
    return replace(stated, scale=scale, minimum=low, maximum=maximum)


def _check_payload(name: str, binding: InputBinding, target: TargetSpec,
                   found: Diagnostics) -> None:
    if binding.mode != "graded":
        return
    assert binding.scale is not None
    assert binding.maximum is not None
    assert binding.minimum is not None
    bits = target.input.payload_bits - int(target.input.payload_signed)
    largest = max(binding.maximum, -binding.minimum) / binding.scale
    if largest > (1 << bits) - 1 or (binding.minimum < 0 and not target.input.payload_signed):
        found.add("E306", name, "the payload does not fit the chip's messages",
                  got=f"{binding.minimum / binding.scale:.0f} to "
                      f"{binding.maximum / binding.scale:.0f}",
                  limit=f"{bits} bits" + (" and sign" if target.input.payload_signed else
                                          ", no sign"),
                  hint="a larger scale makes payloads smaller")
