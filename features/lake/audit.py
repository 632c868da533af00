"""Rows that contradict their clocks, and a lake as it stood at a past moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.contracts.schema import Table
from features.contracts.tables import TABLES
from features.engine.as_of import second_of
from features.engine.duckdb import DuckDBEngine
from features.engine.protocol import Engine
from features.lake.delta import Change, Lake, lake_schema, widened, write_parquet

SITTING = timedelta(hours=1)
"""Loads that follow each other within this time are one: parts of one history."""
ENDED_SECONDS = 3_600
"""A contact may be known so long before its end: clocks differ, and ends are rounded."""


@dataclass(frozen=True)
class Clocks:
    """Rows of one table that contradict their clocks.

    Attributes:
        rows: Rows in all, every version by itself.
        early: Rows that were known before they happened.
        states: By column, rows that state a moment later than when the row was known.
        unended: Contacts that were known, with how long they took, before they ended.
        results: Contacts with a result: resolved or not, a survey's answer, a transfer.
        settled: Those among them whose result was known when they began, or before.
        backdated: Rows that say they were known at an earlier load of their time, which did not
            bring them.
        overwritten: Versions that no as-of sees any more, because a later load brought another
            one under the same ``available_at``.
    """

    table: str
    rows: int
    early: int
    states: dict[str, int]
    unended: int
    results: int
    settled: int
    backdated: int
    overwritten: int


def read_clocks(lake: Lake, *, versions: Mapping[str, int]) -> tuple[Clocks, ...]:
    """Count, for each table, the rows that contradict their clocks, in those versions of tables."""
    with DuckDBEngine() as engine:
        return tuple(
            _clocks(engine, engine.scan(lake.files(name, version), TABLES[name]), TABLES[name])
            for name, version in sorted(versions.items())
        )


def last_purchase(lake: Lake, *, versions: Mapping[str, int]) -> tuple[datetime | None, int]:
    """Return the last purchase or renewal, and the longest time without one, in whole days."""
    with DuckDBEngine() as engine:
        files = lake.files("purchases", versions.get("purchases"))
        rows = engine.scan(files, TABLES["purchases"])
        bought = rows.filter(rows.kind.isin(("purchase", "renewal")))
        days = bought.select(day=second_of(bought.purchased_at) // 86_400).distinct()
        gap = days.day - days.day.lag().over(ibis.window(order_by=days.day))
        gaps = days.select(gap=gap)
        longest = engine.arrow(gaps.aggregate(gap=gaps.gap.max()))["gap"][0].as_py()
        last = engine.arrow(bought.aggregate(last=bought.purchased_at.max()))["last"][0].as_py()
        return None if last is None else last.replace(tzinfo=UTC), int(longest or 0)


def _clocks(engine: Engine, rows: ir.Table, contract: Table) -> Clocks:
    happens, known = contract.past_event_time, rows.available_at
    counts = {
        "rows": rows.count(),
        "early": (known < rows[happens]).sum() if happens else ibis.literal(0),
        **{name: (rows[name] > known).sum() for name in contract.later_moments},
    }
    if contract.name == "interactions":
        result, begun = _has_result(rows), known <= rows.started_at
        counts |= {
            "unended": _unended(rows).sum(),
            "results": result.sum(),
            "settled": (result & begun).sum(),
        }
    counted = engine.arrow(rows.aggregate(**counts)).to_pylist()[0]
    return Clocks(
        table=contract.name,
        states={name: counted[name] or 0 for name in contract.later_moments},
        **{
            name: counted.get(name) or 0
            for name in ("rows", "early", "unended", "results", "settled")
        },
        backdated=_backdated(engine, rows, contract, happens or "available_at"),
        overwritten=_overwritten(engine, rows, contract),
    )


def _unended(rows: ir.Table) -> ir.BooleanColumn:
    started, known = second_of(rows.started_at), second_of(rows.available_at)
    seconds = rows.wait_seconds.coalesce(0.0) + rows.handle_seconds.coalesce(0.0)
    return started + seconds > known + ENDED_SECONDS


def _has_result(rows: ir.Table) -> ir.BooleanColumn:
    return (
        rows.resolved.notnull()
        | rows.csat.notnull()
        | rows.nps.notnull()
        | rows.outcome.isin(("resolved", "transferred"))
    )


def _backdated(engine: Engine, rows: ir.Table, contract: Table, happens: str) -> int:
    """Return rows that claim to have been known at a load that spans their time without them."""
    feed = contract.feed_column
    rows = rows.mutate(part=rows[feed] if feed else ibis.literal(""), happened=rows[happens])
    loads = engine.arrow(
        rows.group_by("part", "load_id").aggregate(
            loaded_at=rows.loaded_at.max(), first=rows.happened.min(), last=rows.happened.max()
        )
    ).to_pylist()
    spans = _earlier(loads)
    if not spans:
        return 0
    earlier = engine.memory(pa.Table.from_pylist(spans))
    both = rows.inner_join(earlier, ["part", "load_id"])
    late = both.filter(
        (both.happened >= both.from_first)
        & (both.happened < both.to_last)
        & (both.available_at < both.known_by)
    )
    return int(engine.arrow(late.aggregate(n=late.count()))["n"][0].as_py())


def _earlier(loads: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return, for each load that has earlier ones of its part, what those spanned and when."""
    spans = []
    for part in sorted({load["part"] for load in loads}):
        own = sorted((x for x in loads if x["part"] == part), key=lambda x: x["loaded_at"])
        waiting, earlier = deque(own), dict[str, Any]()
        for load in own:
            while load["loaded_at"] - waiting[0]["loaded_at"] > SITTING:
                past = waiting.popleft()
                earlier = {
                    "from_first": min(earlier.get("from_first", past["first"]), past["first"]),
                    "to_last": max(earlier.get("to_last", past["last"]), past["last"]),
                    "known_by": past["loaded_at"] - SITTING,
                }
            if earlier:
                spans.append({"part": part, "load_id": load["load_id"], **earlier})
    return spans


def _overwritten(engine: Engine, rows: ir.Table, contract: Table) -> int:
    """Return versions that lost their moment to another load's."""
    unseen = rows.filter(rows.superseded_at == rows.available_at)
    keys: Sequence[str] = (*contract.key, "available_at")
    winners = rows.filter(rows.superseded_at.isnull() | (rows.superseded_at > rows.available_at))
    pairs = unseen.select(*keys, lost=unseen.load_id).inner_join(
        winners.select(*keys, won=winners.load_id), list(keys)
    )
    pairs = pairs.filter(pairs.lost != pairs.won)
    return int(engine.arrow(pairs.aggregate(n=pairs.count()))["n"][0].as_py())


_BATCH = 131_072


def copy_until(
    lake: Lake, to: Lake, *, versions: Mapping[str, int], at: datetime, now: datetime
) -> None:
    """Copy versions of a lake's tables to an empty lake without anything later than a moment.

    A row stays that had happened before the moment and was available at it; where its next
    version came later, it is the newest. A moment later than ``at`` in another column is emptied.
    """
    for name, version in versions.items():
        contract = TABLES[name]
        schema = lake_schema(contract)
        with to.writing() as staging:
            staged = Path(staging) / f"{name}.parquet"
            with write_parquet(staged, schema) as writer:
                for file in lake.files(name, version):
                    with pq.ParquetFile(file) as parquet:
                        for batch in parquet.iter_batches(batch_size=_BATCH):
                            rows = widened(pa.Table.from_batches([batch]), schema)
                            writer.write_table(_until(rows, contract, at))
            to.commit(Change(name, schema, (staged,), operation="copy"), now=now)


def _until(rows: pa.Table, contract: Table, at: datetime) -> pa.Table:
    schema = rows.schema
    moment = pa.scalar(at.astimezone(UTC), pa.timestamp("us", "UTC"))
    keep = pc.less_equal(rows["available_at"], moment)
    if contract.past_event_time is not None:
        keep = pc.and_(keep, pc.less(rows[contract.past_event_time], moment))
    rows = rows.filter(keep)
    for name in (*contract.later_moments, "superseded_at"):
        later = pc.fill_null(pc.greater(rows[name], moment), False)
        emptied = pc.if_else(later, pa.scalar(None, schema.field(name).type), rows[name])
        rows = rows.set_column(schema.get_field_index(name), name, emptied)
    return rows.cast(schema)
