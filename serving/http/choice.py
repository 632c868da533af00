"""A selection: the queues and rows of a published set that one query names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from features.calendar import Float64, epoch
from features.errors import HorizonError, InputError
from serving.http.overrides import Applied, Overlay
from serving.models.volume.within import check_minutes
from serving.sets.forecast import ForecastSet, PublishedForecast
from serving.sets.scores import iso

DEFAULT_SPAN = timedelta(days=14)
MOST_INTERVALS = 100_000


@dataclass(frozen=True)
class Drawn:
    """Joint sample paths; path i of one queue belongs to path i of every other.

    Attributes:
        paths: Contacts by queue, in the order of the selection, float64[count, intervals] each.
    """

    count: int = 0
    seed: int = 0
    paths: Sequence[Float64] = ()


@dataclass(frozen=True)
class Choice:
    """The part of a set that one query names, and what was made of it since.

    Attributes:
        start: First moment, epoch seconds.
        end: One past the last, epoch seconds.
        queues: Each queue with the rows of its intervals.
        what_if: Whether the forecasts were changed on request: not the published ones.
        applied: The overrides that count, by queue; empty where the model's forecast is in force.
        drawn: Its sample paths; none unless they were asked for.
    """

    set: ForecastSet
    start: int
    end: int
    queues: tuple[tuple[PublishedForecast, slice], ...]
    what_if: bool = False
    warnings: tuple[str, ...] = ()
    applied: Mapping[str, Applied] = field(default_factory=dict)
    drawn: Drawn = Drawn()

    @property
    def intervals(self) -> int:
        """How many intervals it holds, over all queues."""
        return sum(rows.stop - rows.start for _, rows in self.queues)


def choose(
    of: ForecastSet,
    *,
    queues: Sequence[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    interval_minutes: int | None = None,
) -> Choice:
    """Select queues and a span of a published set, on each queue's own grid.

    Args:
        of: The published set.
        queues: Names of queues; all where it is None.
        start: First moment, aware; the start of the set where it is None.
        end: One past the last; 14 days after the start, at most the set's end, where it is None.
        interval_minutes: Length of interval that ``evaluate`` will split into: only checked here.

    Raises:
        UnknownNameError: A queue is not in the set; the message suggests near names.
        HorizonError: The span is not inside the published one.
        InputError: The interval is longer than a queue's own, or the answer would be too large.
    """
    names = of.queues if queues is None else queues
    forecasts = [of.queue(name, field=f"queues.{i}") for i, name in enumerate(names)]
    first, last = _span(start, end, of)
    chosen, intervals = [], 0
    for forecast in forecasts:
        own = forecast.queue.interval_minutes
        minutes = interval_minutes or own
        check_minutes(minutes, own=own, queue=forecast.queue.queue)
        # An interval that has begun may still hold shorter ones that begin in the span.
        rows = forecast.rows(first - (own - minutes) * 60, last)
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
    return Choice(of, first, last, tuple(chosen))


def in_force(choice: Choice, overlay: Overlay) -> Choice:
    """Return a selection with the forecasts in force: with planners' overrides where there are any.

    Args:
        choice: A selection of the published set.
        overlay: That set with the overrides laid over it.
    """
    names = [forecast.queue.queue for forecast, _ in choice.queues]
    applied = {name: overlay.queues[name][1] for name in names if name in overlay.queues}
    if not applied and not overlay.warnings:
        return choice
    return replace(
        choice,
        set=overlay.set,
        queues=tuple(
            (overlay.set.queues[name], rows)
            for name, (_, rows) in zip(names, choice.queues, strict=True)
        ),
        applied=applied,
        warnings=(*choice.warnings, *overlay.warnings),
    )


def _span(start: datetime | None, end: datetime | None, of: ForecastSet) -> tuple[int, int]:
    """Return the span in epoch seconds, its end excluded."""
    first, last = epoch(of.horizon_start), epoch(of.horizon_end)
    begin = first if start is None else _ceil(start)
    stop = min(begin + int(DEFAULT_SPAN.total_seconds()), last) if end is None else _ceil(end)
    if begin < first or begin >= last:
        raise HorizonError(
            "`start`",
            got=start.isoformat() if start else "nothing",
            expected="a moment in the published span, "
            f"{iso(of.horizon_start)} to {iso(of.horizon_end)}",
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
