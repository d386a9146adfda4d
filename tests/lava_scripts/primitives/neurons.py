"""Experiments on LIF, LIFReset, TernaryLIF, SigmaDelta and the resonators: input direct to the
neuron, so that nothing else takes part. Inputs are [neuron, step]."""

from __future__ import annotations

import numpy as np
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIF, LIFReset, TernaryLIF
from lava.proc.resfire.process import RFZero
from lava.proc.rf.process import RF
from lava.proc.sdn.process import ActivationMode, SigmaDelta
from support.processes import PerNeuronLIFReset
from workbench import Experiment, Watch, numbers

NEVER = 131071  # the largest threshold that the chip's register holds


def neurons(a, process=LIF, **parameters):
    """Neurons under the input ``a``, with s, u and v watched."""
    a = np.asarray(a, np.int32)
    source = RingBuffer(data=a)
    lif = process(shape=(len(a),), **parameters)
    source.s_out.connect(lif.a_in)
    # The states a process starts with are called u and v too, as what is recorded of them.
    given = {{"u": "u0", "v": "v0"}.get(name, name): value for name, value in parameters.items()}
    return Experiment({"a": a, **given}, [Watch("s", lif.s_out, {"u": lif.u, "v": lif.v})],
                      a.shape[1])


def once(values, steps, at=0):
    """Each value to a neuron of its own, at one step, then silence."""
    a = np.zeros((len(values), steps), np.int32)
    a[:, at] = values
    return a


def lif_halving():
    return neurons(once([1, -1, 3, -3, 131071, -131071], 16), du=2047, dv=4095, vth=NEVER)


def lif_slowest_current():
    return neurons(once([1, -1], 70), du=0, dv=4095, vth=NEVER)


def lif_current_of_one_step():
    return neurons(numbers((4, 12), -9, 9, 1), du=4095, dv=4095, vth=NEVER)


def lif_membrane_decays():
    return neurons(once([1000, -1000, 7, -7], 40), du=4095, dv=100, vth=NEVER)


def lif_decay_of_everything():
    return neurons(numbers((4, 12), -900, 900, 2), du=4095, dv=4096, vth=NEVER)


def lif_decay_beyond_12_bits():
    """5001/4096 of the current are taken off a step: it changes sign."""
    return neurons(once([1000, -1000], 12), du=5000, dv=5000, vth=NEVER)


def lif_without_leak():
    """du = -1 with the offset of 1: nothing is taken off."""
    return neurons(once([1, -1], 12), du=-1, dv=4095, vth=NEVER)


def lif_folds():
    edges = [131071, 131072, 131073, -131071, -131072, -131073, 262144, -262144,
             393215, 393216, 393217, -393215, -393216, -393217, 524288, 33554431]
    return neurons(once(edges, 3), du=4095, dv=0, vth=1 << 24)


def lif_input_beyond_32_bits():
    """a << 6 in 32 bits: 2^25 << 6 is 2^31."""
    return neurons(once([1 << 25, (1 << 25) + 1, -(1 << 25), -(1 << 25) - 1, 1 << 26, 1 << 30],
                        3), du=4095, dv=4095, vth=NEVER)


def lif_folds_over_time():
    return neurons(np.stack([np.full(30, 70000), np.full(30, -70000)]), du=0, dv=4095,
                   vth=1 << 24)


def lif_saturates():
    """0 to 3 saturate both ways and come back; decays are slow."""
    a = np.zeros((4, 24), np.int32)
    a[0, :6], a[1, :6] = 131000, -131000
    a[2, :], a[3, :] = 60000, -60000
    return neurons(a, du=4095, dv=3, vth=1 << 24)


def lif_threshold_is_strict():
    """v is the bias alone: one below, at and one above 10 << 6."""
    return neurons(np.zeros((3, 3)), du=4095, dv=4095, vth=10, bias_mant=np.array([639, 640, 641]))


def lif_largest_threshold():
    return neurons(np.full((1, 3), 131071), du=4095, dv=0, vth=NEVER)


def lif_threshold_beyond_17_bits():
    return neurons(np.full((1, 8), 131071), du=4095, dv=0, vth=NEVER + 1)


def lif_threshold_below_zero():
    return neurons(once([0, -1, -2, -3], 3), du=4095, dv=0, vth=-2)


def lif_bias():
    mantissa = [3, -3, -3, -1, 5, 4095, -4096, 5000, 32767, 40000, -40000, 3]
    exponent = [0, -1, -2, -3, 3, 7, 7, 0, 0, 0, 0, 10]
    return neurons(np.zeros((12, 4)), du=100, dv=200, vth=NEVER,
                   bias_mant=np.array(mantissa), bias_exp=np.array(exponent))


def lif_bias_of_floats():
    return neurons(np.zeros((4, 2)), du=4095, dv=4095, vth=NEVER,
                   bias_mant=np.array([1.5, -1.5, 2.999, -0.999]))


def lif_array_of_decays():
    """Two values where the process holds one."""
    return neurons(once([1000, 1000], 6), du=np.array([2047, 100]), dv=4095, vth=NEVER)


def lif_starts_with_state():
    return neurons(np.zeros((3, 6)), du=1000, dv=500, vth=100, u=np.array([640, -640, 0]),
                   v=np.array([0, 5000, 6401]))


def lif_spikes_leave_the_current():
    return neurons(once([300, 100, 90], 20), du=300, dv=200, vth=40)


def lif_at_large():
    """Everything at once, firing often."""
    return neurons(numbers((24, 60), -900, 1000, 3), du=700, dv=300, vth=1200,
                   bias_mant=numbers((24,), -500, 500, 4), bias_exp=numbers((24,), -2, 5, 5))


def lif_at_large_near_the_limits():
    return neurons(numbers((24, 60), -140000, 150000, 6), du=1500, dv=20, vth=NEVER,
                   bias_mant=numbers((24,), -4096, 4095, 7), bias_exp=numbers((24,), 0, 7, 8))


def _reset(interval, offset, steps=24):
    return neurons(numbers((4, steps), -50, 90, interval + offset), LIFReset, du=500, dv=100,
                   vth=50, bias_mant=np.array([0, 40, 200, -60]), reset_interval=interval,
                   reset_offset=offset)


def reset_every_8_at_3():
    return _reset(8, 3)


def reset_offset_beyond_interval():
    return _reset(5, 7)


def reset_without_offset():
    return _reset(4, 0)


def reset_every_step():
    return _reset(1, 0)


def reset_later_than_the_run():
    return _reset(1000, 999)


def reset_at_interval():
    """The offset equal to the interval: the same as none."""
    return _reset(6, 6)


def per_neuron_at_large():
    """neurocompile's own process, whose decays and thresholds are arrays."""
    return neurons(numbers((16, 50), -500, 700, 12), PerNeuronLIFReset,
                   du=numbers((16,), 0, 4095, 13), dv=numbers((16,), 0, 4095, 14),
                   vth=numbers((16,), 50, 900, 15), bias_mant=numbers((16,), -90, 90, 16),
                   reset_interval=9, reset_offset=4)


def ternary_at_large():
    return neurons(numbers((16, 50), -300, 310, 9), TernaryLIF, du=900, dv=200, vth_hi=300,
                   vth_lo=-200, bias_mant=numbers((16,), -90, 90, 10))


def ternary_thresholds_are_strict():
    bias = [-641, -640, -639, 0, 1279, 1280, 1281]
    return neurons(np.zeros((7, 3)), TernaryLIF, du=4095, dv=4095, vth_hi=20, vth_lo=-10,
                   bias_mant=np.array(bias))


def _sigma_delta(**parameters):
    a = numbers((8, 40), -40, 45, 11)
    source = RingBuffer(data=a)
    neuron = SigmaDelta(shape=(8,), **parameters)
    source.s_out.connect(neuron.a_in)
    states = {"sigma": neuron.sigma, "act": neuron.act, "residue": neuron.residue}
    mode = int(parameters.pop("act_mode", ActivationMode.RELU))
    return Experiment({"a": a, "act_mode": mode, **parameters},
                      [Watch("s", neuron.s_out, states)], 40)


def sigma_delta_relu():
    return _sigma_delta(vth=20, bias=3)


def sigma_delta_unit():
    return _sigma_delta(vth=20, bias=-3, act_mode=ActivationMode.UNIT)


def sigma_delta_exponents():
    return _sigma_delta(vth=2, bias=1, spike_exp=2, state_exp=3, act_mode=ActivationMode.UNIT)


def sigma_delta_cumulative():
    return _sigma_delta(vth=60, bias=0, cum_error=True, act_mode=ActivationMode.UNIT)


def sigma_delta_threshold_is_reached():
    """Steps of 5, 4 and 6 against a threshold of 5."""
    a = np.array([[5, 5, 0, 0], [4, 4, 0, 0], [6, 0, 0, 0]], np.int32)
    source = RingBuffer(data=a)
    neuron = SigmaDelta(shape=(3,), vth=5, act_mode=ActivationMode.UNIT)
    source.s_out.connect(neuron.a_in)
    return Experiment({"a": a}, [Watch("s", neuron.s_out, {"residue": neuron.residue})], 4)


def _two_ports(neuron, ports, states, given, scale):
    """A resonator under two inputs."""
    for seed, port in enumerate(ports):
        signal = numbers((*neuron.shape, 60), -scale, scale, 20 + seed)
        given[f"in_{seed}"] = signal
        RingBuffer(data=signal).s_out.connect(getattr(neuron, port))
    return Experiment(given, [Watch("s", neuron.s_out, states)], 60)


def resonate_and_fire():
    neuron = RF(shape=(6,), period=7, alpha=0.1, state_exp=4, decay_bits=12, vth=20)
    given = {"sin_decay": neuron.sin_decay.init, "cos_decay": neuron.cos_decay.init,
             "vth": 20, "state_exp": 4, "decay_bits": 12}
    return _two_ports(neuron, ["a_real_in", "a_imag_in"],
                      {"real": neuron.real, "imag": neuron.imag}, given, 40)


def resonate_and_fire_negative_cosine():
    """A period below 4 steps has a negative cosine, which the declared uint16 could not hold."""
    neuron = RF(shape=(6,), period=3, alpha=0.1, state_exp=4, decay_bits=12, vth=20)
    given = {"sin_decay": neuron.sin_decay.init, "cos_decay": neuron.cos_decay.init,
             "vth": 20, "state_exp": 4, "decay_bits": 12}
    return _two_ports(neuron, ["a_real_in", "a_imag_in"],
                      {"real": neuron.real, "imag": neuron.imag}, given, 40)


def resonate_and_fire_zero():
    neuron = RFZero(shape=(6,), freqs=np.full(6, 120.0), decay_tau=np.full(6, 0.02), uth=50)
    given = {"lct": neuron.lct.init, "lst": neuron.lst.init, "uth": 50}
    return _two_ports(neuron, ["u_in", "v_in"], {"u": neuron.u, "v": neuron.v}, given, 90)


EXPERIMENTS = {name: value for name, value in sorted(globals().items())
               if name.startswith(("lif_", "reset_", "per_neuron_", "ternary_", "sigma_",
                                    "resonate_"))}
