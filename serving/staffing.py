"""From a forecast to agents: the fewest that meet a service goal, interval by interval.

The queue models stand in ``erlang.py``, with what each assumes. Which one answers:

- A queue whose patience is known: Erlang A, since its contacts hang up.
- Any other: Erlang C, which ignores hanging up and therefore asks for more agents.

What this treats simply, and says so in ``Staffing.warnings``:

- **Chat with concurrency**: an agent who holds k chats counts as k servers, each as slow as the
  AHT says. That is right where the AHT was measured while agents held about k chats.
- **E-mail, messages and other deferred work** do not wait in a line with a wait in seconds; the
  figures assume that they do.
- Each interval stands alone, in its steady state: a backlog is not carried over.

Two figures, two names: *on phone* is who must be working contacts; *rostered* is who must be
paid so that this many are, after shrinkage (breaks, training, absence).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from features.calendar import Bool, Float64, Int64
from features.errors import InputError
from serving.erlang import Performance, erlang_a, erlang_c

MOST_ERLANGS = 10_000.0
"""Greatest load of an interval: beyond it the search would take seconds."""

MOST_PER_PATIENCE = 20_000.0
"""Most contacts within one patience: beyond it Erlang C is as good and far cheaper."""

DEFERRED = frozenset({"email", "message", "social"})
_LEAST_OCCUPANCY_LIMIT = 0.1
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Goal:
    """What a queue promises.

    Attributes:
        share: Share of offered contacts to answer within the threshold, above 0 and below 1.
        seconds: The threshold, at least 0.
        max_occupancy: Greatest share of time an agent may be busy, 0.1 to 1; None for no limit.

    Raises:
        InputError: A value lies outside its range; the error's field names it.

    >>> Goal(share=1.0)
    Traceback (most recent call last):
    features.errors.InputError: `goal.share`: got 1.0; expected above 0 and below 1
    """

    share: float = 0.8
    seconds: float = 20.0
    max_occupancy: float | None = None

    def __post_init__(self) -> None:
        _expect(0 < self.share < 1, "goal.share", self.share, "above 0 and below 1")
        _expect(0 <= self.seconds < np.inf, "goal.seconds", self.seconds, "seconds, at least 0")
        limit = self.max_occupancy
        if limit is not None:
            _expect(_LEAST_OCCUPANCY_LIMIT <= limit <= 1, "goal.max_occupancy", limit, "0.1 to 1")


@dataclass(frozen=True)
class Staffing:
    """How many agents n intervals need.

    Attributes:
        agents_on_phone: Fewest agents working contacts that meet the goal, int64[n].
        agents_rostered: Agents to roster so that these are on phone, int64[n].
        expected: How the intervals fare with ``agents_on_phone``.
        model: ``erlang-a`` or ``erlang-c``.
        warnings: What does not fit the model's assumptions, in words.
    """

    agents_on_phone: Int64
    agents_rostered: Int64
    expected: Performance
    model: str
    warnings: tuple[str, ...]


def staff(
    contacts: Float64,
    *,
    aht_seconds: Float64,
    is_open: Bool,
    interval_minutes: int,
    goal: Goal,
    channel: str = "voice",
    patience_seconds: float | None = None,
    concurrency: int = 1,
    shrinkage: float = 0.0,
    minimum_agents: int = 0,
) -> Staffing:
    """Return the fewest agents that meet the goal in each interval.

    The goal is met by n agents or more once it is met by n, so the search halves a bracket whose
    lower end is known to miss: the answer is the smallest by construction.

    Args:
        contacts: Contacts offered in each interval, float64[n], at least 0.
        aht_seconds: Average handle time, float64[n], above 0 wherever there are contacts.
        is_open: Whether the queue is open, bool[n]; a closed interval needs nobody.
        interval_minutes: Length of an interval.
        goal: What to meet.
        channel: The queue's channel; only warnings depend on it.
        patience_seconds: Mean patience; None where it is not known.
        concurrency: Contacts an agent holds at once, at least 1.
        shrinkage: Share of paid time that is not on phone, at least 0 and below 1.
        minimum_agents: Agents on phone in every open interval, contacts or none.

    Raises:
        InputError: A value lies outside its range; the error's field names it.

    >>> twice = dict(aht_seconds=np.full(2, 300.0), is_open=np.array([True, True]))
    >>> day = staff(np.array([200.0, 0.3]), **twice, interval_minutes=60, goal=Goal(), shrinkage=.3)
    >>> day.agents_on_phone.tolist(), day.agents_rostered.tolist()
    ([21, 1], [30, 2])
    """
    _check_scalars(patience_seconds, concurrency, minimum_agents)
    _check_vectors(contacts, aht_seconds)
    seconds = interval_minutes * 60
    contacts = np.where(is_open, contacts, 0.0)
    aht = np.where(contacts > 0, aht_seconds, 1.0)
    load = contacts * aht / seconds
    _check_load(load, contacts, seconds, patience_seconds)

    def fare(where: Bool, agents: Int64) -> Performance:
        servers = agents * concurrency
        if patience_seconds is None:
            return erlang_c(
                load[where],
                aht_seconds=aht[where],
                servers=servers,
                within_seconds=goal.seconds,
            )
        return erlang_a(
            load[where],
            aht_seconds=aht[where],
            servers=servers,
            within_seconds=goal.seconds,
            patience_seconds=patience_seconds,
        )

    def meets(where: Bool, agents: Int64) -> Bool:
        expected = fare(where, agents)
        met: Bool = expected.service_level >= goal.share
        if goal.max_occupancy is not None:
            met &= expected.occupancy <= goal.max_occupancy
        return met

    agents = np.zeros(len(load), dtype=np.int64)
    busy = load > 0
    if busy.any():
        per_agent = load[busy] / concurrency
        agents[busy] = _fewest(
            lambda n: meets(busy, n),
            # Fewer than this cannot even serve the share that the goal asks for.
            misses=np.maximum(np.floor(goal.share * per_agent).astype(np.int64) - 1, 0),
            guess=np.floor(per_agent).astype(np.int64) + 1,
        )
    agents = np.where(is_open, np.maximum(agents, minimum_agents), 0)
    return Staffing(
        agents_on_phone=agents,
        agents_rostered=rostered(agents, shrinkage=shrinkage),
        expected=fare(np.ones(len(load), dtype=bool), agents),
        model="erlang-c" if patience_seconds is None else "erlang-a",
        warnings=_warnings(channel, patience_seconds, concurrency, bool((aht > seconds).any())),
    )


def rostered(agents_on_phone: Int64, *, shrinkage: float) -> Int64:
    """Return how many to roster so that this many are on phone, int64[n].

    Args:
        agents_on_phone: Agents on phone, int64[n].
        shrinkage: Share of paid time that is not on phone, at least 0 and below 1.

    Raises:
        InputError: The shrinkage lies outside its range.

    >>> rostered(np.array([7, 21, 0]), shrinkage=0.3).tolist()
    [10, 30, 0]
    """
    _expect(0 <= shrinkage < 1, "shrinkage", shrinkage, "at least 0 and below 1")
    # Dividing may leave a whole number an ulp too high, which would roster one too many.
    exact = agents_on_phone / (1 - shrinkage)
    whole: Int64 = np.ceil(exact * (1 - _ROUNDING)).astype(np.int64)
    return whole


def _fewest(meets: Callable[[Int64], Bool], *, misses: Int64, guess: Int64) -> Int64:
    """Return the smallest n that meets a goal, for each interval.

    Args:
        meets: Whether each interval's n meets it; once met, met by more.
        misses: Values known to miss, int64[n].
        guess: Where to start, int64[n], above ``misses``.
    """
    low, high, step = misses, guess, 1
    while not (met := meets(high)).all():
        low, high = np.where(met, low, high), np.where(met, high, high + step)
        step *= 2
    while (high - low > 1).any():
        middle = (low + high) // 2
        met = meets(middle)
        low, high = np.where(met, low, middle), np.where(met, middle, high)
    return high


def _warnings(
    channel: str, patience_seconds: float | None, concurrency: int, slow: bool
) -> tuple[str, ...]:
    found = []
    if channel in DEFERRED:
        found.append(
            f"{channel} is a backlog with a deadline, not a line with waits: Erlang's assumptions "
            "do not hold, take the figures as a rough guide"
        )
    elif patience_seconds is None:
        found.append(
            "Erlang C assumes that nobody hangs up and asks for more agents than are needed; with "
            "a patience, Erlang A answers"
        )
    if concurrency > 1:
        found.append(
            f"an agent who holds {concurrency} contacts counts as {concurrency} servers at the "
            "given AHT: right where the AHT was measured at that concurrency"
        )
    if slow:
        found.append(
            "some contacts last longer than an interval: the steady state that Erlang assumes is "
            "not reached within one"
        )
    return tuple(found)


def _expect(holds: bool, field: str, got: object, expected: str) -> None:
    if not holds:
        raise InputError(f"`{field}`", got=got, expected=expected, field=field)


def _check_scalars(patience_seconds: float | None, concurrency: int, minimum_agents: int) -> None:
    if patience_seconds is not None:
        _expect(
            0 < patience_seconds < np.inf, "patience_seconds", patience_seconds, "above 0 seconds"
        )
    _expect(concurrency >= 1, "concurrency", concurrency, "at least 1")
    _expect(minimum_agents >= 0, "minimum_agents", minimum_agents, "at least 0")


def _check_vectors(contacts: Float64, aht_seconds: Float64) -> None:
    for i in np.flatnonzero(~(np.isfinite(contacts) & (contacts >= 0)))[:1]:
        _expect(False, f"contacts[{i}]", contacts[i], "a number, at least 0")
    wrong = (contacts > 0) & ~(np.isfinite(aht_seconds) & (aht_seconds > 0))
    for i in np.flatnonzero(wrong)[:1]:
        _expect(False, f"aht_seconds[{i}]", aht_seconds[i], "seconds, above 0")


def _check_load(
    load: Float64, contacts: Float64, seconds: int, patience_seconds: float | None
) -> None:
    for i in np.flatnonzero(load > MOST_ERLANGS)[:1]:
        raise InputError(
            f"load of interval {i}",
            got=f"{load[i]:.0f} erlangs",
            expected=f"at most {MOST_ERLANGS:.0f}",
            remedy="check that the contacts are per interval and the AHT is in seconds",
            field=f"contacts[{i}]",
        )
    if patience_seconds is None or len(contacts) == 0:
        return
    most = float(contacts.max()) / seconds * patience_seconds
    if most > MOST_PER_PATIENCE:
        raise InputError(
            "`patience_seconds`",
            got=f"{patience_seconds:g}, within which {most:.0f} contacts arrive",
            expected=f"at most {MOST_PER_PATIENCE:.0f} arrivals within one patience",
            remedy="leave the patience out: Erlang C is as good for contacts this patient",
            field="patience_seconds",
        )
