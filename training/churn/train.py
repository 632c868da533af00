"""Training of the churn model: back-test by time, fit on everything complete, write the bundle.

For each test date the whole of it (learn, calibrate, set the level) is done again from what was
known at that date, written as a bundle, opened by serving's own loader and judged on the labels
that came true afterwards. The published bundle is then made the same way at ``as_of``; nothing
is chosen on a test date.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.calendar import Float64
from features.errors import InputError, TooLittleDataError
from serving.models.churn.model import TIERS, ChurnModel, open_churn_model
from serving.models.churn.value import ValueModel
from training.churn.bundle import write_bundle
from training.churn.config import ChurnConfig
from training.churn.data import RECENCY, AsOf, ChurnSource, History, load_history
from training.churn.doubts import doubts, empty_features
from training.churn.evaluate import ChurnMetrics, auc, evaluate, lift, reliability
from training.churn.figures import importance_figure, lift_figure, reliability_figure
from training.churn.fit import Fitted, fit_at
from training.churn.value import Money, fit_value, load_money, value_facts
from training.trained import Trained

__all__ = ["ChurnConfig", "ChurnSource", "train_churn"]

_EXPLAINED_CUSTOMERS = 20_000


@dataclass(frozen=True)
class Tested:
    """One test date, judged through the serving scorer.

    Attributes:
        at: The date.
        metrics: Figures of the model.
        recency_auc: AUC of the days since the last purchase alone.
        gap_days: Days from the last label learnt from to the date: 0 or more.
        calibrated: Dates that blend and slope were chosen on before it.
        reliability: Table of ``evaluate_churn.reliability``.
        lift: Table of ``evaluate_churn.lift``.
        value_ratio: Money that was expected within the horizon over the money that came; NaN
            where no money is known.
    """

    at: datetime
    metrics: ChurnMetrics
    recency_auc: float
    gap_days: int
    calibrated: tuple[datetime, ...]
    reliability: pd.DataFrame
    lift: pd.DataFrame
    value_ratio: float

    def row(self) -> dict[str, Any]:
        """Return the date and its figures, JSON-ready."""
        return {
            "as_of": self.at.isoformat(),
            **self.metrics.flat(),
            "recency_auc": self.recency_auc,
            "gap_days": self.gap_days,
            "value_ratio": None if np.isnan(self.value_ratio) else self.value_ratio,
            "calibrated_on": [at.isoformat() for at in self.calibrated],
        }


def train_churn(
    source: ChurnSource,
    *,
    as_of: datetime,
    config: ChurnConfig,
    root: Path,
    now: datetime,
    progress: Callable[[str, float], None] | None = None,
) -> Trained:
    """Back-test and fit the churn model, and write its bundle.

    Args:
        source: Features and labels, such as a ``FeatureStore``.
        as_of: The moment to fit at, aware UTC: labels complete by then are learnt from.
        config: Horizon, population and sizes.
        root: Folder that the bundle is written into.
        now: The time, aware UTC.
        progress: Told what is being done and the share done, in [0, 1].

    Returns:
        The bundle with its metrics (means over the test dates), tables and pictures.

    Raises:
        TooLittleDataError: History is too short to learn and to test, there are too few
            customers, or the labels are of one class.
        InputError: ``as_of`` has no time zone or lies in the future.
    """
    _check_times(as_of, now)
    say = progress or (lambda _text, _share: None)
    say("reading features and labels", 0.0)
    history = load_history(
        source,
        as_of=as_of,
        config=config,
        progress=lambda share: say("reading features and labels", 0.5 * share),
    )
    money = load_money(source, history, config=config)
    tested = []
    chosen = dates_to_test(history, config=config)
    for i, date in enumerate(chosen):
        say(f"testing at {date.at:%Y-%m-%d}", 0.5 + 0.35 * i / len(chosen))
        tested.append(_test(history, date, money=money, config=config, now=now))
    say("fitting", 0.85)
    fitted = fit_at(
        history, as_of, features=history.today, population=len(history.today), config=config
    )
    metrics = _mean_metrics(tested)
    card = _card(history, fitted, tested, metrics=metrics, config=config, now=now)
    value = fit_value(history, money, as_of)
    card["value"] = value_facts(value, money, as_of)
    bundle = write_bundle(
        root,
        fitted,
        history=history,
        reference=history.today,
        card=card,
        config=config,
        value=value,
        now=now,
    )
    say("drawing", 0.95)
    importance = _importance(open_churn_model(bundle), history.today)
    by_date = {f"{t.at:%Y-%m-%d}": t for t in tested}
    return Trained(
        model="churn",
        bundle=bundle,
        params={**_flat(config), "as_of": as_of.isoformat(), "test_dates_used": len(tested)},
        metrics=metrics,
        tables={
            "backtest": pd.DataFrame([t.row() for t in tested]),
            "reliability": pd.concat({k: t.reliability for k, t in by_date.items()}),
            "lift": pd.concat({k: t.lift for k, t in by_date.items()}),
            "importance": importance,
        },
        figures={
            "reliability": reliability_figure({k: t.reliability for k, t in by_date.items()}),
            "lift": lift_figure({k: t.lift for k, t in by_date.items()}),
            "importance": importance_figure(importance),
        },
        lineage=_lineage(source),
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


def dates_to_test(history: History, *, config: ChurnConfig) -> tuple[AsOf, ...]:
    """Return the dates to test on, the most recent first: as many as history allows.

    A date can be tested where another had complete labels before it.

    Raises:
        TooLittleDataError: No date can be tested.
    """
    usable = [
        date
        for date in history.dates
        if history.before(date.at) and date.churned.min() < date.churned.max()
    ]
    # As far apart as history allows: seasons differ more than neighbours do.
    for step in range(config.test_step, 0, -1):
        chosen = usable[::step][: config.test_dates]
        if len(chosen) == config.test_dates:
            break
    if not chosen:
        days = (history.as_of - history.start).days
        rates = sorted({round(date.base_rate, 3) for date in history.dates})
        raise TooLittleDataError(
            "churn training data",
            got=f"{days} days of purchases, {len(history.dates)} dates with complete labels, "
            f"shares churned {rates}",
            expected=f"at least {config.least_history_days} days, and customers who churned "
            "beside customers who did not",
            remedy="load a longer history of `purchases`, or set a shorter `horizon_days`",
        )
    return tuple(chosen)


def _test(
    history: History,
    date: AsOf,
    *,
    money: Mapping[datetime, Money],
    config: ChurnConfig,
    now: datetime,
) -> Tested:
    fitted = fit_at(
        history,
        date.at,
        features=date.features,
        population=date.population,
        config=config,
    )
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_bundle(
            Path(folder),
            fitted,
            history=history,
            reference=date.features,
            card={"trained_at": now.isoformat()},
            config=config,
            value=fit_value(history, money, date.at),
            now=now,
        )
        model = open_churn_model(bundle)
        probability = model.score(date.features).probability
    recency = date.features[:, history.names.index(RECENCY)]
    return Tested(
        at=date.at,
        metrics=evaluate(date.churned, probability),
        recency_auc=auc(date.churned, recency),
        gap_days=(date.at - fitted.dates[0] - history.horizon).days,
        calibrated=fitted.calibrated,
        reliability=reliability(date.churned, probability),
        lift=lift(date.churned, probability),
        value_ratio=_value_ratio(model.value, date, probability, money, names=history.names),
    )


def _value_ratio(
    value: ValueModel | None,
    date: AsOf,
    probability: Float64,
    money: Mapping[datetime, Money],
    *,
    names: Sequence[str],
) -> float:
    """Return the money expected of a date's customers within the horizon over what came."""
    if value is None or money[date.at].horizon.sum() <= 0:
        return float("nan")
    of_stayers = value.of_one_horizon(dict(zip(names, date.features.T, strict=True)))
    return float(((1 - probability) * of_stayers).sum() / money[date.at].horizon.sum())


def _mean_metrics(tested: Sequence[Tested]) -> dict[str, float]:
    """Return the mean of each figure over the test dates, and each date's own AUC and ECE."""
    rows = pd.DataFrame([{**t.metrics.flat(), "recency_auc": t.recency_auc} for t in tested])
    ratios = [t.value_ratio for t in tested if not np.isnan(t.value_ratio)]
    means = {str(name): float(value) for name, value in rows.mean().items()}
    means |= {"value_ratio": float(np.mean(ratios))} if ratios else {}
    for t in tested:
        means[f"auc_{t.at:%Y%m%d}"] = t.metrics.auc
        means[f"ece_{t.at:%Y%m%d}"] = t.metrics.ece
    return means


def _importance(model: ChurnModel, features: Float64) -> pd.DataFrame:
    """Return the mean absolute log-odds that each group adds, the largest first."""
    groups, _ = model.contributions(features[:_EXPLAINED_CUSTOMERS])
    return (
        pd.DataFrame(
            {"group": list(model.book.groups), "mean_log_odds": np.abs(groups).mean(axis=0)}
        )
        .sort_values("mean_log_odds", ascending=False, kind="stable")
        .reset_index(drop=True)
    )


def _card(
    history: History,
    fitted: Fitted,
    tested: Sequence[Tested],
    *,
    metrics: dict[str, float],
    config: ChurnConfig,
    now: datetime,
) -> dict[str, Any]:
    dates = [date for date in history.dates if date.at in set(fitted.dates)]
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
                "as_of": d.at.isoformat(),
                "until": (d.at + timedelta(days=config.horizon_days)).isoformat(),
                "customers": d.population,
                "churned": d.base_rate,
            }
            for d in dates
        ],
        "expected_rate": fitted.level.rate,
        "metrics": metrics,
        "backtest": [t.row() for t in tested],
        "reliability": {t.at.isoformat(): t.reliability.to_dict(orient="records") for t in tested},
        "calibration": {
            "linear_weight": fitted.linear_weight,
            "slope": fitted.slope,
            "ridge": fitted.ridge,
            "btyd": fitted.learners.derived.btyd.document(),
            "level": fitted.level.value,
            "plain_rate": fitted.level.plain_rate,
            "surprise": fitted.level.surprise,
            "pace_slope": fitted.level.pace_slope,
            "pace_ahead": fitted.level.pace_ahead,
            "rate_by_date": [
                {"as_of": at.isoformat(), "churned": rate, "plain_rate": plain, "pace": pace}
                for at, rate, plain, pace in fitted.level.by_date
            ],
            "learnt_on": [at.isoformat() for at in fitted.learnt],
            "calibrated_on": [at.isoformat() for at in fitted.calibrated],
        },
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


def _warnings(fitted: Fitted, tested: Sequence[Tested], *, config: ChurnConfig) -> list[str]:
    said = []
    if len(tested) < config.test_dates:
        said.append(f"history allows {len(tested)} of {config.test_dates} test dates")
    if not fitted.calibrated:
        said.append("history is too short to hold dates out for calibration")
    if config.definition == "purchase" and fitted.level.pace_ahead is None:
        said.append("history is shorter than a year: the season ahead is not known")
    return said


def _flat(config: ChurnConfig) -> dict[str, str | int | float]:
    return {
        name: value if isinstance(value, str | int | float) else str(value)
        for name, value in config.model_dump().items()
    }


def _lineage(source: ChurnSource) -> dict[str, Any]:
    versions = getattr(source, "versions", None)
    return {"versions": dict(versions)} if versions else {}
