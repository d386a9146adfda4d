"""What a comparison of executors found. No PASS without a measured number."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["PASS", "FAIL", "SKIPPED"]


@dataclass(frozen=True)
class Check:
    """One measured property. ``measured`` is compared with ``limit``; SKIPPED has a reason."""

    name: str
    measured: float | None
    limit: float
    status: Status
    reason: str = ""

    def __post_init__(self) -> None:
        if self.status == "SKIPPED" and not self.reason:
            raise ValueError("a skipped check needs a reason")
        if self.status == "PASS" and self.measured is None:
            raise ValueError("no PASS without a measured number")


@dataclass(frozen=True)
class State:
    """Integer state of a neuron after a step; None where it was not recorded."""

    s: int | None
    u: int | None
    v: int | None


@dataclass(frozen=True)
class Divergence:
    """The first place where two executors differ. ``step`` counts chip steps from 0;
    ``network_step`` is the population's own step (negative before it starts)."""

    population: str
    neuron: tuple[int, ...]
    sample: int
    step: int
    network_step: int
    quantity: Literal["s", "u", "v"]
    reference: State
    candidate: State
    reference_before: State
    candidate_before: State

    def __str__(self) -> str:
        return (f"{self.population}{list(self.neuron)} sample {self.sample} chip step {self.step} "
                f"(network step {self.network_step}), first in {self.quantity}: "
                f"reference {self.reference}, candidate {self.candidate}; the step before: "
                f"reference {self.reference_before}, candidate {self.candidate_before}")


@dataclass(frozen=True)
class VerificationReport:
    """Comparison of ``candidate`` with ``reference``, element by element."""

    reference: str
    candidate: str
    n_samples: int
    n_steps: int
    checks: tuple[Check, ...]
    first_divergence: Divergence | None

    @property
    def passed(self) -> bool:
        """True if at least one check was measured and none failed."""
        measured = [c for c in self.checks if c.status != "SKIPPED"]
        return bool(measured) and all(c.status == "PASS" for c in measured)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "passed": self.passed}
