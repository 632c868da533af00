"""Who changed between two score sets, for a CRM that takes over only what is new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.artefact import open_artefact
from features.calendar import Bool, Int64
from features.snapshot import read_arrow
from serving.sets.mapped import SortedIds, one_chunk
from serving.sets.scores import (
    SCORE_SET_KIND,
    SCORE_SET_SCHEMA,
    SCORES_FILE,
    ScoreSet,
    too_old,
)

LEAST_MOVE = 0.01
"""A probability that moved by less is no change by itself."""
_COMPARED = ("tier", "stage", "segment", "action", "reason_1")
_BLOCK_ROWS = 65_536
_ROUNDING = 1e-9
"""Probabilities have six decimals: a difference of 0.01 must not miss by the last bit."""


def open_columns(path: Path) -> pa.Table:
    """Verify and map the columns of a score set that is kept; its records are not looked at.

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
