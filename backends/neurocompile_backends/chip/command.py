"""What ``neurocompile profile`` does: assemble, run, and write what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from neurocompile.data import Dataset
from neurocompile.data.rasters import write_arrays
from neurocompile.ir.mapping import Mapping
from neurocompile.reference.encode import encode_inputs
from neurocompile.verification.evaluate import grids
from neurocompile_backends.chip.backend import assembled
from neurocompile_backends.chip.checkpoint import Checkpoint, identity, read_checkpoint
from neurocompile_backends.chip.load import load
from neurocompile_backends.chip.profile import arrays, profile, summary
from neurocompile_backends.chip.trace import Trace


def run_profile(mapping: Mapping, data: Dataset, *, timing: str, every: int, save: Path | None,
                trace: Path | None, checkpoint: Path | None, resume: Path | None,
                progress: Callable[[int], None] | None) -> dict[str, Any]:
    """See ``neurocompile.api.profile``."""
    program = assembled(mapping)
    loaded = load(program)
    encoded = encode_inputs(mapping.quantized, grids(data), data.n_steps)
    wanted = identity(program, encoded, timing) if checkpoint or resume else ""
    program = loaded.program  # the images are let go
    saved = read_checkpoint(resume, wanted) if resume else None
    with ExitStack() as stack:
        writer = stack.enter_context(Trace(trace, program, timing)) if trace else None
        keeper = Checkpoint(checkpoint, every, wanted) if checkpoint else None
        measured = profile(loaded, mapping.quantized, encoded, timing=timing, trace=writer,
                           checkpoint=keeper, resume=saved, progress=progress)
    if save is not None:
        write_arrays(save, arrays(measured))
    return summary(measured)
