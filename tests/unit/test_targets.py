"""The shipped targets: what they say, and that each of their numbers says where it is from."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from neurocompile.diagnostics import CompileError
from neurocompile.ir.base import from_text
from neurocompile.targets import available, load_target
from neurocompile.targets.loader import OPTIONAL, PARTS, on_base, tomllib


def shipped_text(name: str) -> str:
    return (resources.files("neurocompile.targets") / f"{name}.toml").read_text("utf-8")


def test_loihi1_loihi2_and_generic_are_available() -> None:
    assert {"loihi1", "loihi2", "generic"} <= set(available())
    assert list(available()) == sorted(available())


@pytest.mark.parametrize("name", available())
def test_target_is_named_like_its_file(name: str) -> None:
    assert load_target(name).name == name


@pytest.mark.parametrize("name", available())
def test_target_prints_and_reads_back_with_the_same_digest(name: str) -> None:
    target = load_target(name)
    assert from_text(target.to_text()).digest() == target.digest()


@pytest.mark.parametrize("name", available())
def test_every_number_of_a_target_has_one_citation_with_a_text(name: str) -> None:
    target = load_target(name)
    cited = [c.key for c in target.citations]
    numbers = {"edge_latency", *(f"costs.{event}" for event in target.costs)}
    document = on_base(f"{name}.toml", tomllib.loads(shipped_text(name)))
    for part in (*PARTS, *OPTIONAL):
        for key, entry in document.get(part, {}).items():
            value = entry["value"] if isinstance(entry, dict) else entry
            items = value if isinstance(value, list) else [value]
            if any(isinstance(item, int) for item in items):
                numbers.add(f"{part}.{key}")
    assert numbers <= set(cited)
    assert len(cited) == len(set(cited))
    assert all(c.source.strip() for c in target.citations)


@pytest.mark.parametrize("name", [n for n in available() if load_target(n).fpga is not None])
def test_an_fpga_is_the_cores_of_generic_in_a_device(name: str) -> None:
    target, base = load_target(name), load_target("generic")
    for part in ("machine", "neuron", "synapse", "input", "core", "chip", "timing"):
        assert vars(getattr(target, part)) == vars(getattr(base, part))
    assert target.fpga is not None
    assert target.fpga.luts > 5000


def test_a_file_may_state_what_differs_from_a_shipped_target(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\nbase = "loihi1"\n[core]\n'
                    'neurons = { value = 512, assumed = "half of it" }\n')
    mine, base = load_target(file), load_target("loihi1")
    assert (mine.name, mine.core.neurons) == ("mine", 512)
    assert mine.core.input_axons == base.core.input_axons
    assert vars(mine.machine) == vars(base.machine)
    assert ("core.neurons", True) in {(c.key, c.assumed) for c in mine.citations}


def test_a_base_may_have_a_base(tmp_path: Path) -> None:
    """A larger device of a family: its own cells, the cores of ``generic``."""
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\nbase = "ecp5-25f"\n[fpga]\n'
                    'device = "45k"\nluts = { value = 43848, assumed = "for a test" }\n')
    mine, base, cores = (load_target(name) for name in (file, "ecp5-25f", "generic"))
    assert mine.fpga is not None
    assert base.fpga is not None
    assert (mine.fpga.device, mine.fpga.luts, mine.fpga.brams) == ("45k", 43848, base.fpga.brams)
    assert vars(mine.core) == vars(cores.core)


@pytest.mark.parametrize("base", ["loihi3", "../loihi1", 3, "mine"])
def test_a_base_is_a_shipped_target(base: object, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'name = "mine"\nbase = {base!r}\n'.replace("'", '"'))
    with pytest.raises(CompileError) as error:
        load_target(file)
    assert [(d.code, d.subject) for d in error.value.diagnostics] == [("E511", "mine.toml: base")]


def test_loihi1_states_the_published_limits() -> None:
    target = load_target("loihi1")
    assert target.core.neurons == 1024
    assert target.core.synapse_memory_bits == 16384 * 64
    assert (target.core.input_axons, target.core.output_axons) == (4096, 4096)
    assert target.chip.cores == 128
    assert target.synapse.weight_bits == (1, 2, 3, 4, 5, 6, 8)
    assert target.synapse.delay_max == 62
    assert target.machine.u_limit == target.machine.v_limit == (1 << 23) - 1
    assert target.synapse.accumulator_max << target.machine.input_shift < 1 << 21
    assert target.costs["axon_out"] == (111.0, 5.1)


def test_no_primary_cost_of_loihi2_is_claimed() -> None:
    costs = [c for c in load_target("loihi2").citations if c.key.startswith("costs.")]
    assert costs
    assert all(c.assumed for c in costs)


def test_generic_is_all_our_own_choice() -> None:
    target = load_target("generic")
    assert all(c.assumed for c in target.citations)
    assert all(energy == 0 for energy, _ in target.costs.values())


def test_target_is_read_from_a_path_outside_the_package(tmp_path: Path) -> None:
    file = tmp_path / "my-chip.toml"
    file.write_text(shipped_text("loihi1").replace('name = "loihi1"', 'name = "mine"')
                    .replace("neurons = { value = 1024,", "neurons = { value = 77,"), "utf-8")
    for way in (file, str(file)):
        target = load_target(way)
        assert (target.name, target.core.neurons) == ("mine", 77)
    assert "mine" not in available()


def test_citation_carries_the_full_text_and_assumptions_their_reason() -> None:
    citations = {c.key: c for c in load_target("loihi1").citations}
    assert "nengo-loihi documentation" in citations["core.neurons"].source
    assert not citations["core.neurons"].assumed
    assert citations["core.threshold_configurations"].assumed
    assert "8 and 16" in citations["core.threshold_configurations"].source
