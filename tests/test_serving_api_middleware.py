"""What every request passes, driven as a server drives it: message by message."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving_client import serving
from serving_world import build_world
from starlette.responses import PlainTextResponse

from serving.api.content import _weights
from serving.api.middleware import RequestMetrics, RequestMiddleware
from serving.api.openapi import ProblemDetails
from serving.published.status import render
from serving.settings import json_log

App = Callable[[Any, Any, Any], Awaitable[None]]


class Rig:
    """One edge around one application, and what came out."""

    def __init__(self, app: App, **settings: Any) -> None:
        self.lines = io.BytesIO()
        self.metrics = RequestMetrics(worker="1")
        options = {"max_body_bytes": 1_000, "timeout_seconds": 5.0, "access_log": True}
        self.edge = RequestMiddleware(
            app, metrics=self.metrics, log=json_log(self.lines), **(options | settings)
        )
        self.sent: list[Any] = []

    def ask(self, *parts: bytes | None, **scope: Any) -> Any:
        """Send one request in parts; None stands for a client that waits for ever."""
        return asyncio.run(self._ask(list(parts or (b"",)), scope))

    async def _ask(self, parts: list[bytes | None], scope: dict[str, Any]) -> Any:
        async def receive() -> Any:
            if not parts:
                return {"type": "http.disconnect"}
            part = parts.pop(0)
            if part is None:
                await asyncio.sleep(60)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message: Any) -> None:
            self.sent.append(message)

        whole = {"type": "http", "method": "GET", "path": "/x", "headers": []} | scope
        await self.edge(whole, receive, send)
        return self.sent

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {k.decode(): v.decode() for k, v in self.sent[0]["headers"]}

    @property
    def document(self) -> dict[str, Any]:
        body = b"".join(m.get("body", b"") for m in self.sent[1:])
        ProblemDetails.model_validate_json(body)
        return json.loads(body)

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]


async def fine(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("fine")(scope, receive, send)


async def reads(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await fine(scope, receive, send)


async def raises(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("a secret: swordfish")


async def sleeps(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(60)


async def silent(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(0)


async def breaks_off(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("too late for a problem")


def test_a_good_answer_passes_with_an_id_and_security_headers() -> None:
    rig = Rig(fine)
    rig.ask()
    assert rig.status == 200
    assert len(rig.headers["x-request-id"]) == 32
    assert rig.headers["x-content-type-options"] == "nosniff"


def test_a_plain_request_id_is_kept_and_an_odd_one_is_not() -> None:
    kept = Rig(fine)
    kept.ask(headers=[(b"x-request-id", b"trace-42")])
    assert kept.headers["x-request-id"] == "trace-42"
    for odd in (b"a b", b"x" * 65, b'"><script>', b""):
        rig = Rig(fine)
        rig.ask(headers=[(b"x-request-id", odd)])
        assert rig.headers["x-request-id"] != odd.decode()


def test_an_exception_becomes_a_problem_that_tells_nothing_of_it() -> None:
    rig = Rig(raises)
    rig.ask()
    assert rig.status == 500
    assert "swordfish" not in json.dumps(rig.document)
    assert rig.document["request_id"] in rig.document["detail"]
    failure = rig.log()[0]
    assert "swordfish" in failure["exception"]
    assert failure["request_id"] == rig.document["request_id"]


def test_an_application_that_never_answers_is_answered_for() -> None:
    rig = Rig(silent)
    rig.ask()
    assert rig.status == 500


def test_an_answer_that_takes_too_long_is_a_problem() -> None:
    rig = Rig(sleeps, timeout_seconds=0.05)
    rig.ask()
    assert rig.status == 504
    assert rig.document["type"] == "/docs#problem-timeout"


def test_a_body_that_never_arrives_is_the_clients_fault() -> None:
    rig = Rig(reads, timeout_seconds=0.05)
    rig.ask(b"begin", None)
    assert rig.status == 408
    assert rig.document["type"] == "/docs#problem-too-slow"


def test_the_deadline_ends_with_the_first_byte_of_the_answer() -> None:
    async def streams(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.15)
        await send({"type": "http.response.body", "body": b"late"})

    rig = Rig(streams, timeout_seconds=0.05)
    rig.ask()
    assert rig.sent[-1]["body"] == b"late"


def test_a_cancellation_from_outside_is_not_an_answer() -> None:
    async def cancelled() -> None:
        rig = Rig(sleeps)
        task = asyncio.create_task(rig._ask([b""], {}))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert rig.sent == []

    asyncio.run(cancelled())


def test_a_failure_after_the_answer_began_sends_nothing_more() -> None:
    rig = Rig(breaks_off)
    rig.ask()
    assert [m["type"] for m in rig.sent] == ["http.response.start"]


def test_a_body_announced_too_large_is_refused_before_it_is_read() -> None:
    rig = Rig(reads)
    rig.ask(None, headers=[(b"content-length", b"1001")])
    assert rig.status == 413
    assert "1000 bytes" in rig.document["detail"]
    assert rig.headers["connection"] == "close"


def test_a_body_that_grows_too_large_is_refused() -> None:
    rig = Rig(reads)
    rig.ask(b"x" * 600, b"x" * 600, None)
    assert rig.status == 413


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    rig = Rig(reads)
    rig.ask(b"x" * 1_000, headers=[(b"content-length", b"1000")])
    assert rig.status == 200


def test_each_request_is_one_line_of_json() -> None:
    rig = Rig(fine)
    rig.ask(path="/a/very/long/" + "x" * 10_000)
    (line,) = rig.log()
    assert (line["status"], line["bytes"], line["route"]) == (200, 4, "unmatched")
    assert len(line["path"]) == 120
    quiet = Rig(fine, access_log=False)
    quiet.ask()
    assert quiet.log() == []


def test_what_is_not_http_passes_through() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    Rig(app).ask(type="lifespan")
    assert seen == ["lifespan"]


def test_counts_are_by_route_never_by_path(tmp_path: Path) -> None:
    build_world(tmp_path)
    with serving(tmp_path) as server:
        for i in range(50):
            server.http.get(f"/scan/{i}")
            server.http.request("BREW", "/v1/queues")
        server.http.get("/v1/queues")
        families = {
            f.name: f for f in text_string_to_metric_families(server.http.get("/metrics").text)
        }
    counts = {
        (s.labels["route"], s.labels["method"], s.labels["status"]): s.value
        for s in families["ebbflow_http_requests"].samples
        if s.name == "ebbflow_http_requests_total"
    }
    assert counts == {
        ("unmatched", "GET", "404"): 50,
        ("/v1/queues", "OTHER", "405"): 50,
        ("/v1/queues", "GET", "200"): 1,
    }
    seconds = families["ebbflow_http_request_seconds"].samples
    assert {s.value for s in seconds if s.labels.get("le") == "+Inf"} == {50, 51}
    assert families["ebbflow_customers"].samples[0].value == 200
    contacts = {
        s.labels["queue"]: s.value for s in families["ebbflow_forecast_next_24h_contacts"].samples
    }
    # The first day is a Friday: 20 half-hours of 20 contacts.
    assert contacts["phone"] == 400


def test_durations_fall_into_their_buckets() -> None:
    metrics = RequestMetrics(worker="7")
    for seconds in (0.001, 0.002, 9.0):
        metrics.count("/x", method="GET", status=200, seconds=seconds, sent=10)
    text = render(metrics, []).decode()
    assert 'le="0.001",route="/x",worker="7"} 1.0' in text
    assert 'le="0.0025",route="/x",worker="7"} 2.0' in text
    assert 'le="2.5",route="/x",worker="7"} 2.0' in text
    assert 'le="+Inf",route="/x",worker="7"} 3.0' in text
    assert 'ebbflow_http_response_bytes_total{route="/x",worker="7"} 30.0' in text


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/csv", {"text/csv": 1.0}),
        ("text/csv;q=0.5, */*;q=0.1", {"text/csv": 0.5, "*/*": 0.1}),
        ("text/csv;q=nonsense", {"text/csv": 0.0}),
    ],
)
def test_accept_is_read_with_its_weights(accept: str, expected: dict[str, float]) -> None:
    assert _weights(accept) == expected
