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
from serving.api import problems
from serving.api.churn.routes import churn_router
from serving.api.forecast.render import ForecastWriter
from serving.api.forecast.routes import forecast_router
from serving.api.middleware import RequestMetrics, RequestMiddleware
from serving.api.openapi import document
from serving.api.ops import ops_router
from serving.api.outreach.routes import outreach_router
from serving.api.overrides.routes import overrides_router
from serving.api.staffing.routes import staffing_router
from serving.api.state import Clock, State
from serving.forecast.overlay import OverrideCache
from serving.lists import random_key
from serving.pages.routes import add_page_routes
from serving.published.parts import Watcher
from serving.published.score_history import ScoreSetCache
from serving.settings import Settings
from serving.store.database import Database
from serving.store.lists import ListStore
from serving.store.overrides import OverrideStore

ROUTERS = (
    ops_router,
    churn_router,
    forecast_router,
    staffing_router,
    overrides_router,
    outreach_router,
)
"""In the order of how often they are called: routes are matched one after the other."""


def create_app(
    watcher: Watcher,
    *,
    settings: Settings,
    clock: Clock,
    log: structlog.typing.FilteringBoundLogger,
    worker: str = "1",
    new_key: Callable[[], bytes] = random_key,
) -> FastAPI:
    """Return the application; while it runs it looks for newly published folders by itself.

    ``new_key`` gives the key of a new experiment, ``lists.KEY_BYTES`` long.

    Raises:
        ConfigError: The database that the settings name cannot be one.
    """
    database = Database.of(watcher.home, url=settings.database_url)
    state = State(
        watcher,
        settings,
        clock,
        log,
        RequestMetrics(worker=worker),
        OverrideCache(OverrideStore(database)),
        ListStore(database),
        new_key,
        ScoreSetCache(watcher.home.scores),
    )

    app = FastAPI(
        lifespan=lambda _: _running(state, database),
        # FastAPI would ask for a tracer at each request; `RequestMetrics` counts instead.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers=_HANDLERS,
    )
    app.state.shared, app.state.forecast_writer = state, ForecastWriter()
    for router in ROUTERS:
        # An included router costs 8 microseconds a request, 28 against 20; its routes alone, none.
        app.router.routes.extend(router.routes)
    add_page_routes(app, state)
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    app.add_middleware(
        RequestMiddleware,
        metrics=state.metrics,
        log=log,
        access_log=settings.access_log,
        max_body_bytes=settings.max_body_bytes,
        timeout_seconds=settings.request_timeout_seconds,
    )
    return app


@contextlib.asynccontextmanager
async def _running(state: State, database: Database) -> AsyncIterator[None]:
    await state.refresh()
    refreshing = asyncio.create_task(state.refresh_forever())
    try:
        yield
    finally:
        refreshing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await refreshing
        database.close()


def _respond(request: Request, problem: problems.Problem) -> Response:
    return problems.response(
        problem, instance=request.url.path, request_id=request.scope["request_id"]
    )


async def _domain_error(request: Request, error: Any) -> Response:
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


async def _problem(request: Request, error: Any) -> Response:
    return _respond(request, error.problem)


async def _validation_error(request: Request, error: Any) -> Response:
    return _respond(request, problems.of_validation(error.errors()))


async def _framework_error(request: Request, error: Any) -> Response:
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
    EbbflowError: _domain_error,
    problems.ProblemError: _problem,
    RequestValidationError: _validation_error,
    HTTPException: _framework_error,
}
