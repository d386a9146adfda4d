"""What becomes of the RTL, netlist and bitstream, against the integer reference."""

from __future__ import annotations

import shutil

import pytest
from contracts import contract_of, recording

import neurocompile as nc
from neurocompile.api import Build
from neurocompile.diagnostics import CompileError
from neurocompile.verification.report import VerificationReport

needs_icestorm = pytest.mark.skipif(
    shutil.which("icebox_vlog") is None,
    reason="icebox_vlog is not installed: apt-get install fpga-icestorm")


def compiled(name: str, target: str) -> Build:
    recorded = recording(name, 5)
    return nc.compile(recorded.network, target, contract=contract_of(name, recorded))


def proved(report: VerificationReport) -> int:
    """How many integers that the host got were compared and are not 0."""
    assert report.passed, report.to_dict()
    measured = {c.name: c for c in report.checks if c.status == "PASS"}
    assert measured["cycles"].measured == 0
    (output,) = [c for name, c in measured.items() if name.endswith(":s")]
    assert all("no probes" in c.reason for c in report.checks if c.status == "SKIPPED")
    return int(output.reason.split()[-4])


@pytest.mark.parametrize(("name", "target"), [("digits", "ice40-hx8k"),
                                              ("fsdd_rcubalif", "ecp5-25f")])
def test_the_netlist_of_synthesis_gives_every_output_in_the_same_cycles(name: str,
                                                                       target: str) -> None:
    samples = 5 if name == "digits" else 1
    (report,) = nc.verify(compiled(name, target), recording(name, samples).x,
                          backends=("reference", "rtl"), level="netlist")
    assert proved(report) >= (50 if name == "digits" else 25)
    assert {"cycles with stalls", "states with stalls"} <= {c.name for c in report.checks}


@needs_icestorm
def test_a_bitstream_read_back_gives_every_output_over_its_wire() -> None:
    (report,) = nc.verify(compiled("digits", "ice40-hx8k"), recording("digits", 5).x,
                          backends=("reference", "rtl"), level="bitstream")
    assert proved(report) >= 50


@pytest.mark.parametrize(("target", "level"), [("generic", "netlist"), ("zynq", "netlist"),
                                               ("ecp5-25f", "bitstream"),
                                               ("ice40-up5k", "bitstream")])
def test_a_target_without_the_level_is_refused(target: str, level: str) -> None:
    with pytest.raises(CompileError, match="E876"):
        nc.verify(compiled("digits", target), recording("digits", 1).x,
                  backends=("reference", "rtl"), level=level)


@pytest.mark.parametrize(("backends", "level"), [(("reference", "rtl"), "gates"),
                                                 (("reference", "simulator"), "netlist")])
def test_a_level_is_one_of_a_backend_that_has_levels(backends: tuple[str, ...],
                                                     level: str) -> None:
    with pytest.raises(CompileError, match="E875"):
        nc.verify(compiled("digits", "ice40-hx8k"), recording("digits", 1).x, backends=backends,
                  level=level)
