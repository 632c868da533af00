"""Overrides as JSON: what is stored, who made it, and where it counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from features.calendar.clock import GRID_SECONDS, from_epoch, to_epoch
from features.errors import InputError
from features.volume.overrides import AuditStamp, StoredOverride
from serving.api.content import to_json
from serving.api.forecast.render import AHT_DECIMALS, VOLUME_DECIMALS
from serving.api.overrides.schemas import OverridesQuery
from serving.store.overrides import OverrideStore

MOST_LISTED = 10_000


def stored_json(overrides: Sequence[StoredOverride], *, forecast_set: str, left_out: int) -> bytes:
    """Return the overrides that a request stored; a file's intervals may be left out."""
    return to_json(
        {
            "forecast_set": forecast_set,
            "overrides": _entries(overrides, among=overrides),
            "left_out": left_out,
        }
    )


def overrides_json(store: OverrideStore, query: OverridesQuery, *, now: int) -> bytes:
    """Return the overrides that a query names.

    Raises:
        DatabaseError: The database cannot be read.
        InputError: They are too many.
    """
    since = now if query.start is None else to_epoch(query.start)
    until = None if query.end is None else to_epoch(query.end)
    overrides = store.overlapping(since=since, until=until, queues=query.queue)
    if len(overrides) > MOST_LISTED:
        raise InputError(
            "the answer",
            got=f"{len(overrides)} overrides",
            expected=f"at most {MOST_LISTED}",
            remedy="ask for fewer queues or a shorter span at once",
            field="queue",
        )
    entries = _entries(overrides, among=_beside(store, overrides, queues=query.queue))
    if query.include == "in_force":
        entries = [entry for entry in entries if entry["in_force"]]
    return to_json({"overrides": entries})


def override_json(store: OverrideStore, override: StoredOverride) -> bytes:
    """Return one override.

    Raises:
        DatabaseError: The database cannot be read.
    """
    queues = [override.expected.queue]
    return to_json(_entries([override], among=_beside(store, [override], queues=queues))[0])


def _beside(
    store: OverrideStore, overrides: Sequence[StoredOverride], *, queues: list[str] | None
) -> list[StoredOverride]:
    """Return every override that shares some time with these."""
    if not overrides:
        return []
    return store.overlapping(
        since=min(override.expected.start for override in overrides),
        until=max(override.expected.end for override in overrides),
        queues=queues,
    )


def _entries(
    overrides: Sequence[StoredOverride], *, among: Sequence[StoredOverride]
) -> list[dict[str, Any]]:
    counts = intervals_in_force(among)
    return [_entry(override, counts[override.override_id]) for override in overrides]


def intervals_in_force(overrides: Sequence[StoredOverride]) -> Counter[str]:
    """Return in how many of its intervals each override counts, by id.

    They are in the order they were made, with all that share time with those of interest.
    """
    top: dict[tuple[str, int], str] = {}
    for override in overrides:
        for interval in override.overrides():
            withdrawn = (
                interval.withdrawn_at is not None and interval.withdrawn_at <= interval.start
            )
            if interval.made_at <= interval.start and not withdrawn:
                cells = range(interval.start, interval.end, GRID_SECONDS)
                top.update({(interval.queue, cell): interval.override_id for cell in cells})
    return Counter(
        override.override_id
        for override in overrides
        for piece in override.expected.pieces
        if top.get((override.expected.queue, piece.start)) == override.override_id
    )


def _entry(override: StoredOverride, count: int) -> dict[str, Any]:
    expected = override.expected
    aht = expected.aht_seconds
    return {
        "override_id": override.override_id,
        "queue": expected.queue,
        "start": from_epoch(expected.start),
        "end": from_epoch(expected.end),
        "volume": round(expected.offered, VOLUME_DECIMALS),
        "aht_seconds": None if aht is None else round(aht, AHT_DECIMALS),
        "model_volume": round(expected.forecast_offered, VOLUME_DECIMALS),
        "forecast_set": expected.forecast_set,
        **_change(override.made),
        "withdrawn": None if override.withdrawn is None else _change(override.withdrawn),
        "in_force": count > 0,
        "intervals": len(expected.pieces),
        "in_force_intervals": count,
    }


def _change(change: AuditStamp) -> dict[str, Any]:
    return {"made_by": change.by, "made_at": from_epoch(change.at), "reason": change.reason}
