"""The pages for people: what a team leader reads on the first, what a developer on the second."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from forecast_world import put_planners_forecast
from serving_client import Server, serving
from serving_world import (
    MADE_AT,
    NOW,
    World,
    build_world,
    customer_ids,
    put_experiments,
    put_forecast,
    put_scores,
)

from features.calendar.clock import local_midnight
from features.calendar.queues import Event, Queue
from features.home import Home
from serving.api.openapi import example_of
from serving.api.outreach.schemas import NAME, ListRequest
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.distribution import plain_shape
from serving.models.volume.forecast import PARTS, QueueForecast
from serving.pages.week import MOST_MOVES, moves, queue_week
from serving.published.forecast_set import open_current_forecast_set


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[Server]:
    with serving(world.home.root) as running:
        yield running


def queue_section(page: str, name: str) -> str:
    """Return the HTML from one queue's title to the next title."""
    return page.split(f"<h3>{name}</h3>")[1].split("<h3>")[0].split("<h2")[0]


def row(section: str, title: str) -> list[str]:
    """Return the cells of a table row by its title, as text."""
    found = re.search(rf'<th scope="row">{title}</th>(.*?)</tr>', section)
    assert found, title
    return [
        re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", found.group(1))
    ]


def test_a_queues_days_are_those_of_the_staffing_route(server: Server) -> None:
    # Friday 2026-03-20 to Thursday in Berlin, open 08:00-18:00 on weekdays, 20 each half hour.
    section = queue_section(server.http.get("/").text, "Hotline")
    assert row(section, "contacts") == ["400", "closed", "closed", "400", "400", "400", "400"]
    asked = {
        "queues": ["phone"],
        "start": "2026-03-22T23:00:00Z",
        "end": "2026-03-23T23:00:00Z",
        "paths": {"count": 50},
    }
    day = server.http.post("/v1/staffing", json=asked).json()["queues"][0]["days"][0]
    assert row(section, "agents at peak")[3] == f"{day['peak_agents_on_phone']}"
    assert row(section, "agent hours")[3] == f"{day['agent_hours_on_phone']:.0f}"
    risk = 100 * (1 - day["goal_probability"])
    assert unescape(row(section, "risk to miss")[3]) == f"{risk:.0f}\N{NO-BREAK SPACE}%"


def test_a_queue_says_its_hours_its_clock_and_its_goal(server: Server) -> None:
    section = queue_section(server.http.get("/").text, "Hotline")
    assert "Voice: Mon-Fri 08:00-18:00; Sat-Sun closed, Europe/Berlin time" in section
    assert "contacts in 30 minutes" in section
    assert "the goal is met in 8 of 10 intervals: 80 % of contacts answered within 20 " in section


def test_the_picture_marks_now_and_closed_hours(server: Server) -> None:
    section = queue_section(server.http.get("/").text, "Hotline")
    # Local time is 01:10 of the first of seven days.
    assert f'class="now" x1="{70 / 1440:.3f}"' in section
    shut = re.findall(r'class="shut" x="([\d.]+)" y="0" width="([\d.]+)"', section)
    # The forecast begins at 01:00; five nights and one week-end.
    assert shut[0] == (f"{1 / 24:.3f}", f"{7 / 24:.3f}")
    assert shut[1] == ("0.750", f"{2 + 14 / 24:.3f}")
    assert "20 Mar<br>from 01:00" in section


def test_a_day_of_23_hours_is_as_wide_as_the_others(world: World) -> None:
    night = MADE_AT + timedelta(days=7)
    with serving(world.home.root, now=night) as server:
        section = queue_section(server.http.get("/").text, "Hotline")
    shut = re.findall(r'class="shut" x="([\d.]+)" y="0" width="([\d.]+)"', section)
    # From Friday 18:00 over the short Sunday to Monday 08:00.
    assert ("0.750", f"{2 + 14 / 24:.3f}") in shut


def test_a_public_holiday_is_named_where_it_closes_a_queue(world: World) -> None:
    found = open_current_forecast_set(world.home.forecasts)
    phone = found.queue("phone")
    closing = replace(phone, queue=replace(phone.queue, open_on_holidays=False))
    good_friday = MADE_AT + timedelta(days=13)
    assert "Closed on Fri 3 Apr: " in queue_week(closing, of=found, now=good_friday)
    assert "Closed on" not in queue_week(phone, of=found, now=good_friday)


def test_the_tiers_count_every_scored_customer_once(server: Server) -> None:
    page = server.http.get("/").text
    ids = range(len(customer_ids()))
    chances = [i % 100 / 100 for i in ids if i % 10 != 9]
    high = [chance for chance in chances if chance >= 0.8]
    cells = re.findall(r'<b>high</b></td><td class="number">(\d+)<.*?(\d+) %</td>.*?(\d+) %', page)
    mean, share = sum(high) / len(high), len(high) / len(chances)
    assert cells == [(f"{len(high)}", f"{100 * share:.0f}", f"{100 * mean:.0f}")]
    assert f"{len(chances)} customers are scored" in page
    assert server.http.get("/v1/churn/scores?tier=high").status_code == 200
    assert 'href="/v1/churn/scores?tier=high"' in page


def test_the_ten_customers_with_most_at_stake_stand_first_with_what_to_do(server: Server) -> None:
    page = unescape(server.http.get("/customers").text)
    section = page.split('id="most"')[1].split("<h2")[0]
    lines = server.http.get("/v1/churn/scores?limit=1000").text.splitlines()
    records = [json.loads(line) for line in lines]
    known = [r for r in records if r["value_at_risk_minor"] is not None]
    wanted = sorted(known, key=lambda r: -r["value_at_risk_minor"])[:10]
    rows = section.split("<tr>")[2:]
    assert len(rows) == 10
    for row, record in zip(rows, wanted, strict=True):
        assert f"<code>{record['customer_id']}</code>" in row
        assert f"{record['value_at_risk_minor'] / 100:,.0f}</b> of " in row
        assert record["action"].replace("_", " ") in row
        assert record["reasons"][0]["text"] in row


def test_the_page_of_customers_counts_everybody_by_tier_and_stage(server: Server) -> None:
    page = unescape(server.http.get("/customers").text)
    lines = server.http.get("/v1/churn/scores?limit=1000").text.splitlines()
    records = [json.loads(line) for line in lines]
    for column, words in (("tier", ("high", "low")), ("stage", ("at_risk", "prospect"))):
        for word in words:
            some = [r for r in records if r[column] == word]
            at_risk = sum(r["value_at_risk_minor"] or 0 for r in some)
            row = page.split(f"<b>{word.replace('_', ' ')}</b>")[1].split("</tr>")[0]
            assert f">{len(some):,}<" in row
            assert f">{at_risk / 100:,.0f}<" in row
            link = f"/v1/churn/scores?{column}={word}"
            assert f'href="{link}"' in row
            assert server.http.get(link).headers["x-row-count"] == str(len(some))
    total = sum(r["value_at_risk_minor"] or 0 for r in records)
    assert f"<b>{total / 100:,.0f}</b> of the next 12 months are at risk" in page
    assert 'href="/customers"' in server.http.get("/").text


def test_the_page_of_customers_says_what_to_run_where_there_are_none(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert "python -m serving score" in server.http.get("/customers").text


def test_a_set_without_customers_or_money_has_its_page(tmp_path: Path) -> None:
    put_scores(Home(tmp_path), ids=[])
    with serving(tmp_path) as server:
        page = server.http.get("/customers").text
    assert "0 of 0 customers are scored" in page
    assert "Nobody's value is known" in unescape(page)


def test_what_a_customer_is_called_is_no_html(tmp_path: Path) -> None:
    put_scores(Home(tmp_path), ids=["<script>1</script>"])
    with serving(tmp_path) as server:
        page = server.http.get("/customers").text
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_what_is_missing_comes_with_its_remedy(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        page = server.http.get("/").text
    notes = page.split('class="note"')[1].split("</ul>")[0]
    for command in (
        "serving forecast",
        "serving score",
        "training promote volume",
        "training promote churn",
        "features build",
    ):
        assert f"python -m {command}</code>" in notes


def test_a_home_with_everything_shows_no_warning_box(server: Server) -> None:
    assert 'class="note"' not in server.http.get("/").text


@pytest.mark.parametrize(("days", "ended"), [(22, False), (40, True)])
def test_a_forecast_that_runs_out_is_said(world: World, days: int, ended: bool) -> None:
    with serving(world.home.root, now=NOW + timedelta(days=days)) as server:
        page = server.http.get("/").text
    assert "The forecast ends on Fri 17 Apr 2026, 00:00 UTC." in page
    assert ("Its forecast has ended." in page) is ended
    assert "NaN" not in page
    assert "nan" not in re.findall(r'points="([^"]*)"', page)


def test_a_refused_folder_is_named_with_its_reason(tmp_path: Path) -> None:
    world = build_world(tmp_path)
    with serving(tmp_path, refresh_seconds=0.05) as server:
        newer = put_forecast(
            world.home, snapshot=world.snapshot, model_version="m", now=NOW + timedelta(minutes=1)
        )
        (world.home.forecasts / newer / "queues.json").write_text("[]")
        server.watcher.refresh(now=NOW + timedelta(minutes=2))
        page = server.http.get("/").text
    assert "Forecast of contacts: a newer one is refused." in page
    assert page.count("<svg") == 3


def test_the_docs_example_of_a_post_is_what_the_document_gives(server: Server) -> None:
    page = unescape(server.http.get("/docs").text)
    document = server.http.get("/openapi.json").json()
    commands = re.findall(r"<pre>(curl -s -X POST .*?)</pre>", page, flags=re.DOTALL)
    assert len(commands) == 7
    for command in commands:
        words = shlex.split(command.replace("\\\n", " "))
        path = words[words.index("POST") + 1].partition("3000")[2]
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert json.loads(words[-1]) == content["example"]


def test_the_docs_examples_of_gets_are_answered(world: World, server: Server) -> None:
    put_experiments(world.home)
    server.watcher.refresh(now=NOW)
    made = server.http.post("/v1/churn/lists", json=example_of(ListRequest)).json()
    page = unescape(server.http.get("/docs").text)
    page = page.replace("{list_id}", made["list_id"])
    page = page.replace("{experiment}", NAME)
    commands = re.findall(r"^(?:<pre>|.*<pre>)?(curl -s .*?)(?:</pre>.*)?$", page, flags=re.M)
    asked = [shlex.split(c) for c in commands if "POST" not in c]
    assert len(asked) == 17
    for words in asked:
        address = words[-1].partition("3000")[2].replace("queue=sales", "queue=phone")
        headers = dict([words[3].split(": ")]) if "-H" in words else {}
        response = server.http.get(address, headers=headers)
        assert response.status_code == 200, words
        if headers:
            assert response.headers["content-type"].startswith(headers["Accept"])


def test_the_docs_show_every_field_of_a_body_and_the_shape_of_errors(server: Server) -> None:
    page = unescape(server.http.get("/docs").text)
    section = page.split('id="post_staffing"')[1].split("</section>")[0]
    schemas = server.http.get("/openapi.json").json()["components"]["schemas"]
    for field in schemas["StaffingRequest"]["properties"]:
        assert f"<code>{field}</code>" in section
    problem = page.split('id="problems"')[1].split("<pre>")[1].split("</pre>")[0]
    assert set(json.loads(problem)) == set(schemas["ProblemDetails"]["properties"])


# What a planner reads in a queue's week


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = Home(tmp_path_factory.mktemp("home"))
    full = put_planners_forecast(home)
    put_planners_forecast(home, base=full)
    with serving(home.root, now=MADE_AT + timedelta(days=3, hours=9)) as running:
        yield running


def test_a_days_contacts_and_band_are_those_of_the_totals_route(planner: Server) -> None:
    section = queue_section(planner.http.get("/").text, "mail")
    asked = {"queues": ["mail"], "start": "2026-03-23T00:00:00Z", "end": "2026-03-30T00:00:00Z"}
    (group,) = planner.http.post("/v1/forecast/totals", json=asked).json()["groups"]
    bands = [
        f"{q['0.1']:.0f}–{q['0.9']:.0f}" for q in (d["total"]["quantiles"] for d in group["days"])
    ]
    assert row(section, "80 % band") == bands
    quantiles = group["span"]["total"]["quantiles"]
    contacts = f"<b>{group['span']['total']['mean']:.0f} contacts</b>"
    assert f"{contacts} in these days (8 of 10 times " in section
    assert f"(8 of 10 times {quantiles['0.1']:.0f} to {quantiles['0.9']:.0f})" in section


def test_a_day_is_held_against_the_same_day_of_last_week(planner: Server) -> None:
    section = queue_section(planner.http.get("/").text, "Hotline")
    asked = {"queues": ["phone"], "start": "2026-03-22T23:00:00Z", "end": "2026-03-23T23:00:00Z"}
    (queue,) = planner.http.post("/v1/forecast", json=asked | {"parts": True}).json()["queues"]
    now = sum(i["volume"]["mean"] for i in queue["intervals"])
    then = sum(i["baseline"] for i in queue["intervals"])
    changes = [unescape(cell) for cell in row(section, "to last week")]
    assert changes[0] == f"{100 * (now / then - 1):+.0f}\N{NO-BREAK SPACE}%"
    assert changes[5:] == ["", ""]
    assert section.count('<polyline class="past"') == 5
    assert section.count('<polyline class="mean"') == 5


def test_what_moves_the_week_is_said_by_day(planner: Server) -> None:
    section = queue_section(planner.http.get("/").text, "Hotline")
    told = [t.replace("\N{NO-BREAK SPACE}", " ") for t in re.findall(r"<li>(.*?)</li>", section)]
    assert any(re.fullmatch(r"Tue 24 Mar: sale, \d+ contacts more \(\+50 %\)", t) for t in told)
    assert any(re.fullmatch(r"Thu 26 Mar: billing, \d+ contacts more \(\+20 %\)", t) for t in told)
    assert any(": what was ordered lately, " in t for t in told)


def test_todays_correction_is_said_with_the_set_it_corrects(tmp_path: Path) -> None:
    home = Home(tmp_path)
    full = put_planners_forecast(home)
    with serving(tmp_path) as server:
        page = server.http.get("/").text
        assert "From what was known on" in page
        assert "Corrected on" not in page
    put_planners_forecast(home, base=full)
    with serving(tmp_path) as server:
        page = server.http.get("/").text
    assert 'Corrected on <time datetime="2026-03-20T00:00:00Z">' in page
    assert f"<code>{full}</code>" in page
    section = queue_section(page, "mail")
    assert re.search(r"<li>Today: what came since the full forecast, \d+ contacts more", section)


def flat_week(**parts: float) -> QueueForecast:
    """Return a forecast of 10 contacts an hour over one Berlin day, moved by some parts."""
    first = local_midnight(20546, "Europe/Berlin")  # Good Friday, 2026-04-03
    starts = first + np.arange(24) * 3600
    split = np.zeros((24, len(PARTS)))
    split[:, 0] = 10.0
    for name, value in parts.items():
        split[:, PARTS.index(name)] = value
    mean = split.sum(axis=1)
    shape = plain_shape(0.05)
    return QueueForecast(
        queue=Queue("q", time_zone="Europe/Berlin", country="DE"),
        starts=starts,
        is_open=np.ones(24, dtype=bool),
        mean=mean,
        quantiles=shape.quantiles(mean, np.zeros(24, dtype=np.int64)),
        parts=split,
        baseline=np.full(24, 10.0),
        aht_seconds=np.full(24, 300.0),
        shape=shape,
        effects=DayEffects({}, {}),
        method="combined",
        warnings=(),
    )


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"holiday": -4.0}, ["Today: Good Friday, 96 contacts fewer (-40 %)"]),
        ({"event": 2.5}, ["Today: promo <b>, 60 contacts more (+25 %)"]),
        ({"orders": 1.0}, ["Today: what was ordered lately, 24 contacts more (+10 %)"]),
        ({"season": 5.0, "week_pattern": -1.0}, []),
        ({"today": 0.2}, []),
        (
            {"holiday": -5.0, "today": 1.0},
            [
                "Today: Good Friday, 120 contacts fewer (-50 %)",
                "Today: what came since the full forecast, 24 contacts more (+20 %)",
            ],
        ),
    ],
)
def test_a_move_is_named_by_its_cause_and_size(parts: dict[str, float], said: list[str]) -> None:
    forecast = flat_week(**parts)
    start = int(forecast.starts[0])
    events = [
        Event("a", "promo <b>", start - 3600, start + 3600, 0),
        Event("b", "another", start - 3600, start + 3600, 0, ("other",)),
    ]
    found = moves(forecast, rows=slice(0, 24), events=events, today=20546)
    assert [text.replace("\N{NO-BREAK SPACE}", " ") for text in found] == said


def test_the_days_after_an_event_are_named_for_it() -> None:
    forecast = flat_week(event=3.0)
    start = int(forecast.starts[0])
    past = Event("a", "launch", start - 3 * 86_400, start - 86_400, 0)
    (text,) = moves(forecast, rows=slice(0, 24), events=[past], today=0)
    assert text.startswith("Fri 3 Apr: after launch, 72 contacts more")
    (text,) = moves(forecast, rows=slice(0, 24), events=[], today=0)
    assert text.startswith("Fri 3 Apr: events of the calendar, 72 contacts more")


def test_only_the_largest_moves_are_told() -> None:
    forecast = flat_week(event=3.0)
    days = 30
    many = replace(
        forecast,
        starts=int(forecast.starts[0]) + np.arange(24 * days) * 3600,
        is_open=np.ones(24 * days, dtype=bool),
        **{
            name: np.concatenate([getattr(forecast, name)] * days)
            for name in ("mean", "quantiles", "parts", "baseline", "aht_seconds")
        },
    )
    assert len(moves(many, rows=slice(0, 24 * days), events=[], today=0)) == MOST_MOVES
