"""Patience and service level: what is learnt of a known centre, and of one bank's calls.

python -m benchmarks.service
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS, Check, at_most, finish, skipped, within
from benchmarks.service_centre import Centre, Line, Shift, run_centre
from examples.real import SETS, data_folder, load
from features.calendar.queues import Queue
from features.home import Home
from training.commands import save_figure
from training.service.calibration import Calibration, calibrate, read_service
from training.service.report import print_service, service_figure, service_rows

REAL = "anonbank_1999"
UNTIL = datetime(1999, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 7, 2, tzinfo=UTC)
DAYS, SEEDS = 91, 5
_START = 20_454 * 86_400


@dataclass(frozen=True)
class Truth:
    """A simulated centre and what is true of it.

    Attributes:
        name: What it is like.
        centre: The centre.
    """

    name: str
    centre: Centre


def centres() -> tuple[Truth, ...]:
    """Return centres with nothing hidden, and with work after contacts that no record shows."""
    two = (Line("a", 60, 300, 180), Line("b", 40, 200, 400))
    both, ten = _agents(8, (0, 1)), _agents(10, (0, 1))
    return (
        Truth("one queue, nothing hidden", Centre(two[:1], _agents(6))),
        Truth("one queue, a fifth hidden", Centre(two[:1], _agents(7), efficiency=0.8)),
        Truth("one queue, two fifths hidden", Centre(two[:1], _agents(9), efficiency=0.6)),
        Truth("two queues share agents, nothing hidden", Centre(two, both)),
        Truth("two queues share agents, a fifth hidden", Centre(two, ten, efficiency=0.8)),
        Truth("days differ by a fifth", Centre(two[:1], _agents(7), efficiency=0.8, swing=0.2)),
    )


def _agents(count: int, queues: tuple[int, ...] = (0,)) -> tuple[Shift, ...]:
    return tuple(Shift(8, 20, queues) for _ in range(count))


def simulated() -> Iterator[dict[str, Any]]:
    """Yield one row a centre, seed and queue: what was learnt beside the truth."""
    for truth in centres():
        for seed in range(SEEDS):
            waits = run_centre(truth.centre, days=DAYS, start=_START, seed=seed)
            found = calibrate(waits, {name: Queue(name) for name in waits.queues})
            for place, line in enumerate(truth.centre.lines):
                one = found[line.name]
                hung_up = waits.abandoned & (waits.queue == place)
                yield {
                    "centre": truth.name,
                    "seed": seed,
                    **next(service_rows({line.name: one})),
                    "true_patience_seconds": line.patience_seconds,
                    "naive_patience_seconds": float(waits.wait_seconds[hung_up].mean()),
                    "true_efficiency": truth.centre.efficiency,
                }


def bank(folder: Path) -> Mapping[str, Calibration]:
    """Learn from one bank's calls of February 1999, loaded into a home in a folder."""
    home = Home(folder / "home")
    load(SETS[REAL], home=home, data=data_folder(), now=NOW)
    _, found = read_service(home, now=NOW, as_of=UNTIL)
    return found


def _checks(rows: list[dict[str, Any]]) -> Iterator[Check]:
    def worst(ours: str, true: str) -> float:
        return max(abs(row[ours] / row[true] - 1) for row in rows) * 100

    patience = worst("patience_seconds", "true_patience_seconds")
    naive = worst("naive_patience_seconds", "true_patience_seconds")
    inside = sum(
        row["patience_low_seconds"] <= row["true_patience_seconds"] <= row["patience_high_seconds"]
        for row in rows
    )
    bias = sum(row["fitted_efficiency"] - row["true_efficiency"] for row in rows) / len(rows)
    yield at_most("simulated: patience off the truth, worst", patience, 10, unit=" %")
    yield Check(
        "simulated: mean wait of who hung up, off the patience, worst", "-", f"{naive:.0f} %", None
    )
    yield within(
        "simulated: 95 % interval holds the patience", 100 * inside / len(rows), 85, 100, unit=" %"
    )
    yield at_most(
        "simulated: efficiency off the truth, worst",
        100 * max(abs(row["fitted_efficiency"] - row["true_efficiency"]) for row in rows),
        5,
        unit=" points",
    )
    yield within("simulated: efficiency off the truth, mean", 100 * bias, -2, 2, unit=" points")
    yield at_most(
        "simulated: corrected service level off the achieved, later days, worst",
        100 * max(abs(row["later_corrected"] - row["later_achieved"]) for row in rows),
        5,
        unit=" points",
    )


def _bank_checks(found: Mapping[str, Calibration]) -> Iterator[Check]:
    rows = [row for row in service_rows(found) if row["hour"] == "all" and row["intervals"]]
    contacts = sum(row["contacts"] for row in rows)
    before, after = (
        100 * sum(row[name] * row["contacts"] for row in rows) / contacts
        for name in ("later_error", "later_error_corrected")
    )
    yield at_most(
        f"{REAL}: error by queue and hour with the efficiency / without, later days",
        after / before,
        0.8,
    )
    for row in rows:
        yield Check(
            f"{REAL}: {row['queue']}, later days: predicted, with efficiency, achieved",
            "-",
            " / ".join(
                f"{100 * row[f'later_{name}']:.0f}"
                for name in ("predicted", "corrected", "achieved")
            )
            + f" %, efficiency {row['efficiency']:.2f}",
            None,
        )


def main() -> None:
    """Run both, print, draw and write."""
    rows = list(simulated())
    checks = list(_checks(rows))
    if (data_folder() / REAL).is_dir():
        with tempfile.TemporaryDirectory() as folder:
            found = bank(Path(folder))
        print_service(found, as_of=UNTIL, days=DAYS, by_hour=True)
        RESULTS.mkdir(parents=True, exist_ok=True)
        save_figure(service_figure(found), RESULTS / f"service_{REAL}.png")
        checks += _bank_checks(found)
        rows += [{"centre": REAL, **row} for row in service_rows(found)]
    else:
        checks.append(skipped(f"{REAL}: error by queue and hour", "<= 0.8x", "no data here"))
    finish("service", checks=checks, rows=rows, packages=("numpy",))


if __name__ == "__main__":
    main()
