"""What training learnt of special days: factors of labels of days and of phases of events.

Factors are learnt with shrinkage and kept as logarithms; a label of which nothing is known falls
back to its group.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from features.calendar import Event, Float64

Labels = npt.NDArray[np.str_]
HOLIDAY, EVE, AFTER = "holiday", "eve", "after"
BRIDGE, BRIDGE_EVE, BETWEEN = "bridge", "bridge_eve", "between"
LONG_WEEKEND = "long_weekend"
BEFORE_WEEKEND, AFTER_WEEKEND = "before_long_weekend", "after_long_weekend"
KIN = {BRIDGE_EVE: EVE, BRIDGE: AFTER}
"""The group that stands in for a group of which nothing is known."""
EVENT = "event"
FIRST, LATER = "first", "later"
SAME_DAY, NEXT_DAY, DAYS_2_3 = "same_day", "next_day", "days_2_3"
PHASES = (FIRST, LATER, SAME_DAY, NEXT_DAY, DAYS_2_3)
"""Of an event: its first local day, its other days, then the rest of its last day, and so on."""
_MOST_SIZE = 5.0
_MOST_FACTOR = 20.0


@dataclass(frozen=True)
class DayEffects:
    """Logarithms of the effects of day labels and of the phases of events.

    Attributes:
        shared: By label, phase or group of them, over all queues.
        own: By queue, then label, phase or group; what is missing falls back to ``shared``.
        sizes: By kind of event, the usual size of those that were learnt from.
        rest_shape: By queue, how far the hours of a holiday follow those of the weekly day of
            rest, in [0, 1]; the key ``""`` is for any other queue.
    """

    shared: Mapping[str, float]
    own: Mapping[str, Mapping[str, float]]
    sizes: Mapping[str, float] = field(default_factory=dict)
    rest_shape: Mapping[str, float] = field(default_factory=dict)

    def effect(self, queue: str, label: str) -> float:
        """Return the factor of a label on a queue; 1 where nothing is known of it.

        >>> effects = DayEffects({"holiday": -0.6931471805599453}, {})
        >>> round(effects.effect("sales", "holiday:New Year's Day"), 6)
        0.5
        """
        own = self.own.get(queue, {})
        for known in (own, self.shared):
            for name in (label, group_of(label), KIN.get(group_of(label), "")):
                if name in known:
                    return math.exp(known[name])
        return 1.0

    def by_day(self, queue: str, labels: Labels) -> Float64:
        """Return the factor of each day, float64[days]."""
        factors = np.ones(len(labels))
        for day in np.flatnonzero(labels != ""):
            factors[day] = self.effect(queue, str(labels[day]))
        return factors

    def of_event(self, queue: str, event: Event, phase: str) -> float:
        """Return the factor of one phase of an event on a queue.

        The factor learnt less 1 grows in proportion to the event's size over the usual size of
        its kind, up to five times it; an event or kind without a size has the usual one.

        >>> effects = DayEffects({"event:promotion": 0.4054651081}, {}, sizes={"promotion": 20})
        >>> sale = Event("e", "promotion", 0, 1, 0, size=40)
        >>> round(effects.of_event("sales", sale, "first"), 6)
        2.0
        """
        usual = self.effect(queue, event_label(event.kind, phase))
        factor = 1 + (usual - 1) * relative_size(event, self.sizes)
        return min(max(factor, 1 / _MOST_FACTOR), _MOST_FACTOR)

    def of(self, queue: str) -> DayEffects:
        """Return the effects of one queue alone."""
        own = {q: effects for q, effects in self.own.items() if q == queue}
        rest = {q: share for q, share in self.rest_shape.items() if q in (queue, "")}
        return DayEffects(self.shared, own, self.sizes, rest)


def event_label(kind: str, phase: str) -> str:
    """Return the name of a phase of a kind of event.

    >>> event_label("promotion", FIRST)
    'event:promotion:first'
    """
    return f"{EVENT}:{kind}:{phase}"


def group_of(label: str) -> str:
    """Return what a label is a kind of; a phase after an event is a group of its own.

    >>> group_of("holiday:Epiphany"), group_of("event:promotion:first")
    ('holiday', 'event:promotion')
    >>> group_of("event:promotion:next_day")
    'event:promotion:next_day'
    """
    if not label.startswith(f"{EVENT}:"):
        return label.partition(":")[0]
    return label.removesuffix(f":{FIRST}").removesuffix(f":{LATER}")


def relative_size(event: Event, sizes: Mapping[str, float]) -> float:
    """Return an event's size over the usual of its kind, in [0, 5]; 1 where either is missing."""
    usual = sizes.get(event.kind)
    if event.size is None or not usual:
        return 1.0
    return min(max(event.size / usual, 0.0), _MOST_SIZE)
