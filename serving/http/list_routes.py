"""The routes by which a CRM gets contact lists with a random hold-out, and reads them again."""

from __future__ import annotations

from typing import Annotated

import orjson
from anyio import to_thread
from fastapi import FastAPI, Path, Query, Request
from starlette.responses import Response

from features.calendar import epoch
from serving.answer_store import Answered
from serving.http import customers, openapi
from serving.http.examples import EXAMPLES
from serving.http.idempotency import KEY_HEADER, Sent, digest, idempotency_key
from serving.http.list_answers import list_csv, list_json
from serving.http.list_schemas import LIST_ID, ContactListAnswer, ListQuery, ListRequest
from serving.http.negotiate import CSV, JSON, choose_type, read_body
from serving.http.replies import BODY_PROBLEMS
from serving.http.state import State
from serving.list_store import DEFAULT_HOLD_OUT
from serving.lists import Asked, ContactList, Experiment, Source
from serving.sets.ranked import ranked
from serving.sets.scores import ScoreSet

ROUTE = "/v1/churn/lists"


def add_list_routes(app: FastAPI, state: State) -> None:
    """Add the routes of contact lists.

    Args:
        app: The application; routes of its own are matched faster than an included router's.
        state: What they answer from.
    """

    @app.post(
        ROUTE,
        status_code=201,
        tags=["churn"],
        summary="Make a contact list with a random hold-out",
        responses=openapi.responses(
            "The list, which is kept; `Location` holds its address.",
            openapi.content(JSON, ContactListAnswer, example=EXAMPLES["list"]),
            problem_kinds=(
                *BODY_PROBLEMS,
                *("unknown-name", "not-published", "key-reused", "database"),
            ),
            status=201,
        ),
        openapi_extra=openapi.body(ListRequest, example=EXAMPLES["list-request"]) | KEY_HEADER,
    )
    async def post_list(request: Request) -> Response:
        """Go down the ranking until `capacity` are to be contacted; some are held out at random.

        A keyed hash of the id decides: within an experiment a customer always falls the same way.
        Contact nobody of `held_out`: they show later what would have happened anyway.
        """
        key = idempotency_key(request)
        asked = await read_body(request, ListRequest)
        sent = Sent(key, digest(request, await request.body(), route=ROUTE))
        made = await to_thread.run_sync(lambda: _make(state, sent, asked), abandon_on_cancel=True)
        return Response(
            list_json(made),
            status_code=201,
            media_type=JSON,
            headers={"Location": f"{ROUTE}/{made.list_id}"},
        )

    @app.get(
        f"{ROUTE}/{{list_id}}",
        tags=["churn"],
        summary="A contact list as it was made",
        responses=openapi.responses(
            "The list; with `Accept: text/csv` a file of those to contact.",
            openapi.content(JSON, ContactListAnswer, example=EXAMPLES["list"])
            | openapi.content(CSV, None, example=EXAMPLES["list-csv"]),
            problem_kinds=("invalid", "unknown-name", "not-acceptable", "database"),
        ),
    )
    async def get_list(
        request: Request,
        list_id: Annotated[str, Path(description="Its id.", examples=[LIST_ID])],
        query: Annotated[ListQuery, Query()],
    ) -> Response:
        """The same customers in the same arms for ever: a decision is kept, never changed."""
        kind = choose_type(request, (JSON, CSV))

        def read() -> bytes:
            found = state.lists.find(list_id)
            return list_json(found) if kind == JSON else list_csv(found, arm=query.arm)

        made = await to_thread.run_sync(read, abandon_on_cancel=True)
        headers = {"Vary": "Accept"}
        if kind == CSV:
            headers["Content-Disposition"] = f'attachment; filename="{list_id}.csv"'
        return Response(made, media_type=kind, headers=headers)


def _make(state: State, sent: Sent, asked: ListRequest) -> ContactList:
    """Pick and keep a list; the same request sent again finds the list of the first time."""
    store = state.lists
    before = None if sent.key is None else store.answered(sent.key)
    if before is None:
        scores = state.published.require_scores()
        before = _keep(state, sent, asked, scores)
    return store.find(sent.same(before).decode())


def _keep(state: State, sent: Sent, asked: ListRequest, scores: ScoreSet) -> Answered:
    filters = asked.filters
    only = customers.score_filter(filters, of=scores, prefix="filters.")
    order = ranked(scores, by=asked.rank_by, only=only)
    return state.lists.make(
        order.candidates(),
        experiment=Experiment(
            asked.experiment,
            state.draw_key(),
            DEFAULT_HOLD_OUT if asked.hold_out is None else asked.hold_out,
            asked.action,
        ),
        hold_out=asked.hold_out,
        asked=Asked(
            capacity=asked.capacity,
            rank_by=asked.rank_by,
            filters=orjson.dumps(filters.model_dump(exclude_none=True)).decode(),
            again=asked.again,
            by=asked.made_by,
            reason=asked.reason,
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
