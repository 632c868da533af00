"""The routes that tell what contacts did: published results of experiments."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import FastAPI, Path, Request
from starlette.responses import Response

from serving.http import answers, openapi
from serving.http.examples import EXAMPLES
from serving.http.experiment_shapes import NAME, ExperimentAnswer, ExperimentsAnswer
from serving.http.negotiate import JSON
from serving.http.replies import CONDITIONAL, NOT_MODIFIED
from serving.http.state import State
from serving.sets.experiments import ExperimentResults

ROUTE = "/v1/experiments"


def add_experiment_routes(app: FastAPI, state: State) -> None:
    """Add the routes of experiments.

    Args:
        app: The application; routes of its own are matched faster than an included router's.
        state: What they answer from.
    """

    @app.get(
        ROUTE,
        tags=["churn"],
        summary="The experiments with results",
        responses=openapi.responses(
            "Each experiment in short, by name.",
            openapi.content(JSON, ExperimentsAnswer, example=EXAMPLES["experiments"]),
            problem_kinds=("not-published",),
        )
        | NOT_MODIFIED,
        openapi_extra=CONDITIONAL,
    )
    async def get_experiments(request: Request) -> Response:
        """The advice of each, as `python -m training experiments` published it."""
        results = state.published.require_experiments()
        return _reply(request, results, _listed(results))

    @app.get(
        f"{ROUTE}/{{experiment:path}}",
        tags=["churn"],
        summary="What contacts did in one experiment",
        responses=openapi.responses(
            "Sample ratio, effects with intervals, advice, and ranking by effect.",
            openapi.content(JSON, ExperimentAnswer, example=EXAMPLES["experiment"]),
            problem_kinds=("invalid", "unknown-name", "not-published"),
        )
        | NOT_MODIFIED,
        openapi_extra=CONDITIONAL,
    )
    async def get_experiment(
        request: Request,
        experiment: Annotated[str, Path(description="Its name.", examples=[NAME])],
    ) -> Response:
        """Customers contacted beside those held out, of those whose horizon has ended."""
        results = state.published.require_experiments()
        found = {"result_set": results.id} | results.document(experiment)
        return _reply(request, results, found)


def _listed(results: ExperimentResults) -> dict[str, object]:
    return {
        "result_set": results.id,
        "experiments": [
            {
                "experiment": name,
                "as_of": found["as_of"],
                "decided": found["customers"]["decided"],
                "advice": found["advice"]["word"],
            }
            for name, found in sorted(results.documents.items())
        ],
    }


def _reply(request: Request, results: ExperimentResults, document: object) -> Response:
    tag = answers.etag("experiments", results.id)
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if answers.matches(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(orjson.dumps(document), media_type=JSON, headers=headers)
