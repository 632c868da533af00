"""Forecast sets and score sets: what is written is what is read, in place and bounded."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_world import (
    ACTIONS,
    DAYS,
    MADE_AT,
    NOW,
    ODD_IDS,
    TIERS,
    customer_ids,
    flat_forecast,
    put_forecast,
    put_scores,
    scored_customers,
)

from features.artefact import MANIFEST, list_ids, point_to, sha256
from features.calendar.clock import iso, to_epoch
from features.errors import (
    DamagedArtefactError,
    IncompatibleArtefactError,
    NotPublishedError,
    UnknownNameError,
)
from features.home import Home
from serving.models.churn.value import SEGMENTS, STAGES
from serving.models.volume.distribution import AhtDistribution
from serving.models.volume.forecast import VolumeForecast
from serving.published.forecast_set import (
    ForecastSet,
    open_current_forecast_set,
    open_forecast_set,
    write_forecast_set,
)
from serving.published.score_set import (
    ScoreFilter,
    ScoreSet,
    open_current_score_set,
    open_score_set,
)
from serving.published.score_writer import write_score_set
from serving.staffing.queue_model import UNKNOWN, ServiceCalibration

HIGH = ScoreFilter(words={"tier": ("high",)})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def forecast(home: Home) -> ForecastSet:
    put_forecast(home)
    return open_current_forecast_set(home.forecasts)


@pytest.fixture
def scores(home: Home) -> ScoreSet:
    put_scores(home)
    return open_current_score_set(home.scores)


def test_a_forecast_set_gives_back_what_was_forecast(forecast: ForecastSet) -> None:
    made = flat_forecast()
    assert list(forecast.queues) == sorted(made.queues)
    for name, published in forecast.queues.items():
        wanted = made.queues[name]
        assert published.queue == wanted.queue
        assert (published.method, published.warnings) == (wanted.method, wanted.warnings)
        for column in ("starts", "is_open", "mean", "quantiles", "aht_seconds"):
            found, expected = getattr(published, column), getattr(wanted, column)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


def test_a_forecast_set_gives_back_the_quarters_and_the_service(home: Home) -> None:
    made = flat_forecast()
    quarters = np.random.default_rng(0).dirichlet(np.full(4, 9.0), size=168)
    service = ServiceCalibration(patience_seconds=90.5, efficiency=0.9, contacts=1000, abandoned=80)
    handle = AhtDistribution(day=0.01, hour=0.002, memory=0.8)
    chat = made.queues["chat"]
    chat = replace(
        chat, quarters=quarters, service=service, shape=replace(chat.shape, handle=handle)
    )
    forecast = replace(made, queues={**made.queues, "chat": chat})
    id = write_forecast_set(
        home.forecasts, forecast=forecast, snapshot="s", model_version="m", now=NOW
    )
    found = open_forecast_set(home.forecasts / id)
    assert (found.queues["chat"].quarters == quarters).all()
    assert found.queues["chat"].service == service
    assert found.queues["chat"].shape.handle == handle
    assert (found.queues["mail"].quarters == 0.25).all()
    assert found.queues["mail"].service == UNKNOWN
    # A set that is written again, as a corrected one is, keeps them.
    again = write_forecast_set(
        home.forecasts, forecast=found, snapshot="s", model_version="m", now=NOW
    )
    kept = open_forecast_set(home.forecasts / again).queues["chat"]
    assert (kept.quarters == quarters).all()
    assert (kept.service, kept.shape.handle) == (service, handle)


def test_a_forecast_set_says_where_it_comes_from(forecast: ForecastSet) -> None:
    assert forecast.made_at == forecast.as_of == MADE_AT
    assert forecast.created_at == NOW
    assert (forecast.snapshot, forecast.model_version) == ("snapshot-1", "volume-1")
    assert forecast.horizon_start == MADE_AT
    assert forecast.horizon_end == MADE_AT + timedelta(days=DAYS)


def test_rows_are_those_whose_interval_begins_in_the_span(forecast: ForecastSet) -> None:
    phone = forecast.queue("phone")
    start = to_epoch(MADE_AT)
    assert phone.rows(start, start + 3600) == slice(0, 2)
    assert phone.rows(start + 1, start + 3600) == slice(1, 2)
    assert phone.rows(start + 3600, start) == slice(2, 2)
    assert phone.rows(0, 2**40) == slice(0, len(phone.starts))


def test_an_unknown_queue_is_named_with_its_neighbours(forecast: ForecastSet) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean `phone`") as caught:
        forecast.queue("phome", field="queues[0]")
    assert caught.value.field == "queues[0]"


def test_a_forecast_of_no_queue_can_be_written_and_read(home: Home) -> None:
    id = write_forecast_set(
        home.forecasts,
        forecast=VolumeForecast(made_at=MADE_AT, as_of=MADE_AT, events=(), queues={}),
        snapshot="s",
        model_version="m",
        warnings=("nothing to forecast",),
        now=NOW,
    )
    found = open_forecast_set(home.forecasts / id)
    assert found.queues == {}
    assert found.warnings == ("nothing to forecast",)
    assert found.horizon_start == found.horizon_end == MADE_AT


@pytest.mark.parametrize(
    ("column", "value", "wrong"),
    [
        ("mean", -1.0, "mean"),
        ("mean", np.nan, "mean"),
        ("quantiles", np.inf, "quantile"),
        ("quantiles", 99.0, "cross"),
        ("aht_seconds", 0.0, "AHT"),
        ("aht_seconds", np.nan, "AHT"),
        ("starts", 0, "ascend"),
        ("is_open", False, "closed"),
        ("quarters", -0.25, "quarters"),
        ("quarters", np.nan, "quarters"),
    ],
)
def test_a_forecast_that_breaks_its_rules_is_not_written(
    home: Home, column: str, value: float, wrong: str
) -> None:
    forecast = flat_forecast()
    cells = getattr(forecast.queues["chat"], column)
    (cells[:, 3] if cells.ndim == 2 else cells)[5] = value
    with pytest.raises(DamagedArtefactError, match=wrong) as caught:
        write_forecast_set(
            home.forecasts, forecast=forecast, snapshot="s", model_version="m", now=NOW
        )
    assert "`chat`" in str(caught.value)
    assert list_ids(home.forecasts) == []


def _put_manifest_in_step(folder: Path) -> None:
    """Make the manifest agree with changed files, as a faulty writer would."""
    manifest = json.loads((folder / MANIFEST).read_text())
    for name, fact in manifest["files"].items():
        fact["sha256"], fact["bytes"] = sha256(folder / name), (folder / name).stat().st_size
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_files_that_disagree_are_refused_even_with_good_checksums(home: Home) -> None:
    forecast = home.forecasts / put_forecast(home)
    queues = json.loads((forecast / "queues.json").read_text())
    (forecast / "queues.json").write_text(json.dumps(queues[:-1]))
    scores = home.scores / put_scores(home)
    with (scores / "records.ndjson").open("ab") as lines:
        lines.write(b"{}")
    for folder in (forecast, scores):
        _put_manifest_in_step(folder)
    with pytest.raises(DamagedArtefactError, match=r"queues\.json"):
        open_forecast_set(forecast)
    with pytest.raises(DamagedArtefactError, match="length"):
        open_score_set(scores)


def test_nothing_is_in_force_before_current_points_at_it(home: Home) -> None:
    with pytest.raises(NotPublishedError):
        open_current_forecast_set(home.forecasts)
    with pytest.raises(NotPublishedError):
        open_current_score_set(home.scores)


def test_a_changed_byte_is_refused(home: Home) -> None:
    id = put_scores(home)
    records = home.scores / id / "records.ndjson"
    data = bytearray(records.read_bytes())
    data[100] ^= 1
    records.write_bytes(data)
    with pytest.raises(DamagedArtefactError, match=r"records\.ndjson"):
        open_current_score_set(home.scores)


def test_a_set_of_another_kind_is_refused(home: Home) -> None:
    id = put_forecast(home)
    with pytest.raises(IncompatibleArtefactError, match="score-set"):
        open_score_set(home.forecasts / id)


def test_every_customer_is_found_with_their_own_record(scores: ScoreSet) -> None:
    ids = customer_ids()
    wanted = scored_customers(ids)
    assert len(scores) == len(ids)
    for i, id in enumerate(ids):
        record = json.loads(scores.record(id) or b"null")
        outside = bool(np.isnan(wanted.probability[i]))
        assert record == {
            "customer_id": id,
            "in_population": not outside,
            "probability": None if outside else round(wanted.probability[i], 6),
            "percentile": None if outside else round(wanted.percentile[i], 2),
            "tier": None if outside else TIERS[wanted.tier[i]],
            "expected_value_minor": None if outside else wanted.expected_value_minor[i],
            "value_at_risk_minor": None if outside else wanted.value_at_risk_minor[i],
            "stage": STAGES[wanted.stage[i]],
            "segment": SEGMENTS[wanted.segment[i]],
            "action": ACTIONS[wanted.action[i]],
            "reasons": [
                asdict(wanted.reason_texts[place]) for place in wanted.reasons[i] if place >= 0
            ],
            "warnings": list(wanted.warnings[i]),
            "as_of": "2026-03-20T00:00:00Z",
            "model_version": "churn-1",
            "score_set": scores.id,
        }


@pytest.mark.parametrize(
    "id", ["", "c", "c0000", "C001", "zzz", "\0", "x" * 10_000, "\ud800", "😀", "c001 "]
)
def test_an_unknown_id_has_no_record_whatever_it_looks_like(scores: ScoreSet, id: str) -> None:
    assert scores.record(id) is None


def test_pages_of_any_size_join_to_the_whole_file(home: Home, scores: ScoreSet) -> None:
    whole = (home.scores / scores.id / "records.ndjson").read_bytes()
    for limit in (1, 7, 199, 200, 10_000):
        after, parts, rows = None, [], 0
        while True:
            page = scores.page(after=after, limit=limit)
            assert page.rows == page.data.count(b"\n") <= limit
            parts.append(page.data)
            rows += page.rows
            if (after := page.next) is None:
                break
        assert b"".join(parts) == whole
        assert rows == 200


def test_a_page_starts_behind_an_id_that_need_not_exist(scores: ScoreSet) -> None:
    page = scores.page(after="c001x", limit=1)
    assert json.loads(page.data)["customer_id"] == "c002"
    assert scores.page(after="\U0010ffff", limit=5).data == b""
    assert scores.page(after="顧客", limit=5).rows == 0
    assert scores.page(after="顧客", limit=5).next is None


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    words=st.fixed_dictionaries(
        {},
        optional={
            "tier": st.sets(st.sampled_from(TIERS)),
            "stage": st.sets(st.sampled_from(STAGES)),
            "segment": st.sets(st.sampled_from(SEGMENTS)),
            "action": st.sets(st.sampled_from(ACTIONS)),
        },
    ),
    least=st.none() | st.sampled_from([0.0, 0.85, 1.0]),
    value=st.none() | st.sampled_from([0, 1, 50_000, 10**9]),
    limit=st.sampled_from([3, 1000]),
)
def test_filters_keep_exactly_the_records_that_pass(
    scores: ScoreSet,
    words: dict[str, set[str]],
    least: float | None,
    value: int | None,
    limit: int,
) -> None:
    def reaches(number: float | None, limit: float | None) -> bool:
        return limit is None or (number is not None and number >= limit)

    every = [json.loads(scores.record(id) or b"") for id in customer_ids()]
    wanted = [
        r
        for r in every
        if all(not some or r[column] in some for column, some in words.items())
        and reaches(r["probability"], least)
        and reaches(r["value_at_risk_minor"], value)
    ]
    only = ScoreFilter(
        words={column: tuple(some) for column, some in words.items()},
        min_probability=least,
        min_value_minor=value,
    )
    found, after = [], None
    while True:
        page = scores.page(after=after, limit=limit, only=only)
        found += [json.loads(line) for line in page.data.splitlines()]
        if (after := page.next) is None:
            break
    assert found == wanted


def test_a_filter_scans_past_its_first_block(home: Home) -> None:
    ids = [f"c{i:06d}" for i in range(40_000)]
    chunk = scored_customers(ids)
    chunk.tier[:] = 2
    chunk.tier[[3, 20_000, 39_998]] = 0
    chunk.probability[[3, 20_000, 39_998]] = 0.5
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
    found = open_score_set(home.scores / id)
    first = found.page(limit=2, only=HIGH)
    assert (first.rows, first.next) == (2, "c020000")
    last = found.page(after=first.next, limit=2, only=HIGH)
    assert (last.rows, last.next) == (1, None)


def test_what_is_open_outlives_its_folder(home: Home, forecast: ForecastSet) -> None:
    put_scores(home)
    scores = open_current_score_set(home.scores)
    shutil.rmtree(home.root)
    assert forecast.queue("phone").mean.max() == 20
    assert scores.record("c001") is not None
    assert scores.page(limit=1000).rows == 200
    assert scores.page(limit=1000, only=HIGH).rows > 0


def test_a_set_is_the_same_however_its_customers_are_chunked(home: Home) -> None:
    ids = customer_ids()
    whole = scored_customers(ids)

    def written(size: int) -> ScoreSet:
        chunks = [
            type(whole)(
                **{
                    name: getattr(whole, name)[
                        slice(None) if name == "reason_texts" else slice(a, a + size)
                    ]
                    for name in whole.__dataclass_fields__
                }
            )
            for a in range(0, len(ids), size)
        ]
        id = write_score_set(
            home.scores,
            chunks=chunks,
            as_of=MADE_AT,
            snapshot="s",
            model_version="m",
            tiers=TIERS,
            actions=ACTIONS,
            now=NOW,
        )
        return open_score_set(home.scores / id)

    one, many = written(1000), written(7)
    assert one.table.drop_columns("record_end").equals(many.table.drop_columns("record_end"))
    assert one.page(limit=1000).data.replace(one.id.encode(), b"") == many.page(
        limit=1000
    ).data.replace(many.id.encode(), b"")
    assert (one.scored, len(one)) == (many.scored, len(many)) == (180, 200)


def test_no_customers_make_an_empty_set(home: Home) -> None:
    id = write_score_set(
        home.scores,
        chunks=[],
        as_of=MADE_AT,
        snapshot="s",
        model_version="m",
        tiers=TIERS,
        actions=ACTIONS,
        now=NOW,
    )
    found = open_score_set(home.scores / id)
    assert len(found) == found.scored == 0
    assert found.record("c001") is None
    assert found.page(limit=10).rows == found.page(limit=10, only=HIGH).rows == 0


@pytest.mark.parametrize("ids", [["b", "a"], ["a", "a"], ["a", "é", "z"]])
def test_ids_that_do_not_ascend_are_refused_and_nothing_is_left(home: Home, ids: list[str]) -> None:
    with pytest.raises(DamagedArtefactError, match="ascending"):
        write_score_set(
            home.scores,
            chunks=[scored_customers(ids)],
            as_of=MADE_AT,
            snapshot="s",
            model_version="m",
            tiers=TIERS,
            actions=ACTIONS,
            now=NOW,
        )
    assert list_ids(home.scores) == []
    assert list(home.scores.iterdir()) == []


@settings(max_examples=25, deadline=None)
@given(
    ids=st.sets(st.text(min_size=1, max_size=12).filter(lambda t: t.isprintable()), max_size=600),
    asked=st.lists(st.text(max_size=12), max_size=20),
)
def test_look_ups_agree_with_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, ids: set[str], asked: list[str]
) -> None:
    root = tmp_path_factory.mktemp("scores")
    ordered = sorted(ids, key=lambda id: id.encode())
    id = write_score_set(
        root,
        chunks=[scored_customers(ordered)],
        as_of=MADE_AT,
        snapshot="s",
        model_version="m",
        tiers=TIERS,
        actions=ACTIONS,
        now=NOW,
    )
    point_to(root, id)
    found = open_current_score_set(root)
    for name in (*ids, *asked):
        record = found.record(name)
        assert (record is not None) == (name in ids)
        if record is not None:
            assert json.loads(record)["customer_id"] == name
    for name in (*asked, *ordered[::97]):
        behind = [o for o in ordered if o.encode() > name.encode("utf-8", "surrogatepass")]
        page = found.page(after=name, limit=1)
        assert [json.loads(line)["customer_id"] for line in page.data.splitlines()] == behind[:1]


def test_odd_ids_are_among_those_tested() -> None:
    assert set(ODD_IDS) <= set(customer_ids())


def test_times_are_written_in_utc_with_a_z() -> None:
    berlin = timezone(timedelta(hours=2))
    assert iso(datetime(2026, 6, 1, 2, 30, tzinfo=berlin)) == "2026-06-01T00:30:00Z"
    assert iso(datetime(2026, 6, 1, 0, 30, 59, 999, tzinfo=UTC)) == "2026-06-01T00:30:59Z"
