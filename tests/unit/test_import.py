"""``import neurocompile`` is light: what is heavy is loaded when it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = ("numba", "h5py", "networkx", "scipy", "nir", "rich", "typer")


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import neurocompile") & {*HEAVY, "numpy"} == set()


def test_reaching_for_the_api_loads_numpy_and_nothing_heavy() -> None:
    loaded = loaded_after("import neurocompile as nc\nnc.load, nc.compile, nc.simulate, nc.verify, "
                          "nc.evaluate, nc.Build, nc.CompileError")
    assert "numpy" in loaded
    assert loaded & set(HEAVY) == set()


def test_command_line_starts_without_the_compiler() -> None:
    assert loaded_after("import neurocompile.cli") & {"numba", "h5py", "networkx", "scipy", "nir",
                                                      "numpy"} == set()
