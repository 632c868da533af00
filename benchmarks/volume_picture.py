"""One picture a set: WAPE by lead beside the peers, how honest the band is, and one week."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

from benchmarks.peers import SEASONAL_NAIVE
from benchmarks.report import RESULTS
from benchmarks.volume_scores import HIGH, LEADS, LEVELS, LOW, OURS, Windows, reliability
from features.calendar.clock import DAY_SECONDS

INK, BAND, SOFT = "#0b5c8a", "#9cc9e3", "#8a8f98"
COLOURS = (INK, "#d3d6da", "#a3a8b0", "#ecc79b", "#c98b5b", "#b9d39c", "#7a9e59", "#b79fcb")
"""Ours, the two seasonal baselines in grey, then the other peers."""
_WEEK = 7 * DAY_SECONDS


def draw(name: str, windows: Windows, table: pd.DataFrame, *, results: Path = RESULTS) -> Path:
    """Draw ``volume_<set>.png``.

    Args:
        name: The set.
        windows: Its forecasts.
        table: What ``volume_scores.measured`` returned.
        results: Folder of all results.

    Returns:
        The file that was written.
    """
    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(12, 7.2), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.9, 1))
    _wape(figure.add_subplot(grid[0, 0]), table)
    _reliability(figure.add_subplot(grid[0, 1]), windows)
    _week(figure.add_subplot(grid[1, :]), windows)
    figure.suptitle(f"{name}: volume forecasts from rolling origins", x=0.01, ha="left")
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"volume_{name}.png"
    # Without its date, the same figures give the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return path


def _wape(axes: mpl.axes.Axes, table: pd.DataFrame) -> None:
    wape = table.pivot_table("wape", "lead", "who").loc[list(LEADS)] * 100
    order = [OURS, *(who for who in table["who"].unique() if who != OURS)]
    width = 0.84 / len(order)
    for k, who in enumerate(order):
        at = np.arange(len(LEADS)) + (k - (len(order) - 1) / 2) * width
        axes.bar(at, wape[who], width * 0.92, label=who, color=COLOURS[k % len(COLOURS)])
    top = float(np.nanmedian(wape.to_numpy())) * 1.8
    if float(wape.max(axis=None)) > top:
        axes.set_ylim(0, top)
    axes.set(title="WAPE by lead, % (lower is better)", xticks=range(len(LEADS)), xticklabels=LEADS)
    axes.legend(fontsize=7, ncols=4, frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.25)


def _reliability(axes: mpl.axes.Axes, windows: Windows) -> None:
    axes.plot([0, 1], [0, 1], color=SOFT, lw=1, ls="--", label="as it should be")
    axes.plot(LEVELS, reliability(windows), color=INK, marker="o", ms=3, label="open hours")
    axes.set(
        title="Share of hours below each quantile",
        xlabel="level",
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
    )
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)


def _week(axes: mpl.axes.Axes, windows: Windows) -> None:
    """Draw the first week of the busiest queue from the middle origin."""
    rows = windows.rows
    queue = rows.groupby("queue")["actual"].sum().idxmax()
    origins = np.sort(rows.loc[rows["queue"] == queue, "origin"].unique())
    origin = int(origins[len(origins) // 2])
    mine = (rows["queue"] == queue) & (rows["origin"] == origin)
    mine &= rows["start"] < origin + _WEEK
    part, quantiles = rows[mine], windows.quantiles[mine.to_numpy()]
    at = pd.to_datetime(part["start"], unit="s")
    axes.fill_between(
        at, quantiles[:, LOW], quantiles[:, HIGH], color=BAND, lw=0, label="80 % band", step="mid"
    )
    axes.plot(at, part[OURS], color=INK, lw=1.4, label=OURS)
    axes.plot(at, part[SEASONAL_NAIVE], color=SOFT, lw=0.8, label=SEASONAL_NAIVE)
    axes.plot(at, part["actual"], "o", color="black", ms=2, label="what came")
    axes.set(title=f"One week ahead of `{queue}`, contacts an interval (UTC)")
    axes.legend(fontsize=8, ncols=4, frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.01, y=0.15)
    axes.set_ylim(bottom=0)
