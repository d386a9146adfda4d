"""Accuracy and spike-train mismatch of the shipped networks, float against 8-bit integers."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from _common import write_result

TESTS = Path(__file__).parent.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "differential")]

import contracts

import neurocompile as nc
from neurocompile.flow import Options

TARGETS = ("loihi1", "loihi2", "generic")


def main() -> None:
    rows = []
    for name in contracts.NETWORKS:
        recorded = contracts.recording(name)
        contract = contracts.contract_of(name, recorded)
        for target in TARGETS:
            build = nc.compile(recorded.network, target, contract=contract,
                               options=Options(weight_bits=8))
            data = replace(nc.api.as_dataset(recorded.x, build.inputs), y=recorded.y)
            result = nc.evaluate(build, data, explain_samples=0)
            rows.append({
                "network": name, "target": target, "samples": result.n_samples,
                "accuracy_float": result.accuracy_float,
                "accuracy_quantized": result.accuracy_quantized, "changed": result.changed,
                "mismatch": {r.population: r.mismatch for r in result.layers},
                "teacher_forced": {r.population: r.teacher_forced for r in result.layers},
                "cores": build.mapping.n_cores, "latency_steps": build.latency})
            print(name, target, result.accuracy_float, result.accuracy_quantized)
    write_result("accuracy", {"rows": rows})


if __name__ == "__main__":
    main()
