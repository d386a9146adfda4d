"""Rewrites the generated parts of the documentation (`make docs`)."""

from __future__ import annotations

from pathlib import Path

from neurocompile.presets import preset_table_markdown
from neurocompile.report.codes_table import render

DOCS = Path(__file__).parent


def replace_block(page: Path, name: str, text: str) -> None:
    """Put ``text`` between the page's markers ``<!-- name: begin -->`` and ``: end``."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    _, after = rest.split(end)
    page.write_text(f"{before}{begin}{text}{end}{after}", encoding="utf-8")


def main() -> None:
    (DOCS / "diagnostics.md").write_text(render(), encoding="utf-8")
    replace_block(DOCS / "contract.md", "presets", preset_table_markdown())


if __name__ == "__main__":
    main()
