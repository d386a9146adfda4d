"""Records Lava anew: the archive in tests/golden/lava. `make record-lava`; read the diff of git.

Needed only where an experiment or a network was added: what is there already must not change, and
tests prove that it does not.
"""

from __future__ import annotations

import lava_runs

if __name__ == "__main__":
    lava_runs.write(lava_runs.PRIMITIVES, lava_runs.record_primitives())
