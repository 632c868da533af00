"""What came of each decision, with both clocks, and the decisions of lists taken into the lake."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from features_rows import at, load, purchase
from serving_client import serving
from serving_world import NOW, put_scores

from features.console import run
from features.home import Home
from features.store import FeatureStore


def decision(id: str, who: str, arm: str, when: datetime, **more: Any) -> dict[str, Any]:
    row = {
        "outreach_id": id,
        "customer_id": who,
        "experiment": "x",
        "arm": arm,
        "action": "call",
        "decided_at": when,
        "available_at": when,
    }
    return {**row, **more}


def came(
    home: Home, as_of: datetime = at(40), *, horizon_days: int = 30
) -> dict[str, dict[str, Any]]:
    with FeatureStore(home, threads=1) as store:
        rows = store.outcomes(as_of, horizon_days=horizon_days).to_pylist()
    return {f"{row['experiment']}/{row['customer_id']}": row for row in rows}


def test_what_followed_a_decision_is_counted_within_its_horizon(tmp_path: Path) -> None:
    home = Home(tmp_path)
    load(
        home,
        {
            "outreach": [decision("1", "a", "treat", at(0)), decision("2", "b", "control", at(5))],
            "purchases": [
                purchase("p0", "a", at(0, seconds=-1)),
                purchase("p1", "a", at(0), amount_minor=500),
                purchase("p2", "a", at(30, seconds=-1), amount_minor=70),
                purchase("p3", "a", at(30), amount_minor=9_000),
                purchase("r1", "a", at(3), kind="return", amount_minor=-200),
                purchase("x1", "b", at(6), kind="cancellation", amount_minor=40),
                purchase("p4", "c", at(6)),
            ],
        },
    )
    found = came(home)
    assert set(found) == {"x/a", "x/b"}
    a, b = found["x/a"], found["x/b"]
    assert (a["retained"], a["value_minor"], a["complete"]) == (1, 500 + 70 - 200, 1)
    assert (b["retained"], b["value_minor"], b["complete"]) == (0, 0, 1)
    assert came(home, at(34))["x/b"]["complete"] == 0
    assert came(home, at(35))["x/b"]["complete"] == 1


def test_only_what_was_known_at_the_as_of_counts(tmp_path: Path) -> None:
    home = Home(tmp_path)
    late = purchase("p1", "a", at(2), available_at=at(50))
    load(
        home,
        {
            "outreach": [
                decision("1", "a", "treat", at(0)),
                decision("2", "late", "treat", at(0), available_at=at(45)),
            ],
            "purchases": [late],
        },
    )
    assert {key: row["retained"] for key, row in came(home, at(40)).items()} == {"x/a": 0}
    assert {key: row["retained"] for key, row in came(home, at(50)).items()} == {
        "x/a": 1,
        "x/late": 0,
    }


def test_a_customer_stays_in_the_arm_of_his_first_decision(tmp_path: Path) -> None:
    home = Home(tmp_path)
    load(
        home,
        {
            "outreach": [
                decision("9", "a", "treat", at(0), treat_share=0.9, probability=0.25),
                decision("1", "a", "control", at(3), treat_share=0.9, probability=0.75),
                decision("2", "a", "control", at(1), experiment="y"),
                decision("3", "b", "treat", at(0)),
                decision("4", "b", "treat", at(4)),
            ],
            "purchases": [purchase("p", "a", at(2))],
        },
    )
    found = came(home)
    a = found["x/a"]
    assert (a["arm"], a["other_arm"], a["treat_share"], a["probability"]) == ("treat", 1, 0.9, 0.25)
    assert (found["y/a"]["arm"], found["y/a"]["other_arm"], found["y/a"]["retained"]) == (
        "control",
        0,
        1,
    )
    assert (found["x/b"]["other_arm"], found["x/b"]["probability"]) == (0, None)


def test_decisions_of_lists_are_in_the_lake_after_an_ingest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    put_scores(home)
    monkeypatch.delenv("EBBFLOW_DATABASE_URL", raising=False)

    def ingest() -> dict[str, Any]:
        from features.__main__ import app

        words = ["ingest", "outreach", "--home", str(home.root), "--json"]
        monkeypatch.setattr(sys, "argv", ["python -m features", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(app)
        said = capsys.readouterr()
        assert not ended.value.code, said.err
        report: dict[str, Any] = json.loads(said.out)
        return report

    assert ingest()["rows_read"] == 0
    ask = {
        "experiment": "winback",
        "capacity": 30,
        "action": "call",
        "hold_out": 0.25,
        "made_by": "Ann",
        "reason": "Easter",
    }
    with serving(home.root) as server:
        response = server.http.post("/v1/churn/lists", json=ask)
    made = response.json()
    listed = {one["customer_id"]: ("treat", one["probability"]) for one in made["contact"]}
    listed |= {one["customer_id"]: ("control", one["probability"]) for one in made["held_out"]}
    assert ingest()["new"] == len(listed)
    assert ingest()["repeated"] == len(listed)
    with FeatureStore(home, threads=1) as store:
        rows = store.outcomes(NOW.replace(year=2027), horizon_days=30).to_pylist()
    assert {row["customer_id"]: (row["arm"], row["probability"]) for row in rows} == listed
    assert {
        (row["experiment"], row["action"], row["treat_share"], row["decided_at"]) for row in rows
    } == {("winback", "call", 0.75, int(NOW.timestamp()))}
