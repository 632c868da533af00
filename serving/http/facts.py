"""What this worker serves, how old it is, and whether it is ready."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow.compute as pc

from features.calendar import Event, epoch, moment, opening_text
from serving.http.metrics import Figure
from serving.published import Published
from serving.sets.experiments import ExperimentResults
from serving.sets.forecast import ForecastSet, PublishedForecast
from serving.sets.parts import PARTS_BY_KIND, PARTS_TABLE, Served
from serving.sets.scores import ScoreSet

VERSION = "0.1.0"
"""The same as in pyproject.toml: a Bento holds the source, not a wheel."""

REMEDIES: dict[str, str] = {part.kind: part.remedy for part in PARTS_TABLE}


def queues(forecast: ForecastSet) -> dict[str, Any]:
    """Return the queues of a forecast set, as ``GET /v1/queues`` answers."""
    return {
        "forecast_set": forecast.id,
        "queues": [_queue_json(queue) for queue in forecast.queues.values()],
    }


def _queue_json(forecast: PublishedForecast) -> dict[str, Any]:
    queue = forecast.queue
    published = len(forecast.starts) > 0
    return {
        "queue": queue.queue,
        "name": queue.name,
        "channel": queue.channel,
        "time_zone": queue.time_zone,
        "interval_minutes": queue.interval_minutes,
        "opening": opening_text(queue),
        "opening_source": queue.opening_source,
        "goal": {"service_level": queue.goal_share, "threshold_seconds": queue.goal_seconds},
        "patience_seconds": queue.patience_seconds,
        "method": forecast.method,
        "start": moment(forecast.starts[0]) if published else None,
        "end": moment(forecast.starts[-1] + forecast.interval_seconds) if published else None,
        "warnings": list(forecast.warnings),
    }


def events(forecast: ForecastSet) -> dict[str, Any]:
    """Return the calendar events of a forecast set, as ``GET /v1/events`` answers."""
    ordered = sorted(forecast.events, key=lambda event: (event.starts_at, event.event_id))
    return {"forecast_set": forecast.id, "events": [_event_json(event) for event in ordered]}


def _event_json(event: Event) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "kind": event.kind,
        "starts_at": moment(event.starts_at),
        "ends_at": moment(event.ends_at),
        "known_at": moment(event.known_at),
        "queues": list(event.queues) or None,
        "size": event.size,
    }


def models(published: Published) -> dict[str, Any]:
    """Return the promoted models, as ``GET /v1/models`` answers."""
    cards = published.cards
    sets = {
        str(part.made_by): published.served.get(part.kind) for part in PARTS_TABLE if part.made_by
    }
    entries = []
    for part in PARTS_TABLE:
        if part.kind in cards:
            card, made = cards[part.kind], sets.get(part.kind)
            entries.append(
                {
                    "model": part.kind,
                    "version": card.id,
                    "created_at": card.created_at,
                    "card": card.meta.get("card", {}),
                    "serves": made.id if made and made.model_version == card.id else None,
                }
            )
    return {"models": entries}


def readiness(
    published: Published, *, overrides: int, trouble: str | None, now: datetime
) -> dict[str, Any]:
    """Return the state of each published part, as ``GET /readyz`` answers.

    ``overrides`` is how many are known, ``trouble`` why their database cannot be read.
    """
    seen = published.refreshed_at
    return {
        "ready": published.is_ready,
        "version": VERSION,
        "refreshed_seconds_ago": None if seen is None else _age_seconds(seen, now),
        "parts": [_part_json(part, published, now=now) for part in parts_of(published)],
        "overrides": {"known": overrides, "trouble": trouble},
    }


def parts_of(published: Published) -> tuple[str, ...]:
    """Return the kinds of the parts to tell of."""
    known = {*published.served, *published.refusals}
    return tuple(p.kind for p in PARTS_TABLE if p.kind in known or not p.optional)


def served(part: str, published: Published) -> Served | None:
    """Return what is in force of a part; None where nothing is."""
    return published.served.get(part)


def _part_json(part: str, published: Published, *, now: datetime) -> dict[str, Any]:
    found = served(part, published)
    refusal = published.refusals.get(part)
    return {
        "part": part,
        "id": None if found is None else found.id,
        "as_of": None if found is None else as_of(found),
        "age_seconds": None if found is None else _age_seconds(found.created_at, now),
        "remedy": PARTS_BY_KIND[part].remedy if found is None else None,
        "refused": None if refusal is None else refusal.reason,
    }


def as_of(part: Served) -> datetime | None:
    """Return the as-of of a part; None where its manifest has none."""
    if isinstance(part, ForecastSet | ScoreSet | ExperimentResults):
        return part.as_of
    text = part.meta.get("as_of")
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _age_seconds(then: datetime, now: datetime) -> float:
    return round((now - then).total_seconds(), 3)


def figures(published: Published, *, trouble: str | None, now: datetime) -> list[Figure]:
    """Return the domain's metrics; ``trouble`` is why the overrides cannot be read."""
    parts = {part: served(part, published) for part in parts_of(published)}
    found = [
        Figure("ready", "1 when at least one set is served.", "", {"": float(published.is_ready)}),
        Figure(
            "age_seconds",
            "Seconds since the part that is served was published.",
            "part",
            {p: _age_seconds(s.created_at, now) for p, s in parts.items() if s is not None},
        ),
        Figure(
            "refused",
            "1 where a newer folder is refused and the older one goes on serving.",
            "part",
            {part: float(part in published.refusals) for part in parts},
        ),
        Figure(
            "overrides_unreadable",
            "1 while the database of planners' overrides cannot be read.",
            "",
            {"": float(trouble is not None)},
        ),
    ]
    if published.forecast is not None:
        found += _forecast_figures(published.forecast, now=now)
    if published.scores is not None:
        found += _score_figures(published.scores)
    return found


def _forecast_figures(forecast: ForecastSet, *, now: datetime) -> list[Figure]:
    left = (forecast.horizon_end - now).total_seconds()
    first = epoch(now)
    return [
        Figure("forecast_horizon_seconds", "Seconds of forecast still ahead.", "", {"": left}),
        Figure(
            "forecast_next_24h_contacts",
            "Expected contacts of the next 24 hours, by queue.",
            "queue",
            {
                name: float(np.sum(queue.mean[queue.rows(first, first + 86_400)]))
                for name, queue in forecast.queues.items()
            },
        ),
    ]


def _score_figures(scores: ScoreSet) -> list[Figure]:
    found = [
        Figure("customers", "Customers in the score set.", "", {"": float(len(scores))}),
        Figure("customers_scored", "Customers in its population.", "", {"": float(scores.scored)}),
    ]
    if scores.scored:
        mean = float(pc.mean(scores.table.column("probability")).as_py())
        doc = "Mean probability of churn over the population."
        found.append(Figure("churn_base_rate", doc, "", {"": mean}))
    return found
