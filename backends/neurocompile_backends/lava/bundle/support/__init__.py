"""What every program written by neurocompile shares; ``program.py`` beside this folder holds the
network itself.

Needs lava-nc 0.10.0 (Python 3.10), numpy and scipy, which lava-nc brings along; nothing of
neurocompile.
"""

from .command import main
from .network import (
    Drive,
    Input,
    Network,
    Output,
    csr,
    csr_delays_of,
    delays_of,
    flat,
    into_chip,
    join,
    planes,
)
from .processes import PerNeuronLIFReset

__all__ = ["Drive", "Input", "Network", "Output", "PerNeuronLIFReset", "csr", "csr_delays_of",
           "delays_of", "flat", "into_chip", "join", "main", "planes"]
