"""One queue's next seven days on the first page: a picture over a table, a column a day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from html import escape
from itertools import groupby

import numpy as np

from features.calendar import (
    DAY_SECONDS,
    Float64,
    Queue,
    epoch,
    local_times,
    moment,
    opening_text,
)
from features.contracts import WEEKDAYS
from features.errors import InputError
from serving.http.pages import picture
from serving.http.pages.moves import holidays_of, moves
from serving.http.pages.picture import DAYS, Week, week_of
from serving.http.staffing_asks import Staffed, StaffingOptions, staff_queues
from serving.models.volume.paths import sample_paths
from serving.models.volume.span import cut
from serving.sets.forecast import ForecastSet, PublishedForecast
from serving.staffing.asked import DayPlan

STYLE = (
    picture.STYLE
    + """
.week{table-layout:fixed;margin:.4rem 0}.week tr>:first-child{width:8.8rem;font-weight:400}
.week td,.week thead th{text-align:center;padding:.3rem .1rem;font-variant-numeric:tabular-nums}
.week thead th{line-height:1.25}.week thead .soft{font-weight:400;font-size:.85em}
.week .today{color:var(--tide)}.week tbody th{text-align:left;padding-left:0}
.week td{hyphens:auto;overflow-wrap:anywhere}
.sum{margin:.1rem 0 .4rem}.moves{margin:.4rem 0;padding-left:1.2rem}
@media (max-width:40rem){.week{font-size:.72rem}.week tr>:first-child{width:4.2rem}
.week td,.week thead th{padding:.3rem 0}}
"""
)
_BAND = (0.1, 0.9)
_OPTIONS = StaffingOptions(path_count=50)
"""The route's own defaults, on fewer paths: a page shows many queues."""
_MODELS = {
    "erlang_a": "Erlang A",
    "erlang_b": "Erlang B",
    "erlang_c": "Erlang C",
    "backlog": "a backlog with a deadline",
}


def queue_week(forecast: PublishedForecast, *, of: ForecastSet, now: datetime) -> str:
    """Return a queue's name, opening hours, week in a sentence, picture, days and moves as HTML.

    Args:
        forecast: The queue's published forecast.
        of: The set that it belongs to: its events, and when it was made.
        now: The time, aware UTC; the first day is the local one that it falls into.
    """
    queue = forecast.queue
    title = f"<h3>{escape(queue.name or queue.queue)}</h3>"
    title += f'<p class="soft">{escape(_about(queue))}</p>'
    week = week_of(forecast, now=now)
    if week.rows.stop - week.rows.start < 1:
        return title + '<p class="warn">Its forecast has ended.</p>'
    paths = sample_paths([cut(forecast, week.rows)], made_at=epoch(of.made_at))[0]
    days, notes = _staffed(week, of)
    notes = [*_holidays(week), *notes]
    found = moves(forecast, rows=week.rows, events=of.events, today=week.first_day)
    return (
        f'{title}<p class="sum">{_sum(week, paths)}</p>'
        f'<table class="week"><thead><tr><td></td>{_heads(week)}</tr></thead><tbody>'
        f"{picture.picture(week, now=now)}{_rows(week, days, paths)}</tbody></table>"
        + (f'<p class="sum">What moves it:</p>{_list(found, "moves")}' if found else "")
        + (f"<small>{_list(notes, 'soft')}</small>" if notes else "")
    )


def _list(texts: list[str], style: str) -> str:
    items = "".join(f"<li>{escape(text[:1].upper() + text[1:])}</li>" for text in texts)
    return f'<ul class="{style}">{items}</ul>'


def _sum(week: Week, paths: Float64) -> str:
    """Say the week in a sentence: its contacts, their band, and how that is to last week."""
    forecast, rows = week.forecast, week.rows
    total, past = float(forecast.mean[rows].sum()), float(forecast.baseline[rows].sum())
    low, high = np.quantile(paths.sum(axis=1), _BAND)
    against = ""
    if past > 0:
        percent = round(100 * (total / past - 1))
        word = "more" if percent > 0 else "fewer"
        against = (
            f", {abs(percent)} % {word} than last week" if percent else ", the same as last week"
        )
    return (
        f"<b>{_count(total)} contacts</b> in these days (8 of 10 times {low:,.0f} to "
        f"{high:,.0f}){against}."
    )


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


def _heads(week: Week) -> str:
    found = []
    for i in range(DAYS):
        day = moment((week.first_day + i) * DAY_SECONDS)
        name = f"{day:%a}" if i else '<span class="today">Today</span>'
        found.append(
            f'<th scope="col">{name}<br><span class="soft">{day:%-d %b}{_from(week, i)}</span></th>'
        )
    return "".join(found)


def _from(week: Week, place: int) -> str:
    """Say when the forecast begins within a day, where it does."""
    first = week.forecast.starts[week.rows][:1]
    if not week.midnights[place] < first[0] < week.midnights[place + 1]:
        return ""
    minute = int(local_times(first, week.forecast.queue.time_zone).minute_of_day[0])
    return f"<br>from {minute // 60:02d}:{minute % 60:02d}"


def _staffed(week: Week, of: ForecastSet) -> tuple[dict[int, DayPlan], list[str]]:
    """Return the days as `POST /v1/staffing` gives them, and what to know of the agents."""
    forecast = cut(week.forecast, week.rows)
    try:
        (found,) = staff_queues([forecast], options=_OPTIONS, made_at=of.made_at)
    except InputError as error:
        return {}, [*forecast.warnings, f"No agents: {error}"]
    return {day.day: day for day in found.plan.days}, [_goal(found), *found.warnings]


def _goal(found: Staffed) -> str:
    """Say what the agents are staffed for."""
    goal, model = found.ask.goal, found.plan.model
    done = "done" if model == "backlog" else "answered"
    return (
        f"Staffed so that the goal is met in {10 * found.ask.policy.probability:g} of 10 "
        f"intervals: {100 * goal.share:g} % of contacts {done} within {_duration(goal.seconds)}. "
        f"Agents are those at work, before breaks and absence ({_MODELS[model]}). The risk is "
        "that of a whole day's missing it."
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


_ROWS = ("contacts", "80 % band", "to last week", "agents at peak", "agent hours", "risk to miss")


def _rows(week: Week, days: Mapping[int, DayPlan], paths: Float64) -> str:
    """Return the rows of contacts, their band, last week and agents, a cell a day."""
    queue, rows = week.forecast.queue, week.rows
    place = local_times(week.forecast.starts[rows], queue.time_zone).day - week.first_day
    contacts = np.bincount(place, weights=week.forecast.mean[rows], minlength=DAYS)
    opened = np.bincount(place, weights=week.forecast.is_open[rows], minlength=DAYS) > 0
    known = np.bincount(place, minlength=DAYS) > 0
    past = np.bincount(place, weights=week.forecast.baseline[rows], minlength=DAYS)
    shown = []
    for i in range(DAYS):
        if not known[i]:
            shown.append(("-",) * len(_ROWS))
        elif not opened[i]:
            shown.append(('<span class="soft">closed</span>', *("",) * (len(_ROWS) - 1)))
        else:
            low, high = np.quantile(paths[:, place == i].sum(axis=1), _BAND)
            band = f"{low:,.0f}–<wbr>{high:,.0f}"
            change = f"{100 * (contacts[i] / past[i] - 1):+.0f}&nbsp;%" if past[i] > 0 else "-"
            shown.append(
                (_count(contacts[i]), band, change, *_agents(days.get(week.first_day + i)))
            )
    return "".join(
        f'<tr><th scope="row">{title}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for title, cells in zip(_ROWS, zip(*shown, strict=True), strict=True)
    )


def _agents(day: DayPlan | None) -> tuple[str, str, str]:
    """Show a day's most agents, its agent hours and its risk of missing the goal."""
    if day is None:
        return "-", "-", "-"
    risk = f"{100 * (1 - day.goal_probability):.0f}&nbsp;%"
    return _count(day.peak_on_phone), _count(day.hours_on_phone), risk


def _holidays(week: Week) -> list[str]:
    """Name the public holidays that close the queue."""
    queue = week.forecast.queue
    if queue.country is None or queue.open_on_holidays:
        return []
    days = np.arange(week.first_day, week.first_day + DAYS)
    return [
        f"Closed on {moment(day * DAY_SECONDS):%a %-d %b}: {name}."
        for day, name in holidays_of(days, queue.country).items()
    ]


def _count(value: float) -> str:
    """Show a number of contacts, agents or hours.

    >>> _count(1221.4), _count(3.24), _count(7)
    ('1,221', '3.2', '7')
    """
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"
