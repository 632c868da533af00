"""Writing a simulated centre's files: time and memory of one process.

Run: python -m benchmarks.simulate [--customers 100000] [--days 730]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.report import at_most, finish
from features.simulate import SimulationConfig, write

SECONDS = 60.0


def main() -> None:
    """Write one centre, print the table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=730)
    arguments = parser.parse_args()
    config = SimulationConfig(
        until=datetime(2026, 7, 1, tzinfo=UTC), customers=arguments.customers, days=arguments.days
    )
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        written = write(config, seed=7, out=Path(folder) / "centre")
        seconds = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    what = f"{arguments.customers:,} customers, {arguments.days} days"
    finish(
        "simulate",
        checks=[at_most(f"{what}: time", seconds, SECONDS, unit=" s")],
        rows=[
            {
                "customers": arguments.customers,
                "days": arguments.days,
                "seconds": round(seconds, 1),
                "peak_gib": round(peak, 2),
                "rows": {name: source.rows for name, source in written.sources.items()},
            }
        ],
        packages=["numpy", "pyarrow"],
    )


if __name__ == "__main__":
    main()
