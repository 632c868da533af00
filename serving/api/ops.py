"""Health, readiness, metrics and models over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import Request
from starlette.responses import PlainTextResponse, Response

from serving.api import middleware, openapi
from serving.api.content import JSON, json_response
from serving.api.openapi import AS_OF, BUNDLE_ID, ID, ResponseModel, described
from serving.api.state import state_of
from serving.published import status

ops_router = openapi.subject_router("service")


class Health(ResponseModel):
    """That the process answers."""

    status: str = described("Always `ok`.", "ok")


@ops_router.get(
    "/healthz",
    summary="Whether the process answers",
    responses=openapi.responses("It does.", Health),
)
async def get_health() -> Response:
    """Liveness: says nothing of what is published."""
    return Response(b'{"status":"ok"}', media_type=JSON)


class PartState(ResponseModel):
    """One published part."""

    part: str = described("`forecast`, `scores`, `volume`, `churn` or `snapshot`.", "forecast")
    id: str | None = described("Id of what is served; null for none.", ID)
    as_of: datetime | None = described("What it looks back from, UTC; null for none.", AS_OF)
    age_seconds: float | None = described("Seconds since it was published.", 5_400)
    remedy: str | None = described("What to run where it is missing; null where it is there.", None)
    refused: str | None = described("Why a newer folder is not served; null for none.", None)


class OverridesState(ResponseModel):
    """What this worker knows of planners' overrides."""

    known: int = described("Overrides of the published span that it knows, all layers.", 12)
    trouble: str | None = described(
        "Why the database cannot be read; null where it can. Forecasts are answered all the same.",
        None,
    )


class Readiness(ResponseModel):
    """Whether this worker can answer, from local facts."""

    ready: bool = described("Whether at least one set, a forecast or scores, is served.", True)
    version: str = described("Version of the software.", "0.1.0")
    refreshed_seconds_ago: float | None = described(
        "Seconds since the last look for new folders.", 0.8
    )
    parts: list[PartState] = described("Each published part.")
    overrides: OverridesState = described("Planners' overrides.")


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


class ModelEntry(ResponseModel):
    """One promoted model."""

    model: str = described("`volume` or `churn`.", "volume")
    version: str = described("Id of the promoted bundle.", BUNDLE_ID)
    created_at: datetime = described("When the bundle was made, UTC.", "2026-03-01T02:00:00Z")
    card: dict[str, Any] = described(
        "The model card: metrics out of sample, training span, configuration, versions.",
        {"training_start": "2024-03-01T00:00:00Z", "metrics": {"wape": 0.14}},
    )
    serves: str | None = described("Id of the set in force, if this very version made it.", ID)


class ModelsResponse(ResponseModel):
    """The promoted models, with their cards."""

    models: list[ModelEntry] = described("At most one entry a model.")


@ops_router.get(
    "/v1/models",
    summary="The promoted models, with their cards",
    responses=openapi.responses("The models.", ModelsResponse),
)
async def get_models(request: Request) -> Response:
    """Metrics out of sample, training span and versions of each promoted model."""
    return json_response(status.models(state_of(request).published))
