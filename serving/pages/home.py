"""The first page: the next week of each queue, the customers at risk, and how old it all is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from serving.pages.charts import DAYS
from serving.pages.customers import customer_groups
from serving.pages.render import date_text, render
from serving.pages.week import queue_week
from serving.published import status
from serving.published.parts import PARTS_BY_KIND, PARTS_TABLE, Published

MOST_QUEUES = 24
_NAMES = {part.kind: part.title for part in PARTS_TABLE if part.title}


@dataclass(frozen=True)
class PublishedPart:
    """How fresh and how good one published part is; without an id, nothing is published.

    Attributes:
        as_of: The moment that it looks back from; None where it names none.
        quality: A model's accuracy on past data in plain words; empty where it is not known.
    """

    name: str
    id: str | None = None
    age: str = ""
    as_of: datetime | None = None
    quality: str = ""


def home_page(published: Published, *, now: datetime) -> str:
    """Return the first page as HTML."""
    forecast, scores, weeks = published.forecast, published.scores, []
    if forecast is not None:
        queues = list(forecast.queues.values())[:MOST_QUEUES]
        weeks = [queue_week(queue, of=forecast, now=now) for queue in queues]
    return render(
        "home.html",
        days=DAYS,
        to_do=_to_do(published, now=now),
        remedies=status.REMEDIES,
        forecast=forecast,
        weeks=weeks,
        scores=scores,
        tiers=[] if scores is None else customer_groups(scores, "tier", words=scores.tiers),
        churn_card=_card(published, "churn"),
        parts=[_part(part, name, published, now=now) for part, name in _NAMES.items()],
    )


def _to_do(published: Published, *, now: datetime) -> list[str]:
    """Return what is missing, refused, running out or warned of, with the remedy."""
    texts = []
    for part, name in _NAMES.items():
        if part not in published.served:
            texts.append(f"**{name}: none yet.** To get it, {status.REMEDIES[part]}.")
        if part in published.refusals:
            reason = published.refusals[part].reason
            texts.append(f"**{name}: a newer one is refused.** {reason}")
    forecast, scores = published.forecast, published.scores
    if forecast is not None and forecast.horizon_end < now + timedelta(days=DAYS):
        texts.append(
            f"**The forecast ends on {date_text(forecast.horizon_end)}.** To extend it, "
            f"{status.REMEDIES['snapshot']}, then {status.REMEDIES['forecast']}."
        )
    texts += forecast.warnings if forecast else ()
    texts += scores.warnings if scores else ()
    return texts


def _part(part: str, name: str, published: Published, *, now: datetime) -> PublishedPart:
    served = published.served.get(part)
    if served is None:
        return PublishedPart(name)
    card = _card(published, part)
    as_of, metrics = card.get("as_of"), card.get("metrics", {})
    return PublishedPart(
        name,
        served.id,
        _age(now - served.created_at),
        # A model's as-of stands in its card.
        datetime.fromisoformat(as_of) if isinstance(as_of, str) else status.as_of(served),
        _quality(part, metrics),
    )


def _quality(part: str, metrics: Mapping[str, Any]) -> str:
    try:
        quality = PARTS_BY_KIND[part].quality
        return quality(metrics) if quality else ""
    except (KeyError, TypeError, ValueError):
        return ""  # a card with other metrics is served all the same


def _card(published: Published, part: str) -> Mapping[str, Any]:
    """Return a model's card; empty for other parts and where there is none."""
    manifest = published.cards.get(part)
    card = {} if manifest is None else manifest.meta.get("card", {})
    return card if isinstance(card, Mapping) else {}


def _age(age: timedelta) -> str:
    """Return a length of time in its largest fitting unit.

    >>> _age(timedelta(hours=49)), _age(timedelta(minutes=90)), _age(timedelta(seconds=70))
    ('2 days', '90 minutes', '70 seconds')
    """
    seconds = max(age.total_seconds(), 0)
    for size, word in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} seconds"
