"""Routes of health, readiness, metrics and models."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import PlainTextResponse, Response

from serving.api import middleware, openapi
from serving.api.content import JSON, json_response
from serving.api.ops.schemas import Health, ModelsResponse, Readiness
from serving.api.state import state_of
from serving.published import status

ops_router = openapi.subject_router("service")


@ops_router.get(
    "/healthz",
    summary="Whether the process answers",
    responses=openapi.responses("It does.", Health),
)
async def get_health() -> Response:
    """Liveness: says nothing of what is published."""
    return Response(b'{"status":"ok"}', media_type=JSON)


@ops_router.get(
    "/readyz",
    summary="Whether this worker can answer, and how old what it serves is",
    responses=openapi.responses("At least one set is served.", Readiness)
    | {
        503: {
            "description": "Nothing is published yet; `parts` names what to run.",
            "model": Readiness,
        }
    },
)
async def get_readiness(request: Request) -> Response:
    """Readiness from local facts: the id, age and as-of of each part, and what is missing."""
    state, known = state_of(request), state_of(request).overrides.known
    document = status.readiness(
        state.published, overrides=known.count, trouble=known.trouble, now=state.clock()
    )
    return json_response(document, status=200 if document["ready"] else 503)


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
    trouble = state.overrides.known.trouble
    metrics = status.status_metrics(state.published, trouble=trouble, now=state.clock())
    text = status.render(state.metrics, metrics)
    return Response(text, headers={"Content-Type": middleware.CONTENT_TYPE})


@ops_router.get(
    "/v1/models",
    summary="The promoted models, with their cards",
    responses=openapi.responses("The models.", ModelsResponse),
)
async def get_models(request: Request) -> Response:
    """Metrics out of sample, training span and versions of each promoted model."""
    return json_response(status.models(state_of(request).published))
