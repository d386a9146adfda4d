"""A process that writes one port and some states of any other process into files, a row a step.

It has a folder to itself because Lava executes every .py file beside the one that defines a
process. Runs in Lava's interpreter.
"""

from __future__ import annotations

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

N_STATES = 4


class Probe(AbstractProcess):
    """``port`` and ``states`` are recorded into ``files``: one .npy for the port, then one for
    each state. ``tie`` has no meaning; it connects experiments, so that Lava runs them together.
    """

    def __init__(self, *, port, states, files):
        super().__init__(files=[str(path) for path in files])
        self.tie = InPort(shape=(1,))
        self.port = InPort(shape=port.shape)
        port.connect(self.port)
        for i in range(N_STATES):
            ref = RefPort(shape=states[i].shape if i < len(states) else (1,))
            setattr(self, f"state_{i}", ref)
            if i < len(states):
                ref.connect_var(states[i])


@implements(proc=Probe, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyProbe(PyLoihiProcessModel):
    tie: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    port: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    state_0: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    state_1: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    state_2: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    state_3: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        first, *others = (np.load(path, mmap_mode="r+") for path in proc_params["files"])
        self.sent, self.states = first, others

    def run_spk(self):
        self.tie.recv()
        self.sent[self.time_step - 1] = self.port.recv()

    def post_guard(self):
        return bool(self.states)

    def run_post_mgmt(self):
        """After every process took its step."""
        for i, rows in enumerate(self.states):
            rows[self.time_step - 1] = getattr(self, f"state_{i}").read()
