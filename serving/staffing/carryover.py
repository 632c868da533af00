"""A waiting line over a day: what an understaffed interval leaves to the next ones.

Where more contacts come than the agents can answer, or the steady state would take longer than the
interval to come about, the number of contacts present is followed through time (the same birth and
death chain, solved step by step) until it is again that of a steady state. All other intervals
keep Erlang's answer, to the digit: also an Erlang A interval that meets its goal though it loses
contacts. A line that is emptied by closing counts as abandoned in the last interval before. In
Erlang B nothing is carried.

Sources: Green, Kolesar and Whitt, "Coping with time-varying demand when setting staffing
requirements for a service system", POM 16 (2007), sections 3 and 5, for the chain against steady
states by interval; Whitt, "Fluid models for multiserver queues with abandonments", Operations
Research 54 (2006), for what an overloaded line does; Stolletz, "Approximation of the
non-stationary M(t)/M(t)/c(t)-queue using stationary queueing models: the stationary backlog-
carryover approach", EJOR 190 (2008), for the name of the matter. The step is Alexander's
two-stage implicit rule, SIAM J. Numer. Anal. 14 (1977): second order, and it damps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from features.arrays import Float64, Int64
from serving.staffing.erlang import Performance, performance
from serving.staffing.queue_model import QueueModel, ServiceGoal, check_contacts, expect

_TIME_STEPS = 32
_WALK_DEVIATIONS = 8.0
_IMPROBABLE = 1e-12
_NO_CARRY_CONTACTS = 0.5


@dataclass(frozen=True)
class CarriedOver:
    """Performance of h intervals, one after the other.

    Attributes:
        expected: As from ``performance`` where nothing is carried. Where something is: the shares
            and the mean wait of those who come within the interval, but the abandonment is that
            of all who hang up within it, over those who come, at most 1.
        waiting: Mean number of contacts that wait at the end of each interval, float64[h]; 0 for
            an interval in its steady state, whose own waiting contacts are not carried.
    """

    expected: Performance
    waiting: Float64


def carryover(
    contacts: Float64,
    *,
    aht_seconds: Float64,
    agents: Int64,
    interval_minutes: int,
    line: QueueModel,
    goal: ServiceGoal,
    backlog_contacts: float = 0.0,
) -> CarriedOver:
    """Return the performance of consecutive intervals, waiting contacts carried to the next.

    Arrays hold a value an interval, at least 0; the AHT is above 0 where contacts come, of agents
    who hold as many as they may. An interval with neither contacts nor agents is closed.

    Raises:
        InputError: A value is out of range; the error's field names it.

    >>> hours = dict(aht_seconds=np.full(3, 300.0), interval_minutes=60)
    >>> hours |= dict(line=QueueModel(), goal=ServiceGoal())
    >>> day = carryover(np.array([240.0, 120.0, 120.0]), agents=np.array([15, 15, 15]), **hours)
    >>> day.waiting.round().tolist()  # 60 more than 15 agents answer, less a slow start
    [55.0, 8.0, 0.0]
    """
    _check_carry(contacts, aht_seconds, agents, backlog_contacts)
    aht = _filled(aht_seconds, contacts)
    seconds = interval_minutes * 60.0
    rates, load = contacts / seconds, contacts * aht / seconds
    settled = performance(
        load, aht_seconds=aht, agents=agents, line=line, within_seconds=goal.seconds
    )
    waiting = np.zeros(len(contacts))
    if line.blocked:
        return CarriedOver(settled, waiting)
    day = _Day(rates, aht, agents, seconds, line, goal.seconds)
    own = _own_waiting(settled, rates, line)
    servers = agents * line.concurrency
    overloaded = (load > servers) | (_settling(rates, aht, servers, line) > seconds)
    overloaded &= settled.service_level < goal.share
    overloaded |= np.isinf(own)
    closed = (contacts <= 0) & (agents <= 0)
    out = Performance(*(np.array(getattr(settled, name)) for name in _FIELDS))
    state = _about(backlog_contacts) if backlog_contacts > 0 else None
    for i in range(len(contacts)):
        if closed[i]:
            state = None
        elif overloaded[i] or (
            state is not None and state.waiting(day.servers(i)) > own[i] + _NO_CARRY_CONTACTS
        ):
            before = state or (day.steady(i - 1) if i and not closed[i - 1] else _about(0.0))
            state, waiting[i] = day.follow(before, i, out)
            if i + 1 < len(contacts) and closed[i + 1] and contacts[i] > 0:
                out.abandonment[i] = min(out.abandonment[i] + waiting[i] / contacts[i], 1.0)
                waiting[i] = 0.0
        else:
            state = None
    return CarriedOver(out, waiting)


_FIELDS = ("service_level", "asa_seconds", "wait_probability", "abandonment", "occupancy")


@dataclass(frozen=True)
class _StateChances:
    """The contacts present at a moment: state ``least + j`` with probability ``chances[j]``."""

    least: int
    chances: Float64

    @property
    def states(self) -> Float64:
        return self.least + np.arange(len(self.chances), dtype=np.float64)

    def waiting(self, servers: int) -> float:
        return float(self.chances @ np.maximum(self.states - servers, 0.0))


def _about(contacts: float) -> _StateChances:
    """Return the chances of two neighbouring whole numbers with this mean."""
    whole = int(contacts)
    return _StateChances(whole, np.array([whole + 1 - contacts, contacts - whole]))


@dataclass(frozen=True)
class _Day:
    """The intervals, in contacts a second and seconds."""

    rates: Float64
    aht: Float64
    agents: Int64
    seconds: float
    line: QueueModel
    within: float

    def servers(self, i: int) -> int:
        return int(self.agents[i]) * self.line.concurrency

    @property
    def impatience(self) -> float:
        patience = self.line.patience_seconds
        return 0.0 if patience is None else 1 / patience

    def leaving(self, i: int, states: Float64) -> Float64:
        """Return how many a second leave each state, answered or not, float64[m]."""
        n, most, slowdown = int(self.agents[i]), self.line.concurrency, self.line.slowdown
        waiting = np.maximum(states - n * most, 0.0)
        held = np.minimum(states, n * most)
        if slowdown == 0 or most == 1 or n == 0:
            even: Float64 = held / self.aht[i] + waiting * self.impatience
            return even
        # Evenly spread: some agents hold one contact more than the others.
        fewer = np.minimum(held // n, most - 1)
        more = held - fewer * n
        each = (1 + slowdown * (most - 1)) / self.aht[i]
        one = fewer / (1 + slowdown * np.maximum(fewer - 1, 0))
        two = (fewer + 1) / (1 + slowdown * fewer)
        uneven: Float64 = each * ((n - more) * one + more * two) + waiting * self.impatience
        return uneven

    def steady(self, i: int) -> _StateChances:
        """Return the chances of an interval's steady state, of at most what one interval brings."""
        rate = float(self.rates[i])
        most = self.servers(i) + math.ceil(rate * self.seconds) + 1
        states = np.arange(most + 1, dtype=np.float64)
        with np.errstate(divide="ignore"):
            ratios = np.log(rate) - np.log(self.leaving(i, states[1:]))
        weights = np.concatenate([[0.0], np.cumsum(ratios)])
        chances = np.exp(weights - weights.max())
        return _trimmed(0, chances / chances.sum())

    def follow(self, state: _StateChances, i: int, out: Performance) -> tuple[_StateChances, float]:
        """Follow the chances through an interval and note its performance.

        Returns:
            The chances at its end, and how many contacts wait then.
        """
        wide = self._room(state, i)
        present = wide.chances
        advance = self._stepper(wide.states, i)
        mean = present / 2
        for _ in range(_TIME_STEPS):
            present = advance(present)
            mean += present
        mean = (mean - present / 2) / _TIME_STEPS
        self._record(_StateChances(wide.least, mean), i, out)
        end = _trimmed(wide.least, present)
        return end, end.waiting(self.servers(i))

    def _room(self, state: _StateChances, i: int) -> _StateChances:
        """Return the chances with room for all states that the interval may lead to."""
        rate, servers, slowdown = float(self.rates[i]), self.servers(i), self.line.slowdown
        least, top = (
            state.least,
            state.least + len(state.chances) - 1,
        )
        rate_out = float(self.leaving(i, np.array([float(max(top, servers))]))[0])
        full = float(self.leaving(i, np.array([float(servers)]))[0])
        # Where the mean may go, and some standard deviations of a random walk on top.
        spread = _WALK_DEVIATIONS * math.sqrt((rate + rate_out) * self.seconds + 1)
        patience = self.line.patience_seconds or math.inf
        high = max(top, servers + (rate - full) * min(self.seconds, patience))
        quickest = (1 + slowdown * (self.line.concurrency - 1)) / self.aht[i]
        low = max(min(least, servers, rate / quickest), least - (rate_out - rate) * self.seconds)
        below = min(least, math.ceil(max(least - low, 0.0) + spread))
        above = math.ceil(high - top + spread)
        return _StateChances(least - below, np.pad(state.chances, (below, above)))

    def _stepper(self, states: Float64, i: int) -> Callable[[Float64], Float64]:
        """Return what takes the chances of the states one step on.

        The step is (1 + √2) M⁻² p - √2 M⁻¹ p with M = 1 - g dt G and g = 1 - 1/√2.
        """
        from scipy.linalg.lapack import dgttrf, dgttrs

        step = (1 - math.sqrt(0.5)) * self.seconds / _TIME_STEPS
        come = np.full(len(states), step * self.rates[i])
        go = step * self.leaving(i, states)
        come[-1] = go[0] = 0.0  # the room is wide enough for nobody to leave it
        factors = dgttrf(-come[:-1], 1 + come + go, -go[1:])[:5]

        def advance(chances: Float64) -> Float64:
            once = dgttrs(*factors, chances)[0]
            twice = dgttrs(*factors, once)[0]
            after: Float64 = (1 + math.sqrt(2)) * twice - math.sqrt(2) * once
            return after

        return advance

    def _record(self, mean: _StateChances, i: int, out: Performance) -> None:
        """Note the performance of an interval with these chances, the mean over its time.

        Who comes to k - 1 waiting is answered after k departures. With patience, exp(-wait /
        patience) is Beta(x, k) distributed, x the completions within one patience: the sum of k
        exponential times of rates x, x + 1, …
        """
        servers, rate = self.servers(i), float(self.rates[i])
        queue = np.maximum(mean.states - servers, 0.0)
        waits = mean.states >= servers
        if servers > 0:
            held = np.minimum(mean.states, servers)
            out.occupancy[i] = min(float(mean.chances @ held) / servers, 1.0)
        if rate <= 0:
            return
        answered, in_time, wait = self._places(i, int(queue[-1]) + 1)
        place = queue[waits].astype(np.int64)
        chances = mean.chances[waits]
        free = float(mean.chances[~waits].sum())
        met = free + float(chances @ answered[place])
        out.service_level[i] = np.clip(free + float(chances @ in_time[place]), 0, 1)
        out.wait_probability[i] = np.clip(1 - free, 0, 1)
        some = met > 0 and servers > 0
        out.asa_seconds[i] = float(chances @ wait[place]) / met if some else np.inf
        gone = self.impatience * float(mean.chances @ queue) / rate
        out.abandonment[i] = np.clip(gone, 0, 1)

    def _places(self, i: int, count: int) -> tuple[Float64, Float64, Float64]:
        """Return what becomes of who comes to k - 1 = 0, 1, … waiting, float64[count] each.

        The chances of being answered and of being so in time, and the wait (0 if not answered).
        """
        from scipy.special import betainc, gammainc

        k = np.arange(1.0, count + 1)
        servers, patience = self.servers(i), self.line.patience_seconds
        rate_out = float(self.leaving(i, np.array([float(servers)]))[0])
        if patience is None:
            forever = k / rate_out if rate_out > 0 else np.full(count, np.inf)
            in_time = np.asarray(gammainc(k, rate_out * self.within), dtype=np.float64)
            return np.ones(count), in_time, forever
        x = rate_out * patience
        answered = x / (x + k)
        if x == 0:
            return answered, answered, answered
        late = np.asarray(betainc(x + 1, k, math.exp(-self.within / patience)), dtype=np.float64)
        in_time = answered * (1 - late)
        return answered, in_time, answered * patience * np.cumsum(1 / (x + k))


def _trimmed(least: int, chances: Float64) -> _StateChances:
    """Return the chances without their improbable edges."""
    likely = np.flatnonzero(chances > _IMPROBABLE)
    first, last = int(likely[0]), int(likely[-1])
    inside = np.maximum(chances[first : last + 1], 0.0)
    return _StateChances(least + first, inside / inside.sum())


def _settling(rates: Float64, aht: Float64, servers: Int64, line: QueueModel) -> Float64:
    """Return how long each interval takes to come near its steady state, seconds, float64[h].

    One over (sqrt(n mu) - sqrt(lambda))^2, the relaxation time of one server who works as fast as
    all (Morse, "Stochastic properties of waiting lines", Operations Research 3, 1955). Where
    contacts hang up it is the patience at most.
    """
    with np.errstate(divide="ignore"):
        slow: Float64 = 1 / (np.sqrt(servers / aht) - np.sqrt(rates)) ** 2
    return slow if line.patience_seconds is None else np.minimum(slow, line.patience_seconds)


def _own_waiting(settled: Performance, rates: Float64, line: QueueModel) -> Float64:
    """Return how many wait on average in each interval's steady state, float64[h]."""
    if line.patience_seconds is None:
        return np.where(rates > 0, rates * settled.asa_seconds, 0.0)
    return rates * settled.abandonment * line.patience_seconds


def _filled(aht_seconds: Float64, contacts: Float64) -> Float64:
    """Return the AHT with that of the interval before where no contacts come."""
    known = np.where(contacts > 0, np.arange(len(contacts)), -1)
    last = np.maximum.accumulate(known) if len(contacts) else known
    first = int(np.argmax(known >= 0)) if (known >= 0).any() else -1
    source = np.where(last >= 0, last, first)
    filled: Float64 = np.where(source >= 0, aht_seconds[source], 1.0)
    return filled


def _check_carry(contacts: Float64, aht_seconds: Float64, agents: Int64, backlog: float) -> None:
    check_contacts(contacts, aht_seconds=aht_seconds)
    for i in np.flatnonzero(agents < 0)[:1]:
        expect(False, f"agents[{i}]", int(agents[i]), "agents, at least 0")
    expect(0 <= backlog < np.inf, "backlog_contacts", backlog, "at least 0")
