"""Bad lava-dl files: each a diagnostic with a golden text, and never another exception."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from cli_tools import run
from lava_dl_files import Layer, conv, cuba, dense, pool, write_net

import neurocompile as nc
from neurocompile.frontends.codes import CODES
from neurocompile.frontends.lava_dl.convert import convert
from neurocompile.frontends.raw import ReadLimits

Golden = Callable[[str, str], None]

W = np.array([[2, -4, 6], [8, 10, -12]])
IMAGE = {"type": "input", "shape": [2, 6, 6]}
KERNEL = np.full((4, 2, 3, 3), 2)


def without(layer: Layer, *keys: str) -> Layer:
    return {k: v for k, v in layer.items() if k not in keys}


def rec(**more: Any) -> Layer:
    return dense(W, **{"weight_rec": np.eye(2) * 2, **more}) | {"type": "dense_rec"}


NETS: dict[str, list[Layer]] = {
    "nan_weight": [dense([[2, np.nan], [np.inf, 4]])],
    "fractional_weight": [dense([[2.5, -4]])],
    "weight_beyond_8_bits": [dense([[258, -4]]), dense([[300]])],
    "odd_weights_beyond_7_bits": [dense([[131, -4]])],
    "complex_weight": [without(dense(W), "weight") | {"weight/real": W, "weight/imag": W}],
    "weight_of_wrong_rank": [dense(W) | {"weight": np.ones((2, 3, 4, 5))}],
    "text_as_weight": [dense(W) | {"weight": "two"}],
    "sigma_delta": [dense(W, **{"neuron/type": "SDNN"})],
    "resonate_and_fire": [dense(W, **{"neuron/type": "RF-PHASE"})],
    "no_neuron": [without(dense(W), *cuba())],
    "graded_spikes": [dense(W, **cuba(**{"neuron/gradedSpike": True, "neuron/messageBits": 16}))],
    "refractory": [dense(W, **cuba(**{"neuron/refDelay": 3}))],
    "weight_exponent": [dense(W, **cuba(**{"neuron/wgtExp": 2}))],
    "decays_out_of_range": [dense(W, **cuba(-1, 5000)), dense([[2, 2]], **cuba(0.5, np.nan))],
    "decays_of_other_channels": [dense(W, **cuba([1, 2, 3]))],
    "threshold_zero": [dense(W, **cuba(threshold=0))],
    "thresholds_differ": [dense(W, **cuba() | {"neuron/vThMant": [3, 4]})],
    "missing_fields": [without(dense(W), "weight", "neuron/vDecay", "neuron/vThMant", "shape")],
    "unknown_field": [dense(W, magic=3, **{"neuron/alpha": 2})],
    "concat": [{"type": "concat", "shape": [3], "layers": [0, 1]}, dense(W)],
    "several_unsupported": [IMAGE, {"type": "unpool", "shape": [2, 12, 12]},
                            conv(KERNEL, (4, 4, 4), **{"neuron/type": "ALIF"}),
                            {"type": "flatten", "shape": [64, 1, 1]}, dense([[2.5, 2]])],
    "bias": [dense(W, bias=np.array([1, 2]))],
    "input_with_neuron": [{"type": "input", "shape": [3], "weight": 2, "bias": 1, **cuba()},
                          dense(W)],
    "input_in_the_middle": [dense(W), {"type": "input", "shape": [2]}],
    "delay_of_other_neurons": [dense(W, delay=np.ones(5))],
    "delay_out_of_range": [dense(W, delay=np.array([0, 63])), dense([[2, 2]], delay=0.5)],
    "recurrent_with_delay": [rec(delay=np.ones(2))],
    "recurrent_of_wrong_shape": [rec(weight_rec=np.ones((3, 2)) * 2)],
    "recurrent_without_weight": [without(rec(), "weight_rec")],
    "layers_do_not_fit": [dense(W), dense([[2, 4, 6]])],
    "shape_contradicts": [dense(W, shape=[3], inFeatures=7, outFeatures=9)],
    "conv_shape_reversed": [IMAGE, conv(KERNEL, (4, 4, 3))],
    "conv_channels": [IMAGE, conv(np.full((4, 3, 3, 3), 2), (4, 4, 4))],
    "conv_groups": [IMAGE, conv(np.full((3, 1, 3, 3), 2), (3, 4, 4), groups=2)],
    "conv_kernel_size": [IMAGE, conv(KERNEL, (4, 4, 4), kernelSize=[5, 5])],
    "conv_too_large": [IMAGE, conv(np.full((4, 2, 9, 9), 2), (4, 1, 1))],
    "conv_huge_padding": [IMAGE, conv(KERNEL, (4, 4, 4), padding=[10**9, 10**9])],
    "conv_zero_stride": [IMAGE, conv(KERNEL, (4, 4, 4), stride=[0, 1])],
    "conv_on_flat": [dense(W), conv(KERNEL, (4, 4, 4))],
    "conv_without_input_shape": [conv(KERNEL, (4, 4, 4))],
    "dense_on_image": [IMAGE, dense(W)],
    "pool_overlaps": [IMAGE, pool(2, (3, 3), (2, 3, 3), stride=[2, 2], padding=[1, 1])],
    "pool_mixes_channels": [{"type": "input", "shape": [2, 5, 5]}, pool(2, (3, 3), (2, 2, 2))],
    "average_in_the_middle": [dense(W), {"type": "average", "shape": [1]}, dense([[2]])],
    "average_of_unequal_groups": [dense(W), {"type": "average", "shape": [3, 1, 1]}],
    "only_flatten": [IMAGE, {"type": "flatten", "shape": [72, 1, 1]}],
    "huge_input": [{"type": "input", "shape": [10**6, 10**6, 10**6]}, dense(W)],
    "control_characters": [dense(W) | {"neuron/type": "\x1b[31mCUBA"}],
}


def findings(path: Path, **options: Any) -> str:
    with pytest.raises(nc.CompileError) as raised:
        convert(path, compare="gt", dt_s=1e-3, **options)
    assert all(d.code in CODES for d in raised.value.diagnostics)
    return "".join(f"{d}\n" for d in raised.value.diagnostics)


@pytest.mark.parametrize("name", NETS)
def test_bad_net_is_refused_with_every_finding(name: str, tmp_path: Path, golden: Golden) -> None:
    if name == "unknown_field":  # the one that converts, and says what it left out
        made = convert(write_net(tmp_path / "bad.net", NETS[name]), compare="gt", dt_s=1e-3)
        golden("net_unknown_field.txt", "".join(f"{d}\n" for d in made.diagnostics))
        return
    golden(f"net_{name}.txt", findings(write_net(tmp_path / "bad.net", NETS[name])))


def test_files_that_are_no_net_are_refused(tmp_path: Path, golden: Golden) -> None:
    (tmp_path / "empty.net").write_bytes(b"")
    (tmp_path / "text.net").write_text("not a network")
    with h5py.File(tmp_path / "nothing.net", "w") as file:
        file["simulation/Ts"] = 1
    with h5py.File(tmp_path / "gap.net", "w") as file:
        file["layer/0/type"], file["layer/2/type"] = "dense", "dense"
    with h5py.File(tmp_path / "data.net", "w") as file:
        file["layer/0"], file["layer/1/type"] = 3, np.arange(3)
        file.create_group("layer/2")
    texts = [findings(tmp_path / f"{name}.net")
             for name in ("missing", "empty", "text", "nothing", "gap", "data")]
    golden("net_not_a_net.txt", "".join([*texts, findings(tmp_path)]).replace(
        tmp_path.name, "FOLDER"))


def test_links_and_outside_storage_are_not_followed(tmp_path: Path, golden: Golden) -> None:
    path = write_net(tmp_path / "links.net", [without(dense(W), "weight"), dense([[2, 2]]),
                                              without(dense([[2]]), "weight")])
    with h5py.File(path, "a") as file:
        file["layer/0/weight"] = h5py.ExternalLink("other.h5", "/w")
        file["layer/1/delay"] = h5py.SoftLink("/layer/0/shape")
        file["layer/2"].create_dataset("weight", (1, 1), "f4", external=[("outside.bin", 0, 4)])
    golden("net_links.txt", findings(path))


def test_declared_sizes_are_checked_before_reading(tmp_path: Path, golden: Golden) -> None:
    path = write_net(tmp_path / "huge.net", [without(dense(W), "weight")])
    with h5py.File(path, "a") as file:
        file["layer/0"].create_dataset("weight", (1 << 40, 1 << 20), "f4", chunks=(64, 64))
    golden("net_huge_weight.txt", findings(path))
    small = write_net(tmp_path / "small.net", [IMAGE, conv(KERNEL, (4, 4, 4))])
    assert "E106" in findings(small, limits=ReadLimits(max_bytes=700))


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.99])
def test_truncated_net_is_a_diagnostic(keep: float, tmp_path: Path) -> None:
    whole = write_net(tmp_path / "whole.net", [dense(W), dense([[2, 2]])]).read_bytes()
    cut = tmp_path / "cut.net"
    cut.write_bytes(whole[:int(len(whole) * keep)])
    assert findings(cut).startswith("E1")


def test_text_that_states_gigabytes_is_not_allocated(tmp_path: Path) -> None:
    path = write_net(tmp_path / "text.net", [dense(W)])
    with h5py.File(path) as file:
        at = file["layer/0/neuron/type"].id.get_offset()
    stored = bytearray(path.read_bytes())
    assert stored[at:at + 4] == b"\4\0\0\0"  # the length of "CUBA"
    stored[at:at + 4] = b"\4\0\0\xff"
    path.write_bytes(stored)
    assert findings(path).startswith("E129 layer/0/neuron/type: this part of the file cannot be "
                                     "read (got a text longer than the file)")


def test_damaged_bytes_never_crash(tmp_path: Path) -> None:
    layers = [IMAGE, conv(KERNEL, (4, 4, 4)), {"type": "flatten", "shape": [64, 1, 1]},
              dense(np.full((3, 64), 2), delay=np.array([0, 1, 2]))]
    whole = bytearray(write_net(tmp_path / "whole.net", layers).read_bytes())
    rng = np.random.default_rng(0)
    for i in range(300):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 1 + i % 8):
            damaged[at] = int(rng.integers(0, 256))
        path = tmp_path / "damaged.net"
        path.write_bytes(damaged)
        with suppress(nc.CompileError):  # any other exception fails the test
            convert(path)


# --- the command ------------------------------------------------------------------------------


REQUESTS: dict[str, tuple[object, ...]] = {
    "bad_file": ("bad.net", "-o", "new.nir"),
    "unknown_comparison": ("good.net", "-o", "new.nir", "--compare", "equal"),
    "negative_dt": ("good.net", "-o", "new.nir", "--dt", "-1"),
    "nan_dt": ("good.net", "-o", "new.nir", "--dt", "nan"),
    "input_shape_of_words": ("good.net", "-o", "new.nir", "--input-shape", "a,b"),
    "input_shape_of_zeros": ("good.net", "-o", "new.nir", "--input-shape", "0,3,3"),
    "output_is_the_contract": ("good.net", "-o", "new.toml"),
    "output_is_the_input": ("good.net", "-o", "good.net"),
    "contract_is_the_input": ("net.toml", "-o", "net.nir"),
    "output_is_a_folder": ("good.net", "-o", "folder"),
    "contract_is_a_folder": ("good.net", "-o", "beside.nir"),
    "output_is_a_device": ("good.net", "-o", "/dev/null"),
    "output_is_nowhere": ("good.net", "-o", "no/new.nir"),
    "output_is_a_dot": ("good.net", "-o", "."),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_refused_conversion_writes_nothing(name: str, tmp_path: Path, golden: Golden,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good = write_net(Path("good.net"), [dense(W)])
    Path("net.toml").write_bytes(good.read_bytes())
    write_net(Path("bad.net"), [dense([[2.5]]), {"type": "unpool", "shape": [1]}])
    Path("folder").mkdir()
    Path("beside.toml").mkdir()
    before = {p: p.read_bytes() if p.is_file() else b"" for p in tmp_path.rglob("*")}
    result = run("convert", *REQUESTS[name])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    assert {p: p.read_bytes() if p.is_file() else b"" for p in tmp_path.rglob("*")} == before
    golden(f"cli_convert_{name}.txt", result.stderr)
