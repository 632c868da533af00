"""How good the windows of a back-test are, by queue and lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from features.contracts import LEAD_BUCKETS, QUANTILE_LEVELS
from training.volume.backtest import Backtest
from training.volume.evaluate import bias, coverage, pinball, wape
from training.volume.handle import handle_scores
from training.volume.totals import day_totals, days_covered
from training.volume.windows import Window

ALL_QUEUES = "all queues"
"""Name of the pooled rows in a table of scores."""
_MOST_TOTALLED = 400


def judged_windows(backtest: Backtest) -> list[Window]:
    """Return the windows that had at least one ended window to learn from, or else all."""
    first_end = min(w.ends for w in backtest.windows)
    later = [w for w in backtest.windows if w.origin >= first_end]
    return later or list(backtest.windows)


def scores(windows: Sequence[Window]) -> dict[str, float]:
    """Return the pooled measures of some windows, by name.

    ``skill`` is one minus WAPE over the WAPE of the seasonal baseline (the same hour of the last
    observed week); ``coverage_80`` is that of the band from the 0.1 to the 0.9 quantile, over
    open intervals, and ``coverage_80_days`` that of the band of the totals of local days.
    """
    actual, mean, naive, mean4 = (
        np.concatenate([getattr(w, name) for w in windows])
        for name in ("actual", "mean", "naive", "mean4")
    )
    quantiles = np.concatenate([w.quantiles for w in windows])
    opened = np.concatenate([w.is_open for w in windows])
    low, high = QUANTILE_LEVELS.index(0.1), QUANTILE_LEVELS.index(0.9)
    ours, theirs = wape(actual, mean), wape(actual, naive)
    return {
        "wape": ours,
        "wape_seasonal_naive": theirs,
        "wape_mean4": wape(actual, mean4),
        "skill": 1 - ours / theirs if theirs > 0 else float("nan"),
        "bias": bias(actual, mean),
        "pinball": pinball(actual, quantiles, np.array(QUANTILE_LEVELS)),
        "coverage_80": coverage(actual[opened], quantiles[opened, low], quantiles[opened, high]),
        "coverage_80_days": days_covered([w.days for w in windows if w.days is not None]),
        **handle_scores([w.handle for w in windows]),
        "contacts": float(actual.sum()),
        "hours": sum(w.interval_hours * len(w.actual) for w in windows),
    }


def score_table(backtest: Backtest) -> pd.DataFrame:
    """Return the measures by queue and lead bucket; pooled as ``all queues`` and ``all`` leads.

    Totals of days are judged on some of the windows where there are many.
    """
    windows = judged_windows(backtest)
    every = -(-len(windows) // _MOST_TOTALLED)
    windows = [w if k % every else _totalled(w) for k, w in enumerate(windows)]
    rows = []
    for row in (None, *range(len(backtest.queues))):
        mine = [w for w in windows if row is None or w.row == row]
        name = ALL_QUEUES if row is None else backtest.queues[row]
        for bucket, label in enumerate(("all", *(label for _, _, label in LEAD_BUCKETS)), -1):
            cut = [w if bucket < 0 else _only(w, bucket) for w in mine]
            if any(len(w.actual) for w in cut):
                rows.append({"queue": name, "lead": label, **scores(cut)})
    return pd.DataFrame(rows)


def _only(window: Window, bucket: int) -> Window:
    keep = window.bucket == bucket
    columns = "starts day hour bucket is_open actual mean quantiles naive mean4"
    kept = {name: getattr(window, name)[keep] for name in columns.split()}
    days = window.days and window.days.where(window.days.bucket == bucket)
    return replace(window, **kept, handle=window.handle.only(bucket), days=days)


def _totalled(window: Window) -> Window:
    days = day_totals(
        window,
        made_at=window.origin,
        day=window.day,
        bucket=window.bucket,
        actual=window.actual,
    )
    return replace(window, days=days)
