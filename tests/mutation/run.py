"""Which mutants of the RTL library are found: ``python tests/mutation/run.py``.

A fair sample of the mutants of every module (``QUOTA``; ordered by their keys, which are hashes) is
taken through, each until something finds it:

1. ``verilator --lint-only -Wall`` of the module alone. What it refuses or has a new warning for is
   not counted: such a change would not come into the library.
2. The corner networks (``rtl_corners``): states, words to the host, cycles; with and without
   stalls, and after a reset within a sample.
3. For the modules of the link, boards behind a simulated wire: checks of ``test_rtl_uart``.
4. The claims of the proofs in ``tests/formal``, for a bounded time from reset.

``equivalent.csv`` names those that nothing can find, and why. The rest has survived. The result is
``mutants.csv``; mutants that it has already are not run again, but for ``--again``.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "differential")]

import test_rtl_uart as wire  # noqa: E402
from formal import proofs  # noqa: E402
from mutation.mutants import (  # noqa: E402
    CHOICE,
    Mutant,
    modules,
    mutants_of,
    mutated,
    source_of,
    with_all,
)
from program_factory import given, placed  # noqa: E402
from rtl_corners import CORNERS  # noqa: E402
from test_rtl_corners import difference, difference_after_reset, reference  # noqa: E402

from neurocompile.passes.assemble import Assemble  # noqa: E402
from neurocompile_backends.rtl.emit.board import BOARD_MODULES, board_files  # noqa: E402
from neurocompile_backends.rtl.emit.files import MODULES, design_files  # noqa: E402
from neurocompile_backends.rtl.plan.chip import plan_chip  # noqa: E402
from neurocompile_backends.rtl.simulate import verilator  # noqa: E402
from neurocompile_backends.rtl.simulate.simulated_port import build_board  # noqa: E402

LIST = HERE / "mutants.csv"
EQUIVALENT = HERE / "equivalent.csv"
DOCS = HERE.parents[1] / "docs" / "rtl.md"
COLUMNS = ("key", "module", "line", "column", "source", "change", "result", "by")

QUOTA = {"nc_synapses": 50, "nc_neurons": 55, "nc_host_link": 45, "nc_core": 25, "nc_sender": 25,
         "nc_control": 25, "nc_bus": 20, "nc_fifo": 15, "nc_queue": 15, "nc_host_spi": 18,
         "nc_uart_rx": 18, "nc_uart_tx": 14, "nc_spram": 12,
         "nc_axis": 30, "nc_axil": 30}
"""Mutants of a module; all where it is not named."""

ORDER = ("counted", "saturation", "ring", "convolved", "crowd", "one_row", "delayed_reset",
         "host_memory", "late_start", "banks", "pauses")
HANG_CYCLES = 1 << 15
"""Of a step of a corner network, none of which takes a tenth of it."""
TIMEOUT_S = 60.0

LINK = ("nc_host_link", "nc_host_spi", "nc_uart_rx", "nc_uart_tx", "nc_queue", "nc_ram")
FORMAL = {"nc_fifo": "fifo", "nc_queue": "queue", "nc_bus": "bus", "nc_sender": "sender",
          "nc_control": "control", "nc_accumulators": "accumulators", "nc_decay": "decay",
          "nc_saturate": "arithmetic", "nc_extend": "arithmetic", "nc_wrap": "arithmetic",
          "nc_field": "arithmetic", "nc_parameter": "arithmetic", "nc_host_link": "link",
          "nc_uart_rx": "uart", "nc_uart_tx": "uart", "nc_axis": "axis", "nc_axil": "axil"}
"""The proof of a module."""
CLAIMS_TO = {"uart": 50, "axis": 26, "axil": 10}
"""Cycles from reset, where they are not 20: for a byte to come; for a chip to come out of reset;
for solvers to be quick about counters."""


def sample(module: str) -> list[Mutant]:
    """Of a module, as many as its quota, by their keys; then in the order of its source."""
    every = mutants_of(module)
    chosen = {m.key for m in sorted(every, key=lambda m: m.key)[:QUOTA.get(module, len(every))]}
    return [m for m in every if m.key in chosen]


def warnings(module: str, mutant: Mutant | None = None) -> int:
    """Of ``verilator --lint-only -Wall`` about a module alone, with its default parameters."""
    tool = verilator.find_verilator()
    with tempfile.TemporaryDirectory() as folder:
        for name in modules():
            body = mutated(mutant) if mutant and name == module else source_of(name)
            (Path(folder) / f"{name}.v").write_text(body)
        done = subprocess.run(
            [str(tool.binary), "--lint-only", "-Wall", "-Wno-fatal", "--top-module", module,
             "-y", ".", f"{module}.v"], cwd=folder, env=tool.environment(), capture_output=True,
            text=True, check=False)
        return done.stderr.count("%Warning-") + 1000 * done.stderr.count("%Error")


# ---- Checks: each is run in a process of its own, as mutants hang and crash.


@dataclass(frozen=True, eq=False)
class Check:
    """``run`` says how a mutant shows, "" where it does not. ``folder``: of the simulation."""

    name: str
    folder: Path
    run: Callable[[], str]

    def finds(self, number: int) -> str:
        (self.folder / CHOICE).write_text(f"{number:x}\n")
        context = multiprocessing.get_context("fork")
        mine, theirs = context.Pipe(duplex=False)
        child = context.Process(target=self._tell, args=(theirs,))
        child.start()
        theirs.close()
        said = "it hangs"
        if mine.poll(TIMEOUT_S):
            try:
                said = mine.recv()
            except EOFError:
                said = "it crashes"
        child.kill()
        child.join()
        return said

    def _tell(self, pipe: Any) -> None:
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        try:
            said = self.run()
        except (Exception, SystemExit) as error:
            said = f"{type(error).__name__}: {str(error)[:60]}"
        except BaseException as error:  # pytest's own failures are none of the above
            said = type(error).__name__
        pipe.send(said)
        pipe.close()


def corner_checks(changed: dict[str, str], names: Sequence[str]) -> list[Check]:
    """Every corner, compiled once with all mutants in it."""
    found: list[Check] = []
    resets: list[Check] = []
    for name in names:
        case = CORNERS[name]()
        expected = reference(case)
        folder = tempfile.TemporaryDirectory(prefix="neurocompile-mutants-")
        files = design_files(case.plan)
        files.update({f"hdl/{m}.v": text.encode() for m, text in changed.items() if m in MODULES})
        compiled = verilator.compile_model(Path(folder.name), files, "nc_top",
                                           (*MODULES, "nc_top"), ("nc_probe",), "harness.cpp",
                                           ("-O0",))
        built = verilator.Built(case.plan, folder, verilator.load_model(compiled))
        check = Check(name, Path(folder.name),
                      lambda case=case, expected=expected, built=built: difference(
                          case, expected, built))
        assert check.finds(0) == "", f"{name}: without a mutant it differs: {check.finds(0)}"
        found.append(check)
        reset = Check(f"reset of {name}", Path(folder.name),
                      lambda case=case, built=built: difference_after_reset(case, built))
        assert reset.finds(0) == "", f"{name}: without a mutant: {reset.finds(0)}"
        resets.append(reset)
        print(f"built {name}", flush=True)
    return found + resets


def wire_checks(changed: dict[str, str]) -> list[Check]:
    """Boards: three cores at a UART, a slow one with a small buffer, one at an SPI bus."""
    def case(seed: int, hidden: int, per_core: int, lanes: int | None, log2_buffer: int,
             board: wire.Board) -> wire.Case:
        quantized = wire.random_network(seed, hidden)
        program = Assemble().run(placed(quantized, per_core))
        plan = plan_chip(program, quantized, lanes and (lanes,) * len(program.cores))
        files = board_files(plan, board, log2_buffer=log2_buffer)
        files.update({f"hdl/{m}.v": text.encode() for m, text in changed.items()
                      if m in BOARD_MODULES})
        built = build_board(files, board)
        (built.root / CHOICE).write_text("0\n")
        print("built a board", flush=True)
        return wire.Case(quantized, plan, built)

    small = case(1, 20, 10, 4, 9, wire.BOARD)
    slow = case(2, 150, 150, 1, 4, replace(wire.BOARD, baud=3_000_000))
    spi = case(3, 20, 150, None, 4, replace(wire.BOARD, baud=wire.BOARD.clock_hz // 6,
                                            pins=wire.SPI_PINS))

    def over_spi() -> None:
        data = given(spi.quantized, 3, wire.N_STEPS)
        host = spi.host()
        spi.expect(host.run(data), data)
        for fault in (b"\x85", b"\x05"):
            host.connect()
            host.port.write(fault)
            host.port.wait(400)
            assert wire.refused(lambda: host._exchange(
                b"\x81", np.zeros(1, np.int64), np.zeros((1, 26), np.int32))) == "E872"
            spi.expect(host.run(data), data)

    runs: list[tuple[str, wire.Case, Callable[[], None]]] = [
        ("samples over UART", small,
         lambda: wire.test_samples_over_the_wire_equal_the_reference(small)),
        ("samples over SPI", spi, over_spi),
        ("credits", slow,
         lambda: wire.test_credits_lose_no_word_where_steps_are_slower_than_the_wire(slow)),
        ("no credits", slow,
         lambda: wire.test_a_host_without_regard_for_credits_is_told_that_bytes_were_lost(slow)),
        ("cycles over UART", small,
         lambda: wire.test_every_cycle_is_that_of_the_model_given_when_the_wire_has_words(small)),
        ("late greeting", small,
         lambda: wire.test_a_greeting_that_is_late_is_not_taken_for_this_one(small)),
        ("break", small, lambda: (
            wire.test_a_break_within_a_word_is_a_fault_and_reset_resynchronises(small))),
        ("glitch", small, lambda: wire.test_a_glitch_shorter_than_half_a_bit_is_no_byte(small)),
        ("garbage", small,
         lambda: wire.test_garbage_before_the_first_word_is_answered_with_nothing(small, 0)),
        ("reset lost", small, lambda: wire.test_a_reset_that_noise_eats_is_sent_again(small)),
        ("slower clock", small, lambda: wire.test_clocks_may_differ_by_three_percent(small, 0.97)),
        ("faster clock", small, lambda: wire.test_clocks_may_differ_by_three_percent(small, 1.03)),
        ("other clock", small, lambda: (
            wire.test_clocks_that_differ_by_ten_percent_do_not_understand_each_other(small)))]
    for extra in (b"\x05", b"\x85", b"\x80"):
        runs.append((f"stray {extra.hex()}", small, lambda e=extra: (
            wire.test_a_stray_byte_a_kind_that_is_none_and_a_word_cut_short_are_faults(small, e))))
    for fault in (b"\x05", b"\x85"):
        runs.append((f"after fault {fault.hex()}", small, lambda f=fault: (
            wire.test_after_a_fault_the_chip_says_so_once_and_hears_nothing_but_a_reset(small, f))))
    for at in (1, 2, 5, 12, 40, 42):
        runs.append((f"byte {at} lost", small, lambda a=at: (
            wire.test_a_byte_lost_anywhere_is_found_and_the_next_run_is_right(small, a))))
    for wait in (3.0, 3.7, 4.2):
        runs.append((f"given up {wait}", small, lambda w=wait: (
            wire.test_a_run_that_is_given_up_leaves_nothing_to_the_next(small, w))))

    def quietly(run: Callable[[], object]) -> Callable[[], str]:
        def check() -> str:
            run()
            return ""
        return check

    found = [Check(name, case.built.root, quietly(run)) for name, case, run in runs]
    for check in found:
        said = check.finds(0)
        assert said == "", f"{check.name}: without a mutant it fails: {said}"
    return found


def by_proof(mutant: Mutant) -> str:
    """The proof that has a claim which a mutant violates."""
    name = FORMAL.get(mutant.module)
    if name is None or proofs.missing():
        return ""
    for proof, task in proofs.proofs():
        if proof == name and (proof, task) not in {("accumulators", "broken")}:
            status, _ = proofs.prove(proof, task, changed={mutant.module: mutated(mutant)},
                                     claims_to=CLAIMS_TO.get(name, 20))
            if status == "fail":
                return f"proof: {proof} {task}".strip()
    return ""


# ---- The list.


def read_list(path: Path = LIST) -> dict[str, dict[str, str]]:
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {row["key"]: row for row in csv.DictReader(file)}


def write_list(rows: dict[str, dict[str, str]], path: Path = LIST) -> None:
    """In the order of modules and lines."""
    ordered = sorted(rows.values(), key=lambda r: (r["module"], int(r["line"]), int(r["column"]),
                                                   r["change"]))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(ordered)


def score(rows: dict[str, dict[str, str]]) -> tuple[int, int]:
    """Mutants found, of those that can be."""
    killed = sum(row["result"] == "killed" for row in rows.values())
    return killed, killed + sum(row["result"] == "survived" for row in rows.values())


def table(rows: dict[str, dict[str, str]]) -> str:
    """By module, for docs/rtl.md."""
    lines = ["| module | mutants | found by networks | over the wire | by a proof | equivalent | "
             "survived |", "|---|---|---|---|---|---|---|"]
    total = [0] * 6
    for module in modules():
        own = [r for r in rows.values() if r["module"] == module and r["result"] != "lint"]
        if not own:
            continue
        numbers = [len(own),
                   sum(r["result"] == "killed" and r["by"].startswith("network") for r in own),
                   sum(r["result"] == "killed" and r["by"].startswith("wire") for r in own),
                   sum(r["result"] == "killed" and r["by"].startswith("proof") for r in own),
                   sum(r["result"] == "equivalent" for r in own),
                   sum(r["result"] == "survived" for r in own)]
        total = [a + b for a, b in zip(total, numbers, strict=True)]
        lines.append(f"| `{module}` | " + " | ".join(map(str, numbers)) + " |")
    lines.append("| all | " + " | ".join(map(str, total)) + " |")
    return "\n".join(lines)


def document(rows: dict[str, dict[str, str]]) -> None:
    """Write what the list says into docs/rtl.md."""
    killed, of = score(rows)
    alike = sum(row["result"] == "equivalent" for row in rows.values())
    text = (f"{killed} of the {of} that can be found are: {killed / max(of, 1):.1%}. {alike} more "
            f"are equivalent.\n\n{table(rows)}\n")
    before, rest = DOCS.read_text("utf-8").split("<!-- mutants: begin -->\n")
    after = rest.split("<!-- mutants: end -->")[1]
    DOCS.write_text(f"{before}<!-- mutants: begin -->\n{text}<!-- mutants: end -->{after}", "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--again", action="store_true", help="run also what the list has")
    parser.add_argument("--survivors", action="store_true", help="run again what has survived")
    parser.add_argument("--no-proofs", action="store_true", help="leave the proofs out")
    parser.add_argument("modules", nargs="*", help="only these")
    arguments = parser.parse_args()
    verilator.STEP_LIMIT = HANG_CYCLES
    chosen = [m for name in arguments.modules or modules() for m in sample(name)]
    listed = read_list()
    old = {} if arguments.again else listed
    rows = {key: row for key, row in listed.items()
            if arguments.modules and row["module"] not in arguments.modules}
    equivalent = read_list(EQUIVALENT)
    todo: list[Mutant] = []
    for m in chosen:
        row = {"key": m.key, "module": m.module, "line": str(m.line), "column": str(m.column),
               "source": m.source, "change": m.change, "result": "survived", "by": ""}
        if m.key in old:
            row["result"], row["by"] = old[m.key]["result"], old[m.key]["by"]
        rows[m.key] = row
        if m.key in equivalent and row["result"] != "killed":
            row["result"], row["by"] = "equivalent", equivalent[m.key]["why"]
        elif m.key not in old or (arguments.survivors and row["result"] == "survived"):
            todo.append(m)
    begun = time.monotonic()
    kept = []
    plain = {module: warnings(module) for module in sorted({m.module for m in todo})}
    for m in todo:
        if m.key in old or warnings(m.module, m) <= plain[m.module] < 1000:
            kept.append(m)
        else:
            rows[m.key]["result"] = "lint"
    print(f"{len(todo)} mutants, {len(todo) - len(kept)} refused by lint, "
          f"{time.monotonic() - begun:.0f} s", flush=True)
    if kept:
        numbered = list(enumerate(kept, 1))
        changed = {name: with_all(name, [(n, m) for n, m in numbered if m.module == name])
                   for name in {m.module for m in kept}}
        left = numbered
        if {m.module for m in kept} & set(MODULES):
            left = _take(left, corner_checks(changed, ORDER), "network", rows, MODULES)
        if {m.module for _, m in left} & set(LINK):
            left = _take(left, wire_checks(changed), "wire", rows, LINK)
        for n, m in left if not arguments.no_proofs else []:
            by = by_proof(m)
            if by:
                rows[m.key]["result"], rows[m.key]["by"] = "killed", by
            print(n, m.module, m.line, m.change, by or "survives", flush=True)
    write_list(rows)
    document(rows)
    killed, of = score(rows)
    print(table(rows))
    print(f"{killed} of {of} found: {killed / max(of, 1):.1%}; {time.monotonic() - begun:.0f} s")
    return 0


def _take(numbered: list[tuple[int, Mutant]], checks: list[Check], kind: str,
          rows: dict[str, dict[str, str]], about: Sequence[str]) -> list[tuple[int, Mutant]]:
    """Those that no check finds."""
    left = []
    for n, m in numbered:
        for check in checks if m.module in about else []:
            said = check.finds(n)
            if said:
                rows[m.key]["result"], rows[m.key]["by"] = "killed", f"{kind}: {check.name}"
                break
        else:
            left.append((n, m))
    write_list(rows)
    return left


if __name__ == "__main__":
    sys.exit(main())
