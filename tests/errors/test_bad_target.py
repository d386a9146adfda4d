"""Target files that are wrong: each is refused with codes and a golden text, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from neurocompile.diagnostics import CompileError, Diagnostic
from neurocompile.targets import load_target
from neurocompile.targets.codes import CODES

GOOD = (resources.files("neurocompile.targets") / "loihi1.toml").read_text("utf-8")

Golden = Callable[[str, str], None]


def refused(what: str | Path) -> tuple[Diagnostic, ...]:
    with pytest.raises(CompileError) as caught:
        load_target(what)
    assert all(d.code in CODES for d in caught.value.diagnostics)
    return caught.value.diagnostics


def changed(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    """loihi1 as my.toml with lines replaced: ``changes`` are (start of a line, new text)."""
    lines = GOOD.splitlines()
    for start, new in changes:
        at = [i for i, line in enumerate(lines) if line.startswith(start)]
        assert len(at) == 1, start
        lines[at[0]] = new
    file = tmp_path / "my.toml"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


def texts(found: tuple[Diagnostic, ...]) -> str:
    return "".join(f"{d}\n" for d in found)


A = 'assumed = "a test" }'
CASES: dict[str, tuple[tuple[str, str], ...]] = {
    "unknown_keys": (("neurons =", f'neurons = {{ value = 1024, {A}\nneuron = 3\n'),
                     ("[costs]", "[barrier]\nx = 1\n\n[costs]")),
    "missing_keys": (("neurons =", ""), ("name =", ""), ("delay_max =", ""),
                     ("u_bits =", f"u_bits = {{ {A}"), ("hop_east_west =",
                                                        f"hop_east_west = {{ {A}")),
    "wrong_types": (("neurons =", f'neurons = {{ value = true, {A}'),
                    ("fan_out =", f'fan_out = {{ value = "many", {A}'),
                    ("u_bits =", f"u_bits = {{ value = 25.0, {A}"),
                    ("initial_v =", f"initial_v = {{ value = 0, {A}"),
                    ("resets =", f'resets = {{ value = "zero", {A}'),
                    ("weight_bits =", f"weight_bits = {{ value = [1, true], {A}"),
                    ("revision =", "revision = 1979-05-27"),
                    ("hop_east_west =", "hop_east_west = 3.0"),
                    ("axon_out =", f'axon_out = {{ energy_pj = "x", time_ns = true, {A}')),
    "timing": (("tick_ps =", f'tick_ps = {{ value = 1000, {A}'),
               ("host_x =", f'host_x = {{ value = 8, {A}'),
               ("barrier_tiles =", f'barrier_tiles = {{ value = [2, 4, 29], {A}'),
               ("router =", 'router = "broadcast"'), ("axon_in =", "")),
    "links": (("link_interval_ticks =", f'link_interval_ticks = {{ value = 0, {A}'),
              ("chip_link_interval_ticks =", f'chip_link_interval_ticks = {{ value = 1.5, {A}'),
              ("link_messages =", f'link_messages = {{ value = -1, {A}')),
    "links_not_stated": (("link_interval_ticks =", ""),
                         ("chip_link_interval_ticks =", "chip_link_interval_ticks = 100"),
                         ("link_messages =", "")),
    "no_source": (("neurons =", "neurons = 1024"), ("edge_latency =", "edge_latency = 1"),
                  ("fan_out =", "fan_out = { value = 0 }"), ("initial_v =", "initial_v = false"),
                  ("cores =", 'cores = { value = 1, source = "lava", assumed = "both" }'),
                  ("chips =", 'chips = { value = 1, assumed = " " }'),
                  ("hop_east_west =", "hop_east_west = { energy_pj = 1, time_ns = 1 }")),
    "impossible_values": (("neurons =", f"neurons = {{ value = -1, {A}"),
                          ("cores =", f"cores = {{ value = 0, {A}"),
                          ("weight_bits =", f"weight_bits = {{ value = [0, 8, 17], {A}"),
                          ("exponent_min =", f"exponent_min = {{ value = -7, {A}"),
                          ("u_bits =", f"u_bits = {{ value = 0x{'f' * 40}, {A}"),
                          ("modes =", f"modes = {{ value = [], {A}"),
                          ("compares =", f'compares = {{ value = ["gt", "gt"], {A}'),
                          ("name =", 'name = "../up"'),
                          ("axon_out =", f"axon_out = {{ energy_pj = nan, time_ns = -1, {A}")),
    "unknown_names": (("overflow =", f'overflow = {{ value = "wrap", {A}'),
                      ("resets =", f'resets = {{ value = ["zero", "soft"], {A}'),
                      ("compares =", f'compares = {{ value = ["lt"], {A}'),
                      ("modes =", f'modes = {{ value = ["spikes", "analog"], {A}'),
                      ("encodings =", f'encodings = {{ value = ["dense", "csr"], {A}'),
                      ("phases =", 'phases = ["reset", "think\\u0007"]')),
    "contradictions": (("accumulator_max =", f"accumulator_max = {{ value = 131072, {A}"),
                       ("threshold_max =", f"threshold_max = {{ value = 131072, {A}"),
                       ("bias_exponent_max =", f"bias_exponent_max = {{ value = 12, {A}"),
                       ("decay_max =", f"decay_max = {{ value = 4096, {A}"),
                       ("max_spikes_per_step =", f"max_spikes_per_step = {{ value = 2, {A}"),
                       ("exponent_min =", f"exponent_min = {{ value = 8, {A}"),
                       ("encodings =", f'encodings = {{ value = ["conv"], {A}'),
                       ("payload_signed =", f"payload_signed = {{ value = true, {A}"),
                       ("modes =", f'modes = {{ value = ["graded"], {A}'),
                       ("synapse_memory_bits =", f"synapse_memory_bits = {{ value = 63, {A}"),
                       ("mesh_width =", f"mesh_width = {{ value = 7, {A}"),
                       ("edge_latency =", f"edge_latency = {{ value = 2, {A}"),
                       ("phases =", 'phases = ["reset", "update", "collect", "fire"]')),
    "unknown_citations": (("neurons =", 'neurons = { value = 1024, source = "folklore" }'),
                          ("davies2018 =", "davies2018 = 2018")),
    "no_tables": (("[citations]", "[quotations]"), ("[chip]", "[chap]")),
}


@pytest.mark.parametrize("case", CASES)
def test_everything_wrong_with_a_file_is_reported_at_once(
        case: str, tmp_path: Path, golden: Golden) -> None:
    golden(f"target_{case}.txt", texts(refused(changed(tmp_path, *CASES[case]))))


def test_unknown_name_lists_the_targets_and_says_that_a_path_works(golden: Golden) -> None:
    golden("target_unknown.txt", texts(refused("loihi3")))


def test_control_characters_of_a_name_are_not_printed() -> None:
    (found,) = refused("a\x1b[31m\nb")
    assert str(found).isprintable()


def test_missing_file_and_directory_are_diagnostics(tmp_path: Path) -> None:
    (missing,) = refused(tmp_path / "none.toml")
    (folder,) = refused(tmp_path)
    assert (missing.code, folder.code) == ("E502", "E502")
    assert missing.subject == "none.toml"
    assert folder.got == "a directory"
    assert refused("bad\0.toml")[0].code == "E502"


def test_file_above_one_mebibyte_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "big.toml"
    file.write_bytes(b"#" * ((1 << 20) + 1))
    assert refused(file)[0].code == "E503"


def test_file_that_is_not_utf8_names_the_byte(tmp_path: Path) -> None:
    file = tmp_path / "latin.toml"
    file.write_bytes(b'name = "\xe9"')
    (found,) = refused(file)
    assert (found.code, found.got) == ("E504", "byte 0xe9 at 8")


@pytest.mark.parametrize("text", ["name = ", "[a\n", "a = 1\na = 2\n", "a = " + "[" * 5000,
                                  "a = " + "9" * 5000, "\ufeffa = 1"])
def test_text_that_is_not_toml_is_a_diagnostic(text: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text(text, "utf-8")
    assert refused(file)[0].code == "E505"


def test_empty_file_names_every_missing_part(tmp_path: Path, golden: Golden) -> None:
    file = tmp_path / "my.toml"
    file.write_text("", "utf-8")
    golden("target_empty.txt", texts(refused(file)))
