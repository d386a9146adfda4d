"""Writes a plan as a program for Lava: program.py, network.npz, README.md and what they need."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

import numpy as np

import neurocompile
from neurocompile.backend import Bundle
from neurocompile.contract import contract_to_toml
from neurocompile.ir.base import Array, n_elements
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.transforms import Conv, Dense, to_sparse
from neurocompile.npz import write_npz
from neurocompile_backends.lava.environment import LAVA_VERSION, PINS
from neurocompile_backends.lava.plan import (
    Connection,
    Neurons,
    Plan,
    message_bits,
    plan,
    unfolded,
    uniform,
    weights,
    weights_key,
)

SUPPORT = files("neurocompile_backends.lava") / "bundle"
SUPPORT_FILES = ("support/__init__.py", "support/command.py", "support/data.py",
                 "support/network.py", "support/processes/__init__.py", "support/running.py",
                 "support/supervisor.py")
_MODULES = {"Dense": "lava.proc.dense.process", "DelayDense": "lava.proc.dense.process",
            "Sparse": "lava.proc.sparse.process", "DelaySparse": "lava.proc.sparse.process",
            "Conv": "lava.proc.conv.process"}


def emit(network: QuantizedNetwork) -> Bundle:
    """The files of the program, by name. The same network gives the same bytes."""
    planned = plan(network)
    arrays = _Arrays(planned).collect()
    packed = io.BytesIO()
    write_npz(packed, arrays)
    return Bundle("lava", {
        "program.py": _program(planned).encode(),
        **{name: (SUPPORT / name).read_bytes() for name in SUPPORT_FILES},
        "network.npz": packed.getvalue(),
        "README.md": _readme(planned).encode(),
        "requirements.txt": "".join(f"{pin}\n" for pin in PINS).encode()})


# --- network.npz --------------------------------------------------------------------------------


class _Arrays:
    def __init__(self, planned: Plan):
        self.plan = planned
        self.arrays: dict[str, Array] = {}

    def collect(self) -> dict[str, Array]:
        contract = self.plan.network.scheduled.discrete.contract
        self.arrays["contract"] = np.array(contract_to_toml(contract))
        for n in self.plan.neurons:
            self._neurons(n)
        for c in self.plan.connections:
            self._connection(c)
        for key, d in self.plan.drives:
            self.arrays[f"{key}.gain"] = d.gain
            self.arrays[f"{key}.constant"] = d.constant
            if isinstance(d.transform, Dense):
                self.arrays[f"{key}.weights"] = d.transform.weight
                continue
            sparse = to_sparse(d.transform)
            self._csr(key, sparse.values, sparse.indices, sparse.indptr)
            self.arrays[f"{key}.shape"] = np.array(
                [n_elements(sparse.out_shape), n_elements(sparse.in_shape)])
        return self.arrays

    def _neurons(self, n: Neurons) -> None:
        p = n.population
        registers = {"bias_mant": p.bias_mantissa, "bias_exp": p.bias_exponent}
        if n.per_neuron:
            registers |= {"du": p.current_decay, "dv": p.membrane_decay, "vth": p.threshold}
        for name, values in registers.items():
            if n.per_neuron or not uniform(values):
                self.arrays[f"{n.key}.{name}"] = values.astype(np.int32)

    def _connection(self, c: Connection) -> None:
        if c.process in ("Sparse", "DelaySparse"):
            sparse = unfolded(c)
            self._csr(c.key, sparse.values, sparse.indices, sparse.indptr)
        else:
            self.arrays[f"{c.key}.weights"] = weights(c)
        if c.process.startswith("Delay"):
            self.arrays[f"{c.key}.source_delay"] = c.projection.source_delay.astype(np.int32)
            self.arrays[f"{c.key}.target_delay"] = c.projection.target_delay.astype(np.int32)

    def _csr(self, key: str, values: Array, indices: Array, indptr: Array) -> None:
        self.arrays |= {f"{key}.values": values, f"{key}.indices": indices.astype(np.int32),
                        f"{key}.indptr": indptr.astype(np.int32)}


# --- program.py ---------------------------------------------------------------------------------


class _Lines:
    """Lines of a program, indented."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0

    def add(self, *lines: str) -> None:
        self.lines += [("    " * self.depth + line) if line else "" for line in lines]

    @contextmanager
    def indent(self) -> Iterator[None]:
        self.depth += 1
        yield
        self.depth -= 1

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def _program(planned: Plan) -> str:
    out = _Lines()
    _head(planned, out)
    _facts(planned, out)
    out.add("", "", "def build(arrays, signals, period, biases, adapter=None):")
    with out.indent():
        out.add('"""The processes of the network, connected.', "",
                "arrays: those of network.npz. signals: input -> integers [element, chip step], "
                "all", "samples one after another. period: chip steps of a sample. biases: "
                "population ->", "(mantissas, exponents) that the host loads. adapter: takes "
                "spikes onto a chip.", '"""', "network = Network()")
        for key, i in planned.inputs.items():
            out.add("", f"# Input {i.name!a}.",
                    f"{key} = into_chip(RingBuffer(data=signals[{i.name!a}]).s_out, adapter, "
                    f"num_message_bits={message_bits(i.low, i.high)})")
        for n in planned.neurons:
            _neurons(planned, n, out)
        for c in planned.connections:
            _connection(planned, c, out)
        if planned.islands:
            parts = ", ".join([planned.neurons[0].key, *planned.islands])
            out.add("", "# Lava runs what is connected, and parts of this network are not.",
                    f"join([{parts}])")
        out.add("return network")
    out.add("", "", 'if __name__ == "__main__":')
    with out.indent():
        out.add("sys.exit(main(sys.modules[__name__]))")
    return out.text()


def _head(planned: Plan, out: _Lines) -> None:
    network = planned.network
    neurons = sum(n.population.n for n in planned.neurons)
    out.add(f'"""A network of {neurons} neurons for {network.target.name}, as a Lava program.', "",
            f"Written by neurocompile {neurocompile.__version__}; README.md says how to run it. "
            "All numbers are the chip's", "integers; network.npz holds the arrays.",
            f"Digest of the network: {network.digest()}", '"""', "", "import sys", "",
            "import numpy as np")
    imports: dict[str, set[str]] = {}
    for c in planned.connections:
        imports.setdefault(_MODULES[c.process], set()).add(c.process)
        if c.process != "Conv":
            imports.setdefault("lava.utils.weightutils", set()).add("SignMode")
    if planned.inputs:
        imports.setdefault("lava.proc.io.source", set()).add("RingBuffer")
    if any(not n.per_neuron for n in planned.neurons):
        imports.setdefault("lava.proc.lif.process", set()).add("LIFReset")
    out.add(*(f"from {module} import {', '.join(sorted(names))}"
              for module, names in sorted(imports.items())))
    out.add("from support import (", *(f"    {name}," for name in _from_support(planned)), ")")


def _from_support(planned: Plan) -> list[str]:
    names = {"Network", "Output", "main"}
    if planned.drives:
        names.add("Drive")
    processes = {c.process for c in planned.connections}
    if planned.inputs:
        names |= {"Input", "into_chip"}
    if planned.islands:
        names.add("join")
    if any(n.per_neuron for n in planned.neurons):
        names.add("PerNeuronLIFReset")
    if processes & {"Sparse", "DelaySparse"}:
        names.add("csr")
    if "DelayDense" in processes:
        names.add("delays_of")
    if "DelaySparse" in processes:
        names.add("csr_delays_of")
    if "Conv" in processes:
        names |= {"planes", "flat"}
    return sorted(names)


def _facts(planned: Plan, out: _Lines) -> None:
    network = planned.network
    discrete = network.scheduled.discrete
    shapes = {p.name: p.shape for p in discrete.inputs}
    latency = {p.name: p.latency for p in network.populations}
    out.add("", "# Seconds a step, and chip steps a run is longer than its input.",
            f"DT_S = {discrete.dt_s!r}", f"LATENCY = {network.latency}",
            f"MAX_STEPS = {network.max_steps!r}", "",
            f"INPUT_SHAPES = {shapes!a}", "", "# Inputs that are sent into the network.",
            "INPUTS = {")
    out.add(*(f"    {i.name!a}: Input(mode={i.mode!r}, scale={i.scale!r}, low={i.low}, "
              f"high={i.high})," for i in planned.inputs.values()))
    out.add("}", "", "# Inputs that the host turns into bias registers, once a sample.",
            "DRIVES = [")
    for key, d in planned.drives:
        out.add(f"    Drive(input={d.input!a}, population={d.target!a},",
                f"          low={d.low!r}, high={d.high!r}, mantissa_max={d.mantissa_max}, "
                f"exponent_max={d.exponent_max},", f"          arrays={key!r}),")
    out.add("]", "", "OUTPUTS = {")
    on_chip = {n.population.name for n in planned.neurons}
    out.add(*(f"    {o.name!a}: Output(population={o.population!a}, shape={o.shape!r}, "
              f"latency={latency[o.population]})," for o in discrete.outputs
              if o.population in on_chip))
    out.add("}", "", "# What a population gives, its spikes (s) or its membrane (v), and the chip "
            "step of its step 0.", "POPULATIONS = {")
    out.add(*(f"    {n.population.name!a}: "
              f"({'v' if n.population.role == 'analog' else 's'!r}, {n.population.latency}),"
              for n in planned.neurons))
    out.add("}")


def _neurons(planned: Plan, n: Neurons, out: _Lines) -> None:
    p = n.population
    what = "read, never firing" if p.role == "analog" else "spiking"
    count = f"{p.n} neuron{'s' * (p.n != 1)}"
    out.add("", f"# {p.name!a}: {count}, {what}. Its step 0 is chip step {p.latency}, "
            "where its state is cleared.")
    driven = p.name in {d.target for _, d in planned.drives}
    registers = {"du": p.current_decay, "dv": p.membrane_decay, "vth": p.threshold}
    biases = {"bias_mant": p.bias_mantissa, "bias_exp": p.bias_exponent}

    def value(name: str, values: Array) -> str:
        if n.per_neuron or not uniform(values):
            return f"arrays[{f'{n.key}.{name}'!r}]"
        return str(int(values[0]))

    out.add(f"{n.key} = {'PerNeuronLIFReset' if n.per_neuron else 'LIFReset'}(")
    with out.indent():
        out.add(f"name={n.key!r}, shape=({p.n},),",
                ", ".join(f"{name}={value(name, r)}" for name, r in registers.items()) + ",")
        if driven:
            out.add(f"bias_mant=biases[{p.name!a}][0], bias_exp=biases[{p.name!a}][1],")
        else:
            out.add(", ".join(f"{name}={value(name, b)}" for name, b in biases.items()) + ",")
        out.add(f"reset_interval=period, reset_offset={p.latency + 1})")
    out.add(f"network.populations[{p.name!a}] = {n.key}")


def _connection(planned: Plan, c: Connection, out: _Lines) -> None:
    q = c.projection
    shape = (n_elements(q.transform.out_shape), n_elements(q.transform.in_shape))
    sparse = c.process in ("Sparse", "DelaySparse")
    stored = "a convolution written out, " if sparse and isinstance(q.transform, Conv) else ""
    count = f"{q.transform.n_synapses} synapse{'s' * (q.transform.n_synapses != 1)}"
    out.add("", f"# {q.name!a}: {stored}{count}, weight = stored "
            f"<< {c.weight_exp}.")
    if sparse:
        out.add(f"{weights_key(c.key)} = csr(arrays, {c.key!r}, {shape!r})")
    out.add(f"{c.key} = {c.process}(")
    with out.indent():
        out.add(*_arguments(c, shape))
    source = c.source if c.source in planned.inputs else f"{c.source}.s_out"
    if c.process == "Conv":
        assert isinstance(q.transform, Conv)
        out.add(f"planes({source}, {q.transform.in_chw!r}).connect({c.key}.s_in)",
                f"flat({c.key}.a_out).connect({c.target}.a_in)")
    else:
        out.add(f"{source}.connect({c.key}.s_in)", f"{c.key}.a_out.connect({c.target}.a_in)")
    out.add(f"network.connections[{q.name!a}] = {c.key}")


def _arguments(c: Connection, shape: tuple[int, int]) -> list[str]:
    message = f"num_message_bits={c.num_message_bits}"
    if c.process == "Conv":
        t = c.projection.transform
        assert isinstance(t, Conv)
        c_in, rows, columns = t.in_chw
        return [f"name={c.key!r}, weight=arrays[{f'{c.key}.weights'!r}].astype(np.int32), "
                f"weight_exp={c.weight_exp},",
                f"input_shape=({rows}, {columns}, {c_in}), padding={t.padding!r}, "
                f"stride={t.stride!r}, dilation={t.dilation!r},",
                f"groups={t.groups}, num_weight_bits=8, {message})"]
    name = f"arrays[{f'{c.key}.weights'!r}].astype(np.int32)"
    if c.process in ("Sparse", "DelaySparse"):
        name = weights_key(c.key)
    lines = [f"name={c.key!r}, weights={name},"]
    if c.process == "DelayDense":
        lines.append(f"delays=delays_of(arrays, {c.key!r}, {shape!r}),")
    if c.process == "DelaySparse":
        lines.append(f"delays=csr_delays_of(arrays, {c.key!r}, {name}),")
    return [*lines, f"sign_mode=SignMode.{c.projection.sign_mode.upper()}, "
            f"num_weight_bits={c.num_weight_bits}, weight_exp={c.weight_exp}, {message})"]


# --- README.md ----------------------------------------------------------------------------------


def _readme(planned: Plan) -> str:
    network = planned.network
    rows = [f"| {_cell(n.population.name)} | {n.population.n} | "
            f"{'membrane' if n.population.role == 'analog' else 'spikes'} | "
            f"{n.population.latency} |" for n in planned.neurons]
    inputs = [f"- {_cell('x_' + i.name)}: {i.mode}, from {i.low * i.scale:g} to "
              f"{i.high * i.scale:g}" for i in planned.inputs.values()]
    inputs += [f"- {_cell('x_' + d.input)}: values constant over a sample, from {d.low:g} to "
               f"{d.high:g}, loaded into bias registers of {_cell(d.target)}"
               for _, d in planned.drives]
    longer = f"{network.latency} chip step{'s' * (network.latency != 1)}"
    only = [_cell(n.population.name) for n in planned.neurons if n.per_neuron]
    chip = ("\nNot on a chip: " + ", ".join(only) + " have decays or thresholds for each neuron, "
            "which Lava's processes for Loihi do not have.\n" if only else "")
    return f"""\
# A network for {network.target.name}, as a Lava program

Written by neurocompile {neurocompile.__version__}. It needs Python 3.10 and lava-nc {LAVA_VERSION}\
, nothing else:

    python3.10 -m venv ~/lava && ~/lava/bin/pip install -r requirements.txt
    ~/lava/bin/python program.py --input x.npz --output run.npz --steps N

Keep data and results somewhere else: a later compilation does not replace this folder if \
something in it was changed or added.

`x.npz` holds `[sample, step, *shape]`, or `[sample, *shape]` shown for N steps, under these \
names (or `x`, if there is one input only):

{chr(10).join(inputs)}

`run.npz` holds each output `[sample, chip step, *shape]`. A run lasts {longer} longer than its \
input; step 0 of an output is at chip step `NAME:latency`. `--probe POPULATION:v` \
(or `:u`, `:s`; `all` for everything) records more.

| population | neurons | gives | its step 0 |
|---|---|---|---|
{chr(10).join(rows)}

By default Lava simulates the chip's integers (`Loihi2SimCfg(select_tag="fixed_pt")`). \
`--hardware` uses `Loihi2HwCfg`, which needs Intel's lava-loihi and access to a chip; it has not \
been tested on one.
{chip}
| file | what |
|---|---|
| `program.py` | the network, process by process |
| `support/` | what all such programs share: encoding of data, the run, recording |
| `network.npz` | weights, delays and registers |
"""


def _cell(name: str) -> str:
    """A name in Markdown: nothing of it is formatting."""
    return "`" + ascii(name)[1:-1].replace("`", "'").replace("|", "\\|") + "`"
