"""The intraday run: a full set and newer rows of a real lake in, a corrected set in force out."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from serving_client import serving
from serving_world import (
    DAYS,
    MADE_AT,
    QUEUES,
    flat_forecast,
    put_forecast,
    put_snapshot,
    put_volume_bundle,
)
from typer.testing import CliRunner

from features.artefact import current_id, list_ids, point_to
from features.build import BuildReport, build_snapshot
from features.calendar.queues import opening_text
from features.errors import (
    DamagedArtefactError,
    HorizonError,
    InputError,
    NotPublishedError,
    TooLittleDataError,
)
from features.home import Home
from features.intake.load import ingest
from features.lake.delta import Lake
from features.snapshot import open_current_snapshot
from serving import __main__
from serving.batch.forecast import publish_forecast, publish_intraday
from serving.models.volume.forecast import rest
from serving.models.volume.intraday import INTRADAY
from serving.published.forecast_set import (
    open_current_forecast_set,
    open_forecast_set,
    write_forecast_set,
)

MEANS = {"chat": 6, "mail": 1, "phone": 20}
Row = dict[str, object]


def counted(queue: str, start: datetime, offered: float, *, late: timedelta | None = None) -> Row:
    """Return the count of one interval, known when it has ended, or later."""
    minutes = 30 if queue == "phone" else 60
    return {
        "queue": queue,
        "interval_start": start,
        "interval_minutes": minutes,
        "offered": round(offered),
        "available_at": start + timedelta(minutes=minutes) + (late or timedelta(0)),
    }


def rows(first: datetime, hours: float, *, factor: float = 1.0) -> list[Row]:
    """Return what each queue counted in a stretch: its mean times a factor."""
    found = []
    for queue, mean in MEANS.items():
        step = timedelta(minutes=30 if queue == "phone" else 60)
        at = first
        while at + step <= first + timedelta(hours=hours):
            found.append(counted(queue, at, mean * factor))
            at += step
    return found


def load(home: Home, found: Iterable[Row], *, now: datetime, table: str = "intervals") -> None:
    path = home.root / f"{random.Random(len(list_ids(home.snapshots))).random()}.parquet"
    pq.write_table(pa.Table.from_pylist(list(found)), path)
    ingest(Lake(home.lake), table, now=now, files=[path])
    path.unlink()


def build(home: Home, hours: float, *, only: str | None = None) -> BuildReport:
    at = MADE_AT + timedelta(hours=hours)
    return build_snapshot(home, now=at, as_of=at, only=only)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full forecast made at midnight, and a lake that knows the three days before it."""
    home = Home(tmp_path_factory.mktemp("template") / "home")
    home.root.mkdir()
    facts = [
        {
            "queue": q.queue,
            "channel": q.channel,
            "time_zone": q.time_zone,
            "interval_minutes": q.interval_minutes,
            "available_at": MADE_AT - timedelta(days=30),
            **{f"open_{day}": text for day, text in opening_text(q).items()},
        }
        for q in QUEUES
    ]
    load(home, facts, now=MADE_AT, table="queues")
    load(home, rows(MADE_AT - timedelta(days=3), 72), now=MADE_AT)
    build(home, 0)
    put_forecast(home, snapshot=current_id(home.snapshots) or "")
    return home.root


@pytest.fixture(scope="module")
def busy_morning(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same at noon, after half as many contacts again as were expected."""
    root = tmp_path_factory.mktemp("busy") / "home"
    shutil.copytree(template, root)
    learn(Home(root), 12, factor=1.5)
    return root


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Home:
    return Home(shutil.copytree(template, tmp_path / "home"))


@pytest.fixture
def busy(busy_morning: Path, tmp_path: Path) -> Home:
    return Home(shutil.copytree(busy_morning, tmp_path / "home"))


def learn(home: Home, hours: float, *, factor: float = 1.0) -> None:
    load(home, rows(MADE_AT, hours, factor=factor), now=MADE_AT + timedelta(hours=hours))
    build(home, hours, only="volume")


def publish(home: Home, hours: float) -> object:
    return publish_intraday(home, now=MADE_AT + timedelta(hours=hours))


def test_a_busy_morning_moves_today_and_tomorrow_and_is_put_in_force(busy: Home) -> None:
    full = open_current_forecast_set(busy.forecasts)
    report = publish_intraday(busy, now=MADE_AT + timedelta(hours=12))
    found = open_current_forecast_set(busy.forecasts)
    assert report.id == found.id == current_id(busy.forecasts)
    assert (found.base, found.model_version) == (full.id, full.model_version)
    assert found.made_at == found.as_of == MADE_AT + timedelta(hours=12)
    assert found.horizon_start == found.made_at
    assert found.horizon_end == full.horizon_end
    assert found.snapshot == current_id(busy.snapshots)
    assert found.warnings == ()
    chat = found.queue("chat")
    assert chat.method == INTRADAY
    # In New York it is 08:00 of the 20th; its day has 16 hours left.
    today, tomorrow, later = chat.mean[:16], chat.mean[16:40], chat.mean[40:]
    assert (today > 6.5).all()
    assert (tomorrow > 6.0).all()
    assert (tomorrow < today[0]).all()
    assert (later == 6.0).all()
    assert report.counts == {"queues": 3, "corrected": 3, "intervals": 16 * 3 + 27 * 96}


def test_a_full_forecast_made_afterwards_replaces_it(busy: Home) -> None:
    first = open_current_forecast_set(busy.forecasts).id
    publish(busy, 12)
    assert open_current_forecast_set(busy.forecasts).base == first
    put_snapshot(busy)
    put_volume_bundle(busy)
    report = publish_forecast(busy, now=MADE_AT + timedelta(hours=13))
    assert open_current_forecast_set(busy.forecasts).base is None
    point_to(busy.snapshots, min(p.name for p in list_ids(busy.snapshots)))
    with pytest.raises(TooLittleDataError, match=report.id):
        publish(busy, 13)


def test_a_second_correction_corrects_the_full_forecast_and_not_the_first(home: Home) -> None:
    full = current_id(home.forecasts)
    learn(home, 6, factor=2.0)
    publish(home, 6)
    learn(home, 12, factor=1.0)
    publish(home, 12)
    twice = open_current_forecast_set(home.forecasts)
    assert twice.base == full
    point_to(home.forecasts, full or "")
    publish(home, 12)
    once = open_current_forecast_set(home.forecasts)
    np.testing.assert_array_equal(once.queue("chat").mean, twice.queue("chat").mean)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_in_which_rows_came_does_not_matter(home: Home, seed: int) -> None:
    found = rows(MADE_AT, 10, factor=1.4)
    # A row that came late, and one whose first version was wrong.
    late = counted("chat", MADE_AT + timedelta(hours=3), 9, late=timedelta(hours=4))
    wrong = counted("phone", MADE_AT + timedelta(hours=8), 400) | {
        "available_at": MADE_AT + timedelta(hours=8, minutes=30)
    }
    found = [row for row in found if row["interval_start"] != late["interval_start"]] + [late]
    right = {**wrong, "offered": 28, "available_at": MADE_AT + timedelta(hours=9, minutes=50)}
    found = [
        row
        for row in found
        if (row["queue"], row["interval_start"]) != (wrong["queue"], wrong["interval_start"])
    ]
    found += [wrong, right]
    at = MADE_AT + timedelta(hours=10)
    straight, shuffled = home, Home(home.root.parent / "other")
    shutil.copytree(home.root, shuffled.root)
    load(straight, found, now=at)
    random.Random(seed).shuffle(found)
    for part in (found[:7], found[7:20], found[20:]):
        load(shuffled, part, now=at)
    means = []
    for each in (straight, shuffled):
        build(each, 10, only="volume")
        publish(each, 10)
        current = open_current_forecast_set(each.forecasts)
        means.append({name: (q.mean, q.quantiles) for name, q in current.queues.items()})
    for name in MEANS:
        for one, other in zip(means[0][name], means[1][name], strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_row_that_is_not_known_yet_is_not_used(home: Home) -> None:
    late = counted("chat", MADE_AT + timedelta(hours=4), 60, late=timedelta(hours=5))
    others = [r for r in rows(MADE_AT, 6) if r["interval_start"] != late["interval_start"]]
    load(home, [*others, late], now=MADE_AT + timedelta(hours=6))
    means = []
    for hours in (6, 12):
        build(home, hours, only="volume")
        publish(home, hours)
        means.append(open_current_forecast_set(home.forecasts).queue("chat").mean)
    np.testing.assert_array_equal(means[0][:14], 6.0)
    assert (means[1][:8] > 6.0).all()


def test_an_hour_that_is_not_complete_is_not_used(home: Home) -> None:
    half = counted("chat", MADE_AT + timedelta(hours=6), 0) | {"interval_minutes": 30}
    load(home, [*rows(MADE_AT, 6), half], now=MADE_AT + timedelta(hours=6.5))
    build(home, 6.5, only="volume")
    publish(home, 6.5)
    chat = open_current_forecast_set(home.forecasts).queue("chat")
    np.testing.assert_allclose(chat.mean, 6.0)


def test_a_queue_without_a_row_of_today_says_so_and_is_left_as_it_is(home: Home) -> None:
    some = [row for row in rows(MADE_AT, 12, factor=1.5) if row["queue"] != "chat"]
    load(home, some, now=MADE_AT + timedelta(hours=12))
    build(home, 12, only="volume")
    publish(home, 12)
    found = open_current_forecast_set(home.forecasts)
    assert found.queue("chat").method == "combined"
    assert found.queue("chat").warnings == ("nothing of today was observed in `chat`",)
    assert (found.queue("chat").mean == 6.0).all()
    assert found.queue("phone").method == INTRADAY


def test_where_nothing_at_all_came_the_set_says_so(home: Home) -> None:
    build(home, 5, only="volume")
    report = publish_intraday(home, now=MADE_AT + timedelta(hours=9))
    assert report.counts["corrected"] == 0
    old, nothing = report.warnings
    assert old == "made from data up to 2026-03-20 05:00 UTC, 4 hours ago"
    assert nothing == "nothing was observed since the full forecast; nothing is corrected"
    full = open_forecast_set(
        home.forecasts / (open_current_forecast_set(home.forecasts).base or "")
    )
    found = open_current_forecast_set(home.forecasts)
    kept = rest(full.queue("phone"), now=found.made_at)
    np.testing.assert_array_equal(found.queue("phone").mean, kept.mean)


def test_queues_and_events_that_the_full_forecast_does_not_know_are_named(home: Home) -> None:
    new = [{**counted("tips", MADE_AT + timedelta(hours=k - 24), 3)} for k in range(30)]
    event = {
        "event_id": "flash-sale",
        "kind": "promotion",
        "starts_at": MADE_AT + timedelta(hours=30),
        "ends_at": MADE_AT + timedelta(hours=40),
        "known_at": MADE_AT + timedelta(hours=2),
        "available_at": MADE_AT + timedelta(hours=2),
    }
    at = MADE_AT + timedelta(hours=6)
    load(home, [*rows(MADE_AT, 6), *new], now=at)
    load(home, [event], now=at, table="calendar")
    build(home, 6, only="volume")
    publish(home, 6)
    found = open_current_forecast_set(home.forecasts)
    assert set(found.queues) == set(MEANS)
    assert any("tips" in warning for warning in found.warnings)
    assert any("flash-sale" in warning for warning in found.warnings)


def test_a_queue_that_left_the_snapshot_or_changed_its_interval_is_not_corrected(
    busy: Home,
) -> None:
    forecast = flat_forecast()
    gone = replace(forecast.queues["chat"], queue=replace(QUEUES[0], queue="gone"))
    quarters = forecast.queues["mail"]
    starts = (quarters.starts[:, None] + np.array([0, 1800])).reshape(-1)
    halves = {
        name: np.repeat(getattr(quarters, name), 2, axis=0)
        for name in ("is_open", "mean", "quantiles", "parts", "baseline", "aht_seconds")
    }
    finer = replace(
        quarters, queue=replace(quarters.queue, interval_minutes=30), starts=starts, **halves
    )
    changed = replace(forecast, queues={**forecast.queues, "gone": gone, "mail": finer})
    id = write_forecast_set(
        busy.forecasts, forecast=changed, snapshot="s", model_version="m", now=MADE_AT
    )
    point_to(busy.forecasts, id)
    publish(busy, 12)
    found = open_current_forecast_set(busy.forecasts)
    assert found.queue("gone").warnings == ("`gone` is not in the snapshot; it is not corrected",)
    assert "now counted by 60 minutes" in found.queue("mail").warnings[-1]
    assert (found.queue("mail").mean == 0.3).all()


def test_without_a_full_forecast_or_a_snapshot_the_error_says_what_to_run(home: Home) -> None:
    (home.snapshots / "CURRENT").unlink()
    with pytest.raises(NotPublishedError, match="features build"):
        publish(home, 6)
    (home.forecasts / "CURRENT").unlink()
    with pytest.raises(NotPublishedError, match=r"full forecast.*python -m serving forecast"):
        publish(home, 6)


def test_a_snapshot_that_knows_no_more_than_the_full_forecast_is_refused(home: Home) -> None:
    with pytest.raises(TooLittleDataError, match="features build --only volume"):
        publish(home, 6)
    assert len(list_ids(home.forecasts)) == 1


def test_a_full_forecast_that_has_ended_is_refused(home: Home) -> None:
    build(home, 24 * DAYS, only="volume")
    with pytest.raises(HorizonError, match="python -m serving forecast"):
        publish(home, 24 * DAYS)


def test_an_old_full_forecast_is_corrected_with_a_warning(home: Home) -> None:
    learn(home, 72, factor=1.2)
    publish(home, 72)
    found = open_current_forecast_set(home.forecasts)
    assert any("full forecast was made at 2026-03-20" in text for text in found.warnings)
    assert found.queue("chat").mean[0] > 6.2


def test_a_base_that_is_gone_is_an_error_and_what_was_in_force_stays(busy: Home) -> None:
    full = current_id(busy.forecasts) or ""
    publish(busy, 12)
    before = current_id(busy.forecasts)
    shutil.rmtree(busy.forecasts / full)
    with pytest.raises(DamagedArtefactError, match=full):
        publish(busy, 12)
    assert current_id(busy.forecasts) == before


def test_http_answers_from_it_and_says_when_how_and_from_what_it_was_made(busy: Home) -> None:
    full = current_id(busy.forecasts)
    publish(busy, 12)
    now = MADE_AT + timedelta(hours=12, minutes=1)
    with serving(busy.root, now=now) as server:
        answer = server.http.post("/v1/forecast", json={"queues": ["chat"]}).json()
    assert answer["method"] == answer["queues"][0]["method"] == INTRADAY
    assert answer["made_at"].startswith("2026-03-20T12:00:00")
    assert answer["base"] == full
    assert answer["queues"][0]["intervals"][0]["volume"]["mean"] > 6.5


def test_the_command_publishes_and_refuses_a_horizon(busy: Home) -> None:
    arguments = ["forecast", "--intraday", "--home", str(busy.root), "--json"]
    result = CliRunner().invoke(__main__.app, arguments, catch_exceptions=False)
    assert json.loads(result.stdout)["id"] == current_id(busy.forecasts)
    with pytest.raises(InputError, match="--horizon-days"):
        CliRunner().invoke(
            __main__.app, [*arguments, "--horizon-days", "3"], catch_exceptions=False
        )


def test_a_volume_build_keeps_the_customers_as_of_their_own_moment(home: Home) -> None:
    purchase = {
        "purchase_id": "p1",
        "customer_id": "c1",
        "purchased_at": MADE_AT - timedelta(days=2),
        "kind": "purchase",
        "amount_minor": 100,
        "currency": "EUR",
        "available_at": MADE_AT - timedelta(days=2),
    }
    load(home, [purchase], now=MADE_AT, table="purchases")
    build(home, 1)
    second = {**purchase, "purchase_id": "p2", "customer_id": "c2"}
    later = MADE_AT + timedelta(hours=2)
    load(
        home,
        [{**second, "purchased_at": later, "available_at": later}],
        now=later,
        table="purchases",
    )
    load(home, rows(MADE_AT, 3, factor=2.0), now=MADE_AT + timedelta(hours=3))
    report = build(home, 3, only="volume")
    found = open_current_snapshot(home.snapshots)
    assert found.customers.ids.to_pylist() == ["c1"]
    assert found.customers_as_of == report.customers_as_of == MADE_AT + timedelta(hours=1)
    assert found.as_of == report.as_of == MADE_AT + timedelta(hours=3)
    assert found.histories["chat"].offered[-1] == 12
    build(home, 4)
    assert open_current_snapshot(home.snapshots).customers.ids.to_pylist() == ["c1", "c2"]


def test_a_volume_build_before_the_customers_it_keeps_or_without_any_is_refused(
    home: Home,
) -> None:
    with pytest.raises(HorizonError, match="kept customers"):
        build(home, -1, only="volume")
    (home.snapshots / "CURRENT").unlink()
    with pytest.raises(NotPublishedError, match="features build"):
        build(home, 1, only="volume")
