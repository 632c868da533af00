"""One fit of the churn model: from the store to its bundle, card and doubts about features."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.arrays import Bool, Float64
from features.errors import InputError
from serving.models.churn.model import TIERS, ChurnModel, open_churn_model
from training.config import ChurnConfig
from training.evaluate.churn_backtest import (
    BacktestDate,
    backtest_date,
    dates_to_test,
    importance_figure,
    lift_figure,
    mean_metrics,
    reliability_figure,
)
from training.leakage.columns import judge_echo
from training.models.churn.bundle import write_bundle
from training.models.churn.fit import Fitted, fit_at
from training.models.churn.history import ChurnSource, History, load_history
from training.models.churn.value import fit_value, load_money, value_facts
from training.registry.artifacts import TrainingResult

_EXPLAINED_CUSTOMERS = 20_000


def train_churn(
    source: ChurnSource,
    *,
    as_of: datetime,
    config: ChurnConfig,
    root: Path,
    now: datetime,
    progress: Callable[[str, float], None] | None = None,
) -> TrainingResult:
    """Back-test and fit the churn model, and write its bundle under ``root``.

    Labels complete by ``as_of``, aware UTC, are learnt from. ``progress`` is told what is being
    done and the share done, in [0, 1].

    Returns:
        The bundle with its metrics (means over the test dates), tables and pictures.

    Raises:
        TooLittleDataError: History is too short to learn and to test, there are too few
            customers, or the labels are of one class.
        InputError: ``as_of`` has no time zone or lies in the future.
    """
    _check_times(as_of, now)
    say = progress or (lambda _text, _share: None)
    reading = "reading features and labels"
    say(reading, 0.0)
    history = load_history(
        source, as_of=as_of, config=config, progress=lambda share: say(reading, 0.5 * share)
    )
    money = load_money(source, history, config=config)
    tested = []
    chosen = dates_to_test(history, config=config)
    for i, date in enumerate(chosen):
        say(f"testing at {date.at:%Y-%m-%d}", 0.5 + 0.35 * i / len(chosen))
        tested.append(backtest_date(history, date, money=money, config=config, now=now))
    say("fitting", 0.85)
    today = history.today
    fitted = fit_at(history, as_of, features=today, population=len(today), config=config)
    value = fit_value(history, money, as_of)
    card = _card(history, fitted, tested, config=config, now=now)
    card["value"] = value_facts(value, money, as_of)
    bundle = write_bundle(
        root,
        fitted,
        history=history,
        reference=today,
        card=card,
        config=config,
        value=value,
        now=now,
    )
    say("drawing", 0.95)
    params = {**_flat(config), "as_of": as_of.isoformat(), "test_dates_used": len(tested)}
    return _trained(bundle, source, today, tested=tested, params=params, card=card)


def _trained(
    bundle: Path,
    source: ChurnSource,
    today: Float64,
    *,
    tested: Sequence[BacktestDate],
    params: dict[str, str | int | float],
    card: dict[str, Any],
) -> TrainingResult:
    importance = _importance(open_churn_model(bundle), today)
    by_date = {f"{t.at:%Y-%m-%d}": t for t in tested}
    reliabilities = {name: t.reliability for name, t in by_date.items()}
    lifts = {name: t.lift for name, t in by_date.items()}
    versions = getattr(source, "versions", None)
    return TrainingResult(
        model="churn",
        bundle=bundle,
        params=params,
        metrics=card["metrics"],
        tables={
            "backtest": pd.DataFrame([t.row() for t in tested]),
            "reliability": pd.concat(reliabilities),
            "lift": pd.concat(lifts),
            "importance": importance,
        },
        figures={
            "reliability": reliability_figure(reliabilities),
            "lift": lift_figure(lifts),
            "importance": importance_figure(importance),
        },
        lineage={"versions": dict(versions)} if versions else {},
        warnings=tuple(card["warnings"]),
    )


def _check_times(as_of: datetime, now: datetime) -> None:
    for name, moment in (("as_of", as_of), ("now", now)):
        if moment.tzinfo is None:
            raise InputError(
                f"`{name}` {moment.isoformat()}", got="no time zone", expected="aware UTC"
            )
    if as_of > now:
        raise InputError(
            f"`as_of` {as_of.isoformat()}",
            got="a time in the future",
            expected=f"at most {now.isoformat()}",
        )


def _importance(model: ChurnModel, features: Float64) -> pd.DataFrame:
    """Return the mean absolute log-odds that each group adds, the largest first."""
    groups, _ = model.contributions(features[:_EXPLAINED_CUSTOMERS])
    columns = {"group": list(model.book.groups), "mean_log_odds": np.abs(groups).mean(axis=0)}
    return pd.DataFrame(columns).sort_values(
        "mean_log_odds", ascending=False, kind="stable", ignore_index=True
    )


def _card(
    history: History,
    fitted: Fitted,
    tested: Sequence[BacktestDate],
    *,
    config: ChurnConfig,
    now: datetime,
) -> dict[str, Any]:
    horizon = timedelta(days=config.horizon_days)
    return {
        "model": "churn",
        "definition": config.described,
        "horizon_days": config.horizon_days,
        "active_days": config.active_days,
        "trained_at": now.isoformat(),
        "as_of": history.as_of.isoformat(),
        "training_start": min(fitted.dates).isoformat(),
        "training_end": (max(fitted.dates) + history.horizon).isoformat(),
        "history_start": history.start.isoformat(),
        "population": len(history.today),
        "base_rates": [
            {
                "as_of": date.at.isoformat(),
                "until": (date.at + horizon).isoformat(),
                "customers": date.population,
                "churned": date.base_rate,
            }
            for date in history.dates
            if date.at in fitted.dates
        ],
        "expected_rate": fitted.level.rate,
        "metrics": mean_metrics(tested),
        "backtest": [t.row() for t in tested],
        "reliability": {t.at.isoformat(): t.reliability.to_dict(orient="records") for t in tested},
        "calibration": _calibration(fitted),
        "tiers": dict(zip(TIERS[:-1], config.tier_shares, strict=True)),
        "definition_kind": config.definition,
        "grace_days": config.grace_days if config.definition == "contract" else None,
        "feature_names": list(history.names),
        "config": config.model_dump(mode="json"),
        "warnings": [*_warnings(fitted, tested, config=config), *doubts(history)],
        "empty_features": empty_features(history),
        "versions": {
            name: importlib.metadata.version(name) for name in ("lightgbm", "numpy", "pandas")
        },
    }


def _calibration(fitted: Fitted) -> dict[str, Any]:
    level = fitted.level
    return {
        "linear_weight": fitted.linear_weight,
        "slope": fitted.slope,
        "ridge": fitted.learners.ridge,
        "btyd": fitted.learners.derived.btyd.document(),
        "level": level.value,
        "plain_rate": level.plain_rate,
        "surprise": level.surprise,
        "pace_slope": level.pace_slope,
        "pace_ahead": level.pace_ahead,
        "rate_by_date": [
            {"as_of": at.isoformat(), "churned": rate, "plain_rate": plain, "pace": pace}
            for at, rate, plain, pace in level.by_date
        ],
        "learnt_on": [at.isoformat() for at in fitted.learnt],
        "calibrated_on": [at.isoformat() for at in fitted.calibrated],
    }


def _warnings(fitted: Fitted, tested: Sequence[BacktestDate], *, config: ChurnConfig) -> list[str]:
    warnings = []
    if len(tested) < config.test_dates:
        warnings.append(f"history allows {len(tested)} of {config.test_dates} test dates")
    if not fitted.calibrated:
        warnings.append("history is too short to hold dates out for calibration")
    if config.definition == "purchase" and fitted.level.pace_ahead is None:
        warnings.append("history is shorter than a year: the season ahead is not known")
    return warnings


def _flat(config: ChurnConfig) -> dict[str, str | int | float]:
    return {
        name: value if isinstance(value, str | int | float) else str(value)
        for name, value in config.model_dump().items()
    }


_SHOWN = 6


def doubts(history: History) -> list[str]:
    """Return warnings on features that are empty for everybody, or that are the label itself."""
    warnings = []
    empty_now = _empty(history)
    ever = np.zeros(len(history.names), dtype=bool)
    for date in history.dates:
        ever |= ~np.isnan(date.features).all(axis=0)
    for places, what in (
        (empty_now & ever, "are empty for everybody now and were filled before; check their feed"),
        (empty_now & ~ever, "are empty for everybody at every date and teach nothing"),
    ):
        if places.any():
            names = [name for name, here in zip(history.names, places, strict=True) if here]
            count = f"{len(names)} of {len(history.names)} features"
            warnings.append(f"{count} {what}: {_listed(names)}")
    echo = judge_echo(history.dates[0], history.names)
    if echo.passed is False:
        warnings.append(f"leak: {echo.found}; {echo.remedy}")
    return warnings


def empty_features(history: History) -> list[str]:
    """Return the features that are empty for everybody at the moment of the fit."""
    return [name for name, empty in zip(history.names, _empty(history), strict=True) if empty]


def _empty(history: History) -> Bool:
    return np.asarray(np.isnan(history.today).all(axis=0), dtype=bool)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
    if len(names) <= _SHOWN:
        return shown
    return f"{shown} and {len(names) - _SHOWN} more; the card names all as `empty_features`"
