"""The routes by which planners send numbers of their own, see them and take them back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Path, Query, Request
from starlette.responses import Response

from features.calendar.clock import from_epoch, iso, to_epoch
from features.errors import InputError
from serving.api import openapi
from serving.api.content import JSON, RequestKey, digest, idempotency_key, read_body, run
from serving.api.forecast.responses import OVERRIDE_ID
from serving.api.overrides.render import override_json, overrides_json, stored_json
from serving.api.overrides.schemas import (
    OverridesForm,
    OverridesQuery,
    OverridesRequest,
    OverridesResponse,
    OverridesStored,
    WithdrawnOverride,
    WithdrawRequest,
)
from serving.api.state import State, state_of
from serving.files import FORMATS
from serving.forecast.overrides import (
    override_requests,
    override_requests_of_rows,
    validate_overrides,
)
from serving.published.forecast_set import ForecastSet

overrides_router = openapi.subject_router("volume")


def _json_or_file() -> dict[str, Any]:
    described = openapi.body(OverridesRequest)
    described["requestBody"]["content"] |= {
        file.media_type: {"schema": {"type": "string", "format": "binary"}}
        for file in FORMATS.values()
    }
    return described


@overrides_router.post(
    "/v1/forecast/overrides",
    status_code=201,
    summary="Put a planner's own numbers in force",
    responses=openapi.responses(
        "They are kept and in force.",
        OverridesStored,
        problem_kinds=(
            *openapi.BODY_PROBLEMS,
            *("unknown-name", "horizon", "not-published", "key-reused", "database"),
        ),
        status=201,
    ),
    openapi_extra=_json_or_file() | openapi.KEY_HEADER,
)
async def post_overrides(request: Request, query: Annotated[OverridesForm, Query()]) -> Response:
    """Keep a planner's numbers in place of the forecast's, with who, when and why.

    All of them or none. Each is a new layer: for an interval the one made last counts. They
    hold for every forecast published later, until they are taken back.
    """
    state, key = state_of(request), idempotency_key(request)
    read = await _reader(request, query)
    request_key = RequestKey(key, digest(request, await request.body()))
    rendered = await run(lambda: _store_overrides(state, request_key, read))
    return Response(rendered, status_code=201, media_type=JSON)


@overrides_router.get(
    "/v1/forecast/overrides",
    summary="The overrides that are kept, layer on layer",
    responses=openapi.responses(
        "The overrides, in the order they were made.",
        OverridesResponse,
        problem_kinds=("invalid", "database"),
    ),
)
async def get_overrides(request: Request, query: Annotated[OverridesQuery, Query()]) -> Response:
    """Who made each, when and why, what it replaced, and whether it is in force."""
    state = state_of(request)
    now, store = to_epoch(state.clock()), state.overrides.store
    return Response(await run(lambda: overrides_json(store, query, now=now)), media_type=JSON)


@overrides_router.post(
    "/v1/forecast/overrides/{override_id}/withdraw",
    summary="Take an override back",
    responses=openapi.responses(
        "The override, taken back from now on.",
        WithdrawnOverride,
        problem_kinds=(*openapi.BODY_PROBLEMS, "unknown-name", "database"),
    ),
    openapi_extra=openapi.body(WithdrawRequest),
)
async def withdraw_override(
    request: Request,
    override_id: Annotated[str, Path(description="Its id.", examples=[OVERRIDE_ID])],
) -> Response:
    """From now on the layer below counts again; the override stays kept, with who and why.

    Intervals that have begun keep it. One that was taken back before stays as it was then.
    """
    state, body = state_of(request), await read_body(request, WithdrawRequest)
    return Response(await run(lambda: _withdraw(state, override_id, body)), media_type=JSON)


Read = Callable[[ForecastSet, int], tuple[list[Any], int, str, str]]


async def _reader(request: Request, query: OverridesForm) -> Read:
    """Return what turns the body into overrides, how many were left out, who and why."""
    if query.format == "json":
        if query.made_by is not None or query.reason is not None:
            raise InputError(
                "`made_by` and `reason`",
                got="parameters",
                expected="fields of the JSON body",
                field="made_by",
            )
        body = await read_body(request, OverridesRequest)
        spans = [override.to_span() for override in body.overrides]
        return lambda of, _: (override_requests(spans, of=of), 0, body.made_by, body.reason)
    file_format, by, reason = FORMATS[query.format], query.made_by, query.reason
    if by is None or reason is None:
        name = "made_by" if by is None else "reason"
        raise InputError(
            f"`{name}`",
            got="nothing",
            expected="a parameter of the address beside `format`",
            remedy="say who sends the file, and why",
            field=name,
        )
    data = await request.body()
    return lambda of, now: (
        *override_requests_of_rows(file_format.read(data), of=of, now=now),
        by,
        reason,
    )


def _store_overrides(state: State, request_key: RequestKey, read: Read) -> bytes:
    """Check and store overrides, and put them in force in this worker."""
    store, now = state.overrides.store, to_epoch(state.clock())
    earlier = store.stored_response(request_key.key)
    if earlier is not None:
        return request_key.replay(earlier)
    forecast = state.published.require_forecast()
    requests, left_out, by, reason = read(forecast, now)
    stored = store.add(
        validate_overrides(requests, of=forecast, now=now),
        by=by,
        reason=reason,
        at=now,
        render=lambda overrides: stored_json(
            overrides, forecast_set=forecast.id, left_out=left_out
        ),
        key=request_key.key,
        digest=request_key.digest,
    )
    state.overrides.refresh(state.published.forecast)
    return request_key.replay(stored)


def _withdraw(state: State, override_id: str, body: WithdrawRequest) -> bytes:
    store, now = state.overrides.store, to_epoch(state.clock())
    known = store.find(override_id)
    last = max(piece.start for piece in known.expected.pieces)
    if known.withdrawn is None and last < now:
        raise InputError(
            f"override `{override_id}`",
            got=f"a last interval that began at {iso(from_epoch(last))}",
            expected="one that is still to come",
            remedy="leave it: what has begun keeps the number it had",
            field="override_id",
        )
    withdrawn = store.withdraw(override_id, by=body.made_by, reason=body.reason, at=now)
    state.overrides.refresh(state.published.forecast)
    return override_json(store, withdrawn)
