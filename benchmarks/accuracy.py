"""What both models reach on real data and on the simulated centre, from file to bundle.

Run: python -m benchmarks.accuracy [SET ...]

Volume: WAPE pooled over rolling origins, by queue and lead, beside seasonal naive (the same hour of
the last week known) and the mean of four weeks. Churn: trained on what was known at the as-of,
judged by what came after. Real sets are read from EBBFLOW_REAL_DATA and skipped where absent.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.metrics import roc_auc_score

from benchmarks.report import Check, at_least, finish, skipped
from examples.real import SETS, data_folder, load
from features.home import Home
from features.ingest import ingest
from features.lake import Lake
from features.mapping import load_mapping
from features.simulate import SOURCES, SimulationConfig, write
from features.store import FeatureStore
from serving.models.churn.model import open_churn_model
from training.churn.config import ChurnConfig
from training.churn.train import train_churn
from training.volume.config import VolumeConfig
from training.volume.train import train_volume

SIMULATED = "simulated centre"
UNTIL = datetime(2026, 7, 1, tzinfo=UTC)
SHOP_AS_OF = datetime(2011, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 7, 2, tzinfo=UTC)
BUSY = 1.0
"""Contacts an hour from which a queue must not lose to seasonal naive."""


def main() -> None:
    """Measure the sets that were asked for, print the table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", help=f"of {SIMULATED!r}, {', '.join(SETS)}")
    names = parser.parse_args().sets or [SIMULATED, *SETS]
    checks: list[Check] = []
    rows: list[dict[str, Any]] = []
    for name in names:
        if name != SIMULATED and not (data_folder() / name).is_dir():
            checks.append(skipped(name, "-", "the data are not here"))
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            home = Home(Path(folder) / "home")
            as_of = _loaded(name, home, Path(folder))
            with FeatureStore(home) as store:
                measure = _churn if name == "online_retail_ii" else _volume
                found, more = measure(name, store, as_of=as_of, root=Path(folder) / "bundles")
        checks += found
        rows += more
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    packages = ("lightgbm", "statsforecast", "scikit-learn", "numpy")
    finish("accuracy", checks=checks, rows=rows, packages=packages)


def _loaded(name: str, home: Home, folder: Path) -> datetime:
    """Ingest a set; return the moment to learn up to."""
    if name == SIMULATED:
        out = folder / "centre"
        write(SimulationConfig(until=UNTIL, customers=5000, days=400), seed=7, out=out)
        lake = Lake(home.lake)
        for source in SOURCES:
            place = out / source.name
            mapping = load_mapping(place / "mapping.toml")
            files = [str(place / source.files)]
            ingest(lake, source.table, now=NOW, files=files, mapping=mapping)
        return UNTIL
    load(SETS[name], home=home, data=data_folder(), now=NOW)
    with FeatureStore(home) as store:
        return SETS[name].as_of or store.latest(now=NOW)


def _volume(
    name: str, store: FeatureStore, *, as_of: datetime, root: Path
) -> tuple[list[Check], list[dict[str, Any]]]:
    trained = train_volume(store, as_of=as_of, config=VolumeConfig(), root=root, now=NOW)
    table = trained.tables["accuracy"]
    busy = table["contacts"] >= BUSY * table["hours"]
    measured = table[busy & (table["lead"] != "all")]
    worst = measured.loc[measured["skill"].idxmin()]
    where = f"{worst['queue']}, {worst['lead']}"
    checks = [
        at_least(
            f"{name}: least skill over seasonal naive at any queue and lead ({where})",
            float(worst["skill"]),
            0,
            unit="",
        )
    ]
    columns = ["queue", "lead", "wape", "wape_seasonal_naive", "wape_mean4", "coverage_80"]
    records = measured_rows(table[columns])
    return checks, [{"set": name, **record} for record in records]


def measured_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table's rows with figures of four digits."""
    rounded = table.round(4)
    return [{str(k): v for k, v in row.items()} for row in rounded.to_dict("records")]


def _churn(
    name: str, store: FeatureStore, *, as_of: datetime, root: Path
) -> tuple[list[Check], list[dict[str, Any]]]:
    config = ChurnConfig()
    trained = train_churn(store, as_of=as_of, config=config, root=root, now=NOW)
    model = open_churn_model(trained.bundle)
    known = store.labels(
        [as_of], horizon_days=config.horizon_days, active_days=config.active_days
    ).to_pandas()
    rows = known.merge(store.customers([as_of]).to_pandas(), on=["customer_id", "as_of"])
    score = model.score(rows[list(model.feature_names)].to_numpy(float)).probability
    churned = rows["churned"].astype(int)
    reached = float(roc_auc_score(churned, score))
    recency = float(roc_auc_score(churned, rows["purchase_recency_days"]))
    what = f"{name}, as of {as_of:%Y-%m-%d}: AUC"
    figures = {
        "set": name,
        "as_of": as_of.isoformat(),
        "customers": len(rows),
        "auc": round(reached, 4),
        "recency_auc": round(recency, 4),
        "mean_probability": round(float(score.mean()), 4),
        "base_rate": round(float(churned.mean()), 4),
    }
    return [
        at_least(what, reached, 0.75, unit=""),
        at_least(f"{what} above recency's ({recency:.3f})", reached - recency, 0, unit=""),
    ], [figures]


if __name__ == "__main__":
    main()
