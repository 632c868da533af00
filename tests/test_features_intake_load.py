"""Ingest, end to end into a real Delta table."""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.contracts.schema import MAX_ID_LENGTH
from features.contracts.tables import PURCHASES, TABLES, table
from features.engine.duckdb import DuckDBEngine
from features.errors import (
    ContractError,
    InputError,
    MappingError,
    RefusedLoadError,
    UnknownNameError,
    UnreadableFileError,
)
from features.intake.load import ingest
from features.intake.mapping import Mapping, parse_mapping
from features.intake.report import Report
from features.intake.sources import Query
from features.lake.delta import LOADS, QUARANTINE, Lake
from features.lake.versions import Spans

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEADER = "interaction_id,customer_id,queue,channel,started_at,wait_seconds,outcome,available_at"
GOOD = "i{n},c{n},sales,voice,2026-02-{day:02d}T10:00:00Z,12.5,answered,2026-02-{day:02d}T11:00:00Z"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def lines(*rows: str, header: str = HEADER) -> str:
    return "\n".join([header, *rows]) + "\n"


def good(count: int, *, first: int = 0) -> list[str]:
    return [GOOD.format(n=n, day=1 + n % 20) for n in range(first, first + count)]


def load(lake: Lake, path: Path, *, to: str = "interactions", **options: Any) -> Report:
    return ingest(lake, to, files=[path], **{"now": NOW, **options})


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def stored(lake: Lake, name: str = "interactions") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = lake.read(name).to_pylist()
    return rows


def quarantined(lake: Lake) -> list[dict[str, Any]]:
    return stored(lake, QUARANTINE)


# --- the main road ---


def test_rows_of_a_file_are_stored_with_their_types(lake: Lake, tmp_path: Path) -> None:
    report = load(lake, write(tmp_path / "a.csv", lines(*good(1))))
    assert (report.rows_read, report.kept, report.new, report.linked) == (1, 1, 1, 1)
    (row,) = stored(lake)
    assert row["started_at"] == datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert row["available_at"] == datetime(2026, 2, 1, 11, tzinfo=UTC)
    assert row["wait_seconds"] == 12.5
    assert row["csat"] is None
    assert row["superseded_at"] is None
    assert (row["loaded_at"], row["load_id"]) == (NOW, report.load_id)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "ndjson", "ndjson.gz", "sql"])
def test_every_kind_of_source_gives_the_same_rows(lake: Lake, tmp_path: Path, kind: str) -> None:
    rows = list(csv.DictReader(lines(*good(5)).splitlines()))
    path = tmp_path / f"rows.{kind}"
    if kind == "sql":
        with sqlite3.connect(path) as connection:
            names = ", ".join(rows[0])
            connection.execute(f"CREATE TABLE contacts ({names})")
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(
                f"INSERT INTO contacts VALUES ({marks})",  # noqa: S608 - our own names
                [list(row.values()) for row in rows],
            )
        connection.close()
        query = Query(f"sqlite:///{path}", "SELECT * FROM contacts")
        ingest(lake, "interactions", query=query, now=NOW)
    else:
        if kind == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        else:
            text = lines(*good(5)) if "csv" in kind else "\n".join(map(json.dumps, rows))
            path.write_bytes(gzip.compress(text.encode()) if kind.endswith("gz") else text.encode())
        load(lake, path)
    found = [
        (row["interaction_id"], row["wait_seconds"], row["started_at"]) for row in stored(lake)
    ]
    assert found == [(f"i{n}", 12.5, datetime(2026, 2, 1 + n, 10, tzinfo=UTC)) for n in range(5)]


def test_a_lake_from_before_a_column_was_added_goes_on_and_its_rows_stay_the_same(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = "purchase_id,customer_id,purchased_at,kind,amount_minor,currency,available_at"
    row = "p1,c1,2026-02-01T10:00Z,purchase,500,EUR,2026-02-01T11:00Z"
    path = write(tmp_path / "p.csv", lines(row, header=header))
    older = replace(PURCHASES, columns=tuple(c for c in PURCHASES.columns if not c.added))
    assert len(older.columns) == len(PURCHASES.columns) - 2
    with monkeypatch.context() as past:
        past.setitem(TABLES, "purchases", older)
        assert load(lake, path, to="purchases").new == 1
    assert load(lake, path, to="purchases").repeated == 1
    with DuckDBEngine(threads=1) as engine:
        (found,) = engine.arrow(engine.scan(lake.files("purchases"), PURCHASES)).to_pylist()
    assert (found["amount_minor"], found["discount_minor"]) == (500, None)

    more = lines(f"{row},20,2027-02-01T00:00Z", header=f"{header},discount_minor,term_ends_at")
    report = load(lake, write(tmp_path / "more.csv", more), to="purchases")
    assert (report.new, report.changed) == (0, 1)
    with DuckDBEngine(threads=1) as engine:
        both = engine.arrow(engine.scan(lake.files("purchases"), PURCHASES)).to_pylist()
    assert sorted(
        (r["discount_minor"], r["superseded_at"] is None) for r in both if r["discount_minor"]
    ) == [(20, True)]
    assert [r["superseded_at"] is None for r in both if r["discount_minor"] is None] == [False]


def test_a_discount_below_zero_and_a_term_of_the_future(lake: Lake, tmp_path: Path) -> None:
    header = "purchase_id,customer_id,purchased_at,kind,amount_minor,currency,discount_minor"
    header += ",term_ends_at"
    rows = [
        f"p{n},c1,2026-02-01T10:00Z,purchase,500,EUR,{discount},2031-01-01T00:00Z"
        for n, discount in enumerate((0, -1, ""))
    ]
    report = load(
        lake,
        write(tmp_path / "p.csv", lines(*rows, header=header)),
        to="purchases",
        max_bad_share=1.0,
    )
    assert (report.kept, len(report.quarantined)) == (2, 1)
    assert "`discount_minor`: below 0" in quarantined(lake)[0]["reason"]


def test_globs_stand_for_their_files_in_order(lake: Lake, tmp_path: Path) -> None:
    write(tmp_path / "b-2.csv", lines(*good(2, first=2)))
    write(tmp_path / "b-1.csv", lines(*good(2)))
    report = load(lake, tmp_path / "b-*.csv")
    assert report.sources == (str(tmp_path / "b-1.csv"), str(tmp_path / "b-2.csv"))
    assert [row["interaction_id"] for row in stored(lake)] == ["i0", "i1", "i2", "i3"]


def test_the_same_file_twice_changes_nothing(lake: Lake, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", lines(*good(40), "x,,,,bad time,,,"))
    first = load(lake, path)
    before, set_aside = lake.versions(), quarantined(lake)
    again = load(lake, path, now=NOW + timedelta(hours=1))
    assert (again.kept, again.repeated) == (0, first.kept)
    assert again.quarantined == first.quarantined
    assert lake.versions() == before
    assert quarantined(lake) == set_aside
    assert len(stored(lake, LOADS)) == 2


def test_a_row_twice_in_a_file_is_repeated(lake: Lake, tmp_path: Path) -> None:
    report = load(lake, write(tmp_path / "a.csv", lines(*good(2), *good(1))))
    assert (report.new, report.repeated) == (2, 1)


def test_another_content_is_a_new_version_and_the_old_one_ends(lake: Lake, tmp_path: Path) -> None:
    load(lake, write(tmp_path / "a.csv", lines(*good(30))))
    changed = good(1)[0].replace("12.5", "99").replace("T11:", "T13:")
    report = load(lake, write(tmp_path / "b.csv", lines(changed)))
    assert (report.kept, report.new, report.changed) == (1, 0, 1)
    versions = sorted(
        (row["available_at"].hour, row["wait_seconds"], row["superseded_at"])
        for row in stored(lake)
        if row["interaction_id"] == "i0"
    )
    assert versions == [(11, 12.5, datetime(2026, 2, 1, 13, tzinfo=UTC)), (13, 99.0, None)]
    assert len(stored(lake)) == 31


def test_versions_inside_one_file_are_chained_by_when_they_were_known(
    lake: Lake, tmp_path: Path
) -> None:
    late = good(1)[0].replace("12.5", "99").replace("T11:", "T13:")
    load(lake, write(tmp_path / "a.csv", lines(late, *good(1))))
    ends = {row["wait_seconds"]: row["superseded_at"] for row in stored(lake)}
    assert ends == {99.0: None, 12.5: datetime(2026, 2, 1, 13, tzinfo=UTC)}


def test_many_small_loads_are_joined_into_few_files(lake: Lake, tmp_path: Path) -> None:
    for n in range(20):
        load(lake, write(tmp_path / "a.csv", lines(*good(1, first=n))))
    assert len(lake.files("interactions")) < 10
    assert sorted(row["interaction_id"] for row in stored(lake)) == sorted(
        f"i{n}" for n in range(20)
    )


def test_rows_that_happened_long_ago_without_a_time_they_were_known_earn_a_warning(
    lake: Lake, tmp_path: Path
) -> None:
    text = "\n".join(line.rsplit(",", 1)[0] for line in lines(*good(3)).splitlines()) + "\n"
    report = load(lake, write(tmp_path / "a.csv", text))
    assert "no earlier as-of sees them" in report.warnings[0]
    assert {row["available_at"] for row in stored(lake)} == {NOW}


def test_a_column_of_ours_that_the_mapping_leaves_out_is_pointed_at(
    lake: Lake, tmp_path: Path
) -> None:
    text = "customer_id,region\n1,EU\n"
    mapping = parse_mapping({"table": "customers", "columns": {"customer_id": "customer_id"}})
    report = load(lake, write(tmp_path / "a.csv", text), to="customers", mapping=mapping)
    assert report.warnings == ("not read, because the mapping does not name them: `region`",)


def test_an_unknown_queue_is_kept_and_near_names_are_suggested(lake: Lake, tmp_path: Path) -> None:
    queues = "queue,channel,time_zone\nsales_de,voice,Europe/Berlin\n"
    load(lake, write(tmp_path / "q.csv", queues), to="queues")
    report = load(lake, write(tmp_path / "a.csv", lines(*good(2))))
    assert report.kept == 2
    assert "queue 'sales' is not in table `queues`; near: `sales_de`" in report.warnings


def test_the_report_is_kept_beside_the_data(lake: Lake, tmp_path: Path) -> None:
    report = load(lake, write(tmp_path / "a.csv", lines(*good(2))))
    (row,) = stored(lake, LOADS)
    assert json.loads(row["report"]) == json.loads(json.dumps(report.to_json()))


# --- bad rows ---

BAD = {
    "wait_seconds": ("i{n},c,sales,voice,2026-02-01T10:00Z,-3,answered,2026-02-01T11:00Z", "below"),
    "wait_text": ("i{n},c,sales,voice,2026-02-01T10:00Z,soon,answered,2026-02-01T11:00Z", "number"),
    "channel": ("i{n},c,sales,fax,2026-02-01T10:00Z,1,answered,2026-02-01T11:00Z", "none of voice"),
    "queue": ("i{n},c,,voice,2026-02-01T10:00Z,1,answered,2026-02-01T11:00Z", "empty"),
    "started_at": ("i{n},c,sales,voice,2027-01-01T10:00Z,1,answered,2026-02-01T11:00Z", "future"),
    "available_at": ("i{n},c,sales,voice,2026-02-01T10:00Z,1,answered,2027-02-01T11:00Z", "future"),
    "interaction_id": (
        "i{n}" + "x" * 10_000 + ",c,sales,voice,2026-02-01T10:00Z,1,answered,2026-02-01T11:00Z",
        f"longer than {MAX_ID_LENGTH}",
    ),
    "width": ("i{n},c,sales", "another width"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_row_goes_to_quarantine_with_reason_and_place(
    lake: Lake, tmp_path: Path, what: str
) -> None:
    line, reason = BAD[what]
    path = write(tmp_path / "a.csv", lines(*good(30), line.format(n=99), *good(30, first=100)))
    report = load(lake, path)
    assert report.kept == 60
    assert sum(report.quarantined.values()) == 1
    (row,) = quarantined(lake)
    assert reason in row["reason"]
    assert (row["table"], row["source"], row["row_number"]) == ("interactions", str(path), 31)
    assert "i99" in row["row"]


def test_a_row_with_several_faults_names_them_all_and_counts_once(
    lake: Lake, tmp_path: Path
) -> None:
    bad = "i99,c,,fax,2026-02-01T10:00Z,-1,answered,2026-02-01T11:00Z"
    report = load(lake, write(tmp_path / "a.csv", lines(*good(30), bad)))
    assert sum(report.quarantined.values()) == 1
    (row,) = quarantined(lake)
    assert row["reason"].count("; ") >= 2


def test_too_many_bad_rows_refuse_the_load_whole(lake: Lake, tmp_path: Path) -> None:
    load(lake, write(tmp_path / "a.csv", lines(*good(3))))
    before = lake.versions()
    bad = [good(1, first=n)[0].replace("voice", "fax") for n in range(10, 14)]
    path = write(tmp_path / "b.csv", lines(*good(30, first=20), *bad))
    with pytest.raises(RefusedLoadError) as caught:
        load(lake, path)
    assert "4 bad of 34 rows" in str(caught.value)
    assert "row 31" in str(caught.value)
    assert "--max-bad-share" in str(caught.value)
    assert lake.versions() == before
    assert quarantined(lake) == []
    assert load(lake, path, max_bad_share=0.2).kept == 30


def test_a_currency_that_changes_is_set_aside(lake: Lake, tmp_path: Path) -> None:
    header = "purchase_id,customer_id,purchased_at,kind,amount_minor,currency,available_at"
    row = "{n},c,2026-02-01T10:00Z,purchase,100,{money},2026-02-01T10:00Z"
    rows = [row.format(n=n, money="EUR") for n in range(30)]
    rows.insert(0, row.format(n=99, money="USD"))
    report = load(lake, write(tmp_path / "a.csv", lines(*rows, header=header)), to="purchases")
    assert report.kept == 30
    assert "another than EUR" in next(iter(report.quarantined))
    text = lines(row.format(n=100, money="USD"), header=header)
    with pytest.raises(RefusedLoadError, match="another than EUR"):
        load(lake, write(tmp_path / "b.csv", text), to="purchases")


def test_two_rows_for_one_interval_are_both_set_aside(lake: Lake, tmp_path: Path) -> None:
    header = "queue,interval_start,interval_minutes,offered"
    rows = [f"q,2026-02-{day:02d}T10:00Z,60,5" for day in range(1, 28)]
    path = write(tmp_path / "a.csv", lines(*rows, "q,2026-02-05T10:00Z,60,6", header=header))
    report = load(lake, path, to="intervals", max_bad_share=0.1)
    assert report.kept == 26
    assert list(report.quarantined.values()) == [2]
    assert {json.loads(row["row"])["offered"] for row in quarantined(lake)} == {5, 6}
    assert [row["row_number"] for row in quarantined(lake)] == [5, 28]


def test_rows_of_two_lengths_over_one_time_are_all_set_aside(lake: Lake, tmp_path: Path) -> None:
    header = "queue,interval_start,interval_minutes,offered,available_at"
    rows = [f"q,2026-02-{day:02d}T10:00Z,60,5,2026-02-28T00:00Z" for day in range(1, 28)]
    rows += [f"r,2026-02-05T{clock}Z,30,3,2026-02-28T00:00Z" for clock in ("10:00", "10:30")]
    first = write(tmp_path / "a.csv", lines(*rows, header=header))
    halves = [f"q,2026-02-05T{clock}Z,30,3,2026-02-28T00:00Z" for clock in ("10:00", "10:30")]
    second = write(tmp_path / "b.csv", lines("r,2026-02-09T10:00Z,60,1,", *halves, header=header))
    report = ingest(lake, "intervals", now=NOW, files=[first, second], max_bad_share=0.2)
    assert (report.kept, report.repeated) == (29, 0)
    assert report.quarantined == {
        "two rows for one time: their intervals overlap; keep one length": 2,
        "two rows for one interval: equal `queue` and `interval_start`, other content; keep one": 1,
    }
    found = {(Path(row["source"]).name, row["row_number"]) for row in quarantined(lake)}
    assert found == {("a.csv", 5), ("b.csv", 2), ("b.csv", 3)}


@given(
    spans=st.lists(
        st.tuples(st.sampled_from("qr"), st.integers(0, 12), st.sampled_from([15, 30, 60])),
        max_size=12,
    ),
    chunk=st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_overlapping_spans_are_those_that_brute_force_finds(
    spans: list[tuple[str, int, int]], chunk: int
) -> None:
    found = Spans("queue", "interval_start", "interval_minutes")
    for start in range(0, len(spans), chunk):
        part = spans[start : start + chunk]
        rows = pa.table(
            {
                "queue": [queue for queue, _, _ in part],
                "interval_start": pa.array(
                    [NOW + timedelta(minutes=15 * at) for _, at, _ in part],
                    pa.timestamp("us", "UTC"),
                ),
                "interval_minutes": pa.array([length for _, _, length in part], pa.int64()),
            }
        )
        found.add(rows, source="f", numbers=np.arange(start, start + len(part)))
    expected = [
        any(
            queue == other and at != when and at < when + long / 15 and when < at + length / 15
            for other, when, long in spans
        )
        for queue, at, length in spans
    ]
    assert found.overlapping().tolist() == expected


def test_rows_are_left_out_and_counted_as_the_mapping_says(lake: Lake, tmp_path: Path) -> None:
    mapping = parse_mapping(
        {
            "table": "customers",
            "columns": {"customer_id": "no"},
            "rows": {"drop_if_null": ["no"], "where": {"type": ["A"]}},
        }
    )
    path = write(tmp_path / "a.csv", "no,type\n1,A\n,A\n3,B\n")
    report = load(lake, path, to="customers", mapping=mapping)
    assert (report.rows_read, report.kept, report.left_out) == (3, 1, 2)


# --- sources that cannot be read ---


def test_a_missing_file_suggests_a_near_one(lake: Lake, tmp_path: Path) -> None:
    write(tmp_path / "calls-2026.csv", "x")
    with pytest.raises(UnreadableFileError, match=r"Did you mean .*calls-2026\.csv"):
        load(lake, tmp_path / "calls-2025.csv")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.ndjson"])
def test_an_empty_file_is_an_error(lake: Lake, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"") if name.endswith("gz") else b"")
    with pytest.raises(UnreadableFileError, match="an empty file"):
        load(lake, path)
    assert lake.versions() == {}


@pytest.mark.parametrize("name", ["a.csv.gz", "a.ndjson.gz", "a.parquet"])
def test_a_half_written_file_is_an_error_and_nothing_is_kept(
    lake: Lake, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    rows = good(5_000)
    if name == "a.parquet":
        parsed = list(csv.DictReader(lines(*rows).splitlines()))
        pq.write_table(pa.Table.from_pylist(parsed), path)
    else:
        text = lines(*rows)
        if "ndjson" in name:
            text = "\n".join(json.dumps(row) for row in csv.DictReader(text.splitlines()))
        path.write_bytes(gzip.compress(text.encode()))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableFileError, match=name):
        load(lake, path)
    assert lake.versions() == {}


@pytest.mark.parametrize("name", ["a.csv", "a.ndjson"])
def test_a_wrong_encoding_names_line_and_byte(lake: Lake, tmp_path: Path, name: str) -> None:
    rows = lines(*good(3)).replace("sales", "Büro")
    if name == "a.ndjson":
        rows = "\n".join(
            json.dumps(row, ensure_ascii=False) for row in csv.DictReader(rows.splitlines())
        )
    path = tmp_path / name
    path.write_bytes(rows.encode("cp1252"))
    with pytest.raises(UnreadableFileError, match=r"line \d, byte \d+.*0xfc"):
        load(lake, path)


def test_another_encoding_is_read_when_the_mapping_says_so(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("Nr;Ort\n1;Köln\n".encode("cp1252"))
    mapping = parse_mapping(
        {
            "table": "customers",
            "file": {"delimiter": ";", "encoding": "cp1252"},
            "columns": {"customer_id": "Nr", "region": "Ort"},
        }
    )
    load(lake, path, to="customers", mapping=mapping)
    assert stored(lake, "customers")[0]["region"] == "Köln"


def test_a_byte_order_mark_and_quoted_line_breaks_are_no_trouble(
    lake: Lake, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffcustomer_id,segment\n1,"two\nlines, ""quoted"""\n'.encode())
    load(lake, path, to="customers")
    assert stored(lake, "customers")[0]["segment"] == 'two\nlines, "quoted"'


def test_a_missing_column_is_shown_beside_a_near_one(lake: Lake, tmp_path: Path) -> None:
    text = lines(*good(2)).replace("started_at", "startedat")
    with pytest.raises(ContractError, match=r"missing column `started_at` \(near: `startedat`\)"):
        load(lake, write(tmp_path / "a.csv", text))


def test_a_key_that_no_row_of_ndjson_has_is_an_error(lake: Lake, tmp_path: Path) -> None:
    mapping = parse_mapping(
        {"table": "customers", "columns": {"customer_id": "id", "region": "regoin"}}
    )
    path = write(tmp_path / "a.ndjson", '{"id": 1, "region": "EU"}\n')
    with pytest.raises(ContractError, match=r"`regoin` \(near: `region`\)"):
        load(lake, path, to="customers", mapping=mapping)
    assert lake.versions() == {}


def test_a_line_that_is_no_object_is_set_aside(lake: Lake, tmp_path: Path) -> None:
    rows = [json.dumps({"customer_id": n, "attributes": {"n": [n]}}) for n in range(30)]
    path = write(tmp_path / "a.ndjson", "\n".join([*rows, '{"customer_id": ']))
    report = load(lake, path, to="customers")
    assert report.kept == 30
    assert quarantined(lake)[0]["row_number"] == 31
    assert stored(lake, "customers")[7]["attributes"] == '{"n":[7]}'


def test_a_column_twice_in_the_header_is_an_error(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="twice"):
        load(lake, write(tmp_path / "a.csv", "customer_id,customer_id\n1,2\n"), to="customers")


def test_a_file_of_an_unknown_kind_says_how_to_name_it(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="format = "):
        load(lake, write(tmp_path / "a.xyz", "customer_id\n1\n"), to="customers")


def test_text_that_is_no_parquet_is_an_error(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="no whole Parquet"):
        load(lake, write(tmp_path / "a.parquet", "hello"), to="customers")


def test_a_header_alone_is_a_load_without_rows(lake: Lake, tmp_path: Path) -> None:
    report = load(lake, write(tmp_path / "a.csv", "customer_id\n"), to="customers")
    assert report.kept == 0
    assert "no row was read" in report.warnings[0]


def test_a_failing_query_hides_the_password(lake: Lake) -> None:
    for url in ("sqlite:////nowhere/at/all.db", "nonsense"):
        with pytest.raises(InputError):
            ingest(lake, "customers", query=Query(url, "SELECT 1"), now=NOW)
    secret = Query("postgresql+nodriver://u:secret@host/db", "SELECT 1")
    with pytest.raises(InputError) as caught:
        ingest(lake, "customers", query=secret, now=NOW)
    assert "secret" not in str(caught.value)


def test_a_query_without_a_needed_column_shows_the_difference(lake: Lake) -> None:
    with pytest.raises(ContractError, match="missing column `customer_id`"):
        ingest(lake, "customers", query=Query("sqlite://", "SELECT 1 AS customer"), now=NOW)


def test_what_was_asked_for_must_make_sense(lake: Lake, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "customer_id\n1\n")
    mapping: Mapping = parse_mapping({"table": "customers", "columns": {"customer_id": "a"}})
    with pytest.raises(UnknownNameError, match="Did you mean `customers`"):
        load(lake, path, to="customer")
    with pytest.raises(MappingError, match="expected `queues`"):
        load(lake, path, to="queues", mapping=mapping)
    with pytest.raises(InputError, match="neither files nor a query"):
        ingest(lake, "customers", now=NOW)
    with pytest.raises(InputError, match="got files and a query; expected one of them"):
        ingest(lake, "customers", now=NOW, files=[path], query=Query("sqlite://", "SELECT 1"))
    with pytest.raises(InputError, match="aware"):
        load(lake, path, to="customers", now=datetime.fromisoformat("2026-01-01"))


# --- crashes ---

CRASH = """
import os, sys
from datetime import UTC, datetime
from features.intake.load import ingest
from features.lake.delta import Lake

class Crashing(Lake):
    done = 0
    def commit(self, change, *, now):
        if Crashing.done == int(sys.argv[3]):
            os._exit(9)
        Crashing.done += 1
        return super().commit(change, now=now)

ingest(Crashing(sys.argv[1]), "interactions", files=[sys.argv[2]],
       now=datetime(2026, 3, 1, 12, tzinfo=UTC))
"""


@pytest.mark.parametrize("commits", [0, 1, 2])
def test_a_load_that_is_killed_leaves_the_last_good_state_and_can_be_run_again(
    lake: Lake, tmp_path: Path, commits: int
) -> None:
    load(lake, write(tmp_path / "a.csv", lines(*good(30))))
    changed = good(1)[0].replace("12.5", "99").replace("T11:", "T13:")
    path = write(tmp_path / "b.csv", lines(changed, *good(30, first=50), "bad,,,,,,,"))
    # Commits come in the order quarantine, data, report.
    killed = subprocess.run(
        [sys.executable, "-c", CRASH, str(lake.root), str(path), str(commits)], check=False
    )
    assert killed.returncode == 9
    assert len(stored(lake)) == (30 if commits < 2 else 61)
    report = load(lake, path)
    assert report.kept == (31 if commits < 2 else 0)
    assert len(stored(lake)) == 61
    assert len(quarantined(lake)) == 1
    newest = [row for row in stored(lake) if row["superseded_at"] is None]
    assert len({row["interaction_id"] for row in newest}) == len(newest) == 60


def test_every_contract_can_be_loaded_by_its_own_names(lake: Lake, tmp_path: Path) -> None:
    values = {
        "string": "x", "timestamp": "2026-02-01T10:00:00Z", "float": "0.5", "integer": "15",
        "boolean": "true", "json": "{}",
    }  # fmt: skip
    special = {
        "time_zone": "Europe/Berlin", "country": "DE-BY", "ends_at": "2026-02-01T11:00:00Z",
        "currency": "EUR", "csat": "5", "nps": "5", "aht_seconds": "2", "concurrency": "1",
        "default_aht_seconds": "10", "patience_seconds": "10",
    }  # fmt: skip
    names = (
        "interactions", "intervals", "purchases", "customers", "queues", "calendar", "overrides",
    )  # fmt: skip
    for name in names:
        contract = table(name)
        row = {
            c.name: special.get(c.name)
            or str((*c.values, "closed" if c.name[:5] == "open_" else values[c.kind])[0])
            for c in contract.columns
        }
        if name == "queues":
            row["open_on_holidays"] = "no"
        text = ",".join(row) + "\n" + ",".join(row.values()) + "\n"
        assert load(lake, write(tmp_path / f"{name}.csv", text), to=name).kept == 1
    assert sorted(lake.versions()) == sorted(names)
