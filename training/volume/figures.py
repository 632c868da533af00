"""Pictures of a volume back-test."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from features.calendar import DAY_SECONDS
from features.contracts import QUANTILE_LEVELS
from training.volume.backtest import ALL_QUEUES, Backtest, Window

_MOST_QUEUES = 6
_LOW, _HIGH = QUANTILE_LEVELS.index(0.1), QUANTILE_LEVELS.index(0.9)


def volume_figures(backtest: Backtest, table: pd.DataFrame) -> dict[str, Figure]:
    """Return the forecast of the last origin, WAPE by lead, and coverage, by file stem.

    Args:
        backtest: All windows.
        table: ``score_table`` of them.
    """
    return {
        "last_origin": _last_origin(backtest),
        "wape_by_lead": _wape_by_lead(table),
        "coverage": _coverage(table),
    }


def _last_origin(backtest: Backtest) -> Figure:
    last = max(w.origin for w in backtest.windows)
    windows = [w for w in backtest.windows if w.origin == last and len(w.actual)]
    windows = sorted(windows, key=lambda w: -float(w.actual.sum()))[:_MOST_QUEUES]
    figure = Figure(figsize=(11, 2.4 * max(len(windows), 1)), layout="constrained")
    axes = figure.subplots(max(len(windows), 1), 1, squeeze=False)[:, 0]
    for axis, window in zip(axes, windows, strict=False):
        _draw_window(axis, window)
        axis.set_title(backtest.queues[window.row], loc="left", fontsize=10)
    axes[-1].set_xlabel("days after the origin")
    axes[0].legend(loc="upper right", fontsize=8, ncols=3)
    return figure


def _draw_window(axis: object, window: Window) -> None:
    days = (window.starts - window.origin) / DAY_SECONDS
    axis.fill_between(  # type: ignore[attr-defined]
        days, window.quantiles[:, _LOW], window.quantiles[:, _HIGH], alpha=0.25, label="80 % band"
    )
    axis.plot(days, window.actual, color="black", lw=0.7, label="came")  # type: ignore[attr-defined]
    axis.plot(days, window.mean, lw=1.0, label="forecast")  # type: ignore[attr-defined]


def _wape_by_lead(table: pd.DataFrame) -> Figure:
    pooled = table[(table["queue"] == ALL_QUEUES) & (table["lead"] != "all")]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    columns = {
        "wape": "Ebbflow",
        "wape_mean4": "mean of 4 weeks",
        "wape_seasonal_naive": "same hour last week",
    }
    where = np.arange(len(pooled))
    for shift, (column, label) in enumerate(columns.items()):
        axis.bar(where + (shift - 1) * 0.27, 100 * pooled[column], width=0.25, label=label)
    axis.set_xticks(where, list(pooled["lead"]))
    axis.set_ylabel("WAPE, %")
    axis.legend(fontsize=8)
    return figure


def _coverage(table: pd.DataFrame) -> Figure:
    queues = table[(table["lead"] == "all")]
    figure = Figure(figsize=(7, 0.6 + 0.3 * len(queues)), layout="constrained")
    axis = figure.subplots()
    axis.barh(list(queues["queue"]), 100 * queues["coverage_80"], height=0.6)
    axis.axvline(80, color="black", lw=0.8)
    axis.set_xlim(0, 100)
    axis.set_xlabel("intervals inside the 80 % band, %")
    return figure
