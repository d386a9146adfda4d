"""Marks of tests that need a tool of the machine, which no package of PyPI has."""

from __future__ import annotations

import shutil

import pytest

needs_icestorm = pytest.mark.skipif(
    shutil.which("icebox_vlog") is None,
    reason="icebox_vlog is not installed: apt-get install fpga-icestorm")
needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None,
    reason="Icarus Verilog is not installed: apt-get install iverilog")
