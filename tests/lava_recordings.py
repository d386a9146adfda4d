"""Whole networks with what Lava made of them: current, membrane and spikes at every step.

An archived case is complete in itself. The network is there as text, the input as it was encoded,
so that nothing depends on the compiler, on hypothesis or on numpy's generators. Of populations
with more than ``WHOLE`` neurons every k-th neuron is kept, and a SHA-256 of all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import contracts
import networks
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from lava_networks import IntegerCase, integer_cases
from lava_runs import ARCHIVE, Arrays, read, write

import neurocompile as nc
from neurocompile.diagnostics import CompileError
from neurocompile.flow import Options
from neurocompile.ir.base import from_text, to_text
from neurocompile.ir.quantized import QuantizedNetwork
from neurocompile.reference.encode import EncodedInput, encode_inputs
from neurocompile.reference.integer import IntegerRun, Probes, run_integer
from neurocompile.targets import load_target
from neurocompile.verification.evaluate import grids
from neurocompile_backends.lava.backend import run_lava
from neurocompile_backends.lava.check import check

NETWORKS = ARCHIVE / "networks"
TARGETS = ("loihi1", "loihi2")
WHOLE = 512
KEPT = 64
STEPS = {"braille": 64, "fsdd_delay": 40, "fsdd_rcubalif": 40, "nmnist": 24}
"""Where a recording is longer than the archive has room for."""
RANDOM_STEPS = 12
RANDOM_SAMPLES = 3
RANDOM_PER_TARGET = 20
INTEGERS = 16
LONGEST_TEXT = 60_000
SATURATED = (1 << 23) - 1
READ_MAX = 131071 << 6
"""A membrane that is read and passes the largest threshold would fire in Lava."""

Case = tuple[QuantizedNetwork, EncodedInput]


# --- one case -----------------------------------------------------------------------------------


def given_of(network: QuantizedNetwork, encoded: EncodedInput) -> Arrays:
    """What a run is made of, as arrays."""
    return {"text": np.frombuffer(to_text(network).encode(), np.uint8),
            "samples": np.array(encoded.n_samples), "steps": np.array(encoded.n_steps),
            **{f"payload:{name}": values for name, values in encoded.payloads.items()},
            **{f"bias:{name}": values for name, values in encoded.biases.items()}}


def case_of(arrays: Arrays) -> Case:
    """The network and its input again."""
    def named(kind: str) -> Arrays:
        return {key.removeprefix(kind): values for key, values in arrays.items()
                if key.startswith(kind)}

    return from_text(arrays["text"].tobytes().decode()), EncodedInput(
        int(arrays["samples"]), int(arrays["steps"]), named("payload:"), named("bias:"))


def states_of(run: IntegerRun) -> Arrays:
    """u, v and s of every population [sample, chip step, neuron], or what is kept of them."""
    found: Arrays = {}
    for kind in "suv":
        for name, values in getattr(run, kind).items():
            n = values.shape[-1]
            if n <= WHOLE:
                found[f"{kind}:{name}"] = values
                continue
            digest = hashlib.sha256(np.ascontiguousarray(values, "<i4").tobytes()).digest()
            found[f"{kind}-sha256:{name}"] = np.frombuffer(digest, np.uint8)
            found[f"{kind}-some:{name}"] = values[..., ::-(-n // KEPT)]
    return found


def record(network: QuantizedNetwork, encoded: EncodedInput) -> Arrays:
    """A case as the archive holds it: the run is Lava's."""
    run = run_lava(network, encoded, Probes.everything(network))
    return {**given_of(network, encoded), **states_of(run)}


# --- the archive --------------------------------------------------------------------------------


def archived(file: str) -> dict[str, Arrays]:
    """{case: arrays} of a file of the archive."""
    found: dict[str, Arrays] = {}
    for key, values in read(NETWORKS / f"{file}.npz.xz").items():
        case, _, name = key.partition("/")
        found.setdefault(case, {})[name] = values
    return found


def files() -> list[str]:
    return sorted(path.name.removesuffix(".npz.xz") for path in NETWORKS.glob("*.npz.xz"))


def recorded_again(file: str) -> dict[str, Arrays]:
    """The cases of a file, from their stored networks and inputs through Lava once more.

    What was given is kept as it was stored: a field that networks get later prints another text,
    but the old one is still read and means the same.
    """
    def again(arrays: Arrays) -> Arrays:
        given = {key: values for key, values in arrays.items() if not is_state(key)}
        return {**given, **{key: values for key, values in record(*case_of(arrays)).items()
                            if is_state(key)}}

    return {case: again(arrays) for case, arrays in archived(file).items()}


def is_state(key: str) -> bool:
    """Recorded, and not given."""
    return key[0] in "suv" and key[1] in ":-"


def flat(cases: dict[str, Arrays]) -> Arrays:
    return {f"{case}/{name}": values for case, arrays in cases.items()
            for name, values in arrays.items()}


def store(file: str, cases: dict[str, Arrays]) -> None:
    write(NETWORKS / f"{file}.npz.xz", flat(cases))


# --- where cases come from ----------------------------------------------------------------------


def shipped(name: str) -> dict[str, Arrays]:
    """A network of tests/data for both chips, the first sample of its recording."""
    recorded = contracts.recording(name, 1)
    found = {}
    for target in TARGETS:
        build = nc.compile(recorded.network, target,
                           contract=contracts.contract_of(name, recorded))
        data = nc.api.as_dataset(recorded.x[:, :STEPS.get(name)], build.inputs)
        found[target] = record(build.quantized,
                               encode_inputs(build.quantized, grids(data), data.n_steps))
    return found


def drawn(part: str) -> dict[str, Arrays]:
    """Random cases of "random" (what the compiler makes) or "integers" (written directly in
    integers: every register and sign mode, currents that fold, membranes that saturate)."""
    cases = [case for target in TARGETS for case in _compiled_cases(target)] \
        if part == "random" else _integer_cases()
    return {f"{i:02}": record(*case) for i, case in enumerate(cases)}


def _integer_cases() -> list[Case]:
    """Half of them saturate."""
    def lasting(case: IntegerCase, saturates: bool) -> Case | None:
        run = run_integer(case.network, case.encoded, Probes.everything(case.network))
        reaches = any((np.abs(v) == SATURATED).any() for v in run.v.values())
        read = [run.v[p.name] for p in case.network.populations if p.role == "analog"]
        fits = not any((v > READ_MAX).any() for v in read) and _short(case.network)
        return (case.network, case.encoded) if fits and reaches == saturates and \
            _fires(case.network, run) else None

    return [case for saturates in (False, True) for case in _first(
        INTEGERS // 2, integer_cases(), lambda case, wanted=saturates: lasting(case, wanted))]


def _compiled_cases(target: str) -> list[Case]:
    def compiled(case: networks.Case) -> Case | None:
        try:
            network = networks.compile_phases(case)[3]
        except CompileError:
            return None
        encoded = encode_inputs(
            network, networks.inputs_of(case, RANDOM_SAMPLES, RANDOM_STEPS), RANDOM_STEPS)
        run = run_integer(network, encoded, Probes.everything(network))
        legal = not any(d.is_error for d in check(network))
        return (network, encoded) if legal and _short(network) and _fires(network, run) else None

    return _first(RANDOM_PER_TARGET, _cases_for(target), compiled)


def _fires(network: QuantizedNetwork, run: IntegerRun) -> bool:
    """A network that stays silent shows little."""
    return all(run.s[p.name].any() for p in network.populations if p.role != "source")


def _short(network: QuantizedNetwork) -> bool:
    return len(to_text(network)) <= LONGEST_TEXT


def _first(count: int, strategy: st.SearchStrategy[Any],
           made: Callable[[Any], Case | None]) -> list[Case]:
    """The first cases that ``made`` accepts, in hypothesis' fixed order, no two of one topology:
    hypothesis likes to change but a number of what went before."""
    found: dict[object, Case] = {}

    @settings(max_examples=40 * count, derandomize=True, database=None, deadline=None,
              phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(drawn_case: Any) -> None:
        if len(found) < count:
            case = made(drawn_case)
            if case is not None:
                found.setdefault(_topology(case[0]), case)

    collect()
    return list(found.values())


def _topology(network: QuantizedNetwork) -> object:
    return (tuple((p.shape, p.role) for p in network.populations),
            tuple((type(q.transform), q.source, q.target) for q in network.projections))


@st.composite
def _cases_for(draw: st.DrawFn, target: str) -> networks.Case:
    spec = load_target(target)
    network = draw(networks.networks())
    contract = draw(networks.contracts(network, spec))
    # What the chips do not have would only be refused.
    contract = replace(contract, max_spikes_per_step=1, feedback="late")
    options = Options(weight_bits=draw(st.sampled_from(spec.synapse.weight_bits)), max_steps=64,
                      accept_bounds=draw(st.booleans()))
    return networks.Case(network, contract, spec, options, draw(st.integers(0, 2 ** 32)))
