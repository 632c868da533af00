"""The score set: every customer's churn score, ready to be sent.

- ``scores.arrow``: one row a customer, sorted by the UTF-8 bytes of the id: ``customer_id``,
  ``probability`` and ``percentile`` (null outside the population), the columns ``WORDS``
  (dictionaries), ``expected_value_minor`` and ``value_at_risk_minor`` (int64, null where unknown),
  ``consent`` (null where unknown), ``reason_1`` to ``reason_3`` (dictionaries of codes) and
  ``record_end`` (one past the last byte of the customer's line in ``records.ndjson``).
- ``records.ndjson``: each customer's public record, as HTTP sends it, in the same order.
- ``manifest.json``: ``meta`` names ``as_of``, ``model_version`` and the words of each column.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from features.arrays import Bool, Float64, Int64
from features.arrow import FileLines, SortedIds, int64_view, one_chunk, read_arrow
from features.artefact import Artefact, open_artefact, open_current
from features.calendar.clock import iso
from features.errors import DamagedArtefactError, IncompatibleArtefactError
from serving.published import PublishedSet

SCORE_SET_KIND = "score-set"
SCORE_SET_SCHEMA = 2
SCORES_FILE = "scores.arrow"
RECORDS_FILE = "records.ndjson"
WORDS = ("tier", "stage", "segment", "action")
"""Columns of words that a filter can ask for."""
_SCAN_ROWS = 16_384
"""Rows that a filter looks at before it checks whether the page is full."""
_BLOCK_ROWS = 256
_BLOCK_BYTES = 262_144
"""About the size of a block that a long page is read in."""


@dataclass(frozen=True)
class ScoreFilter:
    """Which customers are wanted; what is left out filters nothing.

    Attributes:
        words: By column of ``WORDS``, the words of which a customer must have one.
        min_probability: Least probability of churn, in [0, 1].
        min_value_minor: Least value at risk, minor units.
        changed: Which rows may pass at all, bool[customers]; see ``score_changes``.
    """

    words: Mapping[str, tuple[str, ...]]
    min_probability: float | None = None
    min_value_minor: int | None = None
    changed: Bool | None = None

    @property
    def passes_all(self) -> bool:
        """Whether it keeps everybody."""
        least = (self.min_probability, self.min_value_minor, self.changed)
        return not any(self.words.values()) and all(value is None for value in least)


EVERYBODY = ScoreFilter(words={})


@dataclass(frozen=True, eq=False)
class Page:
    """A stretch of a score set; its records are read on demand.

    Attributes:
        next: Id to pass as ``after`` for the next page; None where this one is the last.
    """

    rows: int
    next: str | None
    _begins: Int64
    _ends: Int64
    _lines: FileLines

    @property
    def data(self) -> bytes:
        """The records, one JSON line each, ended by a newline."""
        return b"".join(self.blocks())

    def blocks(self) -> Iterator[bytes]:
        """Yield the same lines some hundred kilobytes at a time, never cutting one."""
        parts: list[bytes] = []
        size = 0
        # Little at a time as Python numbers: a filter may leave a million spans.
        for some in range(0, len(self._begins), _BLOCK_ROWS):
            part = slice(some, some + _BLOCK_ROWS)
            spans = zip(self._begins[part].tolist(), self._ends[part].tolist(), strict=True)
            for begin, end in spans:
                parts.append(self._lines.read(begin, end))
                size += end - begin
                if size >= _BLOCK_BYTES:
                    yield b"".join(parts)
                    parts, size = [], 0
        if parts:
            yield b"".join(parts)


@dataclass(frozen=True)
class ScoreSet(PublishedSet):
    """One published score set, verified; ids and numbers are mapped, records read in place.

    Attributes:
        as_of: The moment that the features look back from.
        tiers: The tiers, from the highest risk down.
        scored: Customers in the population.
        table: ``scores.arrow`` as it stands.
    """

    as_of: datetime
    model_version: str
    snapshot: str
    tiers: tuple[str, ...]
    stages: tuple[str, ...]
    segments: tuple[str, ...]
    actions: tuple[str, ...]
    scored: int
    warnings: tuple[str, ...]
    table: pa.Table
    _ids: SortedIds
    _ends: memoryview
    _probability: Float64
    _value: Int64
    _words: Mapping[str, Any]
    _lines: FileLines

    def __len__(self) -> int:
        return len(self._ids)

    def words(self, column: str) -> tuple[str, ...]:
        """Return the words that one of the columns ``WORDS`` can hold."""
        words: tuple[str, ...] = getattr(self, f"{column}s")
        return words

    @cached_property
    def head(self) -> bytes:
        """What the set is, as one JSON object without the last brace: written once a set."""
        document = {
            "score_set": self.id,
            "as_of": iso(self.as_of),
            "model_version": self.model_version,
            "snapshot": self.snapshot,
            **{f"{column}s": self.words(column) for column in WORDS},
            "warnings": self.warnings,
        }
        return orjson.dumps(document)[:-1]

    def record(self, customer_id: str) -> bytes | None:
        """Return a customer's public record as one JSON object, or None for an unknown id."""
        row = self._ids.find(customer_id)
        return None if row is None else self._line(row)

    def most_at_risk(self, count: int) -> list[bytes]:
        """Return the records of the customers with most value at risk, the greatest first."""
        known = np.flatnonzero(self._value >= 0)
        values = self._value[known]
        if len(known) > count:
            most = np.argpartition(-values, count)[:count]
            known, values = known[most], values[most]
        rows = known[np.lexsort((known, -values))].tolist()
        return [self._line(row) for row in rows]

    def page(self, *, after: str | None = None, limit: int, only: ScoreFilter = EVERYBODY) -> Page:
        """Return the next customers in the order of their ids, behind ``after``, known or not."""
        first = 0 if after is None else self._ids.after(after)
        if only.passes_all:
            last = min(first + limit, len(self))
            starts = np.arange(first, last, _BLOCK_ROWS)
            stops = np.minimum(starts + _BLOCK_ROWS, last)
            return self._page(starts, stops, rows=last - first, more=last < len(self))
        rows = self._matching(first, limit + 1, only)
        more = len(rows) > limit
        rows = rows[:limit]
        jumps = np.flatnonzero(np.diff(rows, prepend=-2, append=len(self) + 1) != 1)
        starts, stops = _split_spans(rows[jumps[:-1]], rows[jumps[1:] - 1] + 1)
        return self._page(starts, stops, rows=len(rows), more=more)

    def matches(self, only: ScoreFilter) -> Bool:
        """Return which customers pass the filters, bool[n]."""
        keep = np.zeros(len(self), dtype=bool)
        keep[self._matching(0, len(self), only)] = True
        return keep

    def _page(self, starts: Int64, stops: Int64, *, rows: int, more: bool) -> Page:
        ends = np.frombuffer(self._ends, dtype=np.int64)
        begins = np.where(starts > 0, ends[starts - 1], 0) if len(starts) else starts
        return Page(
            rows=rows,
            next=self._ids.text(int(stops[-1]) - 1) if more else None,
            _begins=begins,
            _ends=ends[stops - 1] if len(stops) else stops,
            _lines=self._lines,
        )

    def _matching(self, first: int, most: int, only: ScoreFilter) -> Int64:
        """Return the first rows from ``first`` on that pass the filters, at most ``most``."""
        wanted = {
            # Code -1, no word, reads the last entry.
            column: np.array([*(word in words for word in self.words(column)), False])
            for column, words in only.words.items()
            if words
        }
        rows: list[Int64] = []
        count = 0
        for start in range(first, len(self), _SCAN_ROWS):
            part = slice(start, start + _SCAN_ROWS)
            keep = self._passes(part, only, wanted)
            rows.append(start + np.flatnonzero(keep))
            count += len(rows[-1])
            if count >= most:
                break
        return np.concatenate(rows)[:most] if rows else np.empty(0, dtype=np.int64)

    def _passes(self, part: slice, only: ScoreFilter, wanted: Mapping[str, Bool]) -> Bool:
        probability, value = self._probability[part], self._value[part]
        keep = np.full(len(value), True)
        for column, words in wanted.items():
            keep &= words[self._words[column][part]]
        if only.min_probability is not None:
            keep &= probability >= only.min_probability
        if only.min_value_minor is not None:
            keep &= value >= max(only.min_value_minor, 0)
        if only.changed is not None:
            keep &= only.changed[part]
        return keep

    def _line(self, row: int) -> bytes:
        return self._lines.read(self._ends[row - 1] if row else 0, self._ends[row] - 1)


def open_score_set(path: Path) -> ScoreSet:
    """Verify and map one score set.

    Raises:
        ArtefactError: It is damaged or of another contract.
    """
    with too_old():
        return _read_score_set(open_artefact(path, kind=SCORE_SET_KIND, schema=SCORE_SET_SCHEMA))


def open_current_score_set(root: Path) -> ScoreSet:
    """Verify and map the score set that ``CURRENT`` names.

    Raises:
        NotPublishedError: None was published.
        ArtefactError: It is damaged or of another contract.
    """
    with too_old():
        return _read_score_set(open_current(root, kind=SCORE_SET_KIND, schema=SCORE_SET_SCHEMA))


@contextlib.contextmanager
def too_old() -> Iterator[None]:
    """Say of a set of another version how to get one of this version."""
    try:
        yield
    except IncompatibleArtefactError as error:
        raise IncompatibleArtefactError(
            error.thing,
            got=error.got,
            expected=error.expected,
            remedy="run `python -m serving score` to score again with this version",
        ) from error


def _read_score_set(artefact: Artefact) -> ScoreSet:
    table = read_arrow(artefact.file(SCORES_FILE))
    columns = {name: one_chunk(table.column(name)) for name in table.column_names}
    ends = columns["record_end"]
    lines = artefact.file(RECORDS_FILE)
    if (int(ends[-1].as_py()) if len(ends) else 0) != lines.stat().st_size:
        raise DamagedArtefactError(
            f"{artefact.kind} `{artefact.id}`",
            got=f"`{RECORDS_FILE}` of another length than `{SCORES_FILE}` says",
            remedy="publish it again",
        )
    return ScoreSet(
        artefact=artefact,
        as_of=datetime.fromisoformat(artefact.meta["as_of"]),
        model_version=artefact.meta["model_version"],
        snapshot=artefact.lineage["snapshot"],
        tiers=tuple(artefact.meta["tiers"]),
        stages=tuple(artefact.meta["stages"]),
        segments=tuple(artefact.meta["segments"]),
        actions=tuple(artefact.meta["actions"]),
        scored=int(artefact.meta["scored"]),
        warnings=tuple(artefact.meta["warnings"]),
        table=table,
        _ids=SortedIds(columns["customer_id"]),
        _ends=int64_view(ends),
        _probability=columns["probability"].to_numpy(zero_copy_only=False),
        _value=columns["value_at_risk_minor"].fill_null(-1).to_numpy(),
        _words={
            name: columns[name].indices.fill_null(-1).to_numpy(zero_copy_only=False)
            for name in WORDS
        },
        _lines=FileLines(lines),
    )


def _split_spans(starts: Int64, stops: Int64) -> tuple[Int64, Int64]:
    """Cut spans of rows [start, stop) into spans of at most ``_BLOCK_ROWS``."""
    counts = -(-(stops - starts) // _BLOCK_ROWS)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    begins = np.repeat(starts, counts) + place * _BLOCK_ROWS
    return begins, np.minimum(begins + _BLOCK_ROWS, np.repeat(stops, counts))
