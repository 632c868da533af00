"""Training of the churn model: honest in time, deterministic, and better than recency."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from churn_world import AS_OF, NOW, SMALL, Shop
from hypothesis import given
from hypothesis import strategies as st
from real_churn import retail_store
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from features.errors import ContractError, InputError, TooLittleDataError
from serving.models.churn.model import STATES, open_churn_model
from training.config import ChurnConfig
from training.fit.churn import train_churn
from training.models.churn.btyd import BtydOutlook
from training.models.churn.fit import Level, fit_at, level_ahead, split
from training.models.churn.history import GridDate, History, load_history
from training.models.churn.learners import intercept_for_rate, newton
from training.registry.artifacts import TrainingResult

HORIZON = timedelta(days=SMALL.horizon_days)


def train(source: Shop, root: Path, *, config: ChurnConfig = SMALL) -> TrainingResult:
    return train_churn(source, as_of=AS_OF, config=config, root=root, now=NOW)


def history(source: Shop, *, config: ChurnConfig = SMALL) -> History:
    return load_history(source, as_of=AS_OF, config=config, progress=lambda share: None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    return train(Shop(), tmp_path_factory.mktemp("bundles"))


def test_a_fit_hands_over_a_bundle_with_its_figures(trained: TrainingResult) -> None:
    assert trained.model == "churn"
    assert set(trained.figures) == {"reliability", "lift", "importance"}
    assert set(trained.tables) == {"backtest", "reliability", "lift", "importance"}
    assert {"auc", "log_loss", "base_log_loss", "ece", "recency_auc"} <= set(trained.metrics)
    assert trained.lineage == {"versions": {"purchases": 3}}
    assert trained.params["horizon_days"] == SMALL.horizon_days
    model = open_churn_model(trained.bundle)
    model.check_golden()
    assert model.artefact.lineage["as_of"] == AS_OF.isoformat()
    assert json.loads(json.dumps(model.card, allow_nan=False)) == model.card


def test_the_card_says_what_was_learnt_from_and_how_well(trained: TrainingResult) -> None:
    card = open_churn_model(trained.bundle).card
    assert "60 days" in card["definition"]
    assert "120 days" in card["definition"]
    assert card["metrics"] == dict(trained.metrics)
    assert datetime.fromisoformat(card["training_end"]) <= AS_OF
    assert card["trained_at"] == NOW.isoformat()
    assert len(card["backtest"]) == SMALL.test_dates
    assert {row["as_of"] for row in card["base_rates"]} >= {
        row["as_of"] for row in card["backtest"]
    }
    assert 0 < card["expected_rate"] < 1


def test_it_ranks_better_than_recency_alone_and_than_the_base_rate(trained: TrainingResult) -> None:
    assert trained.metrics["auc"] > trained.metrics["recency_auc"]
    assert trained.metrics["log_loss"] < trained.metrics["base_log_loss"]


def test_no_label_window_reaches_over_a_boundary() -> None:
    found = history(Shop())
    for at in (AS_OF, found.dates[0].at, found.dates[2].at):
        dates = found.before(at)
        assert all(date.at + HORIZON <= at for date in dates)
        learn, calibrate = split(dates, history=found, config=SMALL)
        if learn:
            assert max(d.at for d in learn) + HORIZON <= min(d.at for d in calibrate)
            assert max(d.at for d in calibrate) + HORIZON <= at


class Poisoned(Shop):
    """The same past; what follows the as-of is another world."""

    def __init__(self) -> None:
        super().__init__()
        after = self.purchases["at"] >= AS_OF.timestamp()
        self.purchases = self.purchases[~after]


def test_poisoning_the_future_changes_no_byte_of_the_model(
    trained: TrainingResult, tmp_path: Path
) -> None:
    other = train(Poisoned(), tmp_path)
    for name in ("scoring.json", "linear.json", "reasons.json", "model.txt"):
        assert (other.bundle / name).read_bytes() == (trained.bundle / name).read_bytes()
    assert other.metrics == trained.metrics


def test_a_test_date_is_fitted_without_the_labels_that_came_later() -> None:
    found = history(Shop())
    date = found.dates[0]
    flipped = tuple(
        replace(d, churned=1 - d.churned) if d.at + HORIZON > date.at else d for d in found.dates
    )
    one = fit_at(found, date.at, features=date.features, population=date.population, config=SMALL)
    other = fit_at(
        replace(found, dates=flipped),
        date.at,
        features=date.features,
        population=date.population,
        config=SMALL,
    )
    np.testing.assert_array_equal(one.blend(date.features), other.blend(date.features))
    assert one.level == other.level


def test_another_seed_ranks_customers_alike(tmp_path: Path) -> None:
    frame = Shop().customers([AS_OF]).to_pandas()
    ranks = []
    for seed in (1, 2):
        bundle = train(Shop(), tmp_path, config=SMALL.model_copy(update={"seed": seed})).bundle
        model = open_churn_model(bundle)
        scores = model.score(frame[list(model.feature_names)].to_numpy(float))
        ranks.append(pd.Series(scores.probability).rank())
    assert ranks[0].corr(ranks[1]) > 0.98


def test_a_short_history_shrinks_the_plan_and_the_card_says_so(tmp_path: Path) -> None:
    found = train(Shop(days=185), tmp_path)
    card = open_churn_model(found.bundle).card
    assert len(card["backtest"]) == 1
    assert "history allows 1 of 2 test dates" in card["warnings"]
    assert any("season" in warning for warning in card["warnings"])


def test_progress_only_grows(tmp_path: Path) -> None:
    shares: list[float] = []
    train_churn(
        Shop(), as_of=AS_OF, config=SMALL, root=tmp_path, now=NOW,
        progress=lambda _text, share: shares.append(share),
    )  # fmt: skip
    assert shares == sorted(shares)
    assert shares[-1] <= 1


@pytest.mark.parametrize("days", [40, 130])
def test_too_short_a_history_is_refused_with_what_it_takes(days: int, tmp_path: Path) -> None:
    with pytest.raises(TooLittleDataError, match=r"at least 180 days.*longer history"):
        train(Shop(days=days), tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_as_of_before_the_first_purchase_is_refused_by_its_date(tmp_path: Path) -> None:
    as_of = AS_OF - timedelta(days=3000)
    with pytest.raises(TooLittleDataError, match=f"{as_of:%Y-%m-%d}.*no customer was known"):
        train_churn(Shop(), as_of=as_of, config=SMALL, root=tmp_path, now=NOW)


def test_the_card_names_a_feature_that_nobody_has(trained: TrainingResult) -> None:
    warnings = open_churn_model(trained.bundle).card["warnings"]
    assert any("`contacts_30d`" in warning for warning in warnings)


def test_too_few_customers_are_refused_with_the_number_it_takes(tmp_path: Path) -> None:
    with pytest.raises(TooLittleDataError, match="expected at least 50"):
        train(Shop(customers=30), tmp_path)


class OneClass(Shop):
    """Everybody churns."""

    def labels(
        self, as_ofs: Sequence[datetime], *, horizon_days: int, active_days: int
    ) -> pa.Table:
        found = super().labels(as_ofs, horizon_days=horizon_days, active_days=active_days)
        ones = pa.array(np.ones(len(found), dtype=np.int8))
        return found.set_column(found.column_names.index("churned"), "churned", ones)


def test_labels_of_one_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TooLittleDataError, match="customers who churned beside"):
        train(OneClass(), tmp_path)


class Contracts(Shop):
    """Terms of 60 days that end on known days; two thirds of the customers renew."""

    def customers(self, as_ofs: Sequence[datetime]) -> pa.Table:
        frame = super().customers(as_ofs).to_pandas()
        number = frame["customer_id"].str[1:].astype(int)
        days = pd.DatetimeIndex(frame["as_of"]).asi8 // 86_400
        frame["term_left_days"] = (60 - (days + 7 * number) % 60).astype(float)
        return pa.Table.from_pandas(frame, preserve_index=False)

    def contract_labels(
        self, as_ofs: Sequence[datetime], *, horizon_days: int, grace_days: int
    ) -> pa.Table:
        frame = self.customers(as_ofs).to_pandas()
        assert grace_days == 10
        number = frame["customer_id"].str[1:].astype(int)
        ends = frame["term_left_days"] < horizon_days
        frame["churned"] = (ends & (number % 3 == 0)).astype("int8")
        return pa.Table.from_pandas(
            frame[["customer_id", "as_of", "churned"]], preserve_index=False
        )


def test_contracts_are_judged_while_they_run_by_when_they_end(tmp_path: Path) -> None:
    config = SMALL.model_copy(
        update={"definition": "contract", "horizon_days": 30, "grace_days": 10}
    )
    found = train(Contracts(), tmp_path, config=config)
    model = open_churn_model(found.bundle)
    assert "not renewed by 10 days" in model.card["definition"]
    assert datetime.fromisoformat(model.card["training_end"]) <= AS_OF
    frame = Contracts().customers([AS_OF]).to_pandas()
    features = frame[list(model.feature_names)].to_numpy(float)
    features[:2, model.feature_names.index("term_left_days")] = [-3.0, np.nan]
    scores = model.score(features)
    assert [STATES[state] for state in scores.state[:3]] == ["lapsed", "never_bought", "scored"]
    assert model.warnings(scores)[0] == ("not scored: the contract has ended",)
    soon = features[:, model.feature_names.index("term_left_days")] < 30
    chances = scores.probability[2:]
    assert chances[soon[2:]].mean() > 3 * chances[~soon[2:]].mean()
    assert chances.mean() == pytest.approx(soon.mean() / 3, abs=0.03)


class Nameless(Shop):
    """Features that are not ours."""

    def customers(self, as_ofs: Sequence[datetime]) -> pa.Table:
        found = super().customers(as_ofs)
        return found.drop_columns(["purchase_recency_days"])


def test_features_without_the_recency_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="purchase_recency_days"):
        train(Nameless(), tmp_path)


def test_a_moment_without_a_zone_or_in_the_future_is_refused(tmp_path: Path) -> None:
    for as_of, words in ((AS_OF.replace(tzinfo=None), "no time zone"), (NOW + HORIZON, "future")):
        with pytest.raises(InputError, match=words):
            train_churn(Shop(), as_of=as_of, config=SMALL, root=tmp_path, now=NOW)


def test_the_logistic_regression_equals_scikit_learns() -> None:
    rng = np.random.default_rng(5)
    design = rng.normal(size=(800, 4))
    churned = (design @ [1.0, -0.5, 0.2, 0.0] + rng.normal(size=800) > 0.3).astype(float)
    weights, intercepts = newton(design, churned, which=np.zeros(800, dtype=int), ridge=5.0)
    reference = LogisticRegression(C=1 / 5.0, tol=1e-10).fit(design, churned)
    np.testing.assert_allclose(weights, reference.coef_[0], atol=1e-5)
    np.testing.assert_allclose(intercepts, reference.intercept_, atol=1e-5)


@given(
    st.lists(st.floats(-6, 6), min_size=1, max_size=30), st.floats(0.01, 0.99)
)  # fmt: skip
def test_a_level_makes_the_mean_probability_the_rate(score: list[float], rate: float) -> None:
    scores = np.array(score)
    level = intercept_for_rate(scores, rate)
    assert np.mean(1 / (1 + np.exp(-(scores + level)))) == pytest.approx(rate, abs=1e-6)


PLAIN = BtydOutlook(rate=0.5, pace=0.0)


def dates_with(rates: Sequence[float], paces: Sequence[float | None]) -> tuple[GridDate, ...]:
    return tuple(
        GridDate(
            AS_OF - timedelta(days=30 * i), np.empty((0, 1)), np.r_[np.ones(round(1000 * rate)),
            np.zeros(1000 - round(1000 * rate))], population=1000, pace=pace, plain=PLAIN,
        )
        for i, (rate, pace) in enumerate(zip(rates, paces, strict=True))
    )  # fmt: skip


def level(
    rates: Sequence[float], paces: Sequence[float | None], *, recent: float | None = None,
    ahead: float | None = None,
) -> Level:  # fmt: skip
    scores = np.array([-1.0, 0.0, 2.0])
    return level_ahead(
        dates_with(rates, paces), scores, plain=PLAIN, recent=recent, pace_ahead=ahead
    )


def test_a_brisker_season_ahead_lowers_the_rate() -> None:
    rates, paces = [0.6, 0.35, 0.5], [-0.5, 0.5, 0.0]
    slow, brisk = level(rates, paces, ahead=-0.5), level(rates, paces, ahead=0.5)
    assert slow.pace_slope == pytest.approx(-1.0, abs=0.1)
    assert slow.surprise - brisk.surprise == pytest.approx(-slow.pace_slope)
    assert slow.rate > 0.55
    assert brisk.rate < 0.45


def test_without_a_year_half_of_the_last_weeks_surprise_is_added_to_the_plain_rate() -> None:
    found = level([0.9, 0.3], [0.0, 0.1], recent=0.8)
    assert found.surprise == pytest.approx(0.4)
    assert found.rate == pytest.approx(1 / (1 + np.exp(-0.4)))
    assert found.pace_slope == 0.0
    assert level([0.9], [None]).rate == PLAIN.rate


def test_the_level_makes_the_mean_probability_the_rate_expected() -> None:
    found = level([0.6, 0.4], [0.1, -0.1], recent=-0.6)
    scores = np.array([-1.0, 0.0, 2.0])
    assert np.mean(1 / (1 + np.exp(-(scores + found.value)))) == pytest.approx(found.rate)


def test_the_rate_is_foreseen_where_histories_grow_and_the_last_labels_are_old() -> None:
    shop = Shop(2000, 330, leave_after=400.0)
    as_of = AS_OF - timedelta(days=90)
    config = ChurnConfig(min_customers=50, num_threads=1, trees=20)
    found = load_history(shop, as_of=as_of, config=config, progress=lambda share: None)
    fitted = fit_at(found, as_of, features=found.today, population=len(found.today), config=config)
    came = shop.labels([as_of], horizon_days=90, active_days=180).to_pandas()["churned"].mean()
    assert fitted.level.rate == pytest.approx(came, abs=0.06)


def test_the_season_ahead_is_read_from_last_year() -> None:
    found = history(Shop(days=760, season=0.8, leave_after=2000.0))
    ahead = found.pace_ahead(AS_OF, population=len(found.today))
    assert ahead is not None
    # The season peaks at the as-of and falls to its trough half a year later.
    half_a_year_ago = min(found.dates, key=lambda d: abs(d.at - (AS_OF - timedelta(days=182))))
    assert half_a_year_ago.pace is not None
    assert ahead > half_a_year_ago.pace + 0.5


def test_a_sample_of_a_date_does_not_depend_on_the_grid() -> None:
    few = SMALL.model_copy(update={"rows_per_date": 100})
    long, short = history(Shop(), config=few), history(
        Shop(), config=few.model_copy(update={"grid_dates": 2})
    )  # fmt: skip
    assert len(long.dates) > len(short.dates) == 2
    np.testing.assert_array_equal(long.dates[1].features, short.dates[1].features)
    assert len(long.dates[0].churned) == 100 < long.dates[0].population


@pytest.mark.parametrize("shares", [(0.5, 0.3, 0.2), (0.0, 0.1, 0.1)])
def test_tier_shares_that_leave_nobody_in_a_tier_are_refused(
    shares: tuple[float, float, float],
) -> None:
    with pytest.raises(ValueError, match="tier_shares"):
        ChurnConfig(tier_shares=shares)


@pytest.mark.slow
def test_on_a_real_shop_it_beats_recency_by_far(tmp_path: Path) -> None:
    as_of = datetime.fromisoformat("2011-03-01T00:00:00+00:00")
    with retail_store(tmp_path) as store:
        config = ChurnConfig(num_threads=1, test_dates=1)
        found = train_churn(
            store, as_of=as_of, config=config, root=tmp_path / "bundles",
            now=as_of + timedelta(days=400),
        )  # fmt: skip
        model = open_churn_model(found.bundle)
        labels = store.labels([as_of], horizon_days=90, active_days=180).to_pandas()
        features = store.customers([as_of]).to_pandas()
    rows = labels.merge(features, on=["customer_id", "as_of"])
    scores = model.score(rows[list(model.feature_names)].to_numpy(float))
    churned = rows["churned"].to_numpy(float)
    assert len(rows) == len(labels)
    assert not np.isnan(scores.probability).any()
    reached = roc_auc_score(churned, scores.probability)
    recency = roc_auc_score(churned, rows["purchase_recency_days"].to_numpy())
    assert reached > 0.77
    assert reached > recency + 0.05
    assert abs(scores.probability.mean() - churned.mean()) < 0.06
