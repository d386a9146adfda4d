"""From a program to the cores of its hardware, and the widths that these share."""

from __future__ import annotations

from neurocompile.images import read_core
from neurocompile.ir.program import Program
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile_backends.rtl.plan.core import Shared, plan_core
from neurocompile_backends.rtl.plan.design import ChipPlan, Unsupported, bits_for
from neurocompile_backends.rtl.plan.widths import payloads_of

MOST_LANES = 256
MOST_LOG2_FIFO = 4
"""FIFOs are registers."""


def plan_chip(program: Program, network: QuantizedNetwork,
              lanes: tuple[int, ...] | None = None) -> ChipPlan:
    """The hardware of a program. ``lanes``: of each core; where not given, the target's.

    Raises :class:`Unsupported` for arithmetic that this hardware does not have.
    """
    if program.target.machine.overflow != "saturate":
        raise Unsupported(program.target.name, "this hardware saturates",
                          got=f"machine.overflow = {program.target.machine.overflow!r}",
                          limit="saturate", hint="compile for a target of an FPGA")
    if lanes is None:
        lanes = (program.target.timing.lanes,) * len(program.cores)
    if not all(1 <= n <= MOST_LANES for n in lanes):
        raise Unsupported(program.target.name, "a core has an impossible number of lanes",
                          got=f"{max(lanes)} lanes", limit=f"1 to {MOST_LANES}")
    contents = [read_core(program, i) for i in range(len(program.cores))]
    outputs = _outputs(program, network)
    latest = max((int(c.sections["start"].max(initial=0)) for c in contents), default=0)
    payloads = payloads_of(program, network, contents, outputs)
    host_axons = sum(program.symbols.sizes[program.symbols.populations.index(n)] for n in outputs)
    axons = max([host_axons, *(len(c.inputs["format"]) for c in contents)])
    shared = Shared(
        place_bits=bits_for(len(contents) + 1), axon_bits=bits_for(axons),
        carried=max([1, *payloads.host.values(), *payloads.population.values()]),
        step_bits=(latest + 1).bit_length(),
        log2_fifo=min(bits_for(program.target.timing.core_buffer), MOST_LOG2_FIFO),
        payloads=payloads, outputs=outputs)
    cores = tuple(plan_core(program, network, c, i, lanes[i], shared)
                  for i, c in enumerate(contents))
    return ChipPlan(program, cores, shared.place_bits, shared.axon_bits, shared.carried,
                    shared.step_bits, shared.log2_fifo, outputs)


def _outputs(program: Program, network: QuantizedNetwork) -> dict[str, int]:
    """Populations on the chip whose spikes the host wants, and their first number there."""
    wanted = {port.population for port in network.scheduled.discrete.outputs}
    sizes = dict(zip(program.symbols.populations, program.symbols.sizes, strict=True))
    sources = {table.population for table in program.host}
    first, found = 0, {}
    for name in program.symbols.populations:
        if name in wanted and name not in sources:
            found[name] = first
            first += sizes[name]
    return found
