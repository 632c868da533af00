"""A real server in a process of its own: it starts, serves what is new under load, and drains."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from serving_world import World, build_world, put_card, put_forecast, put_scores, put_snapshot

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Spawned:
    """A server that was started, and how to ask it."""

    process: subprocess.Popen[bytes]
    port: int
    world: World

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            headers = {k.lower(): v for k, v in response.getheaders()}
            return response.status, headers, response.read()
        finally:
            connection.close()


def spawn(
    home: Path, *command: str, cwd: Path = ROOT, **environment: str
) -> tuple[subprocess.Popen[bytes], int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {k: v for k, v in os.environ.items() if not k.startswith("EBBFLOW_")}
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "--port", str(port)],
        cwd=cwd,
        env=variables | {"EBBFLOW_HOME": str(home), "EBBFLOW_ACCESS_LOG": "false"} | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(600):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as ask:
                ask.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if ask.recv(100).startswith(b"HTTP/1.1 200"):
                    return process, port
        except OSError:
            pass
        assert process.poll() is None, "the server ended by itself"
        time.sleep(0.1)
    process.kill()
    raise AssertionError("the server never answered")


def stop(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=30)


@pytest.fixture(scope="module")
def spawned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spawned]:
    world = build_world(tmp_path_factory.mktemp("home"))
    process, port = spawn(world.home.root, "serving", "run", EBBFLOW_REFRESH_SECONDS="0.5")
    yield Spawned(process, port, world)
    if process.poll() is None:
        stop(process)


@dataclass
class Load:
    """Clients that ask without pause until they are told to stop."""

    port: int
    paths: list[str]
    stopped: threading.Event = field(default_factory=threading.Event)
    answers: int = 0
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> Load:
        self.threads = [threading.Thread(target=self._ask, args=(p,)) for p in self.paths]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def _ask(self, path: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        while not self.stopped.is_set():
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                body = response.read()
                if response.status != 200 or not body:
                    self.failures.append(f"{response.status} {body[:200]!r}")
            except OSError as error:
                self.failures.append(repr(error))
            self.answers += 1
        connection.close()


@pytest.mark.slow
def test_what_is_newly_published_is_served_in_time_and_no_request_fails(spawned: Spawned) -> None:
    home = spawned.world.home
    paths = ["/v1/forecast?queue=phone", "/v1/churn/scores?limit=20", "/readyz", "/v1/models"]
    with Load(spawned.port, paths) as load:
        put = {
            "snapshot": put_snapshot(home),
            "volume": put_card(home, model="volume"),
            "churn": put_card(home, model="churn"),
            "forecast": put_forecast(home, factor=2.0),
            "scores": put_scores(home),
        }
        published = time.monotonic()
        served: dict[str, str] = {}
        while served != put and time.monotonic() - published < 5:
            parts = json.loads(spawned.get("/readyz")[2])["parts"]
            served = {part["part"]: part["id"] for part in parts}
            time.sleep(0.05)
        assert served == put
        document = json.loads(spawned.get("/v1/forecast?queue=chat&quantile=0.5")[2])
        assert document["queues"][0]["intervals"][0]["volume"]["mean"] == 12.0
    assert load.failures == []
    assert load.answers > 50


@pytest.mark.slow
def test_no_answer_is_bentomls_own(spawned: Spawned) -> None:
    for path in ("/nowhere", "/schema.json", "/livez", "/docs.json", "/static_content/x"):
        status, headers, body = spawned.get(path)
        assert (status, headers["content-type"]) == (404, "application/problem+json"), path
        assert json.loads(body)["type"] == "/docs#problem-not-found"
    assert json.loads(spawned.get("/healthz")[2]) == {"status": "ok"}
    assert json.loads(spawned.get("/readyz")[2])["ready"] is True
    assert b"bentoml" not in spawned.get("/metrics")[2].lower()
    assert b"<script" not in spawned.get("/")[2]


@pytest.mark.slow
def test_a_request_under_way_is_answered_when_the_server_is_told_to_stop(spawned: Spawned) -> None:
    body = json.dumps({"customer_ids": ["c001"]}).encode()
    head = f"POST /v1/churn/scores HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", spawned.port), timeout=10) as ask:
        ask.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body[:5])
        time.sleep(0.3)
        spawned.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        ask.sendall(body[5:])
        assert ask.recv(4096).startswith(b"HTTP/1.1 200")
    assert spawned.process.wait(timeout=30) == 0


def test_the_service_is_tuned_as_measured() -> None:
    """In a process of its own, since importing the service reads the environment."""
    script = (
        "from serving.service import Ebbflow, app; import json;"
        "c = Ebbflow.config; print(json.dumps([c['metrics'], c['logging'], c['tracing'],"
        "c['http']['host'], c['http']['port'], c['workers'], c['traffic']['timeout'],"
        "[a is app for a, *_ in Ebbflow.mount_apps]]))"
    )
    variables = {k: v for k, v in os.environ.items() if not k.startswith("EBBFLOW_")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=variables | {"EBBFLOW_PORT": "3999", "EBBFLOW_WORKERS": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [
        {"enabled": False},
        {"access": {"enabled": False}},
        {"excluded_urls": ".*"},
        "127.0.0.1",
        3999,
        2,
        5,
        [True],
    ]
