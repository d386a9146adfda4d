"""Multiplier blocks of a design, exactly as Yosys makes them (its ``mul2dsp.v``).

A multiplication is cut into parts that a block can take, the wider operand first; what is narrower
than a block is worth stays in logic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile_backends.rtl.plan.design import CorePlan


@dataclass(frozen=True)
class Block:
    """Bits of an operand, and of a product, below which Yosys uses none."""

    bits: int
    least: int
    least_product: int


BLOCKS = {"ice40": Block(16, 2, 11), "ecp5": Block(18, 2, 0)}

KEEP_BITS = 13
"""Of a decay (``nc_decay``)."""


@dataclass(frozen=True)
class Product:
    """A multiplication: widths of its operands and of what is used of it, and which part of a core
    it is in. ``rows``: multiples of ``a`` that are added where it is logic."""

    module: str
    a: int
    b: int
    product: int
    rows: int


def products_of(core: CorePlan) -> list[Product]:
    """Every multiplication of two things that are no powers of two."""
    p = core.parameters
    found = []
    for state, bits in (("V", p["V"]), ("U", p["U"] if p["FILTER"] else 0)):
        keep = _bits(p, f"KEEP_{state}")
        if bits and keep:
            found.append(Product("neurons", bits, keep, bits + KEEP_BITS - 1,
                                 _rows(core, f"KEEP_{state}")))
    if p["PAYLOAD"] > 1:
        found += [Product("synapses", p["WEIGHT"], p["PAYLOAD"], p["PRODUCT"],
                          min(p["WEIGHT"], p["PAYLOAD"]))] * p["LANES"]
    if p["DELAYED"]:
        threshold = _bits(p, "THRESHOLD")
        if threshold:
            found.append(Product("neurons", threshold, p["COUNT"], p["SUM"], p["COUNT"]))
    return found


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


def blocks_of(product: Product, family: str) -> int:
    """How many blocks a multiplication takes; 0: it is logic."""
    block = BLOCKS[family]
    a, b = max(product.a, product.b), min(product.a, product.b)
    if b < block.least or min(product.product, a + b) < block.least_product:
        return 0
    return _parts(a, b, product.product, block)


def _parts(a: int, b: int, product: int, block: Block) -> int:
    if a > block.bits:
        n = -(-(a - block.bits) // block.bits)
        rest = a - n * block.bits
        whole = _parts(block.bits, b, min(product, b + block.bits), block)
        last = 0
        if rest >= block.least and b + rest >= block.least_product:
            last = _parts(rest, b, b + rest, block)
        return n * whole + last
    if b > block.bits:
        n = -(-(b - block.bits) // block.bits)
        rest = b - n * block.bits
        whole = _parts(a, block.bits, min(product, a + block.bits), block)
        last = _parts(a, rest, a + rest, block) if (
            rest >= block.least and a + rest >= block.least_product) else 0
        return n * whole + last
    return 1
