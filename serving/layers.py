"""Overrides as they are stored, layer on layer."""

from __future__ import annotations

from dataclasses import dataclass

from features.overrides import Override


@dataclass(frozen=True)
class Piece:
    """One interval of an override; ``start`` in epoch seconds, ``offered`` in contacts."""

    start: int
    minutes: int
    offered: float


@dataclass(frozen=True)
class Expected:
    """What a planner expects of one queue in one span of time.

    Attributes:
        start: First moment, epoch seconds.
        end: One past the last, epoch seconds.
        offered: Contacts in the whole span.
        aht_seconds: Average handle time; None where the forecast's holds.
        forecast_set: Id of the set that was in force.
        forecast_offered: Contacts that its model expected in the span.
        pieces: The open intervals of the span.
    """

    queue: str
    start: int
    end: int
    offered: float
    aht_seconds: float | None
    forecast_set: str
    forecast_offered: float
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Change:
    """Who changed something, when (epoch seconds) and why."""

    at: int
    by: str
    reason: str


@dataclass(frozen=True)
class Layer:
    """One stored override; ids ascend in the order in which overrides were made."""

    override_id: str
    expected: Expected
    made: Change
    withdrawn: Change | None = None

    def overrides(self) -> list[Override]:
        """Return its intervals, each as an override of its own."""
        return [
            Override(
                override_id=self.override_id,
                queue=self.expected.queue,
                start=piece.start,
                interval_minutes=piece.minutes,
                offered=piece.offered,
                aht_seconds=self.expected.aht_seconds,
                made_by=self.made.by,
                made_at=self.made.at,
                reason=self.made.reason,
                withdrawn_at=None if self.withdrawn is None else self.withdrawn.at,
            )
            for piece in self.expected.pieces
        ]
