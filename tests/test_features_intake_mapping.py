"""Mappings: what they may say, and what a wrong one is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.contracts.tables import TABLES, table
from features.errors import MappingError
from features.intake.mapping import Mapping, TimeOptions, load_mapping, parse_mapping
from features.intake.ndjson_sql import to_arrow
from features.intake.translate import Translated, selected, translate
from features.intake.values import to_utc

NOW = datetime(2026, 3, 1, tzinfo=UTC)
REGIONS: dict[str, Any] = {"customer_id": "no"}


def customers(columns: dict[str, Any], **sections: Any) -> Mapping:
    return parse_mapping({"table": "customers", "columns": columns, **sections})


def turned(mapping: Mapping, theirs: dict[str, Any]) -> Translated:
    batch = pa.RecordBatch.from_arrays(
        [v if isinstance(v, pa.Array) else to_arrow(v) for v in theirs.values()],
        names=list(theirs),
    )
    return translate(batch, mapping=mapping, contract=table(mapping.table), now=NOW)


def column(mapping: Mapping, ours: str, theirs: dict[str, Any]) -> list[Any]:
    values: list[Any] = turned(mapping, theirs).rows.column(ours).to_pylist()
    return values


def purchases(**columns: Any) -> Mapping:
    base = {
        "purchase_id": "id",
        "customer_id": {"value": "c"},
        "purchased_at": {"value": "2026-01-01T00:00Z"},
        "kind": {"value": "purchase"},
        "amount_minor": {"value": 1},
        "currency": {"value": "EUR"},
    }
    return parse_mapping({"table": "purchases", "columns": {**base, **columns}})


# --- the file ---


def test_a_mapping_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "crm.toml"
    path.write_text('table = "customers"\n[columns]\ncustomer_id = "CustNo"\nregion = "State"\n')
    assert load_mapping(path).theirs == ("CustNo", "State")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("table = ", "no TOML"),
        ('[columns]\ncustomer_id = "a"', "`table`"),
        ('table = "customer"\n[columns]\ncustomer_id = "a"', "Did you mean `customers`"),
        ('table = "customers"\n[columns]\nregion = "a"', "no `customer_id`"),
        ('table = "customers"\n[columns]\ncustomer_id = "a"\nregoin = "b"', "`region`"),
        (
            'table = "customers"\n[fil]\n[columns]\ncustomer_id = "a"',
            "unknown key `fil`. Did you mean `file`",
        ),
        ('table = "customers"\n[colums]\ncustomer_id = "a"', "columns"),
        (
            'table = "customers"\n[columns]\ncustomer_id = { colum = "a" }',
            "Did you mean `column`",
        ),
        ('table = "customers"\n[time]\nzne = "UTC"\n[columns]\ncustomer_id = "a"', "`zone`"),
        (
            'table = "customers"\n[time]\nzone = "Europe/Berlim"\n[columns]\ncustomer_id = "a"',
            "expected an IANA name such as `Europe/Berlin`",
        ),
        (
            'table = "customers"\n[file]\nencoding = "latin-99"\n[columns]\ncustomer_id = "a"',
            "expected an encoding that Python knows",
        ),
        (
            'table = "customers"\n[file]\nencoding = "idna"\n[columns]\ncustomer_id = "a"',
            "expected an encoding that Python knows",
        ),
        (
            'table = "customers"\n[time]\nformat = "%Q"\n[columns]\ncustomer_id = "a"',
            "expected a strptime format such as",
        ),
        (
            'table = "customers"\n[columns]\ncustomer_id = "a"\n'
            'joined_at = { column = "b", format = "%Y %Y" }',
            "expected a strptime format such as",
        ),
        (
            'table = "customers"\n[columns]\ncustomer_id = "a"\n'
            'available_at = { after = "joined_at", seconds = nan }',
            "expected a finite number",
        ),
        (
            'table = "customers"\n[columns]\ncustomer_id = "a"\n'
            'available_at = { after = "joined_at", seconds = 1e30 }',
            "seconds",
        ),
        (
            'table = "customers"\n[rows]\nwhere = { a = "b" }\n[columns]\ncustomer_id = "a"',
            "a valid list",
        ),
        (
            'table = "customers"\n[columns]\ncustomer_id = { column = "a", value = "b" }',
            "exactly one",
        ),
        (
            'table = "customers"\n[columns]\ncustomer_id = "a"\nregion = { sum = ["b"] }',
            "`sum` on a column of kind string",
        ),
        (
            'table = "customers"\n[columns]\ncustomer_id = "a"\n'
            'available_at = { after = "joned_at" }',
            "Did you mean `joined_at`",
        ),
        (
            'table = "customers"\n[columns]\ncustomer_id = "a"\n'
            'joined_at = { after = "available_at" }\navailable_at = { after = "joined_at" }',
            "itself follows",
        ),
    ],
)
def test_a_wrong_mapping_names_the_place_and_the_remedy(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text)
    with pytest.raises(MappingError) as caught:
        load_mapping(path)
    assert message in str(caught.value)
    assert "m.toml" in str(caught.value)


def test_a_missing_mapping_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"none\.toml"):
        load_mapping(tmp_path / "none.toml")


# --- columns ---


def test_numbers_become_ids_without_a_fraction() -> None:
    mapping = customers({"customer_id": "no"})
    assert column(mapping, "customer_id", {"no": pa.array([12.0, None, 7.5])}) == [
        "12",
        None,
        "7.5",
    ]
    assert column(mapping, "customer_id", {"no": ["12.0", "007", "a.0", ""]}) == [
        "12",
        "007",
        "a.0",
        None,
    ]


def test_any_sign_may_stand_in_an_id() -> None:
    ids = ["a b", 'o\'neill "x"', "😀", " leading", "c;d,e", "ключ"]
    assert column(customers({"customer_id": "no"}), "customer_id", {"no": ids}) == ids


def test_a_constant_fills_every_row() -> None:
    mapping = customers({"customer_id": "no", "region": {"value": "EU"}})
    assert column(mapping, "region", {"no": ["1", "2"]}) == ["EU", "EU"]


def test_several_columns_are_added_and_one_empty_leaves_the_sum_empty() -> None:
    mapping = parse_mapping(
        {
            "table": "intervals",
            "columns": {
                "queue": {"value": "q"},
                "interval_start": {"value": "2026-01-01T00:00Z"},
                "interval_minutes": {"value": 60},
                "offered": {"sum": ["in", "out"]},
            },
        }
    )
    assert column(mapping, "offered", {"in": ["1", "2"], "out": pa.array([3.0, None])}) == [4, None]


def test_money_is_scaled_to_exact_minor_units() -> None:
    mapping = purchases(amount_minor={"column": "total", "scale": 100})
    totals = ["19.99", "0.29", "1.10", "-4.35", "1234567.89", "x"]
    found = turned(mapping, {"id": list("abcdef"), "total": totals})
    assert found.rows.column("amount_minor").to_pylist() == [
        1999,
        29,
        110,
        -435,
        123456789,
        None,
    ]
    assert [p.rows.tolist() for p in found.problems] == [[False] * 5 + [True]]


@given(st.integers(-(10**12), 10**12))
@settings(max_examples=80, deadline=None)
def test_scaling_cents_back_and_forth_is_exact(cents: int) -> None:
    mapping = purchases(amount_minor={"column": "total", "scale": 100})
    text = f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"
    assert column(mapping, "amount_minor", {"id": ["a"], "total": [text]}) == [cents]


def test_a_fraction_in_a_whole_column_is_a_problem_and_never_cut() -> None:
    found = turned(purchases(items="pieces"), {"id": ["a", "b"], "pieces": ["2", "2.5"]})
    assert found.rows.column("items").to_pylist() == [2, None]
    assert "no whole number" in found.problems[0].reason


def test_decimal_commas_are_read_where_the_mapping_says_so() -> None:
    mapping = Mapping.model_validate(
        {**purchases().model_dump(), "file": {"decimal": ","}}
    ).model_copy()
    columns = {**mapping.columns}
    columns["amount_minor"] = purchases(amount_minor={"column": "total", "scale": 100}).columns[
        "amount_minor"
    ]
    mapping = mapping.model_copy(update={"columns": columns})
    assert column(mapping, "amount_minor", {"id": ["a"], "total": ["1.234,56"]}) == [123456]


def test_their_words_become_ours_and_an_unknown_word_is_a_problem() -> None:
    values = {"A": "purchase", "1": "return"}
    mapping = purchases(kind={"column": "k", "values": values})
    found = turned(mapping, {"id": list("abcd"), "k": pa.array(["A", "1", "Z", None])})
    assert found.rows.column("kind").to_pylist() == ["purchase", "return", None, None]
    assert [p.rows.tolist() for p in found.problems] == [[False, False, True, False]]
    other = purchases(kind={"column": "k", "values": values, "default": "purchase"})
    assert column(other, "kind", {"id": ["a", "b"], "k": ["Z", "A"]}) == ["purchase", "purchase"]


def test_numbers_are_mapped_by_their_text() -> None:
    mapping = purchases(kind={"column": "k", "values": {"1": "purchase", "2": "return"}})
    assert column(mapping, "kind", {"id": ["a", "b"], "k": pa.array([1.0, 2.0])}) == [
        "purchase",
        "return",
    ]


def test_an_id_made_from_columns_is_the_same_whenever_they_are() -> None:
    mapping = purchases(purchase_id={"hash": ["a", "b"]})
    ids = column(mapping, "purchase_id", {"a": ["1", "1", "11"], "b": ["23", "23", "3"]})
    assert ids[0] == ids[1]
    assert ids[0] != ids[2]


def test_rows_are_left_out_by_empty_fields_and_by_values() -> None:
    mapping = customers(
        {"customer_id": "no"}, rows={"drop_if_null": ["no"], "where": {"type": ["A", 2]}}
    )
    batch = pa.RecordBatch.from_pydict({"no": ["1", "", "3", "4"], "type": ["A", "A", "B", "2"]})
    assert selected(batch, mapping).tolist() == [True, False, False, True]


def test_yes_and_no_come_in_many_spellings() -> None:
    mapping = parse_mapping(
        {
            "table": "queues",
            "columns": {
                "queue": {"value": "q"},
                "channel": {"value": "voice"},
                "time_zone": {"value": "UTC"},
                "open_on_holidays": "h",
            },
        }
    )
    found = turned(mapping, {"h": ["Y", "no", "1", "perhaps", None]})
    assert found.rows.column("open_on_holidays").to_pylist() == [True, False, True, None, None]
    assert found.problems[0].rows.tolist() == [False, False, False, True, False]


def test_a_row_without_a_time_it_was_known_is_known_from_now_on() -> None:
    mapping = customers({"customer_id": "no", "available_at": "seen"})
    seen = column(mapping, "available_at", {"no": ["1", "2"], "seen": ["2026-01-01T00:00Z", None]})
    assert seen == [datetime(2026, 1, 1, tzinfo=UTC), NOW]


def test_known_after_the_event_follows_the_event() -> None:
    mapping = purchases(purchased_at="at", available_at={"after": "purchased_at", "seconds": 90})
    assert column(mapping, "available_at", {"id": ["a"], "at": ["2026-01-01T00:00Z"]}) == [
        datetime(2026, 1, 1, 0, 1, 30, tzinfo=UTC)
    ]


# --- times ---

FIRST = datetime.fromisoformat("1990-01-01")
LAST = datetime.fromisoformat("2040-01-01")


def read(values: Any, **options: Any) -> tuple[list[datetime | None], list[str]]:
    array = values if isinstance(values, pa.Array) else to_arrow(values)
    found = to_utc(array, "at", TimeOptions(**options))
    return found.values.to_pylist(), [p.reason for p in found.problems if p.rows.any()]


@given(
    st.lists(st.datetimes(FIRST, LAST), min_size=1, max_size=20),
    st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Jerusalem", "UTC",
         "Europe/Dublin", "America/Sao_Paulo"]
    ),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_local_clocks_are_read_as_the_zone_database_reads_them(
    walls: list[datetime], zone: str
) -> None:
    for name, fold in (("earlier", 0), ("later", 1)):
        found, _ = read(pa.array(walls, pa.timestamp("us")), zone=zone, ambiguous=name)
        for wall, moment in zip(walls, found, strict=True):
            expected = wall.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)
            exists = expected.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall
            assert moment == (expected if exists else None)


def test_the_hour_that_autumn_repeats_is_read_as_the_mapping_says() -> None:
    wall = ["2025-10-26 02:30:00"]
    earlier = datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    assert read(wall, zone="Europe/Berlin", ambiguous="earlier")[0] == [earlier]
    assert read(wall, zone="Europe/Berlin", ambiguous="later")[0] == [earlier + timedelta(hours=1)]
    values, reasons = read(wall, zone="Europe/Berlin")
    assert values == [None]
    assert "twice" in reasons[0]


def test_the_hour_that_spring_skips_never_passes() -> None:
    for ambiguous in ("earlier", "later", "quarantine"):
        values, reasons = read(["2026-03-29 02:30:00"], zone="Europe/Berlin", ambiguous=ambiguous)
        assert values == [None]
        assert "does not exist in Europe/Berlin" in reasons[0]


def test_iso_times_keep_their_own_zone_beside_a_stated_one() -> None:
    values, reasons = read(
        [
            "2026-01-01T12:00:00+01:00",
            "2026-01-01 12:00",
            "2026-01-01T11:00Z",
            "2026-01-01",
            "soon",
        ],
        zone="Europe/Berlin",
    )
    noon = datetime(2026, 1, 1, 11, tzinfo=UTC)
    assert values == [noon, noon, noon, datetime(2025, 12, 31, 23, tzinfo=UTC), None]
    assert reasons == ["`at`: no time that can be read; expected ISO 8601"]


def test_times_without_a_zone_need_one() -> None:
    with pytest.raises(MappingError, match="zone = "):
        read(["2026-01-01 12:00:00"])
    with pytest.raises(MappingError, match="zone = "):
        read(pa.array([LAST], pa.timestamp("ns")))


def test_one_time_without_a_zone_among_others_is_that_rows_problem() -> None:
    values, reasons = read(["2026-01-01T12:00Z", "2026-01-01 12:00"])
    assert values == [datetime(2026, 1, 1, 12, tzinfo=UTC), None]
    assert "without a zone" in reasons[0]


def test_a_format_is_followed() -> None:
    values, reasons = read(
        ["31/12/2025 23:59:58", "12/31/2025 00:00:00"], zone="UTC", format="%d/%m/%Y %H:%M:%S"
    )
    assert values == [datetime(2025, 12, 31, 23, 59, 58, tzinfo=UTC), None]
    assert "%d/%m/%Y" in reasons[0]


def test_epoch_numbers_need_no_zone_but_a_format() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    seconds = int(moment.timestamp())
    assert read([seconds, None], format="epoch_seconds")[0] == [moment, None]
    assert read([str(seconds * 1000)], format="epoch_milliseconds")[0] == [moment]
    with pytest.raises(MappingError, match="epoch_seconds"):
        read([seconds])


def test_times_of_a_broken_clock_are_refused() -> None:
    values, reasons = read(["0001-01-01T00:00Z", "9999-12-31T00:00Z"])
    assert values == [None, None]
    assert "1900" in reasons[0]


def test_every_table_can_be_mapped_from_its_own_names() -> None:
    for contract in TABLES.values():
        columns = {name: name for name in contract.column_names}
        assert parse_mapping({"table": contract.name, "columns": columns}).theirs
