"""The batch: promoted bundles and the current snapshot in, sets in force out, or a clear no."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from serving_world import (
    DAYS,
    MADE_AT,
    NOW,
    QUEUES,
    customer_ids,
    flat_forecast,
    put_churn_bundle,
    put_forecast,
    put_scores,
    put_snapshot,
    put_volume_bundle,
)

from features.artefact import current_id, list_ids
from features.errors import (
    DamagedArtefactError,
    HorizonError,
    IncompatibleArtefactError,
    NotPublishedError,
    TooLittleDataError,
)
from features.home import Home
from features.snapshot import open_current_snapshot
from serving.batch.forecast import publish_forecast
from serving.batch.scores import publish_scores
from serving.models.volume.model import open_volume_model
from serving.published.forecast_set import open_current_forecast_set
from serving.published.score_set import open_current_score_set


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    put_snapshot(home)
    return home


def test_the_published_forecast_is_the_models_own(home: Home) -> None:
    bundle = put_volume_bundle(home)
    report = publish_forecast(home, now=NOW)
    found = open_current_forecast_set(home.forecasts)
    model = open_volume_model(home.bundles("volume") / bundle)
    direct = model.forecast(
        open_current_snapshot(home.snapshots).histories,
        events=(),
        made_at=MADE_AT,
        until=MADE_AT + timedelta(days=DAYS),
    )
    for name, forecast in found.queues.items():
        np.testing.assert_array_equal(forecast.mean, direct.queues[name].mean)
        np.testing.assert_array_equal(forecast.quantiles, direct.queues[name].quantiles)
    assert report.id == found.id == current_id(home.forecasts)
    assert report.counts["queues"] == len(QUEUES)
    assert (found.model_version, found.snapshot) == (bundle, current_id(home.snapshots))


def test_a_flat_history_is_forecast_flat_and_closed_stays_zero(home: Home) -> None:
    put_volume_bundle(home)
    publish_forecast(home, now=NOW)
    phone = open_current_forecast_set(home.forecasts).queue("phone")
    expected = flat_forecast().queues["phone"]
    np.testing.assert_array_equal(phone.starts, expected.starts)
    np.testing.assert_array_equal(phone.is_open, expected.is_open)
    np.testing.assert_allclose(phone.mean, expected.mean, rtol=1e-9)
    assert (phone.quantiles[~phone.is_open] == 0).all()


def test_a_shorter_horizon_is_the_beginning_of_the_longer_one(home: Home) -> None:
    put_volume_bundle(home)
    publish_forecast(home, now=NOW, horizon_days=3)
    found = open_current_forecast_set(home.forecasts)
    assert found.horizon_end == MADE_AT + timedelta(days=3)


@pytest.mark.parametrize("days", [0, -1, DAYS + 1])
def test_a_horizon_beyond_the_models_is_refused(home: Home, days: int) -> None:
    put_volume_bundle(home)
    with pytest.raises(HorizonError, match=f"1 to {DAYS}"):
        publish_forecast(home, now=NOW, horizon_days=days)


def test_without_a_promoted_model_the_error_says_what_to_run(home: Home) -> None:
    with pytest.raises(NotPublishedError, match="training promote volume"):
        publish_forecast(home, now=NOW)
    with pytest.raises(NotPublishedError, match="training promote churn"):
        publish_scores(home, now=NOW)


def test_without_a_snapshot_the_error_says_what_to_run(home: Home) -> None:
    put_volume_bundle(home)
    put_churn_bundle(home)
    (home.snapshots / "CURRENT").unlink()
    for publish in (publish_forecast, publish_scores):
        with pytest.raises(NotPublishedError, match="features build"):
            publish(home, now=NOW)


def test_every_customer_gets_the_score_that_can_be_worked_out_by_hand(home: Home) -> None:
    bundle = put_churn_bundle(home)
    report = publish_scores(home, now=NOW)
    found = open_current_score_set(home.scores)
    assert report.counts == {"customers": 200, "scored": 181}
    assert (found.model_version, found.snapshot) == (bundle, current_id(home.snapshots))
    for days, id in enumerate(customer_ids()):
        record = json.loads(found.record(id) or b"")
        if days > 180:
            assert record["in_population"] is False
            assert record["probability"] is record["tier"] is record["percentile"] is None
            assert record["reasons"] == []
            assert record["warnings"] == ["not scored: no purchase in the last 180 days"]
            continue
        # log-odds = log((1 + days) / 61), so the odds are (1 + days) to 61.
        assert record["probability"] == pytest.approx((1 + days) / (62 + days), abs=1e-6)
        assert record["percentile"] == pytest.approx(100 * days / 181, abs=0.006)
        said = [reason["text"] for reason in record["reasons"]]
        # Up to 63 days add less than 0.05 to the log-odds, too little for a reason.
        assert said == ([f"no purchase for {days} days, usual 60"] if days > 63 else [])
        assert record["score_set"] == report.id


def test_a_customer_who_never_bought_is_listed_with_a_warning(home: Home) -> None:
    put_churn_bundle(home)
    put_snapshot(
        home,
        ids=["a", "b"],
        features={"recency_days": np.array([np.nan, 5.0]), "orders": np.zeros(2)},
    )
    publish_scores(home, now=NOW)
    record = json.loads(open_current_score_set(home.scores).record("a") or b"")
    assert record["warnings"] == ["not scored: no purchase yet"]


@pytest.mark.parametrize("chunk_rows", [1, 64, 199, 200])
def test_scores_do_not_depend_on_the_chunks_or_threads(home: Home, chunk_rows: int) -> None:
    put_churn_bundle(home)
    publish_scores(home, now=NOW)
    whole = open_current_score_set(home.scores)
    publish_scores(home, now=NOW, chunk_rows=chunk_rows, threads=2)
    parts = open_current_score_set(home.scores)
    assert parts.page(limit=500).data.replace(parts.id.encode(), b"") == whole.page(
        limit=500
    ).data.replace(whole.id.encode(), b"")


def test_a_snapshot_without_a_models_feature_is_refused_and_the_features_are_named(
    home: Home,
) -> None:
    put_churn_bundle(home, names=("recency_days", "orders_90d"))
    before = put_scores(home)
    with pytest.raises(IncompatibleArtefactError, match=r"without `orders_90d`.*with `orders`"):
        publish_scores(home, now=NOW)
    assert current_id(home.scores) == before
    assert len(list_ids(home.scores)) == 1


def test_features_the_model_does_not_know_do_no_harm(home: Home) -> None:
    put_churn_bundle(home, names=("recency_days",))
    assert publish_scores(home, now=NOW).counts["customers"] == 200


def test_a_snapshot_without_customers_is_refused(home: Home) -> None:
    put_churn_bundle(home)
    put_snapshot(home, ids=[], features={"recency_days": np.empty(0), "orders": np.empty(0)})
    with pytest.raises(TooLittleDataError, match="no customer"):
        publish_scores(home, now=NOW)


def test_a_damaged_bundle_publishes_nothing_and_what_was_in_force_stays(home: Home) -> None:
    bundle = put_volume_bundle(home)
    before = put_forecast(home)
    (home.bundles("volume") / bundle / "state.json").write_text("{}")
    with pytest.raises(DamagedArtefactError, match=r"state\.json"):
        publish_forecast(home, now=NOW)
    assert current_id(home.forecasts) == before


def test_an_old_snapshot_is_published_with_a_warning(home: Home) -> None:
    put_volume_bundle(home)
    put_churn_bundle(home)
    later = MADE_AT + timedelta(days=5, hours=3)
    for publish in (publish_forecast, publish_scores):
        assert "5 days ago" in publish(home, now=later).warnings[0]
    assert "5 days ago" in open_current_forecast_set(home.forecasts).warnings[0]
    assert "5 days ago" in open_current_score_set(home.scores).warnings[0]


def test_earlier_sets_are_kept(home: Home) -> None:
    put_volume_bundle(home)
    first = publish_forecast(home, now=NOW)
    second = publish_forecast(home, now=NOW + timedelta(hours=1))
    assert {p.name for p in list_ids(home.forecasts)} == {first.id, second.id}
    assert current_id(home.forecasts) == second.id


def test_progress_never_goes_back_and_ends_at_one(home: Home) -> None:
    put_churn_bundle(home)
    put_volume_bundle(home)
    for publish in (publish_forecast, publish_scores):
        told: list[float] = []
        publish(home, now=NOW, progress=lambda _, share, told=told: told.append(share))
        assert told == sorted(told)
        assert told[-1] == 1.0
