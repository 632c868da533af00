"""Weights of the components, per queue and lead bucket, learnt from past errors.

Absolute error is minimised through one step of reweighted least squares, so that all a window
of the past has to say is a small matrix per lead bucket; windows add up. Weights are
non-negative, sum to 1, and are drawn to those of all queues together, and these to a prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from features.arrays import Float64
from serving.models.volume.distribution import LEAD_BUCKETS, lead_bucket
from serving.models.volume.outlook import COMPONENT_TABLE, COMPONENTS, SLOW, ComponentForecasts

RIDGE = 0.25
"""Cost, in WAPE, of moving all weight from the prior's component to another, on one window."""
_STEPS = 400


def prior_weights() -> Float64:
    """Return the weights without evidence, float64[lead buckets, components]."""
    near, far = np.array([component.prior for component in COMPONENT_TABLE.values()]).T
    prior = np.stack([near if bucket < 2 else far for bucket in range(len(LEAD_BUCKETS))])
    weights: Float64 = prior / prior.sum(axis=1, keepdims=True)
    return weights


@dataclass(frozen=True)
class Evidence:
    """What one queue's window says of each lead bucket.

    Attributes:
        gram: Weighted products of components, float64[buckets, c, c].
        cross: Weighted products of components and actuals, float64[buckets, c].
        contacts: Contacts that came, float64[buckets].
        hours: Hours compared, float64[buckets].
    """

    gram: Float64
    cross: Float64
    contacts: Float64
    hours: Float64


def filled_parts(outlook: ComponentForecasts) -> Float64:
    """Return the components, the slow profile where one has nothing to say, float64[h, c]."""
    return np.where(np.isnan(outlook.parts), outlook.parts[:, [SLOW]], outlook.parts)


def evidence_of(outlook: ComponentForecasts, actual: Float64) -> Evidence:
    """Condense one window.

    Args:
        actual: What came, float64[h], NaN where not observed.
    """
    size, count = len(LEAD_BUCKETS), len(COMPONENTS)
    use = ~np.isnan(actual) & outlook.is_open
    parts = (filled_parts(outlook) * outlook.effect[:, None])[use]
    seen, bucket = actual[use], lead_bucket(outlook.lead_hours)[use]
    middle = (parts * prior_weights()[bucket]).sum(axis=1)
    noise = np.sqrt(middle + (0.1 * middle) ** 2)
    # 1/|error| turns squares into absolute errors; the noise floor keeps lucky hours bounded.
    rows = 1 / np.maximum(np.abs(seen - middle), np.maximum(0.5 * noise, 1e-3))
    gram, cross = np.zeros((size, count, count)), np.zeros((size, count))
    for b in range(size):
        mine = bucket == b
        weighted = parts[mine] * rows[mine, None]
        gram[b], cross[b] = weighted.T @ parts[mine], weighted.T @ seen[mine]
    hours = np.bincount(bucket, minlength=size) * outlook.queue.interval_minutes / 60
    contacts: Float64 = np.bincount(bucket, weights=seen, minlength=size).astype(np.float64)
    return Evidence(gram, cross, contacts, hours)


def learn_weights(
    evidence: Sequence[tuple[int, Evidence]], *, queues: int, window_share: float
) -> Float64:
    """Learn all weights.

    Args:
        evidence: Row of the queue, and one window of it.
        window_share: How much of a window is news, in (0, 1]: the step between origins over the
            horizon, where windows overlap.

    Returns:
        float64[queues + 1, lead buckets, components]; the last row is for any other queue.
    """
    size, count = len(LEAD_BUCKETS), len(COMPONENTS)
    gram, cross = np.zeros((queues, size, count, count)), np.zeros((queues, size, count))
    contacts, hours, windows = (np.zeros((queues, size)) for _ in range(3))
    for row, window in evidence:
        gram[row] += window.gram
        cross[row] += window.cross
        contacts[row] += window.contacts
        hours[row] += window.hours
        windows[row] += (window.contacts > 0) * window_share
    scale = np.maximum(contacts, 1e-9)
    gram, cross = gram / scale[..., None, None], cross / scale[..., None]
    rate = contacts / np.maximum(hours, 1)
    # A queue counts in the common weights by its windows, less where it is mostly noise.
    trust = windows * rate / (rate + 2)
    share = trust / np.maximum(trust.sum(axis=0), 1e-9)
    common = _simplex(
        np.einsum("qb,qbij->bij", share, gram),
        np.einsum("qb,qbi->bi", share, cross),
        prior_weights(),
        RIDGE / np.maximum(trust.sum(axis=0), 0.1),
    )
    known = np.tile(common, (queues, 1, 1))
    own = _simplex(
        gram.reshape(-1, count, count),
        cross.reshape(-1, count),
        known.reshape(-1, count),
        (RIDGE / np.maximum(windows * rate / (rate + 2), 0.1)).reshape(-1),
    ).reshape(queues, size, count)
    return np.concatenate((own, common[None]))


def _simplex(gram: Float64, cross: Float64, prior: Float64, ridge: Float64) -> Float64:
    """Minimise w'Gw - 2 w'b + ridge |w - prior|^2 over the simplex, for n problems at once."""
    bound = np.trace(gram, axis1=1, axis2=2)
    step = 1 / (bound + ridge + 1e-12)
    weights = momentum = prior
    for k in range(_STEPS):
        slope = np.einsum("nij,nj->ni", gram, momentum) - cross
        slope += ridge[:, None] * (momentum - prior)
        nearer = _project(momentum - step[:, None] * slope)
        momentum = nearer + k / (k + 3) * (nearer - weights)
        weights = nearer
    return weights


def _project(points: Float64) -> Float64:
    """Return the nearest points of the simplex (Held, Wolfe and Crowder 1974), float64[n, c]."""
    ordered = -np.sort(-points, axis=1)
    excess = (np.cumsum(ordered, axis=1) - 1) / np.arange(1, points.shape[1] + 1)
    last = (ordered > excess).sum(axis=1) - 1
    nearest: Float64 = np.maximum(points - excess[np.arange(len(points)), last][:, None], 0.0)
    return nearest
