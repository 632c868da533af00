"""Stored responses to requests with an idempotency key, in the service's database."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from serving.database import METADATA

ANSWERS_KEPT_SECONDS = 7 * 86_400
"""How long the answer to an idempotency key is stored."""

_ANSWERS = sa.Table(
    "answers",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("made_at", sa.BigInteger, nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
)


@dataclass(frozen=True)
class Answered:
    """The digest of a request, and the bytes of its answer, or the id of what it is made from."""

    digest: str
    answer: bytes


def find_answer(connection: sa.Connection | None, key: str | None) -> Answered | None:
    """Return the answer to the request with an idempotency key; None for a new key or none."""
    if connection is None or key is None:
        return None
    row = connection.execute(sa.select(_ANSWERS).where(_ANSWERS.c.key == key)).first()
    return None if row is None else Answered(row.digest, row.answer)


def keep_answer(connection: sa.Connection, key: str | None, response: Answered, *, at: int) -> None:
    """Store the answer to a new idempotency key at epoch second `at`, and delete old ones.

    Without a key nothing is stored.
    """
    if key is None:
        return
    oldest = at - ANSWERS_KEPT_SECONDS
    connection.execute(_ANSWERS.delete().where(_ANSWERS.c.made_at < oldest))
    row = {"key": key, "digest": response.digest, "made_at": at, "answer": response.answer}
    connection.execute(_ANSWERS.insert(), row)
