"""The routes by which a CRM gets contact lists with a random hold-out, and reads them again."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import Path, Query, Request
from starlette.responses import Response

from features.calendar import epoch
from serving.answer_store import Answered
from serving.http import customers, openapi
from serving.http.idempotency import Sent, digest, idempotency_key
from serving.http.list_answers import list_csv, list_json
from serving.http.list_schemas import LIST_ID, ContactListAnswer, ListQuery, ListRequest
from serving.http.negotiate import CSV, JSON, choose_type, read_body
from serving.http.replies import attachment, make
from serving.http.state import State, state_of
from serving.list_store import DEFAULT_HOLD_OUT
from serving.lists import Asked, ContactList, Experiment, Source
from serving.sets.ranked import ranked

ROUTE = "/v1/churn/lists"

lists_router = openapi.subject_router("churn")


@lists_router.post(
    ROUTE,
    status_code=201,
    summary="Make a contact list with a random hold-out",
    responses=openapi.responses(
        "The list, which is kept; `Location` holds its address.",
        ContactListAnswer,
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
    sent = Sent(key, digest(request, await request.body(), route=ROUTE))
    made = await make(lambda: _made_list(state, sent, body))
    location = {"Location": f"{ROUTE}/{made.list_id}"}
    return Response(list_json(made), status_code=201, media_type=JSON, headers=location)


@lists_router.get(
    f"{ROUTE}/{{list_id}}",
    summary="A contact list as it was made",
    responses=openapi.responses(
        "The list; with `Accept: text/csv` a file of those to contact.",
        ContactListAnswer,
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
    state, kind = state_of(request), choose_type(request, (JSON, CSV))

    def read() -> bytes:
        contact_list = state.lists.find(list_id)
        return list_json(contact_list) if kind == JSON else list_csv(contact_list, arm=query.arm)

    headers = {"Vary": "Accept"} | (attachment(f"{list_id}.csv") if kind == CSV else {})
    return Response(await make(read), media_type=kind, headers=headers)


def _made_list(state: State, sent: Sent, body: ListRequest) -> ContactList:
    """Make and keep a list; a request sent again gets the list of the first time."""
    stored = None if sent.key is None else state.lists.answered(sent.key)
    if stored is None:
        stored = _make_list(state, sent, body)
    return state.lists.find(sent.same(stored).decode())


def _make_list(state: State, sent: Sent, body: ListRequest) -> Answered:
    scores, filters = state.published.require_scores(), body.filters
    only = customers.score_filter(filters, of=scores, prefix="filters.")
    order = ranked(scores, by=body.rank_by, only=only)
    return state.lists.make(
        order.candidates(),
        experiment=Experiment(
            body.experiment,
            state.draw_key(),
            DEFAULT_HOLD_OUT if body.hold_out is None else body.hold_out,
            body.action,
        ),
        hold_out=body.hold_out,
        asked=Asked(
            capacity=body.capacity,
            rank_by=body.rank_by,
            filters=orjson.dumps(filters.model_dump(exclude_none=True)).decode(),
            again=body.again,
            by=body.made_by,
            reason=body.reason,
        ),
        source=Source(
            score_set=scores.id,
            as_of=epoch(scores.as_of),
            model_version=scores.model_version,
            candidates=len(order.rows) + order.without_consent,
            without_consent=order.without_consent,
        ),
        at=epoch(state.clock()),
        key=sent.key,
        digest=sent.digest,
    )
