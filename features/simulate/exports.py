"""Our rows as the systems that recorded them would export them, with faults.

Each system has words, clocks and a file format of its own; the same rows give the same bytes.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from features.arrays import Int64
from features.calendar.clock import DAY_SECONDS, WEEKDAYS, from_epoch, local_midnight, local_times
from features.simulate.centre import SimulationConfig
from features.simulate.tables import with_columns

PHONE_CLOCK = "Europe/Berlin"
PHONE_DATE = "%d/%m/%Y "
TICKET_CLOCK = "America/New_York"
ISO_DATE = "%Y-%m-%d "

_SKILLS = {"sales": "SALES_DE", "support": "SUPPORT_24", "billing": "BILLING_NY"}
_DISPOSITIONS = {"answered": "AN", "abandoned": "AB", "transferred": "TR"}
_INBOXES = {"chat": "web-chat", "email": "mail-us"}
_MEDIA = {"chat": "chat", "email": "mail"}
_STATES = {
    "abandoned": "dropped",
    "transferred": "escalated",
    "resolved": "solved",
    "open": "pending",
}
_KINDS = {"purchase": "order", "return": "refund"}
_CLASSES = {"consumer": "B2C", "business": "B2B"}
_GROUPS = {"treat": "called", "control": "held"}


def calls(interactions: pa.Table, *, rng: np.random.Generator) -> pa.Table:
    """Return the calls as the telephone system exports them."""
    rows = interactions.filter(pc.equal(interactions["channel"], "voice"))
    handle = pc.fill_null(rows["handle_seconds"], 0).cast(pa.int64()).to_numpy()
    wrap = (handle * rng.uniform(0.05, 0.25, len(rows))).astype(np.int64)
    gone = pc.is_null(rows["handle_seconds"]).to_numpy(zero_copy_only=False)
    return pa.table(
        {
            "CallId": rows["interaction_id"],
            "CallStart": local_text(epoch_seconds(rows["started_at"]), PHONE_CLOCK, PHONE_DATE),
            "Skill": _translated(rows["queue"], _SKILLS),
            "CustNo": rows["customer_id"],
            "Reason": rows["topic"],
            "Disposition": _translated(rows["outcome"], _DISPOSITIONS),
            "WaitSec": rows["wait_seconds"].cast(pa.int64()),
            "TalkSec": pa.array(handle - wrap, mask=gone),
            "WrapSec": pa.array(wrap, mask=gone),
            "Transfers": rows["transfers"],
            "FirstCallResolved": pc.if_else(rows["resolved"], "Y", "N"),
            "SurveyScore": rows["csat"],
            "AgentNo": rows["agent_id"],
            "OrderRef": rows["order_id"],
            "LoadedUtc": local_text(epoch_seconds(rows["available_at"]), "UTC", PHONE_DATE),
        }
    )


def tickets(interactions: pa.Table) -> pa.Table:
    """Return chats and mails as the ticket system exports them."""
    rows = interactions.filter(pc.not_equal(interactions["channel"], "voice"))
    unseen = pc.and_(pc.equal(rows["outcome"], "open"), pc.is_null(rows["wait_seconds"]))
    return pa.table(
        {
            "ticket": rows["interaction_id"],
            "created_at": iso_text(epoch_seconds(rows["started_at"]), TICKET_CLOCK),
            "updated_at": iso_text(epoch_seconds(rows["available_at"]), TICKET_CLOCK),
            "inbox": _translated(rows["queue"], _INBOXES),
            "medium": _translated(rows["channel"], _MEDIA),
            "requester": rows["customer_id"],
            "subject": rows["topic"],
            "status": pc.if_else(unseen, "new", _translated(rows["outcome"], _STATES)),
            "first_reply_ms": pc.multiply(rows["wait_seconds"].cast(pa.int64()), 1_000),
            "work_seconds": rows["handle_seconds"].cast(pa.int64()),
            "escalations": rows["transfers"],
            "is_solved": rows["resolved"],
            "recommend": rows["nps"],
            "tone": rows["sentiment"],
            "assignee": rows["agent_id"],
            "order_no": rows["order_id"],
        }
    )


def orders(purchases: pa.Table) -> pa.Table:
    """Return orders and refunds as the shop keeps them, money as decimals of the main unit."""
    cents = purchases["amount_minor"].cast(pa.decimal128(19, 0))
    total = pc.multiply(cents, pa.scalar(Decimal("0.01")))
    return pa.table(
        {
            "order_no": purchases["purchase_id"],
            "buyer": purchases["customer_id"],
            "placed_at": purchases["purchased_at"],
            "type": _translated(purchases["kind"], _KINDS),
            "total": total.cast(pa.decimal128(12, 2)),
            "currency": purchases["currency"],
            "pieces": purchases["items"],
            "department": purchases["category"],
            "confirmed_at": purchases["confirmed_at"],
            "shipped_at": purchases["shipped_at"],
            "delivered_at": purchases["completed_at"],
            "updated_at": purchases["available_at"],
        }
    )


def crm(customers: pa.Table) -> pa.Table:
    """Return customers as the CRM exports them."""
    return pa.table(
        {
            "CustomerNo": customers["customer_id"],
            "Since": local_text(epoch_seconds(customers["joined_at"]), PHONE_CLOCK, ISO_DATE),
            "Class": _translated(customers["segment"], _CLASSES),
            "State": customers["region"],
            "Preferences": customers["attributes"],
        }
    )


def queue_list(queues: pa.Table) -> pa.Table:
    """Return the centre's own list of its queues."""
    return pa.table(
        {
            "Queue": queues["queue"],
            "Label": queues["name"],
            "Medium": queues["channel"],
            "Clock": queues["time_zone"],
            **{day.title(): queues[f"open_{day}"] for day in WEEKDAYS},
            "Holidays": queues["country"],
            "OpenOnHolidays": pc.if_else(queues["open_on_holidays"], "yes", "no"),
            "IntervalMin": queues["interval_minutes"],
            "GoalSec": queues["goal_seconds"],
            "GoalPercent": pc.multiply(queues["goal_share"], 100.0).cast(pa.int64()),
            "AhtSec": queues["default_aht_seconds"],
            "PatienceSec": queues["patience_seconds"],
            "AtOnce": queues["concurrency"],
            "DecidedUtc": _utc(queues["available_at"]),
        }
    )


def event_list(calendar: pa.Table) -> pa.Table:
    """Return the planners' events."""
    return pa.table(
        {
            "EventNo": calendar["event_id"],
            "Type": calendar["kind"],
            "From": local_text(epoch_seconds(calendar["starts_at"]), PHONE_CLOCK, ISO_DATE),
            "Until": local_text(epoch_seconds(calendar["ends_at"]), PHONE_CLOCK, ISO_DATE),
            "Touches": calendar["queues"],
            "Size": calendar["size"],
            "AnnouncedUtc": _utc(calendar["known_at"]),
        }
    )


def decisions(outreach: pa.Table) -> pa.Table:
    """Return the decisions of the win-back trial."""
    return pa.table(
        {
            "DecisionNo": outreach["outreach_id"],
            "Customer": outreach["customer_id"],
            "Trial": outreach["experiment"],
            "Group": _translated(outreach["arm"], _GROUPS),
            "Action": outreach["action"],
            "DecidedUtc": _utc(outreach["decided_at"]),
            "StoredUtc": _utc(outreach["available_at"]),
        }
    )


def _utc(column: pa.ChunkedArray) -> pa.Array:
    return local_text(epoch_seconds(column), "UTC", ISO_DATE)


def _translated(column: pa.ChunkedArray, theirs: Mapping[str, str]) -> pa.Array:
    """Return our words in those of the export; one without a translation is a mistake here."""
    place = pc.index_in(column, value_set=pa.array(list(theirs), pa.string()))
    if place.null_count > column.null_count:
        missing = set(pc.unique(column).to_pylist()) - set(theirs)
        raise AssertionError(f"no word in the export for {sorted(map(str, missing))}")
    return pa.array(list(theirs.values()), pa.string()).take(place)


Faults = Mapping[str, tuple[str, object]]
"""What can be wrong with a row: a column, and a value that no reader can accept."""

TICKET_FAULTS: Faults = {
    "unknown_channel": ("medium", "carrier pigeon"),
    "unparsable_time": ("created_at", "yesterday"),
    "recommendation_out_of_range": ("recommend", 37),
}
ORDER_FAULTS: Faults = {"missing_customer": ("buyer", None), "missing_time": ("placed_at", None)}


def call_faults(first: int, last: int) -> Faults:
    """Return the faults of calls of the days that begin in [first, last), epoch seconds."""
    faults: dict[str, tuple[str, object]] = {
        "negative_wait": ("WaitSec", -7),
        "unparsable_time": ("CallStart", "n/a"),
        "time_in_the_future": ("CallStart", "24/12/2199 10:00:00"),
        "unknown_disposition": ("Disposition", "??"),
        "missing_id": ("CallId", None),
    }
    for day in range(first // DAY_SECONDS, last // DAY_SECONDS):
        ends, begins = (local_midnight(d, PHONE_CLOCK) for d in (day + 1, day))
        if ends - begins < DAY_SECONDS:
            jumped = f"{from_epoch(day * DAY_SECONDS):%d/%m/%Y} 02:30:00"
            faults["hour_that_does_not_exist"] = ("CallStart", jumped)
    return faults


@dataclass
class SourceCounts:
    """What stands in the files of one source.

    Attributes:
        files: Files.
        rows: Rows in them: versions, duplicates and bad ones.
        versions: Good rows, each version of an id by itself.
        ids: Different ids of the good rows.
        duplicates: Rows that stand there a second time.
        bad: Rows that no reader can accept, by what is wrong with them.
        repeated_hour: Good rows in the hour that the wall clock went through twice.
    """

    files: int = 0
    rows: int = 0
    versions: int = 0
    ids: int = 0
    duplicates: int = 0
    bad: dict[str, int] = field(default_factory=dict)
    repeated_hour: int = 0

    @property
    def bad_rows(self) -> int:
        """All bad rows together."""
        return sum(self.bad.values())


def plant_faults(
    clean: pa.Table,
    faults: Faults,
    *,
    config: SimulationConfig,
    counts: SourceCounts,
    rng: np.random.Generator,
) -> pa.Table:
    """Return the rows of one file with repeated and bad ones after them, and count them.

    A bad row is a copy of a good one, with an id of its own in the first column and one bad field.
    Of each fault there is at least one in all files together.
    """
    n = len(clean)
    repeated = np.flatnonzero(rng.random(n) < config.duplicate_share)
    parts = [clean, clean.take(pa.array(repeated))]
    for name, (column, value) in faults.items():
        mean, earlier = n * config.bad_share / len(faults), counts.bad.get(name, 0)
        count = max(int(rng.poisson(mean)), int(config.bad_share > 0 and not earlier))
        fresh = [f"X{counts.bad_rows + k:09d}" for k in range(count)]
        rows = clean.take(pa.array(rng.integers(0, n, count)))
        rows = with_columns(rows, {clean.column_names[0]: pa.array(fresh, pa.string())})
        bad_values = pa.array([value] * count, clean.schema.field(column).type)
        parts.append(with_columns(rows, {column: bad_values}))
        counts.bad[name] = earlier + count
    faulty = pa.concat_tables(parts)
    counts.files += 1
    counts.rows += len(faulty)
    counts.versions += n
    counts.ids += len(pc.unique(clean.column(0)))
    counts.duplicates += len(repeated)
    return faulty


def repeated_hour_rows(started_at: Int64) -> int:
    """Return how many calls (epoch seconds, int64[n]) began in an hour that came twice."""
    before, now, after = (
        local_times(started_at + shift, PHONE_CLOCK).offset_seconds for shift in (-3_600, 0, 3_600)
    )
    return int(((before > now) | (after < now)).sum())


def write_csv(table: pa.Table, path: Path) -> None:
    """Write CSV with a header; with semicolons and gzipped where the name ends in ``.gz``."""
    gzipped = path.suffix == ".gz"
    options = pyarrow.csv.WriteOptions(delimiter=";" if gzipped else ",", quoting_style="needed")
    if not gzipped:
        pyarrow.csv.write_csv(table, path, write_options=options)
        return
    # No name and no time in the header: the same rows are the same bytes.
    with path.open("wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:
        pyarrow.csv.write_csv(table, packed, write_options=options)


def write_ndjson(table: pa.Table, path: Path) -> None:
    """Write one JSON object a line, fields without a value left as ``null``."""
    columns = [_json_values(column) for column in table.itercolumns()]
    starts = ["{"] + [","] * (len(columns) - 1)
    keys = [f'{s}"{name}":' for s, name in zip(starts, table.column_names, strict=True)]
    fields = [part for key, values in zip(keys, columns, strict=True) for part in (key, values)]
    lines = pc.binary_join_element_wise(*fields, "}\n", "")
    with path.open("w", encoding="utf-8", newline="") as file:
        for chunk in lines.chunks:
            file.writelines(chunk.to_pylist())


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write Parquet, compressed with Zstandard."""
    pq.write_table(table, path, compression="zstd")


def local_text(seconds: Int64, zone: str, pattern: str) -> pa.Array:
    """Return epoch seconds as text of a local wall clock, which does not say its zone.

    ``pattern`` is that of the date, as for ``strftime``; hours, minutes and seconds follow.

    >>> local_text(np.array([0]), "Europe/Berlin", "%d/%m/%Y ").to_pylist()
    ['01/01/1970 01:00:00']
    """
    wall = local_times(seconds, zone)
    # Arrow's own strftime takes some 10 microseconds a value: few days and 86,400 times do not.
    days, place = np.unique(wall.day, return_inverse=True)
    dates = [f"{from_epoch(int(day) * DAY_SECONDS):{pattern}}" for day in days]
    date_text = pa.array(dates, pa.string()).take(pa.array(place))
    time_text = _times_of_day().take(pa.array(wall.seconds % DAY_SECONDS))
    return pc.binary_join_element_wise(date_text, time_text, "")


@lru_cache(maxsize=1)
def _times_of_day() -> pa.Array:
    return pa.array(
        [f"{s // 3_600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(DAY_SECONDS)]
    )


def iso_text(seconds: Int64, zone: str) -> pa.Array:
    """Return moments as ISO 8601 text of a local wall clock with its offset.

    >>> iso_text(np.array([0]), "America/New_York").to_pylist()
    ['1969-12-31T19:00:00-05:00']
    """
    offsets = local_times(seconds, zone).offset_seconds // 60
    known, place = np.unique(offsets, return_inverse=True)
    texts = [f"{'-' if m < 0 else '+'}{abs(m) // 60:02d}:{abs(m) % 60:02d}" for m in known]
    ends = pa.array(texts, pa.string()).take(pa.array(place))
    return pc.binary_join_element_wise(local_text(seconds, zone, "%Y-%m-%dT"), ends, "")


def epoch_seconds(column: pa.ChunkedArray) -> Int64:
    """Return a timestamp column without nulls as epoch seconds, int64[n]."""
    micro: Int64 = column.cast(pa.int64()).to_numpy()
    return micro // 1_000_000


def _json_values(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_string(column.type):
        text = pc.replace_substring(pc.replace_substring(column, "\\", "\\\\"), '"', '\\"')
        column = pc.binary_join_element_wise('"', text, '"', "")
    return pc.fill_null(column.cast(pa.string()), "null")
