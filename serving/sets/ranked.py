"""A score set ranked by whom to contact first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.calendar import Int64
from serving.lists import Candidate
from serving.sets.scores import ScoreFilter, ScoreSet

RANK_COLUMNS = {"probability": "probability", "value_at_risk": "value_at_risk_minor"}
"""Column of ``scores.arrow`` by what a ranking is by."""
_ROWS_AT_ONCE = 4_096


@dataclass(frozen=True)
class Ranked:
    """The filtered customers of a score set, the first to contact first.

    Attributes:
        rows: Their rows in the set, int64[n].
        without_consent: How many more passed the filters but must not be contacted.
    """

    set: ScoreSet
    rows: Int64
    without_consent: int

    def candidates(self) -> Iterator[Candidate]:
        """Yield the customers in order; ids are read in blocks, as far as they are needed."""
        table = self.set.table
        for start in range(0, len(self.rows), _ROWS_AT_ONCE):
            part = table.take(pa.array(self.rows[start : start + _ROWS_AT_ONCE]))
            columns = ("customer_id", "probability", "value_at_risk_minor")
            yield from map(Candidate, *(part.column(name).to_pylist() for name in columns))


def ranked(of: ScoreSet, *, by: str, only: ScoreFilter) -> Ranked:
    """Return the filtered customers in descending order; ties stand in the order of the ids.

    Customers without the value of ``by``, a key of ``RANK_COLUMNS``, are left out; so are those
    known not to consent to a contact.
    """
    values = of.table.column(RANK_COLUMNS[by]).cast(pa.float64())
    no_consent = pc.equal(of.table.column("consent"), False).fill_null(False).to_numpy()
    numbers = values.to_numpy()
    keep = of.matches(only) & ~np.isnan(numbers)
    rows = np.flatnonzero(keep & ~no_consent)
    order = np.argsort(-numbers[rows], kind="stable")
    return Ranked(of, rows[order], int((keep & no_consent).sum()))
