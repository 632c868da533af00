"""The fewest agents that meet a service goal, and the greatest load that some agents can carry.

The queue models stand in ``erlang.py``, with what each assumes. A goal may set several limits; an
interval meets it where it keeps each. With every agent more each limit is kept more easily, and
with more load less easily, so that the fewest agents and the greatest load are well defined, and
each search holds a bracket with one end known to miss and the other known to meet: the answer is
the smallest (the greatest) by construction, whatever the steps that led to it.

Each interval stands alone, in its steady state: a backlog is not carried over.

Two figures, two names: *on phone* is who must be working contacts; *rostered* is who must be
paid so that this many are, after shrinkage (breaks, training, absence).
"""

from __future__ import annotations

import numpy as np

from features.calendar import Bool, Float64, Int64
from features.errors import InputError
from serving.staffing.climb import climb
from serving.staffing.erlang import Levels, Performance, fare, levels
from serving.staffing.goal import Goal, Line, expect
from serving.staffing.search import greatest, smallest

MOST_ERLANGS = 10_000.0
"""Greatest load of an interval: beyond it the search would take seconds."""

MOST_PER_PATIENCE = 20_000.0
"""Most contacts within one patience: beyond it Erlang C is as good and far cheaper."""

_PATHS = 10
_ROUNDING = 1e-9
_LOAD_TOLERANCE = 1e-11
_STEEPEST = 300.0


def load_of(
    contacts: Float64, *, aht_seconds: Float64, interval_minutes: int, line: Line
) -> Float64:
    """Return the load in erlangs, checked, float64[n].

    Args:
        contacts: Contacts offered in each interval, float64[n], at least 0.
        aht_seconds: Average handle time, float64[n], above 0 wherever there are contacts.
        interval_minutes: Length of an interval.
        line: How contacts wait.

    Raises:
        InputError: A value lies outside its range, or the load or the contacts within one
            patience are more than can be computed; the error's field names it.

    >>> load_of(np.array([200.0]), aht_seconds=np.array([300.0]), interval_minutes=60, line=Line())
    array([16.66666667])
    """
    _check_vectors(contacts, aht_seconds)
    seconds = interval_minutes * 60
    load = np.where(contacts > 0, contacts * np.where(contacts > 0, aht_seconds, 1.0), 0) / seconds
    _check_load(load, contacts, seconds, line.patience_seconds)
    return load


def meets(performance: Performance | Levels, goal: Goal) -> Bool:
    """Return whether intervals keep every limit of a goal, bool[n].

    Args:
        performance: How they fare; ``Levels`` do for a goal without ASA and occupancy.
        goal: The limits.
    """
    met: Bool = performance.service_level >= goal.share
    if goal.abandonment is not None:
        met = met & (performance.abandonment <= goal.abandonment)
    if isinstance(performance, Levels):
        return met
    if goal.asa_seconds is not None:
        met = met & (performance.asa_seconds <= goal.asa_seconds)
    if goal.max_occupancy is not None:
        met = met & (performance.occupancy <= goal.max_occupancy)
    return met


def fewest_agents(load: Float64, *, aht_seconds: Float64, line: Line, goal: Goal) -> Int64:
    """Return the smallest number of agents on phone that meets the goal, int64[n].

    Args:
        load: Erlangs, float64[n], at least 0 and at most 10 times ``MOST_ERLANGS``, as on an
            unlikely path; 0 needs nobody.
        aht_seconds: Average handle time, float64[n], above 0 where there is load.
        line: How contacts wait and are served.
        goal: The limits to keep.

    Raises:
        InputError: A load lies outside its range.

    >>> aht = np.full(3, 300.0)
    >>> load = np.array([200.0, 0.3, 0.0]) * aht / 3600
    >>> fewest_agents(load, aht_seconds=aht, line=Line(), goal=Goal()).tolist()
    [21, 1, 0]
    >>> patient = Line(patience_seconds=180.0)
    >>> fewest_agents(load, aht_seconds=aht, line=patient, goal=Goal()).tolist()
    [19, 1, 0]
    """
    _check_range(load, "load", _PATHS * MOST_ERLANGS)
    agents = np.zeros(len(load), dtype=np.int64)
    busy = np.flatnonzero(load > 0)
    a, aht = load[busy], aht_seconds[busy]
    if line.patience_seconds is None and not line.blocked and not line.slowdown:
        agents[busy] = climb(a, aht_seconds=aht, concurrency=line.concurrency, goal=goal)
        return agents

    def ease(where: Int64, agents: Int64) -> Float64:
        return _ease(a[where], aht[where], agents, line, goal)

    agents[busy] = smallest(
        ease,
        # Fewer than this cannot even serve the share that the goal asks for.
        misses=np.maximum(np.floor(goal.share * a / line.concurrency).astype(np.int64) - 1, 0),
        guess=np.ceil((a + np.sqrt(a) / 2) / line.concurrency).astype(np.int64),
        scale=np.sqrt(a) / (2 * line.concurrency),
    )
    return agents


def capacity(
    agents: Int64,
    *,
    aht_seconds: Float64,
    line: Line,
    goal: Goal,
    tolerance: float = _LOAD_TOLERANCE,
) -> Float64:
    """Return the greatest load with which agents meet the goal, erlangs, float64[n].

    The inverse of ``fewest_agents``: a load needs n agents or fewer where it is at most the
    capacity of n. It is found from below, so that it meets the goal itself.

    Args:
        agents: Agents on phone, int64[n], at least 0; nobody carries nothing.
        aht_seconds: Average handle time, float64[n], above 0.
        line: How contacts wait and are served.
        goal: The limits to keep.
        tolerance: How near, as a share of the load.

    Raises:
        InputError: A number of agents lies outside its range.

    >>> found = capacity(np.array([19]), aht_seconds=np.array([300.0]), line=Line(), goal=Goal())
    >>> (found * 3600 / 300).round(1).tolist()  # contacts an hour
    [181.5]
    """
    _check_range(agents, "agents", 2 * _PATHS * MOST_ERLANGS)
    load = np.zeros(len(agents))
    some = np.flatnonzero(agents > 0)
    n, aht = agents[some], aht_seconds[some]

    def ease(where: Int64, load: Float64) -> Float64:
        return _ease(load, aht[where], n[where], line, goal)

    places = n * line.concurrency
    load[some] = greatest(ease, guess=places / (1 + 0.5 / np.sqrt(places)), tolerance=tolerance)
    return load


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
    expect(0 <= shrinkage < 1, "shrinkage", shrinkage, "at least 0 and below 1")
    # Dividing may leave a whole number an ulp too high, which would roster one too many.
    exact = agents_on_phone / (1 - shrinkage)
    whole: Int64 = np.ceil(exact * (1 - _ROUNDING)).astype(np.int64)
    return whole


def _ease(load: Float64, aht: Float64, agents: Int64, line: Line, goal: Goal) -> Float64:
    """Return how easily the goal is met, float64[n]: above 0 where it is, else below.

    On the scale of log-odds, on which the service level is nearly straight in load and agents.
    """
    look = fare if goal.asa_seconds is not None or goal.max_occupancy is not None else levels
    found = look(load, aht_seconds=aht, agents=agents, line=line, within_seconds=goal.seconds)
    ease = _odds(found.service_level) - _odds(goal.share)
    if goal.abandonment is not None:
        ease = np.minimum(ease, _odds(goal.abandonment) - _odds(found.abandonment))
    if isinstance(found, Performance) and goal.asa_seconds is not None:
        with np.errstate(divide="ignore"):
            asa = np.log(goal.asa_seconds) - np.log(found.asa_seconds)
        ease = np.minimum(ease, asa)
    if isinstance(found, Performance) and goal.max_occupancy is not None:
        spare = goal.max_occupancy / found.occupancy - 1
        ease = np.minimum(ease, 2 * np.sqrt(load) * spare)
    # Rounding must not decide: the sign is that of the comparison itself.
    size = np.clip(np.abs(ease), _ROUNDING, _STEEPEST)
    signed: Float64 = np.where(meets(found, goal), size, -size)
    return signed


def _odds(share: Float64 | float) -> Float64:
    with np.errstate(divide="ignore"):
        odds: Float64 = np.log(share) - np.log1p(-np.asarray(share))
    return odds


def _check_range(values: Float64 | Int64, name: str, most: float) -> None:
    for i in np.flatnonzero(~((values >= 0) & (values <= most)))[:1]:
        expect(False, f"{name}[{i}]", values[i], f"0 to {most:g}")


def _check_vectors(contacts: Float64, aht_seconds: Float64) -> None:
    for i in np.flatnonzero(~(np.isfinite(contacts) & (contacts >= 0)))[:1]:
        expect(False, f"contacts[{i}]", contacts[i], "a number, at least 0")
    wrong = (contacts > 0) & ~(np.isfinite(aht_seconds) & (aht_seconds > 0))
    for i in np.flatnonzero(wrong)[:1]:
        expect(False, f"aht_seconds[{i}]", aht_seconds[i], "seconds, above 0")


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
