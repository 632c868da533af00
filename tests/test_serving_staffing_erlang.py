"""Erlang B, C and A against exact sums, printed tables and quadrature; how they move."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.staffing.birth_death import blocking, chat_blocking
from serving.staffing.erlang import Performance, levels, performance
from serving.staffing.queue_model import QueueModel


def one(value: float) -> np.ndarray:
    return np.array([value], dtype=np.float64)


def agents(n: int) -> np.ndarray:
    return np.array([n], dtype=np.int64)


def fare_a(load: float, n: int, *, aht: float, within: float, patience: float) -> Performance:
    return fare_one(load, n, QueueModel(patience_seconds=patience), aht=aht, within=within)


def fare_c(load: float, n: int, *, aht: float, within: float) -> Performance:
    return fare_one(load, n, QueueModel(), aht=aht, within=within)


def fare_b(load: float, n: int) -> Performance:
    return fare_one(load, n, QueueModel(blocked=True), aht=300.0, within=0.0)


def fare_one(load: float, n: int, line: QueueModel, *, aht: float, within: float) -> Performance:
    return performance(
        one(load), aht_seconds=one(aht), agents=agents(n), line=line, within_seconds=within
    )


def exact_blocking(load: Fraction, n: int) -> Fraction:
    """Erlang's B formula as its sum of a^k / k!, in exact fractions."""
    terms = [Fraction(1)]
    for k in range(1, n + 1):
        terms.append(terms[-1] * load / k)
    return terms[n] / sum(terms)


@pytest.mark.parametrize("numerator", [1, 3, 10, 47, 100, 333, 900])
def test_blocking_equals_the_exact_sum_for_up_to_120_servers(numerator: int) -> None:
    load, servers = Fraction(numerator, 10), np.arange(0, 121, 5)
    found = blocking(np.full(len(servers), float(load)), servers)
    exact = [float(exact_blocking(load, int(n))) for n in servers]
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize(
    ("servers", "load"), [(10, 4.461), (20, 12.03), (30, 20.34), (50, 37.90), (100, 84.06)]
)
def test_blocking_is_one_per_cent_at_the_loads_of_the_printed_erlang_b_table(
    servers: int, load: float
) -> None:
    assert blocking(one(load), agents(servers))[0] == pytest.approx(0.01, rel=2e-3)


def test_servers_of_each_interval_may_differ_and_stand_in_any_order() -> None:
    load, servers = np.array([3.0, 40.0, 0.0, 3.0, 7.5]), np.array([4, 30, 2, 0, 11])
    together = blocking(load, servers)
    alone = [blocking(one(a), agents(n))[0] for a, n in zip(load, servers, strict=True)]
    assert together.tolist() == alone


def test_no_interval_gives_no_values() -> None:
    empty = np.empty(0)
    none = np.empty(0, dtype=np.int64)
    assert len(blocking(empty, none)) == 0
    for line in LINES:
        found = performance(empty, aht_seconds=empty, agents=none, line=line, within_seconds=20)
        assert len(found.service_level) == len(found.occupancy) == 0


def test_erlang_b_loses_what_is_blocked_and_nobody_waits() -> None:
    found = fare_b(2.0, 3)
    lost = (8 / 6) / (1 + 2 + 2 + 8 / 6)
    assert found.abandonment[0] == pytest.approx(lost)
    assert found.service_level[0] == pytest.approx(1 - lost)
    assert found.occupancy[0] == pytest.approx(2 * (1 - lost) / 3)
    assert found.asa_seconds[0] == 0


@pytest.mark.parametrize("numerator", [1, 5, 17, 60, 200, 500])
@pytest.mark.parametrize("spare", [1, 2, 7])
def test_erlang_c_equals_the_exact_sum(numerator: int, spare: int) -> None:
    load = Fraction(numerator, 10)
    n = math.floor(load) + spare
    b = exact_blocking(load, n)
    waits = n * b / (n - load * (1 - b))
    found = fare_c(float(load), n, aht=240.0, within=20.0)
    late = float(waits) * math.exp(-(n - float(load)) * 20 / 240)
    assert found.wait_probability[0] == pytest.approx(float(waits), rel=1e-11)
    assert found.service_level[0] == pytest.approx(1 - late, abs=1e-12)
    assert found.asa_seconds[0] == pytest.approx(float(waits * 240 / (n - load)), rel=1e-11)


def test_erlang_c_with_one_agent_is_the_textbook_single_server() -> None:
    # M/M/1 at rho 0.5: half wait, for 1 / (mu - lambda) = 600 s each.
    found = fare_c(0.5, 1, aht=300.0, within=0.0)
    assert found.wait_probability[0] == pytest.approx(0.5)
    assert found.asa_seconds[0] == pytest.approx(300.0)
    assert found.service_level[0] == pytest.approx(0.5)


@pytest.mark.parametrize("n", [0, 3, 4])
def test_erlang_c_at_or_above_capacity_answers_nobody_in_time(n: int) -> None:
    found = fare_c(4.0, n, aht=300.0, within=1e9)
    assert found.service_level[0] == 0
    assert found.asa_seconds[0] == math.inf
    assert found.wait_probability[0] == 1


def test_an_interval_without_contacts_meets_everything() -> None:
    for n in (0, 5):
        for found in (
            fare_c(0.0, n, aht=1.0, within=20.0),
            fare_a(0.0, n, aht=1.0, within=20.0, patience=60.0),
            fare_b(0.0, n),
        ):
            assert found.service_level[0] == 1
            assert found.asa_seconds[0] == 0
            assert found.occupancy[0] == 0
            assert found.abandonment[0] == 0


def test_without_agents_everybody_hangs_up() -> None:
    found = fare_a(3.0, 0, aht=300.0, within=20.0, patience=60.0)
    assert (found.service_level[0], found.abandonment[0]) == (0, 1)
    assert found.asa_seconds[0] == math.inf


@pytest.mark.parametrize("load", [0.2, 3.0, 12.5, 80.0])
@pytest.mark.parametrize("n", [1, 3, 10, 90])
def test_erlang_a_is_poisson_where_patience_equals_handle_time(load: float, n: int) -> None:
    # Each contact leaves at rate mu, in service or not: contacts present are Poisson(load).
    found = fare_a(load, n, aht=200.0, within=20.0, patience=200.0)
    chances = [math.exp(k * math.log(load) - load - math.lgamma(k + 1)) for k in range(400)]
    waits = math.fsum(chances[n:])
    hang_up = math.fsum((k - n) * p for k, p in enumerate(chances) if k > n) / load
    assert found.wait_probability[0] == pytest.approx(waits, rel=1e-9)
    assert found.abandonment[0] == pytest.approx(hang_up, rel=1e-8, abs=1e-14)
    busy = math.fsum(min(k, n) * p for k, p in enumerate(chances)) / n
    assert found.occupancy[0] == pytest.approx(busy, rel=1e-9)


def chain(arrivals: float, service: float, n: int, leaving: float) -> list[float]:
    """Steady state of the M/M/n+M chain, by products of its rates."""
    logs = [0.0]
    while len(logs) <= n + 5 or logs[-1] > max(logs) - 60:
        k = len(logs)
        rate = min(k, n) * service + max(k - n, 0) * leaving
        logs.append(logs[-1] + math.log(arrivals / rate))
    weights = [math.exp(v - max(logs)) for v in logs]
    total = math.fsum(weights)
    return [w / total for w in weights]


def simpson(function: object, end: float, steps: int) -> float:
    x = np.linspace(0.0, end, 2 * steps + 1)
    y = function(x)  # type: ignore[operator]
    return float(end / (6 * steps) * (y[0] + y[-1] + 4 * y[1::2].sum() + 2 * y[2:-1:2].sum()))


@pytest.mark.parametrize("patience", [5.0, 60.0, 180.0, 1500.0])
@pytest.mark.parametrize(
    ("load", "n"), [(0.05, 1), (2.0, 1), (4.0, 6), (16.667, 10), (16.667, 19), (95.0, 100)]
)
@pytest.mark.parametrize("within", [0.0, 20.0, 400.0])
def test_erlang_a_equals_the_chain_and_quadrature_of_the_offered_wait(
    patience: float, load: float, n: int, within: float
) -> None:
    aht = 300.0
    arrivals, service, leaving = load / aht, 1 / aht, 1 / patience
    states = chain(arrivals, service, n, leaving)
    waits = math.fsum(states[n:])
    hang_up = leaving / arrivals * math.fsum((k - n) * p for k, p in enumerate(states) if k > n)

    def answered(wait: np.ndarray) -> np.ndarray:
        """Density of the waits of answered contacts (Zeltyn and Mandelbaum 2005)."""
        pushed = arrivals / leaving * -np.expm1(-leaving * wait)
        start = math.log(arrivals * states[n - 1])
        return np.exp(start + pushed - n * service * wait - leaving * wait)

    found = fare_a(load, n, aht=aht, within=within, patience=patience)
    assert found.wait_probability[0] == pytest.approx(waits, rel=1e-9)
    assert found.abandonment[0] == pytest.approx(hang_up, rel=1e-7, abs=1e-13)
    level = 1 - waits + (simpson(answered, within, 5_000) if within else 0.0)
    assert found.service_level[0] == pytest.approx(level, abs=1e-8)
    mean = simpson(lambda u: u * answered(u), 40 * patience, 50_000) / (1 - hang_up)
    assert found.asa_seconds[0] == pytest.approx(mean, rel=1e-6, abs=1e-9)


def test_erlang_a_stays_finite_in_a_hopeless_overload() -> None:
    found = fare_a(5_000.0, 1, aht=30.0, within=20.0, patience=100.0)
    # One agent answers 1 in 5,000; who is answered had to outlast nearly everybody.
    assert found.abandonment[0] == pytest.approx(1 - 1 / 5_000, rel=1e-9)
    assert found.service_level[0] == pytest.approx(0.0, abs=1e-9)
    assert found.occupancy[0] == pytest.approx(1.0)
    assert 20 < found.asa_seconds[0] < math.inf


def test_erlang_a_tends_to_erlang_c_as_patience_grows() -> None:
    patient = fare_a(16.0, 20, aht=300.0, within=20.0, patience=300_000.0)
    endless = fare_c(16.0, 20, aht=300.0, within=20.0)
    assert patient.service_level[0] == pytest.approx(endless.service_level[0], abs=1e-3)
    assert patient.asa_seconds[0] == pytest.approx(endless.asa_seconds[0], rel=0.01)


LOADS = st.floats(0.01, 120.0)
SIZES = st.integers(1, 150)
TIMES = st.floats(0.0, 600.0)
PATIENCES = st.floats(2.0, 1800.0)


@settings(max_examples=60, deadline=None)
@given(load=LOADS, n=SIZES, within=TIMES, patience=PATIENCES)
def test_one_agent_more_never_hurts(load: float, n: int, within: float, patience: float) -> None:
    for fewer, more in (
        [fare_a(load, k, aht=240.0, within=within, patience=patience) for k in (n, n + 1)],
        [fare_c(load, k, aht=240.0, within=within) for k in (n, n + 1)],
    ):
        assert more.service_level[0] >= fewer.service_level[0] - 1e-12
        assert more.abandonment[0] <= fewer.abandonment[0] + 1e-12
        assert more.asa_seconds[0] <= fewer.asa_seconds[0] * (1 + 1e-9)
        assert more.occupancy[0] <= fewer.occupancy[0] + 1e-12


@settings(max_examples=60, deadline=None)
@given(load=LOADS, n=SIZES, within=TIMES, patience=PATIENCES, factor=st.floats(1.0, 2.0))
def test_more_load_never_helps(
    load: float, n: int, within: float, patience: float, factor: float
) -> None:
    for light, heavy in (
        [fare_a(a, n, aht=240.0, within=within, patience=patience) for a in (load, load * factor)],
        [fare_c(a, n, aht=240.0, within=within) for a in (load, load * factor)],
    ):
        assert heavy.service_level[0] <= light.service_level[0] + 1e-12
        assert heavy.occupancy[0] >= light.occupancy[0] - 1e-12


@settings(max_examples=60, deadline=None)
@given(load=LOADS, n=SIZES, patience=PATIENCES, factor=st.floats(1.0, 5.0))
def test_more_patience_means_fewer_hang_ups_and_more_waits(
    load: float, n: int, patience: float, factor: float
) -> None:
    short, long = (
        fare_a(load, n, aht=240.0, within=20.0, patience=p) for p in (patience, patience * factor)
    )
    assert long.abandonment[0] <= short.abandonment[0] + 1e-12
    assert long.wait_probability[0] >= short.wait_probability[0] - 1e-12


@settings(max_examples=40, deadline=None)
@given(load=LOADS, n=SIZES, patience=PATIENCES, a=TIMES, b=TIMES)
def test_a_longer_threshold_is_easier_and_never_beats_what_is_answered(
    load: float, n: int, patience: float, a: float, b: float
) -> None:
    tight, loose = (fare_a(load, n, aht=240.0, within=t, patience=patience) for t in sorted((a, b)))
    assert tight.service_level[0] <= loose.service_level[0] + 1e-12
    assert loose.service_level[0] <= 1 - loose.abandonment[0] + 1e-12


LINES = (
    QueueModel(),
    QueueModel(patience_seconds=60.0),
    QueueModel(blocked=True),
    QueueModel(concurrency=3, slowdown=0.3),
    QueueModel(patience_seconds=60.0, concurrency=3, slowdown=0.3),
    QueueModel(blocked=True, concurrency=2, slowdown=1.0),
)


@settings(max_examples=60, deadline=None)
@given(
    load=st.floats(0.01, 60.0),
    n=st.integers(1, 40),
    within=TIMES,
    line=st.sampled_from(LINES),
    factor=st.floats(1.0, 2.0),
)
def test_chats_too_fare_better_with_more_agents_and_worse_with_more_load(
    load: float, n: int, within: float, line: QueueModel, factor: float
) -> None:
    base = fare_one(load, n, line, aht=240.0, within=within)
    for worse, better in (
        (base, fare_one(load, n + 1, line, aht=240.0, within=within)),
        (fare_one(load * factor, n, line, aht=240.0, within=within), base),
    ):
        assert better.service_level[0] >= worse.service_level[0] - 1e-12
        assert better.abandonment[0] <= worse.abandonment[0] + 1e-12
        assert better.occupancy[0] <= worse.occupancy[0] + 1e-12


@pytest.mark.parametrize("patience", [None, 90.0])
def test_contacts_that_do_not_slow_one_another_make_each_place_a_server(
    patience: float | None,
) -> None:
    # So faint a slowdown takes the way of chats and must arrive where plain servers do.
    for held, n in ((2, 5), (3, 3), (4, 9)):
        chats, servers = (
            fare_one(0.8 * held * n, k, line, aht=240.0, within=20.0)
            for k, line in (
                (n, QueueModel(patience_seconds=patience, concurrency=held, slowdown=1e-15)),
                (n * held, QueueModel(patience_seconds=patience)),
            )
        )
        assert chats.service_level[0] == pytest.approx(servers.service_level[0], rel=1e-12)
        assert chats.occupancy[0] == pytest.approx(servers.occupancy[0], rel=1e-12)
        same = fare_one(
            0.8 * held * n,
            n,
            QueueModel(patience_seconds=patience, concurrency=held),
            aht=240.0,
            within=20.0,
        )
        assert same == fare_one(
            0.8 * held * n, n * held, QueueModel(patience_seconds=patience), aht=240.0, within=20.0
        )


def test_two_chats_at_half_pace_are_worth_one_contact_at_a_time() -> None:
    # With a slowdown of 1, an agent completes as many contacts whether she holds one or two:
    # one agent with an AHT of 200 s for two is M/M/1/2 of 100 s: 1 : a/2 : (a/2)².
    found = chat_blocking(one(1.0), agents(1), concurrency=2, slowdown=1.0)
    assert found.full[0] == pytest.approx(0.25 / 1.75)
    assert found.held[0] == pytest.approx(0.5 / 1.5)


def test_levels_say_what_fare_says() -> None:
    rng = np.random.default_rng(3)
    load, n = rng.gamma(2.0, 5.0, 50), rng.integers(0, 30, 50)
    load[::7] = 0
    for line in LINES:
        ask = {"aht_seconds": np.full(50, 240.0), "agents": n, "within_seconds": 30.0}
        whole, part = performance(load, line=line, **ask), levels(load, line=line, **ask)
        assert part.service_level.tolist() == whole.service_level.tolist()
        assert part.abandonment.tolist() == whole.abandonment.tolist()


@pytest.mark.parametrize("line", LINES)
def test_intervals_do_not_depend_on_their_neighbours(line: QueueModel) -> None:
    rng = np.random.default_rng(4)
    load, n = rng.gamma(1.0, 9.0, 40), rng.integers(0, 20, 40)
    together = performance(
        load, aht_seconds=np.full(40, 240.0), agents=n, line=line, within_seconds=30.0
    ).service_level
    alone = [
        fare_one(a, int(k), line, aht=240.0, within=30.0).service_level[0]
        for a, k in zip(load, n, strict=True)
    ]
    np.testing.assert_allclose(together, alone, rtol=1e-13, atol=1e-15)
