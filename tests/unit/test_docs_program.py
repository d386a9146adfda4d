"""docs/program.md and the README say what is so: fields, arrays, texts and the code they show."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from cli_tools import compile_digits, succeed, write_data
from conftest import ROOT
from datasets import digits

from neurocompile.ir.program import COLUMNS

PAGE = (ROOT / "docs" / "program.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(page: str, name: str) -> list[str]:
    inside = page.split(f"<!-- {name}: begin -->\n")[1].split(f"<!-- {name}: end -->")[0]
    return inside.strip().splitlines()[1:-1]


def fields_of(table: str) -> list[str]:
    """Fields that the page's part about a table names, in its order."""
    part = re.search(rf"^\*\*{table}\*\*:(.*?)(?=^\*\*|^Delays count)", PAGE,
                     re.MULTILINE | re.DOTALL)
    assert part is not None, table
    cells = [line.split("|")[1] for line in part[1].splitlines() if line.startswith("| `")]
    return re.findall(r"`(\w+)`", "".join(cells) if cells else part[1].split(",")[1])


@pytest.mark.parametrize("table", COLUMNS)
def test_every_field_of_every_record_is_described_in_its_order(table: str) -> None:
    assert fields_of(table) == list(COLUMNS[table])


def test_the_listing_is_of_the_program_that_is_checked_by_hand() -> None:
    golden = (ROOT / "tests/golden/golden/program_loihi1.txt").read_text().splitlines()
    shown = block(PAGE, "listing")
    assert len(shown) > 10
    places = [golden.index(line) for line in shown]
    assert places == sorted(places)


def test_the_drawn_entry_has_the_bytes_it_says() -> None:
    raw = re.search(r"bytes `([0-9a-f ]{23})`", PAGE)
    assert raw is not None
    golden = (ROOT / "tests/golden/golden/program_loihi1.txt").read_text()
    assert raw[1].replace(" ", "") in golden.splitlines()[-1].split()
    entry = int.from_bytes(bytes.fromhex(raw[1]), "little")
    drawn = re.search(r"\n {9}1 +1 +5 +1 +0 +2 +1 +2\n", PAGE)
    assert drawn is not None
    at = [(0, 6), (6, 1), (10, 4), (14, 1), (15, 6), (21, 4), (25, 1), (26, 6)]
    assert [entry >> a & (1 << n) - 1 for a, n in at] == [int(v) for v in drawn[0].split()]


def test_the_code_that_reads_a_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    compile_digits("BUILD", "--backend", "chip")
    capsys.readouterr()
    exec("\n".join(block(PAGE, "reading")), {})
    assert capsys.readouterr().out == ("core 0: 74 neurons, 64 input axons\n"
                                       "  dense: 640 synapses, 125 the largest\n")


def test_every_array_of_a_profile_is_described(tmp_path: Path) -> None:
    compile_digits(tmp_path / "build")
    write_data(tmp_path / "d.npz", digits(1))
    succeed("profile", tmp_path / "build", "-i", tmp_path / "d.npz", "-o", tmp_path / "p.npz")
    part = PAGE.split("| array | shape | what |")[1].split("\n\n")[0]
    named = {name for row in part.splitlines() if row.startswith("| `")
             for name in re.findall(r"`([\w:]+)`", row.split("|")[1])}
    with np.load(tmp_path / "p.npz") as file:
        assert named == set(file.files)


def test_the_readmes_profile_is_what_its_commands_print(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("COLUMNS", raising=False)
    shown = block(README, "profile")
    commands = [line.split()[2:] for line in shown if line.startswith("$ neurocompile ")]
    assert [c[0] for c in commands] == ["compile", "profile"]
    printed = ""
    for args in commands:
        printed = succeed(*(tmp_path / a if a == "DIGITS" else a for a in args)).stdout
    lines = [line.rstrip() for line in printed.splitlines()]
    places = [lines.index(line) for line in shown[len(commands):]]
    assert places == sorted(places)
