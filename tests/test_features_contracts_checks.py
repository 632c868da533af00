"""The contracts as checks: every bound, word and rule finds its bad rows, and only those."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.contracts.checks import FUTURE_TOLERANCE, Checker
from features.contracts.schema import MAX_ID_LENGTH, arrow_schema
from features.contracts.tables import TABLES, table

NOW = datetime(2026, 3, 1, tzinfo=UTC)
THEN = datetime(2026, 2, 1, tzinfo=UTC)

ROWS: dict[str, dict[str, Any]] = {
    "interactions": {
        "interaction_id": "i", "queue": "q", "channel": "voice", "started_at": THEN,
        "outcome": "answered",
    },
    "intervals": {"queue": "q", "interval_start": THEN, "interval_minutes": 60, "offered": 1},
    "purchases": {
        "purchase_id": "p", "customer_id": "c", "purchased_at": THEN, "kind": "purchase",
        "amount_minor": 100, "currency": "EUR",
    },
    "customers": {"customer_id": "c"},
    "queues": {"queue": "q", "channel": "voice", "time_zone": "Europe/Berlin"},
    "calendar": {
        "event_id": "e", "kind": "launch", "starts_at": THEN, "ends_at": THEN + timedelta(hours=1),
        "known_at": THEN,
    },
    "overrides": {
        "override_id": "o", "queue": "q", "interval_start": THEN, "interval_minutes": 60,
        "offered": 1.5, "made_by": "Ann", "made_at": THEN,
    },
    "outreach": {
        "outreach_id": "o", "customer_id": "c", "experiment": "x", "arm": "treat",
        "action": "call", "decided_at": THEN,
    },
}  # fmt: skip


def problems(
    name: str, *changes: dict[str, Any], currency: str | None = None
) -> dict[str, list[bool]]:
    rows = [{**ROWS[name], "available_at": THEN, **change} for change in changes]
    arrow = pa.Table.from_pylist(rows, schema=arrow_schema(table(name)))
    checker = Checker(table(name), now=NOW, currency=currency)
    known = np.zeros(len(rows), dtype=bool)
    return {p.reason: p.rows.tolist() for p in checker.problems(arrow, known_bad=known)}


@pytest.mark.parametrize("name", TABLES)
def test_a_row_with_the_required_columns_passes(name: str) -> None:
    assert problems(name, {}, {}) == {}


@pytest.mark.parametrize("name", TABLES)
def test_every_required_column_must_be_filled(name: str) -> None:
    for column in table(name).required:
        found = problems(name, {}, {column: None})
        assert found == {f"`{column}`: empty; every row must fill it": [False, True]}


@pytest.mark.parametrize(
    ("name", "column"),
    [
        (name, column.name)
        for name, contract in TABLES.items()
        for column in contract.columns
        if column.minimum is not None
    ],
)
def test_the_bounds_of_a_column_are_inside_and_beyond_them_is_not(name: str, column: str) -> None:
    contract = table(name).column(column)
    least, most = contract.minimum, contract.maximum
    assert least is not None
    assert most is not None
    if column == "interval_minutes":
        values = [15, 60, 0, 5000]
    else:
        step = 1 if contract.kind == "integer" else 0.0005
        values = [least, most, least - step, most + step]
    if contract.kind == "integer":
        values = [int(value) for value in values]
    found = problems(name, *({column: value} for value in values))
    below = next(flags for reason, flags in found.items() if "below" in reason)
    above = next(flags for reason, flags in found.items() if "above" in reason)
    assert below == [False, False, True, False]
    assert above == [False, False, False, True]


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("interactions", {"channel": "fax"}, "none of voice, chat"),
        ("interactions", {"outcome": "lost"}, "none of answered"),
        ("purchases", {"kind": "gift"}, "none of purchase"),
        ("outreach", {"arm": "both"}, "none of treat, control"),
        ("interactions", {"interaction_id": "x" * (MAX_ID_LENGTH + 1)}, "longer than 512"),
        ("interactions", {"customer_id": "ß" * 10_000}, "longer than 512"),
        ("purchases", {"currency": "euro"}, "no ISO 4217 code"),
        ("purchases", {"kind": "return", "amount_minor": 5}, "above 0 for a return"),
        ("customers", {"attributes": "[1]"}, "no JSON object"),
        ("customers", {"attributes": "{"}, "no JSON object"),
        ("queues", {"time_zone": "Berlin"}, "no IANA zone"),
        ("queues", {"country": "XX"}, "no country"),
        ("queues", {"open_mon": "8-18"}, "no opening hours"),
        ("queues", {"open_mon": "08:00-12:00,11:00-18:00"}, "spans that overlap"),
        ("queues", {"interval_minutes": 45}, "none of 15, 30, 60"),
        ("calendar", {"ends_at": THEN}, "not after `starts_at`"),
        ("intervals", {"interval_start": THEN + timedelta(minutes=5)}, "not on the grid"),
        ("intervals", {"interval_start": THEN + timedelta(seconds=1)}, "not on the grid"),
        ("overrides", {"interval_start": THEN + timedelta(minutes=5)}, "not whole quarters"),
        ("overrides", {"interval_minutes": 20}, "not whole quarters"),
    ],
)
def test_a_broken_rule_names_itself(name: str, change: dict[str, Any], reason: str) -> None:
    found = problems(name, {}, change, {})
    assert list(found.values()) == [[False, True, False]]
    assert reason in next(iter(found))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("interactions", {"interaction_id": "x" * MAX_ID_LENGTH}),
        ("interactions", {"customer_id": "a 'b' \"c\" 😀"}),
        ("purchases", {"kind": "return", "amount_minor": -5}),
        ("customers", {"attributes": '{"a": {"b": 1}}'}),
        ("queues", {"open_mon": "08:00-12:00,13:00-18:00", "open_sun": "closed"}),
        ("queues", {"country": "DE-BY", "interval_minutes": 30}),
        ("intervals", {"interval_minutes": 6, "interval_start": THEN + timedelta(minutes=6)}),
        ("intervals", {"interval_start": THEN + timedelta(minutes=30)}),  # a zone of half hours
    ],
)
def test_what_a_rule_allows_passes(name: str, change: dict[str, Any]) -> None:
    assert problems(name, change) == {}


PLANNED = (("overrides", "interval_start"), ("purchases", "term_ends_at"))


@pytest.mark.parametrize("name", TABLES)
def test_no_time_may_lie_in_the_future_but_that_of_a_planned_event(name: str) -> None:
    edge = NOW + FUTURE_TOLERANCE
    for column in table(name).columns:
        if column.kind != "timestamp" or column.name == "ends_at":
            continue
        if (name, column.name) in PLANNED:
            assert problems(name, {column.name: edge + timedelta(days=90)}) == {}
            continue
        if column.name in ("starts_at",):
            ahead = {"starts_at": edge + timedelta(days=90), "ends_at": edge + timedelta(days=91)}
            assert problems(name, ahead) == {}
            continue
        if column.name == "interval_start":
            late = edge + timedelta(hours=1)
        else:
            late = edge + timedelta(microseconds=1)
        found = problems(name, {column.name: edge}, {column.name: late})
        assert list(found.values()) == [[False, True]]
        assert "in the future" in next(iter(found))


def test_another_currency_than_the_tables_is_found() -> None:
    found = problems("purchases", {}, {"currency": "USD"}, currency="EUR")
    assert list(found.values()) == [[False, True]]
    assert "EUR" in next(iter(found))


def test_an_empty_field_is_no_further_reason_for_a_row_that_is_bad_already() -> None:
    rows = [{**ROWS["customers"], "available_at": THEN, "customer_id": None}] * 2
    arrow = pa.Table.from_pylist(rows, schema=arrow_schema(table("customers")))
    checker = Checker(table("customers"), now=NOW)
    (problem,) = checker.problems(arrow, known_bad=np.array([True, False]))
    assert problem.rows.tolist() == [False, True]


@given(st.lists(st.none() | st.integers(-3, 8), min_size=1, max_size=30))
@settings(max_examples=25, deadline=None)
def test_exactly_the_bad_rows_are_found_wherever_they_stand(scores: list[int | None]) -> None:
    found = problems("interactions", *({"csat": score} for score in scores))
    bad = np.zeros(len(scores), dtype=bool)
    for flags in found.values():
        bad |= np.array(flags)
    assert bad.tolist() == [score is not None and not 1 <= score <= 5 for score in scores]
