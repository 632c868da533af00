"""Sample paths, totals and parts over HTTP, added up again by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from forecast_world import NAMES, planned, put_planners_forecast
from serving_client import Server, serving
from serving_world import MADE_AT, NOW, QUEUES, flat_forecast

from features.artefact import point_to
from features.home import Home
from serving.api.forecast.responses import ForecastResponse, TotalsResponse
from serving.models.volume.forecast import PARTS, VolumeForecast
from serving.published.forecast_set import write_forecast_set

WEEK = {"start": "2026-03-26T00:00:00Z", "end": "2026-03-31T00:00:00Z"}
ZONES = {queue.queue: ZoneInfo(queue.time_zone) for queue in QUEUES}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("home")
    put_planners_forecast(Home(root))
    with serving(root) as running:
        yield running


def forecast(server: Server, **body: Any) -> dict[str, Any]:
    response = server.http.post("/v1/forecast", json={**WEEK, **body})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    ForecastResponse.model_validate_json(response.content)
    return found


def totals(server: Server, **body: Any) -> dict[str, Any]:
    response = server.http.post("/v1/forecast/totals", json={**WEEK, **body})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    TotalsResponse.model_validate_json(response.content)
    return found


def local_date(text: str, zone: ZoneInfo) -> str:
    return f"{datetime.fromisoformat(text).astimezone(zone):%Y-%m-%d}"


# Sample paths


def test_the_paths_of_an_interval_follow_its_quantiles(server: Server) -> None:
    levels = [0.1, 0.25, 0.5, 0.75, 0.9]
    found = forecast(server, paths={"count": 1000}, quantiles=levels)
    assert found["paths"] == {"count": 1000, "seed": 0}
    for queue in found["queues"]:
        paths = np.array(queue["paths"])
        assert paths.shape == (1000, len(queue["intervals"]))
        assert (paths >= 0).all()
        for k, interval in enumerate(queue["intervals"]):
            wanted = list(interval["volume"]["quantiles"].values())
            got = np.quantile(paths[:, k], levels)
            assert got == pytest.approx(wanted, abs=1 if wanted[2] < 4 else 0.02 + wanted[2] / 50)
            if not interval["is_open"]:
                assert not paths[:, k].any()


def test_the_same_seed_gives_the_same_paths_and_another_others(server: Server) -> None:
    one, same, other = (
        forecast(server, queues=["phone"], paths={"count": 20, "seed": seed})["queues"][0]["paths"]
        for seed in (3, 3, 4)
    )
    assert one == same
    assert one != other
    assert np.sort(one, axis=0) == pytest.approx(np.sort(other, axis=0))


def test_a_queues_paths_do_not_depend_on_what_else_is_asked_for(server: Server) -> None:
    alone = forecast(server, queues=["mail"], paths={"count": 5})["queues"][0]["paths"]
    among = forecast(server, paths={"count": 5})["queues"][1]["paths"]
    assert alone == among


def test_without_paths_the_answer_has_none(server: Server) -> None:
    found = forecast(server)
    assert "paths" not in found
    assert not any("paths" in queue for queue in found["queues"])


def test_a_day_of_paths_is_more_uncertain_than_if_its_hours_were_apart(server: Server) -> None:
    found = forecast(server, queues=["chat"], paths={"count": 1000})
    paths = np.array(found["queues"][0]["paths"])[:, 24:48]
    apart = np.sqrt(paths.var(axis=0).sum())
    assert paths.sum(axis=1).std() > 1.2 * apart


@pytest.mark.parametrize("path", ["/v1/forecast", "/v1/forecast/totals"])
@pytest.mark.parametrize(
    ("paths", "field"),
    [
        ({"count": 0}, "paths.count"),
        ({"count": 1001}, "paths.count"),
        ({"count": 2.5}, "paths.count"),
        ({"count": True}, "paths.count"),
        ({"seed": -1}, "paths.seed"),
        ({"seed": 2**32}, "paths.seed"),
        ({"seeds": 1}, "paths.seeds"),
        (7, "paths"),
    ],
)
def test_wrong_paths_are_refused_by_their_field(
    server: Server, path: str, paths: Any, field: str
) -> None:
    response = server.http.post(path, json={"paths": paths})
    assert response.status_code == 422
    assert [e["field"] for e in response.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("path", "limit"),
    [("/v1/forecast", "MOST_SENT_VALUES"), ("/v1/forecast/totals", "MOST_TOTALS_VALUES")],
)
def test_too_many_paths_are_refused_with_the_limit(
    server: Server, monkeypatch: pytest.MonkeyPatch, path: str, limit: str
) -> None:
    body = {"queues": ["chat"], **WEEK, "paths": {"count": 10}}
    monkeypatch.setattr(f"serving.api.forecast.routes.{limit}", 5 * 24 * 10)
    assert server.http.post(path, json=body).status_code == 200
    response = server.http.post(path, json=body | {"paths": {"count": 11}})
    assert response.status_code == 422
    assert "120 intervals x 11 paths = 1320 values; expected at most 1200" in response.text
    assert response.json()["errors"][0]["field"] == "paths.count"


# Totals


@pytest.mark.parametrize("by", ["queue", "channel"])
def test_totals_of_a_queue_are_the_sums_of_its_hours_and_paths(server: Server, by: str) -> None:
    levels, paths = [0.1, 0.5, 0.9], {"count": 150, "seed": 9}
    hours = forecast(server, paths=paths, quantiles=levels, parts=True)
    found = totals(server, paths=paths, quantiles=levels, by=by)
    assert found["paths"] == paths
    names = {"queue": list(NAMES), "channel": ["chat", "email", "voice"]}[by]
    assert [group["group"] for group in found["groups"]] == names
    for group, queue in zip(found["groups"], hours["queues"], strict=True):
        drawn, zone = np.array(queue["paths"]), ZONES[queue["queue"]]
        means = np.array([i["volume"]["mean"] for i in queue["intervals"]])
        dates = np.array([local_date(i["start"], zone) for i in queue["intervals"]])
        assert [day["date"] for day in group["days"]] == sorted(set(dates))
        for part, rows in [
            (group["span"], np.full(len(means), fill_value=True)),
            *((day, dates == day["date"]) for day in group["days"]),
        ]:
            starts = [
                i["start"] for i, in_it in zip(queue["intervals"], rows, strict=True) if in_it
            ]
            top = int(np.argmax(means[rows]))
            assert part["start"] == starts[0]
            assert part["total"]["mean"] == pytest.approx(means[rows].sum(), abs=1e-3)
            wanted = np.percentile(drawn[:, rows].sum(axis=1), [10, 50, 90])
            assert list(part["total"]["quantiles"].values()) == pytest.approx(wanted, abs=1)
            assert part["peak"]["start"] == starts[top]
            assert part["peak"]["mean"] == pytest.approx(means[rows][top], abs=6e-4)
            wanted = np.percentile(drawn[:, rows].max(axis=1), [10, 50, 90])
            assert list(part["peak"]["quantiles"].values()) == pytest.approx(wanted, abs=0.02)


def test_the_total_of_all_is_the_sum_of_the_queues(server: Server) -> None:
    paths = {"count": 100, "seed": 1}
    (everything,) = totals(server, by="all", paths=paths)["groups"]
    hours = forecast(server, paths=paths)["queues"]
    assert everything["queues"] == list(NAMES)
    means = [i["volume"]["mean"] for queue in hours for i in queue["intervals"]]
    assert everything["span"]["total"]["mean"] == pytest.approx(sum(means), abs=0.5)
    drawn = sum(np.array(queue["paths"]).sum(axis=1) for queue in hours)
    wanted = np.percentile(drawn, [10, 50, 90])
    got = list(everything["span"]["total"]["quantiles"].values())
    assert got == pytest.approx(wanted, abs=3)


def test_queues_on_several_clocks_are_added_up_by_utc_days(server: Server) -> None:
    (group,) = totals(server, by="all")["groups"]
    assert (group["time_zone"], group["interval_minutes"]) == ("UTC", 60)
    assert "its queues keep different clocks, so its days are UTC days" in group["warnings"]
    assert "`mail`: little history" in group["warnings"]
    assert [day["start"][11:] for day in group["days"]] == ["00:00:00Z"] * 5
    hours = forecast(server)["queues"]
    noon = "2026-03-27T12"
    means = [i["volume"]["mean"] for q in hours for i in q["intervals"] if i["start"][:13] == noon]
    assert len(means) == 4  # two hours, two halves of one
    friday = totals(server, by="all", start="2026-03-27T12:00:00Z", end="2026-03-27T13:00:00Z")[
        "groups"
    ][0]["days"][0]
    assert friday["peak"]["mean"] == pytest.approx(sum(means), abs=3e-3)


def test_a_short_day_is_whole_on_its_own_clock(server: Server) -> None:
    (group,) = totals(server, queues=["phone"])["groups"]
    short = next(day for day in group["days"] if day["date"] == "2026-03-29")
    start, end = (datetime.fromisoformat(short[k]) for k in ("start", "end"))
    assert (end - start).total_seconds() == 23 * 3600
    assert short["total"] == {"mean": 0.0, "quantiles": {"0.1": 0.0, "0.5": 0.0, "0.9": 0.0}}


def test_a_cut_day_says_how_far_the_span_reaches(server: Server) -> None:
    found = totals(
        server, queues=["chat"], start="2026-03-27T10:00:00Z", end="2026-03-27T12:00:00Z"
    )
    (group,) = found["groups"]
    assert group["time_zone"] == "America/New_York"
    (day,) = group["days"]
    assert (day["date"], day["start"][11:16], day["end"][11:16]) == ("2026-03-27", "10:00", "12:00")
    assert day["peak"]["start_local"].endswith("-04:00")


def test_no_quantiles_gives_the_means_alone(server: Server) -> None:
    (group,) = totals(server, queues=["mail"], quantiles=[])["groups"]
    assert group["span"]["total"]["quantiles"] == {}


def test_a_span_without_an_interval_has_no_total(server: Server) -> None:
    (group,) = totals(
        server, queues=["mail"], start="2026-03-27T10:01:00Z", end="2026-03-27T10:59:00Z"
    )["groups"]
    assert (group["span"], group["days"]) == (None, [])


def test_totals_follow_a_what_if(server: Server) -> None:
    (before,) = totals(server, queues=["chat"])["groups"]
    found = totals(server, queues=["chat"], what_if={"scale_volume": [{"factor": 2}]})
    assert found["what_if"] is True
    total = found["groups"][0]["span"]["total"]
    assert total["mean"] == pytest.approx(2 * before["span"]["total"]["mean"], rel=1e-4)
    assert total["quantiles"]["0.1"] > before["span"]["total"]["quantiles"]["0.9"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"by": "team"}, 422, "by"),
        ({"queues": ["fone"]}, 404, "queues.0"),
        ({"end": "2027-01-01T00:00:00Z"}, 422, "end"),
        ({"quantiles": [0.99]}, 422, "quantiles"),
        ({"parts": True}, 422, "parts"),
        ({"queues": ["phone"], "interval_minutes": 60}, 422, "interval_minutes"),
    ],
)
def test_wrong_requests_for_totals_are_refused_by_their_field(
    server: Server, body: dict[str, Any], status: int, field: str
) -> None:
    response = server.http.post("/v1/forecast/totals", json=body)
    assert response.status_code == status
    assert [e["field"] for e in response.json()["errors"]] == [field]


# Parts


def test_the_parts_of_an_interval_add_up_to_its_mean(server: Server) -> None:
    found = forecast(server, parts=True, start="2026-03-20T00:00:00Z")
    for queue in found["queues"]:
        for interval in queue["intervals"]:
            assert list(interval["parts"]) == list(PARTS)
            total = sum(interval["parts"].values())
            assert total == pytest.approx(interval["volume"]["mean"], abs=1e-6)
            if not interval["is_open"]:
                assert set(interval["parts"].values()) == {0.0}
    first = found["queues"][1]["intervals"][0]
    assert first["parts"]["today"] == pytest.approx(0.4 * 1.1 * 0.25, abs=1e-6)
    assert first["baseline"] == 0.0


def test_the_mean_with_parts_is_the_mean_without(server: Server) -> None:
    plain, split = forecast(server), forecast(server, parts=True)
    for a, b in zip(plain["queues"], split["queues"], strict=True):
        for one, other in zip(a["intervals"], b["intervals"], strict=True):
            assert one["volume"]["mean"] == pytest.approx(other["volume"]["mean"], abs=5.01e-4)
            assert one["volume"]["quantiles"] == other["volume"]["quantiles"]
            assert "parts" not in one


def test_parts_come_over_get_and_as_csv_too(server: Server) -> None:
    query = f"queue=chat&start={WEEK['start']}&end={WEEK['end']}"
    plain = server.http.get(f"/v1/forecast?{query}")
    got = server.http.get(f"/v1/forecast?{query}&parts=true")
    assert got.json() == forecast(server, queues=["chat"], parts=True)
    assert got.headers["etag"] != plain.headers["etag"]
    table = server.http.get(f"/v1/forecast?{query}&parts=true", headers={"Accept": "text/csv"})
    head, first, *_ = (line.split(",") for line in table.text.splitlines())
    assert head[-8:] == [*(f"part_{name}" for name in PARTS), "baseline"]
    row = dict(zip(head, first, strict=True))
    parts = sum(float(row[f"part_{name}"]) for name in PARTS)
    assert parts == pytest.approx(float(row["volume_mean"]), abs=1e-6)


@pytest.mark.parametrize("value", ["yes", 1, None, [True]])
def test_parts_are_asked_for_with_true_alone(server: Server, value: Any) -> None:
    response = server.http.post("/v1/forecast", json={"parts": value})
    assert response.status_code == 422
    assert [e["field"] for e in response.json()["errors"]] == ["parts"]


# Where it comes from


def test_an_intraday_set_names_the_full_one_and_a_full_one_names_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    full = put_planners_forecast(home)
    with serving(tmp_path) as server:
        assert server.http.post("/v1/forecast", json={}).json()["base"] is None
    put_planners_forecast(home, base=full)
    with serving(tmp_path) as server:
        for path in ("/v1/forecast", "/v1/forecast/totals", "/v1/staffing"):
            found = server.http.post(path, json={}).json()
            assert found["base"] == full
            assert found["made_at"] == "2026-03-20T00:00:00Z"
            assert found["method"] == "mixed"
            assert found["what_if"] is False


def test_a_set_of_one_queue_without_intervals_is_answered(tmp_path: Path) -> None:
    home = Home(tmp_path)
    chat, mail = (planned(flat_forecast().queues[name]) for name in ("chat", "mail"))
    none = slice(0, 0)
    nothing = replace(
        mail,
        **{
            name: getattr(mail, name)[none]
            for name in (
                *("starts", "is_open", "mean", "quantiles", "parts", "baseline"),
                "aht_seconds",
            )
        },
    )
    queues = {"chat": chat, "mail": nothing}
    forecast = VolumeForecast(made_at=MADE_AT, as_of=MADE_AT, events=(), queues=queues)
    root = home.forecasts
    id = write_forecast_set(root, forecast=forecast, snapshot="s", model_version="m", now=NOW)
    point_to(root, id)
    with serving(tmp_path) as server:
        for by in ("queue", "all"):
            body = {"by": by, "what_if": {"scale_volume": [{"factor": 2}]}}
            response = server.http.post("/v1/forecast/totals", json=body)
            assert response.status_code == 200
            TotalsResponse.model_validate_json(response.content)
        assert server.http.post("/v1/forecast", json={"paths": {"count": 2}}).status_code == 200
