import itertools
import math
from collections import Counter, defaultdict
from datetime import timedelta
from pathlib import Path

import ibis
import pytest
from features_rows import T0, at, contact, load, purchase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.contracts.tables import CUSTOMERS, INTERACTIONS, PURCHASES
from features.customers import features
from features.customers.aggregates import (
    Histories,
    contact_rows,
    customer_facts,
    people_rows,
    purchase_rows,
)
from features.customers.features import CARRIED_NAMES, FEATURE_NAMES, FEATURES, customer_features
from features.customers.formulas import Feature, count
from features.engine.as_of import written
from features.engine.protocol import schema_of
from features.errors import ConfigError, InputError
from features.home import Home
from features.store import FeatureStore

DAYS = (7, 30, 90, 180, 365)


def features_of(folder, tables, as_ofs=(T0,)):
    home = Home(folder)
    load(home, tables)
    with FeatureStore(home, threads=1) as store:
        return store.customers(list(as_ofs))


def one(folder, tables, who="a"):
    rows = {row["customer_id"]: row for row in features_of(folder, tables).to_pylist()}
    return rows[who]


# --- the oracle: every feature by loops over plain Python rows -------------------------------


def visible(rows, when, now):
    return [
        row
        for row in rows
        if row[when] < now
        and row["available_at"] <= now
        and (row.get("superseded_at") is None or row["superseded_at"] > now)
    ]


def days_between(later, earlier):
    return (later.replace(microsecond=0) - earlier.replace(microsecond=0)).total_seconds() / 86400


def mean(values):
    return sum(values) / len(values) if values else None


def oracle(tables, now):  # noqa: C901 # one loop a feature is what makes it independent
    calls = [r for r in visible(tables["interactions"], "started_at", now) if r["customer_id"]]
    sales = visible(tables["purchases"], "purchased_at", now)
    people = [
        r
        for r in tables["customers"]
        if r["available_at"] <= now and (r.get("superseded_at") is None or r["superseded_at"] > now)
    ]

    def settled(r):
        by_outcome = {"resolved": True, "open": False}.get(r["outcome"])
        return by_outcome if r.get("resolved") is None else r["resolved"]

    any_settled = any(
        settled(r) is not None and r["started_at"] >= now - timedelta(days=365) for r in calls
    )
    any_topics = any(
        r.get("topic") is not None and r["started_at"] >= now - timedelta(days=90) for r in calls
    )

    def seen(r, step):
        s = r.get(step)
        # Whole seconds on both sides, as the features count.
        return (
            r["kind"] in ("purchase", "renewal")
            and s is not None
            and s < now
            and s.replace(microsecond=0) >= r["purchased_at"].replace(microsecond=0)
        )

    def shipped(r):
        return seen(r, "shipped_at")

    def took(rows, step):
        return [days_between(r[step], r["purchased_at"]) * 24 for r in rows if seen(r, step)]

    lately = [r for r in sales if r["purchased_at"] >= now - timedelta(days=365)]
    any_shipped = any(shipped(r) for r in lately)
    any_delivered = any_shipped or any(seen(r, "completed_at") for r in lately)
    any_discounts = any(
        (r.get("discount_minor") or 0) > 0 and r["kind"] in ("purchase", "renewal") for r in lately
    )
    any_categories = any(
        r.get("category") is not None and r["kind"] in ("purchase", "renewal") for r in lately
    )
    usual = {step: mean(took(lately, step)) for step in ("shipped_at", "completed_at")}

    def late(r):
        if shipped(r) and took([r], "shipped_at")[0] > 2 * usual["shipped_at"]:
            return True
        if usual["completed_at"] is None:
            return False
        if seen(r, "completed_at"):
            return took([r], "completed_at")[0] > 2 * usual["completed_at"]
        return shipped(r) and days_between(now, r["purchased_at"]) * 24 > 2 * usual["completed_at"]

    everybody = {r["customer_id"] for r in (*calls, *sales, *people)}
    found = {}
    for who in everybody:
        mine = sorted((r for r in calls if r["customer_id"] == who), key=lambda r: r["started_at"])
        own = [r for r in sales if r["customer_id"] == who]
        bought = sorted(
            (r for r in own if r["kind"] in ("purchase", "renewal")),
            key=lambda r: r["purchased_at"],
        )
        f = {}

        def recent(rows, column, d):
            return [r for r in rows if r[column] >= now - timedelta(days=d)]

        def count(name, value, known):
            f[name] = float(value) if known else None  # noqa: B023

        for d in DAYS:
            count(f"purchases_{d}d", len(recent(bought, "purchased_at", d)), sales)
            spend = sum(r["amount_minor"] for r in recent(bought, "purchased_at", d))
            count(f"spend_minor_{d}d", spend, sales)
            count(f"contacts_{d}d", len(recent(mine, "started_at", d)), calls)
        count("purchases_ever", len(bought), sales)
        count("spend_minor_ever", sum(r["amount_minor"] for r in bought), sales)
        count("contacts_ever", len(mine), calls)
        count(
            "purchases_year_ago_90d",
            len(recent(bought, "purchased_at", 365)) - len(recent(bought, "purchased_at", 275)),
            sales,
        )
        terms = [r["term_ends_at"] for r in bought if r.get("term_ends_at") is not None]
        f["term_left_days"] = days_between(max(terms), now) if terms else None
        some = recent(bought, "purchased_at", 365) if any_discounts else []
        off = [r.get("discount_minor") or 0 for r in some]
        asked = sum(off) + sum(r["amount_minor"] for r in some)
        f["discount_share_365d"] = sum(off) / asked if asked else None
        f["discounted_share_365d"] = mean([money > 0 for money in off])
        named = [r for r in recent(bought, "purchased_at", 365) if r.get("category") is not None]
        shelf = Counter(r["category"] for r in named)
        count("categories_365d", len(shelf), any_categories)
        f["category_main_share_365d"] = max(shelf.values()) / shelf.total() if shelf else None
        f["category_last_new_365d"] = None
        if len(named) >= 2:
            whole = [r["purchased_at"].replace(microsecond=0) for r in named]
            latest = {r["category"] for r, t in zip(named, whole, strict=True) if t == max(whole)}
            before = {r["category"] for r, t in zip(named, whole, strict=True) if t < max(whole)}
            f["category_last_new_365d"] = float(bool(latest - before))
        f["confirm_hours_90d"] = mean(took(recent(bought, "purchased_at", 90), "confirmed_at"))
        for d in (90, 365):
            some = recent(bought, "purchased_at", d)
            f[f"order_minor_{d}d"] = mean([r["amount_minor"] for r in some])
            f[f"ship_hours_{d}d"] = mean(took(some, "shipped_at"))
            f[f"complete_hours_{d}d"] = mean(took(some, "completed_at"))
            count(f"late_orders_{d}d", sum(late(r) for r in some), any_delivered)
            back = [r for r in recent(own, "purchased_at", d) if r["kind"] == "return"]
            count(f"returns_{d}d", len(back), sales)
            some = recent(mine, "started_at", d)
            f[f"wait_seconds_{d}d"] = mean(
                [r["wait_seconds"] for r in some if r.get("wait_seconds") is not None]
            )
            f[f"csat_{d}d"] = mean([r["csat"] for r in some if r.get("csat") is not None])
        year = recent(own, "purchased_at", 365)
        count(
            "returned_minor_365d",
            sum(-r["amount_minor"] for r in year if r["kind"] == "return"),
            sales,
        )
        spent = f["spend_minor_365d"]
        f["returned_share_365d"] = f["returned_minor_365d"] / spent if spent else None
        count("cancellations_365d", sum(r["kind"] == "cancellation" for r in year), sales)
        f["order_items_365d"] = mean(
            [r["items"] for r in recent(bought, "purchased_at", 365) if r.get("items") is not None]
        )
        f["order_minor_largest"] = max((r["amount_minor"] for r in bought), default=None)
        count(
            "unshipped_30d",
            sum(not shipped(r) for r in recent(bought, "purchased_at", 30)),
            any_shipped,
        )
        f["purchase_recency_days"] = (
            days_between(now, bought[-1]["purchased_at"]) if bought else None
        )
        f["purchase_first_days"] = days_between(now, bought[0]["purchased_at"]) if bought else None
        dates = sorted({r["purchased_at"].date() for r in bought})
        gaps = [(b - a).days for a, b in itertools.pairwise(dates)]
        count("purchase_days_ever", len(dates), sales)
        f["gap_days_mean"] = mean(gaps)
        f["gap_days_last"] = float(gaps[-1]) if gaps else None
        f["gap_days_std"] = None
        if len(gaps) >= 2:
            f["gap_days_std"] = math.sqrt(mean([(g - mean(gaps)) ** 2 for g in gaps]))
        f["gap_days_variation"] = f["gap_days_std"] / mean(gaps) if len(gaps) >= 2 else None
        f["gap_days_last_ratio"] = gaps[-1] / mean(gaps) if len(gaps) >= 2 else None
        f["recency_over_gap"] = f["purchase_recency_days"] / mean(gaps) if gaps else None
        for name, total in (
            ("purchase", "purchases"),
            ("spend", "spend_minor"),
            ("contact", "contacts"),
        ):
            short, long = f[f"{total}_90d"], f[f"{total}_365d"]
            f[f"{name}_trend"] = short / 90 / (long / 365) if long else None
            for s, d in ((7, 30), (30, 90), (180, 365))[name != "contact" :]:
                short, long = f[f"{total}_{s}d"], f[f"{total}_{d}d"]
                f[f"{name}_trend_{s}d_{d}d"] = short / s / (long / d) if long else None
        for d in (30, 90, 365):
            some = recent(mine, "started_at", d)
            for name, channels in (
                ("voice", {"voice"}),
                ("chat", {"chat", "message"}),
                ("email", {"email"}),
            ):
                count(f"contacts_{name}_{d}d", sum(r["channel"] in channels for r in some), calls)
            count(f"abandoned_{d}d", sum(r["outcome"] == "abandoned" for r in some), calls)
            handed = [
                r for r in some if r["outcome"] == "transferred" or (r.get("transfers") or 0) > 0
            ]
            count(f"transferred_{d}d", len(handed), calls)
            count(f"unresolved_{d}d", sum(settled(r) is False for r in some), any_settled)
            f[f"resolved_share_{d}d"] = mean([settled(r) for r in some if settled(r) is not None])
            f[f"sentiment_{d}d"] = mean(
                [r["sentiment"] for r in some if r.get("sentiment") is not None]
            )
        del f["resolved_share_30d"]
        f["nps_365d"] = mean([r["nps"] for r in some if r.get("nps") is not None])
        for d in (14, 90):
            topics = Counter(
                r["topic"] for r in recent(mine, "started_at", d) if r.get("topic") is not None
            )
            count(f"topic_contacts_{d}d", max(topics.values(), default=0), any_topics)
        count("topics_90d", len(topics), any_topics)
        f["contact_after_first_days"] = (
            days_between(mine[0]["started_at"], bought[0]["purchased_at"])
            if mine and bought
            else None
        )
        f["contact_recency_days"] = days_between(now, mine[-1]["started_at"]) if mine else None
        f["contact_first_days"] = days_between(now, mine[0]["started_at"]) if mine else None
        again = [
            b
            for a, b in itertools.pairwise(mine)
            if days_between(b["started_at"], a["started_at"]) <= 7
            and b["started_at"] >= now - timedelta(days=90)
        ]
        count("contacts_repeated_90d", len(again), calls)
        scored = [r for r in recent(mine, "started_at", 365) if r.get("csat") is not None]
        f["csat_last"] = None
        if scored:
            last = max(r["started_at"].replace(microsecond=0) for r in scored)
            f["csat_last"] = max(
                r["csat"] for r in scored if r["started_at"].replace(microsecond=0) == last
            )
        firsts = [
            r[c] for rows, c in ((mine, "started_at"), (bought, "purchased_at")) for r in rows
        ]
        firsts += [
            r["joined_at"]
            for r in people
            if r["customer_id"] == who and r.get("joined_at") and r["joined_at"] < now
        ]
        f["tenure_days"] = days_between(now, min(firsts)) if firsts else None
        said = [r.get("consent") for r in people if r["customer_id"] == who]
        f["consent"] = None if said in ([], [None]) else float(said[0])
        for d in (30, 90):
            asked = 0 if f[f"purchases_{d}d"] else f[f"contacts_{d}d"]
            f[f"asked_not_bought_{d}d"] = float(asked) if calls and sales else None
        f["contact_after_purchase"] = None
        if calls and bought:
            last = mine[-1]["started_at"].replace(microsecond=0) if mine else None
            f["contact_after_purchase"] = float(
                last is not None and last > bought[-1]["purchased_at"].replace(microsecond=0)
            )
        found[who] = f
    return found


# --- random small histories -------------------------------------------------------------------

MOMENTS = st.integers(-400 * 86400, 20 * 86400).map(lambda s: at(seconds=s))
"""On both sides of the as-of, some of them exactly on a window's edge."""
EDGES = st.sampled_from([at(-d) for d in (0, 7, 30, 90, 180, 365)])
WHEN = st.one_of(MOMENTS, EDGES, MOMENTS.map(lambda t: t + timedelta(microseconds=500_000)))
DELAY = st.one_of(st.just(0), st.integers(0, 40 * 86400)).map(lambda s: timedelta(seconds=s))
WHO = st.sampled_from(["a", "b", "Ä", "𐍈"])


def optional(values):
    return st.one_of(st.none(), values)


@st.composite
def versions(draw, row, when):
    """The row as first learnt, and perhaps its correction."""
    row["available_at"] = row[when] + draw(DELAY)
    if not draw(st.booleans()):
        return [row]
    later = row | {"available_at": row["available_at"] + draw(DELAY), when: draw(WHEN)}
    return [row | {"superseded_at": later["available_at"]}, later]


@st.composite
def histories(draw):
    tables = defaultdict(list)
    for i in range(draw(st.integers(0, 12))):
        row = contact(
            f"i{i}",
            draw(optional(WHO)),
            draw(WHEN),
            channel=draw(st.sampled_from(["voice", "chat", "message", "email", "visit"])),
            topic=draw(optional(st.sampled_from(["bill", "Bill", "größe"]))),
            outcome=draw(
                st.sampled_from(["answered", "abandoned", "transferred", "open", "resolved"])
            ),
            wait_seconds=draw(optional(st.integers(0, 5000).map(lambda n: n / 8))),
            transfers=draw(optional(st.integers(0, 2))),
            resolved=draw(optional(st.booleans())),
            csat=draw(optional(st.integers(1, 5))),
            nps=draw(optional(st.integers(0, 10))),
            sentiment=draw(optional(st.integers(-8, 8).map(lambda n: n / 8))),
        )
        tables["interactions"] += draw(versions(row, "started_at"))
    for i in range(draw(st.integers(0, 12))):
        when = draw(WHEN)
        steps = {
            name: draw(optional(st.integers(-10, 40 * 86400).map(lambda s: timedelta(seconds=s))))
            for name in ("confirmed_at", "shipped_at", "completed_at")
        }
        row = purchase(
            f"p{i}",
            draw(WHO),
            when,
            kind=draw(
                st.sampled_from(["purchase", "purchase", "renewal", "return", "cancellation"])
            ),
            amount_minor=draw(st.integers(-500, 5000)),
            items=draw(optional(st.integers(1, 9))),
            category=draw(optional(st.sampled_from(["tea", "Tea", "茶"]))),
            discount_minor=draw(optional(st.integers(0, 300))),
            term_ends_at=draw(optional(WHEN)),
            **{name: None if took is None else when + took for name, took in steps.items()},
        )
        tables["purchases"] += draw(versions(row, "purchased_at"))
    for who in draw(st.sets(WHO)):
        tables["customers"].append(
            {
                "customer_id": who,
                "joined_at": draw(optional(WHEN)),
                "consent": draw(optional(st.booleans())),
                "available_at": draw(WHEN),
            }
        )
    return {name: tables[name] for name in ("interactions", "purchases", "customers")}


def rounds(n):
    """Some examples: each holds dozens of rows of several customers."""
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=n, deadline=None, suppress_health_check=checks)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return lambda: Path(tmp_path_factory.mktemp("home"))


@rounds(12)
@given(tables=histories())
def test_every_feature_equals_loops_over_the_rows(tables, folders):
    found = features_of(folders(), tables).to_pylist()
    expected = oracle(tables, T0)
    assert [row["customer_id"] for row in found] == sorted(expected, key=str.encode)
    for row in found:
        want = expected[row["customer_id"]]
        assert set(want) == {*FEATURE_NAMES, *CARRIED_NAMES}
        for name in want:
            got, due = row[name], want[name]
            assert (got is None) == (due is None), name
            assert got is None or math.isclose(got, due, rel_tol=1e-12, abs_tol=1e-12), name


@rounds(5)
@given(tables=histories(), seed=st.randoms())
def test_poisoning_the_future_and_shuffling_changes_no_byte(tables, seed, folders):
    before = features_of(folders(), tables)
    poisoned = {name: list(rows) for name, rows in tables.items()}
    late, early = at(seconds=1), at(-1)
    for who in ("a", "Ä", "new"):
        poisoned["interactions"] += [
            contact("x1", who, T0, available_at=early, csat=1, resolved=False),
            contact("x2", who, early, available_at=late, csat=1, resolved=False),
        ]
        poisoned["purchases"] += [
            purchase("x1", who, T0, available_at=early, shipped_at=T0),
            purchase("x2", who, early, available_at=late, shipped_at=early),
        ]
        poisoned["customers"].append(
            {"customer_id": who, "available_at": late, "joined_at": at(-999)}
        )
    for name, rows in poisoned.items():
        # What was the newest version is replaced after the as-of by one that says otherwise.
        for row in rows:
            if row.get("superseded_at") is None:
                row["superseded_at"] = max(late, row["available_at"])
        seed.shuffle(rows)
        assert name in tables
    assert features_of(folders(), poisoned).equals(before)


@rounds(2)
@given(tables=histories())
def test_an_as_of_alone_equals_itself_within_a_grid(tables, folders):
    grid = [T0, at(-30), at(15)]
    home = Home(folders())
    load(home, tables)
    with FeatureStore(home, threads=1) as store:
        alone = [store.customers([moment]) for moment in sorted(grid)]
        together = store.customers(grid)
        again = store.customers([T0])
    assert together.num_rows == sum(part.num_rows for part in alone)
    offset = 0
    for part in alone:
        assert together.slice(offset, len(part)).equals(part)
        offset += len(part)
    assert again.equals(alone[1])  # from the prepared rows, where it was from the files before


# --- sentences --------------------------------------------------------------------------------


def test_a_retail_history_without_contacts_leaves_contact_features_null(tmp_path):
    row = one(tmp_path, {"purchases": [purchase("p", "a", at(-3))]})
    assert row["purchases_7d"] == 1.0
    assert row["contacts_30d"] is None
    assert row["asked_not_bought_30d"] is None
    assert row["unshipped_30d"] is None
    assert row["returns_90d"] == 0.0


def test_a_customer_without_contacts_beside_others_has_true_zeros(tmp_path):
    tables = {
        "purchases": [purchase("p", "a", at(-3))],
        "interactions": [contact("i", "b", at(-3))],
    }
    row = one(tmp_path, tables)
    assert row["contacts_30d"] == 0.0
    assert row["wait_seconds_90d"] is None
    assert row["unresolved_30d"] is None  # nobody's contact says whether it was resolved


def test_somebody_who_came_yesterday_beside_old_customers_gets_zeros_and_empty_rhythm(tmp_path):
    tables = {
        "purchases": [
            purchase("p", "new", at(-1), category="tea"),
            *(purchase(f"o{d}", "old", at(-d), category="tea") for d in (400, 200, 20)),
        ],
        "interactions": [contact("i", "old", at(-3), topic="bill")],
    }
    row = one(tmp_path, tables, "new")
    counts = ("contacts_365d", "topics_90d", "topic_contacts_14d", "purchases_year_ago_90d")
    assert [row[name] for name in counts] == [0.0, 0.0, 0.0, 0.0]
    assert (row["purchases_7d"], row["categories_365d"], row["tenure_days"]) == (1.0, 1.0, 1.0)
    empty = ("gap_days_last", "gap_days_variation", "contact_after_first_days", "term_left_days")
    assert {row[name] for name in (*empty, "category_last_new_365d")} == {None}
    assert row["purchase_trend_180d_365d"] == 365 / 180  # all of its year lies in the half


def test_three_contacts_about_the_same_problem_stand_out_from_three_about_anything(tmp_path):
    tables = {
        "interactions": [
            *(contact(f"a{d}", "a", at(-d), topic="delivery") for d in (1, 5, 13, 40)),
            *(contact(f"b{d}", "b", at(-d), topic=f"{d}") for d in (1, 5, 13, 40)),
        ]
    }
    stuck, asks = (one(tmp_path / who, tables, who) for who in ("a", "b"))
    assert (stuck["topic_contacts_14d"], stuck["topic_contacts_90d"]) == (3.0, 4.0)
    assert (asks["topic_contacts_14d"], asks["topic_contacts_90d"]) == (1.0, 1.0)
    assert (stuck["topics_90d"], asks["topics_90d"]) == (1.0, 4.0)


def test_an_order_is_late_by_what_is_usual_in_the_centre(tmp_path):
    usual = [
        purchase(f"u{n}", "u", at(-50 - n), shipped_at=at(-49 - n), completed_at=at(-47 - n))
        for n in range(20)
    ]
    slow = [
        purchase("s1", "slow", at(-60), shipped_at=at(-59), completed_at=at(-45)),
        purchase("s2", "slow", at(-20), shipped_at=at(-19)),  # on its way for 20 days
        purchase("s3", "slow", at(-4), shipped_at=at(-3)),  # not longer than others
        purchase("s4", "slow", at(-30)),  # never shipped: nobody says that it was to be
    ]
    tables = {"purchases": [*usual, *slow]}
    assert one(tmp_path / "a", tables, "slow")["late_orders_90d"] == 2.0
    assert one(tmp_path / "b", tables, "u")["late_orders_90d"] == 0.0


def test_purchases_of_the_weeks_ahead_a_year_ago_are_told(tmp_path):
    days = (-365, -300, -275, -10)
    rows = [purchase(f"p{d}", "a", at(d)) for d in days]
    rows.append(purchase("older", "a", at(-365, seconds=-1)))
    row = one(tmp_path, {"purchases": rows})
    assert row["purchases_year_ago_90d"] == 2.0  # the day 275 days ago is after them


def test_a_correction_learnt_later_does_not_alter_what_was_known(tmp_path):
    old = purchase("p", "a", at(-3), amount_minor=100, superseded_at=at(1))
    new = purchase("p", "a", at(-3), amount_minor=900, available_at=at(1))
    found = features_of(tmp_path, {"purchases": [old, new]}, [T0, at(2)])
    assert found.column("spend_minor_7d").to_pylist() == [100.0, 900.0]


def test_a_shipment_after_the_as_of_was_not_seen_at_it(tmp_path):
    rows = [
        purchase("p", "a", at(-3), shipped_at=at(2)),
        purchase("q", "b", at(-9), shipped_at=at(-8)),
    ]
    row = one(tmp_path, {"purchases": rows})
    assert row["ship_hours_90d"] is None
    assert row["unshipped_30d"] == 1.0


def test_somebody_known_only_by_name_gets_a_defined_row(tmp_path):
    row = one(tmp_path, {"customers": [{"customer_id": "a", "available_at": at(-1)}]})
    assert {row[name] for name in (*FEATURE_NAMES, *CARRIED_NAMES)} == {None}


def test_consent_is_that_known_at_the_moment_and_no_feature(tmp_path):
    given = {"customer_id": "a", "consent": True, "available_at": at(-9), "superseded_at": at(1)}
    withdrawn = {"customer_id": "a", "consent": False, "available_at": at(1)}
    found = features_of(tmp_path, {"customers": [given, withdrawn]}, [T0, at(2)])
    assert found.column("consent").to_pylist() == [1.0, 0.0]
    assert "consent" not in FEATURE_NAMES


def test_a_window_holds_its_first_moment_and_not_its_end(tmp_path):
    rows = [
        purchase("p", "a", at(-7)),
        purchase("q", "a", T0),
        purchase("r", "a", at(-7, seconds=-1)),
    ]
    row = one(tmp_path, {"purchases": rows})
    assert row["purchases_7d"] == 1.0
    assert row["purchases_30d"] == 2.0


@pytest.mark.parametrize("bad", [T0.replace(tzinfo=None), T0.replace(microsecond=5)])
def test_an_as_of_without_zone_or_with_a_fraction_is_refused(tmp_path, bad):
    with pytest.raises(InputError):
        features_of(tmp_path, {"purchases": [purchase("p", "a", at(-3))]}, [bad])


def test_no_as_of_gives_no_rows_with_all_columns(tmp_path):
    found = features_of(tmp_path, {"purchases": [purchase("p", "a", at(-3))]}, [])
    assert found.num_rows == 0
    assert found.column_names == ["customer_id", "as_of", *FEATURE_NAMES, *CARRIED_NAMES]


def test_there_are_at_least_forty_windowed_features_with_unique_names():
    windowed = [f for f in FEATURES if f.name.endswith("d") and f.name[-2].isdigit()]
    assert len(windowed) >= 40
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)


def named_histories():
    tables = [
        ibis.table(schema_of(contract), name=contract.name)
        for contract in (INTERACTIONS, PURCHASES, CUSTOMERS)
    ]
    return Histories(contact_rows(tables[0]), purchase_rows(tables[1]), people_rows(tables[2]))


def test_one_row_adds_a_feature_with_a_window_of_its_own(tmp_path, monkeypatch):
    row = Feature("purchases_3d", "frequency", "count", "Purchases in 3 days.",
                  ("purchases_3", "any_purchases"), count)  # fmt: skip
    monkeypatch.setattr(features, "FEATURES", (*FEATURES, row))
    rows = [purchase("p", "a", at(-3)), purchase("q", "a", at(-2)), purchase("r", "a", at(-4))]
    load(Home(tmp_path), {"purchases": rows})
    with FeatureStore(Home(tmp_path), threads=1) as store:
        tables = store._tables
        histories = Histories(
            contact_rows(tables["interactions"]),
            purchase_rows(tables["purchases"]),
            people_rows(tables["customers"]),
        )
        found = store._engine.arrow(customer_features(histories, written(T0)))
    assert found.column("purchases_3d").to_pylist() == [2.0]
    assert found.column("purchases_7d").to_pylist() == [3.0]


def test_a_window_beyond_what_is_read_is_refused():
    row = "purchases_400"
    with pytest.raises(ConfigError, match="400 days"):
        customer_facts(named_histories(), written(T0), {row})


def test_the_definition_compiles_for_spark():
    sql = ibis.to_sql(customer_features(named_histories(), written(T0)), dialect="databricks")
    assert "ASOF" not in sql.upper()
    assert all(f"`{name}`" in sql for name in FEATURE_NAMES)
