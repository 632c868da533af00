"""The picture of one queue's next seven days: a curve with its band, as SVG without a script."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from html import escape

import numpy as np

from features.calendar import Float64, Int64, epoch, local_midnight, local_times
from features.contracts import QUANTILE_LEVELS
from serving.sets.forecast import PublishedForecast

DAYS = 7
STYLE = """
.week .picture td{padding:0;height:150px;background:var(--wash)}
.week .picture th{padding:0 .4rem 0 0;height:150px}
.scale{display:flex;flex-direction:column;justify-content:space-between;height:150px;
text-align:right;line-height:1}
.week svg{display:block;width:100%;height:150px}
.legend span{display:inline-block;margin-right:1.2rem}
.key{display:inline-block;width:1.5rem;height:.8rem;margin-right:.4rem;vertical-align:-.05rem}
.mean{fill:none;stroke:var(--tide);stroke-width:2}
.key.mean{height:0;border-top:2px solid var(--tide);vertical-align:.25rem}
.past{fill:none;stroke:var(--ink);stroke-opacity:.6;stroke-width:1}
.key.past{height:0;border-top:1px solid var(--ink);opacity:.6;vertical-align:.25rem}
.band{fill:var(--tide);fill-opacity:.28}.key.band{background:var(--tide);opacity:.28}
.shut{fill:var(--shut)}.key.shut{background:var(--shut)}
.grid{stroke:var(--line)}.now{stroke:var(--alarm);stroke-width:1.5;stroke-dasharray:4 3}
.key.now{width:0;height:.9rem;border-left:2px dashed var(--alarm)}
svg *{vector-effect:non-scaling-stroke}
"""
LEGEND = (
    '<p class="soft legend"><span><i class="key mean"></i>expected</span><span><i class="key '
    'band"></i>80 % band: 8 of 10 times within</span><span><i class="key past"></i>last week</span>'
    '<span><i class="key shut"></i>closed</span><span><i class="key now"></i>now</span></p>'
)
_BOX_HEIGHT = 100.0
LOW, HIGH = QUANTILE_LEVELS.index(0.1), QUANTILE_LEVELS.index(0.9)
"""Columns of the published quantiles that the band lies between."""


@dataclass(frozen=True)
class Week:
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


def week_of(forecast: PublishedForecast, *, now: datetime) -> Week:
    """Return the seven local days of a queue's forecast from the one that a moment falls into.

    Args:
        forecast: The queue's forecast.
        now: The moment, aware UTC.
    """
    zone = forecast.queue.time_zone
    today = int(local_times(np.array([epoch(now)]), zone).day[0])
    midnights = np.array([local_midnight(today + i, zone) for i in range(DAYS + 1)])
    rows = forecast.rows(int(midnights[0]), int(midnights[-1]))
    return Week(forecast, rows, midnights, today)


def picture(week: Week, *, now: datetime) -> str:
    """Return the table row with the picture, HTML.

    Args:
        week: The days.
        now: The time, aware UTC; marked.
    """
    forecast, rows = week.forecast, week.rows
    highest = (forecast.quantiles[rows, HIGH], forecast.mean[rows], forecast.baseline[rows])
    top = _round_up(max(float(values.max()) for values in highest))
    minutes = forecast.queue.interval_minutes
    unit = "contacts an hour" if minutes == 60 else f"contacts in {minutes} minutes"
    name = escape(forecast.queue.name or forecast.queue.queue, quote=True)
    at = f"{float(week.across(np.array([epoch(now)]))[0]):.3f}"
    return (
        f'<tr class="picture"><th scope="row"><div class="scale"><span>{top:g}</span>'
        f'<span>{unit}</span><span>0</span></div></th><td colspan="{DAYS}">'
        f'<svg viewBox="0 0 {DAYS} {_BOX_HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{name}: expected {unit} over {DAYS} days, with the 80 % band and last week">'
        f"{_shapes(week, top)}"
        f'<line class="now" x1="{at}" x2="{at}" y1="0" y2="{_BOX_HEIGHT:g}"/></svg></td></tr>'
    )


def _shapes(week: Week, top: float) -> str:
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
        high = _steps(x, forecast.quantiles[rows, HIGH], top)
        low = _steps(x, forecast.quantiles[rows, LOW], top)
        lines.append(f'<polygon class="band" points="{" ".join([*high, *low[::-1]])}"/>')
        mean = " ".join(_steps(x, forecast.mean[rows], top))
        past = " ".join(_steps(x, forecast.baseline[rows], top))
        lines.append(f'<polyline class="past" points="{past}"/>')
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
