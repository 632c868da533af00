"""The picture of staffing: what each way to staff cost, and how often the goal was met."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

from benchmarks.report import RESULTS

INK, SOFT, BAND = "#0b5c8a", "#a3a8b0", "#9cc9e3"


def draw(rows: Sequence[Mapping[Hashable, object]], *, results: Path = RESULTS) -> Path:
    """Draw ``staffing_simulated.png``.

    Args:
        rows: The figures of the benchmark: parts ``cost`` and ``probability``.
        results: Folder of all results.

    Returns:
        The file that was written.
    """
    mpl.use("agg")
    from matplotlib import pyplot as plt

    found = [dict(row) for row in rows if row["part"] == "cost"]
    sets = list(dict.fromkeys(str(row["set"]) for row in found))
    figure, axes = plt.subplots(
        1, len(sets) + 1, figsize=(13, 4.2), layout="constrained", squeeze=False
    )
    for place, name in zip(axes[0], sets, strict=False):
        _costs(place, name, [row for row in found if row["set"] == name])
    _probabilities(axes[0, -1], [dict(row) for row in rows if row["part"] == "probability"])
    figure.suptitle("Staffing where the truth is known", x=0.01, ha="left")
    results.mkdir(parents=True, exist_ok=True)
    path = results / "staffing_simulated.png"
    # Without its date, the same figures give the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return path


def _costs(axes: mpl.axes.Axes, name: str, rows: list[dict[Hashable, object]]) -> None:
    """Draw realised cost over that of the oracle, by way to staff and by costs."""
    labels = list(dict.fromkeys(str(row["costs"]) for row in rows))
    who = [str(row["who"]) for row in rows if row["costs"] == labels[0]][:-1]
    height = 0.8 / len(labels)
    for k, label in enumerate(labels):
        costs = {str(row["who"]): float(str(row["cost"])) for row in rows if row["costs"] == label}
        excess = [100 * (costs[one] / costs["oracle"] - 1) for one in who]
        at = [i + (k - (len(labels) - 1) / 2) * height for i in range(len(who))]
        axes.barh(at, excess, height * 0.92, label=label, color=(INK, BAND, SOFT)[k % 3])
    axes.set_yticks(range(len(who)), who)
    axes.invert_yaxis()
    axes.set_xlabel("cost beyond the oracle's, %")
    axes.set_title(name, loc="left", fontsize=10)
    axes.legend(fontsize=7, frameon=False, loc="lower right")


def _probabilities(axes: mpl.axes.Axes, rows: list[dict[Hashable, object]]) -> None:
    """Draw how often the goal was met over the probability that was asked for."""
    asked = [100 * float(str(row["asked"])) for row in rows]
    axes.plot([45, 100], [45, 100], color=SOFT, linewidth=1)
    for key, label, colour in (
        ("achieved", "achieved", INK),
        ("achieved_with_one_fewer", "with one agent fewer", BAND),
    ):
        axes.plot(
            asked, [100 * float(str(row[key])) for row in rows], "o", color=colour, label=label
        )
    axes.set_xlabel("asked probability, %")
    axes.set_ylabel("hours that met 80/20, %")
    axes.set_title("200 contacts/h, rate CV 0.15", loc="left", fontsize=10)
    axes.legend(fontsize=7, frameon=False)
