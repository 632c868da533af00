from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from serving.api import openapi
from serving.api.churn.schemas import (
    ScoreRecord,
    ScoresPage,
    ScoresQuery,
    ScoresRequest,
    ScoresResponse,
)
from serving.api.forecast.requests import ForecastQuery, ForecastRequest, TotalsRequest
from serving.api.forecast.responses import (
    EventsResponse,
    ForecastResponse,
    QueuesResponse,
    TotalsResponse,
)
from serving.api.openapi import example_of
from serving.api.ops import Health, ModelsResponse, Readiness
from serving.api.outreach.schemas import (
    ContactListResponse,
    ExperimentResponse,
    ExperimentsResponse,
    ListRequest,
)
from serving.api.overrides.schemas import (
    OverridesRequest,
    OverridesResponse,
    OverridesStored,
    WithdrawnOverride,
    WithdrawRequest,
)
from serving.api.staffing.requests import ServiceGoalRequest, StaffingRequest
from serving.api.staffing.responses import StaffingResponse
from serving.app import ROUTERS


def message(model: type[BaseModel], /, **fields: object) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(fields)
    return str(caught.value)


def test_nothing_at_all_asks_for_every_queue_and_the_usual_quantiles() -> None:
    asked = ForecastRequest()
    assert (asked.queues, asked.start, asked.end) == (None, None, None)
    assert asked.quantiles == [0.1, 0.5, 0.9]


def test_a_time_without_a_zone_is_refused() -> None:
    assert "timezone" in message(ForecastRequest, start="2026-03-02T00:00:00")


@pytest.mark.parametrize("value", [1_772_000_000, 1.5, "1772000000", "-1772000000.5", True])
def test_a_number_is_never_read_as_seconds(value: object) -> None:
    assert "ISO 8601" in message(ForecastRequest, start=value)


def test_a_plus_that_an_address_swallowed_is_named() -> None:
    assert "%2B" in message(ForecastQuery, start="2026-03-02T00:00:00 02:00")


def test_an_offset_names_the_same_moment_as_utc() -> None:
    asked = ForecastRequest.model_validate({"start": "2026-03-02T01:00:00+01:00"})
    assert asked.start == datetime(2026, 3, 2, tzinfo=UTC)


def test_an_end_at_or_before_the_start_is_refused() -> None:
    at = "2026-03-02T00:00:00Z"
    assert "after" in message(ForecastRequest, start=at, end=at)


@pytest.mark.parametrize("level", [0.0, 0.04, 0.96, 1.0, float("nan"), float("inf"), -0.5])
def test_a_quantile_outside_the_published_range_is_refused_with_the_range(level: float) -> None:
    assert "[0.05, 0.95]" in message(ForecastRequest, quantiles=[level])


@given(st.lists(st.floats(0.05, 0.95), max_size=19))
def test_quantiles_come_sorted_and_once_each(levels: list[float]) -> None:
    kept = ForecastRequest(quantiles=levels).quantiles
    assert kept == sorted({round(level, 4) for level in levels})


def test_a_queue_named_twice_is_answered_once() -> None:
    assert ForecastRequest(queues=["b", "a", "b"]).queues == ["b", "a"]


@pytest.mark.parametrize(
    "fields",
    [
        {"quantile": [0.5]},
        {"queues": []},
        {"queues": "sales"},
        {"queues": [1]},
        {"queues": ["x" * 10_001]},
        {"interval_minutes": 20},
    ],
)
def test_a_misspelt_or_misshapen_field_is_refused(fields: dict[str, object]) -> None:
    message(ForecastRequest, **fields)


@pytest.mark.parametrize("level", [0.0, 1.0, 1.5, -1.0])
def test_a_service_goal_of_all_or_nothing_is_refused(level: float) -> None:
    message(ServiceGoalRequest, service_level=level)


@pytest.mark.parametrize(
    "fields",
    [
        {"shrinkage": 1.0},
        {"shrinkage": -0.1},
        {"max_occupancy": 0.0},
        {"max_occupancy": 1.1},
        {"patience_seconds": 0},
        {"goal": {"threshold_seconds": -1}},
        {"goal": {"share": 0.8}},
        {"model": "erlang_x"},
        {"goal": {"asa_seconds": 0}},
        {"goal": {"abandonment": 1}},
        {"concurrency": 0},
        {"concurrency": 21},
        {"slowdown": -0.1},
        {"policy": {"kind": "median"}},
        {"policy": {"probability": 0}},
        {"policy": {"probability": 1}},
        {"policy": {"least_agents": -1}},
        {"policy": {"kind": "given", "agents_on_phone": {"a": [-1]}}},
        {"policy": {"kind": "given", "agents_on_phone": {"a": [1.5]}}},
        {"costs": {}},
        {"costs": {"agent_hour": 0, "abandoned_contact": 0, "missed_goal": 0}},
        {"costs": {"agent_hour": -1}},
        {"costs": {"agent_hour": 1, "currency": "euro"}},
        {"shifts": {"minimum_minutes": 721}},
        {"shifts": {"minimum_minutes": 0}},
        {"shifts": {}},
        {"backlog": {"a": -1}},
        {"backlog": [1]},
        {"calibrated": "yes"},
        {"paths": {"count": 0}},
        {"paths": {"count": 1_001}},
    ],
)
def test_a_staffing_value_outside_its_range_is_refused(fields: dict[str, object]) -> None:
    message(StaffingRequest, **fields)


@pytest.mark.parametrize(
    "field",
    [
        "patience_seconds",
        "shrinkage",
        "max_occupancy",
        "slowdown",
        "goal.service_level",
        "goal.threshold_seconds",
        "goal.asa_seconds",
        "goal.abandonment",
        "policy.probability",
        "costs.agent_hour",
        "costs.abandoned_contact",
        "costs.missed_goal",
        "backlog.phone",
    ],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused_in_every_field(field: str, value: float) -> None:
    *outer, name = field.split(".")
    body: dict[str, object] = {name: value}
    assert "finite" in message(StaffingRequest, **({outer[0]: body} if outer else body))


@pytest.mark.parametrize("ids", [[], [1], [None], "c001", ["x"] * 1_001, [["c001"]]])
def test_ids_must_be_one_to_a_thousand_texts(ids: object) -> None:
    message(ScoresRequest, customer_ids=ids)


def test_a_thousand_ids_are_taken() -> None:
    assert len(ScoresRequest(customer_ids=[f"c{i}" for i in range(1_000)]).customer_ids) == 1_000


@pytest.mark.parametrize("fields", [{"limit": 0}, {"limit": 1_000_001}, {"min_probability": 1.5}])
def test_a_page_outside_its_limits_is_refused(fields: dict[str, object]) -> None:
    message(ScoresQuery, **fields)


@pytest.mark.parametrize(
    "model",
    [
        ForecastRequest,
        ForecastResponse,
        StaffingRequest,
        StaffingResponse,
        QueuesResponse,
        TotalsRequest,
        TotalsResponse,
        EventsResponse,
        ScoresRequest,
        ScoresResponse,
        ScoreRecord,
        ScoresPage,
        ListRequest,
        ContactListResponse,
        ExperimentsResponse,
        ExperimentResponse,
        ModelsResponse,
        Readiness,
        Health,
        openapi.ProblemDetails,
        OverridesRequest,
        OverridesStored,
        OverridesResponse,
        WithdrawRequest,
        WithdrawnOverride,
    ],
)
def test_each_example_is_valid(model: type[BaseModel]) -> None:
    model.model_validate(example_of(model))


def test_each_route_shows_a_valid_answer() -> None:
    routes = [route for router in ROUTERS for route in router.routes]
    answers = [
        (about["model"], about["content"]["application/json"]["example"])
        for route in routes
        if isinstance(route, APIRoute)
        for about in route.responses.values()
        if "model" in about and "content" in about
    ]
    assert len(answers) == len(routes) - 1  # all but the metrics, which are text
    for model, example in answers:
        model.model_validate(example)
