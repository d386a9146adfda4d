"""How long a step takes on a chip: the rules of docs/timing.md, simulated or estimated.

``layout`` makes the tables of a placed network's mesh, ``network`` simulates every flit of a step
on them, ``estimate`` bounds the step without doing so.
"""

from __future__ import annotations
