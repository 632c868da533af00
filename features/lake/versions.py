"""Which rows of a load are new, changed or repeated, and which overlap in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


OPEN = np.iinfo(np.int64).max
"""``superseded_at`` of the newest version of a key."""


@dataclass(frozen=True)
class Rows:
    """What is compared of n rows.

    Attributes:
        key: Two unrelated hashes of the key, uint64[2, n].
        available: When each was known, microseconds since 1970, int64[n].
        content: Hash of all columns but ``available_at``, int64[n].
    """

    key: npt.NDArray[np.uint64]
    available: Int64
    content: Int64

    def __len__(self) -> int:
        return len(self.available)

    def take(self, rows: npt.NDArray[np.intp]) -> Rows:
        """Return some rows, in the given order."""
        return Rows(self.key[:, rows], self.available[rows], self.content[rows])

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """Return all rows of some parts, in order; no parts give no rows."""
        nothing = np.empty(0, dtype=np.int64)
        return cls(
            np.concatenate([np.empty((2, 0), np.uint64), *(part.key for part in parts)], axis=1),
            np.concatenate([nothing, *(part.available for part in parts)]),
            np.concatenate([nothing, *(part.content for part in parts)]),
        )


@dataclass(frozen=True)
class VersionPlan:
    """Where n incoming rows belong among m stored ones.

    Attributes:
        keep: Whether an incoming row is to be stored, bool[n]; the others are repeated or
            contradictory.
        new: Whether it is the first of its key, bool[n].
        contradictory: Whether another row of the load says otherwise of the same key and moment,
            or it was refused before, bool[n]; looked for on request.
        superseded: When each incoming row ends, microseconds, int64[n]; ``OPEN`` for the newest.
        stored_superseded: When each stored row ends from now on, int64[m].
    """

    keep: Bool
    new: Bool
    contradictory: Bool
    superseded: Int64
    stored_superseded: Int64


def place(
    incoming: Rows, *, stored: Rows, stored_superseded: Int64, contradictory: Bool | None = None
) -> VersionPlan:
    """Place incoming rows, in file order, among the stored versions of their keys.

    ``stored`` holds all stored versions of the keys among them; more do no harm.
    ``stored_superseded`` says when each ends, int64[m]. ``contradictory`` flags rows that are
    refused already, bool[n]; where it is given, two rows of one key and moment that differ are
    both refused as well.

    >>> rows = Rows(np.array([[1, 1], [1, 1]], np.uint64), np.array([10, 20]), np.array([5, 6]))
    >>> nothing = Rows(np.empty((2, 0), np.uint64), np.empty(0, np.int64), np.empty(0, np.int64))
    >>> place(rows, stored=nothing, stored_superseded=np.empty(0, np.int64)).superseded[0]
    np.int64(20)
    """
    n = len(incoming)
    result = VersionPlan(
        keep=np.ones(n, dtype=bool),
        new=np.ones(n, dtype=bool),
        contradictory=np.zeros(n, dtype=bool) if contradictory is None else contradictory.copy(),
        superseded=np.full(n, OPEN, dtype=np.int64),
        stored_superseded=stored_superseded.copy(),
    )
    result.keep[result.contradictory] = False
    chosen = np.flatnonzero(_met_again(incoming.key[0], stored.key[0]))
    if len(chosen):
        _place_chosen(incoming, chosen, stored, result, contradictions=contradictory is not None)
    return result


def _met_again(keys: npt.NDArray[np.uint64], stored: npt.NDArray[np.uint64]) -> Bool:
    """Return which keys come more than once or are stored: all others are plainly new."""
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    again = np.zeros(len(keys), dtype=bool)
    again[order[1:]] |= same
    again[order[:-1]] |= same
    return again | among(keys, np.sort(stored))


def among(values: npt.NDArray[np.uint64], ordered: npt.NDArray[np.uint64]) -> Bool:
    """Return which values stand in an ascending array, bool[n].

    >>> among(np.array([3, 4], np.uint64), np.array([1, 3], np.uint64)).tolist()
    [True, False]
    """
    if len(ordered) == 0:
        return np.zeros(len(values), dtype=bool)
    where = np.searchsorted(ordered, values)
    where[where == len(ordered)] = 0
    return np.asarray(ordered[where] == values)


def _place_chosen(
    incoming: Rows,
    chosen: npt.NDArray[np.intp],
    stored: Rows,
    result: VersionPlan,
    *,
    contradictions: bool,
) -> None:
    m = len(stored)
    some = incoming.take(chosen)
    rows = Rows.joined([stored, some])
    is_stored = np.arange(len(rows)) < m
    # Stored losers, then the stored winner of a moment, then the load in file order.
    visible = result.stored_superseded != stored.available
    rank = np.concatenate([visible.astype(np.int64), 2 + np.arange(len(some))])

    alive = is_stored | ~_said_before(rows, is_stored, rank)
    if contradictions:
        clash = _clashes(rows, alive & ~is_stored)
        clash[m:] |= result.contradictory[chosen]
        result.contradictory[chosen] = clash[m:]
        alive &= ~clash
    rank[_overruled(rows, is_stored, rank, alive)] -= len(rank) + 2
    stays, ends, first = _chain(rows, is_stored, rank, alive)
    result.keep[chosen] = stays[m:]
    result.new[chosen] = first[m:]
    result.superseded[chosen] = ends[m:]
    result.stored_superseded[:] = ends[:m]


def _starts(*columns: npt.NDArray[np.generic]) -> Bool:
    """Return where a group of equal neighbours starts."""
    start = np.zeros(len(columns[0]), dtype=bool)
    start[:1] = True
    for column in columns:
        start[1:] |= column[1:] != column[:-1]
    return start


def _groups(
    *by: npt.NDArray[np.generic], rank: Int64 | None = None
) -> tuple[npt.NDArray[np.intp], Bool, Bool]:
    """Sort rows by columns, then rank; return the order, and where a group starts and ends."""
    order = np.lexsort((*(() if rank is None else (rank,)), *reversed(by)))
    start = _starts(*(column[order] for column in by))
    return order, start, np.append(start[1:], True)


def _any_in_group(start: Bool, flags: Bool) -> Bool:
    """Return for each row whether any row of its group is flagged."""
    group = np.cumsum(start) - 1
    return np.asarray(np.bincount(group, weights=flags)[group] > 0)


def _unsorted(order: npt.NDArray[np.intp], flags: Bool) -> Bool:
    result = np.zeros(len(order), dtype=bool)
    result[order] = flags
    return result


def _said_before(rows: Rows, is_stored: Bool, rank: Int64) -> Bool:
    """Return incoming rows that are stored, or come again later, with equal content and moment."""
    order, start, last = _groups(*rows.key, rows.available, rows.content, rank=rank)
    repeated = _any_in_group(start, is_stored[order]) | ~last
    return _unsorted(order, repeated) & ~is_stored


def _overruled(rows: Rows, is_stored: Bool, rank: Int64, alive: Bool) -> Bool:
    """Return incoming rows of moments whose last word in the load is stored already.

    They were overruled when that word was stored, and stay so.
    """
    order, start, last = _groups(*rows.key, rows.available, rank=rank)
    settled = _any_in_group(start, last & ~is_stored[order] & ~alive[order])
    return _unsorted(order, settled) & ~is_stored


def _clashes(rows: Rows, candidates: Bool) -> Bool:
    """Return candidates of which another one has the same key and moment."""
    index = np.flatnonzero(candidates)
    some = rows.take(index)
    order, start, _ = _groups(*some.key, some.available)
    clash = np.zeros(len(rows), dtype=bool)
    clash[index] = _unsorted(order, _any_in_group(start, ~start))
    return clash


def _chain(rows: Rows, is_stored: Bool, rank: Int64, alive: Bool) -> tuple[Bool, Int64, Bool]:
    """Return which rows stay, when each ends, and which is the first of a new key."""
    stays, first = np.zeros(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    ends = np.full(len(rows), OPEN, dtype=np.int64)
    index = np.flatnonzero(alive)
    if len(index) == 0:
        return stays, ends, first
    order, starts_moment, wins = _groups(
        *rows.key[:, index], rows.available[index], rank=rank[index]
    )
    order = index[order]
    chain, held = rows.take(order), is_stored[order]
    starts_key = _starts(*chain.key)

    winner = np.flatnonzero(wins)
    follows = ~starts_key[np.flatnonzero(starts_moment)]
    follows[1:] &= chain.content[winner][1:] == chain.content[winner][:-1]
    says_nothing_new = np.zeros(len(order), dtype=bool)
    says_nothing_new[winner] = follows
    by_content, start, _ = _groups(*rows.key, rows.content)
    content_is_stored = _unsorted(by_content, _any_in_group(start, is_stored[by_content]))
    loser_stays = ~wins & (held | ~content_is_stored[order])
    # Where another version of the same moment is stored, it says which of them holds.
    says_nothing_new &= ~_any_in_group(starts_moment, held | loser_stays)
    stay = held | loser_stays | (wins & ~says_nothing_new)

    end = chain.available.copy()
    lasting = np.flatnonzero(wins & stay)
    group = np.cumsum(starts_key)[lasting]
    following = np.full(len(lasting), OPEN, dtype=np.int64)
    same_key = group[1:] == group[:-1]
    following[:-1][same_key] = chain.available[lasting][1:][same_key]
    end[lasting] = following

    stays[order], ends[order] = stay, end
    stayed = np.flatnonzero(stay)
    opens = _starts(*chain.key[:, stayed])
    first[order[stayed]] = opens & ~_any_in_group(starts_key, held)[stayed]
    return stays, ends, first
