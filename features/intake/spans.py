"""Interval rows of one load that speak of the same time twice, and where each row stands."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

_QUEUE_SHIFT = 2**34
"""More seconds than any two moments lie apart, so that queues stand apart on one axis."""


class Spans:
    """The spans of a load's interval rows, in the order they are staged."""

    def __init__(self) -> None:
        self._queues: dict[str, int] = {}
        self._sources: list[str] = []
        self._parts: list[tuple[Int64, Int64, Int64, Int64]] = []

    def add(self, rows: pa.Table, *, source: str, numbers: Int64) -> None:
        """Take rows that keep the contract.

        Args:
            rows: Of the table ``intervals``.
            source: The file or query.
            numbers: Each row's number in it, int64[n].
        """
        if rows.num_rows == 0:
            return
        words = rows.column("queue").combine_chunks().dictionary_encode()
        ids = [self._queues.setdefault(q, len(self._queues)) for q in words.dictionary.to_pylist()]
        queue = np.array(ids, dtype=np.int64)[words.indices.to_numpy()]
        seconds = pc.divide(rows.column("interval_start").cast(pa.int64()), 1_000_000).to_numpy()
        length = rows.column("interval_minutes").to_numpy() * 60
        if source not in self._sources:
            self._sources.append(source)
        place = np.full(rows.num_rows, self._sources.index(source), dtype=np.int64)
        self._parts.append((queue * _QUEUE_SHIFT + seconds, length, numbers, place))

    def overlapping(self) -> Bool:
        """Return which rows share a moment with a row of another start, bool[n].

        Rows of one start are versions of each other, or contradict each other: see ``versions``.
        """
        if not self._parts:
            return np.zeros(0, dtype=bool)
        start, length = (np.concatenate([part[k] for part in self._parts]) for k in (0, 1))
        order = np.argsort(start, kind="stable")
        first, end = start[order], (start + length)[order]
        same_as_before = np.append(False, first[1:] == first[:-1])
        group = np.cumsum(~same_as_before) - 1
        begins = first[~same_as_before]
        reach = np.full(len(begins), np.iinfo(np.int64).min)
        np.maximum.at(reach, group, end)
        reached = np.append(np.iinfo(np.int64).min, np.maximum.accumulate(reach)[:-1])
        following = np.append(begins[1:], np.iinfo(np.int64).max)
        found = np.zeros(len(start), dtype=bool)
        found[order] = (reached[group] > first) | (end > following[group])
        return found

    def places(self, wanted: Bool) -> list[tuple[str, Bool, Int64]]:
        """Return where some rows stand: source, which of them, and their numbers in it."""
        numbers, place = (np.concatenate([part[k] for part in self._parts]) for k in (2, 3))
        numbers, place = numbers[wanted], place[wanted]
        return [
            (source, place == k, numbers[place == k])
            for k, source in enumerate(self._sources)
            if (place == k).any()
        ]
