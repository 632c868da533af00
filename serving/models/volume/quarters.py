"""The profile within the hour: which share of an hour's contacts comes in each of its quarters.

What was counted in an hour of the week is drawn to its hour of the day, this to all hours, and
these to four equal quarters, as far as chance explains how they differ (a Dirichlet-multinomial
model, its strength by moments: Mosimann 1962).
"""

from __future__ import annotations

import numpy as np

from features.calendar import Float64
from features.snapshot import QUARTERS
from serving.models.shrinkage import shrink

_WEEKDAYS, _HOURS, _PARTS = 7, 24, QUARTERS[1]
_LEAST_STRENGTH, _MOST_STRENGTH = 20.0, 100_000.0
"""Contacts that the wider group's shares count as, at least and at most."""


def quarter_shares(contacts: Float64) -> Float64:
    """Return the share of an hour's contacts that comes in each of its quarters, float64[168, 4].

    Args:
        contacts: Contacts seen by hour of the week from Monday 00:00 and quarter, float64[168, 4].

    >>> seen = np.zeros((168, 4))
    >>> seen[:, 0] = 1000.0
    >>> quarter_shares(seen)[5].round(2).tolist()
    [1.0, 0.0, 0.0, 0.0]
    """
    week = contacts.reshape(_WEEKDAYS, _HOURS, _PARTS)
    any_hour = _shrunk_shares(week.sum(axis=(0, 1)), np.full(_PARTS, 1 / _PARTS), fitted=0.0)
    # The wider group's shares were already taken from the same contacts.
    hour = _shrunk_shares(week.sum(axis=0), any_hour, fitted=1 / _HOURS)
    return _shrunk_shares(week, hour, fitted=1 / _WEEKDAYS).reshape(QUARTERS)


def _shrunk_shares(contacts: Float64, prior: Float64, *, fitted: float) -> Float64:
    """Return shares drawn to those of a wider group, whose fit took ``fitted`` of the distance."""
    count = contacts.sum(axis=-1, keepdims=True)
    expected = count * prior
    seen = count[..., 0] > 0
    distance = ((contacts - expected) ** 2 / np.maximum(expected, 1e-12)).sum(axis=-1)[seen].sum()
    free = (_PARTS - 1) * (1 - fitted)
    beyond = max(float(distance) - free * float(seen.sum()), 0.0)
    spare = free * float(np.maximum(count - 1, 0).sum())
    # What a share's variance is of that of a single contact: 1 / (1 + strength).
    alike = beyond / spare if spare > 0 else 0.0
    strength = np.clip(1 / max(alike, 1e-12) - 1, _LEAST_STRENGTH, _MOST_STRENGTH)
    return shrink(contacts, weight=count, prior=prior, prior_weight=strength)
