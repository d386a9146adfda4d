"""Chips as data: one TOML file a target, read by a strict loader. See docs/targets.md."""

from __future__ import annotations

from neurocompile.targets.loader import available, load_target

__all__ = ["available", "load_target"]
