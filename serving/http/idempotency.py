"""Requests that make something: the same one sent again with its key makes nothing new."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request

from features.errors import InputError
from serving.answer_store import Answered
from serving.http import problems

LONGEST_KEY = 255
KEY_HEADER: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "Up to 255 characters of your own: the same request sent again with "
            "the same key within 7 days gets the same answer and makes nothing new.",
            "schema": {"type": "string"},
            "example": "week-11-first-draft",
        }
    ]
}


@dataclass(frozen=True)
class Sent:
    """One request that makes something, as it is told from others.

    Attributes:
        key: Its idempotency key; None where it has none.
        digest: Of all that it asks.
    """

    key: str | None
    digest: str

    def same(self, found: Answered) -> bytes:
        """Return what was answered before, where it was the same request.

        Raises:
            ProblemError: The key belongs to another request.
        """
        if found.digest != self.digest:
            raise problems.refuse(
                "key-reused",
                f"`Idempotency-Key` {problems.shorten(self.key)} was used for another request. "
                "Send a new key with a new request.",
                field="header.Idempotency-Key",
            )
        return found.answer


def idempotency_key(request: Request) -> str | None:
    """Return a request's idempotency key; None where it has none.

    Raises:
        InputError: It is too long, or no ASCII text.
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
    """Return the digest of all that a request asks.

    Args:
        request: The request.
        body: Its body.
        route: What tells its route from others; that of overrides has none.
    """
    query = sorted(request.query_params.multi_items())
    asked = route.encode() + orjson.dumps(query) + body
    return hashlib.blake2b(asked, digest_size=16).hexdigest()
