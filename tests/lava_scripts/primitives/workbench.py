"""How an experiment on one of Lava's processes is stated, and how many of them are run at once.

An experiment is a function that builds a tiny network and says what to watch. A start of Lava
takes far longer than the steps, so experiments are tied together and started in batches.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.source import RingBuffer
from probe import Probe

BATCH = 12


@dataclass
class Watch:
    """A port and the states, by the names they are stored under."""

    name: str
    port: object
    states: dict = field(default_factory=dict)


@dataclass
class Experiment:
    """``given``: inputs and parameters, stored as they are. ``steps`` of the run."""

    given: dict
    watches: list
    steps: int


def numbers(shape, low, high, seed):
    """Integers in [low, high] of no pattern, independent of any library's generators."""
    found, state = [], seed
    for _ in range(int(np.prod(shape))):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2 ** 64
        found.append(low + (state >> 33) % (high - low + 1))
    return np.array(found, np.int32).reshape(shape)


def run_all(functions):
    """{"experiment/array": values} of all experiments."""
    found = {}
    names = sorted(functions)
    for start in range(0, len(names), BATCH):
        found.update(run_batch({name: functions[name]() for name in names[start:start + BATCH]}))
    return found


def run_batch(experiments):
    """One start of Lava."""
    folder = Path(tempfile.mkdtemp(prefix="lava-primitives-"))
    longest = max(e.steps for e in experiments.values())
    tie = RingBuffer(data=np.zeros((1, 1), np.int32))
    files = {}
    try:
        for name, experiment in experiments.items():
            for watch in experiment.watches:
                paths = [_file(folder, len(files) + i, longest, what.shape)
                         for i, what in enumerate([watch.port, *watch.states.values()])]
                files.update({f"{name}/{key}": path for key, path in
                              zip([watch.name, *watch.states], paths, strict=True)})
                probe = Probe(port=watch.port, states=list(watch.states.values()), files=paths)
                tie.s_out.connect(probe.tie)
        run(tie, longest)
        found = {f"{name}/{key}": np.asarray(value)
                 for name, e in experiments.items() for key, value in e.given.items()}
        for key, path in files.items():
            found[key] = np.load(path)[:experiments[key.split("/")[0]].steps]
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _file(folder, number, rows, shape):
    path = folder / f"{number}.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=(rows, *shape)).flush()
    return path


def run(process, steps):
    """Run what is connected with ``process`` for ``steps`` steps, once."""
    try:
        process.run(condition=RunSteps(num_steps=steps), run_cfg=config())
    finally:
        process.stop()


def config():
    return Loihi2SimCfg(select_tag="fixed_pt")
