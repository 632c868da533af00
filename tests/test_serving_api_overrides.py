"""A planner's own numbers over HTTP: kept in layers, in force, taken back, never lost."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forecast_world import planners_forecast, put_planners_forecast
from serving_client import Server, serving
from serving_world import MADE_AT, NOW

from features.artefact import point_to
from features.calendar.clock import to_epoch
from features.home import Home
from serving.api import openapi
from serving.api.forecast.responses import ForecastResponse, TotalsResponse
from serving.api.overrides.schemas import OverrideEntry, OverridesResponse, OverridesStored
from serving.files.connect import HEADER as CONNECT_HEADER
from serving.models.volume.distribution import lead_bucket, plain_shape
from serving.models.volume.forecast import rest
from serving.published.forecast_set import write_forecast_set

PATH = "/v1/forecast/overrides"
# A Monday: `phone` (Berlin, 30 minutes) is open from 07:00 to 17:00 UTC.
NINE, TEN, ELEVEN = ("2026-03-23T09:00:00Z", "2026-03-23T10:00:00Z", "2026-03-23T11:00:00Z")
HALF = "2026-03-23T09:30:00Z"
MORNING = {"queues": ["phone"], "start": NINE, "end": ELEVEN}
FORECAST = planners_forecast()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    put_planners_forecast(Home(tmp_path))
    return Home(tmp_path)


@pytest.fixture
def server(home: Home) -> Iterator[Server]:
    with serving(home.root, refresh_seconds=0.05) as running:
        yield running


def one(volume: float, start: str = NINE, *, queue: str = "phone", **more: Any) -> dict[str, Any]:
    return {"queue": queue, "start": start, "volume": volume, **more}


def send(server: Server, *overrides: dict[str, Any], by: str = "Ann", **more: Any) -> list[Any]:
    body = {"made_by": by, "reason": "TV spot", "overrides": list(overrides)}
    response = server.http.post(PATH, json=body, **more)
    assert response.status_code == 201, response.text
    OverridesStored.model_validate_json(response.content)
    found: list[Any] = response.json()["overrides"]
    return found


def take_back(server: Server, override_id: str, by: str = "Bob") -> dict[str, Any]:
    body = {"made_by": by, "reason": "fell out"}
    response = server.http.post(f"{PATH}/{override_id}/withdraw", json=body)
    assert response.status_code == 200, response.text
    OverrideEntry.model_validate_json(response.content)
    found: dict[str, Any] = response.json()
    return found


def ask(server: Server, **body: Any) -> dict[str, Any]:
    response = server.http.post("/v1/forecast", json={**MORNING, **body})
    assert response.status_code == 200, response.text
    ForecastResponse.model_validate_json(response.content)
    found: dict[str, Any] = response.json()
    return found


def means(server: Server, **body: Any) -> list[float]:
    (queue,) = ask(server, **body)["queues"]
    return [interval["volume"]["mean"] for interval in queue["intervals"]]


def listed(server: Server, **query: Any) -> list[Any]:
    response = server.http.get(PATH, params=query)
    assert response.status_code == 200, response.text
    OverridesResponse.model_validate_json(response.content)
    found: list[Any] = response.json()["overrides"]
    return found


def until(holds: Callable[[], bool]) -> None:
    """Wait for what a worker finds when it next looks."""
    for _ in range(500):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("the worker never saw it")


def model_means(*starts: str, queue: str = "phone") -> list[float]:
    forecast = FORECAST.queues[queue]
    rows = np.searchsorted(forecast.starts, [to_epoch(datetime.fromisoformat(s)) for s in starts])
    return forecast.mean[rows].tolist()


def problem(response: Any, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    openapi.ProblemDetails.model_validate_json(response.content)
    document: dict[str, Any] = response.json()
    assert document["type"] == f"/docs#problem-{kind}"
    return document


# In force


def test_an_override_is_in_force_at_once_and_says_whose_it_is(server: Server) -> None:
    before = ask(server)
    (kept,) = send(server, one(50, aht_seconds=200))
    after = ask(server)
    first, *others = after["queues"][0]["intervals"]
    was, *same = before["queues"][0]["intervals"]
    assert (first["volume"]["mean"], first["aht_seconds"]) == (50.0, 200.0)
    assert (first["published"], was["published"]) == ("override", "model")
    assert first["override_id"] == kept["override_id"]
    assert first["model_mean"] == was["volume"]["mean"]
    assert others == same
    assert "override_id" not in others[0]
    assert before["overrides"] == []
    assert after["overrides"] == [
        {
            "override_id": kept["override_id"],
            "queue": "phone",
            "made_by": "Ann",
            "made_at": "2026-03-20T00:10:00Z",
            "reason": "TV spot",
        }
    ]
    assert kept["model_volume"] == was["volume"]["mean"]
    assert (kept["volume"], kept["in_force"], kept["end"]) == (50.0, True, HALF)


def test_the_band_is_the_models_shape_around_the_planners_mean(server: Server) -> None:
    send(server, one(50))
    first = ask(server, quantiles=[0.1, 0.5, 0.9])["queues"][0]["intervals"][0]
    lead = np.array([(to_epoch(datetime.fromisoformat(NINE)) - to_epoch(MADE_AT)) / 3600])
    wanted = plain_shape(0.05).quantiles(np.array([50.0]), lead_bucket(lead))[0, [1, 9, 17]]
    assert list(first["volume"]["quantiles"].values()) == pytest.approx(wanted, abs=1e-3)


def test_an_override_by_the_models_own_number_changes_no_number(server: Server) -> None:
    before = ask(server)["queues"][0]["intervals"]
    send(server, one(model_means(NINE)[0]))
    after = ask(server)["queues"][0]["intervals"]
    assert [i["volume"] for i in after] == [i["volume"] for i in before]
    assert [i["aht_seconds"] for i in after] == [i["aht_seconds"] for i in before]


def test_the_parts_go_on_explaining_the_model(server: Server) -> None:
    send(server, one(50))
    first = ask(server, parts=True)["queues"][0]["intervals"][0]
    assert first["volume"]["mean"] == 50.0
    assert sum(first["parts"].values()) == pytest.approx(first["model_mean"], abs=6e-4)
    assert first["model_mean"] == pytest.approx(model_means(NINE)[0], abs=6e-4)


def test_sample_paths_and_totals_follow_the_planner(server: Server) -> None:
    send(server, one(50), one(70, HALF))
    drawn = np.array(ask(server, paths={"count": 1000})["queues"][0]["paths"])
    assert drawn[:, :2].mean(axis=0) == pytest.approx([50, 70], rel=0.02)
    body = {**MORNING, "end": TEN}
    found = server.http.post("/v1/forecast/totals", json=body)
    TotalsResponse.model_validate_json(found.content)
    assert found.json()["groups"][0]["span"]["total"]["mean"] == 120.0
    assert found.json()["groups"][0]["span"]["peak"] | {"quantiles": 0} == {
        "start": HALF,
        "start_local": "2026-03-23T10:30:00+01:00",
        "mean": 70.0,
        "quantiles": 0,
    }
    assert len(found.json()["overrides"]) == 2


def test_agents_are_staffed_for_the_planners_numbers(server: Server) -> None:
    body = {**MORNING, "end": HALF, "policy": {"kind": "mean"}}
    before = server.http.post("/v1/staffing", json=body).json()
    (kept,) = send(server, one(200, aht_seconds=600))
    after = server.http.post("/v1/staffing", json=body).json()
    small, large = (found["intervals"][0] for found in (before, after))
    assert large["volume"] == 200.0
    # 200 contacts of 600 s in half an hour are 66.7 erlangs.
    assert large["agents_on_phone"] > 66 > small["agents_on_phone"]
    assert (small["published"], large["published"]) == ("model", "override")
    assert large["override_id"] == kept["override_id"]
    assert [override["override_id"] for override in after["overrides"]] == [kept["override_id"]]


def test_the_first_page_shows_the_planners_numbers_and_says_so(server: Server) -> None:
    starts = [f"2026-03-23T{hour:02d}:00:00Z" for hour in range(7, 17)]
    send(server, *(one(3_000, start) for start in starts))
    page = unescape(server.http.get("/").text)
    assert "In 10 intervals a planner's own numbers are in force (by Ann)" in page


def test_the_models_own_forecast_can_be_asked_for(server: Server) -> None:
    plain = ask(server)
    send(server, one(50))
    assert ask(server, overrides=False) == plain
    query = f"/v1/forecast?queue=phone&start={NINE}&end={ELEVEN}"
    assert server.http.get(f"{query}&overrides=false").json() == plain
    assert server.http.get(query).json() == ask(server)


def test_a_what_if_starts_from_the_planners_numbers(server: Server) -> None:
    send(server, one(50))
    found = ask(server, parts=True, what_if={"scale_volume": [{"factor": 2}]})
    first = found["queues"][0]["intervals"][0]
    assert first["volume"]["mean"] == 100.0
    assert first["model_mean"] == pytest.approx(2 * model_means(NINE)[0], abs=1e-3)
    assert first["published"] == "override"


def test_shorter_intervals_share_the_planners_number_and_name_it(server: Server) -> None:
    (kept,) = send(server, one(50))
    intervals = ask(server, interval_minutes=15)["queues"][0]["intervals"]
    assert sum(i["volume"]["mean"] for i in intervals[:2]) == pytest.approx(50, abs=2e-3)
    assert [i.get("override_id") for i in intervals[:4]] == [kept["override_id"]] * 2 + [None] * 2
    model = sum(i["model_mean"] for i in intervals[:2])
    assert model == pytest.approx(model_means(NINE)[0], abs=2e-3)


def test_a_table_says_whose_each_number_is(server: Server) -> None:
    (kept,) = send(server, one(50))
    address = f"/v1/forecast?queue=phone&start={NINE}&end={TEN}&quantile=0.5"
    text = server.http.get(address, headers={"Accept": "text/csv"}).text
    head, first, second = (line.split(",") for line in text.splitlines())
    rows = [dict(zip(head, row, strict=True)) for row in (first, second)]
    assert [row["published"] for row in rows] == ["override", "model"]
    assert [row["override_id"] for row in rows] == [kept["override_id"], ""]
    assert float(rows[0]["model_mean"]) == pytest.approx(model_means(NINE)[0], abs=6e-4)
    assert (rows[0]["volume_mean"], rows[1]["model_mean"]) == ("50.0", "")


def test_the_etag_changes_with_the_layers_of_the_queues_asked_for(server: Server) -> None:
    def tag(queue: str) -> str:
        return server.http.get(f"/v1/forecast?queue={queue}").headers["etag"]

    phone, mail = tag("phone"), tag("mail")
    (kept,) = send(server, one(50))
    assert tag("phone") != phone
    assert tag("mail") == mail
    take_back(server, kept["override_id"])
    assert tag("phone") == phone


# A span


def test_a_span_is_split_in_proportion_to_the_model(server: Server) -> None:
    (kept,) = send(server, one(100, NINE, end=TEN))
    model = np.array(model_means(NINE, HALF))
    assert means(server)[:2] == pytest.approx(100 * model / model.sum(), abs=6e-4)
    assert (kept["intervals"], kept["in_force_intervals"]) == (2, 2)
    assert kept["model_volume"] == pytest.approx(model.sum(), abs=6e-4)


def test_a_days_closed_hours_get_no_contacts(server: Server) -> None:
    day = {"start": "2026-03-23T00:00:00+01:00", "end": "2026-03-24T00:00:00+01:00"}
    (kept,) = send(server, {"queue": "phone", **day, "volume": 1_000})
    found = ask(server, **day)["queues"][0]["intervals"]
    assert sum(i["volume"]["mean"] for i in found) == pytest.approx(1_000, abs=0.02)
    assert {i["published"] for i in found if i["is_open"]} == {"override"}
    assert {i["published"] for i in found if not i["is_open"]} == {"model"}
    assert kept["intervals"] == 20


def test_a_span_may_be_said_by_its_length(server: Server) -> None:
    (kept,) = send(server, one(100, interval_minutes=120))
    assert (kept["end"], kept["intervals"]) == (ELEVEN, 4)


def test_an_hour_that_is_forecast_as_zero_is_split_evenly(home: Home) -> None:
    nothing = planners_forecast()
    phone = nothing.queues["phone"]
    empty = replace(
        phone,
        mean=phone.mean * 0,
        parts=phone.parts * 0,
        quantiles=phone.quantiles * 0,
    )
    publish(home, replace(nothing, queues={**nothing.queues, "phone": empty}))
    with serving(home.root) as server:
        send(server, one(100, NINE, end=ELEVEN))
        assert means(server) == [25.0] * 4


# Layers


def test_the_override_made_last_counts_and_taking_it_back_gives_the_one_below(
    server: Server,
) -> None:
    (whole,) = send(server, one(100, NINE, end=ELEVEN))
    under = means(server)
    (top,) = send(server, one(7, HALF))
    assert means(server) == [under[0], 7.0, *under[2:]]
    assert [override["in_force_intervals"] for override in listed(server)] == [3, 1]
    taken = take_back(server, top["override_id"])
    assert taken["withdrawn"] == {
        "made_by": "Bob",
        "made_at": "2026-03-20T00:10:00Z",
        "reason": "fell out",
    }
    assert (taken["in_force"], taken["made_by"]) == (False, "Ann")
    assert means(server) == under
    take_back(server, whole["override_id"])
    assert means(server) == pytest.approx(
        model_means(NINE, HALF, TEN, "2026-03-23T10:30:00Z"), abs=6e-4
    )
    assert len(listed(server)) == 2
    assert listed(server, include="in_force") == []


def test_taking_back_what_lies_below_changes_nothing_above(server: Server) -> None:
    (below,) = send(server, one(100))
    send(server, one(50))
    take_back(server, below["override_id"])
    assert means(server)[0] == 50.0


def test_who_took_an_override_back_first_stays_named(server: Server) -> None:
    (kept,) = send(server, one(50))
    first = take_back(server, kept["override_id"], by="Bob")
    assert take_back(server, kept["override_id"], by="Cid") == first


def test_an_override_without_a_handle_time_leaves_it_to_the_model(server: Server) -> None:
    send(server, one(50, aht_seconds=111))
    send(server, one(60))
    first = ask(server)["queues"][0]["intervals"][0]
    assert (first["volume"]["mean"], first["aht_seconds"]) == (60.0, 300.0)


def test_the_layers_are_listed_with_what_they_replaced(server: Server) -> None:
    send(server, one(50), one(9, queue="mail"))
    send(server, one(60), by="Bob")
    every = listed(server)
    assert [(e["queue"], e["volume"], e["made_by"]) for e in every] == [
        ("phone", 50.0, "Ann"),
        ("mail", 9.0, "Ann"),
        ("phone", 60.0, "Bob"),
    ]
    assert [e["in_force"] for e in every] == [False, True, True]
    assert [e["volume"] for e in listed(server, queue="phone", include="in_force")] == [60.0]
    assert listed(server, start=TEN) == []
    assert listed(server, end=NINE) == []
    assert len(listed(server, start=HALF)) == 1  # the hour of `mail` ends at ten
    assert all(e["model_volume"] == every[0]["model_volume"] for e in (every[0], every[2]))


# Over time


def test_a_new_published_set_does_not_take_overrides_away(home: Home, server: Server) -> None:
    send(server, one(100, NINE, end=TEN))
    before = means(server)[:2]
    id = publish(home, replace(FORECAST, made_at=MADE_AT + timedelta(hours=1)))
    until(lambda: bool(ask(server)["forecast_set"] == id))
    assert means(server)[:2] == before


def test_an_intraday_set_keeps_what_is_left_of_a_span(home: Home, server: Server) -> None:
    send(server, one(100, NINE, end=ELEVEN))
    before = means(server)
    at = datetime(2026, 3, 23, 10, tzinfo=UTC)
    left = {name: rest(queue, now=at) for name, queue in FORECAST.queues.items()}
    id = publish(home, replace(FORECAST, made_at=at, as_of=at, queues=left), base="full")
    until(lambda: bool(ask(server, start=TEN)["forecast_set"] == id))
    assert means(server, start=TEN) == before[2:]


def test_what_has_begun_keeps_the_number_that_was_taken_back_later(home: Home) -> None:
    with serving(home.root) as server:
        (kept,) = send(server, one(100, NINE, end=TEN))
        before = means(server)
    with serving(home.root, now=datetime(2026, 3, 23, 9, 10, tzinfo=UTC)) as server:
        taken = take_back(server, kept["override_id"])
        assert (taken["in_force_intervals"], taken["intervals"]) == (1, 2)
        model = model_means(HALF)[0]
        assert means(server)[:2] == pytest.approx([before[0], model], abs=6e-4)


def test_an_override_that_has_begun_wholly_cannot_be_taken_back(home: Home) -> None:
    with serving(home.root) as server:
        (kept,) = send(server, one(100))
    with serving(home.root, now=datetime(2026, 3, 23, 9, 10, tzinfo=UTC)) as server:
        body = {"made_by": "Bob", "reason": "late"}
        response = server.http.post(f"{PATH}/{kept['override_id']}/withdraw", json=body)
        found = problem(response, 422, "invalid")
        assert found["errors"][0]["field"] == "override_id"
        assert "began at 2026-03-23T09:00:00Z" in found["detail"]


def test_a_restart_keeps_every_layer(home: Home) -> None:
    with serving(home.root) as server:
        send(server, one(50))
        (top,) = send(server, one(60))
        take_back(server, top["override_id"])
        before, overrides = ask(server), listed(server)
    with serving(home.root) as server:
        assert ask(server) == before
        assert listed(server) == overrides


def test_two_workers_see_each_others_overrides(home: Home) -> None:
    with (
        serving(home.root, refresh_seconds=0.05) as left,
        serving(home.root, refresh_seconds=0.05) as right,
    ):
        (kept,) = send(left, one(50))
        until(lambda: ask(left) == ask(right))
        send(right, one(60))
        assert means(right)[0] == 60.0
        until(lambda: means(left)[0] == 60.0)
        take_back(left, listed(left)[1]["override_id"])
        assert means(left)[0] == 50.0
        until(lambda: means(right)[0] == 50.0)
        take_back(right, kept["override_id"])
        until(lambda: ask(left) == ask(right))
        assert listed(left) == listed(right)


def test_a_forecast_is_answered_without_the_database(home: Home) -> None:
    with serving(home.root, refresh_seconds=4) as server:
        send(server, one(50))
        for path in home.root.glob("service.db*"):
            path.unlink()
        assert means(server)[0] == 50.0
        assert not home.database.exists()


def test_without_overrides_no_database_is_made(home: Home, server: Server) -> None:
    ask(server)
    listed(server)
    assert not home.database.exists()


# The same request twice


def test_the_same_key_and_request_give_the_same_answer_and_nothing_new(server: Server) -> None:
    headers = {"Idempotency-Key": "week 13"}
    first = send(server, one(50), headers=headers)
    assert send(server, one(50), headers=headers) == first
    assert len(listed(server)) == 1
    assert send(server, one(50)) != first


def test_a_key_holds_over_a_restart_and_after_the_interval_began(home: Home) -> None:
    headers = {"Idempotency-Key": "k"}
    with serving(home.root) as server:
        first = send(server, one(50), headers=headers)
    with serving(home.root, now=datetime(2026, 3, 24, tzinfo=UTC)) as server:
        assert send(server, one(50), headers=headers) == first


def test_a_key_with_another_request_is_refused(server: Server) -> None:
    headers = {"Idempotency-Key": "k"}
    send(server, one(50), headers=headers)
    body = {"made_by": "Ann", "reason": "TV spot", "overrides": [one(51)]}
    found = problem(server.http.post(PATH, json=body, headers=headers), 409, "key-reused")
    assert found["errors"][0]["field"] == "header.Idempotency-Key"
    assert len(listed(server)) == 1


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_none_is_refused(server: Server, key: str) -> None:
    body = {"made_by": "Ann", "reason": "r", "overrides": [one(50)]}
    response = server.http.post(PATH, json=body, headers={"Idempotency-Key": key})
    problem(response, 422, "invalid")


# What is refused

CLOSED, NOT_YET = "2026-03-21T10:00:00Z", "2026-04-17T00:00:00Z"
WRONG = [
    ({"queue": "fone"}, 404, "overrides.0.queue", "Did you mean `phone`?"),
    ({"start": "2026-03-23T09:10:00Z"}, 422, "overrides.0.start", "intervals of 30 minutes"),
    ({"start": "2026-03-23T09:00:00.5Z"}, 422, "overrides.0.start", "a whole second"),
    ({"end": "2026-03-23T09:45:00Z"}, 422, "overrides.0.end", "the end of one of the queue's"),
    ({"end": NINE}, 422, "overrides.0", "`end` must lie after `start`"),
    ({"end": TEN, "interval_minutes": 60}, 422, "overrides.0", "not both"),
    ({"interval_minutes": 45}, 422, "overrides.0.end", "the end of one of the queue's"),
    ({"start": "2026-03-20T00:00:00Z"}, 422, "overrides.0.start", "that has begun"),
    ({"start": "2026-03-19T09:00:00Z"}, 422, "overrides.0.start", "published span, 2026-03-20T"),
    ({"start": NOT_YET}, 422, "overrides.0.start", "to 2026-04-17T00:00:00Z"),
    ({"end": "2026-04-17T00:30:00Z"}, 422, "overrides.0.end", "to 2026-04-17T00:00:00Z"),
    ({"start": CLOSED}, 422, "overrides.0.start", "closed; expected an open interval. Change the"),
    ({"volume": -1}, 422, "overrides.0.volume", "greater than or equal to 0"),
    ({"volume": 10_000_001}, 422, "overrides.0.volume", "less than or equal to 10000000"),
    ({"volume": "many"}, 422, "overrides.0.volume", "valid number"),
    ({"aht_seconds": 0}, 422, "overrides.0.aht_seconds", "greater than or equal to 0.001"),
    ({"factor": 2}, 422, "overrides.0.factor", "not known here"),
    ({"start": "2026-03-23T09:00:00"}, 422, "overrides.0.start", "no time zone"),
]


@pytest.mark.parametrize(("change", "status", "field", "words"), WRONG)
def test_a_wrong_override_is_refused_by_its_field(
    server: Server, home: Home, change: dict[str, Any], status: int, field: str, words: str
) -> None:
    body = {"made_by": "Ann", "reason": "r", "overrides": [one(50) | change]}
    response = server.http.post(PATH, json=body)
    assert response.status_code == status, response.text
    found = response.json()
    assert [error["field"] for error in found["errors"]] == [field]
    assert words in found["errors"][0]["message"]
    assert not home.database.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"made_by": ""}, "made_by"),
        ({"made_by": "  "}, "made_by"),
        ({"made_by": "x" * 201}, "made_by"),
        ({"made_by": "a\nb"}, "made_by"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 1_001}, "reason"),
        ({"reason": None}, "reason"),
        ({"overrides": []}, "overrides"),
        ({"overrides": "all"}, "overrides"),
        ({"why": "so"}, "why"),
    ],
)
def test_a_wrong_request_is_refused_by_its_field(
    server: Server, change: dict[str, Any], field: str
) -> None:
    body = {"made_by": "Ann", "reason": "r", "overrides": [one(50)]} | change
    found = problem(server.http.post(PATH, json=body), 422, "invalid")
    assert [error["field"] for error in found["errors"]] == [field]


def test_two_overrides_that_overlap_are_refused_with_both_places(server: Server) -> None:
    body = {
        "made_by": "Ann",
        "reason": "r",
        "overrides": [one(1, HALF), one(2, NINE, queue="mail"), one(3, NINE, end=TEN)],
    }
    found = problem(server.http.post(PATH, json=body), 422, "invalid")
    assert found["errors"][0]["field"] == "overrides.0.start"
    assert "inside the span of `overrides.2`" in found["detail"]
    assert listed(server) == []


def test_more_overrides_than_intervals_are_refused_with_the_count(server: Server) -> None:
    intervals = len(FORECAST.queues["mail"].starts)
    many = [one(1, NINE, queue="mail")] * (intervals + 1)
    body = {"made_by": "Ann", "reason": "r", "overrides": many}
    found = problem(server.http.post(PATH, json=body), 422, "invalid")
    assert found["errors"][0]["field"] == "overrides"
    assert f"got {intervals + 1}; expected at most {intervals}" in found["detail"]


def test_all_overrides_of_a_request_are_kept_or_none(server: Server) -> None:
    body = {"made_by": "Ann", "reason": "r", "overrides": [one(50), one(-1, HALF)]}
    assert server.http.post(PATH, json=body).status_code == 422
    body["overrides"][1] = one(5, CLOSED)
    assert server.http.post(PATH, json=body).status_code == 422
    assert listed(server) == []


def test_an_override_that_nobody_made_is_not_found(server: Server) -> None:
    response = server.http.post(f"{PATH}/nope/withdraw", json={"made_by": "A", "reason": "r"})
    problem(response, 404, "unknown-name")
    send(server, one(50))
    response = server.http.post(f"{PATH}/nope/withdraw", json={"made_by": "A", "reason": "r"})
    problem(response, 404, "unknown-name")


def test_before_a_forecast_is_published_nothing_can_be_overridden(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        body = {"made_by": "Ann", "reason": "r", "overrides": [one(50)]}
        problem(server.http.post(PATH, json=body), 409, "not-published")
        assert listed(server) == []


# Trouble with the database


def test_a_damaged_database_leaves_the_models_forecast_with_a_warning(home: Home) -> None:
    with serving(home.root) as server:
        plain = ask(server)
    home.database.write_bytes(b"this is no database" * 100)
    with serving(home.root) as server:
        found = ask(server)
        (warning,) = found["warnings"]
        assert warning.endswith("see /readyz: this is the model's own forecast")
        assert found | {"warnings": []} == plain
        ready = server.http.get("/readyz")
        assert ready.status_code == 200
        assert "file is not a database" in ready.json()["overrides"]["trouble"]
        assert "ebbflow_overrides_unreadable 1.0" in server.http.get("/metrics").text
        assert "overrides unreadable" in server.log()
        assert "cannot be read, see" in server.http.get("/").text
        body = {"made_by": "Ann", "reason": "r", "overrides": [one(50)]}
        assert (
            "EBBFLOW_DATABASE_URL"
            in problem(server.http.post(PATH, json=body), 503, "database")["detail"]
        )
        problem(server.http.get(PATH), 503, "database")
        home.database.unlink()
        send(server, one(50))
        assert ask(server)["warnings"] == []
        assert means(server)[0] == 50.0


def test_a_database_lost_later_leaves_the_overrides_that_were_read(home: Home) -> None:
    with serving(home.root, refresh_seconds=0.05) as server:
        send(server, one(50))
        for path in home.root.glob("service.db*"):
            path.unlink()
        home.database.write_bytes(b"this is no database" * 100)
        until(lambda: ask(server)["warnings"] != [])
        found = ask(server)
        assert found["queues"][0]["intervals"][0]["volume"]["mean"] == 50.0
        assert "those that were read last are in force" in found["warnings"][0]
        assert found["overrides"] != []


def test_a_locked_database_refuses_to_write_and_goes_on_answering(home: Home) -> None:
    with serving(home.root, refresh_seconds=0.05) as server:
        send(server, one(50))
        other = sqlite3.connect(home.database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            body = {"made_by": "Ann", "reason": "r", "overrides": [one(60)]}
            found = problem(server.http.post(PATH, json=body), 503, "database")
            assert "database is locked" in found["detail"]
            time.sleep(0.1)
            assert means(server)[0] == 50.0
            assert ask(server)["warnings"] == []
        finally:
            other.close()


def test_a_home_that_cannot_be_written_is_named_with_its_setting(home: Home) -> None:
    nowhere = f"sqlite:///{home.root}/nowhere/service.db"
    with serving(home.root, database_url=nowhere) as server:
        body = {"made_by": "Ann", "reason": "r", "overrides": [one(50)]}
        found = problem(server.http.post(PATH, json=body), 503, "database")
        assert "EBBFLOW_DATABASE_URL" in found["detail"]
        assert "EBBFLOW_HOME" in found["detail"]
        assert ask(server)["warnings"] == []


def test_an_override_of_hours_that_a_new_set_closes_does_not_count_and_says_so(home: Home) -> None:
    with serving(home.root) as server:
        send(server, one(50))
    phone = FORECAST.queues["phone"]
    shut = phone.starts == to_epoch(datetime.fromisoformat(NINE))
    closed = replace(
        phone,
        is_open=phone.is_open & ~shut,
        mean=np.where(shut, 0.0, phone.mean),
        parts=np.where(shut[:, None], 0.0, phone.parts),
        quantiles=np.where(shut[:, None], 0.0, phone.quantiles),
    )
    publish(home, replace(FORECAST, queues={**FORECAST.queues, "phone": closed}))
    with serving(home.root) as server:
        (queue,) = ask(server)["queues"]
        assert queue["intervals"][0]["volume"]["mean"] == 0.0
        assert queue["intervals"][0]["published"] == "model"
        assert "overrides of 1 intervals do not count: the queue is closed" in queue["warnings"][-1]


# Files


def files(server: Server, form: str, data: bytes, **query: str) -> Any:
    params = {"format": form, "made_by": "Ann", "reason": "import", **query}
    return server.http.post(PATH, params=params, content=data)


def connect(*lines: str) -> bytes:
    return "\r\n".join([",".join(CONNECT_HEADER), *lines, ""]).encode()


def test_a_connect_file_is_taken_line_by_line(server: Server) -> None:
    data = connect(
        f"phone,phone,VOICE,{NINE},30mins,50,200", f"phone,phone,VOICE,{HALF},30mins,60,210"
    )
    response = files(server, "connect", data)
    assert response.status_code == 201, response.text
    OverridesStored.model_validate_json(response.content)
    intervals = ask(server)["queues"][0]["intervals"][:2]
    assert [(i["volume"]["mean"], i["aht_seconds"]) for i in intervals] == [(50, 200), (60, 210)]
    assert listed(server)[0]["reason"] == "import"


@pytest.mark.parametrize("form", ["csv", "genesys"])
def test_what_staffing_exports_comes_back_as_overrides(server: Server, form: str) -> None:
    week = {"start": "2026-03-23T00:00:00+01:00", "end": "2026-03-30T00:00:00+02:00"}
    body = {"queues": ["phone"], **week, "interval_minutes": 15, "policy": {"kind": "mean"}}
    before = ask(server, **week)["queues"][0]["intervals"]
    exported = server.http.post("/v1/staffing", params={"format": form}, json=body)
    assert exported.status_code == 200, exported.text
    response = files(server, form, exported.content)
    assert response.status_code == 201, response.text
    after = ask(server, **week)["queues"][0]["intervals"]
    assert {i["published"] for i in after if i["is_open"]} == {"override"}
    assert [i["volume"]["mean"] for i in after] == pytest.approx(
        [i["volume"]["mean"] for i in before], abs=0.02
    )
    assert response.json()["left_out"] == sum(not i["is_open"] for i in after)


def test_quarters_of_a_longer_interval_are_added_up(server: Server) -> None:
    quarters = [f"2026-03-23T09:{m:02d}:00Z" for m in (0, 15, 30, 45)]
    lines = [f"mail,mail,CHAT,{at},15mins,{k},{100 * k}" for k, at in enumerate(quarters, start=1)]
    assert files(server, "connect", connect(*lines)).status_code == 201
    first = ask(server, queues=["mail"])["queues"][0]["intervals"][0]
    # 1 + 2 + 3 + 4 contacts of 100, 200, 300 and 400 seconds.
    assert (first["volume"]["mean"], first["aht_seconds"]) == (10.0, 300.0)
    response = files(server, "connect", connect(*lines[:3]))
    found = problem(response, 422, "invalid")
    assert "45 of 60 minutes" in found["detail"]


def test_intervals_of_a_file_that_have_begun_are_left_out_and_counted(home: Home) -> None:
    data = connect(
        f"phone,phone,VOICE,{NINE},30mins,50,200", f"phone,phone,VOICE,{HALF},30mins,60,210"
    )
    with serving(home.root, now=datetime(2026, 3, 23, 9, 10, tzinfo=UTC)) as server:
        response = files(server, "connect", data)
        assert response.json()["left_out"] == 1
        assert [e["start"] for e in response.json()["overrides"]] == [HALF]
    with serving(home.root, now=datetime(2026, 3, 23, 9, 40, tzinfo=UTC)) as server:
        found = problem(files(server, "connect", data), 422, "invalid")
        assert "2 intervals that have begun or are closed" in found["detail"]


@pytest.mark.parametrize(
    ("form", "data", "words"),
    [
        ("connect", connect(f"phone,phone,VOICE,{NINE},30mins,many,200"), "line 2, column `Incom"),
        ("connect", connect(f"phone,phone,VOICE,{NINE},30mins,50"), "line 2: got 6 cells"),
        ("connect", b"QueueName\r\n", "the header on line 1"),
        ("connect", connect("fone,fone,VOICE,2026-03-23T09:00:00Z,30mins,5,9"), "`phone`?"),
        ("csv", b"\xff\xfe", "no text at byte 0"),
        ("genesys", b"not gzipped", ""),
        ("genesys", b"", ""),
        ("csv", b"", "the header on line 1"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(
    server: Server, form: str, data: bytes, words: str
) -> None:
    response = files(server, form, data)
    assert response.status_code in (404, 422), response.text
    assert words in response.json()["detail"]
    assert listed(server) == []


def test_a_file_needs_who_and_why_in_the_address(server: Server) -> None:
    data = connect(f"phone,phone,VOICE,{NINE},30mins,50,200")
    for missing in ("made_by", "reason"):
        params = {"format": "connect", "made_by": "Ann", "reason": "r"}
        del params[missing]
        found = problem(server.http.post(PATH, params=params, content=data), 422, "invalid")
        assert found["errors"][0]["field"] == missing
    body = {"made_by": "Ann", "reason": "r", "overrides": [one(50)]}
    response = server.http.post(PATH, params={"made_by": "Bob"}, json=body)
    assert problem(response, 422, "invalid")["errors"][0]["field"] == "made_by"
    response = server.http.post(PATH, params={"format": "xml"}, json=body)
    assert problem(response, 422, "invalid")["errors"][0]["field"] == "query.format"


def publish(home: Home, forecast: Any, **more: Any) -> str:
    words = {"snapshot": "snapshot-2", "model_version": "volume-1", "now": NOW}
    id = write_forecast_set(home.forecasts, forecast=forecast, **words, **more)
    point_to(home.forecasts, id)
    return id
