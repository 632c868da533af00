"""A selection: the queues and rows of a published set that one query names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from features.arrays import Float64
from features.calendar.clock import iso, to_epoch
from features.errors import HorizonError, InputError
from serving.forecast.overlay import AppliedOverrides, Overlay
from serving.models.volume.forecast import QueueForecast, slice_intervals
from serving.models.volume.within_hour import check_minutes
from serving.published.forecast_set import ForecastSet

DEFAULT_SPAN_SECONDS = 14 * 86_400
MOST_INTERVALS = 100_000


@dataclass(frozen=True)
class SamplePaths:
    """Joint sample paths; path i of one queue belongs to path i of every other.

    Attributes:
        by_queue: Contacts by queue, in the order of the selection, float64[count, intervals] each.
    """

    count: int = 0
    seed: int = 0
    by_queue: Sequence[Float64] = ()


@dataclass(frozen=True)
class Selection:
    """The part of a set that one query names, and what was made of it since.

    Attributes:
        start: First moment, epoch seconds.
        end: One past the last, epoch seconds.
        queues: Each queue with the rows of its intervals.
        what_if: Whether the forecasts were changed on request.
        applied: The overrides that count, by queue.
    """

    set: ForecastSet
    start: int
    end: int
    queues: tuple[tuple[QueueForecast, slice], ...]
    what_if: bool = False
    warnings: tuple[str, ...] = ()
    applied: Mapping[str, AppliedOverrides] = field(default_factory=dict)
    paths: SamplePaths = SamplePaths()

    @property
    def intervals(self) -> int:
        """How many intervals it holds, over all queues."""
        return sum(rows.stop - rows.start for _, rows in self.queues)

    def forecasts(self) -> list[QueueForecast]:
        """Return the queues' forecasts, each of the selected intervals alone."""
        return [slice_intervals(forecast, rows) for forecast, rows in self.queues]


def select_forecast(
    of: ForecastSet,
    *,
    queues: Sequence[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    interval_minutes: int | None = None,
) -> Selection:
    """Select queues and a span of a published set, on each queue's own grid.

    By default all queues, and 14 days from the start of the set, or to its end where that comes
    first. Whether ``interval_minutes`` fits is checked here; ``evaluate`` splits.

    Raises:
        UnknownNameError: A queue is not in the set; the message suggests near names.
        HorizonError: The span is not inside the published one.
        InputError: The interval is longer than a queue's own, or the response would be too large.
    """
    names = of.queues if queues is None else queues
    forecasts = [of.queue(name, field=f"queues.{i}") for i, name in enumerate(names)]
    first, last = _span(start, end, of)
    selected, intervals = [], 0
    for forecast in forecasts:
        own = forecast.queue.interval_minutes
        minutes = interval_minutes or own
        check_minutes(minutes, own=own, queue=forecast.queue.queue)
        # An interval that has begun may still hold shorter ones that begin in the span.
        rows = forecast.rows(first - (own - minutes) * 60, last)
        selected.append((forecast, rows))
        intervals += (rows.stop - rows.start) * own // minutes
    if intervals > MOST_INTERVALS:
        raise InputError(
            "the answer",
            got=f"{intervals} intervals",
            expected=f"at most {MOST_INTERVALS}",
            remedy="ask for fewer queues or a shorter span at once",
            field="queues",
        )
    return Selection(of, first, last, tuple(selected))


def in_force(selection: Selection, overlay: Overlay) -> Selection:
    """Return a selection with the overrides laid over its set, where they change something."""
    names = [forecast.queue.queue for forecast, _ in selection.queues]
    applied = {name: overlay.queues[name][1] for name in names if name in overlay.queues}
    if not applied and not overlay.warnings:
        return selection
    return replace(
        selection,
        set=overlay.set,
        queues=tuple(
            (overlay.set.queues[name], rows)
            for name, (_, rows) in zip(names, selection.queues, strict=True)
        ),
        applied=applied,
        warnings=(*selection.warnings, *overlay.warnings),
    )


def outside_span(field: str, got: datetime | None, *, of: ForecastSet, remedy: str) -> HorizonError:
    """Return the error that a time lies outside the published span."""
    return HorizonError(
        f"`{field}`",
        got="nothing" if got is None else got.isoformat(),
        expected="a moment in the published span, "
        f"{iso(of.horizon_start)} to {iso(of.horizon_end)}",
        remedy=remedy,
        field=field,
    )


def _span(start: datetime | None, end: datetime | None, of: ForecastSet) -> tuple[int, int]:
    """Return the span in epoch seconds, its end excluded."""
    first, last = to_epoch(of.horizon_start), to_epoch(of.horizon_end)
    begin = first if start is None else _ceil(start)
    stop = min(begin + DEFAULT_SPAN_SECONDS, last) if end is None else _ceil(end)
    if begin < first or begin >= last:
        raise outside_span("start", start, of=of, remedy="leave `start` out for its beginning")
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
    return to_epoch(at) + (at.microsecond > 0)
