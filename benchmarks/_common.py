"""What the drivers share: results as JSON, with the machine but nothing that names its owner."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def write_result(name: str, result: dict[str, Any]) -> Path:
    """Write ``results/NAME.json``: the figures and the machine they were measured on."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps({"benchmark": name, **result, "machine": machine()}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
    print(text)
    return path


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, and versions; no host name, no paths."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": _processor(), "cores": cores, "system": platform.system(),
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "numba", "neurocompile")}}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
