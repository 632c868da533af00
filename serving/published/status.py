"""What this worker serves, how old it is, and whether it is ready."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow.compute as pc
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from features.calendar.clock import to_epoch
from serving.published.experiments import ExperimentResults
from serving.published.forecast_set import ForecastSet
from serving.published.parts import PARTS_BY_KIND, PARTS_TABLE, Published, Served
from serving.published.score_set import ScoreSet
from serving.settings import VERSION


class _StatusCollector(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def _gauge(name: str, doc: str, value: float) -> Metric:
    return GaugeMetricFamily(f"ebbflow_{name}", doc, value=value)


def _gauges(name: str, doc: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"ebbflow_{name}", doc, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def render(requests: Collector, metrics: list[Metric]) -> bytes:
    """Return the whole exposition as Prometheus text."""
    registry = CollectorRegistry()
    registry.register(requests)
    registry.register(_StatusCollector(metrics))
    return generate_latest(registry)


REMEDIES: dict[str, str] = {part.kind: part.remedy for part in PARTS_TABLE}


def models(published: Published) -> dict[str, Any]:
    """Return the promoted models, as ``GET /v1/models`` gives them."""
    cards = published.cards
    sets = {
        str(part.made_by): published.served.get(part.kind) for part in PARTS_TABLE if part.made_by
    }
    entries = []
    for part in PARTS_TABLE:
        if part.kind in cards:
            card, current = cards[part.kind], sets.get(part.kind)
            entries.append(
                {
                    "model": part.kind,
                    "version": card.id,
                    "created_at": card.created_at,
                    "card": card.meta.get("card", {}),
                    "serves": current.id if current and current.model_version == card.id else None,
                }
            )
    return {"models": entries}


def readiness(
    published: Published, *, overrides: int, trouble: str | None, now: datetime
) -> dict[str, Any]:
    """Return the state of each published part, as ``GET /readyz`` gives it.

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
    """Return the kinds of the parts that are listed."""
    known = {*published.served, *published.refusals}
    return tuple(p.kind for p in PARTS_TABLE if p.kind in known or not p.optional)


def _part_json(part: str, published: Published, *, now: datetime) -> dict[str, Any]:
    in_force = published.served.get(part)
    rejection = published.refusals.get(part)
    return {
        "part": part,
        "id": None if in_force is None else in_force.id,
        "as_of": None if in_force is None else as_of(in_force),
        "age_seconds": None if in_force is None else _age_seconds(in_force.created_at, now),
        "remedy": PARTS_BY_KIND[part].remedy if in_force is None else None,
        "refused": None if rejection is None else rejection.reason,
    }


def as_of(part: Served) -> datetime | None:
    """Return the as-of of a part; None where its manifest has none."""
    if isinstance(part, ForecastSet | ScoreSet | ExperimentResults):
        return part.as_of
    text = part.meta.get("as_of")
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _age_seconds(then: datetime, now: datetime) -> float:
    return round((now - then).total_seconds(), 3)


def status_metrics(published: Published, *, trouble: str | None, now: datetime) -> list[Metric]:
    """Return the domain's metrics; ``trouble`` is why the overrides cannot be read."""
    parts = {part: published.served.get(part) for part in parts_of(published)}
    metrics = [
        _gauge("ready", "1 when at least one set is served.", float(published.is_ready)),
        _gauges(
            "age_seconds",
            "Seconds since the part that is served was published.",
            "part",
            {p: _age_seconds(s.created_at, now) for p, s in parts.items() if s is not None},
        ),
        _gauges(
            "refused",
            "1 where a newer folder is refused and the older one goes on serving.",
            "part",
            {part: float(part in published.refusals) for part in parts},
        ),
        _gauge(
            "overrides_unreadable",
            "1 while the database of planners' overrides cannot be read.",
            float(trouble is not None),
        ),
    ]
    if published.forecast is not None:
        metrics += _forecast_metrics(published.forecast, now=now)
    if published.scores is not None:
        metrics += _score_metrics(published.scores)
    return metrics


def _forecast_metrics(forecast: ForecastSet, *, now: datetime) -> list[Metric]:
    left = (forecast.horizon_end - now).total_seconds()
    first = to_epoch(now)
    return [
        _gauge("forecast_horizon_seconds", "Seconds of forecast still ahead.", left),
        _gauges(
            "forecast_next_24h_contacts",
            "Expected contacts of the next 24 hours, by queue.",
            "queue",
            {
                name: float(np.sum(queue.mean[queue.rows(first, first + 86_400)]))
                for name, queue in forecast.queues.items()
            },
        ),
    ]


def _score_metrics(scores: ScoreSet) -> list[Metric]:
    metrics = [
        _gauge("customers", "Customers in the score set.", float(len(scores))),
        _gauge("customers_scored", "Customers in its population.", float(scores.scored)),
    ]
    if scores.scored:
        mean = float(pc.mean(scores.table.column("probability")).as_py())
        doc = "Mean probability of churn over the population."
        metrics.append(_gauge("churn_base_rate", doc, mean))
    return metrics
