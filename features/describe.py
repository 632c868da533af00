"""The contracts in words, for the docs and for machines."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from features.contracts import MAX_ID_LENGTH, Column, Table

_KINDS = {
    "string": "text",
    "timestamp": "time (UTC)",
    "float": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "json": "JSON object",
}


def contract_json(contract: Table) -> dict[str, Any]:
    """Return a contract as JSON-ready values."""
    return asdict(contract)


def contract_markdown(contract: Table) -> str:
    """Return a contract as a section of Markdown."""
    key = ", ".join(f"`{name}`" for name in contract.key)
    lines = [
        f"### `{contract.name}`",
        "",
        f"{contract.doc} Key: {key}."
        + (f" Happens at `{contract.event_time}`." if contract.event_time else ""),
        "",
        "| column | type | required | allowed | meaning |",
        "|---|---|---|---|---|",
    ]
    for column in contract.columns:
        required = (
            "default" if column.name == "available_at" else "no" if column.nullable else "yes"
        )
        lines.append(
            f"| `{column.name}` | {_KINDS[column.kind]} | {required} | {_allowed(column)} "
            f"| {column.doc} |"
        )
    return "\n".join(lines) + "\n"


def _allowed(column: Column) -> str:
    if words := column.values:
        return ", ".join(words)
    if column.minimum is not None and column.maximum is not None:
        return f"{column.minimum:,.12g} to {column.maximum:,.12g}"
    if column.name.endswith("_id") or column.name == "queue":
        return f"at most {MAX_ID_LENGTH} characters"
    return ""
