"""What the guides to staffing and to files say is asked of a running service, word for word."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving_client import Server, serving

from features.artefact import point_to
from features.calendar.clock import interval_starts, local_times, to_epoch
from features.calendar.queues import Queue, is_open
from features.home import Home
from serving.api.staffing.responses import StaffingResponse
from serving.files import FORMATS
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.distribution import QUANTILE_LEVELS, count_quantiles, plain_shape
from serving.models.volume.forecast import PARTS, QueueForecast, VolumeForecast
from serving.published.forecast_set import write_forecast_set
from serving.staffing.erlang import performance
from serving.staffing.queue_model import QueueModel, ServiceGoal
from serving.staffing.requirement import fewest_agents

DOCS = Path(__file__).resolve().parents[1] / "docs"
GUIDE = (DOCS / "staffing.md").read_text(encoding="utf-8")
FILES = (DOCS / "formats.md").read_text(encoding="utf-8")
MADE_AT = datetime(2026, 3, 1, 4, tzinfo=UTC)
WEEKDAYS = ((((9 * 60, 18 * 60),),) * 5) + ((), ())
"""Opening hours of the guide's centre."""
QUEUES = (
    Queue("sales", "voice", "Europe/Berlin", None, WEEKDAYS, "stated", patience_seconds=180.0),
    Queue("chat", "chat", "Europe/Berlin", None, WEEKDAYS, "stated", concurrency=3),
    Queue("mail", "email", "Europe/Berlin", None, WEEKDAYS, "stated", goal_seconds=14_400.0),
)
"""A queue of each kind, as the guide describes them."""
BY_HOUR = {
    "sales": (120, 200, 190, 170, 150, 160, 180, 160, 110),
    "chat": (30, 45, 50, 40, 35, 40, 45, 40, 25),
    "mail": (20, 14, 12, 10, 8, 8, 8, 8, 6),
}
AHT_SECONDS = {"sales": 300.0, "chat": 720.0, "mail": 420.0}
SPREAD = 0.15**2
"""Squared coefficient of variation of the rate."""


def _queue(queue: Queue) -> QueueForecast:
    end = to_epoch(MADE_AT) + 28 * 86_400
    starts = interval_starts(to_epoch(MADE_AT), end, 60, queue.time_zone)
    opened = is_open(queue, starts)
    hour = local_times(starts, queue.time_zone).minute_of_day // 60
    by_hour = np.zeros(24)
    by_hour[9:18] = BY_HOUR[queue.queue]
    mean = np.where(opened, by_hour[hour], 0.0)
    return QueueForecast(
        queue=queue,
        starts=starts,
        is_open=opened,
        mean=mean,
        quantiles=count_quantiles(mean, np.full(len(mean), SPREAD), np.array(QUANTILE_LEVELS)),
        parts=np.column_stack((mean, np.zeros((len(mean), len(PARTS) - 1)))),
        baseline=mean,
        aht_seconds=np.full(len(starts), AHT_SECONDS[queue.queue]),
        shape=plain_shape(SPREAD),
        effects=DayEffects({}, {}),
        method="combined",
        warnings=(),
    )


@contextmanager
def centre(root: Path) -> Iterator[Server]:
    """Serve the guide's centre."""
    home = Home(root)
    forecast = VolumeForecast(
        made_at=MADE_AT,
        as_of=MADE_AT,
        events=(),
        queues={queue.queue: _queue(queue) for queue in QUEUES},
    )
    made = write_forecast_set(
        home.forecasts, forecast=forecast, snapshot="s", model_version="m", now=MADE_AT
    )
    point_to(home.forecasts, made)
    with serving(home.root, now=MADE_AT + timedelta(minutes=10)) as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with centre(tmp_path_factory.mktemp("home")) as running:
        yield running


def requests(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return address and body of each request that a guide shows."""
    asked = re.compile(r"-X POST '?http://127\.0\.0\.1:3000([^ ']+)'?.*?-d '([^']+)'", re.DOTALL)
    found = [asked.search(block) for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)]
    return [(match[1], json.loads(match[2])) for match in found if match is not None]


@pytest.mark.parametrize("guide", [GUIDE, FILES], ids=["staffing", "formats"])
def test_every_request_of_the_guides_is_answered(server: Server, guide: str) -> None:
    asked = requests(guide)
    assert len(asked) == guide.count("curl ") - guide.count("--data-binary")
    for address, body in asked:
        response = server.http.post(address, json=body)
        assert response.is_success, (address, body, response.text)
        if "format=" in address:
            form = FORMATS[address.partition("format=")[2]]
            read = form.read(response.content)
            assert [rows.queue for rows in read] == body["queues"]
            assert form.write(read) == response.content


def test_a_file_is_sent_back_as_overrides(tmp_path: Path) -> None:
    shown = re.search(r"'http://127\.0\.0\.1:3000(\S+)'[^']+'Content-Type: (\S+)' --data", FILES)
    assert shown is not None
    address, kind = shown.groups()
    (first, body), *_ = requests(FILES)
    with centre(tmp_path) as running:
        file = running.http.post(first, json=body).content
        response = running.http.post(address, content=file, headers={"Content-Type": kind})
        assert response.status_code == 201, response.text
        (kept,) = running.http.post("/v1/forecast", json={**HOUR}).json()["queues"]
        assert [i["published"] for i in kept["intervals"]] == ["override"]


def shown(text: str) -> list[dict[str, Any]]:
    """Return the JSON that a guide shows."""
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]


def cells(text: str, first: str) -> list[list[str]]:
    """Return the rows of the table whose head begins with a cell, as plain words."""
    head = re.escape(f"| {first} |") if first else r"\|  ?\|"
    table = re.search(rf"^{head}.*?\n\n", text, re.DOTALL | re.MULTILINE)
    assert table is not None, first
    rows = table.group().strip().replace("`", "").splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in [rows[0], *rows[2:]]]


def ask(server: Server, **body: Any) -> dict[str, Any]:
    response = server.http.post("/v1/staffing", json=body)
    assert response.is_success, response.text
    StaffingResponse.model_validate_json(response.content)
    answer: dict[str, Any] = response.json()
    return answer


HOUR = {
    "queues": ["sales"],
    "start": "2026-03-02T10:00:00+01:00",
    "end": "2026-03-02T11:00:00+01:00",
}
DAY = HOUR | {"start": "2026-03-02T00:00:00+01:00", "end": "2026-03-03T00:00:00+01:00"}


def test_the_answers_that_the_guide_shows_are_the_services(server: Server) -> None:
    interval, day = shown(GUIDE)
    (got,) = ask(server, **HOUR, shrinkage=0.3)["intervals"]
    assert {name: got[name] for name in interval} == interval
    (queue,) = ask(server, **DAY, shrinkage=0.3)["queues"]
    assert {name: queue["total"][name] for name in day} == day


def test_the_guides_policies_fare_as_its_table_says(server: Server) -> None:
    _, *rows = cells(GUIDE, "policy")
    assert len(rows) == 4
    costs = {"agent_hour": 30, "abandoned_contact": 12, "currency": "EUR"}
    for name, *figures in rows:
        kind, _, probability = name.partition(" ")
        policy = {"kind": kind} | ({"probability": float(probability)} if probability else {})
        (got,) = ask(server, **HOUR, shrinkage=0.3, policy=policy, costs=costs)["intervals"]
        names = ("agents_on_phone", "goal_probability", "service_level")
        assert [float(x) for x in figures] == [
            got[x] for x in (*names, "abandoned_contacts", "cost")
        ], name
    (mean,) = ask(server, **HOUR, shrinkage=0.3, policy={"kind": "mean"}, costs=costs)["intervals"]
    lost_less = -mean["one_more"]["abandoned_contacts"] * 12
    assert round(lost_less) == 40
    assert lost_less + mean["one_more"]["cost"] == pytest.approx(30 / 0.7, abs=0.02)
    (one,) = ask(
        server, **HOUR, policy={"kind": "cost"}, costs={"agent_hour": 30, "missed_goal": 9}
    )["intervals"]
    assert one["agents_on_phone"] == 0


def test_the_guides_models_ask_for_what_its_table_says(server: Server) -> None:
    for name, agents, level, lost in cells(GUIDE, "model | agents")[1:]:
        model = name.partition(",")[0]
        line = QueueModel(
            patience_seconds=180.0 if model == "erlang_a" else None, blocked=model == "erlang_b"
        )
        load, aht = np.array([200 * 300 / 3600]), np.array([300.0])
        number = fewest_agents(load, aht_seconds=aht, line=line, goal=ServiceGoal())
        expected = performance(load, aht_seconds=aht, agents=number, line=line, within_seconds=20.0)
        assert number.tolist() == [int(agents)]
        assert level == f"{100 * expected.service_level[0]:.1f} %"
        assert lost in (f"{100 * expected.abandonment[0]:.1f} %", "none")


def test_the_guides_shifts_are_the_services(server: Server) -> None:
    hours, alone, four = cells(GUIDE, "")
    for row, shifts in ((alone, None), (four, {"minimum_minutes": 240})):
        answer = ask(server, **DAY, **({} if shifts is None else {"shifts": shifts}))
        got = [i for i in answer["intervals"] if i["is_open"]]
        assert [f"{i['agents_on_phone']}" for i in got] == row[1:]
        assert [f"{datetime.fromisoformat(i['start_local']).hour}" for i in got] == hours[1:]


def test_quarters_of_an_hour_add_up_and_want_no_fewer_agents(server: Server) -> None:
    (hour,) = ask(server, **HOUR)["intervals"]
    quarters = ask(server, **HOUR, interval_minutes=15)["intervals"]
    assert sum(quarter["volume"] for quarter in quarters) == pytest.approx(hour["volume"])
    assert {quarter["agents_on_phone"] for quarter in quarters} == {hour["agents_on_phone"]}


def test_a_goal_of_all_is_refused(server: Server) -> None:
    response = server.http.post("/v1/staffing", json=HOUR | {"goal": {"service_level": 1.0}})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "goal.service_level"


def test_what_waits_on_is_in_the_next_interval(server: Server) -> None:
    agents = [0] * 9 + [11, 12, 18, 16, 15, 15, 17, 15, 12] + [0] * 6
    policy = {"kind": "given", "agents_on_phone": {"sales": agents}}
    given = ask(server, **DAY, policy=policy)["intervals"]
    assert [i["agents_on_phone"] for i in given] == agents
    assert given[10]["backlog"] > 1


def test_mail_is_a_backlog_and_can_be_made_a_line(server: Server) -> None:
    body = {**DAY, "queues": ["mail"]}
    assert ask(server, **body)["queues"][0]["model"] == "backlog"
    line = ask(server, **body, model="erlang_a", patience_seconds=60)["queues"][0]
    assert (line["model"], line["patience_source"]) == ("erlang_a", "request")
    assert ask(server, **body, model="erlang_c")["queues"][0]["model"] == "erlang_c"
    (calls,) = ask(server, **HOUR, model="backlog")["queues"]
    assert (calls["model"], calls["goal"]["threshold_seconds"]) == ("backlog", 86_400)
    assert "staffed for one of 86400 seconds" in calls["warnings"][0]
