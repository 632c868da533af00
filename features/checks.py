"""The contracts as checks of whole columns, run by pandera, with a reason for each bad row."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
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

from features.calendar import parse_opening, zone
from features.contracts import (
    INTERVAL_MINUTES,
    MAX_ID_LENGTH,
    WEEKDAYS,
    Column,
    Table,
)
from features.errors import InputError
from features.intake.cells import Problem
from features.workdays import public_holidays

FUTURE_TOLERANCE = timedelta(days=1)
"""How far ahead of our clock another one may be before its times are not believed."""

Bool = npt.NDArray[np.bool_]
_ColumnCheck = Callable[[pa.ChunkedArray], pa.ChunkedArray]
_CURRENCY = re.compile(r"[A-Z]{3}")
_BELOW = {"aht_seconds": "; empty where nothing was handled: `null_values` in the mapping"}
_AHEAD = {
    ("calendar", "starts_at"),
    ("calendar", "ends_at"),
    ("overrides", "interval_start"),
    ("purchases", "term_ends_at"),
}


class Checker:
    """Checks rows of one table.

    Args:
        contract: The table.
        now: The moment of the load, aware UTC; later times are not believed.
        currency: The one currency that the table's money is in; None while there is none.
    """

    def __init__(self, contract: Table, *, now: datetime, currency: str | None = None) -> None:
        self._schema = pandera.DataFrameSchema(
            {c.name: _column_schema(contract, c, now, currency) for c in contract.columns},
            checks=_row_checks(contract),
            strict=True,
            ordered=True,
        )

    def problems(self, rows: pa.Table, *, known_bad: Bool) -> list[Problem]:
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
            found = [_problem(error, rows.num_rows) for error in errors.schema_errors]
        else:
            return []
        masked = [
            Problem(p.reason, p.rows & ~known_bad) if p.reason.endswith(_EMPTY) else p
            for p in found
        ]
        return [p for p in masked if p.rows.any()]


_EMPTY = ": empty; every row must fill it"


def _problem(error: Any, n: int) -> Problem:
    if isinstance(error.failure_cases, str):
        raise error  # A check that fails itself is our mistake, not the row's.
    rows = np.zeros(n, dtype=bool)
    rows[error.failure_cases["index"].to_numpy(dtype=np.int64)] = True
    if error.check == "not_nullable":
        return Problem(f"`{error.schema.name}`{_EMPTY}", rows)
    return Problem(str(error.check.error), rows)


def _column_schema(
    contract: Table, column: Column, now: datetime, currency: str | None
) -> pandera.Column:
    checks = _value_checks(column)
    if column.kind == "timestamp":
        checks += _time_checks(contract, column, now)
    if column.name.endswith("_id") or column.name == "queue":
        checks.append(
            _check(
                column,
                lambda v: pc.less_equal(pc.utf8_length(v), MAX_ID_LENGTH),
                f"longer than {MAX_ID_LENGTH} characters",
            )
        )
    if column.name == "currency":
        checks += _currency_checks(column, currency)
    if contract.name == "queues":
        checks += _queue_checks(column)
    return pandera.Column(nullable=column.nullable, checks=checks)


def _check(column: Column, holds: _ColumnCheck, reason: str) -> pandera.Check:
    """Return a check of a whole column; an empty field passes, it is the contract's to allow."""

    def run(series: pd.Series) -> pd.Series:
        flags = pc.fill_null(holds(pa.chunked_array(pa.array(series.array))), True)
        return pd.Series(np.asarray(flags), index=series.index)

    return pandera.Check(run, name=column.name, error=f"`{column.name}`: {reason}", ignore_na=False)


def _value_checks(column: Column) -> list[pandera.Check]:
    checks = []
    least, most = column.minimum, column.maximum
    if least is not None:
        reason = f"below {least:g}, the least{_BELOW.get(column.name, '')}"
        checks.append(_check(column, lambda v: pc.greater_equal(v, least), reason))
    if most is not None:
        checks.append(_check(column, lambda v: pc.less_equal(v, most), f"above {most:g}, the most"))
    if allowed := column.values:  # noqa: PD011 - a contract's words, nothing of pandas
        words = pa.array(allowed)
        reason = f"none of {', '.join(allowed)}; map it with `values`"
        checks.append(
            _check(column, lambda v: pc.or_(pc.is_null(v), pc.is_in(v, value_set=words)), reason)
        )
    if column.kind == "json":
        checks.append(_each(column, _is_object, "no JSON object"))
    return checks


def _time_checks(contract: Table, column: Column, now: datetime) -> list[pandera.Check]:
    if (contract.name, column.name) in _AHEAD:
        return []
    latest = pa.scalar(now + FUTURE_TOLERANCE, pa.timestamp("us", "UTC"))
    reason = "in the future; check zone and format in the mapping"
    return [_check(column, lambda v: pc.less_equal(v, latest), reason)]


def _currency_checks(column: Column, currency: str | None) -> list[pandera.Check]:
    checks = [_each(column, lambda t: bool(_CURRENCY.fullmatch(t)), "no ISO 4217 code such as EUR")]
    if currency is not None:
        reason = f"another than {currency}, which this store counts in; convert it before the load"
        checks.append(_check(column, lambda v: pc.equal(v, currency), reason))
    return checks


def _queue_checks(column: Column) -> list[pandera.Check]:
    if column.name == "time_zone":
        return [_each(column, _accepts(zone), "no IANA zone such as Europe/Berlin")]
    if column.name == "country":
        reason = "no country whose holidays are known; expected a code such as DE or DE-BY"
        return [_each(column, _accepts(lambda code: public_holidays(code, 2024, 2024)), reason)]
    if column.name == "interval_minutes":
        allowed = pa.array(INTERVAL_MINUTES, pa.int64())
        reason = f"none of {', '.join(map(str, INTERVAL_MINUTES))}"
        return [
            _check(column, lambda v: pc.or_(pc.is_null(v), pc.is_in(v, value_set=allowed)), reason)
        ]
    if column.name in {f"open_{day}" for day in WEEKDAYS}:
        reason = (
            "no opening hours, or spans that overlap; expected `08:00-18:00`, several apart joined "
            "by `,`, or `closed`"
        )
        return [_each(column, _accepts(parse_opening), reason)]
    return []


def _each(column: Column, holds: Callable[[str], bool], reason: str) -> pandera.Check:
    """Return a check that runs once for each different text."""

    def run(values: pa.ChunkedArray) -> pa.ChunkedArray:
        codes = values.combine_chunks().dictionary_encode()
        verdicts = pa.array([holds(text) for text in codes.dictionary.to_pylist()], pa.bool_())
        return verdicts.take(codes.indices)

    return _check(column, run, reason)


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


def _row_checks(contract: Table) -> list[pandera.Check]:
    """Return the checks that look at several columns of a row."""
    checks: dict[str, list[tuple[Callable[[Any], Any], str]]] = {
        "calendar": [
            (
                lambda t: pc.greater(t["ends_at"], t["starts_at"]),
                "`ends_at`: not after `starts_at`; it is one past the last moment",
            )
        ],
        "intervals": [
            (_on_grid, "`interval_start`: not on the grid of `interval_minutes`; check the zone")
        ],
        "overrides": [
            (
                _in_quarter_hours,
                "`interval_start`, `interval_minutes`: not whole quarters of an hour",
            )
        ],
        "purchases": [
            (
                lambda t: pc.or_(
                    pc.not_equal(t["kind"], "return"), pc.less_equal(t["amount_minor"], 0)
                ),
                "`amount_minor`: above 0 for a return; map it with `scale = -1` or -100",
            )
        ],
    }
    return [_row_check(holds, reason) for holds, reason in checks.get(contract.name, [])]


def _row_check(holds: Callable[[Any], Any], reason: str) -> pandera.Check:
    def run(frame: pd.DataFrame) -> pd.Series:
        columns = {name: pa.chunked_array(pa.array(frame[name].array)) for name in frame.columns}
        flags = pc.fill_null(holds(columns), True)
        return pd.Series(np.asarray(flags), index=frame.index)

    return pandera.Check(run, error=reason, ignore_na=False)


def _in_quarter_hours(columns: dict[str, pa.ChunkedArray]) -> pa.ChunkedArray:
    minutes = pc.fill_null(columns["interval_minutes"], 15).to_numpy()
    seconds = pc.fill_null(columns["interval_start"].cast(pa.int64()), 0).to_numpy() / 1e6
    return pa.chunked_array([pa.array((seconds % 900 == 0) & (minutes % 15 == 0))])


def _on_grid(columns: dict[str, pa.ChunkedArray]) -> pa.ChunkedArray:
    """Return whether starts lie on their grid in some zone: offsets are whole quarter hours."""
    minutes = pc.fill_null(columns["interval_minutes"], 15).to_numpy()
    seconds = pc.fill_null(columns["interval_start"].cast(pa.int64()), 0).to_numpy() / 1e6
    return pa.chunked_array([pa.array(seconds % (np.gcd(minutes, 15) * 60) == 0)])
