"""What a planner reads of a day: agent hours, the peak, the day's service level, cost and risk.

The intervals of a day share the path that comes true: the day's service level is worked out path
by path, and its chances are counted over the paths.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from features.calendar import Float64, Int64
from serving.staffing.asked import Ask, DayPlan, Fares, Work
from serving.staffing.goal import ROUNDING

_RISK_PROBABILITY = 0.8


@dataclass(frozen=True)
class Staffed:
    """The agents of h intervals and their performance.

    Attributes:
        on_phone: int64[h].
        rostered: int64[h].
        performance: Over the paths.
        contacts: Expected, float64[h].
        offered: Contacts that come on each path, float64[S, h].
        in_time: How many of them are served in time, float64[S, h].
    """

    on_phone: Int64
    rostered: Int64
    performance: Fares
    contacts: Float64
    offered: Float64
    in_time: Float64


def by_day(work: Work, staffed: Staffed, *, ask: Ask) -> tuple[DayPlan, ...]:
    """Return the summary of each local day, in order."""
    begins = np.flatnonzero(np.diff(work.day, prepend=work.day[:1] - 1))
    spans = pairwise([*begins, len(work.day)])
    return tuple(_summary(work, staffed, ask, slice(*span)) for span in spans)


def in_all(work: Work, staffed: Staffed, *, ask: Ask) -> DayPlan | None:
    """Return the summary of the whole span, named by its first day; None without intervals."""
    return _summary(work, staffed, ask, slice(None)) if len(work.day) else None


def _summary(work: Work, staffed: Staffed, ask: Ask, span: slice) -> DayPlan:
    contacts, on_phone = staffed.contacts[span], staffed.on_phone[span]
    offered = staffed.offered[:, span].sum(axis=1)
    in_time = staffed.in_time[:, span].sum(axis=1)
    level = np.divide(in_time, offered, out=np.ones(len(offered)), where=offered > 0)
    policy, probability = ask.policy, staffed.performance.goal_probability[span]
    asked = policy.probability if policy.kind == "probability" else _RISK_PROBABILITY
    hours, peak, cost = work.interval_minutes / 60, int(on_phone.argmax()), staffed.performance.cost
    return DayPlan(
        day=int(work.day[span][0]),
        contacts=float(contacts.sum()),
        hours_on_phone=float(on_phone.sum() * hours),
        hours_rostered=float(staffed.rostered[span].sum() * hours),
        peak_on_phone=int(on_phone[peak]),
        peak_start=int(work.starts[span][peak]),
        service_level=float(level.mean()),
        goal_probability=float((level >= ask.goal.share - ROUNDING).mean()),
        intervals_at_risk=int(((contacts > 0) & (probability < asked - ROUNDING)).sum()),
        abandoned=float(staffed.performance.abandoned[span].sum()),
        cost=None if cost is None else float(cost[span].sum()),
    )
