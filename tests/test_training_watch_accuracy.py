"""The record of published forecasts: every kept set beside what then came."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from features_rows import load
from record_world import forecast_of, history_of, opened, put_set
from serving_world import MADE_AT, put_volume_bundle

from features.calendar.clock import to_epoch
from features.calendar.queues import ALWAYS, Queue
from features.console import run
from features.home import Home
from features.volume.overrides import Override, apply_overrides
from training.evaluate import metrics
from training.watch.accuracy import FULL, INTRADAY, AccuracyRecord, Actuals, Span, came, keep_record
from training.watch.report import draw_record

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
T = to_epoch(MONDAY)
HOUR = 3600
Q = Queue("q", opening=ALWAYS)
LEVELS = np.round(np.arange(1, 20) * 0.05, 2)


def actuals(
    *histories, overrides: tuple[Override, ...] = (), as_of: datetime = MONDAY + timedelta(days=60)
) -> Actuals:
    return Actuals(
        as_of,
        {history.queue.queue: history for history in histories},
        {name: [o for o in overrides if o.queue == name] for name in {o.queue for o in overrides}},
    )


def judged(home: Home, what: Actuals, *ids: str, **span: object) -> AccuracyRecord:
    return keep_record(opened(home, *ids), what, span=Span(**span))  # type: ignore[arg-type]


def override(
    id: str, start: int, minutes: int, offered: float, *, made_at: int = T - HOUR
) -> Override:
    return Override(id, "q", start, minutes, offered, None, "Ann", made_at, None)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_the_measures_of_two_hours_are_those_worked_by_hand(home: Home) -> None:
    three = forecast_of(Q, [T, T + HOUR, T + 2 * HOUR], [10, 20, 30], baseline=[8, 20, 40])
    id = put_set(home, three, made_at=MONDAY)
    found = judged(home, actuals(history_of(Q, MONDAY, [12, 18, np.nan])), id).measures(FULL)
    assert (found.intervals, found.contacts) == (2, 30.0)
    assert found.wape == pytest.approx(4 / 30)
    assert found.bias == pytest.approx(0.0)
    assert found.coverage_80 == 1.0  # 12 and 18 stand on the edges of 8-12 and 18-22
    assert found.wape_baseline == pytest.approx(6 / 30)
    assert found.skill == pytest.approx(1 / 3)
    # 9 levels below the middle miss by 4, the middle by 2: (2.25 x 4 + 0.5 x 2) / 19, twice.
    assert found.pinball == pytest.approx(2 * 10 / 19 / 30)


def test_sums_over_many_sets_equal_the_measures_of_all_their_rows_together(home: Home) -> None:
    rng = np.random.default_rng(5)
    offered = rng.poisson(6, size=24 * 40).astype(float)
    offered[rng.random(len(offered)) < 0.1] = np.nan
    ids, rows = [], []
    for day in range(8):
        starts = T + day * 24 * HOUR + HOUR * np.arange(24 * 21)
        mean, baseline = rng.uniform(1, 12, len(starts)), rng.uniform(1, 12, len(starts))
        forecast = forecast_of(Q, starts, mean, baseline=baseline)
        ids.append(put_set(home, forecast, made_at=MONDAY + timedelta(days=day)))
        actual = offered[(starts - T) // HOUR]
        rows.append((actual, mean, baseline, forecast.quantiles, (starts - starts[0]) / HOUR))
    record = judged(home, actuals(history_of(Q, MONDAY, offered)), *ids)
    actual, mean, baseline, quantiles, lead = (
        np.concatenate(part) for part in zip(*rows, strict=True)
    )
    for number, (first, last) in enumerate([(0, 24), (24, 168), (168, 336), (336, 672)]):
        use = ~np.isnan(actual) & (lead >= first) & (lead < last)
        found = record.measures(FULL, queue="q", lead=number)
        assert found.intervals == use.sum()
        assert found.wape == pytest.approx(metrics.wape(actual[use], mean[use]))
        assert found.bias == pytest.approx(metrics.bias(actual[use], mean[use]))
        assert found.wape_baseline == pytest.approx(metrics.wape(actual[use], baseline[use]))
        loss = metrics.pinball(actual[use], quantiles[use], LEVELS)
        assert found.pinball == pytest.approx(loss)
        inside = metrics.coverage(actual[use], quantiles[use, 1], quantiles[use, 17])
        assert found.coverage_80 == pytest.approx(inside)
    whole = record.measures(FULL)
    hours = [hour for day in record.by_hour(FULL) for hour in day]
    assert sum(hour.intervals for hour in hours) == whole.intervals
    assert sum(hour.wape * hour.contacts for hour in hours) / whole.contacts == pytest.approx(
        whole.wape
    )


def test_hours_of_the_week_are_those_of_the_queues_own_clock(home: Home) -> None:
    kyiv = replace(Q, time_zone="Europe/Kyiv")  # two hours ahead of UTC in winter
    id = put_set(home, forecast_of(kyiv, [T + 23 * HOUR], [10]), made_at=MONDAY)
    week = judged(home, actuals(history_of(kyiv, MONDAY, [8.0] * 24)), id).by_hour(FULL)
    assert week[1][1].contacts == 8.0  # Monday 23:00 UTC is Tuesday 01:00 there
    assert week[0][23].intervals == 0


def test_closed_hours_are_not_judged_unless_somebody_came(home: Home) -> None:
    shut = forecast_of(Q, [T, T + HOUR, T + 2 * HOUR], [10, 0, 0], is_open=[True, False, False])
    id = put_set(home, shut, made_at=MONDAY)
    found = judged(home, actuals(history_of(Q, MONDAY, [10, 0, 5])), id).measures(FULL)
    assert (found.intervals, found.contacts, found.wape) == (2, 15.0, pytest.approx(5 / 15))


def test_an_interval_before_the_forecast_was_made_is_not_judged(home: Home) -> None:
    id = put_set(
        home, forecast_of(Q, [T, T + HOUR], [1, 1]), made_at=MONDAY + timedelta(minutes=30)
    )
    assert judged(home, actuals(history_of(Q, MONDAY, [1, 1])), id).intervals == 1


def test_an_intraday_set_is_told_apart_and_judged_for_today_and_tomorrow(home: Home) -> None:
    starts = T + HOUR * np.arange(24 * 4)
    full = put_set(home, forecast_of(Q, starts, [10.0] * 96), made_at=MONDAY)
    noon = starts[12:]
    later = put_set(
        home, forecast_of(Q, noon, [12.0] * 84), made_at=MONDAY + timedelta(hours=12), base=full
    )
    record = judged(home, actuals(history_of(Q, MONDAY, [12.0] * 96)), full, later)
    assert dict(record.sets) == {FULL: 1, INTRADAY: 1}
    assert record.measures(FULL).intervals == 96
    assert record.measures(INTRADAY).intervals == 36  # 12 hours of today and 24 of tomorrow
    assert record.measures(INTRADAY).wape == 0.0
    assert record.measures(FULL).wape == pytest.approx(2 / 12)


def test_counts_of_shorter_intervals_are_summed_to_the_forecasts(home: Home) -> None:
    quarters = replace(Q, interval_minutes=15)
    history = history_of(quarters, MONDAY, [1, 2, 3, 4, 5, 6, np.nan, 8])
    starts = np.array([T, T + HOUR])
    assert came(history, starts=starts, interval_minutes=60)[0] == 10.0
    assert np.isnan(came(history, starts=starts, interval_minutes=60)[1])
    longer = history_of(Q, MONDAY, [10, 20])
    assert np.isnan(came(longer, starts=np.array([T, T + 900]), interval_minutes=15)).all()


def test_only_the_asked_for_time_and_queues_are_judged(home: Home) -> None:
    other = Queue("r", opening=ALWAYS)
    starts = [T + HOUR * k for k in range(6)]
    id = put_set(
        home, forecast_of(Q, starts, [1] * 6), forecast_of(other, starts, [1] * 6), made_at=MONDAY
    )
    what = actuals(history_of(Q, MONDAY, [1] * 6), history_of(other, MONDAY, [1] * 6))
    assert judged(home, what, id).intervals == 12
    assert judged(home, what, id, queues=("r",)).intervals == 6
    assert judged(home, what, id, since=T + HOUR, until=T + 4 * HOUR).intervals == 6


def test_a_queue_of_which_nothing_is_known_is_named(home: Home) -> None:
    id = put_set(home, forecast_of(Q, [T], [1]), made_at=MONDAY)
    record = judged(home, actuals(), id)
    assert (record.never_seen, record.intervals) == (("q",), 0)
    assert np.isnan(record.measures(FULL).wape)


# --- overrides ---


def test_an_override_is_split_by_the_forecasts_own_shape() -> None:
    starts = T + 900 * np.arange(8)
    mean = np.array([1.0, 2.0, 3.0, 4.0, 5, 5, 5, 5])
    found = apply_overrides(
        [override("a", T, 60, 20)], starts=starts, mean=mean, interval_minutes=15
    )
    assert found.offered[:4].tolist() == [2.0, 4.0, 6.0, 8.0]
    assert np.isnan(found.offered[4:]).all()


def test_an_override_of_hours_that_are_forecast_as_zero_is_split_evenly() -> None:
    starts = T + 1800 * np.arange(2)
    found = apply_overrides(
        [override("a", T, 60, 9)], starts=starts, mean=np.zeros(2), interval_minutes=30
    )
    assert found.offered.tolist() == [4.5, 4.5]


def test_the_override_made_last_at_or_before_an_interval_counts() -> None:
    starts, mean = T + HOUR * np.arange(3), np.ones(3)
    day = override("day", T, 180, 30, made_at=T - 9)
    hour = override("hour", T + HOUR, 60, 50, made_at=T + HOUR)
    late = override("late", T, 120, 99, made_at=T + 1)
    found = apply_overrides([day, hour], starts=starts, mean=mean, interval_minutes=60)
    assert found.offered.tolist() == [10.0, 50.0, 10.0]
    found = apply_overrides([day, late], starts=starts, mean=mean, interval_minutes=60)
    assert found.offered.tolist() == [10.0, 49.5, 10.0]  # too late for the first hour


def test_quarters_that_cover_an_hour_in_part_leave_it_to_the_forecast() -> None:
    starts, mean = T + HOUR * np.arange(2), np.ones(2)
    quarters = [override(str(k), T + 900 * k, 15, k) for k in range(1, 8)]
    found = apply_overrides(quarters, starts=starts, mean=mean, interval_minutes=60)
    assert np.isnan(found.offered[0])
    assert found.offered[1] == 4 + 5 + 6 + 7


def test_an_override_that_reaches_beyond_the_forecast_is_left_out() -> None:
    starts, mean = T + HOUR * np.arange(2), np.ones(2)
    found = apply_overrides(
        [override("a", T + HOUR, 120, 7)], starts=starts, mean=mean, interval_minutes=60
    )
    assert np.isnan(found.offered).all()


def test_the_record_shows_forecast_override_and_baseline_where_a_planner_spoke(home: Home) -> None:
    hours = [T + HOUR * k for k in range(4)]
    id = put_set(
        home, forecast_of(Q, hours, [10, 10, 10, 10], baseline=[20, 20, 5, 5]), made_at=MONDAY
    )
    planner = (override("a", T, 120, 30), override("b", T + 2 * HOUR, 60, 10))
    what = actuals(history_of(Q, MONDAY, [16, 14, 10, 99]), overrides=planner)
    found = judged(home, what, id).planned(FULL)
    assert (found.intervals, found.contacts) == (3, 40.0)
    assert found.wape_override == pytest.approx(2 / 40)  # 15, 15, 10 against 16, 14, 10
    assert found.bias_override == pytest.approx(0.0)
    assert found.wape == pytest.approx(10 / 40)
    assert found.wape_baseline == pytest.approx((4 + 6 + 5) / 40)
    assert found.gain == pytest.approx((10 - 2) / 40)
    assert found.gain_contacts == pytest.approx(10 - 2)


def test_an_override_that_was_further_off_shows_a_loss(home: Home) -> None:
    id = put_set(home, forecast_of(Q, [T, T + HOUR], [10, 10]), made_at=MONDAY)
    planner = (override("a", T, 60, 25),)
    what = actuals(history_of(Q, MONDAY, [12, 12]), overrides=planner)
    found = judged(home, what, id).planned(FULL)
    assert found.gain_contacts == pytest.approx(2 - 13)
    assert found.gain == pytest.approx((2 - 13) / 12)


def test_an_override_taken_back_counts_only_for_what_had_begun(home: Home) -> None:
    id = put_set(home, forecast_of(Q, [T, T + HOUR, T + 2 * HOUR], [10] * 3), made_at=MONDAY)
    day = override("a", T, 180, 60)
    below = override("b", T + 2 * HOUR, 60, 14, made_at=T - 2 * HOUR)
    what = history_of(Q, MONDAY, [20, 20, 14])
    for withdrawn_at, intervals, missed in [
        (None, 3, 6),  # 20 an hour against 20, 20, 14
        (T + HOUR, 2, 0),  # 20 in the first hour, the forecast in the second, 14 in the third
        (T + HOUR + 1, 3, 0),  # the second had begun
        (T - HOUR, 1, 0),  # never in force
    ]:
        layers = (below, replace(day, withdrawn_at=withdrawn_at))
        found = judged(home, actuals(what, overrides=layers), id).planned(FULL)
        assert found.intervals == intervals
        assert found.wape_override * found.contacts == pytest.approx(missed)


def test_an_overrides_handle_time_is_weighted_by_its_contacts() -> None:
    halves = [
        replace(override("a", T, 30, 30), aht_seconds=100.0),
        replace(override("b", T + 1800, 30, 10), aht_seconds=300.0),
        override("c", T + HOUR, 30, 30),
        replace(override("d", T + HOUR + 1800, 30, 10), aht_seconds=300.0),
    ]
    found = apply_overrides(
        halves, starts=T + HOUR * np.arange(3), mean=np.ones(3), interval_minutes=60
    )
    assert found.offered[:2].tolist() == [40.0, 40.0]
    assert found.aht_seconds[0] == 150.0  # (30 x 100 + 10 x 300) / 40
    assert np.isnan(found.aht_seconds[1:]).all()  # one half leaves it to the forecast; no override
    assert found.which.tolist() == [1, 3, -1]


# --- the verb ---


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run ``python -m training accuracy volume …``, or another room's verb, in this process."""

    def call(*words: object, room: str = "training") -> Ended:
        app = __import__(f"{room}.__main__", fromlist=["app"]).app
        if room == "training":
            words = ("accuracy", "volume", *words)
        monkeypatch.setattr(sys, "argv", [f"python -m {room}", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(app)
        captured = capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    return call


def arrived(home: Home, days: int = 7, *, offered: int = 12) -> None:
    """Put a week of hourly counts into the lake."""
    moments = [MONDAY + timedelta(hours=k) for k in range(24 * days)]
    rows = [
        {
            "queue": "q",
            "interval_start": at,
            "interval_minutes": 60,
            "offered": offered,
            "available_at": at + timedelta(hours=1),
        }
        for at in moments
    ]
    stated = {
        "queue": "q", "channel": "voice", "time_zone": "UTC", "available_at": MONDAY,
        **{f"open_{day}": "00:00-24:00" for day in ("mon", "tue", "wed", "thu", "fri")},
        "open_sat": "closed", "open_sun": "closed",
    }  # fmt: skip
    load(home, {"intervals": rows, "queues": [stated]})


def week_ahead(mean: float) -> object:
    starts = T + HOUR * np.arange(24 * 7)
    opened_ = np.arange(24 * 7) < 24 * 5
    return forecast_of(Q, starts, np.where(opened_, mean, 0), is_open=opened_.tolist())


def test_without_a_forecast_the_verb_says_what_to_run(command: Command, home: Home) -> None:
    ended = command("--home", home.root)
    assert ended.code == 4
    assert "no forecast is published yet" in ended.err
    assert "python -m serving forecast" in ended.err


def test_before_anything_came_the_verb_says_what_is_known(command: Command, home: Home) -> None:
    arrived(home, days=1)
    put_set(home, week_ahead(10), made_at=MONDAY + timedelta(days=2))
    ended = command("--home", home.root)
    assert ended.code == 1
    assert "nothing has come yet of what was forecast" in ended.err
    assert "contacts known until 2026-03-03 00:00 UTC" in ended.err


def test_a_forecast_is_published_time_passes_rows_arrive_and_its_accuracy_is_printed(
    command: Command, home: Home, tmp_path: Path
) -> None:
    full = put_set(home, week_ahead(10), made_at=MONDAY)
    put_set(home, week_ahead(12), made_at=MONDAY + timedelta(hours=12), base=full)
    arrived(home)
    path = tmp_path / "overrides.csv"
    path.write_text(
        "override_id,queue,interval_start,interval_minutes,offered,made_by,made_at,available_at\n"
        "o1,q,2026-03-03T00:00Z,1440,264,Ann,2026-03-02T09:00Z,2026-03-02T09:00Z\n"
    )
    loaded = command("ingest", "overrides", path, "--home", home.root, room="features")
    assert loaded.code == 0, loaded.err
    ended = command("--home", home.root, "--by-hour")
    assert ended.code == 0, ended.err
    assert "Sets read: 1 full, 1 intraday" in ended.out
    # 120 open hours, 10 forecast and 12 came: 2 / 12.
    rows = [line.split() for line in ended.out.splitlines()]
    assert ["all", "queues", "120", "1,440", "16.7%", "16.7%", "0.0%", "-16.7%", "4.4%", "100.0%"
            ] in rows  # fmt: skip
    assert ["1-24", "h", "24", "288"] in [row[:4] for row in rows]
    assert ["2-7", "d", "96", "1,152"] in [row[:4] for row in rows]
    # A day of 264 is 11 an hour where 12 came.
    assert ["q", "24", "288", "8.3%", "-8.3%", "16.7%", "16.7%", "+8.3%", "+24"] in rows
    assert ["00", *["17"] * 5] in rows
    assert ["23", *["-17"] * 5] in rows


def test_from_counts_to_a_published_forecast_to_its_record_by_the_commands_alone(
    command: Command, home: Home, tmp_path: Path
) -> None:
    def ingest(first: datetime, days: int, offered: int) -> None:
        path = tmp_path / f"{first:%m%d}.csv"
        moments = [first + timedelta(hours=k) for k in range(24 * days)]
        path.write_text(
            "queue,interval_start,interval_minutes,offered,aht_seconds,available_at\n"
            + "".join(
                f"mail,{at.isoformat()},60,{offered},300,{(at + timedelta(hours=1)).isoformat()}\n"
                for at in moments
            )
        )
        ended = command("ingest", "intervals", path, "--home", home.root, room="features")
        assert ended.code == 0, ended.err

    ingest(MADE_AT - timedelta(days=42), 42, 6)
    assert command("build", "--home", home.root, room="features").code == 0
    put_volume_bundle(home)
    published = command("forecast", "--home", home.root, room="serving")
    assert published.code == 0, published.err
    before = command("--home", home.root)
    assert (before.code, "nothing has come yet" in before.err) == (1, True)
    ingest(MADE_AT, 7, 9)
    rows = json.loads(command("--home", home.root, "--json").out)["rows"]
    whole = next(row for row in rows if row["queue"] == "mail" and row["lead"] == "all")
    # Six an hour was forecast, as in the last four weeks, and nine came.
    assert (whole["intervals"], whole["contacts"]) == (168, 1512.0)
    assert whole["wape"] == pytest.approx(1 / 3, rel=0.02)
    assert whole["bias"] == pytest.approx(-1 / 3, rel=0.02)
    assert whole["wape_baseline"] == pytest.approx(1 / 3)


def test_the_record_is_also_json_csv_and_a_picture(
    command: Command, home: Home, tmp_path: Path
) -> None:
    put_set(home, week_ahead(10), made_at=MONDAY)
    arrived(home)
    document = json.loads(command("--home", home.root, "--json").out)
    whole = document["rows"][0]
    assert (whole["queue"], whole["lead"], whole["contacts"]) == ("all", "all", 1440.0)
    table = list(csv.DictReader(io.StringIO(command("--home", home.root, "--csv").out)))
    assert len(table) == len(document["rows"]) == 2 * 3 + 120
    assert float(table[0]["wape"]) == whole["wape"]
    picture = tmp_path / "record.png"
    assert command("--home", home.root, "--figure", picture).code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_set_that_is_damaged_or_older_is_named_and_left_out(command: Command, home: Home) -> None:
    ids = [
        put_set(home, week_ahead(mean), made_at=MONDAY + timedelta(hours=n))
        for n, mean in enumerate((10, 11, 12, 13))
    ]
    arrived(home)
    (home.forecasts / ids[0] / "forecast.arrow").write_bytes(b"cut")
    (home.forecasts / ids[1] / "manifest.json").unlink()
    manifest = home.forecasts / ids[2] / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema": 1}))
    ended = command("--home", home.root)
    assert ended.code == 0, ended.err
    assert "Sets read: 1 full" in ended.out
    for id in ids[:3]:
        assert f"warning: set `{id}` is left out" in ended.out
    (home.forecasts / ids[3] / "queues.json").unlink()
    ended = command("--home", home.root)
    assert (ended.code, "none of 4 forecast sets can be read" in ended.err) == (4, True)


def test_the_same_forecast_published_twice_counts_once(command: Command, home: Home) -> None:
    for model in ("volume-1", "volume-1", "volume-2"):
        put_set(home, week_ahead(10), made_at=MONDAY, model_version=model)
    arrived(home)
    document = json.loads(command("--home", home.root, "--json").out)
    assert document["sets"]["full"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--since", "yesterday"), "--since: got 'yesterday'"),
        (("--until", "2026-03-01T00:00"), "--until: got '2026-03-01T00:00'"),
        (("--json", "--csv"), "expected one of them"),
        (("--queue", "p"), "unknown queue 'p'"),
        (("--figure", "record.pdf"), "ends in .png"),
    ],
)
def test_what_is_asked_for_wrongly_is_named(
    command: Command, home: Home, words: tuple[str, ...], message: str
) -> None:
    put_set(home, week_ahead(10), made_at=MONDAY)
    arrived(home)
    ended = command("--home", home.root, *words)
    assert (ended.code, message in ended.err) == (2, True), ended.err


def test_a_picture_of_hours_without_a_contact_can_be_drawn(home: Home, tmp_path: Path) -> None:
    id = put_set(home, forecast_of(Q, [T], [0.01]), made_at=MONDAY)
    draw_record(judged(home, actuals(history_of(Q, MONDAY, [0.0])), id), tmp_path / "quiet.png")
    assert (tmp_path / "quiet.png").stat().st_size > 1000
