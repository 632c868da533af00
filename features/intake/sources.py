"""What a load reads: each source with its mapping and its chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from features.contracts import Table
from features.intake.loose import read_query
from features.intake.reading import columns_of, find_files, format_of, read_file
from features.intake.source import Chunk, check_columns
from features.mapping import FileOptions, Mapping, own_names


@dataclass(frozen=True)
class Query:
    """A query to the database of a SQLAlchemy URL."""

    url: str
    sql: str


@dataclass(frozen=True)
class Source:
    """One file, named by its path, or one query, named ``query``."""

    name: str
    mapping: Mapping
    chunks: Iterator[Chunk]
    warnings: tuple[str, ...] = ()


def open_sources(
    contract: Table, files: Sequence[str | Path], query: Query | None, mapping: Mapping | None
) -> Iterator[Source]:
    """Yield every source of a load: what names and globs of files stand for, or the query.

    Without a mapping their columns are named as ours.

    Raises:
        UnreadableFileError: A file is missing or unreadable.
        ContractError: Without a mapping, a required column is missing.
    """
    if query is not None:
        yield _query_source(contract, query, mapping)
        return
    options = mapping.file if mapping else FileOptions()
    for path in find_files([str(file) for file in files]):
        names: list[str] = []
        # NDJSON would be read once more for the names alone.
        if mapping is None or format_of(path, options) != "ndjson":
            names = columns_of(path, options)
        used = mapping or _by_name(contract, f"file `{path}`", names)
        chunks = read_file(path, columns=used.theirs, options=options)
        warnings = (*_overlooked(contract, used, names), *_maybe_cut(path, options))
        yield Source(str(path), used, chunks, warnings)


def _query_source(contract: Table, query: Query, mapping: Mapping | None) -> Source:
    chunks = read_query(query.url, query.sql, columns=mapping.theirs if mapping else None)
    if mapping is None:
        first = list(islice(chunks, 1))
        names = first[0].rows.schema.names if first else contract.required
        mapping = _by_name(contract, "query", names)
        chunks = chain(first, chunks)
    return Source("query", mapping, chunks)


def _by_name(contract: Table, what: str, names: Sequence[str]) -> Mapping:
    if not set(contract.required) <= set(names):
        check_columns(what, names, contract.required)
    return own_names(contract, names)


def _overlooked(contract: Table, mapping: Mapping, names: Sequence[str]) -> tuple[str, ...]:
    left = [
        name
        for name in contract.column_names
        if name in names and name not in mapping.columns and name not in mapping.theirs
    ]
    if not left:
        return ()
    listed = ", ".join(f"`{name}`" for name in left)
    return (f"not read, because the mapping does not name them: {listed}",)


def _maybe_cut(path: Path, options: FileOptions) -> tuple[str, ...]:
    """Point at a CSV file without a last line break: its last field may be half of one."""
    if format_of(path, options) != "csv" or path.suffix.lower() == ".gz":
        return ()
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 4, 0))
        if any(sign in file.read() for sign in (b"\n", b"\r")):
            return ()
    return (
        f"`{path}` ends without a line break: if it was cut short, load the whole file again, "
        "which corrects its last row",
    )
