"""What the routes share: how an answer is made and sent, and how a held one is described."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from anyio import to_thread
from starlette.responses import HTMLResponse, Response, StreamingResponse

from serving.http import pulls
from serving.http.changes import WhatIf
from serving.http.negotiate import CSV, JSON, NDJSON, PARQUET, to_json
from serving.sets.scores import Page

_FILES = {CSV: "scores.csv", PARQUET: "scores.parquet"}

OFF_LOOP_INTERVALS = 3_000
OFF_LOOP_ROWS = 1_000
"""From this size an answer is made in a thread, so that small requests do not wait for it."""
LEAST_PACKED_ROWS = 8
"""Fewer customers are sent as they are: packing them gains nothing."""

PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
"""What a page may load: nothing but its own inline style."""

BODY_PROBLEMS = ("malformed", "invalid", "too-large", "media-type", "too-slow")
"""What can be wrong with any body."""

CONDITIONAL = {
    "parameters": [
        {
            "name": "If-None-Match",
            "in": "header",
            "required": False,
            "description": "The `ETag` of an earlier answer: 304 without a body where it still "
            "holds.",
            "schema": {"type": "string"},
            "example": '"5f0c2c9be4b14d1e9a5e77aa"',
        }
    ]
}
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "The answer is still the one with this `ETag`."}
}


async def make(work: Callable[[], bytes], *, heavy: bool) -> bytes:
    """Make an answer, in a thread where it takes long."""
    return await to_thread.run_sync(work, abandon_on_cancel=True) if heavy else work()


def not_kept(what_if: WhatIf | None) -> dict[str, str]:
    """Return the headers of an answer: one to "what if" is nobody else's."""
    return {} if what_if is None else {"Cache-Control": "no-store"}


def pull_reply(
    page: Page, *, kind: str, head: bytes, packed: bool, headers: Mapping[str, str]
) -> Response:
    """Return a page of scores: a short one whole, a long or packed one as a stream.

    Args:
        page: The customers.
        kind: The media type.
        head: What a JSON document says before the records.
        packed: Whether the client takes gzip.
        headers: Headers to send.
    """
    sent = dict(headers)
    if kind in _FILES:
        sent["Content-Disposition"] = f'attachment; filename="{_FILES[kind]}"'
    packed = packed and page.rows >= LEAST_PACKED_ROWS
    if packed:
        sent["Content-Encoding"] = "gzip"
    made = pulls.body(page, kind=kind, head=head, packed=packed)
    if page.rows <= OFF_LOOP_ROWS and kind in (NDJSON, JSON) and not packed:
        return Response(b"".join(made), media_type=kind, headers=sent)
    return StreamingResponse(made, media_type=kind, headers=sent)


def page_reply(html: str) -> Response:
    """Return a page for people."""
    return HTMLResponse(html, headers={"Content-Security-Policy": PAGE_POLICY})


def json_reply(document: Any, *, status: int = 200) -> Response:
    """Return a small JSON document."""
    return Response(to_json(document), status_code=status, media_type=JSON)
