"""Converts lava-dl's ``.net`` files: a NIR graph and the contract under which it is exact.

NIR has no integers, comparison or time step. The graph holds the integers of the file as whole
numbers, and the contract's ``integer_scale`` says that nothing may be rounded. See
docs/lava-dl.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from neurocompile.diagnostics import Diagnostic, Diagnostics, fail
from neurocompile.frontends.fields import Fields
from neurocompile.frontends.lava_dl.file import read_layers
from neurocompile.frontends.part import Refused
from neurocompile.frontends.raw import Budget, RawNode, ReadLimits, shown
from neurocompile.ir.base import Shape, n_elements
from neurocompile.ir.contract import Contract, InputBinding

if TYPE_CHECKING:
    import nir

    from neurocompile.frontends.lava_dl.chain import Chain

INTEGER_SCALE = 64
"""A weight of 1 adds 1 << 6 to u, and vThMant is compared with v >> 6."""
_DT_S = 1e-3
_DEFAULT_LIMITS = ReadLimits()


@dataclass(frozen=True, eq=False)
class Conversion:
    """``layers``: population, layer type and shape of each layer with neurons or a read-out."""

    graph: nir.NIRGraph
    contract: Contract
    layers: tuple[tuple[str, str, Shape], ...]
    diagnostics: tuple[Diagnostic, ...]

    def save(self, path: str | Path) -> Path:
        """Write the graph to ``path`` and the contract beside it as ``.toml``, whose path is
        returned. Each file appears whole or not at all. Raises E208 if both were the same file,
        E625 where one cannot be written."""
        import nir

        from neurocompile.contract import contract_to_toml
        from neurocompile.data.rasters import write_whole

        path = Path(path)
        beside = contract_path(path)
        text = contract_to_toml(self.contract)
        write_whole(path, lambda part: nir.write(str(part), self.graph))
        write_whole(beside, lambda part: part.write_bytes(text.encode()))
        return beside


def contract_path(model: Path) -> Path:
    """Where the contract of a model is written. Raises E208 if that is the model itself."""
    beside = model.with_suffix(".toml") if model.name else model
    if beside == model:
        raise fail("E208", str(model), "the contract is written beside the model, as .toml",
                   hint="name the model, for example model.nir")
    return beside


def convert(source: str | Path, *, compare: Literal["gt", "ge"] | None = None,
            dt_s: float | None = None, input_shape: Shape | None = None, average: bool = True,
            limits: ReadLimits = _DEFAULT_LIMITS) -> Conversion:
    """Convert a ``.net`` file.

    ``compare``: does a neuron spike at v > threshold ("gt", as Lava and Loihi do; the default) or
    at v >= threshold. ``dt_s``: seconds a step, 1e-3 if not stated; decays are per step, so it
    changes no integer. ``input_shape``: (channels, height, width), for files that begin with a
    convolution and have no input layer. ``average``: is an average layer part of the network, as
    the sum of each group, or left to the reader. What was chosen is among the diagnostics. Raises
    ``CompileError`` with every finding (E1xx) if the file is not converted exactly.
    """
    diagnostics = Diagnostics()
    path = Path(source)
    chain = _chain(path, _checked(compare, dt_s, input_shape, limits), input_shape,
                   Budget(limits, diagnostics), diagnostics, average)
    diagnostics.raise_if_errors()
    if compare is None:
        diagnostics.add("I130", "compare", "the file does not say whether v = threshold is a "
                        "spike; it is not on Lava and Loihi", got='compare = "gt"',
                        hint="--compare ge for a network run with v >= threshold")
    if dt_s is None:
        diagnostics.add("I130", "dt_s", "the file has no time step; decays are per step",
                        got=f"dt_s = {_DT_S}", hint="--dt SECONDS changes no integer")
    if chain.averaged:
        message = "averages are read as sums, which stay whole" if average else \
            "the average is left to the reader: the output are the spikes before it"
        diagnostics.add("I131", chain.last, message, got=f"groups of {chain.averaged} neurons",
                        hint=f"add up each {chain.averaged} and divide by {chain.averaged}"
                        if not average else f"divide by {chain.averaged}; --no-average leaves "
                        "them out, for chips that read no memoryless sum (Loihi)")
    return Conversion(_graph(chain), _contract(compare, dt_s), tuple(chain.layers),
                      tuple(diagnostics))


def _checked(compare: str | None, dt_s: float | None, input_shape: Shape | None,
             limits: ReadLimits) -> float:
    """The step in seconds. Raises E208 for options that no conversion has."""
    found = Diagnostics()
    if compare not in (None, "gt", "ge"):
        found.add("E208", "--compare", "there is no such comparison", got=compare,
                  limit="gt or ge")
    if dt_s is not None and not 0 < dt_s < 1e6:
        found.add("E208", "--dt", "is not a length of a step", got=dt_s, limit="above 0 s")
    if input_shape is not None and (not 1 <= len(input_shape) <= 3 or min(input_shape) < 1
                                    or n_elements(input_shape) > limits.max_neurons):
        found.add("E208", "--input-shape", "is not a shape of inputs",
                  got=",".join(map(str, input_shape)), limit="C,H,W or N, each at least 1")
    found.raise_if_errors()
    return _DT_S if dt_s is None else dt_s


def _chain(path: Path, dt_s: float, input_shape: Shape | None, budget: Budget,
           diagnostics: Diagnostics, average: bool) -> Chain:
    from neurocompile.frontends.lava_dl.chain import Chain

    chain = Chain(dt_s, input_shape, keep_average=average)
    layers = read_layers(path, budget, diagnostics)
    known = True  # is the signal that reaches the next layer known?
    for i, raw in enumerate(layers):
        known = _layer(i, raw, i == len(layers) - 1, known, chain, budget, diagnostics)
    if layers and not chain.layers and not any(d.is_error for d in diagnostics):
        diagnostics.add("E130", shown(path.name), "the file has no layer with neurons")
    return chain


def _layer(i: int, raw: RawNode, is_last: bool, known: bool, chain: Chain, budget: Budget,
           diagnostics: Diagnostics) -> bool:
    """Append a layer; False if it was refused. Then later layers are checked by themselves."""
    from neurocompile.frontends.lava_dl import layers, spatial  # noqa: F401, they fill the table
    from neurocompile.frontends.lava_dl.chain import IMPORTERS, Chain

    subject, kind = f"layer/{i}", raw.type
    if kind is None:
        return False
    if kind not in IMPORTERS:
        diagnostics.add("E131", subject, "the layer is not supported", got=shown(kind),
                        limit=", ".join(sorted(IMPORTERS)),
                        hint="train or export the network without it")
        return False
    if kind == "average" and not is_last:
        diagnostics.add("E135", subject, "an average can only be the last layer: what it sends "
                        "are values, not spikes", hint="put neurons before it, as a dense layer")
        return False
    fields = Fields(subject, raw, budget, diagnostics)
    if not known:
        # What arrives is unknown: take whatever the layer says of itself, to find its problems.
        chain = Chain(chain.dt_s, None, blind=True)
    try:
        IMPORTERS[kind](fields, chain, f"layer{i}")
    except Refused as refused:
        fields.add(refused.code, refused.message, got=refused.got, limit=refused.limit,
                   hint=refused.hint)
    if not fields.failed:
        fields.report_unused()
    return known and not fields.failed


def _graph(chain: Chain) -> nir.NIRGraph:
    import nir
    import numpy as np

    assert chain.shape is not None  # without errors there is a layer
    chain.append("output", nir.Output({"output": np.array(chain.shape)}), chain.shape)
    # nir computes the shapes of grouped convolutions and odd kernels wrongly: its check is off.
    return nir.NIRGraph(chain.nodes, chain.edges, type_check=False)


def _contract(compare: Literal["gt", "ge"] | None, dt_s: float | None) -> Contract:
    from neurocompile.contract import load_contract

    preset = load_contract("lava-dl", dt_s=_DT_S if dt_s is None else dt_s)
    return replace(preset, compare=compare or "gt", integer_scale=INTEGER_SCALE,
                   inputs={"*": InputBinding("spikes")})
