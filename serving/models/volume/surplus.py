"""How a surplus of the flow of orders goes on: as past ones faded."""

from __future__ import annotations

import numpy as np

from features.calendar import Float64

_LEAST_KNOWN_DAYS = 28
_MEMORY_DAYS = 14
_NOISE = 1.75
"""Three standard errors of the mean of three correlations, in units of 1 / sqrt(days)."""


def carried_on(surplus: Float64) -> Float64:
    """Fill a daily surplus: gaps with 0, and the days after the last known one by its memory.

    The surplus, logarithms over the usual of float64[days], is taken as a fading part (its
    correlation falls by the same share every day) plus noise; ahead stands the best linear guess
    from the last 14 days, and 0 where fewer than 28 days or nothing beyond noise is known.

    >>> carried_on(np.array([0.5, np.nan, np.nan])).tolist()
    [0.5, 0.0, 0.0]
    """
    seen = np.flatnonzero(~np.isnan(surplus))
    filled = np.nan_to_num(surplus)
    if len(seen) < _LEAST_KNOWN_DAYS:
        return filled
    last = int(seen[-1])
    share, fading = _memory(filled[seen[0] : last + 1])
    ahead = np.arange(1, len(surplus) - last)
    if share > 0 and len(ahead):
        gaps = np.arange(_MEMORY_DAYS)
        matrix = share * fading ** np.abs(gaps[:, None] - gaps)
        np.fill_diagonal(matrix, 1.0)
        newest = filled[last::-1][:_MEMORY_DAYS]
        weights = np.linalg.solve(matrix, share * fading**gaps)
        state = weights[: len(newest)] @ newest
        filled[last + 1 :] = state * fading**ahead
    return filled


def _memory(values: Float64) -> tuple[float, float]:
    """Return the share of the variance that fades, and by which factor a day."""
    variance = float(values @ values)
    lags = [float(values[k:] @ values[:-k]) / max(variance, 1e-12) for k in range(1, 7)]
    near, far = float(np.mean(lags[:3])), float(np.mean(lags[3:]))
    # Correlations within the noise of so many days are none.
    if near <= _NOISE / np.sqrt(len(values)):
        return 0.0, 0.0
    fading = float(np.clip(max(far, 0.0) / near, 0.02, 0.9)) ** (1 / 3)
    share = near / float(np.mean(fading ** np.arange(1, 4)))
    return float(np.clip(share, 0.0, 0.95)), fading
