"""Where backends keep what they make for a user beside any build."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HOME = "NEUROCOMPILE_HOME"


def home() -> Path:
    """Where neurocompile keeps what it makes for a user: $NEUROCOMPILE_HOME, else the user's data
    directory."""
    stated = os.environ.get(HOME)
    if stated:
        return Path(stated).absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Application Support")
    else:
        base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "neurocompile"
