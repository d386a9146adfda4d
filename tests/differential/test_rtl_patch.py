"""Weights exchanged in a bitstream of an iCE40: with real tools, from end to end."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nir
import numpy as np
import pytest
from cli_tools import DIGITS, facts, run, succeed, tree, write_data
from contracts import contract_of, recording
from retrained import permuted_digits, retrained_digits

import neurocompile as nc
from neurocompile.api import Build
from neurocompile.contract import contract_to_toml
from neurocompile.diagnostics import CompileError
from neurocompile_backends.rtl.backend import plan_of
from neurocompile_backends.rtl.command import compiled_as
from neurocompile_backends.rtl.emit.files import design_files
from neurocompile_backends.rtl.synthesize import flow as synthesis
from neurocompile_backends.rtl.synthesize import patch
from neurocompile_backends.rtl.synthesize.contents import Layout, differing, stand_ins
from neurocompile_backends.rtl.synthesize.flow import find_tool
from neurocompile_backends.rtl.synthesize.icestorm import read_rams, write_rams
from neurocompile_backends.rtl.synthesize.patch import check_same

Golden = Callable[[str, str], None]
SAMPLES = 20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a build for any weights and its bitstream (build.json: what ``build`` said),
    its network's contract, data, and three other networks: hidden neurons permuted, readout
    trained again, and another shape."""
    folder = tmp_path_factory.mktemp("patch")
    recorded = recording("digits")
    contract = contract_of("digits", recorded)
    (folder / "c.toml").write_text(contract_to_toml(contract))
    write_data(folder / "d.npz", replace(recorded, x=recorded.x[:SAMPLES], y=recorded.y[:SAMPLES]))
    permuted_digits(folder / "permuted.nir", np.random.default_rng(1))
    retrained_digits(folder / "retrained.nir", contract, recorded)
    narrower(folder / "narrower.nir")
    succeed("compile", DIGITS, "-t", "ice40-hx8k", "-c", folder / "c.toml", "-o",
            folder / "build", "--patchable", "--backend", "rtl")
    known = facts("build", folder / "build", "--clock", 50, "-i", folder / "d.npz")
    (folder / "build.json").write_text(json.dumps(known))
    return folder


def narrower(path: Path) -> None:
    """digits with 48 hidden neurons in place of 64."""
    graph = nir.read(DIGITS)
    first, hidden, second = (graph.nodes[name] for name in ("0", "1", "2"))
    constants = {name: getattr(hidden, name)[:48]
                 for name in ("tau", "r", "v_leak", "v_threshold", "v_reset")}
    nodes = {**graph.nodes, "0": nir.Affine(first.weight[:48], first.bias[:48]),
             "1": nir.LIF(**constants), "2": nir.Affine(second.weight[:, :48], second.bias)}
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=graph.edges))


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, to be changed; the current folder."""
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def unpacked(bitstream: Path, to: Path) -> str:
    """The text of a bitstream, from the file that goes into the device."""
    shutil.copy(bitstream, to.parent / "copy.bin")
    subprocess.run([*find_tool("iceunpack", native=True), "copy.bin", to.name], cwd=to.parent,
                   check=True)
    return to.read_text()


def outside_of_ram(text: str) -> list[str]:
    """All lines of a bitstream's text but contents of block RAM."""
    kept, skip = [], 0
    for line in text.splitlines():
        if line.startswith(".ram_data"):
            skip = 17
        skip = max(0, skip - 1)
        if not skip and not line.startswith(".comment"):
            kept.append(line)
    return kept


def spikes(build: Path, data: Path) -> np.ndarray:
    return nc.simulate(nc.load_build(build), data).outputs["output"]


def test_a_retrained_network_is_in_the_patched_bitstream(folder: Path, tmp_path: Path) -> None:
    known = facts("patch-weights", "build", "retrained.nir")
    new, old = folder / "build-patched", folder / "build"
    assert known["build"] == "build-patched"
    assert set(known["changed"]) == {f"mem/core0_{name}.hex" for name in (
        "biases", "dense_init", "late_records", "neuron_records")}
    assert known["loaded"] == []
    # What the design of the new build is to hold, by the plan of its mapping.
    files = design_files(plan_of(nc.load_build(new).mapping))
    for path, content in files.items():
        assert (new / "bitstream" / path).read_bytes() == content
    text = unpacked(new / "bitstream" / "design.bin", tmp_path / "new.asc")
    layout = Layout.from_dict(json.loads((new / "bitstream" / "memories.json").read_text()))
    memories = {path: files[path] for path in layout.shapes}
    assert differing(text, layout, memories) == {}
    # The control: it is not what the old one holds, and the other way round.
    was = {path: (old / "bitstream" / path).read_bytes() for path in layout.shapes}
    assert set(differing(text, layout, was)) == set(known["changed"])
    before = unpacked(old / "bitstream" / "design.bin", tmp_path / "old.asc")
    assert differing(before, layout, was) == {}
    assert set(differing(before, layout, memories)) == set(known["changed"])
    assert outside_of_ram(before) == outside_of_ram(text)
    assert known["bits"] == 256 * len(layout.columns)
    # The new build is the new network.
    assert np.any(spikes(new, folder / "d.npz") != spikes(old, folder / "d.npz"))
    succeed("verify", new, "-i", folder / "d.npz", "--samples", 3)
    assert sorted(p.name for p in new.iterdir() if p.is_dir()) == ["bitstream", "rtl"]
    assert (new / "rtl" / "mem" / "core0_dense_init.hex").read_bytes() == (
        files["mem/core0_dense_init.hex"])
    assert (new / "bitstream" / "hdl" / "nc_top.v").read_bytes() == (
        old / "bitstream" / "hdl" / "nc_top.v").read_bytes()


def test_another_order_of_hidden_neurons_changes_no_output(folder: Path) -> None:
    succeed("patch-weights", "build", "permuted.nir", "-o", "other")
    new = nc.load_build("other").quantized.projections[0].transform.weight
    old = nc.load_build("build").quantized.projections[0].transform.weight
    assert np.any(new != old)
    assert np.array_equal(spikes(folder / "other", folder / "d.npz"),
                          spikes(folder / "build", folder / "d.npz"))


def test_the_same_network_gives_the_same_bitstream(folder: Path) -> None:
    known = facts("patch-weights", "build", DIGITS, "-o", "same")
    assert known["changed"] == {}
    for name in ("design.asc", "design.bin"):
        assert (folder / "same" / "bitstream" / name).read_bytes() == (
            folder / "build" / "bitstream" / name).read_bytes()


@pytest.mark.skipif(shutil.which("icebram") is None, reason="icebram is not installed")
def test_icebram_makes_the_same_of_it(folder: Path) -> None:
    """Project IceStorm's tool finds bits by the stand-ins: it knows nothing of where this project
    says that they are. It takes whole digits, so up to three bits are left out."""
    succeed("patch-weights", "build", "retrained.nir", "-o", "new")
    design = folder / "new" / "bitstream"
    layout = Layout.from_dict(json.loads((design / "memories.json").read_text()))
    memories = {path: (design / path).read_bytes() for path in layout.shapes}
    bits = sorted({(c.file, c.bit) for c in layout.columns})
    bits = bits[:len(bits) // 4 * 4]
    assert len(bits) > 120
    assert max(words for words, _ in layout.shapes.values()) <= 256
    for name, contents in (("from.hex", stand_ins(memories)), ("to.hex", memories)):
        words = {path: [int(word, 16) for word in content.split()]
                 for path, content in contents.items()}
        rows = [[words[path][row] >> bit & 1 if row < len(words[path]) else 0
                 for path, bit in bits] for row in range(256)]
        Path(name).write_text("".join(
            f"{sum(b << i for i, b in enumerate(row)):0{len(bits) // 4}x}\n" for row in rows))
    done = subprocess.run(["icebram", "from.hex", "to.hex"], check=True, capture_output=True,
                          text=True, input=(design / "placed.asc").read_text())
    theirs, ours = (read_rams(text) for text in (done.stdout, (design / "design.asc").read_text()))
    kept = [c for c in layout.columns if (c.file, c.bit) in bits]
    for c in kept:
        assert np.array_equal(theirs[c.tile][:, c.column], ours[c.tile][:, c.column]), c


def test_a_build_is_replaced_where_it_is_named(folder: Path) -> None:
    before = tree("build")
    stored = json.loads(Path("build/bitstream/resources.json").read_text())
    known = facts("patch-weights", "build", "retrained.nir", "-o", "build")
    assert known["output"] == "build/bitstream"
    after = tree("build")
    assert after["bitstream/design.bin"] != before["bitstream/design.bin"]
    assert after["bitstream/placed.asc"] == before["bitstream/placed.asc"]
    # And back: nothing of the first exchange is left.
    facts("patch-weights", "build", DIGITS, "-o", "build")
    again = tree("build")
    assert {path for path in again if again[path] != before.get(path)} == {
        "bitstream/resources.json"}
    # What samples took was of another network, and is not measured again.
    assert "samples" in stored
    stored.pop("samples")
    assert json.loads(Path("build/bitstream/resources.json").read_text()) == stored
    assert sorted(p.name for p in folder.iterdir() if p.name.startswith(".")) == []


def refused(*args: object) -> str:
    before = tree(".")
    result = run("patch-weights", *args)
    assert result.exit_code == 1
    assert tree(".") == before
    assert not list(Path().glob(".*"))
    assert result.stdout == ""
    return result.stderr


def test_another_shape_is_refused_with_all_that_differs(folder: Path, golden: Golden) -> None:
    assert (folder / "narrower.nir").exists()
    golden("patch_shape.txt", refused("build", "narrower.nir"))


def test_a_build_without_a_bitstream_or_a_place_for_the_new_one(
        folder: Path, golden: Golden) -> None:
    shutil.copytree("build", "plain", ignore=shutil.ignore_patterns("bitstream"))
    shutil.copytree("build", "damaged")
    (folder / "damaged" / "bitstream" / "memories.json").write_text('{"format": 2}')
    shutil.copytree("build", "moved")
    layout = json.loads((folder / "moved" / "bitstream" / "memories.json").read_text())
    for column in layout["columns"]:
        column[4] += 1
    (folder / "moved" / "bitstream" / "memories.json").write_text(json.dumps(layout))
    text = "".join((
        refused("plain", "retrained.nir"), refused("damaged", "retrained.nir"),
        refused("moved", "retrained.nir"),
        refused("build", "retrained.nir", "-o", "plain"),
        refused("build", "retrained.nir", "-o", "nowhere/else"),
        refused("build", "retrained.nir", "--bitstream", "plain")))
    # Where place and route puts a memory is no part of what is said.
    golden("patch_builds.txt", re.sub(r"got \(\d+, \d+\)", "got (X, Y)", text))


def test_devices_whose_bitstreams_are_not_patched(tmp_path: Path, golden: Golden,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recorded = recording("digits", 1)
    Path("c.toml").write_text(contract_to_toml(contract_of("digits", recorded)))
    said = ""
    for target in ("ecp5-25f", "gowin-gw1nr9", "loihi1"):
        succeed("compile", DIGITS, "-t", target, "-c", "c.toml", "-o", target)
        said += refused(target, DIGITS)
    result = run("compile", DIGITS, "-t", "loihi1", "-c", "c.toml", "-o", "new", "--patchable")
    assert result.exit_code == 1
    assert not Path("new").exists()
    golden("patch_devices.txt", said + result.stderr)


def test_a_bitstream_that_does_not_hold_its_memories_is_not_written(
        folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder.exists()
    right = patch.fill

    def wrong(asc: str, layout: Layout, memories: dict[str, bytes]) -> str:
        c = layout.columns[-1]
        made = read_rams(right(asc, layout, memories))
        made[c.tile][17, c.column] ^= 1
        return write_rams(asc, made)

    monkeypatch.setattr(patch, "fill", wrong)
    assert "E893" in refused("build", "retrained.nir")


def test_what_the_tools_are_missing_is_said_before_anything_is_written(
        folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder.exists()
    monkeypatch.setattr(synthesis.shutil, "which", lambda *_, **__: None)
    assert "E865" in refused("build", "retrained.nir")


def narrow_files(model: Path | str, like: Build | None = None) -> dict[str, bytes]:
    """The design of a model without ``--patchable``; as ``patch-weights`` compiles it, where there
    is a build."""
    if like is not None:
        return design_files(plan_of(compiled_as(like, Path(model)).mapping))
    return design_files(plan_of(narrow(model).mapping))


def narrow(model: Path | str) -> Build:
    return nc.compile(model, "ice40-hx8k", contract=contract_of("digits", recording("digits", 1)))


def test_without_the_option_weights_are_exchanged_and_other_decays_are_not(
        made: Path, golden: Golden) -> None:
    """What a bitstream has in its logic is in its design: none is needed to tell."""
    old = narrow(DIGITS)
    files = narrow_files(DIGITS)
    same = narrow_files(made / "permuted.nir", old)
    check_same(files, same, False)
    assert same["mem/core0_dense_init.hex"] != files["mem/core0_dense_init.hex"]
    with pytest.raises(CompileError) as error:
        check_same(files, narrow_files(made / "retrained.nir", old), False)
    golden("patch_narrow.txt", f"{error.value}\n")


def test_resources_by_core_sum_up_to_those_of_the_design(made: Path) -> None:
    known = json.loads((made / "build.json").read_text())
    assert list(known["parts"]) == ["core0", "bus", "control", "top", "place and route"]
    for what, used in known["used"].items():
        assert sum(part.get(what, 0) for part in known["parts"].values()) == used
    core = known["parts"]["core0"]
    assert core["luts"] > 0.8 * known["used"]["luts"]
    assert core["brams"] == known["used"]["brams"]
    assert set(core["modules"]) == {"accumulators", "fifo", "neurons", "sender", "synapses"}
    assert core["ffs"] >= sum(module.get("ffs", 0) for module in core["modules"].values()) > 0
    first, last = known["critical"][0], known["critical"][-1]
    assert first[0].split(".")[0] in known["parts"]
    assert "_SB_" not in str(known["critical"])
    assert 0 < first[1] < last[1] == pytest.approx(1e3 / known["mhz"], rel=0.2)
    assert known["patchable"]


def test_latency_of_real_samples_is_in_the_resources(made: Path) -> None:
    known = json.loads((made / "build.json").read_text())
    stored = json.loads((made / "build" / "bitstream" / "resources.json").read_text())
    assert stored["samples"] == known["samples"]
    profile = facts("profile", made / "build", "-i", made / "d.npz")
    step = known["samples"]["step"]
    assert step["cycles"]["mean"] == pytest.approx(profile["cycles"]["mean"], abs=0.01)
    assert step["cycles"]["max"] == profile["cycles"]["max"]
    assert step["us"]["max"] == pytest.approx(profile["cycles"]["max"] / known["mhz"], abs=1e-3)
    (core,) = known["samples"]["cores"]
    assert core["neuron_updates"] == SAMPLES * known["samples"]["steps"] * 74
    assert core["synapse_words"] > 0


def test_what_build_says_has_cores_and_latency(made: Path, capsys: pytest.CaptureFixture[str],
                                              ) -> None:
    from rich.console import Console

    from neurocompile.report.synthesis import show_bitstream

    show_bitstream(Console(width=120), json.loads((made / "build.json").read_text()))
    said = capsys.readouterr().out
    for text in ("by core and shared part", "core0", "place and route", "us a sample",
                 "words of synapses read", "slowest path"):
        assert text in said
