"""Customers who buy as Poisson processes and stop for good, with a season and with known truth."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from serving.models.churn.reasons import ReasonCatalogue, ReasonKey, Reasons
from training.config import ChurnConfig

AS_OF = datetime(2026, 3, 2, tzinfo=UTC)
NOW = AS_OF + timedelta(hours=1)
DAY = 86_400
SMALL = ChurnConfig(
    horizon_days=60,
    active_days=120,
    grid_dates=10,
    test_dates=2,
    min_customers=50,
    trees=20,
    min_leaf_customers=20,
    num_threads=1,
)


def sentences(book: ReasonCatalogue, reasons: Reasons, *, language: str = "en") -> list[list[str]]:
    """Return each customer's reasons as sentences, the weightiest first."""
    known: dict[ReasonKey, int] = {}
    places = book.places(reasons, known)
    said = [book.reason_text(key) for key in known]
    texts = [one.text if language == "en" else one.text_zh for one in said]
    return [[texts[place] for place in row if place >= 0] for row in places.tolist()]


class Shop:
    """A source of features and labels.

    Args:
        customers: How many.
        days: Length of the history before ``AS_OF``; it goes on for 100 days after it.
        seed: Seed of everything.
        season: Amplitude of the yearly season of the log rate.
        leave_after: Mean days until a customer leaves for good.
    """

    versions = {"purchases": 3}  # noqa: RUF012 # as a store's would stand

    def __init__(
        self,
        customers: int = 700,
        days: int = 400,
        *,
        seed: int = 1,
        season: float = 0.0,
        leave_after: float = 250.0,
    ) -> None:
        rng = np.random.default_rng(seed)
        joined = rng.uniform(0, days, customers)
        joined[: customers // 2] = rng.uniform(0, 20, customers // 2)
        gone = joined + rng.exponential(leave_after, customers)
        rate = np.exp(rng.normal(np.log(1 / 30), 1.2, customers))
        ids, at = [], []
        for i in range(customers):
            t, end = joined[i], min(gone[i], days + 100.0)
            while t < end:
                # Thinning: a candidate at the highest rate is kept by the season's share of it.
                if t == joined[i] or rng.random() < np.exp(
                    season * (np.cos(2 * np.pi * (t - days) / 364) - 1)
                ):
                    ids.append(f"c{i:04d}")
                    at.append(t)
                t += rng.exponential(1 / rate[i])
        start = AS_OF.timestamp() - days * DAY
        self.purchases = pd.DataFrame(
            {"customer_id": ids, "at": start + np.array(at) * DAY}
        ).sort_values(["customer_id", "at"])

    def customers(self, as_ofs: Sequence[datetime]) -> pa.Table:
        found = []
        for as_of in sorted(as_ofs):
            past = self.purchases[self.purchases["at"] < as_of.timestamp()]
            ago = (as_of.timestamp() - past["at"]) / DAY
            by = ago.groupby(past["customer_id"])
            frame = pd.DataFrame(
                {"purchase_recency_days": by.min(), "purchase_first_days": by.max()}
            )
            for days in (30, 60, 180):
                counts = (ago <= days).groupby(past["customer_id"]).sum()
                frame[f"purchases_{days}d"] = counts.astype(float)
            frame["purchase_days_ever"] = (
                (past["at"] // DAY).groupby(past["customer_id"]).nunique().astype(float)
            )
            gaps = (frame["purchase_first_days"] - frame["purchase_recency_days"]) / (by.size() - 1)
            frame["gap_days_mean"] = gaps.where(by.size() > 1)
            frame["contacts_30d"] = np.nan
            found.append(_keyed(frame, as_of))
        return pa.Table.from_pandas(pd.concat(found), preserve_index=False)

    def labels(
        self, as_ofs: Sequence[datetime], *, horizon_days: int, active_days: int
    ) -> pa.Table:
        found = []
        for as_of in sorted(as_ofs):
            now, at = as_of.timestamp(), self.purchases["at"]
            active = self.purchases[(at < now) & (at >= now - active_days * DAY)]
            after = self.purchases[(at >= now) & (at < now + horizon_days * DAY)]
            ids = np.unique(active["customer_id"])
            churned = ~np.isin(ids, after["customer_id"])
            frame = pd.DataFrame(
                {"churned": churned.astype("int8")}, index=pd.Index(ids, name="customer_id")
            )
            found.append(_keyed(frame, as_of))
        return pa.Table.from_pandas(pd.concat(found), preserve_index=False)


def _keyed(frame: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    keyed = frame.rename_axis("customer_id").reset_index()
    keyed.insert(1, "as_of", pd.Series(as_of, index=keyed.index, dtype="datetime64[s, UTC]"))
    return keyed
