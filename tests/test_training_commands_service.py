import csv
import io
import json
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
import typer
from features_rows import contact, load
from real import need
from typer.testing import CliRunner

from benchmarks.service_centre import Centre, Line, Shift, run_centre
from features.calendar.clock import from_epoch, to_epoch
from features.console import run
from features.errors import EbbflowError, InputError, TooLittleDataError, UnknownNameError
from features.home import Home
from training.commands import save_figure
from training.commands.service import register
from training.service.calibration import read_service
from training.service.report import service_figure

START = datetime(2026, 1, 5, tzinfo=UTC)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
CENTRE = Centre(
    (Line("phone", 40, 300, 180), Line("sales", 20, 300, 400)),
    tuple(Shift(8, 20, (0, 1)) for _ in range(6)),
    efficiency=0.8,
)


def rows(days=28):
    waits = run_centre(CENTRE, days=days, start=to_epoch(START), seed=2)
    for k in range(len(waits)):
        gone = bool(waits.abandoned[k])
        when = from_epoch(int(waits.started_at[k]))
        yield contact(
            str(k),
            None,
            when,
            queue=waits.queues[waits.queue[k]],
            outcome="abandoned" if gone else "answered",
            wait_seconds=float(waits.wait_seconds[k]),
            handle_seconds=None if gone else float(waits.handle_seconds[k]),
            agent_id=None if gone else waits.agents[waits.agent[k]],
        )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    place = Home(tmp_path_factory.mktemp("place") / "home")
    queues = [
        {"queue": name, "channel": channel, "time_zone": "UTC", "available_at": START}
        for name, channel in (("phone", "voice"), ("sales", "voice"), ("mail", "email"))
    ]
    mail = [contact("m", None, START, queue="mail", channel="email", wait_seconds=4000)]
    load(place, {"interactions": [*rows(), *mail], "queues": queues})
    return place


@pytest.fixture
def app():
    app = typer.Typer()
    register(app, clock=lambda: NOW)
    # A second command, so that the verb is not taken for the whole.
    app.command("other")(lambda: None)
    return app


@pytest.fixture
def command(app, home):
    def invoke(*words, place=home):
        return CliRunner().invoke(app, ["service", "volume", "--home", str(place.root), *words])

    return invoke


def test_the_tables_show_patience_and_both_service_levels(command):
    found = command()
    assert found.exit_code == 0, found.output
    assert "Patience" in found.output
    assert "predicted" in found.output
    assert {"phone", "sales"} <= set(found.output.split())
    assert "mail" not in found.output


def test_json_says_what_the_library_says(command, home):
    document = json.loads(command("--json").output)
    _, found = read_service(home, now=NOW)
    first = document["rows"][0]
    assert first["queue"] == "phone"
    assert first["patience_seconds"] == pytest.approx(180, rel=0.1)
    assert first["efficiency"] == found["phone"].service.efficiency
    assert first["efficiency"] == pytest.approx(0.8, abs=0.05)
    assert {row["hour"] for row in document["rows"]} == {"all", *range(8, 20)}


def test_csv_has_the_same_rows(command):
    lines = list(csv.DictReader(io.StringIO(command("--csv").output)))
    document = json.loads(command("--json").output)
    assert [line["hour"] for line in lines] == [str(row["hour"]) for row in document["rows"]]
    assert float(lines[0]["achieved"]) == document["rows"][0]["achieved"]


def test_by_hour_adds_the_hours_of_the_day(command):
    assert "08" not in command("--queue", "sales").output.split()
    assert "08" in command("--queue", "sales", "--by-hour").output.split()


def test_one_queue_alone_is_learnt_with_the_others_that_share_its_agents(command, home):
    one = json.loads(command("--json", "--queue", "sales").output)
    assert {row["queue"] for row in one["rows"]} == {"sales"}
    _, found = read_service(home, now=NOW)
    assert one["rows"][0]["predicted"] == found["sales"].service.predicted


def test_the_picture_is_a_png(home, command, tmp_path):
    assert command("--figure", str(tmp_path / "a.png")).exit_code == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    _, found = read_service(home, now=NOW)
    with pytest.raises(InputError, match=r"ends in \.png"):
        save_figure(service_figure(found), tmp_path / "a.svg")


def test_a_queue_that_nothing_was_compared_of_has_its_picture(home, tmp_path):
    _, found = read_service(home, now=NOW, days=40, as_of=from_epoch(to_epoch(START) + 3 * 86_400))
    assert found["phone"].compared is None
    save_figure(service_figure(found), tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()


def test_a_contact_known_later_does_not_count(home):
    as_of = from_epoch(to_epoch(START) + 14 * 86_400 + 12 * 3600)
    _, found = read_service(home, now=NOW, as_of=as_of)
    came = [row for row in rows() if row["started_at"] < as_of and row["queue"] == "phone"]
    service = found["phone"].service
    assert service.contacts + found["phone"].short == len(came)
    late = [{**row, "available_at": NOW} if k % 2 else row for k, row in enumerate(rows())]
    other = Home(home.root.parent / "late")
    load(other, {"interactions": late})
    _, half = read_service(other, now=NOW, as_of=as_of)
    known = [row for row in late if row["available_at"] <= as_of and row["queue"] == "phone"]
    assert half["phone"].service.contacts + half["phone"].short == len(
        [row for row in known if row["started_at"] < as_of]
    )


def failure(home, **asked):
    with pytest.raises(EbbflowError) as caught:
        read_service(home, now=NOW, **asked)
    return caught.value


def test_an_unknown_queue_is_an_error_that_suggests_one(home):
    error = failure(home, queues=("fone",))
    assert isinstance(error, UnknownNameError)
    assert "Did you mean `phone`?" in str(error)
    assert error.field == "queue"


def test_no_contact_in_these_days_is_an_error_that_says_which(home):
    error = failure(home, as_of=datetime(2026, 2, 28, tzinfo=UTC), days=3)
    assert isinstance(error, TooLittleDataError)
    assert "no single contact of the 3 days before 2026-02-28 00:00 UTC" in str(error)
    assert "--as-of" in str(error)


def test_a_lake_without_anything_is_an_error(tmp_path):
    assert isinstance(failure(Home(tmp_path / "empty")), TooLittleDataError)


def test_a_queue_whose_contacts_do_not_wait_is_an_error(home):
    error = failure(home, queues=("mail",))
    assert "nothing is known of waits in `mail`" in str(error)


def test_contacts_without_waits_are_an_error_that_names_the_column(tmp_path):
    home = Home(tmp_path / "home")
    load(home, {"interactions": [contact("1", None, START)]})
    assert "wait_seconds" in str(failure(home))


def test_json_and_csv_together_are_refused(app, home, monkeypatch, capsys):
    words = ["training", "service", "volume", "--home", str(home.root), "--json", "--csv"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stopped:
        run(app)
    assert stopped.value.code == 2
    assert "expected one of them" in capsys.readouterr().err


@pytest.mark.slow
def test_the_banks_calls_tell_patience_and_are_predicted_better_with_the_efficiency(tmp_path):
    need("anonbank_1999")
    from benchmarks.service import bank

    found = bank(tmp_path)
    assert found["PS"].service.patience_seconds == pytest.approx(407, rel=0.1)
    for name in ("PS", "NW"):
        compared, service = found[name].compared, found[name].service
        assert service.efficiency < 1
        before = compared.error(compared.predicted())
        assert compared.error(compared.predicted(service.efficiency)) < 0.8 * before
    # Callers who hung up before they stood in line: one in seventeen, at night as at noon.
    assert sum(one.short for one in found.values()) == pytest.approx(2150, rel=0.02)
    assert np.isfinite(found["NW"].aht_seconds)
