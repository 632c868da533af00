"""The routes of a CRM, of monitoring and for people: each reads its request and answers bytes."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import FastAPI, Query, Request
from starlette.responses import PlainTextResponse, Response

from serving.http import answers, customers, facts, metrics, openapi, shapes
from serving.http.examples import EXAMPLES
from serving.http.negotiate import (
    CSV,
    JSON,
    NDJSON,
    PARQUET,
    choose_type,
    read_body,
    takes_gzip,
)
from serving.http.pages.customers import customers_page
from serving.http.pages.docs import docs_page
from serving.http.pages.home import home_page
from serving.http.replies import (
    BODY_PROBLEMS,
    CONDITIONAL,
    NOT_MODIFIED,
    json_reply,
    page_reply,
    pull_reply,
)
from serving.http.schemas import ScoresQuery, ScoresRequest
from serving.http.state import State


def add_churn_routes(app: FastAPI, state: State) -> None:
    """Add the routes of a CRM.

    Args:
        app: The application; routes of its own are matched faster than an included router's.
        state: What they answer from.
    """

    @app.post(
        "/v1/churn/scores",
        tags=["churn"],
        summary="Churn scores of up to 1,000 customers",
        responses=openapi.responses(
            "The scores, and the ids that are not known.",
            openapi.content(JSON, shapes.ScoresAnswer, example=EXAMPLES["scores"]),
            problem_kinds=(*BODY_PROBLEMS, "not-published"),
        ),
        openapi_extra=openapi.body(ScoresRequest, example=EXAMPLES["scores-request"]),
    )
    async def post_scores(request: Request) -> Response:
        """Probability, tier and reasons by customer; unknown ids are listed, not fatal."""
        asked = await read_body(request, ScoresRequest)
        found = customers.look_up(asked.customer_ids, of=state.published.require_scores())
        return Response(found, media_type=JSON)

    @app.get(
        "/v1/churn/scores",
        tags=["churn"],
        summary="The published score set, page by page",
        responses=openapi.responses(
            "One page: a customer a line, one JSON document, or a table as CSV or Parquet, by "
            '`Accept`; packed where `Accept-Encoding` takes gzip. `Link` with `rel="next"` holds '
            "the address of the next page; the last has none.",
            openapi.content(NDJSON, shapes.ScoreRecord, example=EXAMPLES["scores-line"])
            | openapi.content(JSON, shapes.ScoresPage, example=EXAMPLES["scores-page"])
            | openapi.content(CSV, None, example=EXAMPLES["scores-csv"])
            | openapi.content(PARQUET, None, example=EXAMPLES["scores-parquet"]),
            problem_kinds=(
                "invalid",
                "unknown-name",
                "not-published",
                "not-acceptable",
                "set-gone",
            ),
        )
        | NOT_MODIFIED,
        openapi_extra=CONDITIONAL,
    )
    async def get_scores(request: Request, query: Annotated[ScoresQuery, Query()]) -> Response:
        """All customers in the order of their ids, pinned to one set by `set`, with an `ETag`."""
        kind = choose_type(request, (NDJSON, JSON, CSV, PARQUET))
        scores = await state.scores(query.set)
        # A Parquet file is packed inside.
        packed = kind != PARQUET and takes_gzip(request)
        asked = query.model_dump(exclude={"set"})
        tag = answers.etag(scores.id, sorted(asked.items()), kind, packed)
        headers = {"ETag": tag, "Vary": "Accept, Accept-Encoding", "Cache-Control": "no-cache"}
        if answers.matches(request.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers=headers)
        find = partial(customers.page_of, query, of=scores, kept=state.kept)
        page = await to_thread.run_sync(find, abandon_on_cancel=True) if query.filters else find()
        headers |= customers.page_headers(query, page, of=scores)
        return pull_reply(
            page, kind=kind, head=customers.page_head(scores), packed=packed, headers=headers
        )


def add_probe_routes(app: FastAPI, state: State) -> None:
    """Add the routes that monitoring asks.

    Args:
        app: The application; routes of its own are matched faster than an included router's.
        state: What they answer from.
    """

    @app.get(
        "/healthz",
        tags=["service"],
        summary="Whether the process answers",
        responses=openapi.responses(
            "It does.", openapi.content(JSON, shapes.Health, example={"status": "ok"})
        ),
    )
    async def get_health() -> Response:
        """Liveness: says nothing of what is published."""
        return Response(b'{"status":"ok"}', media_type=JSON)

    @app.get(
        "/readyz",
        tags=["service"],
        summary="Whether this worker can answer, and how old what it serves is",
        responses=openapi.responses(
            "At least one set is served.",
            openapi.content(JSON, shapes.Readiness, example=EXAMPLES["readiness"]),
        )
        | {
            503: {
                "description": "Nothing is published yet; `parts` names what to run.",
                "content": openapi.content(JSON, shapes.Readiness),
            }
        },
    )
    async def get_readiness() -> Response:
        """Readiness from local facts: the id, age and as-of of each part, and what is missing."""
        published = state.published
        book = state.overrides.book
        document = facts.readiness(
            published, overrides=book.count, trouble=book.trouble, now=state.clock()
        )
        return json_reply(document, status=200 if document["ready"] else 503)

    @app.get(
        "/metrics",
        tags=["service"],
        response_class=PlainTextResponse,
        summary="Figures for Prometheus",
        responses=openapi.responses(
            "Requests by route, and ages, horizon, customers, base rate.",
            openapi.content("text/plain", None, example=EXAMPLES["metrics"]),
        ),
    )
    async def get_metrics() -> Response:
        """Counts of this worker since it started, and figures of what it serves."""
        trouble = state.overrides.book.trouble
        figures = facts.figures(state.published, trouble=trouble, now=state.clock())
        text = metrics.render(state.traffic, figures)
        return Response(text, headers={"Content-Type": metrics.CONTENT_TYPE})


def add_page_routes(app: FastAPI, state: State) -> None:
    """Add the models' cards, the pages for people and the document.

    Args:
        app: The application.
        state: What they answer from.
    """

    @app.get(
        "/v1/models",
        tags=["service"],
        summary="The promoted models, with their cards",
        responses=openapi.responses(
            "The models.", openapi.content(JSON, shapes.ModelsAnswer, example=EXAMPLES["models"])
        ),
    )
    async def get_models() -> Response:
        """Metrics out of sample, training span and versions of each promoted model."""
        return json_reply(facts.models(state.published))

    @app.get("/", include_in_schema=False)
    async def get_home() -> Response:
        # Agents of many large queues take a while: other requests go on meanwhile.
        draw = partial(home_page, state.in_force(), now=state.clock())
        return page_reply(await to_thread.run_sync(draw))

    @app.get("/customers", include_in_schema=False)
    async def get_customers() -> Response:
        # Counting a million customers takes a while: other requests go on meanwhile.
        draw = partial(customers_page, state.published)
        return page_reply(await to_thread.run_sync(draw))

    @app.get("/docs", include_in_schema=False)
    async def get_docs(request: Request) -> Response:
        return page_reply(docs_page(openapi.document(request.app)))

    @app.get("/openapi.json", include_in_schema=False)
    async def get_openapi(request: Request) -> Response:
        return json_reply(openapi.document(request.app))
