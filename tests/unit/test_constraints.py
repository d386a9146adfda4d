"""What a user wants of a mapping: read strictly, kept by every method, checked independently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_tools import DIGITS, DIGITS_CONTRACT, facts
from partition_factory import (
    conv,
    dense,
    network,
    neurons,
    project,
    source,
    sparse,
    unlimited,
)

import neurocompile as nc
from neurocompile.constraints import parse_constraints
from neurocompile.diagnostics import CompileError
from neurocompile.ir.base import from_text
from neurocompile.ir.constraints import Constraints, Fault, MeshTile
from neurocompile.ir.mapping import Mapping, Placement
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.ir.target import ChipLayout, TargetSpec
from neurocompile.passes.partition import Partition
from neurocompile.passes.place import Place
from neurocompile.passes.portfolio import Portfolio, choose, cuts
from neurocompile.verification.hop_bound import hop_bound
from neurocompile.verification.mapping import check_mapping
from neurocompile.verification.mesh import total_hops
from neurocompile.verification.traffic import traffic

RNG = np.random.default_rng
EXAMPLE = """
[partition]
neurons_per_core = 256
share_cores = false
methods = ["blocks", "growth", "mtkahypar"]

[partition.cores]
hidden = [0, 1]
out = 1

[partition.weights]
cores = 100
hops = 0.5

[place]
forbidden = [{ chip = 0, x = 3, y = 1 }, { chip = 0, x = 0, y = 0, cores = 2 }]

[place.cores]
0 = { chip = 0, x = 0, y = 0 }

[place.populations]
hidden = { chip = 0 }
"""


def net(target: TargetSpec, *, sparse_inside: bool = True) -> QuantizedNetwork:
    """in -> a -> b -> c, b recurrent; with dense and convolutional layers if not sparse."""
    rng = RNG(5)
    layer = conv((1, 12, 12), 2)
    n = layer.out_chw[0] * layer.out_chw[1] * layer.out_chw[2]
    between = sparse(120, n, 9, rng) if sparse_inside else dense(120, n)
    return network(target, [source("in", (1, 12, 12)), neurons("a", layer.out_chw),
                            neurons("b", 120), neurons("c", 30)], [
        project("in-a", "in", "a", layer), project("a-b", "a", "b", between),
        project("b-b", "b", "b", sparse(120, 120, 4, rng) if sparse_inside else dense(120, 120)),
        project("b-c", "b", "c", dense(30, 120))])


def mesh(target: TargetSpec, width: int = 4, height: int = 4, cores_per_tile: int = 1,
         chips: int = 2) -> TargetSpec:
    return replace(target, chip=ChipLayout(width * height * cores_per_tile, width, height,
                                           cores_per_tile, chips))


def cores_of(mapping: Mapping, population: str) -> dict[int, int]:
    """Neurons of a population by core."""
    return {s.core: len(s.neurons) for s in mapping.slices if s.population == population}


def refused(run: Callable[[], Any]) -> list[str]:
    with pytest.raises(CompileError) as caught:
        run()
    return [d.code for d in caught.value.diagnostics]


def test_a_file_states_what_the_constraints_hold() -> None:
    assert parse_constraints(EXAMPLE, "m.toml") == Constraints(
        256, False, {"hidden": (0, 1), "out": (1,)}, {"cores": 100.0, "hops": 0.5},
        (Fault(MeshTile(0, 3, 1)), Fault(MeshTile(0, 0, 0), 2)), {0: MeshTile(0, 0, 0)},
        {"hidden": 0}, ("blocks", "growth", "mtkahypar"))
    assert parse_constraints("", "m.toml") == Constraints()


def test_the_example_of_the_page_is_read() -> None:
    page = (Path(__file__).parents[2] / "docs" / "mapping.md").read_text(encoding="utf-8")
    shown = parse_constraints(page.split("```toml\n")[1].split("```")[0], "mapping.md")
    assert shown == Constraints(
        256, False, {"hidden": (0, 1), "output": (1,)}, {"cores": 100.0, "hops": 0.5},
        (Fault(MeshTile(0, 3, 1)), Fault(MeshTile(0, 0, 0), 2)), {0: MeshTile(0, 0, 0)},
        {"readout": 1}, ("blocks", "tiles", "growth", "metis"))


def test_constraints_are_stored_with_the_mapping() -> None:
    wanted = parse_constraints(EXAMPLE.replace("hidden", "a").replace("out", "c"), "m.toml")
    mapping = Place().run(Partition(constraints=wanted).run(net(mesh(unlimited(), 4, 4, 4))))
    assert mapping.constraints == wanted
    again = from_text(mapping.to_text())
    assert again.digest() == mapping.digest()
    assert again.constraints == wanted


def test_pinned_populations_are_cut_evenly_over_their_cores_and_nothing_else_is_there() -> None:
    wanted = Constraints(cores={"b": (7, 3), "c": (3,)})
    mapping = Partition(constraints=wanted).run(net(unlimited(neurons=150)))
    assert check_mapping(mapping) == []
    # The smallest number is core 0; b is named on 7 first.
    assert cores_of(mapping, "b") == {1: 60, 0: 60}
    assert cores_of(mapping, "c") == {0: 30}
    assert set(cores_of(mapping, "a")) == {2, 3}
    first = next(s for s in mapping.slices if s.population == "b" and s.core == 1)
    assert first.neurons.tolist() == list(range(60))


def test_a_population_is_cut_as_there_is_room_where_even_parts_do_not_fit() -> None:
    wanted = Constraints(cores={"b": (0, 1), "c": (1,)})
    mapping = Partition(constraints=wanted).run(net(unlimited(neurons=80)))
    assert check_mapping(mapping) == []
    assert cores_of(mapping, "b") == {0: 80, 1: 40}
    assert cores_of(mapping, "c") == {1: 30}


@pytest.mark.parametrize("sparse_inside", [True, False])
def test_every_method_keeps_the_pins(sparse_inside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    target = mesh(unlimited(neurons=90, input_axons=600, output_axons=400))
    quantized = net(target, sparse_inside=sparse_inside)
    wanted = Constraints(cores={"c": (4,), "b": (4, 9)}, weights={"messages": 1.0})
    candidates: list[Mapping] = []

    def seen(mapping: Mapping) -> list[Any]:
        candidates.append(mapping)
        return check_mapping(mapping)

    monkeypatch.setattr(choose, "check_mapping", seen)
    best = Portfolio(constraints=wanted).run(quantized)
    expected = 3 if sparse_inside and cuts.has_metis() else 2 if sparse_inside else 1
    assert len(candidates) == expected  # beside sequential blocks
    for mapping in (*candidates, best):
        assert check_mapping(mapping) == []
        assert cores_of(mapping, "b") == {0: 60, 1: 60}
        assert cores_of(mapping, "c") == {0: 30}
        assert min(cores_of(mapping, "a")) >= 2


def test_nothing_is_searched_where_everything_is_pinned() -> None:
    wanted = Constraints(cores={"a": (0, 1), "b": (2,), "c": (2,)})
    mapping, notes = Portfolio(constraints=wanted).run_with_notes(net(unlimited(neurons=200)))
    assert notes == ()
    assert mapping.n_cores == 3


@pytest.mark.parametrize("sparse_inside", [True, False])
def test_without_shared_cores_each_core_has_one_population(sparse_inside: bool) -> None:
    quantized = net(unlimited(), sparse_inside=sparse_inside)
    assert Portfolio().run(quantized).n_cores == 1
    wanted = Constraints(share_cores=False)
    mapping, notes = Portfolio(constraints=wanted).run_with_notes(quantized)
    assert mapping.n_cores == 3
    assert [d.code for d in notes] == (["I528"] if sparse_inside else [])
    assert check_mapping(mapping) == []
    assert [d.code for d in check_mapping(replace(
        Partition().run(quantized), constraints=wanted))] == ["E537"]


def test_one_population_is_searched_without_shared_cores() -> None:
    quantized = network(unlimited(neurons=50), [neurons("p", 200)],
                        [project("w", "p", "p", sparse(200, 200, 5, RNG(0)))])
    assert Portfolio(constraints=Constraints(share_cores=False)).run_with_notes(quantized)[1] == ()


def test_nothing_is_on_faulty_tiles_and_hops_stay_above_their_bound() -> None:
    target = mesh(unlimited(neurons=20), 3, 3, 2)
    faults = (Fault(MeshTile(0, 1, 1)), Fault(MeshTile(0, 0, 0), 1), Fault(MeshTile(1, 0, 0)))
    wanted = Constraints(faults=faults)
    mapping = Place().run(Portfolio(constraints=wanted).run(net(target)))
    assert check_mapping(mapping) == []
    place = mapping.placement
    assert place is not None
    assert mapping.n_cores == 18  # as many as a chip has: three of them go to the next
    tiles = list(zip(place.chip.tolist(), place.x.tolist(), place.y.tolist(), strict=True))
    assert (0, 1, 1) not in tiles
    assert (1, 0, 0) not in tiles
    assert tiles.count((0, 0, 0)) <= 1
    between = traffic(mapping).between
    assert total_hops(between, place, target.chip) >= hop_bound(between, target.chip, wanted) > 0


def test_more_cores_than_work_are_refused_with_the_faults_counted() -> None:
    target = mesh(unlimited(neurons=20), 3, 3, 2, chips=1)
    wanted = Constraints(faults=(Fault(MeshTile(0, 1, 1)),))
    with pytest.raises(CompileError, match=r"limit 16 = 1 chips of 18 cores, 2 of them forbidden"):
        Partition(constraints=wanted).run(net(target))


def test_pinned_cores_sit_on_their_tiles_and_populations_on_their_chips() -> None:
    target = mesh(unlimited(neurons=40), 4, 4, 1)
    wanted = Constraints(
        cores={"c": (5,)}, tiles={5: MeshTile(1, 3, 3)}, chips={"a": 0, "b": 1})
    mapping = Place().run(Portfolio(constraints=wanted).run(net(target)))
    assert check_mapping(mapping) == []
    place = mapping.placement
    assert place is not None
    assert (place.chip[0], place.x[0], place.y[0]) == (1, 3, 3)
    for name, chip in (("a", 0), ("b", 1)):
        assert set(place.chip[list(cores_of(mapping, name))].tolist()) == {chip}


def test_populations_of_different_chips_do_not_share_a_core() -> None:
    wanted = Constraints(chips={"a": 0, "c": 1})
    for sparse_inside in (True, False):
        quantized = net(mesh(unlimited()), sparse_inside=sparse_inside)
        mapping, notes = Portfolio(constraints=wanted).run_with_notes(quantized)
        assert check_mapping(Place().run(mapping)) == []
        assert mapping.n_cores == 2
        assert [d.code for d in notes] == (["I528"] if sparse_inside else [])


def test_a_pinned_core_may_be_on_a_tile_beyond_those_a_chip_fills() -> None:
    target = replace(unlimited(), chip=ChipLayout(4, 4, 4, 1, 1))  # 16 tiles, 4 cores
    wanted = Constraints(cores={"c": (0,)}, tiles={0: MeshTile(0, 3, 3)})
    mapping = Place().run(Partition(20, wanted).run(
        network(target, [source("in", 3), neurons("a", 50), neurons("c", 5)], [
            project("in-a", "in", "a", dense(50, 3)), project("a-c", "a", "c", dense(5, 50))])))
    assert check_mapping(mapping) == []
    assert mapping.n_cores == 4


def test_weights_choose_between_candidates() -> None:
    quantized = net(mesh(unlimited(neurons=200)), sparse_inside=True)

    def cost(weights: dict[str, float]) -> tuple[int, float, float]:
        mapping = Place().run(Portfolio(constraints=Constraints(weights=weights)).run(quantized))
        assert check_mapping(mapping) == []
        assert mapping.constraints.neurons_per_core is None
        measured = traffic(mapping)
        return mapping.n_cores, measured.messages, float(measured.operations.max())

    few, spread = cost({"cores": 1.0}), cost({"operations": 1.0})
    assert few[0] == 2
    assert spread[0] > few[0]
    assert spread[2] < few[2]
    assert cost({"cores": 1e6, "operations": 1.0})[0] == 2
    assert cost({"hops": 1.0})[0] >= 2


def test_a_number_of_neurons_replaces_that_of_the_constraints() -> None:
    quantized = net(unlimited())
    wanted = Constraints(neurons_per_core=100)
    assert max(u.neurons for u in Portfolio(constraints=wanted).run(quantized).use) <= 100
    mapping = Portfolio(50, constraints=wanted).run(quantized)
    assert max(u.neurons for u in mapping.use) <= 50
    assert mapping.constraints.neurons_per_core == 50


def test_pins_and_places_that_are_impossible_are_found_together(
        golden: Callable[[str, str], None]) -> None:
    target = mesh(unlimited(neurons=64, input_axons=150), 4, 4, 2)
    wanted = parse_constraints("""
[partition]
neurons_per_core = 100
[partition.cores]
a = [0, 1]
b = 1
d = 2
c = [3, 4, 5]
[place]
forbidden = [{ chip = 0, x = 4, y = 0 }, { chip = 2, x = 0, y = 0 },
             { chip = 0, x = 1, y = 0, cores = 3 }, { chip = 0, x = 0, y = 0, cores = 1 }]
[place.cores]
0 = { chip = 0, x = 0, y = 0 }
1 = { chip = 0, x = 0, y = 0 }
2 = { chip = 0, x = 0, y = 4 }
[place.populations]
in = { chip = 0 }
c = { chip = 3 }
""", "m.toml")
    with pytest.raises(CompileError) as caught:
        Partition(constraints=wanted).run(net(target))
    golden("constraints_impossible.txt", "".join(f"{d}\n" for d in caught.value.diagnostics))
    assert {d.code for d in caught.value.diagnostics} == {"E544", "E546", "E547"}


def test_more_cores_than_neurons_are_refused() -> None:
    wanted = Constraints(cores={"c": tuple(range(31))})
    assert refused(lambda: Partition(constraints=wanted).run(net(unlimited()))) == ["E546"]


def test_a_chip_that_is_too_small_for_its_population_is_refused() -> None:
    wanted = Constraints(chips={"a": 1})
    mapping = Partition(constraints=wanted).run(net(mesh(unlimited(neurons=20), 3, 3, 1, 4)))
    with pytest.raises(CompileError, match="E547 a: more cores are needed than work on its chip"):
        Place().run(mapping)


def test_output_axons_of_a_pinned_core_are_refused_where_no_method_meets_them() -> None:
    quantized = network(unlimited(neurons=10, output_axons=25), [
        source("in", 2), neurons("a", 10), neurons("b", 30)], [
        project("in-a", "in", "a", dense(10, 2)), project("a-b", "a", "b", dense(30, 10))])
    assert check_mapping(Partition().run(quantized)) == []
    wanted = Constraints(cores={"a": (0,)})
    assert refused(lambda: Portfolio(constraints=wanted).run(quantized)) == ["E546"]


def placed(wanted: Constraints) -> Mapping:
    target = mesh(unlimited(neurons=80), chips=2)
    return Place().run(Partition(constraints=wanted).run(net(target)))


def test_checker_finds_what_does_not_keep_the_constraints(
        golden: Callable[[str, str], None]) -> None:
    plain = placed(Constraints())
    place = plain.placement
    assert place is not None
    tile = MeshTile(int(place.chip[0]), int(place.x[0]), int(place.y[0]))
    texts = []
    for name, wanted in {
        "population elsewhere": Constraints(cores={"c": (0,)}),
        "population of no core": Constraints(cores={"nobody": (0,)}),
        "several populations": Constraints(share_cores=False),
        "more neurons": Constraints(neurons_per_core=79),
        "core on another tile": Constraints(cores={"a": (0,)}, tiles={0: MeshTile(1, 0, 0)}),
        "core that is not there": Constraints(cores={"a": tuple(range(9))},
                                              tiles={8: MeshTile(1, 0, 0)}),
        "population on another chip": Constraints(chips={"a": 1}),
        "faulty tile": Constraints(faults=(Fault(tile),)),
    }.items():
        found = check_mapping(replace(plain, constraints=wanted))
        assert found
        assert {d.code for d in found} <= {"E537", "E538", "E539"}
        texts.append(f"{name}\n" + "".join(f"  {d}\n" for d in found))
    golden("constraints_not_kept.txt", "".join(texts))


def test_checker_names_places_that_do_not_exist_or_are_taken(
        golden: Callable[[str, str], None]) -> None:
    plain = placed(Constraints())
    n = plain.n_cores
    texts = []
    for name, (chip, x, y) in {
        "too few places": ([0], [0], [0]),
        "tiles beyond the mesh": ([2, *[0] * (n - 1)], [*range(4), 4, *[0] * (n - 5)],
                                  [*[0] * 4, 0, *range(1, n - 4)]),
        "two on a tile": ([0] * n, [0, 0, *[1] * (n - 2)], [0, 0, *range(n - 2)]),
    }.items():
        moved = replace(plain, placement=Placement(np.array(chip), np.array(x), np.array(y)))
        texts.append(f"{name}\n" + "".join(f"  {d}\n" for d in check_mapping(moved)))
    few = replace(plain, target=replace(plain.target, chip=ChipLayout(n - 1, 4, 4, 1, 2)))
    texts.append("a chip with fewer cores\n" + "".join(f"  {d}\n" for d in check_mapping(few)))
    golden("placement_impossible.txt", "".join(texts))


def test_checker_recounts_where_only_constraints_are_not_kept() -> None:
    plain = placed(Constraints())
    broken = replace(plain, constraints=Constraints(chips={"a": 1}),
                     use=(replace(plain.use[0], input_axons=1), *plain.use[1:]))
    assert {d.code for d in check_mapping(broken)} == {"E538", "E534"}


def test_checker_goes_on_where_a_slice_is_on_a_core_without_a_place() -> None:
    plain = placed(Constraints(chips={"c": 0}))
    last = plain.slices[-1]
    far = replace(plain, slices=(*plain.slices[:-1], replace(last, core=plain.n_cores + 3)))
    assert {d.code for d in check_mapping(far)} == {"E534"}


def test_compile_reads_a_mapping_file_and_the_build_keeps_it(tmp_path: Path) -> None:
    file = tmp_path / "m.toml"
    file.write_text('[partition.cores]\n"3" = [0, 1]\n[place.cores]\n'
                    "0 = { chip = 0, x = 7, y = 3 }\n")
    out = tmp_path / "build"
    common = ("-c", DIGITS_CONTRACT, "-t", "loihi1")
    known = facts("compile", DIGITS, *common, "-o", out, "--mapping", file)
    assert known["cores"]["used"] == 2 + 1
    assert known["cores"]["pinned"] == [
        {"core": 0, "number": 0, "populations": ["3"], "tile": [0, 7, 3]},
        {"core": 1, "number": 1, "populations": ["3"],
         "tile": known["cores"]["pinned"][1]["tile"]}]
    assert facts("inspect", out)["cores"] == known["cores"]
    loaded = nc.load_build(out).mapping
    assert loaded.constraints == nc.load_constraints(file)
    assert check_mapping(loaded) == []
    facts("check", DIGITS, *common, "--mapping", file)
    by_api = nc.compile(DIGITS, "loihi1", contract=DIGITS_CONTRACT, mapping=file)
    assert by_api.mapping.digest() == loaded.digest()
