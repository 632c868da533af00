"""The first page: what is served, how old it is, and a picture of each queue's next week."""

from __future__ import annotations

from datetime import datetime
from html import escape

import numpy as np

from features.calendar import Float64, Int64, epoch, local_times, moment
from serving.http import facts
from serving.http.pages.style import page, table
from serving.published import Published
from serving.sets.forecast import PublishedForecast

WIDTH, HEIGHT = 960, 170
_LEFT, _BOTTOM, _TOP = 44, 22, 10
MOST_PICTURES = 24
_DAYS = 7


def home_page(published: Published, *, now: datetime) -> str:
    """Return the first page as HTML.

    Args:
        published: What is in force.
        now: The time, aware UTC.
    """
    state = facts.readiness(published, now=now)
    links = "".join(
        f'<a href="{path}">{text}</a>'
        for path, text in (
            ("/docs", "API documentation"),
            ("/openapi.json", "OpenAPI"),
            ("/readyz", "Readiness"),
            ("/metrics", "Metrics"),
            ("/v1/queues", "Queues"),
            ("/v1/models", "Models"),
        )
    )
    body = (
        '<h1>Ebbflow</h1><p class="lead">Forecasts of contacts and agents, and churn scores.</p>'
        f"<nav>{links}</nav><h2>What is served</h2>{_parts(state['parts'])}{_warnings(published)}"
        f"<h2>The next {_DAYS} days</h2>{_pictures(published, now=now)}"
    )
    return page("Ebbflow", body)


def _parts(parts: list[dict[str, object]]) -> str:
    rows = []
    for part in parts:
        state = f"<code>{escape(str(part['id']))}</code>"
        if part["id"] is None:
            state = f'<span class="warn">none yet: {escape(str(part["remedy"]))}</span>'
        if part["refused"] is not None:
            refused = escape(str(part["refused"]))
            state += f'<br><span class="warn">a newer one is refused: {refused}</span>'
        as_of = escape(str(part["as_of"] or ""))
        rows.append([escape(str(part["part"])), state, as_of, _age(part["age_seconds"])])
    return table(["part", "id", "as of", "age"], rows)


def _age(seconds: object) -> str:
    if not isinstance(seconds, float):
        return ""
    for size, word in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{max(seconds, 0):.0f} seconds"


def _warnings(published: Published) -> str:
    texts = [
        *(published.forecast.warnings if published.forecast else ()),
        *(published.scores.warnings if published.scores else ()),
    ]
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<ul class="warn">{items}</ul>' if items else ""


def _pictures(published: Published, *, now: datetime) -> str:
    if published.forecast is None:
        return '<p class="soft">No forecast is published yet.</p>'
    queues = list(published.forecast.queues.values())
    shown = "".join(_queue(queue, now=now) for queue in queues[:MOST_PICTURES])
    more = len(queues) - MOST_PICTURES
    return shown + (f'<p class="soft">And {more} more queues.</p>' if more > 0 else "")


def _queue(forecast: PublishedForecast, *, now: datetime) -> str:
    queue = forecast.queue
    about = f"{queue.channel}, {queue.time_zone}, {forecast.method}"
    if forecast.warnings:
        about += ": " + "; ".join(forecast.warnings)
    title = queue.name or queue.queue
    return f'<h3>{escape(title)} <span class="soft">{escape(about)}</span></h3>' + picture(
        forecast, now=now
    )


def picture(forecast: PublishedForecast, *, now: datetime) -> str:
    """Return the next days of one queue as inline SVG: mean, and band from 0.1 to 0.9.

    Args:
        forecast: The queue's forecast.
        now: The time, aware UTC; the picture begins here, or where the forecast does.
    """
    first = max(epoch(now), int(forecast.starts[0])) if len(forecast.starts) else epoch(now)
    rows = forecast.rows(first - forecast.interval_seconds + 1, first + _DAYS * 86_400)
    starts = forecast.starts[rows]
    if len(starts) < 2:
        return '<p class="soft">The forecast has ended.</p>'
    low, high = forecast.quantiles[rows, 1], forecast.quantiles[rows, 17]
    top = max(float(high.max()), float(forecast.mean[rows].max()), 1.0)
    x = _LEFT + (starts - starts[0]) / (starts[-1] - starts[0]) * (WIDTH - _LEFT - 4)
    base = HEIGHT - _BOTTOM

    def y(values: Float64) -> Float64:
        scaled: Float64 = base - values / top * (base - _TOP)
        return scaled

    band = _points(x, y(high)) + " " + _points(x[::-1], y(low)[::-1])
    name = escape(forecast.queue.queue, quote=True)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Forecast of {name}">'
        f"{_days(forecast, starts, x)}"
        f'<polygon class="band" points="{band}"/>'
        f'<polyline class="mean" points="{_points(x, y(forecast.mean[rows]))}"/>'
        f'<text x="4" y="{_TOP + 8}">{top:.4g}</text><text x="4" y="{base}">0</text></svg>'
    )


def _points(x: Float64, y: Float64) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def _days(forecast: PublishedForecast, starts: Int64, x: Float64) -> str:
    """Draw a line and a label where each local day begins."""
    days = local_times(starts, forecast.queue.time_zone).day
    found = []
    for row in np.flatnonzero(np.diff(days)) + 1:
        label = f"{moment(int(days[row]) * 86_400):%a %d %b}"
        at = f"{x[row]:.1f}"
        found.append(
            f'<line class="day" x1="{at}" x2="{at}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
            f'<text x="{at}" y="{HEIGHT - 6}">{label}</text>'
        )
    return "".join(found)
