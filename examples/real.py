"""Take a public data set from its file to an answer over HTTP, with the library's own functions.

    python examples/real.py montco_911 online_retail_ii     # or none: all that are there

The data are read from EBBFLOW_REAL_DATA (default ../shared/data); each set has a folder here with
its mappings. Prints what each model reached on its own back-test, and one answer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from features.build import build_snapshot  # noqa: E402  (the checkout is put on the path first)
from features.home import Home, ModelName  # noqa: E402
from features.intake.load import Report, ingest  # noqa: E402
from features.intake.mapping import load_mapping  # noqa: E402
from features.lake.delta import Lake  # noqa: E402
from serving.batch.forecast import publish_forecast  # noqa: E402
from serving.batch.scores import publish_scores  # noqa: E402
from training.config import Config, load_config  # noqa: E402
from training.fit.run import fit  # noqa: E402
from training.registry.promotion import promote  # noqa: E402
from training.registry.tracking import Tracking  # noqa: E402

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Source:
    """One file of a set.

    Attributes:
        table: The table it fills.
        file: Its name under the set's data folder, or under the example's own folder.
        mapping: The mapping beside this script; None where columns are named as ours.
    """

    table: str
    file: str
    mapping: str | None


@dataclass(frozen=True)
class RealSet:
    """One public data set and what is learnt from it.

    Attributes:
        name: Its folder, here and under the data.
        model: The model it feeds.
        sources: Its files, in the order of loading.
        as_of: The moment that it is learnt up to; None for its end.
    """

    name: str
    model: ModelName
    sources: tuple[Source, ...]
    as_of: datetime | None = None


_QUEUES = Source("queues", "queues.csv", None)
SETS = {
    each.name: each
    for each in (
        RealSet(
            "anonbank_1999",
            "volume",
            (
                _QUEUES,
                Source("intervals", "calls_6min.parquet", "intervals.toml"),
                Source("interactions", "calls_february.parquet", "interactions.toml"),
            ),
        ),
        RealSet(
            "montco_911",
            "volume",
            (_QUEUES, Source("interactions", "calls.parquet", "interactions.toml")),
        ),
        RealSet(
            "uihc_ed_arrivals",
            "volume",
            (_QUEUES, Source("intervals", "hourly.parquet", "intervals.toml")),
        ),
        RealSet(
            "uci_incidents",
            "volume",
            (_QUEUES, Source("interactions", "incident_events.parquet", "interactions.toml")),
            # Later weeks hold only what was left over: the publisher cut the tickets off.
            datetime(2016, 6, 1, tzinfo=UTC),
        ),
        RealSet(
            "online_retail_ii",
            "churn",
            (Source("purchases", "orders.parquet", "purchases.toml"),),
            datetime(2011, 3, 1, tzinfo=UTC),
        ),
    )
}


def data_folder() -> Path:
    """Return where the public data sets stand."""
    return Path(os.environ.get("EBBFLOW_REAL_DATA", ROOT.parent / "shared" / "data"))


def load(real: RealSet, *, home: Home, data: Path, now: datetime) -> list[Report]:
    """Ingest a set's files and publish a snapshot.

    Args:
        real: The set.
        home: Where everything is written.
        data: Where the public data stand.
        now: The moment, aware UTC.
    """
    lake = Lake(home.lake)
    ours = ROOT / "examples" / real.name
    reports = []
    for source in real.sources:
        shipped = ours / source.file
        reports.append(
            ingest(
                lake,
                source.table,
                now=now,
                files=[shipped if shipped.exists() else data / real.name / source.file],
                mapping=load_mapping(ours / source.mapping) if source.mapping else None,
            )
        )
    build_snapshot(home, now=now, as_of=real.as_of)
    return reports


def train(real: RealSet, *, home: Home, mlruns: Path, config: Config, clock: Clock) -> Any:
    """Fit, record, promote and publish; return the model's card."""
    tracking = Tracking(mlruns)
    fit(home, tracking=tracking, model=real.model, config=config, clock=clock, as_of=real.as_of)
    promote(home, tracking=tracking, model=real.model, now=clock(), who="example")
    publish = publish_forecast if real.model == "volume" else publish_scores
    publish(home, now=clock())
    bundle = next(p for p in home.bundles(real.model).iterdir() if p.is_dir())
    return json.loads((bundle / "manifest.json").read_text())["meta"]["card"]


def main() -> int:
    """Run the sets that were asked for and print what came of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=" ".join(SETS))
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    data = data_folder()
    names = arguments.sets or [name for name in SETS if (data / name).is_dir()]
    if not names:
        sys.stderr.write(f"No data set under {data}: set EBBFLOW_REAL_DATA.\n")
        return 2
    found = {}
    for name in names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            home = Home(Path(folder) / "home")
            clock = lambda: datetime.now(UTC)  # noqa: E731
            reports = load(SETS[name], home=home, data=data, now=clock())
            card = train(
                SETS[name],
                home=home,
                mlruns=Path(folder) / "mlruns",
                config=load_config(None),
                clock=clock,
            )
        found[name] = {
            "rows": {r.table: {"read": r.rows_read, "kept": r.kept} for r in reports},
            "metrics": card["metrics"],
            "seconds": round(time.monotonic() - began, 1),
        }
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        _print(found)
    return 0


def _print(found: dict[str, Any]) -> None:
    for name, result in found.items():
        table = Table(title=f"{name} ({result['seconds']} s)")
        table.add_column("figure")
        table.add_column("value", justify="right")
        for key, rows in result["rows"].items():
            table.add_row(f"{key}: rows read, kept", f"{rows['read']:,}, {rows['kept']:,}")
        for key, value in result["metrics"].items():
            if isinstance(value, int | float):
                table.add_row(key, f"{value:.4g}")
        Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
