"""Diagnostic codes: what the package emits, what its tables register, what the docs list."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import neurocompile
from neurocompile.report.codes_table import PARTS, registrations, render

CODE = re.compile(r"[EWI]\d{3}")
ROOT = Path(__file__).parents[2]
SOURCES = (Path(neurocompile.__file__).parent, ROOT / "backends" / "neurocompile_backends")


def literals(node: ast.AST) -> Iterator[str]:
    """Codes written as a whole string, outside the CODES tables."""
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(t, ast.Name) and t.id == "CODES" for t in targets):
            return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if CODE.fullmatch(node.value):
            yield node.value
        return
    for child in ast.iter_child_nodes(node):
        yield from literals(child)


def emitted() -> dict[str, set[str]]:
    """Code -> the files that can emit it."""
    places: dict[str, set[str]] = {}
    files = sorted(file for source in SOURCES for file in source.rglob("*.py"))
    assert len(files) > 20, "the package's sources were not found"
    for file in files:
        for code in literals(ast.parse(file.read_text(encoding="utf-8"))):
            places.setdefault(code, set()).add(file.name)
    return places


def test_every_code_the_package_emits_is_registered() -> None:
    known = {r.code for r in registrations()}
    assert {code: files for code, files in emitted().items() if code not in known} == {}


def test_every_registered_code_is_emitted_somewhere() -> None:
    used = emitted()
    assert [f"{r.code} of {r.module}" for r in registrations() if r.code not in used] == []


def test_no_code_is_registered_twice() -> None:
    counted = Counter(r.code for r in registrations())
    assert [code for code, times in counted.items() if times > 1] == []


def test_every_code_is_a_letter_and_a_number_of_a_known_part() -> None:
    assert [r.code for r in registrations()
            if not CODE.fullmatch(r.code) or r.code[1] not in PARTS] == []


def test_every_code_has_a_title_and_an_explanation() -> None:
    assert [r.code for r in registrations() if not r.title or not r.explanation] == []


def test_page_of_diagnostics_is_what_the_tables_render() -> None:
    page = (ROOT / "docs" / "diagnostics.md").read_text(encoding="utf-8")
    assert page == render(), "run `make docs`"
