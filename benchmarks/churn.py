"""How well churn is foreseen on a real shop: python -m benchmarks.churn.

Trained on what was known at the as-of, judged by who then bought. The data are read from
EBBFLOW_REAL_DATA, and the benchmark skips what is absent.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sklearn.metrics import roc_auc_score

from benchmarks.report import Check, at_least, finish, skipped
from examples.real import SETS, data_folder, load
from features.home import Home
from features.store import FeatureStore
from serving.models.churn.model import open_churn_model
from training.churn.config import ChurnConfig
from training.churn.train import train_churn

SHOP = "online_retail_ii"
AS_OF = datetime(2011, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 7, 2, tzinfo=UTC)


def main() -> None:
    """Measure, print the table and write the figures."""
    checks: list[Check] = [skipped(SHOP, "-", "the data are not here")]
    rows: list[dict[str, Any]] = []
    if (data_folder() / SHOP).is_dir():
        with tempfile.TemporaryDirectory() as folder:
            home = Home(Path(folder) / "home")
            load(SETS[SHOP], home=home, data=data_folder(), now=NOW)
            with FeatureStore(home) as store:
                checks, rows = measure(store, root=Path(folder) / "bundles")
    finish(
        "churn", checks=checks, rows=rows, packages=("lightgbm", "scikit-learn", "pandas", "numpy")
    )


def measure(store: FeatureStore, *, root: Path) -> tuple[list[Check], list[dict[str, Any]]]:
    """Train on the past of the as-of and score by what came, beside recency alone.

    Args:
        store: The shop's features.
        root: Folder that the bundle's folder is made in.
    """
    config = ChurnConfig()
    trained = train_churn(store, as_of=AS_OF, config=config, root=root, now=NOW)
    model = open_churn_model(trained.bundle)
    known = store.labels(
        [AS_OF], horizon_days=config.horizon_days, active_days=config.active_days
    ).to_pandas()
    rows = known.merge(store.customers([AS_OF]).to_pandas(), on=["customer_id", "as_of"])
    score = model.score(rows[list(model.feature_names)].to_numpy(float)).probability
    churned = rows["churned"].astype(int)
    reached = float(roc_auc_score(churned, score))
    recency = float(roc_auc_score(churned, rows["purchase_recency_days"]))
    what = f"{SHOP}, as of {AS_OF:%Y-%m-%d}: AUC"
    figures = {
        "set": SHOP,
        "as_of": AS_OF.isoformat(),
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
