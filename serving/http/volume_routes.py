"""The routes of a forecast: each takes what is published once, and answers bytes."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from serving.http import answers, facts, openapi, volume_shapes
from serving.http.answers import ForecastWriter
from serving.http.choice import Choice
from serving.http.examples import EXAMPLES
from serving.http.negotiate import CSV, JSON, choose_type, read_body
from serving.http.replies import (
    BODY_PROBLEMS,
    CONDITIONAL,
    NOT_MODIFIED,
    OFF_LOOP_INTERVALS,
    json_reply,
    make,
    not_kept,
)
from serving.http.sampled import MOST_DRAWN, MOST_SENT, evaluate
from serving.http.schemas import ForecastQuery, ForecastRequest, TotalsRequest
from serving.http.state import State
from serving.http.totals import add_up
from serving.http.totals_answers import totals_json


def add_volume_routes(app: FastAPI, state: State) -> None:
    """Add the routes of a scheduling tool.

    Args:
        app: The application; routes of its own are matched faster than an included router's.
        state: What they answer from.
    """
    writer = ForecastWriter()

    @app.post(
        "/v1/forecast",
        tags=["volume"],
        summary="Forecast of contacts by queue and interval",
        responses=openapi.responses(
            "The forecast.",
            openapi.content(JSON, volume_shapes.ForecastAnswer, example=EXAMPLES["forecast"]),
            problem_kinds=(*BODY_PROBLEMS, "unknown-name", "horizon", "not-published"),
        ),
        openapi_extra=openapi.body(ForecastRequest, example=EXAMPLES["forecast-request"]),
    )
    async def post_forecast(request: Request) -> Response:
        """Mean and quantiles of the contacts offered, and handle time, from the published set.

        On request with the parts of each mean, with joint sample paths, or after changes of one's
        own; what is published never changes.
        """
        asked = await read_body(request, ForecastRequest)
        choice = state.choose(asked)
        made = await make(
            lambda: _forecast(asked, choice, writer),
            heavy=choice.intervals > OFF_LOOP_INTERVALS
            or asked.interval_minutes is not None
            or asked.paths is not None
            or asked.what_if is not None,
        )
        return Response(made, media_type=JSON, headers=not_kept(asked.what_if))

    @app.get(
        "/v1/forecast",
        tags=["volume"],
        summary="The published forecast, for a spreadsheet or a simple tool",
        responses=openapi.responses(
            "The forecast, as JSON or, with `Accept: text/csv`, a row an interval.",
            openapi.content(JSON, volume_shapes.ForecastAnswer, example=EXAMPLES["forecast"])
            | openapi.content(CSV, None, example=EXAMPLES["forecast-csv"]),
            problem_kinds=("invalid", "unknown-name", "horizon", "not-published", "not-acceptable"),
        )
        | NOT_MODIFIED,
        openapi_extra=CONDITIONAL,
    )
    async def get_forecast(request: Request, query: Annotated[ForecastQuery, Query()]) -> Response:
        """The same as the POST route, by query parameters, as JSON or CSV, with an `ETag`."""
        kind = choose_type(request, (JSON, CSV))
        asked = query.to_request()
        choice = state.choose(asked)
        names = [forecast.queue.queue for forecast, _ in choice.queues]
        span = (choice.start, choice.end, asked.interval_minutes)
        asked_for = (names, *span, asked.quantiles, asked.parts, kind)
        layers = [(name, applied.version) for name, applied in choice.applied.items()]
        tag = answers.etag(choice.set.id, layers, choice.warnings, *asked_for)
        headers = {"ETag": tag, "Vary": "Accept", "Cache-Control": "no-cache"}
        if answers.matches(request.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers=headers)
        if kind == CSV:
            headers["Content-Disposition"] = 'attachment; filename="forecast.csv"'
        made = await make(
            lambda: _csv(asked, choice) if kind == CSV else _forecast(asked, choice, writer),
            heavy=choice.intervals > OFF_LOOP_INTERVALS or asked.interval_minutes is not None,
        )
        return Response(made, media_type=kind, headers=headers)

    @app.post(
        "/v1/forecast/totals",
        tags=["volume"],
        summary="Totals and peaks by group and day",
        responses=openapi.responses(
            "The totals, with quantiles read off joint sample paths.",
            openapi.content(JSON, volume_shapes.TotalsAnswer, example=EXAMPLES["totals"]),
            problem_kinds=(*BODY_PROBLEMS, "unknown-name", "horizon", "not-published"),
        ),
        openapi_extra=openapi.body(TotalsRequest, example=EXAMPLES["totals-request"]),
    )
    async def post_totals(request: Request) -> Response:
        """Contacts of each local day and of the whole span, and each day's busiest interval.

        By queue, by channel or for all together: a total's mean is the sum of the means, and its
        quantiles are those of the sums of the sample paths.
        """
        asked = await read_body(request, TotalsRequest)
        choice = state.choose(asked)
        made = await make(lambda: _totals(asked, choice), heavy=True)
        return Response(made, media_type=JSON, headers=not_kept(asked.what_if))

    @app.get(
        "/v1/queues",
        tags=["volume"],
        summary="The queues that are served",
        responses=openapi.responses(
            "The queues.",
            openapi.content(JSON, volume_shapes.QueuesAnswer, example=EXAMPLES["queues"]),
            problem_kinds=("not-published",),
        ),
    )
    async def get_queues() -> Response:
        """Each queue's clock, opening hours, service goal, method and published span."""
        return json_reply(facts.queues(state.published.require_forecast()))

    @app.get(
        "/v1/events",
        tags=["volume"],
        summary="The calendar events that the published forecast knows",
        responses=openapi.responses(
            "The events.",
            openapi.content(JSON, volume_shapes.EventsAnswer, example=EXAMPLES["events"]),
            problem_kinds=("not-published",),
        ),
    )
    async def get_events() -> Response:
        """Each event's id, kind, span and queues; the ids are those that a what-if may remove."""
        return json_reply(facts.events(state.published.require_forecast()))


def _forecast(asked: ForecastRequest, choice: Choice, writer: ForecastWriter) -> bytes:
    paths = asked.paths
    choice = evaluate(
        choice,
        what_if=asked.to_changes(),
        interval_minutes=asked.interval_minutes,
        path_count=0 if paths is None else paths.count,
        seed=0 if paths is None else paths.seed,
        most_values=MOST_SENT,
    )
    return writer.json(choice, quantiles=asked.quantiles, parts=asked.parts)


def _csv(asked: ForecastRequest, choice: Choice) -> bytes:
    choice = evaluate(choice, interval_minutes=asked.interval_minutes)
    return answers.forecast_csv(choice, quantiles=asked.quantiles, parts=asked.parts)


def _totals(asked: TotalsRequest, choice: Choice) -> bytes:
    choice = evaluate(
        choice,
        what_if=asked.to_changes(),
        interval_minutes=asked.interval_minutes,
        path_count=asked.paths.count,
        seed=asked.paths.seed,
        most_values=MOST_DRAWN,
    )
    groups = add_up(choice, by=asked.by)
    return totals_json(choice, groups, by=asked.by, quantiles=asked.quantiles)
