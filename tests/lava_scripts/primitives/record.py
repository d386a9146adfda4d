"""Runs all experiments in Lava and writes what they gave: record.py OUT.npz

The second argument, a folder, is where neurocompile's own Lava processes are (``support``).
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    out, bundle = sys.argv[1:]
    sys.path.append(bundle)
    import connections
    import neurons
    import numpy as np
    import sessions
    import timing
    from workbench import run_all

    found = run_all({**neurons.EXPERIMENTS, **connections.EXPERIMENTS, **timing.EXPERIMENTS})
    for name, experiment in sessions.EXPERIMENTS.items():
        found.update({f"{name}/{key}": np.asarray(v) for key, v in experiment().items()})
    np.savez(out, **found)
