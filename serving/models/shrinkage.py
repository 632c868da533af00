"""Shrinkage: what little data says is drawn to what a wider group says, and that to a prior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from features.arrays import Float64

Mean = TypeVar("Mean", float, Float64)
Seen = TypeVar("Seen")


def shrink(
    total: Mean, *, weight: Mean | float, prior: Mean | float, prior_weight: Mean | float
) -> Mean:
    """Return means drawn to a prior, as if ``prior_weight`` more had been seen at the prior.

    Source: credibility (Bühlmann 1967), the posterior mean of conjugate models. Arrays broadcast.

    Args:
        total: Sums of what was seen: the mean seen times its weight; 0 where nothing was seen.
        weight: How much was seen, >= 0: observations, contacts, or a precision.
        prior: The mean where nothing was seen.
        prior_weight: How much the prior counts, in the unit of ``weight``, > 0.

    >>> shrink(30.0, weight=10.0, prior=1.0, prior_weight=10.0)
    2.0
    """
    shrunk: Mean = (total + prior_weight * prior) / (weight + prior_weight)
    return shrunk


@dataclass(frozen=True)
class Ladder(Generic[Seen]):
    """What was seen of one quantity over all queues and leads, by lead, by queue, and by both."""

    overall: Seen
    lead: Seen
    queue: Seen
    cell: Seen


def shrink_ladder(
    seen: Ladder[Seen],
    *,
    prior: Float64,
    toward: Callable[[Seen, Float64, float], Float64],
    alike: Callable[[Float64, Float64, Float64], Float64],
    overall_weight: float,
    weight: float,
) -> Float64:
    """Draw overall to a prior, leads and queues to overall, and cells to their queue and lead.

    Args:
        seen: What was seen; arrays of queues have the leads' axis, of length 1, too.
        prior: What to expect overall where nothing was seen.
        toward: Gives what was seen, drawn to a prior of a weight, such as ``shrink``.
        alike: Gives the cells to expect from queues, leads and overall.
        overall_weight: Weight of the prior.
        weight: Weight of each wider group for the next narrower one.

    Returns:
        float64[queues + 1, leads, ...]; the last row is for any other queue.

    >>> def toward(total, prior, prior_weight):  # of one observation each
    ...     return shrink(total, weight=1.0, prior=prior, prior_weight=prior_weight)
    >>> shrink_ladder(
    ...     Ladder(np.array(3.0), np.array([3.0]), np.array([[5.0]]), np.array([[7.0]])),
    ...     prior=np.array(1.0), toward=toward, alike=lambda queue, lead, overall: queue,
    ...     overall_weight=1.0, weight=1.0,
    ... ).tolist()
    [[5.25], [2.5]]
    """
    overall = toward(seen.overall, prior, overall_weight)
    lead = toward(seen.lead, overall, weight)
    queue = toward(seen.queue, overall, weight)
    cell = toward(seen.cell, alike(queue, lead, overall), weight)
    return np.concatenate((cell, lead[None]))
