"""How fast the server answers, how soon it is ready, how much memory a worker takes.

One worker of ``python -m serving run`` over a home with one million customers and three hourly
queues. A client process holds keep-alive connections and sends the next request as soon as an
answer is whole. The routes take turns, round by round, so that a busy machine slows them alike;
a figure is the median over the rounds of its share of the empty route (``/healthz``) of the same
round.

    python -m benchmarks.server
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.report import Check, finish
from features.artefact import point_to
from features.calendar.clock import interval_starts, to_epoch
from features.calendar.queues import ALWAYS, Queue
from features.home import Home
from serving.models.churn.value import SEGMENTS, STAGES
from serving.models.volume.calendar_effects import DayEffects
from serving.models.volume.distribution import plain_shape
from serving.models.volume.forecast import PARTS, QueueForecast, VolumeForecast
from serving.published.forecast_set import write_forecast_set
from serving.published.score_writer import Reason, ScoredCustomers, write_score_set

MADE_AT = datetime(2026, 3, 2, tzinfo=UTC)
CONNECTIONS = 8
ACTIONS = ("no_contact", "call", "none")
CHUNK = 50_000


@dataclass(frozen=True)
class Load:
    """One kind of request."""

    name: str
    request: bytes


def get(path: str) -> bytes:
    """Return a GET request as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def post(path: str, document: Any) -> bytes:
    """Return a POST request as it goes over the wire."""
    body = json.dumps(document).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def loads() -> list[Load]:
    """Return the requests that take turns; the empty route first."""
    start, end = "2026-03-03T00:00:00Z", "2026-03-17T00:00:00Z"
    span = {"queues": ["sales"], "start": start, "end": end}
    return [
        Load("empty route", get("/healthz")),
        Load("forecast, one queue x 14 days", post("/v1/forecast", span)),
        Load("forecast by GET", get(f"/v1/forecast?queue=sales&start={start}&end={end}")),
        Load("churn, one customer", post("/v1/churn/scores", {"customer_ids": ["C0500000"]})),
        Load(
            "churn, 1,000 customers",
            post("/v1/churn/scores", {"customer_ids": [f"C{i * 997:07d}" for i in range(1000)]}),
        ),
        Load("churn, page of 1,000", get("/v1/churn/scores?after=C0500000&limit=1000")),
        Load("staffing, one queue x 14 days", post("/v1/staffing", span)),
    ]


class _Client(asyncio.Protocol):
    """Sends one request again and again, and counts the answers."""

    def __init__(self, request: bytes, counts: dict[str, int]) -> None:
        self._request, self._counts = request, counts
        self._buffer, self._missing = b"", 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._missing == 0:
            self._buffer += data
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            self._counts["failed"] += head[9:12] != b"200"
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._missing = int(length) - len(rest)
            self._buffer = b""
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self._counts["answered"] += 1
            self._transport.write(self._request)


async def _hammer(port: int, request: bytes, seconds: float) -> dict[str, int]:
    counts = {"answered": 0, "failed": 0}
    loop = asyncio.get_running_loop()
    transports = [
        (await loop.create_connection(lambda: _Client(request, counts), "127.0.0.1", port))[0]
        for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(seconds)
    for transport in transports:
        transport.abort()
    return counts


def _client(port: int, request: bytes, seconds: float, found: Any) -> None:
    import uvloop

    found.put(uvloop.run(_hammer(port, request, seconds)))


def measure(load: Load, *, port: int, pid: int, seconds: float) -> dict[str, float]:
    """Return answers a second and the worker's CPU time an answer, microseconds."""
    found: Any = multiprocessing.Queue()
    before = cpu_seconds(pid)
    client = multiprocessing.Process(target=_client, args=(port, load.request, seconds, found))
    client.start()
    counts = found.get(timeout=seconds + 30)
    client.join()
    used = cpu_seconds(pid) - before
    if counts["failed"] or not counts["answered"]:
        raise SystemExit(f"{load.name}: {counts}")
    return {
        "per_second": counts["answered"] / seconds,
        "cpu_microseconds": used / counts["answered"] * 1e6,
    }


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> dict[str, float]:
    """Return a process's resident memory, and the part of it that is no mapped file, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    sizes = {line.partition(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    own = int(sizes["RssAnon"]) / 1024
    files = (int(sizes["RssFile"]) + int(sizes["RssShmem"])) / 1024
    return {"resident": own + files, "own": own}


def build_home(root: Path, *, customers: int) -> Home:
    """Publish three queues of 28 days and many customers, with serving's own writers."""
    home = Home(root)
    queues = {}
    for name in ("sales", "service", "returns"):
        queue = Queue(name, "voice", "Europe/Berlin", opening=ALWAYS, patience_seconds=180.0)
        starts = interval_starts(
            to_epoch(MADE_AT), to_epoch(MADE_AT) + 28 * 86_400, 60, queue.time_zone
        )
        mean = 40 + 35 * np.sin(np.arange(len(starts)) * np.pi / 12)
        queues[name] = QueueForecast(
            queue=queue,
            starts=starts,
            is_open=np.ones(len(starts), dtype=bool),
            mean=mean,
            quantiles=mean[:, None] * (0.5 + np.arange(1, 20) / 20),
            parts=np.column_stack((mean, np.zeros((len(mean), len(PARTS) - 1)))),
            baseline=mean,
            aht_seconds=np.full(len(starts), 312.4),
            shape=plain_shape(0.05),
            effects=DayEffects({}, {}),
            method="combination",
            warnings=(),
        )
    forecast = VolumeForecast(made_at=MADE_AT, as_of=MADE_AT, events=(), queues=queues)
    id = write_forecast_set(
        home.forecasts, forecast=forecast, snapshot="none", model_version="none", now=MADE_AT
    )
    point_to(home.forecasts, id)
    id = write_score_set(
        home.scores,
        chunks=_customers(customers),
        as_of=MADE_AT,
        snapshot="none",
        model_version="none",
        tiers=("high", "medium", "low"),
        actions=ACTIONS,
        now=MADE_AT,
    )
    point_to(home.scores, id)
    return home


def _customers(customers: int) -> Iterator[ScoredCustomers]:
    said = (
        Reason("recency", "no order for 74 days (usual: 31)", "已 74 天未下单", 74.0, 31.0),
        Reason("contacts_30d", "3 contacts in 30 days (usual: 0.4)", "30 天联系 3 次", 3.0, 0.4),
        Reason("orders_365d", "1 order in a year (usual: 6)", "一年下单 1 次", 1.0, 6.0),
    )
    for start in range(0, customers, CHUNK):
        rows = np.arange(start, min(start + CHUNK, customers))
        yield ScoredCustomers(
            ids=[f"C{row:07d}" for row in rows.tolist()],
            probability=(rows % 1000) / 1000,
            percentile=(rows % 1000) / 10,
            tier=(rows % 3).astype(np.int8),
            expected_value_minor=rows % 1009 * 100.0,
            value_at_risk_minor=rows % 997 * 100.0,
            stage=(rows % len(STAGES)).astype(np.int8),
            segment=(rows % len(SEGMENTS)).astype(np.int8),
            action=(rows % len(ACTIONS)).astype(np.int16),
            consent=np.ones(len(rows)),
            reasons=np.tile(np.arange(3), (len(rows), 1)),
            reason_texts=said,
            warnings=[()] * len(rows),
        )


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(home: Home, *, port: int) -> tuple[subprocess.Popen[bytes], float]:
    """Start one worker; return it and the seconds until ``/readyz`` said yes."""
    began = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "serving", "run", "--home", str(home.root), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while time.perf_counter() - began < 60:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return server, time.perf_counter() - began
        except OSError:
            time.sleep(0.02)
    server.terminate()
    raise SystemExit("the server did not become ready")


def worker_of(server: subprocess.Popen[bytes]) -> int:
    """Return the process id of the one worker."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    for child in children:
        if b"_bentoml_impl.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise SystemExit(f"no worker among {children}")


def main() -> None:
    """Run the benchmark and write its report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ebbflow-bench-") as folder:
        home = build_home(Path(folder), customers=options.customers)
        port = free_port()
        server, ready_seconds = start(home, port=port)
        try:
            pid = worker_of(server)
            idle = memory_mib(pid)
            rows = [
                {"round": round_, "load": load.name}
                | measure(load, port=port, pid=pid, seconds=options.seconds)
                for round_ in range(options.rounds)
                for load in loads()
            ]
            busy = memory_mib(pid)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)
    _report(rows, options.customers, ready_seconds=ready_seconds, idle=idle, busy=busy)


def _report(
    rows: list[dict[str, Any]],
    customers: int,
    *,
    ready_seconds: float,
    idle: dict[str, float],
    busy: dict[str, float],
) -> None:
    by_load: dict[str, list[float]] = {}
    for row in rows:
        by_load.setdefault(row["load"], []).append(row["per_second"])
    empty = by_load["empty route"]
    shares = {
        name: statistics.median(a / b for a, b in zip(values, empty, strict=True))
        for name, values in by_load.items()
    }
    million = f"{customers:,} customers"
    checks = [
        _share(shares, "forecast, one queue x 14 days", 0.30),
        _share(shares, "churn, one customer", 0.60),
        Check("ready", "<= 8 s", f"{ready_seconds:.1f} s", ready_seconds <= 8),
        Check(
            f"memory of a worker, {million}",
            "<= 400 MiB",
            f"{busy['resident']:.0f} MiB ({busy['own']:.0f} its own, the rest mapped files)",
            busy["resident"] <= 400,
        ),
    ]
    facts = [
        {
            "load": name,
            "share_of_empty": share,
            "per_second": statistics.median(by_load[name]),
            "cpu_microseconds": statistics.median(
                row["cpu_microseconds"] for row in rows if row["load"] == name
            ),
        }
        for name, share in shares.items()
    ]
    for fact in facts:
        print(
            f"{fact['load']:32} {fact['per_second']:7.0f} /s {fact['share_of_empty']:5.0%} of empty"
            f" {fact['cpu_microseconds']:7.0f} µs of CPU"
        )
    machine = {"idle_mib": idle, "busy_mib": busy, "load_average": os.getloadavg()[0]}
    packages = ("bentoml", "fastapi", "starlette", "uvicorn", "uvloop", "pydantic", "orjson")
    finish("server", checks=checks, rows=[*rows, *facts, machine], packages=packages)


def _share(shares: dict[str, float], name: str, goal: float) -> Check:
    what = f"throughput, {name}, of the empty route's"
    return Check(what, f">= {goal:.0%}", f"{shares[name]:.0%}", shares[name] >= goal)


if __name__ == "__main__":
    main()
