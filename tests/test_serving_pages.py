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

import pytest
from serving_client import Server, serving
from serving_world import MADE_AT, NOW, World, build_world, customer_ids, put_forecast

from serving.http.pages.week import queue_week
from serving.sets.forecast import open_current_forecast_set


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
    asked = {"queues": ["phone"], "start": "2026-03-22T23:00:00Z", "end": "2026-03-23T23:00:00Z"}
    day = server.http.post("/v1/staffing", json=asked).json()["queues"][0]["days"][0]
    assert row(section, "agents at peak")[3] == f"{day['peak_agents_on_phone']}"
    assert row(section, "agent hours")[3] == f"{day['agent_hours_on_phone']:.0f}"


def test_a_queue_says_its_hours_its_clock_and_its_goal(server: Server) -> None:
    section = queue_section(server.http.get("/").text, "Hotline")
    assert "Voice: Mon-Fri 08:00-18:00; Sat-Sun closed, Europe/Berlin time" in section
    assert "contacts in 30 minutes" in section
    assert "answer 80 % of contacts within 20 seconds" in section


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
    phone = open_current_forecast_set(world.home.forecasts).queue("phone")
    closing = replace(phone, queue=replace(phone.queue, open_on_holidays=False))
    good_friday = MADE_AT + timedelta(days=13)
    assert "Closed on Fri 3 Apr: " in queue_week(closing, now=good_friday)
    assert "Closed on" not in queue_week(phone, now=good_friday)


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
    assert len(commands) == 3
    for command in commands:
        words = shlex.split(command.replace("\\\n", " "))
        path = words[words.index("POST") + 1].partition("3000")[2]
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert json.loads(words[-1]) == content["example"]


def test_the_docs_examples_of_gets_are_answered(server: Server) -> None:
    page = unescape(server.http.get("/docs").text)
    commands = re.findall(r"^(?:<pre>|.*<pre>)?(curl -s .*?)(?:</pre>.*)?$", page, flags=re.M)
    asked = [shlex.split(c) for c in commands if "POST" not in c]
    assert len(asked) == 9
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
