"""Earlier score sets that a request names, and which customers changed since."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Bool, Int64
from features.arrow import SortedIds, one_chunk, read_arrow
from features.artefact import list_ids, open_artefact
from features.errors import ArtefactError, SetGoneError, UnknownNameError
from serving.published.score_set import (
    SCORE_SET_KIND,
    SCORE_SET_SCHEMA,
    SCORES_FILE,
    ScoreSet,
    open_score_set,
    too_old,
)

LEAST_MOVE = 0.01
"""A probability that moved by less is no change by itself."""
_COMPARED = ("tier", "stage", "segment", "action", "reason_1")
_BLOCK_ROWS = 65_536
_ROUNDING = 1e-9
"""Probabilities have six decimals: a difference of 0.01 must not miss by the last bit."""


def open_columns(path: Path) -> pa.Table:
    """Verify and map the columns of a stored score set; its records are not looked at.

    Raises:
        ArtefactError: It is damaged or of another version.
    """
    with too_old():
        artefact = open_artefact(
            path, kind=SCORE_SET_KIND, schema=SCORE_SET_SCHEMA, only=(SCORES_FILE,)
        )
    return read_arrow(artefact.file(SCORES_FILE))


def changed_rows(new: ScoreSet, old: pa.Table) -> Bool:
    """Return which customers of a set are new or other than in an earlier one, bool[n].

    Other means: tier, stage, segment, action or first reason differ, the probability is there
    where it was not or the reverse, or it moved by ``LEAST_MOVE`` or more.
    """
    rows = _places(one_chunk(new.table.column("customer_id")), one_chunk(old.column("customer_id")))
    changed: Bool = rows < 0
    if old.num_rows == 0:
        return changed
    rows = np.maximum(rows, 0)
    for name in _COMPARED:
        now, before = (one_chunk(table.column(name)) for table in (new.table, old))
        changed |= _column_codes(now) != _recoded(before, now.dictionary)[rows]
    now, before = (
        one_chunk(table.column("probability")).to_numpy(zero_copy_only=False)
        for table in (new.table, old)
    )
    moved = np.abs(now - before[rows])
    changed |= (moved >= LEAST_MOVE - _ROUNDING) | (np.isnan(now) != np.isnan(before[rows]))
    return changed


def _places(ids: pa.Array, among: pa.Array) -> Int64:
    """Return the row of each id among others, both sorted; -1 where it is not there."""
    if ids.equals(among):
        return np.arange(len(ids))
    others = SortedIds(among)
    rows = np.full(len(ids), -1, dtype=np.int64)
    # Block by block, so that no table of a million ids has to be hashed at once.
    for start in range(0, len(ids), _BLOCK_ROWS):
        block = ids.slice(start, _BLOCK_ROWS)
        first = others.from_id(block[0].as_py())
        near = among.slice(first, others.after(block[-1].as_py()) - first)
        place = pc.index_in(block, value_set=near).fill_null(-1).to_numpy()
        rows[start : start + len(block)] = np.where(place >= 0, place + first, -1)
    return rows


def _column_codes(column: pa.DictionaryArray) -> Any:
    return column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def _recoded(column: pa.DictionaryArray, words: pa.Array) -> Int64:
    """Return a column's codes as places in other words; -2 for a word that is not among them."""
    place = {word: i for i, word in enumerate(words.to_pylist())}
    codes = np.array([place.get(word, -2) for word in column.dictionary.to_pylist()] + [-1])
    recoded: Int64 = codes[_column_codes(column)]
    return recoded


Key = TypeVar("Key")
Value = TypeVar("Value")

MOST_OPEN = 2
"""Sets that stay open, so that a pull under way can finish."""
MOST_CHANGES = 4
"""Comparisons that are cached: a byte a customer each."""


class ScoreSetCache:
    """Opens the score sets that stand in a folder, and caches the last few."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: OrderedDict[str, ScoreSet] = OrderedDict()
        self._changes: OrderedDict[tuple[str, str], Bool] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, scores: ScoreSet) -> None:
        """Hold on to a set that was replaced."""
        self._put(self._open, scores.id, scores, most=MOST_OPEN)

    def get(self, id: str) -> ScoreSet | None:
        """Return a set that is open already; None where it must be opened first."""
        return self._open.get(id)

    def open(self, id: str, *, current: ScoreSet) -> ScoreSet:
        """Open a set from disk; takes about a second per gigabyte.

        Raises:
            SetGoneError: It is not there any more, or not fit.
        """
        if id not in self._ids():
            raise SetGoneError(
                f"The score set asked for is not kept any more; `{current.id}` is in force",
                remedy="leave `set` and `after` out and begin the pull again",
                field="set",
            )
        try:
            scores = open_score_set(self._root / id)
        except ArtefactError as error:
            raise _unfit(error, "set") from error
        self.add(scores)
        return scores

    def changed(self, since: str, *, of: ScoreSet) -> Bool:
        """Return who changed since another set, bool[customers].

        Raises:
            UnknownNameError: No such set is stored.
            SetGoneError: It is not fit.
        """
        if (cached := self._changes.get((of.id, since))) is not None:
            return cached
        known = self._ids()
        if since not in known:
            raise UnknownNameError("score set", since, known, field="changed_since")
        try:
            changed = changed_rows(of, open_columns(self._root / since))
        except ArtefactError as error:
            raise _unfit(error, "changed_since") from error
        self._put(self._changes, (of.id, since), changed, most=MOST_CHANGES)
        return changed

    def _ids(self) -> list[str]:
        return [path.name for path in list_ids(self._root)]

    def _put(self, entries: OrderedDict[Key, Value], key: Key, value: Value, *, most: int) -> None:
        with self._lock:
            entries[key] = value
            entries.move_to_end(key)
            while len(entries) > most:
                entries.popitem(last=False)


def _unfit(error: ArtefactError, parameter: str) -> SetGoneError:
    return SetGoneError(
        str(error),
        remedy=f"leave `{parameter}` out and begin the pull again",
        field=parameter,
    )
