"""What Lava makes of mistakes: refused at once, failed in the run, or a wait without end.

Each in a process group of its own, all of which is ended. docs/lava.md names these tests.
"""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest
from lava_runs import LONGEST_S, SCRIPTS, started

MISTAKES = SCRIPTS / "mistakes" / "mistakes.py"
PATIENCE_S = 5
"""A run of two steps takes about 0.1 s; one that has not ended so much later is taken to hang."""


def outcome(name: str, folder: Path) -> tuple[str, str]:
    """How it ended ("stopped", "failed", "refused", "hangs"), and what was said.

    The clock of a hang starts when the run does, so that a slow start is none.
    """
    with started([str(MISTAKES), name], folder) as process:
        said: list[str] = []
        running, ended = threading.Event(), threading.Event()

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line)
                if line == "run\n":
                    running.set()
            running.set()
            ended.set()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        assert running.wait(LONGEST_S)
        began = "run\n" in said
        try:
            process.wait(PATIENCE_S if began else LONGEST_S)
        except subprocess.TimeoutExpired:
            return "hangs", "".join(said)
        ended.wait(LONGEST_S)
    if process.returncode == 0:
        return "stopped", "".join(said)
    return "failed" if began else "refused", "".join(said)


def test_what_is_no_mistake_runs_and_stops(tmp_path: Path) -> None:
    """The others would show nothing if everything failed."""
    assert outcome("nothing", tmp_path)[0] == "stopped"


@pytest.mark.parametrize("name", ["delay_63", "delay_63_sparse", "conv_geometry_127"])
def test_the_longest_delay_and_the_largest_geometry_run(name: str, tmp_path: Path) -> None:
    assert outcome(name, tmp_path)[0] == "stopped"


@pytest.mark.parametrize(("name", "message"), [
    ("interval_0", "Reset interval must be > 0"),
    ("flat_weights", "expects a 2D matrix"),
    ("delay_negative", "only positive values"),
    ("delays_int32", "expects integer value"),
    ("delays_int32_sparse", "expects integer value"),
    ("set_before_run", "No Runtime available yet"),
    ("connect_of_wrong_shape", "Shapes (3,) and (2,) are incompatible"),
])
def test_some_mistakes_are_refused_before_the_run(name: str, message: str,
                                                  tmp_path: Path) -> None:
    """Delays have to be int64: of 32 bits they count as no integers."""
    how, said = outcome(name, tmp_path)
    assert how == "refused"
    assert message in said


def test_a_refractory_neuron_has_no_fixed_point_model(tmp_path: Path) -> None:
    how, said = outcome("refractory", tmp_path)
    assert how == "failed"
    assert "No ProcessModels found with tag 'fixed_pt'" in said
    assert "LIFRefractory" in said


def test_a_monitor_takes_one_quantity(tmp_path: Path) -> None:
    """The second has no place in its model."""
    how, said = outcome("monitor_of_two", tmp_path)
    assert how == "failed"
    assert "PyMonitorModel" in said


@pytest.mark.parametrize("name", ["float_du", "float_vth", "conv_stride_128", "conv_padding_128",
                                  "conv_kernel_128", "conv_dilation_128"])
def test_a_model_that_raises_ends_the_run_if_nobody_waits_for_it(name: str,
                                                                 tmp_path: Path) -> None:
    """A float where a register is declared, and geometry that wraps in int8."""
    how, said = outcome(name, tmp_path)
    assert how == "failed"
    assert "RuntimeError: 1 Exception(s) occurred" in said


@pytest.mark.parametrize("name", ["float_du_with_a_listener", "delay_64", "delay_64_sparse",
                                  "bias_of_wrong_shape", "set_of_wrong_shape"])
def test_a_run_hangs_if_somebody_waits_for_a_model_that_raised(name: str,
                                                               tmp_path: Path) -> None:
    """Another process for its output, or the runtime for its start or its answer."""
    how, said = outcome(name, tmp_path)
    assert how == "hangs", said


NEIGHBOUR = """
from pathlib import Path
with Path(__file__).with_name("executed").open("a") as file:
    file.write(__name__ + chr(10))
"""
PROGRAM = """
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.lif.process import LIF
from {package} import Probe

if __name__ == "__main__":
    import numpy as np
    np.save("0.npy", np.zeros((1, 1), np.int32))
    lif = LIF(shape=(1,))
    Probe(port=lif.s_out, states=[], files=["0.npy"])
    lif.run(condition=RunSteps(num_steps=1), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    lif.stop()
"""


def _beside(folder: Path, process: Path) -> list[str]:
    """The names under which a file beside program.py was executed."""
    process.parent.mkdir(parents=True, exist_ok=True)
    process.write_text((SCRIPTS / "primitives" / "probe" / "__init__.py").read_text())
    package = "chosen" if process.name == "__init__.py" else process.stem
    (folder / "program.py").write_text(PROGRAM.format(package=package))
    (folder / "neighbour.py").write_text(NEIGHBOUR)
    with started([str(folder / "program.py")], folder) as program:
        said, _ = program.communicate(timeout=LONGEST_S)
    assert program.returncode == 0, said
    executed = folder / "executed"
    return executed.read_text().split() if executed.exists() else []


def test_every_file_beside_the_module_of_a_process_is_executed(tmp_path: Path) -> None:
    """Although nothing imports it."""
    assert "neighbour" in " ".join(_beside(tmp_path, tmp_path / "chosen.py"))


def test_a_folder_of_its_own_keeps_a_process_from_that(tmp_path: Path) -> None:
    assert _beside(tmp_path, tmp_path / "chosen" / "__init__.py") == []
