"""What was known when: where a back-test's histories come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from features.calendar import Event, epoch
from features.snapshot import NO_ORDERS, OrderFlow, QueueHistory
from features.waits import NO_WAITS, Waits
from serving.models.volume.profiles import recent

_YOUNG_QUEUES = 8
_YOUNG_WEEKS = 3


class VolumeSource(Protocol):
    """Where histories come from; ``features.store.FeatureStore`` is one."""

    def volume(self, as_of: datetime) -> Mapping[str, QueueHistory]:
        """Return the histories as they were known at ``as_of``."""
        ...

    def events(self, as_of: datetime) -> Sequence[Event]:
        """Return the calendar events that were known at ``as_of``."""
        ...

    def orders(self, as_of: datetime) -> OrderFlow:
        """Return the flow of orders as it was known at ``as_of``; empty where there is none."""
        ...

    def waits(self, as_of: datetime, *, days: int) -> Waits:
        """Return the contacts of the last days whose wait was over, as known at ``as_of``."""
        ...


@dataclass(frozen=True)
class Histories:
    """A source whose past is its present cut short: for data without a second clock."""

    queues: Mapping[str, QueueHistory]
    known_events: tuple[Event, ...] = ()
    flow: OrderFlow = NO_ORDERS

    def volume(self, as_of: datetime) -> Mapping[str, QueueHistory]:
        """Return the histories up to ``as_of``."""
        return {name: history.before(as_of) for name, history in self.queues.items()}

    def events(self, as_of: datetime) -> Sequence[Event]:
        """Return the events known by ``as_of``."""
        return tuple(e for e in self.known_events if e.known_at <= epoch(as_of))

    def orders(self, as_of: datetime) -> OrderFlow:
        """Return the flow up to ``as_of``."""
        return self.flow.before(as_of)

    def waits(self, as_of: datetime, *, days: int) -> Waits:  # noqa: ARG002 # counts have none
        """Return no contacts: a history of counts does not know how long each waited."""
        return NO_WAITS


@dataclass(frozen=True)
class Known:
    """What was known at one moment."""

    queues: Mapping[str, QueueHistory]
    events: Sequence[Event]
    flow: OrderFlow


def cut_short(past: Known, number: int) -> Known:
    """Return a few queues, others for each origin, as if they had begun weeks ago."""
    names = sorted(past.queues)
    every = -(-len(names) // _YOUNG_QUEUES) or 1
    chosen = names[number % every :: every]
    return replace(past, queues={n: recent(past.queues[n], _YOUNG_WEEKS) for n in chosen})
