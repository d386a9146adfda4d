"""What every test can ask for: golden texts, the shipped data and the larger shared data."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
ROOT = TESTS.parent

GoldenCheck = Callable[[str, str], None]

# Compiling kernels makes first examples slow, so no profile has a deadline; `ci` also fixes the
# random seed, so that a red run is red for its author and not for the next one.
_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("dev", max_examples=25, deadline=None, suppress_health_check=_QUIET)
settings.register_profile("ci", max_examples=25, deadline=None, suppress_health_check=_QUIET,
                          derandomize=True, print_blob=True)
settings.register_profile("fuzz", max_examples=1000, deadline=None, suppress_health_check=_QUIET,
                          print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE")
                      or ("ci" if os.environ.get("CI") else "dev"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true",
                     help="rewrite golden files with what the tests produce now; read the diff")


def _command(request: pytest.FixtureRequest, path: Path) -> str:
    return f"pytest {path.relative_to(ROOT)} -k {request.node.originalname} --update-golden"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> GoldenCheck:
    """``golden(name, text)`` compares text with the file ``golden/<name>`` beside the test.

    With ``--update-golden`` it writes the file instead. Text is compared exactly.
    """
    test_file = Path(request.path)

    def check(name: str, text: str) -> None:
        path = test_file.parent / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
            return
        if not path.exists():
            pytest.fail(f"golden file {path.relative_to(ROOT)} does not exist; make it with: "
                        f"{_command(request, test_file)}", pytrace=False)
        expected = path.read_bytes().decode()
        if text == expected:
            return
        shown = "\n".join(difflib.unified_diff(
            expected.splitlines(), text.splitlines(), f"golden/{name}", "now", lineterm=""))
        pytest.fail(f"{path.relative_to(ROOT)} differs:\n{shown or 'only in line endings'}\n"
                    f"if the new text is right: {_command(request, test_file)}", pytrace=False)

    return check


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The networks and recordings that are shipped with the tests (tests/data/README.md)."""
    return TESTS / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Recordings that cannot be shipped, in a folder beside the checkout.

    ``NEUROCOMPILE_SHARED_DATA`` names another place. A test that needs it is skipped without.
    """
    stated = os.environ.get("NEUROCOMPILE_SHARED_DATA")
    path = Path(stated) if stated else ROOT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"the shared data folder {path} is absent: these recordings may not be "
                    "shipped; set NEUROCOMPILE_SHARED_DATA to where they are")
    return path
