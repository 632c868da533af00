"""Pictures of a churn fit: reliability, lift, and what the scores are made of."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

_SIZE = (6.0, 4.0)


def reliability_figure(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw outcome over probability, one line a test date.

    Args:
        tables: By date, the table of ``evaluate_churn.reliability``.
    """
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="perfect")
    for date, table in tables.items():
        axes.plot(table["mean_probability"], table["churn_rate"], marker="o", label=date)
    axes.set(
        xlabel="probability", ylabel="share that churned", xlim=(0, 1), ylim=(0, 1),
        title="Reliability by test date",
    )  # fmt: skip
    axes.legend()
    return figure


def lift_figure(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the lift over the share contacted, one line a test date.

    Args:
        tables: By date, the table of ``evaluate_churn.lift``.
    """
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.axhline(1, color="0.7", linewidth=1, label="at random")
    for date, table in tables.items():
        axes.plot(table["contacted"], table["lift"], marker="o", label=date)
    axes.set(
        xlabel="share of customers contacted, highest probability first",
        ylabel="churn rate among them / base rate", title="Lift by test date",
    )  # fmt: skip
    axes.legend()
    return figure


def importance_figure(importance: pd.DataFrame) -> Figure:
    """Draw how much each group of features moves the scores.

    Args:
        importance: Columns ``group`` and ``mean_log_odds``, the largest first.
    """
    figure = Figure(figsize=(6.0, 1.0 + 0.35 * len(importance)), layout="constrained")
    axes = figure.subplots()
    axes.barh(importance["group"], importance["mean_log_odds"])
    axes.invert_yaxis()
    axes.set(xlabel="mean absolute log-odds", title="What the scores are made of")
    return figure
