"""The routes of a forecast: each reads what is published once, and returns bytes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from serving.api import openapi
from serving.api.content import (
    CSV,
    JSON,
    OFF_LOOP_INTERVALS,
    attachment,
    etag,
    json_response,
    negotiate_type,
    not_modified,
    read_body,
    run,
)
from serving.api.forecast.render import ForecastWriter, events, forecast_csv, queues
from serving.api.forecast.requests import ForecastQuery, ForecastRequest, TotalsRequest, WhatIf
from serving.api.forecast.responses import (
    EventsResponse,
    ForecastResponse,
    QueuesResponse,
    TotalsResponse,
)
from serving.api.forecast.totals import totals_json
from serving.api.state import state_of
from serving.forecast.query import MOST_SENT_VALUES, MOST_TOTALS_VALUES, add_up, evaluate
from serving.forecast.selection import Selection


def no_store(what_if: WhatIf | None) -> dict[str, str]:
    """Return the headers that keep a what-if out of caches."""
    return {} if what_if is None else {"Cache-Control": "no-store"}


def writer_of(request: Request) -> ForecastWriter:
    """Return the writer of this application, which stores what it has written."""
    writer: ForecastWriter = request.app.state.forecast_writer
    return writer


forecast_router = openapi.subject_router("volume")


@forecast_router.post(
    "/v1/forecast",
    summary="Forecast of contacts by queue and interval",
    responses=openapi.responses(
        "The forecast.",
        ForecastResponse,
        problem_kinds=(*openapi.BODY_PROBLEMS, "unknown-name", "horizon", "not-published"),
    ),
    openapi_extra=openapi.body(ForecastRequest),
)
async def post_forecast(request: Request) -> Response:
    """Mean and quantiles of the contacts offered, and handle time, from the published set.

    On request with the parts of each mean, with joint sample paths, or after changes of one's
    own; what is published never changes.
    """
    body = await read_body(request, ForecastRequest)
    selection = state_of(request).select(body)
    writer = writer_of(request)
    rendered = await run(
        lambda: _forecast_json(body, selection, writer),
        heavy=selection.intervals > OFF_LOOP_INTERVALS
        or body.interval_minutes is not None
        or body.paths is not None
        or body.what_if is not None,
    )
    return Response(rendered, media_type=JSON, headers=no_store(body.what_if))


@forecast_router.get(
    "/v1/forecast",
    summary="The published forecast, for a spreadsheet or a simple tool",
    responses=openapi.responses(
        "The forecast, as JSON or, with `Accept: text/csv`, a row an interval.",
        ForecastResponse,
        others={
            CSV: "queue,start,end,start_local,end_local,is_open,volume_mean,volume_q0.5,"
            "aht_seconds,published,override_id,model_mean\r\n"
            "sales,2026-03-02T08:00:00Z,2026-03-02T09:00:00Z,2026-03-02T09:00:00+01:00,"
            "2026-03-02T10:00:00+01:00,true,41.7,41.2,312.4,model,,\r\n"
        },
        problem_kinds=("invalid", "unknown-name", "horizon", "not-published", "not-acceptable"),
    )
    | openapi.NOT_MODIFIED,
    openapi_extra=openapi.CONDITIONAL,
)
async def get_forecast(request: Request, query: Annotated[ForecastQuery, Query()]) -> Response:
    """The same as the POST route, by query parameters, as JSON or CSV, with an `ETag`."""
    kind = negotiate_type(request, (JSON, CSV))
    body = query.to_request()
    selection = state_of(request).select(body)
    names = [forecast.queue.queue for forecast, _ in selection.queues]
    span = (selection.start, selection.end, body.interval_minutes)
    overrides = [(name, applied.version) for name, applied in selection.applied.items()]
    tag = etag(
        selection.set.id,
        overrides,
        selection.warnings,
        names,
        *span,
        body.quantiles,
        body.parts,
        kind,
    )
    headers = {"ETag": tag, "Vary": "Accept", "Cache-Control": "no-cache"}
    if (unchanged := not_modified(request, headers)) is not None:
        return unchanged
    if kind == CSV:
        headers |= attachment("forecast.csv")
    writer = writer_of(request)
    rendered = await run(
        lambda: (
            _forecast_csv(body, selection)
            if kind == CSV
            else _forecast_json(body, selection, writer)
        ),
        heavy=selection.intervals > OFF_LOOP_INTERVALS or body.interval_minutes is not None,
    )
    return Response(rendered, media_type=kind, headers=headers)


@forecast_router.post(
    "/v1/forecast/totals",
    summary="Totals and peaks by group and day",
    responses=openapi.responses(
        "The totals, with quantiles read off joint sample paths.",
        TotalsResponse,
        problem_kinds=(*openapi.BODY_PROBLEMS, "unknown-name", "horizon", "not-published"),
    ),
    openapi_extra=openapi.body(TotalsRequest),
)
async def post_totals(request: Request) -> Response:
    """Contacts of each local day and of the whole span, and each day's busiest interval.

    By queue, by channel or for all together: a total's mean is the sum of the means, and its
    quantiles are those of the sums of the sample paths.
    """
    body = await read_body(request, TotalsRequest)
    selection = state_of(request).select(body)
    rendered = await run(lambda: _totals_json(body, selection))
    return Response(rendered, media_type=JSON, headers=no_store(body.what_if))


@forecast_router.get(
    "/v1/queues",
    summary="The queues that are served",
    responses=openapi.responses("The queues.", QueuesResponse, problem_kinds=("not-published",)),
)
async def get_queues(request: Request) -> Response:
    """Each queue's clock, opening hours, service goal, method and published span."""
    return json_response(queues(state_of(request).published.require_forecast()))


@forecast_router.get(
    "/v1/events",
    summary="The calendar events that the published forecast knows",
    responses=openapi.responses("The events.", EventsResponse, problem_kinds=("not-published",)),
)
async def get_events(request: Request) -> Response:
    """Each event's id, kind, span and queues; the ids are those that a what-if may remove."""
    return json_response(events(state_of(request).published.require_forecast()))


def _forecast_json(body: ForecastRequest, selection: Selection, writer: ForecastWriter) -> bytes:
    paths = body.paths
    selection = evaluate(
        selection,
        what_if=body.to_changes(),
        interval_minutes=body.interval_minutes,
        path_count=0 if paths is None else paths.count,
        seed=0 if paths is None else paths.seed,
        most_values=MOST_SENT_VALUES,
    )
    return writer.json(selection, quantiles=body.quantiles, parts=body.parts)


def _forecast_csv(body: ForecastRequest, selection: Selection) -> bytes:
    selection = evaluate(selection, interval_minutes=body.interval_minutes)
    return forecast_csv(selection, quantiles=body.quantiles, parts=body.parts)


def _totals_json(body: TotalsRequest, selection: Selection) -> bytes:
    selection = evaluate(
        selection,
        what_if=body.to_changes(),
        interval_minutes=body.interval_minutes,
        path_count=body.paths.count,
        seed=body.paths.seed,
        most_values=MOST_TOTALS_VALUES,
    )
    groups = add_up(selection, by=body.by)
    return totals_json(selection, groups, by=body.by, quantiles=body.quantiles)
