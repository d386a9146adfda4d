"""docs/lava.md names a test beside every claim: they exist, and none of them is forgotten."""

from __future__ import annotations

import re

from conftest import ROOT

TESTS = sorted((ROOT / "tests" / "differential").glob("test_lava_*.py"))
PAGE = (ROOT / "docs" / "lava.md").read_text()
SECTION = PAGE.split("## What Lava really computes")[1].split("## How neurocompile uses it")[0]


def defined(names: tuple[str, ...]) -> set[str]:
    files = [path for path in TESTS if path.stem.removeprefix("test_lava_") in names]
    assert len(files) == len(names)
    return {name for path in files
            for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 50
    assert named - defined(("neurons", "connections", "timing", "mistakes", "archive")) == set()


def test_every_measured_claim_is_on_the_page() -> None:
    measured = defined(("neurons", "connections", "timing", "mistakes"))
    control = {"test_what_is_no_mistake_runs_and_stops"}
    assert measured - control - set(re.findall(r"`(test_\w+)`", SECTION)) == set()


def test_every_row_of_the_page_names_a_test() -> None:
    rows = [row for row in SECTION.splitlines()
            if row.startswith("| ") and not row.startswith("| claim")]
    assert [row for row in rows if "`test_" not in row] == []
