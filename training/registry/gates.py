"""The gates between a challenger and production: what is measured, and against which limit.

Both models are judged by their own back-tests, relative to a baseline on the same rows, since no
window is new to both. Integrity gates (the bundle opens, replays its golden requests, answers on
the current snapshot) can never be forced; accuracy and change gates can, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from features.arrays import Float64
from features.errors import ArtefactError, EbbflowError, IncompatibleArtefactError
from features.home import ModelName
from features.snapshot import FeatureTable, Snapshot
from serving.models.churn.model import ChurnModel
from serving.models.volume.model import VolumeModel
from serving.published.parts import open_model

Model = VolumeModel | ChurnModel
Answer = Mapping[str, Float64]
"""See ``answer_on``."""

_HORIZON_DAYS = 14
"""How far ahead the forecasts of two models are compared."""
_BLOCKS, _BLOCK_ROWS = 20, 100
"""The sample of customers: this many blocks of neighbouring rows, evenly spread."""


@dataclass(frozen=True)
class Limits:
    """What a challenger may cost.

    Attributes:
        accuracy_loss: How far its skill or AUC may lie below the champion's, in [0, 1].
        forecast_change: Largest sum of absolute differences from the champion's forecast over
            the sum of the champion's forecast, the next 14 days of the current snapshot.
        rank_correlation: Least Spearman correlation with the champion's probabilities over a
            sample of the current snapshot's customers, in [-1, 1].
    """

    accuracy_loss: float = 0.02
    forecast_change: float = 0.5
    rank_correlation: float = 0.5


@dataclass(frozen=True)
class Gate:
    """One measurement against its limit.

    Attributes:
        forcible: Whether a reason may override it.
        value: The figure measured, None where the gate is no figure.
        limit: The figure it must reach or stay within.
    """

    name: str
    passed: bool
    forcible: bool
    value: float | None
    limit: float | None
    detail: str


@dataclass(frozen=True)
class Sound:
    """A bundle that passed the integrity gates.

    Attributes:
        answer: What it answers on the snapshot, see ``answer_on``; empty without a snapshot.
    """

    card: Mapping[str, Any]
    answer: Answer


@dataclass(frozen=True)
class _Measure:
    """An out-of-sample figure: larger is better, and the baseline's own figure is known."""

    name: str
    of: Callable[[Mapping[str, float]], float]
    baseline: float


_MEASURES: dict[ModelName, tuple[_Measure, ...]] = {
    "volume": (_Measure("skill over seasonal naive", lambda m: m["skill"], 0.0),),
    "churn": (
        _Measure("AUC", lambda m: m["auc"], 0.5),
        _Measure(
            "log loss skill over the base rate that came true",
            lambda m: 1 - m["log_loss"] / m["base_log_loss"],
            0.0,
        ),
    ),
}


def examine(
    model: ModelName,
    *,
    challenger: Path,
    champion: Path | None,
    snapshot: Snapshot,
    limits: Limits,
) -> tuple[Gate, ...]:
    """Measure a challenger's bundle through serving's own loader and predictor.

    A gate that makes the later ones pointless (the bundle does not open, or cannot answer) ends
    the list. A champion that is itself unfit is left out of the comparison, and named.

    ``champion`` is None before the first promotion; the gates stand in the order of measurement.
    """
    new, gates = integrity(model, challenger, snapshot=snapshot)
    if new is None:
        return gates
    gates += _beats_baseline(model, new.card)
    if champion is None:
        return gates
    old, old_gates = integrity(model, champion, snapshot=snapshot)
    if old is None:
        reason = next(gate.detail for gate in old_gates if not gate.passed)
        detail = f"not compared, since it is unfit itself: {reason}"
        return (*gates, Gate("champion", True, True, None, None, detail))
    gates += _keeps_up(model, new.card, old.card, tolerance=limits.accuracy_loss)
    return (*gates, _change(model, new.answer, old.answer, limits=limits))


def integrity(
    model: ModelName, bundle: Path, *, snapshot: Snapshot | None
) -> tuple[Sound | None, tuple[Gate, ...]]:
    """Open a bundle, replay its golden requests and let it answer.

    Without a ``snapshot`` that gate is left out. Returns the card and answer, or None where the
    bundle is unfit; and the gates.
    """
    try:
        opened: Model = open_model(model, bundle)
    except EbbflowError as error:
        return None, (_firm("bundle opens", False, str(error)),)
    gates = [_firm("bundle opens", True, f"bundle `{bundle.name}`")]
    try:
        opened.check_golden()
    except ArtefactError as error:
        return None, (*gates, _firm("golden requests", False, str(error)))
    gates.append(_firm("golden requests", True, "same answers as when it was trained"))
    if snapshot is None:
        return Sound(opened.card, {}), tuple(gates)
    try:
        answer, words = answer_on(opened, snapshot)
    except EbbflowError as error:
        return None, (*gates, _firm("answers on the snapshot", False, str(error)))
    gates.append(_firm("answers on the snapshot", True, words))
    return Sound(opened.card, answer), tuple(gates)


def answer_on(model: Model, snapshot: Snapshot) -> tuple[Answer, str]:
    """Return a model's answers on a snapshot, in an order that another model's share.

    Returns:
        The forecast's means by queue, float64[intervals], or under one key the probabilities of
        a sample of customers, float64[n], NaN for those that the model does not score; and how
        many there are, in words.

    Raises:
        EbbflowError: The model and the snapshot do not fit, or an answer is no sound number.
    """
    if isinstance(model, VolumeModel):
        forecast = model.forecast(
            snapshot.histories,
            events=snapshot.events,
            orders=snapshot.orders,
            made_at=snapshot.as_of,
            until=snapshot.as_of + timedelta(days=min(_HORIZON_DAYS, model.horizon_days)),
        )
        for name, part in sorted(forecast.queues.items()):
            _require_sound(f"forecast of queue `{name}`", part.mean)
            _require_sound(f"quantile steps of queue `{name}`", np.diff(part.quantiles, axis=1))
        intervals = sum(len(part.mean) for part in forecast.queues.values())
        return (
            {name: part.mean for name, part in sorted(forecast.queues.items())},
            f"{intervals} intervals of {len(forecast.queues)} queues",
        )
    features = _sample(snapshot.customers, model.feature_names)
    probability = model.score(features).probability if len(features) else np.empty(0)
    scored = probability[~np.isnan(probability)]
    _require_sound("scores", scored, most=1.0)
    return {"": probability}, f"{len(scored)} of {len(features)} sampled customers are scored"


def _sample(table: FeatureTable, names: tuple[str, ...]) -> Float64:
    missing = sorted(set(names) - set(table.names))
    if missing:
        raise IncompatibleArtefactError(
            "the current snapshot",
            got=f"no feature {', '.join(missing[:5])}",
            expected=f"the {len(names)} features that the model was trained on",
            remedy="run `python -m features build`, or fit the model again",
        )
    rows = len(table)
    if rows <= _BLOCKS * _BLOCK_ROWS:
        return table.matrix(names)
    starts = np.linspace(0, rows - _BLOCK_ROWS, _BLOCKS).astype(int)
    return np.concatenate([table.matrix(names, int(s), int(s) + _BLOCK_ROWS) for s in starts])


def _require_sound(what: str, values: Float64, *, least: float = 0.0, most: float = np.inf) -> None:
    if not (np.isfinite(values).all() and (values >= least).all() and (values <= most).all()):
        raise ArtefactError(
            what,
            got="values that are not finite or out of range",
            expected=f"numbers in [{least:g}, {most:g}]",
            remedy="fit the model again",
        )


def _beats_baseline(model: ModelName, card: Mapping[str, Any]) -> tuple[Gate, ...]:
    return tuple(
        _figure(f"{measure.name}, at least the baseline's", found, measure.baseline)
        for measure, found in _measured(model, card)
    )


def _keeps_up(
    model: ModelName, card: Mapping[str, Any], champion: Mapping[str, Any], *, tolerance: float
) -> tuple[Gate, ...]:
    return tuple(
        _figure(f"{measure.name}, champion's less {tolerance:g}", found, reference - tolerance)
        for (measure, found), (_, reference) in zip(
            _measured(model, card), _measured(model, champion), strict=True
        )
        if not np.isnan(reference)  # a champion that never measured it sets no limit
    )


def _measured(model: ModelName, card: Mapping[str, Any]) -> list[tuple[_Measure, float]]:
    """Return each measure with its figure, NaN where the card has none."""
    metrics = card.get("metrics", {})
    measured = []
    for measure in _MEASURES[model]:
        try:
            value = float(measure.of(metrics))
        except (KeyError, TypeError, ZeroDivisionError):
            value = float("nan")
        measured.append((measure, value))
    return measured


def _figure(name: str, value: float, limit: float) -> Gate:
    if np.isnan(value):
        return Gate(name, False, True, None, limit, "the bundle's card does not have it")
    passed = value >= limit
    word = "reaches" if passed else "stays below"
    return Gate(name, passed, True, value, limit, f"{value:.4f} {word} {limit:.4f}")


def _firm(name: str, passed: bool, detail: str) -> Gate:
    return Gate(name, passed, False, None, None, detail)


def _change(model: ModelName, new: Answer, old: Answer, *, limits: Limits) -> Gate:
    """Measure how far two models' answers on the same snapshot differ."""
    pairs = [
        (new[k][: len(old[k])], old[k][: len(new[k])]) for k in sorted(new.keys() & old.keys())
    ]
    a, b = (np.concatenate([pair[i] for pair in pairs] or [np.empty(0)]) for i in (0, 1))
    if model == "volume":
        return _change_of_volume(a, b, limit=limits.forecast_change)
    both = ~np.isnan(a) & ~np.isnan(b)
    correlation = rank_correlation(a[both], b[both])
    detail = f"rank correlation {correlation:.3f} over {both.sum()} customers"
    if both.any():
        detail += f"; mean probability {a[both].mean():.3f}, the champion's {b[both].mean():.3f}"
    limit = limits.rank_correlation
    return Gate("order of the scores", correlation >= limit, True, correlation, limit, detail)


def _change_of_volume(new: Float64, old: Float64, *, limit: float) -> Gate:
    name, total, difference = "change of the forecast", old.sum(), np.abs(new - old).sum()
    if total == 0:
        detail = f"the champion foresees no contact at all, the challenger {new.sum():.1f}"
        return Gate(name, bool(difference == 0), True, None, limit, detail)
    change = float(difference / total)
    detail = f"it differs by {change:.1%} of the champion's contacts"
    return Gate(name, change <= limit, True, change, limit, detail)


def rank_correlation(a: Float64, b: Float64) -> float:
    """Return Spearman's rank correlation, ties at their mean rank; 1 for equal arrays.

    Both are float64[n]; 0 where one of two different arrays is constant.

    >>> rank_correlation(np.array([0.1, 0.2, 0.9]), np.array([0.1, 0.3, 0.2]))
    0.5
    """
    if np.array_equal(a, b):
        return 1.0
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a, b).statistic)
