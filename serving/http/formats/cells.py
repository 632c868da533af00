"""Reads and writes the cells of CSV files, strictly: text, times and numbers."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from features.calendar import GRID_SECONDS, Int64, epoch
from features.errors import InputError, UnreadableFileError
from serving.http.formats.rows import shown, wrong

MOST_BYTES = 16_000_000
"""Of a file, unpacked: a week of 15-minute intervals of some hundred queues."""

_TIME = re.compile(
    r"(19[7-9]|2[01]\d)\d-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
_NUMBER = re.compile(r"\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"\d{1,15}", re.ASCII)


@dataclass(frozen=True)
class Line:
    """One numbered line of a table; a cell that is not as expected raises `InputError`."""

    number: int
    cells: dict[str, str]

    def wrong(self, column: str, *, expected: str) -> InputError:
        """Return the error that names a cell of this line."""
        thing = f"line {self.number}, column `{column}`"
        return wrong(column, thing=thing, got=shown(self.cells[column]), expected=expected)

    def time(self, column: str) -> int:
        """Return the cell's moment in epoch seconds, on a quarter of an hour."""
        text = self.cells[column]
        if _TIME.fullmatch(text):
            try:
                moment = epoch(datetime.fromisoformat(text))
            except ValueError:  # a day or an hour that no calendar has
                moment = -1
            if moment % GRID_SECONDS == 0:
                return moment
        example = "with `Z` or an offset, such as 2026-03-02T08:00:00Z"
        raise self.wrong(column, expected=f"a time on a quarter of an hour {example}")

    def number_up_to(self, column: str, most: int) -> float:
        """Return the cell's number, from 0 to the most."""
        text = self.cells[column]
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not 0 <= value <= most:
            raise self.wrong(column, expected=f"a number from 0 to {most}")
        return value

    def whole_up_to(self, column: str, most: int) -> int:
        """Return the cell's whole number, from 0 to the most."""
        text = self.cells[column]
        value = int(text) if _WHOLE.fullmatch(text) else -1
        if not 0 <= value <= most:
            raise self.wrong(column, expected=f"a whole number from 0 to {most}")
        return value


def utc_texts(moments: Int64) -> list[str]:
    """Return moments, epoch seconds, as files have them.

    >>> utc_texts(np.array([1772438400]))
    ['2026-03-02T08:00:00Z']
    """
    texts: list[str] = np.datetime_as_string(
        moments.astype("datetime64[s]"), unit="s", timezone="UTC"
    ).tolist()
    return texts


def write_table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> bytes:
    """Return a table as CSV by RFC 4180: UTF-8, lines that end with CR LF, quotes where needed.

    A float is written as the shortest text that reads as the same float.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    table.writerow(header)
    table.writerows(lines)
    return text.getvalue().encode()


def read_table(data: bytes, *, header: Sequence[str]) -> Iterator[Line]:
    """Yield the lines of a CSV file under its header; LF alone and a byte order mark are allowed.

    Raises:
        UnreadableFileError: It is too large, no UTF-8 text, no CSV, or of other columns.
    """
    check_size(len(data))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fault = f"bytes that are no text at byte {error.start}"
        raise UnreadableFileError("the file", got=fault, expected="UTF-8") from None
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        _check_header(next(table, []), header)
        for cells in table:
            if len(cells) != len(header):
                where, got = f"line {table.line_num}", f"{len(cells)} cells"
                expected = f"{len(header)}: {', '.join(header)}"
                raise UnreadableFileError(where, got=got, expected=expected)
            yield Line(table.line_num, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        where = f"line {table.line_num}"
        raise UnreadableFileError(where, got=str(error), expected="CSV as in RFC 4180") from None


def check_size(size: int) -> None:
    """Check that a file is not too large, unpacked."""
    if size > MOST_BYTES:
        raise UnreadableFileError(
            "the file",
            got=f"more than {MOST_BYTES} bytes",
            expected=f"at most {MOST_BYTES}, unpacked",
            remedy="split it by queue or by week",
        )


def _check_header(got: Sequence[str], header: Sequence[str]) -> None:
    if list(got) == list(header):
        return
    missing = next((name for name in header if name not in got), None)
    fault = f"no column `{missing}`" if missing else f"{len(got)} columns, not these in this order"
    expected = ",".join(header)
    raise UnreadableFileError("the header on line 1", got=fault, expected=expected, field=missing)
