from datetime import UTC, datetime, timedelta

import ibis
import numpy as np
import pytest
from features_rows import T0, at, contact, load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.calendar.clock import local_times, to_epoch
from features.contracts.tables import INTERACTIONS, INTERVALS
from features.engine.protocol import schema_of
from features.home import Home
from features.store import FeatureStore
from features.volume.contacts import contact_cells, interval_counts
from features.volume.counts import feed_gaps

HOUR = timedelta(hours=1)


def queue(name, zone="UTC", **more):
    return {
        "queue": name,
        "channel": "voice",
        "time_zone": zone,
        "available_at": at(-999),
        **more,
    }


def interval(name, start, offered, minutes=60, **more):
    return {
        "queue": name,
        "interval_start": start,
        "interval_minutes": minutes,
        "offered": offered,
        "available_at": start,
        **more,
    }


def panel_of(folder, tables, as_of=T0):
    home = Home(folder)
    load(home, tables)
    with FeatureStore(home, threads=1) as store:
        return store.panel(as_of), store.warnings


def busy(name, first, last, *, per_hour=2, skip=lambda t: False, **more):
    """Contacts at an even rate; the second of each hour falls in its last quarter."""
    rows, moment = [], first
    while moment < last:
        if not skip(moment):
            rows += [
                contact(
                    f"{name}{moment:%m%d%H}{k}",
                    None,
                    moment + HOUR * (k + 0.9) / per_hour,
                    queue=name,
                )
                | more
                for k in range(per_hour)
            ]
        moment += HOUR
    return rows


def test_contacts_are_counted_by_hour_with_weighted_handle_time(tmp_path):
    rows = [
        contact("0", None, at(-3), handle_seconds=5.0),
        contact("1", None, at(-2, seconds=60), handle_seconds=100.0),
        contact("2", None, at(-2, seconds=3599), handle_seconds=300.0),
        contact("3", None, at(-2, seconds=3600), outcome="abandoned"),
        contact("4", None, at(0, seconds=-1)),
    ]
    panel, _ = panel_of(tmp_path, {"interactions": rows, "queues": [queue("q")]})
    history = panel.queues["q"].history
    assert history.starts[0] == to_epoch(at(-2))  # the day of the first contact is partial
    assert len(history.starts) == 48
    assert history.offered[:3].tolist() == [2.0, 1.0, 0.0]
    assert history.aht_seconds[0] == 200.0
    assert np.isnan(history.aht_seconds[1])
    assert history.handled[:2].tolist() == [2.0, 0.0]
    assert panel.queues["q"].abandoned[:2].tolist() == [0.0, 1.0]
    assert panel.queues["q"].answered[:2].tolist() == [2.0, 0.0]


def test_what_was_learnt_later_and_the_interval_under_way_are_not_seen(tmp_path):
    rows = busy("q", at(-3), T0)
    rows.append(contact("late", None, at(-1), available_at=at(1)))
    as_of = at(0, seconds=-1800)
    known, _ = panel_of(tmp_path / "a", {"interactions": rows}, as_of)
    history = known.queues["q"].history
    assert np.isnan(history.offered[-1])
    assert history.offered[-2] == 2.0
    assert history.offered[24] == 2.0
    later, _ = panel_of(tmp_path / "b", {"interactions": rows}, at(2))
    assert later.queues["q"].history.offered[24] == 3.0


def test_after_the_feeds_last_row_nothing_is_observed(tmp_path):
    panel, _ = panel_of(tmp_path, {"interactions": busy("q", at(-5), at(-1))})
    history = panel.queues["q"].history
    assert history.offered[-24] != history.offered[-24]
    assert np.isnan(history.offered[-24:]).all()
    assert not np.isnan(history.offered[:-24]).any()


def test_a_queue_that_ended_while_the_feed_went_on_is_zero(tmp_path):
    rows = busy("old", at(-9), at(-4)) + busy("new", at(-9), T0)
    panel, _ = panel_of(tmp_path, {"interactions": rows})
    assert panel.queues["old"].history.offered[-1] == 0.0


def test_a_queue_that_starts_half_way_starts_at_its_first_full_day(tmp_path):
    rows = busy("old", at(-9), T0) + busy("new", at(-4.5), T0)
    panel, _ = panel_of(tmp_path, {"interactions": rows})
    assert panel.queues["old"].history.starts[0] == to_epoch(at(-8))
    assert panel.queues["new"].history.starts[0] == to_epoch(at(-4))


def test_a_gap_of_the_whole_feed_is_not_observed_and_is_reported(tmp_path):
    def lost(moment):
        return at(-3, seconds=36000) <= moment < at(-3, seconds=72000)

    rows = busy("a", at(-20), T0, skip=lost) + busy("b", at(-20), T0, skip=lost)
    panel, warnings = panel_of(tmp_path, {"interactions": rows})
    history = panel.queues["a"].history
    silent = (history.starts >= to_epoch(at(-3)) + 36000) & (
        history.starts < to_epoch(at(-3)) + 75600
    )
    assert np.isnan(history.offered[silent]).all()  # and the hour in which it came back
    assert np.isnan(history.offered[~silent]).sum() == 0
    assert any("between 2026-02-26 10:00 and 2026-02-26 20:15" in w for w in warnings)


def test_nights_of_a_day_centre_are_no_gap(tmp_path):
    rows = busy("a", at(-30), T0, per_hour=6, skip=lambda t: not 8 <= t.hour < 18)
    panel, _ = panel_of(tmp_path, {"interactions": rows})
    history = panel.queues["a"].history
    assert np.isnan(history.offered).sum() == 6  # after the last row
    assert feed_gaps(np.array([], dtype=np.int64), np.array([], dtype=np.int64)) == []


def test_a_silent_public_holiday_is_zero_where_the_country_is_known(tmp_path):
    first, last = datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 1, 10, tzinfo=UTC)
    rows = busy("a", first, last, skip=lambda t: (t.month, t.day) == (12, 25))
    panel, warnings = panel_of(
        tmp_path, {"interactions": rows, "queues": [queue("a", country="DE")]}, last
    )
    assert not [warning for warning in warnings if "no contact" in warning]
    history = panel.queues["a"].history
    christmas = history.starts // 86400 == to_epoch(datetime(2025, 12, 25, tzinfo=UTC)) // 86400
    assert history.offered[christmas].tolist() == [0.0] * 24


def test_closed_hours_are_exactly_zero_and_contacts_in_them_are_reported(tmp_path):
    hours = {f"open_{day}": "08:00-18:00" for day in ("mon", "tue", "wed", "thu", "fri")}
    stated = queue("a", open_sat="closed", open_sun="closed", **hours)
    panel, warnings = panel_of(
        tmp_path, {"interactions": busy("a", at(-9), T0), "queues": [stated]}
    )
    found = panel.queues["a"]
    assert found.history.offered[~found.is_open].max() == 0.0
    assert found.history.offered[found.is_open].min() == 2.0
    assert found.history.queue.opening_source == "stated"
    assert any("outside its stated opening hours" in w for w in warnings)


def test_a_day_on_the_wall_has_23_and_25_hours(tmp_path):
    first = datetime(2025, 10, 20, tzinfo=UTC)
    last = datetime(2026, 4, 2, tzinfo=UTC)
    rows = busy("a", first, last)
    panel, _ = panel_of(
        tmp_path, {"interactions": rows, "queues": [queue("a", "Europe/Berlin")]}, last
    )
    history = panel.queues["a"].history
    days, hours = np.unique(local_times(history.starts, "Europe/Berlin").day, return_counts=True)
    assert sorted(set(hours[1:-1].tolist())) == [23, 24, 25]
    assert np.nansum(history.offered) == 2 * (~np.isnan(history.offered)).sum()
    assert len(days) > 100


def test_a_quarter_hour_zone_has_its_own_grid(tmp_path):
    panel, _ = panel_of(
        tmp_path,
        {"interactions": busy("a", at(-4), T0), "queues": [queue("a", "Asia/Kathmandu")]},
    )
    starts = panel.queues["a"].history.starts
    assert set((starts % 3600).tolist()) == {900}


def test_interval_counts_are_summed_to_the_queues_interval_and_holes_are_not_observed(tmp_path):
    rows = [
        interval("a", at(-1, seconds=900 * k), k, 15, aht_seconds=100.0 + k, answered=k)
        for k in range(96)
        if k != 10
    ]
    panel, _ = panel_of(tmp_path, {"intervals": rows, "queues": [queue("a")]})
    history = panel.queues["a"].history
    assert history.starts[0] == to_epoch(at(-1))  # the first row is at midnight: a full day
    assert history.offered[:2].tolist() == [6.0, 22.0]
    assert np.isnan(history.offered[2])
    assert history.aht_seconds[0] == pytest.approx((101 + 2 * 102 + 3 * 103) / 6)


def test_counts_win_over_single_contacts_and_the_overlap_is_reported(tmp_path):
    rows = [interval("a", at(-1, seconds=3600 * k), 7) for k in range(12)]
    panel, warnings = panel_of(tmp_path, {"interactions": busy("a", at(-3), T0), "intervals": rows})
    history = panel.queues["a"].history
    assert history.offered.tolist() == [2.0] * 24 + [7.0] * 12 + [2.0] * 12
    (said,) = [w for w in warnings if "12 intervals have counts and single contacts" in w]
    assert "12 differ: 84 counted, 24 single ones" in said


def test_counts_that_agree_with_single_contacts_say_so(tmp_path):
    rows = [interval("a", at(-1, seconds=3600 * k), 2) for k in range(12)]
    _, warnings = panel_of(tmp_path, {"interactions": busy("a", at(-3), T0), "intervals": rows})
    assert any("the counts are used; both say the same" in w for w in warnings)


def test_rows_of_two_lengths_over_one_time_are_not_observed_and_reported(tmp_path):
    rows = [interval("a", at(-1, seconds=1800 * k), 5, 30) for k in range(48) if k != 6]
    rows.append(interval("a", at(-1, seconds=3 * 3600), 11, 60))  # over the halves 6 and 7
    panel, warnings = panel_of(tmp_path, {"intervals": rows, "queues": [queue("a")]})
    offered = panel.queues["a"].history.offered
    assert np.flatnonzero(np.isnan(offered)).tolist() == [3]
    assert np.nansum(offered) == 23 * 10
    assert any("2 rows overlap in time, the first at 2026-02-28 03:00 UTC" in w for w in warnings)


def test_rows_that_lie_across_the_queues_own_hours_are_not_observed_and_reported(tmp_path):
    rows = [interval("a", at(-1, seconds=3600 * k), 5) for k in range(24)]
    stated = [queue("a", "Asia/Kolkata")]  # half an hour beside UTC
    panel, warnings = panel_of(tmp_path, {"intervals": rows, "queues": stated})
    assert np.isnan(panel.queues["a"].history.offered).all()
    assert any("rows reach over two intervals of 60 minutes" in w for w in warnings)


def test_an_export_that_may_leave_out_empty_intervals_is_pointed_at(tmp_path):
    rows = [interval("a", at(-9, seconds=3600 * k), 1) for k in range(0, 9 * 24, 5)]
    panel, warnings = panel_of(tmp_path / "a", {"intervals": rows, "queues": [queue("a")]})
    assert np.nanmax(panel.queues["a"].history.offered) == 1.0
    assert any("80% of its intervals have no row and no row says 0" in w for w in warnings)
    rows[3]["offered"] = 0
    _, warnings = panel_of(tmp_path / "b", {"intervals": rows, "queues": [queue("a")]})
    assert not any("no row says 0" in w for w in warnings)


def test_an_abandoned_contact_whose_handle_time_is_zero_was_not_handled(tmp_path):
    rows = busy("a", at(-3), T0, handle_seconds=0.0, outcome="abandoned")
    rows += busy("b", at(-3), T0, handle_seconds=300.0) + [
        {**row, "interaction_id": row["interaction_id"] + "x", "queue": "b"} for row in rows
    ]
    panel, _ = panel_of(tmp_path, {"interactions": rows})
    assert np.isnan(panel.queues["a"].history.aht_seconds).all()
    assert (panel.queues["b"].history.aht_seconds == 300.0).all()
    assert (panel.queues["b"].history.handled == 2.0).all()


# --- silence: a fault of the feed, or no contact ---


def silent_between(first, last):
    return lambda moment: first <= moment < last


def test_one_queue_that_falls_silent_alone_is_not_observed_and_reported(tmp_path):
    lost = silent_between(at(-9, seconds=10 * 3600), at(-9, seconds=20 * 3600))
    rows = busy("a", at(-40), T0, skip=lost) + busy("b", at(-40), T0)
    panel, warnings = panel_of(tmp_path, {"interactions": rows})
    history = panel.queues["a"].history
    hours = (history.starts[np.isnan(history.offered)] - to_epoch(at(-9))) // 3600
    assert hours.tolist() == list(range(10, 21))  # and the hour in which it came back
    assert not np.isnan(panel.queues["b"].history.offered).any()
    assert any("queue `a`: no contact between 2026-02-20 10:00" in w for w in warnings)


def test_a_queue_in_which_few_contacts_were_due_is_zero_when_it_is_silent(tmp_path):
    lost = silent_between(at(-9, seconds=10 * 3600), at(-9, seconds=18 * 3600))
    rows = busy("a", at(-40), T0, per_hour=2, skip=lost) + busy("b", at(-40), T0)
    panel, _ = panel_of(tmp_path, {"interactions": rows})  # 16 were due
    assert not np.isnan(panel.queues["a"].history.offered).any()


@pytest.mark.parametrize(("days", "missing"), [(2, 48), (4, 0)])
def test_a_queue_that_stopped_days_ago_is_zero_and_one_that_just_fell_silent_is_missing(
    tmp_path, days, missing
):
    rows = busy("a", at(-40), at(-days)) + busy("b", at(-40), T0)
    panel, warnings = panel_of(tmp_path, {"interactions": rows})
    history = panel.queues["a"].history
    assert np.isnan(history.offered).sum() == missing
    assert np.isnan(history.offered[-1]) == (missing > 0)
    assert any("queue `a`: no contact between" in w for w in warnings) == (missing > 0)


def test_a_queue_that_was_shut_for_a_month_is_zero(tmp_path):
    rows = busy("a", at(-120), T0, skip=silent_between(at(-60), at(-30)))
    panel, _ = panel_of(tmp_path, {"interactions": rows + busy("b", at(-120), T0)})
    history = panel.queues["a"].history
    assert not np.isnan(history.offered).any()
    assert (history.offered == 0).sum() == 30 * 24


@pytest.mark.parametrize(("days_more", "missing"), [(0, 0), (20, 11)])
def test_a_silence_that_fills_an_event_is_a_closure_and_one_within_it_is_a_gap(
    tmp_path, days_more, missing
):
    first, last = at(-9, seconds=10 * 3600), at(-9, seconds=21 * 3600)
    event = {
        "event_id": "e", "kind": "closure", "queues": "a",
        "starts_at": first, "ends_at": last + timedelta(days=days_more),
        "known_at": at(-20), "available_at": at(-20),
    }  # fmt: skip
    rows = busy("a", at(-40), T0, skip=silent_between(first, last)) + busy("b", at(-40), T0)
    panel, _ = panel_of(tmp_path, {"interactions": rows, "calendar": [event]})
    history = panel.queues["a"].history
    inside = (history.starts >= to_epoch(first)) & (history.starts < to_epoch(last))
    assert np.isnan(history.offered[inside]).sum() == missing
    assert np.nansum(history.offered[inside]) == 0


def test_quiet_nights_of_a_queue_that_has_grown_tenfold_are_no_gaps():
    weeks = [np.arange(w * 168, (w + 1) * 168) for w in range(40)]
    hours = np.concatenate(weeks) * 3600
    night = hours // 3600 % 24 < 6
    growth = np.linspace(1, 10, len(hours))
    counts = np.where(night, np.floor(growth / 4), growth * 5).astype(np.int64)
    assert feed_gaps(hours[counts > 0], counts[counts > 0]) == []


def test_the_nights_around_a_clock_change_are_no_gaps():
    first, last = datetime(2026, 2, 2, tzinfo=UTC), datetime(2026, 4, 3, tzinfo=UTC)
    hours = np.arange(to_epoch(first), to_epoch(last), 3600)
    local = local_times(hours, "Europe/Berlin").minute_of_day // 60
    day = hours[(local >= 8) & (local < 18)]
    assert feed_gaps(day, np.full(len(day), 60), time_zone="Europe/Berlin") == []
    # On a clock that does not change, an hour of contacts seems to be missing each night.
    assert feed_gaps(day, np.full(len(day), 60), time_zone="UTC") != []


@settings(max_examples=40, deadline=None)
@given(
    start=st.integers(5 * 7 * 24, 9 * 7 * 24),
    hours=st.integers(1, 20 * 24),
    per_hour=st.integers(1, 12),
    seed=st.integers(0, 9),
)
def test_a_gap_is_found_whole_whatever_the_order_of_cells(start, hours, per_hour, seed):
    """Brute force: a hole in an even feed is a gap by its length and what was due in it."""
    cells = np.arange(15 * 7 * 24) * 3600
    kept = cells[(cells < start * 3600) | (cells >= (start + hours) * 3600)]
    mixed = np.random.default_rng(seed).permutation(kept)
    found = feed_gaps(mixed, np.full(len(mixed), per_hour))
    silent_seconds = hours * 3600 + 2700
    weeks = -(-silent_seconds // (7 * 86400))
    before = sum((start * 3600 - 2700) - 7 * 86400 * (weeks + k) >= 0 for k in range(4))
    after = sum((start + hours) * 3600 + 7 * 86400 * (weeks + k) <= cells[-1] + 3600
                for k in range(4))  # fmt: skip
    is_gap = silent_seconds >= 3 * 3600 and hours * per_hour >= 18 and before + after >= 2
    assert [(gap.start, gap.end) for gap in found] == (
        [(start * 3600 - 2700, (start + hours) * 3600)] if is_gap else []
    )


def test_rows_longer_than_the_queues_interval_widen_it(tmp_path):
    rows = [interval("a", at(-1, seconds=1800 * k), 1, 30) for k in range(48)]
    stated = [queue("a", interval_minutes=15)]
    panel, warnings = panel_of(tmp_path, {"intervals": rows, "queues": stated})
    assert panel.queues["a"].history.queue.interval_minutes == 30
    assert any("its interval is 30 minutes" in w for w in warnings)


def test_rows_of_a_whole_day_are_left_out_and_reported(tmp_path):
    rows = [interval("a", at(-3 + k), 100, 1440) for k in range(3)]
    panel, warnings = panel_of(tmp_path, {"intervals": rows, "queues": [queue("a")]})
    assert np.isnan(panel.queues["a"].history.offered).all()
    assert any("1440 minutes are longer" in w for w in warnings)


def test_a_queue_only_its_contacts_know_gets_defaults_and_a_warning(tmp_path):
    panel, warnings = panel_of(tmp_path, {"interactions": busy("x", at(-3), T0)})
    assert panel.queues["x"].history.queue.time_zone == "UTC"
    assert any("`x` is not in the table `queues`" in w for w in warnings)


def test_an_empty_lake_has_an_empty_panel(tmp_path):
    panel, _ = panel_of(tmp_path, {})
    assert panel.queues == {}


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    offsets=st.lists(st.integers(0, 6 * 86400), min_size=1, max_size=30),
    minutes=st.sampled_from([15, 30, 60]),
    seed=st.randoms(),
)
def test_counts_equal_loops_whatever_the_order_of_rows(offsets, minutes, seed, tmp_path_factory):
    moments = [at(-6, seconds=s) for s in offsets]
    rows = [contact(str(k), None, moment) for k, moment in enumerate(moments)]
    seed.shuffle(rows)
    stated = [queue("q", "America/St_Johns", interval_minutes=minutes)]
    folder = tmp_path_factory.mktemp("home")
    panel, _ = panel_of(folder, {"interactions": rows, "queues": stated})
    if "q" not in panel.queues:
        return
    history = panel.queues["q"].history
    for start, offered in zip(history.starts.tolist(), history.offered.tolist(), strict=True):
        inside = [m for m in moments if start <= to_epoch(m) < start + minutes * 60 and m < T0]
        assert offered != offered or offered == len(inside)


def test_the_definitions_compile_for_spark():
    contacts = ibis.table(schema_of(INTERACTIONS), name="interactions")
    counts = ibis.table(schema_of(INTERVALS), name="intervals")
    for expression in (contact_cells(contacts, T0), interval_counts(counts, T0)):
        assert "`" in ibis.to_sql(expression, dialect="databricks")
