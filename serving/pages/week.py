"""A queue's week as a page: what is expected, and what moves it, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import numpy as np
from markupsafe import Markup

from features.arrays import Float64, Int64
from features.calendar.clock import DAY_SECONDS, WEEKDAYS, from_epoch, local_times
from features.calendar.queues import Event, Queue, opening_text
from features.calendar.workdays import learn_workdays
from features.errors import InputError
from serving.forecast.query import evaluate
from serving.forecast.selection import Selection
from serving.forecast.staffing import QueuePlan, StaffingOptions, staff_selection
from serving.models.volume.forecast import PARTS, QueueForecast, slice_intervals
from serving.models.volume.paths import DEFAULT_COUNT
from serving.pages.charts import DAYS, Week, week_chart, week_of
from serving.pages.render import amount, render
from serving.published.forecast_set import ForecastSet
from serving.staffing.workload import DayPlan

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


def queue_week(forecast: QueueForecast, *, of: ForecastSet, now: datetime) -> Markup:
    """Return a queue's name, opening hours, week in a sentence, chart, days and moves as HTML.

    The first day is the local one that ``now`` falls into.
    """
    hours = _about(forecast.queue)
    week = week_of(forecast, now=now)
    if week.rows.stop - week.rows.start < 1:
        return render("week.html", queue=forecast.queue, hours=hours, days=())
    start, end = int(week.midnights[0]), int(week.midnights[-1])
    selection = Selection(of, start, end, ((forecast, week.rows),))
    selection = evaluate(selection, path_count=DEFAULT_COUNT)
    paths = selection.paths.by_queue[0]
    low, high = np.quantile(paths.sum(axis=1), _BAND)
    plans, notes = _plan_days(selection)
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
    day = from_epoch((week.first_day + place) * DAY_SECONDS)
    first = week.forecast.starts[week.rows][:1]
    begins = ""
    if week.midnights[place] < first[0] < week.midnights[place + 1]:
        minute = int(local_times(first, week.forecast.queue.time_zone).minute_of_day[0])
        begins = f"{minute // 60:02d}:{minute % 60:02d}"
    return _Day(f"{day:%a}", f"{day:%-d %b}", begins)


def _plan_days(selection: Selection) -> tuple[dict[int, DayPlan], list[str]]:
    """Return the days as `POST /v1/staffing` gives them, and notes on the agents."""
    try:
        (plan,) = staff_selection(selection, options=_OPTIONS)
    except InputError as error:
        return {}, [*selection.queues[0][0].warnings, f"No agents: {error}"]
    return {day.day: day for day in plan.plan.days}, [_goal(plan), *plan.warnings]


def _goal(plan: QueuePlan) -> str:
    """Return what the agents are staffed for, in words."""
    goal, model = plan.problem.goal, plan.plan.model
    done = "done" if model == "backlog" else "answered"
    return (
        f"Staffed so that the goal is met in {10 * plan.problem.policy.probability:g} of 10 "
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
        f"Closed on {from_epoch(day * DAY_SECONDS):%a %-d %b}: {name}."
        for day, (kind, name) in special_days(days, queue.country).items()
        if kind == "holiday"
    ]


MOST_MOVES = 6
_MOVING_PARTS = ("holiday", "event", "orders", "today")
_LEAST_SHARE = 0.03
_LEAST_CONTACTS = 1.0
_AFTER_SECONDS = 3 * DAY_SECONDS
_DAY_WORDS = {
    "holiday": "{}",
    "eve": "the day before {}",
    "after": "the day after {}",
    "bridge": "the bridge day of {}",
    "between": "the days between holidays around {}",
    "long_weekend": "the long weekend of {}",
}


@dataclass(frozen=True)
class _Move:
    """What one part adds to one day: ``contacts``, and that over what stands before it."""

    day: int
    part: str
    contacts: float
    share: float


def moves(
    forecast: QueueForecast, *, rows: slice, events: Sequence[Event], today: int
) -> list[str]:
    """Return the largest moves of some intervals, one sentence each, in order of time.

    Days count since 1970-01-01, ``today`` as well.
    """
    week = slice_intervals(forecast, rows)
    largest = sorted(_all_moves(week), key=lambda move: -abs(move.contacts))[:MOST_MOVES]
    largest.sort(key=lambda move: (move.day, PARTS.index(move.part)))
    days = {move.day: f"{from_epoch(move.day * DAY_SECONDS):%a %-d %b}" for move in largest}
    days[today] = "Today"
    return [f"{days[move.day]}: {_sentence(move, week, events)}" for move in largest]


def _all_moves(week: QueueForecast) -> list[_Move]:
    days, place = np.unique(local_times(week.starts, week.queue.time_zone).day, return_inverse=True)
    sums = np.zeros((len(days), len(PARTS)))
    np.add.at(sums, place, week.parts)
    result = []
    for part in _MOVING_PARTS:
        column = PARTS.index(part)
        before = sums[:, :column].sum(axis=1).tolist()
        for day, added, without in zip(
            days.tolist(), sums[:, column].tolist(), before, strict=True
        ):
            share = added / without if without > 0 else 0.0
            if abs(added) >= _LEAST_CONTACTS and abs(share) >= _LEAST_SHARE:
                result.append(_Move(day, part, added, share))
    return result


def _sentence(move: _Move, week: QueueForecast, events: Sequence[Event]) -> str:
    """Return one move, such as ``promotion, 34 contacts more (+12 %)``."""
    more = "more" if move.contacts > 0 else "fewer"
    count = f"{abs(move.contacts):,.0f}"
    contacts = "contact" if count == "1" else "contacts"
    return (
        f"{_cause(move, week, events)}, {count} {contacts} {more} "
        f"({100 * move.share:+.0f}\N{NO-BREAK SPACE}%)"
    )


def _cause(move: _Move, week: QueueForecast, events: Sequence[Event]) -> str:
    if move.part == "holiday":
        kind, name = special_days(np.array([move.day]), week.queue.country).get(move.day, ("", ""))
        return _DAY_WORDS.get(kind, "holidays").format(name)
    if move.part == "event":
        day = local_times(week.starts, week.queue.time_zone).day
        starts = week.starts[(day == move.day) & week.is_open]
        return _event_words(events, week, int(starts[0]), int(starts[-1] + week.interval_seconds))
    return (
        "what was ordered lately" if move.part == "orders" else "what came since the full forecast"
    )


def _event_words(events: Sequence[Event], week: QueueForecast, start: int, end: int) -> str:
    """Name the kinds of events on in [start, end), else of those that ended lately."""
    ours = [e for e in events if not e.queues or week.queue.queue in e.queues]
    on = dict.fromkeys(e.kind for e in ours if e.starts_at < end and e.ends_at > start)
    past = dict.fromkeys(
        e.kind for e in ours if start - _AFTER_SECONDS - DAY_SECONDS < e.ends_at <= start
    )
    if on:
        return " and ".join(on)
    return f"after {' and '.join(past)}" if past else "events of the calendar"


def special_days(days: Int64, country: str | None) -> dict[int, tuple[str, str]]:
    """Return how each local day relates to a holiday, and the holiday's name; ordinary days too.

    >>> special_days(np.array([20546, 20545]), "DE")  # 2026-04-03, and the day before
    {20546: ('holiday', 'Good Friday'), 20545: ('eve', 'Good Friday')}
    """
    known = learn_workdays(days, country) if len(days) else None
    if known is None:
        return {}
    labels = {day: str(known.labels[day - known.first_day]) for day in days.tolist()}
    return {
        day: (label.partition(":")[0], label.partition(":")[2]) for day, label in labels.items()
    }
