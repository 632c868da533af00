"""Tiny real bundles, made by the real training on a minute of work's data, and their snapshot.

Two queues open all hours over ten weeks of noisy weeks; three hundred customers who buy at their
own pace and stop at some time, over ten months. Everything is seeded.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.arrays import Float64
from features.arrow import write_arrow
from features.artefact import point_to, write_artefact
from features.calendar.clock import to_epoch
from features.calendar.queues import ALWAYS, Event, Queue, queue_to_json
from features.home import Home, ModelName
from features.intake.load import ingest
from features.lake.delta import Lake
from features.snapshot import (
    CUSTOMERS_FILE,
    EVENTS_FILE,
    ORDERS_FILE,
    QUARTERS_FILE,
    QUEUES_FILE,
    SNAPSHOT_KIND,
    SNAPSHOT_SCHEMA,
    VOLUME_FILE,
    orders_to_table,
    quarters_to_table,
)
from features.volume.contacts import NO_WAITS, Waits
from features.volume.history import NO_ORDERS, OrderFlow, QueueHistory
from training.config import Config
from training.fit.churn import train_churn
from training.fit.volume import train_volume
from training.models.churn.history import PURCHASES, RECENCY, TENURE
from training.registry.artifacts import TrainingResult

AS_OF = datetime(2024, 3, 4, tzinfo=UTC)
"""Long past, since the commands read the real clock."""
NOW = AS_OF + timedelta(hours=1)
DAY = 86_400
CONFIG = Config.model_validate(
    {
        "volume": {
            "horizon_days": 7,
            "origins": 2,
            "step_days": 7,
            "refits": 1,
            "boosting_rounds": 10,
            "boosting_rows": 5000,
            "boosting_outlooks": 20,
            "threads": 1,
        },
        "churn": {
            "horizon_days": 30,
            "active_days": 60,
            "step_days": 15,
            "grid_dates": 4,
            "test_dates": 1,
            "calibrate_dates": 1,
            "min_customers": 50,
            "trees": 10,
            "min_leaf_customers": 20,
            "num_threads": 1,
        },
    }
)


@dataclass(frozen=True)
class Centre:
    """A source for both models.

    Attributes:
        level: Contacts an hour of the busier queue.
        seed: Seed of everything.
    """

    level: float = 20.0
    seed: int = 1

    @property
    def versions(self) -> dict[str, int]:
        """The versions that a store would have pinned."""
        return {"interactions": 4, "purchases": 2}

    @cached_property
    def histories(self) -> dict[str, QueueHistory]:
        rng = np.random.default_rng(self.seed)
        starts = np.arange(to_epoch(AS_OF) - 70 * DAY, to_epoch(AS_OF), 3600)
        hour, weekday = starts // 3600 % 24, starts // DAY % 7
        shape = np.exp(np.sin((hour - 8) / 24 * 2 * np.pi) + 0.3 * (weekday < 5))
        found = {}
        for name, level in (("chat", self.level / 4), ("phone", self.level)):
            offered = rng.poisson(level * shape / shape.mean()).astype(float)
            queue = Queue(name, "voice", "UTC", None, ALWAYS, "stated")
            seconds = np.where(offered > 0, 300.0, np.nan)
            found[name] = QueueHistory(queue, starts, offered, seconds, offered)
        return found

    @cached_property
    def purchases(self) -> list[Float64]:
        """Epoch seconds of each customer's purchases."""
        rng = np.random.default_rng(self.seed)
        first, last = to_epoch(AS_OF) - 300 * DAY, to_epoch(AS_OF)
        found = []
        for _ in range(300):
            joined = first + rng.uniform(0, 120) * DAY
            left = joined + rng.exponential(200) * DAY
            gaps = rng.exponential(rng.choice([6.0, 12.0, 25.0]) * DAY, size=200)
            at = np.cumsum(np.r_[joined, gaps])
            found.append(at[at < min(left, last)])
        return found

    def volume(self, as_of: datetime) -> dict[str, QueueHistory]:
        return {name: history.before(as_of) for name, history in self.histories.items()}

    def events(self, as_of: datetime) -> tuple[Event, ...]:
        return ()

    def orders(self, as_of: datetime) -> OrderFlow:
        return NO_ORDERS

    def waits(self, as_of: datetime, *, days: int) -> Waits:
        return NO_WAITS

    def customers(self, as_ofs: Sequence[datetime]) -> pa.Table:
        rows = []
        for as_of in sorted(as_ofs):
            for i, at in enumerate(self.purchases):
                ago = (to_epoch(as_of) - at[at < to_epoch(as_of)]) / DAY
                if len(ago):
                    counts = [float((ago <= days).sum()) for days in (30, 90)]
                    days = float(len(np.unique(at[at < to_epoch(as_of)] // DAY)))
                    rows.append((f"c{i:03d}", as_of, ago.min(), ago.max(), days, *counts))
        names = (
            "customer_id",
            "as_of",
            RECENCY,
            TENURE,
            "purchase_days_ever",
            f"{PURCHASES}_30d",
            f"{PURCHASES}_90d",
        )
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))
        columns["as_of"] = pa.array(columns["as_of"], pa.timestamp("s", "UTC"))
        return pa.table(columns)

    def labels(
        self, as_ofs: Sequence[datetime], *, horizon_days: int, active_days: int
    ) -> pa.Table:
        rows = []
        for as_of in sorted(as_ofs):
            moment = to_epoch(as_of)
            for i, at in enumerate(self.purchases):
                if ((at < moment) & (at >= moment - active_days * DAY)).any():
                    stays = ((at > moment) & (at <= moment + horizon_days * DAY)).any()
                    rows.append((f"c{i:03d}", as_of, 0 if stays else 1))
        ids, moments, churned = zip(*rows, strict=True)
        return pa.table(
            {
                "customer_id": ids,
                "as_of": pa.array(moments, pa.timestamp("s", "UTC")),
                "churned": pa.array(churned, pa.int8()),
            }
        )


def fill_lake(home: Home, folder: Path, *, centre: Centre) -> None:
    """Ingest the centre's counts and purchases, each known when it had happened."""
    counts = []
    for name, history in centre.histories.items():
        starts = pa.array(history.starts, pa.timestamp("s", "UTC"))
        counts.append(
            pa.table(
                {
                    "queue": [name] * len(starts),
                    "interval_start": starts,
                    "interval_minutes": [60] * len(starts),
                    "offered": pa.array(history.offered).cast(pa.int64()),
                    "aht_seconds": pa.array(history.aht_seconds, from_pandas=True),
                    "available_at": pa.array(history.starts + 3600, pa.timestamp("s", "UTC")),
                }
            )
        )
    customer = [f"c{i:03d}" for i, at in enumerate(centre.purchases) for _ in at]
    at = np.concatenate(centre.purchases).astype(np.int64)
    n = len(at)
    purchases = pa.table(
        {
            "purchase_id": [f"p{i}" for i in range(n)],
            "customer_id": customer,
            "purchased_at": pa.array(at, pa.timestamp("s", "UTC")),
            "kind": ["purchase"] * n,
            "amount_minor": [1000] * n,
            "currency": ["EUR"] * n,
            "available_at": pa.array(at, pa.timestamp("s", "UTC")),
        }
    )
    for table, rows in (("intervals", pa.concat_tables(counts)), ("purchases", purchases)):
        pq.write_table(rows, folder / f"{table}.parquet")
        ingest(Lake(home.lake), table, now=NOW, files=[folder / f"{table}.parquet"])


def train(model: ModelName, root: Path, *, centre: Centre, now: datetime = NOW) -> TrainingResult:
    """Train a real bundle."""
    if model == "volume":
        return train_volume(centre, as_of=AS_OF, config=CONFIG.volume, root=root, now=now)
    return train_churn(centre, as_of=AS_OF, config=CONFIG.churn, root=root, now=now)


def publish_snapshot(home: Home, *, centre: Centre, without: str | None = None) -> None:
    """Publish what a snapshot of the centre holds, less one feature where asked."""
    volumes = []
    for name, history in centre.histories.items():
        n = len(history.starts)
        volumes.append(
            pa.table(
                {
                    "queue": [name] * n,
                    "interval_start": pa.array(history.starts, pa.timestamp("s", "UTC")),
                    "offered": history.offered,
                    "aht_seconds": history.aht_seconds,
                    "handled": history.handled,
                }
            )
        )
    dropped = ["as_of", *([without] if without else [])]
    with write_artefact(
        home.snapshots,
        kind=SNAPSHOT_KIND,
        schema=SNAPSHOT_SCHEMA,
        created_at=NOW,
        lineage={},
        meta={"as_of": AS_OF.isoformat()},
    ) as folder:
        write_arrow(folder / VOLUME_FILE, pa.concat_tables(volumes))
        write_arrow(folder / CUSTOMERS_FILE, centre.customers([AS_OF]).drop_columns(dropped))
        queues = [queue_to_json(history.queue) for history in centre.histories.values()]
        (folder / QUEUES_FILE).write_text(json.dumps(queues))
        (folder / EVENTS_FILE).write_text("[]")
        write_arrow(folder / ORDERS_FILE, orders_to_table(NO_ORDERS))
        write_arrow(
            folder / QUARTERS_FILE,
            quarters_to_table({n: h.quarters for n, h in centre.histories.items()}),
        )
    point_to(home.snapshots, folder.name.removeprefix(".writing-"))
