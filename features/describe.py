"""The contracts in words, for the docs."""

from __future__ import annotations

from features.contracts import MAX_ID_LENGTH, Column, Table

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
