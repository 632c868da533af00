"""Reads what a client sends and what it accepts: bodies and the ``Accept`` headers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError

from serving.http import problems

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
        raise problems.refuse(
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


def choose_type(request: Request, offered: Sequence[str]) -> str:
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
        raise problems.refuse(
            "not-acceptable",
            f"`Accept` is {problems.shorten(accept)}. This route gives {' or '.join(offered)}.",
        )
    return offered[weights.index(best)]


def takes_gzip(request: Request) -> bool:
    """Return whether the client accepts a gzipped answer."""
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
