"""A forecast asked for in shorter intervals than the queue's own, over HTTP."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forecast_world import at, planners_forecast
from serving_client import Server, serving
from serving_world import MADE_AT, NOW

from features.artefact import point_to
from features.calendar.clock import to_epoch
from features.home import Home
from serving.models.volume.forecast import VolumeForecast
from serving.published.forecast_set import write_forecast_set

RAMP = np.array([0.1, 0.2, 0.3, 0.4])
WEEK = {"start": "2026-03-23T00:00:00Z", "end": "2026-03-30T00:00:00Z"}
"""``chat`` and ``mail`` have intervals of 60 minutes, ``phone`` of 30."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("home")
    made = planners_forecast()
    ramped = {name: replace(f, quarters=np.tile(RAMP, (168, 1))) for name, f in made.queues.items()}
    put(root, replace(made, queues=ramped))
    with serving(root) as running:
        yield running


def put(root: Path, forecast: VolumeForecast) -> None:
    home = Home(root)
    id = write_forecast_set(
        home.forecasts, forecast=forecast, snapshot="s", model_version="m", now=NOW
    )
    point_to(home.forecasts, id)


def ask(server: Server, path: str = "/v1/forecast", **asked: Any) -> dict[str, Any]:
    response = server.http.post(path, json={**WEEK, **asked})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def intervals(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = next(
        q["intervals"] for q in answer["queues"] if q["queue"] == name
    )
    return found


def means(answer: dict[str, Any], name: str) -> np.ndarray:
    return np.array([i["volume"]["mean"] for i in intervals(answer, name)])


def test_quarters_of_hours_and_of_half_hours_add_up(server: Server) -> None:
    own, quarters = ask(server, parts=True), ask(server, parts=True, interval_minutes=15)
    for name, pieces in (("chat", 4), ("mail", 4), ("phone", 2)):
        found = means(quarters, name)
        assert found.reshape(-1, pieces).sum(axis=1) == pytest.approx(means(own, name), abs=1e-6)
        for part in ("season", "event", "orders"):
            sums, wanted = (
                np.array([i["parts"][part] for i in intervals(answer, name)])
                for answer in (quarters, own)
            )
            assert sums.reshape(-1, pieces).sum(axis=1) == pytest.approx(wanted, abs=1e-6)
    assert means(quarters, "chat")[:4] == pytest.approx(means(own, "chat")[0] * RAMP, abs=1e-6)
    assert {q["interval_minutes"] for q in quarters["queues"]} == {15}


def test_each_quarter_has_its_own_quantiles_and_the_hours_handle_time(server: Server) -> None:
    own, quarters = (
        intervals(ask(server, queues=["chat"], interval_minutes=m), "chat") for m in (60, 15)
    )
    for k, found in enumerate(quarters[:400]):
        assert found["aht_seconds"] == own[k // 4]["aht_seconds"]
        levels = list(found["volume"]["quantiles"].values())
        assert levels == sorted(levels)
        assert levels[-1] < max(own[k // 4]["volume"]["quantiles"].values())


def test_the_own_length_gives_the_published_forecast(server: Server) -> None:
    asked = {"queues": ["chat"]}
    assert ask(server, **asked, interval_minutes=60) == ask(server, **asked)


def test_a_span_that_begins_within_an_hour_holds_its_later_quarters(server: Server) -> None:
    span = {"start": "2026-03-24T10:20:00Z", "end": "2026-03-24T11:20:00Z"}
    found = intervals(ask(server, queues=["mail"], interval_minutes=15, **span), "mail")
    assert [i["start"][11:16] for i in found] == ["10:30", "10:45", "11:00", "11:15"]
    whole = intervals(ask(server, queues=["mail"], interval_minutes=60, **span), "mail")
    assert [i["start"][11:16] for i in whole] == ["11:00"]


def test_a_length_longer_than_the_own_one_is_refused(server: Server) -> None:
    response = server.http.post("/v1/forecast", json={**WEEK, "interval_minutes": 60})
    assert response.status_code == 422
    said = response.json()
    assert said["errors"][0]["field"] == "interval_minutes"
    assert "`phone`" in response.text
    assert "15, 30" in response.text


def test_paths_are_drawn_on_the_new_grid(server: Server) -> None:
    answer = ask(
        server, queues=["chat"], interval_minutes=15, paths={"count": 50, "seed": 3},
        start="2026-03-23T00:00:00Z", end="2026-03-24T00:00:00Z",
    )  # fmt: skip
    paths = np.array(answer["queues"][0]["paths"])
    assert paths.shape == (50, 96)
    assert paths.mean() == pytest.approx(means(answer, "chat").mean(), rel=0.1)


def test_a_change_comes_before_the_split(server: Server) -> None:
    what_if = {"scale_volume": [{"factor": 2.0, "queues": ["mail"]}]}
    plain = ask(server, queues=["mail"], interval_minutes=15)
    twice = ask(server, queues=["mail"], interval_minutes=15, what_if=what_if)
    assert means(twice, "mail") == pytest.approx(2 * means(plain, "mail"), abs=0.002)
    assert twice["what_if"] is True


def test_totals_of_the_split_forecast_are_those_of_the_whole_one(server: Server) -> None:
    own = ask(server, "/v1/forecast/totals", queues=["chat"])
    quarters = ask(server, "/v1/forecast/totals", queues=["chat"], interval_minutes=15)
    whole, split = own["groups"][0], quarters["groups"][0]
    assert split["interval_minutes"] == 15
    assert split["span"]["total"]["mean"] == pytest.approx(whole["span"]["total"]["mean"], abs=0.01)
    assert split["span"]["peak"]["mean"] == pytest.approx(
        0.4 * whole["span"]["peak"]["mean"], abs=0.01
    )


def test_a_spreadsheet_gets_quarters_and_another_etag(server: Server) -> None:
    query = {"queue": "chat", "start": WEEK["start"], "end": WEEK["end"]}
    csv_header = {"accept": "text/csv"}
    own = server.http.get("/v1/forecast", params=query, headers=csv_header)
    split = server.http.get(
        "/v1/forecast", params={**query, "interval_minutes": "15"}, headers=csv_header
    )
    rows = list(csv.DictReader(io.StringIO(split.text)))
    assert len(rows) == 4 * (len(own.text.splitlines()) - 1)
    assert rows[1]["start"] == "2026-03-23T00:15:00Z"
    assert own.headers["etag"] != split.headers["etag"]
    again = server.http.get(
        "/v1/forecast",
        params={**query, "interval_minutes": "15"},
        headers={**csv_header, "if-none-match": split.headers["etag"]},
    )
    assert again.status_code == 304


def test_too_many_short_intervals_are_refused_before_they_are_made(tmp_path: Path) -> None:
    made = planners_forecast()
    chat = made.queues["chat"]
    many = {}
    for k in range(60):
        queue = replace(chat.queue, queue=f"chat{k}")
        many[queue.queue] = replace(chat, queue=queue)
    put(tmp_path, replace(made, queues=many))
    with serving(tmp_path) as running:
        asked = {"end": "2026-04-17T00:00:00Z"}
        assert running.http.post("/v1/forecast", json=asked).status_code == 200
        response = running.http.post("/v1/forecast", json={**asked, "interval_minutes": 15})
        assert response.status_code == 422
        assert f"{60 * 28 * 96} intervals" in response.text


def test_the_world_begins_where_the_tests_think() -> None:
    assert to_epoch(MADE_AT) == to_epoch(at(20))
