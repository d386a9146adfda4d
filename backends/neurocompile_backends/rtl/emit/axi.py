"""A network between AXI4-Streams, with its registers on AXI4-Lite: ``nc_axi_top``."""

from __future__ import annotations

import json

from neurocompile_backends.rtl.emit.board import network_id
from neurocompile_backends.rtl.emit.files import (
    LOG2_HOST_FIFO,
    MODULES,
    design_files,
    library,
    rendered,
    word_bits,
)
from neurocompile_backends.rtl.plan.design import ChipPlan

WRAPPERS = ("nc_axis", "nc_axil")
AXI_MODULES = (*MODULES, "nc_top", *WRAPPERS, "nc_axi_top")
"""All of a design, each module after those it uses."""

OUT_BYTES = 8
"""Of a beat out (``nc_axis``)."""

Ports = tuple[tuple[str, str, int], ...]


def axi_files(plan: ChipPlan) -> dict[str, bytes]:
    """The files of a design with ``nc_axi_top`` on top of it. Its ``rtl.json`` has the table
    ``axi``: ``network`` (what the register of that name reads) and the bytes of a beat each way."""
    files = design_files(plan)
    network = network_id(files)
    for name in WRAPPERS:
        files[f"hdl/{name}.v"] = library(f"{name}.v")
    files["hdl/nc_axi_top.v"] = _top(plan, network).encode()
    described = json.loads(files["rtl.json"])
    described["axi"] = {"network": network, "in_bytes": in_bytes(plan), "out_bytes": OUT_BYTES}
    files["rtl.json"] = (json.dumps(described, indent=1) + "\n").encode()
    return files


def in_bytes(plan: ChipPlan) -> int:
    """Of a beat in: what a DMA and a processor have, 4 or 8."""
    return 4 if word_bits(plan) <= 32 else 8


def buses(plan: ChipPlan) -> tuple[tuple[str, str, Ports], ...]:
    """The interfaces of ``nc_axi_top``: name, what Vivado calls their kind, and their ports (name
    without the interface's, direction, bits)."""
    into = in_bytes(plan)
    return (
        ("s_axis", "axis", (
            ("tvalid", "input", 1), ("tready", "output", 1), ("tdata", "input", 8 * into),
            ("tkeep", "input", into), ("tlast", "input", 1))),
        ("m_axis", "axis", (
            ("tvalid", "output", 1), ("tready", "input", 1), ("tdata", "output", 8 * OUT_BYTES),
            ("tkeep", "output", OUT_BYTES), ("tlast", "output", 1))),
        ("s_axil", "aximm", (
            ("awvalid", "input", 1), ("awready", "output", 1), ("awaddr", "input", 12),
            ("awprot", "input", 3), ("wvalid", "input", 1), ("wready", "output", 1),
            ("wdata", "input", 32), ("wstrb", "input", 4), ("bvalid", "output", 1),
            ("bready", "input", 1), ("bresp", "output", 2), ("arvalid", "input", 1),
            ("arready", "output", 1), ("araddr", "input", 12), ("arprot", "input", 3),
            ("rvalid", "output", 1), ("rready", "input", 1), ("rdata", "output", 32),
            ("rresp", "output", 2))))


def _top(plan: ChipPlan, network: int) -> str:
    return rendered(
        "axi.v.j2",
        title=f"A network on {len(plan.cores)} cores behind AXI", buses=buses(plan),
        word=word_bits(plan), in_bytes=in_bytes(plan), cores=len(plan.cores),
        place=plan.place_bits, axon=plan.axon_bits, payload=plan.payload_bits,
        fifo=LOG2_HOST_FIFO, id=network)
