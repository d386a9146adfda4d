"""Compile for a chip of your own: examples/my_chip.toml is all it takes, and no Python.

    python examples/custom_target.py

The same file works on the command line: ``neurocompile check MODEL --target my_chip.toml``.
"""

from __future__ import annotations

from pathlib import Path

import neurocompile as nc
from neurocompile.flow import Options

HERE = Path(__file__).parent
MODEL = HERE.parent / "tests" / "data" / "digits_mlp_lif_snntorch.nir"
IMAGES = HERE.parent / "neurocompile" / "demo" / "digits.npz"


def main() -> None:
    chip = nc.load_target(HERE / "my_chip.toml")
    try:
        nc.compile(MODEL, chip, contract=HERE / "digits.toml")
    except nc.CompileError as error:  # weights have 8 bits unless stated
        print("as it is:", *error.diagnostics, sep="\n  ")

    options = Options(weight_bits=4)
    build = nc.compile(MODEL, chip, contract=HERE / "digits.toml", options=options)
    cores = sorted({use.core for use in build.mapping.use})
    print(f"{chip.name}: {len(cores)} of {chip.chip.cores} cores")

    data = nc.load_data(IMAGES, build, steps=20, encode="constant")
    assert all(report.passed for report in nc.verify(build, data))
    result = nc.evaluate(build, data)
    print(f"accuracy: float {result.accuracy_float:.2%}, "
          f"4-bit weights {result.accuracy_quantized:.2%}")


if __name__ == "__main__":
    main()
