"""The picture of experiments: whether intervals cover, and what rankings earn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from benchmarks.report import RESULTS

_COLOURS = {
    "effect": "#0072b2",
    "risk": "#d55e00",
    "true risk": "#cc9f3d",
    "true effect": "#a3a8b0",
}
_LABELS = {
    "effect": "by effect, as learnt",
    "risk": "by risk, as learnt",
    "true risk": "by the true risk",
    "true effect": "by the true effect",
}


def draw(rows: Sequence[Mapping[str, Any]], *, results: Path = RESULTS) -> Path:
    """Draw ``experiments_simulated.png``.

    Args:
        rows: The figures of the benchmark: parts ``cover`` and ``profit``.
        results: Folder of all results.

    Returns:
        The file that was written.
    """
    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 4.2), layout="constrained", width_ratios=(1, 1.5)
    )
    _covered(left, [row for row in rows if row["part"] == "cover"])
    _earned(right, [row for row in rows if row["part"] == "profit"])
    figure.suptitle("Experiments where the truth is known", x=0.01, ha="left")
    results.mkdir(parents=True, exist_ok=True)
    path = results / "experiments_simulated.png"
    # Without its date, the same figures give the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return path


def _covered(axes: mpl.axes.Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw how often each interval held the true effect."""
    names = [f"{row['outcome']}, {row['how']}" for row in rows]
    axes.axvspan(93, 97, color="#e6f0f7", lw=0)
    axes.axvline(95, color="#a3a8b0", lw=1, ls="--")
    axes.plot([100 * row["covered"] for row in rows], range(len(rows)), "o", color="#0072b2")
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(85, 100)
    axes.set_xlabel("95 % intervals that held the true effect, %")
    axes.spines[["top", "right"]].set_visible(False)


def _earned(axes: mpl.axes.Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the profit of contacting the first of each ranking, mean over the pairs."""
    at = [5 * k for k in range(21)]
    for name, label in _LABELS.items():
        curves = [row[f"{name}: curve"] for row in rows]
        mean = [sum(points) / len(points) for points in zip(*curves, strict=True)]
        axes.plot(at, mean, color=_COLOURS[name], lw=1.8, label=label)
        if name == "effect":
            axes.plot([0, 100], [0, mean[-1]], color="#a3a8b0", lw=1, ls="--", label="at random")
    axes.set_xlabel("contacted first, % of fresh customers")
    axes.set_ylabel("profit, money by 1,000 customers")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
