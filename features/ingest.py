"""Taking rows into the lake: read, translate, check, quarantine, version, commit.

A load is all or nothing. Its bad rows are committed first, then its good rows with the ends of the
versions they supersede in one commit, then its report. A load that is interrupted in between can
simply be run again: what is there already counts as repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from features.contracts import table as contract_of
from features.errors import InputError, MappingError
from features.intake.load import Load, Progress, Report
from features.intake.sources import Query, open_sources
from features.lake import Lake
from features.mapping import Mapping

__all__ = ["MAX_BAD_SHARE", "Progress", "Query", "Report", "ingest"]

MAX_BAD_SHARE = 0.05
"""Share of bad rows above which a load is refused whole, by default."""


def ingest(
    lake: Lake,
    table: str,
    *,
    now: datetime,
    files: Sequence[str | Path] = (),
    query: Query | None = None,
    mapping: Mapping | None = None,
    max_bad_share: float = MAX_BAD_SHARE,
    progress: Progress | None = None,
) -> Report:
    """Load files or a query into a table of the lake.

    Args:
        lake: The lake.
        table: The table's name.
        now: The moment, aware UTC: when rows are available that do not say so themselves.
        files: Names and globs; this or ``query``.
        query: A query to a database.
        mapping: What turns their columns into ours; None where they are named as ours.
        max_bad_share: Share of bad rows, in [0, 1], above which nothing is kept.
        progress: Told after each chunk.

    Returns:
        What the load did; it is stored in the lake's ``_loads`` as well.

    Raises:
        UnknownNameError: There is no such table.
        MappingError: The mapping is for another table, or names no zone where one is needed.
        UnreadableFileError: A file is missing, damaged, empty or not in its encoding.
        ContractError: A column is missing.
        RefusedLoadError: Too many rows are bad.
    """
    contract = contract_of(table)
    if mapping is not None and mapping.table != table:
        raise MappingError(
            "mapping, `table`", got=mapping.table, expected=f"`{table}`", field="table"
        )
    if bool(files) == (query is not None):
        raise InputError(
            "source",
            got="files and a query" if files else "neither files nor a query",
            expected="one of them",
            remedy="name files, or give --from and --query",
        )
    if now.tzinfo is None:
        raise InputError("`now`", got="no time zone", expected="an aware time")
    with lake.writing() as staging:
        load = Load(lake, contract, staging, now=now, progress=progress)
        for source in open_sources(contract, files, query, mapping):
            load.read(source)
        load.refuse_if_bad(max_bad_share)
        return load.finish(max_bad_share)
