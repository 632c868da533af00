"""What many queues cost: training, publishing and correcting three years of hourly queues.

Run: python -m benchmarks.volume_scale [--queues 50 100 200]

Each step runs in a fresh process, which draws the panel first; seconds are the step's alone, the
memory is the process's peak with the panel in it. A correction is that of one published queue by
the rows of the ten hours since. Other sizes than these three write to benchmarks/results/part/.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import RESULTS, Check, at_most, finish
from features.artefact import point_to
from features.simulate import simulate_panel
from serving.models.volume.intraday import correct
from serving.models.volume.model import open_volume_model
from serving.published.forecast_set import write_forecast_set
from training.config import VolumeConfig
from training.evaluate.origins import Histories
from training.fit.volume import train_volume

DAYS = 3 * 365
SIZES = (50, 100, 200)
UNTIL = datetime(2026, 7, 1, tzinfo=UTC)
SEEN = timedelta(hours=10)
HORIZON = timedelta(days=28)
MINUTE = 60.0
Step = Callable[[Histories, Path], float]


def train(source: Histories, folder: Path) -> float:
    """Back-test, fit and write the bundle; return seconds."""
    began = time.perf_counter()
    as_of = UNTIL - SEEN
    train_volume(source, as_of=as_of, config=VolumeConfig(), root=folder / "bundles", now=UNTIL)
    return time.perf_counter() - began


def publish(source: Histories, folder: Path) -> float:
    """Open the bundle, forecast 28 days of all queues and publish the set; return seconds."""
    made_at = UNTIL - SEEN
    histories, events = source.volume(made_at), source.events(made_at)
    began = time.perf_counter()
    model = open_volume_model(_bundle(folder))
    forecast = model.forecast(histories, events=events, made_at=made_at, until=made_at + HORIZON)
    sets = folder / "forecasts"
    id = write_forecast_set(
        sets, forecast=forecast, snapshot="none", model_version=model.artefact.id, now=UNTIL
    )
    point_to(sets, id)
    return time.perf_counter() - began


def correct_today(source: Histories, folder: Path) -> float:
    """Correct every queue by what came since the forecast was made; return seconds a queue."""
    made_at = UNTIL - SEEN
    model = open_volume_model(_bundle(folder))
    forecast = model.forecast(
        source.volume(made_at),
        events=source.events(made_at),
        made_at=made_at,
        until=made_at + HORIZON,
    )
    histories = source.volume(UNTIL)
    began = time.perf_counter()
    for name, base in forecast.queues.items():
        correct(base, histories[name], made_at=made_at, now=UNTIL)
    return (time.perf_counter() - began) / len(forecast.queues)


def _bundle(folder: Path) -> Path:
    return next(path for path in (folder / "bundles").iterdir() if path.is_dir())


STEPS: dict[str, Step] = {"train": train, "publish": publish, "correct": correct_today}


def main() -> None:
    """Measure every step at every size, print ratios and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queues", type=int, nargs="+", default=SIZES, help="sizes, rising")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        print(json.dumps(_one(given.step, queues=given.queues[0], folder=given.folder)))
        return
    rows = []
    for queues in given.queues:
        with TemporaryDirectory() as folder:
            for step in STEPS:
                row = _fresh(step, queues=queues, folder=folder)
                print(
                    f"{step:<8} {queues:>4} queues {row['seconds']:10.3f} s "
                    f"{row['peak_gib']:6.2f} GiB",
                    flush=True,
                )
                rows.append(row)
    checks = _checks(rows)
    # The figures that are quoted come from whole runs alone.
    results = RESULTS if tuple(given.queues) == SIZES else RESULTS / "part"
    packages = ("numpy", "lightgbm")
    finish("volume_scale", checks=checks, rows=rows, packages=packages, results=results)


def _one(step: str, *, queues: int, folder: Path) -> dict[str, object]:
    panel = simulate_panel(queues=queues, days=DAYS, until=UNTIL, seed=1)
    source = Histories(panel.histories, panel.events)
    del panel
    seconds = STEPS[step](source, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "step": step,
        "queues": queues,
        "seconds": round(seconds, 4),
        "peak_gib": round(peak, 3),
    }


def _fresh(step: str, *, queues: int, folder: str) -> dict[str, object]:
    command = [sys.executable, "-m", "benchmarks.volume_scale", "--step", step]
    command += ["--queues", str(queues), "--folder", folder]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def _checks(rows: list[dict[str, object]]) -> list[Check]:
    """Return the goals at the largest size, and how cost grows from the smallest to it."""
    by_step = {
        name: {int(str(r["queues"])): r for r in rows if r["step"] == name} for name in STEPS
    }
    least, most = min(by_step["train"]), max(by_step["train"])

    def figure(step: str, what: str, queues: int = most) -> float:
        return float(str(by_step[step][queues][what]))

    what = f"{most} queues x 3 years"
    checks = [
        at_most(f"training on {what}", figure("train", "seconds") / MINUTE, 15, unit=" min"),
        at_most(f"memory of training on {what}", figure("train", "peak_gib"), 6, unit=" GiB"),
        at_most(
            f"publishing 28 days of {most} queues", figure("publish", "seconds"), 60, unit=" s"
        ),
        at_most("correcting one queue's day", figure("correct", "seconds") * 1000, 50, unit=" ms"),
    ]
    for step, word in (("train", "training"), ("publish", "publishing")):
        if most > least:
            grown = figure(step, "seconds") / figure(step, "seconds", least)
            name = f"{word}: cost of {most} queues beside {least}"
            checks.append(at_most(name, grown, most / least))
    return checks


if __name__ == "__main__":
    main()
