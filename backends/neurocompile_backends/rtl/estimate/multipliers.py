"""Multiplier blocks of a design, exactly as Yosys makes them (its ``mul2dsp.v``).

A multiplication is cut into parts that a block can take, the wider operand first; what is narrower
than a block is worth stays in logic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile_backends.rtl.plan.design import CorePlan
from neurocompile_backends.rtl.plan.neurons import KEEP_BITS


@dataclass(frozen=True)
class Block:
    """A multiplier of a device, as Yosys uses it: for products of which neither operand (``a`` the
    wider) nor the product is narrower than stated, in parts of at most ``bits`` of each operand.
    ``size``: what it is of a multiplier of the device."""

    bits: int
    least_a: int
    least_b: int
    least_product: int = 0
    size: float = 1


BLOCKS = {
    "ice40": (Block(16, 2, 2, 11),),
    "ecp5": (Block(18, 2, 2),),
    "gowin": (Block(36, 22, 22, size=4), Block(18, 10, 4), Block(18, 4, 10),
              Block(9, 4, 4, size=0.5)),
}
"""By family, in the order in which Yosys tries them."""

FRACTION_BITS = 12
"""Of the ``KEEP_BITS`` of a decay, those behind the point (``nc_decay``)."""


@dataclass(frozen=True)
class Product:
    """A multiplication: widths of its operands and of what is used of it, and whose wires its cells
    are named after. ``rows``: multiples of ``a`` that are added where it is logic."""

    module: str
    a: int
    b: int
    product: int
    rows: int


def products_of(core: CorePlan) -> list[Product]:
    """Every multiplication of two things that are no powers of two."""
    p = core.parameters
    found = []
    for state in "VU" if p["FILTER"] else "V":
        keep = _keep_bits(p, state)
        if keep and outlives(p, state):
            found.append(Product("neurons", p[state], keep, p[state] + KEEP_BITS - 1,
                                 _rows(core, f"KEEP_{state}")))
    if p["PAYLOAD"] > 1:
        # An accumulator may be proved narrower than one product: bits above it are never read.
        product = min(p["PRODUCT"], p["ACC"])
        weight, payload = min(p["WEIGHT"], product), min(p["PAYLOAD"], product)
        found += [Product("accumulators", weight, payload, product,
                          min(weight, payload))] * p["LANES"]
    if p["DELAYED"]:
        threshold = _bits(p, "THRESHOLD")
        if threshold:
            found.append(Product("neurons", threshold, p["COUNT"], p["SUM"], p["COUNT"]))
    return found


def outlives(p: dict[str, int], state: str) -> bool:
    """Is anything left of ``U`` or ``V`` after its decay? Not where none of it can reach 1: then
    synthesis drops what it is kept in."""
    if state == "V" and p["REFRACTORY"]:
        return True  # all of it, in a pause
    keep = f"KEEP_{state}"
    times = p[f"{keep}_BITS"] if f"{keep}_BITS" in p else p[keep].bit_length() - (
        p[keep] & (p[keep] - 1) == 0)  # a power of two only shifts
    return times >= 0 and p[state] + times > FRACTION_BITS


def _keep_bits(p: dict[str, int], state: str) -> int:
    """Of a decay; 0 where it is a constant that needs no multiplier. In a pause it is 1."""
    if state == "V" and p["REFRACTORY"] and p.get("KEEP_V") != 1 << FRACTION_BITS:
        return KEEP_BITS
    return _bits(p, f"KEEP_{state}")


def _bits(p: dict[str, int], name: str) -> int:
    """Of an operand; 0 where it is a constant that needs no multiplier."""
    if f"{name}_BITS" in p:
        return p[f"{name}_BITS"]
    value = p[name]
    return 0 if value & (value - 1) == 0 else value.bit_length()


def _rows(core: CorePlan, name: str) -> int:
    """Bits of an operand that are ever 1."""
    p = core.parameters
    if f"{name}_BITS" not in p:
        return bin(p[name]).count("1")
    at, ever = 0, 0
    for values, bits in core.images["NEURON_RECORDS"].fields:
        if at == p[f"{name}_AT"]:
            ever = int(np.bitwise_or.reduce(values))
        at += bits
    return bin(ever).count("1")


def blocks_of(product: Product, family: str) -> float:
    """How many multipliers of the device a multiplication takes; 0: it is logic."""
    taken = 0.0
    left = [(product.a, product.b, min(product.product, product.a + product.b))]
    for block in BLOCKS[family]:
        found = [_cut(max(a, b), min(a, b), bits, block) for a, b, bits in left]
        taken += block.size * sum(count for count, _ in found)
        left = [part for _, parts in found for part in parts]
    return taken


Factors = tuple[int, int, int]
"""Bits of two operands and of their product."""


def _cut(a: int, b: int, product: int, block: Block) -> tuple[int, list[Factors]]:
    """How many blocks, and what no block takes."""
    if a < block.least_a or b < block.least_b or product < block.least_product:
        return 0, [(a, b, product)]
    if a > block.bits:
        n = -(-(a - block.bits) // block.bits)
        rest = a - n * block.bits
        return _joined(n, _cut(block.bits, b, min(product, b + block.bits), block),
                       _cut(rest, b, b + rest, block))
    if b > block.bits:
        n = -(-(b - block.bits) // block.bits)
        rest = b - n * block.bits
        return _joined(n, _cut(a, block.bits, min(product, a + block.bits), block),
                       _cut(a, rest, a + rest, block))
    return 1, []


def _joined(n: int, whole: tuple[int, list[Factors]],
            last: tuple[int, list[Factors]]) -> tuple[int, list[Factors]]:
    return n * whole[0] + last[0], n * whole[1] + last[1]
