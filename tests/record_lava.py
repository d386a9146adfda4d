"""Records Lava anew: the archive in tests/golden/lava. `make record-lava`; read the diff of git.

The networks and inputs that are archived are run again as they are. ``--anew`` compiles those of
tests/data and draws the random ones again, which is needed only if the text of a network can no
longer be read or one was added. ``--only NAME`` takes one part. What is there already must not
change, and tests prove that it does not.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "differential"))


def main() -> None:
    import contracts
    import lava_recordings as networks
    import lava_runs as runs

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--anew", action="store_true")
    random = ("random", "integers")
    parts = ["primitives", *random, *contracts.NETWORKS]
    parser.add_argument("--only", choices=parts)
    arguments = parser.parse_args()
    for part in [arguments.only] if arguments.only else parts:
        began = time.monotonic()
        if part == "primitives":
            runs.write(runs.PRIMITIVES, runs.record_primitives())
        elif not arguments.anew:
            networks.store(part, networks.recorded_again(part))
        else:
            networks.store(part, networks.drawn(part) if part in random
                           else networks.shipped(part))
        print(f"{part}: {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
