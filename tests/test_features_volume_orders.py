"""The flow of orders: as known at a moment, dense, with what is not told completely yet."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import numpy as np
import pytest
from features_rows import T0, at, load, purchase

from features.calendar.clock import to_epoch
from features.contracts.tables import ORDER_STAGES
from features.errors import InputError
from features.home import Home
from features.snapshot import open_current_snapshot
from features.store import FeatureStore
from features.volume.history import NO_ORDERS

HOUR = 3600
STAGE = {name: k for k, name in enumerate(ORDER_STAGES)}


def versions(seed: int = 0, *, days: int = 90, count: int = 900) -> list[dict]:
    """Orders that are known when placed, and again with their shipping when they arrived."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(count):
        placed = at(-days, seconds=int(rng.integers(0, days * 86_400)))
        shipped = placed + timedelta(seconds=int(rng.integers(3600, 3 * 86_400)))
        arrived = shipped + timedelta(seconds=int(rng.integers(3600, 2 * 86_400)))
        known = placed + timedelta(seconds=60)
        kind = rng.choice(
            ["purchase", "renewal", "return", "cancellation"], p=[0.8, 0.1, 0.05, 0.05]
        )
        bought = kind in ("purchase", "renewal")
        first = purchase(f"p{k}", "c", placed, kind=kind, available_at=known)
        if bought:
            first["superseded_at"] = arrived
            rows.append({**first, "shipped_at": shipped, "completed_at": arrived,
                         "available_at": arrived, "superseded_at": None})  # fmt: skip
        rows.append(first)
    return rows


def counted(rows: list[dict], as_of) -> Counter:
    """Count the known version's steps by stage and hour, one by one."""
    found: Counter = Counter()
    for row in rows:
        until = row.get("superseded_at")
        if row["available_at"] > as_of or (until is not None and until <= as_of):
            continue
        bought = row["kind"] in ("purchase", "renewal")
        steps = {"placed" if bought else "returned": row["purchased_at"]}
        if bought:
            steps |= {"shipped": row.get("shipped_at"), "completed": row.get("completed_at")}
        for name, moment in steps.items():
            if moment is not None and moment < as_of:
                found[STAGE[name], to_epoch(moment) // HOUR * HOUR] += 1
    return found


@pytest.fixture(scope="module")
def rows():
    return versions()


@pytest.fixture(scope="module")
def store(tmp_path_factory, rows):
    home = Home(tmp_path_factory.mktemp("home"))
    load(home, {"purchases": rows})
    with FeatureStore(home, threads=1) as opened:
        yield opened


@pytest.mark.parametrize("back", [0, 7, 33.4])
def test_each_hour_holds_the_steps_that_were_known(store, rows, back):
    as_of = at(-back).replace(microsecond=0)
    flow, wanted = store.orders(as_of), counted(rows, as_of)
    told = 0
    for i, start in enumerate(flow.starts.tolist()):
        for k in range(len(ORDER_STAGES)):
            if not np.isnan(flow.counts[i, k]):
                assert flow.counts[i, k] == wanted.get((k, start), 0)
                told += int(flow.counts[i, k])
    assert told > 0.8 * sum(wanted.values())


def test_hours_are_dense_from_the_first_full_day_to_the_last_full_hour(store, rows):
    flow = store.orders(at(0, seconds=1800))
    first = min(to_epoch(row["purchased_at"]) for row in rows)
    assert flow.starts[0] == (first // 86_400 + 1) * 86_400
    assert set(np.diff(flow.starts)) == {HOUR}
    assert flow.starts[-1] + HOUR <= to_epoch(at(0, seconds=1800)) < flow.starts[-1] + 2 * HOUR


def test_a_stage_is_complete_up_to_the_delay_within_which_its_steps_are_told(store, rows):
    flow = store.orders(T0)
    last = {name: flow.starts[~np.isnan(flow.counts[:, k])].max() for name, k in STAGE.items()}
    # Placed and returned are known after a minute, an arrival at once; a shipment only with it.
    assert to_epoch(T0) - last["placed"] <= 4 * HOUR
    settled = [
        (row["completed_at"] - row["shipped_at"]).total_seconds() / HOUR
        for row in rows
        if row.get("shipped_at") and at(-74) <= row["shipped_at"] < at(-14)
    ]
    wanted = float(np.quantile(settled, 0.95))
    assert wanted - 1 <= (to_epoch(T0) - last["shipped"]) / HOUR <= wanted + 6


def test_nothing_that_was_known_later_moves_the_flow(store, rows):
    as_of = at(-20)
    flow = store.orders(as_of)
    with_all = store.orders(T0).before(as_of)
    both = ~np.isnan(flow.counts) & ~np.isnan(with_all.counts[-len(flow.starts) :])
    assert (flow.counts[both] <= with_all.counts[-len(flow.starts) :][both]).all()
    # Some orders of that time were told to be shipped only afterwards.
    assert np.nansum(flow.counts[:, STAGE["shipped"]]) < np.nansum(
        with_all.counts[:, STAGE["shipped"]]
    )


def test_a_stage_that_no_row_fills_is_not_known(tmp_path):
    home = Home(tmp_path)
    load(home, {"purchases": [purchase(f"p{k}", "c", at(-80 + k)) for k in range(80)]})
    with FeatureStore(home, threads=1) as opened:
        flow = opened.orders(T0)
    # The first day is partial, and the hour of the last order may not be over.
    assert np.nansum(flow.counts[:, STAGE["placed"]]) == 78
    assert np.isnan(flow.counts[:, [STAGE["shipped"], STAGE["completed"]]]).all()


def test_a_history_that_was_loaded_at_once_is_not_taken_as_told_in_time(tmp_path):
    home = Home(tmp_path)
    loaded = [purchase(f"p{k}", "c", at(-80 + k / 4), available_at=T0) for k in range(320)]
    load(home, {"purchases": loaded})
    with FeatureStore(home, threads=1) as opened:
        assert len(opened.orders(at(-1)).starts) == 0
        flow = opened.orders(T0)
    assert np.isnan(flow.counts[flow.starts > to_epoch(at(-60))]).all()


def test_a_gap_of_the_feed_is_not_taken_as_no_orders(tmp_path):
    home = Home(tmp_path)
    hours = [k for k in range(80 * 24) if not 1000 <= k < 1024]
    rows = [
        purchase(f"p{k}-{j}", "c", at(-80, seconds=HOUR * k + j)) for k in hours for j in (1, 2)
    ]
    load(home, {"purchases": rows})
    with FeatureStore(home, threads=1) as opened:
        flow = opened.orders(T0)
    hour = (flow.starts - to_epoch(at(-80))) // HOUR
    silent = (hour >= 1000) & (hour < 1024)
    placed = flow.counts[:, STAGE["placed"]]
    assert np.isnan(placed[silent]).all()
    assert (placed[~silent & (hour < 1900)] == 2).all()


def test_without_purchases_the_flow_is_empty(tmp_path):
    home = Home(tmp_path)
    load(home, {"customers": [{"customer_id": "c", "available_at": at(-9)}]})
    with FeatureStore(home, threads=1) as opened:
        flow = opened.orders(T0)
    assert len(flow.starts) == 0
    assert flow.counts.shape == NO_ORDERS.counts.shape


def test_an_as_of_between_two_seconds_is_refused(store):
    with pytest.raises(InputError, match="fraction of a second"):
        store.orders(T0 + timedelta(microseconds=1))


def test_the_snapshot_holds_the_flow_of_its_as_of(tmp_path, rows):
    home = Home(tmp_path)
    load(home, {"purchases": rows})
    with FeatureStore(home, threads=1) as opened:
        opened.publish(as_of=at(-5), now=T0)
        wanted = opened.orders(at(-5))
    found = open_current_snapshot(home.snapshots).orders
    np.testing.assert_array_equal(found.starts, wanted.starts)
    np.testing.assert_array_equal(found.counts, wanted.counts)


def test_a_flow_cut_at_a_moment_holds_the_hours_that_had_ended(store):
    flow = store.orders(T0)
    cut = flow.before(at(-3, seconds=1800))
    assert cut.starts[-1] == to_epoch(at(-3)) - HOUR
    assert len(cut.counts) == len(cut.starts)
