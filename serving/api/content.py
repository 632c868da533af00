"""Bodies, media types, idempotency keys, ETags and responses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from anyio import to_thread
from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from features.errors import InputError
from serving.api import problems
from serving.store.database import StoredResponse

Body = TypeVar("Body", bound=BaseModel)

JSON = "application/json"
NDJSON = "application/x-ndjson"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
GZIP = "application/gzip"


def to_json(document: Any) -> bytes:
    """Return a document as JSON; its times are aware UTC, and are written in seconds with ``Z``.

    >>> from datetime import UTC, datetime
    >>> to_json({"at": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)})
    b'{"at":"2026-01-02T03:04:05Z"}'
    """
    return orjson.dumps(document, option=orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS)


async def read_body(request: Request, model: type[Body]) -> Body:
    """Return the request's JSON body as a validated model.

    Raises:
        ProblemError: The body is of another type, is no JSON, or a field is invalid.
    """
    media_type = request.headers.get("content-type")
    if media_type is not None and not _is_json(media_type):
        raise problems.problem_error(
            "media-type",
            f"The body's type is {problems.shorten(media_type)}. Send `Content-Type: {JSON}`.",
            headers={"Accept": JSON},
        )
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise problems.ProblemError(
            problems.of_validation(error.errors(include_url=False))
        ) from None


def _is_json(content_type: str) -> bool:
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charset = next((p[8:].strip('"') for p in parameters if p.startswith("charset=")), "utf-8")
    return (kind == JSON or kind.endswith("+json")) and charset in ("utf-8", "utf8", "us-ascii")


def negotiate_type(request: Request, offered: Sequence[str]) -> str:
    """Return the offered media type that the client prefers; the first is the default.

    Raises:
        ProblemError: The client accepts none of them.
    """
    accept = request.headers.get("accept")
    if not accept or accept == "*/*":
        return offered[0]
    accepted = _weights(accept)
    weights = [_weight(kind, accepted) for kind in offered]
    best = max(weights)
    if best <= 0:
        raise problems.problem_error(
            "not-acceptable",
            f"`Accept` is {problems.shorten(accept)}. This route gives {' or '.join(offered)}.",
        )
    return offered[weights.index(best)]


def takes_gzip(request: Request) -> bool:
    """Return whether the client accepts a gzipped response."""
    accept = request.headers.get("accept-encoding")
    if not accept:
        return False
    accepted = _weights(accept)
    return accepted.get("gzip", accepted.get("*", 0.0)) > 0


def _weights(accept: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in accept[:2_000].split(","):
        kind, *parameters = (p.strip().lower() for p in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = min(max(float(parameter[2:]), 0.0), 1.0)
                except ValueError:
                    weight = 0.0
        weights[kind] = weight
    return weights


def _weight(kind: str, accepted: dict[str, float]) -> float:
    """Return the weight of one type: its own, else its family's, else that of anything."""
    family = f"{kind.partition('/')[0]}/*"
    return next((accepted[name] for name in (kind, family, "*/*") if name in accepted), 0.0)


LONGEST_KEY = 255


@dataclass(frozen=True)
class RequestKey:
    """A request that adds something: its idempotency key, if it has one, and its digest."""

    key: str | None
    digest: str

    def replay(self, stored: StoredResponse) -> bytes:
        """Return the content of a stored response to the same request.

        Raises:
            ProblemError: The key belongs to another request.
        """
        if stored.digest != self.digest:
            raise problems.problem_error(
                "key-reused",
                f"`Idempotency-Key` {problems.shorten(self.key)} was used for another request. "
                "Send a new key with a new request.",
                field="header.Idempotency-Key",
            )
        return stored.content


def idempotency_key(request: Request) -> str | None:
    """Return a request's idempotency key; None where it has none.

    Raises:
        InputError: It is too long, or not ASCII text.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= LONGEST_KEY and key.isascii()):
        raise InputError(
            "`Idempotency-Key`",
            got=problems.shorten(key),
            expected=f"1 to {LONGEST_KEY} ASCII characters",
            field="header.Idempotency-Key",
        )
    return key


def digest(request: Request, body: bytes, *, route: str = "") -> str:
    """Return the digest of a query, a body and what distinguishes its route."""
    query = sorted(request.query_params.multi_items())
    content = route.encode() + orjson.dumps(query) + body
    return hashlib.blake2b(content, digest_size=16).hexdigest()


Result = TypeVar("Result")

OFF_LOOP_INTERVALS = 3_000
OFF_LOOP_ROWS = 1_000
"""From this size a response is rendered in a thread, so that small requests do not wait for it."""
LEAST_PACKED_ROWS = 8
"""Fewer customers are sent as they are: packing them gains nothing."""


async def run(work: Callable[[], Result], *, heavy: bool = True) -> Result:
    """Return the result of some work, in a thread where it takes long."""
    return await to_thread.run_sync(work, abandon_on_cancel=True) if heavy else work()


def attachment(name: str) -> dict[str, str]:
    """Return the header that gives a file its name."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def not_modified(request: Request, headers: Mapping[str, str]) -> Response | None:
    """Return the 304 for a client that has the response with this ``ETag``; None for others."""
    if not matches(request.headers.get("if-none-match"), headers["ETag"]):
        return None
    return Response(status_code=304, headers=headers)


def json_response(document: Any, *, status: int = 200) -> Response:
    """Return a small JSON document."""
    return Response(to_json(document), status_code=status, media_type=JSON)


RENDERING = 3
"""Raised when the same set would be written in other bytes: part of every ETag."""


def etag(*parts: object) -> str:
    """Return a strong ETag for whatever fixes the bytes of a response.

    >>> etag("set-1", 5) == etag("set-1", 5), etag("set-1", 5) == etag("set-1", "5")
    (True, False)
    """
    digest = hashlib.blake2b(repr((RENDERING, *parts)).encode("utf-8", "replace"), digest_size=12)
    return f'"{digest.hexdigest()}"'


def matches(if_none_match: str | None, tag: str) -> bool:
    """Return whether an ``If-None-Match`` header names this ETag (weak comparison, RFC 9110)."""
    if if_none_match is None:
        return False
    tags = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return "*" in tags or tag in tags
