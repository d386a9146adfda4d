"""How long ``import neurocompile`` takes, against ``import numpy`` in the same minute.

    python benchmarks/import_time.py

Each figure is the median of 7 fresh processes, timed inside (the interpreter's own start is not
part of it), after one that warms the file cache. The three are taken in turn, so that a busy
machine slows all of them alike. The goal is for the import; ``api`` is with the first use of the
calls, which loads numpy and the phases.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

from _common import write_result

RUNS = 7
GOAL_S = 0.5
STATEMENTS = {
    "neurocompile": "import neurocompile",
    "api": "import neurocompile as nc; nc.load, nc.compile, nc.simulate, nc.verify, nc.evaluate",
    "numpy": "import numpy",
}


def seconds(statement: str) -> float:
    """The time a fresh process takes for a statement."""
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for statement in STATEMENTS.values():
        seconds(statement)
    for _ in range(RUNS):
        for name, statement in STATEMENTS.items():
            times[name].append(seconds(statement))
    medians = {name: statistics.median(values) for name, values in times.items()}
    write_result("import_time", {
        "runs": RUNS, "goal_s": GOAL_S, "median_s": medians,
        "range_s": {name: [min(values), max(values)] for name, values in times.items()},
        "ratio_to_numpy": {name: medians[name] / medians["numpy"]
                           for name in ("neurocompile", "api")},
        "goal_met": medians["neurocompile"] < GOAL_S})


if __name__ == "__main__":
    main()
