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

from features.arrays import Bool, Float64, Int64
from features.arrow import write_arrow
from features.artefact import new_id, write_artefact
from features.calendar.clock import iso
from features.errors import DamagedArtefactError
from serving.models.churn.value import SEGMENTS, STAGES
from serving.published.score_set import (
    RECORDS_FILE,
    SCORE_SET_KIND,
    SCORE_SET_SCHEMA,
    SCORES_FILE,
    WORDS,
)

REASONS = 3
_DECIMALS = 6
Vocabulary = Mapping[str, tuple[str, ...]]
"""By column of ``WORDS``, the words that its codes stand for."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that moves a customer's score, as a person would say it.

    Attributes:
        code: Stable word for machines.
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
        probability: float64[n]; NaN outside the population.
        percentile: float64[n] in [0, 100]; NaN outside the population.
        tier: Index into the set's tiers, int8[n]; -1 outside the population.
        expected_value_minor: Money expected over 12 months, float64[n]; NaN where unknown.
        value_at_risk_minor: What of it may be lost, float64[n]; NaN where unknown.
        stage: Index into ``STAGES``, int8[n].
        segment: Index into ``SEGMENTS``, int8[n].
        action: Index into the set's actions, int16[n].
        consent: 1 where the customer may be contacted, 0 where not, float64[n]; NaN where unknown.
        reasons: Places in ``reason_texts``, the weightiest first, int[n, 3]; -1 for none.
        reason_texts: The reasons that customers share; a later chunk may hold more of them.
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
    reason_texts: Sequence[Reason]
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
        chunks: All customers, ascending by the UTF-8 bytes of their ids, no id twice.

    Raises:
        DamagedArtefactError: The ids do not ascend; nothing was written.
    """
    id, words = new_id(now), (tiers, STAGES, SEGMENTS, actions)
    vocabulary = dict(zip(WORDS, words, strict=True))
    meta: dict[str, Any] = {
        "as_of": as_of.isoformat(),
        "model_version": model_version,
        **{f"{name}s": list(words) for name, words in vocabulary.items()},
        "warnings": list(warnings),
    }
    common = {"as_of": iso(as_of), "model_version": model_version, "score_set": id}
    with write_artefact(
        root,
        kind=SCORE_SET_KIND,
        schema=SCORE_SET_SCHEMA,
        created_at=now,
        lineage={"snapshot": snapshot, "bundle": model_version},
        meta=meta,
        id=id,
    ) as folder:
        table = _write_records(folder / RECORDS_FILE, chunks, vocabulary, common)
        _check_order(table.column("customer_id"))
        write_arrow(folder / SCORES_FILE, table)
        probability = table.column("probability")
        meta["customers"] = len(probability)
        meta["scored"] = len(probability) - probability.null_count
    return id


def _write_records(
    path: Path, chunks: Iterable[ScoredCustomers], vocabulary: Vocabulary, common: dict[str, str]
) -> pa.Table:
    """Write a line a customer, chunk by chunk; only the columns, which are returned, stay."""
    columns, size = [], 0
    with path.open("wb") as lines:
        for chunk in chunks:
            lengths = [lines.write(record) for record in _records(chunk, vocabulary, common)]
            ends = size + np.cumsum(lengths, dtype=np.int64)
            size += sum(lengths)
            columns.append(_to_score_table(chunk, ends, vocabulary))
    columns = columns or [_to_score_table(_NOBODY, np.empty(0, np.int64), vocabulary)]
    return pa.concat_tables(columns).unify_dictionaries().combine_chunks()


def _records(
    chunk: ScoredCustomers, vocabulary: Vocabulary, common: dict[str, str]
) -> Iterator[bytes]:
    # Many customers share a reason, so each is written once.
    reason_texts = [orjson.Fragment(orjson.dumps(reason)) for reason in chunk.reason_texts]
    columns = (
        chunk.ids,
        _rounded(chunk.probability, _DECIMALS),
        _rounded(chunk.percentile, 2),
        _whole(chunk.expected_value_minor),
        _whole(chunk.value_at_risk_minor),
        *(getattr(chunk, name).tolist() for name in WORDS),
        chunk.reasons.tolist(),
        chunk.warnings,
    )
    # Code -1, no word, reads the last entry.
    tiers, stages, segments, actions = ((*vocabulary[name], None) for name in WORDS)
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
            "reasons": [reason_texts[place] for place in reasons if place >= 0],
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
    reason_texts=(),
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


def _to_score_table(chunk: ScoredCustomers, ends: Int64, vocabulary: Vocabulary) -> pa.Table:
    outside: Bool = np.isnan(chunk.probability)
    codes = pa.array(
        [reason.code for reason in chunk.reason_texts], pa.string()
    ).dictionary_encode()
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
            **{name: _word_column(getattr(chunk, name), vocabulary[name]) for name in WORDS},
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
