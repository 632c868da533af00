"""The simulated centre in memory: its volume, its customers and their true chances."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import holidays
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from features.contracts.tables import CHANNELS, OUTCOMES, TABLES
from features.errors import ConfigError
from features.simulate import Simulation, SimulationConfig, simulate
from features.simulate.history import no_purchase
from features.simulate.tables import ORDER_TOPIC, REPEAT_TOPIC

UNTIL = datetime(2026, 4, 15, tzinfo=UTC)
SMALL = SimulationConfig(until=UNTIL, customers=300, days=90)
GROWN = SimulationConfig(until=datetime(2026, 6, 1, tzinfo=UTC), customers=2_500, days=300)


@pytest.fixture(scope="module")
def small() -> Simulation:
    return simulate(SMALL, seed=3)


@pytest.fixture(scope="module")
def grown() -> Simulation:
    return simulate(GROWN, seed=5)


def frame(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas()


def test_the_same_seed_gives_the_same_centre_and_another_seed_another(small: Simulation) -> None:
    again, other = simulate(SMALL, seed=3), simulate(SMALL, seed=4)
    for name, table in small.tables.items():
        assert table.equals(again.tables[name]), name
    assert small.truth.churn.equals(again.truth.churn)
    assert not small.interactions.equals(other.interactions)


@pytest.mark.parametrize("name", ["queues", "customers", "calendar", "outreach"])
def test_each_table_has_its_contracts_columns_in_order(small: Simulation, name: str) -> None:
    assert tuple(small.tables[name].column_names) == TABLES[name].column_names


@pytest.mark.parametrize("name", ["interactions", "purchases"])
def test_event_tables_keep_their_contract(small: Simulation, name: str) -> None:
    table, contract = small.tables[name], TABLES[name]
    assert tuple(table.column_names) == contract.column_names
    for column in contract.columns:
        values = table[column.name]
        assert column.nullable or values.null_count == 0, column.name
        if column.minimum is not None:
            numbers = frame(table)[column.name].dropna()
            assert numbers.between(column.minimum, column.maximum).all(), column.name
        vocabulary = set(column.values)
        assert not vocabulary or set(values.to_pylist()) <= vocabulary, column.name


def test_the_centre_uses_voice_chat_and_mail_and_every_outcome(small: Simulation) -> None:
    assert set(small.interactions["channel"].to_pylist()) <= set(CHANNELS)
    assert set(small.interactions["outcome"].to_pylist()) == set(OUTCOMES)


@pytest.mark.parametrize(
    ("name", "event"), [("interactions", "started_at"), ("purchases", "purchased_at")]
)
def test_nothing_is_known_before_it_happened_or_after_the_end(
    small: Simulation, name: str, event: str
) -> None:
    rows = frame(small.tables[name])
    assert (rows["available_at"] >= rows[event]).all()
    assert (rows["available_at"] <= UNTIL).all()
    assert (rows[event] < UNTIL).all()
    assert (rows[event] >= pd.Timestamp(UNTIL) - pd.Timedelta(days=SMALL.days)).all()


@pytest.mark.parametrize(
    ("name", "key"), [("interactions", "interaction_id"), ("purchases", "purchase_id")]
)
def test_versions_of_a_row_become_known_one_after_the_other(
    small: Simulation, name: str, key: str
) -> None:
    rows = frame(small.tables[name])
    assert not rows.duplicated([key, "available_at"]).any()
    assert rows.groupby(key).size().max() == 2


def test_an_order_is_first_known_without_what_happened_to_it_later(small: Simulation) -> None:
    orders = frame(small.purchases).query("kind == 'purchase'")
    first = orders.sort_values("available_at").groupby("purchase_id").head(1)
    assert first["shipped_at"].isna().all()
    later = orders.drop(first.index)
    assert (later["available_at"] >= later["completed_at"]).all()
    assert (later["shipped_at"] > later["confirmed_at"]).all()


def test_counts_follow_the_true_rates(grown: Simulation) -> None:
    volume = frame(grown.truth.volume).dropna(subset=["offered"])
    volume["mean"] = volume["rate"] * volume["day_factor"]
    for _, rows in volume.groupby("queue"):
        expected, got = rows["mean"].sum(), rows["offered"].sum()
        assert abs(got - expected) < 4 * np.sqrt(expected)
        busy = rows[rows["mean"] > 0]
        dispersion = ((busy["offered"] - busy["mean"]) ** 2 / busy["mean"]).mean()
        assert abs(dispersion - 1) < 0.15  # Poisson, once the day factor is known


def test_contacts_are_the_counts_of_the_truth_but_for_the_ones_not_known_yet() -> None:
    centre = simulate(replace(SMALL, late_share=0.0), seed=3)
    rows = frame(centre.interactions).drop_duplicates("interaction_id")
    got = rows.groupby(["queue", rows["started_at"].dt.floor("h")]).size()
    truth = frame(centre.truth.volume).query("offered > 0")
    expected = truth.set_index(["queue", "interval_start"])["offered"].astype(int)
    assert got.to_dict() == expected.to_dict()


def test_late_contacts_are_about_as_many_as_asked_for(small: Simulation) -> None:
    first = frame(small.interactions).sort_values("available_at").drop_duplicates("interaction_id")
    ordinary = pd.to_timedelta(
        first["wait_seconds"].fillna(0) + first["handle_seconds"].fillna(0), unit="s"
    )
    lag = first["available_at"] - first["started_at"] - ordinary
    assert 0.005 < (lag > pd.Timedelta(hours=3)).mean() < 0.015


def test_day_factors_have_mean_one_and_are_partly_shared_by_the_queues(grown: Simulation) -> None:
    volume = frame(grown.truth.volume)
    noon = volume[volume["interval_start"].dt.hour == 12]
    factors = np.log(noon.pivot_table(index="interval_start", columns="queue", values="day_factor"))
    assert np.exp(factors).mean().between(0.95, 1.05).all()
    assert factors.std().between(0.08, 0.16).all()
    between = factors.corr().to_numpy()[np.triu_indices(5, 1)]
    assert 0.25 < between.mean() < 0.75
    assert 0.2 < np.mean([factors[q].autocorr(1) for q in factors]) < 0.6


def test_no_contact_comes_while_a_queue_is_closed(grown: Simulation) -> None:
    volume = frame(grown.truth.volume)
    assert (volume.loc[~volume["is_open"], "rate"] == 0).all()
    rates = volume.set_index("interval_start").groupby("queue")["rate"]
    for queue, zone, first, last in (
        ("sales", "Europe/Berlin", 8, 19),
        ("billing", "America/New_York", 9, 16),
    ):
        busy = rates.get_group(queue)
        hours = pd.DatetimeIndex(busy[busy > 0].index).tz_convert(zone).hour
        assert (hours.min(), hours.max()) == (first, last)
    assert set(pd.DatetimeIndex(rates.get_group("billing").loc[lambda r: r > 0].index)
               .tz_convert("America/New_York").dayofweek) == {0, 1, 2, 3, 4}  # fmt: skip


def test_queues_follow_the_wall_clock_over_the_change_of_the_clocks(small: Simulation) -> None:
    rates = frame(small.truth.volume).query("queue == 'sales' and rate > 0")
    by_day = rates.groupby(rates["interval_start"].dt.date)["interval_start"].min()
    opening = ZoneInfo("Europe/Berlin")
    for day, hour_utc in (("2026-03-27", 7), ("2026-03-30", 6)):
        start = by_day[pd.Timestamp(day).date()]
        assert (start.hour, start.astimezone(opening).hour) == (hour_utc, 8)


def test_a_queue_starts_half_way_and_its_row_is_known_before(small: Simulation) -> None:
    volume = frame(small.truth.volume).query("queue == 'chat' and rate > 0")
    starts = volume["interval_start"].min()
    half_way = pd.Timestamp(UNTIL) - pd.Timedelta(days=45)
    assert abs(starts - half_way) < pd.Timedelta(days=2)
    known = frame(small.queues).set_index("queue").loc["chat", "available_at"]
    assert pd.Timedelta(days=13) < starts - known < pd.Timedelta(days=16)


def test_public_holidays_close_the_sales_line(small: Simulation) -> None:
    rates = frame(small.truth.volume).query("queue == 'sales'").set_index("interval_start")["rate"]
    assert rates["2026-04-03"].sum() == 0  # Good Friday
    assert rates["2026-04-02"].sum() > 0


def test_the_rate_is_the_planned_one_times_every_effect_and_the_holidays(
    grown: Simulation,
) -> None:
    effects = grown.truth.facts["effects"]
    kinds = {"promotion", "aftermath", "billing", "launch", "outage", "level_shift"}
    assert {effect["kind"] for effect in effects} == kinds
    days_off = {
        "Europe/Berlin": holidays.country_holidays("DE", subdiv="BE", years=[2025, 2026]),
        "America/New_York": holidays.country_holidays("US", years=[2025, 2026]),
    }
    zones = dict(zip(*(grown.queues[c].to_pylist() for c in ("queue", "time_zone")), strict=True))
    volume = frame(grown.truth.volume).query("rate > 0")
    touched = volume[volume["rate"] > 1.3 * volume["planned_rate"]].sample(150, random_state=1)
    for row in pd.concat([touched, volume.sample(150, random_state=2)]).itertuples():
        factor = 1.0
        for effect in effects:
            since = row.interval_start - pd.Timestamp(effect["starts_at"])
            over = effect["ends_at"] and row.interval_start >= pd.Timestamp(effect["ends_at"])
            if effect["queue"] == row.queue and since >= pd.Timedelta(0) and not over:
                decay = effect["decay_days"]
                fading = math.exp(-since / pd.Timedelta(days=decay)) if decay else 1.0
                factor *= 1 + (effect["factor"] - 1) * fading
        today = row.interval_start.astimezone(ZoneInfo(zones[row.queue])).date()
        off = days_off[zones[row.queue]]
        if today in off:
            factor *= 0.65
        elif today - timedelta(days=1) in off:
            factor *= 1.15
        assert row.rate == pytest.approx(row.planned_rate * factor, rel=1e-9)


def test_the_calendar_holds_what_was_known_by_the_end_and_no_level_shift(grown: Simulation) -> None:
    calendar = frame(grown.calendar)
    assert set(calendar["kind"]) == {"promotion", "billing", "launch", "outage"}
    assert (calendar["known_at"] <= GROWN.until).all()
    assert (calendar["ends_at"] > calendar["starts_at"]).all()
    surprises = calendar["known_at"] > calendar["starts_at"]
    assert set(calendar.loc[surprises, "kind"]) == {"outage"}
    assert (calendar["starts_at"] > GROWN.until).any()


def test_the_true_rates_go_on_after_the_end(small: Simulation) -> None:
    volume = frame(small.truth.volume)
    ahead = volume[volume["interval_start"] >= UNTIL]
    assert len(ahead) == 5 * 24 * SMALL.ahead_days
    assert ahead["offered"].isna().all()
    assert ahead["rate"].sum() > 0


def test_patience_is_the_mean_of_what_the_truth_says() -> None:
    centre = simulate(replace(SMALL, day_factor_sd=0.0, customers=3_000), seed=9)
    rows = frame(centre.interactions).query("queue == 'support'").drop_duplicates("interaction_id")
    # Maximum likelihood under censoring: all time waited, over those who gave up.
    patience = rows["wait_seconds"].sum() / (rows["outcome"] == "abandoned").sum()
    assert patience == pytest.approx(240, rel=0.15)


def test_handle_times_are_log_normal_around_the_true_median(grown: Simulation) -> None:
    rows = frame(grown.interactions).drop_duplicates("interaction_id", keep="last")
    logs = np.log(rows[rows["queue"] == "billing"]["handle_seconds"].dropna())
    assert np.exp(logs.median()) == pytest.approx(350, rel=0.03)
    assert logs.std() == pytest.approx(0.55, rel=0.05)


def contacts_of(centre: Simulation) -> pd.DataFrame:
    rows = frame(centre.interactions).drop_duplicates("interaction_id", keep="last")
    return rows.dropna(subset=["customer_id"]).sort_values("started_at")


def test_orders_lead_contacts(grown: Simulation) -> None:
    contacts = contacts_of(grown)
    orders = frame(grown.purchases).query("kind == 'purchase'").drop_duplicates("purchase_id")
    pairs = orders.merge(contacts, on="customer_id")
    days = (pairs["started_at"] - pairs["purchased_at"]).dt.total_seconds() / 86_400
    after, before = days.between(1, 6).sum(), days.between(-6, -1).sum()
    assert after > 1.3 * before
    about = contacts[contacts["topic"] == ORDER_TOPIC]
    placed = orders.set_index("purchase_id")["purchased_at"]
    known = about[about["order_id"].isin(placed.index)]
    assert len(known) > 0.9 * len(about)
    assert (known["started_at"] > placed[known["order_id"]].to_numpy()).mean() > 0.99


def test_unresolved_contacts_are_repeated_sooner(grown: Simulation) -> None:
    contacts = contacts_of(grown)
    contacts["next"] = contacts.groupby("customer_id")["started_at"].shift(-1)
    soon = (contacts["next"] - contacts["started_at"]) < pd.Timedelta(days=5)
    settled = contacts["resolved"].eq(True)
    assert soon[~settled].mean() > 1.3 * soon[settled].mean()
    assert (contacts["topic"] == REPEAT_TOPIC).any()


def test_surveys_are_answered_rarely_and_rather_by_the_angry(grown: Simulation) -> None:
    calls = frame(grown.interactions).query("channel == 'voice' and outcome != 'abandoned'")
    answered = calls["csat"].notna()
    settled = calls["resolved"].astype(bool)
    assert answered.mean() < 0.15
    assert answered[~settled].mean() > 1.5 * answered[settled].mean()
    assert calls["csat"][settled].mean() > calls["csat"][~settled].mean() + 0.5


def test_bad_service_makes_customers_leave_sooner(grown: Simulation) -> None:
    churn = frame(grown.truth.churn).query("not has_left")
    base = frame(grown.truth.customers).set_index("customer_id")["leaving_per_day"]
    multiplier = churn["hazard_per_day"].to_numpy() / base[churn["customer_id"]].to_numpy()
    assert multiplier.min() > 0.39  # the campaign's action
    assert 1.2 < multiplier.mean() < 4
    assert multiplier.max() < np.exp(3.0) + 1e-9


def test_who_has_left_orders_no_more(grown: Simulation) -> None:
    customers = frame(grown.truth.customers).set_index("customer_id")
    orders = frame(grown.purchases).query("kind == 'purchase'")
    left = customers["left_at"][orders["customer_id"]].to_numpy()
    orders = orders.assign(left=pd.DatetimeIndex(left))
    gone = orders.dropna(subset=["left"])
    assert len(gone) > 0
    assert (gone["purchased_at"] < gone["left"]).all()


def test_no_purchase_equals_a_monte_carlo_estimate() -> None:
    rng = np.random.default_rng(1)
    ordering, leaving, days = 0.02, 0.01, 90.0
    order = rng.exponential(1 / ordering, 400_000)
    leave = rng.exponential(1 / leaving, 400_000)
    share = ((order > days) | (leave < order)).mean()
    got = no_purchase(np.array([ordering]), np.array([leaving]), days)[0]
    assert got == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 400_000))


def test_true_chances_come_true_on_average(grown: Simulation) -> None:
    churn = frame(grown.truth.churn).dropna(subset=["churned"])
    last = churn[churn["as_of"] == churn["as_of"].max()]
    churned = last["churned"].astype(float)
    error = np.sqrt((last["chance_seen"] * (1 - last["chance_seen"])).mean() / len(last))
    for chance in ("chance_state", "chance_seen"):
        assert abs(last[chance].mean() - churned.mean()) < 4 * error
    assert 0.2 < churned.mean() < 0.55


def test_the_truth_of_the_state_knows_more_than_can_be_seen(grown: Simulation) -> None:
    churn = frame(grown.truth.churn).dropna(subset=["churned"])
    last = churn[churn["as_of"] == churn["as_of"].max()]
    churned = last["churned"].astype(int)
    seen = roc_auc_score(churned, last["chance_seen"])
    assert 0.72 < seen < 0.87
    assert roc_auc_score(churned, last["chance_state"]) > seen + 0.03


def test_the_truth_agrees_with_the_purchases(grown: Simulation) -> None:
    churn = frame(grown.truth.churn)
    as_of = churn.dropna(subset=["churned"])["as_of"].max()
    told = churn[churn["as_of"] == as_of].set_index("customer_id")["churned"].astype(bool)
    bought = defaultdict(list)
    for row in frame(grown.purchases).query("kind == 'purchase'").itertuples():
        bought[row.customer_id].append(row.purchased_at)
    day = pd.Timedelta(days=1)
    active = {c for c, at in bought.items() if any(as_of - 180 * day <= t < as_of for t in at)}
    assert active == set(told.index)
    end = as_of + 90 * day
    silent = {c: not any(as_of <= t < end for t in bought[c]) for c in active}
    assert silent == told.to_dict()


def test_the_outcome_is_untold_where_the_horizon_ends_after_the_history(grown: Simulation) -> None:
    churn = frame(grown.truth.churn)
    known = churn.groupby("as_of")["churned"].apply(lambda c: c.notna().all())
    assert (known == (known.index + pd.Timedelta(days=90) <= GROWN.until)).all()


def test_the_campaign_is_randomised_and_helps_the_wounded_alone(grown: Simulation) -> None:
    truth, outreach = frame(grown.truth.campaign), frame(grown.outreach)
    assert set(outreach["arm"]) == {"treat", "control"}
    assert outreach["customer_id"].is_unique
    assert abs((outreach["arm"] == "treat").mean() - 0.5) < 4 * 0.5 / np.sqrt(len(outreach))
    gain = truth["chance_untreated"] - truth["chance_treated"]
    assert 0.01 < gain.mean() < 0.15
    assert gain.max() > 0.1
    assert (gain < 0).any()
    assert (gain == 0).any()
    balance = truth.groupby("arm")["chance_untreated"].mean()
    assert abs(balance["treat"] - balance["control"]) < 4 * np.sqrt(4 * 0.1 / len(truth))


def test_some_contacts_of_customers_carry_no_customer_id(small: Simulation) -> None:
    assert 0 < small.interactions["customer_id"].null_count < len(small.interactions)


def test_one_customer_and_the_shortest_history_suffice() -> None:
    centre = simulate(SimulationConfig(until=UNTIL, customers=1, days=28), seed=0)
    assert len(centre.customers) == 1
    assert len(centre.interactions) > 1_000


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"customers": 0}, "customers"),
        ({"days": 27}, "days"),
        ({"until": datetime(2026, 4, 15, 1, tzinfo=UTC)}, "until"),
        ({"bad_share": -0.1}, "bad_share"),
        ({"day_factor_memory": 1.0}, "day_factor_memory"),
    ],
)
def test_a_setting_out_of_range_is_named(change: dict[str, object], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(SMALL, **change)
    assert caught.value.field == field
