"""Runs the commands of fpga.md and puts what they print below them: `python docs/walkthrough.py`.

The blocks between ``<!-- shown: begin -->`` and ``<!-- shown: end -->`` are one session, in a
folder with the files of ``neurocompile demo``. It takes a minute: the last command places and
routes.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import neurocompile

PAGE = Path(__file__).with_name("fpga.md")
BLOCK = re.compile(r"(<!-- shown: begin -->\n```\n)(.*?)(```\n<!-- shown: end -->\n)", re.DOTALL)
DEMO = ("digits_mlp_lif_snntorch.nir", "digits.toml", "digits.npz")


def commands(block: str) -> list[str]:
    """The commands of a block, without the prompt."""
    return [line[2:] for line in block.splitlines() if line.startswith("$ ")]


def prepare(folder: Path) -> None:
    """Copy what the commands read."""
    for name in DEMO:
        shutil.copy(Path(neurocompile.__file__).parent / "demo" / name, folder / name)


def run(command: str, folder: Path) -> str:
    """What ``neurocompile ...`` prints there, without what it reports of its progress."""
    program, *arguments = shlex.split(command)
    if program != "neurocompile":
        raise ValueError(f"{command}: only neurocompile is run")
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "FORCE_COLOR")}
    done = subprocess.run([sys.executable, "-m", "neurocompile.cli", *arguments], cwd=folder,
                          env=environment, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
    return "".join(line.rstrip() + "\n" for line in done.stdout.splitlines())


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix=".neurocompile-", dir=Path.cwd()) as name:
        folder = Path(name)
        prepare(folder)

        def shown(match: re.Match[str]) -> str:
            text = "".join(f"$ {c}\n{run(c, folder)}" for c in commands(match[2]))
            return f"{match[1]}{text}{match[3]}"

        page = BLOCK.sub(shown, page)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
