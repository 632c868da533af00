"""The routes: each reads its request, takes what is published once, and answers bytes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import orjson
from anyio import to_thread
from fastapi import FastAPI, Query, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from serving.http import agents, answers, customers, facts, metrics, openapi, shapes
from serving.http.examples import EXAMPLES
from serving.http.negotiate import CSV, JSON, NDJSON, choose_type, read_body
from serving.http.pages.docs import docs_page
from serving.http.pages.home import home_page
from serving.http.schemas import (
    ForecastQuery,
    ForecastRequest,
    ScoresQuery,
    ScoresRequest,
    StaffingRequest,
)
from serving.http.state import State

OFF_LOOP_INTERVALS = 3_000
OFF_LOOP_ROWS = 1_000
"""From this size an answer is made in a thread, so that small requests do not wait for it."""

PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
"""What a page may load: nothing but its own inline style."""

_CONDITIONAL = {
    "parameters": [
        {
            "name": "If-None-Match",
            "in": "header",
            "required": False,
            "description": "The `ETag` of an earlier answer: 304 without a body where it still "
            "holds.",
            "schema": {"type": "string"},
            "example": '"5f0c2c9be4b14d1e9a5e77aa"',
        }
    ]
}
_NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "The answer is still the one with this `ETag`."}
}


async def _make(work: Callable[[], bytes], *, heavy: bool) -> bytes:
    """Make an answer, in a thread where it takes long."""
    return await to_thread.run_sync(work, abandon_on_cancel=True) if heavy else work()


def _page(html: str) -> Response:
    return HTMLResponse(html, headers={"Content-Security-Policy": PAGE_POLICY})


def _json(document: Any, *, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status_code=status, media_type=JSON)


def add_volume_routes(app: FastAPI, state: State) -> None:
    """Add the routes of a scheduling tool.

    Args:
        app: The application; routes of its own are matched faster than an included router's.
        state: What they answer from.
    """

    @app.post(
        "/v1/forecast",
        tags=["volume"],
        summary="Forecast of contacts by queue and interval",
        responses=openapi.responses(
            "The forecast.",
            openapi.content(JSON, shapes.ForecastAnswer, example=EXAMPLES["forecast"]),
            problem_kinds=(*_BODY, "unknown-name", "horizon", "not-published"),
        ),
        openapi_extra=openapi.body(ForecastRequest, example=EXAMPLES["forecast-request"]),
    )
    async def post_forecast(request: Request) -> Response:
        """Mean and quantiles of the contacts offered, and handle time, from the published set."""
        asked = await read_body(request, ForecastRequest)
        choice = answers.choose(asked, of=state.published.require_forecast())
        made = await _make(
            lambda: state.writer.json(choice, quantiles=asked.quantiles),
            heavy=choice.intervals > OFF_LOOP_INTERVALS,
        )
        return Response(made, media_type=JSON)

    @app.get(
        "/v1/forecast",
        tags=["volume"],
        summary="The published forecast, for a spreadsheet or a simple tool",
        responses=openapi.responses(
            "The forecast, as JSON or, with `Accept: text/csv`, a row an interval.",
            openapi.content(JSON, shapes.ForecastAnswer, example=EXAMPLES["forecast"])
            | openapi.content(CSV, None, example=EXAMPLES["forecast-csv"]),
            problem_kinds=("invalid", "unknown-name", "horizon", "not-published", "not-acceptable"),
        )
        | _NOT_MODIFIED,
        openapi_extra=_CONDITIONAL,
    )
    async def get_forecast(request: Request, query: Annotated[ForecastQuery, Query()]) -> Response:
        """The same as the POST route, by query parameters, as JSON or CSV, with an `ETag`."""
        kind = choose_type(request, (JSON, CSV))
        asked = query.to_request()
        choice = answers.choose(asked, of=state.published.require_forecast())
        names = [forecast.queue.queue for forecast, _ in choice.queues]
        tag = answers.etag(choice.set.id, names, choice.start, choice.end, asked.quantiles, kind)
        headers = {"ETag": tag, "Vary": "Accept", "Cache-Control": "no-cache"}
        if answers.matches(request.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers=headers)
        if kind == CSV:
            headers["Content-Disposition"] = 'attachment; filename="forecast.csv"'
        made = await _make(
            lambda: (
                answers.forecast_csv(choice, quantiles=asked.quantiles)
                if kind == CSV
                else state.writer.json(choice, quantiles=asked.quantiles)
            ),
            heavy=choice.intervals > OFF_LOOP_INTERVALS,
        )
        return Response(made, media_type=kind, headers=headers)

    @app.post(
        "/v1/staffing",
        tags=["volume"],
        summary="Agents by queue and interval that meet a service goal",
        responses=openapi.responses(
            "The agents, with the service they are expected to give.",
            openapi.content(JSON, shapes.StaffingAnswer, example=EXAMPLES["staffing"]),
            problem_kinds=(*_BODY, "unknown-name", "horizon", "not-published"),
        ),
        openapi_extra=openapi.body(StaffingRequest, example=EXAMPLES["staffing-request"]),
    )
    async def post_staffing(request: Request) -> Response:
        """The fewest agents that meet the goal at the mean forecast, on phone and rostered."""
        asked = await read_body(request, StaffingRequest)
        choice = answers.choose(asked, of=state.published.require_forecast())
        made = await _make(lambda: agents.staffing_json(choice, request=asked), heavy=True)
        return Response(made, media_type=JSON)

    @app.get(
        "/v1/queues",
        tags=["volume"],
        summary="The queues that are served",
        responses=openapi.responses(
            "The queues.",
            openapi.content(JSON, shapes.QueuesAnswer, example=EXAMPLES["queues"]),
            problem_kinds=("not-published",),
        ),
    )
    async def get_queues() -> Response:
        """Each queue's clock, opening hours, service goal, method and published span."""
        return _json(facts.queues(state.published.require_forecast()))


_BODY = ("malformed", "invalid", "too-large", "media-type", "too-slow")


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
            problem_kinds=(*_BODY, "not-published"),
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
            "One page: a customer a line, or one JSON document with `Accept: application/json`. "
            '`Link` with `rel="next"` holds the address of the next page; the last has none.',
            openapi.content(NDJSON, shapes.ScoreRecord, example=EXAMPLES["scores-line"])
            | openapi.content(JSON, shapes.ScoresPage, example=EXAMPLES["scores-page"]),
            problem_kinds=(
                "invalid",
                "unknown-name",
                "not-published",
                "not-acceptable",
                "set-gone",
            ),
        )
        | _NOT_MODIFIED,
        openapi_extra=_CONDITIONAL,
    )
    async def get_scores(request: Request, query: Annotated[ScoresQuery, Query()]) -> Response:
        """All customers in the order of their ids, pinned to one set by `set`, with an `ETag`."""
        kind = choose_type(request, (NDJSON, JSON))
        scores = customers.find_set(
            query.set, current=state.published.require_scores(), earlier=state.earlier
        )
        asked = query.model_dump(exclude={"set"})
        tag = answers.etag(scores.id, sorted(asked.items()), kind)
        headers = {"ETag": tag, "Vary": "Accept", "Cache-Control": "no-cache"}
        if answers.matches(request.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers=headers)
        filtered = bool(query.tier) or query.min_probability is not None
        page = (
            customers.page_of(query, of=scores)
            if not (filtered or query.limit > OFF_LOOP_ROWS)
            else await to_thread.run_sync(
                lambda: customers.page_of(query, of=scores), abandon_on_cancel=True
            )
        )
        headers |= customers.page_headers(query, page, of=scores)
        made = page.data if kind == NDJSON else customers.page_json(page, of=scores)
        return Response(made, media_type=kind, headers=headers)


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
        document = facts.readiness(published, now=state.clock())
        return _json(document, status=200 if document["ready"] else 503)

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
        figures = facts.figures(state.published, now=state.clock())
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
        return _json(facts.models(state.published))

    @app.get("/", include_in_schema=False)
    async def get_home() -> Response:
        # Agents of many large queues take a while: other requests go on meanwhile.
        draw = partial(home_page, state.published, now=state.clock())
        return _page(await to_thread.run_sync(draw))

    @app.get("/docs", include_in_schema=False)
    async def get_docs(request: Request) -> Response:
        return _page(docs_page(openapi.document(request.app)))

    @app.get("/openapi.json", include_in_schema=False)
    async def get_openapi(request: Request) -> Response:
        return _json(openapi.document(request.app))
