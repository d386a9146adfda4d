"""Phases are types: a wrong order of passes is one readable line of mypy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAD = """\
from neurocompile.ir.contract import Contract
from neurocompile.ir.discrete import DiscreteNetwork
from neurocompile.ir.mapping import Mapping
from neurocompile.ir.network import Network
from neurocompile.ir.quantized import QuantizedNetwork, ScheduledNetwork
from neurocompile.ir.target import TargetSpec
from neurocompile.passes.canonicalize import Canonicalize
from neurocompile.passes.discretize import Discretize
from neurocompile.passes.partition import Partition
from neurocompile.passes.quantize import Quantize
from neurocompile.passes.schedule import Schedule

"""
RIGHT = """
def right(network: Network, contract: Contract, target: TargetSpec) -> Mapping:
    discrete = Discretize(contract).run(Canonicalize().run(network))
    return Partition().run(Quantize().run(Schedule(target).run(discrete)))
"""
WRONG = {
    "Quantize().run(network)": ("Quantize", "Network", "ScheduledNetwork"),
    "Quantize().run(discrete)": ("Quantize", "DiscreteNetwork", "ScheduledNetwork"),
    "Partition().run(scheduled)": ("Partition", "ScheduledNetwork", "QuantizedNetwork"),
    "Discretize(contract).run(discrete)": ("Discretize", "DiscreteNetwork", "Network"),
    "Schedule(target).run(quantized)": ("Schedule", "QuantizedNetwork", "DiscreteNetwork"),
    "Canonicalize().run(discrete)": ("Canonicalize", "DiscreteNetwork", "Network"),
}
ARGUMENTS = ("network: Network, contract: Contract, target: TargetSpec, "
             "discrete: DiscreteNetwork, scheduled: ScheduledNetwork, "
             "quantized: QuantizedNetwork, mapping: Mapping")


def test_wrong_order_of_passes_is_one_readable_error_each_and_the_right_one_none(
        tmp_path: Path) -> None:
    # One run of mypy for all of them: most of its time goes into reading the package.
    snippet = HEAD + RIGHT
    lines = {}
    for number, call in enumerate(WRONG):
        snippet += f"\ndef wrong{number}({ARGUMENTS}) -> None:\n    {call}\n"
        lines[call] = snippet.count("\n")
    path = tmp_path / "snippet.py"
    path.write_text(snippet, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"),
         "--no-error-summary", "--hide-error-context", "--cache-dir", str(tmp_path / "cache"),
         str(path)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    errors = [line for line in result.stdout.splitlines() if ": error:" in line]
    assert result.returncode == 1, result.stdout + result.stderr
    assert len(errors) == len(WRONG), result.stdout
    for call, error in zip(WRONG, errors, strict=True):
        name, got, wanted = WRONG[call]
        assert f"snippet.py:{lines[call]}: " in error
        assert (f'Argument 1 to "run" of "{name}" has incompatible type "{got}"; '
                f'expected "{wanted}"') in error
