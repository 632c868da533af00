"""The OpenAPI document: complete, with one shape of error and an example of each answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving.http import (
    experiment_shapes,
    list_schemas,
    override_schemas,
    problems,
    schemas,
    shapes,
    staffing_schemas,
    staffing_shapes,
    volume_shapes,
)
from serving.http.facts import VERSION

TITLE = "Ebbflow"
DESCRIPTION = """\
Forecasts of contacts and agents for a scheduling tool, churn scores for a CRM.

**Units** stand in names: `_seconds`, `_minutes`, `_hours`; shares and probabilities lie in
[0, 1]; volumes are contacts in the interval. **Times** are ISO 8601: answers give UTC with `Z`
and the queue's own wall clock with its offset; a request's time needs `Z` or an offset.
Intervals are left-closed and named by their start. **Rounding**: volumes to 3 decimals (to 7
with their parts, to 2 in sample paths), times to 0.1 s, shares to 4 decimals, probabilities to 6.

Every answer that is not a success is `application/problem+json` (RFC 9457) and names the fields
at fault. Every answer carries `X-Request-ID`; a request may bring its own.
"""
TAGS = [
    {"name": "volume", "description": "Contacts and agents, for a scheduling tool."},
    {"name": "churn", "description": "Churn scores, for a CRM."},
    {"name": "service", "description": "What is served, and whether it can be."},
]
_REQUESTS: tuple[type[BaseModel], ...] = (
    schemas.ForecastRequest,
    schemas.TotalsRequest,
    staffing_schemas.StaffingRequest,
    override_schemas.OverridesRequest,
    override_schemas.WithdrawRequest,
    schemas.ScoresRequest,
    list_schemas.ListRequest,
)
_ANSWERS: tuple[type[BaseModel], ...] = (
    volume_shapes.ForecastAnswer,
    volume_shapes.TotalsAnswer,
    staffing_shapes.StaffingAnswer,
    override_schemas.OverridesKept,
    override_schemas.OverridesAnswer,
    override_schemas.OverrideEntry,
    shapes.ScoresAnswer,
    shapes.ScoresPage,
    list_schemas.ContactListAnswer,
    experiment_shapes.ExperimentsAnswer,
    experiment_shapes.ExperimentAnswer,
    volume_shapes.QueuesAnswer,
    volume_shapes.EventsAnswer,
    shapes.ModelsAnswer,
    shapes.Readiness,
    shapes.Health,
    shapes.ProblemDetails,
)
_REF = "#/components/schemas/{model}"


def content(media_type: str, model: type[BaseModel] | None, *, example: Any = None) -> Any:
    """Return the ``content`` of a body: its type, schema and example.

    Args:
        media_type: Its type.
        model: What describes it; None for plain text.
        example: An example; left out where None.
    """
    schema: dict[str, Any] = {"type": "string"}
    if model is not None:
        schema = {"$ref": _REF.format(model=model.__name__)}
    shown = {} if example is None else {"example": example}
    return {media_type: {"schema": schema, **shown}}


def body(model: type[BaseModel], *, example: Any) -> dict[str, Any]:
    """Return what describes the JSON body of a request."""
    described = {"required": True, "description": _first_line(model)}
    return {
        "requestBody": described | {"content": content("application/json", model, example=example)}
    }


def responses(
    description: str,
    content: dict[str, Any],
    *,
    problem_kinds: Sequence[str] = (),
    status: int = 200,
) -> dict[int | str, dict[str, Any]]:
    """Return what describes the answers of a route: its success and its problems.

    Args:
        description: What the success means.
        content: Its ``content``; several types joined with ``|``.
        problem_kinds: Names of the problems that can come, keys of ``problems.KINDS``.
        status: HTTP status of the success.
    """
    found: dict[int | str, dict[str, Any]] = {
        status: {"description": description, "content": content, "headers": _HEADERS}
    }
    kinds = [problems.KINDS[name] for name in (*problem_kinds, "internal")]
    for failure in sorted({kind.status for kind in kinds}):
        same = [kind for kind in kinds if kind.status == failure]
        found[failure] = {
            "description": " ".join(f"{kind.title}. {kind.doc}" for kind in same),
            "content": {
                problems.PROBLEM_TYPE: {
                    "schema": {"$ref": _REF.format(model="ProblemDetails")},
                    "examples": {kind.name: {"value": _example(kind)} for kind in same},
                }
            },
        }
    return found


_HEADERS = {
    "X-Request-ID": {
        "description": "The request's id, as in the log.",
        "schema": {"type": "string"},
    }
}


def _example(kind: problems.Kind) -> dict[str, Any]:
    return {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": f"{kind.title}. {kind.doc}",
        "instance": "/v1/forecast",
        "request_id": "5f0c2c9be4b14d1e9a5e",
        "errors": [],
    }


def document(app: FastAPI) -> dict[str, Any]:
    """Return the whole document; made once and kept by the application."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=TITLE,
            version=VERSION,
            description=DESCRIPTION,
            routes=app.routes,
            tags=TAGS,
            license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
            servers=[{"url": "/", "description": "This server."}],
        )
        _, definitions = models_json_schema(
            [(model, "validation") for model in (*_REQUESTS, *_ANSWERS)], ref_template=_REF
        )
        named = made.setdefault("components", {}).setdefault("schemas", {})
        named.update(definitions["$defs"])
        for unused in ("HTTPValidationError", "ValidationError"):
            named.pop(unused, None)
        app.openapi_schema = made
    return app.openapi_schema


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]
