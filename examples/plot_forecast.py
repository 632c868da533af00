"""Draw one queue's last week and its published forecast.

python examples/plot_forecast.py billing --home .ebbflow --out forecast.png
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from features.contracts import QUANTILE_LEVELS  # noqa: E402  (the checkout is put on the path first)
from features.home import Home  # noqa: E402
from features.snapshot import open_current_snapshot  # noqa: E402
from serving.sets.forecast import open_current_forecast_set  # noqa: E402


def main() -> int:
    """Draw and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("queue")
    parser.add_argument("--home", type=Path, default=Path(".ebbflow"))
    parser.add_argument("--out", type=Path, default=Path("forecast.png"))
    parser.add_argument("--days", type=int, default=10, help="days ahead to draw")
    arguments = parser.parse_args()
    home = Home(arguments.home)
    past = open_current_snapshot(home.snapshots).histories[arguments.queue]
    forecast = open_current_forecast_set(home.forecasts).queue(arguments.queue)
    zone = ZoneInfo(past.queue.time_zone)

    def wall(starts: np.ndarray) -> list[datetime]:
        return [datetime.fromtimestamp(int(s), UTC).astimezone(zone) for s in starts]

    hours = arguments.days * 24
    low, high = QUANTILE_LEVELS.index(0.1), QUANTILE_LEVELS.index(0.9)
    figure, axes = plt.subplots(figsize=(11, 3.6), layout="constrained")
    axes.step(wall(past.starts[-168:]), past.offered[-168:], where="post", color="#1b2a41", lw=1)
    ahead = wall(forecast.starts[:hours])
    axes.fill_between(
        ahead,
        forecast.quantiles[:hours, low],
        forecast.quantiles[:hours, high],
        step="post",
        color="#2a9d8f",
        alpha=0.3,
        lw=0,
        label="80 % band",
    )
    axes.step(ahead, forecast.mean[:hours], where="post", color="#2a9d8f", lw=1.4, label="forecast")
    axes.axvline(ahead[0], color="#888", lw=0.8, ls=":")
    axes.xaxis.set_major_locator(mdates.DayLocator(tz=zone))
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%a %d %b", tz=zone))
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlim(ahead[0] - timedelta(days=7), ahead[-1])
    axes.set_ylim(bottom=0)
    axes.set_ylabel("contacts an hour")
    axes.set_title(f"{arguments.queue}: last week, and the {arguments.days} days ahead", loc="left")
    axes.legend(frameon=False, ncols=2, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(arguments.out, dpi=110)
    print(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
