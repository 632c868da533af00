"""The fewest agents that meet a service goal, and the greatest load that some agents can carry.

Each interval stands alone in its steady state. *On phone* is who works contacts; *rostered* is who
is paid so that this many are on phone after shrinkage (breaks, training, absence).
"""

from __future__ import annotations

import numpy as np

from features.calendar import Bool, Float64, Int64
from features.errors import InputError
from serving.staffing.climb import climb
from serving.staffing.erlang import Levels, Performance, levels, performance
from serving.staffing.goal import ROUNDING, Goal, Line, check_contacts, expect
from serving.staffing.search import greatest, smallest

MOST_ERLANGS = 10_000.0
"""Greatest load of an interval: beyond it the search would take seconds."""

MOST_PER_PATIENCE = 20_000.0
"""Most contacts within one patience: beyond it Erlang C is as good and far cheaper."""

_UNLIKELY = 10
_LOAD_TOLERANCE = 1e-11
_STEEPEST = 300.0


def load_of(
    contacts: Float64, *, aht_seconds: Float64, interval_minutes: int, line: Line
) -> Float64:
    """Return the load in erlangs, checked, float64[n].

    Contacts are at least 0, float64[n]; the AHT is above 0 wherever there are contacts.

    Raises:
        InputError: A value is out of range, or the load or the contacts within one patience are
            more than can be computed; the error's field names it.

    >>> load_of(np.array([200.0]), aht_seconds=np.array([300.0]), interval_minutes=60, line=Line())
    array([16.66666667])
    """
    check_contacts(contacts, aht_seconds=aht_seconds)
    seconds = interval_minutes * 60
    load = np.where(contacts > 0, contacts * np.where(contacts > 0, aht_seconds, 1.0), 0) / seconds
    _check_load(load, contacts, seconds, line.patience_seconds)
    return load


def meets(outcome: Performance | Levels, goal: Goal) -> Bool:
    """Return whether intervals keep every limit of a goal, bool[n].

    ``Levels`` are enough for a goal without limits on ASA and occupancy.
    """
    met: Bool = outcome.service_level >= goal.share
    if goal.abandonment is not None:
        met = met & (outcome.abandonment <= goal.abandonment)
    if isinstance(outcome, Levels):
        return met
    if goal.asa_seconds is not None:
        met = met & (outcome.asa_seconds <= goal.asa_seconds)
    if goal.max_occupancy is not None:
        met = met & (outcome.occupancy <= goal.max_occupancy)
    return met


def fewest_agents(load: Float64, *, aht_seconds: Float64, line: Line, goal: Goal) -> Int64:
    """Return the smallest number of agents on phone that meets the goal, int64[n].

    The load is float64[n], from 0 (nobody) to 10 times ``MOST_ERLANGS``, as on an unlikely path.

    Raises:
        InputError: A load is out of range.

    >>> aht = np.full(3, 300.0)
    >>> load = np.array([200.0, 0.3, 0.0]) * aht / 3600
    >>> fewest_agents(load, aht_seconds=aht, line=Line(), goal=Goal()).tolist()
    [21, 1, 0]
    >>> patient = Line(patience_seconds=180.0)
    >>> fewest_agents(load, aht_seconds=aht, line=patient, goal=Goal()).tolist()
    [19, 1, 0]
    """
    _check_range(load, "load", _UNLIKELY * MOST_ERLANGS)
    agents = np.zeros(len(load), dtype=np.int64)
    busy = np.flatnonzero(load > 0)
    a, aht = load[busy], aht_seconds[busy]
    if line.patience_seconds is None and not line.blocked and not line.slowdown:
        agents[busy] = climb(a, aht_seconds=aht, concurrency=line.concurrency, goal=goal)
        return agents

    def margin(where: Int64, agents: Int64) -> Float64:
        return _goal_margin(a[where], aht[where], agents, line, goal)

    agents[busy] = smallest(
        margin,
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

    The inverse of ``fewest_agents``, to ``tolerance`` as a share of the load. The search ends on
    the side that meets, so the load meets the goal itself. Agents are int64[n], at least 0.

    Raises:
        InputError: A number of agents is out of range.

    >>> most = capacity(np.array([19]), aht_seconds=np.array([300.0]), line=Line(), goal=Goal())
    >>> (most * 3600 / 300).round(1).tolist()  # contacts an hour
    [181.5]
    """
    _check_range(agents, "agents", 2 * _UNLIKELY * MOST_ERLANGS)
    load = np.zeros(len(agents))
    some = np.flatnonzero(agents > 0)
    n, aht = agents[some], aht_seconds[some]

    def margin(where: Int64, load: Float64) -> Float64:
        return _goal_margin(load, aht[where], n[where], line, goal)

    places = n * line.concurrency
    load[some] = greatest(margin, guess=places / (1 + 0.5 / np.sqrt(places)), tolerance=tolerance)
    return load


def rostered(agents_on_phone: Int64, *, shrinkage: float) -> Int64:
    """Return how many to roster so that this many are on phone, int64[n].

    Shrinkage is the share of paid time that is not on phone, at least 0 and below 1.

    Raises:
        InputError: The shrinkage is out of range.

    >>> rostered(np.array([7, 21, 0]), shrinkage=0.3).tolist()
    [10, 30, 0]
    """
    expect(0 <= shrinkage < 1, "shrinkage", shrinkage, "at least 0 and below 1")
    # Dividing may leave a whole number an ulp too high, which would roster one too many.
    exact = agents_on_phone / (1 - shrinkage)
    whole: Int64 = np.ceil(exact * (1 - ROUNDING)).astype(np.int64)
    return whole


def _goal_margin(load: Float64, aht: Float64, agents: Int64, line: Line, goal: Goal) -> Float64:
    """Return the margin of the goal, float64[n]: above 0 where it is met, else below.

    In log-odds, on which scale the service level is nearly straight in load and agents.
    """
    model = (
        performance if goal.asa_seconds is not None or goal.max_occupancy is not None else levels
    )
    outcome = model(load, aht_seconds=aht, agents=agents, line=line, within_seconds=goal.seconds)
    margin = _log_odds(outcome.service_level) - _log_odds(goal.share)
    if goal.abandonment is not None:
        margin = np.minimum(margin, _log_odds(goal.abandonment) - _log_odds(outcome.abandonment))
    if isinstance(outcome, Performance) and goal.asa_seconds is not None:
        with np.errstate(divide="ignore"):
            asa = np.log(goal.asa_seconds) - np.log(outcome.asa_seconds)
        margin = np.minimum(margin, asa)
    if isinstance(outcome, Performance) and goal.max_occupancy is not None:
        spare = goal.max_occupancy / outcome.occupancy - 1
        margin = np.minimum(margin, 2 * np.sqrt(load) * spare)
    # Rounding must not decide: the sign is that of the comparison itself.
    size = np.clip(np.abs(margin), ROUNDING, _STEEPEST)
    signed: Float64 = np.where(meets(outcome, goal), size, -size)
    return signed


def _log_odds(share: Float64 | float) -> Float64:
    with np.errstate(divide="ignore"):
        odds: Float64 = np.log(share) - np.log1p(-np.asarray(share))
    return odds


def _check_range(values: Float64 | Int64, name: str, most: float) -> None:
    for i in np.flatnonzero(~((values >= 0) & (values <= most)))[:1]:
        expect(False, f"{name}[{i}]", values[i], f"0 to {most:g}")


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
