"""How much known days and events move contacts, learnt with shrinkage from the past.

A label or phase is drawn to its group in the queue, the group to the same over all queues, and
that to no effect (empirical Bayes with set variances), so that a second promotion is foreseen
from the first, and a queue that has seen none from its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from features.calendar.queues import Event
from features.volume.history import QueueHistory
from serving.models.shrinkage import shrink
from serving.models.volume.calendar_effects import (
    AFTER,
    AFTER_WEEKEND,
    BEFORE_WEEKEND,
    BETWEEN,
    BRIDGE,
    BRIDGE_EVE,
    DAYS_2_3,
    EVE,
    EVENT,
    HOLIDAY,
    KIN,
    LONG_WEEKEND,
    NEXT_DAY,
    SAME_DAY,
    DayEffects,
    group_of,
)
from training.models.volume.special_days import Measured, Past, look_back, measure, measure_rest

_ROUNDS, _CONVERGED = 12, 1e-3

# Variances of logarithms.
_SHARED_VARIANCE = 0.01
"""Of one day's luck that all queues have in common."""
_GROUP_VARIANCE = {
    HOLIDAY: 0.5,
    LONG_WEEKEND: 0.01,
    BEFORE_WEEKEND: 0.01,
    AFTER_WEEKEND: 0.01,
    EVE: 0.01,
    AFTER: 0.01,
    BRIDGE: 0.02,
    BRIDGE_EVE: 0.02,
    BETWEEN: 0.01,
}
"""Of a group's factor around none: a holiday may halve or double a day, its eve may not."""
_EVENT_VARIANCE = 0.25
_PHASE_VARIANCE = {SAME_DAY: 0.02, NEXT_DAY: 0.02, DAYS_2_3: 0.01}
_OWN_VARIANCE = 0.02
_LABEL_VARIANCE = 0.01

_REST_VARIANCE, _REST_OWN_VARIANCE = 0.1, 0.05
"""Of the share of the day of rest in the hours of a holiday: of all queues, of one."""


def fit_effects(
    histories: Mapping[str, QueueHistory], *, events: Sequence[Event], known_by: int
) -> DayEffects:
    """Learn the effects of the work calendar and of calendar events.

    Each is measured on what the others leave: a promotion over a holiday is compared with the
    holiday's contacts. Rounds go half of the way, or two effects on the same days would take
    turns in explaining them; where none overlap the second round changes nothing and ends it.

    Args:
        known_by: Epoch seconds; an event known later does not exist.
    """
    known = [event for event in events if event.known_at <= known_by]
    sizes = _usual_sizes(known, begun_by=known_by)
    pasts = {
        name: look_back(history, known, known_by=known_by) for name, history in histories.items()
    }
    special = {name: past for name, past in pasts.items() if past is not None}
    effects = _learn(special, DayEffects({}, {}, sizes=sizes))
    for _ in range(_ROUNDS):
        again = _learn(special, effects)
        if _apart(effects, again) < _CONVERGED:
            break
        effects = _half_way(effects, again)
    return replace(effects, rest_shape=_rest_shapes(special))


def _learn(pasts: Mapping[str, Past], effects: DayEffects) -> DayEffects:
    seen = {name: measure(past, effects) for name, past in pasts.items()}
    return _shrunk(seen, sizes=effects.sizes)


def _apart(one: DayEffects, other: DayEffects) -> float:
    return max(
        (
            abs(size - other.own[queue].get(x, 0.0))
            for queue, own in one.own.items()
            for x, size in own.items()
        ),
        default=0.0,
    )


def _half_way(one: DayEffects, other: DayEffects) -> DayEffects:
    # A day that one round could not measure, with too little around it, is what the other says.
    def between(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
        return {x: (a.get(x, b.get(x, 0.0)) + b.get(x, a.get(x, 0.0))) / 2 for x in {**a, **b}}

    own = {queue: between(sizes, other.own[queue]) for queue, sizes in one.own.items()}
    return replace(one, shared=between(one.shared, other.shared), own=own)


def _usual_sizes(events: Sequence[Event], *, begun_by: int) -> dict[str, float]:
    stated: dict[str, list[float]] = {}
    for event in events:
        if event.size is not None and event.starts_at < begun_by:
            stated.setdefault(event.kind, []).append(event.size)
    return {kind: float(np.median(sizes)) for kind, sizes in sorted(stated.items())}


def _shrunk(seen: Mapping[str, Sequence[Measured]], *, sizes: Mapping[str, float]) -> DayEffects:
    shared: dict[str, float] = {}
    groups = _by(group_of, [e for every in seen.values() for e in every])
    for group, measured in sorted(groups.items(), key=lambda item: (item[0] in KIN, item[0])):
        prior, own, named = _variances(group)
        kin = shared.get(KIN.get(group, ""), 0.0)
        occasions = _by_occasion(measured, between=own)
        shared[group] = _estimate(occasions, kin, prior, between=named)
        for label, same in _by(lambda x: x, occasions).items():
            if label != group:
                shared[label] = _estimate(same, shared[group], named)
    by_queue: dict[str, dict[str, float]] = {}
    for queue, every in seen.items():
        of_queue = by_queue.setdefault(queue, {})
        for group, measured in _by(group_of, every).items():
            _, own, named = _variances(group)
            of_queue[group] = _estimate(measured, shared[group], own, between=named)
            moved = of_queue[group] - shared[group]
            for label, same in _by(lambda x: x, measured).items():
                if label != group:
                    of_queue[label] = _estimate(same, shared[label] + moved, named)
    return DayEffects(shared, by_queue, sizes=sizes)


def _by_occasion(measured: Sequence[Measured], *, between: float) -> list[Measured]:
    """Average what queues say of a label on one occasion, whose luck they share.

    Args:
        between: Variance of the queues' truths around the common one, beside each own variance.
    """
    seen: dict[tuple[str, str], list[Measured]] = {}
    for one in measured:
        seen.setdefault((one.label, one.occasion), []).append(one)
    averages = []
    for (label, occasion), same in sorted(seen.items()):
        weights = [1 / (one.variance + between) for one in same]
        size = float(np.average([one.size for one in same], weights=weights))
        variance = 1 / sum(weights) + (_SHARED_VARIANCE if len(same) > 1 else 0.0)
        averages.append(Measured(label, size, variance, occasion))
    return averages


def _by(key: Callable[[str], str], measured: Sequence[Measured]) -> dict[str, list[Measured]]:
    split: dict[str, list[Measured]] = {}
    for one in measured:
        split.setdefault(key(one.label), []).append(one)
    return dict(sorted(split.items()))


def _variances(group: str) -> tuple[float, float, float]:
    """Return the variances of a group, of a queue around it, of a label around the queue's."""
    if group.startswith(f"{EVENT}:"):
        phase = group.rpartition(":")[2]
        return _PHASE_VARIANCE.get(phase, _EVENT_VARIANCE), _OWN_VARIANCE, _LABEL_VARIANCE
    prior = _GROUP_VARIANCE[group]
    return (prior, 0.05, 0.05) if group == HOLIDAY else (prior, _OWN_VARIANCE, _LABEL_VARIANCE)


def _estimate(
    measured: Sequence[Measured], prior: float, prior_variance: float, *, between: float = 0.0
) -> float:
    """Return a mean weighted by precision and drawn to a prior.

    Args:
        between: Variance of the labels' truths around the mean, beside each own variance.
    """
    weights = [1 / (one.variance + between) for one in measured]
    total = sum(w * one.size for w, one in zip(weights, measured, strict=True))
    return shrink(total, weight=sum(weights), prior=prior, prior_weight=1 / prior_variance)


def _rest_shapes(pasts: Mapping[str, Past]) -> dict[str, float]:
    """Return how far each queue's holidays follow the hours of its day of rest, in [0, 1]."""
    seen = {name: measure_rest(past) for name, past in pasts.items()}
    seen = {name: measured for name, measured in seen.items() if measured}
    if not seen:
        return {}
    every = [one for measured in seen.values() for one in measured]
    shared = _estimate(_by_occasion(every, between=_REST_OWN_VARIANCE), 0.0, _REST_VARIANCE)
    shares = {name: _estimate(x, shared, _REST_OWN_VARIANCE) for name, x in seen.items()}
    return {name: float(np.clip(s, 0, 1)) for name, s in {**shares, "": shared}.items()}
