"""What a simulated centre is asked to be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from features.calendar import DAY_SECONDS, epoch
from features.errors import ConfigError

MIN_DAYS = 28
MAX_DAYS = 3_660
MAX_CUSTOMERS = 5_000_000


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """Size, span and habits of a simulated centre.

    Attributes:
        until: End of the history, excluded; aware, midnight UTC.
        customers: Customers who join before ``until``.
        days: Days of history before ``until``.
        day_factor_sd: Standard deviation of the log of the day factor.
        day_factor_shared: Share of its variance that all queues have in common, in [0, 1].
        day_factor_memory: Correlation of its log from one day to the next, in [0, 1).
        unlinked_share: Share of customers' own contacts that carry no customer id.
        late_share: Share of contacts that we learn of hours or days late.
        correction_share: Share of calls of which a corrected version arrives later.
        duplicate_share: Share of exported rows that are written twice.
        bad_share: Share of exported rows, on top of the others, that no reader can accept.
        horizon_days: Horizon of the true churn probability.
        active_days: A customer counts for it who bought in so many days before.
        ahead_days: Days after ``until`` for which the true rates are told.
    """

    until: datetime
    customers: int = 5_000
    days: int = 400
    day_factor_sd: float = 0.12
    day_factor_shared: float = 0.5
    day_factor_memory: float = 0.4
    unlinked_share: float = 0.08
    late_share: float = 0.01
    correction_share: float = 0.005
    duplicate_share: float = 0.003
    bad_share: float = 0.001
    horizon_days: int = 90
    active_days: int = 180
    ahead_days: int = 35

    def __post_init__(self) -> None:
        if epoch(self.until) % DAY_SECONDS:
            raise ConfigError(
                "end of the simulation",
                got=self.until.isoformat(),
                expected="midnight UTC",
                field="until",
            )
        _within("customers", self.customers, 1, MAX_CUSTOMERS)
        _within("days", self.days, MIN_DAYS, MAX_DAYS)
        _within("day_factor_sd", self.day_factor_sd, 0, 1)
        _within("day_factor_shared", self.day_factor_shared, 0, 1)
        _within("day_factor_memory", self.day_factor_memory, 0, 0.99)
        for share in ("unlinked", "late", "correction", "duplicate", "bad"):
            _within(f"{share}_share", getattr(self, f"{share}_share"), 0, 0.5)
        _within("horizon_days", self.horizon_days, 1, 365)
        _within("active_days", self.active_days, 1, 730)
        _within("ahead_days", self.ahead_days, 0, 365)

    @property
    def end(self) -> int:
        """End of the history, epoch seconds, excluded."""
        return epoch(self.until)

    @property
    def start(self) -> int:
        """Start of the history, epoch seconds."""
        return self.end - self.days * DAY_SECONDS


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(
            f"simulation setting `{name}`", got=value, expected=f"{low} to {high}", field=name
        )
