"""Diagnostics: what is wrong, with what, by how much, and what to do next.

Every problem a user can cause is a :class:`Diagnostic` with a stable code. Checks collect
all of them in :class:`Diagnostics` and raise one :class:`CompileError` that carries the whole
list, so that a user sees every violation at once.

Codes start with ``E`` (error: nothing is written, but for E887), ``W`` (warning: the result
differs from what the input says in a way that is stated) or ``I`` (information). The hundreds tell
the part:
1 reading files, 2 contract, 3 graph and timing, 4 quantization, 5 targets and mapping,
6 data, 7 build directories, 8 backends and verification, 9 the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Diagnostic:
    """One finding. ``subject`` names the node, file or option; ``hint`` says the next step."""

    code: str
    subject: str
    message: str
    got: str = ""
    limit: str = ""
    hint: str = ""

    @property
    def is_error(self) -> bool:
        return self.code.startswith("E")

    def to_dict(self) -> dict[str, str]:
        return asdict(self)

    def __str__(self) -> str:
        text = f"{self.code} {self.subject}: {self.message}"
        facts = [f"{key} {value}" for key, value in (("got", self.got), ("limit", self.limit))
                 if value]
        if facts:
            text += f" ({', '.join(facts)})"
        if self.hint:
            text += f"; {self.hint}"
        # Names come from users' files: control characters must not reach a terminal.
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class CompileError(Exception):
    """A failed step, with every diagnostic that step found (errors and warnings)."""

    def __init__(self, diagnostics: Iterable[Diagnostic]):
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        super().__init__("\n".join(str(d) for d in self.diagnostics))


class Diagnostics:
    """An ordered collection of findings; identical findings are kept once."""

    def __init__(self) -> None:
        self._items: dict[Diagnostic, None] = {}

    def add(self, code: str, subject: str, message: str, *, got: object = "",
            limit: object = "", hint: str = "") -> None:
        item = Diagnostic(code, subject, message, str(got), str(limit), hint)
        self._items.setdefault(item)

    def extend(self, items: Iterable[Diagnostic]) -> None:
        for item in items:
            self._items.setdefault(item)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """What the block raises as a :class:`CompileError` is kept, and the next check can run."""
        try:
            yield
        except CompileError as error:
            self.extend(error.diagnostics)

    def raise_if_errors(self) -> None:
        """Raise :class:`CompileError` with everything found if any finding is an error."""
        if any(item.is_error for item in self._items):
            raise CompileError(self._items)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


def fail(code: str, subject: str, message: str, *, got: object = "", limit: object = "",
         hint: str = "") -> CompileError:
    """A :class:`CompileError` with a single diagnostic, to be raised by the caller."""
    return CompileError([Diagnostic(code, subject, message, str(got), str(limit), hint)])
