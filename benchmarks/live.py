"""How soon new events change the scores: build and score a million customers.

Run: python -m benchmarks.live [--quick]

A lake of 10 million events of a million customers is written, vectorised. A churn model is fitted
on a small sibling of it, and its bundle is put into the large home. What is timed is what a night
runs, each command in a process of its own: ``python -m features build`` and ``python -m serving
score``. A quick run takes a fiftieth of it and writes to results/part/.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.features import START, generate
from benchmarks.report import RESULTS, at_least, at_most, finish

CUSTOMERS, INTERACTIONS, PURCHASES = 1_000_000, 8_000_000, 2_000_000
LIMIT_SECONDS, LIMIT_GIB = 180, 8
QUICK = 50
_TAUGHT = 100
"""The model is fitted on so small a part of the customers."""


@dataclass(frozen=True)
class Cost:
    """What one command took.

    Attributes:
        step: The command.
        seconds: From its start to its end, imports among them.
        cpu_seconds: Of all its threads.
        peak_gib: Most memory it held.
    """

    step: str
    seconds: float
    cpu_seconds: float
    peak_gib: float


def write_home(folder: Path, *, share: float) -> None:
    """Write a lake with a share of all customers and events."""
    customers = int(CUSTOMERS * share)
    generate(
        folder,
        interactions=int(INTERACTIONS * share),
        purchases=int(PURCHASES * share),
        customers=customers,
    )
    _write_people(folder, customers=customers)


def _write_people(folder: Path, *, customers: int) -> None:
    """Name every customer, so that one without an event is scored too."""
    from features.contracts.tables import CUSTOMERS as CONTRACT
    from features.home import Home
    from features.lake.delta import Change, Lake, lake_schema, write_parquet

    rng = np.random.default_rng(11)
    schema = lake_schema(CONTRACT)
    moments = pa.array(np.full(customers, int(START.timestamp()) * 1_000_000)).cast(
        pa.timestamp("us", "UTC")
    )
    columns = {
        "customer_id": pa.array([f"C{i:07d}" for i in range(customers)]),
        "joined_at": moments,
        "consent": pa.array(rng.random(customers) < 0.8),
        "available_at": moments,
        "loaded_at": moments,
    }
    filled = {f.name: columns.get(f.name, pa.nulls(customers, f.type)) for f in schema}
    lake = Lake(Home(folder).lake)
    with lake.writing() as staging:
        path = staging / "customers.parquet"
        with write_parquet(path, schema) as writer:
            writer.write_table(pa.table(filled).cast(schema), row_group_size=131_072)
        lake.commit(Change(CONTRACT.name, schema, (path,)), now=START)


def taught(folder: Path) -> Path:
    """Fit and promote a churn model on a small home; return the folder of its bundles."""
    from features.home import Home

    small = folder / "small"
    run(["-m", "benchmarks.live", "--write", str(small), "--share", str(1 / _TAUGHT)])
    at = ["--home", str(small), "--mlruns", str(folder / "mlruns")]
    run(["-m", "features", "build", "--home", str(small)])
    run(["-m", "training", "fit", "churn", *at])
    # Contacts and purchases are drawn independently, so nothing but the pace can be learnt.
    run(["-m", "training", "promote", "churn", *at, "--force-reason", "benchmark"])
    return Home(small).bundles("churn")


def run(words: list[str]) -> Cost:
    """Run Python with some arguments to its end, and return what it took."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([sys.executable, *words], stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(words)} failed:\n{said.read().decode()}")
    cost = Cost(
        step=" ".join(words[1:3]),
        seconds=round(time.perf_counter() - started, 2),
        cpu_seconds=round(used.ru_utime + used.ru_stime, 2),
        peak_gib=round(used.ru_maxrss / 2**20, 3),
    )
    print(
        f"{cost.step:<20} {cost.seconds:8.1f} s  {cost.cpu_seconds:8.1f} s CPU  "
        f"{cost.peak_gib:6.2f} GiB",
        flush=True,
    )
    return cost


def main() -> None:
    """Measure, print and write ``results/live.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, to results/part/")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--share", type=float, default=1.0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        write_home(given.write, share=given.share)
        return
    share = 1 / QUICK if given.quick else 1.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundles = taught(folder)
        home = folder / "home"
        # In a process of its own: a child's peak of memory counts its parent's at the start.
        run(["-m", "benchmarks.live", "--write", str(home), "--share", str(share)])
        shutil.copytree(bundles, _bundles(home))
        costs = [
            run(["-m", "features", "build", "--home", str(home)]),
            run(["-m", "serving", "score", "--home", str(home)]),
        ]
        scored = _scored(home)
    total = sum(cost.seconds for cost in costs)
    memory = max(cost.peak_gib for cost in costs)
    finish(
        "live",
        checks=[
            at_most("build and score", total, LIMIT_SECONDS, unit=" s"),
            at_most("peak memory", memory, LIMIT_GIB, unit=" GiB"),
            at_least("customers scored", scored, int(CUSTOMERS * share), unit=""),
        ],
        rows=[
            {**asdict(cost), "customers": scored, "events": int((INTERACTIONS + PURCHASES) * share)}
            for cost in costs
        ],
        packages=("duckdb", "ibis-framework", "lightgbm"),
        results=RESULTS / "part" if given.quick else RESULTS,
    )


def _bundles(home: Path) -> Path:
    from features.home import Home

    return Home(home).bundles("churn")


def _scored(home: Path) -> int:
    """Return how many customers the score set in force holds."""
    from features.home import Home

    root = Home(home).scores
    manifest = root / (root / "CURRENT").read_text().strip() / "manifest.json"
    return int(json.loads(manifest.read_text())["meta"]["customers"])


if __name__ == "__main__":
    main()
