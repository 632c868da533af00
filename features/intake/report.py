"""What one load did, as JSON and as a table on a terminal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from features.console import console as terminal
from features.console import grid


@dataclass(frozen=True)
class Report:
    """What one load did.

    Attributes:
        load_id: Its name, which its rows carry.
        sources: The files, or ``query``.
        kept: Rows stored: ``new`` keys, and ``changed`` ones, further versions of a key.
        repeated: Rows that say what was known already.
        left_out: Rows that the mapping's [rows] leaves out.
        quarantined: Bad rows, by their first reason.
        linked: Good rows that name a customer, ``unlinked`` those that do not; None for a table
            that names none.
        version: The table's version after the load.
        warnings: What deserves a look.
    """

    load_id: str
    table: str
    loaded_at: datetime
    sources: tuple[str, ...]
    rows_read: int
    kept: int
    new: int
    changed: int
    repeated: int
    left_out: int
    quarantined: dict[str, int]
    linked: int | None
    unlinked: int | None
    version: int | None
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return {**asdict(self), "loaded_at": self.loaded_at.isoformat()}


def print_report(report: Report) -> None:
    """Print the counts of a load, then its warnings."""
    console = terminal()
    console.print(f"Load {report.load_id} into {report.table}", markup=False)
    table = grid("rows", "count", numbers=("count",))
    lines: list[tuple[str, int | None]] = [
        ("read", report.rows_read),
        ("kept", report.kept),
        ("  new", report.new),
        ("  changed", report.changed),
        ("repeated", report.repeated),
        ("left out by the mapping", report.left_out),
        ("quarantined", sum(report.quarantined.values())),
        *((f"  {reason}", count) for reason, count in report.quarantined.items()),
        ("with a customer", report.linked),
        ("without a customer", report.unlinked),
    ]
    for name, count in lines:
        if count is not None:
            table.add_row(name, f"{count:,}")
    console.print(table)
    for warning in report.warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False)
