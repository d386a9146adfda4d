"""Neuron models: one file each, with parameters in SI units, equation and discretization.

On a chip they all run on one machine step, ``neurocompile.models.machine``.
"""

from neurocompile.models.cuba import CubaLI, CubaLIF
from neurocompile.models.integrator import IF, Integrator
from neurocompile.models.lif import LI, LIF
from neurocompile.models.stateless import Source, Sum, Threshold

Model = LIF | CubaLIF | LI | CubaLI | IF | Integrator | Threshold | Sum | Source

__all__ = ["IF", "LI", "LIF", "CubaLI", "CubaLIF", "Integrator", "Model", "Source", "Sum",
           "Threshold"]
