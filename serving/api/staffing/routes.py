"""The route of staffing: agents by queue and interval."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from serving.api import openapi
from serving.api.content import CSV, GZIP, JSON, attachment, read_body, run
from serving.api.forecast.routes import no_store
from serving.api.staffing.render import staffing_file, staffing_json
from serving.api.staffing.requests import StaffingQuery, StaffingRequest
from serving.api.staffing.responses import StaffingResponse
from serving.api.state import state_of
from serving.files import FORMATS, Format
from serving.forecast.query import evaluate
from serving.forecast.selection import Selection
from serving.forecast.staffing import staff_selection

staffing_router = openapi.subject_router("volume")


@staffing_router.post(
    "/v1/staffing",
    summary="Agents by queue and interval that meet a service goal",
    responses=openapi.responses(
        "The agents, with the service they are expected to give and how sure that is.",
        StaffingResponse,
        others={
            CSV: "queue_id,channel,start_time,end_time,interval_minutes,volume,aht_seconds,"
            "agents_on_phone,agents_rostered\r\nsales,voice,2026-03-02T08:00:00Z,"
            "2026-03-02T09:00:00Z,60,41.7,312.4,6,9\r\n",
            GZIP: "gzipped JSON of one week: `planningGroups` with 15-minute arrays",
        },
        problem_kinds=(*openapi.BODY_PROBLEMS, "unknown-name", "horizon", "not-published"),
    ),
    openapi_extra=openapi.body(StaffingRequest),
)
async def post_staffing(request: Request, query: Annotated[StaffingQuery, Query()]) -> Response:
    """Agents on phone and rostered, by a policy over the sample paths of volume and AHT.

    By default the fewest with which each interval meets the goal with probability 0.8; also
    those for the mean forecast, those of the least cost, or your own to be judged. Each
    interval says how sure the goal is, and what one agent more or fewer would change.
    """
    body = await read_body(request, StaffingRequest)
    selection = state_of(request).select(body)
    file_format = FORMATS.get(query.format)
    rendered = await run(lambda: _staffing(body, selection, file_format))
    headers = no_store(body.what_if)
    if file_format is None:
        return Response(rendered, media_type=JSON, headers=headers)
    headers |= attachment(f"staffing{file_format.suffix}")
    return Response(rendered, media_type=file_format.media_type, headers=headers)


def _staffing(body: StaffingRequest, selection: Selection, file_format: Format | None) -> bytes:
    selection = evaluate(
        selection, what_if=body.to_changes(), interval_minutes=body.interval_minutes
    )
    plans = staff_selection(selection, options=body.to_options())
    if file_format is None:
        return staffing_json(selection, plans, request=body)
    return staffing_file(plans, form=file_format)
