"""Requirements filled up to blocks: covered, workable, and no paid time too much."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from features.arrays import Bool, Int64
from features.errors import InputError
from serving.staffing.policies import shift_cover


def covered(
    required: list[int], block: int, is_open: list[bool] | None = None, minutes: int = 60
) -> list[int]:
    opening = np.ones(len(required), dtype=bool) if is_open is None else np.array(is_open)
    found = shift_cover(
        np.array(required, dtype=np.int64),
        is_open=opening,
        interval_minutes=minutes,
        block_minutes=block,
    )
    assert found.dtype == np.int64
    return found.tolist()


def open_runs(is_open: Bool) -> list[tuple[int, int]]:
    runs, begin = [], None
    for i, there in enumerate([*is_open.tolist(), False]):
        if there and begin is None:
            begin = i
        elif not there and begin is not None:
            runs.append((begin, i))
            begin = None
    return runs


def can_be_worked(on_duty: Int64, is_open: Bool, block: int) -> bool:
    """Whether blocks exist: who came first leaves first, and nobody before the block is over."""
    if on_duty[~is_open].any():
        return False
    for begin, end in open_runs(is_open):
        least, there = min(block, end - begin), deque[int]()
        for i in range(begin, end):
            while len(there) > on_duty[i]:
                if i - there.popleft() < least:
                    return False
            there.extend([i] * (int(on_duty[i]) - len(there)))
        if any(end - came < least for came in there):
            return False
    return True


def least_paid_time(required: Int64, is_open: Bool, block: int) -> int:
    """Integer programming over all blocks, written out one by one."""
    total = 0
    for begin, end in open_runs(is_open):
        least, h = min(block, end - begin), end - begin
        blocks = [(b, e) for b in range(h) for e in range(b + least, h + 1)]
        covers = np.array([[b <= i < e for b, e in blocks] for i in range(h)], dtype=float)
        lengths = np.array([e - b for b, e in blocks], dtype=float)
        found = milp(
            lengths,
            constraints=LinearConstraint(covers, lb=required[begin:end].astype(float)),
            integrality=np.ones(len(blocks)),
            bounds=Bounds(0, np.inf),
        )
        total += round(float(found.fun or 0.0))
    return total


days = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from([True, True, True, True, False])),
    min_size=1,
    max_size=14,
)


@settings(max_examples=150, deadline=None)
@given(day=days, block=st.integers(2, 6))
def test_it_covers_in_blocks_and_no_plan_is_paid_less(
    day: list[tuple[int, bool]], block: int
) -> None:
    required = np.array([need for need, _ in day])
    is_open = np.array([there for _, there in day])
    found = shift_cover(required, is_open=is_open, interval_minutes=60, block_minutes=60 * block)
    assert (found >= np.where(is_open, required, 0)).all()
    assert can_be_worked(found, is_open, block)
    assert found.sum() == least_paid_time(required, is_open, block)


def test_a_peak_of_one_hour_is_paid_for_a_whole_block() -> None:
    found = covered([0, 0, 0, 5, 0, 0, 0, 0], 240)
    assert found[3] == 5
    assert sum(found) == 20


def test_one_may_stay_longer_than_a_block_instead_of_another_coming() -> None:
    # Two blocks of 3 h would cost 6; staying over the hour between costs 5.
    assert covered([1, 1, 0, 1, 1], 180) == [1, 1, 1, 1, 1]


def test_two_blocks_that_meet_cover_a_peak_where_they_overlap() -> None:
    assert covered([1, 1, 2, 1, 1], 180) == [1, 1, 2, 1, 1]


def test_what_is_already_in_blocks_stays_as_it_is() -> None:
    smooth = [0, 2, 2, 2, 5, 5, 5, 3, 3, 3, 0, 0]
    assert covered(smooth, 180) == smooth
    assert covered([4] * 9, 240) == [4] * 9


def test_covering_twice_changes_nothing() -> None:
    once = covered([1, 4, 0, 2, 7, 1, 0, 3, 2, 0, 0, 6], 240)
    assert covered(once, 240) == once


def test_no_block_or_one_interval_changes_nothing() -> None:
    ragged = [0, 3, 1, 0, 9, 2]
    assert covered(ragged, 0) == ragged
    assert covered(ragged, 60) == ragged
    assert covered(ragged, 15, minutes=15) == ragged


def test_a_block_is_rounded_up_to_whole_intervals() -> None:
    assert sum(covered([0, 1, 0, 0], 61)) == 2
    assert sum(covered([0, 1, 0, 0], 120)) == 2
    assert sum(covered([0, 1, 0, 0], 121)) == 3


def test_an_opening_shorter_than_a_block_is_worked_whole() -> None:
    is_open = [True, True, False, True, True, True, True]
    assert covered([1, 3, 0, 0, 0, 0, 2], 180, is_open) == [3, 3, 0, 0, 2, 2, 2]


def test_nobody_is_on_duty_while_closed_whatever_is_required() -> None:
    is_open = [True, True, False, True, True]
    assert covered([1, 1, 9, 1, 1], 120, is_open) == [1, 1, 0, 1, 1]
    assert covered([4, 4], 120, [False, False]) == [0, 0]


def test_a_fortnight_around_the_clock_is_covered_in_blocks() -> None:
    rng = np.random.default_rng(4)
    hours = np.arange(336)
    required = rng.poisson(400 * (1.2 + np.sin(hours * 2 * np.pi / 24)))
    is_open = np.ones(336, dtype=bool)
    found = shift_cover(required, is_open=is_open, interval_minutes=60, block_minutes=240)
    assert (found >= required).all()
    assert can_be_worked(found, is_open, 4)
    again = shift_cover(required, is_open=is_open, interval_minutes=60, block_minutes=240)
    assert found.tolist() == again.tolist()


def test_nothing_required_needs_nobody() -> None:
    assert covered([0] * 8, 240) == [0] * 8
    assert covered([], 240) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"required": np.array([1, -1])}, "required[1]"),
        ({"block_minutes": -1}, "block_minutes"),
    ],
)
def test_a_value_outside_its_range_names_its_field(change: dict[str, Any], field: str) -> None:
    right: dict[str, Any] = {
        "required": np.array([1, 1]),
        "is_open": np.ones(2, dtype=bool),
        "interval_minutes": 60,
        "block_minutes": 120,
    }
    asked = {**right, **change}
    with pytest.raises(InputError) as caught:
        shift_cover(asked.pop("required"), **asked)
    assert caught.value.field == field
