"""The service's own database: made by the first write, one change at a time, never rewritten."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest
from postgres_world import can_run_server, postgres_server, server_programs
from sqlalchemy import create_engine, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from features.errors import ConfigError, DatabaseError, UnknownNameError
from features.home import Home
from features.volume.overrides import AuditStamp, OverrideInterval, OverrideValue, StoredOverride
from serving.lists import KEY_BYTES, Candidate, Experiment, ListCriteria, ListSource
from serving.store.database import METADATA, Database
from serving.store.lists import ListStore
from serving.store.overrides import NOTHING, OverrideStore

ROOT = Path(__file__).resolve().parents[1]
HOUR = 3600


def expected(queue: str = "q", start: int = 0, hours: int = 1, **more: object) -> OverrideValue:
    pieces = tuple(OverrideInterval(start + HOUR * k, 60, 10.0 + k) for k in range(hours))
    values = {
        "queue": queue,
        "start": start,
        "end": start + hours * HOUR,
        "offered": sum(piece.offered for piece in pieces),
        "aht_seconds": None,
        "forecast_set": "set-1",
        "forecast_offered": 8.5,
        "pieces": pieces,
    }
    return OverrideValue(**{**values, **more})  # type: ignore[arg-type]


def keep(
    store: OverrideStore, *what: OverrideValue, at: int = 100, **more: str
) -> list[StoredOverride]:
    kept: list[StoredOverride] = []

    def answer(overrides: list[StoredOverride]) -> bytes:
        kept.extend(overrides)
        return b"answer"

    store.add(what, by=more.pop("by", "Ann"), reason="why", at=at, render=answer, **more)  # type: ignore[arg-type]
    return kept


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The URL of a Postgres server of this test run."""
    if find_spec("psycopg") is None:
        pytest.skip(
            "psycopg, the driver of Postgres, is not installed: `pip install -e .[postgres]`"
        )
    if server_programs() is None:
        pytest.skip("no Postgres server is installed: `apt-get install postgresql`")
    if not can_run_server():
        pytest.skip("Postgres refuses to run as root, and there is no user `postgres`")
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database in which nothing was ever kept."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'service.db'}"
        return
    server: str = request.getfixturevalue("cluster")
    yield server
    engine = create_engine(server)
    METADATA.drop_all(engine)
    engine.dispose()


@pytest.fixture
def store(url: str) -> Iterator[OverrideStore]:
    database = Database(url)
    yield OverrideStore(database)
    database.close()


def test_reading_finds_nothing_and_leaves_no_trace(tmp_path: Path) -> None:
    store = OverrideStore(Database.of(Home(tmp_path)))
    assert store.version() == NOTHING
    assert store.overlapping() == []
    assert store.changed(seen=NOTHING, since=0).overrides == []
    assert store.stored_response("key") is None
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_is_read_back_as_it_was(store: OverrideStore) -> None:
    assert store.version() == NOTHING
    one, two = expected(hours=2, aht_seconds=250.5), expected("Grüße 😀", start=HOUR)
    kept = keep(store, one, two, at=1_774_000_000)
    assert [override.expected for override in kept] == [one, two]
    assert kept[0].made == AuditStamp(1_774_000_000, "Ann", "why")
    assert store.overlapping() == kept
    assert store.version() == (1, 1_774_000_000)
    assert [override.override_id for override in kept] == sorted(
        override.override_id for override in kept
    )


def test_a_later_override_has_a_later_id_even_within_a_second(store: OverrideStore) -> None:
    ids = [
        override.override_id
        for _ in range(3)
        for override in keep(store, expected(), expected("r"))
    ]
    assert ids == sorted(set(ids))
    assert [override.override_id for override in store.overlapping()] == ids


def test_layers_are_chosen_by_queue_and_by_the_time_that_they_reach_into(
    store: OverrideStore,
) -> None:
    keep(store, expected(start=0), expected(start=HOUR), expected("r", start=2 * HOUR))

    def starts(**span: object) -> list[int]:
        return [override.expected.start for override in store.overlapping(**span)]  # type: ignore[arg-type]

    assert starts(since=HOUR) == [HOUR, 2 * HOUR]
    assert starts(until=HOUR) == [0]
    assert starts(since=1, until=2) == [0]
    assert starts(queues=["r"]) == [2 * HOUR]
    assert starts(queues=[]) == []


def test_an_override_that_is_taken_back_stays_kept_and_the_first_who_did_stays_named(
    store: OverrideStore,
) -> None:
    (override,) = keep(store, expected())
    taken = store.withdraw(override.override_id, by="Bob", reason="fell out", at=200)
    assert taken.withdrawn == AuditStamp(200, "Bob", "fell out")
    assert taken.made == override.made
    assert store.withdraw(override.override_id, by="Cid", reason="again", at=300) == taken
    assert store.overlapping() == [taken]
    assert store.version() == (2, 200)
    with pytest.raises(UnknownNameError, match="unknown override 'nobody'"):
        store.withdraw("nobody", by="Bob", reason="r", at=300)


def test_a_key_gives_the_first_answer_and_keeps_nothing_twice(store: OverrideStore) -> None:
    def ask(digest: str, words: bytes) -> tuple[str, bytes]:
        found = store.add(
            [expected()], by="A", reason="r", at=1, render=lambda _: words, key="k", digest=digest
        )
        return found.digest, found.content

    assert ask("one", b"first") == ("one", b"first")
    assert ask("one", b"second") == ("one", b"first")
    assert ask("two", b"third") == ("one", b"first")
    assert len(store.overlapping()) == 1
    week = 7 * 86_400
    store.add([expected()], by="A", reason="r", at=week + 2, render=lambda _: b"", key="l")
    assert store.stored_response("k") is None


def test_a_failure_half_way_keeps_nothing(store: OverrideStore) -> None:
    keep(store, expected())

    def fail(_: object) -> bytes:
        raise RuntimeError("no answer")

    with pytest.raises(RuntimeError):
        store.add([expected()], by="A", reason="r", at=5, render=fail)
    assert store.version() == (1, 100)
    assert len(store.overlapping()) == 1


def test_a_reader_is_told_what_it_has_not_seen(store: OverrideStore) -> None:
    first, second = keep(store, expected(), expected(start=HOUR), at=1)
    seen = store.version()
    assert store.changed(seen=NOTHING, since=0).overrides == [first, second]
    assert store.changed(seen=seen, since=0).overrides == []
    (third,) = keep(store, expected(start=5 * HOUR), at=2)
    taken = store.withdraw(first.override_id, by="B", reason="r", at=3)
    found = store.changed(seen=seen, since=0)
    assert (found.version, found.whole) == ((3, 3), False)
    assert found.overrides == [taken, third]
    assert store.changed(seen=seen, since=HOUR).overrides == [third]


def test_a_reader_of_another_history_is_told_everything(tmp_path: Path) -> None:
    store = OverrideStore(Database.of(Home(tmp_path)))
    (old,) = keep(store, expected(), at=1)
    shutil.copy(tmp_path / "service.db", tmp_path / "backup.db")
    keep(store, expected(), at=2)
    seen = store.version()
    for name in tmp_path.glob("service.db*"):
        name.unlink()
    shutil.copy(tmp_path / "backup.db", tmp_path / "service.db")
    (new,) = keep(store, expected("r"), at=3)
    found = store.changed(seen=seen, since=0)
    assert found.whole
    assert found.overrides == [old, new]


def test_many_writers_at_once_lose_nothing_and_share_no_number(url: str) -> None:
    databases = [Database(url) for _ in range(4)]
    stores = [OverrideStore(database) for database in databases]

    def write(k: int) -> list[str]:
        return [
            override.override_id for override in keep(stores[k % 4], expected(start=k * HOUR), at=7)
        ]

    with ThreadPoolExecutor(8) as pool:
        ids = [id for found in pool.map(write, range(24)) for id in found]
    assert len(set(ids)) == 24
    assert stores[0].version()[0] == 24
    assert {override.expected.start for override in stores[1].overlapping()} == {
        k * HOUR for k in range(24)
    }
    for database in databases:
        database.close()


WRITER = """
import sys
from features.volume.overrides import OverrideInterval, OverrideValue
from serving.store.database import Database
from serving.store.overrides import OverrideStore

store, queue = OverrideStore(Database(sys.argv[1])), sys.argv[2]
for k in range(20):
    pieces = (OverrideInterval(k, 15, 1.0),)
    what = OverrideValue(queue, k, k + 900, 1.0, None, "s", 1.0, pieces)
    store.add([what], by=queue, reason="r", at=k, render=lambda _: b"")
"""


def test_two_processes_that_write_at_once_lose_nothing(url: str, store: OverrideStore) -> None:
    both = [
        subprocess.Popen([sys.executable, "-c", WRITER, url, queue], cwd=ROOT) for queue in "ab"
    ]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    overrides = store.overlapping()
    assert [sum(override.expected.queue == queue for override in overrides) for queue in "ab"] == [
        20,
        20,
    ]
    assert [override.override_id for override in overrides] == sorted(
        override.override_id for override in overrides
    )


def test_a_database_that_is_locked_says_so_and_can_be_read_meanwhile(tmp_path: Path) -> None:
    store = OverrideStore(Database.of(Home(tmp_path)))
    (override,) = keep(store, expected())
    other = sqlite3.connect(tmp_path / "service.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert store.overlapping() == [override]
        with pytest.raises(DatabaseError, match=r"cannot be written: got database is locked"):
            keep(store, expected())
    finally:
        other.close()
    assert len(keep(store, expected())) == 1


def test_a_turn_to_write_is_waited_for(tmp_path: Path) -> None:
    store = OverrideStore(Database.of(Home(tmp_path)))
    keep(store, expected())
    other = sqlite3.connect(tmp_path / "service.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    def let_go() -> None:
        time.sleep(0.3)
        other.execute("COMMIT")

    threading.Thread(target=let_go).start()
    keep(store, expected())
    other.close()
    assert store.version()[0] == 2


@pytest.mark.parametrize("content", [b"this is no database, only text" * 50, b"SQLite format 3\0x"])
def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "service.db"
    path.write_bytes(content)
    store = OverrideStore(Database.of(Home(tmp_path)))
    for work in (store.version, lambda: keep(store, expected())):
        with pytest.raises(DatabaseError, match=r"service\.db.* cannot be .*EBBFLOW_DATABASE_URL"):
            work()
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_written_names_the_setting(tmp_path: Path) -> None:
    store = OverrideStore(Database(f"sqlite:///{tmp_path}/nowhere/service.db"))
    assert store.overlapping() == []
    with pytest.raises(DatabaseError, match=r"unable to open database file.*EBBFLOW_DATABASE_URL"):
        keep(store, expected())


def test_a_database_of_another_version_is_refused(url: str, store: OverrideStore) -> None:
    keep(store, expected())
    other = Database(url)
    with other.writing() as connection:
        connection.exec_driver_sql("UPDATE service SET schema_version = 99")
    for work in (store.overlapping, lambda: keep(store, expected())):
        with pytest.raises(DatabaseError, match="got schema 99; expected schema 1"):
            work()
    other.close()


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_postgres_whose_writer_does_not_finish_says_so_and_can_be_read(
    url: str, store: OverrideStore
) -> None:
    other = Database(url)
    (override,) = keep(store, expected())
    with other.writing():
        assert store.overlapping() == [override]
        with pytest.raises(DatabaseError, match=r"cannot be written: got .*timeout"):
            keep(store, expected())
    other.close()
    assert len(keep(store, expected())) == 1


def test_a_postgres_that_does_not_answer_is_named_without_its_password() -> None:
    pytest.importorskip("psycopg")
    store = OverrideStore(Database("postgresql+psycopg://ann:secret@127.0.0.1:1/overrides"))
    for work in (store.version, lambda: keep(store, expected())):
        with pytest.raises(DatabaseError, match=r"127\.0\.0\.1:1.* cannot be ") as raised:
            work()
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "got"),
    [
        ("nonsense", "no SQLAlchemy URL"),
        ("sqlite://", "SQLite without a file"),
        ("sqlite:///:memory:", "SQLite without a file"),
        ("mysql://u:secret@h/d", "a URL of mysql"),
        ("sqlite+nodriver:///x.db", "driver cannot be loaded"),
        ("postgresql+nodriver://u:secret@h/d", "driver cannot be loaded"),
    ],
)
def test_a_wrong_url_is_named_without_its_password(url: str, got: str) -> None:
    with pytest.raises(ConfigError, match="EBBFLOW_DATABASE_URL") as raised:
        Database(url)
    assert got in str(raised.value)
    assert "secret" not in str(raised.value)


def test_the_tables_are_those_of_both_databases() -> None:
    for dialect in (sqlite.dialect(), postgresql.dialect()):
        made = "".join(str(CreateTable(t).compile(dialect=dialect)) for t in METADATA.sorted_tables)
        assert "CREATE TABLE overrides" in made
    assert "made_at BIGINT NOT NULL" in made
    assert "answer BYTEA NOT NULL" in made
    assert make_url("postgresql+psycopg://u@h/d").get_backend_name() == "postgresql"


def test_making_one_touches_neither_disk_nor_network(tmp_path: Path) -> None:
    Database.of(Home(tmp_path / "not there"))
    if find_spec("psycopg"):
        Database("postgresql+psycopg://u:p@no.such.host/d")
    assert list(tmp_path.iterdir()) == []


def test_a_contact_list_is_kept_once_and_read_back_as_it_was(url: str) -> None:
    database = Database(url)
    store = ListStore(database)
    ranking = [Candidate(f"c{k:02d}", 0.9 - k / 100, 1_000 - k) for k in range(40)]
    criteria = ListCriteria(10, "probability", '{"tier":["high"]}', False, "Ann", "why")
    source = ListSource("set-1", 90, "model-1", candidates=40, without_consent=2)

    def make(key: str) -> str:
        return store.add(
            ranking,
            experiment=Experiment("winter", b"k" * KEY_BYTES, 0.25, "call"),
            hold_out=None,
            criteria=criteria,
            source=source,
            at=100,
            key=key,
        ).content.decode()

    first = store.find(make("one"))
    assert make("one") == first.list_id
    assert (first.criteria, first.source, first.at) == (criteria, source, 100)
    assert [d.candidate for d in first.assignment.decisions] == ranking[
        : len(first.assignment.decisions)
    ]
    assert sum(d.arm == "treat" for d in first.assignment.decisions) == 10
    second = store.find(make("two"))
    seen = {d.candidate.customer_id for d in first.assignment.decisions}
    assert seen.isdisjoint(d.candidate.customer_id for d in second.assignment.decisions)
    database.close()
