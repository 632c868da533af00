"""One queue's next seven days on the first page: a chart over a table, a column a day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import numpy as np
from markupsafe import Markup

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
from serving.http.pages.moves import moves, special_days
from serving.http.pages.picture import DAYS, Week, week_chart, week_of
from serving.http.pages.render import amount, render
from serving.http.staffing_asks import Staffed, StaffingOptions, staff_queues
from serving.models.volume.paths import sample_paths
from serving.models.volume.span import cut
from serving.sets.forecast import ForecastSet, PublishedForecast
from serving.staffing.asked import DayPlan

_BAND = (0.1, 0.9)
_OPTIONS = StaffingOptions(path_count=50)
"""The route's own defaults, on fewer paths: a page shows many queues."""
_MODELS = {
    "erlang_a": "Erlang A",
    "erlang_b": "Erlang B",
    "erlang_c": "Erlang C",
    "backlog": "a backlog with a deadline",
}
_CLOSED = Markup('<span class="soft">closed</span>')
_ROWS = ("contacts", "80 % band", "to last week", "agents at peak", "agent hours", "risk to miss")


@dataclass(frozen=True)
class _Day:
    """The head of a day's column; `begins` where the forecast begins within the day."""

    name: str
    date: str
    begins: str


def queue_week(forecast: PublishedForecast, *, of: ForecastSet, now: datetime) -> Markup:
    """Return a queue's name, opening hours, week in a sentence, chart, days and moves as HTML.

    Args:
        forecast: The queue's published forecast.
        of: The set that it belongs to: its events, and when it was made.
        now: The time, aware UTC; the first day is the local one that it falls into.
    """
    hours = _about(forecast.queue)
    week = week_of(forecast, now=now)
    if week.rows.stop - week.rows.start < 1:
        return render("week.html", queue=forecast.queue, hours=hours, days=())
    paths = sample_paths([cut(forecast, week.rows)], made_at=epoch(of.made_at))[0]
    low, high = np.quantile(paths.sum(axis=1), _BAND)
    plans, notes = _staffed(week, of)
    return render(
        "week.html",
        queue=forecast.queue,
        hours=hours,
        total=float(forecast.mean[week.rows].sum()),
        last_week=float(forecast.baseline[week.rows].sum()),
        low=low,
        high=high,
        days=[_day(week, i) for i in range(DAYS)],
        chart=week_chart(week, now=now),
        rows=_rows(week, plans, paths),
        moves=moves(forecast, rows=week.rows, events=of.events, today=week.first_day),
        notes=[*_holidays(week), *notes],
    )


def _about(queue: Queue) -> str:
    """Return a queue's channel, opening hours and clock, such as `Voice: Mon-Fri 09:00-17:00`."""
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


def _day(week: Week, place: int) -> _Day:
    day = moment((week.first_day + place) * DAY_SECONDS)
    first = week.forecast.starts[week.rows][:1]
    begins = ""
    if week.midnights[place] < first[0] < week.midnights[place + 1]:
        minute = int(local_times(first, week.forecast.queue.time_zone).minute_of_day[0])
        begins = f"{minute // 60:02d}:{minute % 60:02d}"
    return _Day(f"{day:%a}", f"{day:%-d %b}", begins)


def _staffed(week: Week, of: ForecastSet) -> tuple[dict[int, DayPlan], list[str]]:
    """Return the days as `POST /v1/staffing` gives them, and notes on the agents."""
    forecast = cut(week.forecast, week.rows)
    try:
        (staffed,) = staff_queues([forecast], options=_OPTIONS, made_at=of.made_at)
    except InputError as error:
        return {}, [*forecast.warnings, f"No agents: {error}"]
    return {day.day: day for day in staffed.plan.days}, [_goal(staffed), *staffed.warnings]


def _goal(staffed: Staffed) -> str:
    """Return what the agents are staffed for, in words."""
    goal, model = staffed.ask.goal, staffed.plan.model
    done = "done" if model == "backlog" else "answered"
    return (
        f"Staffed so that the goal is met in {10 * staffed.ask.policy.probability:g} of 10 "
        f"intervals: {100 * goal.share:g} % of contacts {done} within {_duration(goal.seconds)}. "
        f"Agents are those at work, before breaks and absence ({_MODELS[model]}). The risk is "
        "that of a whole day's missing it."
    )


def _duration(seconds: float) -> str:
    """Return a time in its largest fitting unit.

    >>> _duration(20), _duration(120), _duration(28_800)
    ('20 seconds', '2 minutes', '8 hours')
    """
    for size, word in ((3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:g} {word}"
    return f"{seconds:g} seconds"


def _rows(
    week: Week, plans: Mapping[int, DayPlan], paths: Float64
) -> list[tuple[str, tuple[str, ...]]]:
    """Return the rows of contacts, their band, last week and agents, a cell a day."""
    forecast, rows = week.forecast, week.rows
    place = local_times(forecast.starts[rows], forecast.queue.time_zone).day - week.first_day
    contacts = np.bincount(place, weights=forecast.mean[rows], minlength=DAYS)
    is_open = np.bincount(place, weights=forecast.is_open[rows], minlength=DAYS) > 0
    known = np.bincount(place, minlength=DAYS) > 0
    past = np.bincount(place, weights=forecast.baseline[rows], minlength=DAYS)
    columns: list[tuple[str, ...]] = []
    for i in range(DAYS):
        if not known[i]:
            columns.append(("-",) * len(_ROWS))
        elif not is_open[i]:
            columns.append((_CLOSED, *("",) * (len(_ROWS) - 1)))
        else:
            low, high = np.quantile(paths[:, place == i].sum(axis=1), _BAND)
            band = Markup("{:,.0f}–<wbr>{:,.0f}").format(low, high)
            change = _percent(contacts[i] / past[i] - 1, sign="+") if past[i] > 0 else "-"
            agents = _agents(plans.get(week.first_day + i))
            columns.append((amount(contacts[i]), band, change, *agents))
    return list(zip(_ROWS, zip(*columns, strict=True), strict=True))


def _percent(share: float, *, sign: str = "") -> str:
    return f"{100 * share:{sign}.0f}\N{NO-BREAK SPACE}%"


def _agents(day: DayPlan | None) -> tuple[str, str, str]:
    """Return a day's most agents, its agent hours and its risk of missing the goal."""
    if day is None:
        return "-", "-", "-"
    risk = _percent(1 - day.goal_probability)
    return amount(day.peak_on_phone), amount(day.hours_on_phone), risk


def _holidays(week: Week) -> list[str]:
    """Name the public holidays that close the queue."""
    queue = week.forecast.queue
    if queue.open_on_holidays:
        return []
    days = np.arange(week.first_day, week.first_day + DAYS)
    return [
        f"Closed on {moment(day * DAY_SECONDS):%a %-d %b}: {name}."
        for day, (kind, name) in special_days(days, queue.country).items()
        if kind == "holiday"
    ]
