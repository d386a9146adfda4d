"""The kept list of mutants is of this library, most of it is found, and what it says is so."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mutation.mutants import modules, mutants_of, mutated, source_of, with_all
from rtl_corners import CORNERS
from test_rtl_corners import difference, difference_after_reset, reference

from neurocompile.diagnostics import CompileError
from neurocompile_backends.rtl.emit.files import MODULES, design_files
from neurocompile_backends.rtl.simulate import verilator

LIST = Path(__file__).parent / "mutants.csv"
ROWS = list(csv.DictReader(LIST.open(newline="")))


def test_the_program_that_makes_the_list_starts() -> None:
    program = Path(__file__).with_name("run.py")
    done = subprocess.run([sys.executable, program, "--help"], capture_output=True, text=True,
                          check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_at_least_95_percent_of_those_that_can_be_are_found() -> None:
    results = [row["result"] for row in ROWS]
    assert set(results) <= {"killed", "survived", "equivalent", "lint"}
    killed, survived = results.count("killed"), results.count("survived")
    assert killed >= 0.95 * (killed + survived), f"{killed} of {killed + survived}"
    assert all(row["by"] for row in ROWS if row["result"] in ("killed", "equivalent"))


def test_every_module_with_logic_of_its_own_has_mutants_in_the_list() -> None:
    listed = {row["module"] for row in ROWS if row["result"] != "lint"}
    assert listed == {name for name in modules() if mutants_of(name)}
    # One only connects others; of the other all is constants of elaboration (tests/formal has it).
    assert set(modules()) - listed == {"nc_host_uart", "nc_extend"}


def test_the_list_is_of_this_library() -> None:
    """Where the source of a module changed, its mutants have to be run: tests/mutation/run.py."""
    now = {m.key: m for name in modules() for m in mutants_of(name)}
    gone = [f"{row['module']}: {row['source']}" for row in ROWS if row["key"] not in now]
    assert len(gone) <= 0.1 * len(ROWS), f"{len(gone)} of {len(ROWS)}, such as {gone[0]}"


def test_a_module_with_all_mutants_asleep_is_the_module() -> None:
    """Text for text, once what chooses is taken out again."""
    found = mutants_of("nc_bus")
    text = with_all("nc_bus", list(enumerate(found, 1)))
    assert all(f"== 16'd{n} ? ({m.text})" in text for n, m in enumerate(found, 1))
    assert all(mutated(m) != source_of("nc_bus") for m in found)


def killed_by_networks(count: int) -> list[dict[str, str]]:
    rows = [row for row in ROWS if row["by"].startswith("network: ")]
    rng = np.random.default_rng(1)
    return [rows[i] for i in sorted(rng.choice(len(rows), min(count, len(rows)), replace=False))]


@pytest.mark.parametrize("row", killed_by_networks(4), ids=lambda row: row["key"])
def test_a_mutant_is_found_by_what_the_list_says(row: dict[str, str],
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """The list is made with all mutants in one source; these are sources with one."""
    found = {m.key: m for m in mutants_of(row["module"])}
    if row["key"] not in found:
        pytest.skip("its line has changed since the list was made")
    check = row["by"].removeprefix("network: ")
    case = CORNERS[check.removeprefix("reset of ")]()
    changed = {f"hdl/{row['module']}.v": mutated(found[row["key"]]).encode()}
    monkeypatch.setattr(verilator, "design_files",
                        lambda plan: {**design_files(plan), **changed})
    monkeypatch.setattr(verilator, "STEP_LIMIT", 1 << 15)
    assert row["module"] in MODULES
    try:
        built = verilator.build(case.plan, optimize="-O0")
        said = (difference_after_reset(case, built) if check.startswith("reset of ")
                else difference(case, reference(case), built))
    except CompileError as error:  # it hangs
        said = str(error)
    assert said


def test_the_script_says_what_it_does() -> None:
    done = subprocess.run([sys.executable, str(LIST.parent / "run.py"), "--help"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Which mutants of the RTL library are found" in done.stdout
