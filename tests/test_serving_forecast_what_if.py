"""What if: one's own changes to the published forecast, held against the rules it was made by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forecast_world import (
    BILLING,
    EFFECTS,
    EVENTS,
    NAMES,
    ORDERS,
    SALE,
    TODAY,
    at,
    billing,
    ordinary_mean,
    planners_forecast,
    put_planners_forecast,
    sale,
    today,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_client import Server, serving
from serving_world import MADE_AT, NOW, put_snapshot, put_volume_bundle

from features.artefact import point_to
from features.calendar.clock import from_epoch
from features.home import Home
from features.snapshot import open_current_snapshot
from serving.api.forecast.responses import EventsResponse
from serving.api.staffing.responses import StaffingResponse
from serving.models.volume.forecast import PARTS, VolumeForecast
from serving.models.volume.model import forecast_with, open_volume_model
from serving.published.forecast_set import write_forecast_set

WHOLE = {"start": "2026-03-20T00:00:00Z", "end": "2026-04-17T00:00:00Z"}
FORECAST = planners_forecast().queues


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("home")
    put_planners_forecast(Home(root))
    return root


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    with serving(home) as running:
        yield running


def ask(server: Server, what_if: Any, path: str = "/v1/forecast", **more: Any) -> dict[str, Any]:
    response = server.http.post(path, json={**WHOLE, "what_if": what_if, **more})
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    found = response.json()
    assert found["what_if"] is True
    return found


def means(answer: dict[str, Any], name: str) -> np.ndarray:
    return np.array([i["volume"]["mean"] for i in intervals(answer, name)])


def intervals(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return next(q["intervals"] for q in answer["queues"] if q["queue"] == name)


def usual(name: str) -> np.ndarray:
    """What the queue would bring without any event."""
    forecast = FORECAST[name]
    return ordinary_mean(forecast) * ORDERS * today(forecast)


# Events


def test_a_removed_event_takes_its_factor_with_it(server: Server) -> None:
    found = ask(server, {"remove_events": ["sale-1"]})
    for name in NAMES:
        expected = usual(name) * billing(FORECAST[name])
        assert means(found, name) == pytest.approx(expected, abs=6e-4)


def test_an_added_event_multiplies_its_days_by_what_its_kind_did(server: Server) -> None:
    added = {"kind": "sale", "starts_at": at(30).isoformat(), "ends_at": at(31).isoformat()}
    found = ask(server, {"add_events": [added]})
    for name in NAMES:
        forecast = FORECAST[name]
        days = (forecast.starts // 86_400) == at(30).timestamp() // 86_400
        expected = usual(name) * sale(forecast) * billing(forecast) * np.where(days, SALE, 1.0)
        assert means(found, name) == pytest.approx(expected, abs=6e-4)


def test_an_added_event_for_one_queue_leaves_the_others(server: Server) -> None:
    added = {"kind": "billing", "starts_at": at(30).isoformat(), "ends_at": at(31).isoformat()}
    found = ask(server, {"add_events": [{**added, "queues": ["chat"]}]})
    published = server.http.post("/v1/forecast", json=WHOLE).json()
    for name in ("mail", "phone"):
        assert intervals(found, name) == intervals(published, name)
    monday = [i for i in intervals(found, "chat") if i["start"].startswith("2026-03-30")]
    before = [i for i in intervals(published, "chat") if i["start"].startswith("2026-03-30")]
    for now, then in zip(monday, before, strict=True):
        assert now["volume"]["mean"] == pytest.approx(then["volume"]["mean"] * BILLING, abs=1e-3)


def test_a_second_event_of_a_kind_counts_beside_the_first(server: Server) -> None:
    moved = {"kind": "sale", "starts_at": at(25).isoformat(), "ends_at": at(26).isoformat()}
    found = ask(server, {"remove_events": ["sale-1"], "add_events": [moved]})
    chat = FORECAST["chat"]
    wednesday = (chat.starts >= at(25).timestamp()) & (chat.starts < at(26).timestamp())
    expected = usual("chat") * np.where(wednesday, SALE, 1.0)
    assert means(found, "chat") == pytest.approx(expected, abs=6e-4)


def test_a_kind_never_learnt_changes_nothing_and_says_so(server: Server) -> None:
    added = {"kind": "parade", "starts_at": at(22).isoformat(), "ends_at": at(23).isoformat()}
    found = ask(server, {"add_events": [added]})
    published = server.http.post("/v1/forecast", json=WHOLE).json()
    assert found["queues"] == published["queues"]
    assert found["warnings"] == [
        "no event of the kind `parade` was learnt from: adding one changes nothing"
    ]


def test_an_event_moves_the_event_part_and_what_multiplies_after_it(server: Server) -> None:
    found = ask(server, {"remove_events": ["sale-1"]}, parts=True)
    published = server.http.post("/v1/forecast", json={**WHOLE, "parts": True}).json()
    for name in NAMES:
        for now, then in zip(intervals(found, name), intervals(published, name), strict=True):
            assert sum(now["parts"].values()) == pytest.approx(now["volume"]["mean"], abs=1e-6)
            for part in ("level", "week_pattern", "season", "holiday"):
                assert now["parts"][part] == then["parts"][part]
            if now["start"][:10] in ("2026-03-24", "2026-03-25"):
                assert now["parts"]["event"] == pytest.approx(0, abs=1e-6)


# Factors


def test_a_factor_on_the_volume_scales_the_mean_and_every_part(server: Server) -> None:
    scaled = {"factor": 1.3, "queues": ["chat"], "start": at(21).isoformat()}
    found = ask(server, {"scale_volume": [scaled]}, parts=True)
    published = server.http.post("/v1/forecast", json={**WHOLE, "parts": True}).json()
    for now, then in zip(intervals(found, "chat"), intervals(published, "chat"), strict=True):
        factor = 1.3 if now["start"] >= "2026-03-21" else 1.0
        assert now["volume"]["mean"] == pytest.approx(factor * then["volume"]["mean"], abs=2e-7)
        for part in PARTS:
            assert now["parts"][part] == pytest.approx(factor * then["parts"][part], abs=2e-7)
        assert now["baseline"] == then["baseline"]
    assert intervals(found, "phone") == intervals(published, "phone")


def test_quantiles_are_read_again_around_the_new_mean(server: Server) -> None:
    found = ask(server, {"scale_volume": [{"factor": 2.0}]}, quantiles=[0.05, 0.5, 0.95])
    for name in NAMES:
        for interval in intervals(found, name):
            mean, band = interval["volume"]["mean"], interval["volume"]["quantiles"]
            assert band["0.05"] <= band["0.5"] <= band["0.95"]
            if mean == 0:
                assert set(band.values()) == {0.0}
            elif mean > 8:
                # Negative binomial: variance m + 0.05 m², nearly normal here.
                spread = 1.645 * np.sqrt(mean + 0.05 * mean**2)
                assert band["0.95"] - band["0.05"] == pytest.approx(2 * spread, rel=0.08)
                assert band["0.5"] == pytest.approx(mean, rel=0.05)


def test_what_is_partly_covered_changes_by_the_covered_share(server: Server) -> None:
    half = {"start": "2026-03-21T09:30:00Z", "end": "2026-03-21T11:00:00Z"}
    found = ask(server, {"scale_volume": [{"factor": 3, "queues": ["chat"], **half}]})
    ratio = means(found, "chat") / (usual("chat") * sale(FORECAST["chat"]))
    assert ratio[24 + 8 : 24 + 12] == pytest.approx([1, 2, 3, 1], rel=1e-3)


def test_a_factor_on_the_aht_leaves_the_volume(server: Server) -> None:
    found = ask(server, {"scale_aht": [{"factor": 0.5, "queues": ["phone"]}]})
    published = server.http.post("/v1/forecast", json=WHOLE).json()
    for now, then in zip(intervals(found, "phone"), intervals(published, "phone"), strict=True):
        assert now["volume"] == then["volume"]
        assert now["aht_seconds"] == 150.0


# Closings


def test_closed_hours_have_nothing_in_them(server: Server) -> None:
    shut = {"start": "2026-03-23T11:00:00Z", "end": "2026-03-23T13:00:00Z"}
    found = ask(server, {"closed": [shut]}, parts=True)
    published = server.http.post("/v1/forecast", json={**WHOLE, "parts": True}).json()
    for name in NAMES:
        for now, then in zip(intervals(found, name), intervals(published, name), strict=True):
            if "2026-03-23T11" <= now["start"] < "2026-03-23T13":
                assert now["is_open"] is False
                assert now["volume"]["mean"] == 0
                assert set(now["volume"]["quantiles"].values()) == {0.0}
                assert set(now["parts"].values()) == {0.0}
            else:
                assert now == then


def test_an_interval_that_is_partly_shut_stays_open_with_the_rest(server: Server) -> None:
    spans = [("10:30", "10:45"), ("10:40", "11:00"), ("12:00", "12:30"), ("12:30", "13:00")]
    shut = [{"start": f"2026-03-23T{a}:00Z", "end": f"2026-03-23T{b}:00Z"} for a, b in spans]
    found = ask(server, {"closed": [{**s, "queues": ["chat"]} for s in shut]})
    rows = slice(3 * 24 + 10, 3 * 24 + 13)
    share = means(found, "chat")[rows] / usual("chat")[rows]
    assert share == pytest.approx([0.5, 1.0, 0.0], abs=1e-3)
    assert [i["is_open"] for i in intervals(found, "chat")[rows]] == [True, True, False]


# Together


CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("scale_volume"), st.floats(0.2, 3)),
        st.tuples(st.just("scale_aht"), st.floats(0.2, 3)),
        st.tuples(st.just("closed"), st.just(0.0)),
    ),
    min_size=2,
    max_size=5,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=CHANGES, data=st.data())
def test_the_order_of_changes_does_not_matter(
    server: Server, changes: list[tuple[str, float]], data: st.DataObject
) -> None:
    def body(items: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, change in items:
            found.setdefault(name, []).append(change)
        return found

    items = []
    for name, factor in changes:
        first = data.draw(st.integers(0, 100))
        span = {
            "start": at(20 + first // 24, first % 24).isoformat(),
            "end": at(25, data.draw(st.integers(0, 23))).isoformat(),
        }
        items.append((name, span | ({} if name == "closed" else {"factor": factor})))
    shuffled = data.draw(st.permutations(items))
    one = ask(server, body(items), queues=["chat"], parts=True)
    other = ask(server, body(shuffled), queues=["chat"], parts=True)
    assert means(one, "chat") == pytest.approx(means(other, "chat"), abs=2e-7)
    for interval in intervals(one, "chat"):
        parts = sum(interval["parts"].values())
        assert parts == pytest.approx(interval["volume"]["mean"], abs=1e-6)


def test_no_change_gives_the_published_numbers(server: Server) -> None:
    found = ask(server, {})
    published = server.http.post("/v1/forecast", json=WHOLE).json()
    assert found == published | {"what_if": True}


def test_what_is_published_stays_byte_for_byte(server: Server, home: Path) -> None:
    body = {**WHOLE, "quantiles": [0.1, 0.9], "parts": True}
    before = server.http.post("/v1/forecast", json=body).content
    files = {p: p.read_bytes() for p in home.rglob("*") if p.is_file()}
    for what_if in (
        {"scale_volume": [{"factor": 2}]},
        {"remove_events": ["sale-1", "billing-1"]},
        {"closed": [{"start": at(21).isoformat(), "end": at(22).isoformat()}]},
    ):
        assert server.http.post("/v1/forecast", json=body | {"what_if": what_if}).content != before
        assert server.http.post("/v1/forecast", json=body).content == before
    with serving(home) as fresh:
        assert fresh.http.post("/v1/forecast", json=body).content == before
    assert {p: p.read_bytes() for p in home.rglob("*") if p.is_file()} == files


def test_a_what_if_of_part_of_the_span_equals_that_part_of_the_whole(server: Server) -> None:
    what_if = {"remove_events": ["sale-1"], "scale_volume": [{"factor": 1.5}]}
    whole = ask(server, what_if, queues=["phone"])
    part = ask(server, what_if, queues=["phone"], start=at(25, 9).isoformat())
    tail = intervals(part, "phone")
    assert tail == intervals(whole, "phone")[-len(tail) :]


# Staffing


def test_agents_follow_the_changed_forecast(server: Server) -> None:
    span = {"queues": ["phone"], "start": "2026-03-23T00:00:00Z", "end": "2026-03-24T00:00:00Z"}
    answer = server.http.post("/v1/staffing", json=span).json()
    busier = server.http.post(
        "/v1/staffing", json=span | {"what_if": {"scale_volume": [{"factor": 2}]}}
    )
    assert busier.headers["cache-control"] == "no-store"
    StaffingResponse.model_validate_json(busier.content)
    for now, then in zip(busier.json()["intervals"], answer["intervals"], strict=True):
        assert now["volume"] == pytest.approx(2 * then["volume"], abs=2e-3)
        assert now["agents_on_phone"] > then["agents_on_phone"] or not now["is_open"]
    assert busier.json()["what_if"] is True
    assert answer["what_if"] is False


def test_shut_hours_need_no_agents(server: Server) -> None:
    span = {"queues": ["phone"], "start": "2026-03-23T00:00:00Z", "end": "2026-03-24T00:00:00Z"}
    shut = {"closed": [{"start": span["start"], "end": span["end"]}]}
    found = server.http.post("/v1/staffing", json=span | {"what_if": shut}).json()
    assert {i["agents_on_phone"] for i in found["intervals"]} == {0}


# What is refused


SPAN = {"start": at(21).isoformat(), "end": at(22).isoformat()}
EVENT = {"kind": "sale", "starts_at": at(21).isoformat(), "ends_at": at(22).isoformat()}


@pytest.mark.parametrize(
    ("what_if", "status", "field"),
    [
        ({"remove_events": ["sale-2"]}, 404, "what_if.remove_events.0"),
        ({"add_events": [EVENT | {"queues": ["fone"]}]}, 404, "what_if.add_events.0.queues.0"),
        (
            {"scale_volume": [{"factor": 2, "queues": ["chat", "x"]}]},
            404,
            "what_if.scale_volume.0.queues.1",
        ),
        ({"scale_aht": [{"factor": 0}]}, 422, "what_if.scale_aht.0.factor"),
        ({"scale_volume": [{"factor": 100.5}]}, 422, "what_if.scale_volume.0.factor"),
        ({"scale_volume": [{"factor": -1}]}, 422, "what_if.scale_volume.0.factor"),
        ({"scale_volume": [{}]}, 422, "what_if.scale_volume.0.factor"),
        ({"scale_volume": [{"factor": 20}, {"factor": 20}]}, 422, "what_if.scale_volume"),
        ({"scale_aht": [{"factor": 20}, {"factor": 20}]}, 422, "what_if.scale_aht"),
        ({"closed": [{"start": SPAN["start"]}]}, 422, "what_if.closed.0.end"),
        ({"closed": [{"start": SPAN["end"], "end": SPAN["start"]}]}, 422, "what_if.closed.0"),
        (
            {"closed": [SPAN | {"start": "2026-03-19T23:00:00Z"}]},
            422,
            "what_if.closed.0.start",
        ),
        ({"closed": [SPAN | {"end": "2026-04-17T01:00:00Z"}]}, 422, "what_if.closed.0.end"),
        (
            {"scale_volume": [{"factor": 2}, {"factor": 1, "start": "2027-01-01T00:00:00Z"}]},
            422,
            "what_if.scale_volume.1.start",
        ),
        ({"add_events": [EVENT | {"ends_at": EVENT["starts_at"]}]}, 422, "what_if.add_events.0"),
        (
            {
                "add_events": [
                    EVENT | {"starts_at": "2026-03-10T00:00:00Z", "ends_at": "2026-03-19T00:00:00Z"}
                ]
            },
            422,
            "what_if.add_events.0.ends_at",
        ),
        (
            {
                "add_events": [
                    EVENT | {"starts_at": "2026-05-01T00:00:00Z", "ends_at": "2026-05-02T00:00:00Z"}
                ]
            },
            422,
            "what_if.add_events.0.starts_at",
        ),
        (
            {"add_events": [EVENT | {"starts_at": "0001-01-01T00:00:00Z"}]},
            422,
            "what_if.add_events.0",
        ),
        (
            {"add_events": [EVENT | {"ends_at": "9999-12-31T23:59:59-12:00"}]},
            422,
            "what_if.add_events.0",
        ),
        ({"add_events": [EVENT | {"starts_at": 17}]}, 422, "what_if.add_events.0.starts_at"),
        ({"add_events": [EVENT | {"size": -1}]}, 422, "what_if.add_events.0.size"),
        ({"add_events": [EVENT | {"kind": ""}]}, 422, "what_if.add_events.0.kind"),
        ({"add_event": [EVENT]}, 422, "what_if.add_event"),
        ({"scale_volume": [{"factor": 1}] * 101}, 422, "what_if.scale_volume"),
        (
            {"scale_volume": [{"factor": 1}] * 60, "scale_aht": [{"factor": 1}] * 41},
            422,
            "what_if",
        ),
        ([], 422, "what_if"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/forecast", "/v1/forecast/totals", "/v1/staffing"])
def test_a_wrong_change_is_refused_by_its_field(
    server: Server, path: str, what_if: Any, status: int, field: str
) -> None:
    response = server.http.post(path, json={"what_if": what_if})
    assert response.status_code == status, response.text
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_an_unknown_event_is_answered_with_a_near_one(server: Server) -> None:
    response = server.http.post("/v1/forecast", json={"what_if": {"remove_events": ["sale-l"]}})
    assert "Did you mean `sale-1`?" in response.json()["detail"]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=4,
)
MOMENTS = st.integers(-30, 60).map(
    lambda day: (at(20) + timedelta(days=day)).isoformat()
) | st.datetimes().map(lambda t: t.isoformat() + "Z")
FIELDS = {
    "factor": st.floats() | st.integers(),
    "start": MOMENTS,
    "end": MOMENTS,
    "starts_at": MOMENTS,
    "ends_at": MOMENTS,
    "kind": st.sampled_from(["sale", "billing", "holiday", "outage"]) | st.text(max_size=5),
    "queues": st.lists(st.sampled_from(NAMES) | st.text(max_size=5), max_size=2),
    "size": st.floats() | st.none(),
}
CHANGE = st.fixed_dictionaries({}, optional=FIELDS) | ANY
WHAT_IF = st.dictionaries(
    st.sampled_from(["add_events", "remove_events", "scale_volume", "scale_aht", "closed"]),
    st.lists(CHANGE, max_size=2) | ANY,
    max_size=3,
)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.sampled_from(["/v1/forecast", "/v1/forecast/totals", "/v1/staffing"]),
    what_if=WHAT_IF | ANY,
    paths=st.none() | st.fixed_dictionaries({"count": st.integers(-1, 9)}) | ANY,
)
def test_no_change_makes_a_server_error(
    server: Server, path: str, what_if: Any, paths: Any
) -> None:
    body = {"queues": ["mail"], "what_if": what_if} | ({"paths": paths} if paths else {})
    response = server.http.post(
        path, content=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    assert response.status_code < 500, response.text


# The events


def test_the_events_are_those_that_the_forecast_knows(server: Server) -> None:
    response = server.http.get("/v1/events")
    EventsResponse.model_validate_json(response.content)
    found = response.json()["events"]
    assert [e["event_id"] for e in found] == ["sale-1", "billing-1"]
    assert found[0]["queues"] is None
    assert found[1] == {
        "event_id": "billing-1",
        "kind": "billing",
        "starts_at": "2026-03-26T00:00:00Z",
        "ends_at": "2026-03-27T00:00:00Z",
        "known_at": "2026-03-01T00:00:00Z",
        "queues": ["phone"],
        "size": None,
    }


def test_today_grows_and_shrinks_with_what_stands_before_it(server: Server) -> None:
    added = {"kind": "sale", "starts_at": at(20).isoformat(), "ends_at": at(21).isoformat()}
    found = ask(server, {"add_events": [added]}, parts=True, queues=["mail"])
    first = intervals(found, "mail")[0]["parts"]
    steps = 0.4 * np.cumprod([1, SALE, ORDERS, TODAY])
    names = ("event", "orders", "today")
    assert [first[n] for n in names] == pytest.approx(np.diff(steps), abs=1e-6)


# Against the model itself


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, VolumeForecast]:
    """Forecasts by the model that knows the sale ahead, and by the one that does not."""
    home = Home(tmp_path_factory.mktemp("model"))
    put_snapshot(home)
    bundle = put_volume_bundle(home)
    state = open_volume_model(home.bundles("volume") / bundle).state
    known = replace(state, effects=EFFECTS)
    snapshot = open_current_snapshot(home.snapshots)
    return {
        word: forecast_with(
            known,
            snapshot.histories,
            events=events,
            made_at=MADE_AT,
            until=MADE_AT + timedelta(days=14),
        )
        for word, events in (("with", EVENTS), ("without", ()))
    }


@pytest.mark.parametrize(
    ("published", "wanted", "what_if"),
    [
        ("with", "without", {"remove_events": [event.event_id for event in EVENTS]}),
        (
            "without",
            "with",
            {
                "add_events": [
                    {
                        "kind": event.kind,
                        "starts_at": from_epoch(event.starts_at).isoformat(),
                        "ends_at": from_epoch(event.ends_at).isoformat(),
                        "queues": list(event.queues) or None,
                    }
                    for event in EVENTS
                ]
            },
        ),
    ],
)
def test_a_what_if_event_gives_what_the_model_gives_when_it_knows_of_it(
    made: dict[str, VolumeForecast],
    tmp_path: Path,
    published: str,
    wanted: str,
    what_if: dict[str, Any],
) -> None:
    root = Home(tmp_path).forecasts
    id = write_forecast_set(
        root, forecast=made[published], snapshot="s", model_version="m", now=NOW
    )
    point_to(root, id)
    with serving(tmp_path) as server:
        body = {"parts": True, "quantiles": [0.1, 0.5, 0.9], "what_if": what_if}
        found = server.http.post("/v1/forecast", json=body).json()
    assert [q["queue"] for q in found["queues"]] == list(NAMES)
    for name in NAMES:
        expected, got = made[wanted].queues[name], intervals(found, name)
        assert [i["volume"]["mean"] for i in got] == pytest.approx(expected.mean, abs=1e-6)
        for k, level in ((1, "0.1"), (9, "0.5"), (17, "0.9")):
            band = [i["volume"]["quantiles"][level] for i in got]
            assert band == pytest.approx(expected.quantiles[:, k], abs=6e-4)
        for column, part in enumerate(PARTS):
            split = [i["parts"][part] for i in got]
            assert split == pytest.approx(expected.parts[:, column], abs=1e-6)
