"""One error shape for every response that is not a success: RFC 9457 problem details."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.responses import Response

from features.errors import (
    ArtefactError,
    ConfigError,
    DatabaseError,
    EbbflowError,
    HorizonError,
    InputError,
    NotPublishedError,
    SetGoneError,
    TooLittleDataError,
    UnknownNameError,
)

PROBLEM_TYPE = "application/problem+json"
LONGEST_SHOWN = 120
"""Characters of a request's own value that a message repeats."""


@dataclass(frozen=True)
class Kind:
    """One kind of problem; ``doc`` is one sentence on what to do about it."""

    name: str
    status: int
    title: str
    doc: str

    @property
    def type(self) -> str:
        """The URI reference that identifies the kind."""
        return f"/docs#problem-{self.name}"


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("malformed", 400, "The request cannot be read", "Send one valid JSON document."),
        Kind("not-found", 404, "There is no such route", "See the routes on this page."),
        Kind("unknown-name", 404, "A name nobody knows", "Use one of the names suggested."),
        Kind("method-not-allowed", 405, "Method not allowed", "Use a method named in `Allow`."),
        Kind("not-acceptable", 406, "No such form of the answer", "Send one of the types named."),
        Kind("too-slow", 408, "The request did not arrive in time", "Send the body at once."),
        Kind("not-published", 409, "Nothing is published yet", "Run the command it names."),
        Kind("key-reused", 409, "That key was used already", "Send a new `Idempotency-Key`."),
        Kind("set-gone", 410, "That set is no longer here", "Begin again without `set`."),
        Kind("too-large", 413, "The request is too large", "Ask in several smaller requests."),
        Kind("media-type", 415, "The body's type is not supported", "Send `application/json`."),
        Kind("invalid", 422, "A field is not as it must be", "Correct the fields in `errors`."),
        Kind("horizon", 422, "A time outside what can be answered", "Ask inside the span named."),
        Kind("internal", 500, "Something went wrong here", "Report the request id."),
        Kind("unfit", 503, "A published folder is unfit", "Publish it again; see `/readyz`."),
        Kind("database", 503, "The service's database is out of order", "See what it names."),
        Kind("timeout", 504, "The answer took too long", "Ask for less, or again later."),
    )
}


@dataclass(frozen=True)
class FieldError:
    """What is wrong with a field, such as ``queues.0`` or ``query.limit``; empty for the whole."""

    field: str
    message: str


@dataclass(frozen=True)
class Problem:
    """One problem, with the headers that belong to it, such as ``Allow``."""

    kind: Kind
    detail: str
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


class ProblemError(Exception):
    """Carries a problem out of a route."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def problem_error(
    name: str,
    detail: str,
    *,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> ProblemError:
    """Return the exception of one kind of problem, a key of ``KINDS``."""
    errors = () if field is None else (FieldError(field, detail),)
    return ProblemError(Problem(KINDS[name], detail, errors, headers or {}))


def shorten(value: object) -> str:
    """Return a value as text for a message, cut to a readable length.

    >>> len(shorten("x" * 10_000))
    120
    """
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


def of_error(error: EbbflowError) -> Problem:
    """Return the problem of an Ebbflow error."""
    errors = () if error.field is None else (FieldError(error.field, str(error)),)
    name = next((name for kind, name in _KIND_NAMES if isinstance(error, kind)), "internal")
    return Problem(KINDS[name], str(error), errors)


_KIND_NAMES: tuple[tuple[type[EbbflowError], str], ...] = (
    (HorizonError, "horizon"),
    (UnknownNameError, "unknown-name"),
    (InputError, "invalid"),
    (TooLittleDataError, "invalid"),
    (NotPublishedError, "not-published"),
    (SetGoneError, "set-gone"),
    (DatabaseError, "database"),
    (ArtefactError, "unfit"),
    (ConfigError, "unfit"),
)
"""The first that fits counts: a more special error stands before its base."""


def of_status(status: int, detail: str, headers: Mapping[str, str] | None) -> Problem:
    """Return the problem for a status that the web framework raised by itself."""
    by_status = {404: "not-found", 405: "method-not-allowed", 406: "not-acceptable"}
    by_status |= {413: "too-large", 415: "media-type", 422: "invalid"}
    name = by_status.get(status, "malformed" if status < 500 else "internal")
    return Problem(KINDS[name], detail, (), dict(headers or {}))


def of_validation(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """Return the problem for pydantic's errors."""
    if any(error["type"] == "json_invalid" for error in errors):
        why = str(errors[0].get("ctx", {}).get("error", errors[0]["msg"]))
        return Problem(
            KINDS["malformed"], f"The body is not valid JSON: {why}. Send one JSON object."
        )
    shown = [
        FieldError(
            ".".join(str(part)[:LONGEST_SHOWN] for part in error["loc"] if part != ""),
            _message(error),
        )
        for error in errors[:20]
    ]
    more = f" (and {len(errors) - 20} more)" if len(errors) > 20 else ""
    listed = "; ".join(f"`{e.field}` {e.message}" if e.field else e.message for e in shown[:3])
    return Problem(KINDS["invalid"], f"{listed}{more}.".replace("..", "."), shown)


_WORDS: dict[str, str] = {
    "missing": "is missing: add it",
    "extra_forbidden": "is not known here: check its spelling against /docs",
    "timezone_aware": "has no time zone: add `Z` or an offset such as `+02:00`",
    "string_type": "must be text in quotes",
    "list_type": "must be a list",
}


def _message(error: Mapping[str, Any]) -> str:
    """Say what is wrong with one field, what it was and what it should be."""
    kind = str(error["type"])
    if kind == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    if kind in ("too_long", "too_short"):
        context = error["ctx"]
        limit = context.get("max_length", context.get("min_length"))
        side = "most" if kind == "too_long" else "least"
        return f"must have at {side} {limit:,} items, got {context['actual_length']:,}"
    if kind == "model_type":
        subject = "" if error["loc"] else "the body "
        return f"{subject}must be a JSON object; got {shorten(error['input'])}"
    text = str(error["msg"])
    words = _WORDS.get(kind, f"{text[:1].lower()}{text[1:]}".replace("input should", "must"))
    shown = kind not in ("missing", "extra_forbidden") and "input" in error
    return f"{words}; got {shorten(error['input'])}" if shown else words


def response(problem: Problem, *, instance: str, request_id: str) -> Response:
    """Return the HTTP response of a problem."""
    document = {
        "type": problem.kind.type,
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": problem.detail,
        "instance": instance[:LONGEST_SHOWN],
        "request_id": request_id,
        "errors": [{"field": e.field, "message": e.message} for e in problem.errors],
    }
    return Response(
        # A lone surrogate in an id is valid JSON escape text but no valid UTF-8.
        orjson.dumps(_encodable(document)),
        status_code=problem.kind.status,
        media_type=PROBLEM_TYPE,
        headers=dict(problem.headers) | {"Cache-Control": "no-store"},
    )


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {key: _encodable(item) for key, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list) else value
