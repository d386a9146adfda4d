"""What ``convert`` makes of each layer type, and the two commands from a .net file to a build."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
import pytest
from cli_tools import run, succeed
from lava_dl_files import Layer, conv, cuba, dense, pool, run_net, write_net

import neurocompile as nc

W = np.array([[20, -4, 60], [80, 10, -120]])
TARGETS = ("loihi1", "loihi2", "generic")


def compiled(made: Any, target: str = "generic", **options: Any) -> nc.Build:
    return nc.compile(made.graph, target, contract=made.contract, **options)


def spikes(shape: tuple[int, ...], n_steps: int = 40, rate: float = 0.4) -> npt.NDArray[np.int64]:
    rng = np.random.default_rng(0)
    return (rng.random((n_steps, *shape)) < rate).astype(np.int64)


def check(path: Path, layers: list[Layer], shape: tuple[int, ...], target: str = "generic",
          **options: Any) -> int:
    """Compares the output with the rules of the file; how many spikes there were."""
    x = spikes(shape)
    made = nc.convert(write_net(path / "a.net", layers), compare="gt", dt_s=1e-3, **options)
    ours = nc.simulate(compiled(made, target), x[None]).outputs["output"][0]
    expected = run_net(layers, x)[-1]
    assert np.array_equal(ours.reshape(len(x), -1), expected.reshape(len(x), -1))
    return int(expected.sum())


# --- what is written --------------------------------------------------------------------------


def test_graph_holds_the_whole_numbers_of_the_file(tmp_path: Path) -> None:
    made = nc.convert(write_net(tmp_path / "a.net", [dense(W, **cuba(410, 128, 80))]), dt_s=0.5)
    neuron = made.graph.nodes["layer0"]
    assert list(made.graph.nodes) == ["input", "layer0_weight", "layer0", "output"]
    assert np.array_equal(made.graph.nodes["layer0_weight"].weight, W)
    assert neuron.v_threshold.tolist() == [80, 80]
    assert neuron.tau_syn == pytest.approx(np.full(2, 0.5 * 4096 / 410))
    assert neuron.tau_mem == pytest.approx(np.full(2, 0.5 * 4096 / 128))


def test_contract_states_all_that_nir_cannot_say(tmp_path: Path) -> None:
    made = nc.convert(write_net(tmp_path / "a.net", [dense(W)]))
    contract = made.contract
    assert (contract.integer_scale, contract.compare, contract.dt_s) == (64, "gt", 1e-3)
    assert (contract.layer_latency, contract.reset, contract.delay_unit) == (1, "zero", "steps")
    assert contract.inputs["*"].mode == "spikes"


def test_choices_are_said_where_they_were_not_stated(tmp_path: Path) -> None:
    path = write_net(tmp_path / "a.net", [dense(W)])
    assert [d.subject for d in nc.convert(path).diagnostics] == ["compare", "dt_s"]
    assert nc.convert(path, compare="ge", dt_s=1e-4).diagnostics == ()
    assert nc.convert(path, compare="ge", dt_s=1e-4).contract.compare == "ge"


def test_time_step_changes_no_integer(tmp_path: Path) -> None:
    path = write_net(tmp_path / "a.net", [dense(W, **cuba(411, 127))])
    for dt_s in (1e-6, 1e-3, 1 / 3, 7.0):
        q = compiled(nc.convert(path, dt_s=dt_s)).quantized.population("layer0")
        assert (set(q.current_decay), set(q.membrane_decay)) == ({411}, {127})


def test_every_decay_of_the_register_is_exact(tmp_path: Path) -> None:
    decays = np.arange(1, 4096)
    path = write_net(tmp_path / "a.net", [dense(np.full((4095, 1), 2), **cuba(decays, decays))])
    for target in TARGETS:
        build = compiled(nc.convert(path), target, options=nc_options(accept_bounds=True))
        q, m = build.quantized.population("layer0"), build.target.machine
        assert np.array_equal(q.current_decay + m.current_decay_offset, decays)
        assert np.array_equal(q.membrane_decay, decays)


def nc_options(**options: Any) -> Any:
    from neurocompile.flow import Options

    return Options(**options)


def test_state_that_never_decays_is_exact_where_the_register_has_a_zero(tmp_path: Path) -> None:
    path = write_net(tmp_path / "a.net", [dense(W, **cuba(0, 0, 500))])
    build = compiled(nc.convert(path), options=nc_options(max_steps=40))
    q = build.quantized.population("layer0")
    assert (set(q.current_decay), set(q.membrane_decay)) == ({0}, {0})
    x = spikes((3,))
    ours = nc.simulate(build, x[None]).outputs["output"][0]
    assert np.array_equal(ours, run_net([dense(W, **cuba(0, 0, 500))], x)[0])
    # Loihi's current always loses at least 1 / 4096.
    with pytest.raises(nc.CompileError, match="E416 layer0: a current decay"):
        compiled(nc.convert(path), "loihi1", options=nc_options(max_steps=40))


# --- layers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_kernel_is_a_cross_correlation_of_height_and_width(tmp_path: Path, target: str) -> None:
    rng = np.random.default_rng(1)
    kernel = 2 * rng.integers(-60, 100, (2, 3, 3, 2))  # no symmetry anywhere
    layers = [{"type": "input", "shape": [3, 5, 4]},
              conv(kernel, (2, 3, 5), stride=[2, 1], padding=[1, 1], **cuba(2000, 300, 60))]
    assert check(tmp_path, layers, (3, 5, 4), target) > 50


def test_flatten_goes_through_channels_then_rows(tmp_path: Path) -> None:
    weight = 2 * np.random.default_rng(2).integers(-20, 40, (4, 24))
    layers = [{"type": "input", "shape": [2, 3, 4]}, {"type": "flatten", "shape": [24, 1, 1]},
              dense(weight)]
    assert check(tmp_path, layers, (2, 3, 4)) > 50


@pytest.mark.parametrize("size", [4, 5])
def test_pool_fills_up_behind_as_slayer_does(tmp_path: Path, size: int) -> None:
    out = (size + 1) // 2
    layers = [{"type": "input", "shape": [3, size, size]},
              pool(64, (2, 2), (3, out, out), **cuba(4096, 4095, 100))]
    assert check(tmp_path, layers, (3, size, size)) > 50


@pytest.mark.parametrize("target", TARGETS)
def test_recurrent_spikes_arrive_a_step_later(tmp_path: Path, target: str) -> None:
    layer = dense(W) | {"type": "dense_rec", "weight_rec": np.array([[-60, 40], [100, -30]])}
    assert check(tmp_path, [layer], (3,), target) > 10


@pytest.mark.parametrize("target", TARGETS)
def test_axon_delays_up_to_62_steps(tmp_path: Path, target: str) -> None:
    layers = [dense(W, delay=np.array([0, 62])), dense([[70, 90]], delay=np.array([3.0]))]
    x = spikes((3,), 120)
    made = nc.convert(write_net(tmp_path / "a.net", layers))
    ours = nc.simulate(compiled(made, target), x[None]).outputs["output"][0]
    assert np.array_equal(ours, run_net(layers, x)[-1])
    assert ours.sum() > 5


def test_delays_of_zero_leave_no_node(tmp_path: Path) -> None:
    made = nc.convert(write_net(tmp_path / "a.net", [dense(W, delay=np.zeros(2))]))
    assert not any(isinstance(node, nir.Delay) for node in made.graph.nodes.values())


def test_average_is_the_sum_of_each_group(tmp_path: Path) -> None:
    layers = [dense(np.vstack([W, W[::-1]])), {"type": "average", "shape": [2, 1, 1]}]
    made = nc.convert(write_net(tmp_path / "a.net", layers))
    assert next(str(d) for d in made.diagnostics if d.code == "I131").endswith(
        "divide by 2; --no-average leaves them out, for chips that read no memoryless sum (Loihi)")
    x = spikes((3,))
    ours = nc.simulate(compiled(made), x[None]).outputs["output"][0]
    assert np.array_equal(ours, 64 * run_net(layers, x)[-1])


@pytest.mark.parametrize("target", TARGETS)
def test_average_can_be_left_to_the_reader(tmp_path: Path, target: str) -> None:
    layers = [dense(W), {"type": "average", "shape": [1, 1, 1]}]
    made = nc.convert(write_net(tmp_path / "a.net", layers), average=False)
    assert any(d.code == "I131" for d in made.diagnostics)
    ours = nc.simulate(compiled(made, target), spikes((3,))[None]).outputs["output"][0]
    assert np.array_equal(ours, run_net(layers[:1], spikes((3,)))[-1])


def test_average_on_loihi_is_refused_and_not_rounded(tmp_path: Path) -> None:
    layers = [dense(W), {"type": "average", "shape": [1, 1, 1]}]
    with pytest.raises(nc.CompileError, match=r"E416 output\.sum: a membrane decay"):
        compiled(nc.convert(write_net(tmp_path / "a.net", layers)), "loihi1")


def test_input_shape_is_taken_where_the_file_has_none(tmp_path: Path) -> None:
    layers = [conv(np.full((1, 2, 2, 2), 20), (1, 3, 4))]
    assert check(tmp_path, layers, (2, 4, 5), input_shape=(2, 4, 5)) > 10


@pytest.mark.parametrize("target", TARGETS)
def test_lowest_weight_of_slayer_is_exact(tmp_path: Path, target: str) -> None:
    layers = [dense([[-256, 254, 2], [-256, -256, 254]])]
    made = nc.convert(write_net(tmp_path / "a.net", layers))
    [q] = compiled(made, target).quantized.projections
    assert np.array_equal(np.asarray(q.transform.weight, int) << q.format.exponent,
                          layers[0]["weight"])


def test_layer_without_any_weight_but_zero_is_silent(tmp_path: Path) -> None:
    assert check(tmp_path, [dense(np.zeros((2, 3)))], (3,), "loihi1") == 0


# --- the files and the command ------------------------------------------------------------------


def test_saved_files_compile_to_the_same_build_as_the_objects(tmp_path: Path) -> None:
    made = nc.convert(write_net(tmp_path / "a.net", [dense(W, delay=np.array([1, 2]))]))
    beside = made.save(tmp_path / "a.nir")
    assert beside == tmp_path / "a.toml"
    fromfiles = nc.compile(tmp_path / "a.nir", "loihi1", contract=beside)
    direct = compiled(made, "loihi1")
    for ours, other in zip(fromfiles.quantized.projections, direct.quantized.projections,
                           strict=True):
        assert ours.digest() == other.digest()


def test_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    path = write_net(tmp_path / "a.net", [dense(W)])
    for name in ("x.nir", "y.nir"):
        nc.convert(path).save(tmp_path / name)
    assert (tmp_path / "x.nir").read_bytes() == (tmp_path / "y.nir").read_bytes()


def test_two_commands_lead_from_the_file_to_a_build(tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_net(tmp_path / "a.net", [dense(W)])
    result = succeed("convert", "a.net", "-o", "model name.nir")
    [command] = [row for row in result.stdout.splitlines() if row.startswith("next: ")]
    assert command == ("next: neurocompile compile 'model name.nir' --contract 'model name.toml' "
                       "--target TARGET -o BUILD")
    assert result.stderr.count("I130") == 2
    succeed("compile", "model name.nir", "--contract", "model name.toml", "--target", "loihi1",
            "-o", "build")


def test_json_names_the_files_layers_and_choices(tmp_path: Path) -> None:
    path = write_net(tmp_path / "a.net", [dense(W), dense([[2, 4]])])
    facts = json.loads(succeed("convert", path, "-o", tmp_path / "b.nir", "--json").stdout)
    assert facts["contract"] == str(tmp_path / "b.toml")
    assert facts["layers"] == [{"name": "layer0", "type": "dense", "shape": [2]},
                               {"name": "layer1", "type": "dense", "shape": [1]}]
    assert [d["code"] for d in facts["diagnostics"]] == ["I130", "I130"]


def test_options_of_the_command_reach_the_contract(tmp_path: Path) -> None:
    path = write_net(tmp_path / "a.net", [conv(np.full((1, 2, 2, 2), 20), (1, 3, 4))])
    succeed("convert", path, "-o", tmp_path / "b.nir", "--compare", "ge", "--dt", "1e-4",
            "--input-shape", "2,4,5")
    text = (tmp_path / "b.toml").read_text()
    assert 'compare = "ge"' in text
    assert "dt_s = 0.0001" in text


def test_failed_conversion_leaves_an_older_one_whole(tmp_path: Path) -> None:
    good = write_net(tmp_path / "good.net", [dense(W)])
    bad = write_net(tmp_path / "bad.net", [dense([[2.5]])])
    succeed("convert", good, "-o", tmp_path / "m.nir")
    before = (tmp_path / "m.nir").read_bytes(), (tmp_path / "m.toml").read_bytes()
    assert run("convert", bad, "-o", tmp_path / "m.nir").exit_code == 1
    assert ((tmp_path / "m.nir").read_bytes(), (tmp_path / "m.toml").read_bytes()) == before
