"""Taking rows into the lake: read, translate, check, quarantine, version, commit.

A load is all or nothing. One that is interrupted between its commits can simply be run again: what
is there already counts as repeated.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.artefact import new_id
from features.console import console as terminal
from features.console import grid
from features.contracts.checks import Checker, Problem
from features.contracts.schema import Table
from features.contracts.tables import table as contract_of
from features.errors import InputError, MappingError, RefusedLoadError
from features.intake.chunks import Chunk
from features.intake.mapping import Mapping
from features.intake.quarantine import Quarantine
from features.intake.sources import Query, Source, open_sources
from features.intake.translate import selected, translate
from features.lake.delta import (
    LOADS,
    LOADS_SCHEMA,
    QUARANTINE,
    Change,
    Lake,
    lake_schema,
    small_files,
    write_parquet,
)
from features.lake.staging import Patch, Stage, Stored, copy_rows, find_stored
from features.lake.versions import Bool, Spans, VersionPlan, place

OLD = timedelta(days=3)
"""Rows that happened longer ago than this, without a time they were known, earn a warning."""

Progress = Callable[[str, float | None, int], None]
"""Called with the source, the share of it that is done, and the rows read of all sources."""

_OVERLAP = "two rows for one time: their intervals overlap; keep one length"
_CONTRADICTION = "two rows for one interval: equal {}, other content; keep one"


class Load:
    """One load from the first chunk to the report.

    Args:
        staging: An empty folder, held by ``Lake.writing``.
        now: The moment of the load, aware UTC.
    """

    def __init__(
        self,
        lake: Lake,
        contract: Table,
        staging: Path,
        *,
        now: datetime,
        progress: Progress | None,
    ) -> None:
        self._lake, self._contract, self._staging = lake, contract, staging
        self._now, self._progress = now, progress
        self._id = new_id(now)
        self._stage = Stage(staging, contract, load_id=self._id, now=now)
        self._quarantine = Quarantine(
            staging / "quarantine.parquet", contract.name, load_id=self._id, now=now
        )
        self._counts: Counter[str] = Counter()
        self._queues: set[str] = set()
        self._spans = Spans(*contract.exclusive) if contract.exclusive else None
        self._sources: list[str] = []
        self._warnings: dict[str, None] = {}
        self._checker: Checker | None = None

    def read(self, source: Source) -> None:
        """Stage the good rows of a source and set the bad ones aside."""
        self._sources.append(source.name)
        self._warnings.update(dict.fromkeys(source.warnings))
        for chunk in source.chunks:
            self._counts["read"] += chunk.rows.num_rows + len(chunk.broken)
            self._quarantine.add_broken(chunk.broken, source=source.name)
            self._take(chunk, source)
            if self._progress is not None:
                self._progress(source.name, chunk.done, self._counts["read"])

    def _take(self, chunk: Chunk, source: Source) -> None:
        rows, numbers = chunk.rows, chunk.numbers
        keep = selected(rows, source.mapping)
        if not keep.all():
            self._counts["left_out"] += int((~keep).sum())
            rows, numbers = rows.filter(pa.array(keep)), numbers[keep]
        if rows.num_rows == 0:
            return
        ours = translate(rows, mapping=source.mapping, contract=self._contract, now=self._now)
        if self._checker is None:
            currency = self._currency(ours.rows)
            self._checker = Checker(self._contract, now=self._now, currency=currency)
        unread = np.zeros(rows.num_rows, dtype=bool)
        for problem in ours.problems:
            unread |= problem.rows
        problems = [*ours.problems, *self._checker.problems(ours.rows, known_bad=unread)]
        bad = self._quarantine.add(rows, problems, source=source.name, numbers=numbers)
        good = ours.rows.filter(pa.array(~bad)) if bad.any() else ours.rows
        self._count(good, dated="available_at" in source.mapping.columns)
        if self._spans is not None:
            self._spans.add(good, source=source.name, numbers=numbers[~bad])
        self._stage.add(good)

    def _count(self, rows: pa.Table, *, dated: bool) -> None:
        n, counts, contract = rows.num_rows, self._counts, self._contract
        if customer := contract.reference("customers"):
            unlinked = rows.column(customer.name).null_count
            counts["linked"] += n - unlinked
            counts["unlinked"] += unlinked
        queue = contract.reference("queues")
        if queue and contract.name != "queues":
            words = pc.unique(rows.column(queue.name).drop_null()).to_pylist()
            if queue.format == "list":
                words = [name.strip() for names in words for name in names.split(",")]
            self._queues.update(word for word in words if word)
        if contract.past_event_time and not dated:
            limit = pa.scalar(self._now - OLD, pa.timestamp("us", "UTC"))
            counts["dated"] += n
            old = pc.sum(pc.less(rows.column(contract.past_event_time), limit)).as_py()
            counts["old"] += old or 0

    def _currency(self, rows: pa.Table) -> str | None:
        """Return the table's currency: the stored one, else the most frequent of the first rows."""
        name = next((c.name for c in self._contract.columns if c.format == "currency"), None)
        if name is None:
            return None
        for file in self._lake.files(self._contract.name):
            with pq.ParquetFile(file) as parquet:
                for batch in parquet.iter_batches(batch_size=1, columns=[name]):
                    return str(batch.column(0)[0].as_py())
        words = pc.value_counts(rows.column(name).drop_null()).to_pylist()
        return max(words, key=lambda word: word["counts"])["values"] if words else None

    def refuse_if_bad(self, max_bad_share: float) -> None:
        """Stop a load of which too large a share is bad.

        Raises:
            RefusedLoadError: With counts by reason and the first row of each.
        """
        judged = self._counts["read"] - self._counts["left_out"]
        bad = self._quarantine.total
        if judged == 0 or bad / judged <= max_bad_share:
            return
        lines = []
        for reason, count in self._quarantine.counts.most_common(5):
            first = self._quarantine.examples[reason]
            lines.append(f"\n  {count:,} × {reason}\n    first: {first}")
        raise RefusedLoadError(
            f"load into `{self._contract.name}` refused, nothing was kept",
            got=f"{bad:,} bad of {judged:,} rows{''.join(lines)}\n",
            expected=f"a share of at most {max_bad_share:g}",
            remedy="correct the mapping or the source; or allow more with --max-bad-share",
        )

    def finish(self, max_bad_share: float) -> Report:
        """Place the staged rows among the stored ones, commit, and return the report."""
        incoming = self._stage.rows()
        files = self._lake.files(self._contract.name)
        stored = find_stored(files, self._contract, incoming.key[0])
        overlapping = None if self._spans is None else self._spans.overlapping()
        placed = place(
            incoming,
            stored=stored.rows,
            stored_superseded=stored.superseded,
            contradictory=overlapping,
        )
        if self._spans is not None and overlapping is not None:
            self._set_contradictions_aside(placed, self._spans, overlapping)
        self._quarantine.close()
        self.refuse_if_bad(max_bad_share)
        bad = self._quarantine.unseen(self._lake)
        if bad.num_rows:
            self._lake.append(QUARANTINE, bad, staging=self._staging, now=self._now)
        change = self._change(files, stored, placed)
        if change is not None:
            self._lake.commit(change, now=self._now)
        report = self._report(placed)
        row = {
            "load_id": report.load_id,
            "table": report.table,
            "loaded_at": report.loaded_at,
            "report": orjson.dumps(report.to_json()).decode(),
        }
        rows = pa.Table.from_pylist([row], schema=LOADS_SCHEMA)
        self._lake.append(LOADS, rows, staging=self._staging, now=self._now)
        return report

    def _set_contradictions_aside(
        self, placed: VersionPlan, spans: Spans, overlapping: Bool
    ) -> None:
        if not placed.contradictory.any():
            return
        rows = self._stage.pick(placed.contradictory).select(self._contract.column_names)
        over = overlapping[placed.contradictory]
        reason = _CONTRADICTION.format(" and ".join(f"`{name}`" for name in self._contract.key))
        for source, rows_of, numbers in spans.places(placed.contradictory):
            problems = [Problem(_OVERLAP, over[rows_of]), Problem(reason, ~over[rows_of])]
            some = rows.filter(pa.array(rows_of))
            self._quarantine.add(some, problems, source=source, numbers=numbers)

    def _change(self, files: list[str], stored: Stored, placed: VersionPlan) -> Change | None:
        """Write what the commit needs beside the staged files; None where nothing changes."""
        changed = np.flatnonzero(placed.stored_superseded != stored.superseded)
        if not placed.keep.any() and len(changed) == 0:
            return None
        touched = {files[number] for number in np.unique(stored.file[changed])}
        leaving = [file for file in files if file in touched | set(small_files(files))]
        add = self._stage.files(placed)
        schema = lake_schema(self._contract)
        if leaving:
            copied = self._staging / "copied.parquet"
            with write_parquet(copied, schema) as writer:
                for file in leaving:
                    rows = changed[stored.file[changed] == files.index(file)]
                    rows = rows[np.argsort(stored.position[rows])]
                    ends = placed.stored_superseded[rows]
                    copy_rows(file, writer, Patch(stored.position[rows], ends))
            add.insert(0, copied)
        return Change(self._contract.name, schema, tuple(add), tuple(leaving))

    def _report(self, placed: VersionPlan) -> Report:
        counts = self._counts
        kept, new = int(placed.keep.sum()), int((placed.keep & placed.new).sum())
        has_customer = self._contract.reference("customers") is not None
        return Report(
            load_id=self._id,
            table=self._contract.name,
            loaded_at=self._now,
            sources=tuple(self._sources),
            rows_read=counts["read"],
            kept=kept,
            new=new,
            changed=kept - new,
            repeated=len(placed.keep) - kept - int(placed.contradictory.sum()),
            left_out=counts["left_out"],
            quarantined=dict(self._quarantine.counts.most_common()),
            linked=counts["linked"] if has_customer else None,
            unlinked=counts["unlinked"] if has_customer else None,
            version=self._lake.version(self._contract.name),
            warnings=(*self._warnings, *self._late_warnings(kept)),
        )

    def _late_warnings(self, kept: int) -> list[str]:
        counts, warnings = self._counts, []
        if counts["read"] == counts["left_out"]:
            warnings.append("no row was read; check the source, and [rows] in the mapping")
        if counts["old"] and kept:
            warnings.append(
                f"{counts['old']:,} of {counts['dated']:,} rows happened more than {OLD.days} days "
                "ago and do not say when they were known, so they count as known from now on and "
                "no earlier as-of sees them. Map `available_at`, or say that it was known at once: "
                f'`available_at = {{ after = "{self._contract.event_time}", seconds = 0 }}`, '
                "and load again"
            )
        files = self._lake.files("queues") if self._queues else []
        columns = [pq.read_table(file, columns=["queue"]).column(0) for file in files]
        known = {name for column in columns for name in column.to_pylist()}
        for queue in sorted(self._queues - known) if known else ():
            near = difflib.get_close_matches(queue, known, n=2, cutoff=0.6)
            hint = f"; near: {', '.join(f'`{name}`' for name in near)}" if near else ""
            warnings.append(f"queue {queue[:80]!r} is not in table `queues`{hint}")
        return warnings


MAX_BAD_SHARE = 0.05
"""Share of bad rows above which a load is refused whole, by default."""


def ingest(
    lake: Lake,
    table: str,
    *,
    now: datetime,
    files: Sequence[str | Path] = (),
    query: Query | None = None,
    mapping: Mapping | None = None,
    max_bad_share: float = MAX_BAD_SHARE,
    progress: Progress | None = None,
) -> Report:
    """Load files or a query into a table; the report is stored in the lake's ``_loads`` as well.

    Give ``files`` (names and globs) or ``query``. Without a ``mapping`` their columns are named as
    ours. ``now`` is aware UTC: when rows are available that do not say so themselves. Above
    ``max_bad_share``, a share of the rows in [0, 1], nothing is kept.

    Raises:
        UnknownNameError: There is no such table.
        MappingError: The mapping is for another table, or names no zone where one is needed.
        UnreadableFileError: A file is missing, damaged, empty or not in its encoding.
        ContractError: A column is missing.
        RefusedLoadError: Too many rows are bad.
    """
    contract = contract_of(table)
    if mapping is not None and mapping.table != table:
        expected = f"`{table}`"
        raise MappingError("mapping, `table`", got=mapping.table, expected=expected, field="table")
    if bool(files) == (query is not None):
        raise InputError(
            "source",
            got="files and a query" if files else "neither files nor a query",
            expected="one of them",
            remedy="name files, or give --from and --query",
        )
    if now.tzinfo is None:
        raise InputError("`now`", got="no time zone", expected="an aware time")
    with lake.writing() as staging:
        load = Load(lake, contract, staging, now=now, progress=progress)
        for source in open_sources(contract, files, query, mapping):
            load.read(source)
        load.refuse_if_bad(max_bad_share)
        return load.finish(max_bad_share)


@dataclass(frozen=True)
class Report:
    """What one load did.

    Attributes:
        load_id: Its name, which its rows carry.
        sources: The files, or ``query``.
        kept: Rows stored: ``new`` keys, and ``changed`` ones, further versions of a key.
        repeated: Rows that say what was known already.
        left_out: Rows that the mapping's [rows] leaves out.
        quarantined: Bad rows, by their first reason.
        linked: Good rows that name a customer, ``unlinked`` those that do not; None for a table
            that names none.
        version: The table's version after the load.
        warnings: What deserves a look.
    """

    load_id: str
    table: str
    loaded_at: datetime
    sources: tuple[str, ...]
    rows_read: int
    kept: int
    new: int
    changed: int
    repeated: int
    left_out: int
    quarantined: dict[str, int]
    linked: int | None
    unlinked: int | None
    version: int | None
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return {**asdict(self), "loaded_at": self.loaded_at.isoformat()}


def print_report(report: Report) -> None:
    """Print the counts of a load, then its warnings."""
    console = terminal()
    console.print(f"Load {report.load_id} into {report.table}", markup=False)
    table = grid("rows", "count", numbers=("count",))
    lines: list[tuple[str, int | None]] = [
        ("read", report.rows_read),
        ("kept", report.kept),
        ("  new", report.new),
        ("  changed", report.changed),
        ("repeated", report.repeated),
        ("left out by the mapping", report.left_out),
        ("quarantined", sum(report.quarantined.values())),
        *((f"  {reason}", count) for reason, count in report.quarantined.items()),
        ("with a customer", report.linked),
        ("without a customer", report.unlinked),
    ]
    for name, count in lines:
        if count is not None:
            table.add_row(name, f"{count:,}")
    console.print(table)
    for warning in report.warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False)
