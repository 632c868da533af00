"""The fewest agents that meet a service goal, and the greatest load that some agents can carry.

Each interval stands alone in its steady state. *On phone* is who works contacts; *rostered* is who
is paid so that this many are on phone after shrinkage (breaks, training, absence).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from features.arrays import Bool, Float64, Int64
from features.errors import InputError
from serving.staffing.birth_death import fewest_when_all_wait
from serving.staffing.erlang import Levels, Performance, levels, performance
from serving.staffing.queue_model import ROUNDING, QueueModel, ServiceGoal, check_contacts, expect

MOST_ERLANGS = 10_000.0
"""Greatest load of an interval: beyond it the search would take seconds."""

MOST_PER_PATIENCE = 20_000.0
"""Most contacts within one patience: beyond it Erlang C is as good and far cheaper."""

_UNLIKELY = 10
_LOAD_TOLERANCE = 1e-11
_STEEPEST = 300.0


def load_of(
    contacts: Float64, *, aht_seconds: Float64, interval_minutes: int, line: QueueModel
) -> Float64:
    """Return the load in erlangs, checked, float64[n].

    Contacts are at least 0, float64[n]; the AHT is above 0 wherever there are contacts.

    Raises:
        InputError: A value is out of range, or the load or the contacts within one patience are
            more than can be computed; the error's field names it.

    >>> hour = dict(aht_seconds=np.array([300.0]), interval_minutes=60)
    >>> load_of(np.array([200.0]), **hour, line=QueueModel())
    array([16.66666667])
    """
    check_contacts(contacts, aht_seconds=aht_seconds)
    seconds = interval_minutes * 60
    load = np.where(contacts > 0, contacts * np.where(contacts > 0, aht_seconds, 1.0), 0) / seconds
    _check_load(load, contacts, seconds, line.patience_seconds)
    return load


def meets(outcome: Performance | Levels, goal: ServiceGoal) -> Bool:
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


def fewest_agents(
    load: Float64, *, aht_seconds: Float64, line: QueueModel, goal: ServiceGoal
) -> Int64:
    """Return the smallest number of agents on phone that meets the goal, int64[n].

    The load is float64[n], from 0 (nobody) to 10 times ``MOST_ERLANGS``, as on an unlikely path.

    Raises:
        InputError: A load is out of range.

    >>> aht = np.full(3, 300.0)
    >>> load = np.array([200.0, 0.3, 0.0]) * aht / 3600
    >>> fewest_agents(load, aht_seconds=aht, line=QueueModel(), goal=ServiceGoal()).tolist()
    [21, 1, 0]
    >>> patient = QueueModel(patience_seconds=180.0)
    >>> fewest_agents(load, aht_seconds=aht, line=patient, goal=ServiceGoal()).tolist()
    [19, 1, 0]
    """
    _check_range(load, "load", _UNLIKELY * MOST_ERLANGS)
    agents = np.zeros(len(load), dtype=np.int64)
    busy = np.flatnonzero(load > 0)
    a, aht = load[busy], aht_seconds[busy]
    if line.patience_seconds is None and not line.blocked and not line.slowdown:
        agents[busy] = fewest_when_all_wait(
            a, aht_seconds=aht, concurrency=line.concurrency, goal=goal
        )
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
    line: QueueModel,
    goal: ServiceGoal,
    tolerance: float = _LOAD_TOLERANCE,
) -> Float64:
    """Return the greatest load with which agents meet the goal, erlangs, float64[n].

    The inverse of ``fewest_agents``, to ``tolerance`` as a share of the load. The search ends on
    the side that meets, so the load meets the goal itself. Agents are int64[n], at least 0.

    Raises:
        InputError: A number of agents is out of range.

    >>> aht = np.array([300.0])
    >>> most = capacity(np.array([19]), aht_seconds=aht, line=QueueModel(), goal=ServiceGoal())
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


def _goal_margin(
    load: Float64, aht: Float64, agents: Int64, line: QueueModel, goal: ServiceGoal
) -> Float64:
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


_HALVE_EVERY = 4


def smallest(
    margin: Callable[[Int64, Int64], Float64], *, misses: Int64, guess: Int64, scale: Float64
) -> Int64:
    """Return the smallest n with a margin above 0 for each interval, int64[n].

    ``margin`` takes places of intervals and their n; ``misses`` are known to miss; ``scale`` is
    the agents that change the margin by about 1.
    """
    none = np.iinfo(np.int64).max
    low, high = misses.copy(), np.full(len(misses), none)
    below, above = np.full(len(low), np.nan), np.full(len(low), np.nan)
    at = np.maximum(guess, low + 1)
    live = np.arange(len(low))
    tries = 0
    while len(live):
        margins = margin(live, at[live])
        met = margins > 0
        high[live[met]], above[live[met]] = at[live[met]], margins[met]
        low[live[~met]], below[live[~met]] = at[live[~met]], margins[~met]
        live = live[(high[live] == none) | (high[live] - low[live] > 1)]
        tries += 1
        at[live] = _next_whole(low[live], high[live], below[live], above[live], scale[live], tries)
    return high


def _next_whole(
    low: Int64, high: Int64, below: Float64, above: Float64, scale: Float64, tries: int
) -> Int64:
    """Return the next number to try, strictly within each bracket."""
    open_above, open_below = np.isnan(above), np.isnan(below)
    # From one end alone: as far as the margin should change by what is left, and further each time.
    reach = np.ceil(scale * np.where(open_above, -below, above)) + 2**tries - 1
    up, down = low + reach, high - np.maximum(reach - 1, 1)
    between = np.ceil(low + (high - low) * (below / (below - above)))
    at = np.where(open_above, up, np.where(open_below, down, between))
    if tries % _HALVE_EVERY == 0:
        at = np.where(open_above, up, low + (high - low) // 2)
    whole: Int64 = np.clip(at, low + 1, high - 1).astype(np.int64)
    return whole


def greatest(
    margin: Callable[[Int64, Float64], Float64], *, guess: Float64, tolerance: float
) -> Float64:
    """Return the greatest load with a margin above 0, within ``tolerance`` of itself, float64[n].

    Brackets it from a guess above 0, then narrows by Chandrupatla's rule ("A new hybrid quadratic /
    bisection algorithm", Advances in Engineering Software 28, 1997): inverse quadratic
    interpolation where that is safe, else the middle.
    """
    a, b, at_a, at_b = _load_bracket(margin, guess)
    c, at_c = b.copy(), at_b.copy()
    t = at_a / (at_a - at_b)
    live = np.arange(len(a))
    while len(live):
        i = live
        x = a[i] + np.clip(t[i], 0.0, 1.0) * (b[i] - a[i])
        margins = margin(i, x)
        same = (margins > 0) == (at_a[i] > 0)
        c[i], at_c[i] = np.where(same, a[i], b[i]), np.where(same, at_a[i], at_b[i])
        b[i], at_b[i] = np.where(same, b[i], a[i]), np.where(same, at_b[i], at_a[i])
        a[i], at_a[i] = x, margins
        width = np.abs(b[i] - a[i])
        least = tolerance * x
        live = i[width > 2 * least]
        t[i] = _next_share(
            a[i], b[i], c[i], at_a[i], at_b[i], at_c[i], least / np.maximum(width, 1e-300)
        )
    return np.where(at_a > 0, a, b)


def _next_share(
    a: Float64, b: Float64, c: Float64, at_a: Float64, at_b: Float64, at_c: Float64, least: Float64
) -> Float64:
    """Return how far from a to b to try next, as a share of the way."""
    with np.errstate(divide="ignore", invalid="ignore"):
        place, rise = (a - b) / (c - b), (at_a - at_b) / (at_c - at_b)
        t = at_a / (at_b - at_a) * at_c / (at_b - at_c) + (c - a) / (b - a) * at_a / (
            at_c - at_a
        ) * at_b / (at_c - at_b)
        safe = (rise**2 < place) & ((1 - rise) ** 2 < 1 - place) & np.isfinite(t)
    step: Float64 = np.clip(np.where(safe, t, 0.5), least, 1 - least)
    return step


def _load_bracket(
    margin: Callable[[Int64, Float64], Float64], guess: Float64
) -> tuple[Float64, Float64, Float64, Float64]:
    """Return loads that meet and that miss, and the margin of each."""
    everyone = np.arange(len(guess))
    margins = margin(everyone, guess)
    meet, miss, at_meet, at_miss = guess.copy(), guess.copy(), margins.copy(), margins.copy()
    live, factor = everyone, 1.5
    while len(live):
        up = at_miss[live] > 0
        # The margin of n agents changes by about 1 with half of root n erlangs.
        reach = factor * np.sqrt(guess[live]) / 2 * np.abs(margins)
        x = np.where(up, miss[live] + reach, np.maximum(meet[live] - reach, meet[live] / 4))
        margins = margin(live, x)
        # The end that was known to be on this side moves up to where the other was sought.
        meet[live] = np.where(up & (margins <= 0), miss[live], x)
        at_meet[live] = np.where(up & (margins <= 0), at_miss[live], margins)
        miss[live] = np.where(~up & (margins > 0), miss[live], x)
        at_miss[live] = np.where(~up & (margins > 0), at_miss[live], margins)
        done = (at_meet[live] > 0) & (at_miss[live] <= 0)
        live, margins, factor = live[~done], margins[~done], 2 * factor
    return meet, miss, at_meet, at_miss
