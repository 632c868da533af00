"""The score set: every customer's churn score, ready to be sent.

Layout of the folder:

- ``scores.arrow``: one row a customer, sorted by the UTF-8 bytes of the id. Columns
  ``customer_id``, ``probability`` and ``percentile`` (null outside the population), ``tier``
  (dictionary of words, null outside the population), ``reason_1`` to ``reason_3`` (dictionary
  of codes, null where there is none) and ``record_end`` (int64: one past the last byte of the
  customer's line in ``records.ndjson``). Arrow IPC in one uncompressed batch, mapped into memory.
- ``records.ndjson``: each customer's public record as one JSON line, in the same order.
- ``manifest.json``: ``meta`` holds ``as_of``, ``model_version``, ``tiers`` (from the highest risk
  down), ``customers``, ``scored``, ``warnings``; ``lineage`` holds ``snapshot`` and ``bundle``.

The public record, which HTTP sends as it stands:

- ``customer_id``: text.
- ``in_population``: whether the model may judge this customer (bought within its active days).
- ``probability``: of the churn label, in [0, 1], 6 decimals; null outside the population.
- ``percentile``: share of the scored population with a lower probability, in [0, 100], 2
  decimals; null outside the population.
- ``tier``: one of ``meta.tiers``; null outside the population.
- ``reasons``: at most three objects ``code``, ``text``, ``value``, ``usual`` (numbers or null;
  the customer's value and the usual one), the weightiest first; empty outside the population.
- ``warnings``: list of text.
- ``as_of``: ISO time, UTC, that the features look back from.
- ``model_version``: id of the churn bundle.
- ``score_set``: id of this set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from features.artefact import Artefact, open_artefact, open_current
from features.calendar import Float64
from features.errors import DamagedArtefactError
from features.snapshot import read_arrow
from serving.sets.mapped import FileLines, SortedIds, int64_view, one_chunk

SCORE_SET_KIND = "score-set"
SCORE_SET_SCHEMA = 1
SCORES_FILE = "scores.arrow"
RECORDS_FILE = "records.ndjson"
_SCAN_ROWS = 16_384
"""Rows that a filter looks at before it asks whether the page is full."""


@dataclass(frozen=True)
class Page:
    """A stretch of a score set.

    Attributes:
        data: NDJSON lines, each ended by a newline.
        rows: How many.
        next: Id to pass as ``after`` for the next page; None where this one is the last.
    """

    data: bytes
    rows: int
    next: str | None


@dataclass(frozen=True)
class ScoreSet:
    """One published score set, verified; ids and numbers are mapped, records read in place.

    Attributes:
        artefact: The verified folder; its ``id`` names the set.
        as_of: The moment that the features look back from.
        model_version: Id of the churn bundle that made it.
        snapshot: Id of the feature snapshot it was made from.
        tiers: The tiers, from the highest risk down.
        scored: Customers in the population.
        warnings: What a reader should know of the whole set.
        table: ``scores.arrow`` as it stands.
    """

    artefact: Artefact
    as_of: datetime
    model_version: str
    snapshot: str
    tiers: tuple[str, ...]
    scored: int
    warnings: tuple[str, ...]
    table: pa.Table
    _ids: SortedIds
    _ends: memoryview
    _probability: Float64
    _tier: Any
    _lines: FileLines

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def id(self) -> str:
        """Name of the set."""
        return self.artefact.id

    @property
    def created_at(self) -> datetime:
        """When it was published, aware UTC."""
        return self.artefact.created_at

    def record(self, customer_id: str) -> bytes | None:
        """Return a customer's public record as one JSON object, or None for an unknown id."""
        row = self._ids.find(customer_id)
        if row is None:
            return None
        return self._lines.read(self._begin(row), self._ends[row] - 1)

    def page(
        self,
        *,
        after: str | None = None,
        limit: int,
        tiers: Iterable[str] = (),
        min_probability: float | None = None,
    ) -> Page:
        """Return the next customers in the order of their ids.

        Args:
            after: Id to start behind, known or not; None to start at the first.
            limit: Greatest number of customers, at least 1.
            tiers: Only customers in one of these; empty for all.
            min_probability: Only customers with at least this probability, in [0, 1].

        Returns:
            Their records and where to go on. Without a filter it is one read of the file.
        """
        first = 0 if after is None else self._ids.after(after)
        wanted = set(tiers)
        if not wanted and min_probability is None:
            last = min(first + limit, len(self))
            data = self._lines.read(self._begin(first), self._begin(last))
            more = last < len(self)
            return Page(data, last - first, self._ids.text(last - 1) if more else None)
        rows = self._matching(first, limit + 1, wanted, min_probability)
        more = len(rows) > limit
        rows = rows[:limit]
        data = b"".join(self._lines.read(self._begin(a), self._begin(b)) for a, b in _runs(rows))
        return Page(data, len(rows), self._ids.text(rows[-1]) if more else None)

    def _matching(
        self, first: int, most: int, tiers: set[str], min_probability: float | None
    ) -> list[int]:
        """Return the first rows from ``first`` on that pass the filters, at most ``most``."""
        # Code -1, outside the population, reads the last entry.
        wanted = np.array([not tiers or tier in tiers for tier in self.tiers] + [not tiers])
        rows: list[int] = []
        for start in range(first, len(self), _SCAN_ROWS):
            part = slice(start, start + _SCAN_ROWS)
            keep = wanted[self._tier[part]]
            if min_probability is not None:
                keep &= self._probability[part] >= min_probability
            rows += (start + np.flatnonzero(keep)).tolist()
            if len(rows) >= most:
                break
        return rows[:most]

    def _begin(self, row: int) -> int:
        return self._ends[row - 1] if row else 0


def iso(moment: datetime) -> str:
    """Return a moment as the API writes it: UTC, seconds, ``Z``.

    >>> iso(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05Z'
    """
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def open_score_set(path: Path) -> ScoreSet:
    """Verify and map one score set.

    Raises:
        ArtefactError: It is damaged or of another contract.
    """
    return _read(open_artefact(path, kind=SCORE_SET_KIND, schema=SCORE_SET_SCHEMA))


def open_current_score_set(root: Path) -> ScoreSet:
    """Verify and map the score set that ``CURRENT`` names.

    Raises:
        NotPublishedError: None was published.
        ArtefactError: It is damaged or of another contract.
    """
    return _read(open_current(root, kind=SCORE_SET_KIND, schema=SCORE_SET_SCHEMA))


def _read(artefact: Artefact) -> ScoreSet:
    table = read_arrow(artefact.file(SCORES_FILE))
    ids, probability, tier, ends = (
        one_chunk(table.column(name))
        for name in ("customer_id", "probability", "tier", "record_end")
    )
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
        scored=int(artefact.meta["scored"]),
        warnings=tuple(artefact.meta["warnings"]),
        table=table,
        _ids=SortedIds(ids),
        _ends=int64_view(ends),
        _probability=probability.to_numpy(zero_copy_only=False),
        _tier=tier.indices.fill_null(-1).to_numpy(zero_copy_only=False),
        _lines=FileLines(lines),
    )


def _runs(rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Join ascending rows into spans [first, one past the last)."""
    start = previous = None
    for row in rows:
        if start is None or previous is None:
            start = row
        elif row != previous + 1:
            yield start, previous + 1
            start = row
        previous = row
    if start is not None and previous is not None:
        yield start, previous + 1
