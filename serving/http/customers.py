"""Churn answers: from a request and the published score set to bytes.

The set holds each customer's record as the JSON that is sent, so an answer is joined, not made.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from urllib.parse import urlencode

import orjson

from features.errors import UnknownNameError
from serving.http.problems import refuse
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


def find_set(id: str | None, *, current: ScoreSet, earlier: Mapping[str, ScoreSet]) -> ScoreSet:
    """Return the set that a page is asked from.

    Args:
        id: The set's id; None for the current one.
        current: The set in force.
        earlier: Sets that this worker still holds open, by id.

    Raises:
        ProblemError: The set is no longer held.
    """
    if id is None or id == current.id:
        return current
    if id in earlier:
        return earlier[id]
    raise refuse(
        "set-gone",
        f"The score set asked for is not served any more; `{current.id}` is. Leave `set` and "
        "`after` out and begin the pull again.",
        field="query.set",
    )


def page_of(query: ScoresQuery, *, of: ScoreSet) -> Page:
    """Return one page of a set.

    Raises:
        UnknownNameError: The set has no such tier.
    """
    words = {column: tuple(getattr(query, column) or ()) for column in WORDS}
    for column, asked in words.items():
        for word in asked:
            if word not in of.words(column):
                raise UnknownNameError(column, word, of.words(column), field=column)
    only = ScoreFilter(
        words=words,
        min_probability=query.min_probability,
        min_value_minor=query.min_value,
    )
    return of.page(after=query.after, limit=query.limit, only=only)


def page_json(page: Page, *, of: ScoreSet) -> bytes:
    """Return a page as one JSON document."""
    cursor = b',"customers":%d,"next":%b' % (len(of), orjson.dumps(page.next))
    records = page.data.rstrip(b"\n").replace(b"\n", b",")
    return b"".join((_head(of), cursor, b',"scores":[', records, b"]}"))


def page_headers(query: ScoresQuery, page: Page, *, of: ScoreSet) -> dict[str, str]:
    """Return the headers of a page: the set, the rows, and where the next page stands."""
    headers = {"X-Score-Set": of.id, "X-Row-Count": str(page.rows)}
    if page.next is not None:
        asked = query.model_dump(exclude_none=True, exclude={"set", "after"})
        following = asked | {"set": of.id, "after": page.next}
        headers["Link"] = f'<{PAGE_ROUTE}?{urlencode(following, doseq=True)}>; rel="next"'
    return headers
