"""How every benchmark ends: one table *what, goal, value, met*, and one JSON file of figures."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Check:
    """One goal and what was measured.

    Attributes:
        what: What was measured, in words.
        goal: The goal, in words, such as ``<= 6x``.
        value: What was measured, in words.
        met: Whether the goal is met; None where it could not be measured here.
    """

    what: str
    goal: str
    value: str
    met: bool | None


def at_most(what: str, value: float, limit: float, *, unit: str = "x") -> Check:
    """Return a check that a figure is no more than its goal."""
    return Check(what, f"<= {limit:g}{unit}", f"{value:.3g}{unit}", value <= limit)


def at_least(what: str, value: float, limit: float, *, unit: str = "x") -> Check:
    """Return a check that a figure is no less than its goal."""
    return Check(what, f">= {limit:g}{unit}", f"{value:.3g}{unit}", value >= limit)


def within(what: str, value: float, low: float, high: float, *, unit: str = "x") -> Check:
    """Return a check that a figure lies between two bounds, both allowed."""
    return Check(what, f"{low:g}-{high:g}{unit}", f"{value:.3g}{unit}", low <= value <= high)


def skipped(what: str, goal: str, why: str) -> Check:
    """Return a check that could not be measured here."""
    return Check(what, goal, f"skipped: {why}", None)


def finish(
    name: str,
    *,
    checks: Sequence[Check],
    rows: Sequence[Mapping[str, Any]],
    packages: Sequence[str] = (),
    results: Path = RESULTS,
) -> Path:
    """Print the table and write ``<name>.json``.

    Args:
        name: The benchmark.
        checks: Goals and figures, in order.
        rows: The raw figures.
        packages: Distributions whose versions are recorded beside Python's.
        results: Folder of all results.

    Returns:
        The file that was written.
    """
    document = {
        "name": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(
                os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1
            ),
        },
        "versions": {
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in packages},
        },
        "checks": [asdict(check) for check in checks],
        "rows": [dict(row) for row in rows],
    }
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"{name}.json"
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(checks))
    print(f"written to {path}")
    return path


def table(checks: Sequence[Check]) -> str:
    """Return the checks as text in four columns."""
    lines = [("what", "goal", "value", "met")]
    words = {True: "yes", False: "NO", None: "-"}
    lines += [(c.what, c.goal, c.value, words[c.met]) for c in checks]
    widths = [max(len(line[k]) for line in lines) for k in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
