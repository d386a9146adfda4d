"""What can be said of networks, builds and targets, as plain data (``--json`` prints it)."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from neurocompile.ir.base import n_elements
from neurocompile.ir.network import Network, Projection
from neurocompile.ir.transforms import Conv, Dense, Sparse

if TYPE_CHECKING:
    from neurocompile.api import Build, Run
    from neurocompile.ir.mapping import Mapping
    from neurocompile.ir.quantized import QuantizedNetwork
    from neurocompile.ir.target import TargetSpec

Facts = dict[str, Any]


def to_json(facts: Any) -> str:
    """One line of JSON. NaN and infinity, which JSON does not have, become null."""
    return json.dumps(_plain(facts), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def network_facts(network: Network) -> Facts:
    """Populations and projections of a network as its file describes them."""
    return {
        "provenance": dict(network.provenance),
        "digest": network.digest(),
        "inputs": [{"name": p.name, "shape": list(p.shape)} for p in network.inputs],
        "outputs": [{"name": p.name, "shape": list(p.shape), "population": p.population}
                    for p in network.outputs],
        "populations": [{"name": p.name, "model": type(p.model).__name__, "shape": list(p.shape),
                         "neurons": n_elements(p.shape)}
                        for p in network.populations if type(p.model).__name__ != "Source"],
        "projections": [_projection(q) for q in network.projections],
        "biases": [{"name": b.name, "target": b.target, "recurrent": b.recurrent}
                   for b in network.biases],
        "neurons": sum(n_elements(p.shape) for p in network.populations
                       if type(p.model).__name__ != "Source"),
        "parameters": sum(op.n_parameters for op in {id(op): op for q in network.projections
                                                     for op in q.ops
                                                     if isinstance(op, (Dense, Conv, Sparse))
                                                     }.values()),
    }


def _projection(q: Projection) -> Facts:
    linear = [op for op in q.ops if isinstance(op, (Dense, Conv, Sparse))]
    return {"name": q.name, "source": q.source, "target": q.target, "recurrent": q.recurrent,
            "via": list(q.via), "operations": [type(op).__name__.lower() for op in q.ops],
            "parameters": sum(op.n_parameters for op in linear)}


def build_facts(build: Build) -> Facts:
    """A compiled network: what the chip gets, how exact it is, what was noted."""
    network = build.quantized
    return {
        "target": network.target.name, "target_revision": network.target.revision,
        "digest": build.mapping.digest(),
        "latency_steps": build.latency,
        "contract": contract_facts(build.contract),
        "inputs": [_input(build, name) for name in sorted(network.scheduled.bindings)],
        "outputs": [{"name": p.name, "shape": list(p.shape), "population": p.population}
                    for p in build.discrete.outputs],
        "populations": [_population(network, p.name) for p in network.populations
                        if p.role != "source"],
        "projections": [{"name": q.name, "source": q.source, "target": q.target,
                         "kind": type(q.transform).__name__.lower(),
                         "parameters": q.transform.n_parameters,
                         "synapses": q.transform.n_synapses,
                         "weight_bits": q.format.bits, "exponent": q.format.exponent,
                         "sign_mode": q.sign_mode, "delay_steps": _delays(q),
                         "weight_error": _error(network, q.name, "weight")}
                        for q in network.projections],
        "delays": [{"projection": d.projection, "delays": d.n_delays, "rounded": d.n_rounded,
                    "max_error_s": d.max_error_s, "rms_error_s": d.rms_error_s,
                    "collisions": d.n_collisions} for d in build.discrete.delay_errors],
        "cores": mapping_facts(build),
        "diagnostics": [d.to_dict() for d in build.diagnostics],
    }


def contract_facts(contract: Any) -> Facts:
    """Every field of a contract, inputs and populations as nested tables."""
    from dataclasses import fields

    from neurocompile.presets import TABLES

    facts = {f.name: getattr(contract, f.name) for f in fields(contract) if f.name not in TABLES}
    for table in TABLES:
        facts[table] = {name: {f.name: getattr(body, f.name) for f in fields(body)}
                        for name, body in sorted(getattr(contract, table).items())}
    return facts


def _input(build: Build, name: str) -> Facts:
    b = build.quantized.scheduled.bindings[name]
    shape = next(p.shape for p in build.inputs if p.name == name)
    return {"name": name, "shape": list(shape), "mode": b.mode, "scale": b.scale,
            "minimum": b.minimum, "maximum": b.maximum}


def _population(network: QuantizedNetwork, name: str) -> Facts:
    p = network.population(name)
    bounds = next(b for b in network.bounds if b.population == name)
    origin = next(s.origin for s in network.scheduled.populations if s.name == name)
    return {
        "name": name, "origin": origin, "role": p.role, "shape": list(p.shape), "neurons": p.n,
        "latency_steps": p.latency, "refractory_steps": p.refractory_steps,
        "threshold": _range(p.threshold), "membrane_decay": _range(p.membrane_decay),
        "current_decay": _range(p.current_decay), "bias": _range(p.bias),
        "units_per_float": [float(p.scale.min()), float(p.scale.max())] if p.n else [],
        "input_bound": [int(bounds.a_low.min()), int(bounds.a_high.max())],
        "current_bound": [int(bounds.u_low.min()), int(bounds.u_high.max())],
        "membrane_bound": [int(bounds.v_low.min()), int(bounds.v_high.max())],
        "membranes_that_may_saturate": bounds.v_saturates, "proved": bounds.proved,
        "decay_error": _error(network, name, "membrane_decay"),
    }


def _range(values: Any) -> list[int]:
    return [int(np.min(values)), int(np.max(values))] if len(values) else []


def _delays(q: Any) -> list[int]:
    return [int(q.source_delay.min() + q.target_delay.min()),
            int(q.source_delay.max() + q.target_delay.max())]


def _error(network: QuantizedNetwork, subject: str, quantity: str) -> float | None:
    return next((e.relative_rms for e in network.errors
                 if e.subject == subject and e.quantity == quantity), None)


def mapping_facts(build: Build) -> Facts:
    """Cores used, against the lower bound, the fullest core for each limit, and what a step costs
    on the mesh."""
    from neurocompile.passes.partition import core_lower_bound

    use = build.mapping.use
    limits = build.target.core
    names = ("neurons", "input_axons", "output_axons", "synapse_memory_bits",
             "neuron_configurations", "threshold_configurations")
    bound = core_lower_bound(build.quantized)
    return {
        "used": len(use), "lower_bound": bound, "of": build.target.chip.cores,
        "ratio_to_bound": len(use) / bound if bound else None,
        "fullest": {name: {"used": max((getattr(u, name) for u in use), default=0),
                           "limit": getattr(limits, name)} for name in names},
        **cost_facts(build.mapping),
        "pinned": _pinned(build.mapping),
    }


def _pinned(mapping: Mapping) -> list[Facts]:
    """The cores that a mapping file names: by its number, who is there and where it is."""
    wanted, place = mapping.constraints, mapping.placement
    return [{"core": core, "number": number,
             "populations": [name for name, numbers in wanted.cores.items() if number in numbers],
             "tile": None if place is None else [int(place.chip[core]), int(place.x[core]),
                                                 int(place.y[core])]}
            for core, number in enumerate(wanted.pinned)]


def cost_facts(mapping: Mapping) -> Facts:
    """Messages, hops and operations a step, each with a bound that no mapping (messages), no
    placement (hops) or no distribution over these cores (operations) goes below; what goes over
    each link between chips. ``profiled``: rates are of calibration data, else every neuron
    fires."""
    from neurocompile.verification.routes import hops_bound_of, hops_of, links_of
    from neurocompile.verification.traffic import message_bound, traffic

    measured = traffic(mapping)
    place = mapping.placement
    operations = measured.operations
    facts: Facts = {
        "profiled": bool(mapping.rates),
        "messages": _bounded(measured.messages, message_bound(mapping.quantized, mapping.rates)),
        "input_messages": float(measured.from_host.sum()),
        "worst_core_operations": _bounded(
            float(operations.max(initial=0.0)), float(operations.mean()) if operations.size else 0),
        "router": mapping.target.chip.router, "hops": None, "chips": None, "links": [],
    }
    if place is not None:
        facts["hops"] = _bounded(hops_of(mapping), hops_bound_of(mapping))
        facts["chips"] = int(place.chip.max(initial=-1)) + 1
        capacity = mapping.target.chip.link_messages or None
        facts["links"] = [{"from": a, "to": b, "messages": n, "capacity": capacity,
                           "share": n / capacity if capacity else None}
                          for a, b, n in links_of(mapping)]
    return facts


def _bounded(value: float, bound: float) -> Facts:
    return {"value": value, "lower_bound": bound,
            "ratio_to_bound": value / bound if bound else None}


def run_facts(run: Run) -> Facts:
    """The arrays a simulation recorded."""
    return {"latency_steps": run.latency, "arrays": {
        name: {"shape": list(a.shape), "dtype": str(a.dtype), "sum": float(a.sum()),
               "latency_steps": run.latencies.get(name, 0)}
        for name, a in {**run.outputs, **run.probes}.items()}}


def target_facts(target: TargetSpec) -> Facts:
    """Every number of a target with where it comes from."""
    from dataclasses import fields

    sources = {c.key: {"source": c.source, "assumed": c.assumed} for c in target.citations}
    groups = {}
    for group in ("machine", "neuron", "synapse", "input", "core", "chip", "timing"):
        part = getattr(target, group)
        groups[group] = {f.name: {"value": getattr(part, f.name),
                                  **sources.get(f"{group}.{f.name}", {})} for f in fields(part)}
    return {"name": target.name, "revision": target.revision, "description": target.description,
            "phases": list(target.phases),
            "edge_latency": {"value": target.edge_latency, **sources.get("edge_latency", {})},
            **groups,
            "costs": {event: {"energy_pj": cost[0], "time_ns": cost[1],
                              **sources.get(f"costs.{event}", {})}
                      for event, cost in target.costs.items()}}
