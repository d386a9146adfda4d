"""The proofs of the RTL library hold, and each of them would notice."""

from __future__ import annotations

import pytest
from formal.proofs import HDL, missing, modules_of, proofs, prove

pytestmark = pytest.mark.skipif(
    bool(missing()), reason=f"not installed: {', '.join(missing())} (pip install '.[dev]')")

EXPECTED = {("accumulators", "broken"): "fail"}
"""What is to fail: without the promise of nc_synapses an addition is lost."""


@pytest.mark.parametrize(("name", "task"), proofs())
def test_proof_holds(name: str, task: str) -> None:
    status, said = prove(name, task)
    assert status == EXPECTED.get((name, task), "pass"), said


CONTROLS = [
    ("fifo", "deep", "nc_fifo", "count != DEPTH", "1'b1", "a full FIFO takes a word"),
    ("fifo", "deep", "nc_fifo", "head <= head + 1'b1", "head <= head + 2'd2",
     "a word is passed over"),
    ("queue", "deep", "nc_queue", "(!out_valid || take)", "(!out_valid || out_ready || put)",
     "the head is overwritten"),
    ("bus", "three", "nc_bus", "~(granted | (granted - 1'b1))", "~(granted - 1'b1)",
     "who sent last is first again"),
    ("bus", "three", "nc_bus", "in_valid[i] && out_ready[r]", "in_valid[i]",
     "a receiver without room is sent to"),
    ("sender", "", "nc_sender", "left - 1'b1", "left",
     "a neuron sends one flit too many"),
    ("sender", "", "nc_sender", "axon + 1'b1", "axon", "one output axon gets all"),
    ("sender", "", "nc_sender", "(state == LATCH || taken) out_flit", "(1'b1) out_flit",
     "a flit changes while it waits"),
    ("sender", "", "nc_sender", "tail == LAST[INDEX-1:0] ?", "1'b0 ?", "the queue does not wrap"),
    ("control", "payloads", "nc_control", "!busy && !start", "!start",
     "a step begins while cores are busy"),
    ("control", "payloads", "nc_control", "&& !restart && !in_valid", "&& !restart",
     "a step ends while a flit goes to the host"),
    ("control", "once", "nc_control", "(room || !running)", "1'b1",
     "an end is lost when nobody takes"),
    ("accumulators", "kept", "nc_accumulators", "sum + value", "sum - value", "it subtracts"),
    ("accumulators", "kept", "nc_accumulators", "scan ? scan_addr :", "1'b0 ? scan_addr :",
     "another row is read"),
    ("decay", "function_24", "nc_decay", "sign4 ? -size4 : size4", "sign4 ? ~size4 : size4",
     "negative numbers are rounded away from zero"),
    ("decay", "pipeline_5", "nc_decay", "sign4 <= sign3;", "sign4 <= x[WIDTH-1];",
     "the sign is that of another neuron"),
    ("arithmetic", "", "nc_saturate", "< LOW ? LOW", "< LOW ? HIGH",
     "it saturates at the wrong end"),
    ("arithmetic", "", "nc_extend", "{OUT - IN{in[IN-1]}}", "{OUT - IN{1'b0}}",
     "it loses the sign"),
    ("arithmetic", "", "nc_wrap", "less[ADDR] ?", "!less[ADDR] ?", "it wraps where it need not"),
    ("arithmetic", "", "nc_field", "record[AT+:OUT]", "record[0+:OUT]", "it reads another field"),
    ("arithmetic", "", "nc_parameter", "SIGNED ?", "!SIGNED ?", "signs are taken for none"),
    ("link", "", "nc_host_link", "take && taken == HALF_LESS_ONE", "take",
     "every byte is worth a credit of half the buffer"),
    ("link", "", "nc_host_link", "free && !hello && !failed && credits == 2'd0", "free",
     "a word is taken and not sent"),
    ("axis", "", "nc_axis", "closing || (head_valid && good)", "closing || head_valid",
     "a word for a core that does not exist goes to the chip"),
    ("axis", "", "nc_axis", ".clk(clk), .rst(rst),\n        .in_valid(put || aborting)",
     ".clk(clk), .rst(chip_rst),\n        .in_valid(put || aborting)",
     "clear takes an offer back"),
    ("axis", "", "nc_axis", "take && head_last && running_next", "take && head_last && running",
     "an END is invented after an END"),
    ("axis", "", "nc_axis", ".in_data(finish)", ".in_data(!finish)", "TLAST is at the wrong end"),
    ("axil", "", "nc_axil", "have_data && (!s_axil_bvalid || s_axil_bready)", "have_data",
     "an answer is written over"),
    ("axil", "", "nc_axil", "data[3:0] : 4'd0", "4'd15 : 4'd0", "all faults are forgiven"),
    ("uart", "", "nc_uart_rx", "{line, data[7:1]}", "{data[6:0], line}", "bits are turned round"),
]
"""A change of one place in a module, and the proof that must not hold with it."""


CYCLES = {"sender": 22, "link": 20, "uart": 50, "axil": 10, "axis": 26}
"""From reset, in which a claim must be violated: for queues to go round, a byte to come, or a chip
to come out of reset."""


@pytest.mark.parametrize(("name", "task", "module", "old", "new", "what"), CONTROLS,
                         ids=[control[5].replace(" ", "-") for control in CONTROLS])
def test_claims_are_violated_where(name: str, task: str, module: str, old: str, new: str,
                                   what: str) -> None:
    text = (HDL / f"{module}.v").read_text()
    assert text.count(old) == 1, f"{what}: where is it?"
    status, said = prove(name, task, changed={module: text.replace(old, new)},
                         claims_to=CYCLES.get(name, 14))
    assert status == "fail", f"{what}: {status}\n{said}"


def test_every_proof_has_a_control() -> None:
    assert {name for name, _ in proofs()} == {control[0] for control in CONTROLS}
    assert all(control[2] in modules_of(control[0]) for control in CONTROLS)
