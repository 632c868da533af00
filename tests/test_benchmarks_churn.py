"""The churn benchmark: its figures by hand, its peers on known customers, its goals."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special

from benchmarks.churn import (
    Judged,
    centre_checks,
    main,
    maximum_profit,
    rows_of,
    shop_checks,
    value_captured,
)
from benchmarks.churn_peers import OURS, PEERS, RECENCY, RFM, Past, bg_nbd_likelihood
from benchmarks.churn_picture import draw
from features.arrays import Float64

NAMES = (
    "purchase_recency_days",
    "purchase_first_days",
    "purchase_days_ever",
    "purchases_30d",
    "purchases_ever",
    "spend_minor_ever",
)


def customers(count: int, *, seed: int) -> tuple[Float64, Float64]:
    """Return features of customers and who churned: the longer silent, the likelier."""
    rng = np.random.default_rng(seed)
    recency = rng.uniform(0, 180, count)
    days = 1 + rng.poisson(3, count)
    first = np.where(days > 1, recency + rng.uniform(1, 300, count), recency)
    bought = days + rng.poisson(1, count)
    features = np.column_stack(
        [recency, first, days, bought * (recency < 30), bought, bought * 1000.0]
    )
    chance = 1 / (1 + np.exp(-(recency - 60) / 40 + bought / 3))
    return features, (rng.random(count) < chance).astype(float)


def past() -> tuple[Past, Float64]:
    known, churned = customers(3000, seed=1)
    today, came = customers(1000, seed=2)
    histories = np.column_stack([known[:, 2] - 1, known[:, 1] - known[:, 0], known[:, 1]])
    return Past(NAMES, known, churned, histories, today, 90), came


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_gives_probabilities_that_tell_more_than_chance(name: str) -> None:
    known, came = past()
    found = PEERS[name](known)
    assert found.shape == came.shape
    assert ((found >= 0) & (found <= 1)).all()
    assert found[came == 1].mean() > found[came == 0].mean() + 0.05


def test_plain_bg_nbd_equals_the_integral_of_its_definition() -> None:
    r, alpha, a, b = 1.3, 40.0, 1.2, 2.2
    unit, by_rate = special.roots_genlaguerre(60, r - 1)
    place, by_stop = special.roots_jacobi(60, b - 1, a - 1)
    stop, by_stop = (place + 1) / 2, by_stop / by_stop.sum()
    for x, last, age in ((0.0, 0.0, 60.0), (3.0, 90.0, 120.0)):

        def over(silent: float, x: float = x) -> float:
            rate = unit / (alpha + silent)
            scale = (alpha / (alpha + silent)) ** r / special.gamma(r)
            return float((by_rate * scale * rate**x).sum())

        alive = over(age) * (by_stop * (1 - stop) ** x).sum()
        gone = over(last) * (by_stop * stop * (1 - stop) ** (x - 1)).sum() if x else 0.0
        found = bg_nbd_likelihood(np.array([r, alpha, a, b]), np.array([[x, last, age]]))
        assert found[0] == pytest.approx(np.log(alive + gone), rel=1e-6)


def test_contacting_nobody_is_the_least_profit() -> None:
    churned = np.array([0.0, 0.0, 1.0])
    assert maximum_profit(churned, np.array([0.9, 0.8, 0.1])) == pytest.approx(
        200 * (0.28 - 2 * 0.055) / 3
    )
    assert maximum_profit(np.zeros(3), np.array([0.9, 0.8, 0.1])) == 0.0


def judged(*, ours: Float64, peer: Float64, churned: Float64) -> Judged:
    return Judged(
        at=datetime(2026, 3, 1, tzinfo=UTC),
        churned=churned,
        value=np.arange(len(churned), dtype=float),
        by={OURS: ours, RFM: peer, RECENCY: np.full(len(churned), 0.5), "BG/NBD": peer,
            "LightGBM defaults": peer},
        seconds={OURS: 1.0},
        seen=ours,
        state=churned * 0.9 + 0.05,
        reasons=pd.DataFrame({"group": ["silence"], "mean_log_odds": [0.4]}),
    )  # fmt: skip


def test_money_captured_is_the_share_of_the_leavers_in_the_top_tenth() -> None:
    churned = np.r_[np.zeros(18), 1.0, 1.0]
    date = judged(ours=churned, peer=churned, churned=churned)
    # Two of 20 are the top tenth: those with 18 and 19, who are all that left.
    assert value_captured(date, churned) == 1.0
    assert value_captured(date, 1 - churned) == 0.0


def test_goals_are_met_by_the_better_scorer_alone() -> None:
    rng = np.random.default_rng(3)
    chance = rng.beta(1, 1, 4000)
    churned = (rng.random(4000) < chance).astype(float)
    noise = np.clip(chance + rng.normal(0, 0.4, 4000), 0.01, 0.99)
    good = [judged(ours=chance, peer=noise, churned=churned)]
    poor = [judged(ours=noise, peer=chance, churned=churned)]
    assert all(check.met for check in shop_checks(good) + centre_checks(good))
    assert not any(check.met for check in shop_checks(poor)[:2])
    rows = rows_of("set", good)
    assert [row["who"] for row in rows][-2:] == ["truth: seen", "truth: state"]
    assert json.loads(json.dumps(rows)) == rows


def test_a_picture_is_drawn_the_same_twice(tmp_path: Path) -> None:
    churned = np.tile([0.0, 1.0], 100)
    date = judged(ours=churned * 0.6 + 0.2, peer=churned, churned=churned)
    path = draw("some set", [date], results=tmp_path)
    once = path.read_bytes()
    assert path.name == "churn_some_set.png"
    assert draw("some set", [date], results=tmp_path).read_bytes() == once


@pytest.mark.slow
def test_the_quick_run_measures_a_small_centre_end_to_end(tmp_path: Path) -> None:
    main(["--quick"], results=tmp_path)
    document = json.loads((tmp_path / "churn.json").read_text(encoding="utf-8"))
    by = {(row["as_of"], row["who"]): row for row in document["rows"]}
    dates = sorted({at for at, _ in by})
    assert len(dates) == 2
    for at in dates:
        assert by[at, OURS]["auc"] > max(by[at, peer]["auc"] for peer in PEERS)
        assert by[at, OURS]["auc"] < by[at, "truth: state"]["auc"]
    assert (tmp_path / "churn_simulated_centre.png").stat().st_size > 10_000
