"""What is planted in handle times is found again, apart from the noise of a few contacts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from serving.models.volume.distribution import DEFAULT_HANDLE
from training.models.volume.handle_time import MOST_DAY, MOST_HOUR, HandlePairs, learn_handle

DAY_SECONDS = 86_400


def simulated(
    *,
    day: float,
    hour: float,
    memory: float,
    variation: float,
    per_hour: float,
    windows: int = 20,
    days: int = 14,
    queue: int = 0,
    seed: int = 0,
) -> HandlePairs:
    """Return windows of lognormal factors by day and hour, and means of gamma handle times."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(windows):
        factor = np.empty(days)
        factor[0] = rng.standard_normal()
        for d in range(1, days):
            factor[d] = memory * factor[d - 1] + np.sqrt(1 - memory**2) * rng.standard_normal()
        spread = np.log1p(day)
        by_day = np.exp(np.sqrt(spread) * factor - spread / 2)
        spread = np.log1p(hour)
        by_hour = np.exp(np.sqrt(spread) * rng.standard_normal((days, 24)) - spread / 2)
        wave = 1 + 0.9 * np.sin(np.arange(24) / 24 * 2 * np.pi)
        handled = rng.poisson(per_hour * wave, size=(days, 24)).astype(float)
        shape = np.maximum(handled, 1) / variation
        mean = by_day[:, None] * by_hour * rng.gamma(shape) / shape
        seen = handled > 0
        number = np.broadcast_to(100 + 14 * k + np.arange(days)[:, None], seen.shape)[seen]
        found.append((np.full(len(number), k * 14 * DAY_SECONDS), number, mean[seen] - 1,
                      handled[seen]))  # fmt: skip
    origin, number, relative, count = (np.concatenate(c) for c in zip(*found, strict=True))
    return HandlePairs(np.full(len(origin), queue), origin, number, relative, count)


def together(*parts: HandlePairs) -> HandlePairs:
    """Return the pairs of several queues in one."""
    names = HandlePairs.__dataclass_fields__
    return HandlePairs(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


@pytest.mark.parametrize(
    ("day", "hour", "memory", "variation", "per_hour"),
    [
        (0.01, 0.0025, 0.7, 0.8, 60.0),
        (0.0025, 0.01, 0.3, 0.4, 30.0),
        (0.02, 0.02, 0.9, 1.2, 10.0),
    ],
)
def test_planted_factors_are_found_again(
    day: float, hour: float, memory: float, variation: float, per_hour: float
) -> None:
    found = [
        learn_handle(
            simulated(
                day=day, hour=hour, memory=memory, variation=variation, per_hour=per_hour, seed=s
            ),
            queues=1,
        )[0]
        for s in range(8)
    ]
    assert np.mean([f.day for f in found]) == pytest.approx(day, rel=0.25)
    assert np.mean([f.hour for f in found]) == pytest.approx(hour, rel=0.45, abs=0.001)
    assert np.mean([f.memory for f in found]) == pytest.approx(memory, abs=0.15)


def test_the_noise_of_few_contacts_is_nobodys_factor() -> None:
    pairs = simulated(day=0.0, hour=0.0, memory=0.0, variation=1.0, per_hour=5.0)
    found = learn_handle(pairs, queues=1)[0]
    # The noise alone has a squared coefficient of variation of 1/5 and more.
    assert found.day < 0.001
    assert found.hour < 0.01


def test_a_queue_with_little_is_drawn_to_the_others() -> None:
    wild = {"hour": 0.01, "memory": 0.6, "variation": 0.8, "per_hour": 40.0}
    many = simulated(day=0.03, **wild)
    few = simulated(day=0.0, **wild, windows=1, days=2, queue=1, seed=5)
    found = learn_handle(together(many, few), queues=3)
    assert found[0].day == pytest.approx(0.03, rel=0.3)
    assert found[1].day > 0.6 * found[0].day
    # One that was never seen, and any other queue, are what all queues are.
    assert found[2].day == pytest.approx(found[3].day)


def test_without_a_past_the_default_stands() -> None:
    none = np.empty(0, dtype=np.int64)
    found = learn_handle(HandlePairs(none, none, none, np.empty(0), np.empty(0)), queues=2)
    assert found == (DEFAULT_HANDLE,) * 3


def test_wild_errors_stay_within_bounds() -> None:
    pairs = simulated(day=0.5, hour=0.5, memory=0.9, variation=1.0, per_hour=20.0)
    wild = replace(pairs, relative=10 * pairs.relative)
    for found in learn_handle(wild, queues=1):
        assert 0 <= found.day <= MOST_DAY
        assert 0 <= found.hour <= MOST_HOUR
        assert 0 <= found.memory < 1


def test_one_handled_interval_is_enough_to_answer() -> None:
    one = np.zeros(1, dtype=np.int64)
    found = learn_handle(HandlePairs(one, one, one, np.array([0.1]), np.array([3.0])), queues=1)
    assert found[0].day == pytest.approx(DEFAULT_HANDLE.day, rel=0.5)
