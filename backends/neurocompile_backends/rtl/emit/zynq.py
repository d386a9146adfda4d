"""A package for a Zynq: the design behind AXI, what makes a bitstream of it in Vivado, and a driver
for PYNQ. Nothing here runs Vivado, and none of it was tried in it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np

from neurocompile.images import read_core, read_host
from neurocompile_backends.rtl.emit.axi import OUT_BYTES, axi_files, buses, in_bytes
from neurocompile_backends.rtl.emit.files import rendered
from neurocompile_backends.rtl.host.words import loading_words
from neurocompile_backends.rtl.plan.design import ChipPlan

PART = "xc7z020clg400-1"
BOARD_PART = "tul.com.tw:pynq-z2:part0:1.0"
"""The PYNQ-Z2's in Vivado, where its board files are installed."""

DMA_LENGTH_BITS = 26
"""Of the length of a transfer, in bytes: the most that an AXI DMA has (AMD PG021)."""

SCRIPTS = ("package_ip.tcl", "block_design.tcl")
DRIVER = "pynq_driver.py"
TABLES = "network.npz"


def package_files(plan: ChipPlan, clock_mhz: float) -> dict[str, bytes]:
    """``hdl/``, ``mem/``, the scripts for Vivado, ``pynq_driver.py`` and what it reads
    (``rtl.json``, ``network.npz``). ``clock_mhz``: of the logic."""
    files = for_vivado(axi_files(plan))
    described = json.loads(files["rtl.json"])
    description, tables = host_tables(plan)
    described["host"] = description
    files["rtl.json"] = (json.dumps(described, indent=1) + "\n").encode()
    files[TABLES] = tables
    for name in SCRIPTS:
        files[name] = _script(name, plan, clock_mhz).encode()
    files[DRIVER] = (resources.files("neurocompile_backends.rtl.host") / DRIVER).read_bytes()
    return files


def for_vivado(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Memories are named as Vivado finds them in a packaged design: by the name of a file of the
    project, without a folder, and ending in ``.mem``."""
    renamed = {}
    for path, content in files.items():
        if path == "hdl/nc_top.v":
            text = re.sub(r'"mem/(\w+)\.hex"', r'"\1.mem"', content.decode())
            content = re.sub(r'"mem/(\w+)"', r'"\1"', text).encode()  # before nc_banks' digits
        elif path == "hdl/nc_banks.v":
            content = content.replace(b'".hex"', b'".mem"')
        elif path.startswith("mem/"):
            path = path.removesuffix(".hex") + ".mem"
        renamed[path] = content
    return renamed


def host_tables(plan: ChipPlan) -> tuple[dict[str, Any], bytes]:
    """What the driver knows of the network: the table ``host`` of ``rtl.json``, and the arrays of
    ``network.npz``. By input i ``first_i``, ``core_i``, ``axon_i``: the axons of element j are
    first[j] to first[j + 1]. By core c that takes biases ``slot_c``, ``bias_c``, and of each neuron
    ``population_c``, ``element_c``. ``loading``: words that the host sends once."""
    program = plan.program
    sizes = dict(zip(program.symbols.populations, program.symbols.sizes, strict=True))
    arrays: dict[str, Any] = {"loading": loading_words(plan)}
    inputs = []
    for i, table in enumerate(program.host):
        records = read_host(program, table)
        inputs.append({"name": table.population, "parallel": table.parallel})
        arrays.update({f"first_{i}": np.asarray(table.first, np.int64),
                       f"core_{i}": records["core"], f"axon_{i}": records["axon"]})
    loaded = [core for core in plan.cores if core.parameters["LOADED"]]
    for core in loaded:
        c = read_core(program, core.index)
        population = np.zeros(len(core.slot), np.int64)
        for s, number in enumerate(c.sections["population"].tolist()):
            first, count = int(c.sections["first"][s]), int(c.sections["count"][s])
            population[first:first + count] = number
        arrays.update({
            f"slot_{core.index}": core.slot,
            f"bias_{core.index}": np.left_shift(c.neurons["bias_mantissa"],
                                                c.neurons["bias_exponent"]),
            f"population_{core.index}": population,
            f"element_{core.index}": np.asarray(c.neurons["element"], np.int64)})
    description = {
        "payload": plan.payload_bits, "latency": program.latency, "inputs": inputs,
        "outputs": [{"name": name, "first": first, "size": sizes[name]}
                    for name, first in plan.outputs.items()],
        "loaded": [core.index for core in loaded], "populations": list(sizes)}
    file = io.BytesIO()
    np.savez(file, **arrays)
    return description, file.getvalue()


def _script(name: str, plan: ChipPlan, clock_mhz: float) -> str:
    return rendered(
        f"{name}.j2",
        part=PART, board_part=BOARD_PART, clock=f"{clock_mhz:g}", in_bits=8 * in_bytes(plan),
        out_bits=8 * OUT_BYTES, length_bits=DMA_LENGTH_BITS,
        buses=[bus for bus, _, _ in buses(plan)], streams=[b for b, k, _ in buses(plan)
                                                           if k == "axis"])
