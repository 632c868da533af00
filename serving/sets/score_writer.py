"""How a score set is written: records line by line, columns in memory, one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from features.artefact import new_id, writing
from features.calendar import Bool, Float64, Int64
from features.errors import DamagedArtefactError
from features.snapshot import write_arrow
from serving.sets.scores import RECORDS_FILE, SCORE_SET_KIND, SCORE_SET_SCHEMA, SCORES_FILE, iso

REASONS = 3
_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that moves a customer's score, as a person would say it.

    Attributes:
        code: Stable word for machines.
        text: A sentence for people.
        value: The customer's value; None where it is undefined.
        usual: The usual value in the population; None where it is undefined.
    """

    code: str
    text: str
    value: float | None
    usual: float | None


@dataclass(frozen=True)
class ScoredCustomers:
    """Scores of n customers, ascending by the UTF-8 bytes of their ids.

    Attributes:
        ids: Customer ids.
        probability: float64[n]; NaN outside the population.
        percentile: float64[n] in [0, 100]; NaN outside the population.
        tier: Index into the set's tiers, int8[n]; -1 outside the population.
        reasons: The reasons of each customer, at most ``REASONS``.
        warnings: The warnings of each customer.
    """

    ids: Sequence[str]
    probability: Float64
    percentile: Float64
    tier: Any
    reasons: Sequence[Sequence[Reason]]
    warnings: Sequence[Sequence[str]]


def write_score_set(
    root: Path,
    *,
    chunks: Iterable[ScoredCustomers],
    as_of: datetime,
    snapshot: str,
    model_version: str,
    tiers: tuple[str, ...],
    warnings: tuple[str, ...] = (),
    now: datetime,
) -> str:
    """Write one score set; ``CURRENT`` is not touched.

    Args:
        root: Folder of all score sets.
        chunks: All customers, ascending by the UTF-8 bytes of their ids, no id twice.
        as_of: The moment that the features look back from.
        snapshot: Id of the snapshot it was made from.
        model_version: Id of the churn bundle.
        tiers: The tiers, from the highest risk down.
        warnings: What a reader should know of the whole set.
        now: The time, aware UTC.

    Returns:
        The new set's id.

    Raises:
        DamagedArtefactError: The ids do not ascend; nothing was written.
    """
    id = new_id(now)
    meta: dict[str, Any] = {
        "as_of": as_of.isoformat(),
        "model_version": model_version,
        "tiers": list(tiers),
        "warnings": list(warnings),
    }
    with writing(
        root,
        kind=SCORE_SET_KIND,
        schema=SCORE_SET_SCHEMA,
        created_at=now,
        lineage={"snapshot": snapshot, "bundle": model_version},
        meta=meta,
        id=id,
    ) as folder:
        writer = ScoreSetWriter(
            folder, id=id, as_of=as_of, model_version=model_version, tiers=tiers
        )
        writer.write(chunks)
        meta["customers"], meta["scored"] = writer.customers, writer.scored
    return id


class ScoreSetWriter:
    """Fills one score set chunk by chunk, keeping only the columns in memory.

    Args:
        folder: The folder to fill.
        id: The set's id, which each record names.
        as_of: The moment that the features look back from.
        model_version: Id of the churn bundle.
        tiers: The tiers, from the highest risk down.
    """

    def __init__(
        self, folder: Path, *, id: str, as_of: datetime, model_version: str, tiers: tuple[str, ...]
    ) -> None:
        self._folder = folder
        self._tiers = tiers
        self._common = {
            "as_of": iso(as_of),
            "model_version": model_version,
            "score_set": id,
        }
        self._columns: list[pa.Table] = []
        self._size = 0
        self.customers = 0
        self.scored = 0

    def write(self, chunks: Iterable[ScoredCustomers]) -> None:
        """Write all customers, in ascending order of their ids' UTF-8 bytes."""
        with (self._folder / RECORDS_FILE).open("wb") as lines:
            for chunk in chunks:
                lengths = [lines.write(record) for record in self._records(chunk)]
                ends = self._size + np.cumsum(lengths, dtype=np.int64)
                self._size = int(ends[-1]) if len(ends) else self._size
                self._columns.append(_to_table(chunk, ends, self._tiers))
                self.customers += len(lengths)
                self.scored += int((~np.isnan(chunk.probability)).sum())
        tables = self._columns or [_to_table(_NOBODY, np.empty(0, np.int64), self._tiers)]
        table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
        _check_order(table.column("customer_id"))
        write_arrow(self._folder / SCORES_FILE, table)

    def _records(self, chunk: ScoredCustomers) -> Iterator[bytes]:
        probability = _rounded(chunk.probability, _DECIMALS)
        percentile = _rounded(chunk.percentile, 2)
        tiers = (*self._tiers, None)  # index -1 is the last
        columns = (chunk.ids, probability, percentile, chunk.tier.tolist())
        for id, p, rank, tier, reasons, warnings in zip(
            *columns, chunk.reasons, chunk.warnings, strict=True
        ):
            record = {
                "customer_id": id,
                "in_population": p is not None,
                "probability": p,
                "percentile": rank,
                "tier": tiers[tier],
                "reasons": reasons,
                "warnings": warnings,
                **self._common,
            }
            yield orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


_NOBODY = ScoredCustomers((), np.empty(0), np.empty(0), np.empty(0, np.int8), (), ())


def _check_order(ids: pa.ChunkedArray) -> None:
    ascending = pc.less(ids.slice(0, max(len(ids) - 1, 0)), ids.slice(1))
    if not pc.all(ascending, min_count=0).as_py():
        where = ascending.index(False).as_py()
        raise DamagedArtefactError(
            f"customer {ids[where + 1].as_py()!r}",
            got=f"after {ids[where].as_py()!r}",
            expected="ids ascending by their UTF-8 bytes, none twice",
            remedy="build the snapshot again",
        )


def _rounded(values: Float64, decimals: int) -> list[float | None]:
    return [None if v != v else v for v in np.round(values, decimals).tolist()]


def _to_table(chunk: ScoredCustomers, ends: Int64, tiers: tuple[str, ...]) -> pa.Table:
    outside: Bool = np.isnan(chunk.probability)
    tier = pa.array(np.where(outside, 0, chunk.tier).astype(np.int8), mask=outside)
    reasons = {
        f"reason_{k + 1}": pa.array(
            [r[k].code if len(r) > k else None for r in chunk.reasons], pa.string()
        ).dictionary_encode()
        for k in range(REASONS)
    }
    return pa.table(
        {
            "customer_id": pa.array(chunk.ids, pa.large_string()),
            # Rounded like the record, so that a filter keeps exactly what the reader sees.
            "probability": pa.array(np.round(chunk.probability, _DECIMALS), mask=outside),
            "percentile": pa.array(chunk.percentile, mask=outside),
            "tier": pa.DictionaryArray.from_arrays(tier, pa.array(tiers, pa.string())),
            **reasons,
            "record_end": pa.array(ends),
        }
    )
