"""The back-test of the volume model: past forecasts made again, scored by lead, drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from features.arrays import Float64
from features.calendar.clock import DAY_SECONDS, from_epoch, to_epoch
from features.volume.history import QueueHistory
from serving.models.volume.bundle import VolumeState
from serving.models.volume.distribution import LEAD_BUCKETS, QUANTILE_LEVELS
from serving.models.volume.orders import OrderWeights
from training.config import VolumeConfig
from training.evaluate.metrics import bias, coverage, pinball, wape
from training.evaluate.origins import KnownHistory, VolumeSource, cut_short, rolling_origins
from training.evaluate.volume_windows import (
    OriginForecast,
    day_totals,
    days_covered,
    errors_of,
    handled_of,
    order_gains,
    pairs_of,
    windows_of,
)
from training.models.volume.components import Parts, fit_parts
from training.models.volume.distribution import LearntShapes, learn_shapes
from training.models.volume.handle_time import handle_scores, learn_handle
from training.models.volume.intraday import learn_today
from training.models.volume.orders import fit_orders, learn_use
from training.models.volume.weights import learn_weights


@dataclass(frozen=True)
class Backtest:
    """All windows, and what they teach.

    Attributes:
        windows: By origin, then queue.
    """

    queues: tuple[str, ...]
    origins: tuple[datetime, ...]
    windows: tuple[OriginForecast, ...]
    state: VolumeState


def run_backtest(
    source: VolumeSource,
    *,
    as_of: datetime,
    config: VolumeConfig,
    progress: Callable[[str, float], None] | None = None,
) -> Backtest:
    """Forecast from rolling origins, each with what its past had taught, then learn from all.

    An origin uses components fitted at or before it on the history known then, weights from
    windows that had ended by then, and distributions from what had come by then. So each of its
    errors is out of sample, and no window ever chooses anything about itself.

    Raises:
        TooLittleDataError: The history is too short for one origin.
    """
    tell = progress or (lambda _stage, _share: None)
    truth = source.volume(as_of)
    names = tuple(sorted(name for name, h in truth.items() if h.observed.any()))
    origins = _origins(truth, as_of=as_of, config=config)
    refit_at = {round(k * len(origins) / config.refits) for k in range(config.refits)}
    windows: list[OriginForecast] = []
    young: list[OriginForecast] = []
    parts: Parts | None = None
    for number, origin in enumerate(origins):
        known, events, flow = source.volume(origin), source.events(origin), source.orders(origin)
        known = {name: known[name].before(origin) for name in names if name in known}
        if parts is None or number in refit_at:
            tell("fitting", number / (len(origins) + 1))
            parts = fit_parts(known, events=events, as_of=origin, config=config)
        tell("back-test", (number + 0.5) / (len(origins) + 1))
        ended = [w for w in windows if w.ends <= to_epoch(origin)]
        weights = fit_orders(
            known, flow, events=events, effects=parts.effects, known_by=to_epoch(origin)
        )
        learnt = _shapes(windows, young, queues=len(names), known_by=to_epoch(origin))
        state = _learn(parts, ended, weights, learnt, queues=names, config=config)
        past = KnownHistory(known, events, flow)
        windows += windows_of(past, truth, state, origin=origin, config=config)
        young += windows_of(cut_short(past, number), truth, state, origin=origin, config=config)
    tell("final fit", len(origins) / (len(origins) + 1))
    events, flow = source.events(as_of), source.orders(as_of)
    parts = fit_parts(truth, events=events, as_of=as_of, config=config)
    weights = fit_orders(
        truth, flow, events=events, effects=parts.effects, known_by=to_epoch(as_of)
    )
    learnt = _shapes(windows, young, queues=len(names), known_by=to_epoch(as_of))
    state = _learn(parts, windows, weights, learnt, queues=names, config=config)
    return Backtest(queues=names, origins=origins, windows=tuple(windows), state=state)


def _origins(
    truth: Mapping[str, QueueHistory], *, as_of: datetime, config: VolumeConfig
) -> tuple[datetime, ...]:
    firsts = [int(h.starts[h.observed][0]) for h in truth.values() if h.observed.any()]
    return rolling_origins(
        from_epoch(min(firsts, default=to_epoch(as_of))),
        as_of=as_of,
        horizon_days=config.horizon_days,
        step_days=config.step_days,
        count=config.origins,
        least_history_days=config.least_history_days,
    )


def _learn(
    parts: Parts,
    windows: Sequence[OriginForecast],
    orders: OrderWeights,
    learnt: LearntShapes,
    *,
    queues: tuple[str, ...],
    config: VolumeConfig,
) -> VolumeState:
    origins = sorted({w.origin for w in windows})
    step = np.min(np.diff(origins)) if len(origins) > 1 else config.horizon_days * DAY_SECONDS
    share = min(1.0, float(step) / (config.horizon_days * DAY_SECONDS))
    weights = learn_weights(
        [(w.row, w.evidence) for w in windows], queues=len(queues), window_share=share
    )
    todays = learn_today(errors_of(windows), queues=len(queues))
    handles = learn_handle(handled_of(windows), queues=len(queues))
    return VolumeState(
        queues=queues,
        effects=parts.effects,
        smoothing=parts.smoothing,
        weights=weights,
        shapes=tuple(
            replace(shape, today=today, handle=handle)
            for shape, today, handle in zip(learnt.shapes, todays, handles, strict=True)
        ),
        young=replace(learnt.young, today=todays[-1], handle=handles[-1]),
        boosters=parts.boosters,
        orders=replace(orders, used=learn_use(order_gains(windows, queues))),
    )


def _shapes(
    windows: Sequence[OriginForecast],
    young: Sequence[OriginForecast],
    *,
    queues: int,
    known_by: int,
) -> LearntShapes:
    begun = [w for w in (*windows, *young) if w.method == "profile"]
    return learn_shapes(
        pairs_of([w for w in windows if w.method != "baseline"], known_by=known_by),
        young=pairs_of(begun, known_by=known_by),
        queues=queues,
        as_of_epoch=known_by,
    )


ALL_QUEUES = "all queues"
"""Name of the pooled rows in a table of scores."""
_MOST_TOTALLED = 400


def judged_windows(backtest: Backtest) -> list[OriginForecast]:
    """Return the windows that had at least one ended window to learn from, or else all."""
    first_end = min(w.ends for w in backtest.windows)
    later = [w for w in backtest.windows if w.origin >= first_end]
    return later or list(backtest.windows)


def scores(windows: Sequence[OriginForecast]) -> dict[str, float]:
    """Return the pooled measures of some windows, by name.

    ``skill`` is one minus WAPE over the WAPE of the seasonal baseline (the same hour of the last
    observed week); ``coverage_80`` is that of the band from the 0.1 to the 0.9 quantile, over
    open intervals, and ``coverage_80_days`` that of the band of the totals of local days.
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
        "coverage_80_days": days_covered([w.days for w in windows if w.days is not None]),
        **handle_scores([w.handle for w in windows]),
        "contacts": float(actual.sum()),
        "hours": sum(w.interval_hours * len(w.actual) for w in windows),
    }


def score_table(backtest: Backtest) -> pd.DataFrame:
    """Return the measures by queue and lead bucket; pooled as ``all queues`` and ``all`` leads.

    Totals of days are judged on some of the windows where there are many.
    """
    windows = judged_windows(backtest)
    every = -(-len(windows) // _MOST_TOTALLED)
    windows = [w if k % every else _totalled(w) for k, w in enumerate(windows)]
    rows = []
    for row in (None, *range(len(backtest.queues))):
        mine = [w for w in windows if row is None or w.row == row]
        name = ALL_QUEUES if row is None else backtest.queues[row]
        for bucket, label in enumerate(("all", *(label for _, _, label in LEAD_BUCKETS)), -1):
            cut = [w if bucket < 0 else _only(w, bucket) for w in mine]
            if any(len(w.actual) for w in cut):
                rows.append({"queue": name, "lead": label, **scores(cut)})
    return pd.DataFrame(rows)


def _only(window: OriginForecast, bucket: int) -> OriginForecast:
    keep = window.bucket == bucket
    columns = "starts day hour bucket is_open actual mean quantiles naive mean4"
    kept = {name: getattr(window, name)[keep] for name in columns.split()}
    days = window.days and window.days.where(window.days.bucket == bucket)
    return replace(window, **kept, handle=window.handle.only(bucket), days=days)


def _totalled(window: OriginForecast) -> OriginForecast:
    days = day_totals(
        window,
        made_at=window.origin,
        day=window.day,
        bucket=window.bucket,
        actual=window.actual,
    )
    return replace(window, days=days)


_MOST_QUEUES = 6
_TIDE, _BAND = "#0b7a8f", "80 % band"
_LOW, _HIGH = QUANTILE_LEVELS.index(0.1), QUANTILE_LEVELS.index(0.9)


def volume_figures(backtest: Backtest, table: pd.DataFrame) -> dict[str, Figure]:
    """Return the forecast of the last origin, WAPE by lead, and coverage, by file stem."""
    return {
        "last_origin": _last_origin(backtest),
        "wape_by_lead": _wape_by_lead(table),
        "coverage": _coverage(table),
    }


def _last_origin(backtest: Backtest) -> Figure:
    last = max(w.origin for w in backtest.windows)
    windows = [w for w in backtest.windows if w.origin == last and len(w.actual)]
    windows = sorted(windows, key=lambda w: -float(w.actual.sum()))[:_MOST_QUEUES]
    rows = max(len(windows), 1)
    figure = Figure(figsize=(11, 0.9 + 2.1 * rows), layout="constrained")
    figure.suptitle(
        f"What was forecast on {from_epoch(last):%-d %b %Y}, and what came", x=0.01, ha="left"
    )
    axes = figure.subplots(rows, 1, squeeze=False, sharex=True)[:, 0]
    for axis, window in zip(axes, windows, strict=False):
        _draw_window(axis, window)
        axis.set_title(backtest.queues[window.row], loc="left", fontsize=10)
    axes[-1].set_xlabel("days ahead")
    axes[-1].xaxis.set_major_locator(MultipleLocator(7))
    axes[-1].xaxis.set_minor_locator(MultipleLocator(1))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3)
    return figure


def _draw_window(axis: Axes, window: OriginForecast) -> None:
    step = round(window.interval_hours * 3600)
    place = (window.starts - window.starts[0]) // step

    def spread(values: Float64) -> Float64:
        """Return values with NaN where an interval was not observed, so that no line bridges it."""
        whole = np.full(int(place[-1]) + 1, np.nan)
        whole[place] = values
        return whole

    first = (window.starts[0] - window.origin) / DAY_SECONDS
    days = first + np.arange(int(place[-1]) + 1) * step / DAY_SECONDS
    low, high = spread(window.quantiles[:, _LOW]), spread(window.quantiles[:, _HIGH])
    axis.fill_between(days, low, high, step="post", color=_TIDE, alpha=0.3, lw=0, label=_BAND)
    axis.step(days, spread(window.actual), where="post", color="black", lw=0.6, label="came")
    axis.step(days, spread(window.mean), where="post", color=_TIDE, lw=1.3, label="forecast")
    unit = "an hour" if step == 3600 else f"in {step // 60} min"
    axis.set_ylabel(f"contacts {unit}")
    axis.set_ylim(bottom=0)
    axis.margins(x=0.005)


def _wape_by_lead(table: pd.DataFrame) -> Figure:
    pooled = table[(table["queue"] == ALL_QUEUES) & (table["lead"] != "all")]
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axis = figure.subplots()
    columns = {
        "wape": ("Ebbflow", _TIDE),
        "wape_mean4": ("mean of the last 4 weeks", "#c9c2b4"),
        "wape_seasonal_naive": ("same hour last week", "#8d8778"),
    }
    where = np.arange(len(pooled))
    for shift, (column, (label, color)) in enumerate(columns.items()):
        bars = axis.bar(
            where + (shift - 1) * 0.27, 100 * pooled[column], width=0.25, label=label, color=color
        )
        axis.bar_label(bars, fmt="%.0f", fontsize=8, padding=1)
    axis.set_xticks(where, list(pooled["lead"]))
    axis.set_xlabel("how far ahead (h hours, d days)")
    axis.set_ylabel("missed contacts / all contacts (WAPE), %")
    axis.set_title("How far off the forecast was; lower is better", loc="left")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def _coverage(table: pd.DataFrame) -> Figure:
    queues = table[table["lead"] == "all"].sort_values("queue", key=lambda q: q != ALL_QUEUES)
    figure = Figure(figsize=(7.5, 1.5 + 0.32 * len(queues)), layout="constrained")
    axis = figure.subplots()
    bars = axis.barh(
        list(queues["queue"]), 100 * queues["coverage_80"], height=0.6, color=_TIDE, alpha=0.8
    )
    axis.bar_label(bars, fmt="%.1f", fontsize=8, padding=3)
    axis.axvline(80, color="black", lw=1, ls="--", label="promised: 80 %")
    axis.invert_yaxis()
    axis.set_xlim(0, 100)
    axis.set_xlabel("intervals that came inside the 80 % band, %")
    axis.set_title("How often the band held", loc="left")
    figure.legend(loc="outside lower right", frameon=False)
    return figure
