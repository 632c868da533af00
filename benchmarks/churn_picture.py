"""One picture a set: lift beside the peers, how honest the probabilities are, and the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from benchmarks.churn_peers import OURS
from benchmarks.report import RESULTS
from training.evaluate.metrics import lift, reliability

if TYPE_CHECKING:
    from benchmarks.churn import Judged

INK, SOFT = "#0b5c8a", "#8a8f98"
PEER_COLOURS = ("#d3d6da", "#c98b5b", "#7a9e59", "#b79fcb")
_GROUPS = 10


def draw(name: str, judged: Sequence[Judged], *, results: Path = RESULTS) -> Path:
    """Draw ``churn_<set>.png``.

    Args:
        name: The set.
        judged: Its dates.
        results: Folder of all results.

    Returns:
        The file that was written.
    """
    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(15, 4.6), layout="constrained")
    lifts, honest, reasons = figure.subplots(1, 3)
    _lift(lifts, judged)
    _reliability(honest, judged)
    _reasons(reasons, judged[-1])
    figure.suptitle(f"{name}: who will not buy in the next 90 days", x=0.01, ha="left")
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"churn_{name.replace(' ', '_')}.png"
    # Without its date, the same figures give the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return path


def _lift(axes: mpl.axes.Axes, judged: Sequence[Judged]) -> None:
    names = [who for who in judged[0].by if who != OURS]
    for who, colour in zip([*names, OURS], [*PEER_COLOURS, INK], strict=True):
        tables = [lift(date.churned, date.by[who]) for date in judged]
        mean = np.mean([table["lift"] for table in tables], axis=0)
        width = 2.5 if who == OURS else 1.5
        axes.plot(100 * tables[0]["contacted"], mean, color=colour, linewidth=width, label=who)
    axes.axhline(1, color=SOFT, linewidth=1, linestyle="--")
    axes.set(xlabel="share contacted, highest scores first, %", ylabel="lift, mean of the dates")
    axes.legend(frameon=False, fontsize=8)
    axes.set_title("How many more leavers the top scores hold", loc="left", fontsize=10)


def _reliability(axes: mpl.axes.Axes, judged: Sequence[Judged]) -> None:
    axes.plot([0, 100], [0, 100], color=SOFT, linewidth=1, linestyle="--")
    for date in judged:
        table = reliability(date.churned, date.by[OURS])
        axes.plot(
            100 * table["mean_probability"],
            100 * table["churn_rate"],
            marker="o",
            markersize=3,
            label=f"{date.at:%Y-%m-%d}",
        )
    axes.set(xlabel="predicted, %", ylabel="share that left, %", xlim=(0, 100), ylim=(0, 100))
    axes.legend(frameon=False, fontsize=8)
    axes.set_title("Did as many leave as was predicted?", loc="left", fontsize=10)


def _reasons(axes: mpl.axes.Axes, date: Judged) -> None:
    table = date.reasons.head(_GROUPS)
    axes.barh(table["group"].str.replace("_", " "), table["mean_log_odds"], color=INK, alpha=0.8)
    axes.invert_yaxis()
    axes.set_xlabel("mean size of its effect on log-odds")
    axes.set_title(f"What moves the scores, {date.at:%Y-%m-%d}", loc="left", fontsize=10)
