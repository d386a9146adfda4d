"""A design under Icarus Verilog: another simulator than Verilator, with values that are unknown."""

from __future__ import annotations

import re
import shutil
import tempfile
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurocompile.diagnostics import fail
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.integer import IntegerRun, Probes
from neurocompile_backends.rtl.emit.files import design_files, word_bits
from neurocompile_backends.rtl.host.words import loading_words, words_of
from neurocompile_backends.rtl.plan.design import ChipPlan
from neurocompile_backends.rtl.simulate.netlist import record_samples
from neurocompile_backends.rtl.simulate.run import Stalls
from neurocompile_backends.rtl.simulate.verilator import SampleRun, settling, write_design
from neurocompile_backends.rtl.synthesize.flow import run_tool

INSTALL = "apt-get install iverilog"
BENCH = "nc_icarus_bench.v"
LIMIT = 1 << 24
"""Cycles of all samples after which a design is taken to hang."""


def find_icarus() -> tuple[str, str]:
    """The compiler and the simulator. Raises ``CompileError`` (E865)."""
    found = shutil.which("iverilog"), shutil.which("vvp")
    if found[0] is None or found[1] is None:
        raise fail("E865", "iverilog", "this tool is not installed", hint=INSTALL)
    return found[0], found[1]


def run_icarus(plan: ChipPlan, network: QuantizedNetwork, encoded: EncodedInput, probes: Probes, *,
               stalls: Stalls | None = None) -> IntegerRun:
    """All samples one after another; recorded and ``checked`` is what ``netlist.run_netlist`` does.

    Raises ``CompileError``: E862 (the design hangs), E865 (no Icarus), E867 (it refuses the
    design, or it sends what is no number).
    """
    stalls = stalls or Stalls()
    total = encoded.n_steps + plan.program.latency
    words = [words_of(plan, encoded, sample, total) for sample in range(encoded.n_samples)]
    runs = simulate(plan, words, total, stalls)
    return record_samples(plan, network, encoded, probes, lambda sample, *_: runs[sample], stalls)


def simulate(plan: ChipPlan, samples: list[npt.NDArray[np.uint64]], steps: int,
             stalls: Stalls) -> list[SampleRun]:
    """Run samples of ``steps`` steps each; u, v and spikes inside are not seen. Raises as
    :func:`run_icarus`."""
    compiler, simulator = find_icarus()
    loading = loading_words(plan)
    words = np.concatenate([loading, *samples])
    parameters = {
        "WORD": word_bits(plan),
        "AXON": plan.axon_bits, "WORDS": len(words), "LOADING": len(loading),
        "SAMPLES": len(samples), "STEPS": steps, "SETTLE": settling(plan),
        "STALL_IN": stalls.host_in, "STALL_OUT": stalls.host_out, "SEED": stalls.seed,
        "LIMIT": LIMIT}
    bench = (resources.files("neurocompile_backends.rtl.simulate") / BENCH).read_bytes()
    with tempfile.TemporaryDirectory(prefix="neurocompile-icarus-") as name:
        work = Path(name)
        files = {**design_files(plan), f"sim/{BENCH}": bench,
                 "words.hex": "".join(f"{int(word):x}\n" for word in words).encode()}
        write_design(files, work)
        run_tool([compiler, "-g2005", "-Wall", "-Wno-timescale", "-o", "bench.vvp",
                  "-s", "nc_icarus_bench",
                  *(f"-Pnc_icarus_bench.{key}={value}" for key, value in parameters.items()),
                  *sorted(path for path in files if path.endswith(".v"))], work, "")
        said = run_tool([simulator, "-n", "bench.vvp"], work, "")
    return _read(said, len(samples), steps)


def _read(said: str, samples: int, steps: int) -> list[SampleRun]:
    *lines, last = said.splitlines()
    if last != "done":
        raise fail("E862", "iverilog", "the design hangs: a step did not end",
                   got=f"{LIMIT} cycles", hint="report it with its network")
    cycles = np.zeros((samples, steps), np.int64)
    sent: list[list[list[tuple[int, int]]]] = [[[] for _ in range(steps)] for _ in range(samples)]
    step = [0] * samples
    for line in lines:
        found = re.fullmatch(r"(\d+) ([01]) (\d+) (-?\d+)", line)
        if found is None:  # an x among the bits, or a warning
            raise fail("E867", "iverilog", "what the design sends is no number", got=line,
                       hint="report it with its network")
        sample, end, axon, value = (int(part) for part in found.groups())
        if end:
            cycles[sample, step[sample]] = value
            step[sample] += 1
        else:
            sent[sample][step[sample]].append((axon, value))
    nothing = np.zeros((steps, 0), np.int32)
    return [SampleRun(cycles[i], sent[i], nothing, nothing, nothing) for i in range(samples)]
