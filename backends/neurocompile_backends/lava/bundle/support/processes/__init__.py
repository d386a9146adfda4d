"""Processes that Lava does not have. Alone in a folder: Lava executes every .py file beside the one
that defines a process, in search of its models."""

from __future__ import annotations

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import PyLifResetModelBitAcc
from lava.proc.lif.process import LIFReset


class PerNeuronLIFReset(LIFReset):
    """LIFReset whose neurons have decays and thresholds of their own.

    Lava's LIF holds one du, dv and vth a process. This changes their shapes and nothing else: the
    arithmetic is inherited from Lava's own bit-accurate model.
    """

    def __init__(self, *, shape, du, dv, vth, **other):
        super().__init__(shape=shape, **other)
        self.du = Var(shape=shape, init=du)
        self.dv = Var(shape=shape, init=dv)
        self.vth = Var(shape=shape, init=vth)


@implements(proc=PerNeuronLIFReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("bit_accurate_loihi", "fixed_pt")
class PyPerNeuronLIFReset(PyLifResetModelBitAcc):
    implements_process = None  # that of the parent class, which Lava would not let go
    du: np.ndarray = LavaPyType(np.ndarray, np.uint16, precision=12)
    dv: np.ndarray = LavaPyType(np.ndarray, np.uint16, precision=12)
    vth: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=17)


class Recorder(AbstractProcess):
    """Writes what a population does into memory-mapped files, one row a step.

    Used in place of ``Monitor``, which takes a process for each quantity and hands its data over
    one number at a time. ``files`` maps "s", "u" and "v" to the .npy file of what is wanted.
    """

    def __init__(self, *, lif, files):
        super().__init__(files={kind: str(path) for kind, path in files.items()})
        self.s_in = InPort(shape=lif.s_out.shape)
        self.u_ref = RefPort(shape=lif.u.shape)
        self.v_ref = RefPort(shape=lif.v.shape)
        if "s" in files:
            lif.s_out.connect(self.s_in)
        if "u" in files:
            self.u_ref.connect_var(lif.u)
        if "v" in files:
            self.v_ref.connect_var(lif.v)


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyRecorder(PyLoihiProcessModel):
    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    u_ref: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    v_ref: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.rows = {kind: np.load(path, mmap_mode="r+")
                     for kind, path in proc_params["files"].items()}
        self.states = {kind: f"{kind}_ref" for kind in self.rows if kind != "s"}

    def run_spk(self):
        if "s" in self.rows:
            self.rows["s"][self.time_step - 1] = self.s_in.recv()

    def post_guard(self):
        return bool(self.states)

    def run_post_mgmt(self):
        """After all neurons took their step and were reset."""
        for kind, port in self.states.items():
            self.rows[kind][self.time_step - 1] = getattr(self, port).read()
