"""How wide what travels and what neurons hold is: from the ranges that were proved."""

from __future__ import annotations

from dataclasses import dataclass

from neurocompile.images import CoreContents
from neurocompile.ir.program import Program
from neurocompile.ir.quantized import Bounds, QuantizedNetwork
from neurocompile_backends.rtl.plan.design import Unsupported, signed_bits


@dataclass(frozen=True)
class Payloads:
    """Bits of what a flit carries, with its sign: by input, by population, by core that gets it;
    1 where every spike counts once."""

    host: dict[str, int]
    population: dict[str, int]
    core: tuple[int, ...]


def patchable(program: Program) -> bool:
    """Is the hardware to be made for any weights?"""
    return program.target.fpga is not None and program.target.fpga.patchable


def payloads_of(program: Program, network: QuantizedNetwork, contents: list[CoreContents],
                outputs: dict[str, int]) -> Payloads:
    host = {}
    for table in program.host:
        port = next(i for i in network.inputs if i.name == table.population)
        plain = table.parallel > 1 or (port.low >= 0 and port.high <= 1)
        host[table.population] = 1 if plain else max(2, signed_bits(port.low, port.high))
    population = {}
    limits = {b.population: b for b in network.bounds}
    for p in network.populations:
        if p.role == "analog":
            population[p.name] = max(
                membrane_bits(program, limits.get(p.name), p.name)[0],
                signed_bits(int(p.initial_v.min(initial=0)), int(p.initial_v.max(initial=0))))
        elif p.role != "source":
            population[p.name] = 1 if p.max_spikes == 1 else p.max_spikes.bit_length() + 1
    sources = [q.source for q in network.projections]
    core = tuple(max([1, *({**host, **population}[sources[int(q)]]
                           for q in c.formats["projection"])]) for c in contents)
    sending = {name: bits for name, bits in population.items()
               if name in sources or name in outputs}
    return Payloads(host, {**dict.fromkeys(population, 1), **sending}, core)


def membrane_bits(program: Program, bounds: Bounds | None, name: str) -> tuple[int, int]:
    """Bits of a membrane, and where it saturates (0: proved never to)."""
    machine = program.target.machine
    if patchable(program) or bounds is None or not bounds.proved or bounds.v_saturates:
        return machine.v_bits, machine.v_limit
    low, high = int(bounds.v_low.min(initial=0)), int(bounds.v_high.max(initial=0))
    if max(-low, high) > machine.v_limit:
        raise Unsupported(name, "its bounds leave the membrane's range")
    return signed_bits(min(low, 0), max(high, 0)), 0
