"""The mapping: a small TOML file that turns a user's columns into ours."""

from __future__ import annotations

import codecs
import re
import time
import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from features.calendar.clock import zone as zone_of
from features.contracts.schema import Table
from features.contracts.tables import table
from features.errors import InputError, MappingError, UnknownNameError

Scalar = str | int | float | bool
Ambiguous = Literal["earlier", "later", "quarantine"]
EPOCH_FORMATS = ("epoch_seconds", "epoch_milliseconds")
"""Formats of times that are numbers since 1970-01-01 UTC."""

_SOURCES = ("column", "value", "sum", "hash", "after")
_NUMBERS = ("integer", "float")
_NOT_OF_FILES = ("idna", "punycode")
_TEN_YEARS = 315_576_000.0


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _zone_exists(name: str | None) -> str | None:
    if name is not None:
        try:
            zone_of(name)
        except InputError as error:
            raise ValueError(str(error.expected)) from None
    return name


def _format_works(form: str | None) -> str | None:
    if form is not None and form not in EPOCH_FORMATS:
        sample = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        try:
            time.strptime(sample.strftime(form), form)
        except (ValueError, re.error) as error:
            raise ValueError(
                f"a strptime format such as `%d.%m.%Y %H:%M`, or one of "
                f"{', '.join(EPOCH_FORMATS)} ({error})"
            ) from None
    return form


class FileOptions(_Strict):
    """How a file is to be read; docs/data.md says what each key of a mapping means."""

    format: Literal["csv", "parquet", "ndjson"] | None = None
    delimiter: str = Field(",", min_length=1, max_length=1)
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."
    null_values: tuple[str, ...] = ()

    @field_validator("encoding")
    @classmethod
    def _encoding_exists(cls, name: str) -> str:
        try:
            "".encode(name)
            known = codecs.lookup(name).name not in _NOT_OF_FILES
        except (LookupError, UnicodeError):
            known = False
        if not known:
            raise ValueError("an encoding that Python knows, such as `utf-8` or `cp1252`")
        return name


class _Clock(_Strict):
    zone: str | None = None
    format: str | None = None

    _check_zone = field_validator("zone")(_zone_exists)
    _check_format = field_validator("format")(_format_works)


class TimeOptions(_Clock):
    """How times are to be read where a column does not say otherwise."""

    ambiguous: Ambiguous = "quarantine"


class ColumnSource(_Clock):
    """Where one of our columns comes from: exactly one of the first five, and options."""

    column: str | None = None
    value: Scalar | None = None
    sum: tuple[str, ...] | None = Field(None, min_length=1)
    hash: tuple[str, ...] | None = Field(None, min_length=1)
    after: str | None = None
    seconds: float = Field(0.0, ge=-_TEN_YEARS, le=_TEN_YEARS, allow_inf_nan=False)
    scale: float | None = Field(None, allow_inf_nan=False)
    null_values: tuple[str, ...] = ()
    values: dict[str, Scalar] | None = None
    default: Scalar | None = None
    ambiguous: Ambiguous | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in _SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"exactly one of {', '.join(_SOURCES)} says where a column comes from; "
                f"got {', '.join(given) or 'none'}"
            )
        if self.seconds and self.after is None:
            raise ValueError("`seconds` goes with `after`")
        if self.null_values and self.column is None:
            raise ValueError("`null_values` goes with `column`")
        if self.default is not None and self.values is None:
            raise ValueError("`default` goes with `values`")
        return self

    @property
    def theirs(self) -> tuple[str, ...]:
        """The columns of the source that it reads."""
        if self.column is not None:
            return (self.column,)
        return self.sum or self.hash or ()


class RowOptions(_Strict):
    """Which rows are left out, and counted, before anything is checked."""

    drop_if_null: tuple[str, ...] = ()
    where: dict[str, tuple[Scalar, ...]] = Field(default_factory=dict)


class Mapping(_Strict):
    """One mapping, read and checked against its table."""

    table: str
    file: FileOptions = FileOptions()
    time: TimeOptions = TimeOptions()
    columns: dict[str, ColumnSource]
    rows: RowOptions = RowOptions()

    @field_validator("columns", mode="before")
    @classmethod
    def _names_to_sources(cls, columns: Any) -> Any:
        if not isinstance(columns, dict):
            return columns
        return {ours: {"column": v} if isinstance(v, str) else v for ours, v in columns.items()}

    @property
    def theirs(self) -> tuple[str, ...]:
        """Every column of the source that it reads, once, in order."""
        names = [name for source in self.columns.values() for name in source.theirs]
        names += [*self.rows.drop_if_null, *self.rows.where]
        return tuple(dict.fromkeys(names))

    def times_of(self, ours: str) -> TimeOptions:
        """Return how times of one of our columns are to be read."""
        source = self.columns[ours]
        return TimeOptions(
            zone=source.zone or self.time.zone,
            format=source.format or self.time.format,
            ambiguous=source.ambiguous or self.time.ambiguous,
        )


def own_names(contract: Table, names: Iterable[str]) -> Mapping:
    """Return the mapping of a source that uses our column names.

    >>> own_names(table("queues"), ["queue", "channel", "x"]).theirs
    ('queue', 'channel')
    """
    given = set(names)
    sources = {n: ColumnSource(column=n) for n in contract.column_names if n in given}
    return Mapping(table=contract.name, columns=sources)


def load_mapping(path: Path) -> Mapping:
    """Read a mapping file and check it against its table.

    Raises:
        MappingError: The file is missing or no TOML, a key is unknown, a value is of the wrong
            type, the table does not exist, or one of its required columns is not mapped.
    """
    what = f"mapping `{path}`"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MappingError(what, got=error.strerror or str(error), expected="a file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingError(what, got=f"no TOML ({error})", remedy="see docs/data.md") from error
    return parse_mapping(document, what=what)


def parse_mapping(document: dict[str, Any], *, what: str = "mapping") -> Mapping:
    """Check a mapping's document, which errors call ``what``, against its table.

    Raises:
        MappingError: See ``load_mapping``.
    """
    try:
        mapping = Mapping.model_validate(document)
    except ValidationError as error:
        raise _explained(error, what) from None
    try:
        contract = table(mapping.table)
    except UnknownNameError as error:
        raise MappingError(f"{what}, `table`", got=str(error), field="table") from None
    _check_columns(mapping, contract, what)
    return mapping


def _check_columns(mapping: Mapping, contract: Table, what: str) -> None:
    for ours in mapping.columns:
        if ours not in contract.column_names:
            raise _unknown_key(what, f"columns.{ours}", ours, contract.column_names)
        _check_source(what, ours, mapping, contract)
    missing = [n for n in contract.required if n not in mapping.columns]
    if missing:
        raise MappingError(
            f"{what}, [columns]",
            got=f"no {', '.join(f'`{n}`' for n in missing)}",
            expected=f"every required column of `{contract.name}`: {', '.join(contract.required)}",
            remedy=f"map {'it' if len(missing) == 1 else 'them'}, "
            'or give a constant with `{ value = "…" }`',
            field=f"columns.{missing[0]}",
        )


def _check_source(what: str, ours: str, mapping: Mapping, contract: Table) -> None:
    source, kind = mapping.columns[ours], contract.column(ours).kind
    field = f"columns.{ours}"
    timed = (source.zone, source.format, source.ambiguous)
    wrong = {
        "`after`": source.after is not None and kind != "timestamp",
        "`sum`": source.sum is not None and kind not in _NUMBERS,
        "`scale`": source.scale is not None and kind not in _NUMBERS,
        "`hash`": source.hash is not None and kind != "string",
        "`zone`, `format` and `ambiguous`": kind != "timestamp" and timed != (None, None, None),
    }
    for option in (name for name, is_wrong in wrong.items() if is_wrong):
        got = f"{option} on a column of kind {kind}"
        raise MappingError(f"{what}, `{field}`", got=got, field=field)
    if source.after is None:
        return
    times = [c.name for c in contract.columns if c.kind == "timestamp" and c.name != ours]
    if source.after not in times:
        raise _unknown_key(what, f"{field}.after", source.after, times)
    if (target := mapping.columns.get(source.after)) is not None and target.after is not None:
        raise MappingError(
            f"{what}, `{field}.after`",
            got=f"`{source.after}`, which itself follows another column",
            expected="a column that is read from the source",
            field=field,
        )


def _unknown_key(what: str, where: str, key: str, known: Iterable[str]) -> MappingError:
    remedy = UnknownNameError("key", key, known).remedy
    return MappingError(f"{what}, unknown key `{where}`", remedy=remedy, field=where)


def _explained(error: ValidationError, what: str) -> MappingError:
    # A key that is unknown explains another one that is missing.
    first = min(error.errors(), key=lambda details: details["type"] != "extra_forbidden")
    path = [str(part) for part in first["loc"]]
    where = ".".join(path)
    if first["type"] == "extra_forbidden":
        return _unknown_key(what, where, path[-1], _keys_beside(path))
    return MappingError(
        f"{what}, `{where}`" if where else what,
        got=repr(first.get("input")) if first["type"] != "missing" else "nothing",
        expected=_expected(first),
        remedy="see docs/data.md",
        field=where,
    )


def _expected(details: ErrorDetails) -> str:
    if details["type"] == "missing":
        return "a value"
    text = details["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return text.replace("tuple", "list")


def _keys_beside(path: list[str]) -> list[str]:
    sections: dict[str, type[BaseModel]] = {
        "file": FileOptions,
        "time": TimeOptions,
        "rows": RowOptions,
        "columns": ColumnSource,
    }
    model = sections.get(path[0], Mapping) if len(path) > 1 else Mapping
    return list(model.model_fields)
