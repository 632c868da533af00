"""A CRM's pull over HTTP: forms, packing, filters, what changed since, and clear refusals."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from serving_client import Server, serving
from serving_world import (
    ACTIONS,
    MADE_AT,
    NOW,
    TIERS,
    World,
    build_world,
    customer_ids,
    scored_customers,
)

from features.artefact import MANIFEST, point_to
from features.home import Home
from serving.api import openapi
from serving.api.churn.schemas import ScoresPage
from serving.models.churn.value import SEGMENTS, STAGES
from serving.published.score_set import open_score_set
from serving.published.score_writer import ScoredCustomers, write_score_set

ROUTE = "/v1/churn/scores"
PLAIN = {"Accept-Encoding": "identity"}
PARQUET = "application/vnd.apache.parquet"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[Server]:
    with serving(world.home.root) as running:
        yield running


@pytest.fixture(scope="module")
def records(world: World) -> list[dict[str, Any]]:
    whole = (world.home.scores / world.scores / "records.ndjson").read_bytes()
    return [json.loads(line) for line in whole.splitlines()]


def publish(home: Home, chunk: ScoredCustomers) -> str:
    id = write_score_set(
        home.scores,
        chunks=[chunk],
        as_of=MADE_AT,
        snapshot="s",
        model_version="m",
        tiers=TIERS,
        actions=ACTIONS,
        now=NOW,
    )
    point_to(home.scores, id)
    return id


def many(rows: int) -> ScoredCustomers:
    return scored_customers([f"c{row:06d}" for row in range(rows)])


def problem(response: Any, status: int, kind: str, field: str) -> str:
    assert response.status_code == status, response.text
    document = response.json()
    openapi.ProblemDetails.model_validate(document)
    assert document["type"] == f"/docs#problem-{kind}"
    assert [error["field"] for error in document["errors"]] == [field]
    return str(document["detail"])


# Forms


def test_every_form_holds_the_same_customers(server: Server, records: list[dict]) -> None:
    def got(kind: str) -> Any:
        response = server.http.get(f"{ROUTE}?limit=1000000", headers={"Accept": kind} | PLAIN)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(kind)
        assert response.headers["x-row-count"] == str(len(records))
        return response

    assert [json.loads(line) for line in got("application/x-ndjson").text.splitlines()] == records
    document = got("application/json")
    ScoresPage.model_validate_json(document.content)
    assert document.json()["scores"] == records
    table = pq.read_table(io.BytesIO(got(PARQUET).content)).to_pylist()
    rows = list(csv.DictReader(io.StringIO(got("text/csv").text)))
    assert list(rows[0]) == list(table[0])
    for record, row, line in zip(records, table, rows, strict=True):
        for name, value in record.items():
            if name not in ("reasons", "warnings"):
                assert row[name] == value
                shown = {True: "true", False: "false", None: ""}
                assert line[name] == (shown[value] if (value in (True, False, None) and not
                                      isinstance(value, (int, float))) or isinstance(value, bool)
                                      else str(value))  # fmt: skip
        reason = (record["reasons"] or [dict.fromkeys(("code", "text", "text_zh", "value"))])[0]
        assert row["reason_1"] == reason["code"]
        for name in ("text", "text_zh", "value"):
            assert row[f"reason_1_{name}"] == reason[name]
        assert line["reason_1_text_zh"] == (reason["text_zh"] or "")
        assert row["reason_3"] is None
        assert row["warnings"] == ("; ".join(record["warnings"]) or None)


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json", "text/csv"])
def test_a_packed_answer_unpacks_to_the_plain_one(server: Server, kind: str) -> None:
    with server.http.stream(
        "GET", ROUTE, headers={"Accept": kind, "Accept-Encoding": "gzip"}
    ) as response:
        raw = b"".join(response.iter_raw())
    plain = server.http.get(ROUTE, headers={"Accept": kind} | PLAIN)
    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content
    assert "content-encoding" not in plain.headers
    assert response.headers["etag"] != plain.headers["etag"]
    assert response.headers["vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize("accepted", ["gzip;q=0", "br", "identity", ""])
def test_who_takes_no_gzip_gets_none(server: Server, accepted: str) -> None:
    response = server.http.get(ROUTE, headers={"Accept-Encoding": accepted})
    assert "content-encoding" not in response.headers


def test_a_few_customers_and_parquet_are_not_packed(server: Server) -> None:
    headers = {"Accept-Encoding": "gzip"}
    assert "content-encoding" not in server.http.get(f"{ROUTE}?limit=2", headers=headers).headers
    response = server.http.get(ROUTE, headers=headers | {"Accept": PARQUET})
    assert "content-encoding" not in response.headers
    assert 'filename="scores.parquet"' in response.headers["content-disposition"]


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json", "text/csv", PARQUET])
def test_an_empty_answer_is_whole_in_every_form(server: Server, kind: str) -> None:
    response = server.http.get(f"{ROUTE}?min_value=99999999", headers={"Accept": kind})
    assert (response.status_code, response.headers["x-row-count"]) == (200, "0")
    if kind == "application/json":
        assert response.json()["scores"] == []
    elif kind == "text/csv":
        assert len(response.text.splitlines()) == 1
    elif kind == PARQUET:
        assert pq.read_table(io.BytesIO(response.content)).num_rows == 0
    else:
        assert response.content == b""


def test_a_long_pull_comes_whole_in_many_blocks(tmp_path: Path) -> None:
    home = Home(tmp_path)
    id = publish(home, many(45_000))
    whole = (home.scores / id / "records.ndjson").read_bytes()
    page = open_score_set(home.scores / id).page(limit=1_000_000)
    blocks = list(page.blocks())
    assert len(blocks) > 20
    assert max(map(len, blocks)) < 600_000
    assert all(block.endswith(b"\n") for block in blocks)
    with serving(tmp_path) as server:
        lines = server.http.get(f"{ROUTE}?limit=1000000")
        assert lines.content == whole
        as_json = server.http.get(
            f"{ROUTE}?limit=44999", headers={"Accept": "application/json"}
        ).json()
        assert (len(as_json["scores"]), as_json["next"]) == (44_999, "c044998")
        table = pq.read_table(
            io.BytesIO(
                server.http.get(f"{ROUTE}?limit=1000000", headers={"Accept": PARQUET}).content
            )
        )
    assert table.column("customer_id").to_pylist() == [f"c{row:06d}" for row in range(45_000)]


# Filters


@pytest.mark.parametrize(
    ("query", "keeps"),
    [
        ("stage=at_risk&stage=new", lambda r: r["stage"] in ("at_risk", "new")),
        ("segment=champion", lambda r: r["segment"] == "champion"),
        ("action=call", lambda r: r["action"] == "call"),
        ("min_value=90000", lambda r: (r["value_at_risk_minor"] or 0) >= 90_000),
        (
            "action=offer&stage=at_risk&tier=high&min_value=85000&min_probability=0.9",
            lambda r: (r["action"], r["stage"], r["tier"]) == ("offer", "at_risk", "high")
            and r["value_at_risk_minor"] >= 85_000 and r["probability"] >= 0.9,
        ),
    ],
)  # fmt: skip
def test_filters_keep_who_was_asked_for(
    server: Server, records: list[dict], query: str, keeps: Any
) -> None:
    found, address = [], f"{ROUTE}?{query}&limit=7"
    while address:
        response = server.http.get(address)
        found += [json.loads(line) for line in response.text.splitlines()]
        address = response.links.get("next", {}).get("url")
    assert found == [record for record in records if keeps(record)]
    assert found


@pytest.mark.parametrize(
    ("query", "status", "kind", "field", "says"),
    [
        ("stage=at-risk", 404, "unknown-name", "query.stage", "at_risk"),
        ("segment=champoin", 404, "unknown-name", "query.segment", "champion"),
        ("action=cal", 404, "unknown-name", "query.action", "call"),
        ("tier=hihg", 404, "unknown-name", "query.tier", "high"),
        ("changed_since=nothing", 404, "unknown-name", "query.changed_since", "nothing"),
        ("changed_since=../../etc", 404, "unknown-name", "query.changed_since", "etc"),
        ("set=nothing", 410, "set-gone", "query.set", "begin the pull again"),
        ("set=../forecasts", 410, "set-gone", "query.set", "begin the pull again"),
        ("limit=1000001", 422, "invalid", "query.limit", "1000000"),
        ("limit=0", 422, "invalid", "query.limit", "1"),
        ("min_value=-1", 422, "invalid", "query.min_value", "0"),
        ("min_value=1.5", 422, "invalid", "query.min_value", "1.5"),
        ("min_probability=nan", 422, "invalid", "query.min_probability", "nan"),
        ("stages=new", 422, "invalid", "query.stages", "not known"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_field(
    server: Server, query: str, status: int, kind: str, field: str, says: str
) -> None:
    detail = problem(server.http.get(f"{ROUTE}?{query}"), status, kind, field)
    assert says in detail


@pytest.mark.parametrize(
    ("ids", "field", "says"),
    [
        ([1], "customer_ids.0", "must be text in quotes"),
        (["a", None], "customer_ids.1", "must be text in quotes"),
        ([["a"]], "customer_ids.0", "must be text in quotes"),
        ("c001", "customer_ids", "must be a list"),
        ([], "customer_ids", "at least 1 item"),
        (["x"] * 1001, "customer_ids", "at most 1,000 items, got 1,001"),
    ],
)
def test_ids_that_are_none_are_refused_by_place(
    server: Server, ids: Any, field: str, says: str
) -> None:
    response = server.http.post(ROUTE, json={"customer_ids": ids})
    assert says in problem(response, 422, "invalid", field)


# What changed since


@pytest.fixture
def moving(tmp_path: Path) -> tuple[Home, ScoredCustomers, str]:
    """A home with one set of 300 customers, none of them outside the population."""
    home = Home(tmp_path)
    chunk = many(300)
    chunk = replace(
        chunk,
        probability=np.full(300, 0.5),
        tier=np.ones(300, np.int8),
        action=np.zeros(300, np.int16),
    )
    return home, chunk, publish(home, chunk)


def changed(home: Home, since: str) -> list[str]:
    with serving(home.root) as server:
        response = server.http.get(f"{ROUTE}?changed_since={since}&limit=1000", headers=PLAIN)
        assert response.status_code == 200, response.text
        return [json.loads(line)["customer_id"] for line in response.text.splitlines()]


def without(chunk: ScoredCustomers, rows: set[int]) -> ScoredCustomers:
    kept = [row for row in range(len(chunk.ids)) if row not in rows]
    taken = {
        field.name: np.asarray(getattr(chunk, field.name), dtype=object)[kept].tolist()
        if isinstance(getattr(chunk, field.name), (list, tuple))
        else getattr(chunk, field.name)[kept]
        for field in fields(chunk)
        if field.name != "reason_texts"
    }
    return replace(chunk, **taken)


def test_nobody_changed_between_equal_sets(moving: tuple[Home, ScoredCustomers, str]) -> None:
    home, chunk, before = moving
    assert changed(home, before) == []
    publish(home, chunk)
    assert changed(home, before) == []


def test_who_is_new_or_other_than_before_is_found(
    moving: tuple[Home, ScoredCustomers, str],
) -> None:
    home, chunk, _ = moving
    before = publish(home, without(chunk, {3, 299}))
    after = without(chunk, {10})
    place = {int(id[1:]): i for i, id in enumerate(after.ids)}

    def put(column: str, row: int, value: float) -> None:
        getattr(after, column)[place[row]] = value

    put("probability", 20, 0.51)
    put("probability", 21, 0.4901)
    put("probability", 22, 0.5099)
    put("probability", 23, np.nan)
    put("tier", 24, 0)
    put("stage", 25, (after.stage[place[25]] + 1) % len(STAGES))
    put("segment", 26, (after.segment[place[26]] + 1) % len(SEGMENTS))
    put("action", 27, 1)
    put("value_at_risk_minor", 28, 10**9)
    after.reasons[place[30]] = [-1, -1, -1]
    publish(home, after)
    wanted = [3, 20, 23, 24, 25, 26, 27, 30, 299]
    assert changed(home, before) == [f"c{row:06d}" for row in wanted]


def test_another_first_reason_is_a_change_and_another_number_in_it_is_not(
    moving: tuple[Home, ScoredCustomers, str],
) -> None:
    home, chunk, before = moving
    reason_texts = list(chunk.reason_texts)
    reason_texts[5] = replace(reason_texts[5], code="contacts")
    reason_texts[6] = replace(reason_texts[6], value=99.0, text="no purchase for 99 days")
    publish(home, replace(chunk, reason_texts=reason_texts))
    assert changed(home, before) == ["c000005"]


def test_a_set_of_other_customers_is_all_new(moving: tuple[Home, ScoredCustomers, str]) -> None:
    home, _, _ = moving
    before = publish(home, scored_customers(["a", "c000007x", "zz"]))
    publish(home, scored_customers(["b", "c000007", "zz"]))
    assert changed(home, before) == ["b", "c000007"]
    empty = publish(home, scored_customers([]))
    publish(home, scored_customers(["b"]))
    assert changed(home, empty) == ["b"]


def test_a_set_of_an_older_version_is_refused_with_the_remedy(
    moving: tuple[Home, ScoredCustomers, str],
) -> None:
    home, chunk, before = moving
    publish(home, chunk)
    manifest = home.scores / before / MANIFEST
    manifest.write_text(manifest.read_text().replace('"schema": 2', '"schema": 1'))
    with serving(home.root) as server:
        for parameter in ("set", "changed_since"):
            detail = problem(
                server.http.get(f"{ROUTE}?{parameter}={before}"),
                410,
                "set-gone",
                f"query.{parameter}",
            )
            assert "schema 1" in detail
            assert f"Leave `{parameter}` out" in detail


def test_a_comparison_stays_pinned_through_its_pages(
    moving: tuple[Home, ScoredCustomers, str],
) -> None:
    home, chunk, before = moving
    moved = replace(chunk, probability=np.where(np.arange(300) < 50, 0.7, 0.5))
    after = publish(home, moved)
    with serving(home.root) as server:
        address, seen = f"{ROUTE}?changed_since={before}&limit=20", []
        while address:
            response = server.http.get(address)
            seen += [json.loads(line)["customer_id"] for line in response.text.splitlines()]
            address = response.links.get("next", {}).get("url")
            assert address is None or (f"set={after}" in address and before in address)
    assert seen == [f"c{row:06d}" for row in range(50)]


def test_a_kept_set_is_served_from_disk_after_a_restart(world: World, server: Server) -> None:
    first = server.http.get(f"{ROUTE}?limit=50")
    copy = world.home.root.parent / "restarted"
    shutil.copytree(world.home.root, copy)
    publish(Home(copy), scored_customers(["only one"]))
    with serving(copy) as restarted:
        assert len(restarted.http.get(ROUTE).text.splitlines()) == 1
        rest = restarted.http.get(first.links["next"]["url"])
        assert rest.headers["x-score-set"] == world.scores
        assert json.loads(rest.text.splitlines()[0])["customer_id"] == customer_ids()[50]
