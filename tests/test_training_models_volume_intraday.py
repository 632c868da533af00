"""What is learnt of days, against centres whose day factors are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from features.calendar.clock import DAY_SECONDS
from serving.models.volume.distribution import DEFAULT_TODAY
from training.models.volume.intraday import MEMORIES, Errors, learn_today


def errors(
    *,
    per_hour: float,
    day: float = 0.0,
    hour: float = 0.0,
    carry: float = 0.0,
    swing: float = 0.0,
    memory: float = 0.8,
    origins: int = 40,
    queue: int = 0,
    seed: int = 0,
) -> Errors:
    """Draw a week after each origin: Poisson counts, gamma hours, factors of a known variance."""
    rng = np.random.default_rng(seed)
    cells = []
    for origin in range(origins):
        common, stretch = rng.standard_normal(), rng.standard_normal()
        for k in range(7):
            if k:
                common = carry * common + np.sqrt(1 - carry**2) * rng.standard_normal()
            for h in range(24):
                fresh = np.sqrt(1 - memory**2) * rng.standard_normal()
                stretch = memory * stretch + fresh if h else rng.standard_normal()
                factor = max(1 + np.sqrt(day) * common + np.sqrt(swing) * stretch, 0.05)
                factor *= rng.gamma(1 / hour, hour) if hour else 1.0
                mean = per_hour * (1 + 0.5 * np.sin(h / 4))
                first = origin * 20
                cells.append((first * DAY_SECONDS, first + k, h, mean, rng.poisson(mean * factor)))
    origin_, day_, hour_, mean_, actual = zip(*cells, strict=True)
    return Errors(
        queue=np.full(len(cells), queue),
        origin=np.array(origin_, dtype=np.int64),
        day=np.array(day_, dtype=np.int64),
        hour=np.array(hour_, dtype=np.int64),
        mean=np.array(mean_),
        actual=np.array(actual, dtype=np.float64),
    )


def joined(*parts: Errors) -> Errors:
    return Errors(
        *(np.concatenate([getattr(p, n) for p in parts]) for n in Errors.__dataclass_fields__)
    )


def test_the_variances_of_a_busy_queue_are_found() -> None:
    found, _ = learn_today(errors(per_hour=300, day=0.03, hour=0.01, carry=0.6), queues=1)
    assert found.day_variance + found.swing_variance == pytest.approx(0.03, rel=0.25)
    assert found.day_variance > 4 * found.swing_variance
    assert found.hour_variance == pytest.approx(0.01, rel=0.35)
    assert found.carry == pytest.approx(0.6, abs=0.2)


def test_a_swing_is_told_from_a_day_by_how_it_fades() -> None:
    found, _ = learn_today(errors(per_hour=300, swing=0.04, memory=0.7), queues=1)
    assert found.swing_variance == pytest.approx(0.04, rel=0.3)
    assert found.swing_variance > 5 * found.day_variance
    assert found.memory in (0.6, 0.7, 0.8)


def test_poisson_noise_alone_leaves_nothing_to_correct_with() -> None:
    for seed in range(4):
        found, _ = learn_today(errors(per_hour=20, seed=seed), queues=1)
        assert found.day_variance + found.swing_variance < 0.003


def test_days_that_do_not_hang_together_hand_nothing_on() -> None:
    found, _ = learn_today(errors(per_hour=300, day=0.03, carry=0.0), queues=1)
    assert found.carry < 0.2


def test_a_quiet_queue_takes_what_the_others_say_and_only_half_of_it() -> None:
    busy = errors(per_hour=300, day=0.03, queue=0)
    quiet = errors(per_hour=0.05, day=0.03, queue=1, seed=1)
    first, second, other = learn_today(joined(busy, quiet), queues=2)
    assert second.day_variance == pytest.approx(first.day_variance / 2, rel=0.4)
    assert other.day_variance == pytest.approx(second.day_variance, rel=0.2)


def test_without_any_error_the_defaults_hold_and_are_halved_for_want_of_evidence() -> None:
    nothing = np.empty(0, dtype=np.int64)
    found = learn_today(
        Errors(nothing, nothing, nothing, nothing, np.empty(0), np.empty(0)), queues=2
    )
    assert len(found) == 3
    for today in found:
        assert 0 < today.day_variance <= DEFAULT_TODAY.day_variance
        assert 0 <= today.carry <= DEFAULT_TODAY.carry
        assert today.memory in MEMORIES


def test_one_wild_day_does_not_set_the_variance() -> None:
    calm = errors(per_hour=100, day=0.01, seed=3)
    wild = replace(calm, actual=calm.actual.copy())
    wild.actual[:24] = 0.0
    one, other = (learn_today(e, queues=1)[0] for e in (calm, wild))
    assert other.day_variance + other.swing_variance < 2.5 * (one.day_variance + one.swing_variance)


def test_the_order_of_the_rows_does_not_matter() -> None:
    straight = errors(per_hour=50, day=0.02, hour=0.01)
    order = np.random.default_rng(0).permutation(len(straight.mean))
    shuffled = Errors(*(getattr(straight, n)[order] for n in Errors.__dataclass_fields__))
    one, other = (learn_today(e, queues=1)[0] for e in (straight, shuffled))
    assert one.day_variance == pytest.approx(other.day_variance)
    assert one.hour_variance == pytest.approx(other.hour_variance)
