"""Bad input on the way of a churn score, end to end: one clear error, and nothing is lost."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from leakage_world import CONFIG, END, Shop, home_of
from serving_client import serving

from features.artefact import current_id
from features.console import run
from features.home import Home
from features.lake.delta import QUARANTINE, Lake

SHOP = Shop(customers=500, days=330)
PURCHASES = ("purchase_id", "customer_id", "purchased_at", "kind", "amount_minor", "currency")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run ``python -m ROOM …`` in this process."""

    def call(room: str, *words: object) -> Ended:
        app = importlib.import_module(f"{room}.__main__").app
        monkeypatch.setattr(sys, "argv", [f"python -m {room}", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(app)
        captured = capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    return call


@dataclass(frozen=True)
class Place:
    """A home in which everything was made and published once."""

    root: Path

    @property
    def home(self) -> Home:
        return Home(self.root / "home")

    @property
    def here(self) -> tuple[object, ...]:
        return ("--home", self.home.root)

    @property
    def fits(self) -> tuple[object, ...]:
        return (*self.here, "--mlruns", self.root / "mlruns", "--config", self.root / "config.toml")

    def state(self) -> tuple[Any, ...]:
        """Return what must not change: what is published, and the lake's versions."""
        home = self.home
        roots = (home.bundles("churn"), home.snapshots, home.scores)
        return (*map(current_id, roots), Lake(home.lake).versions())


def write_config(folder: Path) -> None:
    changed = {**CONFIG.model_dump(exclude_defaults=True), "trees": 20}
    lines = [f"{key} = {value}" for key, value in changed.items()]
    (folder / "config.toml").write_text("\n".join(["[churn]", *lines]))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("place"))
    home_of(SHOP, place.root)
    write_config(place.root)
    training = importlib.import_module("training.__main__").app
    for app, words in (
        (training, ("fit", "churn", *place.fits)),
        (importlib.import_module("features.__main__").app, ("build", *place.here)),
        (training, ("promote", "churn", *place.fits[:4])),
        (importlib.import_module("serving.__main__").app, ("score", *place.here)),
    ):
        app([str(word) for word in words], standalone_mode=False)
    assert None not in place.state()
    return place


@pytest.fixture
def place(published: Place, tmp_path: Path) -> Place:
    """A copy of its own for each test."""
    shutil.copytree(published.root / "home", tmp_path / "home")
    write_config(tmp_path)
    return Place(tmp_path)


def orders(ids: pa.Array) -> pa.Table:
    n = len(ids)
    at = pa.array([1_770_000_000 + k for k in range(n)], pa.int64())
    columns = [
        pa.array([f"new{k}" for k in range(n)]), ids, at.cast(pa.timestamp("s", "UTC")),
        pa.array(["purchase"] * n), pa.array([100] * n), pa.array(["EUR"] * n),
    ]  # fmt: skip
    return pa.table(columns, names=PURCHASES)


# --- customer ids ---


@pytest.mark.parametrize(
    ("ids", "what"),
    [
        (pa.array([["a"], ["b"]]), "a list or an object is no id"),
        (pa.array([{"no": 1}, {"no": 2}]), "a list or an object is no id"),
        (pa.array([True, False]), "true or false is no id"),
        (pa.array([1, 2]).cast(pa.timestamp("s")), "a time is no id"),
        (pa.array([1, 2], pa.int32()).cast(pa.date32()), "a time is no id"),
        (pa.array([2.0**60, 2.0**61]), "a number beyond 2^53, which lost digits, is no id"),
        (pa.nulls(2), "empty; every row must fill it"),
    ],
)
def test_a_customer_id_that_is_no_text_or_number_is_refused_by_name(
    command: Command, place: Place, ids: pa.Array, what: str
) -> None:
    before = place.state()
    path = place.root / "orders.parquet"
    pq.write_table(orders(ids), path)
    ended = command("features", "ingest", "purchases", path, *place.here)
    assert (ended.code, f"`customer_id`: {what}" in ended.err) == (2, True), ended.err
    assert "2 bad of 2 rows" in ended.err
    assert place.state() == before
    allowed = command("features", "ingest", "purchases", path, *place.here, "--max-bad-share", 1)
    assert allowed.code == 0
    kept = Lake(place.home.lake).read(QUARANTINE).to_pylist()
    assert [what in row["reason"] for row in kept] == [True, True]
    assert place.state() == before


def test_an_object_among_good_ids_is_set_aside_alone(command: Command, place: Place) -> None:
    rows = orders(pa.array(["x", "y"])).to_pylist()
    documents = [
        {**row, "customer_id": id, "purchased_at": row["purchased_at"].isoformat()}
        for row, id in zip(rows, ({"no": 1}, "[not json"), strict=True)
    ]
    path = place.root / "orders.ndjson"
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    words = ("features", "ingest", "purchases", path, *place.here, "--max-bad-share", 1, "--json")
    report = json.loads(command(*words).out)
    assert (report["kept"], list(report["quarantined"].values())) == (1, [1])
    assert "`customer_id`: a list or an object" in next(iter(report["quarantined"]))


@pytest.mark.parametrize("id", [7, 1.5, True, None, ["a"], {"no": 1}])
def test_a_customer_id_over_http_that_is_no_string_is_named(place: Place, id: Any) -> None:
    with serving(place.home.root) as server:
        good = SHOP.purchases["customer_id"][0]
        answer = server.http.post("/v1/churn/scores", json={"customer_ids": [good, id]})
        assert answer.status_code == 422
        assert "customer_ids" in answer.text
        again = server.http.post("/v1/churn/scores", json={"customer_ids": [good]})
    assert [score["customer_id"] for score in again.json()["scores"]] == [good]


def test_more_ids_than_the_limit_are_refused_with_the_limit(place: Place) -> None:
    with serving(place.home.root) as server:
        ids = [f"c{k}" for k in range(1_001)]
        answer = server.http.post("/v1/churn/scores", json={"customer_ids": ids})
    assert answer.status_code == 422
    assert "customer_ids" in answer.text
    assert "1000" in answer.text.replace(",", "")


# --- the as-of ---


@pytest.mark.parametrize(
    ("as_of", "codes", "message"),
    [
        ("2199-01-01T00:00Z", (2, 2, 2), "2199-01-01T00:00:00+00:00"),
        ("2020-01-01T00:00Z", (1, 1, 1), "2020-01-01T00:00:00+00:00"),
        ("2026-02-01T00:00", (2, 2, 2), "with a zone"),
        ("last week", (2, 2, 2), "ISO 8601"),
        ("2026-02-01T00:00:00.5Z", (2, 2, 2), "a fraction of a second"),
    ],
)
def test_an_as_of_that_cannot_be_is_named_and_everything_stays(
    command: Command, place: Place, as_of: str, codes: tuple[int, ...], message: str
) -> None:
    before = place.state()
    verbs = (
        ("training", "fit", "churn", *place.fits),
        ("training", "leakage", *place.here, "--config", place.root / "config.toml"),
        ("features", "build", *place.here),
    )
    for words, code in zip(verbs, codes, strict=True):
        ended = command(*words, "--as-of", as_of)
        assert (ended.code, message in ended.err) == (code, True), ended.err
        assert ended.err.splitlines()[-1].startswith("error: ")
    assert place.state() == before
    assert not list((place.root / "mlruns").glob("artifacts/*/*"))


# --- the mapping ---


def test_a_mapping_that_forgets_the_zone_is_refused_and_says_where_to_name_it(
    command: Command, place: Place
) -> None:
    before = place.state()
    path, mapping = place.root / "orders.csv", place.root / "orders.toml"
    path.write_text("no,who,at,total\n1,a,2026-02-01 10:00:00,5\n")
    columns = (
        'purchase_id = "no"\ncustomer_id = "who"\npurchased_at = "at"\nkind = {value="purchase"}\n'
        'amount_minor = "total"\ncurrency = {value="EUR"}\n'
    )
    mapping.write_text(f'table = "purchases"\n[columns]\n{columns}')
    words = ("features", "ingest", "purchases", path, "--mapping", mapping, *place.here)
    ended = command(*words)
    assert ended.code == 2
    assert all(word in ended.err for word in ("`purchased_at`", "without a zone", "[time]")), (
        ended.err
    )
    assert place.state() == before
    mapping.write_text(f'table = "purchases"\n[time]\nzone = "UTC"\n[columns]\n{columns}')
    assert command(*words).code == 0


# --- what is learnt from ---


def fitted(command: Command, folder: Path, **tables: pd.DataFrame) -> Ended:
    home_of(SHOP, folder, **tables)
    write_config(folder)
    return command("training", "fit", "churn", *Place(folder).fits, "--as-of", END.isoformat())


def test_labels_of_one_class_are_refused_with_the_share(command: Command, tmp_path: Path) -> None:
    """Everybody buys every week to the end: nobody ever leaves."""
    rows = SHOP.purchases.head(120)
    weeks = [
        rows.assign(
            purchase_id=rows["purchase_id"] + f"-{week}",
            customer_id=[f"c{k}" for k in range(len(rows))],
            purchased_at=pd.Timestamp(END) - pd.Timedelta(days=7 * week + 1),
            available_at=pd.Timestamp(END) - pd.Timedelta(days=7 * week + 1),
        )
        for week in range(44)
    ]
    ended = fitted(command, tmp_path, purchases=pd.concat(weeks))
    assert ended.code == 1
    assert "customers who churned" in ended.err
    assert "[0.0]" in ended.err or "0%" in ended.err
    assert current_id(Place(tmp_path).home.bundles("churn")) is None


def test_too_little_history_is_refused_with_what_it_takes(command: Command, tmp_path: Path) -> None:
    start = pd.Timestamp(END) - pd.Timedelta(days=100)
    rows = SHOP.purchases[SHOP.purchases["purchased_at"] > start]
    ended = fitted(command, tmp_path, purchases=rows)
    assert ended.code == 1
    assert "expected at least 180 days" in ended.err


def test_too_few_customers_are_refused_with_the_number_it_takes(
    command: Command, tmp_path: Path
) -> None:
    few = SHOP.purchases["customer_id"].unique()[:30]
    ended = fitted(
        command, tmp_path, purchases=SHOP.purchases[SHOP.purchases["customer_id"].isin(few)]
    )
    assert (ended.code, "expected at least 50" in ended.err) == (1, True)


def test_features_that_are_empty_for_everybody_are_named_and_the_fit_goes_on(
    command: Command, tmp_path: Path
) -> None:
    ended = fitted(command, tmp_path, interactions=SHOP.interactions.assign(resolved=None))
    assert ended.code == 0, ended.err
    (said,) = [line for line in ended.err.splitlines() if "empty for everybody" in line]
    assert "at every date and teach nothing" in said
    assert "`order_items_365d`" in said
    (card,) = (tmp_path / "mlruns" / "artifacts").rglob("card.json")
    empty = json.loads(card.read_text())["empty_features"]
    assert {"order_items_365d", "csat_last", "unresolved_90d"} <= set(empty)
    assert f"{len(empty)} of" in said


def test_a_feed_that_broke_off_is_named(command: Command, tmp_path: Path) -> None:
    """Surveys were answered until half a year ago."""
    rows = SHOP.interactions
    asked = rows["started_at"] < pd.Timestamp(END) - pd.Timedelta(days=150)
    ended = fitted(command, tmp_path, interactions=rows.assign(csat=asked.map({True: 4.0})))
    (said,) = [line for line in ended.err.splitlines() if "were filled before" in line]
    assert "`csat_90d`" in said
    assert "check their feed" in said


def test_a_fit_that_is_refused_leaves_what_serves_and_its_scores(
    command: Command, place: Place
) -> None:
    before = place.state()
    config = place.root / "config.toml"
    config.write_text(config.read_text().replace("min_customers = 50", "min_customers = 100000"))
    ended = command("training", "fit", "churn", *place.fits)
    assert (ended.code, "expected at least 100000" in ended.err) == (1, True)
    assert place.state() == before
    assert command("serving", "score", *place.here).code == 0
