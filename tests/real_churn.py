"""The real shop's purchases in a feature store, loaded as a user would load them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import real

from features.home import Home
from features.intake.load import ingest
from features.intake.mapping import load_mapping
from features.lake.delta import Lake
from features.store import FeatureStore

_MAPPING = Path(__file__).parents[1] / "examples" / "online_retail_ii" / "purchases.toml"


def retail_store(root: Path) -> FeatureStore:
    """Ingest ``online_retail_ii`` and open the store; skip the test where the data are absent."""
    orders = real.need("online_retail_ii") / "orders.parquet"
    home = Home(root)
    ingest(
        Lake(home.lake),
        "purchases",
        now=datetime(2012, 1, 1, tzinfo=UTC),
        files=[str(orders)],
        mapping=load_mapping(_MAPPING),
    )
    return FeatureStore(home, threads=1)
