"""Linear maps and their canonical forms against plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from networks import chains, conv_of, convs, operations, pool_of, sparse_of

from neurocompile.diagnostics import CompileError
from neurocompile.ir.base import Shape, n_elements
from neurocompile.ir.network import Bias, Network, Population, Port, Projection
from neurocompile.ir.ranges import linear_range
from neurocompile.ir.transforms import (
    Conv,
    Delay,
    Dense,
    Linear,
    Reshape,
    Scale,
    Sparse,
    Transform,
    to_sparse,
)
from neurocompile.models import IF, Source
from neurocompile.passes.canonicalize import Canonicalize
from neurocompile.passes.compose import compose
from neurocompile.passes.discretize import split

Floats = npt.NDArray[np.float64]
SHAPES: tuple[Shape, ...] = ((3,), (2, 6), (1, 5, 4), (2, 4, 4), (3, 5, 3))
shapes = st.sampled_from(SHAPES)
rngs = st.integers(0, 2**32).map(np.random.default_rng)
quick = settings(max_examples=4 * settings.default.max_examples)
"""These examples take milliseconds: four times as many as the profile says."""


# --- a naive interpreter: element by element, nothing shared with the package -------------------


def run_conv(op: Conv, x: Floats) -> Floats:
    c_out, group_in, k_h, k_w = op.weight.shape
    c_in, height, width = op.in_chw
    x = x.reshape(op.in_chw)
    y = np.zeros(op.out_chw)
    for o in range(c_out):
        first = (o // (c_out // op.groups)) * group_in
        for row in range(op.out_chw[1]):
            for column in range(op.out_chw[2]):
                total = 0.0
                for i in range(group_in):
                    for ky in range(k_h):
                        for kx in range(k_w):
                            py = row * op.stride[0] + ky * op.dilation[0] - op.padding[0]
                            px = column * op.stride[1] + kx * op.dilation[1] - op.padding[1]
                            if 0 <= py < height and 0 <= px < width:
                                total += op.weight[o, i, ky, kx] * x[first + i, py, px]
                y[o, row, column] = total
    assert c_in == group_in * op.groups
    return y


def run_linear(op: Transform, x: Floats) -> Floats:
    """One step of one operation without delay."""
    if isinstance(op, Conv):
        return run_conv(op, x).reshape(op.out_shape)
    if isinstance(op, Reshape):
        return x.reshape(op.out_shape)
    if isinstance(op, Scale):
        return np.array([a * b for a, b in zip(x.reshape(-1), op.factor.reshape(-1),
                                               strict=True)]).reshape(op.out_shape)
    flat = x.reshape(-1)
    y = np.zeros(n_elements(op.out_shape))
    if isinstance(op, Sparse):
        for i in range(len(y)):
            for k in range(int(op.indptr[i]), int(op.indptr[i + 1])):
                y[i] += op.values[k] * flat[op.indices[k]]
    else:
        assert isinstance(op, Dense)
        for i in range(len(y)):
            for j in range(len(flat)):
                y[i] += op.weight[i, j] * flat[j]
    return y.reshape(op.out_shape)


def run_chain(ops: tuple[Transform, ...], signal: Floats) -> Floats:
    """A signal [step, *shape] through operations; delays are whole steps here."""
    for op in ops:
        if isinstance(op, Delay):
            late = np.zeros_like(signal)
            for j, delay in enumerate(op.delay.reshape(-1).astype(int)):
                for t in range(delay, len(signal)):
                    late.reshape(len(signal), -1)[t, j] = signal.reshape(
                        len(signal), -1)[t - delay, j]
            signal = late
        else:
            signal = np.stack([run_linear(op, x) for x in signal])
    return signal


def network_of(ops: tuple[Transform, ...], bias: bool = False) -> Network:
    shape, out = ops[0].in_shape, ops[-1].out_shape
    neurons = IF(np.ones(out), np.ones(out), np.zeros(out))
    value = np.linspace(-1.0, 1.0, n_elements(shape)).reshape(shape)
    return Network(
        (Population("x", shape, Source(n_elements(shape))), Population("n", out, neurons)),
        (Projection("x->n", "x", "n", ops, False, ("x", "n")),),
        (Bias("b", value, "n", ops, False, ("b",)),) if bias else (),
        (Port("x", "x", shape),), (Port("out", "n", out),), ())


def whole_delays(ops: tuple[Transform, ...]) -> tuple[Transform, ...]:
    return tuple(Delay(np.rint(op.delay), op.in_shape, op.out_shape)
                 if isinstance(op, Delay) else op for op in ops)


def canonical_ops(network: Network) -> tuple[Transform, ...]:
    try:
        return Canonicalize().run(network).projections[0].ops
    except CompileError as error:
        assert [d.code for d in error.diagnostics] == ["E302"]
        event("different delays between two layers")
        assume(False)
        raise


# --- linear maps --------------------------------------------------------------------------------


@quick
@given(st.data(), shapes.filter(lambda s: len(s) > 1), rngs)
def test_conv_apply_and_to_sparse_equal_direct_loops(data: Any, shape: Shape, rng: Any) -> None:
    conv = data.draw(convs(shape, rng))
    assume(conv is not None)
    x = rng.normal(size=(3, *shape))
    expected = np.stack([run_conv(conv, one) for one in x]).reshape(3, *conv.out_shape)
    np.testing.assert_allclose(conv.apply(x), expected, atol=1e-12)
    sparse = to_sparse(conv)
    np.testing.assert_allclose(sparse.apply(x), expected, atol=1e-12)
    assert sparse.n_synapses == conv.n_synapses
    for i in range(len(sparse.indptr) - 1):
        row = sparse.indices[sparse.indptr[i]:sparse.indptr[i + 1]]
        assert np.all(np.diff(row) > 0), "the synapses of a row are not sorted"


@quick
@given(st.data(), shapes, rngs)
def test_integer_maps_are_exact_in_every_form(data: Any, shape: Shape, rng: Any) -> None:
    op = data.draw(operations(shape, rng, delays=False))
    assume(isinstance(op, (Dense, Conv, Sparse)))
    whole = op.with_weight(rng.integers(-9, 10, op.weight.shape))
    x = rng.integers(-3, 4, (2, *shape))
    expected = np.stack([run_linear(whole, one.astype(float)) for one in x])
    assert np.array_equal(whole.apply(x), expected.astype(np.int64))
    assert np.array_equal(whole.apply(x.astype(float)), expected)
    assert np.array_equal(to_sparse(whole).apply(x), expected.astype(np.int64))


@quick
@given(st.data(), shapes, rngs)
def test_linear_range_is_reached_and_never_left(data: Any, shape: Shape, rng: Any) -> None:
    op = data.draw(operations(shape, rng, delays=False))
    assume(isinstance(op, (Dense, Conv, Sparse)))
    low, high = -rng.uniform(0, 2, shape), rng.uniform(0, 2, shape)
    least, most = linear_range(op, low, high)
    x = rng.uniform(low, high, (20, *shape))
    y = op.apply(x).reshape(20, -1)
    assert np.all(y >= least - 1e-9)
    assert np.all(y <= most + 1e-9)
    matrix = np.stack([run_linear(op, e).reshape(-1)
                       for e in np.eye(n_elements(shape)).reshape(-1, *shape)]).T
    best = np.where(matrix > 0, high.reshape(-1), low.reshape(-1))
    np.testing.assert_allclose((matrix * best).sum(axis=1), most, atol=1e-9)


# --- composition --------------------------------------------------------------------------------


@quick
@given(st.data(), shapes, rngs)
def test_composition_of_two_maps_is_one_after_the_other(data: Any, shape: Shape,
                                                        rng: Any) -> None:
    first = data.draw(operations(shape, rng, delays=False))
    second = data.draw(operations(first.out_shape, rng, delays=False))
    assume(isinstance(first, (Dense, Conv, Sparse)) and isinstance(second, (Dense, Conv, Sparse)))
    joined = compose(first, second, 1 << 20)
    event(f"{type(first).__name__} and {type(second).__name__} give {type(joined).__name__}")
    x = rng.normal(size=shape)
    np.testing.assert_allclose(joined.apply(x[None])[0],
                               run_linear(second, run_linear(first, x)), atol=1e-9)


@st.composite
def conv_pairs(draw: st.DrawFn) -> tuple[Conv, Conv]:
    rng = draw(rngs)
    shape = draw(st.sampled_from([(1, 5, 4), (2, 6, 6), (2, 4, 7)]))

    def one(shape: Shape) -> Conv | None:
        if draw(st.booleans()):
            return pool_of(shape, draw(st.integers(1, 3)), draw(st.integers(1, 3)),
                           draw(st.integers(0, 1)), draw(st.booleans()))
        return draw(convs(shape, rng))

    first = one(shape)
    assume(first is not None)
    assert first is not None
    second = one(first.out_shape)
    assume(second is not None)
    assert second is not None
    return first, second


@quick
@given(conv_pairs(), rngs)
def test_convolutions_and_poolings_join_exactly_at_the_borders(pair: tuple[Conv, Conv],
                                                               rng: Any) -> None:
    joined = compose(*pair, 1 << 20)
    event(f"joined as {type(joined).__name__}")
    x = rng.normal(size=pair[0].in_shape)
    np.testing.assert_allclose(joined.apply(x[None])[0],
                               run_conv(pair[1], run_conv(pair[0], x)), atol=1e-9)


def test_diagonal_that_drops_elements_is_not_taken_for_a_scale() -> None:
    rng = np.random.default_rng(0)
    crop = Sparse(np.arange(3), np.arange(2), np.array([2.0, 3.0]), (4,), (2,))
    for second in (Dense(rng.normal(size=(3, 2)), (2,), (3,)), sparse_of(rng, (2,), (3,), 0.8)):
        x = rng.normal(size=4)
        np.testing.assert_allclose(compose(crop, second, 99).apply(x[None])[0],
                                   run_linear(second, run_linear(crop, x)), atol=1e-12)
    first = Dense(rng.normal(size=(4, 3)), (3,), (4,))
    x = rng.normal(size=3)
    np.testing.assert_allclose(compose(first, crop, 99).apply(x[None])[0],
                               run_linear(crop, run_linear(first, x)), atol=1e-12)


def test_pooling_after_a_convolution_stays_one_convolution() -> None:
    rng = np.random.default_rng(0)
    conv = conv_of(rng, (2, 8, 8), c_out=3, kernel=(3, 3), stride=(1, 1), padding=(1, 1),
                   dilation=(1, 1), groups=1)
    pool = pool_of((3, 8, 8), 2, 2, 0, True)
    assert conv is not None
    assert pool is not None
    joined = compose(conv, pool, 1)
    assert isinstance(joined, Conv)
    assert joined.weight.shape == (3, 2, 4, 4)


# --- canonicalize -------------------------------------------------------------------------------


@quick
@given(st.data(), shapes, rngs)
def test_canonical_form_means_what_the_operations_meant(data: Any, shape: Shape,
                                                        rng: Any) -> None:
    ops = whole_delays(data.draw(chains(shape, rng)))
    if data.draw(st.booleans()):
        ops = (*ops, *whole_delays(data.draw(chains(ops[-1].out_shape, rng))))
    canonical = canonical_ops(network_of(ops))
    before, linear, after = split(canonical)
    assert len(canonical) == 1 + (before is not None) + (after is not None)
    signal = rng.normal(size=(24, *shape))
    np.testing.assert_allclose(run_chain(canonical, signal), run_chain(ops, signal), atol=1e-9)
    x: Linear = linear
    assert x.in_shape == shape
    assert x.out_shape == ops[-1].out_shape


@quick
@given(st.data(), shapes, rngs)
def test_canonical_bias_is_the_constant_pushed_through(data: Any, shape: Shape,
                                                       rng: Any) -> None:
    ops = whole_delays(data.draw(chains(shape, rng)))
    network = network_of(ops, bias=True)
    canonical_ops(network)
    steps = 16
    constant = np.broadcast_to(network.biases[0].value, (steps, *shape)).copy()
    expected = run_chain(ops, constant)
    got = np.zeros(expected.shape)
    for bias in Canonicalize().run(network).biases:
        assert len(bias.ops) <= 1
        value = np.broadcast_to(np.asarray(bias.value).reshape(expected.shape[1:]),
                                expected.shape).copy()
        got += run_chain(bias.ops, value)
    np.testing.assert_allclose(got, expected, atol=1e-9)


@quick
@given(st.data(), shapes, rngs)
def test_canonicalizing_again_changes_nothing(data: Any, shape: Shape, rng: Any) -> None:
    network = network_of(data.draw(chains(shape, rng)), bias=True)
    canonical_ops(network)
    once = Canonicalize().run(network)
    assert Canonicalize().run(once).digest() == once.digest()


def test_scale_after_different_delays_is_no_obstacle() -> None:
    delay = Delay(np.array([0.0, 2.0, 1.0]), (3,), (3,))
    scale = Scale(np.array([1.0, 2.0, -1.0]), (3,), (3,))
    ops = (Dense(np.eye(3)[:, :2], (2,), (3,)), delay, scale)
    canonical = Canonicalize().run(network_of(ops)).projections[0].ops
    signal = np.random.default_rng(0).normal(size=(6, 2))
    np.testing.assert_allclose(run_chain(canonical, signal), run_chain(ops, signal))
