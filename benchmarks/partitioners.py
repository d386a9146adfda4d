"""What Mt-KaHyPar adds to the portfolio, and what it costs, on the networks of ``mapping.py``.

    python benchmarks/partitioners.py [NAME ...]

Each network is mapped with the default methods, with these by name (which unfolds dense and
convolutional layers as well) and with Mt-KaHyPar added to them. Times are processor seconds,
compiled kernels excluded.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import mapping
import numpy as np
from _common import write_result

from neurocompile.ir.constraints import Constraints
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.passes.portfolio import Portfolio, choose, cuts
from neurocompile.verification.mapping import check_mapping
from neurocompile.verification.traffic import traffic

METHODS: dict[str, tuple[str, ...]] = {
    "default": (), "named": choose.DEFAULT, "with mtkahypar": (*choose.DEFAULT, "mtkahypar")}


def timed(cut: cuts.Cut, log: list[dict[str, float]]) -> cuts.Cut:
    """The same, with the parts and the seconds of each call in ``log``."""
    def called(k: int, weights: cuts.Homes) -> cuts.Homes:
        start = time.process_time()
        parts = cut(k, weights)
        log.append({"parts": k, "processor_s": round(time.process_time() - start, 2)})
        return parts
    return called


def measure(name: str, quantized: QuantizedNetwork, log: list[dict[str, float]]) -> dict[str, Any]:
    row: dict[str, Any] = {"network": name,
                           "synapses": sum(p.transform.n_synapses for p in quantized.projections)}
    for title, methods in METHODS.items():
        log.clear()
        start = time.process_time()
        found = Portfolio(constraints=Constraints(methods=methods)).run(quantized)
        seconds = time.process_time() - start
        assert check_mapping(found) == []
        measured = traffic(found)
        row[title] = {"cores": found.n_cores, "messages": measured.messages,
                      "input_messages": float(measured.from_host.sum()),
                      "processor_s": round(seconds, 2)}
    row["cuts"] = list(log)
    print(row, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only networks whose name starts so")
    chosen = parser.parse_args()
    if not cuts.has_mtkahypar():
        print("mtkahypar is not installed: nothing to measure")
        return
    log: list[dict[str, float]] = []
    original: Callable[..., cuts.Cut] = cuts.mtkahypar
    cuts.mtkahypar = lambda *given: timed(original(*given), log)
    warm = mapping.small_world(3000, np.random.default_rng(0))
    Portfolio().run(warm)  # compiles the kernels
    rows = [measure(name, make(np.random.default_rng(mapping.SEED)), log)
            for name, make in mapping.NETWORKS.items()
            if not chosen.names or name.startswith(tuple(chosen.names))]
    if not chosen.names:
        write_result("partitioners", {"target": "loihi1", "seed": mapping.SEED,
                                      "mtkahypar": version("mtkahypar"), "networks": rows})


if __name__ == "__main__":
    main()
