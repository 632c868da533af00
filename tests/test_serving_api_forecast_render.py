from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_world import DAYS, MADE_AT, World, build_world, put_forecast

from features.errors import HorizonError, InputError, UnknownNameError
from serving.api import content
from serving.api.forecast.render import ForecastWriter, forecast_csv
from serving.api.forecast.requests import ForecastRequest
from serving.forecast.selection import Selection, select_forecast
from serving.models.volume.distribution import QUANTILE_LEVELS, quantiles_at
from serving.published.forecast_set import ForecastSet, open_forecast_set

END = MADE_AT + timedelta(days=DAYS)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def forecast(world: World) -> ForecastSet:
    return open_forecast_set(world.home.forecasts / world.forecast)


def select(requested: ForecastRequest, *, of: ForecastSet) -> Selection:
    return select_forecast(
        of,
        queues=requested.queues,
        start=requested.start,
        end=requested.end,
        interval_minutes=requested.interval_minutes,
    )


def answer(forecast: ForecastSet, **fields: object) -> dict:
    requested = ForecastRequest.model_validate(fields)
    return json.loads(
        ForecastWriter().json(select(requested, of=forecast), quantiles=requested.quantiles)
    )


def test_by_default_the_answer_begins_with_the_set_and_lasts_a_fortnight(
    forecast: ForecastSet,
) -> None:
    found = answer(forecast)
    assert (found["start"], found["end"]) == ("2026-03-20T00:00:00Z", "2026-04-03T00:00:00Z")
    assert [q["queue"] for q in found["queues"]] == ["chat", "mail", "phone"]
    assert [len(q["intervals"]) for q in found["queues"]] == [14 * 24, 14 * 24, 14 * 48]


def test_the_numbers_are_the_published_ones(forecast: ForecastSet) -> None:
    found = answer(forecast, queues=["phone"], start="2026-03-20T08:00:00Z", quantiles=[0.5])
    first = found["queues"][0]["intervals"][0]
    assert first["is_open"] is True
    assert first["volume"] == {"mean": 20.0, "quantiles": {"0.5": 20.0}}
    assert first["aht_seconds"] == 300.0


def test_a_closed_interval_has_no_volume(forecast: ForecastSet) -> None:
    first = answer(forecast, queues=["phone"])["queues"][0]["intervals"][0]
    assert first["is_open"] is False
    assert first["volume"] == {"mean": 0.0, "quantiles": {"0.1": 0.0, "0.5": 0.0, "0.9": 0.0}}


def test_no_quantiles_gives_the_mean_alone(forecast: ForecastSet) -> None:
    first = answer(forecast, queues=["chat"], quantiles=[])["queues"][0]["intervals"][0]
    assert first["volume"] == {"mean": 6.0, "quantiles": {}}


def test_local_times_follow_the_wall_clock_through_the_short_night(forecast: ForecastSet) -> None:
    found = answer(
        forecast, queues=["phone"], start="2026-03-29T00:00:00+01:00", end="2026-03-29T04:00:00Z"
    )
    berlin = ZoneInfo("Europe/Berlin")
    for interval in found["queues"][0]["intervals"]:
        start = datetime.fromisoformat(interval["start"])
        assert datetime.fromisoformat(interval["start_local"]) == start
        assert interval["start_local"] == start.astimezone(berlin).isoformat()
        end = datetime.fromisoformat(interval["end"])
        assert interval["end_local"] == end.astimezone(berlin).isoformat()
        assert end - start == timedelta(minutes=30)


def test_the_method_is_mixed_where_queues_differ(forecast: ForecastSet) -> None:
    assert answer(forecast, queues=["mail"])["method"] == "baseline"
    assert answer(forecast)["method"] == "mixed"


@settings(max_examples=40)
@given(start=st.integers(0, DAYS * 96 - 1), length=st.integers(1, 200), queue=st.integers(0, 2))
def test_any_span_is_the_same_slice_of_the_whole(
    forecast: ForecastSet, start: int, length: int, queue: int
) -> None:
    name = ["chat", "mail", "phone"][queue]
    writer = ForecastWriter()
    whole = ForecastRequest(queues=[name], start=MADE_AT, end=END)
    every = json.loads(writer.json(select(whole, of=forecast), quantiles=[0.5]))
    first = MADE_AT + timedelta(minutes=15 * start)
    last = min(first + timedelta(minutes=15 * length), END)
    part = ForecastRequest(queues=[name], start=first, end=last)
    found = json.loads(writer.json(select(part, of=forecast), quantiles=[0.5]))
    assert found["queues"][0]["intervals"] == [
        interval
        for interval in every["queues"][0]["intervals"]
        if first <= datetime.fromisoformat(interval["start"]) < last
    ]


@given(
    st.lists(st.floats(0, 1e6), min_size=19, max_size=19),
    st.lists(st.floats(0.05, 0.95), min_size=1, max_size=5),
)
def test_interpolated_quantiles_agree_with_numpy(values: list[float], levels: list[float]) -> None:
    published = np.sort(np.array(values))[None]
    expected = np.interp(levels, QUANTILE_LEVELS, published[0])
    np.testing.assert_allclose(quantiles_at(published, levels)[0], expected, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize(
    "span",
    [
        {"start": "2026-03-19T23:59:59Z"},
        {"start": "2026-04-17T00:00:00Z"},
        {"end": "2026-04-17T00:00:01Z"},
        {"end": "2026-04-17T00:00:00.5Z"},
        {"start": "0001-01-01T00:00:00+14:00"},
        {"end": "9999-12-31T23:59:59-14:00"},
    ],
)
def test_a_span_outside_the_published_one_names_it(forecast: ForecastSet, span: dict) -> None:
    with pytest.raises(HorizonError, match="2026-04-17T00:00:00Z"):
        select(ForecastRequest.model_validate(span), of=forecast)


def test_the_published_end_itself_can_be_asked_for(forecast: ForecastSet) -> None:
    found = answer(forecast, queues=["mail"], start=(END - timedelta(hours=1)).isoformat(), end=END)
    assert len(found["queues"][0]["intervals"]) == 1


def test_a_late_start_takes_what_is_left(forecast: ForecastSet) -> None:
    found = answer(forecast, queues=["mail"], start=(END - timedelta(hours=5)).isoformat())
    assert len(found["queues"][0]["intervals"]) == 5


def test_an_unknown_queue_gets_near_names(forecast: ForecastSet) -> None:
    with pytest.raises(UnknownNameError, match="`phone`") as caught:
        select_forecast(forecast, queues=["mail", "fone"])
    assert caught.value.field == "queues.1"


def test_an_interval_longer_than_the_queues_own_is_refused(forecast: ForecastSet) -> None:
    with pytest.raises(InputError, match="one of 15, 30"):
        select_forecast(forecast, queues=["phone"], interval_minutes=60)
    assert select_forecast(forecast, queues=["phone"], interval_minutes=30).intervals


def test_an_answer_that_would_be_too_large_is_refused(
    forecast: ForecastSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.forecast.selection.MOST_INTERVALS", 100)
    with pytest.raises(InputError, match="fewer queues"):
        select_forecast(forecast)


def test_a_new_set_is_never_answered_from_what_was_written_for_the_old(world: World) -> None:
    home = world.home
    old = open_forecast_set(home.forecasts / world.forecast)
    new = open_forecast_set(home.forecasts / put_forecast(home, factor=2.0))
    writer = ForecastWriter()
    requested = ForecastRequest(queues=["chat"])
    means = [
        json.loads(writer.json(select(requested, of=s), quantiles=[]))["queues"][0]["intervals"][0][
            "volume"
        ]["mean"]
        for s in (old, new, old)
    ]
    assert means == [6.0, 12.0, 6.0]


def test_what_is_kept_stays_small_and_the_answers_the_same(forecast: ForecastSet) -> None:
    small, large = ForecastWriter(cache_bytes=1), ForecastWriter()
    selection = select_forecast(forecast)
    assert small.json(selection, quantiles=[0.5]) == large.json(selection, quantiles=[0.5])
    assert len(small._cache) == 1


def test_csv_holds_the_same_numbers_as_json(forecast: ForecastSet) -> None:
    requested = ForecastRequest(
        start=MADE_AT, end=MADE_AT + timedelta(days=2), quantiles=[0.1, 0.9]
    )
    selection = select(requested, of=forecast)
    rows = list(csv.DictReader(io.StringIO(forecast_csv(selection, quantiles=[0.1, 0.9]).decode())))
    document = json.loads(ForecastWriter().json(selection, quantiles=[0.1, 0.9]))
    flat = [
        (queue["queue"], interval)
        for queue in document["queues"]
        for interval in queue["intervals"]
    ]
    assert len(rows) == len(flat)
    for row, (queue, interval) in zip(rows, flat, strict=True):
        assert row["queue"] == queue
        assert row["start_local"] == interval["start_local"]
        assert row["is_open"] == str(interval["is_open"]).lower()
        assert float(row["volume_mean"]) == interval["volume"]["mean"]
        assert float(row["volume_q0.9"]) == interval["volume"]["quantiles"]["0.9"]
        assert float(row["aht_seconds"]) == interval["aht_seconds"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, False),
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ("*", True),
        ('"b"', False),
    ],
)
def test_if_none_match_is_compared_as_the_standard_says(header: str | None, expected: bool) -> None:
    assert content.matches(header, '"a"') is expected
