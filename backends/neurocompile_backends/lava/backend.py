"""The backend: what of a network Lava can say, the program, and its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile.backend import Bundle
from neurocompile.diagnostics import Diagnostic, Diagnostics, fail
from neurocompile.ir.mapping import Mapping as CoreMapping
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.floating import Progress
from neurocompile.reference.integer import IntegerRun, Probes


class LavaBackend:
    """Emits a Lava program, and runs it in an interpreter that has lava-nc."""

    name = "lava"
    takes_teacher = False

    def check(self, mapping: CoreMapping) -> list[Diagnostic]:
        """Everything Lava cannot say of the network (docs/lava.md)."""
        from neurocompile_backends.lava.check import check

        return check(mapping.quantized)

    def emit(self, mapping: CoreMapping) -> Bundle:
        """program.py, support.py, network.npz, README.md, requirements.txt. The mapping onto
        cores is Lava's own affair. Raises ``CompileError`` with what ``check`` finds."""
        from neurocompile_backends.lava.emit import emit

        _raise_errors(self.check(mapping))
        return emit(mapping.quantized)

    def run(self, mapping: CoreMapping, encoded: EncodedInput, probes: Probes, *,
            teacher: Mapping[str, npt.NDArray[np.integer[Any]]] | None = None,
            progress: Progress | None = None) -> IntegerRun:
        """Run the emitted program. Raises ``CompileError``: E815 (a teacher), and what
        :func:`run_lava` does."""
        if teacher:
            raise fail("E815", "lava", "Lava runs whole networks, not layers on given spikes",
                       got=", ".join(sorted(teacher)), hint="use the simulator for that")
        return run_lava(mapping.quantized, encoded, probes, progress=progress)


def run_lava(network: QuantizedNetwork, encoded: EncodedInput, probes: Probes, *,
             progress: Progress | None = None) -> IntegerRun:
    """Run a network in Lava; the mapping onto cores is Lava's own affair. Raises ``CompileError``:
    E820 (no interpreter), E823 and E824 (it failed or hung), E826 (no place for its files), and
    what ``check`` finds."""
    from neurocompile_backends.lava.check import check
    from neurocompile_backends.lava.emit import emit
    from neurocompile_backends.lava.environment import interpreter
    from neurocompile_backends.lava.worker import run_program

    _raise_errors(check(network))
    python = interpreter()
    role = {p.name: p.role for p in network.populations}
    # A population that does not spike sends nothing: what is read of it is its membrane.
    kinds = {(name, "s"): "v" if role[name] == "analog" else "s" for name in probes.s
             if role[name] != "source"}
    kinds |= {(name, "u"): "u" for name in probes.u} | {(name, "v"): "v" for name in probes.v}
    wanted = sorted({f"{name}:{lava}" for (name, _), lava in kinds.items()})
    recorded = run_program(python, emit(network), encoded, wanted, progress)
    run = IntegerRun(encoded.n_steps + network.latency)
    for (name, kind), lava in kinds.items():
        getattr(run, kind)[name] = recorded[f"{name}:{lava}"]
    for name in probes.s:
        if role[name] == "source":  # what was sent is what was given
            sent = np.zeros((encoded.n_samples, run.n_steps, network.population(name).n),
                            np.int32)
            sent[:, :encoded.n_steps] = encoded.payloads[name]
            run.s[name] = sent
    if progress is not None:
        progress(encoded.n_samples)
    return run


def _raise_errors(found: list[Diagnostic]) -> None:
    findings = Diagnostics()
    findings.extend(found)
    findings.raise_if_errors()


backend = LavaBackend()
