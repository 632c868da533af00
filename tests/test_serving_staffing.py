"""The fewest agents that meet a goal: minimal, complete, and clear about what does not fit."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InputError
from serving.erlang import erlang_a, erlang_c
from serving.staffing import Goal, Staffing, rostered, staff


def need(contacts: float | list[float], *, aht: float = 300.0, **options: Any) -> Staffing:
    values = np.atleast_1d(np.array(contacts, dtype=np.float64))
    settings: dict[str, Any] = {
        "is_open": np.ones(len(values), dtype=bool),
        "interval_minutes": 60,
        "goal": Goal(),
        **options,
    }
    return staff(values, aht_seconds=np.full(len(values), aht), **settings)


def test_200_contacts_an_hour_need_21_agents_by_erlang_c_and_19_by_erlang_a() -> None:
    # 200 contacts/h, AHT 300 s, 80 % within 20 s, mean patience 180 s.
    assert need(200.0).agents_on_phone.tolist() == [21]
    assert need(200.0, patience_seconds=180.0).agents_on_phone.tolist() == [19]


def test_the_answer_says_which_model_it_used_and_what_to_expect() -> None:
    found = need(200.0, patience_seconds=180.0)
    assert found.model == "erlang-a"
    assert found.expected.service_level[0] >= 0.8
    assert found.expected.abandonment[0] > 0
    assert need(200.0).model == "erlang-c"


def brute_force(load: float, aht: float, goal: Goal, patience: float | None, held: int) -> int:
    for n in range(100_000):
        common: dict[str, Any] = {
            "aht_seconds": np.array([aht]),
            "servers": np.array([n * held]),
            "within_seconds": goal.seconds,
        }
        found = (
            erlang_c(np.array([load]), **common)
            if patience is None
            else erlang_a(np.array([load]), **common, patience_seconds=patience)
        )
        limit = 1.0 if goal.max_occupancy is None else goal.max_occupancy
        if found.service_level[0] >= goal.share and found.occupancy[0] <= limit:
            return n
    raise AssertionError("no number of agents is enough")


@settings(max_examples=80, deadline=None)
@given(
    contacts=st.lists(st.floats(0.0, 600.0), min_size=1, max_size=4),
    aht=st.floats(20.0, 900.0),
    share=st.floats(0.05, 0.995),
    seconds=st.floats(0.0, 5_000.0),
    limit=st.none() | st.floats(0.3, 1.0),
    patience=st.none() | st.floats(5.0, 2_000.0),
    held=st.integers(1, 4),
)
def test_no_smaller_number_meets_the_goal(
    contacts: list[float],
    aht: float,
    share: float,
    seconds: float,
    limit: float | None,
    patience: float | None,
    held: int,
) -> None:
    goal = Goal(share=share, seconds=seconds, max_occupancy=limit)
    found = need(contacts, aht=aht, goal=goal, patience_seconds=patience, concurrency=held)
    expected = [brute_force(c * aht / 3600, aht, goal, patience, held) for c in contacts]
    assert found.agents_on_phone.tolist() == expected


def test_a_long_threshold_asks_for_the_least_stable_number_and_not_one_more() -> None:
    patient = Goal(share=0.8, seconds=36_000.0)
    # 192 contacts/h at 300 s are exactly 16 erlangs; 16 agents would never catch up.
    assert need([192.0, 200.0, 198.0], goal=patient).agents_on_phone.tolist() == [17, 17, 17]


def test_no_contacts_need_nobody_and_a_third_of_a_contact_needs_one() -> None:
    assert need([0.0, 0.3, 1e-9]).agents_on_phone.tolist() == [0, 1, 1]
    assert need([0.0, 0.3], patience_seconds=60.0).agents_on_phone.tolist() == [0, 1]


def test_a_closed_interval_needs_nobody_whatever_its_numbers() -> None:
    found = staff(
        np.array([50.0, 50.0, 0.0]),
        aht_seconds=np.array([300.0, 300.0, np.nan]),
        is_open=np.array([True, False, False]),
        interval_minutes=30,
        goal=Goal(),
        minimum_agents=2,
    )
    assert found.agents_on_phone.tolist() == [12, 0, 0]
    assert found.expected.service_level[1:].tolist() == [1.0, 1.0]


def test_shorter_intervals_carry_more_load() -> None:
    quarter = need(50.0, interval_minutes=15)
    assert quarter.agents_on_phone.tolist() == need(200.0).agents_on_phone.tolist()


def test_a_minimum_holds_in_open_intervals_even_without_contacts() -> None:
    assert need([0.0, 0.3, 200.0], minimum_agents=2).agents_on_phone.tolist() == [2, 2, 21]


def test_a_limit_on_occupancy_asks_for_more() -> None:
    found = need(200.0, goal=Goal(max_occupancy=0.7))
    assert found.agents_on_phone.tolist() == [math.ceil(200 * 300 / 3600 / 0.7)]
    assert found.expected.occupancy[0] <= 0.7


def test_shrinkage_changes_who_is_rostered_and_not_who_is_on_phone() -> None:
    found = need(200.0, shrinkage=0.3)
    assert (found.agents_on_phone[0], found.agents_rostered[0]) == (21, 30)


@given(whole=st.integers(0, 10_000), percent=st.integers(0, 99))
def test_rostering_is_exact_where_the_division_is(whole: int, percent: int) -> None:
    # -(-a // b) rounds up in whole numbers: on phone / (1 - percent/100).
    exact = -(-whole * 100 // (100 - percent))
    assert rostered(np.array([whole]), shrinkage=percent / 100).tolist() == [exact]


def test_an_agent_with_three_chats_counts_as_three_servers() -> None:
    one_each, three_each = need(200.0), need(200.0, channel="chat", concurrency=3)
    assert three_each.agents_on_phone[0] == math.ceil(one_each.agents_on_phone[0] / 3)
    assert any("3 servers" in text for text in three_each.warnings)


def test_email_is_warned_about() -> None:
    assert any("backlog" in text for text in need(20.0, channel="email").warnings)


def test_unknown_patience_is_warned_about_and_known_patience_is_not() -> None:
    assert any("Erlang C" in text for text in need(20.0).warnings)
    assert need(20.0, patience_seconds=120.0).warnings == ()


def test_contacts_longer_than_the_interval_are_warned_about() -> None:
    found = need(5.0, aht=3_000.0, interval_minutes=15, patience_seconds=120.0)
    assert any("steady state" in text for text in found.warnings)


def test_no_intervals_need_nothing() -> None:
    assert need([]).agents_on_phone.tolist() == []
    assert need([], patience_seconds=60.0).agents_rostered.tolist() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"share": 1.0}, "goal.share"),
        ({"share": 0.0}, "goal.share"),
        ({"share": math.nan}, "goal.share"),
        ({"seconds": -1.0}, "goal.seconds"),
        ({"seconds": math.inf}, "goal.seconds"),
        ({"max_occupancy": 0.0}, "goal.max_occupancy"),
        ({"max_occupancy": 1.01}, "goal.max_occupancy"),
    ],
)
def test_a_goal_outside_its_range_names_its_field(change: dict[str, float], field: str) -> None:
    with pytest.raises(InputError) as caught:
        replace(Goal(), **change)
    assert caught.value.field == field
    assert field in str(caught.value)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"contacts": [1.0, -1.0]}, "contacts[1]"),
        ({"contacts": [math.nan]}, "contacts[0]"),
        ({"contacts": [math.inf]}, "contacts[0]"),
        ({"contacts": 10.0, "aht": 0.0}, "aht_seconds[0]"),
        ({"contacts": 10.0, "aht": math.nan}, "aht_seconds[0]"),
        ({"contacts": 10.0, "shrinkage": 1.0}, "shrinkage"),
        ({"contacts": 10.0, "shrinkage": -0.1}, "shrinkage"),
        ({"contacts": 10.0, "patience_seconds": 0.0}, "patience_seconds"),
        ({"contacts": 10.0, "patience_seconds": math.inf}, "patience_seconds"),
        ({"contacts": 10.0, "concurrency": 0}, "concurrency"),
        ({"contacts": 10.0, "minimum_agents": -1}, "minimum_agents"),
        ({"contacts": 1e6}, "contacts[0]"),
        ({"contacts": 100_000.0, "patience_seconds": 86_400.0}, "patience_seconds"),
    ],
)
def test_a_value_outside_its_range_names_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        need(**change)
    assert caught.value.field == field
    assert field.split("[")[0] in str(caught.value.field)
