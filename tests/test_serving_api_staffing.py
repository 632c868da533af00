"""`POST /v1/staffing` over HTTP: agents by policy, what they are worth, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from fastapi.routing import APIRoute
from serving_client import Server, serving
from serving_world import (
    MADE_AT,
    NOW,
    QUEUES,
    World,
    build_world,
    flat_forecast,
)

from features.artefact import point_to
from features.calendar.clock import to_epoch
from features.calendar.queues import Queue
from features.home import Home
from serving.api import openapi
from serving.api.openapi import example_of
from serving.api.staffing.requests import FormatName, StaffingRequest
from serving.api.staffing.responses import StaffingResponse
from serving.api.staffing.routes import staffing_router
from serving.files import FORMATS
from serving.forecast.staffing import MOST_PATH_VALUES, StaffingOptions
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.distribution import lead_bucket, plain_shape
from serving.models.volume.forecast import PARTS, QueueForecast, VolumeForecast, slice_intervals
from serving.models.volume.paths import sample_aht, sample_rates
from serving.published.forecast_set import open_current_forecast_set, write_forecast_set
from serving.staffing.queue_model import ServiceCalibration

HOUR = {"queues": ["phone"], "start": "2026-03-20T08:00:00Z", "end": "2026-03-20T09:00:00Z"}
DAY = {"queues": ["phone"], "start": "2026-03-22T23:00:00Z", "end": "2026-03-23T23:00:00Z"}
COSTS = {"agent_hour": 30.0, "abandoned_contact": 12.0, "missed_goal": 20.0, "currency": "EUR"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[Server]:
    with serving(world.home.root) as running:
        yield running


def ask(server: Server, **body: Any) -> dict[str, Any]:
    response = server.http.post("/v1/staffing", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def first(server: Server, **body: Any) -> dict[str, Any]:
    found: dict[str, Any] = ask(server, **body)["intervals"][0]
    return found


def refused(server: Server, body: Any, *, query: str = "") -> dict[str, Any]:
    content = json.dumps(body).encode()
    response = server.http.post(
        f"/v1/staffing{query}", content=content, headers={"Content-Type": "application/json"}
    )
    assert 400 <= response.status_code < 500, response.text
    openapi.ProblemDetails.model_validate_json(response.content)
    problem: dict[str, Any] = response.json()
    return problem


# The shape


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"policy": {"kind": "mean"}, "model": "erlang_c"},
        {"policy": {"kind": "cost"}, "costs": COSTS, "shrinkage": 0.3},
        {"queues": ["phone"], "model": "erlang_b", "policy": {"least_agents": 2}},
        {"queues": ["mail", "chat"], "backlog": {"mail": 40}, "calibrated": False},
        {"queues": ["phone"], "shifts": {"minimum_minutes": 240}, "paths": {"count": 50}},
        {"goal": {"asa_seconds": 10, "abandonment": 0.02}, "max_occupancy": 0.7},
        {"queues": ["chat"], "concurrency": 4, "slowdown": 0.2, "model": "erlang_c"},
        {"queues": ["phone"], "interval_minutes": 15},
    ],
)
def test_every_answer_is_what_the_document_describes(server: Server, body: Any) -> None:
    span = {"start": "2026-03-23T00:00:00Z", "end": "2026-03-24T00:00:00Z"}
    response = server.http.post("/v1/staffing", json=span | body)
    assert response.status_code == 200, response.text
    StaffingResponse.model_validate_json(response.content)
    assert b"NaN" not in response.content


def test_the_intervals_are_one_flat_list_under_the_names_that_scheduling_tools_read(
    server: Server,
) -> None:
    found = ask(server, start="2026-03-20T08:00:00Z", end="2026-03-20T10:00:00Z")
    assert [i["id"] for i in found["intervals"]] == [
        "chat@2026-03-20T08:00:00Z",
        "chat@2026-03-20T09:00:00Z",
        "mail@2026-03-20T08:00:00Z",
        "mail@2026-03-20T09:00:00Z",
        "phone@2026-03-20T08:00:00Z",
        "phone@2026-03-20T08:30:00Z",
        "phone@2026-03-20T09:00:00Z",
        "phone@2026-03-20T09:30:00Z",
    ]
    phone = found["intervals"][4]
    assert list(phone)[:9] == [
        *("id", "queue_id", "channel", "start_time", "end_time", "interval_minutes", "volume"),
        *("aht_seconds", "required_agents"),
    ]
    assert (
        phone
        | {
            "queue_id": "phone",
            "channel": "voice",
            "end_time": "2026-03-20T08:30:00Z",
            "start_local": "2026-03-20T09:00:00+01:00",
            "interval_minutes": 30,
            "volume": 20.0,
            "aht_seconds": 300.0,
            "required_agents": phone["agents_rostered"],
        }
        == phone
    )


def test_what_was_asked_is_repeated(server: Server) -> None:
    found = ask(server, **HOUR, policy={"kind": "mean", "least_agents": 3}, paths={"seed": 7})
    assert found["policy"] == {"kind": "mean", "probability": None, "least_agents": 3}
    assert found["paths"] == {"count": 200, "seed": 7}
    assert found["costs"] is None
    assert ask(server, **HOUR, costs=COSTS)["costs"] == COSTS
    (queue,) = ask(server, **HOUR, goal={"asa_seconds": 30}, max_occupancy=0.9)["queues"]
    assert queue["goal"] == {
        "service_level": 0.8,
        "threshold_seconds": 20.0,
        "asa_seconds": 30.0,
        "abandonment": None,
        "max_occupancy": 0.9,
    }


def test_an_empty_request_asks_for_the_options_by_default() -> None:
    assert StaffingRequest().to_options() == StaffingOptions()


def test_the_same_seed_gives_the_same_answer_and_another_seed_another(server: Server) -> None:
    one, again = ask(server, **HOUR), ask(server, **HOUR)
    assert one == again
    other = ask(server, **HOUR, paths={"seed": 1})
    assert other["intervals"] != one["intervals"]


# The policies


def erlang_c(contacts: float, aht: float, servers: int, *, within: float = 20.0) -> float:
    """Service level of a half hour by the textbook's sum."""
    load = contacts * aht / 1800
    if servers <= load:
        return 0.0
    terms = [load**k / math.factorial(k) for k in range(servers + 1)]
    wait = terms[-1] * servers / (servers - load)
    wait /= sum(terms[:-1]) + wait
    return 1 - wait * math.exp(-(servers - load) * within / aht)


def levels(world: World, servers: int, *, count: int = 200) -> list[float]:
    """Service level of the phone's first half hour on each path, by the textbook."""
    phone = open_current_forecast_set(world.home.forecasts).queue("phone")
    begin = to_epoch(datetime.fromisoformat(HOUR["start"]))
    part = slice_intervals(phone, phone.rows(begin, begin + 1))
    (rates,) = sample_rates([part], made_at=to_epoch(MADE_AT), count=count)
    (ahts,) = sample_aht([part], made_at=to_epoch(MADE_AT), count=count)
    return [erlang_c(r, a, servers) for r, a in zip(rates[:, 0], ahts[:, 0], strict=True)]


@pytest.mark.parametrize("agents", [4, 5, 6, 7, 9])
def test_given_agents_are_judged_over_the_paths_as_the_textbook_does(
    server: Server, world: World, agents: int
) -> None:
    policy = {"kind": "given", "agents_on_phone": {"phone": [agents, agents]}}
    found = first(server, **HOUR, model="erlang_c", policy=policy)
    by_hand = levels(world, agents)
    assert found["agents_on_phone"] == agents
    assert found["goal_probability"] == pytest.approx(np.mean(np.array(by_hand) >= 0.8), abs=6e-3)
    assert found["service_level"] == pytest.approx(np.mean(by_hand), abs=2e-3)
    assert found["service_level_low"] == pytest.approx(np.quantile(by_hand, 0.1), abs=0.01)
    assert found["service_level_high"] == pytest.approx(np.quantile(by_hand, 0.9), abs=0.01)


@pytest.mark.parametrize("probability", [0.5, 0.8, 0.95])
def test_the_fewest_agents_reach_the_probability_and_one_fewer_would_not(
    server: Server, world: World, probability: float
) -> None:
    found = first(server, **HOUR, model="erlang_c", policy={"probability": probability})
    agents = found["agents_on_phone"]
    assert np.mean(np.array(levels(world, agents)) >= 0.8) >= probability
    assert np.mean(np.array(levels(world, agents - 1)) >= 0.8) < probability
    assert found["goal_probability"] >= probability
    assert found["goal_probability"] + found["one_fewer"]["goal_probability"] < probability


def test_the_mean_policy_is_the_fewest_of_the_point_forecast(server: Server) -> None:
    found = first(server, **HOUR, model="erlang_c", policy={"kind": "mean"})
    agents = found["agents_on_phone"]
    assert erlang_c(20, 300, agents) >= 0.8 > erlang_c(20, 300, agents - 1)
    assert found["occupancy"] == pytest.approx(20 * 300 / 1800 / agents, abs=1e-2)
    assert found["abandonment"] is None


def test_the_default_is_the_goal_with_probability_four_fifths(server: Server) -> None:
    found = ask(server, **DAY)
    assert found["policy"]["kind"] == "probability"
    assert {i["goal_probability"] >= 0.8 for i in found["intervals"]} == {True}
    mean = ask(server, **DAY, policy={"kind": "mean"})
    more = zip(found["intervals"], mean["intervals"], strict=True)
    assert all(sure["agents_on_phone"] >= m["agents_on_phone"] for sure, m in more)


def test_at_the_least_cost_neither_one_more_nor_one_fewer_is_cheaper(server: Server) -> None:
    found = ask(server, **DAY, policy={"kind": "cost"}, costs=COSTS)
    opened = [i for i in found["intervals"] if i["is_open"]]
    assert opened
    for interval in opened:
        assert interval["one_more"]["cost"] >= 0
        assert interval["one_fewer"]["cost"] >= 0


@pytest.mark.parametrize(("other", "name"), [(7, "one_more"), (5, "one_fewer")])
def test_what_one_agent_is_worth_is_the_difference_to_a_plan_with_it(
    server: Server, other: int, name: str
) -> None:
    def judged(agents: int) -> dict[str, Any]:
        policy = {"kind": "given", "agents_on_phone": {"phone": [agents]}}
        end = "2026-03-20T08:30:00Z"
        return first(server, **(HOUR | {"end": end}), policy=policy, costs=COSTS)

    plan, changed = judged(6), judged(other)
    for field, tolerance in (
        ("goal_probability", 2e-4),
        ("service_level", 2e-4),
        ("abandoned_contacts", 2e-3),
        ("cost", 2e-2),
    ):
        assert plan[name][field] == pytest.approx(changed[field] - plan[field], abs=tolerance)


def test_costs_are_null_where_nothing_is_said_to_cost(server: Server) -> None:
    found = ask(server, **HOUR)
    interval = found["intervals"][0]
    assert interval["cost"] is interval["one_more"]["cost"] is None
    assert found["queues"][0]["total"]["cost"] is None


# Days, shifts, shrinkage


def test_days_and_the_total_add_up_the_intervals(server: Server) -> None:
    found = ask(server, queues=["phone"], costs=COSTS, shrinkage=0.25)
    (queue,) = found["queues"]
    zone = ZoneInfo("Europe/Berlin")
    days: dict[str, list[dict[str, Any]]] = {}
    for interval in found["intervals"]:
        day = datetime.fromisoformat(interval["start_time"]).astimezone(zone).date().isoformat()
        days.setdefault(day, []).append(interval)
    assert [day["date"] for day in queue["days"]] == list(days)
    for span, inside in [
        *zip(queue["days"], days.values(), strict=True),
        (queue["total"], found["intervals"]),
    ]:
        most = max(i["agents_on_phone"] for i in inside)
        peak = next(i for i in inside if i["agents_on_phone"] == most)
        assert span["contacts"] == pytest.approx(sum(i["volume"] for i in inside), abs=1e-2)
        assert span["agent_hours_on_phone"] == sum(i["agents_on_phone"] for i in inside) / 2
        assert span["agent_hours_rostered"] == sum(i["agents_rostered"] for i in inside) / 2
        assert (span["peak_agents_on_phone"], span["peak_start"]) == (most, peak["start_time"])
        lost = sum(i["abandoned_contacts"] for i in inside)
        assert span["abandoned_contacts"] == pytest.approx(lost, rel=1e-2, abs=0.05)
        assert span["cost"] == pytest.approx(sum(i["cost"] for i in inside), rel=1e-2)
        at_risk = [i for i in inside if i["volume"] > 0 and i["goal_probability"] < 0.8]
        assert span["intervals_at_risk"] == len(at_risk)
        assert 0 <= span["goal_probability"] <= 1


def test_shrinkage_rosters_more_and_changes_nothing_on_the_phone(server: Server) -> None:
    plain, shrunk = first(server, **HOUR), first(server, **HOUR, shrinkage=0.5)
    assert shrunk["agents_on_phone"] == plain["agents_on_phone"] == plain["agents_rostered"]
    assert shrunk["agents_rostered"] == shrunk["required_agents"] == 2 * plain["agents_on_phone"]


def test_a_better_goal_needs_more_agents(server: Server) -> None:
    plain = first(server, **HOUR)["agents_on_phone"]
    assert first(server, **HOUR, goal={"service_level": 0.99})["agents_on_phone"] > plain
    assert first(server, **HOUR, goal={"asa_seconds": 0.5})["agents_on_phone"] > plain
    assert first(server, **HOUR, goal={"abandonment": 0.001})["agents_on_phone"] > plain
    assert first(server, **HOUR, max_occupancy=0.3)["agents_on_phone"] > plain


def test_a_closed_interval_needs_nobody_even_where_a_least_number_is_asked(server: Server) -> None:
    found = ask(server, **DAY, policy={"least_agents": 9})["intervals"]
    assert {i["agents_on_phone"] for i in found if not i["is_open"]} == {0}
    assert {i["agents_on_phone"] >= 9 for i in found if i["is_open"]} == {True}


def test_with_shift_blocks_each_who_works_stays_for_that_long(server: Server) -> None:
    changed = {"scale_volume": [{"factor": 4, "start": "2026-03-23T11:00:00Z",
                                 "end": "2026-03-23T11:30:00Z"}]}  # fmt: skip
    plain = ask(server, **DAY, what_if=changed)["intervals"]
    found = ask(server, **DAY, what_if=changed, shifts={"minimum_minutes": 180})["intervals"]
    for block, alone in zip(found, plain, strict=True):
        assert block["agents_on_phone"] >= alone["agents_on_phone"]
    assert sum(i["agents_on_phone"] for i in found) > sum(i["agents_on_phone"] for i in plain)
    # Who came first leaves first.
    began: list[int] = []
    for place, agents in enumerate([*(i["agents_on_phone"] for i in found), 0]):
        while len(began) > agents:
            assert (place - began.pop(0)) * 30 >= 180
        began += [place] * (agents - len(began))


# Models: who waits, and for how long


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server whose chat knows its patience and its efficiency from its history."""
    home = Home(tmp_path_factory.mktemp("home"))
    flat = flat_forecast()
    chat = replace(
        flat.queues["chat"],
        service=ServiceCalibration(
            patience_seconds=240.0, efficiency=0.8, contacts=900, abandoned=90
        ),
    )
    known = replace(flat, queues={**flat.queues, "chat": chat})
    id = write_forecast_set(
        home.forecasts, forecast=known, snapshot="s", model_version="m", now=NOW
    )
    point_to(home.forecasts, id)
    with serving(home.root) as running:
        yield running


def test_a_patience_is_the_requests_else_the_queues_else_the_learnt_one(learnt: Server) -> None:
    heads = {q["queue"]: q for q in ask(learnt)["queues"]}
    said = {n: (q["model"], q["patience_seconds"], q["patience_source"]) for n, q in heads.items()}
    assert said == {
        "chat": ("erlang_a", 240.0, "learnt"),
        "mail": ("backlog", None, None),
        "phone": ("erlang_a", 180.0, "queue"),
    }
    heads = {q["queue"]: q for q in ask(learnt, patience_seconds=60)["queues"]}
    assert (heads["chat"]["patience_seconds"], heads["chat"]["patience_source"]) == (60, "request")
    assert heads["mail"]["model"] == "backlog"
    assert any("`patience_seconds` does not count" in text for text in heads["mail"]["warnings"])


def test_without_any_patience_everyone_waits(server: Server) -> None:
    (queue,) = ask(server, queues=["chat"])["queues"]
    assert (queue["model"], queue["patience_seconds"]) == ("erlang_c", None)


def test_a_learnt_efficiency_lengthens_the_handle_time_that_is_staffed_for(learnt: Server) -> None:
    span = {"queues": ["chat"], "start": "2026-03-23T00:00:00Z", "end": "2026-03-24T00:00:00Z"}
    busy = {"scale_volume": [{"factor": 20}]}
    found = ask(learnt, **span, what_if=busy)
    plain = ask(learnt, **span, what_if=busy, calibrated=False)
    longer = busy | {"scale_aht": [{"factor": 1.25}]}
    longer = ask(learnt, **span, what_if=longer, calibrated=False)
    assert (found["queues"][0]["efficiency"], plain["queues"][0]["efficiency"]) == (0.8, 1.0)
    assert {i["aht_seconds"] for i in found["intervals"]} == {600.0}
    agents = [[i["agents_on_phone"] for i in a["intervals"]] for a in (found, plain, longer)]
    assert agents[0] == agents[2] != agents[1]


def test_an_agent_with_several_chats_at_once_does_the_work_of_several(server: Server) -> None:
    span = {"queues": ["chat"], "start": "2026-03-23T00:00:00Z", "end": "2026-03-23T01:00:00Z"}
    span |= {"what_if": {"scale_volume": [{"factor": 20}]}}
    own, one = ask(server, **span), ask(server, **span, concurrency=1)
    assert (own["queues"][0]["concurrency"], one["queues"][0]["concurrency"]) == (3, 1)
    single = one["intervals"][0]["agents_on_phone"]
    # Agents who hold three at once are as good as three servers of that handle time each.
    assert own["intervals"][0]["agents_on_phone"] == math.ceil(single / 3)
    # The AHT is that of agents who hold three: with a slowdown those who hold fewer are faster.
    slower = ask(server, **span, slowdown=1.0)
    assert slower["queues"][0]["slowdown"] == 1.0
    assert slower["intervals"][0]["agents_on_phone"] <= own["intervals"][0]["agents_on_phone"]


def test_who_finds_nobody_free_is_lost_where_nobody_may_wait(server: Server) -> None:
    found = first(server, **HOUR, model="erlang_b", policy={"kind": "mean"})
    load = 20 * 300 / 1800
    blocked = 1.0
    for n in range(1, found["agents_on_phone"] + 1):
        blocked = load * blocked / (n + load * blocked)
        if n == found["agents_on_phone"] - 1:
            assert 1 - blocked < 0.8
    assert 1 - blocked >= 0.8


def test_work_that_waits_at_the_start_is_done_too(server: Server) -> None:
    span = {"queues": ["mail"], "start": "2026-03-23T00:00:00Z", "end": "2026-03-24T00:00:00Z"}
    goal = {"threshold_seconds": 14_400}
    plain = ask(server, **span, goal=goal)
    waiting = ask(server, **span, goal=goal, backlog={"mail": 80})
    first_hours = [[i["agents_on_phone"] for i in a["intervals"][:4]] for a in (plain, waiting)]
    # 80 e-mails of 900 s are 20 hours of work, and 80 % of it is due within four hours.
    assert sum(first_hours[1]) >= 16 > sum(first_hours[0])
    assert waiting["intervals"][3]["backlog"] <= 16
    assert waiting["intervals"][-1]["backlog"] < 3


def test_any_queue_can_be_worked_as_a_backlog_and_any_as_a_line(server: Server) -> None:
    (queue,) = ask(server, **HOUR, model="backlog")["queues"]
    assert (queue["model"], queue["patience_seconds"]) == ("backlog", None)
    (queue,) = ask(server, queues=["mail"], model="erlang_c")["queues"]
    assert queue["model"] == "erlang_c"


def test_nobody_at_work_answers_nobody(server: Server) -> None:
    policy = {"kind": "given", "agents_on_phone": {"phone": [0, 0]}}
    found = first(server, **HOUR, model="erlang_c", policy=policy)
    assert (found["service_level"], found["goal_probability"]) == (0, 0)
    assert found["asa_seconds"] is None


# A finer grid


def test_quarters_of_an_hour_add_up_to_the_queues_own_intervals(server: Server) -> None:
    halves = ask(server, **DAY)["intervals"]
    quarters = ask(server, **DAY, interval_minutes=15)["intervals"]
    assert len(quarters) == 2 * len(halves)
    assert {i["interval_minutes"] for i in quarters} == {15}
    for half, pair in zip(halves, zip(quarters[::2], quarters[1::2], strict=True), strict=True):
        assert sum(i["volume"] for i in pair) == pytest.approx(half["volume"], abs=2e-3)
        assert pair[0]["start_time"] == half["start_time"]


# Files for other tools


@pytest.mark.parametrize(
    ("name", "kind", "file", "body"),
    [
        ("csv", "text/csv; charset=utf-8", "staffing.csv", {}),
        ("connect", "text/csv; charset=utf-8", "staffing.csv", {"queues": ["phone"]}),
        (
            "genesys",
            "application/gzip",
            "staffing.json.gz",
            {
                "queues": ["phone"],
                "start": "2026-03-22T23:00:00Z",
                "end": "2026-03-29T22:00:00Z",
                "interval_minutes": 15,
            },
        ),
    ],
)
def test_a_file_holds_what_the_json_answer_says(
    server: Server, name: str, kind: str, file: str, body: Any
) -> None:
    response = server.http.post(f"/v1/staffing?format={name}", json=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == kind
    assert response.headers["content-disposition"] == f'attachment; filename="{file}"'
    assert "content-encoding" not in response.headers
    answer = ask(server, **body)
    found = FORMATS[name].read(response.content)
    assert [rows.queue for rows in found] == [queue["queue"] for queue in answer["queues"]]
    for rows in found:
        said = [i for i in answer["intervals"] if i["queue_id"] == rows.queue]
        starts = [to_epoch(datetime.fromisoformat(i["start_time"])) for i in said]
        assert rows.starts.tolist() == starts
        volume = [i["volume"] for i in said]
        if name == "connect":  # in whole contacts, that add up over a day
            assert rows.volume.sum() == pytest.approx(sum(volume), abs=14)
            continue
        assert rows.volume.tolist() == pytest.approx(volume, abs=1e-3)
        assert rows.aht_seconds.tolist() == pytest.approx([i["aht_seconds"] for i in said], abs=0.1)
        if name == "csv":
            assert rows.agents_on_phone is not None
            assert rows.agents_on_phone.tolist() == [i["agents_on_phone"] for i in said]
            assert rows.agents_rostered is not None
            assert rows.agents_rostered.tolist() == [i["required_agents"] for i in said]


def test_every_form_that_is_made_can_be_asked_for() -> None:
    assert set(get_args(FormatName)) == {"json", *FORMATS}


def test_a_file_that_cannot_hold_the_answer_says_what_to_ask_for(server: Server) -> None:
    problem = refused(server, DAY, query="?format=genesys")
    assert [error["field"] for error in problem["errors"]] == ["interval_minutes"]
    assert "Ask for `interval_minutes` 15" in problem["detail"]
    problem = refused(server, {"queues": ["mail"]}, query="?format=connect")
    assert "voice or chat" in problem["detail"]


def test_json_is_the_form_by_default(server: Server) -> None:
    body = HOUR | {"what_if": {"scale_volume": [{"factor": 2}]}}
    plain = server.http.post("/v1/staffing", json=body)
    asked = server.http.post("/v1/staffing?format=json", json=body)
    assert plain.content == asked.content
    assert plain.headers["content-type"] == "application/json"
    file = server.http.post("/v1/staffing?format=csv", json=body)
    assert plain.headers["cache-control"] == file.headers["cache-control"] == "no-store"


# What is refused


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"goal": {"service_level": 1}}, "goal.service_level", "less than 1"),
        ({"goal": {"service_level": 0}}, "goal.service_level", "greater than 0"),
        ({"goal": {"threshold_seconds": -1}}, "goal.threshold_seconds", "equal to 0"),
        ({"goal": {"asa_seconds": 0}}, "goal.asa_seconds", "greater than 0"),
        ({"goal": {"abandonment": 1}}, "goal.abandonment", "less than 1"),
        ({"max_occupancy": 0}, "max_occupancy", "0.1"),
        ({"shrinkage": 1}, "shrinkage", "less than 1"),
        ({"costs": {"agent_hour": 0, "missed_goal": 0}}, "costs", "above 0, got all zero"),
        ({"costs": {"agent_hour": 1, "currency": "euros"}}, "costs.currency", "A-Z"),
        ({"policy": {"kind": "cost"}}, "costs", "for the policy `cost`"),
        ({"policy": {"probability": 0}}, "policy.probability", "greater than 0"),
        ({"policy": {"probability": 1}}, "policy.probability", "less than 1"),
        ({"policy": {"kind": "given"}}, "policy.agents_on_phone", "agents by queue"),
        (
            {"policy": {"agents_on_phone": {"phone": [1]}}},
            "policy.agents_on_phone",
            "with no other",
        ),
        (
            {**HOUR, "policy": {"kind": "given", "agents_on_phone": {"phone": [1]}}},
            "policy.agents_on_phone.phone",
            "got 1 numbers; expected 2",
        ),
        (
            {"policy": {"kind": "given", "agents_on_phone": {"phone": [1] * 672}}},
            "policy.agents_on_phone.chat",
            "got none; expected 336",
        ),
        (
            {**HOUR, "policy": {"kind": "given", "agents_on_phone": {"fone": [1, 1]}}},
            "policy.agents_on_phone.fone",
            "Did you mean `phone`?",
        ),
        (
            {**HOUR, "policy": {"kind": "given", "agents_on_phone": {"phone": [1, -1]}}},
            "policy.agents_on_phone.phone.1",
            "equal to 0",
        ),
        ({"model": "erlang_c", "patience_seconds": 60}, "patience_seconds", "`erlang_a`"),
        ({"model": "erlang_b", "patience_seconds": 60}, "patience_seconds", "`erlang_a`"),
        ({"model": "backlog", "patience_seconds": 60}, "patience_seconds", "`erlang_a`"),
        ({"queues": ["chat"], "model": "erlang_a"}, "patience_seconds", "none learnt"),
        ({"model": "erlang_x"}, "model", "'erlang_a'"),
        ({"backlog": {"phone": -1}}, "backlog.phone", "equal to 0"),
        ({"backlog": {"fone": 1}}, "backlog.fone", "Did you mean `phone`?"),
        ({"queues": ["mail"], "backlog": {"phone": 1}}, "backlog.phone", "Known: mail"),
        ({"shifts": {"minimum_minutes": 721}}, "shifts.minimum_minutes", "equal to 720"),
        ({**HOUR, "shifts": {"minimum_minutes": 20}}, "shifts.minimum_minutes", "at least 30"),
        ({"paths": {"count": 0}}, "paths.count", "equal to 1"),
        ({"concurrency": 21}, "concurrency", "equal to 20"),
        ({"slowdown": -1}, "slowdown", "equal to 0"),
        ({"shrinkage": math.nan}, "shrinkage", "finite"),
        ({"patience_seconds": math.inf}, "patience_seconds", "finite"),
        ({"costs": {"agent_hour": math.inf}}, "costs.agent_hour", "finite"),
        ({"backlog": {"phone": math.nan}}, "backlog.phone", "finite"),
        ({"goals": {}}, "goals", "not known"),
        ({"costs": {"agent": 1}}, "costs.agent", "not known"),
        (
            {"queues": ["phone"], "what_if": {"scale_aht": [{"factor": 100}],
             "scale_volume": [{"factor": 100}]}},
            "queues",
            "queue `phone`, load of interval",
        ),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused_by_its_field_with_its_range(
    server: Server, body: Any, field: str, said: str
) -> None:
    problem = refused(server, body)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert said in problem["errors"][0]["message"]


def test_a_form_that_nobody_makes_is_refused_with_those_there_are(server: Server) -> None:
    problem = refused(server, HOUR, query="?format=xls")
    assert [error["field"] for error in problem["errors"]] == ["query.format"]
    for name in ("json", "csv", "genesys", "connect"):
        assert name in problem["detail"]
    assert [e["field"] for e in refused(server, HOUR, query="?form=csv")["errors"]] == [
        "query.form"
    ]


def test_more_than_can_be_answered_in_time_is_refused_with_what_to_ask_less_of(
    server: Server,
) -> None:
    end = MADE_AT + timedelta(days=28)
    problem = refused(server, {"end": end.isoformat(), "paths": {"count": 1_000}})
    assert [error["field"] for error in problem["errors"]] == ["paths.count"]
    assert f"at most {MOST_PATH_VALUES}" in problem["detail"]
    assert "fewer paths, fewer queues or a shorter span" in problem["detail"]


def test_a_queue_whose_own_goal_is_all_is_told_to_send_another(tmp_path: Path) -> None:
    home = Home(tmp_path)
    flat = flat_forecast()
    mail = flat.queues["mail"]
    all_of_it = replace(mail, queue=replace(mail.queue, goal_share=1.0))
    id = write_forecast_set(
        home.forecasts,
        forecast=replace(flat, queues={"mail": all_of_it}),
        snapshot="s",
        model_version="m",
        now=NOW,
    )
    point_to(home.forecasts, id)
    with serving(tmp_path) as server:
        problem = refused(server, {})
        assert [error["field"] for error in problem["errors"]] == ["goal.service_level"]
        assert "queue `mail`" in problem["detail"]
        assert ask(server, goal={"service_level": 0.95})["intervals"]
        assert "No agents" in server.http.get("/").text


def test_nothing_at_all_asks_for_every_queue_over_a_fortnight(server: Server) -> None:
    found = ask(server)
    assert [q["queue"] for q in found["queues"]] == [queue.queue for queue in QUEUES]
    assert len(found["intervals"]) == 14 * (24 + 24 + 48)


# The example in the document


def shown(home: Home) -> dict[str, Any]:
    """Answer the document's request: one hour of a queue, made from plain numbers."""
    made_at = datetime.fromisoformat("2026-03-02T04:00:00Z")
    start = to_epoch(datetime.fromisoformat(example_of(StaffingRequest)["start"]))
    mean, shape = np.array([41.7]), plain_shape(0.03)
    parts = np.zeros((1, len(PARTS)))
    parts[:, 0] = mean
    forecast = QueueForecast(
        queue=Queue("sales", time_zone="Europe/Berlin"),
        starts=np.array([start]),
        is_open=np.array([True]),
        mean=mean,
        quantiles=shape.quantiles(mean, lead_bucket(np.array([4.0]))),
        parts=parts,
        baseline=mean,
        aht_seconds=np.array([312.4]),
        shape=shape,
        effects=DayEffects({}, {}),
        method="combined",
        warnings=(),
    )
    published = VolumeForecast(
        made_at=made_at, as_of=made_at, events=(), queues={"sales": forecast}
    )
    id = write_forecast_set(
        home.forecasts, forecast=published, snapshot="s", model_version="m", now=made_at
    )
    point_to(home.forecasts, id)
    with serving(home.root, now=made_at) as server:
        return ask(server, **example_of(StaffingRequest))


def csv_example() -> str:
    """Return the CSV file that the document shows."""
    (route,) = staffing_router.routes
    assert isinstance(route, APIRoute)
    example: str = route.responses[200]["content"]["text/csv"]["example"]
    return example


def test_the_documents_example_is_what_the_service_answers(tmp_path: Path) -> None:
    found, example = shown(Home(tmp_path)), example_of(StaffingResponse)
    assert list(found) == list(example)
    for name in set(found) - {"forecast_set", "model_version", "snapshot"}:
        assert found[name] == example[name], name
    csv = FORMATS["csv"].read(csv_example().encode())[0]
    (interval,) = found["intervals"]
    assert csv.agents_rostered is not None
    assert csv.agents_rostered.tolist() == [interval["required_agents"]]
    assert csv.volume.tolist() == [interval["volume"]]
