"""A table is declared once: what is added to its declaration appears wherever tables are read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from features.__main__ import app
from features.contracts.schema import Column, Rule, Table, contract_markdown
from features.contracts.tables import CALENDAR, CUSTOMERS, TABLES
from features.engine.duckdb import DuckDBEngine
from features.errors import MappingError, UnknownNameError
from features.home import Home
from features.intake.load import ingest
from features.intake.mapping import parse_mapping
from features.intake.report import Report
from features.intake.sources import SERVICE_TABLES, service_source
from features.lake.audit import copy_until
from features.lake.delta import QUARANTINE, Lake
from features.lake.quality import measure

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TIER = Column("tier", "integer", "Loyalty tier.", True, 1, 5, added=True)
RENEWS = Column("renews_at", "timestamp", "Next renewal.", True, added=True, ahead=True)


def with_columns(contract: Table, *columns: Column, **changes: Any) -> Table:
    *others, available_at = contract.columns
    return replace(contract, columns=(*others, *columns, available_at), **changes)


def load(lake: Lake, folder: Path, text: str, *, to: str = "customers", **more: Any) -> Report:
    path = folder / "rows.csv"
    path.write_text(text)
    return ingest(lake, to, now=NOW, files=[path], max_bad_share=1.0, **more)


@pytest.fixture
def wider(monkeypatch: pytest.MonkeyPatch) -> Table:
    contract = with_columns(CUSTOMERS, TIER, RENEWS)
    monkeypatch.setitem(TABLES, "customers", contract)
    return contract


def test_a_new_column_stands_in_the_docs_and_in_the_command(wider: Table) -> None:
    row = "| `tier` | whole number | no | 1 to 5 | Loyalty tier. |"
    assert row in contract_markdown(wider)
    runner = CliRunner()
    assert row in runner.invoke(app, ["tables", "customers"]).stdout
    (contract,) = json.loads(runner.invoke(app, ["tables", "customers", "--json"]).stdout)
    assert "tier" in [column["name"] for column in contract["columns"]]


@pytest.mark.usefixtures("wider")
def test_a_new_column_can_be_mapped_and_is_suggested() -> None:
    columns = {"customer_id": "No", "tier": {"column": "Level", "scale": 1}}
    mapping = parse_mapping({"table": "customers", "columns": columns})
    assert mapping.theirs == ("No", "Level")
    with pytest.raises(MappingError, match="Did you mean `tier`"):
        parse_mapping({"table": "customers", "columns": {"customer_id": "No", "tir": "Level"}})


@pytest.mark.usefixtures("wider")
def test_a_new_column_is_checked_stored_and_measured(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    columns = {"customer_id": "No", "tier": "Level"}
    mapping = parse_mapping({"table": "customers", "columns": columns})
    report = load(lake, tmp_path, "No,Level\nc1,3\nc2,9\nc3,\n", mapping=mapping)
    assert report.quarantined == {"`tier`: above 5, the most": 1}
    assert lake.read("customers")["tier"].to_pylist() == [3, None]
    assert '"Level":"9"' in lake.read(QUARANTINE)["row"][0].as_py()
    (quality,) = measure(lake).tables
    assert {c.column: c.filled for c in quality.columns}["tier"] == 0.5


def test_a_lake_from_before_a_column_reads_it_as_empty_and_is_widened_by_the_next_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path / "lake")
    row = "c1,EU,2026-02-01T00:00Z"
    assert load(lake, tmp_path, f"customer_id,region,available_at\n{row}\n").new == 1
    contract = with_columns(CUSTOMERS, TIER, RENEWS)
    monkeypatch.setitem(TABLES, "customers", contract)
    assert lake.read("customers")["tier"].to_pylist() == [None]
    with DuckDBEngine(threads=1) as engine:
        (stored,) = engine.arrow(engine.scan(lake.files("customers"), contract)).to_pylist()
    assert (stored["region"], stored["tier"], stored["renews_at"]) == ("EU", None, None)
    assert {c.column: c.filled for c in measure(lake).tables[0].columns}["tier"] == 0.0

    header = "customer_id,region,available_at,tier,renews_at"
    assert load(lake, tmp_path, f"{header}\n{row},,\n").repeated == 1
    report = load(lake, tmp_path, f"{header}\nc1,EU,2026-02-02T00:00Z,4,2027-01-01T00:00Z\n")
    assert (report.new, report.changed) == (0, 1)
    versions = lake.read("customers").sort_by("available_at")
    assert versions["tier"].to_pylist() == [None, 4]
    assert versions["superseded_at"].is_null().to_pylist() == [False, True]

    past = Lake(tmp_path / "past")
    first = lake.versions()
    copy_until(lake, past, versions=first, at=datetime(2026, 2, 1, 12, tzinfo=UTC), now=NOW)
    assert past.read("customers")["tier"].to_pylist() == [None]


@pytest.mark.usefixtures("wider")
def test_a_moment_that_is_declared_ahead_may_lie_in_the_future_and_stays_in_a_copy(
    tmp_path: Path,
) -> None:
    lake, past = Lake(tmp_path / "lake"), Lake(tmp_path / "past")
    text = "customer_id,joined_at,renews_at,available_at\n"
    text += "c1,2026-01-05T00:00Z,2027-01-01T00:00Z,2026-01-01T00:00Z\n"
    text += "c2,2027-01-01T00:00Z,,2026-01-01T00:00Z\n"
    report = load(lake, tmp_path, text)
    reason = "`joined_at`: in the future; check zone and format in the mapping"
    assert report.quarantined == {reason: 1}
    at = datetime(2026, 1, 2, tzinfo=UTC)
    copy_until(lake, past, versions=lake.versions(), at=at, now=NOW)
    (row,) = past.read("customers").to_pylist()
    assert (row["joined_at"], row["renews_at"]) == (None, datetime(2027, 1, 1, tzinfo=UTC))


def test_a_new_rule_is_told_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = Rule("not_positive", ("size",), "`size`: above 0", when=("kind", "outage"))
    contract = replace(CALENDAR, rules=(*CALENDAR.rules, rule))
    monkeypatch.setitem(TABLES, "calendar", contract)
    assert "- `size`: above 0\n" in contract_markdown(contract)
    rows = [
        f"{n},{kind},2026-02-01T00:00Z,2026-02-02T00:00Z,{size},2026-01-01T00:00Z"
        for n, (kind, size) in enumerate((("outage", 2), ("outage", ""), ("launch", 2)))
    ]
    text = "\n".join(["event_id,kind,starts_at,ends_at,size,known_at", *rows])
    report = load(Lake(tmp_path / "lake"), tmp_path, text, to="calendar")
    assert report.quarantined == {"`size`: above 0": 1}


@pytest.mark.parametrize("name", SERVICE_TABLES)
def test_a_new_column_that_the_service_does_not_keep_is_left_empty(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TABLES, name, with_columns(TABLES[name], TIER))
    query, mapping = service_source(name, Home(tmp_path))
    report = ingest(Lake(tmp_path / "lake"), name, now=NOW, query=query, mapping=mapping)
    assert report.rows_read == 0
    assert "tier" not in mapping.columns


@pytest.mark.parametrize("contract", TABLES.values(), ids=TABLES)
def test_a_declaration_names_columns_and_tables_that_exist(contract: Table) -> None:
    names = contract.column_names
    assert len(set(names)) == len(names)
    assert names[-1] == "available_at"
    named = [*contract.key, contract.event_time, contract.feed_column, *(contract.exclusive or ())]
    named += [name for rule in contract.rules for name in (*rule.columns, *(rule.when or ())[:1])]
    assert {name for name in named if name is not None} <= set(names)
    for column in contract.columns:
        assert column.references is None or column.references in TABLES
        assert column.personal or column.references != "customers"
        assert not column.added or column.nullable
        assert not column.ahead or column.kind == "timestamp"


def test_a_table_says_what_happened_and_what_comes_later() -> None:
    assert CALENDAR.past_event_time is None
    assert TABLES["overrides"].past_event_time == "made_at"
    assert TABLES["purchases"].later_moments == ("confirmed_at", "shipped_at", "completed_at")
    assert TABLES["queues"].later_moments == ()
    customer = TABLES["outreach"].reference("customers")
    assert customer is not None
    assert customer.name == "customer_id"
    assert TABLES["queues"].reference("customers") is None
    with pytest.raises(UnknownNameError, match="Did you mean `region`"):
        CUSTOMERS.column("regoin")
