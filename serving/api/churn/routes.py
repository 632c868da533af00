"""The routes of churn scores: by id, and page by page."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import Query, Request
from starlette.responses import Response

from serving.api import content, openapi
from serving.api.churn.render import look_up, page_head, page_headers, page_of, stream_scores
from serving.api.churn.schemas import (
    ScoreRecord,
    ScoresPage,
    ScoresQuery,
    ScoresRequest,
    ScoresResponse,
)
from serving.api.content import (
    CSV,
    JSON,
    NDJSON,
    PARQUET,
    negotiate_type,
    not_modified,
    read_body,
    takes_gzip,
)
from serving.api.state import state_of

churn_router = openapi.subject_router("churn")


@churn_router.post(
    "/v1/churn/scores",
    summary="Churn scores of up to 1,000 customers",
    responses=openapi.responses(
        "The scores, and the ids that are not known.",
        ScoresResponse,
        problem_kinds=(*openapi.BODY_PROBLEMS, "not-published"),
    ),
    openapi_extra=openapi.body(ScoresRequest),
)
async def post_scores(request: Request) -> Response:
    """Probability, tier and reasons by customer; unknown ids are listed, not fatal."""
    body = await read_body(request, ScoresRequest)
    scores = state_of(request).published.require_scores()
    return Response(look_up(body.customer_ids, of=scores), media_type=JSON)


@churn_router.get(
    "/v1/churn/scores",
    summary="The published score set, page by page",
    responses=openapi.responses(
        "One page: a customer a line, one JSON document, or a table as CSV or Parquet, by "
        '`Accept`; packed where `Accept-Encoding` takes gzip. `Link` with `rel="next"` holds '
        "the address of the next page; the last has none.",
        ScoresPage,
        others={
            NDJSON: ScoreRecord,
            CSV: "customer_id,probability,tier,action,reason_1_text\r\n"
            "C000017,0.712345,high,call,no order for 74 days (usually every 31)\r\n",
            PARQUET: "a Parquet file with the columns of the CSV",
        },
        problem_kinds=("invalid", "unknown-name", "not-published", "not-acceptable", "set-gone"),
    )
    | openapi.NOT_MODIFIED,
    openapi_extra=openapi.CONDITIONAL,
)
async def get_scores(request: Request, query: Annotated[ScoresQuery, Query()]) -> Response:
    """All customers in the order of their ids, pinned to one set by `set`, with an `ETag`."""
    state = state_of(request)
    kind = negotiate_type(request, (NDJSON, JSON, CSV, PARQUET))
    scores = await state.scores(query.set)
    # A Parquet file is packed inside.
    packed = kind != PARQUET and takes_gzip(request)
    filters = query.model_dump(exclude={"set"})
    tag = content.etag(scores.id, sorted(filters.items()), kind, packed)
    headers = {"ETag": tag, "Vary": "Accept, Accept-Encoding", "Cache-Control": "no-cache"}
    if (unchanged := not_modified(request, headers)) is not None:
        return unchanged
    find = partial(page_of, query, of=scores, score_sets=state.score_sets)
    page = await to_thread.run_sync(find, abandon_on_cancel=True) if query.filters else find()
    headers |= page_headers(query, page, of=scores)
    return stream_scores(page, kind=kind, head=page_head(scores), packed=packed, headers=headers)
