"""From a distribution of work to agents: policies, carry-over, shift blocks and days."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gamma

from features.arrays import Float64
from features.errors import InputError
from serving.staffing.plan import plan
from serving.staffing.queue_model import QueueModel, ServiceGoal
from serving.staffing.requirement import fewest_agents
from serving.staffing.workload import Costs, Plan, Policy, PolicyKind, StaffingProblem, Workload

PATIENT = QueueModel(patience_seconds=180.0)
COSTS = Costs(agent_hour=30.0, abandoned_contact=12.0, missed_goal=40.0)


def work(
    rates: Float64 | list[list[float]],
    *,
    aht: float = 300.0,
    minutes: int = 60,
    channel: str = "voice",
    closed: tuple[int, ...] = (),
    contacts: list[float] | None = None,
    day: list[int] | None = None,
) -> Workload:
    """Return intervals from their paths, [S, h]; expected is the mean over the paths."""
    paths = np.array(rates, dtype=np.float64)
    hours = paths.shape[1]
    is_open = np.ones(hours, dtype=bool)
    is_open[list(closed)] = False
    return Workload(
        channel=channel,
        starts=np.arange(hours) * minutes * 60,
        day=np.arange(hours) * minutes // 1440 if day is None else np.array(day),
        is_open=is_open,
        interval_minutes=minutes,
        contacts=paths.mean(axis=0) if contacts is None else np.array(contacts),
        aht_seconds=np.full(hours, aht),
        rates=paths,
        aht_paths=np.full(paths.shape, aht),
    )


def gamma_work(
    means: list[float], *, cv: float = 0.15, count: int = 200, seed: int = 3
) -> Workload:
    """Return intervals whose rates are independent gammas: each takes its quantiles evenly."""
    rng = np.random.default_rng(seed)
    even = gamma.ppf((np.arange(count) + 0.5) / count, cv**-2, scale=cv**2)
    return work(np.stack([mean * rng.permutation(even) for mean in means], axis=1))


def staffed(hours: Workload, policy: PolicyKind = "mean", **more: Any) -> Plan:
    chosen = {name: more.pop(name) for name in ("probability", "least_agents") if name in more}
    ask = {"line": PATIENT, "costs": COSTS, **more}
    return plan(hours, ask=StaffingProblem(policy=Policy(policy, **chosen), **ask))


def judged(hours: Workload, agents: list[int], **more: Any) -> Plan:
    policy = Policy("given", agents_on_phone=np.array(agents, dtype=np.int64))
    return plan(
        hours, ask=StaffingProblem(**{"line": PATIENT, "costs": COSTS, "policy": policy, **more})
    )


def test_200_contacts_an_hour_need_19_agents_at_the_mean_and_21_without_patience() -> None:
    hours = gamma_work([200.0])
    found = staffed(hours)
    assert (found.model, found.agents_on_phone.tolist()) == ("erlang_a", [19])
    patient = staffed(hours, line=QueueModel())
    assert (patient.model, patient.agents_on_phone.tolist()) == ("erlang_c", [21])


def test_with_rates_that_spread_by_15_percent_23_agents_meet_the_goal_nine_times_in_ten() -> None:
    found = staffed(gamma_work([200.0]), "probability", probability=0.9)
    assert found.agents_on_phone.tolist() == [23]
    assert found.performance.goal_probability[0] >= 0.9
    assert found.one_fewer.goal_probability[0] < 0.9
    # 19, enough for the mean, meet it on about half of the paths.
    assert 0.4 < staffed(gamma_work([200.0])).performance.goal_probability[0] < 0.6


@settings(max_examples=25, deadline=None)
@given(
    means=st.lists(st.floats(0.0, 300.0), min_size=1, max_size=5),
    probability=st.floats(0.01, 0.99),
    patience=st.none() | st.floats(20.0, 600.0),
    share=st.floats(0.5, 0.95),
)
def test_without_any_spread_every_probability_asks_for_what_the_mean_does(
    means: list[float], probability: float, patience: float | None, share: float
) -> None:
    hours = work(np.tile(means, (7, 1)))
    same: dict[str, Any] = {
        "line": QueueModel(patience_seconds=patience),
        "goal": ServiceGoal(share=share),
    }
    at_mean = staffed(hours, **same)
    likely = staffed(hours, "probability", probability=probability, **same)
    assert likely.agents_on_phone.tolist() == at_mean.agents_on_phone.tolist()
    assert likely.performance.goal_probability.tolist() == [1.0] * len(means)
    assert likely.performance.service_level == pytest.approx(at_mean.expected.service_level)


@settings(max_examples=25, deadline=None)
@given(
    mean=st.floats(0.1, 300.0),
    cv=st.floats(0.02, 0.6),
    chances=st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)),
)
def test_more_probability_never_asks_for_fewer(
    mean: float, cv: float, chances: tuple[float, float]
) -> None:
    hours = gamma_work([mean], cv=cv, count=40)
    less, more = (staffed(hours, "probability", probability=p) for p in sorted(chances))
    assert (less.required_on_phone <= more.required_on_phone).all()
    assert (more.performance.goal_probability >= max(chances) - 1e-12).all()


def test_one_more_and_one_fewer_are_what_those_agents_would_bring() -> None:
    hours = gamma_work([200.0, 50.0, 0.4])
    found = staffed(hours, "probability")
    for other, step in ((found.one_more, 1), (found.one_fewer, -1)):
        alone = judged(hours, np.maximum(found.agents_on_phone + step, 0).tolist()).performance
        for name in ("goal_probability", "service_level", "abandoned", "cost"):
            assert getattr(other, name).tolist() == getattr(alone, name).tolist()


def test_the_policy_of_least_cost_has_no_cheaper_neighbour() -> None:
    found = staffed(gamma_work([200.0, 90.0, 12.0]), "cost", shrinkage=0.3)
    assert found.performance.cost is not None
    for other in (found.one_more, found.one_fewer):
        assert other.cost is not None
        assert (other.cost >= found.performance.cost).all()


def test_a_cost_is_hours_paid_contacts_lost_and_goals_missed() -> None:
    found = judged(gamma_work([200.0]), [20], shrinkage=0.2)
    performance = found.performance
    by_hand = 20 / 0.8 * 30 + performance.abandoned * 12 + (1 - performance.goal_probability) * 40
    assert performance.cost == pytest.approx(by_hand)
    assert judged(gamma_work([200.0]), [20], costs=None).performance.cost is None


@pytest.mark.parametrize("kind", ["mean", "probability", "cost"])
def test_a_closed_interval_has_nobody_and_an_open_one_its_least(kind: PolicyKind) -> None:
    hours = work([[200.0, 200.0, 0.0], [100.0, 0.0, 0.0]], closed=(1,))
    found = staffed(hours, kind, least_agents=2)
    assert found.agents_on_phone.tolist()[1:] == [0, 2]
    assert found.agents_on_phone[0] > 2
    for performance in (found.performance, found.one_more, found.one_fewer):
        assert performance.goal_probability.tolist()[1:] == [1.0, 1.0]
        assert performance.service_level_low.tolist()[1:] == [1.0, 1.0]
        assert performance.abandoned.tolist()[1:] == [0.0, 0.0]
        assert performance.cost is not None
        assert performance.cost[1] == 0.0
    assert found.expected.service_level.tolist()[1:] == [1.0, 1.0]


def test_no_contacts_and_no_intervals_need_nobody() -> None:
    nothing = staffed(work(np.zeros((3, 4))), "probability")
    assert nothing.agents_on_phone.tolist() == [0] * 4
    assert (nothing.days[0].service_level, nothing.days[0].goal_probability) == (1.0, 1.0)
    empty = staffed(work(np.zeros((3, 0))), "probability")
    assert (empty.agents_on_phone.tolist(), empty.days, empty.total) == ([], (), None)


def test_agents_who_are_given_are_judged_and_not_changed() -> None:
    hours = gamma_work([200.0, 200.0, 200.0])
    found = judged(hours, [15, 0, 30])
    assert found.agents_on_phone.tolist() == [15, 0, 30]
    assert found.performance.goal_probability.tolist()[1:] == [0.0, 1.0]
    assert found.performance.service_level[1] == 0.0
    assert found.performance.abandoned[1] == pytest.approx(hours.rates[:, 1].mean())


def test_agents_who_are_given_in_a_closed_interval_are_left_out_and_said_so() -> None:
    found = judged(work([[200.0, 0.0]], closed=(1,)), [20, 5])
    assert found.agents_on_phone.tolist() == [20, 0]
    assert any("closed" in text for text in found.warnings)


def test_fifteen_minutes_carry_the_load_of_an_hour() -> None:
    quarter = staffed(work([[50.0]], minutes=15))
    assert quarter.agents_on_phone.tolist() == [19]


def test_shrinkage_changes_who_is_rostered_and_not_who_is_on_phone() -> None:
    found = staffed(gamma_work([200.0]), shrinkage=0.3)
    assert (found.agents_on_phone.tolist(), found.agents_rostered.tolist()) == ([19], [28])
    assert found.days[0].hours_rostered == 28.0


def test_shift_blocks_are_filled_up_and_what_was_asked_for_is_kept() -> None:
    hours = work([[20.0, 200.0, 20.0, 20.0, 20.0]])
    alone, blocks = staffed(hours), staffed(hours, block_minutes=180)
    assert alone.agents_on_phone.tolist() == alone.required_on_phone.tolist() == [3, 19, 3, 3, 3]
    assert blocks.required_on_phone.tolist() == [3, 19, 3, 3, 3]
    # 3 work the first three hours; 16 come for the busy one and stay three hours, 3 of them four.
    assert blocks.agents_on_phone.sum() == 3 * 3 + 13 * 3 + 3 * 4
    assert blocks.days[0].hours_on_phone == 60.0
    assert blocks.performance.goal_probability.tolist() == [1.0] * 5


def test_what_waits_from_before_the_span_asks_for_more_agents_at_its_beginning() -> None:
    hours = work([[100.0] * 6])
    alone, behind = staffed(hours), staffed(hours, backlog_contacts=40.0)
    assert behind.agents_on_phone[0] > alone.agents_on_phone[0]
    assert behind.agents_on_phone[2:].tolist() == alone.agents_on_phone[2:].tolist()
    assert (behind.expected.service_level[1:] >= 0.8).all()
    kept = judged(hours, alone.agents_on_phone.tolist(), backlog_contacts=40.0)
    assert kept.expected.service_level[0] < 0.8


def test_a_long_line_is_worked_off_over_intervals_with_at_most_twice_the_agents() -> None:
    hours = work([[100.0] * 12])
    line: dict[str, Any] = {"line": QueueModel(), "backlog_contacts": 400.0}
    alone, behind = staffed(hours, line=QueueModel()), staffed(hours, **line)
    kept = judged(hours, alone.agents_on_phone.tolist(), **line)
    extra = behind.agents_on_phone - alone.agents_on_phone
    assert (behind.agents_on_phone <= 2 * alone.agents_on_phone).all()
    # 400 contacts of 300 s are the work of 33 agents for an hour.
    assert extra.sum() >= 25
    assert (np.diff(extra) <= 0).all()
    assert kept.backlog[3] > 200 > behind.backlog[3]
    assert behind.expected.service_level[-1] >= 0.8


def test_an_interval_that_cannot_answer_hands_its_line_on() -> None:
    hours = work([[240.0, 120.0, 120.0]])
    found = judged(hours, [15, 15, 15], line=QueueModel())
    assert found.backlog[0] > 30
    assert found.expected.service_level[1] < found.expected.service_level[2]


@pytest.mark.parametrize("line", [PATIENT, QueueModel(), QueueModel(blocked=True)])
def test_nobody_at_all_loses_or_keeps_everybody(line: QueueModel) -> None:
    found = judged(work([[200.0, 100.0], [180.0, 90.0]]), [0, 0], line=line)
    assert found.performance.goal_probability.tolist() == [0.0, 0.0]
    assert found.performance.service_level.tolist() == [0.0, 0.0]
    lost = [0.0, 0.0] if line.model == "erlang_c" else [190.0, 95.0]
    assert found.performance.abandoned == pytest.approx(lost)


def test_a_day_sums_its_intervals() -> None:
    hours = gamma_work([20.0] * 22 + [200.0, 210.0] + [20.0] * 24)
    found = staffed(hours, "probability", shrinkage=0.25)
    first, second = found.days
    agents, spent = found.agents_on_phone, found.performance.cost
    assert spent is not None
    assert (first.day, second.day) == (0, 1)
    assert (first.peak_on_phone, first.peak_start) == (int(agents[23]), 23 * 3600)
    assert first.contacts == pytest.approx(hours.contacts[:24].sum())
    assert second.hours_on_phone == agents[24:].sum()
    assert second.hours_rostered == found.agents_rostered[24:].sum()
    assert first.cost == pytest.approx(spent[:24].sum())
    assert found.total is not None
    assert found.total.day == 0
    assert found.total.contacts == pytest.approx(first.contacts + second.contacts)
    assert found.total.abandoned == pytest.approx(found.performance.abandoned.sum())
    assert found.total.peak_start == 23 * 3600


def test_a_quarter_hour_counts_a_quarter_of_an_hour() -> None:
    found = staffed(work([[50.0] * 4], minutes=15))
    assert found.days[0].hours_on_phone == 19.0


def test_a_days_service_level_weighs_its_intervals_by_their_contacts() -> None:
    hours = work([[200.0, 50.0]])
    found = judged(hours, [19, 3])
    one, other = found.performance.service_level
    assert found.days[0].service_level == pytest.approx((200 * one + 50 * other) / 250)
    assert found.days[0].service_level < 0.75
    # The day as a whole misses, though one of its hours meets.
    assert found.performance.goal_probability.tolist() == [1.0, 0.0]
    assert found.days[0].goal_probability == 0.0


def test_a_days_risk_knows_whether_its_bad_hours_come_together() -> None:
    even = 200 * gamma.ppf((np.arange(100) + 0.5) / 100, 25.0, scale=1 / 25.0)
    rng = np.random.default_rng(1)
    together = work(np.tile(even[:, None], (1, 8)))
    apart = work(np.stack([rng.permutation(even) for _ in range(8)], axis=1))
    agents = [20] * 8
    same, other = judged(together, agents), judged(apart, agents)
    assert same.performance.goal_probability.tolist() == other.performance.goal_probability.tolist()
    assert same.performance.service_level == pytest.approx(other.performance.service_level)
    # All hours of a path alike: the day meets its goal where they do.
    assert same.days[0].goal_probability == same.performance.goal_probability[0]
    # Bad and good hours in one day make up for one another, or do not, all days alike.
    chance = other.days[0].goal_probability
    assert abs(chance - same.days[0].goal_probability) > 0.1


def test_an_interval_is_at_risk_below_the_probability_that_was_asked_for() -> None:
    hours = gamma_work([200.0, 0.0, 100.0])
    counts = [
        staffed(hours, "probability", probability=0.95).days[0].intervals_at_risk,
        staffed(hours).days[0].intervals_at_risk,
        judged(hours, [25, 0, 8]).days[0].intervals_at_risk,
    ]
    assert counts == [0, 2, 1]


def test_what_the_model_assumes_is_said() -> None:
    hours = work([[20.0]])
    assert staffed(hours).warnings == ()
    assert any("Erlang C" in text for text in staffed(hours, line=QueueModel()).warnings)
    chat = QueueModel(patience_seconds=60.0, concurrency=3)
    assert any("3 contacts at once" in text for text in staffed(hours, line=chat).warnings)
    long = staffed(work([[5.0]], aht=3_000.0, minutes=15))
    assert any("longer than an interval" in text for text in long.warnings)


def test_email_is_planned_as_a_backlog_unless_it_is_said_to_wait_in_a_line() -> None:
    hours = work(np.tile([20.0] * 24, (5, 1)), channel="email")
    day = ServiceGoal(seconds=14_400.0)
    assert staffed(hours, goal=day).model == "backlog"
    assert staffed(hours, goal=day, deferred=False).model == "erlang_a"
    assert staffed(replace(hours, channel="voice"), goal=day, deferred=True).model == "backlog"


def test_deferred_work_is_done_in_time_with_fewer_than_a_line_would_need() -> None:
    # 240 contacts of 300 s in a day are 20 hours of work.
    hours = work(np.tile([0.0] * 8 + [30.0] * 8 + [0.0] * 8, (5, 1)), channel="email")
    found = staffed(hours, goal=ServiceGoal(share=0.9, seconds=28_800.0))
    assert found.model == "backlog"
    assert found.days[0].service_level >= 0.9
    assert found.days[0].goal_probability == 1.0
    line = staffed(hours, goal=ServiceGoal(share=0.9, seconds=20.0), deferred=False)
    assert found.total is not None
    assert line.total is not None
    assert found.total.hours_on_phone < line.total.hours_on_phone
    assert found.backlog.max() > 10


def test_deferred_work_in_shift_blocks_keeps_what_was_asked_for() -> None:
    hours = work(np.tile([40.0] * 24, (5, 1)), channel="email", closed=(*range(8), 20, 21, 22, 23))
    goal = ServiceGoal(share=0.9, seconds=50_000.0)
    alone = staffed(hours, "probability", goal=goal)
    blocks = staffed(hours, "probability", goal=goal, block_minutes=240)
    assert blocks.required_on_phone.tolist() == alone.required_on_phone.tolist()
    assert (blocks.agents_on_phone >= alone.agents_on_phone).all()
    assert blocks.agents_on_phone[:8].sum() == 0


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"costs": Costs(agent_hour=0.0, missed_goal=1.0)}, "costs.agent_hour"),
        ({"costs": Costs(agent_hour=30.0)}, "costs"),
        ({"costs": Costs(agent_hour=30.0, abandoned_contact=5.0), "line": QueueModel()}, "costs"),
        ({"costs": None}, "costs"),
    ],
)
def test_costs_that_cannot_choose_are_named(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        staffed(work([[200.0]]), "cost", **more)
    assert caught.value.field == field
    assert "cost" in str(caught.value)


def test_contacts_without_patience_are_cheap_to_keep_waiting_unless_goals_cost() -> None:
    with pytest.raises(InputError, match="patience"):
        staffed(work([[200.0]]), "cost", line=QueueModel(), costs=Costs(30.0, 5.0))
    found = staffed(gamma_work([200.0]), "cost", line=QueueModel(), costs=Costs(30.0, 5.0, 2_000.0))
    assert found.agents_on_phone[0] > 18


@pytest.mark.parametrize(
    ("agents", "field"),
    [([1], "policy.agents_on_phone"), ([1, -1], "policy.agents_on_phone[1]")],
)
def test_agents_that_do_not_fit_the_intervals_are_named(agents: list[int], field: str) -> None:
    with pytest.raises(InputError) as caught:
        judged(work([[20.0, 20.0]]), agents)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("hours", "field"),
    [
        (work([[20.0, 1.0]], contacts=[20.0, -1.0]), "contacts[1]"),
        (work([[20.0]], contacts=[np.nan]), "contacts[0]"),
        (work([[20.0]], aht=0.0), "aht_seconds[0]"),
        (work([[1e6]]), "contacts[0]"),
    ],
)
def test_work_outside_its_range_is_named(hours: Workload, field: str) -> None:
    with pytest.raises(InputError) as caught:
        staffed(hours)
    assert caught.value.field == field


def test_a_goal_of_several_limits_is_kept_by_all_of_them() -> None:
    goal = ServiceGoal(share=0.8, asa_seconds=8.0, abandonment=0.03, max_occupancy=0.8)
    hours = gamma_work([200.0, 40.0])
    found = staffed(hours, goal=goal)
    load = hours.contacts * 300 / 3600
    alone = fewest_agents(load, aht_seconds=hours.aht_seconds, line=PATIENT, goal=goal)
    assert found.agents_on_phone.tolist() == alone.tolist()
    assert (found.expected.occupancy <= 0.8).all()
    likely = staffed(hours, "probability", probability=0.9, goal=goal)
    assert (likely.agents_on_phone > found.agents_on_phone).any()
    assert (likely.performance.goal_probability >= 0.9).all()
