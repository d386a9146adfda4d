"""Networks behind AXI: the protocols of the buses under cocotb and Icarus."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from program_factory import given, placed
from test_rtl_uart import random_network

from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.passes.assemble import Assemble
from neurocompile.reference.encode import EncodedInput
from neurocompile.reference.integer import IntegerRun, Probes, run_integer
from neurocompile_backends.rtl.emit.axi import AXI_MODULES, axi_files, in_bytes, word_bits
from neurocompile_backends.rtl.host.words import words_of
from neurocompile_backends.rtl.plan.chip import plan_chip
from neurocompile_backends.rtl.plan.cycles import count_cycles
from neurocompile_backends.rtl.plan.design import ChipPlan
from neurocompile_backends.rtl.profile import counted_sample
from neurocompile_backends.rtl.simulate.run import places_of
from neurocompile_backends.rtl.simulate.verilator import write_design

N_SAMPLES, N_STEPS = 3, 6
BENCH = Path(__file__).parent / "axi_bench.py"
NAMES = re.findall(r"@cocotb\.test\(\)[^(]*(?:\([^)]*\)\s)?async def (\w+)", BENCH.read_text())
SHARES = (0.25, 0.7)


@dataclass(frozen=True, eq=False)
class Case:
    quantized: QuantizedNetwork
    plan: ChipPlan
    encoded: EncodedInput
    run: IntegerRun
    """Of the reference, all populations."""

    @staticmethod
    def of(quantized: QuantizedNetwork, plan: ChipPlan, encoded: EncodedInput) -> Case:
        names = tuple(p.name for p in quantized.populations if p.role != "source")
        return Case(quantized, plan, encoded, run_integer(quantized, encoded, Probes(names)))

    def words(self, sample: int) -> npt.NDArray[np.uint64]:
        return words_of(self.plan, self.encoded, sample, self.run.n_steps)

    def expected(self, sample: int) -> list[tuple[list[tuple[int, int]], int]]:
        """By step: what the host gets, sorted, and the cycles of the model."""
        cycles = counted_sample(self.plan, places_of(self.plan), self.encoded, sample, self.run,
                                sample).cycles
        steps = []
        for step in range(self.run.n_steps):
            beats = [(first + int(i), int(self.run.s[name][sample, step, i]))
                     for name, first in self.plan.outputs.items()
                     for i in np.flatnonzero(self.run.s[name][sample, step])]
            steps.append((sorted(beats), int(cycles[step])))
        return steps


def simulate(case: Case, folder: Path) -> dict[str, ElementTree.Element]:
    """Run ``axi_bench`` on a case; its tests by name."""
    from cocotb_tools.runner import get_runner

    files = axi_files(case.plan)
    write_design(files, folder)
    axi = json.loads(files["rtl.json"])["axi"]
    (folder / "case.json").write_text(json.dumps({
        "words": [case.words(i).tolist() for i in range(case.encoded.n_samples)],
        "expected": [case.expected(i) for i in range(case.encoded.n_samples)],
        "in_bytes": in_bytes(case.plan), "cores": len(case.plan.cores),
        "network": axi["network"],
        "widths": [word_bits(case.plan), case.plan.axon_bits, case.plan.payload_bits]}))
    runner = get_runner("icarus")
    log = folder / "log"
    runner.build(sources=[folder / f"hdl/{name}.v" for name in AXI_MODULES],
                 hdl_toplevel="nc_axi_top", build_dir=folder / "sim", build_args=["-g2005"],
                 timescale=("1ns", "1ps"), log_file=log)
    path = os.pathsep.join(str(p) for p in (BENCH.parent, *sys.path) if p)
    results = folder / "results.xml"
    with suppress(SystemExit):  # where tests failed; which, is in the results
        runner.test(test_module="axi_bench", hdl_toplevel="nc_axi_top", seed=1,
                    build_dir=folder / "sim", test_dir=folder, log_file=log,
                    results_xml=str(results),
                    extra_env={"NC_AXI_CASE": str(folder), "PYTHONPATH": path,
                               "COCOTB_LOG_LEVEL": "WARNING"})
    return {test.attrib["name"]: test for test in ElementTree.parse(results).iter("testcase")}


@dataclass(frozen=True, eq=False)
class Bench:
    case: Case
    folder: Path
    tests: dict[str, ElementTree.Element]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Three cores that send to each other; every protocol in one run of Icarus."""
    if shutil.which("iverilog") is None:
        pytest.skip("cocotb runs in Icarus, which is not installed: apt-get install iverilog")
    quantized = random_network(1)
    plan = plan_chip(Assemble().run(placed(quantized, 10)), quantized)
    assert len(plan.cores) == 3
    case = Case.of(quantized, plan, given(quantized, N_SAMPLES, N_STEPS))
    folder = tmp_path_factory.mktemp("axi")
    return Bench(case, folder, simulate(case, folder))


@pytest.mark.parametrize("name", NAMES)
def test_the_buses_keep_their_protocols(bench: Bench, name: str) -> None:
    ran = {n: test for n, test in bench.tests.items() if n.partition("/")[0] == name}
    assert ran, (bench.folder / "log").read_text()
    failed = [f"{n}: {e.attrib['message']}" for n, test in ran.items()
              for e in (*test.iter("failure"), *test.iter("error"))]
    assert not failed, (bench.folder / "log").read_text()


@pytest.mark.parametrize("share", SHARES)
def test_cycles_are_those_of_the_model_given_when_words_came_and_went(bench: Bench,
                                                                     share: float) -> None:
    """The model fed with the cycles in which the streams had a word and took one. Without them it
    says something else: the stalls were there."""
    seen = np.load(bench.folder / f"stalled-{share}.npz")
    case = bench.case
    spikes = np.zeros((N_SAMPLES, case.run.n_steps, sum(c.neurons for c in case.plan.cores)),
                      np.int32)
    for population, element, slot in places_of(case.plan):
        spikes[:, :, slot] = case.run.s[population][:, :, element]
    taken = np.flatnonzero(seen["taken"])
    at, changed = 0, False
    for sample in range(N_SAMPLES):
        words = case.words(sample)
        begin = int(taken[at])
        at += len(words)
        counted = count_cycles(case.plan, words, spikes[sample], offered=seen["given"][begin:],
                               taking=seen["taking"][begin:])
        np.testing.assert_array_equal(counted.cycles, seen["cycles"][sample])
        assert counted.cycles.sum() == taken[at - 1] - taken[at - len(words)]
        changed |= counted.cycles.tolist() != [cycles for _, cycles in case.expected(sample)]
    assert at == len(taken)
    assert changed
