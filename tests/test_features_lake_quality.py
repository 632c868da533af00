"""The quality of the lake, against numbers counted by hand."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from features.errors import UnknownNameError
from features.intake.load import ingest
from features.lake.delta import Lake
from features.lake.quality import TableQuality, measure

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HEADER = "interaction_id,customer_id,queue,channel,started_at,csat,outcome,available_at\n"


def load(lake: Lake, path: Path, rows: list[tuple[str, str, int, str, int]], hour: int) -> None:
    """Load contacts: id, customer, day of February, score, hours until known."""
    text = HEADER
    for name, customer, day, score, delay in rows:
        start = datetime(2026, 2, day, 10, tzinfo=UTC)
        known = start + timedelta(hours=delay)
        text += (
            f"{name},{customer},q,voice,{start.isoformat()},{score},answered,{known.isoformat()}\n"
        )
    path.write_text(text)
    ingest(lake, "interactions", files=[path], now=NOW + timedelta(hours=hour))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = tmp_path_factory.mktemp("quality")
    lake = Lake(folder / "lake")
    customers = folder / "c.csv"
    customers.write_text("customer_id\nc1\n")
    ingest(lake, "customers", files=[customers], now=NOW)
    first = [("a", "c1", 1, "5", 1), ("b", "c1", 1, "4", 3), ("c", "", 2, "5", 1)]
    load(lake, folder / "1.csv", [*first, ("d", "c2", 5, "5", 1)], 0)
    # One row again, one changed, one new: no score in any.
    load(lake, folder / "2.csv", [first[0], ("b", "c1", 1, "", 5), ("e", "", 6, "", 48)], 1)
    return lake


@pytest.fixture(scope="module")
def found(lake: Lake) -> TableQuality:
    (table,) = measure(lake, tables=["interactions"], days=4).tables
    return table


def test_rows_versions_span_and_gaps(found: TableQuality) -> None:
    assert (found.rows, found.versions) == (5, 6)
    assert (found.first, found.last) == (date(2026, 2, 1), date(2026, 2, 6))
    assert found.empty_days == 2


def test_rows_without_a_customer_and_with_an_unknown_one(found: TableQuality) -> None:
    assert found.unlinked == pytest.approx(2 / 5)
    assert found.unknown_customers == pytest.approx(1 / 5)


def test_loads_are_summed_up(found: TableQuality) -> None:
    assert found.loads == 2
    assert found.repeated == pytest.approx(1 / 7)
    assert found.quarantined == 0
    assert found.last_load == NOW + timedelta(hours=1)


def test_completeness_of_the_last_load_stands_beside_the_rest(found: TableQuality) -> None:
    score = next(column for column in found.columns if column.column == "csat")
    assert score.filled == pytest.approx(3 / 5)
    assert score.last_load == 0.0
    assert score.before == 1.0


def test_the_last_days_are_listed_with_their_gaps(found: TableQuality) -> None:
    assert [(day.day.day, day.rows) for day in found.days] == [(3, 0), (4, 0), (5, 1), (6, 1)]
    assert found.days[3].delay_median_hours == pytest.approx(48)
    assert found.days[3].unlinked == 1.0
    assert found.days[0].delay_median_hours is None


def test_trends_compare_the_last_load_with_those_before(found: TableQuality) -> None:
    trends = {trend.measure: (trend.before, trend.last) for trend in found.trends}
    assert trends["repeated"] == (0.0, pytest.approx(1 / 3))
    assert trends["unlinked"] == (pytest.approx(1 / 3), pytest.approx(1 / 2))
    before, last = trends["delay_p95_hours"]
    assert before == pytest.approx(1.0)
    assert last == pytest.approx(5 + 0.95 * 43)


def test_a_fall_and_a_gap_are_noted(lake: Lake) -> None:
    notes = measure(lake).notes
    assert any("`csat` is filled in 0% of the last load's rows, in 100% before" in n for n in notes)
    assert any("2 days between first and last have no row" in n for n in notes)
    assert any("50% of the last load's rows unlinked" in n for n in notes)


def test_it_is_json_for_machines(lake: Lake) -> None:
    document = json.loads(json.dumps(measure(lake).to_json()))
    assert [table["table"] for table in document["tables"]] == ["interactions", "customers"]
    assert document["tables"][0]["first"] == "2026-02-01"


def test_an_empty_lake_has_nothing_to_measure(tmp_path: Path) -> None:
    assert measure(Lake(tmp_path)).tables == ()
    (table,) = measure(Lake(tmp_path), tables=["queues"]).tables
    assert (table.rows, table.loads, table.columns) == (0, 0, ())


def test_an_unknown_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean `queues`"):
        measure(Lake(tmp_path), tables=["queue"])
