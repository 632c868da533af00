"""Files for scheduling tools: known bytes, round trips, and every way a file can be wrong."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.contracts.tables import CHANNELS
from features.errors import EbbflowError, InputError, UnreadableFileError
from serving.files import FORMATS
from serving.files.connect import read_connect, write_connect
from serving.files.genesys import read_genesys, write_genesys
from serving.files.plain_csv import read_csv, write_csv
from serving.files.rows import MOST_BYTES, Rows

CSV_HEADER = (
    "queue_id,channel,start_time,end_time,interval_minutes,volume,aht_seconds,"
    "agents_on_phone,agents_rostered\r\n"
)
CONNECT_HEADER = (
    "QueueName,QueueId,ChannelType,TimeStamp,IntervalDuration,IncomingContactVolume,"
    "AverageHandleTime\r\n"
)
EIGHT = int(datetime(2026, 3, 2, 8, tzinfo=UTC).timestamp())
QUARTERS_OF_A_WEEK = {
    ("2026-03-02", "UTC"): 672,
    ("2026-03-23", "Europe/Berlin"): 668,
    ("2026-10-19", "Europe/Berlin"): 676,
    ("2026-03-02", "America/New_York"): 668,
    ("2026-10-26", "America/New_York"): 676,
    ("2026-04-05", "Asia/Kathmandu"): 672,
}


def queue(
    name: str = "sales",
    *,
    volume: Sequence[float] = (4.0,),
    aht: Sequence[float] | float = 300.0,
    start: int = EIGHT,
    minutes: int = 15,
    channel: str | None = "voice",
    zone: str = "UTC",
    **agents: Any,
) -> Rows:
    count = len(volume)
    return Rows(
        queue=name,
        channel=channel,
        time_zone=zone,
        starts=start + 60 * minutes * np.arange(count, dtype=np.int64),
        interval_minutes=minutes,
        volume=np.array(volume, dtype=np.float64),
        aht_seconds=np.broadcast_to(np.array(aht, dtype=np.float64), (count,)).copy(),
        **agents,
    )


def week(
    name: str = "sales",
    *,
    first: str = "2026-03-02",
    zone: str = "UTC",
    volume: Callable[[np.ndarray], np.ndarray] = lambda n: 1.0 + n % 7,
) -> Rows:
    """Return one local week, its bounds from zoneinfo alone."""
    midnight = datetime.fromisoformat(first).replace(tzinfo=ZoneInfo(zone))
    start, end = midnight.timestamp(), (midnight + timedelta(days=7)).timestamp()
    values = volume(np.arange(int(end - start) // 900))
    return queue(name, volume=values, start=int(start), zone=zone)


def same(got: Sequence[Rows], expected: Sequence[Rows]) -> None:
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        for field in fields(Rows):
            a, b = getattr(one, field.name), getattr(other, field.name)
            if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
                assert a.dtype == b.dtype, field.name
                assert a.tolist() == b.tolist(), field.name
            else:
                assert a == b, field.name


# Known bytes


def test_a_csv_file_has_these_bytes() -> None:
    agents = {"agents_on_phone": np.array([6, 7]), "agents_rostered": np.array([9, 10])}
    rows = [queue("sales", volume=[4.0, 0.1], aht=[300.0, 1 / 3], minutes=30, **agents)]
    rows.append(queue("mail, second", volume=[0.0], aht=0.0, minutes=60, channel="email"))
    assert write_csv(rows).decode() == (
        CSV_HEADER
        + "sales,voice,2026-03-02T08:00:00Z,2026-03-02T08:30:00Z,30,4.0,300.0,6,9\r\n"
        + "sales,voice,2026-03-02T08:30:00Z,2026-03-02T09:00:00Z,30,0.1,0.3333333333333333,7,10\r\n"
        + '"mail, second",email,2026-03-02T08:00:00Z,2026-03-02T09:00:00Z,60,0.0,0.0,,\r\n'
    )


def test_a_connect_file_has_these_bytes() -> None:
    named = replace(queue("b0a5", volume=[4.4, 4.4, 4.4], aht=[299.6, 0.2, 0.0001]), name="Sales 1")
    rows = [named, queue("chat", volume=[0.0, 2.5], aht=0.4, minutes=30, channel="chat")]
    assert write_connect(rows).decode() == (
        CONNECT_HEADER + "Sales 1,b0a5,VOICE,2026-03-02T08:00:00Z,15mins,4,300\r\n"
        "Sales 1,b0a5,VOICE,2026-03-02T08:15:00Z,15mins,5,1\r\n"
        "Sales 1,b0a5,VOICE,2026-03-02T08:30:00Z,15mins,4,1\r\n"
        "chat,chat,CHAT,2026-03-02T08:00:00Z,30mins,0,0\r\n"
        "chat,chat,CHAT,2026-03-02T08:30:00Z,30mins,3,1\r\n"
    )


def test_a_genesys_file_holds_a_week_and_its_first_day_again() -> None:
    data = write_genesys([week("a"), week("b", volume=lambda n: n / 8)])
    document = json.loads(gzip.decompress(data))
    assert list(document) == [
        "description",
        "weekCount",
        "timeZone",
        "referenceStartDate",
        "planningGroups",
    ]
    assert document["description"] == "Ebbflow: week from 2026-03-02 (UTC)"
    assert (document["weekCount"], document["timeZone"]) == (1, "UTC")
    assert document["referenceStartDate"] == "2026-03-02"
    first, second = document["planningGroups"]
    assert (first["planningGroupId"], second["planningGroupId"]) == ("a", "b")
    own = [n / 8 for n in range(7 * 96)]
    assert second["offeredPerInterval"] == own + own[:96]
    assert second["averageHandleTimeSecondsPerInterval"] == [300.0] * 768


def test_a_genesys_files_bytes_hold_no_time_and_no_name() -> None:
    data = write_genesys([week()])
    magic, method, flags, mtime = struct.unpack("<HBBI", data[:8])
    assert (magic, method, flags, mtime) == (0x8B1F, 8, 0, 0)
    assert data[9] == 255  # no operating system either
    assert data == write_genesys([week()])


@pytest.mark.parametrize(("first", "zone"), QUARTERS_OF_A_WEEK)
def test_a_genesys_array_counts_the_quarters_that_pass(first: str, zone: str) -> None:
    rows = week(first=first, zone=zone, volume=lambda n: n.astype(float))
    count = QUARTERS_OF_A_WEEK[first, zone]
    assert len(rows.starts) == count
    document = json.loads(gzip.decompress(write_genesys([rows])))
    assert (document["referenceStartDate"], document["timeZone"]) == (first, zone)
    values = document["planningGroups"][0]["offeredPerInterval"]
    assert values == [*range(count), *range(768 - count)]
    # The padding is what the wall clock shows: a week later, the same time of day.
    later = datetime.fromtimestamp(int(rows.starts[0]) + 900 * count, tz=ZoneInfo(zone))
    assert f"{later:%H:%M}" == "00:00"


def test_queues_of_another_zone_go_into_the_business_units_week() -> None:
    berlin = week(first="2026-03-02", zone="Europe/Berlin")
    data = write_genesys([replace(berlin, time_zone="Europe/London")], time_zone="Europe/Berlin")
    (got,) = read_genesys(data)
    same([got], [replace(berlin, channel=None)])


# Whole contacts


thousandths = st.integers(0, 40_000).map(lambda n: n / 1000)
contacts = st.lists(
    thousandths | st.sampled_from([0.0, 0.5, 0.25, 1.0, 7.0]), min_size=1, max_size=200
)


@given(volume=contacts, zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]))
@settings(deadline=None)
def test_whole_contacts_keep_each_local_days_total(volume: list[float], zone: str) -> None:
    rows = queue(volume=volume, zone=zone, start=EIGHT + 11 * 3600)
    lines = list(csv.DictReader(io.StringIO(write_connect([rows]).decode())))
    whole = [int(line["IncomingContactVolume"]) for line in lines]
    assert all(abs(w - v) < 1 for w, v in zip(whole, volume, strict=True))
    exact: dict[str, Fraction] = {}
    sent: dict[str, int] = {}
    for line, number, value in zip(lines, whole, volume, strict=True):
        day = f"{datetime.fromisoformat(line['TimeStamp']).astimezone(ZoneInfo(zone)):%F}"
        exact[day] = exact.get(day, Fraction(0)) + Fraction(str(value))
        sent[day] = sent.get(day, 0) + number
    assert sent == {day: math.floor(total + Fraction(1, 2)) for day, total in exact.items()}


def test_whole_contacts_of_a_quiet_day_are_spread_over_it() -> None:
    lines = list(csv.DictReader(io.StringIO(write_connect([queue(volume=[0.25] * 64)]).decode())))
    got = [n for n, line in enumerate(lines) if line["IncomingContactVolume"] == "1"]
    assert len(got) == 16
    assert set(np.diff(got)) == {4}


def test_an_interval_without_contacts_gets_none() -> None:
    volume = [0.0, 0.7, 0.0, 0.7, 0.0]
    lines = list(csv.DictReader(io.StringIO(write_connect([queue(volume=volume)]).decode())))
    assert [line["IncomingContactVolume"] for line in lines][::2] == ["0", "0", "0"]


# Round trips


texts = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("=+-@'\",;\r\n\t＝ "),
    min_size=1,
    max_size=12,
)
plain = st.text("abcXYZ09é顧-_.() ", min_size=1, max_size=12).filter(lambda t: t[0] != "-")
zones = st.sampled_from(sorted({zone for _, zone in QUARTERS_OF_A_WEEK}))
volumes = st.floats(0, 10_000_000) | st.floats(0, 1e-300) | st.sampled_from([0.0, 0.1, 1e7, 5e-324])
handle_times = st.floats(1e-9, 2_592_000)


@st.composite
def queues(
    draw: st.DrawFn, names: st.SearchStrategy[str], channels: Sequence[str], minutes: Sequence[int]
) -> list[Rows]:
    found = []
    for name in draw(st.lists(names, max_size=4, unique=True)):
        count, length = draw(st.integers(1, 12)), draw(st.sampled_from(minutes))
        gaps = draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))
        agents = st.none() | st.lists(st.integers(0, 10_000_000), min_size=count, max_size=count)
        on_phone, rostered = (
            None if drawn is None else np.array(drawn, dtype=np.int64)
            for drawn in (draw(agents), draw(agents))
        )
        found.append(
            Rows(
                queue=name,
                channel=draw(st.sampled_from(channels)),
                time_zone="UTC",
                starts=draw(st.integers(0, 4_000_000)) * 900 + np.cumsum(gaps) * 60 * length,
                interval_minutes=length,
                volume=np.array(draw(st.lists(volumes, min_size=count, max_size=count))),
                aht_seconds=np.array(draw(st.lists(handle_times, min_size=count, max_size=count))),
                agents_on_phone=on_phone,
                agents_rostered=rostered,
            )
        )
    return found


@given(rows=queues(texts, CHANNELS, [15, 30, 60]))
@settings(deadline=None)
def test_csv_loses_nothing(rows: list[Rows]) -> None:
    data = write_csv(rows)
    got = read_csv(data)
    same(got, rows)
    assert write_csv(got) == data


@given(rows=queues(plain, ["voice", "chat"], [15, 30]), names=st.lists(plain, max_size=4))
@settings(deadline=None)
def test_connect_loses_nothing_but_fractions_and_agents(rows: list[Rows], names: list[str]) -> None:
    named = [replace(one, name=name) for one, name in zip(rows, names, strict=False)]
    rows = [one if one.name != one.queue else replace(one, name=None) for one in named]
    data = write_connect(rows)
    got = read_connect(data)
    assert write_connect(got) == data
    for one, sent in zip(got, rows, strict=True):
        assert (np.abs(one.volume - sent.volume) <= 1).all()
        assert (np.abs(one.aht_seconds - sent.aht_seconds) <= 1).all()
        whole = {"volume": one.volume, "aht_seconds": one.aht_seconds}
        same([one], [replace(sent, agents_on_phone=None, agents_rostered=None, **whole)])


@given(
    names=st.lists(texts, min_size=1, max_size=3, unique=True),
    where=st.sampled_from(sorted(QUARTERS_OF_A_WEEK)),
    seed=st.integers(0, 1000),
    few=st.lists(volumes, min_size=5, max_size=5),
)
@settings(deadline=None, max_examples=30)
def test_genesys_loses_nothing_but_channel_and_agents(
    names: list[str], where: tuple[str, str], seed: int, few: list[float]
) -> None:
    first, zone = where
    rng = np.random.default_rng(seed)
    rows = [
        week(name, first=first, zone=zone, volume=lambda n: rng.gamma(0.5, 9.0, len(n)))
        for name in names
    ]
    rows[0].volume[[0, 5, 95, 96, -1]] = few
    data = write_genesys(rows)
    got = read_genesys(data)
    same(got, [replace(one, channel=None) for one in rows])
    assert write_genesys(got) == data


def test_the_hour_that_comes_twice_is_kept_apart() -> None:
    # Berlin, 2026-10-25: 02:00 to 03:00 on the wall comes twice, at 00:00 and 01:00 UTC.
    start = int(datetime(2026, 10, 25, tzinfo=UTC).timestamp())
    rows = queue(volume=range(1, 9), start=start, zone="Europe/Berlin")
    same(read_csv(write_csv([rows])), [replace(rows, time_zone="UTC")])
    same(read_connect(write_connect([rows])), [replace(rows, time_zone="UTC")])


def test_lines_of_two_queues_may_alternate_and_line_ends_and_a_byte_order_mark_do_not_count() -> (
    None
):
    rows = [queue("a", volume=[1.0, 2.0]), queue("b", volume=[3.0, 4.0])]
    head, *lines = write_csv(rows).decode().splitlines()
    mixed = "\n".join([head, lines[0], lines[2], lines[1], lines[3], ""])
    same(read_csv("\ufeff".encode() + mixed.encode()), rows)


@pytest.mark.parametrize("name", ["csv", "connect"])
def test_a_table_of_no_queue_is_a_header_alone(name: str) -> None:
    form = FORMATS[name]
    assert form.write([]).count(b"\r\n") == 1
    assert form.read(form.write([])) == []


def test_the_formats_are_known_by_name() -> None:
    rows = [week(volume=lambda n: 1.0 + n % 5)]
    assert list(FORMATS) == ["csv", "genesys", "connect"]
    for name, form in FORMATS.items():
        assert form.name == name
        assert form.read(form.write(rows))[0].volume.tolist() == rows[0].volume.tolist()
    assert {form.suffix for form in FORMATS.values()} == {".csv", ".json.gz"}
    assert {form.media_type for form in FORMATS.values()} == {"text/csv", "application/gzip"}


# Spreadsheets


@given(name=texts)
def test_no_cell_of_a_queues_name_begins_as_a_formula(name: str) -> None:
    text = write_csv([queue(name)]).decode()
    cell = next(csv.DictReader(io.StringIO(text, newline="")))["queue_id"]
    assert cell[0] not in "=+-@\t\r\n＝＋－＠"
    assert cell in (name, f"'{name}")


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("'=1+1", "''=1+1"),
        ("-5", "'-5"),
        ("'t Hof", "'t Hof"),
        ("a=b", "a=b"),
        ("'", "'"),
    ],
)
def test_only_a_name_that_needs_it_is_guarded(name: str, cell: str) -> None:
    data = write_csv([queue(name)])
    assert data.decode().splitlines()[1].split(",")[0] == cell
    assert read_csv(data)[0].queue == name


# What a writer refuses


def test_a_queue_that_is_there_twice_is_refused() -> None:
    for form in FORMATS.values():
        with pytest.raises(InputError, match="'sales' twice; expected each queue once"):
            form.write([week(), week()])


def test_a_csv_file_needs_each_queues_channel() -> None:
    with pytest.raises(InputError, match="queue `sales`: got no channel"):
        write_csv([queue(channel=None)])


@pytest.mark.parametrize(
    ("rows", "field", "message"),
    [
        (queue(channel="email"), "queues", "queue `sales`: got channel email; expected voice or"),
        (queue(channel=None), "queues", "queue `sales`: got channel None"),
        (queue(minutes=60), "interval_minutes", "queue `sales`: got intervals of 60 minutes"),
        (queue("a,b"), "queues", "queue `a,b`: got 'a,b'; expected a name that Amazon Connect"),
        (queue("=1"), "queues", "got '=1'"),
        (queue("-SUM(A1)"), "queues", "not - first"),
        (replace(queue(), name='say "a"'), "queues", "queue `sales`: got 'say \"a\"'"),
    ],
)
def test_connect_is_not_given_what_it_does_not_take(rows: Rows, field: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        write_connect([queue("fine"), rows])
    assert message in str(caught.value)
    assert caught.value.field == field


def part(rows: Rows, chosen: slice | list[int]) -> Rows:
    return replace(
        rows,
        starts=rows.starts[chosen],
        volume=rows.volume[chosen],
        aht_seconds=rows.aht_seconds[chosen],
    )


def test_genesys_wants_quarters_of_an_hour() -> None:
    with pytest.raises(InputError, match="`sales`: got intervals of 30 minutes; expected 15") as e:
        write_genesys([queue(minutes=30)])
    assert e.value.field == "interval_minutes"


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        (part(week(), slice(4, None)), "start"),
        (part(week(), slice(0, 671)), "end"),
        (part(week(), [*range(50), *range(51, 672)]), "queues"),
        (week(first="2026-03-02", zone="Asia/Tokyo"), "start"),
    ],
)
def test_genesys_wants_one_whole_local_week(rows: Rows, field: str) -> None:
    with pytest.raises(InputError, match="2026-03-02T00:00:00Z to 2026-03-09T00:00:00Z") as caught:
        write_genesys([week("first"), replace(rows, time_zone="UTC")])
    assert caught.value.field == field
    assert "queue `sales`" in str(caught.value)


def test_genesys_asks_for_more_than_a_week_to_be_fetched_week_by_week() -> None:
    rows = queue(volume=np.ones(14 * 96), start=EIGHT - 8 * 3600)
    with pytest.raises(InputError, match="Ask week by week"):
        write_genesys([rows])


def test_genesys_wants_one_time_zone_and_names_the_others() -> None:
    rows = [week("a"), week("b", zone="Europe/Berlin"), week("c", zone="Europe/Berlin")]
    with pytest.raises(InputError, match=r"Europe/Berlin \(queue `b`\), UTC \(queue `a`\)"):
        write_genesys(rows)
    with pytest.raises(InputError, match="got no queue"):
        write_genesys([])
    with pytest.raises(InputError, match="got no queue"):
        write_genesys([], time_zone="UTC")
    with pytest.raises(InputError, match="no such zone"):
        write_genesys([week()], time_zone="Europe/Nowhere")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"queue": ""}, "queue"),
        ({"queue": "x" * 513}, "queue"),
        ({"channel": "fax"}, "channel"),
        ({"interval_minutes": 20}, "interval_minutes"),
        ({"starts": np.empty(0, dtype=np.int64)}, "starts"),
        ({"starts": np.array([EIGHT, EIGHT + 60])}, "starts[1]"),
        ({"starts": np.array([EIGHT, EIGHT])}, "starts[1]"),
        ({"starts": np.array([EIGHT + 900, EIGHT])}, "starts[1]"),
        ({"volume": np.array([1.0])}, "volume"),
        ({"volume": np.array([1.0, -0.1])}, "volume[1]"),
        ({"volume": np.array([np.nan, 1.0])}, "volume[0]"),
        ({"volume": np.array([1.0, np.inf])}, "volume[1]"),
        ({"aht_seconds": np.array([1.0, 1e9])}, "aht_seconds[1]"),
        ({"aht_seconds": np.array([1.0, 0.0])}, "aht_seconds[1]"),
        ({"agents_on_phone": np.array([1, -1])}, "agents_on_phone[1]"),
        ({"agents_rostered": np.array([1])}, "agents_rostered"),
    ],
)
def test_rows_that_cannot_be_are_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        replace(queue(volume=[1.0, 2.0]), **change)
    assert caught.value.field == field


# What a reader refuses

LINE = "sales,voice,2026-03-02T08:00:00Z,2026-03-02T08:15:00Z,15,4.0,300.0,6,9\r\n"
NEXT = "sales,voice,2026-03-02T08:15:00Z,2026-03-02T08:30:00Z,15,4.0,300.0,6,9\r\n"
CONNECT_LINE = "Sales,b0,VOICE,2026-03-02T08:00:00Z,15mins,4,300\r\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sales", "", "line 2, column `queue_id`: got ''; expected text of 1 to 512"),
        ("sales", "x" * 513, "line 2, column `queue_id`"),
        ("voice", "fax", "column `channel`: got 'fax'; expected one of voice, chat, email"),
        ("08:00:00Z", "08:00:00", "line 2, column `start_time`: got '2026-03-02T08:00:00'"),
        ("08:00:00Z", "08:05:00Z", "column `start_time`: got '2026-03-02T08:05:00Z'; expected a"),
        ("2026-03-02T08:00", "2026-02-30T08:00", "column `start_time`"),
        ("2026-03-02T08:00", "2026-03-02 08:00", "column `start_time`"),
        ("2026-03-02T08:00", "0001-01-01T08:00", "column `start_time`"),
        ("2026-03-02T08:00", "２026-03-02T08:00", "column `start_time`"),
        ("T08:15:00Z", "T08:30:00Z", "column `end_time`: got '2026-03-02T08:30:00Z'; expected 15"),
        (",15,", ",20,", "column `interval_minutes`: got '20'; expected one of 15, 30, 60"),
        (",15,", ",,", "column `interval_minutes`: got ''"),
        ("4.0", "-4.0", "column `volume`: got '-4.0'; expected a number from 0 to 10000000"),
        ("4.0", "nan", "column `volume`: got 'nan'"),
        ("4.0", "inf", "column `volume`: got 'inf'"),
        ("4.0", "1e999", "column `volume`: got '1e999'"),
        ("4.0", "4_0", "column `volume`: got '4_0'"),
        ("4.0", " 4", "column `volume`: got ' 4'"),
        ("4.0", "", "column `volume`: got ''"),
        ("4.0", "٤", "column `volume`: got '٤'"),
        ("300.0", "0", "column `aht_seconds`: got '0'; expected above 0 where contacts come"),
        (",6,", ",6.5,", "column `agents_on_phone`: got '6.5'; expected a whole number from 0"),
        (",6,", ",-1,", "column `agents_on_phone`: got '-1'"),
        (",9\r", f",{'9' * 5000}\r", "column `agents_rostered`"),
        (",9\r", "\r", "line 2: got 8 cells; expected 9: queue_id, channel"),
        (",9\r", ",9,9\r", "line 2: got 10 cells"),
        ("sales", '"sales"x', "line 2: got"),
        ("sales", '"sales', "line 2: got"),
    ],
)
def test_a_wrong_csv_cell_is_named(old: str, new: str, message: str) -> None:
    assert old in LINE
    with pytest.raises(InputError) as caught:
        read_csv((CSV_HEADER + LINE.replace(old, new, 1)).encode())
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (LINE + LINE, "line 3, queue 'sales': its start: got the same start; expected after"),
        (NEXT + LINE, "line 3, queue 'sales': its start: got an earlier or overlapping one"),
        (LINE + NEXT.replace("voice", "chat"), "`channel`: got chat; expected voice as on line 2"),
        (
            LINE + NEXT.replace("T08:30", "T08:45").replace(",15,", ",30,"),
            "`interval_minutes`: got 30; expected 15 as on line 2: one kind of row a queue",
        ),
        (LINE + NEXT.replace(",9\r", ",\r"), "`agents_rostered`: got none; expected as on line 2"),
        (LINE.replace(",6,", ",,") + NEXT, "`agents_on_phone`: got a number; expected as on"),
    ],
)
def test_lines_that_do_not_fit_together_are_named(lines: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_csv((CSV_HEADER + lines).encode())
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the header on line 1: got no column `queue_id`"),
        (CSV_HEADER.replace("volume,", "").encode(), "no column `volume`; expected queue_id,"),
        (CSV_HEADER.replace("volume,", "volume,volume,").encode(), "got 10 columns, not these"),
        (CONNECT_HEADER.encode(), "got no column `queue_id`"),
        (CSV_HEADER.encode() + b"\xff", "got bytes that are no text at byte 106; expected UTF-8"),
        (CSV_HEADER.encode("utf-16"), "expected UTF-8"),
        (CSV_HEADER.encode() + b"\r\n", "line 2: got 0 cells"),
        (b"x" * (MOST_BYTES + 1), "got more than 16000000 bytes"),
    ],
    ids=lambda value: "file" if isinstance(value, bytes) else None,
)
def test_a_file_that_is_no_such_table_is_unreadable(data: bytes, message: str) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        read_csv(data)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Sales,", ",", "line 2, column `QueueName`: got ''"),
        (",b0,", ",=b0,", "line 2, column `QueueId`: got '=b0'; expected letters, digits"),
        ("VOICE", "voice", "column `ChannelType`: got 'voice'; expected VOICE or CHAT"),
        ("15mins", "daily", "column `IntervalDuration`: got 'daily'; expected 15mins or 30mins"),
        ("08:00:00Z", "08:00", "column `TimeStamp`"),
        (",4,", ",4.5,", "column `IncomingContactVolume`: got '4.5'; expected a whole number"),
        (",300", ",-300", "column `AverageHandleTime`: got '-300'"),
        (",300", ",0", "column `AverageHandleTime`: got '0'; expected above 0 where contacts"),
        (",300", "", "line 2: got 6 cells"),
    ],
)
def test_a_wrong_connect_cell_is_named(old: str, new: str, message: str) -> None:
    assert old in CONNECT_LINE
    with pytest.raises(InputError) as caught:
        read_connect((CONNECT_HEADER + CONNECT_LINE.replace(old, new, 1)).encode())
    assert message in str(caught.value)


def test_one_id_with_two_names_is_refused() -> None:
    other = CONNECT_LINE.replace("Sales", "Other").replace("08:00:00", "08:15:00")
    with pytest.raises(InputError, match="`name`: got Other; expected Sales as on line 2"):
        read_connect((CONNECT_HEADER + CONNECT_LINE + other).encode())


def test_connect_times_with_an_offset_and_handle_times_with_decimals_are_read() -> None:
    line = CONNECT_LINE.replace("08:00:00Z", "00:00:00-08:00").replace("300", "300.5")
    (rows,) = read_connect((CONNECT_HEADER + line).encode())
    assert (rows.starts.tolist(), rows.aht_seconds.tolist()) == ([EIGHT], [300.5])


DOCUMENT = json.loads(gzip.decompress(write_genesys([week("a"), week("b")])))


def _changed(path: Sequence[str | int], value: Any) -> bytes:
    document = json.loads(json.dumps(DOCUMENT))
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return gzip.compress(json.dumps(document).encode())


OFFERED = "offeredPerInterval"
HANDLE = "averageHandleTimeSecondsPerInterval"


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (["weekCount"], 2, "weekCount"),
        (["weekCount"], True, "weekCount"),
        (["description"], 5, "description"),
        (["timeZone"], "Mars/Base", "timeZone"),
        (["timeZone"], "../../etc/passwd", "timeZone"),
        (["timeZone"], 1, "timeZone"),
        (["timeZone"], "", "timeZone"),
        (["referenceStartDate"], "2026-02-30", "referenceStartDate"),
        (["referenceStartDate"], "2026-03-02T00:00:00Z", "referenceStartDate"),
        (["referenceStartDate"], "9999-12-30", "referenceStartDate"),
        (["referenceStartDate"], 20260302, "referenceStartDate"),
        (["referenceStartDate"], None, "referenceStartDate"),
        (["extra"], 1, "extra"),
        (["planningGroups"], [], "planningGroups"),
        (["planningGroups"], {"a": 1}, "planningGroups"),
        (["planningGroups", 1], 7, "planningGroups[1]"),
        (["planningGroups", 1, OFFERED], None, f"planningGroups[1].{OFFERED}"),
        (["planningGroups", 1, "more"], 1, "planningGroups[1].more"),
        (["planningGroups", 1, "planningGroupId"], 7, "planningGroups[1].planningGroupId"),
        (["planningGroups", 1, "planningGroupId"], "", "planningGroups[1].planningGroupId"),
        (["planningGroups", 1, "planningGroupId"], "a", "queues"),
        (["planningGroups", 0, OFFERED], [1.0] * 672, f"planningGroups[0].{OFFERED}"),
        (["planningGroups", 0, HANDLE], "x", f"planningGroups[0].{HANDLE}"),
        (["planningGroups", 0, OFFERED, 5], -1, f"planningGroups[0].{OFFERED}[5]"),
        (["planningGroups", 0, OFFERED, 5], "4", f"planningGroups[0].{OFFERED}[5]"),
        (["planningGroups", 0, OFFERED, 5], True, f"planningGroups[0].{OFFERED}[5]"),
        (["planningGroups", 0, OFFERED, 5], [], f"planningGroups[0].{OFFERED}[5]"),
        (["planningGroups", 0, OFFERED, 5], 10**400, f"planningGroups[0].{OFFERED}[5]"),
        (["planningGroups", 0, OFFERED, 700], 3.5, f"planningGroups[0].{OFFERED}[700]"),
        (["planningGroups", 0, HANDLE], [0] * 768, f"planningGroups[0].{HANDLE}[0]"),
    ],
)
def test_a_wrong_genesys_field_is_named(path: list[str | int], value: Any, field: str) -> None:
    with pytest.raises(InputError) as caught:
        read_genesys(_changed(path, value))
    if value != 10**400:  # which is no JSON number for a strict parser
        assert caught.value.field == field
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999", "null"])
def test_a_genesys_value_that_is_no_number_is_refused(constant: str) -> None:
    text = json.dumps(DOCUMENT).replace("1.0", constant, 1)
    with pytest.raises(InputError):
        read_genesys(gzip.compress(text.encode()))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "got an end before its end; expected one whole gzipped file"),
        (b"{}", "expected gzipped JSON"),
        (write_genesys([week()])[:-3], "an end before its end"),
        (write_genesys([week()]) + b"\0", "more bytes after its end"),
        (gzip.compress(b"{}") * 2, "more bytes after its end"),
        (gzip.compress(b"{"), "no JSON"),
        (gzip.compress(b"[" * 100_000), "no JSON"),
        (gzip.compress(b'{"a": "\xff"}'), "no JSON"),
        (gzip.compress(b"[]"), "the file: got list; expected an object"),
        (gzip.compress(b"{}"), "`description`: got nothing; expected the fields description, "),
    ],
    ids=lambda value: "file" if isinstance(value, bytes) else None,
)
def test_a_file_that_is_no_gzipped_json_is_named(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_genesys(data)
    assert message in str(caught.value)


def test_a_small_file_that_unpacks_to_gigabytes_is_refused_early() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b" " * 10_000_000) for _ in range(40)) + packer.flush()
    assert len(bomb) < 1_000_000
    with pytest.raises(UnreadableFileError, match="more than 16000000 bytes"):
        read_genesys(bomb)


# Anything


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.binary(max_size=300), text=st.text(max_size=200), packed=st.booleans())
@settings(deadline=None)
def test_random_bytes_raise_nothing_but_our_errors(
    name: str, data: bytes, text: str, packed: bool
) -> None:
    header = {"csv": CSV_HEADER, "connect": CONNECT_HEADER}.get(name, "")
    for body in (data, header.encode() + data, (header + text).encode("utf-8", "replace")):
        with suppress(EbbflowError):
            FORMATS[name].read(gzip.compress(body) if packed else body)


@pytest.mark.parametrize("name", FORMATS)
@given(at=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.booleans())
@settings(deadline=None, max_examples=60)
def test_a_damaged_file_raises_nothing_but_our_errors(
    name: str, at: int, bit: int, cut: bool
) -> None:
    data = bytearray(FORMATS[name].write([week("a"), week("b")]))
    at %= len(data)
    data[at] ^= 1 << bit
    with suppress(EbbflowError):
        FORMATS[name].read(bytes(data[:at] if cut else data))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(
    field=st.sampled_from(list(DOCUMENT)),
    inner=st.sampled_from(["planningGroupId", OFFERED, HANDLE, None]),
    value=json_values,
)
@settings(deadline=None)
def test_any_json_in_a_field_raises_nothing_but_our_errors(
    field: str, inner: str | None, value: Any
) -> None:
    group = DOCUMENT["planningGroups"][0] | ({} if inner is None else {inner: value})
    document = DOCUMENT | {"planningGroups": [group]} | ({field: value} if inner is None else {})
    with suppress(EbbflowError):
        read_genesys(gzip.compress(json.dumps(document).encode()))


# What the documents show


def blocks(kind: str) -> list[str]:
    text = (Path(__file__).parents[1] / "docs" / "formats.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def test_the_documents_csv_examples_are_files_that_these_formats_write() -> None:
    plain_example, connect_example = (
        block.replace("\n", "\r\n").encode() for block in blocks("csv")
    )
    assert write_csv(read_csv(plain_example)) == plain_example
    assert write_connect(read_connect(connect_example)) == connect_example
    # It says of its three rows that they are 4.4 contacts each.
    rows = replace(read_connect(connect_example)[0], volume=np.full(3, 4.4))
    assert write_connect([rows]) == connect_example


def test_the_documents_genesys_example_is_the_beginning_of_a_file() -> None:
    rows = week(first="2026-03-02", zone="Europe/Berlin", volume=lambda n: n / 4)
    text = gzip.decompress(write_genesys([rows])).decode()
    (example,) = blocks("text")
    assert example == f"{text[:240]}\n"
