"""One queue's next seven days on the first page: a picture over a table, a column a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from html import escape
from itertools import groupby
from typing import Any

import numpy as np

from features.calendar import (
    DAY_SECONDS,
    Float64,
    Int64,
    Queue,
    epoch,
    local_midnight,
    local_times,
    moment,
    opening_text,
    public_holidays,
)
from features.contracts import QUANTILE_LEVELS, WEEKDAYS
from features.errors import InputError
from serving.http.agents import Staffed, staff_queue, staffed_days
from serving.http.schemas import StaffingRequest
from serving.sets.forecast import PublishedForecast

DAYS = 7
STYLE = """
.week{table-layout:fixed;margin:.4rem 0}.week tr>:first-child{width:8.8rem;font-weight:400}
.week td,.week thead th{text-align:center;padding:.3rem .1rem;font-variant-numeric:tabular-nums}
.week thead th{line-height:1.25}.week thead .soft{font-weight:400;font-size:.85em}
.week .today{color:var(--tide)}.week tbody th{text-align:left;padding-left:0}
.week .picture td{padding:0;height:150px;background:var(--wash)}
.week .picture th{padding:0 .4rem 0 0;height:150px}
.scale{display:flex;flex-direction:column;justify-content:space-between;height:150px;
text-align:right;line-height:1}
.week td{hyphens:auto;overflow-wrap:anywhere}
.week svg{display:block;width:100%;height:150px}
.legend span{display:inline-block;margin-right:1.2rem}
.key{display:inline-block;width:1.5rem;height:.8rem;margin-right:.4rem;vertical-align:-.05rem}
.mean{fill:none;stroke:var(--tide);stroke-width:2}.key.mean{height:0;border-top:2px solid
var(--tide);vertical-align:.25rem}
.band{fill:var(--tide);fill-opacity:.28}.key.band{background:var(--tide);opacity:.28}
.shut{fill:var(--shut)}.key.shut{background:var(--shut)}
.grid{stroke:var(--line)}.now{stroke:var(--alarm);stroke-width:1.5;stroke-dasharray:4 3}
.key.now{width:0;height:.9rem;border-left:2px dashed var(--alarm)}
svg *{vector-effect:non-scaling-stroke}
@media (max-width:40rem){.week{font-size:.72rem}.week tr>:first-child{width:4.2rem}
.week td,.week thead th{padding:.3rem 0}}
"""
LEGEND = (
    '<p class="soft legend"><span><i class="key mean"></i>expected</span><span><i class="key '
    'band"></i>80 % band: 8 of 10 times within</span><span><i class="key shut"></i>closed</span>'
    '<span><i class="key now"></i>now</span></p>'
)
_BOX_HEIGHT = 100.0
_LOW, _HIGH = QUANTILE_LEVELS.index(0.1), QUANTILE_LEVELS.index(0.9)


@dataclass(frozen=True)
class _Week:
    """Seven local days of one queue's forecast.

    Attributes:
        forecast: The queue's forecast.
        rows: Its intervals within the days.
        midnights: Where the days begin, and where the last one ends, epoch seconds, int64[8].
        first_day: The first local day, days since 1970-01-01.
    """

    forecast: PublishedForecast
    rows: slice
    midnights: Int64
    first_day: int

    def across(self, moments: Int64) -> Float64:
        """Return where moments stand across the picture, in days: all days are equally wide."""
        place: Float64 = np.interp(moments, self.midnights, np.arange(DAYS + 1))
        return place


def queue_week(forecast: PublishedForecast, *, now: datetime) -> str:
    """Return a queue's name, opening hours, picture, days and agents as HTML.

    Args:
        forecast: The queue's published forecast.
        now: The time, aware UTC; the first day is the local one that it falls into.
    """
    queue = forecast.queue
    title = f"<h3>{escape(queue.name or queue.queue)}</h3>"
    title += f'<p class="soft">{escape(_about(queue))}</p>'
    week = _week(forecast, now=now)
    if week.rows.stop - week.rows.start < 1:
        return title + '<p class="warn">Its forecast has ended.</p>'
    days, notes = _staffed(week)
    notes = [*forecast.warnings, *_holidays(week), *notes]
    items = "".join(f"<li>{escape(note[:1].upper() + note[1:])}</li>" for note in notes)
    return (
        f'{title}<table class="week"><thead><tr><td></td>{_heads(week)}</tr></thead><tbody>'
        f"{_picture(week, now=now)}{_rows(week, days)}</tbody></table>"
        + (f'<ul class="soft"><small>{items}</small></ul>' if items else "")
    )


def _week(forecast: PublishedForecast, *, now: datetime) -> _Week:
    zone = forecast.queue.time_zone
    today = int(local_times(np.array([epoch(now)]), zone).day[0])
    midnights = np.array([local_midnight(today + i, zone) for i in range(DAYS + 1)])
    rows = forecast.rows(int(midnights[0]), int(midnights[-1]))
    return _Week(forecast, rows, midnights, today)


def _about(queue: Queue) -> str:
    """Say a queue's channel, opening hours and clock, such as `voice, open Mon-Fri 09:00-17:00`."""
    words = {None: "hours not known", "00:00-24:00": "day and night"}
    hours = [(day, words.get(text, text)) for day, text in opening_text(queue).items()]
    spans = []
    for text, run in groupby(hours, key=lambda item: item[1]):
        days = [day.capitalize() for day, _ in run]
        shown = text if len(days) < len(WEEKDAYS) else f"every day, {text}"
        label = "" if len(days) == len(WEEKDAYS) else "-".join(dict.fromkeys((days[0], days[-1])))
        spans.append(f"{label} {shown}".strip())
    learnt = " (learnt from its history)" if queue.opening_source == "learnt" else ""
    return f"{queue.channel.capitalize()}: {'; '.join(spans)}{learnt}, {queue.time_zone} time"


def _heads(week: _Week) -> str:
    found = []
    for i in range(DAYS):
        day = moment((week.first_day + i) * DAY_SECONDS)
        name = f"{day:%a}" if i else '<span class="today">Today</span>'
        found.append(
            f'<th scope="col">{name}<br><span class="soft">{day:%-d %b}{_from(week, i)}</span></th>'
        )
    return "".join(found)


def _from(week: _Week, place: int) -> str:
    """Say when the forecast begins within a day, where it does."""
    first = week.forecast.starts[week.rows][:1]
    if not week.midnights[place] < first[0] < week.midnights[place + 1]:
        return ""
    minute = int(local_times(first, week.forecast.queue.time_zone).minute_of_day[0])
    return f"<br>from {minute // 60:02d}:{minute % 60:02d}"


def _picture(week: _Week, *, now: datetime) -> str:
    forecast, rows = week.forecast, week.rows
    top = _round_up(float(forecast.quantiles[rows, _HIGH].max(initial=forecast.mean[rows].max())))
    minutes = forecast.queue.interval_minutes
    unit = "contacts an hour" if minutes == 60 else f"contacts in {minutes} minutes"
    name = escape(forecast.queue.name or forecast.queue.queue, quote=True)
    at = f"{float(week.across(np.array([epoch(now)]))[0]):.3f}"
    return (
        f'<tr class="picture"><th scope="row"><div class="scale"><span>{top:g}</span>'
        f'<span>{unit}</span><span>0</span></div></th><td colspan="{DAYS}">'
        f'<svg viewBox="0 0 {DAYS} {_BOX_HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{name}: expected {unit} over {DAYS} days, with the 80 % band">'
        f"{_shapes(week, top)}"
        f'<line class="now" x1="{at}" x2="{at}" y1="0" y2="{_BOX_HEIGHT:g}"/></svg></td></tr>'
    )


def _shapes(week: _Week, top: float) -> str:
    """Draw each run of open intervals as steps, and each run of closed ones as a grey block."""
    forecast, first = week.forecast, week.rows.start
    opened = forecast.is_open[week.rows]
    edges = np.flatnonzero(np.diff(opened)) + 1
    shut, lines = [], []
    for a, b in zip([0, *edges], [*edges, len(opened)], strict=True):
        rows = slice(first + a, first + b)
        starts = forecast.starts[rows]
        x = week.across(np.append(starts, starts[-1] + forecast.interval_seconds))
        if not opened[a]:
            width = f"{x[-1] - x[0]:.3f}"
            height = f"{_BOX_HEIGHT:g}"
            shut.append(
                f'<rect class="shut" x="{x[0]:.3f}" y="0" width="{width}" height="{height}"/>'
            )
            continue
        high = _steps(x, forecast.quantiles[rows, _HIGH], top)
        low = _steps(x, forecast.quantiles[rows, _LOW], top)
        lines.append(f'<polygon class="band" points="{" ".join([*high, *low[::-1]])}"/>')
        mean = " ".join(_steps(x, forecast.mean[rows], top))
        lines.append(f'<polyline class="mean" points="{mean}"/>')
    return "".join([*shut, _grid(), *lines])


def _steps(x: Float64, values: Float64, top: float) -> list[str]:
    """Return the corners of steps: n values between n + 1 places."""
    y = _BOX_HEIGHT * (1 - values / top)
    across, down = np.repeat(x, 2)[1:-1], np.repeat(y, 2)
    return [f"{a:.3f},{b:.1f}" for a, b in zip(across.tolist(), down.tolist(), strict=True)]


def _grid() -> str:
    days = (
        f'<line class="grid" x1="{i}" x2="{i}" y1="0" y2="{_BOX_HEIGHT:g}"/>'
        for i in range(1, DAYS)
    )
    half = f"{_BOX_HEIGHT / 2:g}"
    return "".join(days) + f'<line class="grid" x1="0" x2="{DAYS}" y1="{half}" y2="{half}"/>'


def _round_up(value: float) -> float:
    """Return the next number that reads well on a scale.

    >>> [_round_up(v) for v in (0.0, 0.7, 13.1, 17.9, 420.0)]
    [1.0, 1.0, 15.0, 20.0, 500.0]
    """
    if value <= 1:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(power * next(m for m in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if m * power >= value))


def _staffed(week: _Week) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the days as `POST /v1/staffing` gives them, and what to know of the agents."""
    try:
        staffed = staff_queue(week.forecast, rows=week.rows, request=StaffingRequest())
    except InputError as error:
        return [], [f"No agents: {error}"]
    return staffed_days(staffed), [_goal(staffed), *staffed.staffing.warnings]


def _goal(staffed: Staffed) -> str:
    goal = staffed.goal
    return (
        f"Agents are enough to answer {100 * goal.share:g} % of contacts within "
        f"{_duration(goal.seconds)}, before breaks and absence "
        f"({staffed.staffing.model.replace('-', ' ').title()})."
    )


def _duration(seconds: float) -> str:
    """Say a time in its largest fitting unit.

    >>> _duration(20), _duration(120), _duration(28_800)
    ('20 seconds', '2 minutes', '8 hours')
    """
    for size, word in ((3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:g} {word}"
    return f"{seconds:g} seconds"


def _rows(week: _Week, days: list[dict[str, Any]]) -> str:
    """Return the rows of contacts and agents, a cell a day."""
    queue, rows = week.forecast.queue, week.rows
    place = local_times(week.forecast.starts[rows], queue.time_zone).day - week.first_day
    contacts = np.bincount(place, weights=week.forecast.mean[rows], minlength=DAYS)
    opened = np.bincount(place, weights=week.forecast.is_open[rows], minlength=DAYS) > 0
    known = np.bincount(place, minlength=DAYS) > 0
    agents = {day["date"]: day for day in days}
    shown = []
    for i in range(DAYS):
        date = f"{moment((week.first_day + i) * DAY_SECONDS):%Y-%m-%d}"
        if not known[i]:
            shown.append(("-", "-", "-"))
        elif not opened[i]:
            shown.append(('<span class="soft">closed</span>', "", ""))
        else:
            day = agents.get(date, {})
            peak, hours = day.get("peak_agents_on_phone"), day.get("agent_hours_on_phone")
            shown.append((_count(contacts[i]), _count(peak), _count(hours)))
    titles = ("contacts", "agents at peak", "agent hours")
    return "".join(
        f'<tr><th scope="row">{title}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for title, cells in zip(titles, zip(*shown, strict=True), strict=True)
    )


def _holidays(week: _Week) -> list[str]:
    """Name the public holidays that close the queue."""
    queue = week.forecast.queue
    if queue.country is None or queue.open_on_holidays:
        return []
    found = []
    for day in range(week.first_day, week.first_day + DAYS):
        date = moment(day * DAY_SECONDS)
        name = public_holidays(queue.country, date.year, date.year).get(day)
        if name is not None:
            found.append(f"Closed on {date:%a %-d %b}: {name}.")
    return found


def _count(value: float | None) -> str:
    """Show a number of contacts, agents or hours.

    >>> _count(1221.4), _count(3.24), _count(7), _count(None)
    ('1,221', '3.2', '7', '-')
    """
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"
