"""How a queue fares with a given number of agents: Erlang B, C and A, over vectors.

Contacts arrive at random (Poisson) at a constant rate within the interval, handle times are
exponential, agents answer first come, first served, and the interval is long against the handle
time, so that the steady state holds. What happens to a contact that finds nobody free tells the
models apart:

- **Erlang B** (`erlang_b`): it is lost, as on a trunk group without a waiting line.
- **Erlang C** (`erlang_c`): it waits for ever. Right where nobody hangs up; with impatient
  callers it overstates waits and asks for too many agents, and at a load at or above the number
  of agents it has no steady state (nobody is answered in time, the wait is infinite).
- **Erlang A** (`erlang_a`): it waits until its patience, exponential, runs out. Right for voice
  and for live chat; also for a load above the number of agents, since hanging up is its valve.

None is right for e-mail and back office, which are a backlog with a deadline.

Units: the load is in erlangs (contacts per second x AHT in seconds: busy agents if nobody were
lost), times are seconds, shares lie in [0, 1]. The *service level* is the share of all offered
contacts that are answered within the threshold: who hangs up counts as missed.

Sources: A. K. Erlang (1917); Garnett, Mandelbaum and Reiman, "Designing a call center with
impatient customers", M&SOM 4 (2002); Mandelbaum and Zeltyn, "Service engineering in action: the
Palm/Erlang-A queue" (2007), whose notation the code follows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from features.calendar import Float64, Int64

_CHECK_EVERY = 16
_RESCALE = 1e200
_NEGLIGIBLE = 1e-17


@dataclass(frozen=True)
class Performance:
    """How n intervals fare; each array has one value an interval.

    Attributes:
        service_level: Share of offered contacts answered within the threshold; 1 without contacts.
        asa_seconds: Mean wait of the answered contacts; infinite where nobody is answered.
        wait_probability: Share of contacts that find nobody free and wait.
        abandonment: Share of contacts that hang up, or are blocked in Erlang B.
        occupancy: Share of the agents' time spent on contacts; 0 without agents.
    """

    service_level: Float64
    asa_seconds: Float64
    wait_probability: Float64
    abandonment: Float64
    occupancy: Float64


def blocking(load: Float64, servers: Int64) -> Float64:
    """Return the probability that all servers are busy when nobody waits: Erlang's B formula.

    Uses B(0) = 1, B(k) = a B(k-1) / (k + a B(k-1)), whose terms all lie in [0, 1]: nothing
    overflows or cancels.

    Args:
        load: Erlangs, float64[n], at least 0.
        servers: Servers, int64[n], at least 0.

    >>> blocking(np.array([2.0]), np.array([3])).round(4).tolist()  # (8/6) / (1 + 2 + 2 + 8/6)
    [0.2105]
    """
    order = np.argsort(servers, kind="stable")
    a, s = load[order], servers[order]
    b = np.ones(len(a))
    first = 0
    for k in range(1, int(s[-1]) + 1 if len(s) else 1):
        first += int(np.searchsorted(s[first:], k))
        busy = a[first:] * b[first:]
        b[first:] = busy / (k + busy)
    out = np.empty(len(a))
    out[order] = b
    return out


def erlang_b(load: Float64, *, servers: Int64) -> Performance:
    """Return how intervals fare when a contact that finds nobody free is lost.

    Args:
        load: Erlangs, float64[n], at least 0.
        servers: Servers, int64[n], at least 0.
    """
    lost = np.where(load > 0, blocking(load, servers), 0.0)
    return Performance(
        service_level=1 - lost,
        asa_seconds=np.where(lost < 1, 0.0, np.inf),
        wait_probability=np.zeros(len(load)),
        abandonment=lost,
        occupancy=_share(load * (1 - lost), servers),
    )


def erlang_c(
    load: Float64, *, aht_seconds: Float64, servers: Int64, within_seconds: float
) -> Performance:
    """Return how intervals fare when everybody waits until answered.

    Args:
        load: Erlangs, float64[n], at least 0.
        aht_seconds: Average handle time, float64[n], above 0 where there is load.
        servers: Servers, int64[n], at least 0.
        within_seconds: Threshold of the service level, at least 0.

    >>> hour = dict(aht_seconds=np.array([300.0]), within_seconds=20.0)
    >>> p = erlang_c(np.array([200 * 300 / 3600]), servers=np.array([21]), **hour)
    >>> p.service_level.round(3).tolist(), p.occupancy.round(3).tolist()
    ([0.826], [0.794])
    """
    b = blocking(load, servers)
    spare = servers - load
    stable = spare > 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        waits = np.where(stable, servers * b / (servers - load * (1 - b)), 1.0)
        late = np.where(stable, waits * np.exp(-spare * within_seconds / aht_seconds), 1.0)
        asa = np.where(stable, waits * aht_seconds / spare, np.inf)
    idle = load <= 0
    return Performance(
        service_level=np.where(idle, 1.0, 1 - late),
        asa_seconds=np.where(idle, 0.0, asa),
        wait_probability=np.where(idle, 0.0, waits),
        abandonment=np.zeros(len(load)),
        occupancy=np.minimum(_share(load, servers), 1.0),
    )


def erlang_a(
    load: Float64,
    *,
    aht_seconds: Float64,
    servers: Int64,
    within_seconds: float,
    patience_seconds: float,
) -> Performance:
    """Return how intervals fare when contacts hang up as their patience runs out.

    With x = n mu / theta, y = lambda / theta and A(x, y) = 1 + y/(x+1) + y²/((x+1)(x+2)) + …,
    P(wait) = A B / (1 - B + A B), and the density of the offered wait integrates to the same A,
    so that the service level needs no quadrature.

    Args:
        load: Erlangs, float64[n], at least 0.
        aht_seconds: Average handle time, float64[n], above 0 where there is load.
        servers: Servers, int64[n], at least 0.
        within_seconds: Threshold of the service level, at least 0.
        patience_seconds: Mean patience, above 0. The work grows with the contacts that arrive
            within one patience.

    >>> hour = dict(aht_seconds=np.array([300.0]), within_seconds=20.0, patience_seconds=180.0)
    >>> p = erlang_a(np.array([200 * 300 / 3600]), servers=np.array([19]), **hour)
    >>> p.service_level.round(3).tolist(), p.abandonment.round(3).tolist()
    ([0.807], [0.054])
    """
    busy = (load > 0) & (servers > 0)
    out = Performance(
        service_level=np.where(load > 0, 0.0, 1.0),
        asa_seconds=np.where(load > 0, np.inf, 0.0),
        wait_probability=np.where(load > 0, 1.0, 0.0),
        abandonment=np.where(load > 0, 1.0, 0.0),
        occupancy=np.zeros(len(load)),
    )
    if not busy.any():
        return out
    a, s = load[busy], servers[busy]
    per_patience = patience_seconds / aht_seconds[busy]
    x, y = s * per_patience, a * per_patience
    log_a = _log_a(x, y)
    waits = _waits(blocking(a, s), log_a)
    served = -np.expm1(-log_a) * s / a  # of those who wait
    abandoned = np.clip(waits * (1 - served), 0.0, 1.0)
    out.service_level[busy] = _level(x, y, log_a, waits, within_seconds / patience_seconds)
    out.asa_seconds[busy] = patience_seconds * waits * _answered_wait(x, y) / (1 - abandoned)
    out.wait_probability[busy] = waits
    out.abandonment[busy] = abandoned
    out.occupancy[busy] = np.minimum(a * (1 - abandoned) / s, 1.0)
    return out


def _share(load: Float64, servers: Int64) -> Float64:
    return np.divide(load, servers, out=np.zeros(len(load)), where=servers > 0)


def _waits(b: Float64, log_a: Float64) -> Float64:
    # Divided through by A, which may be beyond the range of a float in a hopeless overload.
    return b / (b + (1 - b) * np.exp(-log_a))


def _level(x: Float64, y: Float64, log_a: Float64, waits: Float64, t: float) -> Float64:
    """Return the service level; x and y as in ``erlang_a``, t the threshold in patiences."""
    log_tail = _log_a(x + 1, y * np.exp(-t))
    tail = np.exp(y * -np.expm1(-t) - (x + 1) * t + log_tail - log_a) * x / (x + 1)
    in_time = -np.expm1(-log_a) * x / y - tail
    level: Float64 = np.clip(1 - waits + waits * in_time, 0.0, 1.0)
    return level


def _log_a(x: Float64, y: Float64) -> Float64:
    """Return log A(x, y): its terms are the chances of k waiting against none waiting.

    Args:
        x: Service completions of all servers within one patience, float64[n], above 0.
        y: Arrivals within one patience, float64[n], at least 0.
    """
    term, total, log_scale = np.ones(len(x)), np.ones(len(x)), np.zeros(len(x))
    divisor = x.copy()
    while ((term > _NEGLIGIBLE * total) | (y >= divisor)).any():
        for _ in range(_CHECK_EVERY):
            divisor += 1
            term *= y
            term /= divisor
            total += term
        scale = np.where(total > _RESCALE, 1 / _RESCALE, 1.0)
        term *= scale
        total *= scale
        log_scale -= np.log(scale)
    return np.log(total) + log_scale


def _answered_wait(x: Float64, y: Float64) -> Float64:
    """Return the mean, over all who wait, of the wait in patiences, 0 for who is not answered.

    Who finds k waiting moves up through k + 1 places, which takes 1/(x+1) + … + 1/(x+k+1), and
    is answered with probability x / (x + k + 1).

    Args:
        x: As in ``_log_a``.
        y: As in ``_log_a``.
    """
    term, total, divisor = np.ones(len(x)), np.ones(len(x)), x + 1
    places = 1 / divisor
    answered = x * places * places
    while ((term > _NEGLIGIBLE * total) | (y >= divisor)).any():
        for _ in range(_CHECK_EVERY):
            term *= y
            term /= divisor
            total += term
            divisor += 1
            places += 1 / divisor
            answered += term * places * x / divisor
        scale = np.where(total > _RESCALE, 1 / _RESCALE, 1.0)
        term *= scale
        total *= scale
        answered *= scale
    return answered / total
