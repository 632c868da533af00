"""A queue's predicted service level beside the achieved one, and what sets it right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import bisect

from features.calendar import Bool, Float64, Int64
from serving.staffing.erlang import performance
from serving.staffing.goal import Line

EFFICIENCIES = (0.5, 2.0)
"""An efficiency at either end explains nothing: the agents or the waits are not what they seem."""
_TOLERANCE = 2e-4


@dataclass(frozen=True)
class Compared:
    """Intervals of one queue in which somebody came and somebody was on phone, arrays of n.

    Attributes:
        starts: Epoch seconds, int64[n], ascending.
        hour: Hour of the day on the queue's clock, int64[n].
        later: Whether it lies in the part that no efficiency is learnt from, bool[n].
        contacts: Offered, without those that hung up in the first seconds, float64[n].
        achieved: Share of them that was answered within the goal, float64[n].
        agents: Mean agents on phone for this queue, float64[n].
        load: Erlangs that came to all who serve it, float64[n].
        aht_seconds: Average handle time of what came to them, float64[n].
        pool_agents: Mean agents on phone who serve it, whatever they do, float64[n].
        line: How contacts wait for them, with the patience of all who do.
    """

    starts: Int64
    hour: Int64
    later: Bool
    contacts: Float64
    achieved: Float64
    agents: Float64
    load: Float64
    aht_seconds: Float64
    pool_agents: Float64
    line: Line
    within_seconds: float

    def predicted(self, efficiency: float = 1.0) -> Float64:
        """Return the service level that the queue model predicts, float64[n].

        Between two whole numbers of agents it is interpolated.
        """
        low = np.floor(self.pool_agents).astype(np.int64)
        more = self.pool_agents - low
        levels = (self._level(low, efficiency), self._level(low + 1, efficiency))
        return (1 - more) * levels[0] + more * levels[1]

    def _level(self, agents: Int64, efficiency: float) -> Float64:
        return performance(
            self.load / efficiency,
            aht_seconds=self.aht_seconds / efficiency,
            agents=agents,
            line=self.line,
            within_seconds=self.within_seconds,
        ).service_level

    def mean(self, levels: Float64, use: Bool | None = None) -> float:
        """Return the mean over contacts of a service level, float64[n], in some intervals."""
        weight = self.contacts if use is None else np.where(use, self.contacts, 0.0)
        return float(levels @ weight / weight.sum())

    def error(self, levels: Float64) -> float:
        """Return by how much a service level misses in the later part, by hour of the day.

        Hours of the day, not single intervals: in one interval chance alone moves what few
        contacts achieve, and an absolute error would reward the nearer of 0 and 1.
        """
        missed = np.where(self.later, self.contacts * (levels - self.achieved), 0.0)
        return float(np.abs(np.bincount(self.hour, missed)).sum() / self.contacts[self.later].sum())


def fit_efficiency(compared: Compared) -> float:
    """Return the efficiency whose prediction is what the earlier part achieved in all.

    The prediction grows with it, so that halving the span of ``EFFICIENCIES`` on a logarithmic
    scale finds it; an end of the span where none inside is enough.
    """
    earlier = ~compared.later
    target = compared.mean(compared.achieved, earlier)
    low, high = np.log(EFFICIENCIES)

    def missed(logarithm: float) -> float:
        return compared.mean(compared.predicted(float(np.exp(logarithm))), earlier) - target

    if missed(low) >= 0:
        return EFFICIENCIES[0]
    if missed(high) < 0:
        return EFFICIENCIES[1]
    return float(np.exp(bisect(missed, low, high, xtol=_TOLERANCE)))
