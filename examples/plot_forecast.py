"""Draw one queue's last week and its published forecast.

python examples/plot_forecast.py billing --home .ebbflow --out forecast.png
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import matplotlib.dates as mdates
import numpy as np
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# The checkout is put on the path first.
from features.calendar.clock import DAY_SECONDS  # noqa: E402
from features.errors import EbbflowError  # noqa: E402
from features.home import Home  # noqa: E402
from features.snapshot import open_current_snapshot  # noqa: E402
from features.volume.history import QueueHistory  # noqa: E402
from serving.models.volume.distribution import QUANTILE_LEVELS  # noqa: E402
from serving.models.volume.forecast import QueueForecast  # noqa: E402
from serving.published.forecast_set import open_current_forecast_set  # noqa: E402

INK, TIDE = "#1b2a41", "#0b7a8f"
MOST_LABELS = 20
"""Dates along the bottom, beyond which only every second or third day is named."""


def main() -> int:
    """Draw and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("queue", help="name of a queue, as GET /v1/queues lists them")
    parser.add_argument("--home", type=Path, default=Path(".ebbflow"), help="Ebbflow's folder")
    parser.add_argument("--out", type=Path, default=Path("forecast.png"), help="picture to write")
    parser.add_argument("--days", type=int, default=10, help="days ahead to draw, 1 to 28")
    arguments = parser.parse_args()
    home = Home(arguments.home)
    try:
        forecast = open_current_forecast_set(home.forecasts).queue(arguments.queue)
        past = open_current_snapshot(home.snapshots).histories[arguments.queue]
    except EbbflowError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    draw(past, forecast, days=arguments.days).savefig(arguments.out, dpi=110)
    print(arguments.out)
    return 0


def draw(past: QueueHistory, forecast: QueueForecast, *, days: int) -> Figure:
    """Draw the week before the forecast, and the days after, on the queue's own clock.

    Args:
        past: The queue's history.
        forecast: Its published forecast.
        days: How many days ahead.
    """
    zone = ZoneInfo(past.queue.time_zone)

    def wall(starts: np.ndarray) -> list[datetime]:
        return [datetime.fromtimestamp(int(s), UTC).astimezone(zone) for s in starts]

    begin = int(forecast.starts[0])
    before = past.starts >= begin - 7 * DAY_SECONDS
    rows = forecast.rows(begin, begin + days * DAY_SECONDS)
    low, high = (forecast.quantiles[rows, QUANTILE_LEVELS.index(q)] for q in (0.1, 0.9))
    ahead = wall(forecast.starts[rows])
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.step(
        wall(past.starts[before]), past.offered[before], where="post", color=INK, lw=1, label="came"
    )
    axes.fill_between(ahead, low, high, step="post", color=TIDE, alpha=0.3, lw=0, label="80 % band")
    axes.step(ahead, forecast.mean[rows], where="post", color=TIDE, lw=1.4, label="forecast")
    axes.axvline(ahead[0], color="#a4480a", lw=1, ls="--", label="forecast begins")
    every = -(-(days + 7) // MOST_LABELS)
    axes.xaxis.set_major_locator(mdates.DayLocator(interval=every, tz=zone))
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%a\n%d %b", tz=zone))
    axes.xaxis.set_minor_locator(mdates.DayLocator(tz=zone))
    axes.grid(axis="x", which="both", color="#e8e8e8")
    axes.set_axisbelow(True)
    axes.set_xlim(ahead[0] - timedelta(days=7), ahead[-1])
    axes.set_ylim(bottom=0)
    minutes = past.queue.interval_minutes
    axes.set_ylabel("contacts an hour" if minutes == 60 else f"contacts in {minutes} minutes")
    axes.set_xlabel(f"days begin at midnight, {past.queue.time_zone} time")
    name = past.queue.name or past.queue.queue
    axes.set_title(f"{name}: the last week, and {days} days ahead", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper right", frameon=False, ncols=4)
    return figure


if __name__ == "__main__":
    sys.exit(main())
