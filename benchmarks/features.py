"""The feature pass beside DuckDB's own group by, pandas and Feast.

Run ``python -m benchmarks.features``; every figure is of one run on one machine, and every step
runs in a process of its own, so that its memory is its own. The pass and DuckDB's group by run
in turn, three times, and their medians are compared; the peers, far slower, run once. The pass
gives all of its features; pandas gives 42 of them, none of rhythm or repeats nor a first or last
moment, which favours pandas; Feast joins rows that were computed for it beforehand.
``--scale 0.01`` tries it in seconds.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.report import Check, at_least, at_most, finish, skipped

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 730
AS_OFS = [START + timedelta(days=DAYS - 5 - 30 * k) for k in range(12)]
CHUNK = 1_000_000
TOPICS = ("delivery", "invoice", "returns", "a change of address", "password", "other questions")
CATEGORIES = ("books", "garden", "kitchen", "toys", "sports and leisure", "office")
COMPARED = {
    "contacts": (7, 30, 90, 180, 365),
    "wait": (90, 365),
    "abandoned": (30, 90, 365),
    "unresolved": (30, 90, 365),
    "csat": (90, 365),
    "sentiment": (30, 90, 365),
    "voice": (30, 90, 365),
    "chat": (30, 90, 365),
    "email": (30, 90, 365),
    "purchases": (7, 30, 90, 180, 365),
    "spend": (7, 30, 90, 180, 365),
    "returns": (90, 365),
    "items": (365,),
    "ship": (90, 365),
}
"""What the pandas peer computes too: 42 windowed features, by ``pandas_features``."""
NAMES = {
    "contacts": "contacts_{}d",
    "wait": "wait_seconds_{}d",
    "abandoned": "abandoned_{}d",
    "unresolved": "unresolved_{}d",
    "csat": "csat_{}d",
    "sentiment": "sentiment_{}d",
    "voice": "contacts_voice_{}d",
    "chat": "contacts_chat_{}d",
    "email": "contacts_email_{}d",
    "purchases": "purchases_{}d",
    "spend": "spend_minor_{}d",
    "returns": "returns_{}d",
    "items": "order_items_{}d",
    "ship": "ship_hours_{}d",
}


_CLOCKS = ["available_at", "superseded_at"]
_CONTACT_COLUMNS = ["customer_id", "channel", "started_at", "wait_seconds", "outcome", "resolved"]
_CONTACT_COLUMNS += ["csat", "sentiment", *_CLOCKS]
_PURCHASE_COLUMNS = ["customer_id", "purchased_at", "kind", "amount_minor", "items", "shipped_at"]
_PURCHASE_COLUMNS += _CLOCKS


# --- data -------------------------------------------------------------------------------------


def _times(
    rng: np.random.Generator, n: int
) -> tuple[npt.NDArray[np.int64], pa.Array, pa.Array, pa.Array]:
    seconds = int(START.timestamp()) + np.sort(rng.integers(0, DAYS * 86_400, n))
    learnt = seconds + rng.exponential(600, n).astype(np.int64)
    late = rng.random(n) < 0.02
    learnt[late] += rng.integers(0, 30 * 86_400, int(late.sum()))
    replaced = learnt + rng.integers(1, 60 * 86_400, n)

    def stamps(values: npt.NDArray[np.int64], mask: Any = None) -> pa.Array:
        return pa.array(values * 1_000_000, pa.timestamp("us", "UTC"), mask=mask)

    return seconds, stamps(seconds), stamps(learnt), stamps(replaced, rng.random(n) > 0.01)


def _words(rng: np.random.Generator, n: int, words: tuple[str, ...], p: Any = None) -> pa.Array:
    return pa.array(words).take(pa.array(rng.choice(len(words), n, p=p)))


def _filled(schema: pa.Schema, columns: dict[str, Any], n: int) -> pa.Table:
    return pa.table({f.name: columns.get(f.name, pa.nulls(n, f.type)) for f in schema}).cast(schema)


def _interactions(rng: np.random.Generator, n: int, who: pa.Array, first: int) -> pa.Table:
    from features.contracts.tables import INTERACTIONS
    from features.lake.delta import lake_schema

    _, started, learnt, replaced = _times(rng, n)
    columns = {
        "interaction_id": pa.array(np.char.add("I", np.arange(first, first + n).astype(str))),
        "customer_id": who,
        "queue": _words(rng, n, ("sales", "service", "billing")),
        "channel": _words(rng, n, ("voice", "chat", "email", "social")),
        "topic": _words(rng, n, TOPICS),
        "started_at": started,
        "wait_seconds": np.round(rng.exponential(60, n), 1),
        "handle_seconds": np.round(rng.exponential(300, n), 1),
        "outcome": _words(rng, n, ("answered", "abandoned", "transferred"), (0.8, 0.1, 0.1)),
        "transfers": rng.integers(0, 2, n),
        "resolved": rng.random(n) < 0.8,
        "csat": pa.array(rng.integers(1, 6, n), mask=rng.random(n) > 0.1),
        "nps": pa.array(rng.integers(0, 11, n), mask=rng.random(n) > 0.05),
        "sentiment": pa.array(np.round(rng.uniform(-1, 1, n), 3), mask=rng.random(n) > 0.3),
        "available_at": learnt,
        "superseded_at": replaced,
        "loaded_at": learnt,
    }
    return _filled(lake_schema(INTERACTIONS), columns, n)


def _purchases(rng: np.random.Generator, n: int, who: pa.Array, first: int) -> pa.Table:
    from features.contracts.tables import PURCHASES
    from features.lake.delta import lake_schema

    seconds, bought, learnt, replaced = _times(rng, n)
    steps = np.cumsum(rng.exponential([[3600], [3 * 86_400], [2 * 86_400]], (3, n)), axis=0)
    confirmed, shipped, completed = (seconds + steps.astype(np.int64)) * 1_000_000
    columns = {
        "purchase_id": pa.array(np.char.add("P", np.arange(first, first + n).astype(str))),
        "customer_id": who,
        "purchased_at": bought,
        "kind": _words(rng, n, ("purchase", "renewal", "return"), (0.9, 0.04, 0.06)),
        "amount_minor": rng.integers(100, 20_000, n),
        "currency": _words(rng, n, ("EUR",)),
        "items": rng.integers(1, 9, n),
        "category": _words(rng, n, CATEGORIES),
        "confirmed_at": pa.array(confirmed, pa.timestamp("us", "UTC")),
        "shipped_at": pa.array(shipped, pa.timestamp("us", "UTC")),
        "completed_at": pa.array(completed, pa.timestamp("us", "UTC")),
        "discount_minor": rng.integers(-3000, 2000, n).clip(0),
        "available_at": learnt,
        "superseded_at": replaced,
        "loaded_at": learnt,
    }
    return _filled(lake_schema(PURCHASES), columns, n)


def generate(folder: Path, *, interactions: int, purchases: int, customers: int) -> None:
    """Write a lake of uneven customers, with late rows and corrections, in a few files."""
    from features.contracts.tables import INTERACTIONS, PURCHASES
    from features.home import Home
    from features.lake.delta import Change, Lake, lake_schema, write_parquet

    rng = np.random.default_rng(7)
    pace = rng.gamma(0.8, 1.0, customers)
    ids = pa.array([f"C{i:07d}" for i in range(customers)])
    lake = Lake(Home(folder).lake)
    makers = ((INTERACTIONS, interactions, _interactions), (PURCHASES, purchases, _purchases))
    for contract, total, make in makers:
        schema = lake_schema(contract)
        with lake.writing() as staging:
            files = []
            for first in range(0, total, CHUNK):
                n = min(CHUNK, total - first)
                who = ids.take(pa.array(rng.choice(customers, n, p=pace / pace.sum())))
                files.append(staging / f"{first}.parquet")
                with write_parquet(files[-1], schema) as writer:
                    writer.write_table(make(rng, n, who, first), row_group_size=131_072)
            lake.commit(Change(contract.name, schema, tuple(files)), now=START)


# --- what is timed, each in a process of its own ------------------------------------------------


def _files(folder: Path, table: str) -> list[str]:
    from features.home import Home
    from features.lake.delta import Lake

    return Lake(Home(folder).lake).files(table)


def group_by(folder: Path) -> float:
    """Return the seconds of DuckDB's plain group by over both tables, from an open connection."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    # The paths are those of this run's own temporary folder.
    query = f"""
        SELECT customer_id, count(*), sum(x), max(t) FROM (
            SELECT customer_id, handle_seconds AS x, started_at AS t
            FROM read_parquet({_files(folder, "interactions")})
            UNION ALL
            SELECT customer_id, amount_minor, purchased_at
            FROM read_parquet({_files(folder, "purchases")})
        ) GROUP BY customer_id
    """  # noqa: S608 # nothing from outside
    return _seconds(lambda: connection.sql(query).to_arrow_table())


def ours(folder: Path, as_ofs: list[datetime], keep: Path | None = None) -> float:
    """Return the seconds of the feature pass, from an open store to the table."""
    from features.arrow import write_arrow
    from features.home import Home
    from features.store import FeatureStore

    found: list[pa.Table] = []
    with FeatureStore(Home(folder)) as store:
        seconds = _seconds(lambda: found.append(store.customers(as_ofs)))
    if keep is not None:
        write_arrow(keep, found[0])
    return seconds


def pandas_pass(folder: Path, as_ofs: list[datetime], keep: Path) -> float:
    """Return the seconds of the same features by pandas: a filter and a group by an as-of."""
    import pandas as pd

    found: list[Any] = []

    def work() -> None:
        contacts = pd.read_parquet(_files(folder, "interactions"), columns=_CONTACT_COLUMNS)
        purchases = pd.read_parquet(_files(folder, "purchases"), columns=_PURCHASE_COLUMNS)
        found.append(
            pd.concat([pandas_features(contacts, purchases, pd.Timestamp(now)) for now in as_ofs])
        )

    seconds = _seconds(work)
    found[0].reset_index().to_feather(keep)
    return seconds


def pandas_features(contacts: Any, purchases: Any, now: Any) -> Any:
    """Return the compared features at one moment, as somebody at home in pandas writes it."""
    import pandas as pd

    def known(rows: Any, when: str) -> Any:
        current = rows.superseded_at.isna() | (rows.superseded_at > now)
        return rows[(rows[when] < now) & (rows.available_at <= now) & current]

    calls, sales = known(contacts, "started_at"), known(purchases, "purchased_at")
    calls = calls.assign(
        abandoned=calls.outcome == "abandoned",
        unresolved=~calls.resolved.astype(bool),
        voice=calls.channel == "voice",
        chat=calls.channel == "chat",
        email=calls.channel == "email",
    )
    bought = sales[sales.kind.isin(["purchase", "renewal"])]
    shipped = bought[bought.shipped_at < now]
    shipped = shipped.assign(
        hours=(shipped.shipped_at - shipped.purchased_at).dt.total_seconds() / 3600
    )
    back = sales[sales.kind == "return"]
    found = {}
    measures: dict[str, tuple[Any, str, str | None, str]] = {
        "contacts": (calls, "started_at", None, "size"),
        **{
            name: (calls, "started_at", name, "sum")
            for name in ("abandoned", "unresolved", "voice", "chat", "email")
        },
        "wait": (calls, "started_at", "wait_seconds", "mean"),
        "csat": (calls, "started_at", "csat", "mean"),
        "sentiment": (calls, "started_at", "sentiment", "mean"),
        "purchases": (bought, "purchased_at", None, "size"),
        "spend": (bought, "purchased_at", "amount_minor", "sum"),
        "items": (bought, "purchased_at", "items", "mean"),
        "returns": (back, "purchased_at", None, "size"),
        "ship": (shipped, "purchased_at", "hours", "mean"),
    }
    recent = {
        (id(rows), days): rows[rows[when] >= now - pd.Timedelta(days=days)].groupby("customer_id")
        for rows, when, _, _ in measures.values()
        for days in (7, 30, 90, 180, 365)
    }
    for name, (rows, _, column, how) in measures.items():
        for days in COMPARED[name]:
            groups = recent[id(rows), days]
            values = groups.size() if column is None else groups[column].agg(how)
            found[NAMES[name].format(days)] = values
    everybody = pd.Index(calls.customer_id.dropna().unique()).union(sales.customer_id.unique())
    table = pd.DataFrame(found).reindex(everybody)
    counts = [c for c in table if not c.startswith(("wait", "csat", "sentiment", "order", "ship"))]
    table[counts] = table[counts].fillna(0.0)
    table.index.name = "customer_id"
    return table.assign(as_of=now)


def feast_join(folder: Path, rows: Path) -> float:
    """Return the seconds of Feast's point-in-time join alone, over rows computed for it."""
    import pandas as pd
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource
    from feast.types import Float64

    frame = pd.read_feather(rows)
    names = [c for c in frame if c not in ("customer_id", "as_of")][:42]
    frame = frame.rename(columns={"as_of": "event_timestamp"})
    source = folder / "feast.parquet"
    frame[["customer_id", "event_timestamp", *names]].to_parquet(source)
    (folder / "feature_store.yaml").write_text(
        f"project: bench\nregistry: {folder}/registry.db\nprovider: local\n"
        f"online_store: {{type: sqlite, path: {folder}/online.db}}\n"
        "offline_store: {type: file}\nentity_key_serialization_version: 3\n"
    )
    store = FeatureStore(str(folder))
    customer = Entity(name="customer", join_keys=["customer_id"])
    view = FeatureView(
        name="past",
        entities=[customer],
        schema=[Field(name=name, dtype=Float64) for name in names],
        source=FileSource(path=str(source), timestamp_field="event_timestamp"),
        ttl=timedelta(days=1),
    )
    store.apply([customer, view])
    asked = frame[["customer_id", "event_timestamp"]]
    features = [f"past:{name}" for name in names]
    return _seconds(lambda: store.get_historical_features(asked, features).to_df())


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


STEPS: dict[str, Callable[[Path], float]] = {
    "group_by": group_by,
    "ours_1": lambda home: ours(home, AS_OFS[:1]),
    "ours_12": lambda home: ours(home, AS_OFS),
    "ours_peer": lambda home: ours(home, AS_OFS[:3], home / "ours.feather"),
    "pandas": lambda home: pandas_pass(home, AS_OFS[:3], home / "pandas.feather"),
    "feast": lambda home: feast_join(home, home / "pandas.feather"),
}


def step(name: str, home: Path) -> dict[str, Any]:
    """Run one step in a process of its own and return its seconds and peak memory in MiB."""
    command = [sys.executable, "-m", "benchmarks.features", "--step", name, "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"step {name} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{name:<10} {found['seconds']:8.2f} s  {found['cpu_seconds']:8.2f} s CPU  "
        f"{found['peak_mib']:8.0f} MiB",
        flush=True,
    )
    return found


def alternating(names: Sequence[str], home: Path, rounds: int) -> dict[str, Any]:
    """Run steps in turn, several times, and return the median seconds and memory of each.

    In turn, so that a neighbour's work on the same cores falls on all of them.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            found[name].append(step(name, home))
    return {
        name: {
            "seconds": statistics.median(run["seconds"] for run in runs),
            "cpu_seconds": statistics.median(run["cpu_seconds"] for run in runs),
            "peak_mib": statistics.median(run["peak_mib"] for run in runs),
            "rounds": rounds,
        }
        for name, runs in found.items()
    }


def same_numbers(home: Path) -> float:
    """Return the largest relative difference between our features and pandas' own."""
    import pandas as pd
    import pyarrow.feather as feather

    mine = feather.read_table(home / "ours.feather").to_pandas()
    theirs = pd.read_feather(home / "pandas.feather")
    key = ["as_of", "customer_id"]
    mine["as_of"] = mine.as_of.astype(theirs.as_of.dtype)
    names = [c for c in theirs if c not in key]
    a = mine.set_index(key)[names].sort_index()
    b = theirs.set_index(key)[names].sort_index()
    if not a.index.equals(b.index) or not (a.isna() == b.isna()).all(axis=None):
        return float("inf")
    difference = (a - b).abs() / b.abs().clip(lower=1.0)
    return float(np.nanmax(difference.to_numpy(dtype=np.float64)))


# --- the run ----------------------------------------------------------------------------------


def _checks(scale: float, rounds: int, rows: list[dict[str, Any]]) -> Iterator[Check]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        generate(
            home,
            interactions=int(4e6 * scale),
            purchases=int(1e6 * scale),
            customers=max(int(1e5 * scale), 10),
        )
        found = alternating(("group_by", "ours_1", "ours_12"), home, rounds)
        rows += [{"step": name, "events": int(5e6 * scale), **f} for name, f in found.items()]
        base = found["group_by"]["seconds"]
        yield at_most("one as-of, beside one group by", found["ours_1"]["seconds"] / base, 6)
        yield at_most("twelve as-ofs, each", found["ours_12"]["seconds"] / base / 12, 3)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        generate(
            home,
            interactions=int(8e6 * scale),
            purchases=int(2e6 * scale),
            customers=max(int(1e5 * scale), 10),
        )
        found = {name: step(name, home) for name in ("ours_peer", "pandas")}
        mine, theirs = found["ours_peer"], found["pandas"]
        yield at_least("faster than pandas, three as-ofs", theirs["seconds"] / mine["seconds"], 3)
        yield at_most("memory beside pandas", mine["peak_mib"] / theirs["peak_mib"], 1 / 3)
        yield at_most("difference from pandas", same_numbers(home), 1e-9, unit="")
        if importlib.util.find_spec("feast") is None:
            why = "install the extra `peers`"
            yield skipped("faster than Feast's join alone", ">= 4x", why)
            yield skipped("memory beside Feast", "<= 0.333x", why)
        else:
            found["feast"] = step("feast", home)
            ratio = found["feast"]["seconds"] / mine["seconds"]
            yield at_least("faster than Feast's join alone", ratio, 4)
            memory = mine["peak_mib"] / found["feast"]["peak_mib"]
            yield at_most("memory beside Feast", memory, 1 / 3)
        rows += [{"step": name, "events": int(1e7 * scale), **f} for name, f in found.items()]


def main() -> None:
    """Measure, print and write ``results/features.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each step, in turn")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        before = time.process_time()
        seconds = STEPS[given.step](given.home)
        used = {
            "seconds": round(seconds, 3),
            # Of the whole step, so with its imports and the writing of what is compared.
            "cpu_seconds": round(time.process_time() - before, 3),
            "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        }
        print(json.dumps(used))
        return
    rows: list[dict[str, Any]] = []
    checks = list(_checks(given.scale, given.rounds, rows))
    name = "features" if given.scale == 1.0 else f"features-{given.scale:g}"
    finish(name, checks=checks, rows=rows, packages=("duckdb", "ibis-framework", "pandas"))


if __name__ == "__main__":
    main()
