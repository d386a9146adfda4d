"""The smallest network that has every phase, made by hand: one input, one LIF population."""

from __future__ import annotations

import numpy as np

from neurocompile.ir.contract import Contract, InputBinding
from neurocompile.ir.discrete import (
    DelayError,
    DiscreteBias,
    DiscreteNetwork,
    DiscretePopulation,
    DiscreteProjection,
)
from neurocompile.ir.mapping import CoreUse, Mapping, Slice
from neurocompile.ir.network import Bias, Network, Population, Port, Projection
from neurocompile.ir.quantized import (
    Bounds,
    FixedPoint,
    QuantizationError,
    QuantizedInput,
    QuantizedNetwork,
    QuantizedPopulation,
    QuantizedProjection,
    ScheduledNetwork,
    ScheduledPopulation,
    ScheduledProjection,
)
from neurocompile.ir.target import (
    EVENTS,
    ChipLayout,
    Citation,
    CoreLimits,
    InputLimits,
    Machine,
    NeuronLimits,
    SynapseLimits,
    TargetSpec,
    Timing,
)
from neurocompile.ir.transforms import Dense
from neurocompile.models import LIF, Source

N_IN, N = 3, 2

CONTRACT = Contract(dt_s=1e-4, integrator="euler", input_gain="nir", compare="gt", reset="zero",
                    max_spikes_per_step=1, layer_latency=0, inputs={"*": InputBinding("spikes")})

TARGET = TargetSpec(
    name="toy", revision="1", description="a chip for tests",
    machine=Machine(25, 24, "fold_saturate", 6, 6, 1),
    neuron=NeuronLimits(4095, 131071, 4095, 7, 63, ("zero",), ("gt",), 1, False, False),
    synapse=SynapseLimits((8,), 0, 7, 1 << 15, 62, 8, ("dense", "sparse")),
    input=InputLimits(("spikes",), 0, False),
    core=CoreLimits(1024, 4096, 4096, 1, 1 << 20, 64, 8, 32, 32, 0),
    chip=ChipLayout(128, 8, 4, 4, 1), timing=Timing(100, 1, 16, 16, 10, 100, 0, 0, (1,), (10,)),
    phases=("collect", "update", "fire"), edge_latency=1,
    costs=dict.fromkeys(EVENTS, (1.7, 2.1)),
    citations=(Citation("core.neurons", "made up", True),))


def small_network(weight: float = 0.5) -> Network:
    ones = np.ones(N)
    lif = LIF(ones * 1e-3, ones, ones * 0, ones, ones * 0)
    dense = Dense(np.full((N, N_IN), weight) + np.arange(N * N_IN).reshape(N, N_IN),
                  (N_IN,), (N,))
    return Network(
        (Population("in", (N_IN,), Source(N_IN)), Population("hidden", (N,), lif)),
        (Projection("in->hidden", "in", "hidden", (dense,), False, ("0",)),),
        (Bias("b", np.array([0.25, -0.5]), "hidden", (), False, ("0",)),),
        (Port("in", "in", (N_IN,)),), (Port("out", "hidden", (N,)),), (("tool", "hand"),))


def small_discrete(weight: float = 0.5) -> DiscreteNetwork:
    network = small_network(weight)
    dense = network.projections[0].ops[0]
    assert isinstance(dense, Dense)
    none, zero, one = np.zeros(0), np.zeros(N), np.zeros(1, np.int64)
    return DiscreteNetwork(
        network, CONTRACT,
        (DiscretePopulation("in", (N_IN,), "source", False, *(none,) * 8),
         DiscretePopulation("hidden", (N,), "spiking", False, none, none, zero + 0.9, zero + 0.1,
                            zero, zero + 1, zero, zero)),
        (DiscreteProjection("in->hidden", "in", "hidden", dense, one, one, False),),
        (DiscreteBias("b", "hidden", np.array([0.25, -0.5]), np.zeros(N, np.int64)),),
        (DelayError("in->hidden", 1, 0, 0.0, 0.0, 0),))


def small_quantized(weight: float = 0.5) -> QuantizedNetwork:
    discrete = small_discrete(weight)
    dense = discrete.projections[0].transform
    whole, none, delay = np.zeros(N, np.int64), np.zeros(0, np.int64), np.zeros(1, np.int64)
    scheduled = ScheduledNetwork(
        discrete, TARGET,
        (ScheduledPopulation("in", (N_IN,), "source", "input", "in", 0,
                             discrete.populations[0], "gt", "none", 1),
         ScheduledPopulation("hidden", (N,), "spiking", "network", "hidden", 1,
                             discrete.populations[1], "gt", "zero", 1)),
        (ScheduledProjection("in->hidden", "in", "hidden", "in->hidden", dense, delay, delay,
                             1.0, 0),),
        (), {"hidden": ("b",)}, {"in": InputBinding("spikes")})
    integers = Dense(np.array([[100, -20, 3], [4, 50, -6]], np.int64), (N_IN,), (N,))
    return QuantizedNetwork(
        scheduled,
        (QuantizedPopulation("in", (N_IN,), "source", 0, *(none,) * 6, "gt", "none", 1,
                             np.zeros(0), np.zeros(0)),
         QuantizedPopulation("hidden", (N,), "spiking", 1, whole + 4095, whole + 410, whole + 64,
                             whole + 7, whole, whole, "gt", "zero", 1, np.ones(N) * 4096.0,
                             np.zeros(N))),
        (QuantizedProjection("in->hidden", "in", "hidden", integers, FixedPoint(9, True, 0),
                             "mixed", delay, delay),),
        (QuantizedInput("in", "spikes", 1.0, 0, 1),), (),
        (Bounds("hidden", *(whole,) * 6, 0, True),),
        (QuantizationError("in->hidden", "weight", 0.001, 0.002),))


def small_mapping(weight: float = 0.5) -> Mapping:
    return Mapping(small_quantized(weight), TARGET,
                   (Slice("hidden", 0, np.arange(N, dtype=np.int64)),),
                   (CoreUse(0, N, N_IN, 0, 64, 1, 1, 0),))
