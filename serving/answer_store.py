"""What requests with an idempotency key were answered, in the service's database."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from serving.database import METADATA

ANSWERS_KEPT_SECONDS = 7 * 86_400
"""How long the answer to an idempotency key is kept."""

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
    """What a request was answered.

    Attributes:
        digest: Of the request.
        answer: The answer's bytes, or the id of what they are made from.
    """

    digest: str
    answer: bytes


def find_answer(connection: sa.Connection, key: str) -> Answered | None:
    """Return what the request with an idempotency key was answered; None for a new key."""
    found = connection.execute(sa.select(_ANSWERS).where(_ANSWERS.c.key == key)).first()
    return None if found is None else Answered(found.digest, bytes(found.answer))


def keep_answer(connection: sa.Connection, key: str, found: Answered, *, at: int) -> None:
    """Keep the answer to a new idempotency key, and forget old ones.

    Args:
        connection: Of a writer.
        key: The key.
        found: The answer.
        at: When, epoch seconds.
    """
    old = at - ANSWERS_KEPT_SECONDS
    connection.execute(_ANSWERS.delete().where(_ANSWERS.c.made_at < old))
    row = {"key": key, "digest": found.digest, "made_at": at, "answer": found.answer}
    connection.execute(_ANSWERS.insert(), row)
