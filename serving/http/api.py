"""The public API: one FastAPI application over what is published."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from features.errors import EbbflowError
from serving.database import Database
from serving.http import (
    experiment_routes,
    list_routes,
    override_routes,
    problems,
    routes,
    staffing_routes,
    volume_routes,
)
from serving.http.edge import Edge
from serving.http.metrics import Traffic
from serving.http.openapi import document
from serving.http.overrides import Overrides
from serving.http.pages.routes import add_page_routes
from serving.http.state import Clock, State
from serving.list_store import ListStore
from serving.lists import random_key
from serving.override_store import OverrideStore
from serving.published import Watcher
from serving.settings import Settings


def create_app(
    watcher: Watcher,
    *,
    settings: Settings,
    clock: Clock,
    log: structlog.typing.FilteringBoundLogger,
    worker: str = "1",
    draw_key: Callable[[], bytes] = random_key,
) -> FastAPI:
    """Return the application; while it runs it looks for newly published folders by itself.

    Args:
        watcher: What is published; refreshed once before the first request.
        settings: The settings.
        clock: Gives the time, aware UTC.
        log: Where requests, failures and new folders are written.
        worker: Name of this worker in the metrics.
        draw_key: Gives the key of a new experiment, ``lists.KEY_BYTES`` long.

    Raises:
        ConfigError: The database that the settings name cannot be one.
    """
    database = Database.of(watcher.home, url=settings.database_url)
    overrides = Overrides(OverrideStore(database))
    lists = ListStore(database)
    state = State(watcher, settings, clock, log, Traffic(worker=worker), overrides, lists, draw_key)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await state.refresh()
        refreshing = asyncio.create_task(state.keep_fresh())
        try:
            yield
        finally:
            refreshing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await refreshing
            database.close()

    app = FastAPI(
        lifespan=lifespan,
        # FastAPI would ask for a tracer at each request; `metrics.py` counts instead.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    # In the order of how often they are asked: routes are matched one after the other.
    routes.add_probe_routes(app, state)
    routes.add_churn_routes(app, state)
    volume_routes.add_volume_routes(app, state)
    staffing_routes.add_staffing_routes(app, state)
    override_routes.add_override_routes(app, state)
    list_routes.add_list_routes(app, state)
    experiment_routes.add_experiment_routes(app, state)
    routes.add_model_routes(app, state)
    add_page_routes(app, state)
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.add_middleware(
        Edge,
        traffic=state.traffic,
        log=log,
        access_log=settings.access_log,
        max_body_bytes=settings.max_body_bytes,
        timeout_seconds=settings.request_timeout_seconds,
    )
    return app


def _respond(request: Request, problem: problems.Problem) -> Response:
    return problems.response(
        problem, instance=request.url.path, request_id=request.scope["request_id"]
    )


async def _ours(request: Request, error: Any) -> Response:
    problem = problems.of_error(error)
    if request.method == "GET":
        # The parameter is named for one queue, the body's field for several.
        renamed = [
            replace(e, field=f"path.{e.field}")
            if e.field in request.path_params
            else replace(e, field=f"query.{e.field.replace('queues', 'queue')}")
            for e in problem.errors
        ]
        problem = replace(problem, errors=renamed)
    return _respond(request, problem)


async def _raised(request: Request, error: Any) -> Response:
    return _respond(request, error.problem)


async def _parameters(request: Request, error: Any) -> Response:
    return _respond(request, problems.of_validation(error.errors()))


async def _framework(request: Request, error: Any) -> Response:
    if error.status_code == 404:
        detail = f"No route {problems.shorten(request.url.path)}. See /docs for the routes."
    elif error.status_code == 405:
        return _respond(request, _not_allowed(request))
    else:
        detail = str(error.detail)
    return _respond(request, problems.of_status(error.status_code, detail, error.headers))


def _not_allowed(request: Request) -> problems.Problem:
    """Name all methods of a path; the framework names those of its first route."""
    template = getattr(request.scope.get("route"), "path", request.url.path)
    described = document(request.app)["paths"].get(template, {"get": {}})
    allowed = ", ".join(sorted(method.upper() for method in described))
    detail = f"This route does not take {request.method}; it takes {allowed}."
    return problems.of_status(405, detail, {"Allow": allowed})


_HANDLERS: dict[Any, Any] = {
    EbbflowError: _ours,
    problems.ProblemError: _raised,
    RequestValidationError: _parameters,
    HTTPException: _framework,
}
