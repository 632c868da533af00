"""What a request asks for: which queues and which intervals of the published set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from features.calendar import epoch
from features.errors import HorizonError, InputError
from serving.http.schemas import ForecastRequest, TotalsRequest
from serving.http.staffing_schemas import StaffingRequest
from serving.models.volume.span import cut
from serving.models.volume.within import check_minutes, split
from serving.sets.forecast import ForecastSet, PublishedForecast
from serving.sets.scores import iso

if TYPE_CHECKING:
    from serving.http.overrides import Applied

DEFAULT_SPAN = timedelta(days=14)
MOST_INTERVALS = 100_000

Asked = ForecastRequest | TotalsRequest | StaffingRequest


@dataclass(frozen=True)
class Choice:
    """The part of a set that one request asks for.

    Attributes:
        set: The published set.
        start: First moment, epoch seconds.
        end: One past the last, epoch seconds.
        queues: Each queue with the rows of its intervals.
        what_if: Whether the queues' forecasts were changed on request: not the published ones.
        warnings: What to know of the changes.
        applied: The overrides that count, by queue; empty where the model's forecast is in force.
    """

    set: ForecastSet
    start: int
    end: int
    queues: tuple[tuple[PublishedForecast, slice], ...]
    what_if: bool = False
    warnings: tuple[str, ...] = ()
    applied: Mapping[str, Applied] = field(default_factory=dict)

    @property
    def intervals(self) -> int:
        """How many intervals it holds, over all queues."""
        return sum(rows.stop - rows.start for _, rows in self.queues)


def choose(request: Asked, *, of: ForecastSet) -> Choice:
    """Find what a request asks for in the published set, on each queue's own grid.

    Its changes are not made here, and intervals are not split: ``split_choice`` does that last.

    Args:
        request: The request, validated.
        of: The published set.

    Raises:
        UnknownNameError: A queue is not in the set; the message suggests near names.
        HorizonError: The span is not inside the published one.
        InputError: The interval is longer than a queue's own, or the answer would be too large.
    """
    names = request.queues if request.queues is not None else list(of.queues)
    queues = [of.queue(name, field=f"queues.{i}") for i, name in enumerate(names)]
    start, end = _span(request.start, request.end, of)
    chosen, intervals = [], 0
    for forecast in queues:
        own = forecast.queue.interval_minutes
        minutes = request.interval_minutes or own
        check_minutes(minutes, own=own, queue=forecast.queue.queue)
        # An interval that has begun may still hold shorter ones that begin in the span.
        rows = forecast.rows(start - (own - minutes) * 60, end)
        chosen.append((forecast, rows))
        intervals += (rows.stop - rows.start) * own // minutes
    if intervals > MOST_INTERVALS:
        raise InputError(
            "the answer",
            got=f"{intervals} intervals",
            expected=f"at most {MOST_INTERVALS}",
            remedy="ask for fewer queues or a shorter span at once",
            field="queues",
        )
    return Choice(of, start, end, tuple(chosen))


def split_choice(choice: Choice, minutes: int | None) -> Choice:
    """Return a choice on the grid that was asked for; the last change that is made to one.

    Args:
        choice: What was asked for, after all changes.
        minutes: Length of an interval; None for each queue's own.

    Raises:
        InputError: A queue's own intervals are shorter.
    """
    if minutes is None:
        return choice
    queues = []
    for forecast, rows in choice.queues:
        if forecast.queue.interval_minutes == minutes:
            queues.append((forecast, rows))
            continue
        found = split(cut(forecast, rows), minutes=minutes, made_at=choice.set.made_at)
        queues.append((found, found.rows(choice.start, choice.end)))
    return replace(choice, queues=tuple(queues))


def _span(start: datetime | None, end: datetime | None, of: ForecastSet) -> tuple[int, int]:
    first, last = epoch(of.horizon_start), epoch(of.horizon_end)
    begin = first if start is None else _ceil(start)
    stop = min(begin + int(DEFAULT_SPAN.total_seconds()), last) if end is None else _ceil(end)
    span = f"{iso(of.horizon_start)} to {iso(of.horizon_end)}"
    if begin < first or begin >= last:
        raise HorizonError(
            "`start`",
            got=start.isoformat() if start else "nothing",
            expected=f"a moment in the published span, {span}",
            remedy="leave `start` out for its beginning",
            field="start",
        )
    if stop > last:
        raise HorizonError(
            "`end`",
            got=end.isoformat() if end else "nothing",
            expected=f"at most {iso(of.horizon_end)}, where the published forecast ends",
            remedy="ask for less, or publish a new forecast",
            field="end",
        )
    return begin, stop


def _ceil(at: datetime) -> int:
    return epoch(at) + (at.microsecond > 0)
