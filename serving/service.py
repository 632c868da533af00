"""The BentoML service: ``bentoml serve serving.service:Ebbflow`` or ``python -m serving run``.

BentoML's own routes and 404 stand before a mounted application and respond in their own shapes. So
ours is mounted, which ties its life to the worker's, and a middleware hands it each request first.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Before BentoML and LightGBM are imported: both read them once.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from features.home import Home
from serving.app import create_app
from serving.published.parts import Watcher
from serving.settings import find_home, json_log, load_settings

# The `bentoml` command may have cached the setting before this file was read.
with contextlib.suppress(ImportError, AttributeError):
    from bentoml._internal.utils.analytics import usage_stats

    usage_stats.do_not_track.cache_clear()

SETTINGS = load_settings()
BENTOML_TIMEOUT_SECONDS = 5
"""Later than ours, so that a late response is a problem document and never BentoML's own text."""


def _now() -> datetime:
    return datetime.now(UTC)


app = create_app(
    Watcher(Home(find_home(SETTINGS, source=Path(__file__).resolve().parents[1]))),
    settings=SETTINGS,
    clock=_now,
    log=json_log(sys.stderr.buffer),
    worker=str(bentoml.server_context.worker_index or 1),
)


class HttpBypass:
    """Hands HTTP to our application; the rest (start and stop) to BentoML."""

    def __init__(self, app: ASGIApp, application: ASGIApp) -> None:
        self._bento = app
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass an event of the server's life on."""
        await (self._application if scope["type"] == "http" else self._bento)(scope, receive, send)


@bentoml.service(
    name="ebbflow",
    workers=SETTINGS.workers,
    http={"host": SETTINGS.host, "port": SETTINGS.port},
    traffic={"timeout": BENTOML_TIMEOUT_SECONDS},
    # Built-in metrics label by raw path, tracing costs a third of the time, and our log and
    # figures tell more.
    metrics={"enabled": False},
    tracing={"excluded_urls": ".*"},
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(app, path="/")
class Ebbflow:
    """Forecasts of contacts and agents, and churn scores, from published folders."""

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def settle(self) -> None:
        """Keep what was imported out of the garbage collector's way."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 100)


def _mount(service: Any) -> None:
    service.add_asgi_middleware(HttpBypass, application=app)


_mount(Ebbflow)
