"""Taking rows into the lake: read, translate, check, quarantine, version, commit.

A load is all or nothing. One that is interrupted between its commits can simply be run again: what
is there already counts as repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from features.contracts import table as contract_of
from features.errors import InputError, MappingError
from features.intake.load import Load, Progress
from features.intake.report import Report
from features.intake.sources import Query, open_sources
from features.lake import Lake
from features.mapping import Mapping

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
    """Load files or a query into a table; the report is stored in the lake's ``_loads`` as well.

    Give ``files`` (names and globs) or ``query``. Without a ``mapping`` their columns are named as
    ours. ``now`` is aware UTC: when rows are available that do not say so themselves. Above
    ``max_bad_share``, a share of the rows in [0, 1], nothing is kept.

    Raises:
        UnknownNameError: There is no such table.
        MappingError: The mapping is for another table, or names no zone where one is needed.
        UnreadableFileError: A file is missing, damaged, empty or not in its encoding.
        ContractError: A column is missing.
        RefusedLoadError: Too many rows are bad.
    """
    contract = contract_of(table)
    if mapping is not None and mapping.table != table:
        expected = f"`{table}`"
        raise MappingError("mapping, `table`", got=mapping.table, expected=expected, field="table")
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
