"""The NIR front end: a .nir file or a ``nir.NIRGraph`` becomes a :class:`Network`.

Files are read defensively (``hdf5.py``), nodes imported one by one (``nodes.py``), subgraphs
flattened (``flatten.py``), shapes inferred (``shapes.py``) and linear nodes gathered into
projections (``graph.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neurocompile.diagnostics import Diagnostic, Diagnostics
from neurocompile.frontends.flatten import flatten
from neurocompile.frontends.nodes import import_node
from neurocompile.frontends.raw import Budget, RawGraph, ReadLimits, shown
from neurocompile.ir.network import Network

if TYPE_CHECKING:
    import nir

__all__ = ["ReadLimits", "load_nir"]

_DEFAULT_LIMITS = ReadLimits()


def load_nir(source: Path | str | nir.NIRGraph, *, name: str | None = None,
             limits: ReadLimits = _DEFAULT_LIMITS) -> tuple[Network, tuple[Diagnostic, ...]]:
    """Read a network. Returns it with all warnings (W1xx) and notes (I1xx).

    Shapes are those of the file, without a batch axis; times in seconds. Weights keep float32 or
    float64, neuron parameters become float64. Raises ``CompileError`` with every finding
    (E101..E140, see ``frontends/codes.py``) if any of them is an error.
    """
    diagnostics = Diagnostics()
    budget = Budget(limits, diagnostics)
    raw, version = _read(source, budget, diagnostics)
    title = name or (shown(Path(source).name) if isinstance(source, (str, Path)) else "network")
    provenance = (("format", "nir"), ("version", version), ("name", title))
    network = None if raw is None else _convert(raw, budget, provenance, diagnostics)
    diagnostics.raise_if_errors()
    assert network is not None  # without errors there is a network
    return network, tuple(diagnostics)


def _read(source: Path | str | nir.NIRGraph, budget: Budget,
          diagnostics: Diagnostics) -> tuple[RawGraph | None, str]:
    if isinstance(source, (str, Path)):
        from neurocompile.frontends.hdf5 import read_file

        return read_file(Path(source), budget, diagnostics)
    import nir

    from neurocompile.frontends.objects import read_object

    if not isinstance(source, nir.NIRGraph):
        diagnostics.add("E103", type(source).__name__, "neither a path nor a NIRGraph",
                        hint="wrap a single node with nir.NIRGraph.from_list")
        return None, "unknown"
    return read_object(source, budget, diagnostics), str(nir.version)


def _convert(raw: RawGraph, budget: Budget, provenance: tuple[tuple[str, str], ...],
             diagnostics: Diagnostics) -> Network | None:
    # networkx takes longer to import than a small network to read.
    from neurocompile.frontends.graph import build_network
    from neurocompile.frontends.shapes import close_open_ends, infer_shapes
    from neurocompile.ir.check import check_network

    flat = flatten(raw, diagnostics)
    nodes = {n: import_node(n, node, budget, diagnostics) for n, node in sorted(flat.nodes.items())}
    if not flat.edges_lost:
        close_open_ends(flat, nodes, diagnostics)
    shaped = infer_shapes(flat, nodes, diagnostics)
    if any(d.is_error for d in diagnostics):
        return None
    network = build_network(flat, shaped, budget.limits, provenance, diagnostics)
    if network is not None:
        diagnostics.extend(check_network(network))
    return network
