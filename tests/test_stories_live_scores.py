"""A new event changes a score as soon as features are built and customers are scored again."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from training_world import AS_OF, NOW, Centre, fill_lake, train

from features.artefact import point_to
from features.build import build_snapshot
from features.home import Home
from features.intake.load import ingest
from features.lake.delta import Lake
from serving.batch.scores import publish_scores
from serving.published.score_set import open_current_score_set

CONTACTS = "interaction_id,customer_id,queue,channel,started_at,outcome,available_at\n"
PURCHASES = "purchase_id,customer_id,purchased_at,kind,amount_minor,currency,available_at\n"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A lake, a promoted model, and the scores of yesterday in force."""
    home = Home(tmp_path / "home")
    fill_lake(home, tmp_path, centre=Centre())
    trained = train("churn", home.bundles("churn"), centre=Centre())
    point_to(home.bundles("churn"), trained.bundle.name)
    run_night(home, now=NOW)
    return home


def run_night(home: Home, *, now: datetime) -> None:
    build_snapshot(home, now=now)
    publish_scores(home, now=now)


def record(home: Home, customer: str) -> dict[str, Any]:
    line = open_current_score_set(home.scores).record(customer)
    assert line is not None
    return dict(json.loads(line))


def by_risk(home: Home) -> list[str]:
    """The customers of the population, the one most likely to leave first."""
    table = open_current_score_set(home.scores).table.select(["customer_id", "probability"])
    rows = table.drop_null().sort_by([("probability", "descending")])
    return [str(id) for id in rows.column("customer_id").to_pylist()]


def test_a_purchase_of_this_morning_lowers_the_risk_of_who_made_it(
    home: Home, tmp_path: Path
) -> None:
    ranked = by_risk(home)
    who, other = ranked[0], ranked[-1]
    before, elsewhere = record(home, who), record(home, other)
    now = NOW + timedelta(hours=3)
    at = (AS_OF + timedelta(hours=2)).isoformat()
    path = tmp_path / "today.csv"
    path.write_text(f"{PURCHASES}today,{who},{at},purchase,2500,EUR,{at}\n")
    assert ingest(Lake(home.lake), "purchases", files=[path], now=now).new == 1
    assert record(home, who) == before  # nothing is served from it before the night has run
    run_night(home, now=now)
    after = record(home, who)
    assert after["probability"] < before["probability"] - 0.1
    assert after["percentile"] < before["percentile"]
    assert after["score_set"] != before["score_set"]
    assert abs(record(home, other)["probability"] - elsewhere["probability"]) < 0.05


def test_somebody_new_this_morning_is_scored_and_a_mere_contact_is_listed(
    home: Home, tmp_path: Path
) -> None:
    now = NOW + timedelta(hours=3)
    at = (AS_OF + timedelta(hours=2)).isoformat()
    bought, asked = tmp_path / "bought.csv", tmp_path / "asked.csv"
    bought.write_text(f"{PURCHASES}today,new,{at},purchase,2500,EUR,{at}\n")
    asked.write_text(f"{CONTACTS}today,asks,phone,voice,{at},answered,{at}\n")
    ingest(Lake(home.lake), "purchases", files=[bought], now=now)
    ingest(Lake(home.lake), "interactions", files=[asked], now=now)
    run_night(home, now=now)
    new, asks = record(home, "new"), record(home, "asks")
    assert 0.0 < new["probability"] < 1.0
    assert (asks["in_population"], asks["probability"]) == (False, None)
    assert asks["warnings"]
