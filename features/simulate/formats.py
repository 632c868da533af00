"""Writing tables the way other systems do, byte for byte the same each time."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from features.calendar import DAY_SECONDS, Int64, local_times, moment


def write_csv(table: pa.Table, path: Path, *, delimiter: str = ",") -> None:
    """Write CSV with a header, gzipped where the name ends in ``.gz``."""
    options = pyarrow.csv.WriteOptions(delimiter=delimiter, quoting_style="needed")
    if path.suffix != ".gz":
        pyarrow.csv.write_csv(table, path, write_options=options)
        return
    # No name and no time in the header: the same rows are the same bytes.
    with path.open("wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as packed:
        pyarrow.csv.write_csv(table, packed, write_options=options)


def write_ndjson(table: pa.Table, path: Path, *, broken: int = 0) -> None:
    """Write one JSON object a line, fields without a value left as ``null``.

    Args:
        table: Columns of text, numbers and booleans.
        path: The file.
        broken: So many half-written lines follow.
    """
    columns = [_json_values(column) for column in table.itercolumns()]
    keys = [json.dumps(name) + ":" for name in table.column_names]
    parts: list[object] = []
    for place, (key, values) in enumerate(zip(keys, columns, strict=True)):
        parts += ["{" + key if place == 0 else "," + key, values]
    lines = pc.binary_join_element_wise(*parts, "}\n", "")
    with path.open("wb") as file:
        for chunk in lines.chunks:
            file.write(_bytes(chunk))
        first = table.column_names[0]
        for _ in range(broken):
            file.write(f'{{"{first}":"half a li\n'.encode())


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write Parquet, compressed with Zstandard."""
    pq.write_table(table, path, compression="zstd")


def local_text(seconds: Int64, zone: str, pattern: str) -> pa.Array:
    """Return moments as text of a local wall clock, which does not say its zone.

    Args:
        seconds: Epoch seconds, int64[n].
        zone: IANA zone of the clock.
        pattern: As for ``strftime``, of the date; the time follows as hours, minutes, seconds.

    >>> local_text(np.array([0]), "Europe/Berlin", "%d/%m/%Y ").to_pylist()
    ['01/01/1970 01:00:00']
    """
    wall = local_times(seconds, zone)
    # Arrow's own strftime takes some 10 microseconds a value: few days and 86,400 times do not.
    days, place = np.unique(wall.day, return_inverse=True)
    dates = [f"{moment(int(day) * DAY_SECONDS):{pattern}}" for day in days]
    date_text = pa.array(dates, pa.string()).take(pa.array(place))
    time_text = _times_of_day().take(pa.array(wall.seconds % DAY_SECONDS))
    return pc.binary_join_element_wise(date_text, time_text, "")


@lru_cache(maxsize=1)
def _times_of_day() -> pa.Array:
    return pa.array(
        [f"{s // 3_600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(DAY_SECONDS)]
    )


def iso_text(seconds: Int64, zone: str) -> pa.Array:
    """Return moments as ISO 8601 text of a local wall clock with its offset.

    >>> iso_text(np.array([0]), "America/New_York").to_pylist()
    ['1969-12-31T19:00:00-05:00']
    """
    offsets = local_times(seconds, zone).offset_seconds // 60
    known, place = np.unique(offsets, return_inverse=True)
    texts = [f"{'-' if m < 0 else '+'}{abs(m) // 60:02d}:{abs(m) % 60:02d}" for m in known]
    ends = pa.array(texts, pa.string()).take(pa.array(place))
    return pc.binary_join_element_wise(local_text(seconds, zone, "%Y-%m-%dT"), ends, "")


def epoch_seconds(column: pa.ChunkedArray) -> Int64:
    """Return a timestamp column without nulls as epoch seconds, int64[n]."""
    micro: Int64 = column.cast(pa.int64()).to_numpy()
    return micro // 1_000_000


def _bytes(texts: pa.StringArray) -> memoryview:
    """Return the bytes of texts without nulls, one after the other, without copying them."""
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset :]
    return memoryview(texts.buffers()[2])[int(offsets[0]) : int(offsets[len(texts)])]


def _json_values(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_string(column.type):
        text = pc.replace_substring(pc.replace_substring(column, "\\", "\\\\"), '"', '\\"')
        column = pc.binary_join_element_wise('"', text, '"', "")
    return pc.fill_null(column.cast(pa.string()), "null")
