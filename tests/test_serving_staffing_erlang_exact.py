"""The queue models against sums over every state in 50 digits, and against simulated queues."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from serving.staffing.erlang import Performance, performance
from serving.staffing.queue_model import QueueModel

AHT = 300.0
WITHIN = (0.0, 1.0, 5.0, 10.0, 20.0, 45.0, 120.0, 300.0, 900.0, 2400.0, 7200.0)
FIGURES = ("service_level", "asa_seconds", "wait_probability", "abandonment", "occupancy")


@dataclass(frozen=True)
class Case:
    load: float
    agents: int
    line: QueueModel


def cases() -> Iterator[Case]:
    """Loads far below, near and above what the agents can serve; patience short and long."""
    loads = (1e-6, 0.01, 0.1, 0.3, 0.7, 1.0, 1.6, 2.7, 4.4, 7.9, 16.667, 31.0)
    for load, patience in itertools.product(loads, (3.0, 45.0, 180.0, 700.0, 3000.0)):
        for agents in sizes(load, (0.3, 0.6, 0.8, 0.9, 1.0, 1.1, 1.3, 1.8)):
            yield Case(load, agents, QueueModel(patience_seconds=patience))
    for load in loads:
        for agents in sizes(load, (1.0001, 1.05, 1.1, 1.2, 1.3, 1.4, 1.6, 2.0, 3.0)):
            yield Case(load, agents, QueueModel())
        for agents in sizes(load, (0.1, 0.4, 0.7, 0.9, 1.0, 1.1, 1.3, 2.0)):
            yield Case(load, agents, QueueModel(blocked=True))
    chats = [(2, 0.0), (3, 0.2), (3, 1.0), (5, 0.6)]
    for (held, slow), load in itertools.product(chats, (0.01, 0.4, 0.8, 1.9, 4.0, 9.0, 16.667)):
        for agents in sizes(load / held, (0.7, 1.05, 1.3, 2.0)):
            for patience in (None, 30.0, 600.0):
                line = QueueModel(patience_seconds=patience, concurrency=held, slowdown=slow)
                if patience or load < agents * held:
                    yield Case(load, agents, line)


def sizes(load: float, factors: tuple[float, ...]) -> list[int]:
    return sorted({max(1, math.ceil(load * factor)) for factor in factors})


def service(case: Case) -> list[mpf]:
    """Contacts completed within one AHT with 0, 1, … contacts in service, agent by agent."""
    held, slow = case.line.concurrency, mpf(case.line.slowdown)
    rates = []
    for m in range(case.agents * held + 1):
        each = [m // case.agents + (i < m % case.agents) for i in range(case.agents)]
        rates.append(
            sum(j * (1 + slow * (held - 1)) / (1 + slow * (j - 1)) for j in each if j) + mpf(0)
        )
    return rates


def exact(case: Case) -> list[dict[str, mpf]]:
    """What ``fare`` should say at each threshold, by summing over the states of the chain."""
    if case.line.blocked:
        return exact_blocked(case)
    return exact_endless(case) if case.line.patience_seconds is None else exact_impatient(case)


def room(case: Case) -> list[mpf]:
    """Weights of the states 0 to full, the full one's last."""
    weights = [mpf(1)]
    for rate in service(case)[1:]:
        weights.append(weights[-1] * mpf(case.load) / rate)
    return weights


def exact_blocked(case: Case) -> list[dict[str, mpf]]:
    weights = room(case)
    total, full = mpmath.fsum(weights), len(weights) - 1
    lost = weights[-1] / total
    busy = mpmath.fsum(m * w for m, w in enumerate(weights)) / total / full
    return [dict(zip(FIGURES, (1 - lost, mpf(0), mpf(0), lost, busy), strict=True)) for _ in WITHIN]


def exact_endless(case: Case) -> list[dict[str, mpf]]:
    weights = room(case)
    full, load = len(weights) - 1, mpf(case.load)
    # All states with k waiting: weight of the full one, times (load / full) to the k.
    ratio = load / full
    waiting = weights[-1] / (1 - ratio)
    total = mpmath.fsum(weights[:-1]) + waiting
    queued = weights[-1] * ratio / (1 - ratio) ** 2 / total
    busy = mpmath.fsum(m * w for m, w in enumerate(weights[:-1])) + full * waiting
    found = []
    for within in WITHIN:
        # Who finds k waiting waits longer than t if at most k are completed within t.
        done, late, k = mpmath.exp(-full * mpf(within) / AHT), mpf(0), 0
        mean = full * mpf(within) / AHT
        while k <= mean or done > mpf(10) ** -30:
            late += done * waiting * ratio**k
            k += 1
            done *= mean / k
        values = (
            1 - late / total,
            queued / load * AHT,
            waiting / total,
            mpf(0),
            busy / total / full,
        )
        found.append(dict(zip(FIGURES, values, strict=True)))
    return found


def exact_impatient(case: Case) -> list[dict[str, mpf]]:
    weights = room(case)
    full, load, patience = len(weights) - 1, mpf(case.load), mpf(case.line.patience_seconds)
    x, y = full * patience / AHT, load * patience / AHT
    z = [mpmath.exp(-mpf(within) / patience) for within in WITHIN]
    # First steps: with k ahead, events come at rate x + k + 1, one part of it the own hanging up.
    served, waited, weight = x / (x + 1), x / (x + 1) ** 2, weights[-1]
    # P(longer than t) with k ahead: an incomplete beta function of z = exp(-t), grown with k.
    longer = [one ** (x + 1) for one in z]
    piece = [one * (1 - u) * (x + 1) for one, u in zip(longer, z, strict=True)]
    waiting = hung_up = wait = mpf(0)
    in_time = [mpf(0)] * len(z)
    k = 0
    while k <= y - x or weight > mpf(10) ** -35 * waiting:
        waiting += weight
        hung_up += weight * (1 - served)
        wait += weight * waited
        in_time = [s + weight * served * (1 - p) for s, p in zip(in_time, longer, strict=True)]
        k += 1
        weight *= y / (x + k)
        waited = (x + k) / (x + k + 1) * (waited + served / (x + k + 1))
        served *= (x + k) / (x + k + 1)
        longer = [p + more for p, more in zip(longer, piece, strict=True)]
        piece = [more * (1 - u) * (x + 1 + k) / (k + 1) for more, u in zip(piece, z, strict=True)]
    below = mpmath.fsum(weights[:-1])
    total = below + waiting
    busy = mpmath.fsum(m * w for m, w in enumerate(weights[:-1])) + full * waiting
    lost = hung_up / total
    asa = patience * wait / total / (1 - lost)
    rest = (asa, waiting / total, lost, busy / total / full)
    return [dict(zip(FIGURES, ((below + s) / total, *rest), strict=True)) for s in in_time]


def found(case: Case, within: float) -> Performance:
    return performance(
        np.array([case.load]),
        aht_seconds=np.array([AHT]),
        agents=np.array([case.agents]),
        line=case.line,
        within_seconds=within,
    )


def test_all_models_equal_sums_over_every_state_in_50_digits_at_5_000_points() -> None:
    points = 0
    with mpmath.workdps(50):
        for case in cases():
            for within, right in zip(WITHIN, exact(case), strict=True):
                answer = found(case, within)
                points += 1
                for name in FIGURES:
                    value, true = getattr(answer, name)[0], float(right[name])
                    # An ASA is a time: near 0 seconds, a billionth of a second will do.
                    error = abs(value - true) / max(1.0, abs(true))
                    assert error <= 1e-9, (case, within, name, value, true)
    assert points >= 5_000


BATCHES, SIZE = 30, 2_000


def simulated_voice(case: Case, *, within: float, seed: int) -> np.ndarray:
    """Return, by batch: answered in time, lost, mean wait of the answered."""
    rng = np.random.default_rng(seed)
    total = (BATCHES + 1) * SIZE
    arrivals = np.cumsum(rng.exponential(AHT / case.load, total)).tolist()
    talks = rng.exponential(AHT, total).tolist()
    mean = 0.0 if case.line.blocked else case.line.patience_seconds or math.inf
    patiences = rng.standard_exponential(total) * mean if math.isfinite(mean) else [mean] * total
    free = [0.0] * case.agents
    rows = []
    for arrival, talk, patience in zip(arrivals, talks, patiences, strict=True):
        wait = max(free[0] - arrival, 0.0)
        if wait > patience:
            rows.append((0.0, 1.0, math.nan))
            continue
        heapq.heapreplace(free, arrival + wait + talk)
        rows.append((float(wait <= within), 0.0, wait))
    return batches(np.array(rows))


def simulated_chat(case: Case, *, within: float, seed: int, even: bool = True) -> np.ndarray:
    """Return the same of agents who hold several contacts.

    Args:
        even: Whether contacts are spread evenly again when one is done; if not, each stays with
            the agent that it went to, the one who held fewest.
    """
    rng = np.random.default_rng(seed)
    held, total = case.line.concurrency, (BATCHES + 1) * SIZE
    slow, mean = case.line.slowdown, case.line.patience_seconds or math.inf
    pace = [0.0] + [
        j * (1 + slow * (held - 1)) / (1 + slow * (j - 1)) / AHT for j in range(1, held + 1)
    ]
    arrivals = np.cumsum(rng.exponential(AHT / case.load, total))
    ends = arrivals + (rng.standard_exponential(total) * mean if math.isfinite(mean) else mean)
    rows = np.full((total, 3), (0.0, 1.0, math.nan))
    agents, waiting = [0] * case.agents, deque[int]()
    now, coming = 0.0, 0
    while coming < total:
        rate = sum(pace[j] for j in agents)
        done = now + rng.exponential(1 / rate) if rate else math.inf
        if arrivals[coming] <= done:
            now = arrivals[coming]
            waiting.append(coming)
            coming += 1
        else:
            now = done
            if even:
                k = agents.index(max(agents))
            else:
                k = int(np.searchsorted(np.cumsum([pace[j] for j in agents]), rng.random() * rate))
            agents[k] -= 1
        while waiting and min(agents) < held:
            i = waiting.popleft()
            if ends[i] >= now:
                agents[agents.index(min(agents))] += 1
                rows[i] = (float(now - arrivals[i] <= within), 0.0, now - arrivals[i])
    return batches(rows)


def batches(rows: np.ndarray) -> np.ndarray:
    """Return means by batch, the first one left out: the queue begins empty."""
    return np.nanmean(rows[SIZE:].reshape(BATCHES, SIZE, 3), axis=1)


SETTINGS = [
    *[
        Case(load, agents, QueueModel(patience_seconds=patience))
        for load, agents in ((0.4, 1), (2.0, 2), (4.0, 6), (5.0, 4), (16.667, 19), (31.0, 30))
        for patience in (20.0, 180.0, 900.0)
    ],
    *[
        Case(load, agents, QueueModel())
        for load, agents in ((0.3, 1), (1.5, 3), (4.0, 6), (7.5, 9), (16.667, 21), (31.0, 36))
    ],
    *[
        Case(load, agents, QueueModel(blocked=True))
        for load, agents in ((0.7, 1), (3.0, 4), (20.0, 18))
    ],
    *[
        Case(load, agents, QueueModel(patience_seconds=patience, concurrency=held, slowdown=slow))
        for load, agents, held, slow in (
            (1.5, 1, 2, 0.3),
            (4.0, 2, 3, 0.0),
            (7.0, 3, 3, 0.5),
            (12.0, 3, 4, 0.2),
        )
        for patience in (None, 60.0, 240.0)
        if patience or load < agents * held
    ],
    Case(9.0, 5, QueueModel(patience_seconds=120.0, concurrency=3, slowdown=1.0)),
    Case(14.0, 3, QueueModel(patience_seconds=90.0, concurrency=5, slowdown=0.8)),
]


@pytest.mark.parametrize("k", range(len(SETTINGS)))
def test_a_simulated_queue_agrees_within_three_standard_errors(k: int) -> None:
    case, within = SETTINGS[k], 20.0
    simulated = simulated_chat if case.line.concurrency > 1 else simulated_voice
    rows = simulated(case, within=within, seed=200 + k)
    mean, error = rows.mean(axis=0), rows.std(axis=0, ddof=1) / math.sqrt(len(rows))
    answer = found(case, within)
    right = [answer.service_level[0], answer.abandonment[0], answer.asa_seconds[0]]
    assert (np.abs(mean - right) <= 3 * error + 1e-12).all(), (mean, right, error)


def test_forty_settings_are_simulated() -> None:
    assert len(SETTINGS) == 40


@pytest.mark.parametrize("slow", [0.2, 0.6])
def test_chats_that_stay_with_their_agent_fare_nearly_as_if_spread_evenly(slow: float) -> None:
    case = Case(9.0, 4, QueueModel(patience_seconds=120.0, concurrency=3, slowdown=slow))
    rows = simulated_chat(case, within=20.0, seed=1, even=False)
    assert rows[:, 0].mean() == pytest.approx(found(case, 20.0).service_level[0], abs=0.015)
