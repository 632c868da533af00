"""The routes that tell what contacts did: published results of experiments."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import Path, Request
from starlette.responses import Response

from serving.http import openapi
from serving.http.answers import etag
from serving.http.experiment_shapes import NAME, ExperimentAnswer, ExperimentsAnswer
from serving.http.negotiate import JSON
from serving.http.replies import not_modified
from serving.http.state import state_of
from serving.sets.experiments import ExperimentResults

experiments_router = openapi.subject_router("churn")


@experiments_router.get(
    "/v1/experiments",
    summary="The experiments with results",
    responses=openapi.responses(
        "Each experiment in short, by name.", ExperimentsAnswer, problem_kinds=("not-published",)
    )
    | openapi.NOT_MODIFIED,
    openapi_extra=openapi.CONDITIONAL,
)
async def get_experiments(request: Request) -> Response:
    """The advice of each, as `python -m training experiments` published it."""
    results = state_of(request).published.require_experiments()
    return _results_reply(request, results, _experiments_document(results))


@experiments_router.get(
    "/v1/experiments/{experiment:path}",
    summary="What contacts did in one experiment",
    responses=openapi.responses(
        "Sample ratio, effects with intervals, advice, and ranking by effect.",
        ExperimentAnswer,
        problem_kinds=("invalid", "unknown-name", "not-published"),
    )
    | openapi.NOT_MODIFIED,
    openapi_extra=openapi.CONDITIONAL,
)
async def get_experiment(
    request: Request, experiment: Annotated[str, Path(description="Its name.", examples=[NAME])]
) -> Response:
    """Customers contacted beside those held out, of those whose horizon has ended."""
    results = state_of(request).published.require_experiments()
    document = {"result_set": results.id} | results.document(experiment)
    return _results_reply(request, results, document)


def _experiments_document(results: ExperimentResults) -> dict[str, object]:
    return {
        "result_set": results.id,
        "experiments": [
            {
                "experiment": name,
                "as_of": result["as_of"],
                "decided": result["customers"]["decided"],
                "advice": result["advice"]["word"],
            }
            for name, result in sorted(results.documents.items())
        ],
    }


def _results_reply(request: Request, results: ExperimentResults, document: object) -> Response:
    headers = {"ETag": etag("experiments", results.id), "Cache-Control": "no-cache"}
    if (unchanged := not_modified(request, headers)) is not None:
        return unchanged
    return Response(orjson.dumps(document), media_type=JSON, headers=headers)
