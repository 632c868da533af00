"""Rows of the lake made by hand, for tests of the feature pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.contracts.tables import TABLES
from features.home import Home
from features.lake.delta import Change, Lake, lake_schema, write_parquet

T0 = datetime(2026, 3, 1, tzinfo=UTC)
"""The as-of of most tests."""


def at(days: float = 0.0, *, seconds: int = 0) -> datetime:
    """A moment that many days after (before, if negative) ``T0``."""
    return T0 + timedelta(days=days, seconds=seconds)


def contact(id: str, who: str | None, when: datetime, **more: Any) -> dict[str, Any]:
    row = {
        "interaction_id": id,
        "customer_id": who,
        "queue": "q",
        "channel": "voice",
        "outcome": "answered",
        "started_at": when,
        "available_at": when,
    }
    return {**row, **more}


def purchase(id: str, who: str, when: datetime, **more: Any) -> dict[str, Any]:
    row = {
        "purchase_id": id,
        "customer_id": who,
        "kind": "purchase",
        "purchased_at": when,
        "amount_minor": 1000,
        "currency": "EUR",
        "available_at": when,
    }
    return {**row, **more}


def load(home: Home, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write rows into the lake as they are, one file and one commit a table."""
    lake = Lake(home.lake)
    for name, rows in tables.items():
        schema = lake_schema(TABLES[name])
        full = [dict.fromkeys(schema.names) | dict(row) for row in rows]
        with lake.writing() as staging:
            path = Path(staging) / f"{name}.parquet"
            with write_parquet(path, schema) as writer:
                writer.write_table(pa.Table.from_pylist(full, schema=schema))
            lake.commit(Change(name, schema, (path,)), now=T0)
