"""Fitting the volume model's components: smoothing, LightGBM, and what they rest on.

Each function sees only the histories it is given; what those knew is the caller's matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import lightgbm as lgb
import numpy as np
from statsforecast.models import AutoETS

from features.arrays import Bool, Float64, Int64
from features.calendar.clock import DAY_SECONDS, from_epoch, interval_starts, to_epoch
from features.calendar.queues import Event, learn_opening
from features.volume.history import QueueHistory
from serving.models.volume.anomalies import bad_days, find_anomalies
from serving.models.volume.boosting import Boosters, volume_features
from serving.models.volume.calendar_effects import DayEffects, ordinary
from serving.models.volume.levels import Smoothing, day_levels, smoothed_series
from serving.models.volume.outlook import COMBINED_WEEKS, ComponentForecasts, component_forecasts
from serving.models.volume.week_profile import recent, week_grid, week_profile
from training.config import VolumeConfig
from training.models.volume.effects import fit_effects

DEFAULT_SMOOTHING = Smoothing(alpha=0.15)
_LEAST_ROWS = 2000


@dataclass(frozen=True)
class Parts:
    """What one fit learnt of the components.

    Attributes:
        smoothing: By queue; the key ``""`` is for any other.
    """

    effects: DayEffects
    smoothing: Mapping[str, Smoothing]
    boosters: Boosters


def fit_parts(
    histories: Mapping[str, QueueHistory],
    *,
    events: Sequence[Event],
    as_of: datetime,
    config: VolumeConfig,
) -> Parts:
    """Fit all components on what had ended by ``as_of``."""
    known = {name: history.before(as_of) for name, history in histories.items()}
    known = {name: history for name, history in known.items() if history.observed.any()}
    effects = fit_effects(known, events=events, known_by=to_epoch(as_of))
    smoothing = fit_smoothing(known, events=events, effects=effects, known_by=to_epoch(as_of))
    boosters = fit_boosters(
        known, events=events, effects=effects, smoothing=smoothing, as_of=as_of, config=config
    )
    return Parts(effects=effects, smoothing=smoothing, boosters=boosters)


def fit_smoothing(
    histories: Mapping[str, QueueHistory],
    *,
    events: Sequence[Event],
    effects: DayEffects,
    known_by: int,
) -> dict[str, Smoothing]:
    """Fit exponential smoothing of each queue's day levels with statsforecast's AutoETS.

    Without a trend or with a damped one, by AICc. The key ``""`` holds the median smoothing.
    """
    found: dict[str, Smoothing] = {}
    for name, history in histories.items():
        history = recent(history)
        queue = learn_opening(history.queue, history.starts, history.offered)
        plain = ordinary(effects, queue, history.starts, history.offered, events, known_by=known_by)
        grid = week_grid(queue, history.starts, plain)
        profile = week_profile(grid.values, half_life_weeks=20)
        days = np.where(bad_days(grid.days, profile).bad, np.nan, grid.days)
        series = smoothed_series(day_levels(days, profile))
        if (~np.isnan(series)).sum() >= 56 and np.nanstd(series) > 0:
            found[name] = smoothing_of(series)
    alphas = [s.alpha for s in found.values()]
    default = Smoothing(alpha=float(np.median(alphas))) if alphas else DEFAULT_SMOOTHING
    return {**found, "": default}


def smoothing_of(series: Float64) -> Smoothing:
    """Fit one series of day levels; gaps are interpolated for the fit alone.

    Args:
        series: float64[days], NaN where not observed.
    """
    seen = ~np.isnan(series)
    filled = np.interp(np.arange(len(series)), np.flatnonzero(seen), series[seen])
    # Around 1, since the optimiser's starting values and bounds expect no particular scale.
    filled = filled / filled.mean()
    fits = [AutoETS(season_length=1, model="ANN").fit(filled).model_]
    if len(filled) >= 90:
        fits.append(AutoETS(season_length=1, model="AAN", damped=True).fit(filled).model_)
    best = min(fits, key=lambda fit: float(fit["aicc"]))
    alpha, beta, _, phi = (float(p) for p in best["par"][:4])
    if np.isnan(beta):
        return Smoothing(alpha=alpha)
    return Smoothing(alpha=alpha, beta=beta, phi=phi)


def fit_boosters(
    histories: Mapping[str, QueueHistory],
    *,
    events: Sequence[Event],
    effects: DayEffects,
    smoothing: Mapping[str, Smoothing],
    as_of: datetime,
    config: VolumeConfig,
) -> Boosters:
    """Fit LightGBM on outlooks made again at many past moments of all queues.

    Returns:
        The models; None each where fewer than 2,000 rows could be made.
    """
    rng = np.random.default_rng(config.seed)
    moments = _past_moments(histories, as_of=as_of, config=config)
    per_outlook = max(24, config.boosting_rows // max(len(moments), 1))
    blocks = []
    bad = {
        name: bad_starts(history, effects, events, known_by=to_epoch(as_of))
        for name, history in histories.items()
    }
    for name, at in moments:
        outlook, actual = past_outlook(
            histories[name],
            events=events,
            effects=effects,
            smoothing=smoothing.get(name, smoothing[""]),
            made_at=at,
            horizon_days=config.horizon_days,
        )
        if outlook.weeks_seen < COMBINED_WEEKS:
            continue
        # Relative to the base, which trees are: the other components follow a jump of their own.
        actual = training_rows(outlook, actual, outlook.base[:, None], bad=bad[name])
        usable = ~np.isnan(actual) & outlook.is_open & (outlook.effect == 1) & (outlook.base > 1e-3)
        rows = np.flatnonzero(usable)
        if len(rows) > per_outlook:
            rows = np.sort(rng.choice(rows, per_outlook, replace=False))
        base = outlook.base[rows]
        features = volume_features(outlook)[rows].astype(np.float32)
        blocks.append((features, actual[rows] / base, base / (1 + 0.05 * base)))
    if sum(len(block[1]) for block in blocks) < _LEAST_ROWS:
        return Boosters(None, None)
    features, ratio, weight = (np.concatenate(column) for column in zip(*blocks, strict=True))
    data = lgb.Dataset(
        features,
        np.clip(ratio, 0, 5),
        weight=weight / weight.mean(),
        params={"max_bin": 127, "verbosity": -1, "num_threads": config.threads},
        free_raw_data=False,
    )
    return Boosters(
        tweedie=_boost(data, {"objective": "tweedie", "tweedie_variance_power": 1.2}, config),
        l1=_boost(data, {"objective": "regression_l1"}, config),
    )


def _boost(data: lgb.Dataset, objective: Mapping[str, object], config: VolumeConfig) -> lgb.Booster:
    parameters = {
        "learning_rate": 0.07,
        "num_leaves": 24,
        "min_data_in_leaf": 200,
        "feature_fraction": 0.6,
        "bagging_fraction": 0.6,
        "bagging_freq": 1,
        "lambda_l2": 10.0,
        "max_bin": 127,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": config.threads,
        "verbosity": -1,
        **objective,
    }
    return lgb.train(parameters, data, num_boost_round=config.boosting_rounds)


def _past_moments(
    histories: Mapping[str, QueueHistory], *, as_of: datetime, config: VolumeConfig
) -> list[tuple[str, datetime]]:
    """Return queue and moment of the outlooks to learn from, spread over two years."""
    span = timedelta(weeks=COMBINED_WEEKS)
    found = []
    for name, history in histories.items():
        first = from_epoch(int(history.starts[history.observed][0])) + span
        first = max(first, as_of - timedelta(days=730))
        # Five days apart, so that moments fall on every weekday.
        count = (as_of - first) // timedelta(days=5)
        found += [(name, as_of - timedelta(days=5 * k + 2)) for k in range(max(count, 0))]
    keep = -(-len(found) // config.boosting_outlooks)
    return found[:: max(keep, 1)]


def past_outlook(
    history: QueueHistory,
    *,
    events: Sequence[Event],
    effects: DayEffects,
    smoothing: Smoothing,
    made_at: datetime,
    horizon_days: int,
) -> tuple[ComponentForecasts, Float64]:
    """Return the outlook as of a past moment, and what then came, NaN where not observed."""
    queue = history.queue
    until = to_epoch(made_at) + horizon_days * DAY_SECONDS
    starts = interval_starts(to_epoch(made_at), until, queue.interval_minutes, queue.time_zone)
    outlook = component_forecasts(
        history.before(made_at),
        events=events,
        effects=effects,
        smoothing=smoothing,
        made_at=to_epoch(made_at),
        starts=starts,
    )
    return outlook, actuals(history, starts)


def actuals(history: QueueHistory, starts: Int64) -> Float64:
    """Return the contacts offered in each interval, float64[h]; NaN where not observed."""
    found = np.full(len(starts), np.nan)
    if len(history.starts):
        at = np.minimum(np.searchsorted(history.starts, starts), len(history.starts) - 1)
        there = history.starts[at] == starts
        found[there] = history.offered[at[there]]
    return found


JUMP = 3.0
"""Factor, either way, beyond every forecast, from which a week has jumped."""
LEAST_CONTACTS = 60.0
"""Contacts due and come in a week, below which chance alone might look like a jump."""
MOST_JUMPED = 1 / 3
"""Share of a queue's past forecasts that may come after a jump for jumps not to be usual."""
LEAST_DAYS = 4
"""Days that the last week compared must have; fewer that are far off are bad days."""
_WEEK_DAYS = 7


def jumped(actual: Float64, forecasts: Float64, *, lead_hours: Float64) -> Bool:
    """Return what comes after a lasting jump that no forecast foresaw.

    Contacts are compared over the seven observed days from each day on. A jump lasts that reaches
    the end of what was observed: a surge that has ended, however large, is an error like any
    other.

    Args:
        actual: What came, contacts, float64[h], NaN where it is not compared.
        forecasts: What was forecast, contacts, float64[h, n].
        lead_hours: From the forecast's making to each interval, float64[h].

    Returns:
        bool[h].

    >>> lead = np.arange(672.0)
    >>> stopped = np.where(lead < 336, 5.0, 0.0)
    >>> found = jumped(stopped, np.full((672, 1), 4.0), lead_hours=lead)
    >>> int(found.argmax()) // 24, int(found.sum()) // 24
    (13, 15)
    """
    seen = ~np.isnan(actual)
    lead_days = lead_hours // 24
    days, day = np.unique(lead_days[seen], return_inverse=True)
    size = len(days)
    if size < LEAST_DAYS:
        return np.zeros(len(actual), dtype=bool)

    def weekly(values: Float64) -> Float64:
        so_far = np.cumsum(np.append(0.0, np.bincount(day, values[seen], size)))
        first = np.arange(size - LEAST_DAYS + 1)
        found: Float64 = so_far[np.minimum(first + _WEEK_DAYS, size)] - so_far[first]
        return found

    came = weekly(actual)
    due = np.stack([weekly(column) for column in forecasts.T])
    low, high = due.min(axis=0), due.max(axis=0)
    rose = (came + 1 >= JUMP * (high + 1)) & (came + high >= LEAST_CONTACTS)
    fell = (JUMP * (came + 1) <= low + 1) & (came + low >= LEAST_CONTACTS)
    lasts = [np.logical_and.accumulate(far[::-1])[::-1] for far in (rose, fell)]
    found: Bool = (lasts[0] | lasts[1])[np.minimum(np.searchsorted(days, lead_days), len(came) - 1)]
    return found


def training_rows(
    outlook: ComponentForecasts, actual: Float64, forecasts: Float64, *, bad: Int64
) -> Float64:
    """Return what came, NaN where it says nothing of how an outlook should have been made.

    Args:
        actual: What came, float64[h], NaN where not observed.
        forecasts: Of ordinary days, one of which may have foreseen a jump, float64[h, n].
    """
    kept = np.where(np.isin(outlook.starts, bad), np.nan, actual)
    after = jumped(
        np.where(outlook.is_open, kept, np.nan),
        forecasts * outlook.effect[:, None],
        lead_hours=outlook.lead_hours,
    )
    return np.where(after, np.nan, kept)


def bad_starts(
    history: QueueHistory, effects: DayEffects, events: Sequence[Event], *, known_by: int
) -> Int64:
    """Return the starts of a history's bad intervals, int64[n], epoch seconds.

    Args:
        known_by: Epoch seconds; an event known later does not exist.
    """
    return history.starts[find_anomalies(history, effects, events, known_by=known_by)[0]]
