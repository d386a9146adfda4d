"""Load, compile, verify and evaluate a trained network from Python.

    python examples/digits.py [BUILD]

The network (LIF, 64-64-10, trained with snnTorch on 8x8 images of digits) gets its pixels as
currents that stay the same for 20 steps; on Loihi 1 they are loaded into bias registers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import neurocompile as nc

HERE = Path(__file__).parent
MODEL = HERE.parent / "tests" / "data" / "digits_mlp_lif_snntorch.nir"
CONTRACT = HERE / "digits.toml"
IMAGES = HERE.parent / "neurocompile" / "demo" / "digits.npz"


def main(folder: str) -> None:
    network = nc.load(MODEL)
    build = nc.compile(network, target="loihi1", contract=CONTRACT)
    build.save(folder)

    build = nc.load_build(folder)  # what another program would start from
    data = nc.load_data(IMAGES, build, steps=20, encode="constant")

    for report in nc.verify(build, data):
        print(f"{report.candidate} against {report.reference}:",
              "PASS" if report.passed else f"FAIL, {report.first_divergence}")

    result = nc.evaluate(build, data)
    print(f"accuracy: float {result.accuracy_float:.2%}, quantized {result.accuracy_quantized:.2%}")

    run = nc.simulate(build, data.samples(0, 1), probes=["3:v"])
    print(f"spikes of the first image: {run.aligned('output')[0].sum(axis=0)}, "
          f"label {data.y[0]}; latency {run.latency} step, "
          f"membranes {run.probes['3:v'].shape} as {run.probes['3:v'].dtype}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "digits-build")
