import numpy as np
import pytest
from features_rows import T0, at, contact, load

from features.calendar.clock import to_epoch
from features.home import Home
from features.store import FeatureStore
from features.volume.contacts import NO_WAITS


def waits(tmp_path, rows, *, as_of=T0, days=91):
    home = Home(tmp_path / "home")
    load(home, {"interactions": rows})
    with FeatureStore(home, threads=1) as store:
        return store.waits(as_of, days=days)


def test_contacts_come_in_order_of_time_with_queues_and_agents_as_places(tmp_path):
    found = waits(
        tmp_path,
        [
            contact("3", None, at(-1), queue="b", wait_seconds=4.5, agent_id="zoe"),
            contact("1", "x", at(-3), queue="b", wait_seconds=0, handle_seconds=60, agent_id="ann"),
            contact("2", "y", at(-2), queue="a", wait_seconds=30, outcome="abandoned"),
        ],
    )
    assert found.queues == ("a", "b")
    assert found.agents == ("ann", "zoe")
    assert found.started_at.tolist() == [to_epoch(at(-3)), to_epoch(at(-2)), to_epoch(at(-1))]
    assert found.queue.tolist() == [1, 0, 1]
    assert found.agent.tolist() == [0, -1, 1]
    assert found.wait_seconds.tolist() == [0, 30, 4.5]
    assert found.abandoned.tolist() == [False, True, False]
    np.testing.assert_array_equal(found.handle_seconds, [60, np.nan, np.nan])


def test_columns_are_narrow(tmp_path):
    found = waits(tmp_path, [contact("1", None, at(-1), wait_seconds=1)])
    assert (found.queue.dtype, found.agent.dtype) == (np.int32, np.int32)
    assert (found.wait_seconds.dtype, found.handle_seconds.dtype) == (np.float32, np.float32)


def test_a_contact_known_later_is_not_there(tmp_path):
    late = contact("late", None, at(-2), wait_seconds=9, available_at=at(0, seconds=1))
    on_time = contact("on time", None, at(-2), wait_seconds=7, available_at=T0)
    assert waits(tmp_path, [late, on_time]).wait_seconds.tolist() == [7]


def test_the_version_known_at_the_time_counts(tmp_path):
    rows = [
        contact("1", None, at(-5), wait_seconds=7, superseded_at=at(-2)),
        contact("1", None, at(-5), wait_seconds=8, available_at=at(-2)),
    ]
    assert waits(tmp_path / "now", rows).wait_seconds.tolist() == [8]
    assert waits(tmp_path / "then", rows, as_of=at(-3)).wait_seconds.tolist() == [7]


def test_days_look_back_from_the_as_of_and_not_at_it(tmp_path):
    rows = [
        contact("too old", None, at(-7, seconds=-1), wait_seconds=1),
        contact("oldest", None, at(-7), wait_seconds=2),
        contact("newest", None, at(0, seconds=-1), wait_seconds=3),
        contact("not yet", None, T0, wait_seconds=4),
    ]
    assert waits(tmp_path, rows, days=7).wait_seconds.tolist() == [2, 3]


def test_an_open_contact_counts_once_it_was_answered(tmp_path):
    rows = [
        contact("waits", None, at(-1), outcome="open"),
        contact("answered", None, at(-1), outcome="open", wait_seconds=3),
    ]
    found = waits(tmp_path, rows)
    assert found.wait_seconds.tolist() == [3]
    assert not found.abandoned.any()


def test_the_handle_time_of_what_hung_up_is_nobodys(tmp_path):
    found = waits(tmp_path, [contact("1", None, at(-1), outcome="abandoned", handle_seconds=5)])
    assert np.isnan(found.handle_seconds).all()


@pytest.mark.parametrize("outcome", ["answered", "resolved", "transferred"])
def test_every_other_end_counts_as_answered(tmp_path, outcome):
    assert not waits(tmp_path, [contact("1", None, at(-1), outcome=outcome)]).abandoned.any()


def test_a_wait_that_is_not_stated_is_nan_and_never_zero(tmp_path):
    assert np.isnan(waits(tmp_path, [contact("1", None, at(-1))]).wait_seconds).all()


def test_names_are_the_same_over_many_batches(tmp_path):
    names = [f"agent {k % 7}" for k in range(70_000)]
    rows = [
        contact(str(k), None, at(-1, seconds=k % 80_000), agent_id=name, queue=f"q{k % 3}")
        for k, name in enumerate(names)
    ]
    found = waits(tmp_path, rows)
    assert [found.agents[k] for k in found.agent] == names
    assert [found.queues[k] for k in found.queue] == [f"q{k % 3}" for k in range(70_000)]


def test_an_empty_lake_has_no_waits(tmp_path):
    with FeatureStore(Home(tmp_path / "home"), threads=1) as store:
        assert store.waits(T0, days=91) is NO_WAITS
    assert len(NO_WAITS) == 0
