"""Churn answers: the published score set's own JSON records, joined."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import orjson

from features.errors import UnknownNameError
from serving.http.kept import KeptSets
from serving.http.list_schemas import ListFilters
from serving.http.schemas import ScoresQuery
from serving.sets.scores import WORDS, Page, ScoreFilter, ScoreSet, iso

PAGE_ROUTE = "/v1/churn/scores"


def _head(scores: ScoreSet) -> bytes:
    """Return the head of an answer, without the last brace."""
    document = {
        "score_set": scores.id,
        "as_of": iso(scores.as_of),
        "model_version": scores.model_version,
        "snapshot": scores.snapshot,
        **{f"{column}s": scores.words(column) for column in WORDS},
        "warnings": scores.warnings,
    }
    return orjson.dumps(document)[:-1]


def look_up(customer_ids: list[str], *, of: ScoreSet) -> bytes:
    """Return the JSON answer for some customers."""
    found, unknown = [], []
    for id in dict.fromkeys(customer_ids):
        record = of.record(id)
        if record is None:
            unknown.append(id)
        else:
            found.append(record)
    records = b",".join(found)
    return b'%b,"scores":[%b],"unknown":%b}' % (_head(of), records, orjson.dumps(unknown))


def page_of(query: ScoresQuery, *, of: ScoreSet, kept: KeptSets) -> Page:
    """Return one page of a set.

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
    filters: ScoresQuery | ListFilters, *, of: ScoreSet, prefix: str = ""
) -> ScoreFilter:
    """Return a request's filters; ``prefix`` is where they stand in it.

    Raises:
        UnknownNameError: The set has no such tier, stage, segment or action.
    """
    words = {column: tuple(getattr(filters, column) or ()) for column in WORDS}
    for column, wanted in words.items():
        for word in wanted:
            if word not in of.words(column):
                raise UnknownNameError(column, word, of.words(column), field=f"{prefix}{column}")
    return ScoreFilter(
        words=words, min_probability=filters.min_probability, min_value_minor=filters.min_value
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
