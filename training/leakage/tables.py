"""Whether the lake's tables say truly when each row was known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from features.clocks import Clocks
from training.leakage.verdict import Verdict, leak, passed, unjudged

EARLY = "known before it happened"
STATES = "last state as known at the event"
BACKDATED = "late rows dated back"
OVERWRITTEN = "corrections that overwrite"
FEW = 0.001
"""Share of rows that may contradict the clocks: slips of single rows are no mapping's fault."""
MANY_SETTLED = 0.2
"""Share of contacts that may be settled in the very minute in which they began."""


def judge_clocks(tables: Sequence[Clocks]) -> tuple[Verdict, ...]:
    """Judge the counts of rows that contradict their clocks."""
    if not tables:
        return tuple(
            unjudged(check, "nothing was loaded")
            for check in (EARLY, STATES, BACKDATED, OVERWRITTEN)
        )
    return (
        _counted(
            EARLY,
            tables,
            lambda t: {"available_at": t.early},
            "are known before they happened",
            "check the zones of both columns, and map `available_at` to when the row was written",
        ),
        _states(tables),
        _counted(
            BACKDATED,
            tables,
            lambda t: {"available_at": t.backdated},
            "say that they were known at an earlier load, which did not bring them",
            "map `available_at` to when the source wrote the row, or leave it out, so that a late "
            "row counts from its load on",
        ),
        _counted(
            OVERWRITTEN,
            tables,
            lambda t: {"available_at": t.overwritten},
            "were replaced by others that claim to have been known at the same moment",
            "give a correction the time at which it was made as `available_at`, so that the row "
            "before it stays what was known until then",
        ),
    )


def _states(tables: Sequence[Clocks]) -> Verdict:
    def counts(t: Clocks) -> dict[str, int]:
        settled = t.settled if t.settled > MANY_SETTLED * max(t.results, 1) else 0
        return {**t.states, "handle_seconds": t.unended, "result": settled}

    return _counted(
        STATES,
        tables,
        counts,
        "state what came only after they are said to be known",
        "load the row once as it was first known, and again with `available_at` set to when its "
        "last state was written",
    )


def _counted(
    check: str,
    tables: Sequence[Clocks],
    counts: Callable[[Clocks], dict[str, int]],
    what: str,
    remedy: str,
) -> Verdict:
    found = {
        f"{t.table}.{column}": n
        for t in tables
        for column, n in counts(t).items()
        if n > FEW * t.rows
    }
    rows = sum(t.rows for t in tables)
    if found:
        text = ", ".join(f"{n:,} by `{column}`" for column, n in found.items())
        return leak(check, f"rows {what}: {text}", remedy, rows=rows, counts=found)
    return passed(check, f"{rows:,} rows in {len(tables)} tables", rows=rows)
