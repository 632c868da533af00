"""What every request passes: id, deadline, body limit, security headers, log, counts.

An exception that left a mounted application would hang the connection: here it becomes a response.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import structlog
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api import problems

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"
CLIENT_LEFT = 499

_SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class TooLargeError(Exception):
    """The body grew past the limit while it was read."""


class _Exchange:
    """One request and its response, as the middleware sees them."""

    __slots__ = ("id", "left", "limit", "receive", "send", "sent", "status", "waiting")

    def __init__(self, receive: Receive, send: Send, *, id: str, limit: int) -> None:
        self.receive, self.send, self.id, self.limit = receive, send, id, limit
        self.status = 0
        self.sent = 0
        self.left = self.waiting = False

    async def read(self) -> Message:
        self.waiting = True
        message = await self.receive()
        self.waiting = False
        if message["type"] == "http.request":
            self.limit -= len(message.get("body", b""))
            if self.limit < 0:
                raise TooLargeError
        else:
            self.left = True
        return message

    async def write(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [
                *message.get("headers", ()),
                (b"x-request-id", self.id.encode()),
                *_SECURITY,
            ]
        else:
            self.sent += len(message.get("body", b""))
        await self.send(message)


class RequestMetrics(Collector):
    """Requests of one worker since it started."""

    def __init__(self, *, worker: str) -> None:
        self._worker = worker
        self._requests: dict[tuple[str, str, int], int] = {}
        self._durations: dict[str, _Durations] = {}
        self._bytes: dict[str, int] = {}

    def count(self, route: str, *, method: str, status: int, seconds: float, sent: int) -> None:
        """Add one request: its route's template, the time to and the bytes of its response."""
        key = (route, method, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        durations = self._durations.get(route)
        if durations is None:
            durations = self._durations[route] = _Durations()
        durations.buckets[bisect_left(SECONDS, seconds)] += 1
        durations.total += seconds
        self._bytes[route] = self._bytes.get(route, 0) + sent

    def collect(self) -> Iterator[Metric]:
        """Give the series in Prometheus' own types."""
        requests = CounterMetricFamily(
            "ebbflow_http_requests",
            "Requests answered, by route template, method and status.",
            labels=("route", "method", "status", "worker"),
        )
        for (route, method, status), value in self._requests.items():
            requests.add_metric((route, method, str(status), self._worker), value)
        seconds = HistogramMetricFamily(
            "ebbflow_http_request_seconds",
            "Time to the last byte of the answer, seconds.",
            labels=("route", "worker"),
        )
        for route, durations in self._durations.items():
            reached = 0
            buckets = []
            for bound, number in zip((*SECONDS, "+Inf"), durations.buckets, strict=True):
                reached += number
                buckets.append((str(bound), float(reached)))
            seconds.add_metric((route, self._worker), buckets, durations.total)
        sent = CounterMetricFamily(
            "ebbflow_http_response_bytes",
            "Bytes of answers' bodies, by route template.",
            labels=("route", "worker"),
        )
        for route, value in self._bytes.items():
            sent.add_metric((route, self._worker), value)
        yield from (requests, seconds, sent)


@dataclass
class RequestMiddleware:
    """Sends a problem where the application inside it fails or is late."""

    app: ASGIApp
    _: KW_ONLY
    metrics: RequestMetrics
    log: structlog.typing.FilteringBoundLogger
    access_log: bool
    max_body_bytes: int
    timeout_seconds: float
    monotonic: Callable[[], float] = time.perf_counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; pass what is not HTTP."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = self.monotonic()
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        exchange = _Exchange(receive, send, id=_request_id(headers), limit=self.max_body_bytes)
        scope["request_id"] = exchange.id
        length = _content_length(headers)
        if length is not None and length > self.max_body_bytes:
            await self._send_problem(scope, exchange, self._too_large())
        else:
            await self._guard(scope, exchange)
        self._record(scope, exchange, self.monotonic() - began)

    async def _guard(self, scope: Scope, exchange: _Exchange) -> None:
        """Run the routes; send a problem where they fail, are late or send nothing."""
        task = asyncio.current_task()
        late = asyncio.get_running_loop().call_later(
            self.timeout_seconds, _cancel_unless_begun, task, exchange
        )
        try:
            await self.app(scope, exchange.read, exchange.write)
        except asyncio.CancelledError:
            if exchange.status or late.when() > asyncio.get_running_loop().time():
                raise
            if task is not None:
                task.uncancel()
            await self._send_problem(scope, exchange, self._late(exchange))
        except TooLargeError:
            await self._send_problem(scope, exchange, self._too_large())
        except Exception as error:
            # An exception that got out would hang the client.
            self.log.error(
                "request failed",
                request_id=exchange.id,
                method=scope["method"],
                path=scope["path"][: problems.LONGEST_SHOWN],
                exc_info=error,
            )
            await self._send_problem(scope, exchange, _internal(exchange.id))
        else:
            if not exchange.status and not exchange.left:
                await self._send_problem(scope, exchange, _internal(exchange.id))
        finally:
            late.cancel()

    async def _send_problem(
        self, scope: Scope, exchange: _Exchange, problem: problems.Problem
    ) -> None:
        """Send a problem, or, where a response has already begun, cut it off."""
        if exchange.status:
            return
        response = problems.response(problem, instance=scope["path"], request_id=exchange.id)
        # The rest of the body is not read: the connection cannot be used again.
        response.headers["Connection"] = "close"
        await response(scope, exchange.read, exchange.write)

    def _too_large(self) -> problems.Problem:
        limit = f"{self.max_body_bytes} bytes"
        return _problem("too-large", f"The body is larger than {limit}. Ask in several requests.")

    def _late(self, exchange: _Exchange) -> problems.Problem:
        seconds = f"{self.timeout_seconds:g} seconds"
        if exchange.waiting:
            return _problem("too-slow", f"No whole body within {seconds}. Send it again.")
        return _problem("timeout", f"No answer within {seconds}. Ask for less at once.")

    def _record(self, scope: Scope, exchange: _Exchange, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or UNMATCHED
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        status = exchange.status or CLIENT_LEFT
        self.metrics.count(route, method=method, status=status, seconds=seconds, sent=exchange.sent)
        if self.access_log:
            self.log.info(
                "request",
                request_id=exchange.id,
                method=method,
                route=route,
                path=scope["path"][: problems.LONGEST_SHOWN],
                status=status,
                bytes=exchange.sent,
                milliseconds=round(seconds * 1000, 2),
            )


def _cancel_unless_begun(task: asyncio.Task[Any] | None, exchange: _Exchange) -> None:
    if task is not None and not exchange.status:
        task.cancel()


def _problem(kind: str, detail: str) -> problems.Problem:
    return problems.Problem(problems.KINDS[kind], detail)


def _internal(request_id: str) -> problems.Problem:
    report = f"Report request id {request_id}; the log has the rest."
    return _problem("internal", f"The request could not be answered. {report}")


def _request_id(headers: list[tuple[bytes, bytes]]) -> str:
    """Return the client's own id where it is short and plain, or a new one."""
    for name, value in headers:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return value.decode()
    return uuid.uuid4().hex


def _content_length(headers: list[tuple[bytes, bytes]]) -> int | None:
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return None


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the duration buckets, seconds."""


@dataclass
class _Durations:
    buckets: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    total: float = 0.0
