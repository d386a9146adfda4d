"""The package for a Zynq. There is no Vivado here: its scripts are run by a Tcl interpreter in
which Vivado's commands only say what they were given."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from contracts import contract_of, recording
from rich.console import Console

import neurocompile as nc
from neurocompile.diagnostics import CompileError
from neurocompile.report.synthesis import show_bitstream
from neurocompile_backends.rtl.backend import plan_of
from neurocompile_backends.rtl.command import build_bitstream_of
from neurocompile_backends.rtl.emit.axi import axi_files, buses, in_bytes
from neurocompile_backends.rtl.plan.design import ChipPlan

tkinter = pytest.importorskip("tkinter", reason="Python was built without Tcl")


def plan_for(name: str) -> Any:
    recorded = recording(name, 1)
    return nc.compile(recorded.network, "zynq", contract=contract_of(name, recorded)).mapping


@pytest.fixture(scope="module", params=["digits", "mnist_mlp"])
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
            ) -> tuple[ChipPlan, Path, dict[str, Any]]:
    """One without and one with banks of synaptic memory."""
    mapping = plan_for(request.param)
    output = tmp_path_factory.mktemp("zynq") / "package"
    return plan_of(mapping), output, build_bitstream_of(mapping, output, clock_mhz=80)


COMMANDS = (
    "create_project", "add_files", "set_property", "update_compile_order", "current_fileset",
    "close_project", "create_bd_design", "create_bd_cell", "apply_bd_automation", "get_bd_cells",
    "get_bd_intf_pins", "connect_bd_intf_net", "current_project", "update_ip_catalog",
    "assign_bd_address", "validate_bd_design", "save_bd_design", "get_files", "make_wrapper",
    "launch_runs", "wait_on_run", "get_runs", "ipx::package_project", "ipx::current_core",
    "ipx::associate_bus_interfaces", "ipx::get_bus_interfaces", "ipx::create_xgui_files",
    "ipx::update_checksums", "ipx::check_integrity", "ipx::save_core",)
"""Of Vivado. What is not here and not of Tcl is an error."""


def run_script(path: Path, interfaces: list[str], slack: str = "1.0") -> list[list[str]]:
    """What the script says to Vivado, a list of words a command."""
    tcl = tkinter.Tcl()
    said: list[list[str]] = []

    def command(*words: str) -> str:
        said.append([str(w) for w in words])
        return ""

    tcl.createcommand("vivado", command)
    tcl.eval("namespace eval ipx {}; proc puts {args} {}")
    for name in COMMANDS:
        tcl.eval(f"proc {name} {{args}} {{ vivado {name} {{*}}$args; "
                 f"return [list {name} {{*}}$args] }}")
    tcl.eval("proc get_board_parts {args} { return tul.com.tw:pynq-z2:part0:1.0 }")
    found = " ".join(interfaces)
    tcl.eval(f"""proc get_property {{name object}} {{
        switch $name {{ PROGRESS {{ return 100% }} STATS.WNS {{ return {slack} }}
                        name {{ return {{{found}}} }} default {{ error "property $name" }} }} }}""")
    tcl.eval(f"source {{{path}}}")
    return said


def test_the_package_has_all_that_its_scripts_and_its_driver_name(
        package: tuple[ChipPlan, Path, dict[str, Any]]) -> None:
    plan, root, known = package
    there = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    assert there == known["files"]
    assert {"package_ip.tcl", "block_design.tcl", "pynq_driver.py", "network.npz",
            "rtl.json"} <= set(there)
    design = axi_files(plan)
    assert {p for p in design if p.endswith(".v")} <= set(there)
    # Every memory is named without a folder, and is there.
    memories = {p.name for p in (root / "mem").iterdir()}
    top = (root / "hdl" / "nc_top.v").read_text()
    named = set(re.findall(r'_INIT\("([^"]+)"\)|RECORDS\("([^"]+)"\)|(?:FIRSTS|AXONS|BIASES)'
                           r'\("([^"]+)"\)', top))
    for name in ("".join(parts) for parts in named):
        assert name in memories or any(m.startswith(name) and m.endswith(".mem")
                                       for m in memories), name
    assert named
    assert not re.search(r'"mem/|\.hex"', "".join(p.read_text() for p in root.glob("hdl/*.v")))
    assert len(memories) == len([p for p in design if p.startswith("mem/")])


def test_the_ip_is_packaged_of_every_file_with_all_its_interfaces(
        package: tuple[ChipPlan, Path, dict[str, Any]]) -> None:
    plan, root, _ = package
    top = (root / "hdl" / "nc_axi_top.v").read_text()
    interfaces = sorted(set(re.findall(r'X_INTERFACE_INFO = "\S+ (\w+) \w+"', top)))
    assert interfaces == ["aclk", "aresetn", "m_axis", "s_axil", "s_axis"]
    said = run_script(root / "package_ip.tcl", interfaces)
    added = {Path(p) for words in said if words[0] == "add_files"
             for p in tkinter.Tcl().splitlist(words[-1])}
    assert added == {*root.glob("hdl/*.v"), *root.glob("mem/*.mem")}
    associated = [words[words.index("-busif") + 1] for words in said
                  if words[0] == "ipx::associate_bus_interfaces" and "-busif" in words]
    assert associated == [bus for bus, _, _ in buses(plan)]
    assert ["set_property", "top", "nc_axi_top"] in [words[:3] for words in said]
    assert "xc7z020clg400-1" in said[0]
    with pytest.raises(tkinter.TclError, match="found no interface s_axil"):
        run_script(root / "package_ip.tcl", [i for i in interfaces if i != "s_axil"])


def test_every_port_of_the_block_design_is_one_of_the_network_s(
        package: tuple[ChipPlan, Path, dict[str, Any]]) -> None:
    plan, root, _ = package
    run = root / "vivado" / "network.runs" / "impl_1"
    handoff = root / "vivado" / "network.gen" / "sources_1" / "bd" / "design_1" / "hw_handoff"
    for folder in (run, handoff):
        folder.mkdir(parents=True, exist_ok=True)
    (run / "design_1_wrapper.bit").write_text("bits")
    (handoff / "design_1.hwh").write_text("handoff")
    said = run_script(root / "block_design.tcl", [])
    assert (root / "network.bit").read_text() == "bits"
    assert (root / "network.hwh").read_text() == "handoff"
    cells = {words[-1]: words[words.index("-vlnv") + 1] for words in said
             if words[0] == "create_bd_cell"}
    assert cells == {"ps": "xilinx.com:ip:processing_system7:5.5",
                     "dma": "xilinx.com:ip:axi_dma:7.1",
                     "network": "neurocompile.org:user:network:1.0"}
    used = {m for words in said for m in re.findall(r"\bnetwork/(\w+)", " ".join(words))}
    assert used == {bus for bus, _, _ in buses(plan)}
    text = "\n".join(" ".join(words) for words in said)
    assert f"CONFIG.c_m_axis_mm2s_tdata_width {8 * in_bytes(plan)}" in text
    assert "CONFIG.c_s_axis_s2mm_tdata_width 64" in text
    assert "CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ 80" in text
    assert "CONFIG.c_sg_length_width 26" in text
    # The driver asks the overlay for the cells of these names.
    driver = (root / "pynq_driver.py").read_text()
    assert set(re.findall(r"overlay\.(\w+)", driver)) == {"network", "dma"}


def test_the_attributes_name_every_port_once(
        package: tuple[ChipPlan, Path, dict[str, Any]]) -> None:
    plan, root, _ = package
    top = (root / "hdl" / "nc_axi_top.v").read_text()
    named = re.findall(r'X_INTERFACE_INFO = "xilinx\.com:interface:(\w+):1\.0 (\w+) (\w+)" \*\)\n'
                       r"    (?:input|output) +(?:\[\d+:0\])? *(\w+)", top)
    assert named == [(kind, bus, port.upper(), f"{bus}_{port}")
                     for bus, kind, ports in buses(plan) for port, _, _ in ports]
    assert "ASSOCIATED_BUSIF s_axis:m_axis:s_axil, ASSOCIATED_RESET aresetn" in top


def test_what_was_written_and_what_comes_next_is_said(
        package: tuple[ChipPlan, Path, dict[str, Any]]) -> None:
    _, root, known = package
    text = StringIO()
    show_bitstream(Console(file=text, width=200), known)
    for words in (str(root), "no bitstream", "not tried in Vivado or on a board",
                  "vivado -mode batch -source package_ip.tcl",
                  "vivado -mode batch -source block_design.tcl", "network.npz", "80 MHz"):
        assert words in text.getvalue()
    assert json.loads(json.dumps(known)) == known


def test_a_package_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    mapping = plan_for("digits")
    (tmp_path / "there").mkdir()
    for output in (tmp_path / "there", tmp_path / "nowhere" / "package"):
        with pytest.raises(CompileError, match="E625"):
            build_bitstream_of(mapping, output)
    assert [p.name for p in tmp_path.iterdir()] == ["there"]
