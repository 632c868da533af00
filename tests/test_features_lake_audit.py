"""A lake cut at a moment holds what was known then, and the clocks of its rows can be counted."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from features_rows import T0, at, contact, load, purchase

from features.home import Home
from features.lake.audit import Clocks, copy_until, last_purchase, read_clocks
from features.lake.delta import Lake
from features.store import FeatureStore


def cut(home: Home, folder: Path, moment: datetime) -> Lake:
    lake, to = Lake(home.lake), Lake(folder)
    copy_until(lake, to, versions=lake.versions(), at=moment, now=T0)
    return to


def rows_of(lake: Lake, table: str, *names: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(row[name] for name in names) for row in lake.read(table).to_pylist())


def test_a_cut_lake_lacks_what_came_or_was_known_later(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    load(
        home,
        {
            "purchases": [
                purchase("before", "a", at(-2)),
                purchase("at the moment", "a", at(0)),
                purchase("told later", "a", at(-2), available_at=at(1)),
                purchase("told at it", "a", at(-2), available_at=at(0)),
            ]
        },
    )
    assert rows_of(cut(home, tmp_path / "cut", T0), "purchases", "purchase_id") == [
        ("before",),
        ("told at it",),
    ]


def test_a_cut_lake_ends_a_row_s_life_and_empties_moments_that_had_not_come(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    load(
        home,
        {
            "purchases": [
                purchase("open", "a", at(-2), superseded_at=at(1), shipped_at=at(2)),
                purchase("over", "a", at(-2), superseded_at=at(-1), shipped_at=at(-1)),
            ],
            "customers": [{"customer_id": "a", "joined_at": at(3), "available_at": at(-3)}],
        },
    )
    lake = cut(home, tmp_path / "cut", T0)
    assert rows_of(lake, "purchases", "purchase_id", "superseded_at", "shipped_at") == [
        ("open", None, None),
        ("over", at(-1), at(-1)),
    ]
    assert rows_of(lake, "customers", "customer_id", "joined_at") == [("a", None)]


def test_events_that_were_known_ahead_stay_in_a_cut_lake(tmp_path: Path) -> None:
    event = {"kind": "promotion", "starts_at": at(5), "ends_at": at(6)}
    home = Home(tmp_path / "home")
    load(
        home,
        {
            "calendar": [
                {"event_id": "told", "known_at": at(-1), "available_at": at(-1), **event},
                {"event_id": "new", "known_at": at(1), "available_at": at(1), **event},
            ]
        },
    )
    lake = cut(home, tmp_path / "cut", T0)
    assert rows_of(lake, "calendar", "event_id", "ends_at") == [("told", at(6))]


def test_features_of_a_cut_lake_are_those_of_the_whole_one(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    load(
        home,
        {
            "purchases": [purchase(f"p{k}", f"c{k % 3}", at(-9 + k)) for k in range(15)],
            "interactions": [contact(f"i{k}", f"c{k % 4}", at(-7.5 + k)) for k in range(12)],
        },
    )
    cut(home, tmp_path / "cut" / "lake", T0)
    with FeatureStore(home) as whole, FeatureStore(Home(tmp_path / "cut")) as past:
        one, other = whole.customers([T0]), past.customers([T0])
    assert len(one) == 4
    assert one.equals(other)


def clocks(home: Home) -> dict[str, Clocks]:
    lake = Lake(home.lake)
    return {found.table: found for found in read_clocks(lake, versions=lake.versions())}


def test_rows_that_contradict_their_clocks_are_counted(tmp_path: Path) -> None:
    home, later = Home(tmp_path), {"load_id": "b", "loaded_at": at(9)}
    first = {"load_id": "a", "loaded_at": at(1)}
    load(
        home,
        {
            "purchases": [
                purchase("first", "a", at(-9), **first),
                purchase("early", "a", at(-2), available_at=at(-3), **first),
                purchase("ahead", "a", at(-4), shipped_at=at(-1), **first),
                purchase("lost", "a", at(-5), superseded_at=at(-5), **first),
                purchase("lost", "a", at(-5), amount_minor=5, **later),
                purchase("honest", "a", at(-5), available_at=at(8), **later),
                purchase("new", "a", at(5), **later),
            ],
            "interactions": [
                contact("ends later", "a", at(-3), handle_seconds=3 * 3600.0, **first),
                contact("an hour", "a", at(-3), handle_seconds=3600.0, **first),
                contact("at once", "a", at(-3), resolved=True, **first),
                contact("in time", "a", at(-3), resolved=True, available_at=at(-2), **first),
            ],
        },
    )
    found = clocks(home)
    purchases, contacts = found["purchases"], found["interactions"]
    assert (purchases.rows, purchases.early, purchases.overwritten) == (7, 1, 1)
    assert purchases.states == {"confirmed_at": 0, "shipped_at": 1, "completed_at": 0}
    assert purchases.backdated == 1  # the winner of `lost`; `honest` says when it came
    assert (contacts.unended, contacts.results, contacts.settled) == (1, 2, 1)


def test_the_last_purchase_and_the_longest_silence_are_told(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    days = (-20, -13, -12, -2)
    returned = purchase("r", "a", at(-1), kind="return")
    load(home, {"purchases": [*(purchase(f"p{d}", "a", at(d)) for d in days), returned]})
    lake = Lake(home.lake)
    assert last_purchase(lake, versions=lake.versions()) == (T0 - timedelta(days=2), 10)
    assert last_purchase(Lake(tmp_path / "none"), versions={}) == (None, 0)
