"""A program as text: every table and synapse of its cores, read from the images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from neurocompile.images import CoreContents, read_core, read_host
from neurocompile.ir.program import COMPARES, KINDS, RESETS, SIGNS, Program
from neurocompile.report.tables import printable


def listing(program: Program, cores: Iterable[int] | None = None) -> Iterator[str]:
    """Lines about the program, then about each core (an index; all if not stated). Raises
    ``ValueError`` for images that no assembler wrote."""
    bits = 8 * sum(core.synapses.size for core in program.cores)
    yield (f"program for {printable(program.target.name)}: {_several(len(program.cores), 'core')}"
           f", {bits} bits of synapses, {program.n_bytes} bytes in all")
    for layout in program.layouts:
        fields = ", ".join(f"{f.name} {f.bits}{'s' if f.signed else ''}" for f in layout.fields)
        yield f"  record {layout.table}, {layout.record_bits} bits: {fields}"
    for i, g in enumerate(program.geometries):
        yield (f"  geometry {i + 1}: {g.in_chw} -> {g.out_chw}, kernel {g.kernel}, stride "
               f"{g.stride}, padding {g.padding}, dilation {g.dilation}, groups {g.groups}")
    if cores is None:
        yield from _host(program)
    for index in range(len(program.cores)) if cores is None else cores:
        yield from _core(program, index, read_core(program, index))


def _host(program: Program) -> Iterator[str]:
    for table in program.host:
        records = read_host(program, table)
        parallel = f", up to {table.parallel} spikes a step" if table.parallel > 1 else ""
        yield f"host: {printable(table.population)}{parallel}"
        for element, (first, stop) in enumerate(zip(table.first[:-1].tolist(),
                                                    table.first[1:].tolist(), strict=True)):
            if first < stop:
                yield f"  element {element}: {_destinations(program, records, first, stop)}"


def _core(program: Program, index: int, core: CoreContents) -> Iterator[str]:
    yield (f"core {core.core}: chip {program.chip[index]}, tile ({program.x[index]}, "
           f"{program.y[index]}), {len(core.memory)} bits of synapses")
    for i in range(len(core.sections["count"])):
        yield from _section(program, core, i)
    for f in range(len(core.formats["section"])):
        yield from _format(program, core, f)


def _section(program: Program, core: CoreContents, i: int) -> Iterator[str]:
    row = {name: int(column[i]) for name, column in core.sections.items()}
    name = printable(program.symbols.populations[row["population"]])
    yield (f"  section {i}: {_several(row['count'], 'neuron')} of {name} from {row['first']}, "
           f"{KINDS[row['kind']]}, start at step {row['start']}")
    for n in range(row["first"], row["first"] + row["count"]):
        own = {name: int(column[n]) for name, column in core.neurons.items()}
        shared = {name: int(column[own["configuration"]])
                  for name, column in core.configurations.items()}
        threshold = int(core.thresholds["threshold"][own["threshold"]])
        sent = _destinations(program, core.outputs, own["output"], own["output"] + own["outputs"])
        start = f" v {own['initial_v']}" if own["initial_v"] else ""
        waits = (f" refractory {shared['refractory_steps']}" if shared["refractory_steps"] else "")
        yield (f"    neuron {n} = {name}[{own['element']}]: du {shared['current_decay']} dv "
               f"{shared['membrane_decay']} vth {threshold} bias {own['bias_mantissa']}"
               f"<<{own['bias_exponent']}{start} {COMPARES[shared['compare']]} reset "
               f"{RESETS[shared['reset']]} spikes {shared['max_spikes']}{waits} -> {sent}")


def _format(program: Program, core: CoreContents, f: int) -> Iterator[str]:
    row = {name: int(column[f]) for name, column in core.formats.items()}
    name = printable(program.symbols.projections[row["projection"]])
    widths = f"weight {row['weight_bits']}, delay {row['delay_bits']}, index {row['index_bits']}"
    yield (f"  format {f}: {name} into section {row['section']}, {core.encoding(f)}, "
           f"{SIGNS[row['sign']]} << {row['exponent']}; bits: {widths}")
    if core.encoding(f) == "conv":
        channels, kernels = core.kernels(f)
        yield f"    geometry {row['geometry']}, delay {_delays(core, f)}"
        for channel, kernel in zip(channels.tolist(), kernels, strict=True):
            yield f"    kernel of channel {channel} at word {row['address']}: {_numbers(kernel)}"
        for axon in core.axons(f).tolist():
            given = {name: int(column[axon]) for name, column in core.inputs.items()}
            yield (f"    axon {axon}: element {given['address']}, "
                   f"{_several(given['synapses'], 'synapse')}, delay {given['delay']}")
        return
    synapses = core.entries(f)
    own, of = core.shared(f)
    others: dict[int, str] = {}
    for axon, first in zip(core.axons(f).tolist(), of.tolist(), strict=True):
        if axon != first:
            others[first] = others.get(first, "") + f", {axon}"
    begin = 0
    for axon, count in zip(own.tolist(), core.inputs["synapses"][own].tolist(), strict=True):
        part = slice(begin, begin + count)
        each = " ".join(
            f"{n}:{w:+d}{f'@{d}' if d else ''}" for n, w, d in zip(
                synapses.neuron[part].tolist(), synapses.weight[part].tolist(),
                synapses.delay[part].tolist(), strict=True))
        also = others.get(axon, "")
        yield f"    axon {axon}{also} at word {core.inputs['address'][axon]}: {each}"
        begin += count


def _delays(core: CoreContents, f: int) -> str:
    late = core.late(f)
    return str(int(late[0])) if len(late) and np.all(late == late[0]) else _numbers(late)


def _destinations(program: Program, outputs: dict[str, np.ndarray], first: int, stop: int) -> str:
    pairs = zip(outputs["core"][first:stop].tolist(), outputs["axon"][first:stop].tolist(),
                strict=True)
    return " ".join(f"{program.cores[core].core}.{axon}" for core, axon in pairs) or "nothing"


def _several(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _numbers(values: np.ndarray) -> str:
    return " ".join(str(value) for value in values.reshape(-1).tolist())
