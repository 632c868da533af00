import numpy as np
import pytest

from features.volume.contacts import NO_WAITS, Waits
from training.service.presence import overlapping, presence_of, spells_of, work_of

DAY = 20_000 * 86_400
HOUR = 3600


def waits(*rows, queues=2):
    """Waits of (agent, queue, start second of the day, wait, handle time), in order of time."""
    rows = sorted(rows, key=lambda row: row[2])
    agent, queue, at, wait, handle = (np.array(column) for column in zip(*rows, strict=True))
    return Waits(
        tuple("abcdef"[:queues]),
        tuple(f"agent {k}" for k in range(agent.max() + 1)),
        queue.astype(np.int32),
        DAY + at.astype(np.int64),
        wait.astype(np.float32),
        handle.astype(np.float32),
        np.isnan(handle),
        agent.astype(np.int32),
    )


def pool(found, queue, *, minutes=60, mates=(True, True)):
    work = work_of(found)
    presence = presence_of(work, spells_of(work), minutes=minutes, time_zone="UTC")
    hours = (presence.starts - DAY) / HOUR
    return hours.tolist(), presence.pool(queue, mates=np.array(mates))


def test_a_gap_of_minutes_counts_and_a_longer_one_does_not():
    work = work_of(waits((0, 0, 0, 10, 50), (0, 0, 1800, 0, 60), (0, 0, 9000, 30, 70)))
    found = spells_of(work)
    assert (found.start - DAY).tolist() == [10, 9030]
    assert (found.end - DAY).tolist() == [1860, 9100]
    assert (spells_of(work, gap_seconds=600).start - DAY).tolist() == [10, 1800, 9030]


def test_a_long_contact_covers_the_short_one_inside_it():
    work = work_of(waits((0, 0, 0, 0, 5000), (0, 0, 100, 0, 10), (0, 0, 6000, 0, 10)))
    found = spells_of(work)
    assert (found.end - DAY).tolist() == [6010]


def test_agents_do_not_lend_each_other_their_time():
    found = spells_of(work_of(waits((0, 0, 0, 0, 60), (1, 0, 60, 0, 60), (0, 0, 1000, 0, 10))))
    assert found.agent.tolist() == [0, 1]
    assert (found.end - DAY).tolist() == [1010, 120]


def test_spells_are_laid_on_hours_by_their_share_of_each():
    # 08:30 to 10:15 without a gap of half an hour.
    calls = [(0, 0, 8.5 * HOUR + k * 900, 0, 900) for k in range(7)]
    hours, found = pool(waits(*calls), 0)
    assert dict(zip(hours, found.agents.tolist(), strict=True))[8.0] == 0.5
    assert found.agents[-3:].tolist() == [0.5, 1.0, 0.25]
    assert found.share.tolist() == found.agents.tolist()


def test_quarters_of_an_hour_add_up_to_the_hour():
    rng = np.random.default_rng(1)
    calls = [
        (int(agent), 0, int(at), 5, 200)
        for agent, at in zip(rng.integers(0, 5, 300), rng.integers(0, 80_000, 300), strict=True)
    ]
    by_hour, by_quarter = (pool(waits(*calls), 0, minutes=m)[1].agents.sum() for m in (60, 15))
    assert by_hour == pytest.approx(by_quarter / 4)


def test_an_agent_counts_in_each_queue_by_the_handle_time_of_that_day():
    # Three quarters of the time in queue a, a quarter in b, over the first hour.
    shared = waits((0, 0, 0, 0, 2700), (0, 1, 2700, 0, 900), (1, 1, 0, 0, 3600))
    _, a = pool(shared, 0)
    _, b = pool(shared, 1)
    assert a.share[-1] == pytest.approx(0.75)
    assert b.share[-1] == pytest.approx(1.25)
    # Contacts of a meet the first agent alone, and with him a fifth of queue b.
    assert a.agents[-1] == pytest.approx(1.0)
    assert a.taken[-1].tolist() == pytest.approx([1.0, 0.2])
    # Contacts of b meet both agents and all that comes to them.
    assert b.agents[-1] == pytest.approx(2.0)
    assert b.taken[-1].tolist() == pytest.approx([1.0, 1.0])


def test_one_day_does_not_lend_its_shares_to_the_next():
    next_day = 24 * HOUR
    found = waits((0, 0, 0, 0, 3600), (0, 1, next_day, 0, 3600))
    hours, a = pool(found, 0)
    share = dict(zip(hours, a.share.tolist(), strict=True))
    assert (share[0.0], share[24.0]) == (1.0, 0.0)


def test_time_for_work_that_does_not_wait_is_not_the_pools():
    mail = waits((0, 0, 0, 0, 900), (0, 1, 900, 0, 2700))
    _, found = pool(mail, 0, mates=(True, False))
    assert found.agents[-1] == pytest.approx(0.25)


def test_one_stray_contact_makes_nobody_serve_a_queue():
    calls = [(0, 0, k * 100, 0, 100) for k in range(400)] + [(0, 1, 40_000, 0, 1)]
    calls += [(1, 1, k * 100, 0, 100) for k in range(400)]
    _, found = pool(waits(*calls), 1)
    assert found.agents.max() == pytest.approx(1.0)


def test_work_over_eight_hours_and_without_an_agent_says_nothing():
    found = waits((0, 0, 0, 0, 60), (0, 0, 1000, 0, 9 * HOUR), (-1, 0, 2000, 0, 60))
    assert work_of(found).handle_seconds.tolist() == [60]


def test_people_who_share_an_id_hold_contacts_at_once():
    alone = [(0, 0, k * 100, 0, 100) for k in range(10)]
    assert overlapping(work_of(waits(*alone)), 0) == pytest.approx(0)
    assert overlapping(work_of(waits(*alone, *alone)), 0) == pytest.approx(0.5)
    assert overlapping(work_of(waits(*alone)), 1) == 0


def test_nobody_was_there_when_nothing_is_known():
    assert len(spells_of(work_of(NO_WAITS)).start) == 0
