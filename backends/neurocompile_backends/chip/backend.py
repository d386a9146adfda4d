"""The backend: assembles the mapping, checks what it assembled, writes it and runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile.backend import Bundle
from neurocompile.diagnostics import Diagnostic, Diagnostics, fail
from neurocompile.ir.mapping import Mapping as CoreMapping
from neurocompile.ir.program import Program
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.floating import Progress
from neurocompile.reference.integer import IntegerRun, Probes

CHECKED_SYNAPSES = 50_000_000
"""Programs of more synapses are not read back when they are written: that unfolds each once."""


class ChipBackend:
    """Executes the assembled program core by core; Numba is loaded at the first run."""

    name = "chip"
    takes_teacher = False

    def check(self, mapping: CoreMapping) -> list[Diagnostic]:
        """Every mapping that fits its target can be assembled, where words are whole bytes."""
        found = Diagnostics()
        bits = mapping.target.core.synapse_word_bits
        if bits % 8:
            found.add("E849", mapping.target.name, "images hold words of whole bytes",
                      got=f"core.synapse_word_bits = {bits}", limit="a multiple of 8")
        return list(found)

    def emit(self, mapping: CoreMapping) -> Bundle:
        """program.json, images.npz, README.md. The program is read back from its images and
        compared with the mapping first. Raises ``CompileError``: what ``check`` finds, and E550 to
        E553 for a difference, which would be a mistake of the assembler."""
        from neurocompile.verification.program import check_program
        from neurocompile_backends.chip.files import to_files

        program = assembled(mapping)
        if sum(q.transform.n_synapses for q in mapping.quantized.projections) <= CHECKED_SYNAPSES:
            found = Diagnostics()
            found.extend(check_program(program, mapping))
            found.raise_if_errors()
        return Bundle(self.name, to_files(program))

    def run(self, mapping: CoreMapping, encoded: EncodedInput, probes: Probes, *,
            teacher: Mapping[str, npt.NDArray[np.integer[Any]]] | None = None,
            progress: Progress | None = None) -> IntegerRun:
        """Run the assembled program, without timing. Raises ``CompileError``: E843 (a teacher),
        and what ``check`` finds."""
        from neurocompile_backends.chip.load import load
        from neurocompile_backends.chip.run import run_program

        if teacher:
            raise fail("E843", "chip", "programs run whole, not layer by layer on given spikes",
                       got=", ".join(sorted(teacher)), hint="use the simulator for that")
        return run_program(load(assembled(mapping)), encoded, probes, progress=progress)


backend = ChipBackend()


def assembled(mapping: CoreMapping) -> Program:
    """The program of a mapping. Raises ``CompileError`` with what the backend's check finds."""
    from neurocompile.passes.assemble import Assemble

    found = Diagnostics()
    found.extend(backend.check(mapping))
    found.raise_if_errors()
    return Assemble().run(mapping)
