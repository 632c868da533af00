"""The back-test of the churn model, each date judged as if it were today, and its figures."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

from features.arrays import Float64
from features.errors import TooLittleDataError
from serving.models.churn.model import open_churn_model
from serving.models.churn.value import ValueModel
from training.config import ChurnConfig
from training.evaluate.metrics import ChurnMetrics, evaluate, lift, reliability
from training.models.churn.bundle import write_bundle
from training.models.churn.fit import fit_at
from training.models.churn.history import RECENCY, GridDate, History
from training.models.churn.value import Money, fit_value


@dataclass(frozen=True)
class BacktestDate:
    """One test date, judged through the serving scorer.

    Attributes:
        recency_auc: AUC of the days since the last purchase alone.
        gap_days: Days from the last label learnt from to the date: 0 or more.
        calibrated: Dates that blend and slope were chosen on before it.
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


def dates_to_test(history: History, *, config: ChurnConfig) -> tuple[GridDate, ...]:
    """Return the dates to test on, the most recent first: as many as history allows.

    A date can be tested where another had complete labels before it.

    Raises:
        TooLittleDataError: No date can be tested.
    """
    usable = [date for date in history.dates if history.before(date.at) and date.both_classes]
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


def backtest_date(
    history: History,
    date: GridDate,
    *,
    money: Mapping[datetime, Money],
    config: ChurnConfig,
    now: datetime,
) -> BacktestDate:
    """Fit at a date from what was known then, as a bundle, and judge it by what came after."""
    fitted = fit_at(
        history, date.at, features=date.features, population=date.population, config=config
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
    return BacktestDate(
        at=date.at,
        metrics=evaluate(date.churned, probability),
        recency_auc=float(roc_auc_score(date.churned, recency)),
        gap_days=(date.at - fitted.dates[0] - history.horizon).days,
        calibrated=fitted.calibrated,
        reliability=reliability(date.churned, probability),
        lift=lift(date.churned, probability),
        value_ratio=_value_ratio(model.value, date, probability, money, names=history.names),
    )


def _value_ratio(
    value: ValueModel | None,
    date: GridDate,
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


def mean_metrics(tested: Sequence[BacktestDate]) -> dict[str, float]:
    """Return the mean of each figure over the test dates, and each date's own AUC and ECE."""
    rows = pd.DataFrame([{**t.metrics.flat(), "recency_auc": t.recency_auc} for t in tested])
    ratios = [t.value_ratio for t in tested if not np.isnan(t.value_ratio)]
    means = {str(name): float(value) for name, value in rows.mean().items()}
    means |= {"value_ratio": float(np.mean(ratios))} if ratios else {}
    for t in tested:
        means[f"auc_{t.at:%Y%m%d}"] = t.metrics.auc
        means[f"ece_{t.at:%Y%m%d}"] = t.metrics.ece
    return means


_GREY = "0.6"


def _axes(height: float = 4.6) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, height), layout="constrained")
    return figure, figure.subplots()


def reliability_figure(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw outcome over probability, one line a test date."""
    figure, axes = _axes()
    axes.plot([0, 100], [0, 100], color=_GREY, linewidth=1, linestyle="--", label="as predicted")
    for date, table in tables.items():
        axes.plot(
            100 * table["mean_probability"], 100 * table["churn_rate"], marker="o", label=date
        )
    axes.set(
        xlabel="predicted chance to churn, %", ylabel="share that churned, %",
        xlim=(0, 100), ylim=(0, 100),
    )  # fmt: skip
    axes.set_title("Did as many leave as was predicted?", loc="left")
    axes.legend(title="looking ahead from", frameon=False)
    return figure


def lift_figure(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the lift over the share contacted, one line a test date."""
    figure, axes = _axes()
    axes.axhline(1, color=_GREY, linewidth=1, linestyle="--", label="picked at random")
    for date, table in tables.items():
        axes.plot(100 * table["contacted"], table["lift"], marker="o", label=date)
    axes.set(
        xlabel="share of customers contacted, highest scores first, %",
        ylabel="their churn rate / the average rate (lift)", xlim=(0, 101),
    )  # fmt: skip
    axes.set_title("How many more leavers the top scores hold", loc="left")
    axes.legend(title="looking ahead from", frameon=False)
    return figure


def importance_figure(importance: pd.DataFrame) -> Figure:
    """Draw how much each group of features moves the scores."""
    figure, axes = _axes(height=1.2 + 0.3 * len(importance))
    words = importance["group"].str.replace("_", " ")
    bars = axes.barh(words, importance["mean_log_odds"], color="#0b7a8f", alpha=0.8)
    axes.bar_label(bars, fmt="%.2f", fontsize=8, padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel("mean size of its effect on a customer's log-odds")
    axes.set_title("What moves the scores, by kind of reason", loc="left")
    return figure
