"""A picture of service: predicted beside achieved, and how long contacts wait before they go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from features.calendar import Float64
from features.errors import InputError
from training.service.calibrate import Calibration
from training.service.compare import Compared

_MOST_QUEUES = 6
_BEFORE, _AFTER, _SOFT = "#d55e00", "#0072b2", "#8a8f98"
"""Vermilion and blue, which colour-blind readers tell apart."""
_LARGEST = 260.0
_LEAST_WAITING = 10


def draw_service(found: Mapping[str, Calibration], path: Path) -> None:
    """Write predicted against achieved service level, and patience, as a PNG.

    Raises:
        InputError: The name does not end in ``.png``.
    """
    if path.suffix.lower() != ".png":
        raise InputError("`--figure`", got=f"`{path}`", expected="a name that ends in .png")
    service_figure(found).savefig(path, dpi=120, metadata={"Software": None})


def service_figure(found: Mapping[str, Calibration]) -> Figure:
    """Return one column a queue: service levels by hour of the day above, patience below."""
    names = sorted(found, key=lambda name: -found[name].service.contacts)[:_MOST_QUEUES]
    figure = Figure(figsize=(2.4 + 2.6 * len(names), 6.6), layout="constrained")
    figure.suptitle(
        "Predicted and achieved service level by hour of the day, and patience", x=0.01, ha="left"
    )
    axes = figure.subplots(2, len(names), squeeze=False, sharey="row")
    for above, below, name in zip(axes[0], axes[1], names, strict=True):
        _draw_levels(above, found[name])
        _draw_patience(below, found[name])
        above.set_title(f"{name}: {found[name].service.contacts:,} contacts", fontsize=10)
    axes[0, 0].set_ylabel("achieved, % of the contacts of an hour")
    axes[1, 0].set_ylabel("would wait longer, %")
    for row in axes:
        handles = [axis.get_legend_handles_labels() for axis in row]
        most = max(handles, key=lambda pair: len(pair[0]))
        if most[0]:
            row[-1].legend(*most, fontsize=8, frameon=False, loc="best")
    return figure


def _draw_levels(axis: Axes, one: Calibration) -> None:
    axis.plot([0, 100], [0, 100], color=_SOFT, lw=1, ls="--")
    axis.set(xlim=(0, 102), ylim=(0, 102), xlabel="predicted, % (later third of the days)")
    axis.spines[["top", "right"]].set_visible(False)
    compared = one.compared
    if compared is None:
        axis.text(50, 55, "not compared", ha="center", color=_SOFT, fontsize=9)
        return
    kept = one.service.efficiency
    sizes = np.bincount(
        compared.hour[compared.later], compared.contacts[compared.later], 24
    ).astype(np.float64)
    _dots(axis, compared, 1.0, sizes, colour="none", edge=_BEFORE, label="as it is")
    if kept != 1:
        label = "with the efficiency"
        _dots(axis, compared, kept, sizes, colour=_AFTER, edge="white", label=label)
        axis.text(3, 96, f"efficiency {kept:.2f}", fontsize=8, va="top")


def _dots(
    axis: Axes,
    compared: Compared,
    efficiency: float,
    sizes: Float64,
    *,
    colour: str,
    edge: str,
    label: str,
) -> None:
    predicted = compared.predicted(efficiency)
    hours = np.unique(compared.hour[compared.later])
    points = np.array(
        [
            [compared.mean(levels, compared.later & (compared.hour == hour)) for hour in hours]
            for levels in (predicted, compared.achieved)
        ]
    )
    area = np.maximum(_LARGEST * sizes[hours] / sizes.max(), 8.0)
    axis.scatter(
        100 * points[0], 100 * points[1], s=area, c=colour, edgecolors=edge, lw=1.2, label=label
    )


def _draw_patience(axis: Axes, one: Calibration) -> None:
    axis.set(ylim=(0, 102), xlabel="waited, seconds")
    axis.spines[["top", "right"]].set_visible(False)
    if len(one.survival.seconds) == 0:
        axis.text(0.5, 0.5, "nobody hung up", ha="center", transform=axis.transAxes, color=_SOFT)
        return
    # Where few still wait, one who goes takes a cliff out of the curve.
    many = one.survival.waiting >= _LEAST_WAITING
    seconds = np.r_[0.0, one.survival.seconds[many]]
    share = 100 * np.r_[1.0, one.survival.share[many]]
    axis.step(seconds, share, where="post", color=_BEFORE, lw=1.6, label="seen (Kaplan-Meier)")
    if one.patience is not None:
        mean = one.patience.mean_seconds
        at = np.linspace(0, seconds[-1], 200)
        label = "exponential"
        axis.plot(at, 100 * np.exp(-at / mean), color=_AFTER, lw=1.4, ls="-.", label=label)
        axis.text(0.97, 0.95, f"mean {mean:,.0f} s", ha="right", va="top", transform=axis.transAxes)
        if one.patience.horizon_seconds < seconds[-1]:
            axis.axvline(one.patience.horizon_seconds, color=_SOFT, lw=0.8, ls=":")
