"""Makes answers, in a thread where that takes long, and sends them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from anyio import to_thread
from fastapi import Request
from starlette.responses import Response, StreamingResponse

from serving.http import pulls
from serving.http.answers import matches
from serving.http.changes import WhatIf
from serving.http.negotiate import CSV, JSON, NDJSON, PARQUET, to_json
from serving.sets.scores import Page

Made = TypeVar("Made")

_SCORE_FILES = {CSV: "scores.csv", PARQUET: "scores.parquet"}

OFF_LOOP_INTERVALS = 3_000
OFF_LOOP_ROWS = 1_000
"""From this size an answer is made in a thread, so that small requests do not wait for it."""
LEAST_PACKED_ROWS = 8
"""Fewer customers are sent as they are: packing them gains nothing."""


async def make(work: Callable[[], Made], *, heavy: bool = True) -> Made:
    """Make an answer, in a thread where it takes long."""
    return await to_thread.run_sync(work, abandon_on_cancel=True) if heavy else work()


def not_kept(what_if: WhatIf | None) -> dict[str, str]:
    """Return the headers that keep a what-if answer out of caches."""
    return {} if what_if is None else {"Cache-Control": "no-store"}


def attachment(name: str) -> dict[str, str]:
    """Return the header that gives a file its name."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def not_modified(request: Request, headers: Mapping[str, str]) -> Response | None:
    """Return the 304 for a client that has the answer with this ``ETag``; None for others."""
    if not matches(request.headers.get("if-none-match"), headers["ETag"]):
        return None
    return Response(status_code=304, headers=headers)


def pull_reply(
    page: Page, *, kind: str, head: bytes, packed: bool, headers: Mapping[str, str]
) -> Response:
    """Return a page of scores: a short one whole, a long or packed one as a stream."""
    sent = dict(headers)
    if kind in _SCORE_FILES:
        sent |= attachment(_SCORE_FILES[kind])
    packed = packed and page.rows >= LEAST_PACKED_ROWS
    if packed:
        sent["Content-Encoding"] = "gzip"
    blocks = pulls.body(page, kind=kind, head=head, packed=packed)
    if page.rows <= OFF_LOOP_ROWS and kind in (NDJSON, JSON) and not packed:
        return Response(b"".join(blocks), media_type=kind, headers=sent)
    return StreamingResponse(blocks, media_type=kind, headers=sent)


def json_reply(document: Any, *, status: int = 200) -> Response:
    """Return a small JSON document."""
    return Response(to_json(document), status_code=status, media_type=JSON)
