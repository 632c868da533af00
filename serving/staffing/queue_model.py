"""How contacts wait for agents, the service goal, and what calibration learnt of a queue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.arrays import Float64
from features.errors import InputError

LEAST_OCCUPANCY_LIMIT = 0.1
MOST_CONCURRENCY = 20
ROUNDING = 1e-9
MOST_SLOWDOWN = 1.0
"""Beyond it an agent completes fewer contacts the more of them she holds."""


@dataclass(frozen=True)
class ServiceGoal:
    """What a queue promises; each limit that is None does not count.

    Attributes:
        share: Share of offered contacts to answer within the threshold, above 0 and below 1.
        seconds: The threshold, at least 0; of deferred work its deadline.
        asa_seconds: Greatest average speed of answer, above 0.
        abandonment: Greatest share of contacts that hang up, above 0 and below 1.
        max_occupancy: Greatest share of time an agent may be busy, 0.1 to 1.

    Raises:
        InputError: A value is out of range; the error's field names it.

    >>> ServiceGoal(share=1.0)
    Traceback (most recent call last):
    features.errors.InputError: `goal.share`: got 1.0; expected above 0 and below 1
    """

    share: float = 0.8
    seconds: float = 20.0
    asa_seconds: float | None = None
    abandonment: float | None = None
    max_occupancy: float | None = None

    def __post_init__(self) -> None:
        expect(0 < self.share < 1, "goal.share", self.share, "above 0 and below 1")
        expect(0 <= self.seconds < np.inf, "goal.seconds", self.seconds, "seconds, at least 0")
        if self.asa_seconds is not None:
            expect(0 < self.asa_seconds < np.inf, "goal.asa_seconds", self.asa_seconds, "above 0")
        if self.abandonment is not None:
            expect(
                0 < self.abandonment < 1,
                "goal.abandonment",
                self.abandonment,
                "above 0 and below 1",
            )
        limit = self.max_occupancy
        if limit is not None:
            expect(LEAST_OCCUPANCY_LIMIT <= limit <= 1, "goal.max_occupancy", limit, "0.1 to 1")


@dataclass(frozen=True)
class QueueModel:
    """How contacts wait for agents who serve them at once; not for deferred work.

    Attributes:
        patience_seconds: Mean patience, exponential; None where nobody hangs up.
        blocked: Whether a contact that finds nobody free is lost at once (no waiting line).
        concurrency: Contacts an agent holds at once, 1 to 20.
        slowdown: Share of the handle time of a single contact by which each further contact
            lengthens all of an agent's, 0 to 1. The AHT is that at full ``concurrency``.

    Raises:
        InputError: A value is out of range; the error's field names it.
    """

    patience_seconds: float | None = None
    blocked: bool = False
    concurrency: int = 1
    slowdown: float = 0.0

    def __post_init__(self) -> None:
        patience = self.patience_seconds
        if patience is not None:
            expect(0 < patience < np.inf, "patience_seconds", patience, "above 0 seconds")
            expect(not self.blocked, "patience_seconds", patience, "none where nobody waits")
        expect(
            1 <= self.concurrency <= MOST_CONCURRENCY,
            "concurrency",
            self.concurrency,
            f"1 to {MOST_CONCURRENCY}",
        )
        expect(0 <= self.slowdown <= MOST_SLOWDOWN, "slowdown", self.slowdown, "0 to 1")

    @property
    def model(self) -> str:
        """The queue model's name: ``erlang_a``, ``erlang_b`` or ``erlang_c``."""
        if self.blocked:
            return "erlang_b"
        return "erlang_c" if self.patience_seconds is None else "erlang_a"


def expect(holds: bool, field: str, got: object, expected: str) -> None:
    """Raise an ``InputError`` that names the field where a condition does not hold."""
    if not holds:
        raise InputError(f"`{field}`", got=got, expected=expected, field=field)


def check_contacts(contacts: Float64, *, aht_seconds: Float64) -> None:
    """Raise an ``InputError`` where contacts are below 0, or come without an AHT above 0."""
    for i in np.flatnonzero(~(np.isfinite(contacts) & (contacts >= 0)))[:1]:
        expect(False, f"contacts[{i}]", contacts[i], "a number, at least 0")
    wrong = (contacts > 0) & ~(np.isfinite(aht_seconds) & (aht_seconds > 0))
    for i in np.flatnonzero(wrong)[:1]:
        expect(False, f"aht_seconds[{i}]", aht_seconds[i], "seconds, above 0")


@dataclass(frozen=True)
class ServiceCalibration:
    """How one queue was served, learnt from contacts with waits.

    Attributes:
        patience_seconds: Mean patience, from waits that end with an answer (censored) or a
            hang-up; None where too few hung up to tell.
        efficiency: What one agent on phone is worth to this queue, in agents of the model: 1
            where the predicted service level is the achieved one. Below 1 where work is not seen
            in handle times; above 1 where agents of other queues help. The effective handle time
            is the AHT divided by it.
        intervals: Intervals in which predicted and achieved service were compared; 0 where the
            history does not say who was there: then the service levels that follow are None.
        predicted: Service level that Erlang predicts without the efficiency, over these.
        achieved: Service level that was achieved in them.
        corrected: Predicted with the efficiency, on intervals later than those it was learnt from.
        corrected_achieved: What was achieved in those.
    """

    patience_seconds: float | None = None
    efficiency: float = 1.0
    contacts: int = 0
    abandoned: int = 0
    intervals: int = 0
    predicted: float | None = None
    achieved: float | None = None
    corrected: float | None = None
    corrected_achieved: float | None = None


UNKNOWN = ServiceCalibration()
"""Of a queue whose history says nothing of waits."""
