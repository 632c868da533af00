"""The route of a scheduling tool that asks for agents."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from serving.http import openapi, staffing_shapes
from serving.http.choice import Choice
from serving.http.examples import EXAMPLES
from serving.http.formats import FORMATS, Format
from serving.http.negotiate import CSV, GZIP, JSON, read_body
from serving.http.replies import BODY_PROBLEMS, make, not_kept
from serving.http.sampled import evaluate
from serving.http.staffing_answers import staffing_file, staffing_json
from serving.http.staffing_asks import staff_choice
from serving.http.staffing_schemas import StaffingQuery, StaffingRequest
from serving.http.state import State


def add_staffing_routes(app: FastAPI, state: State) -> None:
    """Add the route that gives agents.

    Args:
        app: The application; routes of its own are matched faster than an included router's.
        state: What it answers from.
    """

    @app.post(
        "/v1/staffing",
        tags=["volume"],
        summary="Agents by queue and interval that meet a service goal",
        responses=openapi.responses(
            "The agents, with the service they are expected to give and how sure that is.",
            openapi.content(JSON, staffing_shapes.StaffingAnswer, example=EXAMPLES["staffing"])
            | openapi.content(CSV, None, example=EXAMPLES["staffing-csv"])
            | openapi.content(GZIP, None, example=EXAMPLES["staffing-genesys"]),
            problem_kinds=(*BODY_PROBLEMS, "unknown-name", "horizon", "not-published"),
        ),
        openapi_extra=openapi.body(StaffingRequest, example=EXAMPLES["staffing-request"]),
    )
    async def post_staffing(request: Request, query: Annotated[StaffingQuery, Query()]) -> Response:
        """Agents on phone and rostered, by a policy over the sample paths of volume and AHT.

        By default the fewest with which each interval meets the goal with probability 0.8; also
        those for the mean forecast, those of the least cost, or your own to be judged. Each
        interval says how sure the goal is, and what one agent more or fewer would change.
        """
        asked = await read_body(request, StaffingRequest)
        choice = state.choose(asked)
        form = FORMATS.get(query.format)
        made = await make(lambda: _answer(asked, choice, form), heavy=True)
        headers = not_kept(asked.what_if)
        if form is None:
            return Response(made, media_type=JSON, headers=headers)
        headers["Content-Disposition"] = f'attachment; filename="staffing{form.suffix}"'
        return Response(made, media_type=form.media_type, headers=headers)


def _answer(asked: StaffingRequest, choice: Choice, form: Format | None) -> bytes:
    choice = evaluate(choice, what_if=asked.to_changes(), interval_minutes=asked.interval_minutes)
    staffed = staff_choice(choice, options=asked.to_options())
    if form is None:
        return staffing_json(choice, staffed, request=asked)
    return staffing_file(staffed, form=form)
