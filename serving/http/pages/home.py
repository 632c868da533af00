"""The first page: the next week of each queue, the customers at risk, and how old it all is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

from serving.http import facts
from serving.http.pages import picture, week
from serving.http.pages.style import page, prose, table
from serving.published import Published
from serving.sets.forecast import ForecastSet
from serving.sets.parts import PARTS_BY_KIND, PARTS_TABLE
from serving.sets.scores import ScoreSet, iso

MOST_QUEUES = 24
_NAMES = {part.kind: part.title for part in PARTS_TABLE if part.title}
_STYLE = (
    week.STYLE
    + """
.bar{background:var(--tide);height:.8rem;min-width:1px;margin:.35rem 0;border-radius:2px}
td:nth-child(3){min-width:4rem}td code{white-space:nowrap}
@media (max-width:40rem){.wide table:not(.stack) tr>:nth-child(3){display:none}}
footer{margin-top:3rem;border-top:1px solid var(--line);padding-top:.8rem}
"""
)
_MACHINES = (
    "/v1/queues",
    "/v1/events",
    "/v1/models",
    "/v1/forecast",
    "/v1/churn/scores",
    "/readyz",
    "/metrics",
)


def home_page(published: Published, *, now: datetime) -> str:
    """Return the first page as HTML.

    Args:
        published: What is in force.
        now: The time, aware UTC.
    """
    links = " ".join(f'<a href="{path}"><code>{path}</code></a>' for path in _MACHINES)
    body = (
        '<header><h1>Ebbflow</h1><p class="lead">What will come to the contact centre, how many '
        "agents that needs, and which customers may leave.</p>"
        '<nav aria-label="Page"><a href="#week">Next 7 days</a><a href="#customers">Customers</a>'
        '<a href="#age">How fresh it is</a><a href="/docs">API documentation</a></nav></header>'
        f'<main id="main">{_to_do(published, now=now)}'
        f'<h2 id="week">The next {picture.DAYS} days</h2>{_weeks(published, now=now)}'
        f'<h2 id="customers">Customers who may leave</h2>{_customers(published)}'
        f'<h2 id="age">How fresh it is</h2>{_ages(published, now=now)}</main>'
        f'<footer class="soft">For programs: <a href="/docs">documentation</a>, '
        f'<a href="/openapi.json"><code>/openapi.json</code></a> {links}</footer>'
    )
    return page("Ebbflow", body, style=_STYLE)


def _to_do(published: Published, *, now: datetime) -> str:
    """List what is missing, refused, running out or said in warnings, with the remedy."""
    texts = []
    for part, name in _NAMES.items():
        served = facts.served(part, published)
        if served is None:
            texts.append(f"**{name}: none yet.** To get it, {facts.REMEDIES[part]}.")
        if part in published.refusals:
            reason = published.refusals[part].reason
            texts.append(f"**{name}: a newer one is refused.** {reason}")
    forecast, scores = published.forecast, published.scores
    if forecast is not None and forecast.horizon_end < now + timedelta(days=picture.DAYS):
        texts.append(
            f"**The forecast ends on {_date(forecast.horizon_end)}.** To extend it, "
            f"{facts.REMEDIES['snapshot']}, then {facts.REMEDIES['forecast']}."
        )
    texts += forecast.warnings if forecast else ()
    texts += scores.warnings if scores else ()
    if not texts:
        return ""
    items = "".join(f"<li>{prose(text)}</li>" for text in texts)
    return f'<div class="note" role="status"><ul>{items}</ul></div>'


def _weeks(published: Published, *, now: datetime) -> str:
    forecast = published.forecast
    if forecast is None:
        return f'<p class="soft">No forecast yet: {prose(facts.REMEDIES["forecast"])}.</p>'
    queues = list(forecast.queues.values())
    shown = "".join(week.queue_week(queue, of=forecast, now=now) for queue in queues[:MOST_QUEUES])
    more = len(queues) - MOST_QUEUES
    return (
        f"<p>{_source(forecast)} Days and hours are each queue's own clock.</p>"
        f"{picture.LEGEND}{shown}"
        + (f"<p>{more} more queues: <a href='/v1/queues'>list</a>.</p>" if more > 0 else "")
    )


def _source(forecast: ForecastSet) -> str:
    """Say from what a forecast was made, and whether it was corrected today."""
    if forecast.base is None:
        return f"From what was known on {_when(forecast.as_of)}."
    return (
        f"<b>Corrected on {_when(forecast.made_at)}</b> with what came since the full forecast "
        f"<code>{escape(forecast.base)}</code>: the rest of today and tomorrow."
    )


def _customers(published: Published) -> str:
    scores = published.scores
    if scores is None:
        return f'<p class="soft">No scores yet: {prose(facts.REMEDIES["scores"])}.</p>'
    card = _card(published, "churn")
    meaning = f"To leave means: {escape(str(card['definition']))}. " if "definition" in card else ""
    rows = []
    for tier, count, mean in _tiers(scores):
        share = count / max(scores.scored, 1)
        rows.append(
            [
                f"<b>{escape(tier)}</b>",
                f"{count:,}",
                f'<div class="bar" style="width:{share:.1%}"></div>',
                _percent(share),
                "-" if mean is None else _percent(mean),
                f'<a href="/v1/churn/scores?tier={escape(tier, quote=True)}">list</a>',
            ]
        )
    left = len(scores) - scores.scored
    head = ["risk", "customers", "", "share", "mean chance", "who"]
    return (
        f"<p>{meaning}{scores.scored:,} customers are scored, from what was known on "
        f"{_when(scores.as_of)}; {left:,} more are outside the scored group. "
        '<a href="/customers">Who has most at stake, why, and what to do</a>.</p>'
        + table(head, rows, numbers=(1, 3, 4))
    )


def _tiers(scores: ScoreSet) -> list[tuple[str, int, float | None]]:
    """Return each tier's name, customers and mean probability, the highest risk first."""
    sums = scores.table.group_by("tier").aggregate([("probability", "mean"), ([], "count_all")])
    found = {row["tier"]: row for row in sums.to_pylist()}
    none = {"count_all": 0, "probability_mean": None}
    rows = [(tier, found.get(tier, none)) for tier in scores.tiers]
    return [(tier, row["count_all"], row["probability_mean"]) for tier, row in rows]


def _ages(published: Published, *, now: datetime) -> str:
    rows = []
    for part, name in _NAMES.items():
        served = facts.served(part, published)
        if served is None:
            rows.append([name, '<span class="warn">none yet</span>', "", "", ""])
            continue
        as_of = _as_of(part, published)
        rows.append(
            [
                name,
                f"{_age(now - served.created_at)} old",
                "" if as_of is None else f"up to {_when(as_of)}",
                _quality(part, published),
                f"<code>{escape(served.id)}</code>",
            ]
        )
    return table(["what", "age", "data", "how good", "id"], rows)


def _quality(part: str, published: Published) -> str:
    """Say a model's figures of the past in plain words, where its card has them."""
    try:
        quality = PARTS_BY_KIND[part].quality
        return quality(_card(published, part).get("metrics", {})) if quality else ""
    except (KeyError, TypeError, ValueError):
        return ""  # a card of other figures is served all the same


def _card(published: Published, model: str) -> Mapping[str, Any]:
    note = published.cards.get(model)
    card = {} if note is None else note.meta.get("card", {})
    return card if isinstance(card, Mapping) else {}


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _as_of(part: str, published: Published) -> datetime | None:
    """Return the moment that a part looks back from; a model's stands in its card."""
    said = _card(published, part).get("as_of")
    if isinstance(said, str):
        return datetime.fromisoformat(said)
    served = facts.served(part, published)
    return None if served is None else facts.as_of(served)


def _when(at: datetime) -> str:
    return f'<time datetime="{iso(at)}">{_date(at)}</time>'


def _date(at: datetime) -> str:
    return f"{at.astimezone(UTC):%a %-d %b %Y, %H:%M} UTC"


def _age(age: timedelta) -> str:
    """Say a length of time in its largest fitting unit.

    >>> _age(timedelta(hours=49)), _age(timedelta(minutes=90)), _age(timedelta(seconds=70))
    ('2 days', '90 minutes', '70 seconds')
    """
    seconds = max(age.total_seconds(), 0)
    for size, word in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} seconds"
