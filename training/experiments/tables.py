"""Results of experiments as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from features.terminal import console as terminal
from features.terminal import grid
from training.experiments.analyse import Result
from training.experiments.effects import Effect
from training.experiments.publish import Settings
from training.experiments.qini import Qini


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
