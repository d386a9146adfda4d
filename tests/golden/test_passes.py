"""What each pass makes of tiny networks, as texts that a person can read (golden/passes_*.txt)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from networks import Sketch, pool_of

from neurocompile.ir.base import to_text
from neurocompile.ir.contract import Contract, InputBinding, InputMode
from neurocompile.ir.network import Bias, Network, Population
from neurocompile.ir.target import TargetSpec
from neurocompile.ir.transforms import Conv, Delay, Dense, Reshape, Scale, Transform
from neurocompile.models import IF, LIF, CubaLIF, Model, Source
from neurocompile.passes.canonicalize import Canonicalize
from neurocompile.passes.discretize import Discretize
from neurocompile.passes.partition import Partition
from neurocompile.passes.quantize import Quantize
from neurocompile.passes.schedule import Schedule
from neurocompile.targets import load_target

Golden = Callable[[str, str], None]


def contract(mode: InputMode = "spikes", maximum: float | None = None, **choices: Any) -> Contract:
    base = Contract(
        dt_s=1e-3, integrator="euler", input_gain="nir", if_gain="r", if_floor="none",
        compare="gt", reset="zero",
        max_spikes_per_step=1, current_order="current_first", synapse_input="after_decay",
        recurrent_bias_at_start=False, recurrent_delay="added", layer_latency=0,
        initial_v="zero", delay_unit="s", feedback="exact",
        inputs={"x": InputBinding(mode, maximum=maximum)})
    return replace(base, **choices)


def lif(n: int) -> LIF:
    return LIF(np.full(n, 4e-3), np.full(n, 4.0), np.zeros(n), np.ones(n), np.zeros(n))


def integrate(n: int) -> IF:
    return IF(np.ones(n), np.full(n, 2.0), np.zeros(n))


def cuba(n: int) -> CubaLIF:
    return CubaLIF(np.full(n, 4e-3), np.full(n, 2e-3), np.full(n, 4.0), np.zeros(n), np.ones(n),
                   np.zeros(n), np.full(n, 2.0))


def dense(*rows: list[float]) -> Dense:
    weight = np.array(rows)
    return Dense(weight, (weight.shape[1],), (weight.shape[0],))


def delay(*seconds: float) -> Delay:
    return Delay(np.array(seconds), (len(seconds),), (len(seconds),))


def network(models: dict[str, Model], *ways: tuple[str, str, tuple[Transform, ...]],
            biases: tuple[Bias, ...] = ()) -> Network:
    """``x`` has as many elements as the first operation of its first way takes."""
    shape = ways[0][2][0].in_shape
    sketch = Sketch([Population("x", shape, Source(int(np.prod(shape))))])
    for name, model in models.items():
        sketch.populations.append(Population(name, vars(model)["v_threshold"].shape, model))
    for source, target, ops in ways:
        sketch.connect(source, target, ops, recurrent=source == target)
    sketch.biases += biases
    sketch.outputs.append(list(models)[-1])
    return sketch.network()


def listing(**parts: object) -> str:
    """Titled texts; what a pass does not touch is left out by the caller."""
    return "\n".join(f"--- {title.replace('_', ' ')}\n{to_text(part)}"
                     for title, part in parts.items())


def notes(found: Any) -> list[str]:
    return [str(d) for d in found]


def scheduled_parts(scheduled: Any) -> dict[str, object]:
    """The layout of a schedule, its neurons' constants and the network before left out."""
    return {
        "populations": [f"{p.name} {list(p.shape)}: {p.role}, {p.origin} of {p.of or 'none'}, "
                        f"latency {p.latency}, {p.compare}, {p.reset}"
                        for p in scheduled.populations],
        "projections": scheduled.projections, "host_drives": scheduled.host_drives,
        "register_biases": scheduled.register_biases, "bindings": scheduled.bindings}


def quantized_parts(quantized: Any) -> dict[str, object]:
    return {"populations": quantized.populations, "projections": quantized.projections,
            "inputs": quantized.inputs, "drives": quantized.drives, "bounds": quantized.bounds,
            "errors": quantized.errors}


def discrete_of(net: Network, agreed: Contract) -> Any:
    return Discretize(agreed).run(Canonicalize().run(net))


def schedule(net: Network, agreed: Contract, target: TargetSpec) -> tuple[Any, list[str]]:
    scheduled, found = Schedule(target).run_with_notes(discrete_of(net, agreed))
    return scheduled, notes(found)


# --- canonicalize -----------------------------------------------------------------------------


def test_canonicalize_folds_a_pooling_into_the_convolution_before_it(golden: Golden) -> None:
    conv = Conv(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), (1, 1), (0, 0), (1, 1), 1, (1, 3, 3),
                (1, 2, 2), (1, 3, 3), (1, 2, 2))
    pool = pool_of((1, 2, 2), 2, 2, 0, True)
    assert pool is not None
    net = network({"n": lif(1)}, ("x", "n", (conv, pool, Reshape((1, 1, 1), (1,)))))
    golden("passes_canonicalize_conv_pool.txt", listing(
        before=net.projections, after=Canonicalize().run(net).projections))


def test_canonicalize_folds_scales_and_a_delay(golden: Golden) -> None:
    scale = Scale(np.array([2.0, 10.0]), (2,), (2,))
    net = network({"n": lif(2)}, ("x", "n", (scale, dense([1.0, 2.0], [3.0, 4.0]), scale,
                                            delay(0.001, 0.003))))
    golden("passes_canonicalize_scale.txt", listing(
        before=net.projections, after=Canonicalize().run(net).projections))


# --- discretize -------------------------------------------------------------------------------


def test_discretize_gives_decays_and_rounds_delays_with_their_error(golden: Golden) -> None:
    net = network({"n": lif(2)}, ("x", "n", (delay(0.0012, 0.003), dense([1.0, 0.0],
                                                                         [0.0, 1.0]))))
    canonical = Canonicalize().run(net)
    discrete = Discretize(contract()).run(canonical)
    golden("passes_discretize_delay.txt", listing(
        before=canonical, populations=discrete.populations, projections=discrete.projections,
        delay_errors=discrete.delay_errors))


# --- schedule ---------------------------------------------------------------------------------


def test_schedule_balances_a_skip_by_a_delay(golden: Golden) -> None:
    net = network({"a": lif(1), "b": lif(1), "n": lif(1)}, ("x", "a", (dense([1.0]),)),
                  ("a", "b", (dense([1.0]),)), ("b", "n", (dense([1.0]),)),
                  ("x", "n", (dense([0.5]),)))
    scheduled, found = schedule(net, contract(), load_target("loihi1"))
    golden("passes_schedule_skip.txt", listing(
        before=discrete_of(net, contract()).projections, **scheduled_parts(scheduled),
        notes=found))


def test_schedule_relays_a_long_delay(golden: Golden) -> None:
    target = load_target("loihi1")
    target = replace(target, synapse=replace(target.synapse, delay_max=4))
    net = network({"n": lif(1)}, ("x", "n", (delay(0.002, 0.011), dense([1.0, 2.0]))))
    scheduled, found = schedule(net, contract(), target)
    golden("passes_schedule_relays.txt", listing(
        before=discrete_of(net, contract()).projections, **scheduled_parts(scheduled),
        notes=found))


def test_schedule_starts_a_recurrent_bias_one_step_late(golden: Golden) -> None:
    bias = Bias("n.bias", np.array([0.25]), "n", (), True, ("n",))
    net = network({"n": lif(1)}, ("x", "n", (dense([1.0]),)), ("n", "n", (dense([-0.5]),)),
                  biases=(bias,))
    scheduled, found = schedule(net, contract(), load_target("loihi1"))
    golden("passes_schedule_recurrent_bias.txt", listing(
        before=discrete_of(net, contract()).biases, **scheduled_parts(scheduled), notes=found))


def test_schedule_sends_the_bias_of_a_synaptic_filter_as_spikes(golden: Golden) -> None:
    bias = Bias("n.bias", np.array([0.25, -0.5]), "n", (), False, ("n",))
    net = network({"n": cuba(2)}, ("x", "n", (dense([1.0], [2.0]),)), biases=(bias,))
    scheduled, found = schedule(net, contract(), load_target("loihi1"))
    golden("passes_schedule_cuba_bias.txt", listing(
        before=discrete_of(net, contract()).biases, **scheduled_parts(scheduled), notes=found))


def test_schedule_loads_a_constant_input_into_bias_registers(golden: Golden) -> None:
    net = network({"n": lif(2)}, ("x", "n", (dense([1.0], [-2.0]),)))
    scheduled, found = schedule(net, contract("bias", 1.0), load_target("loihi1"))
    golden("passes_schedule_bias_input.txt", listing(**scheduled_parts(scheduled), notes=found))


def test_schedule_makes_an_encoder_population(golden: Golden) -> None:
    net = network({"n": lif(1)}, ("x", "n", (dense([1.0]),)))
    scheduled, found = schedule(net, contract("encoder", 0.5), load_target("loihi1"))
    golden("passes_schedule_encoder.txt", listing(
        **scheduled_parts(scheduled), encoder=scheduled.populations[0].dynamics, notes=found))


# --- quantize and partition -------------------------------------------------------------------


def test_quantize_a_layer_fed_with_counts(golden: Golden) -> None:
    net = network({"n": lif(2)}, ("x", "n", (dense([0.5, -0.25], [1.0, 0.125]),)))
    scheduled, _ = schedule(net, contract("counts", 3.0), load_target("loihi1"))
    quantized = Quantize().run(scheduled)
    golden("passes_quantize_counts.txt", listing(
        before=scheduled.projections, **quantized_parts(quantized)))


def test_quantize_registers_loaded_by_the_host(golden: Golden) -> None:
    net = network({"n": lif(2)}, ("x", "n", (dense([1.0], [-2.0]),)))
    scheduled, _ = schedule(net, contract("bias", 1.0), load_target("loihi1"))
    golden("passes_quantize_bias_input.txt", listing(
        before=scheduled.host_drives, **quantized_parts(Quantize().run(scheduled))))


def test_partition_a_population_over_two_cores(golden: Golden) -> None:
    net = network({"n": integrate(3)}, ("x", "n", (dense([1.0], [1.0], [2.0]),)))
    scheduled, _ = schedule(net, contract(), load_target("loihi1"))
    quantized = Quantize().run(scheduled)
    mapping = Partition(neurons_per_core=2).run(quantized)
    golden("passes_partition.txt", listing(
        before=quantized.projections, slices=mapping.slices, use=mapping.use))
