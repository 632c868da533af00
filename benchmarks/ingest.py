"""Loading 5 million interactions from Parquet: time and memory of one process.

Run: python -m benchmarks.ingest [--rows 5000000] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report import at_most, finish

SECONDS, GIB = 60.0, 4.0
BATCH = 500_000
NOW = datetime(2026, 3, 1, tzinfo=UTC)
MAPPING: dict[str, Any] = {
    "table": "interactions",
    "time": {"zone": "Europe/Berlin", "ambiguous": "earlier"},
    "columns": {
        "interaction_id": "CallId",
        "customer_id": "CustNo",
        "queue": "Skill",
        "channel": {"value": "voice"},
        "topic": "Reason",
        "started_at": "CallStart",
        "wait_seconds": {"column": "WaitMs", "scale": 0.001},
        "handle_seconds": {"sum": ["TalkSec", "WrapSec"]},
        "outcome": {"column": "Code", "values": {"A": "answered", "X": "abandoned"}},
        "csat": "Survey",
        "agent_id": "Agent",
        "available_at": {"after": "started_at", "seconds": 3600},
    },
}


def generate(path: Path, rows: int, seed: int) -> None:
    """Write a telephony export with its own names, units and local clock."""
    rng = np.random.default_rng(seed)
    start = np.datetime64("2024-01-01", "us")
    writer = None
    for first in range(0, rows, BATCH):
        n = min(BATCH, rows - first)
        seconds = rng.integers(0, 2 * 365 * 86_400, n)
        table = pa.table(
            {
                "CallId": np.char.add("call-", np.arange(first, first + n).astype(str)),
                "CustNo": pa.array(rng.integers(1, 100_000, n), mask=rng.random(n) < 0.1),
                "Skill": rng.choice(["sales", "support", "billing", "chat"], n),
                "Reason": rng.choice(["order", "invoice", "delivery", "other"], n),
                "CallStart": start + seconds.astype("timedelta64[s]").astype("timedelta64[us]"),
                "WaitMs": rng.exponential(45_000, n),
                "TalkSec": rng.exponential(240, n),
                "WrapSec": rng.exponential(40, n),
                "Code": rng.choice(["A", "X"], n, p=[0.93, 0.07]),
                "Survey": pa.array(rng.integers(1, 6, n), mask=rng.random(n) < 0.9),
                "Agent": np.char.add("agent-", rng.integers(0, 400, n).astype(str)),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def measure(file: Path, home: Path) -> None:
    """Load the file in this process and print what it took, as JSON."""
    from features.intake.load import ingest
    from features.intake.mapping import parse_mapping
    from features.lake.delta import Lake

    began, busy = time.perf_counter(), time.process_time()
    report = ingest(
        Lake(home), "interactions", files=[file], mapping=parse_mapping(MAPPING), now=NOW
    )
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - began,
                "cpu_seconds": time.process_time() - busy,
                "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
                "rows": report.rows_read,
                "kept": report.kept,
                "repeated": report.repeated,
                "quarantined": sum(report.quarantined.values()),
            }
        )
    )


def run(file: Path, home: Path) -> dict[str, Any]:
    """Measure one load in a process of its own, so that memory is its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ingest", "--measure", str(file), str(home)],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Generate, load twice, print the table and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--folder", type=Path, help="For the generated file; default: temporary.")
    parser.add_argument("--measure", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(*options.measure)
        return
    folder = Path(tempfile.mkdtemp(dir=options.folder, prefix="ebbflow-ingest-"))
    try:
        generate(folder / "calls.parquet", options.rows, seed=1)
        first = run(folder / "calls.parquet", folder / "lake")
        again = run(folder / "calls.parquet", folder / "lake")
    finally:
        shutil.rmtree(folder)
    size = f"{options.rows / 1e6:g} million interactions from Parquet"
    finish(
        "ingest",
        checks=[
            at_most(f"{size}: time", first["seconds"], SECONDS, unit=" s"),
            at_most(f"{size}: peak memory", first["peak_gib"], GIB, unit=" GiB"),
            at_most("the same file again: peak memory", again["peak_gib"], GIB, unit=" GiB"),
            at_most("the same file again: rows changed", again["kept"], 0, unit=""),
        ],
        rows=[{"load": "first", **first}, {"load": "again", **again}],
        packages=("pyarrow", "deltalake", "pandera", "numpy"),
    )


if __name__ == "__main__":
    main()
