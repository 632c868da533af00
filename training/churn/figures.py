"""Pictures of a churn fit: reliability, lift, and what the scores are made of."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

_SIZE = (6.4, 4.6)
_GREY = "0.6"


def reliability_figure(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw outcome over probability, one line a test date."""
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
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
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
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
    figure = Figure(figsize=(6.4, 1.2 + 0.3 * len(importance)), layout="constrained")
    axes = figure.subplots()
    words = importance["group"].str.replace("_", " ")
    bars = axes.barh(words, importance["mean_log_odds"], color="#0b7a8f", alpha=0.8)
    axes.bar_label(bars, fmt="%.2f", fontsize=8, padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel("mean size of its effect on a customer's log-odds")
    axes.set_title("What moves the scores, by kind of reason", loc="left")
    return figure
