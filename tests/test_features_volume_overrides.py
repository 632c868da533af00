"""What planners sent over HTTP, taken into the lake from the service's own database."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from features_rows import load
from forecast_world import put_planners_forecast
from serving_client import serving

from features.console import run
from features.contracts import tables
from features.contracts.tables import OVERRIDES, TABLES
from features.home import Home
from features.lake.delta import Lake
from features.store import FeatureStore
from features.volume.overrides import Override

NINE = "2026-03-23T09:00:00Z"
LATER = datetime(2026, 4, 30, tzinfo=UTC)
DAY = datetime(2026, 3, 21, tzinfo=UTC)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Ingest = Callable[..., Ended]


@pytest.fixture
def ingest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ingest:
    """Run ``python -m features ingest overrides …`` in this process."""
    monkeypatch.delenv("EBBFLOW_DATABASE_URL", raising=False)

    def call(home: Home, *words: object) -> Ended:
        from features.__main__ import app

        arguments = ["ingest", "overrides", *map(str, words), "--home", str(home.root)]
        monkeypatch.setattr(sys, "argv", ["python -m features", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(app)
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return call


@pytest.fixture
def home(tmp_path: Path) -> Home:
    put_planners_forecast(Home(tmp_path / "home"))
    return Home(tmp_path / "home")


def send(home: Home, volume: float, *, queue: str = "phone", **more: Any) -> str:
    body = {
        "made_by": "Ann",
        "reason": "TV spot",
        "overrides": [{"queue": queue, "start": NINE, "volume": volume, **more}],
    }
    with serving(home.root) as server:
        response = server.http.post("/v1/forecast/overrides", json=body)
        assert response.status_code == 201, response.text
        return str(response.json()["overrides"][0]["override_id"])


def take_back(home: Home, override_id: str, *, now: datetime = DAY) -> None:
    with serving(home.root, now=now) as server:
        response = server.http.post(
            f"/v1/forecast/overrides/{override_id}/withdraw",
            json={"made_by": "Bob", "reason": "fell out"},
        )
        assert response.status_code == 200, response.text


def known(home: Home, as_of: datetime = LATER) -> tuple[Override, ...]:
    with FeatureStore(home, threads=1) as store:
        return store.overrides(as_of)


def counts(ended: Ended) -> dict[str, int]:
    assert ended.code == 0, ended.err
    report: dict[str, int] = json.loads(ended.out)
    return {name: report[name] for name in ("rows_read", "new", "changed", "repeated")}


def test_an_override_sent_over_http_is_in_the_lake_after_an_ingest(
    home: Home, ingest: Ingest
) -> None:
    id = send(home, 50, aht_seconds=200)
    ended = ingest(home)
    assert ended.code == 0, ended.err
    (found,) = known(home)
    assert found == Override(
        override_id=f"{id}-0",
        queue="phone",
        start=1_774_256_400,  # 2026-03-23 09:00 UTC
        interval_minutes=30,
        offered=50.0,
        aht_seconds=200.0,
        made_by="Ann",
        made_at=1_773_965_400,  # 2026-03-20 00:10 UTC
        reason="TV spot",
    )
    assert known(home, datetime(2026, 3, 20, tzinfo=UTC)) == ()


def test_a_span_is_in_the_lake_interval_by_interval_as_it_was_served(
    home: Home, ingest: Ingest
) -> None:
    id = send(home, 100, end="2026-03-23T11:00:00Z")
    with serving(home.root) as server:
        address = f"/v1/forecast?queue=phone&start={NINE}&end=2026-03-23T11:00:00Z"
        served = server.http.get(address).json()["queues"][0]["intervals"]
    ingest(home)
    found = known(home)
    assert [one.override_id for one in found] == [f"{id}-{k}" for k in range(4)]
    assert [one.offered for one in found] == pytest.approx(
        [interval["volume"]["mean"] for interval in served], abs=6e-4
    )
    assert sum(one.offered for one in found) == pytest.approx(100)


def test_ingesting_twice_changes_nothing(home: Home, ingest: Ingest) -> None:
    first = send(home, 50)
    send(home, 60, end="2026-03-23T10:00:00Z")
    assert counts(ingest(home, "--json")) == {
        "rows_read": 3, "new": 3, "changed": 0, "repeated": 0,
    }  # fmt: skip
    before, version = known(home), Lake(home.lake).version("overrides")
    assert counts(ingest(home, "--json"))["repeated"] == 3
    assert (known(home), Lake(home.lake).version("overrides")) == (before, version)
    take_back(home, first)
    again = counts(ingest(home, "--json"))
    assert (again["new"], again["changed"], again["repeated"]) == (0, 1, 3)
    assert counts(ingest(home, "--json"))["repeated"] == 4


@pytest.mark.parametrize("between", [True, False])
def test_what_was_taken_back_is_known_as_such_from_then_on(
    home: Home, ingest: Ingest, *, between: bool
) -> None:
    id = send(home, 50)
    if between:
        ingest(home)
    take_back(home, id)
    assert ingest(home).code == 0
    (before,), (after,) = known(home, datetime(2026, 3, 20, 12, tzinfo=UTC)), known(home)
    assert (before.withdrawn_at, after.withdrawn_at) == (None, int(DAY.timestamp()))
    assert replace(after, withdrawn_at=None) == before


def test_an_override_taken_back_within_its_second_is_known_as_taken_back(
    home: Home, ingest: Ingest
) -> None:
    id = send(home, 50)
    take_back(home, id, now=datetime(2026, 3, 20, 0, 10, tzinfo=UTC))
    assert ingest(home).code == 0
    (found,) = known(home)
    assert found.withdrawn_at == found.made_at
    assert counts(ingest(home, "--json"))["new"] == 0


def test_a_home_in_which_nobody_overrode_gives_no_row_and_makes_no_database(
    home: Home, ingest: Ingest
) -> None:
    assert counts(ingest(home, "--json"))["rows_read"] == 0
    assert not home.database.exists()
    assert known(home) == ()


def test_the_database_may_stand_elsewhere(home: Home, ingest: Ingest, tmp_path: Path) -> None:
    send(home, 50)
    elsewhere = tmp_path / "elsewhere.db"
    elsewhere.write_bytes(home.database.read_bytes())
    home.database.unlink()
    assert counts(ingest(home, "--json"))["rows_read"] == 0
    url = f"sqlite:///{elsewhere}"
    assert counts(ingest(home, "--database-url", url, "--json"))["new"] == 1


def test_a_database_that_cannot_be_read_is_named(home: Home, ingest: Ingest) -> None:
    home.database.write_bytes(b"this is no database" * 100)
    ended = ingest(home)
    assert ended.code == 1
    assert "service.db` cannot be read: got file is not a database" in ended.err
    ended = ingest(home, "--database-url", "nonsense")
    assert ended.code == 2
    assert "setting `EBBFLOW_DATABASE_URL`: got no SQLAlchemy URL" in ended.err


def test_files_and_queries_are_read_as_before(home: Home, ingest: Ingest, tmp_path: Path) -> None:
    path = tmp_path / "overrides.csv"
    path.write_text(
        "override_id,queue,interval_start,interval_minutes,offered,made_by,made_at,withdrawn_at,"
        "available_at\n"
        "o1,phone,2026-03-23T09:00Z,30,5,Ann,2026-03-20T09:00Z,,2026-03-20T09:00Z\n"
        "o2,phone,2026-03-23T09:30Z,30,6,Ann,2026-03-20T09:00Z,2026-03-20T10:00Z,"
        "2026-03-20T10:00Z\n"
    )
    assert counts(ingest(home, path, "--json"))["new"] == 2
    assert [one.withdrawn_at for one in known(home)] == [None, 1_774_000_800]


def test_a_lake_from_before_the_column_is_read_and_goes_on(
    home: Home, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {
        "override_id": "old", "queue": "phone", "interval_start": datetime(2026, 3, 3, tzinfo=UTC),
        "interval_minutes": 60, "offered": 5.0, "made_by": "Ann",
        "made_at": datetime(2026, 3, 2, tzinfo=UTC),
        "available_at": datetime(2026, 3, 2, tzinfo=UTC), "content_hash": 1,
    }  # fmt: skip
    without = tuple(c for c in OVERRIDES.columns if c.name != "withdrawn_at")
    with monkeypatch.context() as earlier:
        earlier.setitem(TABLES, "overrides", replace(OVERRIDES, columns=without))
        load(home, {"overrides": [row, row | {"override_id": "older"}]})
    assert tables.table("overrides") is OVERRIDES
    assert [one.withdrawn_at for one in known(home)] == [None, None]
    send(home, 50)
    assert ingest(home).code == 0
    assert [one.offered for one in known(home)] == [5.0, 5.0, 50.0]
    del row["content_hash"]
    change = row | {"offered": 6.0, "available_at": datetime(2026, 3, 4, tzinfo=UTC)}
    path = home.root / "change.parquet"
    pq.write_table(_table(change), path)
    assert counts(ingest(home, path, "--json"))["changed"] == 1
    assert sorted(one.offered for one in known(home)) == [5.0, 6.0, 50.0]
    delta = DeltaTable(home.lake / "overrides")
    assert "withdrawn_at" in {field.name for field in delta.schema().fields}


def _table(row: dict[str, Any]) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist([row])
