"""Whether the histories that a volume model learns from can be had without the future."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from features.snapshot import QueueHistory
from training.leakage.verdict import Verdict, leak, passed
from training.volume.source import VolumeSource

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
