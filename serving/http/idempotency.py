"""Requests that make something: the same one sent again with its key makes nothing new."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import orjson
from fastapi import Request

from features.errors import InputError
from serving.answer_store import Answered
from serving.http import problems

LONGEST_KEY = 255


@dataclass(frozen=True)
class Sent:
    """One request that makes something."""

    key: str | None
    digest: str

    def same(self, stored: Answered) -> bytes:
        """Return the stored answer, where it answered the same request.

        Raises:
            ProblemError: The key belongs to another request.
        """
        if stored.digest != self.digest:
            raise problems.refuse(
                "key-reused",
                f"`Idempotency-Key` {problems.shorten(self.key)} was used for another request. "
                "Send a new key with a new request.",
                field="header.Idempotency-Key",
            )
        return stored.answer


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
    """Return the digest of a query, a body and what tells its route from others."""
    query = sorted(request.query_params.multi_items())
    content = route.encode() + orjson.dumps(query) + body
    return hashlib.blake2b(content, digest_size=16).hexdigest()
