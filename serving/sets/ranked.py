"""A score set in another order than its own: whom to contact first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.calendar import Bool, Int64
from features.errors import InputError
from serving.lists import Candidate
from serving.sets.scores import ScoreSet

RANK_COLUMNS = {"probability": "probability", "value_at_risk": "value_at_risk_minor"}
"""Column of ``scores.arrow`` by what a ranking is by."""
_AT_ONCE = 4_096


@dataclass(frozen=True)
class Ranked:
    """The customers of a set whom some filters leave, the first to contact first.

    Attributes:
        set: The set.
        rows: Their rows in it, int64[n].
        without_consent: Customers whom the filters left and who must not be contacted.
        money: Column of money that they are ranked by; None where it is none.
    """

    set: ScoreSet
    rows: Int64
    without_consent: int
    money: str | None

    def candidates(self) -> Iterator[Candidate]:
        """Yield the customers in order; ids are read as they are asked for."""
        table = self.set.table
        for start in range(0, len(self.rows), _AT_ONCE):
            part = table.take(pa.array(self.rows[start : start + _AT_ONCE]))
            ids = part.column("customer_id").to_pylist()
            money = [None] * len(ids) if self.money is None else part.column(self.money).to_pylist()
            probability = part.column("probability").to_pylist()
            yield from map(Candidate, ids, probability, money)


def ranked(
    of: ScoreSet,
    *,
    by: str,
    words: Mapping[str, Collection[str]],
    least: Mapping[str, float],
) -> Ranked:
    """Return whom some filters leave, in descending order; ties stand in the order of the ids.

    Customers outside the population, or without what the ranking is by, are left out.

    Args:
        of: The score set.
        by: A key of ``RANK_COLUMNS``.
        words: For columns of words the ones wanted; no words for all.
        least: For columns of numbers the least value.

    Raises:
        InputError: The set has no such column.
    """
    column = RANK_COLUMNS[by]
    values = _numbers(of, column, field="rank_by")
    keep: Bool = ~np.isnan(values)
    for name, wanted in words.items():
        if wanted:
            keep &= _is_one_of(of, name, wanted)
    for name, bound in least.items():
        keep &= _numbers(of, name, field=f"filters.{name}") >= bound
    refused = np.zeros(len(of), dtype=bool)
    if "consent" in of.table.column_names:
        refused = pc.equal(of.table.column("consent"), False).fill_null(False).to_numpy()
    chosen = np.flatnonzero(keep & ~refused)
    order = np.argsort(-values[chosen], kind="stable")
    money = None if column == "probability" else column
    return Ranked(of, chosen[order], int((keep & refused).sum()), money)


def _numbers(of: ScoreSet, column: str, *, field: str) -> Any:
    return _column(of, column, field=field).cast(pa.float64()).to_numpy(zero_copy_only=False)


def _is_one_of(of: ScoreSet, column: str, wanted: Collection[str]) -> Bool:
    found = _column(of, column, field=f"filters.{column}")
    words = found.dictionary.to_pylist()
    # Code -1, none, reads the last entry.
    is_wanted = np.array([word in wanted for word in words] + [False])
    kept: Bool = is_wanted[found.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    return kept


def _column(of: ScoreSet, column: str, *, field: str) -> Any:
    if column not in of.table.column_names:
        raise InputError(
            f"`{field}`",
            got=f"`{column}`, which score set `{of.id}` does not hold",
            expected="what the set was published with",
            remedy="publish a new one with `python -m serving score`",
            field=field,
        )
    return of.table.column(column).combine_chunks()
