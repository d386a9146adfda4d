"""Every example runs as its first lines say, in a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = sorted(p.name for p in EXAMPLES.iterdir() if p.suffix in (".py", ".sh"))


def run_example(name: str, folder: Path) -> str:
    command = "sh" if name.endswith(".sh") else sys.executable
    # The scripts of this environment come first, as in an activated one.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run([command, str(EXAMPLES / name)], cwd=folder, text=True, timeout=300,
                          capture_output=True, check=False, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def accuracies(text: str) -> tuple[float, float]:
    found = re.search(r"accuracy: float ([\d.]+)%, [^;\n]*?([\d.]+)%", text)
    assert found is not None, text
    return float(found[1]), float(found[2])


def test_every_example_is_run_by_a_test() -> None:
    assert PROGRAMS == ["custom_target.py", "digits.py", "spoken_digits.sh"]


def test_digits_keep_their_accuracy(tmp_path: Path) -> None:
    text = run_example("digits.py", tmp_path)
    assert "simulator against reference: PASS" in text
    exact, quantized = accuracies(text)
    assert exact == pytest.approx(97.78)
    assert abs(exact - quantized) <= 1.0
    assert (tmp_path / "digits-build" / "manifest.json").is_file()


def test_custom_target_needs_nothing_but_its_file(tmp_path: Path) -> None:
    text = run_example("custom_target.py", tmp_path)
    assert "E404 my-chip" in text
    assert "my-chip: 3 of 16 cores" in text
    exact, quantized = accuracies(text)
    assert abs(exact - quantized) <= 1.0


def test_spoken_digits_go_the_whole_way_on_the_command_line(tmp_path: Path) -> None:
    text = run_example("spoken_digits.sh", tmp_path)
    assert "fsdd_rcubalif_snntorch.nir fits loihi1" in text
    assert "PASS simulator against reference" in text
    exact, quantized = accuracies(text)
    assert exact == pytest.approx(85.67)
    assert quantized >= exact - 1.0
    with np.load(tmp_path / "spoken-digits" / "run.npz") as run:
        steps = 64 + int(run["latency"])
        assert run["output"].shape == (20, steps, 10)
        assert run["lif1.lif:v"].shape == (20, steps, 96)
