"""Results of experiments: published, printed and drawn."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

from features.arrays import Bool
from features.artefact import current_id, point_to, write_artefact
from features.calendar.clock import from_epoch, iso
from features.console import console as terminal
from features.console import grid
from features.errors import ArtefactError
from serving.published.experiments import (
    EXPERIMENTS_KIND,
    EXPERIMENTS_SCHEMA,
    RESULTS_FILE,
    open_experiments,
)
from training.experiments.analysis import Outcome, Result
from training.experiments.effects import Effect, Ratio
from training.experiments.sample import Sample
from training.experiments.uplift import SHARES, Band, Qini

_DECIMALS = 6


@dataclass(frozen=True)
class Settings:
    """How experiments were looked at.

    Attributes:
        as_of: What is known then counts, aware UTC.
        least_effect: The smallest effect on retention worth having.
    """

    as_of: datetime
    horizon_days: int
    least_effect: float


def publish_results(
    root: Path,
    results: Iterable[Result],
    settings: Settings,
    *,
    lineage: Mapping[str, Any],
    now: datetime,
) -> str:
    """Write results beside those of other experiments, make the folder current, return its id."""
    documents = _published_before(root)
    documents |= {result.decided.experiment: document(result, settings) for result in results}
    with write_artefact(
        root,
        kind=EXPERIMENTS_KIND,
        schema=EXPERIMENTS_SCHEMA,
        created_at=now,
        lineage=lineage,
        meta={"as_of": settings.as_of.isoformat(), "experiments": len(documents)},
    ) as folder:
        text = json.dumps(documents, indent=1, ensure_ascii=False, allow_nan=False, sort_keys=True)
        (folder / RESULTS_FILE).write_text(text, encoding="utf-8")
        id = folder.name.removeprefix(".writing-")
    point_to(root, id)
    return id


def _published_before(root: Path) -> dict[str, Any]:
    """Return the documents in force; none where they cannot be read, since all is made anew."""
    try:
        id = current_id(root)
        return {} if id is None else dict(open_experiments(root / id).documents)
    except ArtefactError:
        return {}


def document(result: Result, settings: Settings) -> dict[str, Any]:
    """Return what is told of one experiment, JSON-ready."""
    decided, sample = result.decided, result.decided.sample
    contacted = int(sample.treated.sum())
    return {
        "experiment": decided.experiment,
        "as_of": iso(settings.as_of),
        "horizon_days": settings.horizon_days,
        "actions": list(decided.actions),
        "first_decided_at": iso(from_epoch(decided.first_at)),
        "last_decided_at": iso(from_epoch(decided.last_at)),
        "customers": {
            "decided": decided.decided,
            "complete": len(sample),
            "waiting": decided.decided - len(sample),
            "other_arm": decided.other_arm,
        },
        "arms": [_arm("treat", sample, sample.treated), _arm("control", sample, ~sample.treated)],
        "sample_ratio": None if result.ratio is None else _ratio(result.ratio),
        "retention": _outcome(result.retention, contacted=contacted),
        "value_minor": _outcome(result.value, contacted=contacted),
        "adjusted_for": list(result.adjusted_for),
        "advice": {
            "word": result.advice.word,
            "reason": result.advice.reason,
            "least_effect": settings.least_effect,
            **_numbers(result.advice, "low", "high", "information_share"),
        },
        "uplift": None if result.qini is None else _qini(result.qini),
        "no_uplift": result.no_uplift or None,
        "warnings": list(result.warnings),
    }


def _arm(name: str, sample: Sample, members: Bool) -> dict[str, Any]:
    count = int(members.sum())
    return {
        "arm": name,
        "customers": count,
        "retained": _rounded(float(sample.retained[members].mean())) if count else None,
        "value_minor": _rounded(float(sample.value[members].mean())) if count else None,
    }


def _ratio(ratio: Ratio) -> dict[str, Any]:
    return {
        "treat": ratio.treated,
        "control": ratio.control,
        "expected_treat": round(ratio.expected_treated, 2),
        "p_value": ratio.p_value,
        "alarm": ratio.alarm,
    }


def _outcome(found: Outcome | None, *, contacted: int) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "plain": _effect(found.plain, contacted),
        "adjusted": _effect(found.adjusted, contacted),
        "variance_removed": _rounded(found.variance_removed),
    }


def _effect(found: Effect, contacted: int) -> dict[str, Any]:
    low, high = found.interval()
    per_customer = {"estimate": found.estimate, "low": low, "high": high}
    return {
        "per_customer": {name: _rounded(value) for name, value in per_customer.items()},
        "total": {name: round(value * contacted, 2) for name, value in per_customer.items()},
        "standard_error": _rounded(found.standard_error),
    }


def _qini(found: Qini) -> dict[str, Any]:
    end = found.uplift[-1].estimate
    return {
        "curve": [
            {
                "share": share,
                "uplift": _band(uplift),
                "risk": _band(risk),
                "random": _rounded(share * end),
            }
            for share, uplift, risk in zip(SHARES, found.uplift, found.risk, strict=True)
        ],
        "coefficient": {
            "uplift": _band(found.coefficient_uplift),
            "risk": _band(found.coefficient_risk),
            "difference": _band(found.difference),
        },
        "better_by": "uplift" if found.uplift_wins else None,
    }


def _band(band: Band) -> dict[str, Any]:
    return _numbers(band, "estimate", "low", "high")


def _numbers(source: Any, *names: str) -> dict[str, Any]:
    return {name: _rounded(getattr(source, name)) for name in names}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)


def print_results(results: Sequence[Result], settings: Settings) -> None:
    """Print each experiment: its arms, effects, advice, and the rankings."""
    console = terminal()
    for result in results:
        decided = result.decided
        console.print(
            f"{decided.experiment}: {', '.join(decided.actions)}; {decided.decided:,} customers "
            f"decided about, of whom {len(decided.sample):,} had come to the end of their "
            f"{settings.horizon_days} days by {settings.as_of:%Y-%m-%d %H:%M} UTC",
            markup=False,
        )
        _print_arms(console, result)
        _print_effects(console, result)
        console.print(f"advice: {result.advice.word}. {result.advice.reason}", markup=False)
        if result.qini is not None:
            _print_rankings(console, result.qini)
        else:
            console.print(f"no ranking by effect yet: {result.no_uplift}", markup=False)
        for warning in result.warnings:
            console.print(f"warning: {warning}", style="yellow", markup=False)
        console.print()


def _print_arms(console: Console, result: Result) -> None:
    sample = result.decided.sample
    numbers = ("customers", "retained", "minor units a customer")
    shown = grid("arm", *numbers, numbers=numbers)
    for name, arm in (("treat", sample.treated), ("control", ~sample.treated)):
        count = int(arm.sum())
        if count:
            retained, value = sample.retained[arm].mean(), sample.value[arm].mean()
            shown.add_row(name, f"{count:,}", f"{retained:.1%}", f"{value:,.0f}")
        else:
            shown.add_row(name, "0", "-", "-")
    console.print(shown)
    if result.ratio is not None:
        said = "ALARM: not as planned" if result.ratio.alarm else "as planned"
        console.print(f"sample ratio: {said} (p = {result.ratio.p_value:.3g})")


def _print_effects(console: Console, result: Result) -> None:
    if result.retention is None or result.value is None:
        return
    contacted = int(result.decided.sample.treated.sum())
    numbers = ("a customer", "95 % interval", "in total", "95 % interval of it")
    shown = grid("gain", *numbers, "variance removed", numbers=(*numbers, "variance removed"))
    for name, found, unit, decimals in (
        ("retention, points", result.retention, 100.0, 2),
        ("money, minor units", result.value, 1.0, 0),
    ):
        for how, effect in (("plain", found.plain), ("adjusted", found.adjusted)):
            # In total retention is customers, not points.
            figures = _figures(effect, unit, contacted / unit, decimals=decimals)
            removed = f"{found.variance_removed:.0%}" if how == "adjusted" else ""
            shown.add_row(f"{name}, {how}", *figures, removed)
    console.print(shown)


def _figures(
    effect: Effect, unit: float, whole: float, *, decimals: int
) -> tuple[str, str, str, str]:
    low, high = (unit * end for end in effect.interval())
    estimate = unit * effect.estimate
    return (
        f"{estimate:+,.{decimals}f}",
        f"{low:+,.{decimals}f} to {high:+,.{decimals}f}",
        f"{whole * estimate:+,.0f}",
        f"{whole * low:+,.0f} to {whole * high:+,.0f}",
    )


def _print_rankings(console: Console, qini: Qini) -> None:
    numbers = ("Qini coefficient", "95 % band")
    shown = grid("ranking", *numbers, numbers=numbers)
    for name, band in (
        ("by effect", qini.coefficient_uplift),
        ("by risk", qini.coefficient_risk),
        ("effect less risk", qini.difference),
    ):
        ends = f"{band.low:+.4f} to {band.high:+.4f}"
        shown.add_row(name, f"{band.estimate:+.4f}", ends)
    console.print(shown)


_UPLIFT, _RISK, _SOFT = "#0072b2", "#d55e00", "#8a8f98"
"""Blue and vermilion, which colour-blind readers tell apart."""
_MOST = 6


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
