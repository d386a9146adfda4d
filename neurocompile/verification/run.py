"""Runs backends side by side on a user's own network and data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from neurocompile.backend import Backend, Level, at_level, load_backend
from neurocompile.data import Dataset
from neurocompile.diagnostics import Diagnostics, fail
from neurocompile.ir.mapping import Mapping
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.reference.encode import encode_inputs
from neurocompile.reference.integer import Probes
from neurocompile.verification.compare import RunComparison
from neurocompile.verification.evaluate import grids
from neurocompile.verification.report import VerificationReport

_CHUNK_BYTES = 256 << 20  # of recorded states held for each backend


def verify(mapping: Mapping, data: Dataset, backends: Sequence[str],
           progress: Callable[[int], None] | None = None,
           level: Level | None = None) -> tuple[VerificationReport, ...]:
    """One report for each backend after the first, which is the reference of the comparison.

    ``level``: of the backends that have levels.

    Compares u, v and s of every population at every step of every sample. Raises ``CompileError``:
    E803 (fewer than two backends), E875 (level), and what a backend's ``check`` finds.
    """
    if len(backends) < 2 or len(set(backends)) != len(backends):
        raise fail("E803", "backends", "a comparison needs two different backends",
                   got=", ".join(backends), hint="for example --backends reference,simulator")
    loaded = at_level([load_backend(name) for name in backends], level)
    found = Diagnostics()
    for backend in loaded:
        found.extend(backend.check(mapping))
    found.raise_if_errors()
    network = mapping.quantized
    comparisons = [RunComparison(network, loaded[0].name, b.name) for b in loaded[1:]]
    size = _samples_at_once(network, data.n_steps)
    for start in range(0, data.n_samples, size):
        part = data.samples(start, start + size)
        _compare_part(mapping, part, loaded, comparisons, start)
        if progress is not None:
            progress(min(data.n_samples, start + size))
    return tuple(c.report() for c in comparisons)


def _samples_at_once(network: QuantizedNetwork, n_steps: int) -> int:
    neurons = sum(p.n for p in network.populations if p.role != "source")
    return max(1, _CHUNK_BYTES // max(1, 12 * neurons * (n_steps + network.latency)))


def _compare_part(mapping: Mapping, part: Dataset, backends: Sequence[Backend],
                  comparisons: Sequence[RunComparison], start: int) -> None:
    encoded = encode_inputs(mapping.quantized, grids(part), part.n_steps)
    probes = Probes.everything(mapping.quantized)
    reference = backends[0].run(mapping, encoded, probes)
    for backend, comparison in zip(backends[1:], comparisons, strict=True):
        comparison.add(reference, backend.run(mapping, encoded, probes), start)
