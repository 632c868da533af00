"""One date of a source as it stands: features, labels, and the orders that customers stand in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from features.calendar import Float64
from training.churn.config import ChurnConfig
from training.churn.data import KEYS, AsOf, ChurnSource, labelled
from training.leakage.strength import ORDER, Probe
from training.leakage.verdict import Verdict, leak, passed

ONE_ROW = "one row a customer and date"


def read_date(
    source: ChurnSource, at: datetime, *, names: Sequence[str], config: ChurnConfig
) -> tuple[AsOf, list[Probe], Verdict]:
    """Return a date's population, its orders, and whether each customer stands once."""
    rows = source.customers([at]).to_pandas()
    labels = labelled(source, [at], config).to_pandas()
    rows["row"] = np.arange(len(rows), dtype=float)
    labels["label_row"] = np.arange(len(labels), dtype=float)
    twice = int(rows[KEYS[0]].duplicated().sum() + labels[KEYS[0]].duplicated().sum())
    both = rows.merge(labels[[KEYS[0], "churned", "label_row"]], on=KEYS[0])
    if len(both) > config.rows_per_date:
        both = both.sample(config.rows_per_date, random_state=config.seed)
    date = AsOf(
        at=at,
        features=both[list(names)].to_numpy(dtype=float),
        churned=both["churned"].to_numpy(dtype=float),
        population=len(labels),
        pace=None,
    )
    return date, _orders(both), _once(at, twice)


def _once(at: datetime, twice: int) -> Verdict:
    if twice:
        return leak(
            ONE_ROW,
            f"as of {at:%Y-%m-%d}, {twice:,} rows repeat a customer",
            "join what is added one row a customer, so that no customer counts twice",
            rows=twice,
        )
    return passed(ONE_ROW, f"each customer stands once as of {at:%Y-%m-%d}")


def _orders(rows: pd.DataFrame) -> list[Probe]:
    """Return the orders that customers stand in, those that are equal once."""
    ids = rows[KEYS[0]]
    digits = pd.to_numeric(ids.str.extract(r"(\d{1,15})\D*$")[0], errors="coerce")
    orders = {
        "order of ids": ids.rank(method="dense"),
        "number in the ids": digits,
        "order of rows": rows["row"],
        "order of label rows": rows["label_row"],
    }
    found: dict[bytes, Probe] = {}
    for name, values in orders.items():
        place: Float64 = values.rank(method="dense").to_numpy().astype(np.float64)
        found.setdefault(place.tobytes(), Probe(ORDER, name, place, None))
    return list(found.values())
