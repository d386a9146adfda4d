"""What the modules of a design are made of: bits of adders, choices and registers, by module.

Each quantity is a sum over the statements of a module in ``hdl/``, with what synthesis folds away
taken off: registers of constants, bits that nothing reads, lanes that share an address. How many
logic cells one of them takes is measured (``estimate.toml``, ``benchmarks/fpga_estimate.py``).
"""

from __future__ import annotations

from collections.abc import Iterable

from neurocompile_backends.rtl.estimate.memories import Mapped
from neurocompile_backends.rtl.estimate.multipliers import Product, blocks_of, outlives
from neurocompile_backends.rtl.plan.design import ChipPlan, CorePlan
from neurocompile_backends.rtl.plan.synapses import FORMAT_FIELD

Parts = dict[str, float]
"""Quantity -> how much of it there is. ``one`` is the module itself."""

PIPELINE = 7
"""Registers that a neuron's number passes before its spikes are counted (``nc_neurons``)."""

LATE_FROM = 3
"""Of these, how many the second part of its record passes."""

WORD_OF_FORMAT = ("F_WORD_X", "F_WORD_Y", "F_WORD_B")
ROW_OF_FORMAT = ("F_ROW", "F_LATE", "F_ROW_X", "F_ROW_Y", "F_ROW_B")


def core_parts(core: CorePlan, memories: Iterable[Mapped], products: Iterable[Product],
               family: str | None) -> dict[str, Parts]:
    """By module of ``nc_core``; ``core`` is what it has beside its modules. ``family``: None where
    the device has no multipliers."""
    p = core.parameters
    found = {"fifo": {"one": 1.0, "counter": p["LOG2_FIFO"]},
             "synapses": _synapses(p), "accumulators": _accumulators(p), "neurons": _neurons(p),
             "sender": {"one": 1.0, "index": p["INDEX"], "out": p["OUT"] + p["FAN"],
                        "flit": p["FLIT"]},
             "core": {"one": 1.0, "address": p["ADDR"]}}
    for product in products:
        _multiply(found[product.module], product, family)
    for mapped in memories:
        _memory(found[mapped.memory.name.split(".")[0]], mapped)
    return found


def shared_parts(plan: ChipPlan, memories: Iterable[Mapped]) -> dict[str, Parts]:
    """``shared``: bus, control, and what joins the host's words to them."""
    senders = len(plan.cores) + 1
    flit = plan.axon_bits + plan.payload_bits
    # In a column of all cores each receiver is compared with each sender.
    parts = {"one": 1.0, "flit": senders * flit, "senders": senders * senders * plan.place_bits,
             "value": plan.number_bits + plan.value_bits, "word": flit + plan.place_bits}
    for mapped in memories:
        _memory(parts, mapped)
    return {"shared": parts}


def link_parts(word_bytes: int) -> dict[str, Parts]:
    """``link``: the UART and the host's link; ``word_bytes``: of its longest word."""
    return {"link": {"one": 1.0, "word": 7.0 * word_bytes}}


def _memory(parts: Parts, mapped: Mapped) -> None:
    """What a memory needs of logic, whatever it became."""
    bits = mapped.memory.columns
    if mapped.kind == "logic":
        name = "registers" if mapped.memory.writes else "table"
        parts[name] = parts.get(name, 0) + mapped.logic_bits
        parts["read"] = parts.get("read", 0) + bits
    if mapped.kind == "distributed":
        parts["lutram"] = parts.get("lutram", 0) + mapped.count
        if not mapped.memory.asynchronous:
            parts["read"] = parts.get("read", 0) + bits
    if mapped.ways > 1:
        parts["ways"] = parts.get("ways", 0) + (mapped.ways - 1) * bits


def _multiply(parts: Parts, product: Product, family: str | None) -> None:
    blocks = blocks_of(product, family) if family else 0
    if not blocks:
        parts["product"] = parts.get("product", 0) + product.a * max(0, product.rows - 1)
    elif blocks > 1:
        parts["join"] = parts.get("join", 0) + (blocks - 1) * product.a


def _synapses(p: dict[str, int]) -> Parts:
    lanes, weight, addr = p["LANES"], p["WEIGHT"], p["ADDR"]
    lists, late = p["SPARSE_WORDS"] > 0, p["SLOTS"] > 1
    both = lists and p["DENSE_WORDS"] > 0
    payload = p["PAYLOAD"] if p["PAYLOAD"] > 1 else 0
    later = int(p["LOG2_BANK"] > 0)
    formats = p["FORMATS"] if p["SHIFTS"] else 0
    box = p["LEVELS"] > 1
    carried = (0 if not p["DENSE_WORDS"] else addr) + payload + formats + int(both)
    banks = sum(-(-p[name] >> p["LOG2_BANK"]) * lanes * bits for name, bits in (
        ("DENSE_WORDS", p["DENSE_BITS"]), ("SPARSE_WORDS", p["SPARSE_BITS"] + addr))
        if p[name]) if later else 0
    return {
        "one": 1.0, "counters": p["WORD"] + addr + p["COUNTER"],
        "box": (2 * p["WORD"] + 2 * addr + 4 * p["COUNTER"]) if box else 0,
        "record": p["AXON_RECORD"] + payload, "formats": _choices(p),
        "carried": carried * (4 + later) + payload * 2,
        "late": addr if late else 0,
        "lane_weight": lanes * weight, "lanes": lanes,
        "lane_both": lanes * weight if both else 0,
        "lane_list": lanes * (addr + 1) if lists else 0,
        "lane_named": lanes * addr if both else 0,
        "lane_late": lanes * addr if lists and late else 0,
        "lane_zero": lanes * weight if lists else 0,
        "shifts": lanes * weight * (_distinct(p, "F_SHIFT") - 1) if p["SHIFTS"] else 0,
        "banks": banks,
        "host_written": p["SPRAM"] * (p["WORD"] + lanes * p["DENSE_BITS"] / 16)}


def _distinct(p: dict[str, int], name: str) -> int:
    mask = (1 << FORMAT_FIELD) - 1
    return len({p[name] >> (FORMAT_FIELD * i) & mask for i in range(p["FORMATS"])})


def _choices(p: dict[str, int]) -> float:
    """Bits that are chosen between formats that differ in them."""
    total = 0
    for names, bits in ((WORD_OF_FORMAT, p["WORD"]), (ROW_OF_FORMAT, p["ADDR"]),
                        (("F_X", "F_Y", "F_B"), p["COUNTER"])):
        total += sum(bits * (_distinct(p, name) - 1) for name in names)
    return float(total)


def _accumulators(p: dict[str, int]) -> Parts:
    lanes, addr = p["LANES"], p["ADDR"]
    # Where all walk rows they share an address.
    addresses = lanes if p["SPARSE_WORDS"] else 1
    # Products are registers of the synapses, named after the port here that they feed.
    products = min(p["PRODUCT"], p["ACC"]) if p["PAYLOAD"] > 1 else 0
    return {"one": 1.0, "sums": lanes * p["ACC"], "lanes": lanes, "address": addr * addresses,
            "lane_product": lanes * products}


def _neurons(p: dict[str, int]) -> Parts:
    u = p["U"] if p["FILTER"] and outlives(p, "U") else 0
    v = p["V"] if outlives(p, "V") else 0
    total, count = p["SUM"], p["COUNT"]
    stages = count + p["DELAYED"]
    current = min(total, p["ACC"] + p["SHIFT"] if not u else total)
    biased = p["LOADED"] > 0 or "BIAS_BITS" in p or p["BIAS"] != 0
    late = p["LATE_RECORD"] if "LATE_RECORDS" in p or p["LATE_RECORD"] > 1 else 0
    early = p["NEURON_RECORD"] if p["NEURON_RECORD"] > 1 else 0
    threshold = p.get("THRESHOLD_BITS", 0)
    return {
        "one": 1.0, "scan": p["INDEX"] + p["LANE"] + p["ADDR"],
        "index": p["INDEX"] * (PIPELINE + stages),
        "choose_lane": (p["LANES"] - 1) * p["ACC"], "sums": p["ACC"] * 3,
        "decay": v + u, "early": early,
        "keep": sum(p.get(f"KEEP_{s}_BITS", 0) for s in "UV"),
        "late": late * LATE_FROM + threshold * stages,
        "add": (current if u else 0) + (total if biased and v else 0) + (total if v else 0),
        "hold": u * (2 + stages) + current,
        "limit_u": total if p["U_LIMIT"] else 0, "limit_v": total if p["V_LIMIT"] else 0,
        "compare": count * (total + count), "more": (count - 1) * total,
        "counted": count * count if count > 1 else 0,
        "delayed": p["DELAYED"] * total,
        "initial": p.get("INITIAL_BITS", 0),
        "pause": p["REFRACTORY"] * (PIPELINE + stages),
        "reset": total if "RESET_BITS" in p or p["RESET"] == 2 else 0,
        "resets": total if "RESET_BITS" in p else 0,
        "analog": total if "ANALOG_BITS" in p or p["ANALOG"] else 0,
        "sent": p["SENT"]}


__all__ = ["Parts", "core_parts", "link_parts", "shared_parts"]
