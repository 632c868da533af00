from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from features_rows import T0, at, contact, load, purchase
from typer import Typer
from typer.testing import CliRunner

from features.build import build_snapshot, register
from features.calendar.clock import to_epoch
from features.customers.features import CARRIED_NAMES, FEATURE_NAMES
from features.errors import HorizonError, InputError, TooLittleDataError
from features.home import Home
from features.snapshot import open_current_snapshot
from features.store import FeatureStore

QUEUE = {"queue": "q", "channel": "chat", "time_zone": "Europe/Berlin", "available_at": at(-99)}
EVENT = {
    "event_id": "e",
    "kind": "promotion",
    "starts_at": at(5),
    "ends_at": at(6),
    "known_at": at(-3),
    "available_at": at(-2),
    "queues": "q, r",
}


def centre():
    return {
        "interactions": [
            contact(f"i{k}", "ä" if k % 2 else "b", at(-9, seconds=3600 * k + 3000))
            for k in range(9 * 24)
        ],
        "purchases": [purchase("p", "ä", at(-100)), purchase("r", "z", at(-20))],
        "customers": [{"customer_id": "𐍈", "joined_at": at(-50), "available_at": at(-50)}],
        "queues": [QUEUE],
        "calendar": [EVENT],
    }


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def store(home):
    load(home, centre())
    with FeatureStore(home, threads=1) as opened:
        yield opened


def test_the_default_as_of_is_the_next_full_hour_but_never_later_than_now(store):
    assert store.latest(now=at(30)) == T0
    assert store.latest(now=at(0, seconds=-1800)) == at(0, seconds=-1800)


def test_an_event_on_the_very_hour_is_seen_by_the_default_as_of(home):
    load(home, {"purchases": [purchase("p", "alone", at(-3))]})
    with FeatureStore(home, threads=1) as opened:
        as_of = opened.latest(now=at(30))
        assert as_of == at(-3, seconds=3600)
        assert opened.customers([as_of]).column("customer_id").to_pylist() == ["alone"]


def test_a_snapshot_of_nothing_is_refused_and_what_was_current_stays(store, home):
    kept = store.publish(as_of=T0, now=T0)
    with pytest.raises(TooLittleDataError, match="nothing was known"):
        store.publish(as_of=at(-9999), now=T0)
    assert open_current_snapshot(home.snapshots).artefact.id == kept.artefact.id


def test_a_store_is_pinned_to_the_versions_of_its_opening(store, home):
    before = store.customers([T0])
    load(home, {"purchases": [purchase("new", "new", at(-1))]})
    assert store.customers([T0]).equals(before)
    assert store.versions["purchases"] < FeatureStore(home).versions["purchases"]


def test_queues_and_events_are_those_known_at_the_moment(store):
    assert [q.time_zone for q in store.queues(T0)] == ["Europe/Berlin"]
    assert [q.time_zone for q in store.queues(at(-99, seconds=-1))] == []
    assert [e.queues for e in store.events(T0)] == [("q", "r")]
    assert store.events(at(-2.5)) == ()
    assert store.warnings == ()


def test_overrides_are_those_known_at_the_moment_in_the_order_they_were_made(home):
    def row(id, made_at, **more):
        return {
            "override_id": id, "queue": "q", "interval_start": at(3), "interval_minutes": 60,
            "offered": 12.5, "made_by": "Ann", "made_at": made_at, "available_at": made_at, **more,
        }  # fmt: skip

    rows = [
        row("b", at(-1)),
        row("a", at(-2), aht_seconds=240.0, reason="campaign"),
        row("later", at(1)),
        row("old", at(-5), superseded_at=at(-3)),
    ]
    load(home, {"overrides": rows})
    with FeatureStore(home, threads=1) as opened:
        found = opened.overrides(T0)
        assert [o.override_id for o in opened.overrides(at(-4))] == ["old"]
    assert [o.override_id for o in found] == ["a", "b"]
    assert (found[0].aht_seconds, found[0].reason, found[1].aht_seconds) == (
        240.0,
        "campaign",
        None,
    )
    assert (found[0].start, found[0].end) == (to_epoch(at(3)), to_epoch(at(3)) + 3600)
    assert found[0].made_at == to_epoch(at(-2))


def test_an_interval_that_no_clock_has_is_an_error_that_names_the_queue(home):
    load(home, {"queues": [QUEUE | {"interval_minutes": 20}]})
    with FeatureStore(home, threads=1) as opened, pytest.raises(InputError, match="queue `q`"):
        opened.queues(T0)


def test_a_snapshot_holds_what_the_store_answers(store, home):
    snapshot = store.publish(as_of=T0, now=at(1))
    read = open_current_snapshot(home.snapshots)
    assert read.artefact.id == snapshot.artefact.id
    assert read.as_of == T0
    assert read.events == store.events(T0)
    assert read.artefact.lineage == {"tables": store.versions}
    table = store.customers([T0])
    assert read.customers.names == (*FEATURE_NAMES, *CARRIED_NAMES)
    assert read.customers.ids.to_pylist() == ["b", "z", "ä", "𐍈"]
    for row, id in enumerate(read.customers.ids.to_pylist()):
        assert read.customers.find(id) == row
    expected = np.column_stack([table.column(n).to_numpy() for n in FEATURE_NAMES])
    np.testing.assert_array_equal(read.customers.matrix(FEATURE_NAMES), expected)
    history, own = read.histories["q"], store.volume(T0)["q"]
    np.testing.assert_array_equal(history.offered, own.offered)
    np.testing.assert_array_equal(history.starts, own.starts)
    np.testing.assert_array_equal(history.aht_seconds, own.aht_seconds)
    np.testing.assert_array_equal(history.quarters, own.quarters)
    assert history.quarters.any()
    assert history.queue == own.queue


def test_an_old_snapshot_is_kept_and_current_moves(store, home):
    first = store.publish(as_of=at(-1), now=at(1))
    second = store.publish(as_of=T0, now=at(1))
    assert first.artefact.path.is_dir()
    assert open_current_snapshot(home.snapshots).artefact.id == second.artefact.id


def test_a_snapshot_of_the_future_is_refused(store):
    with pytest.raises(HorizonError):
        store.publish(as_of=at(2), now=at(1))


def test_an_empty_lake_has_no_latest_moment(home):
    with FeatureStore(home, threads=1) as opened:
        with pytest.raises(TooLittleDataError, match="ingest"):
            opened.latest(now=T0)
        assert opened.customers([T0]).num_rows == 0


def test_labels_follow_the_active_customers_through_the_horizon(home):
    rows = [
        purchase("1", "left", at(-10)),
        purchase("2", "stays", at(-10)),
        purchase("3", "stays", at(89), amount_minor=700),
        purchase("4", "edge", at(-180)),
        purchase("5", "edge", T0, amount_minor=5),
        purchase("6", "lapsed", at(-180, seconds=-1)),
        purchase("7", "late", at(-10), available_at=at(1)),
        purchase("8", "after", at(-10)),
        purchase("9", "after", at(90)),
        purchase("10", "gone", at(-10)),
        purchase("11", "gone", at(5), kind="return"),
        purchase("12", "renews", at(-10), kind="renewal"),
        purchase("13", "renews", at(5), kind="renewal", superseded_at=at(9), amount_minor=1),
        purchase("13", "renews", at(5), kind="renewal", available_at=at(9), amount_minor=2),
    ]
    load(home, {"purchases": rows})
    with FeatureStore(home, threads=1) as opened:
        found = opened.labels([T0, at(1)])
    assert set(found.column("as_of").to_pylist()) == {T0}  # the other's horizon is not over
    assert found.column("label_known_at").to_pylist()[0] == T0 + timedelta(days=90)
    labels = {row["customer_id"]: (row["churned"], row["value_minor"]) for row in found.to_pylist()}
    assert labels == {
        "left": (1, 0),
        "stays": (0, 700),
        "edge": (0, 5),
        "after": (1, 0),
        "gone": (1, 0),
        "renews": (0, 2),
    }
    assert found.schema.field("churned").type == pa.int8()


TERM = at(30)
RENEWED_LATE = at(30 + 30, seconds=1)


@pytest.mark.parametrize(
    ("rows", "churned"),
    [
        pytest.param([], 1, id="the term ends and nothing follows"),
        pytest.param([purchase("2", "a", at(40), kind="renewal")], 0, id="renewed within grace"),
        pytest.param([purchase("2", "a", at(60), kind="renewal")], 0, id="on the last day of it"),
        pytest.param([purchase("2", "a", RENEWED_LATE, kind="renewal")], 1, id="renewed too late"),
        pytest.param([purchase("2", "a", at(9))], 1, id="bought something without a term"),
        pytest.param(
            [purchase("2", "a", at(9), term_ends_at=at(400))], 0, id="bought another term"
        ),
        pytest.param(
            [
                purchase("2", "a", at(9), kind="renewal"),
                purchase("3", "a", at(20), kind="cancellation"),
            ],
            1,
            id="renewed and cancelled",
        ),
        pytest.param(
            [purchase("2", "a", at(-1), kind="cancellation", available_at=at(5))],
            1,
            id="had cancelled, as was learnt later",
        ),
        pytest.param(
            [purchase("2", "a", at(-1), kind="cancellation")], None, id="had cancelled before"
        ),
        pytest.param(
            [
                purchase("2", "a", at(-9), kind="cancellation"),
                purchase("3", "a", at(-8), term_ends_at=at(300)),
            ],
            0,
            id="came back before",
        ),
        pytest.param(
            [purchase("2", "a", at(-5), kind="renewal", term_ends_at=T0)], None, id="has run out"
        ),
        pytest.param(
            [purchase("2", "a", at(-5), term_ends_at=at(200), available_at=at(1))],
            1,
            id="a renewal that was learnt later is no contract yet",
        ),
        pytest.param([purchase("2", "a", at(-5), kind="return")], 1, id="sent something back"),
    ],
)
def test_a_contract_ends_by_cancellation_or_without_a_renewal(home, rows, churned):
    first = purchase("1", "a", at(-30), term_ends_at=TERM)
    end = purchase("end", "other", at(130))
    load(home, {"purchases": [first, *rows, end]})
    with FeatureStore(home, threads=1) as opened:
        found = opened.contract_labels([T0], horizon_days=90, grace_days=30).to_pylist()
    assert [(row["customer_id"], row["churned"]) for row in found] == (
        [] if churned is None else [("a", churned)]
    )
    assert all(row["label_known_at"] == at(120) for row in found)


def test_a_term_that_ends_after_the_horizon_and_the_value_of_what_followed(home):
    rows = [
        purchase("1", "a", at(-30), term_ends_at=at(90)),
        purchase("2", "a", at(10), amount_minor=70),
        purchase("3", "a", at(90), amount_minor=900),
        purchase("end", "other", at(130)),
    ]
    load(home, {"purchases": rows})
    with FeatureStore(home, threads=1) as opened:
        found = opened.contract_labels([T0, at(20)])
        assert [(r["as_of"], r["churned"], r["value_minor"]) for r in found.to_pylist()] == [
            (T0, 0, 70)
        ]
        assert found.schema == opened.labels([T0]).schema


def test_labels_without_a_complete_horizon_are_an_empty_table(store):
    found = store.labels([T0])
    assert found.num_rows == 0
    assert found.column_names == [
        "customer_id",
        "as_of",
        "churned",
        "value_minor",
        "label_known_at",
    ]


def test_a_build_reports_what_it_published(home):
    load(home, centre())
    report = build_snapshot(home, now=at(1))
    assert report.as_of == T0
    assert (report.customers, report.features, report.events) == (4, len(FEATURE_NAMES), 1)
    assert [(q.queue, q.contacts_per_hour) for q in report.queues] == [("q", 1.0)]


def command():
    app = Typer()
    app.command("other")(lambda: None)
    register(app, clock=lambda: at(1))
    return app


def test_the_verb_prints_a_summary_for_people_and_json_for_machines(home):
    load(home, centre())
    text = CliRunner().invoke(command(), ["build", "--home", str(home.root)])
    assert text.exit_code == 0
    assert "customers  4 with" in text.stdout
    as_json = CliRunner().invoke(
        command(),
        ["build", "--home", str(home.root), "--json", "--as-of", "2026-02-28T01:00+01:00"],
    )
    assert '"as_of": "2026-02-28 00:00:00+00:00"' in as_json.stdout


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00+14:00", "yesterday", "2026-02-28", "2026-02-28T01:00"]
)
def test_an_as_of_without_a_zone_is_refused(home, text):
    load(home, centre())
    done = CliRunner().invoke(command(), ["build", "--home", str(home.root), "--as-of", text])
    assert isinstance(done.exception, InputError)
