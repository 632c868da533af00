"""The chart of one queue's next seven days: a curve with its band, as SVG without a script."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from markupsafe import Markup

from features.arrays import Float64, Int64
from features.calendar.clock import local_midnight, local_times, to_epoch
from serving.models.volume.distribution import QUANTILE_LEVELS
from serving.models.volume.forecast import QueueForecast

DAYS = 7
_HEIGHT = 100
_LOW, _HIGH = QUANTILE_LEVELS.index(0.1), QUANTILE_LEVELS.index(0.9)


@dataclass(frozen=True)
class Week:
    """Seven local days of one queue's forecast.

    Attributes:
        forecast: The queue's forecast.
        rows: Its intervals within the days.
        midnights: Where the days begin, and where the last one ends, epoch seconds, int64[8].
        first_day: The first local day, days since 1970-01-01.
    """

    forecast: QueueForecast
    rows: slice
    midnights: Int64
    first_day: int

    def across(self, moments: Int64) -> Float64:
        """Return where moments stand across the chart, in days: all days are equally wide."""
        place: Float64 = np.interp(moments, self.midnights, np.arange(DAYS + 1))
        return place


@dataclass(frozen=True)
class Chart:
    """An SVG image, with the highest value of its scale and the unit."""

    svg: Markup
    top: str
    unit: str


def week_of(forecast: QueueForecast, *, now: datetime) -> Week:
    """Return the seven local days of a queue's forecast from the one that `now` falls into."""
    zone = forecast.queue.time_zone
    today = int(local_times(np.array([to_epoch(now)]), zone).day[0])
    midnights = np.array([local_midnight(today + i, zone) for i in range(DAYS + 1)])
    rows = forecast.rows(int(midnights[0]), int(midnights[-1]))
    return Week(forecast, rows, midnights, today)


def week_chart(week: Week, *, now: datetime) -> Chart:
    """Draw the mean, the 80 % band, last week, closed hours and `now`."""
    forecast, rows = week.forecast, week.rows
    highest = (forecast.quantiles[rows, _HIGH], forecast.mean[rows], forecast.baseline[rows])
    top = _round_up(max(float(values.max()) for values in highest))
    minutes = forecast.queue.interval_minutes
    unit = "contacts an hour" if minutes == 60 else f"contacts in {minutes} minutes"
    at = f"{float(week.across(np.array([to_epoch(now)]))[0]):.3f}"
    svg = Markup(
        '<svg viewBox="0 0 {days} {height}" preserveAspectRatio="none" role="img" '
        'aria-label="{name}: expected {unit} over {days} days, with the 80 % band and last week">'
        '{shapes}<line class="now" x1="{at}" x2="{at}" y1="0" y2="{height}"/></svg>'
    ).format(
        days=DAYS,
        height=_HEIGHT,
        name=forecast.queue.name or forecast.queue.queue,
        unit=unit,
        shapes=_shapes(week, top),
        at=at,
    )
    return Chart(svg, f"{top:g}", unit)


def _shapes(week: Week, top: float) -> Markup:
    """Draw each run of open intervals as steps, and each run of closed ones as a grey block."""
    forecast, first = week.forecast, week.rows.start
    is_open = forecast.is_open[week.rows]
    edges = np.flatnonzero(np.diff(is_open)) + 1
    closed, lines = [], []
    for a, b in zip([0, *edges], [*edges, len(is_open)], strict=True):
        rows = slice(first + a, first + b)
        starts = forecast.starts[rows]
        x = week.across(np.append(starts, starts[-1] + forecast.interval_seconds))
        if not is_open[a]:
            closed.append(
                f'<rect class="shut" x="{x[0]:.3f}" y="0" width="{x[-1] - x[0]:.3f}" '
                f'height="{_HEIGHT}"/>'
            )
            continue
        high = _steps(x, forecast.quantiles[rows, _HIGH], top)
        low = _steps(x, forecast.quantiles[rows, _LOW], top)
        past, mean = _steps(x, forecast.baseline[rows], top), _steps(x, forecast.mean[rows], top)
        lines += [
            f'<polygon class="band" points="{" ".join([*high, *low[::-1]])}"/>',
            f'<polyline class="past" points="{" ".join(past)}"/>',
            f'<polyline class="mean" points="{" ".join(mean)}"/>',
        ]
    middle = _HEIGHT // 2
    grid = [f'<line class="grid" x1="{i}" x2="{i}" y1="0" y2="{_HEIGHT}"/>' for i in range(1, DAYS)]
    grid.append(f'<line class="grid" x1="0" x2="{DAYS}" y1="{middle}" y2="{middle}"/>')
    return Markup("".join([*closed, *grid, *lines]))  # noqa: S704 (numbers alone)


def _steps(x: Float64, values: Float64, top: float) -> list[str]:
    """Return the corners of steps: n values between n + 1 places."""
    y = _HEIGHT * (1 - values / top)
    across, down = np.repeat(x, 2)[1:-1], np.repeat(y, 2)
    return [f"{a:.3f},{b:.1f}" for a, b in zip(across.tolist(), down.tolist(), strict=True)]


def _round_up(value: float) -> float:
    """Return the next number that reads well on a scale.

    >>> [_round_up(v) for v in (0.0, 0.7, 13.1, 17.9, 420.0)]
    [1.0, 1.0, 15.0, 20.0, 500.0]
    """
    if value <= 1:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(power * next(m for m in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if m * power >= value))
