"""Runs the rules that a table declares on whole columns, with a reason for each bad row."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc
from pandera.errors import SchemaErrors

from features.arrays import Bool
from features.calendar.clock import zone
from features.calendar.queues import parse_opening
from features.calendar.workdays import public_holidays
from features.contracts.schema import MAX_ID_LENGTH, Column, Rule, Table
from features.errors import InputError

FUTURE_TOLERANCE = timedelta(days=1)
"""How far ahead of our clock another one may be before its times are not believed."""

_EMPTY = ": empty; every row must fill it"
_Flags = Callable[..., pa.ChunkedArray]


class Checker:
    """Checks rows of one table.

    Args:
        now: The moment of the load, aware UTC; later times are not believed.
        currency: The one currency that the table's money is in; None while there is none.
    """

    def __init__(self, contract: Table, *, now: datetime, currency: str | None = None) -> None:
        self._schema = pandera.DataFrameSchema(
            {
                column.name: pandera.Column(
                    nullable=column.nullable, checks=_column_checks(column, now, currency)
                )
                for column in contract.columns
            },
            checks=[_rule_check(rule) for rule in contract.rules],
            strict=True,
            ordered=True,
        )

    def problems(self, rows: pa.Table, *, known_bad: npt.NDArray[np.bool_]) -> list[Problem]:
        """Return what breaks the contract, by reason, in the order of the columns.

        Args:
            rows: The contract's columns, in order and of their Arrow types.
            known_bad: Rows that something is wrong with already, bool[n]; that a field of theirs
                is empty is no further reason.
        """
        frame = rows.to_pandas(types_mapper=pd.ArrowDtype)
        try:
            with warnings.catch_warnings():
                # pandera joins empty lists of failures in a way that pandas will change.
                warnings.simplefilter("ignore", FutureWarning)
                self._schema.validate(frame, lazy=True)
        except SchemaErrors as errors:
            problems = [_problem(error, rows.num_rows) for error in errors.schema_errors]
        else:
            return []
        masked = [
            Problem(p.reason, p.rows & ~known_bad) if p.reason.endswith(_EMPTY) else p
            for p in problems
        ]
        return [p for p in masked if p.rows.any()]


def _problem(error: Any, n: int) -> Problem:
    if isinstance(error.failure_cases, str):
        raise error  # A check that fails itself is our mistake, not the row's.
    rows = np.zeros(n, dtype=bool)
    rows[error.failure_cases["index"].to_numpy(dtype=np.int64)] = True
    if error.check == "not_nullable":
        return Problem(f"`{error.schema.name}`{_EMPTY}", rows)
    return Problem(str(error.check.error), rows)


def _column_checks(column: Column, now: datetime, currency: str | None) -> list[pandera.Check]:
    checks: list[tuple[_Flags, str]] = []
    least, most = column.minimum, column.maximum
    words = pa.array(column.values)
    if least is not None:
        checks.append(
            (lambda v: pc.greater_equal(v, least), f"below {least:g}, the least{column.hint}")
        )
    if most is not None:
        checks.append((lambda v: pc.less_equal(v, most), f"above {most:g}, the most"))
    if len(words):
        reason = f"none of {', '.join(map(str, words.to_pylist()))}; map it with `values`"
        checks.append((lambda v: pc.or_(pc.is_null(v), pc.is_in(v, value_set=words)), reason))
    if column.kind == "json":
        checks.append((_each(_is_object), "no JSON object"))
    if column.kind == "timestamp" and not column.ahead:
        latest = pa.scalar(now + FUTURE_TOLERANCE, pa.timestamp("us", "UTC"))
        reason = "in the future; check zone and format in the mapping"
        checks.append((lambda v: pc.less_equal(v, latest), reason))
    if column.format in ("id", "name"):
        reason = f"longer than {MAX_ID_LENGTH} characters"
        checks.append((lambda v: pc.less_equal(pc.utf8_length(v), MAX_ID_LENGTH), reason))
    if column.format in _TEXTS:
        accepts, reason = _TEXTS[column.format]
        checks.append((_each(accepts), reason))
    if column.format == "currency" and currency is not None:
        reason = f"another than {currency}, which this store counts in; convert it before the load"
        checks.append((lambda v: pc.equal(v, currency), reason))
    return [_column_check(column, holds, reason) for holds, reason in checks]


def _column_check(column: Column, holds: _Flags, reason: str) -> pandera.Check:
    """Return a check of a whole column; an empty field passes, it is the contract's to allow."""

    def run(series: pd.Series) -> pd.Series:
        flags = pc.fill_null(holds(pa.chunked_array(pa.array(series.array))), True)
        return pd.Series(np.asarray(flags), index=series.index)

    return pandera.Check(run, name=column.name, error=f"`{column.name}`: {reason}", ignore_na=False)


def _each(holds: Callable[[str], bool]) -> _Flags:
    """Return a check of a column that runs once for each different text."""

    def run(values: pa.ChunkedArray) -> pa.ChunkedArray:
        codes = values.combine_chunks().dictionary_encode()
        verdicts = pa.array([holds(text) for text in codes.dictionary.to_pylist()], pa.bool_())
        return verdicts.take(codes.indices)

    return run


def _accepts(parse: Callable[[str], object]) -> Callable[[str], bool]:
    @lru_cache(maxsize=1024)
    def accepts(text: str) -> bool:
        try:
            parse(text)
        except InputError:
            return False
        return True

    return accepts


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


_TEXTS: dict[str, tuple[Callable[[str], bool], str]] = {
    "currency": (
        lambda text: re.fullmatch("[A-Z]{3}", text) is not None,
        "no ISO 4217 code such as EUR",
    ),
    "time_zone": (_accepts(zone), "no IANA zone such as Europe/Berlin"),
    "country": (
        _accepts(lambda code: public_holidays(code, 2024, 2024)),
        "no country whose holidays are known; expected a code such as DE or DE-BY",
    ),
    "opening_hours": (
        _accepts(parse_opening),
        "no opening hours, or spans that overlap; expected `08:00-18:00`, several apart joined "
        "by `,`, or `closed`",
    ),
}
"""What text of a format must be, and what a row that breaks it is told."""


def _rule_check(rule: Rule) -> pandera.Check:
    def run(frame: pd.DataFrame) -> pd.Series:
        def column(name: str) -> pa.ChunkedArray:
            return pa.chunked_array(pa.array(frame[name].array))

        flags = _RELATIONS[rule.relation](*(column(name) for name in rule.columns))
        if rule.when is not None:
            flags = pc.or_(pc.not_equal(column(rule.when[0]), rule.when[1]), flags)
        return pd.Series(np.asarray(pc.fill_null(flags, True)), index=frame.index)

    return pandera.Check(run, error=rule.reason, ignore_na=False)


def _filled(start: pa.ChunkedArray, minutes: pa.ChunkedArray) -> tuple[Any, Any]:
    """Return starts in seconds and lengths in minutes; empty ones lie on every grid."""
    seconds = pc.fill_null(start.cast(pa.int64()), 0).to_numpy() / 1e6
    return seconds, pc.fill_null(minutes, 15).to_numpy()


def _whole_quarters(start: pa.ChunkedArray, minutes: pa.ChunkedArray) -> pa.ChunkedArray:
    seconds, lengths = _filled(start, minutes)
    return pa.chunked_array([pa.array((seconds % 900 == 0) & (lengths % 15 == 0))])


def _on_grid(start: pa.ChunkedArray, minutes: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return whether starts lie on their grid in some zone: offsets are whole quarter hours."""
    seconds, lengths = _filled(start, minutes)
    return pa.chunked_array([pa.array(seconds % (np.gcd(lengths, 15) * 60) == 0)])


_RELATIONS: dict[str, _Flags] = {
    "after": pc.greater,
    "not_positive": lambda amounts: pc.less_equal(amounts, 0),
    "on_grid": _on_grid,
    "whole_quarters": _whole_quarters,
}


@dataclass(frozen=True)
class Problem:
    """What is wrong and what was expected, and the rows it holds for, bool[n]."""

    reason: str
    rows: Bool
