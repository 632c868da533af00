"""Past forecasts made again through the serving predictor, each from what was known then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
import pandas as pd

from features.calendar import DAY_SECONDS, Bool, Event, Float64, Int64, epoch, is_open, moment
from features.contracts import LEAD_BUCKETS, QUANTILE_LEVELS
from features.snapshot import QueueHistory
from serving.models.volume.combination import add_boosted
from serving.models.volume.model import outlook_of, queue_forecast
from serving.models.volume.outlook import Outlook, lead_bucket
from serving.models.volume.profiles import last_seen, mean_seen, week_cells, week_grid
from serving.models.volume.state import VolumeState
from training.volume.config import VolumeConfig
from training.volume.dispersion import Pairs, learn_dispersion
from training.volume.evaluate import bias, coverage, pinball, wape
from training.volume.fit import Parts, actuals, fit_parts
from training.volume.splits import rolling_origins
from training.volume.weights import Evidence, evidence_of, learn_weights

ALL_QUEUES = "all queues"
"""Name of the pooled rows in a table of scores."""


class VolumeSource(Protocol):
    """Where histories come from; ``features.store.FeatureStore`` is one."""

    def volume(self, as_of: datetime) -> Mapping[str, QueueHistory]:
        """Return the histories as they were known at ``as_of``."""
        ...

    def events(self, as_of: datetime) -> Sequence[Event]:
        """Return the calendar events that were known at ``as_of``."""
        ...


@dataclass(frozen=True)
class Histories:
    """A source whose past is its present cut short: for data without a second clock.

    Attributes:
        queues: Histories by queue.
        known_events: Calendar events.
    """

    queues: Mapping[str, QueueHistory]
    known_events: tuple[Event, ...] = ()

    def volume(self, as_of: datetime) -> Mapping[str, QueueHistory]:
        """Return the histories up to ``as_of``."""
        return {name: history.before(as_of) for name, history in self.queues.items()}

    def events(self, as_of: datetime) -> Sequence[Event]:
        """Return the events known by ``as_of``."""
        return tuple(e for e in self.known_events if e.known_at <= epoch(as_of))


@dataclass(frozen=True)
class Window:
    """One queue's forecast from one origin, and what came.

    Attributes:
        row: The queue's row.
        origin: Epoch seconds.
        ends: End of the horizon, epoch seconds.
        interval_hours: Length of an interval.
        evidence: What it says about the components.
        starts: Interval starts, int64[n], of observed intervals alone, as all below.
        day: Local days, int64[n].
        bucket: Lead buckets, int64[n].
        is_open: Whether the queue was open, bool[n].
        actual: What came, float64[n].
        mean: The forecast, float64[n].
        quantiles: float64[n, 19].
        naive: The same hour of the last observed week, float64[n].
        mean4: The mean of that hour over its last four observed weeks, float64[n].
        method: How the queue was forecast.
    """

    row: int
    origin: int
    ends: int
    interval_hours: float
    evidence: Evidence
    starts: Int64
    day: Int64
    bucket: Int64
    is_open: Bool
    actual: Float64
    mean: Float64
    quantiles: Float64
    naive: Float64
    mean4: Float64
    method: str


@dataclass(frozen=True)
class Backtest:
    """All windows, and what they teach.

    Attributes:
        queues: Queue names by row.
        origins: Origins, oldest first.
        windows: By origin, then queue.
        state: What a bundle made at the end would hold.
    """

    queues: tuple[str, ...]
    origins: tuple[datetime, ...]
    windows: tuple[Window, ...]
    state: VolumeState


def run_backtest(
    source: VolumeSource,
    *,
    as_of: datetime,
    config: VolumeConfig,
    progress: Callable[[str, float], None] | None = None,
) -> Backtest:
    """Forecast from rolling origins, each with what its past had taught, then learn from all.

    An origin uses components fitted at or before it on the history known then, and weights,
    spreads and levels from windows that had ended by then. So each of its errors is out of
    sample, and no window ever chooses anything about itself.

    Raises:
        TooLittleDataError: The history is too short for one origin.
    """
    tell = progress or (lambda _stage, _share: None)
    truth = source.volume(as_of)
    names = tuple(sorted(name for name, h in truth.items() if h.observed.any()))
    origins = _origins(truth, as_of=as_of, config=config)
    refit_at = {round(k * len(origins) / config.refits) for k in range(config.refits)}
    windows: list[Window] = []
    parts: Parts | None = None
    for number, origin in enumerate(origins):
        known, events = source.volume(origin), source.events(origin)
        known = {name: known[name].before(origin) for name in names if name in known}
        if parts is None or number in refit_at:
            tell("fitting", number / (len(origins) + 1))
            parts = fit_parts(known, events=events, as_of=origin, config=config)
        tell("back-test", (number + 0.5) / (len(origins) + 1))
        ended = [w for w in windows if w.ends <= epoch(origin)]
        state = _learn(parts, ended, queues=names, config=config)
        windows += _windows(known, truth, state, events=events, origin=origin, config=config)
    tell("final fit", len(origins) / (len(origins) + 1))
    parts = fit_parts(truth, events=source.events(as_of), as_of=as_of, config=config)
    state = _learn(parts, windows, queues=names, config=config)
    return Backtest(queues=names, origins=origins, windows=tuple(windows), state=state)


def _origins(
    truth: Mapping[str, QueueHistory], *, as_of: datetime, config: VolumeConfig
) -> tuple[datetime, ...]:
    firsts = [int(h.starts[h.observed][0]) for h in truth.values() if h.observed.any()]
    return rolling_origins(
        moment(min(firsts, default=epoch(as_of))),
        as_of=as_of,
        horizon_days=config.horizon_days,
        step_days=config.step_days,
        count=config.origins,
        least_history_days=config.least_history_days,
    )


def _learn(
    parts: Parts, windows: Sequence[Window], *, queues: tuple[str, ...], config: VolumeConfig
) -> VolumeState:
    origins = sorted({w.origin for w in windows})
    step = np.min(np.diff(origins)) if len(origins) > 1 else config.horizon_days * DAY_SECONDS
    share = min(1.0, float(step) / (config.horizon_days * DAY_SECONDS))
    weights = learn_weights(
        [(w.row, w.evidence) for w in windows], queues=len(queues), window_share=share
    )
    spread, levels = learn_dispersion(_pairs(windows), queues=len(queues))
    return VolumeState(
        queues=queues,
        effects=parts.effects,
        smoothing=parts.smoothing,
        weights=weights,
        spread=spread,
        levels=levels,
        boosters=parts.boosters,
    )


def _pairs(windows: Sequence[Window]) -> Pairs:
    judged = [w for w in windows if w.method == "combined"]
    if not judged:
        none, nothing = np.empty(0, dtype=np.int64), np.empty(0)
        return Pairs(none, none, none, nothing, nothing)
    opened = np.concatenate([w.is_open for w in judged])
    row = np.concatenate([np.full(len(w.actual), w.row) for w in judged])
    return Pairs(
        queue=row[opened],
        bucket=np.concatenate([w.bucket for w in judged])[opened],
        day=np.concatenate([w.day for w in judged])[opened],
        mean=np.concatenate([w.mean for w in judged])[opened],
        actual=np.concatenate([w.actual for w in judged])[opened],
    )


def _windows(
    known: Mapping[str, QueueHistory],
    truth: Mapping[str, QueueHistory],
    state: VolumeState,
    *,
    events: Sequence[Event],
    origin: datetime,
    config: VolumeConfig,
) -> list[Window]:
    made_at = epoch(origin)
    ends = epoch(origin + timedelta(days=config.horizon_days))
    outlooks = {
        name: outlook_of(history, state, events=events, made_at=made_at, until=ends)
        for name, history in known.items()
        if history.observed.any()
    }
    add_boosted(list(outlooks.values()), state.boosters)
    return [
        _window(outlook, known[name], truth[name], state, ends=ends)
        for name, outlook in outlooks.items()
    ]


def _window(
    outlook: Outlook, known: QueueHistory, truth: QueueHistory, state: VolumeState, *, ends: int
) -> Window:
    actual = actuals(truth, outlook.starts)
    seen = ~np.isnan(actual)
    forecast = queue_forecast(outlook, known, state)
    naive, mean4 = baselines(known, outlook)
    return Window(
        row=state.row(outlook.queue.queue),
        origin=outlook.made_at,
        ends=ends,
        interval_hours=outlook.queue.interval_minutes / 60,
        evidence=evidence_of(outlook, actual),
        starts=outlook.starts[seen],
        day=outlook.day[seen],
        bucket=lead_bucket(outlook.lead_hours)[seen],
        is_open=outlook.is_open[seen],
        actual=actual[seen],
        mean=forecast.mean[seen],
        quantiles=forecast.quantiles[seen],
        naive=naive[seen],
        mean4=mean4[seen],
        method=forecast.method,
    )


def baselines(known: QueueHistory, outlook: Outlook) -> tuple[Float64, Float64]:
    """Return what a planner has without a model, float64[h] each.

    The same hour of the last observed week, and the mean of that hour over the last four
    observed weeks; 0 where closed or never observed.
    """
    always = replace(outlook.queue, opening=(None,) * 7, open_on_holidays=True)
    grid = week_grid(always, known.starts, known.offered)
    _, cell = week_cells(always, outlook.starts)
    lags = last_seen(grid.values, 4)
    opened = is_open(outlook.queue, outlook.starts)
    naive, mean4 = (np.nan_to_num(x)[cell] * opened for x in (lags[0], mean_seen(lags)))
    return naive, mean4


def judged_windows(backtest: Backtest) -> list[Window]:
    """Return the windows that had at least one ended window to learn from, or else all."""
    first_end = min(w.ends for w in backtest.windows)
    later = [w for w in backtest.windows if w.origin >= first_end]
    return later or list(backtest.windows)


def scores(windows: Sequence[Window]) -> dict[str, float]:
    """Return the pooled measures of some windows, by name.

    ``skill`` is one minus WAPE over the WAPE of the seasonal baseline (the same hour of the last
    observed week); ``coverage_80`` is that of the band from the 0.1 to the 0.9 quantile, over
    open intervals.
    """
    actual, mean, naive, mean4 = (
        np.concatenate([getattr(w, name) for w in windows])
        for name in ("actual", "mean", "naive", "mean4")
    )
    quantiles = np.concatenate([w.quantiles for w in windows])
    opened = np.concatenate([w.is_open for w in windows])
    low, high = QUANTILE_LEVELS.index(0.1), QUANTILE_LEVELS.index(0.9)
    ours, theirs = wape(actual, mean), wape(actual, naive)
    return {
        "wape": ours,
        "wape_seasonal_naive": theirs,
        "wape_mean4": wape(actual, mean4),
        "skill": 1 - ours / theirs if theirs > 0 else float("nan"),
        "bias": bias(actual, mean),
        "pinball": pinball(actual, quantiles, np.array(QUANTILE_LEVELS)),
        "coverage_80": coverage(actual[opened], quantiles[opened, low], quantiles[opened, high]),
        "contacts": float(actual.sum()),
        "hours": sum(w.interval_hours * len(w.actual) for w in windows),
    }


def score_table(backtest: Backtest) -> pd.DataFrame:
    """Return the measures by queue and lead bucket; pooled as ``all queues`` and ``all`` leads."""
    windows = judged_windows(backtest)
    rows = []
    for row in (None, *range(len(backtest.queues))):
        mine = [w for w in windows if row is None or w.row == row]
        name = ALL_QUEUES if row is None else backtest.queues[row]
        for bucket, label in enumerate(("all", *(label for _, _, label in LEAD_BUCKETS)), -1):
            cut = [w if bucket < 0 else _only(w, bucket) for w in mine]
            if any(len(w.actual) for w in cut):
                rows.append({"queue": name, "lead": label, **scores(cut)})
    return pd.DataFrame(rows)


def _only(window: Window, bucket: int) -> Window:
    keep = window.bucket == bucket
    names = ("starts", "day", "bucket", "is_open", "actual", "mean", "quantiles", "naive", "mean4")
    return replace(window, **{name: getattr(window, name)[keep] for name in names})
