"""How the shipped networks were trained and reach a chip, for the tests that compile them."""

from __future__ import annotations

from dataclasses import replace

import datasets

from neurocompile.contract import load_contract
from neurocompile.ir.contract import Contract, InputBinding

BINDINGS = {
    "digits": InputBinding("bias", maximum=1.0),
    "mnist_cnn": InputBinding("bias", maximum=1.0),
    "nmnist": InputBinding("counts", maximum=3.0),
}
"""Constant currents, and recordings of up to three events a step; all others are spikes."""

NETWORKS = ("digits", "mnist_mlp", "mnist_cnn", "fsdd_rcubalif", "fsdd_delay", "braille",
            "nmnist")


def recording(name: str, n: int | None = None) -> datasets.Recording:
    return getattr(datasets, name)(n)


def contract_of(name: str, recorded: datasets.Recording) -> Contract:
    """Reset to zero in the same step, as every one of them was trained or recorded."""
    binding = BINDINGS.get(name, InputBinding("spikes"))
    base = load_contract("snntorch-zero", dt_s=recorded.dt_s)
    return replace(base, inputs={"*": binding})
