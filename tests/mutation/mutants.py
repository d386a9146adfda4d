"""Mutants of the RTL library: one change each, of the kind that a tired engineer makes.

A *site* is an expression in the source of a module: what is assigned, the condition of an ``if``,
what a port is connected to. A *mutant* is another text for one site. Constants of elaboration
(parameters, ``localparam``, conditions of ``generate``) are none: with them a module is another
design, which the planner asks for or not.

``with_all`` puts all mutants of a module into one source, chosen when a simulation starts, so that
a design is compiled once and not once for each (mutant schemata; Untch, Offutt and Harrold 1993).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HDL = Path(__file__).parents[2] / "backends" / "neurocompile_backends" / "rtl" / "hdl"
CHOICE = "nc_mutant.hex"
"""The file that says which mutant a simulation runs; 0: none."""


@dataclass(frozen=True)
class Site:
    """Text ``begin`` to ``end`` of a module; ``keeps``: what it keeps without the assignment."""

    begin: int
    end: int
    keeps: str = ""


@dataclass(frozen=True)
class Mutant:
    """``key``: of the line, the change and which of several alike it is, so that it stays the same
    when other lines change."""

    module: str
    line: int
    column: int
    source: str
    change: str
    site: Site
    text: str
    key: str


def modules() -> list[str]:
    return sorted(path.stem for path in HDL.glob("nc_*.v"))


def source_of(module: str) -> str:
    return (HDL / f"{module}.v").read_text()


def mutants_of(module: str, text: str | None = None) -> list[Mutant]:
    """All of a module, in the order of its source."""
    text = source_of(module) if text is None else text
    plain = _without_comments(text)
    found: list[Mutant] = []
    count: dict[str, int] = {}
    for site in _sites(plain):
        expression = plain[site.begin:site.end]
        for at, change, new in _changes(expression, site):
            begin = plain.rfind("\n", 0, site.begin + at) + 1
            line = plain.count("\n", 0, site.begin + at) + 1
            source = plain[begin:plain.find("\n", begin)].strip()
            alike = f"{module}|{source}|{change}"
            count[alike] = count.get(alike, 0) + 1
            key = hashlib.sha256(f"{alike}|{count[alike]}".encode()).hexdigest()[:10]
            found.append(Mutant(module, line, site.begin + at - begin + 1, source, change, site,
                                new, key))
    return found


def mutated(mutant: Mutant, text: str | None = None) -> str:
    """The module with one mutant in place of what it was."""
    text = source_of(mutant.module) if text is None else text
    return text[:mutant.site.begin] + mutant.text + text[mutant.site.end:]


def with_all(module: str, numbered: Sequence[tuple[int, Mutant]]) -> str:
    """The module with all of them, and a register that says which is alive."""
    text = source_of(module)
    sites: dict[Site, list[tuple[int, Mutant]]] = {}
    for number, mutant in numbered:
        sites.setdefault(mutant.site, []).append((number, mutant))
    for site in sorted(sites, key=lambda s: s.begin, reverse=True):
        arms = "".join(f"nc_mutant[0] == 16'd{number} ? ({m.text}) : "
                       for number, m in sites[site])
        text = f"{text[:site.begin]}({arms}({text[site.begin:site.end]})){text[site.end:]}"
    head = text.index(");", text.index("module "))
    head = text.index("\n);\n") if "\n);\n" in text else head
    begin = head + len("\n);\n")
    return ("/* verilator lint_off WIDTH */\n/* verilator lint_off SELRANGE */\n"
            "/* verilator lint_off UNUSED */\n/* verilator lint_off UNSIGNED */\n"
            "/* verilator lint_off CMPCONST */\n/* verilator lint_off SIDEEFFECT */\n"
            + text[:begin] + f'    reg [15:0] nc_mutant[0:0];\n'
            f'    initial $readmemh("{CHOICE}", nc_mutant);\n' + text[begin:])


# ---- Where.


def _without_comments(text: str) -> str:
    """With blanks for comments and strings, so that places stay what they are."""
    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match[0])
    return re.sub(r'//[^\n]*|/\*.*?\*/|"[^"\n]*"', blank, text, flags=re.S)


_WIRE = re.compile(r"^ *(?:wire|assign)\b(?:\s*\[[^;=]*?\])?\s+[\w\[\]+:*\-() ]+?\s=\s")
_CONSTANT = re.compile(r"\s*(localparam|parameter|integer|genvar|for\b|initial)")


def _sites(text: str) -> Iterator[Site]:
    body = text.index(");\n", text.index("\n) (") if "\n) (" in text else text.index("module "))
    for match in re.finditer(r"[^\n]*\n", text):
        begin, line = match.start(), match[0]
        if begin < body or _CONSTANT.match(line):
            continue
        if re.search(r"\bunused\w*\b", line):
            continue
        yield from _in_line(text, begin, line)


def _in_line(text: str, begin: int, line: str) -> Iterator[Site]:
    wire = _WIRE.match(line)
    if wire:
        yield _span(text, begin + wire.end())
        return
    for match in re.finditer(r"\bif \(", line):
        site = _span(text, begin + match.end())
        if re.search(r"\b[a-z]\w*", re.sub(r"\d*'[bdh]\w+", "", text[site.begin:site.end])):
            yield site
    # Ports that are inputs; parameters are capitals.
    for match in re.finditer(r"\.(?!(?:out|sum|value|read_data|y)\()[a-z]\w*\(", line):
        site = _span(text, begin + match.end())
        if re.search(r"[!&|+?=<>]", text[site.begin:site.end]):
            yield site
    assignment = None
    for match in re.finditer(r"([a-z_]\w*(?:\[[^=;<]*?\])?) (<=|=) (?=[^=])", line):
        prefix = line[:match.start()]
        depth = prefix.count("(") - prefix.count(")")
        if depth == 0 and not prefix.rstrip().endswith(("wire", "]")) and "wire" not in prefix:
            assignment = match
            break
    if assignment:
        site = _span(text, begin + assignment.end())
        keeps = assignment[1] if assignment[2] == "<=" else ""
        yield Site(site.begin, site.end, keeps)


def _span(text: str, begin: int) -> Site:
    """From ``begin`` to where the expression ends: a bracket that closes more, or a semicolon."""
    depth, at = 0, begin
    while True:
        c = text[at]
        if c in "([{":
            depth += 1
        elif c in ")]}":
            if not depth:
                break
            depth -= 1
        elif c == ";" or (c == "," and not depth):
            break
        at += 1
    return Site(begin, at)


# ---- What.

_SWAPS = (
    (r"==", "!="), (r"!=", "=="), (r" \+ ", " - "), (r" - ", " + "), (r"&&", "||"),
    (r"\|\|", "&&"), (r" & ", " | "), (r" \| ", " & "), (r" < ", " <= "), (r" > ", " >= "),
    (r" <= ", " < "), (r"<<", ">>"), (r" \^ ", " & "))


def _changes(text: str, site: Site) -> Iterator[tuple[int, str, str]]:
    """(where in the text, what, the new text)."""
    def put(begin: int, end: int, new: str) -> str:
        return text[:begin] + new + text[end:]

    # How often something is repeated is a constant of elaboration.
    repeated = [m.span(1) for m in re.finditer(r"(?<=\{)([^{},;?]*?)\{", text)]
    for pattern, new in _SWAPS:
        for m in re.finditer(pattern, text):
            if any(a <= m.start() < b for a, b in repeated):
                continue
            yield m.start(), f"{m[0].strip()} -> {new.strip()}", put(m.start(), m.end(), new)
    for m in re.finditer(r"!(?=[\w(])", text):
        yield m.start(), "! dropped", put(m.start(), m.end(), "")
    for m in re.finditer(r"~(?=[\w(])", text):
        yield m.start(), "~ dropped", put(m.start(), m.end(), "")
    for m in re.finditer(r"\b(\d+)'([bd])(\d+)", text):
        width, value = int(m[1]), int(m[3], 2 if m[2] == "b" else 10)
        for other in {value ^ 1, (value + 1) % (1 << width)}:
            spelled = f"{width}'{m[2]}{other:b}" if m[2] == "b" else f"{width}'d{other}"
            yield m.start(), f"{m[0]} -> {spelled}", put(m.start(), m.end(), spelled)
    for m in re.finditer(r"\+:", text):
        yield m.start(), "part select + 1", put(m.start(), m.end(), "+1+:")
    for m in re.finditer(r"\?", text):
        arms = _arms(text, m.start())
        if arms:
            a, b, end = arms
            first, second = text[m.end():a].strip(), text[b:end].strip()
            yield m.start(), "arms swapped", put(m.end(), end, f" ({second}) : ({first})")
    if re.fullmatch(r"[\s\S]*[\w)\]}]\s*", text) and not site.keeps and "?" not in text and (
            re.fullmatch(r"[\w\[\]:. ]+", text) or re.search(r"&&|\|\||[=!<>]=|^!|^\w+$", text)):
        yield 0, "negated", f"!({text})"
    if site.keeps:
        yield 0, "not assigned", site.keeps


def _arms(text: str, question: int) -> tuple[int, int, int] | None:
    """Of a ternary: where its first arm ends, its second begins and ends."""
    depth = nested = 0
    middle = -1
    for at in range(question + 1, len(text)):
        c = text[at]
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth < 0:
                return (middle, middle + 1, at) if middle >= 0 else None
        elif depth == 0 and c == "?" and middle < 0:
            nested += 1
        elif depth == 0 and c == ":" and middle < 0:
            if nested == 0:
                middle = at
            else:
                nested -= 1
        elif depth == 0 and c == ",":
            return (middle, middle + 1, at) if middle >= 0 else None
    return (middle, middle + 1, len(text)) if middle >= 0 else None
