"""Whether the past can be computed without the future.

Features as of a moment are computed from the whole lake, and from a copy that ends at the moment;
they must be equal, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from features.lake.audit import Clocks
from features.volume.history import QueueHistory
from training.evaluate.origins import VolumeSource
from training.leakage import Verdict, leak, passed, unjudged
from training.models.churn.history import KEYS

FEATURE_REPLAY = "replay of features"
SHOWN = 8
"""Most names that a sentence lists."""


def replayed(whole: pa.Table, cut: pa.Table, *, at: datetime) -> Verdict:
    """Compare a moment's features from the whole lake with those from its past alone."""
    one, other = _by_customer(whole), _by_customer(cut)
    unborn = one.index.difference(other.index)
    gone = other.index.difference(one.index)
    shared = one.index.intersection(other.index)
    missing = sorted(set(one.columns) ^ set(other.columns))
    both = [name for name in one.columns if name in set(other.columns)]
    changed = differing(one.loc[shared, both], other.loc[shared, both])
    evidence = {
        "as_of": at.isoformat(),
        "customers": len(one),
        "features": len(one.columns),
        "changed": {**changed, **dict.fromkeys(missing, len(shared))},
        "customers_from_the_future": len(unborn),
        "customers_lost": len(gone),
    }
    faults = []
    if changed or missing:
        counts = [f"`{name}` of {n:,} customers" for name, n in _largest(changed)]
        faults.append("the future changes " + ", ".join([*counts, *(f"`{n}`" for n in missing)]))
    if len(unborn):
        faults.append(f"{len(unborn):,} customers are there before anything was known of them")
    if len(gone):
        faults.append(f"{len(gone):,} customers vanish with what came later")
    if not faults:
        return passed(
            FEATURE_REPLAY,
            f"{len(one.columns)} features of {len(one):,} customers as of {at:%Y-%m-%d} do not "
            "change with what came later",
            **evidence,
        )
    return leak(
        FEATURE_REPLAY,
        f"as of {at:%Y-%m-%d}: {'; '.join(faults)}",
        "compute it from rows with event time before the as-of and `available_at` at it or before; "
        "fit means and encodings anew for each as-of",
        **evidence,
    )


def differing(one: pd.DataFrame, other: pd.DataFrame) -> dict[str, int]:
    """Return, by column, how many cells differ; two empty cells do not.

    >>> a, b = pd.DataFrame({"x": [1.0, np.nan, 2.0]}), pd.DataFrame({"x": [1.0, np.nan, 3.0]})
    >>> differing(a, b)
    {'x': 1}
    """
    found = {}
    for name in one.columns:
        a, b = one[name].to_numpy(), other[name].to_numpy()
        unequal = (a != b) & ~(pd.isna(a) & pd.isna(b))
        if count := int(np.count_nonzero(unequal)):
            found[str(name)] = count
    return found


def _by_customer(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.drop_columns([KEYS[1]]).to_pandas()
    return frame.drop_duplicates(KEYS[0]).set_index(KEYS[0])


def _largest(counts: dict[str, int]) -> Sequence[tuple[str, int]]:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ordered[:SHOWN]


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


HISTORY_REPLAY = "replay of histories"


def replayed_volume(whole: VolumeSource, cut: VolumeSource, *, at: datetime) -> Verdict:
    """Compare a moment's histories from the whole lake with those from its past alone."""
    one, other = whole.volume(at), cut.volume(at)
    changed = sorted(
        name
        for name in {*one, *other}
        if name not in one or name not in other or not _equal_histories(one[name], other[name])
    )
    faults = [f"queue `{name}`" for name in changed]
    if tuple(whole.events(at)) != tuple(cut.events(at)):
        faults.append("the calendar's events")
    flows = whole.orders(at), cut.orders(at)
    if not all(
        np.array_equal(a, b, equal_nan=True)
        for a, b in ((flows[0].starts, flows[1].starts), (flows[0].counts, flows[1].counts))
    ):
        faults.append("the flow of orders")
    if faults:
        return leak(
            HISTORY_REPLAY,
            f"as of {at:%Y-%m-%d} the future changes {', '.join(faults[:8])}",
            "compute it from rows with event time before the as-of and `available_at` at it or "
            "before",
            changed=faults,
            as_of=at.isoformat(),
        )
    return passed(
        HISTORY_REPLAY,
        f"{len(one)} queues, events and orders as of {at:%Y-%m-%d} do not change with what came "
        "later",
        queues=len(one),
        as_of=at.isoformat(),
    )


def _equal_histories(one: QueueHistory, other: QueueHistory) -> bool:
    names = ("starts", "offered", "aht_seconds", "handled", "quarters")
    return one.queue == other.queue and all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in names
    )
