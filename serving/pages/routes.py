"""Routes of the pages for people."""

from __future__ import annotations

from functools import cache, partial

from anyio import to_thread
from fastapi import FastAPI
from starlette.responses import HTMLResponse, Response

from serving.api import openapi
from serving.api.content import json_response
from serving.api.problems import KINDS
from serving.api.state import State
from serving.pages.customers import customers_page
from serving.pages.docs import docs_page
from serving.pages.home import home_page

PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
"""What a page may load: nothing but its own inline style."""


def add_page_routes(app: FastAPI, state: State) -> None:
    """Add the pages for people and the document."""

    @cache
    def docs() -> str:
        # The document is the same for the life of the application.
        return docs_page(openapi.document(app), problems=KINDS.values())

    @app.get("/", include_in_schema=False)
    async def get_home() -> Response:
        # Agents of many large queues take a while: other requests go on meanwhile.
        render_page = partial(home_page, state.in_force(), now=state.clock())
        return _html(await to_thread.run_sync(render_page))

    @app.get("/customers", include_in_schema=False)
    async def get_customers() -> Response:
        # Counting a million customers takes a while: other requests go on meanwhile.
        render_page = partial(customers_page, state.published)
        return _html(await to_thread.run_sync(render_page))

    @app.get("/docs", include_in_schema=False)
    async def get_docs() -> Response:
        return _html(docs())

    @app.get("/openapi.json", include_in_schema=False)
    async def get_openapi() -> Response:
        return json_response(openapi.document(app))


def _html(page: str) -> Response:
    return HTMLResponse(page, headers={"Content-Security-Policy": PAGE_POLICY})
