from dataclasses import replace

import numpy as np
import pytest

from benchmarks.service_centre import Centre, Line, Shift, run_centre
from features.calendar.queues import Queue
from features.volume.contacts import NO_WAITS
from serving.staffing.queue_model import QueueModel as Waiting
from training.service.calibration import calibrate
from training.service.comparison import (
    EFFICIENCIES,
    Compared,
    fit_efficiency,
    smooth_aht,
    smooth_counts,
)
from training.service.report import service_rows, service_table

START = 20_454 * 86_400
PHONE = Line("phone", 100, 300, 180)


def nine(first=8, last=20, queues=(0,)):
    return tuple(Shift(first, last, queues) for _ in range(9))


def run(*lines, shifts=None, days=42, seed=1, **more):
    centre = Centre(lines, shifts or nine(), **more)
    return run_centre(centre, days=days, start=START, seed=seed)


def learnt(waits, **facts):
    return calibrate(waits, {name: Queue(name, **facts) for name in waits.queues})


@pytest.fixture(scope="module")
def plain():
    return run(PHONE)


@pytest.fixture(scope="module")
def hidden():
    """Agents who work a quarter of each handle time on after it, unseen."""
    return run(replace(PHONE, per_hour=80), efficiency=0.8)


def test_patience_and_handle_time_of_a_known_centre_are_found(plain):
    found = learnt(plain)["phone"]
    assert found.patience.low_seconds < 180 < found.patience.high_seconds
    assert found.aht_seconds == pytest.approx(300, rel=0.02)
    assert found.short == 0


def test_agents_are_counted_where_they_were(plain):
    compared = learnt(plain)["phone"].compared
    assert compared.mean(compared.agents) == pytest.approx(9, rel=0.02)


def test_what_needs_no_correction_gets_none(plain):
    found = learnt(plain)["phone"]
    assert found.efficiency == pytest.approx(1, abs=0.03)
    assert found.service.efficiency == pytest.approx(1, abs=0.03)
    assert found.service.predicted == pytest.approx(found.service.achieved, abs=0.03)


def test_hidden_work_after_contacts_is_found_and_corrected_on_later_days(hidden):
    found = learnt(hidden)["phone"]
    service = found.service
    assert service.efficiency == pytest.approx(0.8, abs=0.03)
    assert service.predicted - service.achieved > 0.1
    assert service.corrected == pytest.approx(service.corrected_achieved, abs=0.03)
    compared = found.compared
    before, after = (compared.error(compared.predicted(e)) for e in (1.0, service.efficiency))
    assert after < before / 2
    assert found.why == ""


def test_nothing_of_the_later_days_moves_the_efficiency(hidden):
    found = learnt(hidden)["phone"].compared
    other = replace(found, achieved=np.where(found.later, 0.0, found.achieved))
    assert fit_efficiency(other) == fit_efficiency(found)


def test_queues_that_share_agents_are_predicted_together():
    lines = (replace(PHONE, name="a", per_hour=60), Line("b", 40, 200, 300))
    shifts = tuple(Shift(8, 20, (0, 1)) for _ in range(8))
    for found in learnt(run(*lines, shifts=shifts)).values():
        assert found.efficiency == pytest.approx(1, abs=0.04)
        assert found.service.predicted == pytest.approx(found.service.achieved, abs=0.03)


def test_each_queues_own_patience_is_found_where_they_share_agents():
    lines = (replace(PHONE, name="a", per_hour=60), Line("b", 40, 200, 400))
    found = learnt(run(*lines, shifts=tuple(Shift(8, 20, (0, 1)) for _ in range(7))))
    for name, truth in (("a", 180), ("b", 400)):
        assert found[name].service.patience_seconds == pytest.approx(truth, rel=0.05)


def test_hang_ups_at_once_count_neither_as_offered_nor_as_missed(plain):
    rng = np.random.default_rng(9)
    at_once = ~plain.abandoned & (rng.random(len(plain)) < 0.05)
    spoilt = replace(
        plain,
        abandoned=plain.abandoned | at_once,
        wait_seconds=np.where(at_once, 0, plain.wait_seconds),
        agent=np.where(at_once, -1, plain.agent),
    )
    found = learnt(spoilt)["phone"]
    assert found.short_seconds == 5
    assert found.short >= at_once.sum()
    assert found.service.contacts == len(plain) - found.short
    assert found.compared.contacts.sum() <= found.service.contacts
    assert found.service.abandoned == (spoilt.abandoned & (spoilt.wait_seconds >= 5)).sum()


def test_what_no_efficiency_explains_is_not_corrected(plain):
    # Everybody counts as waiting a minute more: no pace of work makes that of it.
    late = replace(plain, wait_seconds=plain.wait_seconds + 60)
    found = learnt(late)["phone"]
    assert found.efficiency in EFFICIENCIES
    assert found.service.efficiency == 1
    assert found.service.corrected != found.service.corrected_achieved
    assert "0.5 and 2" in found.why


def test_a_correction_that_does_not_hold_later_is_not_kept(hidden):
    # After the split the unseen work is seen.
    turn = START + 28 * 86_400
    seen = replace(
        hidden,
        handle_seconds=np.where(
            hidden.started_at >= turn, hidden.handle_seconds / 0.8, hidden.handle_seconds
        ).astype(np.float32),
    )
    found = learnt(seen)["phone"]
    assert found.efficiency == pytest.approx(0.8, abs=0.05)
    assert found.service.efficiency == 1
    assert "no better" in found.why


def test_a_few_days_give_patience_but_no_efficiency():
    found = learnt(run(PHONE, days=3))["phone"]
    assert found.patience is not None
    assert found.service.intervals == 0
    assert found.service.efficiency == 1
    assert (found.service.predicted, found.service.corrected) == (None, None)
    assert "too few" in found.why


def test_too_few_hang_ups_give_no_patience(plain):
    calm = replace(plain, abandoned=plain.abandoned & (np.cumsum(plain.abandoned) < 20))
    assert learnt(calm)["phone"].service.patience_seconds is None


def test_contacts_without_agents_give_patience_and_say_why_nothing_was_compared(plain):
    nobody = replace(plain, agent=np.full(len(plain), -1, np.int32), agents=())
    found = learnt(nobody)["phone"]
    assert found.patience is not None
    assert found.compared is None
    assert "has an agent" in found.why


def test_ids_that_several_people_share_are_not_taken_for_people(plain):
    shared = replace(plain, agent=np.where(plain.agent >= 0, plain.agent % 2, -1).astype(np.int32))
    assert "shared" in learnt(shared)["phone"].why


def test_deferred_channels_have_no_patience(plain):
    assert learnt(plain, channel="email") == {}


def test_a_queue_without_waits_is_left_out(plain):
    blind = replace(plain, wait_seconds=np.full(len(plain), np.nan, np.float32))
    assert learnt(blind) == {}
    assert calibrate(NO_WAITS, {"phone": Queue("phone")}) == {}
    assert calibrate(plain, {"other": Queue("other")}) == {}


def intervals(achieved, agents, later):
    n = len(achieved)
    return Compared(
        starts=np.arange(n) * 3600,
        hour=np.arange(n) % 24,
        later=np.array(later),
        contacts=np.full(n, 60.0),
        achieved=np.array(achieved),
        agents=np.array(agents),
        load=np.full(n, 5.0),
        aht_seconds=np.full(n, 300.0),
        pool_agents=np.array(agents),
        line=Waiting(patience_seconds=180.0),
        within_seconds=20.0,
    )


def test_between_two_numbers_of_agents_the_prediction_is_interpolated():
    found = intervals([0.5] * 3, [5.0, 5.25, 6.0], [False] * 3).predicted()
    assert found[0] < found[1] < found[2]
    assert found[1] == pytest.approx(0.75 * found[0] + 0.25 * found[2])


def test_the_fit_returns_the_efficiency_that_made_the_data():
    rng = np.random.default_rng(2)
    empty = intervals(np.zeros(50), rng.uniform(3, 8, 50), np.arange(50) > 30)
    for truth in (0.55, 0.8, 1.0, 1.3, 1.9):
        made = replace(empty, achieved=empty.predicted(truth))
        assert fit_efficiency(made) == pytest.approx(truth, rel=1e-3)


def test_the_fit_ends_at_its_bounds():
    for level, end in ((0.0, 0), (1.0, 1)):
        one = intervals([level] * 4, [5.0] * 4, [False, False, True, True])
        assert fit_efficiency(one) == pytest.approx(EFFICIENCIES[end])


def test_the_error_is_that_of_later_hours_of_the_day():
    found = intervals([1.0, 0.0] + [0.5] * 23, [5.0] * 25, [True] * 25)
    # Intervals 0 and 24 share an hour: one 0.25 too low, one 0.25 too high.
    guess = np.full(25, 0.75)
    assert found.error(guess) == pytest.approx((0 + 0.75 + 23 * 0.25 - 0.25) / 25)


def test_counts_that_differ_by_chance_alone_become_their_mean():
    rng = np.random.default_rng(3)
    week = np.tile(np.arange(168), 26)
    rates = smooth_counts(rng.poisson(20, len(week)).astype(float), week)
    # The mean of 26 weeks is left, whose variance is 20 / 26.
    assert rates.var() < 20 / 10


def test_rates_that_truly_differ_keep_their_differences():
    rng = np.random.default_rng(4)
    truth = 400 * rng.gamma(1 / 0.09, 0.09, 26 * 168)
    rates = smooth_counts(rng.poisson(truth).astype(float), np.tile(np.arange(168), 26))
    assert np.corrcoef(rates, truth)[0, 1] > 0.97
    assert np.abs(rates - truth).mean() < 0.05 * 400


def test_a_place_in_the_week_seen_once_keeps_its_count():
    assert smooth_counts(np.array([3.0, 7.0]), np.array([0, 1])).tolist() == [3, 7]


def test_handle_times_that_truly_differ_are_told_from_chance():
    rng = np.random.default_rng(5)
    truth = rng.choice([200.0, 400.0], 400)
    calls = [rng.exponential(mean, 60) for mean in truth]
    sums = [np.array([each.sum() for each in calls]), np.array([(each**2).sum() for each in calls])]
    found = smooth_aht(np.full(400, 60.0), *sums)
    assert np.corrcoef(found, truth)[0, 1] > 0.9
    alike = [rng.exponential(300, 60) for _ in range(400)]
    sums = [np.array([each.sum() for each in alike]), np.array([(each**2).sum() for each in alike])]
    assert smooth_aht(np.full(400, 60.0), *sums).std() < 12  # single hours: 300 / sqrt(60) = 39


def test_the_rows_are_flat_and_ready_for_json(hidden):
    found = learnt(hidden)
    rows = list(service_rows(found))
    assert rows[0]["hour"] == "all"
    assert [row["hour"] for row in rows[1:]] == list(range(8, 20))
    assert sum(row["contacts"] for row in rows[1:]) == rows[0]["contacts"]
    weights = np.array([row["contacts"] for row in rows[1:]])
    levels = np.array([row["achieved"] for row in rows[1:]])
    assert weights @ levels / weights.sum() == pytest.approx(rows[0]["achieved"])
    assert list(service_table(found)["hour"]) == [row["hour"] for row in rows]
    assert service_table({}).empty
