"""The shipped recordings are what tests/data/README.md says they are."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import ALL, DATA, digits, fsdd_delay, fsdd_rcubalif, lif_trace, mnist_cnn, mnist_mlp

EACH = pytest.mark.parametrize("recording", ALL, ids=lambda f: f.__name__)
FRAMEWORK_CORRECT = {digits: 352, mnist_mlp: 481, mnist_cnn: 287, fsdd_rcubalif: 257,
                     fsdd_delay: 252}


@pytest.mark.parametrize("recording", FRAMEWORK_CORRECT, ids=lambda f: f.__name__)
def test_unpacked_output_raster_sums_to_the_stored_counts(recording) -> None:
    r = recording()
    assert np.array_equal(r.rasters["output"].sum(axis=1), r.counts["output"])
    assert r.rasters["output"].shape[:2] == r.x.shape[:2]


@pytest.mark.parametrize(("recording", "correct"), FRAMEWORK_CORRECT.items(),
                         ids=[f.__name__ for f in FRAMEWORK_CORRECT])
def test_framework_classified_as_many_samples_right_as_stated(recording, correct) -> None:
    r = recording()
    assert int((r.counts["output"].argmax(axis=1) == r.y).sum()) == correct


@EACH
def test_first_samples_are_those_of_the_whole_recording(recording) -> None:
    one, few = recording(1), recording(3)
    assert len(one.x) == len(one.y) == 1
    assert np.array_equal(one.x[0], few.x[0])
    assert one.network.is_file()


def test_traces_have_a_row_for_each_of_the_thousand_steps() -> None:
    names = sorted(p.stem.removeprefix("lif_") for p in (DATA / "nir_paper/lif_traces").iterdir())
    assert len(names) == 11
    assert all(column.shape == (1000,) for name in names for column in lif_trace(name))


def test_every_shipped_file_is_named_with_its_source() -> None:
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    covered = ("nir_paper/lif_traces", "nir_paper/LICENSE")
    unnamed = [str(p.relative_to(DATA)) for p in sorted(DATA.rglob("*")) if p.is_file()
               and p.name != "README.md" and p.stem not in readme
               and not (p.suffix == ".nir" and p.parent.name == "nir_paper")
               and not str(p.relative_to(DATA)).startswith(covered)]
    assert unnamed == []
