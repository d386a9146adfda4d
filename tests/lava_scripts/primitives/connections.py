"""Experiments on Dense, Sparse, DelayDense, DelaySparse and Conv: a source, one connection, and
what leaves it. ``a`` is [step, target]. Weights show one column a step, where each source sends
once by itself."""

from __future__ import annotations

import numpy as np
from lava.proc.conv.process import Conv
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.io.source import RingBuffer
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix
from workbench import Experiment, Watch, numbers

LADDER = [-300, -257, -256, -255, -129, -128, -127, -9, -4, -3, -2, -1,
          0, 1, 2, 3, 4, 9, 127, 128, 129, 254, 255, 256, 300]


def connection(process, weights, s, **parameters):
    """A connection under the spikes ``s`` [source, step]."""
    weights, s = np.asarray(weights, np.int32), np.asarray(s, np.int32)
    arguments = dict(parameters)
    if process in (Sparse, DelaySparse):
        arguments["weights"] = csr_matrix(weights)
        if "delays" in arguments:  # stored wherever there is a weight, also where it is 0
            rows, columns = np.nonzero(weights)
            arguments["delays"] = csr_matrix((arguments["delays"][rows, columns],
                                              (rows, columns)), shape=weights.shape)
    else:
        arguments["weights"] = weights
    node = process(**arguments)
    RingBuffer(data=s).s_out.connect(node.s_in)
    mode = parameters.get("sign_mode", "automatic")
    given = {**parameters, "sign_mode": getattr(mode, "name", str(mode))}
    return Experiment({"weights": weights, "spikes": s, **given}, [Watch("a", node.a_out)],
                      s.shape[1])


def ladder(process, mode, bits=8, only=None):
    """All of LADDER as a row of weights, one a step."""
    row = LADDER if only is None else [w for w in LADDER if only(w)]
    s = np.eye(len(row), len(row) + 1)
    parameters = {"num_weight_bits": bits}
    if mode is not None:
        parameters["sign_mode"] = mode
    return connection(process, [row], s, **parameters)


def _ladders():
    found = {}
    for kind, process in (("dense", Dense), ("sparse", Sparse)):
        for mode in (SignMode.MIXED, SignMode.EXCITATORY, SignMode.INHIBITORY):
            for bits in (8, 6, 1):
                found[f"{kind}_{mode.name.lower()}_{bits}"] = \
                    lambda p=process, m=mode, b=bits: ladder(p, m, b)
    for kind, process in (("delay_dense", DelayDense), ("delay_sparse", DelaySparse)):
        for mode in (SignMode.MIXED, SignMode.INHIBITORY):
            found[f"{kind}_{mode.name.lower()}_7"] = \
                lambda p=process, m=mode: _delay_ladder(p, m)
    return found


def _delay_ladder(process, mode):
    s = np.eye(len(LADDER), len(LADDER) + 1)
    return connection(process, [LADDER], s, sign_mode=mode, num_weight_bits=7,
                      delays=np.zeros((1, len(LADDER)), int))


def dense_automatic_mixed():
    return ladder(Dense, None)


def dense_automatic_excitatory():
    return ladder(Dense, None, only=lambda w: w >= 0)


def dense_automatic_inhibitory():
    return ladder(Dense, None, only=lambda w: w <= 0)


def dense_automatic_is_of_the_whole_matrix():
    """Odd weights survive in the first row only if no row has the other sign."""
    return connection(Dense, [[3, 5, 7], [9, -11, 13]], np.eye(3, 4))


def dense_null_mode():
    return ladder(Dense, SignMode.NULL)


def dense_mode_as_a_number():
    """SignMode.MIXED has the value 1, but the number 1 is no sign mode."""
    return ladder(Dense, 1)


def dense_exponents_down():
    s = np.array([[1, 0, 1, 0, 1, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0]])
    return connection(Dense, [[3, 3, 5], [6, 1, 2]], s, sign_mode=SignMode.EXCITATORY,
                      weight_exp=-2)


def dense_exponent_down_of_negative_sum():
    s = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0]])
    return connection(Dense, [[-2, -2, -2]], s, sign_mode=SignMode.MIXED, weight_exp=-2)


def dense_exponents_up():
    s = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0]])
    return connection(Dense, [[3, 255, 5], [6, 1, 2]], s, sign_mode=SignMode.EXCITATORY,
                      weight_exp=3)


def sparse_exponent_down_of_negative_sum():
    s = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0]])
    return connection(Sparse, [[-2, -2, -2]], s, sign_mode=SignMode.MIXED, weight_exp=-2)


PAYLOADS = np.array([[5, -3, 1000, 0, 2, 0], [0, 1, -70000, 7, 0, 0]])


def dense_bool_messages():
    return connection(Dense, [[2, 4], [6, 8]], PAYLOADS, sign_mode=SignMode.EXCITATORY)


def dense_graded_messages():
    return connection(Dense, [[2, 4], [6, 8]], PAYLOADS, sign_mode=SignMode.EXCITATORY,
                      num_message_bits=8)


def sparse_bool_messages():
    return connection(Sparse, [[2, 4], [6, 8]], PAYLOADS, sign_mode=SignMode.EXCITATORY)


def sparse_graded_messages():
    return connection(Sparse, [[2, 4], [6, 8]], PAYLOADS, sign_mode=SignMode.EXCITATORY,
                      num_message_bits=8)


def dense_sums_beyond_16_bits():
    return connection(Dense, np.full((1, 300), 255), np.ones((300, 2)),
                      sign_mode=SignMode.EXCITATORY)


def dense_sums_beyond_32_bits():
    """Eight weights of 255 << 21 are 2^32 - 2^24."""
    return connection(Dense, np.full((1, 8), 255), np.ones((8, 2)),
                      sign_mode=SignMode.EXCITATORY, weight_exp=21)


def dense_weights_of_floats():
    weights, s = np.array([[1.5, -1.5, 2.999, -0.999]]), np.eye(4, 5, dtype=np.int32)
    node = Dense(weights=weights, sign_mode=SignMode.EXCITATORY)
    inhibiting = Dense(weights=weights, sign_mode=SignMode.INHIBITORY)
    source = RingBuffer(data=s)
    for each in (node, inhibiting):
        source.s_out.connect(each.s_in)
    return Experiment({"weights": weights}, [Watch("excitatory", node.a_out),
                                             Watch("inhibitory", inhibiting.a_out)], 5)


DELAYS = np.array([[0, 1, 5], [63, 2, 0], [7, 0, 62]])


def _delays(process, **parameters):
    s = np.zeros((3, 70), int)
    s[[0, 1, 2, 0], [0, 1, 3, 4]] = 1
    return connection(process, [[2, 4, 6], [8, 10, 12], [14, 16, 18]], s,
                      sign_mode=SignMode.EXCITATORY, delays=DELAYS, **parameters)


def delay_dense_arrivals():
    return _delays(DelayDense)


def delay_sparse_arrivals():
    return _delays(DelaySparse)


def _busy(process):
    """Full rows and columns of a_buff at all times: nothing leaks from one output to another."""
    weights, delays = numbers((4, 5), 1, 255, 30), numbers((4, 5), 0, 6, 31).astype(int)
    s = numbers((5, 40), -3, 3, 32)
    return connection(process, weights, s, sign_mode=SignMode.EXCITATORY, delays=delays,
                      num_message_bits=8, weight_exp=1)


def delay_dense_busy():
    return _busy(DelayDense)


def delay_sparse_busy():
    return _busy(DelaySparse)


def _shifted(process):
    """6 >> 2 = 1 where two weights of 3 have one delay, 3 >> 2 = 0 twice where they do not,
    although both arrive at once."""
    s = np.array([[1, 0, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0]])
    return connection(process, [[3, 3, 3]], s, sign_mode=SignMode.EXCITATORY,
                      delays=np.array([[1, 1, 0]]), weight_exp=-2)


def delay_dense_shift():
    return _shifted(DelayDense)


def delay_sparse_shift():
    return _shifted(DelaySparse)


def conv(weight, s, steps, **parameters):
    """A Conv under ``s`` [x, y, channel, step]."""
    weight, s = np.asarray(weight, np.int32), np.asarray(s, np.int32)
    node = Conv(weight=weight, input_shape=s.shape[:3], **parameters)
    RingBuffer(data=s).s_out.connect(node.s_in)
    return Experiment({"weight": weight, "spikes": s, **parameters}, [Watch("a", node.a_out)],
                      steps)


def conv_of_one_spike():
    s = np.zeros((4, 3, 1, 2), int)
    s[2, 1, 0, 0] = 1
    return conv(np.arange(1, 7).reshape(1, 3, 2, 1), s, 2, padding=(2, 1))


def conv_geometry():
    s = numbers((9, 8, 4, 3), 0, 1, 40)
    return conv(numbers((6, 3, 2, 2), -90, 90, 41), s, 3, padding=(2, 1), stride=(2, 3),
                dilation=(1, 2), groups=2)


def conv_graded():
    return conv(numbers((2, 2, 2, 1), -90, 90, 42), numbers((4, 4, 1, 3), -5, 5, 43), 3,
                num_message_bits=8)


def conv_bool_messages():
    return conv(numbers((2, 2, 2, 1), -90, 90, 42), numbers((4, 4, 1, 3), -5, 5, 43), 3)


def conv_ignores_its_exponent():
    return conv(np.array([3, -1, 255, 1000]).reshape(4, 1, 1, 1), np.ones((1, 1, 1, 2)), 2,
                weight_exp=3)


def conv_ignores_its_bits():
    return conv(np.array([3, -1, 255, -1000]).reshape(4, 1, 1, 1), np.ones((1, 1, 1, 2)), 2,
                num_weight_bits=4)


def conv_wraps_at_24_bits():
    values = [(1 << 23) - 1, 1 << 23, -(1 << 23), -(1 << 23) - 1, 3 << 22, (1 << 24) + 5]
    return conv(np.array(values).reshape(6, 1, 1, 1), np.ones((1, 1, 1, 2)), 2)


EXPERIMENTS = {name: value for name, value in sorted(globals().items())
               if name.startswith(("dense_", "sparse_", "delay_dense_", "delay_sparse_",
                                   "conv_"))} | _ladders()
