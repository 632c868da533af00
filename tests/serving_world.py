"""A small home with hand-made published folders, so that tests of answers train nothing.

Three queues and two hundred customers whose numbers follow plain rules, written by serving's
own writers:

- ``phone``: voice, Europe/Berlin, 30 minutes, open Monday to Friday 08:00-18:00. While open:
  mean 20, AHT 300 s.
- ``chat``: chat with 3 at once, America/New_York, 60 minutes, always open: mean 6, AHT 600 s.
- ``mail``: e-mail, UTC, 60 minutes, always open: mean 0.3, AHT 900 s, ``method`` ``baseline``
  with a warning.

Quantile k (of 19) is the mean times ``0.5 + (k + 1) / 20``; closed intervals are all zero. The
28 days from 2026-03-20 00:00 UTC hold Berlin's night of 23 hours (2026-03-29).

Customer ``c000`` to ``c193`` and six odd ids. Customer i (in the order of the list) is outside
the population when ``i % 10 == 9``; otherwise the probability is ``(i % 100) / 100``, the tier
``high`` from 0.8, ``medium`` from 0.4, else ``low``; one reason each. The value at risk is 1,000
times ``i % 100``, what is expected 100,000 less that; stage, segment and action go round.

For the batch, ``put_volume_bundle`` and ``put_churn_bundle`` write whole bundles by hand: the
first repeats the mean of the last four weeks, the second scores a customer by days of recency
alone, ``log-odds = log1p(recency_days) - log1p(60)``, among those with at most 180; who stays
brings 3,000 minor units in 12 months, who leaves a quarter of it.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from features.arrow import write_arrow
from features.artefact import Artefact, new_id, point_to, write_artefact
from features.calendar.clock import interval_starts, to_epoch
from features.calendar.queues import ALWAYS, Queue, is_open, queue_to_json
from features.home import Home, ModelName
from features.snapshot import (
    CUSTOMERS_FILE,
    EVENTS_FILE,
    ORDERS_FILE,
    QUARTERS_FILE,
    QUEUES_FILE,
    SNAPSHOT_KIND,
    SNAPSHOT_SCHEMA,
    VOLUME_FILE,
    open_current_snapshot,
    orders_to_table,
    quarters_to_table,
)
from features.volume.history import NO_ORDERS, no_quarters
from serving.api.openapi import example_of
from serving.api.outreach.schemas import ExperimentResponse
from serving.models.churn.learners import LinearScore, TreeTables
from serving.models.churn.model import (
    CHURN_BUNDLE_KIND,
    CHURN_BUNDLE_SCHEMA,
    GOLDEN_FILE,
    LINEAR_FILE,
    REASONS_FILE,
    RECORDS_FILE,
    SCORING_FILE,
    TREES_FILE,
    ChurnModel,
    Scoring,
    golden_answers,
)
from serving.models.churn.reasons import Phrase, ReasonCatalogue
from serving.models.churn.value import SEGMENTS, STAGES, PurchaseRate, Segmentation, ValueModel
from serving.models.volume.boosting import Boosters
from serving.models.volume.bundle import VolumeState, write_golden, write_volume_state
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.distribution import LEAD_BUCKETS, plain_shape
from serving.models.volume.forecast import PARTS, QueueForecast, VolumeForecast
from serving.models.volume.levels import Smoothing
from serving.models.volume.model import VOLUME_BUNDLE_KIND, VOLUME_BUNDLE_SCHEMA, VolumeModel
from serving.models.volume.outlook import COMPONENTS, MEAN4
from serving.published.experiments import EXPERIMENTS_KIND, EXPERIMENTS_SCHEMA, RESULTS_FILE
from serving.published.forecast_set import write_forecast_set
from serving.published.score_writer import Reason, ScoredCustomers, write_score_set

MADE_AT = datetime(2026, 3, 20, tzinfo=UTC)
NOW = MADE_AT + timedelta(minutes=10)
DAYS = 28
TIERS = ("high", "medium", "low")
ACTIONS = ("no_contact", "call", "offer")
ODD_IDS = ("with space", 'quo"te', "back\\slash", "emoji 😀", "naïve", "顧客")
_WEEKDAYS_ONLY = ((((8 * 60, 18 * 60),),) * 5) + ((), ())
QUEUES = (
    Queue("chat", "chat", "America/New_York", "Web chat", ALWAYS, "stated", concurrency=3),
    Queue("mail", "email", "UTC", None, ALWAYS, "stated", default_aht_seconds=900.0),
    Queue(
        "phone",
        "voice",
        "Europe/Berlin",
        "Hotline",
        _WEEKDAYS_ONLY,
        "stated",
        country="DE",
        interval_minutes=30,
        patience_seconds=180.0,
    ),
)
_MEAN = {"chat": 6.0, "mail": 0.3, "phone": 20.0}
_AHT = {"chat": 600.0, "mail": 900.0, "phone": 300.0}


@dataclass(frozen=True)
class World:
    """Where the hand-made folders stand, and their ids."""

    home: Home
    snapshot: str
    forecast: str
    scores: str
    volume_bundle: str
    churn_bundle: str


def build_world(root: Path, *, now: datetime = NOW) -> World:
    """Write a snapshot, two bundles' cards, a forecast set and a score set, all in force."""
    home = Home(root)
    snapshot = put_snapshot(home, now=now)
    volume_bundle = put_card(home, model="volume", now=now)
    churn_bundle = put_card(home, model="churn", now=now)
    forecast = put_forecast(home, snapshot=snapshot, model_version=volume_bundle, now=now)
    scores = put_scores(home, snapshot=snapshot, model_version=churn_bundle, now=now)
    return World(home, snapshot, forecast, scores, volume_bundle, churn_bundle)


def customer_ids() -> list[str]:
    """Return the ids, ascending by their UTF-8 bytes."""
    plain = [f"c{i:03d}" for i in range(200 - len(ODD_IDS))]
    return sorted((*plain, *ODD_IDS), key=lambda id: id.encode())


def put_snapshot(
    home: Home,
    *,
    now: datetime = NOW,
    ids: list[str] | None = None,
    features: dict[str, Any] | None = None,
) -> str:
    """Publish a snapshot: four weeks of flat history, and some features of each customer.

    Args:
        home: Where to.
        now: When.
        ids: Customers, ascending by their UTF-8 bytes; by default ``customer_ids()``.
        features: float64 columns by name, one value a customer; by default ``recency_days``,
            which is the customer's place, and ``orders``, which is 1.
    """
    meta = {"as_of": MADE_AT.isoformat()}
    ids = customer_ids() if ids is None else ids
    columns = features or {
        "recency_days": np.arange(len(ids), dtype=np.float64),
        "orders": np.ones(len(ids)),
    }
    with write_artefact(
        home.snapshots,
        kind=SNAPSHOT_KIND,
        schema=SNAPSHOT_SCHEMA,
        created_at=now,
        lineage={},
        meta=meta,
    ) as folder:
        write_arrow(folder / VOLUME_FILE, _volume())
        write_arrow(
            folder / CUSTOMERS_FILE,
            pa.table(
                {
                    "customer_id": pa.array(ids, pa.string()),
                    **{k: pa.array(v) for k, v in columns.items()},
                }
            ),
        )
        (folder / QUEUES_FILE).write_text(json.dumps([queue_to_json(q) for q in QUEUES]))
        (folder / EVENTS_FILE).write_text("[]")
        write_arrow(folder / ORDERS_FILE, orders_to_table(NO_ORDERS))
        write_arrow(
            folder / QUARTERS_FILE,
            quarters_to_table({queue.queue: no_quarters() for queue in QUEUES}),
        )
    return _publish(home.snapshots, folder)


def put_card(
    home: Home, *, model: ModelName, now: datetime = NOW, card: dict[str, Any] | None = None
) -> str:
    """Publish a bundle that holds nothing but its card."""
    root = home.bundles(model)
    document = {
        "model": model,
        "trained_at": now.isoformat(),
        "training_start": "2024-03-20T00:00:00+00:00",
        "training_end": MADE_AT.isoformat(),
        "metrics": {"wape": 0.125} if model == "volume" else {"auc": 0.78},
        **(card or {}),
    }
    with write_artefact(
        root,
        kind=f"{model}-bundle",
        schema=1,
        created_at=now,
        lineage={},
        meta={"card": document},
    ) as folder:
        pass
    return _publish(root, folder)


def put_volume_bundle(home: Home, *, now: datetime = NOW) -> str:
    """Publish a volume bundle made by hand; a snapshot must be in force for its golden request."""
    queues = tuple(queue.queue for queue in QUEUES)
    shape = (len(queues) + 1, len(LEAD_BUCKETS))
    weights = np.zeros((*shape, len(COMPONENTS)))
    weights[:, :, MEAN4] = 1.0
    state = VolumeState(
        queues=queues,
        effects=DayEffects(shared={}, own={}),
        smoothing={"": Smoothing(alpha=0.1)},
        weights=weights,
        shapes=(plain_shape(0.01),) * (len(queues) + 1),
        young=plain_shape(0.02),
        boosters=Boosters(None, None),
    )
    root, card = home.bundles("volume"), {"model": "volume", "horizon_days": DAYS}
    artefact = _artefact(root, VOLUME_BUNDLE_KIND, VOLUME_BUNDLE_SCHEMA, card, now)
    histories = open_current_snapshot(home.snapshots).histories
    until = MADE_AT + timedelta(days=2)
    forecast = VolumeModel(artefact=artefact, card=card, state=state).forecast(
        histories, events=(), made_at=MADE_AT, until=until
    )
    with _writing_as(artefact) as folder:
        write_volume_state(folder, state)
        write_golden(folder, histories, forecast, events=(), until=until)
    return _publish(root, folder)


def put_churn_bundle(
    home: Home, *, now: datetime = NOW, names: tuple[str, ...] = ("recency_days", "orders")
) -> str:
    """Publish a churn bundle made by hand, with these features, the recency first."""
    k = len(names)
    line = LinearScore(
        mean=np.full(k, np.log1p(60.0)),
        scale=np.ones(k),
        weight=np.eye(k)[0],
        missing_share=np.zeros(k),
        missing_weight=np.zeros(k),
    )
    long_ago = Phrase(
        code="long_ago",
        group=0,
        feature=names[0],
        when="above",
        unit="days",
        usual_feature=None,
        usual=60.0,
        text={
            "en": "no purchase for {value} days, usual {usual}",
            "zh": "已 {value} 天未购买，通常 {usual} 天",
        },
    )
    book = ReasonCatalogue(("recency",), dict.fromkeys(names, 0), (long_ago,))
    trees = TreeTables(
        feature=np.empty((0, 1), dtype=np.int64),
        threshold=np.empty((0, 1)),
        missing_left=np.empty((0, 1), dtype=bool),
        table=np.empty((0, 2, 2)),
        base=0.0,
    )
    scoring = {
        "linear_weight": 1.0,
        "slope": 1.0,
        "level": 0.0,
        "recency_feature": names[0],
        "active_days": 180.0,
        "tier_from": (0.7, 0.6, 0.4),
    }
    standing = Segmentation(90.0, 180.0, 90.0, 0.6, 60.0, 4.0, 50_000.0)
    value = ValueModel(
        pace=PurchaseRate(spend=names[-1], since=names[0], horizon_days=90.0, least_minor=1000.0),
        names=names[:1],
        line=LinearScore(*(np.array([x]) for x in (0.0, 1.0, 0.0, 0.0, 0.0))),
        log_level=0.0,
        reach=3.0,
        return_share=0.25,
    )
    records = {"standing": standing.document(), "value": value.document()}
    root, card = home.bundles("churn"), {"model": "churn"}
    artefact = _artefact(root, CHURN_BUNDLE_KIND, CHURN_BUNDLE_SCHEMA, card, now)
    model = ChurnModel(
        artefact,
        feature_names=names,
        scoring=Scoring(**scoring),
        linear=line,
        trees=trees,
        book=book,
        standing=standing,
        value=value,
    )
    golden = np.tile(np.array([[10.0], [100.0], [200.0], [np.nan]]), (1, k))
    with _writing_as(artefact) as folder:
        for file, document in (
            (SCORING_FILE, {"feature_names": names, **scoring}),
            (LINEAR_FILE, line.document()),
            (REASONS_FILE, book.document()),
            (RECORDS_FILE, records),
        ):
            (folder / file).write_text(json.dumps(document))
        np.savez(folder / TREES_FILE, **trees.arrays())
        answers = golden_answers(model, golden)
        np.savez(folder / GOLDEN_FILE, features=golden, **answers)
    return _publish(root, folder)


def _artefact(root: Path, kind: str, schema: int, card: dict[str, Any], now: datetime) -> Artefact:
    id = new_id(now)
    return Artefact(root / id, id, kind, schema, now, lineage={}, meta={"card": card})


def _writing_as(artefact: Artefact) -> AbstractContextManager[Path]:
    return write_artefact(
        artefact.path.parent,
        kind=artefact.kind,
        schema=artefact.schema,
        created_at=artefact.created_at,
        lineage={},
        meta=dict(artefact.meta),
        id=artefact.id,
    )


def flat_forecast(*, days: int = DAYS, factor: float = 1.0) -> VolumeForecast:
    """Return the forecast of the module's rules, with the means times a factor."""
    end = to_epoch(MADE_AT) + days * 86_400
    queues = {}
    for queue in QUEUES:
        starts = interval_starts(to_epoch(MADE_AT), end, queue.interval_minutes, queue.time_zone)
        opened = is_open(queue, starts)
        mean = np.where(opened, factor * _MEAN[queue.queue], 0.0)
        queues[queue.queue] = QueueForecast(
            queue=queue,
            starts=starts,
            is_open=opened,
            mean=mean,
            quantiles=mean[:, None] * (0.5 + np.arange(1, 20) / 20),
            parts=np.column_stack((mean, np.zeros((len(mean), len(PARTS) - 1)))),
            baseline=mean,
            aht_seconds=np.full(len(starts), _AHT[queue.queue]),
            shape=plain_shape(0.05),
            effects=DayEffects({}, {}),
            method="baseline" if queue.queue == "mail" else "combined",
            warnings=("little history",) if queue.queue == "mail" else (),
        )
    return VolumeForecast(made_at=MADE_AT, as_of=MADE_AT, events=(), queues=queues)


def put_forecast(
    home: Home,
    *,
    snapshot: str = "snapshot-1",
    model_version: str = "volume-1",
    now: datetime = NOW,
    factor: float = 1.0,
) -> str:
    """Publish the flat forecast; a factor makes a second set that differs."""
    id = write_forecast_set(
        home.forecasts,
        forecast=flat_forecast(factor=factor),
        snapshot=snapshot,
        model_version=model_version,
        now=now,
    )
    point_to(home.forecasts, id)
    return id


def scored_customers(ids: list[str], *, refuse: bool = False) -> ScoredCustomers:
    """Return the scores of the module's rules for these ids, in this order.

    Args:
        ids: The ids.
        refuse: Whether customer i must not be contacted where ``i % 7 == 3``, and every other one
            of ``i % 7 != 4`` may be; by default nothing is known.
    """
    i = np.arange(len(ids))
    outside = i % 10 == 9
    probability = np.where(outside, np.nan, i % 100 / 100)
    known = np.sort(probability[~outside])
    percentile = np.searchsorted(known, probability) / max(len(known), 1) * 100
    tier = np.where(probability >= 0.8, 0, np.where(probability >= 0.4, 1, 2))
    return ScoredCustomers(
        ids=ids,
        probability=probability,
        percentile=np.where(outside, np.nan, percentile),
        tier=np.where(outside, -1, tier).astype(np.int8),
        expected_value_minor=np.where(outside, np.nan, 1000.0 * (100 - i % 100)),
        value_at_risk_minor=np.where(outside, np.nan, 1000.0 * (i % 100)),
        stage=(i % len(STAGES)).astype(np.int8),
        segment=(i % len(SEGMENTS)).astype(np.int8),
        action=(i % len(ACTIONS)).astype(np.int16),
        consent=np.where(i % 7 == 3, 0.0, np.where(i % 7 == 4, np.nan, 1.0))
        if refuse
        else np.full(len(ids), np.nan),
        reasons=np.stack([np.where(outside, -1, i), *[np.full(len(ids), -1)] * 2], axis=1),
        reason_texts=[
            Reason(
                "recency",
                f"no purchase for {n} days",
                f"已 {n} 天未购买",
                float(n),
                30.0,
            )
            for n in i.tolist()
        ],
        warnings=[("no purchase in the last 180 days",) if out else () for out in outside],
    )


def put_scores(
    home: Home,
    *,
    snapshot: str = "snapshot-1",
    model_version: str = "churn-1",
    now: datetime = NOW,
    ids: list[str] | None = None,
    refuse: bool = False,
) -> str:
    """Publish the scores of the module's rules, for all customers or for these ids (sorted)."""
    id = write_score_set(
        home.scores,
        chunks=[scored_customers(customer_ids() if ids is None else ids, refuse=refuse)],
        as_of=MADE_AT,
        snapshot=snapshot,
        model_version=model_version,
        tiers=TIERS,
        actions=ACTIONS,
        now=now,
    )
    point_to(home.scores, id)
    return id


def put_experiments(home: Home, *, now: datetime = NOW) -> str:
    """Publish the results of one experiment, those of the docs page's example."""
    example = example_of(ExperimentResponse)
    document = {name: value for name, value in example.items() if name != "result_set"}
    with write_artefact(
        home.experiments,
        kind=EXPERIMENTS_KIND,
        schema=EXPERIMENTS_SCHEMA,
        created_at=now,
        lineage={},
        meta={"as_of": MADE_AT.isoformat()},
    ) as folder:
        (folder / RESULTS_FILE).write_text(json.dumps({document["experiment"]: document}))
    return _publish(home.experiments, folder)


def _publish(root: Path, folder: Path) -> str:
    id = folder.name.removeprefix(".writing-")
    point_to(root, id)
    return id


def _volume() -> pa.Table:
    forecast = flat_forecast()
    parts = []
    for name, queue in sorted(forecast.queues.items()):
        n = len(queue.starts)
        past = replace(queue, starts=queue.starts - DAYS * 86_400)
        opened = is_open(queue.queue, past.starts)
        offered = np.where(opened, _MEAN[name], 0.0)
        starts = pa.array(past.starts).cast(pa.timestamp("s", tz="UTC"))
        parts.append(
            pa.table(
                {
                    "queue": [name] * n,
                    "interval_start": starts,
                    "offered": offered,
                    "answered": offered,
                    "abandoned": np.zeros(n),
                    "aht_seconds": np.where(opened, _AHT[name], np.nan),
                    "handled": offered,
                    "is_open": opened,
                    "is_observed": np.ones(n, dtype=bool),
                }
            )
        )
    return pa.concat_tables(parts)
