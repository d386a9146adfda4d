"""Rewrites the generated parts of the documentation (`make docs`)."""

from __future__ import annotations

from pathlib import Path

from neurocompile.report.codes_table import render

DOCS = Path(__file__).parent


def main() -> None:
    (DOCS / "diagnostics.md").write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
