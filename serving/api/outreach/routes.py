"""Routes of contact lists and of experiments."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import Path, Query, Request
from starlette.responses import Response

from features.calendar.clock import to_epoch
from serving.api import openapi
from serving.api.churn.render import score_filter
from serving.api.content import (
    CSV,
    JSON,
    RequestKey,
    attachment,
    digest,
    etag,
    idempotency_key,
    negotiate_type,
    not_modified,
    read_body,
    run,
)
from serving.api.outreach.render import list_csv, list_json
from serving.api.outreach.schemas import (
    LIST_ID,
    NAME,
    ContactListResponse,
    ExperimentResponse,
    ExperimentsResponse,
    ListQuery,
    ListRequest,
)
from serving.api.state import State, state_of
from serving.lists import ContactList, Experiment, ListCriteria, ListSource, ranked
from serving.published.experiments import ExperimentResults
from serving.store.database import StoredResponse
from serving.store.lists import DEFAULT_HOLD_OUT

LISTS_ROUTE = "/v1/churn/lists"

outreach_router = openapi.subject_router("churn")


@outreach_router.post(
    LISTS_ROUTE,
    status_code=201,
    summary="Make a contact list with a random hold-out",
    responses=openapi.responses(
        "The list, which is kept; `Location` holds its address.",
        ContactListResponse,
        problem_kinds=(
            *openapi.BODY_PROBLEMS,
            *("unknown-name", "not-published", "key-reused", "database"),
        ),
        status=201,
    ),
    openapi_extra=openapi.body(ListRequest) | openapi.KEY_HEADER,
)
async def post_list(request: Request) -> Response:
    """Go down the ranking until `capacity` are to be contacted; some are held out at random.

    A keyed hash of the id decides: within an experiment a customer always falls the same way.
    Contact nobody of `held_out`: they show later what would have happened anyway.
    """
    state, key = state_of(request), idempotency_key(request)
    body = await read_body(request, ListRequest)
    request_key = RequestKey(key, digest(request, await request.body(), route=LISTS_ROUTE))
    contact_list = await run(lambda: _stored_list(state, request_key, body))
    location = {"Location": f"{LISTS_ROUTE}/{contact_list.list_id}"}
    return Response(list_json(contact_list), status_code=201, media_type=JSON, headers=location)


@outreach_router.get(
    f"{LISTS_ROUTE}/{{list_id}}",
    summary="A contact list as it was made",
    responses=openapi.responses(
        "The list; with `Accept: text/csv` a file of those to contact.",
        ContactListResponse,
        others={
            CSV: "customer_id,arm,action,place,probability,value_at_risk_minor\r\n"
            "C000017,treat,call,1,0.712345,\r\n"
        },
        problem_kinds=("invalid", "unknown-name", "not-acceptable", "database"),
    ),
)
async def get_list(
    request: Request,
    list_id: Annotated[str, Path(description="Its id.", examples=[LIST_ID])],
    query: Annotated[ListQuery, Query()],
) -> Response:
    """The same customers in the same arms for ever: a decision is kept, never changed."""
    state, kind = state_of(request), negotiate_type(request, (JSON, CSV))

    def read() -> bytes:
        contact_list = state.lists.find(list_id)
        return list_json(contact_list) if kind == JSON else list_csv(contact_list, arm=query.arm)

    headers = {"Vary": "Accept"} | (attachment(f"{list_id}.csv") if kind == CSV else {})
    return Response(await run(read), media_type=kind, headers=headers)


def _stored_list(state: State, request_key: RequestKey, body: ListRequest) -> ContactList:
    """Add a list; a request sent again gets the list of the first time."""
    stored = state.lists.stored_response(request_key.key)
    if stored is None:
        stored = _add_list(state, request_key, body)
    return state.lists.find(request_key.replay(stored).decode())


def _add_list(state: State, request_key: RequestKey, body: ListRequest) -> StoredResponse:
    scores, filters = state.published.require_scores(), body.filters
    only = score_filter(filters, of=scores, prefix="filters.")
    ranking = ranked(scores, by=body.rank_by, only=only)
    return state.lists.add(
        ranking.candidates(),
        experiment=Experiment(
            body.experiment,
            state.new_key(),
            DEFAULT_HOLD_OUT if body.hold_out is None else body.hold_out,
            body.action,
        ),
        hold_out=body.hold_out,
        criteria=ListCriteria(
            capacity=body.capacity,
            rank_by=body.rank_by,
            filters=orjson.dumps(filters.model_dump(exclude_none=True)).decode(),
            again=body.again,
            by=body.made_by,
            reason=body.reason,
        ),
        source=ListSource(
            score_set=scores.id,
            as_of=to_epoch(scores.as_of),
            model_version=scores.model_version,
            candidates=len(ranking.rows) + ranking.without_consent,
            without_consent=ranking.without_consent,
        ),
        at=to_epoch(state.clock()),
        key=request_key.key,
        digest=request_key.digest,
    )


@outreach_router.get(
    "/v1/experiments",
    summary="The experiments with results",
    responses=openapi.responses(
        "Each experiment in short, by name.", ExperimentsResponse, problem_kinds=("not-published",)
    )
    | openapi.NOT_MODIFIED,
    openapi_extra=openapi.CONDITIONAL,
)
async def get_experiments(request: Request) -> Response:
    """The advice of each, as `python -m training experiments` published it."""
    results = state_of(request).published.require_experiments()
    return _results_response(request, results, _experiments_document(results))


@outreach_router.get(
    "/v1/experiments/{experiment:path}",
    summary="What contacts did in one experiment",
    responses=openapi.responses(
        "Sample ratio, effects with intervals, advice, and ranking by effect.",
        ExperimentResponse,
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
    return _results_response(request, results, document)


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


def _results_response(request: Request, results: ExperimentResults, document: object) -> Response:
    headers = {"ETag": etag("experiments", results.id), "Cache-Control": "no-cache"}
    if (unchanged := not_modified(request, headers)) is not None:
        return unchanged
    return Response(orjson.dumps(document), media_type=JSON, headers=headers)
