"""Whether the past can be computed without the future.

Features as of a moment are computed from the whole lake, and from a copy that ends at the moment;
they must be equal, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from training.churn.data import KEYS
from training.leakage.verdict import Verdict, leak, passed

FEATURE_REPLAY = "replay of features"
SHOWN = 8
"""Most names that a sentence lists."""


def replayed(whole: pa.Table, cut: pa.Table, *, at: datetime) -> Verdict:
    """Compare a moment's features from the whole lake with those from its past alone."""
    one, other = _by_customer(whole), _by_customer(cut)
    unborn = one.index.difference(other.index)
    gone = other.index.difference(one.index)
    shared = one.index.intersection(other.index)
    missing = sorted(set(one.columns) ^ set(other.columns))
    both = [name for name in one.columns if name in set(other.columns)]
    changed = differing(one.loc[shared, both], other.loc[shared, both])
    evidence = {
        "as_of": at.isoformat(),
        "customers": len(one),
        "features": len(one.columns),
        "changed": {**changed, **dict.fromkeys(missing, len(shared))},
        "customers_from_the_future": len(unborn),
        "customers_lost": len(gone),
    }
    faults = []
    if changed or missing:
        counts = [f"`{name}` of {n:,} customers" for name, n in _largest(changed)]
        faults.append("the future changes " + ", ".join([*counts, *(f"`{n}`" for n in missing)]))
    if len(unborn):
        faults.append(f"{len(unborn):,} customers are there before anything was known of them")
    if len(gone):
        faults.append(f"{len(gone):,} customers vanish with what came later")
    if not faults:
        return passed(
            FEATURE_REPLAY,
            f"{len(one.columns)} features of {len(one):,} customers as of {at:%Y-%m-%d} do not "
            "change with what came later",
            **evidence,
        )
    return leak(
        FEATURE_REPLAY,
        f"as of {at:%Y-%m-%d}: {'; '.join(faults)}",
        "compute it from rows with event time before the as-of and `available_at` at it or before; "
        "fit means and encodings anew for each as-of",
        **evidence,
    )


def differing(one: pd.DataFrame, other: pd.DataFrame) -> dict[str, int]:
    """Return, by column, how many cells differ; two empty cells do not.

    >>> a, b = pd.DataFrame({"x": [1.0, np.nan, 2.0]}), pd.DataFrame({"x": [1.0, np.nan, 3.0]})
    >>> differing(a, b)
    {'x': 1}
    """
    found = {}
    for name in one.columns:
        a, b = one[name].to_numpy(), other[name].to_numpy()
        unequal = (a != b) & ~(pd.isna(a) & pd.isna(b))
        if count := int(np.count_nonzero(unequal)):
            found[str(name)] = count
    return found


def _by_customer(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.drop_columns([KEYS[1]]).to_pandas()
    return frame.drop_duplicates(KEYS[0]).set_index(KEYS[0])


def _largest(counts: dict[str, int]) -> Sequence[tuple[str, int]]:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ordered[:SHOWN]
