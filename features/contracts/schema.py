"""Columns and tables, their Arrow types, and their description in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from features.errors import UnknownNameError

_KINDS = {
    "string": "text",
    "timestamp": "time (UTC)",
    "float": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "json": "JSON object",
}


def contract_markdown(contract: Table) -> str:
    """Return a contract as a section of Markdown."""
    key = ", ".join(f"`{name}`" for name in contract.key)
    happens = f" Happens at `{contract.event_time}`." if contract.event_time else ""
    lines = [
        f"### `{contract.name}`",
        "",
        f"{contract.doc} Key: {key}.{happens}",
        "",
        "| column | type | required | allowed | meaning |",
        "|---|---|---|---|---|",
    ]
    for column in contract.columns:
        required = "no" if column.nullable else "yes"
        if column.name == "available_at":
            required = "default"
        cells = (f"`{column.name}`", _KINDS[column.kind], required, _allowed(column))
        lines.append(f"| {' | '.join(cells)} | {_meaning(column, contract)} |")
    if contract.rules:
        lines += ["", "A row is bad where:", "", *(f"- {rule.reason}" for rule in contract.rules)]
    return "\n".join(lines) + "\n"


def _allowed(column: Column) -> str:
    if allowed := column.values:
        return ", ".join(map(str, allowed))
    if column.minimum is not None and column.maximum is not None:
        return f"{column.minimum:,.12g} to {column.maximum:,.12g}"
    if column.format in ("id", "name"):
        return f"at most {MAX_ID_LENGTH} characters"
    return "several, joined by `,`" if column.format == "list" else ""


def _meaning(column: Column, contract: Table) -> str:
    parts = [column.doc]
    if column.references not in (None, contract.name):
        parts.append(f"Refers to `{column.references}`.")
    if column.personal:
        parts.append("Personal data.")
    return " ".join(parts)


CONTRACT_VERSION = 1
"""Raised when a table, a feature or an artefact changes in a way readers must know."""

Kind = Literal["string", "timestamp", "float", "integer", "boolean", "json"]
Format = Literal["id", "name", "list", "currency", "time_zone", "country", "opening_hours"]
Relation = Literal["after", "not_positive", "on_grid", "whole_quarters"]

MAX_ID_LENGTH = 512
"""Characters in an id or a queue's name; a longer one goes to quarantine."""


@dataclass(frozen=True)
class Column:
    """One column of a table, with everything that a single value must keep.

    Attributes:
        name: Our name, with the unit in it.
        kind: ``json`` is text that parses as a JSON object.
        minimum: Inclusive, as is ``maximum``.
        values: The allowed words or numbers, for a closed vocabulary.
        added: Whether it joined the contract after tables were written without it: a row that
            leaves it empty is the same row as before.
        format: What text must be; ``list`` is names joined by ``,``.
        references: The table whose rows its values name; that of a key may be its own.
        ahead: Whether it states a planned moment, which may lie in the future.
        personal: Whether it holds personal data.
        hint: What to do about a value below the minimum.
    """

    name: str
    kind: Kind
    doc: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] | tuple[int, ...] = ()
    added: bool = False
    format: Format | None = None
    references: str | None = None
    ahead: bool = False
    personal: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Rule:
    """A relation between the columns of a row.

    Attributes:
        relation: ``after`` and ``not_positive`` compare values; ``on_grid`` and
            ``whole_quarters`` look at the start and the minutes of an interval.
        columns: What it relates, in that order.
        reason: What a row that breaks it is told.
        when: Column and word: the rule holds for such rows alone.
    """

    relation: Relation
    columns: tuple[str, ...]
    reason: str
    when: tuple[str, str] | None = None


@dataclass(frozen=True)
class Table:
    """One table of the store.

    Attributes:
        key: Columns that name a row; the same key with other content is a new version of it.
        event_time: The column that says when it happened; None where nothing happens at a time.
        columns: In order, the key's among them and ``available_at`` last.
        rules: What several columns of a row must keep.
        feed_column: The column that tells feeds of one table apart, where something does.
        exclusive: Group, start and minutes of rows that may not overlap within a load.
    """

    name: str
    key: tuple[str, ...]
    event_time: str | None
    columns: tuple[Column, ...]
    doc: str
    rules: tuple[Rule, ...] = ()
    feed_column: str | None = None
    exclusive: tuple[str, str, str] | None = None

    def column(self, name: str) -> Column:
        """Return the column of that name.

        Raises:
            UnknownNameError: The table has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise UnknownNameError(f"column of `{self.name}`", name, self.column_names)

    def reference(self, table: str) -> Column | None:
        """Return the column that names rows of a table, if there is one.

        >>> from features.contracts.tables import PURCHASES
        >>> PURCHASES.reference("customers").name
        'customer_id'
        """
        return next((c for c in self.columns if c.references == table), None)

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of all columns, in order."""
        return tuple(c.name for c in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """Columns every row must fill; ``available_at`` has a default and is not among them."""
        return tuple(c.name for c in self.columns if not c.nullable and c.name != "available_at")

    @property
    def past_event_time(self) -> str | None:
        """The event time; None where nothing happens, or what happens is planned ahead."""
        planned = self.event_time is None or self.column(self.event_time).ahead
        return None if planned else self.event_time

    @property
    def later_moments(self) -> tuple[str, ...]:
        """Columns of moments that come after the event, where they come at all."""
        return tuple(
            c.name for c in self.columns if c.kind == "timestamp" and c.nullable and not c.ahead
        )


UTC_MICROSECONDS = pa.timestamp("us", "UTC")

ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "json": pa.string(),
    "timestamp": UTC_MICROSECONDS,
    "float": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
}
"""The Arrow type of each kind of column."""


def arrow_schema(contract: Table) -> pa.Schema:
    """Return the Arrow schema of a table's own columns."""
    return pa.schema([(c.name, ARROW_TYPES[c.kind]) for c in contract.columns])
