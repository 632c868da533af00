"""Churn answers: from a request and the published score set to bytes.

The set holds each customer's record as the JSON that is sent, so an answer is joined, not made.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from urllib.parse import urlencode

import orjson

from features.errors import UnknownNameError
from serving.http.kept import KeptSets
from serving.http.list_schemas import ListFilters
from serving.http.schemas import ScoresQuery
from serving.sets.scores import WORDS, Page, ScoreFilter, ScoreSet, iso

PAGE_ROUTE = "/v1/churn/scores"
_VOCABULARY = tuple((f"{column}s", column) for column in WORDS)


def _head(scores: ScoreSet) -> bytes:
    """Return the head of an answer, written once per set."""
    return _written_head(
        scores.id,
        scores.as_of,
        scores.model_version,
        scores.snapshot,
        *((name, scores.words(column)) for name, column in _VOCABULARY),
        warnings=scores.warnings,
    )


@lru_cache(maxsize=8)
def _written_head(
    id: str,
    as_of: datetime,
    model_version: str,
    snapshot: str,
    *vocabulary: tuple[str, tuple[str, ...]],
    warnings: tuple[str, ...],
) -> bytes:
    document = {
        "score_set": id,
        "as_of": iso(as_of),
        "model_version": model_version,
        "snapshot": snapshot,
        **{name: list(words) for name, words in vocabulary},
        "warnings": list(warnings),
    }
    return orjson.dumps(document)[:-1]


def look_up(customer_ids: list[str], *, of: ScoreSet) -> bytes:
    """Return the JSON answer for some customers.

    Args:
        customer_ids: Whom; an id that comes twice is answered once.
        of: The published score set.
    """
    found, unknown = [], []
    for id in dict.fromkeys(customer_ids):
        record = of.record(id)
        if record is None:
            unknown.append(id)
        else:
            found.append(record)
    return b"".join(
        (
            _head(of),
            b',"scores":[',
            b",".join(found),
            b'],"unknown":',
            orjson.dumps(unknown),
            b"}",
        )
    )


def page_of(query: ScoresQuery, *, of: ScoreSet, kept: KeptSets) -> Page:
    """Return one page of a set.

    Args:
        query: Which.
        of: The set.
        kept: Where the set of ``changed_since`` stands.

    Raises:
        UnknownNameError: The set has no such tier, stage, segment or action, or no such set is
            kept to compare with.
        SetGoneError: The set to compare with is not fit.
    """
    only = score_filter(query, of=of)
    if query.changed_since is not None:
        only = replace(only, changed=kept.changed(query.changed_since, of=of))
    return of.page(after=query.after, limit=query.limit, only=only)


def score_filter(
    asked: ScoresQuery | ListFilters, *, of: ScoreSet, prefix: str = ""
) -> ScoreFilter:
    """Return the filters that a request asks for, of those that need the set alone.

    Args:
        asked: The request's filters.
        of: The set.
        prefix: Where the fields stand in the request.

    Raises:
        UnknownNameError: The set has no such tier, stage, segment or action.
    """
    words = {column: tuple(getattr(asked, column) or ()) for column in WORDS}
    for column, wanted in words.items():
        for word in wanted:
            if word not in of.words(column):
                raise UnknownNameError(column, word, of.words(column), field=f"{prefix}{column}")
    return ScoreFilter(
        words=words, min_probability=asked.min_probability, min_value_minor=asked.min_value
    )


def page_head(of: ScoreSet) -> bytes:
    """Return what a page as JSON says before its cursor, without the last brace."""
    return b'%b,"customers":%d' % (_head(of), len(of))


def page_headers(query: ScoresQuery, page: Page, *, of: ScoreSet) -> dict[str, str]:
    """Return the headers of a page: the set, the rows, and where the next page stands."""
    headers = {"X-Score-Set": of.id, "X-Row-Count": str(page.rows)}
    if page.next is not None:
        asked = query.model_dump(exclude_none=True, exclude={"set", "after"})
        following = asked | {"set": of.id, "after": page.next}
        headers["Link"] = f'<{PAGE_ROUTE}?{urlencode(following, doseq=True)}>; rel="next"'
    return headers
