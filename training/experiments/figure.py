"""A picture of experiments: effects with their intervals, and the Qini curves of two rankings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from features.errors import InputError
from training.experiments.analyse import Outcome, Result
from training.experiments.qini import SHARES, Band

_UPLIFT, _RISK, _SOFT = "#0072b2", "#d55e00", "#8a8f98"
"""Blue and vermilion, which colour-blind readers tell apart."""
_MOST = 6


def draw_experiments(results: Sequence[Result], path: Path) -> None:
    """Write effects and Qini curves as a PNG, one row an experiment.

    Raises:
        InputError: The name does not end in ``.png``.
    """
    if path.suffix.lower() != ".png":
        raise InputError("`--figure`", got=f"`{path}`", expected="a name that ends in .png")
    experiments_figure(results).savefig(path, dpi=120, metadata={"Software": None})


def experiments_figure(results: Sequence[Result]) -> Figure:
    """Return one row an experiment: retention, money, and what each ranking gains."""
    shown = sorted(results, key=lambda result: -result.decided.decided)[:_MOST]
    figure = Figure(figsize=(11, 1.2 + 2.6 * len(shown)), layout="constrained")
    figure.suptitle("What a contact did, and whom to contact", x=0.01, ha="left")
    axes = figure.subplots(len(shown), 3, squeeze=False, width_ratios=(1, 1, 1.4))
    for row, result in zip(axes, shown, strict=True):
        name = f"{result.decided.experiment}: {result.advice.word}"
        _draw_effect(row[0], result.retention, unit=100.0)
        _draw_effect(row[1], result.value, unit=1.0)
        row[0].set_title(name, fontsize=9, loc="left")
        row[0].set_xlabel("gain in retention, points")
        row[1].set_xlabel("gain in money a customer, minor units")
        _draw_curves(row[2], result)
    return figure


def _draw_effect(axis: Axes, found: Outcome | None, *, unit: float) -> None:
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.axvline(0, color=_SOFT, lw=1, ls="--")
    if found is None:
        axis.set_yticks([])
        axis.text(0.5, 0.5, "too few customers", ha="center", transform=axis.transAxes)
        return
    effects = (found.adjusted, found.plain)
    for place, effect in enumerate(effects):
        low, high = effect.interval()
        axis.plot([unit * low, unit * high], [place, place], color=_UPLIFT, lw=2)
        axis.plot(unit * effect.estimate, place, "o", color=_UPLIFT)
    axis.set_yticks(range(2), ["adjusted", "plain"])
    axis.set_ylim(-0.6, 1.6)


def _draw_curves(axis: Axes, result: Result) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel("contacted first, % of customers")
    axis.set_ylabel("retention gained, points", fontsize=8)
    found = result.qini
    if found is None:
        axis.text(0.5, 0.5, "not enough to rank by effect", ha="center", transform=axis.transAxes)
        return
    at = [100 * share for share in SHARES]
    for bands, colour, label in (
        (found.uplift, _UPLIFT, "by effect"),
        (found.risk, _RISK, "by risk"),
    ):
        axis.plot(at, _points(bands, "estimate"), color=colour, lw=1.6, label=label)
        axis.fill_between(
            at, _points(bands, "low"), _points(bands, "high"), color=colour, alpha=0.15, lw=0
        )
    end = 100 * found.uplift[-1].estimate
    axis.plot([0, 100], [0, end], color=_SOFT, lw=1, ls="--", label="at random")
    axis.legend(fontsize=7, frameon=False, loc="upper left")


def _points(bands: Sequence[Band], name: str) -> list[float]:
    return [100 * float(getattr(band, name)) for band in bands]
