"""Rolling origins: the moments from which past forecasts are made again."""

from __future__ import annotations

from datetime import datetime, timedelta

from features.errors import TooLittleDataError

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
