"""Planted leaks are caught by name, wherever they are planted; clean data raise no alarm."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import churn_world
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import real
from leakage_world import CONFIG, END, NOW, Column, Shop, Wrapped, home_of, put
from typer.testing import CliRunner

from features.errors import HorizonError
from features.home import Home
from features.intake.load import ingest
from features.intake.mapping import load_mapping
from features.lake.audit import copy_until, read_clocks
from features.lake.delta import Lake
from features.simulate import SOURCES, SimulationConfig, write
from features.store import FeatureStore
from training.__main__ import app
from training.config import ChurnConfig
from training.fit.churn import train_churn
from training.leakage import ranking, replay, splits
from training.leakage.audit import Audit, Wrap, audit_churn, audit_volume
from training.leakage.columns import ECHO, FEATURES, LATER_DATES, MISSING
from training.leakage.ranking import ONE_ROW
from training.leakage.splits import Fit, Part, audit_splits, judge_card, training_plan
from training.models.churn.history import load_history

HORIZON = timedelta(days=CONFIG.horizon_days)
SHOP = Shop()


def audited(home: Home, *, wrap: Wrap | None = None, now: datetime = NOW) -> Audit:
    return audit_churn(home, config=CONFIG, now=now, as_of=END, wrap=wrap)


def found(audit: Audit) -> set[str]:
    return {verdict.check for verdict in audit.leaks}


def clocks(home: Home) -> dict[str, int]:
    """Return the rows that contradict their clocks, by check."""
    lake = Lake(home.lake)
    verdicts = replay.judge_clocks(read_clocks(lake, versions=lake.versions()))
    return {v.check: sum(v.evidence["counts"].values()) for v in verdicts if v.passed is False}


def columns(**made: Column) -> Wrap:
    return lambda store: Wrapped(store, made)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return home_of(SHOP, tmp_path_factory.mktemp("shop"))


# --- clean data ---


def test_a_clean_shop_raises_no_alarm_and_every_check_is_judged(home: Home) -> None:
    audit = audited(home)
    assert found(audit) == set()
    assert [v.check for v in audit.verdicts if v.passed is None] == []
    assert len(audit.verdicts) == 16
    assert all(v.found for v in audit.verdicts)


@pytest.mark.parametrize("seed", range(2, 5))
def test_no_seed_or_size_of_a_clean_shop_raises_an_alarm(seed: int, tmp_path: Path) -> None:
    shop = Shop(seed=seed, customers=250 * seed, days=330 + 30 * seed)
    assert found(audited(home_of(shop, tmp_path))) == set()


def centre_of(folder: Path, *, customers: int, days: int, seed: int) -> Home:
    config = SimulationConfig(until=END, customers=customers, days=days)
    write(config, seed=seed, out=folder / "files")
    home = Home(folder / "home")
    for source in SOURCES:
        files = folder / "files" / source.name
        ingest(
            Lake(home.lake),
            source.table,
            now=NOW,
            files=[str(files / source.files)],
            mapping=load_mapping(files / "mapping.toml"),
        )
    return home


def test_a_small_simulated_centre_raises_no_alarm(tmp_path: Path) -> None:
    home = centre_of(tmp_path, customers=600, days=330, seed=1)
    churn = audit_churn(home, config=ChurnConfig(min_customers=50), now=NOW)
    assert (churn.leaks, audit_volume(home, now=NOW).leaks) == ((), ())
    assert sum(v.passed is True for v in churn.verdicts) == 16


@pytest.mark.parametrize(
    ("name", "table", "file"),
    [
        ("online_retail_ii", "purchases", "orders.parquet"),
        ("uci_incidents", "interactions", "incident_events.parquet"),
    ],
)
def test_real_data_raise_no_alarm(name: str, table: str, file: str, tmp_path: Path) -> None:
    home = Home(tmp_path)
    mapping = Path(__file__).parents[1] / "examples" / name / f"{table}.toml"
    ingest(
        Lake(home.lake),
        table,
        now=datetime(2018, 1, 1, tzinfo=UTC),
        files=[str(real.need(name) / file)],
        mapping=load_mapping(mapping),
    )
    audit = audit_churn(home, config=ChurnConfig(), now=datetime(2018, 1, 1, tzinfo=UTC))
    assert audit.leaks == ()
    assert {v.check for v in audit.verdicts if v.passed} >= {
        replay.FEATURE_REPLAY,
        replay.BACKDATED,
    }


def test_loads_as_they_come_and_dated_corrections_raise_no_alarm(tmp_path: Path) -> None:
    """Week by week, late rows with their own time, and corrections with the time they were made."""
    home, rows = Home(tmp_path / "home"), SHOP.purchases
    cut = pd.Timestamp(END) - pd.Timedelta(days=14)
    late = rows["purchased_at"].between(cut - pd.Timedelta(days=9), cut) & (rows.index % 9 == 0)
    told = rows["available_at"].where(~late, rows["available_at"] + pd.Timedelta(days=12))
    rows = rows.assign(available_at=told)
    first = rows[rows["available_at"] < cut]
    corrected = first.sample(60, random_state=1)
    corrected = corrected.assign(
        amount_minor=corrected["amount_minor"] + 1, available_at=cut + pd.Timedelta(days=1)
    )
    put(home, "purchases", first, folder=tmp_path, now=cut.to_pydatetime())
    rest = pd.concat([rows[rows["available_at"] >= cut], corrected])
    put(home, "purchases", rest, folder=tmp_path)
    assert clocks(home) == {}


def test_parts_of_one_history_loaded_one_after_the_other_raise_no_alarm(tmp_path: Path) -> None:
    home, rows = Home(tmp_path / "home"), SHOP.purchases
    for part in range(3):
        some = rows[rows.index % 3 == part]
        put(home, "purchases", some, folder=tmp_path, now=NOW + timedelta(minutes=part))
    assert clocks(home) == {}


def test_a_load_a_night_with_honest_clocks_raises_no_alarm(tmp_path: Path) -> None:
    """Each night brings what was written that day; a second queue's history comes once, late."""
    home, rows = Home(tmp_path / "home"), SHOP.interactions.tail(400)
    day = rows["available_at"].dt.floor("D")
    for night in day.unique()[-12:]:
        some = rows[day == night]
        put(home, "interactions", some, folder=tmp_path, now=night + timedelta(days=1, hours=1))
    other = rows.head(100).assign(queue="chat")
    other = other.assign(interaction_id=other["interaction_id"] + "c")
    put(home, "interactions", other, folder=tmp_path)
    assert clocks(home) == {}


# --- leaks in the data, through real ingest ---


def _shipped_ahead(shop: Shop) -> dict[str, pd.DataFrame]:
    rows = shop.purchases
    return {"purchases": rows.assign(shipped_at=rows["purchased_at"] + pd.Timedelta(days=3))}


def _resolved_at_once(shop: Shop) -> dict[str, pd.DataFrame]:
    rows = shop.interactions
    return {"interactions": rows.assign(available_at=rows["started_at"])}


def _handled_ahead(shop: Shop) -> dict[str, pd.DataFrame]:
    rows = shop.interactions.assign(handle_seconds=5 * 3600.0, resolved=None)
    return {"interactions": rows.assign(available_at=rows["started_at"] + pd.Timedelta(minutes=1))}


def _known_ahead(shop: Shop) -> dict[str, pd.DataFrame]:
    rows = shop.purchases
    ahead = rows["available_at"].where(
        rows.index % 50 > 0, rows["available_at"] - pd.Timedelta(days=30)
    )
    return {"purchases": rows.assign(available_at=ahead)}


@pytest.mark.parametrize(
    ("plant", "check"),
    [
        (_shipped_ahead, replay.STATES),
        (_resolved_at_once, replay.STATES),
        (_handled_ahead, replay.STATES),
        (_known_ahead, replay.EARLY),
    ],
)
def test_a_last_state_that_is_said_to_be_known_at_the_event_is_caught(
    plant: Callable[[Shop], dict[str, pd.DataFrame]], check: str, tmp_path: Path
) -> None:
    assert found(audited(home_of(SHOP, tmp_path, **plant(SHOP)))) == {check}


@pytest.mark.parametrize("share", [0.005, 0.1])
def test_late_rows_dated_back_to_the_event_are_caught(share: float, tmp_path: Path) -> None:
    home, rows = Home(tmp_path / "home"), SHOP.purchases
    late = rows.sample(frac=share, random_state=3)
    put(home, "purchases", rows.drop(late.index), folder=tmp_path)
    put(home, "purchases", late, folder=tmp_path, now=NOW + timedelta(days=5))
    # The very first and last row may fall out of what the first load spans.
    assert clocks(home) == {replay.BACKDATED: pytest.approx(len(late), abs=2)}
    assert found(audited(home, now=NOW + timedelta(days=6))) == {replay.BACKDATED}


def test_corrections_that_overwrite_are_caught(tmp_path: Path) -> None:
    home = home_of(SHOP, tmp_path)
    rows = SHOP.purchases.sample(40, random_state=4)
    corrected = rows.assign(amount_minor=rows["amount_minor"] + 100)
    put(home, "purchases", corrected, folder=tmp_path, now=NOW + timedelta(minutes=5))
    assert clocks(home) == {replay.OVERWRITTEN: 40}
    assert found(audited(home, now=NOW + timedelta(days=1))) == {replay.OVERWRITTEN}


def test_a_customer_who_is_known_before_joining_is_caught(tmp_path: Path) -> None:
    home = home_of(SHOP, tmp_path)
    joined = SHOP.purchases.groupby("customer_id", as_index=False)["purchased_at"].min()
    people = joined.rename(columns={"purchased_at": "joined_at"}).assign(segment="gone")
    start = SHOP.purchases["purchased_at"].min()
    put(home, "customers", people.assign(available_at=start), folder=tmp_path)
    audit = audited(home)
    assert found(audit) == {replay.STATES}
    assert "`customers.joined_at`" in audit.leaks[0].found


def test_labels_of_a_window_that_the_purchases_do_not_reach_are_caught(tmp_path: Path) -> None:
    """Contacts go on, purchases were last loaded 45 days ago: everybody seems to have left."""
    cut = pd.Timestamp(END) - pd.Timedelta(days=45)
    rows = SHOP.purchases[SHOP.purchases["purchased_at"] < cut]
    audit = audited(home_of(SHOP, tmp_path, purchases=rows))
    assert splits.COMPLETE in found(audit)


# --- leaks in features, in a source of the user's own ---


def _label(at: datetime, frame: pd.DataFrame, _store: FeatureStore) -> np.ndarray:
    return SHOP.left(at).reindex(frame.index).fillna(False).to_numpy(dtype=float)


def _noise(name: str, at: datetime, n: int) -> np.random.Generator:
    return np.random.default_rng([len(name), int(at.timestamp()), n])


def _flipped(share: float) -> Column:
    def column(at: datetime, frame: pd.DataFrame, store: FeatureStore) -> np.ndarray:
        rng = _noise("flipped", at, len(frame))
        return np.abs(_label(at, frame, store) - (rng.random(len(frame)) < share))

    return column


def _blurred(spread: float) -> Column:
    def column(at: datetime, frame: pd.DataFrame, store: FeatureStore) -> np.ndarray:
        rng = _noise("blurred", at, len(frame))
        return _label(at, frame, store) + spread * rng.normal(size=len(frame))

    return column


def _empty(of_leavers: float, of_stayers: float) -> Column:
    def column(at: datetime, frame: pd.DataFrame, store: FeatureStore) -> np.ndarray:
        rng = _noise("empty", at, len(frame))
        chance = np.where(_label(at, frame, store) == 1, of_leavers, of_stayers)
        return np.where(rng.random(len(frame)) < chance, np.nan, rng.normal(size=len(frame)))

    return column


def _bought(first: int, last: int) -> Column:
    """Purchases from so many days after the as-of to so many, of all that the shop ever sold."""

    def column(at: datetime, frame: pd.DataFrame, _store: FeatureStore) -> np.ndarray:
        days = (SHOP.purchases["purchased_at"] - at) / pd.Timedelta(days=1)
        some = SHOP.purchases.loc[days.between(first, last), "customer_id"].value_counts()
        return some.reindex(frame.index).fillna(0).to_numpy(dtype=float)

    return column


@pytest.mark.parametrize(
    ("name", "made", "checks"),
    [
        ("label", {"x": _label}, {ECHO, FEATURES}),
        ("copies of the label", {"x": _label, "y": _label}, {ECHO, FEATURES}),
        ("a tenth flipped", {"x": _flipped(0.1)}, {FEATURES}),
        ("a fifth flipped", {"x": _flipped(0.2)}, {FEATURES}),
        ("blurred", {"x": _blurred(0.8)}, {FEATURES}),
        ("blurred twice", {"x": _blurred(0.8), "y": _flipped(0.2)}, {FEATURES}),
        ("empty for all who leave", {"x": _empty(1.0, 0.0)}, {ECHO, MISSING}),
        ("empty for most who leave", {"x": _empty(0.7, 0.15)}, {MISSING}),
        ("window ahead", {"x": _bought(0, 30)}, {FEATURES}),
        ("window ahead, twice", {"x": _bought(0, 30), "y": _bought(0, 45)}, {FEATURES}),
    ],
)
def test_a_feature_made_of_the_future_is_caught_where_no_replay_can_see_it(
    home: Home, name: str, made: dict[str, Column], checks: set[str]
) -> None:
    """The columns come from elsewhere than the store, so a lake cut short does not change them."""
    audit = audited(home, wrap=columns(**made))
    assert found(audit) == checks, name
    text = " ".join(v.found for v in audit.leaks)
    assert all(f"`{column}`" in text for column in made)
    assert not any(f"`{column}`" in text for column in ("purchase_recency_days", "purchases_90d"))


def _of_store(at: datetime, frame: pd.DataFrame, store: FeatureStore) -> np.ndarray:
    """Purchases from 30 days before the as-of to 3 after, as a careless query would count them."""
    later = store.customers([at + timedelta(days=3)]).to_pandas().set_index("customer_id")
    return later["purchases_30d"].reindex(frame.index).to_numpy(dtype=float)


def _centre_mean(at: datetime, frame: pd.DataFrame, store: FeatureStore) -> np.ndarray:
    """The centre's mean purchases of the months ahead: one number for everybody."""
    later = store.customers([at + timedelta(days=90)]).to_pandas()
    return np.full(len(frame), later["purchases_90d"].mean())


def _encoded(at: datetime, frame: pd.DataFrame, store: FeatureStore) -> np.ndarray:
    """The mean label of each group of customers over all dates that the store knows."""
    dates = [END - timedelta(days=60 + 30 * i) for i in range(8)]
    labels = store.labels(dates, horizon_days=60, active_days=120).to_pandas()
    group = labels["customer_id"].str[-2:]
    means = labels.groupby(group)["churned"].mean()
    return means.reindex(frame.index.str[-2:]).to_numpy(dtype=float)


@pytest.mark.parametrize("column", [_of_store, _centre_mean, _encoded])
def test_a_feature_that_reaches_past_its_as_of_in_the_store_is_caught_by_replay(
    home: Home, column: Column
) -> None:
    audit = audited(home, wrap=columns(reaching=column))
    assert replay.FEATURE_REPLAY in found(audit)
    (verdict,) = [v for v in audit.leaks if v.check == replay.FEATURE_REPLAY]
    assert "`reaching`" in verdict.found
    assert set(verdict.evidence["changed"]) == {"reaching"}


def test_an_encoding_of_customers_own_labels_that_fails_on_later_dates_is_caught(
    home: Home,
) -> None:
    """The mean label of each customer over the dates learnt from, blind to the last ones."""
    dates = [END - timedelta(days=120 + 30 * i) for i in range(5)]
    means = pd.concat([SHOP.left(at) for at in dates], axis=1).mean(axis=1)
    rng = np.random.default_rng(1)
    shuffled = pd.Series(rng.permutation(means.to_numpy()), index=means.index)

    def column(at: datetime, frame: pd.DataFrame, _store: FeatureStore) -> np.ndarray:
        fitted = means if at in dates else shuffled
        return fitted.reindex(frame.index).to_numpy(dtype=float)

    audit = audited(home, wrap=columns(encoded=column))
    assert LATER_DATES in found(audit)
    assert "`encoded`" in " ".join(v.found for v in audit.leaks if v.check == LATER_DATES)


class Early(Wrapped):
    """Everybody who will ever buy stands in every date's table."""

    def customers(self, as_ofs: list[datetime]) -> pa.Table:  # type: ignore[override]
        everybody = self.store.customers([END])["customer_id"]
        parts = []
        for at in sorted(set(as_ofs)):
            now = self.store.customers([at]).to_pandas().set_index("customer_id")
            frame = now.reindex(everybody.to_pylist()).reset_index(names="customer_id")
            frame["as_of"] = pd.Series(at, index=frame.index, dtype="datetime64[s, UTC]")
            parts.append(pa.Table.from_pandas(frame, preserve_index=False))
        return pa.concat_tables(parts)


def test_customers_who_only_exist_in_the_future_are_caught(home: Home) -> None:
    audit = audited(home, wrap=Early)
    assert found(audit) == {replay.FEATURE_REPLAY}
    assert audit.leaks[0].evidence["customers_from_the_future"] > 100


class Twice(Wrapped):
    """A join that gives some customers two rows."""

    def customers(self, as_ofs: list[datetime]) -> pa.Table:  # type: ignore[override]
        table = self.store.customers(as_ofs)
        return pa.concat_tables([table, table.slice(0, 7)])


def test_a_customer_with_two_rows_at_one_date_is_caught(home: Home) -> None:
    audit = audited(home, wrap=Twice)
    assert ONE_ROW in found(audit)


def _by_outcome(shop: Shop) -> dict[str, str]:
    """Return ids given out in the order of who had left when the export was made."""
    left = shop.left(END - HORIZON)
    rng = np.random.default_rng(5)
    order = sorted(left.index, key=lambda id: left[id] + 0.5 * rng.random())
    names = {id: f"k{place:05d}" for place, id in enumerate(order)}
    rest = sorted(set(shop.purchases["customer_id"]) - set(names))
    return names | {id: f"k{len(names) + place:05d}" for place, id in enumerate(rest)}


def test_ids_given_out_by_outcome_are_caught(tmp_path: Path) -> None:
    names = _by_outcome(SHOP)
    rows = {
        name: frame.assign(customer_id=frame["customer_id"].map(names))
        for name, frame in (("purchases", SHOP.purchases), ("interactions", SHOP.interactions))
    }
    audit = audited(home_of(SHOP, tmp_path, **rows))
    assert found(audit) == {ranking.ORDER}
    assert "order of ids" in audit.leaks[0].found


class Sorted(Wrapped):
    """Rows that stand in the order of their labels."""

    def customers(self, as_ofs: list[datetime]) -> pa.Table:  # type: ignore[override]
        parts = []
        for at in sorted(set(as_ofs)):
            table = self.store.customers([at])
            left = SHOP.left(at).reindex(table["customer_id"].to_pylist()).fillna(False)
            order = np.argsort(left.to_numpy(dtype=int), kind="stable")
            parts.append(table.take(pa.array(order)))
        return pa.concat_tables(parts)


def test_rows_sorted_by_the_label_are_caught(home: Home) -> None:
    audit = audited(home, wrap=Sorted)
    assert found(audit) == {ranking.ORDER}
    assert "order of rows" in audit.leaks[0].found


# --- leaks in the splits ---


@pytest.fixture(scope="module")
def plan(home: Home) -> tuple[Fit, ...]:
    with FeatureStore(home, threads=1) as store:
        history = load_history(store, as_of=END, config=CONFIG, progress=lambda _share: None)
    return training_plan(history, config=CONFIG)


def judged(plan: tuple[Fit, ...], *, known_until: datetime = END) -> set[str]:
    verdicts = audit_splits(plan, horizon=HORIZON, known_until=known_until)
    return {verdict.check for verdict in verdicts if verdict.passed is False}


def test_the_plan_of_training_itself_is_clean_and_whole(plan: tuple[Fit, ...]) -> None:
    assert judged(plan) == set()
    assert [len(fit.test) for fit in plan] == [1] * CONFIG.test_dates + [0]
    assert all(fit.learn and fit.calibrate and fit.held_out for fit in plan[:1])


def test_a_random_split_of_one_label_window_is_caught(plan: tuple[Fit, ...]) -> None:
    at = plan[0].test[0].at
    one, other = frozenset({"a", "b"}), frozenset({"c"})
    random = replace(plan[0], learn=(Part(at, one),), test=(Part(at, other),))
    assert splits.APART in judged((random,))


@pytest.mark.parametrize("days", [1, 30, 59])
def test_a_gap_shorter_than_the_horizon_is_caught(plan: tuple[Fit, ...], days: int) -> None:
    at = plan[0].test[0].at - timedelta(days=days)
    short = replace(plan[0], learn=(Part(at), *plan[0].learn))
    assert judged((short,)) >= {splits.GAP, splits.COMPLETE}
    held = replace(plan[0], held_out=(Part(plan[0].calibrate[0].at - timedelta(days=days)),))
    assert splits.GAP in judged((held,))


def test_the_same_customers_on_both_sides_of_one_window_are_caught(plan: tuple[Fit, ...]) -> None:
    at = plan[0].test[0].at
    learn = Part(at - timedelta(days=20), frozenset({"a", "b"}))
    both = replace(plan[0], learn=(learn,), test=(Part(at, frozenset({"b", "c"})),))
    assert splits.TWICE in judged((both,))
    apart = replace(both, test=(Part(at, frozenset({"c"})),))
    assert splits.TWICE not in judged((apart,))


def test_a_calibration_on_the_window_that_is_tested_is_caught(plan: tuple[Fit, ...]) -> None:
    wrong = replace(plan[0], calibrate=(plan[0].test[0],))
    assert splits.CALIBRATION in judged((wrong,))


def test_labels_that_were_not_complete_are_caught(plan: tuple[Fit, ...]) -> None:
    published = plan[-1]
    early = replace(published, learn=(Part(END - timedelta(days=10)), *published.learn))
    assert judged((early,)) == {splits.COMPLETE}
    assert judged(plan, known_until=END - timedelta(days=20)) == {splits.COMPLETE}


CARD = {
    "as_of": "2026-03-02T00:00:00+00:00",
    "training_end": "2026-03-02T00:00:00+00:00",
    "config": {"horizon_days": 60},
    "backtest": [
        {"as_of": "2026-01-01T00:00:00+00:00", "gap_days": 0,
         "calibrated_on": ["2025-11-02T00:00:00+00:00"]},
    ],
    "calibration": {
        "calibrated_on": ["2026-01-01T00:00:00+00:00"], "learnt_on": ["2025-11-02T00:00:00+00:00"],
    },
}  # fmt: skip


def test_the_card_of_a_bundle_is_judged_by_the_dates_it_tells() -> None:
    assert judge_card(CARD).passed is True
    assert judge_card({"metrics": {}}).passed is None
    near = {**CARD["backtest"][0], "gap_days": -20}  # type: ignore[index]
    assert splits.GAP in judge_card({**CARD, "backtest": [near]}).found
    same = {**CARD["backtest"][0], "calibrated_on": ["2026-01-01T00:00:00+00:00"]}  # type: ignore[index]
    assert splits.CALIBRATION in judge_card({**CARD, "backtest": [same]}).found
    beyond = {**CARD, "training_end": "2026-03-20T00:00:00+00:00"}
    assert splits.COMPLETE in judge_card(beyond).found


# --- volume, and the fit itself ---


class Peeking:
    """A store whose histories hold the week after the as-of."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def volume(self, as_of: datetime) -> object:
        return self._store.volume(as_of + timedelta(days=7))


def test_histories_that_reach_past_the_as_of_are_caught_by_replay(
    home: Home, tmp_path: Path
) -> None:
    at, lake = END - timedelta(days=28), Lake(home.lake)
    copy_until(lake, Lake(tmp_path / "lake"), versions=lake.versions(), at=at, now=NOW)
    with FeatureStore(home) as whole, FeatureStore(Home(tmp_path)) as past:
        assert replay.replayed_volume(whole, past, at=at).passed is True
        verdict = replay.replayed_volume(Peeking(whole), Peeking(past), at=at)  # type: ignore[arg-type]
    assert verdict.evidence["changed"] == ["queue `phone`"]


class Telling(churn_world.Shop):
    """Features among which the label stands."""

    def customers(self, as_ofs: Sequence[datetime]) -> pa.Table:
        rows = super().customers(as_ofs)
        labels = self.labels(as_ofs, horizon_days=60, active_days=10_000).to_pandas()
        left = labels.set_index(["customer_id", "as_of"])["churned"]
        keys = rows.select(["customer_id", "as_of"]).to_pandas()
        values = left.reindex(pd.MultiIndex.from_frame(keys)).to_numpy(dtype=float)
        return rows.append_column("gone", pa.array(values))


def test_a_fit_warns_of_a_feature_that_is_the_label(tmp_path: Path) -> None:
    trained = train_churn(
        Telling(), as_of=churn_world.AS_OF, config=churn_world.SMALL, root=tmp_path,
        now=churn_world.NOW,
    )  # fmt: skip
    (said,) = [warning for warning in trained.warnings if warning.startswith("leak")]
    assert "`gone` tells churners from stayers" in said


# --- the command ---


def masked(text: str) -> list[str]:
    """Return lines whose numbers and widths do not count."""
    lines = (" ".join(re.sub(r"\d[\d.,]*", "#", line).split()) for line in text.splitlines())
    return [line for line in lines if line.strip("─ ")]


def test_the_document_shows_what_the_command_prints_for_a_clean_centre(tmp_path: Path) -> None:
    home = centre_of(tmp_path, customers=1500, days=420, seed=2)
    told = CliRunner().invoke(app, ["leakage", "--home", str(home.root)])
    assert told.exit_code == 0
    document = (Path(__file__).parents[1] / "docs" / "training.md").read_text()
    shown = document.split("<!-- leakage:")[1].split("<!-- leakage end")[0].split("```")[1]
    assert masked(told.stdout) == masked(shown)
    for check in re.findall(r"^ ([a-z ]+?)  ", told.stdout, re.MULTILINE):
        assert check in document.split("leakage end")[1], check


def test_the_command_ends_with_3_where_it_finds_a_leak_and_says_what_to_do(tmp_path: Path) -> None:
    home = home_of(SHOP, tmp_path, **_resolved_at_once(SHOP))
    config = tmp_path / "training.toml"
    config.write_text("[churn]\nhorizon_days = 60\nactive_days = 120\nmin_customers = 50\n")
    words = ["leakage", "--home", str(home.root), "--config", str(config)]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 3
    assert "last state as known at the event" in told.stdout
    assert "its last state was written" in told.stdout
    document = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert document["leaks"] == 1
    (leak,) = [check for check in document["checks"] if check["passed"] is False]
    assert leak["evidence"]["counts"] == {"interactions.result": len(SHOP.interactions)}
    allowed = CliRunner().invoke(app, [*words, "--allow", replay.STATES])
    assert (allowed.exit_code, "allowed" in allowed.stdout) == (0, True)


def test_an_as_of_in_the_future_is_refused(home: Home) -> None:
    with pytest.raises(HorizonError, match="in the future"):
        audit_churn(home, config=CONFIG, now=NOW, as_of=NOW + timedelta(days=1))


def test_too_little_history_is_not_judged_and_says_why(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    rows = SHOP.purchases[SHOP.purchases["purchased_at"] > pd.Timestamp(END - timedelta(days=40))]
    put(home, "purchases", rows, folder=tmp_path)
    audit = audited(home)
    assert audit.leaks == ()
    (why,) = {v.found for v in audit.verdicts if v.passed is None}
    assert "at least 180 days" in why
    assert {v.check for v in audit.verdicts if v.passed} == {
        replay.EARLY, replay.STATES, replay.BACKDATED, replay.OVERWRITTEN, replay.FEATURE_REPLAY,
    }  # fmt: skip
