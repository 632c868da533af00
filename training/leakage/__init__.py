"""Whether a model learns from what nobody could know: ``python -m training leakage``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """What one check found.

    Attributes:
        passed: Whether it found no leak; None where there was nothing to judge.
        evidence: The same in numbers.
    """

    check: str
    passed: bool | None
    found: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    remedy: str = ""
    seconds: float = 0.0


def passed(check: str, found: str, **evidence: Any) -> Verdict:
    """Return a check that found no leak."""
    return Verdict(check, True, found, evidence)


def leak(check: str, found: str, remedy: str, **evidence: Any) -> Verdict:
    """Return a check that found a leak."""
    return Verdict(check, False, found, evidence, remedy)


def unjudged(check: str, why: str) -> Verdict:
    """Return a check that had nothing to judge."""
    return Verdict(check, None, why)
