"""The shapes of all queues' distributions, learnt from past forecasts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from serving.models.volume.shape import DEFAULT_TODAY, Shape
from training.volume.dependence import learn_dependence
from training.volume.dispersion import Pairs, evidence, learn_spreads, recency, recent_pairs
from training.volume.recalibration import fall_between, learn_curves, normal_scores

_YOUNG_SPREAD = 2.0
"""Factor on the variance beyond Poisson of young queues, where no past forecast of one says."""


@dataclass(frozen=True)
class LearntShapes:
    """What past forecasts say of all queues' errors; the last shape is for any other queue."""

    shapes: tuple[Shape, ...]
    young: Shape


def learn_shapes(pairs: Pairs, *, young: Pairs, queues: int, as_of: int) -> LearntShapes:
    """Learn the distribution of each queue's forecasts, all of it but today's parameters.

    Args:
        as_of: What had come by then is learnt from, epoch seconds.
    """
    shapes = _shapes(pairs, queues=queues, as_of=as_of)
    return LearntShapes(shapes, young=_young(young, shapes[-1], as_of=as_of))


def _shapes(pairs: Pairs, *, queues: int, as_of: int) -> tuple[Shape, ...]:
    pairs = recent_pairs(pairs, as_of=as_of)
    weight = recency(pairs.origin, as_of=as_of)
    days, windows = evidence(pairs, weight, queues=queues)
    spreads = learn_spreads(pairs, weight, queues=queues, days=days)
    ends = fall_between(pairs.mean, spreads.rates(pairs), pairs.actual)
    curves = learn_curves(pairs, ends, weight, days=days, windows=windows)
    scores = normal_scores(pairs, ends, curves)
    dependence = learn_dependence(pairs, scores, spreads, weight, queues=queues)
    return tuple(
        Shape(
            spread=spreads.spread[row],
            clumps=spreads.clumps[row],
            curve=curves[row],
            dependence=dependence[row],
            today=DEFAULT_TODAY,
        )
        for row in range(queues + 1)
    )


def _young(pairs: Pairs, other: Shape, *, as_of: int) -> Shape:
    """Learn one shape for all young queues."""
    if not len(pairs.mean):
        return replace(
            other, spread=_YOUNG_SPREAD * other.spread, clumps=_YOUNG_SPREAD * other.clumps
        )
    merged = replace(pairs, queue=np.zeros_like(pairs.queue))
    return replace(_shapes(merged, queues=1, as_of=as_of)[0], dependence=other.dependence)
