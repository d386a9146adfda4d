"""How many decisions of the recurrent spoken-digit network a little weight noise changes.

The float network, its weights and biases with Gaussian noise of a fraction of their standard
deviation: what a change of accuracy after quantization has to be compared with.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from _common import write_result

TESTS = Path(__file__).parent.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "differential")]

import contracts

import neurocompile as nc
from neurocompile.flow import discretize
from neurocompile.ir.discrete import DiscreteNetwork
from neurocompile.verification.metrics import decode

NAME = "fsdd_rcubalif"
FRACTIONS = (1e-4, 1e-3, 1e-2)
DRAWS = 4


def noisy(network: DiscreteNetwork, fraction: float, rng: np.random.Generator) -> DiscreteNetwork:
    projections = []
    for q in network.projections:
        weight = np.asarray(q.transform.weight, np.float64)
        noise = rng.normal(size=weight.shape) * fraction * weight.std()
        projections.append(replace(q, transform=q.transform.with_weight(weight + noise)))
    biases = [replace(b, values=b.values + rng.normal(size=b.values.shape) * fraction
                      * b.values.std()) for b in network.biases]
    return replace(network, projections=tuple(projections), biases=tuple(biases))


def main() -> None:
    recorded = contracts.recording(NAME)
    network = discretize(nc.load(recorded.network), contracts.contract_of(NAME, recorded))
    rng = np.random.default_rng(0)
    base = decode(nc.simulate(network, recorded.x).outputs["output"])
    rows = []
    for fraction in FRACTIONS:
        for _ in range(DRAWS):
            got = decode(nc.simulate(noisy(network, fraction, rng),
                                     recorded.x).outputs["output"])
            rows.append({"noise": fraction, "changed": int(np.count_nonzero(got != base)),
                         "accuracy": float(np.mean(got == recorded.y))})
    write_result("weight_noise", {"network": NAME, "samples": len(base),
                                  "accuracy": float(np.mean(base == recorded.y)), "rows": rows})


if __name__ == "__main__":
    main()
