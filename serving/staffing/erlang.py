"""Performance of intervals with given agents: Erlang B, C and A, over vectors.

Poisson arrivals, exponential handle times, first come, first served, in steady state. A contact
that finds nobody free is lost (**Erlang B**), waits for ever (**Erlang C**: overstates waits where
callers hang up, and has no steady state at a load at or above the agents), or waits until its
exponential patience runs out (**Erlang A**: right for voice and live chat). **Chat** agents hold
several contacts, evenly spread, each slower for the others; in simulations the true service level
was at most a point lower. For e-mail and back office, see ``backlog.py``.

Units: erlangs (contacts per second x AHT), seconds, shares in [0, 1]. The *service level* is the
share of all offered contacts answered within the threshold; the *ASA* is the mean wait of those
who are answered.

Sources: A. K. Erlang (1917); Garnett, Mandelbaum and Reiman, "Designing a call center with
impatient customers", M&SOM 4 (2002); Mandelbaum and Zeltyn, "Service engineering in action: the
Palm/Erlang-A queue" (2007), whose notation the code follows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.arrays import Bool, Float64, Int64
from serving.staffing.birth_death import (
    LEAST_LOAD,
    answered_wait,
    blocking,
    chat_blocking,
    log_waiting,
)
from serving.staffing.queue_model import QueueModel


@dataclass(frozen=True)
class Performance:
    """Performance of n intervals, float64[n] each.

    Attributes:
        service_level: Share of offered contacts answered within the threshold; 1 without contacts.
        asa_seconds: Mean wait of the answered contacts; infinite where nobody is answered.
        wait_probability: Share of contacts that find nobody free and wait.
        abandonment: Share of contacts that hang up, or are blocked in Erlang B.
        occupancy: Share of the contacts that agents could hold which they do hold (of their time
            spent on contacts, where they hold one at a time); 0 without agents.
    """

    service_level: Float64
    asa_seconds: Float64
    wait_probability: Float64
    abandonment: Float64
    occupancy: Float64


@dataclass(frozen=True)
class Levels:
    """The part of ``Performance`` that goals and costs depend on, for half the work."""

    service_level: Float64
    abandonment: Float64


def performance(
    load: Float64, *, aht_seconds: Float64, agents: Int64, line: QueueModel, within_seconds: float
) -> Performance:
    """Return the performance of intervals with some agents.

    Load float64[n] and agents int64[n] are at least 0; the AHT is above 0 where there is load, of
    agents who hold as many contacts as they may.

    >>> hour = dict(aht_seconds=np.array([300.0]), within_seconds=20.0)
    >>> load = np.array([200 * 300 / 3600])
    >>> patient = QueueModel(patience_seconds=180.0)
    >>> p = performance(load, agents=np.array([19]), line=patient, **hour)
    >>> p.service_level.round(3).tolist(), p.abandonment.round(3).tolist()
    ([0.807], [0.054])
    >>> p = performance(load, agents=np.array([21]), line=QueueModel(), **hour)
    >>> p.service_level.round(3).tolist(), p.occupancy.round(3).tolist()
    ([0.826], [0.794])
    """
    queue = _states(load, aht_seconds, agents, line)
    level, lost, waits = _outcomes(queue, line, within_seconds)
    never = np.where(queue.idle, 0.0, np.inf)
    return Performance(
        service_level=np.where(queue.busy, level, queue.idle),
        asa_seconds=np.where(queue.busy, _asa(queue, line, lost, waits), never),
        wait_probability=np.where(queue.busy, waits, 0.0 if line.blocked else 1.0 - queue.idle),
        abandonment=np.where(queue.busy, lost, _lost_without_agents(queue, line)),
        occupancy=np.where(queue.busy, _occupancy(queue, line, lost, waits), 0.0),
    )


def levels(
    load: Float64, *, aht_seconds: Float64, agents: Int64, line: QueueModel, within_seconds: float
) -> Levels:
    """Return the part of ``performance`` that goals and costs depend on.

    >>> hour = dict(aht_seconds=np.array([300.0]), within_seconds=20.0, line=QueueModel())
    >>> levels(np.array([0.5]), agents=np.array([1]), **hour).service_level.round(3).tolist()
    [0.516]
    """
    queue = _states(load, aht_seconds, agents, line)
    level, lost, _ = _outcomes(queue, line, within_seconds)
    return Levels(
        service_level=np.where(queue.busy, level, queue.idle),
        abandonment=np.where(queue.busy, lost, _lost_without_agents(queue, line)),
    )


@dataclass(frozen=True)
class _Queue:
    """A queue's intervals; those without contacts or agents hold harmless values.

    ``full`` and ``held`` as in ``Chats``; ``held`` counts where contacts slow one another.
    """

    busy: Bool
    idle: Bool
    load: Float64
    aht: Float64
    servers: Int64
    full: Float64
    held: Float64


def _states(load: Float64, aht_seconds: Float64, agents: Int64, line: QueueModel) -> _Queue:
    idle = load <= 0
    busy = ~idle & (agents > 0)
    load = np.where(busy, np.maximum(load, LEAST_LOAD), 0.5)
    agents = np.where(busy, agents, 1)
    servers = agents * line.concurrency
    if line.concurrency > 1 and line.slowdown > 0:
        chats = chat_blocking(load, agents, concurrency=line.concurrency, slowdown=line.slowdown)
        full, held = chats.full, chats.held
    else:
        full, held = blocking(load, servers), load
    return _Queue(busy, idle, load, np.where(busy, aht_seconds, 1.0), servers, full, held)


def _outcomes(queue: _Queue, line: QueueModel, within: float) -> tuple[Float64, Float64, Float64]:
    """Return the shares that are answered in time, lost, and wait."""
    if line.blocked:
        return 1 - queue.full, queue.full, np.zeros(len(queue.load))
    if line.patience_seconds is None:
        late, waits = endless(
            queue.load,
            aht_seconds=queue.aht,
            servers=queue.servers,
            full=queue.full,
            within_seconds=within,
        )
        return 1 - late, np.zeros(len(queue.load)), waits
    return _impatient(queue, line.patience_seconds, within)


def endless(
    load: Float64,
    *,
    aht_seconds: Float64,
    servers: Float64 | Int64,
    full: Float64,
    within_seconds: float,
) -> tuple[Float64, Float64]:
    """Return the shares that are answered late and that wait in Erlang C.

    ``full`` is the probability that all servers are busy when nobody waits; load and AHT above 0.
    """
    spare = servers - load
    stable = spare > 0
    spare = np.where(stable, spare, 1.0)
    # B A / (1 - B + B A) with A = n / (n - a), the weight of all the states that wait.
    waits = np.where(stable, servers * full / (spare + load * full), 1.0)
    late = np.where(stable, waits * np.exp(-spare * within_seconds / aht_seconds), 1.0)
    return late, waits


def _impatient(queue: _Queue, patience: float, within: float) -> tuple[Float64, Float64, Float64]:
    """Return ``_outcomes`` of Erlang A.

    With x = n mu / theta, y = lambda / theta and A(x, y) = 1 + y/(x+1) + y²/((x+1)(x+2)) + …,
    P(wait) = A B / (1 - B + A B), and the density of the offered wait integrates to the same A,
    so that the service level needs no quadrature.
    """
    t = within / patience
    x, y = queue.servers * patience / queue.aht, queue.load * patience / queue.aht
    log_a = log_waiting(x, y)
    # Divided through by A, which may be beyond the range of a float in a hopeless overload.
    waits = queue.full / (queue.full + (1 - queue.full) * np.exp(-log_a))
    answered = -np.expm1(-log_a) * queue.servers / queue.load  # of those who wait
    log_tail = log_waiting(x + 1, y * np.exp(-t))
    late = np.exp(y * -np.expm1(-t) - (x + 1) * t + log_tail - log_a) * x / (x + 1)
    level = np.clip(1 - waits + waits * (answered - late), 0.0, 1.0)
    return level, np.clip(waits * (1 - answered), 0.0, 1.0), waits


def _asa(queue: _Queue, line: QueueModel, lost: Float64, waits: Float64) -> Float64:
    if line.blocked:
        return np.zeros(len(queue.load))
    patience = line.patience_seconds
    if patience is None:
        with np.errstate(divide="ignore"):
            return waits * queue.aht / np.maximum(queue.servers - queue.load, 0.0)
    x, y = queue.servers * patience / queue.aht, queue.load * patience / queue.aht
    return patience * waits * answered_wait(x, y) / (1 - lost)


def _occupancy(queue: _Queue, line: QueueModel, lost: Float64, waits: Float64) -> Float64:
    if line.concurrency == 1 or line.slowdown == 0:
        return np.minimum(queue.load * (1 - lost) / queue.servers, 1.0)
    full = queue.full if line.blocked else waits
    return full + (1 - full) * queue.held / queue.servers


def _lost_without_agents(queue: _Queue, line: QueueModel) -> Float64:
    """Return the abandonment of intervals without contacts or agents."""
    leaves = line.blocked or line.patience_seconds is not None
    return np.where(queue.idle, 0.0, float(leaves))
