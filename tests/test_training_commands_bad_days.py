import json
import re
from datetime import date

import pytest
import typer
from training_world import AS_OF, NOW, Centre, fill_lake
from typer.testing import CliRunner
from volume_world import around_the_clock, history

from features.calendar.clock import local_times
from features.calendar.queues import Event
from features.errors import UnknownNameError
from features.home import Home
from serving.models.volume.calendar_effects import DayEffects
from training.commands.explore import read_bad_days, register_bad_days
from training.fit.volume import COLUMNS, bad_days_table

NOTHING = DayEffects({}, {})


def shut(name="hotline", day=70):
    past = history(around_the_clock(name), days=140, per_hour=30)
    local = local_times(past.starts, past.queue.time_zone)
    past.offered[local.day - local.day[0] == day] = 0.0
    return past


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    place = tmp_path_factory.mktemp("place")
    home = Home(place / "home")
    fill_lake(home, place, centre=Centre())
    return home


@pytest.fixture
def command():
    app = typer.Typer()
    register_bad_days(app, clock=lambda: NOW)
    # A second command, so that the verb is not taken for the whole.
    app.command("other")(lambda: None)
    return lambda *words: CliRunner().invoke(app, ["bad-days", "volume", *words])


def test_the_table_has_a_row_for_each_bad_day_of_each_queue():
    histories = {"b": shut("b"), "a": shut("a", day=40)}
    table = bad_days_table(histories, NOTHING, events=[], known_by=0)
    assert tuple(table.columns) == COLUMNS
    assert table["queue"].tolist() == ["a", "b"]
    assert table["day"].tolist() == [date(2025, 2, 9), date(2025, 3, 11)]
    assert set(table["kind"]) == {"shut"}


def test_the_table_of_good_days_is_empty_and_has_its_columns():
    table = bad_days_table({}, NOTHING, events=[], known_by=0)
    assert table.empty
    assert tuple(table.columns) == COLUMNS


def test_a_day_that_an_event_explains_is_not_listed():
    past = shut()
    local = local_times(past.starts, past.queue.time_zone)
    starts = past.starts[local.day - local.day[0] == 70]
    closed = Event("e", "outage", int(starts[0]), int(starts[-1]) + 3600, 0)
    assert bad_days_table({"hotline": past}, NOTHING, events=[closed], known_by=0).empty


def test_the_lake_s_bad_days_are_read_with_clock_times(home):
    table = read_bad_days(home, now=NOW)
    assert table.columns.tolist() == ["queue", "day", "from", "to", "kind", "ratio"]
    assert (table["ratio"] >= 0).all()
    whole = table["from"] == ""
    assert (whole == (table["to"] == "")).all()
    assert all(re.fullmatch(r"\d\d:\d\d", time) for time in table.loc[~whole, "from"])


def test_one_queue_s_days_are_those_of_the_whole_list(home):
    every = read_bad_days(home, now=NOW, as_of=AS_OF)
    names = sorted(set(every["queue"])) or ["phone"]
    some = read_bad_days(home, now=NOW, as_of=AS_OF, queues=(names[0],))
    mine = every[every["queue"] == names[0]].reset_index(drop=True)
    assert some.to_dict("records") == mine.to_dict("records")


def test_a_queue_that_is_not_there_is_named(home):
    with pytest.raises(UnknownNameError, match="nowhere"):
        read_bad_days(home, now=NOW, queues=("nowhere",))


def test_the_command_prints_json_for_a_machine(home, command):
    ended = command("--home", str(home.root), "--json")
    assert ended.exit_code == 0
    assert isinstance(json.loads(ended.stdout), list)


def test_the_command_prints_a_table_or_says_that_there_is_none(home, command):
    ended = command("--home", str(home.root))
    assert ended.exit_code == 0
    assert "no bad days" in ended.stdout or "times the usual" in ended.stdout


def test_times_that_are_no_times_are_refused(home, command):
    ended = command("--home", str(home.root), "--as-of", "yesterday")
    assert ended.exit_code != 0
    assert "--as-of" in str(ended.exception)
