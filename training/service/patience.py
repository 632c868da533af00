"""How long contacts wait before they hang up, from waits most of which end with an answer.

Who is answered after w seconds would have waited longer: that patience is *censored* at w. The
exponential, which Erlang A asks for, is fitted to waits up to the horizon that best foretells later
hang-ups, since patience near the origin decides (Zeltyn and Mandelbaum 2005).

Sources: E. L. Kaplan and P. Meier, JASA 53 (1958); L. Brown et al., "Statistical analysis of a
telephone call center", JASA 100 (2005); S. Zeltyn and A. Mandelbaum, "Call centers with impatient
customers: many-server asymptotics of the M/M/n+G queue", Queueing Systems 51 (2005).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import CensoredData, ecdf

from features.arrays import Bool, Float64, Int64

LEAST_ABANDONED = 20
"""Fewer hang-ups than this say nothing of patience."""
SHORT_SECONDS = 5.0
"""A hang-up before it may have been none of the wait's doing."""
HORIZON_SHARES = (0.75, 0.5, 0.9, 1.0)
"""Shares of the waits that end before a horizon. The first ends the typical wait, and is taken
unless another foretells better."""
LEAST_HORIZON_SECONDS = 60.0
"""Within a few seconds the rounding of waits would speak louder than patience."""
_TIMES_THE_REST = 2.0
_STANDARD_ERRORS = 3.0
_BETTER = 0.99
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class Survival:
    """A product-limit estimate: the share that is more patient than each of k waits.

    Attributes:
        seconds: Waits at which somebody hung up, float64[k], ascending.
        share: Share with more patience, float64[k].
        waiting: Contacts that waited as long, int64[k].
    """

    seconds: Float64
    share: Float64
    waiting: Int64


@dataclass(frozen=True)
class Patience:
    """How patient a queue's contacts are.

    Attributes:
        mean_seconds: Mean of the exponential patience.
        horizon_seconds: Waits count up to here; infinite for all of every wait.
        abandoned: Hang-ups that it rests on.
    """

    mean_seconds: float
    low_seconds: float
    high_seconds: float
    horizon_seconds: float
    abandoned: int


def kaplan_meier(seconds: Float64, abandoned: Bool) -> Survival:
    """Return the product-limit estimate of patience.

    At each wait t at which d of the n contacts that waited that long hung up, the share falls by
    the factor 1 - d/n; who is answered at t still counts among the n.

    Args:
        seconds: Waits, float64[n], at least 0.
        abandoned: Whether each ended with a hang-up, bool[n].

    >>> found = kaplan_meier(np.array([10.0, 20, 20, 30]), np.array([True, True, False, False]))
    >>> found.seconds.tolist(), found.share.round(3).tolist()  # 3/4, then 3/4 x 2/3
    ([10.0, 20.0], [0.75, 0.5])
    """
    if not abandoned.any():
        return Survival(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))
    known = CensoredData(uncensored=seconds[abandoned], right=seconds[~abandoned])
    longer = ecdf(known).sf
    ended = np.isin(longer.quantiles, seconds[abandoned])
    times = longer.quantiles[ended]
    waiting = len(seconds) - np.searchsorted(np.sort(seconds), times)
    return Survival(times, longer.probabilities[ended], waiting)


def short_seconds(seconds: Float64, abandoned: Bool) -> float:
    """Return until when hang-ups are none of the wait's doing: ``SHORT_SECONDS``, or 0.

    It is ``SHORT_SECONDS`` where hang-ups before it are more than twice as many as the hazard of
    the same span after it explains, and by more than three standard errors.

    >>> waits = np.r_[np.zeros(40), np.arange(100.0)]  # 40 at once, then one in ten
    >>> short_seconds(waits, (waits == 0) | (np.arange(140) % 10 == 0))
    5.0
    """
    early = int((abandoned & (seconds < SHORT_SECONDS)).sum())
    later, waited = _between(seconds, abandoned, SHORT_SECONDS, 12 * SHORT_SECONDS)
    exposed = float(np.minimum(seconds, SHORT_SECONDS).sum())
    if waited <= 0:
        return 0.0
    # One hang-up later on is assumed, so that none at all does not make every early one odd.
    usual = max(later, 1) / waited * exposed
    odd = early > _TIMES_THE_REST * usual + _STANDARD_ERRORS * np.sqrt(max(usual, 1.0))
    return SHORT_SECONDS if odd else 0.0


def fit_exponential(
    seconds: Float64, abandoned: Bool, *, after: float = 0.0, until: float = np.inf
) -> Patience | None:
    """Return the exponential patience of greatest likelihood; None below ``LEAST_ABANDONED``.

    The mean is the seconds waited over the hang-ups, both between ``after`` and ``until``. Its 95 %
    interval takes the logarithm as normal with variance 1 / hang-ups (Cox and Oakes, *Analysis of
    Survival Data*, 1984, chapter 3).

    ``seconds``: Waits, float64[n], at least 0. ``abandoned``: Whether each ended with a hang-up,
    bool[n].

    >>> waits = np.full(100, 30.0)
    >>> fit_exponential(waits, np.arange(100) < 25).mean_seconds  # 3,000 seconds, 25 hang-ups
    120.0
    """
    hung_up, waited = _between(seconds, abandoned, after, until)
    if hung_up < LEAST_ABANDONED or waited <= 0:
        return None
    mean = waited / hung_up
    factor = float(np.exp(_NORMAL_95 / np.sqrt(hung_up)))
    return Patience(mean, mean / factor, mean * factor, until, hung_up)


def fit_patience(
    seconds: Float64, abandoned: Bool, *, group: Int64, later: Bool, after: float = 0.0
) -> Patience | None:
    """Return the exponential patience whose horizon best foretells later hang-ups.

    For each horizon of ``HORIZON_SHARES`` the earlier contacts are fitted; the sum over later
    groups of |hang-ups - seconds waited / mean patience|, both within a typical wait, judges it.
    The best horizon is then fitted to all contacts.

    Args:
        seconds: Waits, float64[n], at least 0.
        abandoned: Whether each ended with a hang-up, bool[n].
        group: Number of the interval each came in, int64[n], at least 0.
        later: Whether each belongs to the part that judges, bool[n].
        after: Hang-ups before it are left out, as in ``fit_exponential``.

    Returns:
        The patience; None with fewer than ``LEAST_ABANDONED`` hang-ups.
    """
    everything = fit_exponential(seconds, abandoned, after=after)
    waited = seconds[seconds > after]
    if everything is None or len(waited) == 0:
        return None
    horizons = [
        np.inf if share == 1 else max(float(np.quantile(waited, share)), LEAST_HORIZON_SECONDS)
        for share in HORIZON_SHARES
    ]
    best, least = everything, np.inf
    for horizon in horizons:
        early = fit_exponential(seconds[~later], abandoned[~later], after=after, until=horizon)
        whole = fit_exponential(seconds, abandoned, after=after, until=horizon)
        if early is None or whole is None:
            continue
        expected = (np.clip(seconds, after, horizons[0]) - after) / early.mean_seconds
        typical = abandoned & (seconds >= after) & (seconds < horizons[0])
        off = np.bincount(group[later], (typical - expected)[later])
        miss = float(np.abs(off).sum())
        if miss < least * _BETTER:
            best, least = whole, miss
    return best


def _between(seconds: Float64, abandoned: Bool, after: float, until: float) -> tuple[int, float]:
    """Return the hang-ups in [after, until), and the seconds waited between them."""
    hung_up = abandoned & (seconds >= after) & (seconds < until)
    waited = np.clip(seconds, after, until) - after
    return int(hung_up.sum()), float(waited.sum())
