"""What a request asks for: which queues and which intervals of the published set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from features.calendar import epoch
from features.errors import HorizonError, InputError
from serving.http.schemas import ForecastRequest, StaffingRequest, TotalsRequest
from serving.sets.forecast import ForecastSet, PublishedForecast
from serving.sets.scores import iso

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
    """

    set: ForecastSet
    start: int
    end: int
    queues: tuple[tuple[PublishedForecast, slice], ...]
    what_if: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def intervals(self) -> int:
        """How many intervals it holds, over all queues."""
        return sum(rows.stop - rows.start for _, rows in self.queues)


def choose(request: Asked, *, of: ForecastSet) -> Choice:
    """Find what a request asks for in the published set; its changes are not made here.

    Args:
        request: The request, validated.
        of: The published set.

    Raises:
        UnknownNameError: A queue is not in the set; the message suggests near names.
        HorizonError: The span is not inside the published one.
        InputError: The interval is not the queue's own, or the answer would be too large.
    """
    names = request.queues if request.queues is not None else list(of.queues)
    queues = [of.queue(name, field=f"queues.{i}") for i, name in enumerate(names)]
    start, end = _span(request.start, request.end, of)
    for queue in queues:
        own = queue.queue.interval_minutes
        if request.interval_minutes not in (None, own):
            raise InputError(
                f"`interval_minutes` of queue `{queue.queue.queue}`",
                got=request.interval_minutes,
                expected=f"{own}, the queue's own",
                remedy="leave `interval_minutes` out, or ask for queues of one length",
                field="interval_minutes",
            )
    choice = Choice(of, start, end, tuple((q, q.rows(start, end)) for q in queues))
    if choice.intervals > MOST_INTERVALS:
        raise InputError(
            "the answer",
            got=f"{choice.intervals} intervals",
            expected=f"at most {MOST_INTERVALS}",
            remedy="ask for fewer queues or a shorter span at once",
            field="queues",
        )
    return choice


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
