"""Boosted trees as look-up tables: raw score and exact Shapley values in one pass.

For each pattern of answers to a tree's few splits, its output and the Shapley value of each group
(path-dependent TreeSHAP, Lundberg et al. 2020) are worked out in training. The numbers are those of
LightGBM's ``pred_contrib``, some thirty times sooner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.calendar import Bool, Float64, Int64

MAX_SPLITS = 9
"""Splits in one tree; a table has 2 to that many rows."""


@dataclass(frozen=True)
class TreeTables:
    """An ensemble of t trees with at most s splits each over k features in g groups.

    A row's pattern in a tree is the sum of 2^b over the splits b that send it left.

    Attributes:
        feature: Index of each split's feature, int64[t, s]; -1 where a tree has fewer splits.
        threshold: A value at most this goes left, float64[t, s].
        missing_left: Whether a missing value goes left, bool[t, s].
        table: float64[t, 2^s, g + 1]: what each group adds to the tree's mean output under each
            pattern, then the tree's output.
        base: The sum of the trees' mean outputs.
    """

    feature: Int64
    threshold: Float64
    missing_left: Bool
    table: Float64
    base: float

    def of(self, columns: Float64) -> tuple[Float64, Float64]:
        """Return what each group adds and the raw score of each row.

        Args:
            columns: float64[k, n], one row of memory a feature, NaN where missing.

        Returns:
            ``(groups, raw)``: float64[n, g] and float64[n], in log-odds; for every row
            ``base + groups.sum() == raw``.
        """
        rows = columns.shape[1]
        total = np.zeros((rows, self.table.shape[2]))
        term = np.empty_like(total)
        pattern = np.empty(rows, dtype=np.int64)
        for features, thresholds, lefts, table in zip(
            self.feature, self.threshold, self.missing_left, self.table, strict=True
        ):
            pattern[:] = 0
            for bit in range(int((features >= 0).sum())):
                column = columns[features[bit]]
                # A comparison with NaN is false, so the side asked for decides where it goes.
                left = ~(column > thresholds[bit]) if lefts[bit] else column <= thresholds[bit]
                pattern += left.astype(np.int64) << bit
            np.take(table, pattern, axis=0, out=term)
            total += term
        return total[:, :-1], total[:, -1]

    def arrays(self) -> dict[str, Any]:
        """Return the arrays to store with ``numpy.savez``."""
        return {
            "feature": self.feature,
            "threshold": self.threshold,
            "missing_left": self.missing_left,
            "table": self.table,
            "base": np.float64(self.base),
        }

    @classmethod
    def from_arrays(cls, stored: Mapping[str, Any]) -> TreeTables:
        """Return the tables that ``arrays`` gave."""
        return cls(
            feature=stored["feature"],
            threshold=stored["threshold"],
            missing_left=stored["missing_left"],
            table=stored["table"],
            base=float(stored["base"]),
        )
