"""Programs end to end: compile, disassemble, profile, its files, and going on after a stop."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_tools import compile_digits, facts, run, succeed, write_data
from contracts import contract_of, recording
from datasets import digits
from program_factory import given, tiny_mapping
from small_build import TARGET as TOY

from neurocompile import api
from neurocompile.flow import Options
from neurocompile.ir.base import to_text
from neurocompile.ir.target import EVENTS
from neurocompile.passes.assemble import Assemble
from neurocompile.reference.encode import encode_inputs
from neurocompile.report.listing import listing
from neurocompile.targets import load_target
from neurocompile_backends.chip import profile as profiles
from neurocompile_backends.chip.checkpoint import Checkpoint, identity, read_checkpoint
from neurocompile_backends.chip.files import read_program, to_files
from neurocompile_backends.chip.load import load
from neurocompile_backends.chip.profile import arrays, profile, summary
from neurocompile_backends.chip.run import Chip
from neurocompile_backends.chip.trace import Trace

STEPS, LATENCY, SAMPLES = 20, 1, 3
TOTAL = STEPS + LATENCY


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits network with its program; three samples; and the spoken digits on two cores."""
    folder = tmp_path_factory.mktemp("profile")
    compile_digits(folder / "build", "--backend", "chip")
    write_data(folder / "d.npz", digits(SAMPLES))
    return folder


@pytest.fixture(autouse=True)
def in_folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("build", "d.npz"):
        (tmp_path / name).symlink_to(made / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)


PROFILE = ("profile", "build", "-i", "d.npz")


# ---------------------------------------------------------------- programs on disk

def test_the_program_in_a_build_is_the_one_that_is_assembled(made: Path) -> None:
    build = api.load_build("build")
    program = Assemble().run(build.mapping)
    read = read_program(made / "build" / "chip")
    assert to_text(read) == to_text(program)
    assert read.digest() == program.digest()
    for name, data in build.emit("chip").files.items():
        assert (made / "build" / "chip" / name).read_bytes() == data
    assert succeed("disassemble", "build").stdout == "".join(f"{s}\n" for s in listing(program))


@pytest.mark.parametrize("target", ["loihi1", "loihi2", "generic"])
def test_a_program_of_several_cores_is_written_and_read_back(target: str, tmp_path: Path) -> None:
    program = Assemble().run(tiny_mapping(load_target(target), late=True))
    files = to_files(program)
    assert files == to_files(program)
    manifest = {"format": "neurocompile-bundle", "backend": "chip", "files": {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in files.items()}}
    for name, data in {**files, "manifest.json": json.dumps(manifest).encode()}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "build").unlink()  # a link is no part of a bundle
    (tmp_path / "d.npz").unlink()
    assert to_text(read_program(tmp_path)) == to_text(program)


def test_disassemble_prints_the_cores_that_are_asked_for() -> None:
    whole = succeed("disassemble", "build").stdout
    one = succeed("disassemble", "build", "--core", 0).stdout
    assert "host:" not in one
    assert one.startswith("program for loihi1: 1 core, ")
    assert set(one.splitlines()) <= set(whole.splitlines())
    assert "    neuron 0 = 1[0]: du 4095 dv 614" in one


# ---------------------------------------------------------------- facts, files and their agreement

@pytest.mark.parametrize("timing", ["cycle", "analytic"])
def test_facts_and_arrays_of_a_profile_agree(timing: str) -> None:
    known = facts(*PROFILE, "--timing", timing, "-o", "p.npz")
    with np.load("p.npz") as file:
        p = dict(file)
    assert {name: a.shape for name, a in p.items() if name.startswith("step:")} == {
        "step:events": (SAMPLES, TOTAL, len(EVENTS)), "step:ticks": (SAMPLES, TOTAL),
        "step:unit": (SAMPLES, TOTAL), "step:reason": (SAMPLES, TOTAL)}
    assert (known["samples"], known["steps"], known["timing"]) == (SAMPLES, TOTAL, timing)
    assert known["ticks"]["total"] == p["step:ticks"].sum()
    assert known["ticks"]["max"] == p["step:ticks"].max()
    assert known["time_us"]["total"] == pytest.approx(p["time_ns"].sum() / 1e3)
    assert known["energy_nj"]["total"] == pytest.approx(p["energy_pj"].sum() / 1e3)
    assert known["energy_nj"]["total"] == pytest.approx(sum(
        nj for group in known["energy_nj"]["by_cause"].values() for nj in group.values()))
    assert known["events"] == dict(zip(p["events"].tolist(),
                                       p["step:events"].sum(axis=(0, 1)).tolist(), strict=True))
    assert sum(row["steps"] for row in known["waited_for"]) == SAMPLES * TOTAL
    assert p["total:synapses"].sum() == sum(
        known["events"][f"synapse_{kind}"] for kind in ("dense", "sparse", "conv"))
    assert p["total:received"].sum() == known["events"]["axon_in"]
    assert p["total:sent"].sum() == known["events"]["axon_out"]
    assert p["total:spikes"].sum() == known["events"]["neuron_spike"]
    assert known["events"]["neuron_access"] == SAMPLES * TOTAL * (64 + 10)
    assert (p["step:ticks"] >= known["ticks"]["barrier"]).all()


def test_samples_share_the_mesh_of_their_program() -> None:
    """It is as large as all chips up to the last in use: seconds for the last of loihi2."""
    mapping = tiny_mapping(load_target("loihi2"))
    loaded = load(Assemble().run(mapping))
    encoded = given(mapping.quantized, 2, 5)
    first, second = (Chip(loaded, encoded, sample, "cycle") for sample in range(2))
    assert first.mesh is second.mesh is loaded.mesh
    before = [np.array(table) for table in loaded.mesh]
    for chip in (first, second):
        chip.advance(5)
    for table, old in zip(loaded.mesh, before, strict=True):
        np.testing.assert_array_equal(table, old)


@pytest.mark.parametrize("place", ["chip", "x", "y"])
@pytest.mark.parametrize("at", [-1, 1 << 20])
def test_a_core_outside_the_mesh_is_refused(place: str, at: int) -> None:
    program = Assemble().run(tiny_mapping(load_target("loihi1")))
    with pytest.raises(ValueError, match="a place outside the mesh"):
        load(replace(program, **{place: np.full(3, at)}))


def test_spikes_that_are_counted_are_those_of_the_simulator() -> None:
    known = facts(*PROFILE)
    run_ = api.simulate(api.load_build("build"), digits(SAMPLES).x, probes=("1:s", "3:s"))
    assert known["events"]["neuron_spike"] == sum(
        int(run_.probes[f"{name}:s"].sum()) for name in ("1", "3"))


def test_a_profile_is_shown_to_people() -> None:
    text = succeed(*PROFILE).stdout
    assert "loihi1, cycle timing: 3 samples of 21 steps on 1 core" in text
    assert "every step sends what the functional simulator sends" in text
    for title in ("what steps waited for last", "events and energy", "a step",
                  "cores that hold up most steps"):
        assert title in text


def test_the_chip_is_verified_beside_the_others() -> None:
    known = facts("verify", "build", "-i", "d.npz", "--backends", "reference,simulator,chip")
    assert [(r["candidate"], r["passed"]) for r in known["reports"]] == [
        ("simulator", True), ("chip", True)]


@pytest.mark.parametrize("timing", ["cycle", "analytic"])
def test_same_input_same_bytes_however_many_work_on_it(timing: str) -> None:
    build = api.load_build("build")
    program = Assemble().run(build.mapping)
    encoded = encode_inputs(build.quantized, {"input": digits(5).x}, STEPS)
    first: dict[str, bytes] | None = None
    for workers in (1, 2, 5):
        p = profile(load(program), build.quantized, encoded, timing=timing, workers=workers)
        made = {name: a.tobytes() for name, a in arrays(p).items()}
        assert first is None or made == first
        first = made
    for name in ("one", "two"):
        succeed(*PROFILE, "--timing", timing, "-o", f"{name}.npz", "--trace", f"{name}.json")
    for end in ("npz", "json"):
        assert Path(f"one.{end}").read_bytes() == Path(f"two.{end}").read_bytes()


@pytest.mark.parametrize("timing", ["cycle", "analytic"])
def test_a_chip_makes_room_for_its_busiest_step(timing: str,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    mapping = tiny_mapping(load_target("loihi1"))
    program = Assemble().run(mapping)
    encoded = given(mapping.quantized, 2, 12)
    whole = arrays(profile(load(program), mapping.quantized, encoded, timing=timing))
    assert whole["total:sent"].sum() > 12
    monkeypatch.setattr("neurocompile_backends.chip.run.FLITS", 1)
    grown = arrays(profile(load(program), mapping.quantized, encoded, timing=timing))
    assert all(np.array_equal(whole[name], grown[name]) for name in whole)


def test_a_target_without_energies_says_so() -> None:
    free = {event: (0.0, time) for event, (_, time) in TOY.costs.items()}
    mapping = tiny_mapping(replace(load_target("loihi1"), costs=free))
    p = profile(load(Assemble().run(mapping)), mapping.quantized, given(mapping.quantized, 2, 5))
    assert summary(p)["energy_nj"]["total"] == 0


# ---------------------------------------------------------------- traces

def slices_by_thread(events: list[dict[str, Any]]) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """(begin, end) in ns of the slices of each thread, in the order of the file."""
    found = defaultdict(list)
    for e in events:
        if e["ph"] == "X":
            begin = round(e["ts"] * 1000)
            assert begin / 1000 == e["ts"], "times are whole nanoseconds"
            found[e["pid"], e["tid"]].append((begin, begin + round(e["dur"] * 1000)))
    return found


def check_trace(path: str | Path, total_ns: int, steps: int) -> list[dict[str, Any]]:
    """Everything that must hold of a trace; its events."""
    document = json.loads(Path(path).read_text())
    events: list[dict[str, Any]] = document["traceEvents"]
    threads = slices_by_thread(events)
    for thread, slices in threads.items():
        for (a, b), (c, _) in itertools.pairwise(slices):
            assert a <= b <= c, f"slices of {thread} overlap or go back"
    stamps: dict[tuple[int, int, str], float] = {}
    for e in events:
        if "ts" in e:
            key = e["pid"], e["tid"], e["ph"]
            assert e["ts"] >= stamps.get(key, 0), f"{key} goes back"
            stamps[key] = e["ts"]
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    assert set(threads) <= named
    assert {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_sort_index"} == named
    assert {e["pid"] for e in events} == {
        e["pid"] for e in events if e["name"] == "process_name"}
    assert min(e["pid"] for e in events) > 0
    machine = threads[1, 1]
    assert len(machine) == steps
    assert all(b == c for (_, b), (c, _) in itertools.pairwise(machine))
    assert (machine[0][0], machine[-1][1]) == (0, total_ns)
    counted = [e for e in events if e["ph"] == "C"]
    assert len(counted) == steps + 1
    assert round(counted[-1]["ts"] * 1000) == total_ns
    assert not any(counted[-1]["args"].values())
    starts = {e["id"]: e for e in events if e["ph"] == "s"}
    ends = {e["id"]: e for e in events if e["ph"] == "f"}
    assert starts.keys() == ends.keys()
    assert len(starts) == sum(e["ph"] == "s" for e in events)
    for number, s in starts.items():
        f = ends[number]
        assert s["ts"] <= f["ts"]
        for e in (s, f):  # viewers bind an arrow to the slice around its end
            ns = round(e["ts"] * 1000)
            assert any(a <= ns < b for a, b in threads[e["pid"], e["tid"]]), e
    return events


@pytest.mark.parametrize("timing", ["cycle", "analytic"])
def test_a_trace_of_digits_is_consistent(timing: str) -> None:
    known = facts(*PROFILE, "--timing", timing, "--trace", "t.json")
    ticks = known["ticks"]["total"]
    events = check_trace("t.json", ticks * 100 // 1000, SAMPLES * TOTAL)
    assert sum(e["args"]["ticks"] for e in events
               if e["ph"] == "X" and (e["pid"], e["tid"]) == (1, 1)) == ticks
    arrows = sum(e["ph"] == "s" for e in events)
    assert arrows == (known["events"]["axon_in"] if timing == "cycle" else 0)
    energy = sum(e["args"]["energy_pj"] for e in events if e["ph"] == "X" and "energy_pj"
                 in e["args"])
    assert energy == pytest.approx(known["energy_nj"]["total"] * 1e3)


@pytest.mark.parametrize("timing", ["cycle", "analytic"])
@pytest.mark.parametrize("target", ["loihi1", "loihi2", "generic"])
def test_a_trace_of_several_cores_and_the_host_is_consistent(target: str, timing: str) -> None:
    mapping = tiny_mapping(load_target(target))
    encoded = given(mapping.quantized, 2, 12)
    program = Assemble().run(mapping)
    with Trace(Path("t.json"), program, timing) as trace:
        p = profile(load(program), mapping.quantized, encoded, timing=timing, trace=trace)
    total = int(p.series.ticks.sum()) * mapping.target.timing.tick_ps // 1000
    events = check_trace("t.json", total, 2 * 12)
    names = {e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert {"steps", "barriers", "host: sends", "core 2 at 2, 0: receives"} <= names
    assert [e["name"] for e in events if e["ph"] == "X"].count("spikes of inputs") > 0


# ---------------------------------------------------------------- interrupted and resumed

def whole(timing: str) -> tuple[dict[str, Any], bytes]:
    known = facts(*PROFILE, "--timing", timing, "-o", "whole.npz")
    return known, Path("whole.npz").read_bytes()


class Stop(Exception):
    """What ends a run in these tests."""


@pytest.mark.parametrize("timing", ["cycle", "analytic"])
@pytest.mark.parametrize("after", [1, 4, 20, 21, 22, 42, 45, 62, 63])
def test_a_run_goes_on_where_it_was_stopped(timing: str, after: int,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after so many steps, within samples, at their last steps and between them."""
    known, raw = whole(timing)
    written, step = [0], Checkpoint.step

    def stop(self: Checkpoint, *args: Any) -> None:
        step(self, *args)
        written[0] += 1
        if written[0] == after:
            raise Stop

    build = api.load_build("build")
    data = api.load_data("d.npz", build)
    monkeypatch.setattr(Checkpoint, "step", stop)
    with pytest.raises(Stop):
        api.profile(build, data, timing=timing, checkpoint="c.npz", every=1, save="none.npz",
                    trace="none.json")
    monkeypatch.setattr(Checkpoint, "step", step)
    assert not list(Path().glob("*none*"))
    assert not list(Path().glob(".*.part"))
    again = facts(*PROFILE, "--timing", timing, "--resume", "c.npz", "-o", "again.npz")
    assert again == known
    assert Path("again.npz").read_bytes() == raw


def test_a_run_is_stopped_and_resumed_again_and_again() -> None:
    """Each part goes on from the last checkpoint, writes the next over it, and is stopped."""
    known, raw = whole("cycle")
    for every in (10, 25, 13, 40):  # the run ends at the last multiple of each
        resume = ("--resume", "c.npz") if Path("c.npz").exists() else ()
        assert facts(*PROFILE, *resume, "--checkpoint", "c.npz", "--every", every, "-o",
                     "p.npz") == known
        assert Path("p.npz").read_bytes() == raw
        with np.load("c.npz") as file:
            at = int(file["done"]) * TOTAL + int(file["t"])
        assert at % every == 0 or every > SAMPLES * TOTAL - at


def test_checkpoints_of_short_samples_count_their_steps_together() -> None:
    """Samples of 21 steps, and a checkpoint every 30: there is one, of the second sample."""
    succeed(*PROFILE, "--checkpoint", "c.npz", "--every", 30)
    with np.load("c.npz") as file:
        assert (int(file["done"]), int(file["t"])) == (2, 60 - 2 * TOTAL)


def test_what_a_checkpoint_of_several_cores_resumes_is_the_same_profile(tmp_path: Path) -> None:
    mapping = tiny_mapping(load_target("loihi2"), late=True)
    encoded, program = given(mapping.quantized, 3, 9), Assemble().run(mapping)
    wanted = identity(program, encoded, "cycle")
    expected = profile(load(program), mapping.quantized, encoded)
    for every in range(1, 28):
        keeper = Checkpoint(tmp_path / "c.npz", every, wanted)
        profile(load(program), mapping.quantized, encoded, checkpoint=keeper)
        saved = read_checkpoint(tmp_path / "c.npz", wanted)
        assert len(saved.done) * 9 + saved.t == 27 // every * every
        again = profile(load(program), mapping.quantized, encoded, resume=saved)
        for (name, a), b in zip(arrays(expected).items(), arrays(again).values(), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"{name}, every {every}")


def test_a_process_that_is_terminated_leaves_a_checkpoint_and_nothing_else() -> None:
    x = np.concatenate([digits(60).x] * 40)
    np.savez("long.npz", x=x)
    args = ("profile", "build", "-i", "long.npz", "-o", "p.npz", "--timing", "analytic")
    with subprocess.Popen(
            [sys.executable, "-m", "neurocompile.cli", *args, "--trace", "t.json", "--checkpoint",
             "c.npz", "--every", "40"], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 100
        while not Path("c.npz").exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + signal.SIGTERM, "")
    assert {p.name for p in Path().iterdir()} == {"build", "d.npz", "long.npz", "c.npz"}
    shutil.copy("c.npz", "kept.npz")
    again = facts(*args, "--resume", "kept.npz")
    raw = Path("p.npz").read_bytes()
    assert facts(*args) == again
    assert Path("p.npz").read_bytes() == raw


def test_an_interrupt_does_not_wait_for_samples_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a checkpoint samples run in threads; those are told to end."""
    steps = []

    class Slow(profiles.Chip):
        def advance(self, stop: int) -> Any:
            steps.append(self.t)
            if len(steps) > 3:
                raise Stop
            return super().advance(min(stop, self.t + 1))

    monkeypatch.setattr(profiles, "Chip", Slow)
    monkeypatch.setattr(profiles, "CHUNK_STEPS", 1)
    build = api.load_build("build")
    with pytest.raises(Stop):
        api.profile(build, digits(40).x)
    assert len(steps) < 40


# ---------------------------------------------------------------- a recurrent network on more cores

def test_a_recurrent_network_on_several_cores_from_python(tmp_path: Path) -> None:
    recorded = recording("fsdd_rcubalif", 2)
    build = api.compile(recorded.network, "loihi1", contract=contract_of("fsdd_rcubalif", recorded),
                        options=Options(neurons_per_core=40))
    known = api.profile(build, recorded.x, trace=tmp_path / "t.json", save=tmp_path / "p.npz")
    assert known["cores"] == 3
    check_trace(tmp_path / "t.json", known["ticks"]["total"] * 100 // 1000,
                known["samples"] * known["steps"])
    estimated = api.profile(build, recorded.x, timing="analytic")
    assert estimated["events"] == known["events"]
    assert estimated["energy_nj"] == known["energy_nj"]
    assert run("disassemble", tmp_path).exit_code == 1
