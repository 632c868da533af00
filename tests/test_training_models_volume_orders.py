"""Learning what orders do to contacts, and for whom they are used."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from volume_world import DAY, START

from features.calendar.clock import from_epoch, to_epoch
from features.calendar.queues import ALWAYS, Event, Queue
from features.contracts.tables import ORDER_STAGES
from features.volume.history import NO_ORDERS, OrderFlow, QueueHistory
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.distribution import LEAD_BUCKETS
from serving.models.volume.model import open_volume_model
from serving.models.volume.orders import LAGS
from training.config import VolumeConfig
from training.evaluate.origins import Histories
from training.evaluate.volume_backtest import run_backtest
from training.fit.volume import train_volume
from training.models.volume.effects import fit_effects
from training.models.volume.orders import OrderGain, fit_orders, learn_use, orders_table

DAYS = 300
AS_OF = from_epoch(START + DAYS * DAY)
PLAIN = DayEffects({}, {})
CONFIG = VolumeConfig(
    horizon_days=14, step_days=19, origins=12, refits=1, boosting_rounds=5,
    boosting_rows=4000, boosting_outlooks=12, threads=1,
)  # fmt: skip
WEEK = np.array([1.0, 0.95, 0.95, 1.0, 1.1, 0.8, 0.6])
ELASTICITY = 0.6


def world(*, seed: int = 0, lift: np.ndarray | None = None) -> Histories:
    """Orders whose surplus fades over days; contacts of one queue follow two and three days on.

    ``follows`` rises by 0.6 % where the orders of two and three days before were 1 % higher;
    ``apart`` does not care. All counts are Poisson around a day factor of 8 %.

    Args:
        seed: Of everything.
        lift: Logarithm of a known lift of orders and of ``follows`` by day, float64[DAYS].
    """
    rng = np.random.default_rng(seed)
    surplus = np.zeros(DAYS)
    for day in range(1, DAYS):
        surplus[day] = 0.75 * surplus[day - 1] + 0.23 * rng.normal()
    lift = np.zeros(DAYS) if lift is None else lift
    starts = START + 3600 * np.arange(24 * DAYS, dtype=np.int64)
    day, weekday = (starts - START) // DAY, (starts // DAY + 3) % 7
    wave = WEEK[weekday] * (1 + 0.7 * np.sin(2 * np.pi * (starts % DAY / DAY - 0.25)))
    counts = np.full((len(starts), len(ORDER_STAGES)), np.nan)
    counts[:, 0] = rng.poisson(20 * wave * np.exp(surplus + lift)[day])
    later = np.zeros(DAYS)
    for lag in (2, 3):
        later[lag:] += surplus[:-lag] / 2
    queues = {}
    for name, moved in (("apart", np.zeros(DAYS)), ("follows", ELASTICITY * later + lift)):
        factor = rng.gamma(1 / 0.08**2, 0.08**2, DAYS) * np.exp(moved)
        offered = rng.poisson(20 * wave * factor[day]).astype(float)
        queue = Queue(name, opening=ALWAYS, opening_source="stated")
        queues[name] = QueueHistory(queue, starts, offered, np.full(len(starts), 300.0), offered)
    return Histories(queues, (), OrderFlow(starts, counts))


@pytest.fixture(scope="module")
def centre():
    return world()


def weights_of(source: Histories, effects: DayEffects = PLAIN) -> dict[str, np.ndarray]:
    found = fit_orders(
        source.queues, source.flow, events=source.known_events, effects=effects,
        known_by=to_epoch(AS_OF),
    )  # fmt: skip
    return {name: np.array(rows) for name, rows in found.weights.items()}


def test_the_kernel_of_a_queue_that_follows_orders_is_found():
    found = np.mean([weights_of(world(seed=k))["follows"][0] for k in range(4)], axis=0)
    at = LAGS.index((2, 4))
    # Drawn a little towards the other queue's, and to its neighbours.
    assert found.sum() == pytest.approx(ELASTICITY, abs=0.07)
    assert found[at] > 0.8 * found.sum()


def test_a_queue_that_does_not_follow_them_gets_next_to_nothing(centre):
    found = weights_of(centre)["apart"]
    assert found.min() >= 0
    assert found.sum() < 0.1


def test_a_stage_that_is_not_known_gets_no_weight(centre):
    assert (weights_of(centre)["follows"][1:] == 0).all()


def test_without_orders_nothing_is_learnt(centre):
    assert weights_of(replace(centre, flow=NO_ORDERS)) == {}


def test_a_history_of_a_few_weeks_teaches_nothing(centre):
    early = from_epoch(START + 70 * DAY)
    found = fit_orders(
        centre.volume(early),
        centre.orders(early),
        events=(),
        effects=PLAIN,
        known_by=to_epoch(early),
    )
    assert found.weights == {}


def test_a_promotion_that_lifts_orders_and_contacts_alike_is_not_put_down_to_the_orders():
    lift = np.zeros(DAYS)
    days = (60, 110, 160, 210, 260)
    for day in days:
        lift[day : day + 5] = 0.5
    events = tuple(
        Event(f"e{d}", "promotion", START + d * DAY, START + (d + 5) * DAY, START) for d in days
    )
    source = replace(world(seed=1, lift=lift), known_events=events)
    effects = fit_effects(source.queues, events=events, known_by=to_epoch(AS_OF))
    informed = weights_of(source, effects)["follows"][0]
    blind = weights_of(replace(source, known_events=()))["follows"][0]
    # The lift comes on the same day: without the calendar it looks like an effect of lag 0.
    assert blind[0] > 0.1
    assert informed[0] < 0.03
    assert informed[LAGS.index((2, 4))] == pytest.approx(ELASTICITY, abs=0.2)


def gains(without: list[float], within: list[float], bucket: int = 0) -> list[OrderGain]:
    at = np.eye(len(LEAD_BUCKETS))[bucket]
    return [OrderGain(1000 * at, a * at, b * at) for a, b in zip(without, within, strict=True)]


def test_orders_are_used_where_they_gain_more_than_noise():
    steady = gains([100, 110, 90, 100, 105], [90, 98, 82, 91, 94])
    mixed = gains([100, 110, 90, 100, 105], [60, 140, 60, 130, 90])
    tiny = gains([1000, 1000, 1000, 1000], [997, 997, 997, 997])
    worse = gains([90, 98, 82, 91, 94], [100, 110, 90, 100, 105])
    few = gains([100, 110, 90], [50, 55, 45])
    found = learn_use(
        {"steady": steady, "mixed": mixed, "tiny": tiny, "worse": worse, "few": few, "none": []}
    )
    assert found == ("steady",)


def test_leads_beyond_two_weeks_do_not_decide():
    assert learn_use({"q": gains([100] * 6, [50] * 6, bucket=3)}) == ()
    assert learn_use({"q": gains([100] * 6, [50] * 6, bucket=2)}) == ("q",)


def test_the_table_tells_each_lead_and_what_was_never_compared():
    table = orders_table(["a", "b"], {"a": gains([100, 50], [80, 40])}, ("a",))
    assert list(table["queue"]) == ["a"] * len(LEAD_BUCKETS) + ["b"] * len(LEAD_BUCKETS)
    first = table.iloc[0]
    assert (first["used"], first["wape_without"], first["wape_with"]) == (True, 0.075, 0.06)
    assert first["gain"] == pytest.approx(0.2)
    assert table[table["queue"] == "b"][["wape_without", "wape_with", "gain"]].isna().all(axis=None)


@pytest.fixture(scope="module")
def trained(centre, tmp_path_factory):
    return train_volume(
        centre, as_of=AS_OF, config=CONFIG, root=tmp_path_factory.mktemp("bundles"), now=AS_OF
    )


def test_only_the_queue_that_follows_orders_uses_them_and_the_card_says_so(trained):
    model = open_volume_model(trained.bundle)
    assert model.state.orders.used == ("follows",)
    assert model.card["queues_with_orders"] == ["follows"]
    table = trained.tables["orders"].set_index(["queue", "lead"])
    assert bool(table.loc[("follows", "1-24 h"), "used"])
    assert table.loc[("follows", "1-24 h"), "gain"] > 0.03
    assert not table.loc[("apart", "1-24 h"), "used"]


def test_the_golden_request_replays_the_flow(trained):
    model = open_volume_model(trained.bundle)
    model.check_golden()
    with np.load(trained.bundle / "golden.npz") as arrays:
        assert len(arrays["order_starts"]) == 24 * DAYS


def test_a_forecast_of_the_bundle_moves_with_the_flow(trained, centre):
    model = open_volume_model(trained.bundle)
    asked = {"events": (), "made_at": AS_OF, "until": AS_OF + timedelta(days=3)}
    surge = centre.flow.counts.copy()
    surge[-3 * 24 :] *= 2
    usual, more = (
        model.forecast(centre.queues, orders=OrderFlow(centre.flow.starts, counts), **asked)
        for counts in (centre.flow.counts, surge)
    )
    ratio = {name: more.queues[name].mean.sum() / usual.queues[name].mean.sum() for name in
             ("follows", "apart")}  # fmt: skip
    assert ratio["follows"] == pytest.approx(2**ELASTICITY, rel=0.15)
    assert ratio["apart"] == pytest.approx(1)


def test_handle_times_and_load_are_scored_beside_their_rivals(trained):
    table = trained.tables["accuracy"]
    names = {"aht_wape", "aht_wape_mean", "aht_wape_hour4", "aht_wape_last_week", "load_wape",
             "load_wape_seasonal_naive"}  # fmt: skip
    assert names <= set(table.columns)
    assert names <= set(trained.metrics)
    # Every contact takes 300 s, so the load is off by as much as the contacts are.
    assert trained.metrics["aht_wape"] == pytest.approx(0, abs=1e-6)
    assert trained.metrics["load_wape"] == pytest.approx(trained.metrics["wape"])
    assert trained.metrics["load_wape_seasonal_naive"] == pytest.approx(
        trained.metrics["wape_seasonal_naive"]
    )


def test_no_window_learns_from_orders_that_came_after_its_origin(centre):
    last = from_epoch(START + 280 * DAY)
    later = centre.flow.starts[:, None] >= to_epoch(last)
    flow = OrderFlow(centre.flow.starts, np.where(later, 1e6, centre.flow.counts))
    poisoned = replace(centre, flow=flow)
    known, other = (
        run_backtest(source, as_of=last, config=CONFIG.model_copy(update={"origins": 3}))
        for source in (centre, poisoned)
    )
    for a, b in zip(known.windows, other.windows, strict=True):
        np.testing.assert_array_equal(a.mean, b.mean)
