"""The routes over HTTP: what they answer, how they refuse, and that the document is true."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from serving_client import Server, serving
from serving_world import (
    MADE_AT,
    NOW,
    ODD_IDS,
    World,
    build_world,
    customer_ids,
    put_forecast,
    put_scores,
)

from features.artefact import CURRENT
from serving.api import openapi, problems
from serving.api.churn.schemas import ScoreRecord, ScoresPage, ScoresResponse
from serving.api.forecast.responses import (
    EventsResponse,
    ForecastResponse,
    QueuesResponse,
    TotalsResponse,
)
from serving.api.openapi import example_of
from serving.api.ops import Health, ModelsResponse, Readiness
from serving.api.staffing.responses import StaffingResponse

GOLDEN = Path(__file__).parent / "golden"
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[Server]:
    with serving(world.home.root) as running:
        yield running


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("empty")) as running:
        yield running


def problem(response: Any, status: int, kind: str) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    document = response.json()
    openapi.ProblemDetails.model_validate(document)
    assert document["type"] == f"/docs#problem-{kind}"
    assert document["status"] == status
    return document


# What is answered


@pytest.mark.parametrize(
    ("method", "path", "body", "model"),
    [
        ("POST", "/v1/forecast", {}, ForecastResponse),
        ("POST", "/v1/forecast", {"quantiles": [0.07, 0.93]}, ForecastResponse),
        ("GET", "/v1/forecast?queue=phone&queue=mail", None, ForecastResponse),
        (
            "POST",
            "/v1/forecast",
            {"parts": True, "paths": {"count": 2}},
            ForecastResponse,
        ),
        ("GET", "/v1/forecast?parts=true", None, ForecastResponse),
        ("POST", "/v1/forecast/totals", {"by": "all", "what_if": {}}, TotalsResponse),
        ("POST", "/v1/staffing", {"shrinkage": 0.3}, StaffingResponse),
        ("POST", "/v1/staffing", {"model": "erlang_c"}, StaffingResponse),
        ("POST", "/v1/churn/scores", {"customer_ids": customer_ids()}, ScoresResponse),
        ("GET", "/v1/queues", None, QueuesResponse),
        ("GET", "/v1/events", None, EventsResponse),
        ("GET", "/v1/models", None, ModelsResponse),
        ("GET", "/readyz", None, Readiness),
        ("GET", "/healthz", None, Health),
    ],
)
def test_a_real_answer_is_what_the_document_describes(
    server: Server, method: str, path: str, body: Any, model: type[BaseModel]
) -> None:
    response = server.http.request(method, path, json=body)
    assert response.status_code == 200, response.text
    model.model_validate_json(response.content)


def test_get_and_post_give_the_same_forecast(server: Server) -> None:
    posted = server.http.post("/v1/forecast", json={"queues": ["mail"], "quantiles": [0.5]})
    got = server.http.get("/v1/forecast?queue=mail&quantile=0.5")
    assert got.content == posted.content


def test_a_forecast_names_the_set_the_model_and_the_snapshot(server: Server, world: World) -> None:
    found = server.http.get("/v1/forecast?queue=mail").json()
    assert found["forecast_set"] == world.forecast
    assert found["model_version"] == world.volume_bundle
    assert found["snapshot"] == world.snapshot
    assert found["made_at"] == "2026-03-20T00:00:00Z"


def test_a_held_forecast_is_not_sent_again(server: Server) -> None:
    first = server.http.get("/v1/forecast?queue=mail")
    tag = first.headers["etag"]
    again = server.http.get("/v1/forecast?queue=mail", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    for other in ("?queue=phone", "?queue=mail&quantile=0.5", "?queue=mail&end=2026-03-21T00:00Z"):
        response = server.http.get(f"/v1/forecast{other}", headers={"If-None-Match": tag})
        assert response.status_code == 200
        assert response.headers["etag"] != tag


def test_a_forecast_comes_as_csv_where_that_is_wanted(server: Server) -> None:
    found = server.http.get(
        "/v1/forecast?queue=mail", headers={"Accept": "text/csv;q=0.9, application/json;q=0.1"}
    )
    assert found.headers["content-type"].startswith("text/csv")
    assert len(found.text.splitlines()) == 1 + 14 * 24


def test_a_type_that_nobody_makes_is_refused(server: Server) -> None:
    for path in ("/v1/forecast", "/v1/churn/scores"):
        response = server.http.get(path, headers={"Accept": "image/png"})
        assert "application/json" in problem(response, 406, "not-acceptable")["detail"]


def test_scores_come_in_the_order_asked_and_unknown_ids_are_listed(server: Server) -> None:
    asked = ["c005", "nobody", *ODD_IDS, "c000", "c005", "", "x" * 10_000, "; drop table"]
    found = server.http.post("/v1/churn/scores", json={"customer_ids": asked}).json()
    assert [r["customer_id"] for r in found["scores"]] == ["c005", *ODD_IDS, "c000"]
    assert found["unknown"] == ["nobody", "", "x" * 10_000, "; drop table"]


def test_a_pull_walks_all_customers_once_in_order(server: Server) -> None:
    address, seen, pages = "/v1/churn/scores?limit=33", [], 0
    while address:
        response = server.http.get(address)
        assert response.headers["content-type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in response.text.splitlines()]
        assert response.headers["x-row-count"] == str(len(lines))
        for line in lines:
            ScoreRecord.model_validate_json(json.dumps(line))
        seen += [line["customer_id"] for line in lines]
        address = response.links.get("next", {}).get("url")
        pages += 1
    assert seen == customer_ids()
    assert pages == 7


def test_a_page_as_json_holds_the_cursor(server: Server) -> None:
    accept = {"Accept": "application/json"}
    page = server.http.get("/v1/churn/scores?limit=2", headers=accept)
    ScoresPage.model_validate_json(page.content)
    found = page.json()
    assert found["next"] == customer_ids()[1]
    rest = server.http.get(
        "/v1/churn/scores", params={"after": found["next"], "limit": 10_000}, headers=accept
    ).json()
    assert rest["next"] is None
    assert len(rest["scores"]) == len(customer_ids()) - 2


def test_a_page_can_be_filtered_by_tier_and_probability(server: Server) -> None:
    high = server.http.get("/v1/churn/scores?tier=high&min_probability=0.95&limit=10000")
    found = [json.loads(line) for line in high.text.splitlines()]
    assert found
    assert {r["tier"] for r in found} == {"high"}
    assert min(r["probability"] for r in found) >= 0.95
    none = server.http.get("/v1/churn/scores?min_probability=1", headers={"Accept": "*/*"})
    assert (none.status_code, none.content) == (200, b"")
    as_json = server.http.get(
        "/v1/churn/scores?min_probability=1", headers={"Accept": "application/json"}
    )
    assert as_json.json()["scores"] == []


def test_a_held_page_is_not_sent_again(server: Server) -> None:
    tag = server.http.get("/v1/churn/scores?limit=5").headers["etag"]
    again = server.http.get("/v1/churn/scores?limit=5", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    other = server.http.get("/v1/churn/scores?limit=6", headers={"If-None-Match": tag})
    assert other.status_code == 200


def test_a_pull_under_way_keeps_its_set_when_a_new_one_is_published(tmp_path: Path) -> None:
    world = build_world(tmp_path)
    with serving(tmp_path, refresh_seconds=0.05) as server:
        first = server.http.get("/v1/churn/scores?limit=50")
        newer = put_scores(world.home, ids=["only one"])
        wait_for(server, "/v1/churn/scores", "x-score-set", newer)
        rest = server.http.get(first.links["next"]["url"])
        assert rest.headers["x-score-set"] == world.scores
        assert len(rest.text.splitlines()) == 50
        for _ in range(3):
            put_scores(world.home)
            wait_until_changed(server)
        kept = server.http.get(first.links["next"]["url"])
        assert kept.content == rest.content
    shutil.rmtree(world.home.scores / world.scores)
    with serving(tmp_path) as server:
        gone = problem(server.http.get(first.links["next"]["url"]), 410, "set-gone")
        assert "begin the pull again" in gone["detail"]


def wait_for(server: Server, path: str, header: str, value: str) -> None:
    import time

    for _ in range(200):
        response = server.http.get(path)
        assert response.status_code == 200
        if response.headers[header] == value:
            return
        time.sleep(0.02)
    raise AssertionError(f"{header} never became {value}")


def wait_until_changed(server: Server) -> None:
    import time

    current = (server.watcher.home.scores / CURRENT).read_text().strip()
    for _ in range(200):
        scores = server.watcher.published.scores
        if scores is not None and scores.id == current and current in server.log():
            return
        if scores is not None and scores.id == current:
            time.sleep(0.1)
            return
        time.sleep(0.02)
    raise AssertionError("the set never changed")


def test_queues_tell_their_clock_hours_and_span(server: Server) -> None:
    found = {q["queue"]: q for q in server.http.get("/v1/queues").json()["queues"]}
    phone = found["phone"]
    assert phone["opening"]["mon"] == "08:00-18:00"
    assert phone["opening"]["sun"] == "closed"
    assert (phone["start"], phone["end"]) == ("2026-03-20T00:00:00Z", "2026-04-17T00:00:00Z")
    assert found["mail"]["method"] == "baseline"
    assert found["mail"]["warnings"] == ["little history"]


def test_models_show_their_cards_and_what_they_serve(server: Server, world: World) -> None:
    found = {m["model"]: m for m in server.http.get("/v1/models").json()["models"]}
    assert found["volume"]["card"]["metrics"] == {"wape": 0.125}
    assert found["volume"]["serves"] == world.forecast
    assert found["churn"]["serves"] == world.scores


# What is not there yet


@pytest.mark.parametrize(
    ("method", "path", "body", "remedy"),
    [
        ("POST", "/v1/forecast", {}, "python -m serving forecast"),
        ("GET", "/v1/forecast", None, "python -m training promote volume"),
        ("POST", "/v1/staffing", {}, "python -m serving forecast"),
        ("POST", "/v1/forecast/totals", {}, "python -m serving forecast"),
        ("GET", "/v1/queues", None, "python -m serving forecast"),
        ("GET", "/v1/events", None, "python -m serving forecast"),
        ("POST", "/v1/churn/scores", {"customer_ids": ["a"]}, "python -m serving score"),
        ("GET", "/v1/churn/scores", None, "python -m training promote churn"),
    ],
)
def test_before_anything_is_published_the_remedy_is_named(
    empty: Server, method: str, path: str, body: Any, remedy: str
) -> None:
    response = empty.http.request(method, path, json=body)
    assert remedy in problem(response, 409, "not-published")["detail"]


def test_an_empty_home_is_alive_and_not_ready(empty: Server) -> None:
    assert empty.http.get("/healthz").status_code == 200
    response = empty.http.get("/readyz")
    assert response.status_code == 503
    found = Readiness.model_validate_json(response.content)
    assert {part.part: part.remedy for part in found.parts}["forecast"] == (
        "run `python -m serving forecast`"
    )
    assert empty.http.get("/v1/models").json() == {"models": []}
    assert "ebbflow_ready 0.0" in empty.http.get("/metrics").text
    assert "none yet" in empty.http.get("/").text


def test_one_set_alone_is_enough_to_be_ready(tmp_path: Path) -> None:
    from features.home import Home

    put_scores(Home(tmp_path))
    with serving(tmp_path) as server:
        response = server.http.get("/readyz")
    assert response.status_code == 200
    parts = {part["part"]: part for part in response.json()["parts"]}
    assert parts["scores"]["age_seconds"] == 0
    assert parts["scores"]["as_of"] == "2026-03-20T00:00:00Z"
    assert parts["forecast"]["id"] is None


def test_a_damaged_new_set_is_refused_and_the_old_one_serves_on(tmp_path: Path) -> None:
    world = build_world(tmp_path)
    with serving(tmp_path, refresh_seconds=0.05) as server:
        before = server.http.get("/v1/forecast?queue=mail").content
        bad = put_forecast(world.home, factor=3.0)
        (world.home.forecasts / bad / "forecast.arrow").write_bytes(b"half")
        import time

        for _ in range(100):
            refused = {p["part"]: p["refused"] for p in server.http.get("/readyz").json()["parts"]}[
                "forecast"
            ]
            if refused:
                break
            time.sleep(0.02)
        assert "checksum" in refused
        assert server.http.get("/v1/forecast?queue=mail").content == before
        assert 'ebbflow_refused{part="forecast"} 1.0' in server.http.get("/metrics").text
        assert "refused" in server.http.get("/").text


# What is refused


def test_each_wrong_request_is_answered_as_pinned(server: Server) -> None:
    requests = json.loads((GOLDEN / "problems.json").read_text(encoding="utf-8"))
    for case in requests:
        headers = {"X-Request-ID": "golden"} | case.get("headers", {})
        response = server.http.request(
            case["method"],
            case["path"],
            content=case.get("body", "").encode(),
            headers=headers,
        )
        document = response.json()
        document["detail"] = document["detail"].replace(server_set(server), "SET")
        for error in document["errors"]:
            error["message"] = error["message"].replace(server_set(server), "SET")
        assert response.headers["content-type"] == PROBLEM, case
        assert document == case["answer"], case


def server_set(server: Server) -> str:
    scores = server.watcher.published.scores
    assert scores is not None
    return scores.id


def test_a_method_that_a_route_does_not_take_is_told_which_it_does(server: Server) -> None:
    response = server.http.put("/v1/forecast")
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, POST"
    assert server.http.post("/healthz").headers["allow"] == "GET"


POSTS = [
    *("/v1/forecast", "/v1/forecast/totals", "/v1/staffing", "/v1/churn/scores"),
    *("/v1/forecast/overrides", "/v1/forecast/overrides/any/withdraw"),
]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=5,
)
FIELDS = st.sampled_from(
    [
        *("queues", "start", "end", "quantiles", "interval_minutes", "goal", "model"),
        *("patience_seconds", "shrinkage", "max_occupancy", "customer_ids"),
        *("parts", "paths", "what_if", "by", "overrides", "made_by", "reason"),
        *("policy", "costs", "shifts", "backlog", "concurrency", "slowdown", "calibrated"),
    ]
)
TIMES = st.datetimes().map(lambda t: t.isoformat() + "Z") | st.datetimes().map(str)
NUMBERS = st.lists(st.floats(-1, 2), max_size=4) | st.floats(-10, 1e9) | st.integers()
NAMES = st.lists(st.sampled_from(["phone", "mail", "chat"]) | st.text(max_size=8), max_size=4)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.sampled_from(POSTS),
    body=st.dictionaries(FIELDS, JSON_VALUES | TIMES | NUMBERS | NAMES, max_size=4) | JSON_VALUES,
)
def test_no_body_makes_a_server_error(server: Server, path: str, body: Any) -> None:
    response = server.http.post(
        path,
        content=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        openapi.ProblemDetails.model_validate_json(response.content)


@settings(max_examples=60, deadline=None)
@given(path=st.sampled_from(POSTS), body=st.binary(max_size=60))
def test_no_bytes_make_a_server_error(server: Server, path: str, body: bytes) -> None:
    response = server.http.post(path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code < 500
    openapi.ProblemDetails.model_validate_json(response.content)


@settings(max_examples=100, deadline=None)
@given(
    path=st.sampled_from(["/v1/forecast", "/v1/forecast/overrides", "/v1/churn/scores"]),
    query=st.lists(
        st.tuples(
            st.sampled_from(
                ["queue", "start", "end", "quantile", "parts", "limit", "after", "tier", "set"]
            )
            | st.text(max_size=5),
            st.text(max_size=40) | TIMES | st.integers().map(str),
        ),
        max_size=4,
    ),
)
def test_no_query_makes_a_server_error(
    server: Server, path: str, query: list[tuple[str, str]]
) -> None:
    from urllib.parse import urlencode

    encoded = urlencode(
        [(k.encode("utf-8", "replace"), v.encode("utf-8", "replace")) for k, v in query]
    )
    response = server.http.get(f"{path}?{encoded}")
    assert response.status_code < 500, response.text


@pytest.mark.parametrize("after", ["\ud800", "%FF", "\x00", "x" * 10_000, "😀"])
def test_an_odd_cursor_is_a_place_in_the_order(server: Server, after: str) -> None:
    raw = after if after == "%FF" else None
    if raw:
        response = server.http.get(f"/v1/churn/scores?after={raw}")
    else:
        response = server.http.get(
            "/v1/churn/scores", params={"after": after.encode("utf-8", "replace").decode()}
        )
    assert response.status_code == 200


# The document and the pages


def test_every_route_parameter_and_field_is_described(server: Server) -> None:
    document = server.http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["description"], where
            for parameter in operation.get("parameters", []):
                assert parameter.get("description"), (where, parameter["name"])
            if method == "post":
                content = operation["requestBody"]["content"]["application/json"]
                assert content["schema"]["$ref"], where
                assert content["example"], where
            for status, response in operation["responses"].items():
                assert response["description"], (where, status)
                if int(status) >= 400 and path != "/readyz":
                    assert list(response["content"]) == [PROBLEM], (where, status)
            code = "201" if "201" in operation["responses"] else "200"
            success = operation["responses"][code]["content"].values()
            assert all(kind["example"] for kind in success), where
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name
        for field, about in schema["properties"].items():
            assert about.get("description"), (name, field)


def test_every_name_in_the_document_resolves(server: Server) -> None:
    text = server.http.get("/openapi.json").text
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert names <= set(json.loads(text)["components"]["schemas"])


def test_fields_with_a_unit_say_it_in_their_description(server: Server) -> None:
    schemas = server.http.get("/openapi.json").json()["components"]["schemas"]
    for schema in schemas.values():
        for field, about in schema["properties"].items():
            for unit in ("seconds", "minutes"):
                if field.endswith(f"_{unit}") or field == unit:
                    assert unit in about["description"].lower() or "null" in about["description"]


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_loads_nothing_from_outside(server: Server, path: str) -> None:
    response = server.http.get(path)
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "<script" not in response.text
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', response.text)


def test_the_docs_page_names_every_route_schema_and_problem(server: Server) -> None:
    page = server.http.get("/docs").text
    document = server.http.get("/openapi.json").json()
    for path in document["paths"]:
        assert f"<code>{path}</code>" in page
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in page
    for name in problems.KINDS:
        assert f'id="problem-{name}"' in page
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r'id="([^"]+)"', page))


def test_the_first_page_draws_each_queue(server: Server) -> None:
    page = server.http.get("/").text
    assert page.count("<svg") == 3
    assert "Little history" in page
    assert "NaN" not in page


def test_a_name_with_markup_is_shown_as_text(tmp_path: Path) -> None:
    from dataclasses import replace

    from serving_world import flat_forecast

    from features.artefact import point_to
    from features.home import Home
    from serving.models.volume.forecast import VolumeForecast
    from serving.published.forecast_set import write_forecast_set

    home = Home(tmp_path)
    mail = flat_forecast().queues["mail"]
    evil = "<script>alert('x')</script>\""
    queue = replace(mail.queue, queue=evil)
    forecast = VolumeForecast(
        made_at=MADE_AT, as_of=MADE_AT, events=(), queues={evil: replace(mail, queue=queue)}
    )
    point_to(
        home.forecasts,
        write_forecast_set(
            home.forecasts, forecast=forecast, snapshot="s", model_version="m", now=NOW
        ),
    )
    with serving(tmp_path) as server:
        assert "<script" not in server.http.get("/").text
        assert server.http.get("/v1/forecast", params={"queue": evil}).status_code == 200


def test_the_guide_names_every_route_problem_and_request_field(server: Server) -> None:
    guide = (Path(__file__).resolve().parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
    document = server.http.get("/openapi.json").json()
    for path in document["paths"]:
        assert f"{path}`" in guide, path
    for kind in problems.KINDS.values():
        assert f"`{kind.type}` | {kind.status} |" in guide, kind
    for name in GUIDED:
        for field in document["components"]["schemas"][name]["properties"]:
            assert re.search(rf"\b{field}\b", guide), (name, field)


GUIDED = (
    *("ForecastRequest", "TotalsRequest", "StaffingRequest", "ScoresRequest", "ScoreRecord"),
    *("ServiceGoalRequest", "StaffingPolicy", "StaffingCosts", "Shifts", "StaffingInterval"),
    *("WhatIf", "AddedEvent", "Scaling", "Closing", "PathsRequest", "Parts"),
    *("OverridesRequest", "NewOverride", "WithdrawRequest"),
    *("ListRequest", "ListFilters", "ListCounts", "ListedCustomer"),
)


def test_the_guides_json_bodies_are_valid_requests(server: Server) -> None:
    guide = (Path(__file__).resolve().parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
    asked = re.findall(r"-X POST \S+3000(\S+).*?-d '([^']+)'", guide, flags=re.DOTALL)
    assert len(asked) == 9
    for path, body in asked:
        # The world of these tests begins 19 days after the guide's.
        known = re.sub(
            r"2026-03-\d\d",
            lambda day: f"{date.fromisoformat(day.group()) + timedelta(days=19)}",
            body.replace('"sales"', '"phone"'),
        )
        response = server.http.post(path, json=json.loads(known))
        assert response.status_code in (200, 201), response.text


def test_the_guides_answers_are_what_the_document_describes() -> None:
    guide = (Path(__file__).resolve().parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
    shown = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", guide, flags=re.DOTALL)]
    forecast, totals, staffing, problem = shown
    ForecastResponse.model_validate_json(json.dumps(forecast))
    TotalsResponse.model_validate_json(json.dumps(totals))
    assert staffing == example_of(StaffingResponse)
    openapi.ProblemDetails.model_validate(problem)
