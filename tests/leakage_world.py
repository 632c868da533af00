"""A shop whose history is known in full, loaded through real ingest, and ways to plant leaks in it.

Customers buy as Poisson processes and stop for good; some of their orders are followed by a
contact. Every row is known when it happened unless a test says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.home import Home
from features.intake.load import ingest
from features.lake.delta import Lake
from features.store import FeatureStore
from training.config import ChurnConfig

END = datetime(2026, 3, 2, tzinfo=UTC)
NOW = END + timedelta(days=2)
"""When the history is loaded."""
CONFIG = ChurnConfig(
    horizon_days=60,
    active_days=120,
    grid_dates=12,
    test_dates=2,
    min_customers=50,
    num_threads=1,
)
DAY = np.timedelta64(86_400, "s")


@dataclass(frozen=True)
class Shop:
    """A shop and its contacts, as tables of the lake.

    Attributes:
        seed: Seed of everything.
        customers: How many.
        days: Length of the history.
    """

    seed: int = 1
    customers: int = 900
    days: int = 420

    @cached_property
    def purchases(self) -> pd.DataFrame:
        """Orders: ``purchase_id``, ``customer_id``, ``purchased_at``, ``available_at`` …"""
        rng = np.random.default_rng(self.seed)
        rows = []
        for i in range(self.customers):
            joined = rng.uniform(0, self.days * 0.9)
            left = joined + rng.exponential(220)
            rate = np.exp(rng.normal(np.log(1 / 28), 1.0))
            times = joined + np.r_[0.0, np.cumsum(rng.exponential(1 / rate, 400))]
            rows += [(i, t) for t in times[times < min(left, self.days)]]
        who, when = np.array(rows).T
        at = np.datetime64(END.replace(tzinfo=None), "s") - self.days * DAY
        at = at + (when * 86_400).astype("m8[s]")
        # Ids that say nothing: neither when a customer joined nor how long.
        ids = np.random.default_rng([self.seed, 1]).permutation(self.customers)
        frame = pd.DataFrame(
            {
                "customer_id": [f"c{ids[int(i)]:05d}" for i in who],
                "purchased_at": pd.Series(at).dt.tz_localize("UTC"),
                "kind": "purchase",
                "amount_minor": rng.lognormal(8, 0.7, len(rows)).astype(int),
                "currency": "EUR",
            }
        )
        frame = frame.sort_values(["purchased_at", "customer_id"], ignore_index=True)
        frame.insert(0, "purchase_id", [f"p{i}" for i in range(len(frame))])
        return frame.assign(available_at=frame["purchased_at"])

    @cached_property
    def interactions(self) -> pd.DataFrame:
        """Contacts after a third of the orders, known an hour after they began."""
        rng = np.random.default_rng([self.seed, 2])
        some = self.purchases.sample(frac=0.3, random_state=self.seed)
        at = some["purchased_at"] + pd.to_timedelta(rng.integers(3600, 20 * 86_400, len(some)), "s")
        frame = pd.DataFrame(
            {
                "customer_id": some["customer_id"].to_numpy(),
                "queue": "phone",
                "channel": "voice",
                "started_at": at.to_numpy(),
                "wait_seconds": rng.exponential(60, len(some)).round(),
                "handle_seconds": rng.exponential(300, len(some)).round(),
                "outcome": "answered",
                "resolved": rng.random(len(some)) < 0.8,
            }
        )
        frame["started_at"] = pd.to_datetime(frame["started_at"], utc=True)
        frame = frame[frame["started_at"] < pd.Timestamp(END)].sort_values("started_at")
        frame.insert(0, "interaction_id", [f"i{i}" for i in range(len(frame))])
        return frame.assign(available_at=frame["started_at"] + pd.Timedelta(hours=3))

    def left(self, at: datetime) -> pd.Series[bool]:
        """Return, by customer who had bought by then, whether no purchase follows in 60 days."""
        bought = self.purchases
        known = bought.loc[bought["purchased_at"] < at, "customer_id"].unique()
        end = at + timedelta(days=CONFIG.horizon_days)
        after = bought[(bought["purchased_at"] >= at) & (bought["purchased_at"] < end)]
        return pd.Series(~pd.Index(known).isin(after["customer_id"]), index=known)


def put(home: Home, table: str, rows: pd.DataFrame, *, folder: Path, now: datetime = NOW) -> None:
    """Load rows through real ingest, as a file of its own."""
    path = folder / f"{table}-{len(list(folder.glob('*.parquet')))}.parquet"
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), path)
    ingest(Lake(home.lake), table, now=now, files=[path])


def home_of(shop: Shop, folder: Path, **other: pd.DataFrame) -> Home:
    """Load a shop; a table that is given by name is loaded instead of the shop's own."""
    home = Home(folder / "home")
    for table in ("purchases", "interactions"):
        put(home, table, other.get(table, getattr(shop, table)), folder=folder)
    return home


Column = Callable[[datetime, pd.DataFrame, FeatureStore], Any]
"""Makes a column of a date's customers, indexed by id, from the store that is trained from."""


_ANSWERS: dict[tuple[object, ...], pa.Table] = {}


class RememberingStore:
    """A store that computes the same answer once for all tests; what is loaded later counts."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._versions = (store.home.root, *sorted(store.versions.items()))

    def customers(self, as_ofs: Sequence[datetime]) -> pa.Table:
        key = (*self._versions, *as_ofs)
        if key not in _ANSWERS:
            _ANSWERS[key] = self._store.customers(as_ofs)
        return _ANSWERS[key]

    def labels(
        self, as_ofs: Sequence[datetime], *, horizon_days: int, active_days: int
    ) -> pa.Table:
        key = (*self._versions, *as_ofs, horizon_days, active_days)
        if key not in _ANSWERS:
            _ANSWERS[key] = self._store.labels(
                as_ofs, horizon_days=horizon_days, active_days=active_days
            )
        return _ANSWERS[key]


@dataclass
class Wrapped:
    """A store with columns of a user's own beside ours.

    Attributes:
        store: The store.
        columns: By name, what makes each.
    """

    store: FeatureStore
    columns: Mapping[str, Column] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = RememberingStore(self.store)  # type: ignore[assignment]

    def customers(self, as_ofs: Sequence[datetime]) -> pa.Table:
        found = []
        for as_of in sorted(set(as_ofs)):
            table = self.store.customers([as_of])
            frame = table.to_pandas().set_index("customer_id")
            for name, column in self.columns.items():
                values = np.asarray(column(as_of, frame, self.store), dtype=float)
                table = table.append_column(name, pa.array(values, from_pandas=True))
            found.append(table)
        return pa.concat_tables(found)

    def labels(
        self, as_ofs: Sequence[datetime], *, horizon_days: int, active_days: int
    ) -> pa.Table:
        return self.store.labels(as_ofs, horizon_days=horizon_days, active_days=active_days)
