"""How a score set is written: records line by line, columns in memory, one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from serving.models.churn.stages import SEGMENTS, STAGES
from serving.sets.scores import (
    RECORDS_FILE,
    SCORE_SET_KIND,
    SCORE_SET_SCHEMA,
    SCORES_FILE,
    WORDS,
    iso,
)

REASONS = 3
_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that moves a customer's score, as a person would say it.

    Attributes:
        code: Stable word for machines.
        text: A sentence for people, in English.
        text_zh: The same in Chinese.
        value: The customer's value; None where it is undefined.
        usual: The usual value in the population; None where it is undefined.
    """

    code: str
    text: str
    text_zh: str
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
        expected_value_minor: Money expected over 12 months, float64[n]; NaN where unknown.
        value_at_risk_minor: What of it may be lost, float64[n]; NaN where unknown.
        stage: Index into ``STAGES``, int8[n].
        segment: Index into ``SEGMENTS``, int8[n].
        action: Index into the set's actions, int16[n].
        consent: 1 where the customer may be contacted, 0 where not, float64[n]; NaN where unknown.
        reasons: Places in ``said``, the weightiest first, int[n, 3]; -1 where there is none.
        said: The reasons that customers share; a later chunk may hold more of them.
        warnings: The warnings of each customer.
    """

    ids: Sequence[str]
    probability: Float64
    percentile: Float64
    tier: Any
    expected_value_minor: Float64
    value_at_risk_minor: Float64
    stage: Any
    segment: Any
    action: Any
    consent: Float64
    reasons: Any
    said: Sequence[Reason]
    warnings: Sequence[Sequence[str]]


def write_score_set(
    root: Path,
    *,
    chunks: Iterable[ScoredCustomers],
    as_of: datetime,
    snapshot: str,
    model_version: str,
    tiers: tuple[str, ...],
    actions: tuple[str, ...],
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
        actions: The actions that can be suggested.
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
        "stages": list(STAGES),
        "segments": list(SEGMENTS),
        "actions": list(actions),
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
        words = {"tier": tiers, "stage": STAGES, "segment": SEGMENTS, "action": actions}
        writer = ScoreSetWriter(
            folder, id=id, as_of=as_of, model_version=model_version, words=words
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
        words: By column of ``WORDS``, the words that its codes stand for.
    """

    def __init__(
        self,
        folder: Path,
        *,
        id: str,
        as_of: datetime,
        model_version: str,
        words: Mapping[str, tuple[str, ...]],
    ) -> None:
        self._folder = folder
        self._words = words
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
                self._columns.append(_to_table(chunk, ends, self._words))
                self.customers += len(lengths)
                self.scored += int((~np.isnan(chunk.probability)).sum())
        tables = self._columns or [_to_table(_NOBODY, np.empty(0, np.int64), self._words)]
        table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
        _check_order(table.column("customer_id"))
        write_arrow(self._folder / SCORES_FILE, table)

    def _records(self, chunk: ScoredCustomers) -> Iterator[bytes]:
        # Many customers share a reason, so each is written once.
        said = [orjson.Fragment(orjson.dumps(reason)) for reason in chunk.said]
        words = {name: (*self._words[name], None) for name in WORDS}
        columns = (
            chunk.ids,
            _rounded(chunk.probability, _DECIMALS),
            _rounded(chunk.percentile, 2),
            _whole(chunk.expected_value_minor),
            _whole(chunk.value_at_risk_minor),
            *(_codes(chunk, name) for name in WORDS),
            chunk.reasons.tolist(),
            chunk.warnings,
        )
        tiers, stages, segments, actions = (words[name] for name in WORDS)
        common = self._common
        for id, p, rank, expected, risk, tier, stage, segment, action, reasons, warnings in zip(
            *columns, strict=True
        ):
            record = {
                "customer_id": id,
                "in_population": p is not None,
                "probability": p,
                "percentile": rank,
                "tier": tiers[tier],
                "expected_value_minor": expected,
                "value_at_risk_minor": risk,
                "stage": stages[stage],
                "segment": segments[segment],
                "action": actions[action],
                "reasons": [said[place] for place in reasons if place >= 0],
                "warnings": warnings,
                **common,
            }
            yield orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


_NOBODY = ScoredCustomers(
    ids=(),
    probability=np.empty(0),
    percentile=np.empty(0),
    tier=np.empty(0, np.int8),
    expected_value_minor=np.empty(0),
    value_at_risk_minor=np.empty(0),
    stage=np.empty(0, np.int8),
    segment=np.empty(0, np.int8),
    action=np.empty(0, np.int16),
    consent=np.empty(0),
    reasons=np.empty((0, REASONS), np.int32),
    said=(),
    warnings=(),
)


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


def _whole(values: Float64) -> list[int | None]:
    return [None if v != v else int(v) for v in np.round(values).tolist()]


def _codes(chunk: ScoredCustomers, column: str) -> list[int]:
    codes: list[int] = getattr(chunk, column).tolist()
    return codes


def _to_table(
    chunk: ScoredCustomers, ends: Int64, words: Mapping[str, tuple[str, ...]]
) -> pa.Table:
    outside: Bool = np.isnan(chunk.probability)
    codes = pa.array([reason.code for reason in chunk.said], pa.string()).dictionary_encode()
    reasons = {
        f"reason_{k + 1}": pa.DictionaryArray.from_arrays(
            pa.array(_of_codes(chunk.reasons[:, k], codes), pa.int32(), from_pandas=True),
            codes.dictionary,
        )
        for k in range(REASONS)
    }
    return pa.table(
        {
            "customer_id": pa.array(chunk.ids, pa.large_string()),
            # Rounded like the record, so that a filter keeps exactly what the reader sees.
            "probability": pa.array(np.round(chunk.probability, _DECIMALS), mask=outside),
            "percentile": pa.array(chunk.percentile, mask=outside),
            **{
                name: _whole_column(getattr(chunk, name))
                for name in ("expected_value_minor", "value_at_risk_minor")
            },
            **{name: _word_column(getattr(chunk, name), words[name]) for name in WORDS},
            "consent": pa.array(chunk.consent > 0, mask=np.isnan(chunk.consent)),
            **reasons,
            "record_end": pa.array(ends),
        }
    )


def _of_codes(places: Any, codes: pa.DictionaryArray) -> Any:
    """Return the code's place of each reason's place; NaN where there is no reason."""
    index = np.append(codes.indices.to_numpy(zero_copy_only=False).astype(np.float64), np.nan)
    return index[places]


def _whole_column(values: Float64) -> pa.Array:
    unknown = np.isnan(values)
    return pa.array(np.round(np.where(unknown, 0, values)).astype(np.int64), mask=unknown)


def _word_column(codes: Any, words: tuple[str, ...]) -> pa.DictionaryArray:
    none = codes < 0
    index = pa.array(np.where(none, 0, codes).astype(np.int16), mask=none)
    return pa.DictionaryArray.from_arrays(index, pa.array(words, pa.string()))
