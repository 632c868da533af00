"""Interval rows of one load that speak of the same time twice, and where each row stands."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

_GROUP_SHIFT = 2**34
"""More seconds than any two moments lie apart, so that groups stand apart on one axis."""


class Spans:
    """The spans of a load's rows, in the order they are staged.

    Args:
        group: Column of the group within which spans may not overlap.
        start: Column of their starts.
        minutes: Column of their lengths.
    """

    def __init__(self, group: str, start: str, minutes: str) -> None:
        self._group, self._start, self._minutes = group, start, minutes
        self._groups: dict[str, int] = {}
        self._sources: list[str] = []
        self._parts: list[tuple[Int64, Int64, Int64, Int64]] = []

    def add(self, rows: pa.Table, *, source: str, numbers: Int64) -> None:
        """Take rows that keep the contract, with each row's number in its source, int64[n]."""
        if rows.num_rows == 0:
            return
        words = rows.column(self._group).combine_chunks().dictionary_encode()
        ids = [self._groups.setdefault(g, len(self._groups)) for g in words.dictionary.to_pylist()]
        group = np.array(ids, dtype=np.int64)[words.indices.to_numpy()]
        seconds = pc.divide(rows.column(self._start).cast(pa.int64()), 1_000_000).to_numpy()
        length = rows.column(self._minutes).to_numpy() * 60
        if source not in self._sources:
            self._sources.append(source)
        place = np.full(rows.num_rows, self._sources.index(source), dtype=np.int64)
        self._parts.append((group * _GROUP_SHIFT + seconds, length, numbers, place))

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
        overlaps = np.zeros(len(start), dtype=bool)
        overlaps[order] = (reached[group] > first) | (end > following[group])
        return overlaps

    def places(self, wanted: Bool) -> list[tuple[str, Bool, Int64]]:
        """Return where some rows stand: source, which of them, and their numbers in it."""
        numbers, place = (np.concatenate([part[k] for part in self._parts])[wanted] for k in (2, 3))
        return [
            (source, place == k, numbers[place == k])
            for k, source in enumerate(self._sources)
            if (place == k).any()
        ]
