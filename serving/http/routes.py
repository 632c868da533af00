"""The routes of a CRM and of monitoring."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import Query, Request
from starlette.responses import PlainTextResponse, Response

from serving.http import answers, customers, facts, metrics, openapi, shapes
from serving.http.negotiate import CSV, JSON, NDJSON, PARQUET, choose_type, read_body, takes_gzip
from serving.http.replies import json_reply, not_modified, pull_reply
from serving.http.schemas import ScoresQuery, ScoresRequest
from serving.http.state import state_of

churn_router = openapi.subject_router("churn")
ops_router = openapi.subject_router("service")


@churn_router.post(
    "/v1/churn/scores",
    summary="Churn scores of up to 1,000 customers",
    responses=openapi.responses(
        "The scores, and the ids that are not known.",
        shapes.ScoresAnswer,
        problem_kinds=(*openapi.BODY_PROBLEMS, "not-published"),
    ),
    openapi_extra=openapi.body(ScoresRequest),
)
async def post_scores(request: Request) -> Response:
    """Probability, tier and reasons by customer; unknown ids are listed, not fatal."""
    body = await read_body(request, ScoresRequest)
    scores = state_of(request).published.require_scores()
    return Response(customers.look_up(body.customer_ids, of=scores), media_type=JSON)


@churn_router.get(
    "/v1/churn/scores",
    summary="The published score set, page by page",
    responses=openapi.responses(
        "One page: a customer a line, one JSON document, or a table as CSV or Parquet, by "
        '`Accept`; packed where `Accept-Encoding` takes gzip. `Link` with `rel="next"` holds '
        "the address of the next page; the last has none.",
        shapes.ScoresPage,
        others={
            NDJSON: shapes.ScoreRecord,
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
    kind = choose_type(request, (NDJSON, JSON, CSV, PARQUET))
    scores = await state.scores(query.set)
    # A Parquet file is packed inside.
    packed = kind != PARQUET and takes_gzip(request)
    filters = query.model_dump(exclude={"set"})
    tag = answers.etag(scores.id, sorted(filters.items()), kind, packed)
    headers = {"ETag": tag, "Vary": "Accept, Accept-Encoding", "Cache-Control": "no-cache"}
    if (unchanged := not_modified(request, headers)) is not None:
        return unchanged
    find = partial(customers.page_of, query, of=scores, kept=state.kept)
    page = await to_thread.run_sync(find, abandon_on_cancel=True) if query.filters else find()
    headers |= customers.page_headers(query, page, of=scores)
    return pull_reply(
        page, kind=kind, head=customers.page_head(scores), packed=packed, headers=headers
    )


@ops_router.get(
    "/healthz",
    summary="Whether the process answers",
    responses=openapi.responses("It does.", shapes.Health),
)
async def get_health() -> Response:
    """Liveness: says nothing of what is published."""
    return Response(b'{"status":"ok"}', media_type=JSON)


@ops_router.get(
    "/readyz",
    summary="Whether this worker can answer, and how old what it serves is",
    responses=openapi.responses("At least one set is served.", shapes.Readiness)
    | {
        503: {
            "description": "Nothing is published yet; `parts` names what to run.",
            "model": shapes.Readiness,
        }
    },
)
async def get_readiness(request: Request) -> Response:
    """Readiness from local facts: the id, age and as-of of each part, and what is missing."""
    state, book = state_of(request), state_of(request).overrides.book
    document = facts.readiness(
        state.published, overrides=book.count, trouble=book.trouble, now=state.clock()
    )
    return json_reply(document, status=200 if document["ready"] else 503)


@ops_router.get(
    "/metrics",
    response_class=PlainTextResponse,
    summary="Figures for Prometheus",
    responses=openapi.responses(
        "Requests by route, and ages, horizon, customers, base rate.",
        others={"text/plain": "# TYPE ebbflow_ready gauge\nebbflow_ready 1.0\n"},
    ),
)
async def get_metrics(request: Request) -> Response:
    """Counts of this worker since it started, and figures of what it serves."""
    state = state_of(request)
    trouble = state.overrides.book.trouble
    figures = facts.figures(state.published, trouble=trouble, now=state.clock())
    text = metrics.render(state.traffic, figures)
    return Response(text, headers={"Content-Type": metrics.CONTENT_TYPE})


@ops_router.get(
    "/v1/models",
    summary="The promoted models, with their cards",
    responses=openapi.responses("The models.", shapes.ModelsAnswer),
)
async def get_models(request: Request) -> Response:
    """Metrics out of sample, training span and versions of each promoted model."""
    return json_reply(facts.models(state_of(request).published))
