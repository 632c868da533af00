"""Scoring everybody, and handing it to a CRM: python -m benchmarks.scoring.

A model fitted on a simulated centre scores a million customers: those of the centre again and
again, each number moved a little, so that reasons differ as they would. Then one worker serves the
set, and one client pulls all of it in each form; the worker's own memory is read before, during
and after. ``--customers 20000`` tries it in a minute.
"""

from __future__ import annotations

import argparse
import http.client
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.report import Check, at_most, finish
from benchmarks.server import free_port, memory_mib, start, worker_of
from features.arrow import write_arrow
from features.artefact import open_current, point_to, write_artefact
from features.home import Home
from features.simulate import SOURCES
from features.snapshot import CUSTOMERS_FILE, SNAPSHOT_KIND, SNAPSHOT_SCHEMA, open_current_snapshot
from serving.published.score_set import open_current_score_set

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 60.0
GROWTH_MIB = 64.0
"""What a worker's own memory may grow by while it sends everybody."""
FORMS = {
    "NDJSON": {"Accept": "application/x-ndjson"},
    "NDJSON, gzip": {"Accept": "application/x-ndjson", "Accept-Encoding": "gzip"},
    "JSON": {"Accept": "application/json"},
    "CSV, gzip": {"Accept": "text/csv", "Accept-Encoding": "gzip"},
    "Parquet": {"Accept": "application/vnd.apache.parquet"},
}


def main() -> None:
    """Measure, print the table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--centre", type=int, default=10_000, help="customers simulated")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ebbflow-bench-") as folder:
        home = Home(Path(folder) / "home")
        fit(home, files=Path(folder) / "files", customers=options.centre)
        multiply(home, customers=options.customers)
        scored = score(home)
        pulls = list(pull_all(home))
    who = f"{options.customers:,} customers"
    checks = [
        at_most(
            f"scoring {who} with reasons in two languages", scored["seconds"], SECONDS, unit=" s"
        ),
        *(
            at_most(
                f"own memory that sending {who} adds, {pull['form']}",
                pull["grown_mib"],
                GROWTH_MIB,
                unit=" MiB",
            )
            for pull in pulls
        ),
        Check(
            "rows of every form",
            str(options.customers),
            ", ".join(sorted({str(pull["rows"]) for pull in pulls})),
            {pull["rows"] for pull in pulls} == {options.customers},
        ),
    ]
    finish(
        "scoring",
        checks=checks,
        rows=[scored, *pulls, {"load_average": os.getloadavg()[0]}],
        packages=("numpy", "orjson", "pyarrow", "starlette", "uvicorn"),
    )


def run(home: Home, *words: object) -> float:
    """Run one of the project's commands and return its seconds."""
    environment = {**os.environ, "EBBFLOW_HOME": str(home.root), "OMP_WAIT_POLICY": "passive"}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=ROOT,
        env=environment | {"EBBFLOW_MLRUNS": str(home.root / "mlruns")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return time.perf_counter() - began


def fit(home: Home, *, files: Path, customers: int) -> None:
    """Simulate a centre, fit the churn model on it and promote it."""
    run(home, "features", "simulate", "--customers", customers, "--days", 720, "--out", files)
    for source in SOURCES:
        mapping = files / source.name / "mapping.toml"
        given = files / source.name / source.files
        run(home, "features", "ingest", source.table, given, "--mapping", mapping)
    run(home, "features", "build")
    run(home, "training", "fit", "churn")
    run(home, "training", "promote", "churn")


def multiply(home: Home, *, customers: int) -> None:
    """Publish a snapshot of many customers: the centre's, again and again, moved a little."""
    known = open_current_snapshot(home.snapshots)
    table = known.customers
    rng = np.random.default_rng(7)
    rows = rng.integers(0, len(table), customers)
    columns: dict[str, Any] = {
        "customer_id": pa.array([f"C{row:08d}" for row in range(customers)], pa.string())
    }
    for name in table.names:
        values = table.matrix([name])[rows, 0]
        # Counts stay counts; a share or an answer of 0 or 1 stays what it is.
        moved = np.where(
            np.abs(values) > 1, np.round(values * rng.uniform(0.9, 1.1, customers)), values
        )
        columns[name] = pa.array(moved, from_pandas=True)
    artefact = open_current(home.snapshots, kind=SNAPSHOT_KIND, schema=SNAPSHOT_SCHEMA)
    with write_artefact(
        home.snapshots,
        kind=SNAPSHOT_KIND,
        schema=SNAPSHOT_SCHEMA,
        created_at=artefact.created_at,
        lineage={},
        meta=dict(artefact.meta),
    ) as folder:
        for file in artefact.path.iterdir():
            if file.name not in (CUSTOMERS_FILE, "manifest.json"):
                os.link(file, folder / file.name)
        write_arrow(folder / CUSTOMERS_FILE, pa.table(columns))
    point_to(home.snapshots, folder.name.removeprefix(".writing-"))


def score(home: Home) -> dict[str, Any]:
    """Score everybody by the command, and say what came of it."""
    seconds = run(home, "serving", "score", "--threads", 2)
    found = open_current_score_set(home.scores)
    size = sum(file.stat().st_size for file in found.artefact.path.iterdir())
    return {
        "what": "score",
        "customers": len(found),
        "scored": found.scored,
        "seconds": round(seconds, 1),
        "set_mib": round(size / 2**20),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def pull_all(home: Home) -> Iterator[dict[str, Any]]:
    """Yield what one pull of everybody costs in each form."""
    port = free_port()
    server, _ = start(home, port=port)
    try:
        pid = worker_of(server)
        time.sleep(2)
        for form, headers in FORMS.items():
            yield {"what": "pull", "form": form} | pull(port, pid, headers)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)


def pull(port: int, pid: int, headers: dict[str, str]) -> dict[str, Any]:
    """Pull everybody once while another thread watches the worker's memory."""
    before, highest, done = memory_mib(pid)["own"], [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            highest[0] = max(highest[0], memory_mib(pid)["own"])

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request("GET", "/v1/churn/scores?limit=1000000", headers=headers)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    received = 0
    while block := response.read(1 << 20):
        received += len(block)
    seconds = time.perf_counter() - began
    done.set()
    watcher.join()
    return {
        "rows": int(response.headers["X-Row-Count"]),
        "seconds": round(seconds, 1),
        "mib": round(received / 2**20, 1),
        "own_mib": round(before, 1),
        "grown_mib": round(highest[0] - before, 1),
    }


if __name__ == "__main__":
    main()
