"""Pictures of a volume back-test."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from features.calendar import DAY_SECONDS, Float64, moment
from features.contracts import QUANTILE_LEVELS
from training.volume.backtest import Backtest
from training.volume.scores import ALL_QUEUES
from training.volume.windows import Window

_MOST_QUEUES = 6
_TIDE, _BAND = "#0b7a8f", "80 % band"
_LOW, _HIGH = QUANTILE_LEVELS.index(0.1), QUANTILE_LEVELS.index(0.9)


def volume_figures(backtest: Backtest, table: pd.DataFrame) -> dict[str, Figure]:
    """Return the forecast of the last origin, WAPE by lead, and coverage, by file stem."""
    return {
        "last_origin": _last_origin(backtest),
        "wape_by_lead": _wape_by_lead(table),
        "coverage": _coverage(table),
    }


def _last_origin(backtest: Backtest) -> Figure:
    last = max(w.origin for w in backtest.windows)
    windows = [w for w in backtest.windows if w.origin == last and len(w.actual)]
    windows = sorted(windows, key=lambda w: -float(w.actual.sum()))[:_MOST_QUEUES]
    rows = max(len(windows), 1)
    figure = Figure(figsize=(11, 0.9 + 2.1 * rows), layout="constrained")
    figure.suptitle(
        f"What was forecast on {moment(last):%-d %b %Y}, and what came", x=0.01, ha="left"
    )
    axes = figure.subplots(rows, 1, squeeze=False, sharex=True)[:, 0]
    for axis, window in zip(axes, windows, strict=False):
        _draw_window(axis, window)
        axis.set_title(backtest.queues[window.row], loc="left", fontsize=10)
    axes[-1].set_xlabel("days ahead")
    axes[-1].xaxis.set_major_locator(MultipleLocator(7))
    axes[-1].xaxis.set_minor_locator(MultipleLocator(1))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


def _draw_window(axis: Axes, window: Window) -> None:
    step = round(window.interval_hours * 3600)
    place = (window.starts - window.starts[0]) // step

    def spread(values: Float64) -> Float64:
        """Return values with NaN where an interval was not observed, so that no line bridges it."""
        whole = np.full(int(place[-1]) + 1, np.nan)
        whole[place] = values
        return whole

    first = (window.starts[0] - window.origin) / DAY_SECONDS
    days = first + np.arange(int(place[-1]) + 1) * step / DAY_SECONDS
    low, high = spread(window.quantiles[:, _LOW]), spread(window.quantiles[:, _HIGH])
    axis.fill_between(days, low, high, step="post", color=_TIDE, alpha=0.3, lw=0, label=_BAND)
    axis.step(days, spread(window.actual), where="post", color="black", lw=0.6, label="came")
    axis.step(days, spread(window.mean), where="post", color=_TIDE, lw=1.3, label="forecast")
    unit = "an hour" if step == 3600 else f"in {step // 60} min"
    axis.set_ylabel(f"contacts {unit}")
    axis.set_ylim(bottom=0)
    axis.margins(x=0.005)


def _wape_by_lead(table: pd.DataFrame) -> Figure:
    pooled = table[(table["queue"] == ALL_QUEUES) & (table["lead"] != "all")]
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axis = figure.subplots()
    columns = {
        "wape": ("Ebbflow", _TIDE),
        "wape_mean4": ("mean of the last 4 weeks", "#c9c2b4"),
        "wape_seasonal_naive": ("same hour last week", "#8d8778"),
    }
    where = np.arange(len(pooled))
    for shift, (column, (label, color)) in enumerate(columns.items()):
        bars = axis.bar(
            where + (shift - 1) * 0.27, 100 * pooled[column], width=0.25, label=label, color=color
        )
        axis.bar_label(bars, fmt="%.0f", fontsize=8, padding=1)
    axis.set_xticks(where, list(pooled["lead"]))
    axis.set_xlabel("how far ahead (h hours, d days)")
    axis.set_ylabel("missed contacts / all contacts (WAPE), %")
    axis.set_title("How far off the forecast was; lower is better", loc="left")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def _coverage(table: pd.DataFrame) -> Figure:
    queues = table[table["lead"] == "all"].sort_values("queue", key=lambda q: q != ALL_QUEUES)
    figure = Figure(figsize=(7.5, 1.5 + 0.32 * len(queues)), layout="constrained")
    axis = figure.subplots()
    bars = axis.barh(
        list(queues["queue"]), 100 * queues["coverage_80"], height=0.6, color=_TIDE, alpha=0.8
    )
    axis.bar_label(bars, fmt="%.1f", fontsize=8, padding=3)
    axis.axvline(80, color="black", lw=1, ls="--", label="promised: 80 %")
    axis.invert_yaxis()
    axis.set_xlim(0, 100)
    axis.set_xlabel("intervals that came inside the 80 % band, %")
    axis.set_title("How often the band held", loc="left")
    figure.legend(loc="outside lower right", frameon=False)
    return figure
