"""Rolling origins of a back-test, and what was known at each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from features.calendar.clock import to_epoch
from features.calendar.queues import Event
from features.errors import TooLittleDataError
from features.volume.contacts import NO_WAITS, Waits
from features.volume.history import NO_ORDERS, OrderFlow, QueueHistory
from serving.models.volume.week_profile import recent

CLOSE_STEP_DAYS = 6
"""Days between origins of a short history; not a week, so that they fall on several weekdays."""


def rolling_origins(
    first: datetime,
    *,
    as_of: datetime,
    horizon_days: int,
    step_days: int,
    count: int,
    least_history_days: int,
) -> tuple[datetime, ...]:
    """Return origins whose whole horizon had been seen by ``as_of``, oldest first.

    They stand ``step_days`` apart, counted back from the last one that is possible. Where the
    history is too short for two of them, they move closer, to six days apart.

    Args:
        first: Start of the history, aware.
        as_of: End of what is known, aware.

    Raises:
        TooLittleDataError: Not one origin is possible.

    >>> from datetime import UTC
    >>> day = datetime(2026, 1, 1, tzinfo=UTC)
    >>> found = rolling_origins(day, as_of=day + timedelta(days=84), horizon_days=28,
    ...                         step_days=14, count=12, least_history_days=28)
    >>> [(origin - day).days for origin in found]
    [28, 42, 56]
    """
    last = as_of - timedelta(days=horizon_days)
    spare = (last - first) - timedelta(days=least_history_days)
    if spare < timedelta(0):
        raise TooLittleDataError(
            "volume history",
            got=f"{max((as_of - first).days, 0)} days",
            expected=f"at least {horizon_days + least_history_days} days",
            remedy="load a longer history, or train with a shorter `horizon_days`",
        )
    step = step_days if spare >= timedelta(days=2 * step_days) else min(step_days, CLOSE_STEP_DAYS)
    possible = min(count, spare // timedelta(days=step) + 1)
    return tuple(last - timedelta(days=step * k) for k in reversed(range(possible)))


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
        return tuple(e for e in self.known_events if e.known_at <= to_epoch(as_of))

    def orders(self, as_of: datetime) -> OrderFlow:
        """Return the flow up to ``as_of``."""
        return self.flow.before(as_of)

    def waits(self, as_of: datetime, *, days: int) -> Waits:  # noqa: ARG002 # counts have none
        """Return no contacts: a history of counts does not know how long each waited."""
        return NO_WAITS


@dataclass(frozen=True)
class KnownHistory:
    """What was known at one moment."""

    queues: Mapping[str, QueueHistory]
    events: Sequence[Event]
    flow: OrderFlow


def cut_short(past: KnownHistory, number: int) -> KnownHistory:
    """Return a few queues, others for each origin, as if they had begun weeks ago."""
    names = sorted(past.queues)
    every = -(-len(names) // _YOUNG_QUEUES) or 1
    chosen = names[number % every :: every]
    return replace(past, queues={n: recent(past.queues[n], _YOUNG_WEEKS) for n in chosen})
