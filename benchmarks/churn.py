"""How well churn is foreseen, beside what anybody would try first: python -m benchmarks.churn.

On a real shop and on a simulated centre of which the truth is known, at several dates: each model
is fitted on the past of a date alone, by the code that trains; what was published of it is opened
and asked by the code that serves; and it is judged by who then bought. The shop is read from
EBBFLOW_REAL_DATA and skipped where it is absent. `--quick` measures a small centre alone.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score

from benchmarks.churn_peers import OURS, PEERS, Past
from benchmarks.churn_picture import draw
from benchmarks.report import RESULTS, Check, at_least, at_most, finish, skipped
from examples.real import SETS, data_folder, load
from features.arrays import Float64
from features.home import Home
from features.intake.load import ingest
from features.lake.delta import Lake
from features.simulate import SimulationConfig, simulate
from features.store import FeatureStore
from serving.models.churn.model import ChurnModel, open_churn_model
from training.config import ChurnConfig
from training.evaluate.metrics import evaluate
from training.models.churn.bundle import write_bundle
from training.models.churn.fit import fit_at
from training.models.churn.history import load_history

SHOP, CENTRE = "online_retail_ii", "simulated centre"
SHOP_DATES = tuple(
    datetime(*day, tzinfo=UTC) for day in ((2010, 9, 1), (2010, 12, 1), (2011, 1, 15), (2011, 3, 1))
)
NOW = datetime(2026, 7, 2, tzinfo=UTC)
UNTIL = datetime(2026, 6, 1, tzinfo=UTC)
SEED = 2026
VALUE = "spend_minor_365d"
GAIN, MOST_ECE, NEAR_TRUTH = 0.01, 0.03, 0.01
SAVED, OFFER, CONTACT, WORTH = 0.3, 0.05, 0.005, 200.0
"""Maximum profit after Verbraken, Verbeke and Baesens (2013): share of churners whom an offer
keeps, cost of the offer and of a contact as shares of a customer's worth, and that worth."""


@dataclass(frozen=True)
class Judged:
    """One date of one set.

    Attributes:
        at: The date.
        churned: Labels, float64[n].
        value: Money at stake with each customer, float64[n].
        by: Probability by everyone who gave one, float64[n] each.
        seconds: What fitting and scoring took each of them.
        seen: The best guess of one who knows the centre's laws, float64[n]; None for a real shop.
        state: The chance by the centre's hidden state, float64[n]; likewise.
        reasons: Mean size of what each group of features adds to our log-odds.
    """

    at: datetime
    churned: Float64
    value: Float64
    by: dict[str, Float64]
    seconds: dict[str, float]
    seen: Float64 | None
    state: Float64 | None
    reasons: pd.DataFrame


def main(arguments: Sequence[str] | None = None, *, results: Path = RESULTS) -> None:
    """Measure, print the table and write figures and pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small centre alone")
    quick = parser.parse_args(arguments).quick
    checks: list[Check] = []
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        if not quick and (data_folder() / SHOP).is_dir():
            home = Home(Path(folder) / "shop")
            load(SETS[SHOP], home=home, data=data_folder(), now=NOW)
            judged = judge(home, dates=SHOP_DATES, root=Path(folder) / "bundles")
            checks += shop_checks(judged)
            rows += rows_of(SHOP, judged)
            draw(SHOP, judged, results=results)
        elif not quick:
            checks.append(skipped(SHOP, "-", "the data are not here"))
        judged = judge_centre(Path(folder) / "centre", customers=2_000 if quick else 20_000)
        checks += centre_checks(judged)
        rows += rows_of(CENTRE, judged)
        draw(CENTRE, judged, results=results)
    print(pd.DataFrame(rows).drop(columns=["customers"]).to_string(index=False))
    finish(
        "churn",
        checks=checks,
        rows=rows,
        packages=("lightgbm", "scikit-learn", "scipy", "pandas", "numpy"),
        results=results,
    )


def judge_centre(root: Path, *, customers: int) -> list[Judged]:
    """Simulate a centre of two years and judge at two of the truth's dates."""
    centre = simulate(SimulationConfig(until=UNTIL, customers=customers, days=730), seed=SEED)
    home = Home(root / "home")
    for name, table in centre.tables.items():
        path = root / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        ingest(Lake(home.lake), name, now=NOW, files=[path])
    truth = centre.truth.churn.to_pandas()
    known = sorted(truth.loc[truth["churned"].notna(), "as_of"].unique())
    dates = [pd.Timestamp(at).to_pydatetime() for at in (known[-4], known[-1])]
    return judge(home, dates=dates, root=root / "bundles", truth=truth)


def judge(
    home: Home, *, dates: Sequence[datetime], root: Path, truth: pd.DataFrame | None = None
) -> list[Judged]:
    """Fit everyone on the past of each date and let them judge its customers.

    Args:
        home: Where the lake stands.
        dates: The dates, aware UTC.
        root: Folder that bundles are written into.
        truth: Table of ``features.simulate.Truth.churn``.
    """
    with FeatureStore(home) as store:
        return [_judge(store, at, root=root, truth=truth) for at in dates]


def _judge(store: FeatureStore, at: datetime, *, root: Path, truth: pd.DataFrame | None) -> Judged:
    config = ChurnConfig()
    began = time.perf_counter()
    history = load_history(store, as_of=at, config=config, progress=lambda _: None)
    read = time.perf_counter() - began
    labels = store.labels(
        [at], horizon_days=config.horizon_days, active_days=config.active_days
    ).to_pandas()
    rows = labels.merge(store.customers([at]).to_pandas(), on=["customer_id", "as_of"])
    today = rows[list(history.names)].to_numpy(dtype=float)

    began = time.perf_counter()
    fitted = fit_at(history, at, features=today, population=len(today), config=config)
    bundle = write_bundle(
        root, fitted, history=history, reference=today, card={}, config=config, now=at
    )
    model = open_churn_model(bundle)
    by, seconds = {}, {}
    by[OURS] = model.score(today).probability
    seconds[OURS] = read + time.perf_counter() - began
    past = Past(
        names=history.names,
        features=np.concatenate([date.features for date in history.before(at)]),
        churned=np.concatenate([date.churned for date in history.before(at)]),
        histories=history.btyd.histories[at],
        today=today,
        horizon_days=config.horizon_days,
    )
    for name, peer in PEERS.items():
        began = time.perf_counter()
        by[name] = peer(past)
        seconds[name] = time.perf_counter() - began
    best = None
    if truth is not None:
        best = truth[truth["as_of"] == at].set_index("customer_id").loc[rows["customer_id"]]
    return Judged(
        at=at,
        churned=rows["churned"].to_numpy(dtype=float),
        value=np.maximum(rows[VALUE].to_numpy(dtype=float), 0),
        by=by,
        seconds=seconds,
        seen=None if best is None else best["chance_seen"].to_numpy(dtype=float),
        state=None if best is None else best["chance_state"].to_numpy(dtype=float),
        reasons=_reasons(model, today),
    )


def _reasons(model: ChurnModel, today: Float64) -> pd.DataFrame:
    groups, _ = model.contributions(today)
    sizes = np.abs(groups - groups.mean(axis=0)).mean(axis=0)
    return pd.DataFrame({"group": list(model.book.groups), "mean_log_odds": sizes}).sort_values(
        "mean_log_odds", ascending=False, kind="stable"
    )


def rows_of(name: str, judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return one row a date and scorer, JSON-ready."""
    rows = []
    for date in judged:
        everyone = dict(date.by)
        if date.seen is not None and date.state is not None:
            everyone |= {"truth: seen": date.seen, "truth: state": date.state}
        for who, probability in everyone.items():
            found = asdict(evaluate(date.churned, probability))
            rows.append(
                {
                    "set": name,
                    "as_of": date.at.date().isoformat(),
                    "who": who,
                    "auc": round(found["auc"], 4),
                    "average_precision": round(found["average_precision"], 4),
                    "top_decile_lift": round(found["top_decile_lift"], 3),
                    "log_loss": round(found["log_loss"], 4),
                    "ece": round(found["ece"], 4),
                    "maximum_profit": round(maximum_profit(date.churned, probability), 3),
                    "value_captured": round(value_captured(date, probability), 4),
                    "mean_probability": round(found["mean_probability"], 4),
                    "base_rate": round(found["base_rate"], 4),
                    "customers": found["customers"],
                    "seconds": round(date.seconds.get(who, 0.0), 2),
                }
            )
    return rows


def maximum_profit(churned: Float64, probability: Float64) -> float:
    """Return the profit a customer of contacting the best share of them; see ``SAVED``.

    >>> maximum_profit(np.array([1.0, 0.0]), np.array([0.9, 0.1])).__round__(6)  # one churner
    28.0
    """
    order = np.argsort(-probability, kind="stable")
    hits = np.r_[0.0, np.cumsum(churned[order])]
    others = np.arange(len(hits)) - hits
    profit = hits * (SAVED * (1 - OFFER) - CONTACT) - others * (OFFER + CONTACT)
    return float(WORTH * profit.max() / len(churned))


def value_captured(date: Judged, probability: Float64) -> float:
    """Return the share of the money of those who left that the top tenth by risk x money holds."""
    top = np.argsort(-probability * date.value, kind="stable")[: max(1, len(date.churned) // 10)]
    lost = date.churned * date.value
    return float(lost[top].sum() / lost.sum())


def shop_checks(judged: Sequence[Judged]) -> list[Check]:
    """Return the goals on the shop."""
    by = {
        who: [roc_auc_score(date.churned, date.by[who]) for date in judged] for who in judged[0].by
    }
    best = max((who for who in by if who != OURS), key=lambda who: float(np.mean(by[who])))
    checks = []
    for i, date in enumerate(judged):
        peer = max((who for who in by if who != OURS), key=lambda who: by[who][i])
        checks.append(
            at_least(
                f"{SHOP} {date.at:%Y-%m-%d}: AUC {by[OURS][i]:.4f} above {peer}'s",
                by[OURS][i] - by[peer][i],
                0,
                unit="",
            )
        )
    gain = float(np.mean(by[OURS]) - np.mean(by[best]))
    what = f"{SHOP}: mean AUC {np.mean(by[OURS]):.4f} above {best}'s"
    checks.append(at_least(what, gain, GAIN, unit=""))
    return [*checks, *_calibrated(SHOP, judged), _captured(SHOP, judged)]


def centre_checks(judged: Sequence[Judged]) -> list[Check]:
    """Return the goals on the simulated centre."""
    checks = []
    for date in judged:
        assert date.seen is not None
        ours, seen = (
            roc_auc_score(date.churned, date.by[OURS]),
            roc_auc_score(date.churned, date.seen),
        )
        what = f"{CENTRE} {date.at:%Y-%m-%d}: AUC {ours:.4f} below that of the truth as seen"
        checks.append(at_most(what, seen - ours, NEAR_TRUTH, unit=""))
    return [*checks, *_calibrated(CENTRE, judged), _captured(CENTRE, judged)]


def _calibrated(name: str, judged: Sequence[Judged]) -> list[Check]:
    return [
        at_most(
            f"{name} {date.at:%Y-%m-%d}: expected calibration error",
            evaluate(date.churned, date.by[OURS]).ece,
            MOST_ECE,
            unit="",
        )
        for date in judged
    ]


def _captured(name: str, judged: Sequence[Judged]) -> Check:
    means = {
        who: float(np.mean([value_captured(date, date.by[who]) for date in judged]))
        for who in judged[0].by
    }
    peer = max((who for who in means if who != OURS), key=lambda who: means[who])
    what = f"{name}: money of leavers in the top tenth, {means[OURS]:.4f}, above {peer}'s"
    return at_least(what, means[OURS] - means[peer], 0, unit="")


if __name__ == "__main__":
    main()
