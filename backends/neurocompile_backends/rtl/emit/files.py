"""The files of a design: a thin top, the memories of its cores, and the library beside them."""

from __future__ import annotations

import json
from importlib import resources

from neurocompile.diagnostics import fail
from neurocompile_backends.rtl.plan.design import ChipPlan, CorePlan, Image

INSTALL = "pip install 'neurocompile[fpga]'"

LOG2_HOST_FIFO = 1
"""Words that wait for the host: as wide as they are, more would be dear."""

KIND_BITS = 3
"""Of what a word of the host is."""

MODULES = ("nc_ram", "nc_rom", "nc_spram", "nc_banks", "nc_fifo", "nc_extend", "nc_field",
           "nc_parameter", "nc_wrap", "nc_decay", "nc_saturate", "nc_synapses", "nc_accumulators",
           "nc_neurons", "nc_sender", "nc_core", "nc_bus", "nc_control")
"""The library, each module after those it uses."""

TEMPLATES = resources.files("neurocompile_backends.rtl.emit") / "templates"


def design_files(plan: ChipPlan) -> dict[str, bytes]:
    """``hdl/`` and ``mem/``: everything a simulator or synthesis reads, with paths from there."""
    files = {f"hdl/{name}.v": library(f"{name}.v") for name in MODULES}
    files["hdl/nc_top.v"] = top(plan).encode()
    for core in plan.cores:
        for name, image in core.images.items():
            files.update(_memory_files(core, name, image))
    files["rtl.json"] = (json.dumps(description(plan), indent=1) + "\n").encode()
    return files


def library(name: str) -> bytes:
    """A file of the library."""
    return (resources.files("neurocompile_backends.rtl") / "hdl" / name).read_bytes()


def description(plan: ChipPlan) -> dict[str, object]:
    """What a host has to know: the widths of words, and the parameters of each core."""
    return {
        "format": 1, "target": plan.program.target.name, "network": plan.program.network,
        "word": {"kind": KIND_BITS, "core": plan.place_bits, "number": plan.number_bits,
                 "value": plan.value_bits},
        "outputs": plan.outputs,
        "cores": [core.parameters for core in plan.cores]}


def word_bits(plan: ChipPlan) -> int:
    """Of a word of the host."""
    return KIND_BITS + plan.place_bits + plan.number_bits + plan.value_bits


def rendered(template: str, **values: object) -> str:
    """A template of this package, filled in. Raises ``CompileError``: E865 (no jinja2)."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise fail("E865", "jinja2", "Verilog is written with this library, which is not "
                   "installed", hint=INSTALL) from None
    text = (TEMPLATES / template).read_text("utf-8")
    return Environment(undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True,
                       lstrip_blocks=True).from_string(text).render(**values)


def top(plan: ChipPlan) -> str:
    """The top module; see ``top.v.j2``."""
    p = plan.program
    cores = []
    for core in plan.cores:
        cores.append({"comment": _comment(core), "parameters": _parameters(core),
                      **{name.lower(): core.parameters[name]
                         for name in ("AXON", "INDEX", "SPRAM", "PAYLOAD")}})
    return rendered(
        "top.v.j2",
        title=f"A network on {len(plan.cores)} cores for {_plain(p.target.name)}", cores=cores,
        place=plan.place_bits, axon=plan.axon_bits, payload=plan.payload_bits,
        number=plan.number_bits, value=plan.value_bits,
        word=word_bits(plan), step=plan.step_bits,
        fifo=LOG2_HOST_FIFO)


def _plain(text: str) -> str:
    """Names of users stay what they are in a comment: one line of letters."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_. ") else "?" for c in text)


def _comment(core: CorePlan) -> str:
    p = core.parameters
    return (f"{len(core.slot)} neurons in {p['LANES']} lanes, {len(core.walk.issues)} axons, "
            f"{p['DENSE_WORDS'] + p['SPARSE_WORDS']} words of synapses")


def _memory(core: CorePlan, name: str) -> str:
    banked = core.parameters["LOG2_BANK"] and name in ("DENSE_INIT", "SPARSE_INIT")
    return f"mem/core{core.index}_{name.lower()}" + ("_" if banked else ".hex")


def _memory_files(core: CorePlan, name: str, image: Image) -> dict[str, bytes]:
    """The file of a memory, or those of its banks (``nc_banks``)."""
    bank = core.parameters["LOG2_BANK"]
    lines = image.lines()
    if not bank or name not in ("DENSE_INIT", "SPARSE_INIT"):
        return {_memory(core, name): lines.encode()}
    every = lines.splitlines(keepends=True)
    return {f"{_memory(core, name)}{i >> bank:02d}.hex": "".join(every[i:i + (1 << bank)]).encode()
            for i in range(0, len(every), 1 << bank)}


def _parameters(core: CorePlan) -> str:
    """Instance parameters, filled to lines."""
    formats = core.parameters["FORMATS"]
    parts = []
    for name, value in core.parameters.items():
        if name in ("F_SPARSE", "F_PAD"):
            parts.append(f".{name}({formats}'d{value})")
        elif name.startswith("F_"):
            parts.append(f".{name}({24 * formats}'h{value:x})")
        else:
            parts.append(f".{name}({value})" if value < 1 << 31 else f".{name}(32'd{value})")
    parts += [f'.{name}("{_memory(core, name)}")' for name in core.images
              if not (name == "DENSE_INIT" and core.parameters["SPRAM"])]
    lines, line = [], ""
    for part in parts:
        if line and len(line) + len(part) > 88:
            lines.append(line)
            line = ""
        line += part + ", "
    return "\n        ".join([*(x.rstrip() for x in lines), line.rstrip(", ")])
