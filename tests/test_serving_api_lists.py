"""Contact lists over HTTP: whom to contact, who is held out at random, kept and read again."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from serving_client import Server, serving
from serving_world import NOW, customer_ids, put_scores

from features.home import Home
from serving.api import openapi
from serving.api.outreach.schemas import ContactListResponse
from serving.lists import Candidate, Experiment, assign, share_of
from serving.store.database import Database
from serving.store.lists import ListStore

PATH = "/v1/churn/lists"
ASK = {
    "experiment": "winback",
    "capacity": 20,
    "action": "call",
    "made_by": "Ann",
    "reason": "Easter",
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    put_scores(Home(tmp_path))
    return Home(tmp_path)


@pytest.fixture
def server(home: Home) -> Iterator[Server]:
    with serving(home.root) as running:
        yield running


def make(server: Server, *, headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    response = server.http.post(PATH, json={**ASK, **more}, headers=headers)
    assert response.status_code == 201, response.text
    ContactListResponse.model_validate_json(response.content)
    found: dict[str, Any] = response.json()
    assert response.headers["location"] == f"{PATH}/{found['list_id']}"
    return found


def problem(response: Any, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    openapi.ProblemDetails.model_validate_json(response.content)
    document: dict[str, Any] = response.json()
    assert document["type"] == f"/docs#problem-{kind}"
    return document


def refused(server: Server, field: str, **more: Any) -> str:
    document = problem(server.http.post(PATH, json={**ASK, **more}), 422, "invalid")
    assert [error["field"] for error in document["errors"]] == [field]
    return str(document["errors"][0]["message"])


def ids(listed: list[dict[str, Any]]) -> list[str]:
    return [one["customer_id"] for one in listed]


def everybody(found: dict[str, Any]) -> list[str]:
    both = sorted(found["contact"] + found["held_out"], key=lambda one: one["place"])
    return ids(both)


def ranking() -> list[str]:
    """The ids of the hand-made set, most likely to leave first, of those in the population."""
    known = [(-(i % 100) / 100, i, id) for i, id in enumerate(customer_ids()) if i % 10 != 9]
    return [id for _, _, id in sorted(known)]


# Who is on a list


def test_a_list_goes_down_the_ranking_until_the_capacity_is_to_be_contacted(
    server: Server,
) -> None:
    found = make(server)
    assert len(found["contact"]) == found["counts"]["contact"] == 20
    assert everybody(found) == ranking()[: 20 + found["counts"]["held_out"]]
    assert [one["place"] for one in found["contact"]] == sorted(
        one["place"] for one in found["contact"]
    )
    assert found["contact"][0]["probability"] == 0.98
    assert found["counts"]["candidates"] == 180
    assert found["hold_out"] == 0.1


def test_filters_narrow_a_list(server: Server) -> None:
    found = make(server, capacity=200, filters={"tier": ["medium"], "min_probability": 0.5})
    probabilities = [one["probability"] for one in found["contact"] + found["held_out"]]
    assert (min(probabilities), max(probabilities)) == (0.5, 0.78)
    assert found["filters"] == {"tier": ["medium"], "min_probability": 0.5}
    assert found["warnings"][0].endswith("of 200 to contact: the filters leave no more")


def test_a_list_by_value_takes_the_most_at_risk_first(server: Server) -> None:
    found = make(server, rank_by="value_at_risk", filters={"min_value": 50_000})
    values = [one["value_at_risk_minor"] for one in found["contact"]]
    assert values == sorted(values, reverse=True)
    assert min(values) >= 50_000


@pytest.mark.parametrize("column", ["stage", "segment", "action"])
def test_words_of_the_records_narrow_a_list(server: Server, column: str) -> None:
    scores = server.watcher.published.require_scores()
    word = scores.words(column)[1]
    found = make(server, capacity=100, filters={column: [word]})
    records = [json.loads(scores.record(id) or b"") for id in everybody(found)]
    assert {record[column] for record in records} == {word}
    assert found["counts"]["candidates"] == len(records)


def test_who_must_not_be_contacted_is_on_no_list_in_no_arm(tmp_path: Path) -> None:
    put_scores(Home(tmp_path), refuse=True)
    with serving(tmp_path) as server:
        found = make(server, capacity=200)
    refused = {id for i, id in enumerate(customer_ids()) if i % 7 == 3}
    population = {id for i, id in enumerate(customer_ids()) if i % 10 != 9}
    assert set(everybody(found)) == population - refused
    assert found["counts"]["without_consent"] == len(population & refused)


# The hold-out


@given(st.text(max_size=30), st.binary(min_size=32, max_size=32))
def test_where_a_customer_falls_is_the_hmac_of_the_id(id: str, key: bytes) -> None:
    # RFC 2104, by hand: keys of 32 bytes are filled up to the block of 64.
    inner = hashlib.sha256(bytes(k ^ 0x36 for k in key.ljust(64, b"\0")) + id.encode()).digest()
    outer = hashlib.sha256(bytes(k ^ 0x5C for k in key.ljust(64, b"\0")) + inner).digest()
    share = share_of(id, key=key)
    assert 0 <= share < 1
    assert share == pytest.approx(int.from_bytes(outer[:8], "big") / 2**64, abs=1e-15)


def test_shares_are_uniform_and_another_key_shuffles_anew() -> None:
    names = [f"C{i:06d}" for i in range(20_000)]
    first, second = (np.array([share_of(n, key=key * 32) for n in names]) for key in (b"a", b"b"))
    assert stats.kstest(first, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(len(names))


@given(st.integers(1, 30), st.floats(0.01, 0.5), st.binary(min_size=32, max_size=32))
def test_a_pick_is_a_stretch_of_the_ranking_that_ends_with_the_last_to_contact(
    capacity: int, hold_out: float, key: bytes
) -> None:
    order = [Candidate(f"c{i}", None) for i in range(40)]
    experiment = Experiment("x", key, hold_out, "call")
    found = assign(order, experiment=experiment, capacity=capacity, known={"c1", "c3"})
    listed = [decision.candidate.customer_id for decision in found.decisions]
    free = [who.customer_id for who in order if who.customer_id not in ("c1", "c3")]
    assert listed == free[: len(listed)]
    treated = [decision.arm == "treat" for decision in found.decisions]
    assert sum(treated) == capacity or len(listed) == len(free)
    assert sum(treated) <= capacity
    assert all(d.arm == experiment.arm(d.candidate.customer_id) for d in found.decisions)


def test_a_customer_falls_the_same_way_within_an_experiment_and_is_listed_once(
    server: Server,
) -> None:
    first = make(server, hold_out=0.4)
    second = make(server, capacity=15)
    assert second["hold_out"] == 0.4
    assert set(everybody(first)) & set(everybody(second)) == set()
    assert second["counts"]["in_experiment"] == len(everybody(first))
    again = make(server, capacity=100, again=True)
    for found in (first, second):
        assert set(ids(found["held_out"])) <= set(ids(again["held_out"]))
        assert set(ids(found["contact"])) <= set(ids(again["contact"]))


def test_another_experiment_holds_out_others(server: Server) -> None:
    held = [
        tuple(ids(make(server, experiment=f"x{k}", capacity=60, hold_out=0.5)["held_out"]))
        for k in range(4)
    ]
    assert len(set(held)) == 4


def test_lists_made_at_once_share_nobody(server: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: make(server, capacity=30), range(4)))
    listed = [id for one in found for id in everybody(one)]
    assert len(listed) == len(set(listed))
    assert len({one["list_id"] for one in found}) == 4


# Kept and read again


def test_a_list_is_read_again_as_it_was_made_whatever_is_published_since(home: Home) -> None:
    with serving(home.root) as server:
        made = make(server, filters={"min_probability": 0.3})
    put_scores(home, ids=["z1", "z2"])
    with serving(home.root, now=NOW + timedelta(days=1)) as server:
        response = server.http.get(f"{PATH}/{made['list_id']}")
    assert response.json() == made


@pytest.mark.parametrize("arm", ["treat", "control", "all"])
def test_a_file_holds_those_to_contact_unless_it_is_asked_for_others(
    server: Server, arm: str
) -> None:
    made = make(server, hold_out=0.5)
    asked = {} if arm == "treat" else {"arm": arm}
    response = server.http.get(
        f"{PATH}/{made['list_id']}", params=asked, headers={"Accept": "text/csv"}
    )
    rows = list(csv.DictReader(io.StringIO(response.text)))
    expected = {
        "treat": ids(made["contact"]),
        "control": ids(made["held_out"]),
        "all": everybody(made),
    }[arm]
    assert [row["customer_id"] for row in rows] == expected
    assert {(row["arm"], row["action"]) for row in rows} <= {("treat", "call"), ("control", "")}


def test_odd_ids_come_through(server: Server) -> None:
    made = make(server, capacity=200, hold_out=0.1)
    text = server.http.get(
        f"{PATH}/{made['list_id']}", params={"arm": "all"}, headers={"Accept": "text/csv"}
    ).text
    told = [row["customer_id"] for row in csv.DictReader(io.StringIO(text))]
    assert sorted(told) == sorted(ranking())


def test_the_same_request_with_its_key_makes_one_list(server: Server) -> None:
    key = {"Idempotency-Key": "march"}
    first, second = make(server, headers=key), make(server, headers=key)
    assert first == second
    other = server.http.post(PATH, json={**ASK, "capacity": 3}, headers=key)
    problem(other, 409, "key-reused")
    assert len(make(server)["contact"]) == 20


def test_a_key_that_made_a_list_is_no_key_of_overrides(server: Server) -> None:
    make(server, headers={"Idempotency-Key": "k"})
    body = {
        "made_by": "a",
        "reason": "b",
        "overrides": [{"queue": "q", "start": "2026-03-23T09:00:00Z", "volume": 1}],
    }
    response = server.http.post(
        "/v1/forecast/overrides", json=body, headers={"Idempotency-Key": "k"}
    )
    problem(response, 409, "key-reused")


def test_a_database_of_before_takes_lists(home: Home) -> None:
    with serving(home.root) as server:
        make(server)
    with sqlite3.connect(home.database) as connection:
        for table in ("list_decisions", "contact_lists", "experiments"):
            connection.execute(f"DROP TABLE {table}")
    with serving(home.root) as server:
        problem(server.http.get(f"{PATH}/x"), 404, "unknown-name")
        assert make(server)["counts"]["in_experiment"] == 0


def test_nothing_is_kept_of_a_list_that_failed_half_way(home: Home) -> None:
    store = ListStore(Database.of(home))
    with serving(home.root) as server:
        made = make(server)
    with sqlite3.connect(home.database) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON list_decisions "
            "WHEN NEW.place = 5 BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    with serving(home.root) as server:
        response = server.http.post(PATH, json={**ASK, "experiment": "other"})
    problem(response, 503, "database")
    with sqlite3.connect(home.database) as connection:
        assert connection.execute("SELECT count(*) FROM contact_lists").fetchone() == (1,)
        assert connection.execute("SELECT experiment FROM experiments").fetchall() == [("winback",)]
    assert store.find(made["list_id"]).count("treat") == 20


# What is refused


@pytest.mark.parametrize("capacity", [0, -1, 20_001, 1.5, "20", True, None])
def test_a_capacity_that_is_none_is_named(server: Server, capacity: Any) -> None:
    refused(server, "capacity", capacity=capacity)


def test_no_hold_out_is_refused_with_the_reason(server: Server) -> None:
    assert "such as 0.05" in refused(server, "hold_out", hold_out=0)


@pytest.mark.parametrize("hold_out", [-0.1, 0.51, 1, "x"])
def test_a_hold_out_that_is_none_is_named(server: Server, hold_out: Any) -> None:
    refused(server, "hold_out", hold_out=hold_out)


def test_an_experiment_keeps_its_hold_out_and_its_action(server: Server) -> None:
    make(server, hold_out=0.2)
    assert "began" in refused(server, "hold_out", hold_out=0.3)
    assert "`call`" in refused(server, "action", action="discount")
    assert make(server, hold_out=0.2)["hold_out"] == 0.2


def test_a_list_of_nobody_says_why(server: Server) -> None:
    assert "of 0 customers" in refused(server, "filters", filters={"min_probability": 1})
    make(server, capacity=1000)
    message = refused(server, "filters")
    assert "180 are in the experiment already" in message
    assert "`again`" in message


@pytest.mark.parametrize("name", ["", "a b", "x/y", "-x", "x" * 65, "名"])
def test_a_name_that_no_address_can_hold_is_refused(server: Server, name: str) -> None:
    refused(server, "experiment", experiment=name)


@pytest.mark.parametrize("action", ["", "x" * 65, "two\nlines", None])
def test_an_action_that_is_none_is_named(server: Server, action: Any) -> None:
    refused(server, "action", action=action)


def test_a_tier_that_nobody_knows_is_named(server: Server) -> None:
    response = server.http.post(PATH, json={**ASK, "filters": {"tier": ["hihg"]}})
    document = problem(response, 404, "unknown-name")
    assert "did you mean `high`?" in document["detail"].lower()


def test_an_unknown_list_is_named(server: Server) -> None:
    made = make(server)
    document = problem(server.http.get(f"{PATH}/{made['list_id'][:-1]}9"), 404, "unknown-name")
    assert made["list_id"] in document["detail"]


def test_without_scores_the_answer_says_what_to_run(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        document = problem(server.http.post(PATH, json=ASK), 409, "not-published")
    assert "python -m serving score" in document["detail"]
