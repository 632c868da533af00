from datetime import UTC, datetime, timedelta

import ibis
import numpy as np
import pytest
from features_rows import T0, at, contact, load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.calendar import epoch, local_times
from features.contracts import INTERACTIONS, INTERVALS
from features.engine import schema_of
from features.home import Home
from features.panel import feed_gaps
from features.store import FeatureStore
from features.volume import contact_cells, interval_counts

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
    assert history.starts[0] == epoch(at(-2))  # the day of the first contact is partial
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
    assert panel.queues["old"].history.starts[0] == epoch(at(-8))
    assert panel.queues["new"].history.starts[0] == epoch(at(-4))


def test_a_gap_of_the_whole_feed_is_not_observed_and_is_reported(tmp_path):
    def lost(moment):
        return at(-3, seconds=36000) <= moment < at(-3, seconds=72000)

    rows = busy("a", at(-20), T0, skip=lost) + busy("b", at(-20), T0, skip=lost)
    panel, warnings = panel_of(tmp_path, {"interactions": rows})
    history = panel.queues["a"].history
    silent = (history.starts >= epoch(at(-3)) + 36000) & (history.starts < epoch(at(-3)) + 75600)
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
    panel, _ = panel_of(
        tmp_path, {"interactions": rows, "queues": [queue("a", country="DE")]}, last
    )
    history = panel.queues["a"].history
    christmas = history.starts // 86400 == epoch(datetime(2025, 12, 25, tzinfo=UTC)) // 86400
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
    assert history.starts[0] == epoch(at(-1))  # the first row is at midnight: a full day
    assert history.offered[:2].tolist() == [6.0, 22.0]
    assert np.isnan(history.offered[2])
    assert history.aht_seconds[0] == pytest.approx((101 + 2 * 102 + 3 * 103) / 6)


def test_counts_win_over_single_contacts_and_the_overlap_is_reported(tmp_path):
    rows = [interval("a", at(-1, seconds=3600 * k), 7) for k in range(12)]
    panel, warnings = panel_of(tmp_path, {"interactions": busy("a", at(-3), T0), "intervals": rows})
    history = panel.queues["a"].history
    assert history.offered.tolist() == [2.0] * 24 + [7.0] * 12 + [2.0] * 12
    assert any("12 intervals have counts and single contacts" in w for w in warnings)


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
        inside = [m for m in moments if start <= epoch(m) < start + minutes * 60 and m < T0]
        assert offered != offered or offered == len(inside)


def test_the_definitions_compile_for_spark():
    contacts = ibis.table(schema_of(INTERACTIONS), name="interactions")
    counts = ibis.table(schema_of(INTERVALS), name="intervals")
    for expression in (contact_cells(contacts, T0), interval_counts(counts, T0)):
        assert "`" in ibis.to_sql(expression, dialect="databricks")
